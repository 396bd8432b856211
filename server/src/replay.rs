//! `rejoin replay`: has a replica hear a recording again.

use std::fmt;
use std::io::{self, BufWriter, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::str::FromStr;

use clap::Args;
use rejoin_core::LinkStatus;
use rejoin_record::{Ending, Header, Replay, ReplayError, Shown, State, Step};
use rejoin_wire::Rfc3339;

/// Bytes of a file that is read, which is read whole: more than any recording has.
const MAX_FILE_BYTES: u64 = 1 << 30;

/// Documents that the state of a replica names.
const MAX_DOCUMENTS_SHOWN: usize = 100;

#[derive(Args)]
pub(crate) struct ReplayFlags {
    /// The recording
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Stops behind this step and shows the state of the replica there; in the segment of this number, or in the first that has such a step
    #[arg(long, value_name = "[SEGMENT:]STEP")]
    until: Option<Place>,
    /// Shows every step, and what came out of it
    #[arg(long)]
    show: bool,
}

/// A step of a recording.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
    /// Segments are counted from 1. Absent: the first that has such a step.
    segment: Option<u64>,
    step: u64,
}

impl Place {
    /// Whether a step of a segment is this one, or comes after it in the segment that is meant.
    fn is_reached(self, segment: u64, step: u64) -> bool {
        self.segment.is_none_or(|meant| meant == segment) && step >= self.step
    }
}

impl FromStr for Place {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number = |digits: &str| digits.parse::<u64>().map_err(|_| format!("`{digits}` is no number"));
        match text.split_once(':') {
            None => Ok(Self { segment: None, step: number(text)? }),
            Some((segment, step)) => match number(segment)? {
                0 => Err("segments are counted from 1".to_owned()),
                segment => Ok(Self { segment: Some(segment), step: number(step)? }),
            },
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "step {}", self.step)?;
        match self.segment {
            Some(segment) => write!(out, " in segment {segment}"),
            None => Ok(()),
        }
    }
}

/// Replays a file. Fails, with a status of 1, where something else comes out than was recorded, where nothing was replayed, where there is no
/// such step as it was to stop behind, and where the file cannot be read.
pub(crate) fn run(flags: &ReplayFlags) -> Result<ExitCode, Box<dyn std::error::Error>> {
    let told = |error: io::Error| format!("{} cannot be read: {error}", flags.file.display());
    let bytes = std::fs::metadata(&flags.file).map_err(told)?.len();
    if bytes > MAX_FILE_BYTES {
        return Err(format!("{} has {bytes} bytes, and a recording has fewer", flags.file.display()).into());
    }
    let file = std::fs::read(&flags.file).map_err(told)?;
    let mut out = BufWriter::new(io::stdout().lock());
    let code = match replay(&file, flags, &mut out) {
        Ok(code) => code,
        // Whoever read along has seen enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => return Err(error.into()),
    };
    let _ = out.flush();
    Ok(code)
}

fn replay(file: &[u8], flags: &ReplayFlags, out: &mut impl Write) -> io::Result<ExitCode> {
    let mut replay = Replay::new(file);
    // The step that differs is shown with what came out.
    replay = replay.showing();
    let mut has_content = true;
    loop {
        match replay.advance() {
            Ok(None) => break,
            Ok(Some(Shown::Segment(header))) => {
                has_content = header.content;
                segment(out, replay.progress().segments, &header)?;
            }
            Ok(Some(Shown::Step(step))) => {
                if flags.show {
                    self::step(out, &step)?;
                }
                let segment = replay.progress().segments;
                if flags.until.is_some_and(|until| until.is_reached(segment, step.number)) {
                    return stopped(out, &mut replay, &step);
                }
            }
            Ok(Some(Shown::Gap(gap))) => writeln!(
                out,
                "{} steps are missing here ({} bytes, which the recording had no room for): what follows can be shown and not replayed",
                gap.steps, gap.bytes
            )?,
            Ok(Some(Shown::Ended(why))) => writeln!(out, "the recording ended here: {why}")?,
            Err(error) => return failed(out, &replay, &error),
        }
    }
    if let Some(until) = flags.until {
        writeln!(out, "there is no {until}: the recording ends before")?;
    }
    summary(out, &replay, has_content)?;
    let state = replay.state();
    if let Some(state) = &state {
        self::state(out, state)?;
    }
    let is_replayed = state.is_some() || replay.progress().replayed > 0;
    Ok(if is_replayed && flags.until.is_none() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn segment(out: &mut impl Write, number: u64, header: &Header) -> io::Result<()> {
    let Header { engine_version, by, content, workspace, begun } = header;
    let content = if *content { "with" } else { "without" };
    let own = env!("CARGO_PKG_VERSION");
    writeln!(
        out,
        "segment {number}: workspace `{workspace}`, recorded by a {} of release {engine_version}, {content} content, begun {}",
        by.name(),
        Rfc3339(*begun)
    )?;
    if **engine_version != *own {
        writeln!(out, "  this is release {own}: it may well do otherwise")?;
    }
    Ok(())
}

fn step(out: &mut impl Write, step: &Step) -> io::Result<()> {
    let at = seconds(step.at);
    let shown = format!("{:>7} {at:>14}  {:<18} {}", step.number, step.line.name, step.line.detail);
    writeln!(out, "{}", shown.trim_end())?;
    for line in &step.outputs {
        let shown = format!("{:>24}→ {:<18} {}", "", line.name, line.detail);
        writeln!(out, "{}", shown.trim_end())?;
    }
    Ok(())
}

fn stopped(out: &mut impl Write, replay: &mut Replay<'_>, step: &Step) -> io::Result<ExitCode> {
    writeln!(out, "stopped behind step {}", step.number)?;
    match replay.state() {
        Some(state) => {
            self::state(out, &state)?;
            Ok(ExitCode::SUCCESS)
        }
        None => {
            writeln!(out, "nothing is replayed here, so that there is no state to show")?;
            Ok(ExitCode::FAILURE)
        }
    }
}

fn state(out: &mut impl Write, state: &State) -> io::Result<()> {
    let State { replica, is_ready, decides, link, links, pending, rung, documents } = state;
    let ready = if *is_ready { "" } else { ", which has not read yet who it is" };
    writeln!(out, "the replica then: {replica}{ready}")?;
    if *decides {
        writeln!(out, "  links from below {links}")?;
    } else {
        let upstream = match link {
            LinkStatus::Offline => "offline",
            LinkStatus::Connecting => "connecting",
            LinkStatus::Online => "online",
            LinkStatus::Refused { .. } => "refused",
        };
        writeln!(out, "  link up {upstream}")?;
        writeln!(out, "  changes without an outcome {pending}, on rung {rung:?} at the lowest")?;
    }
    writeln!(out, "  documents in memory {}", documents.len())?;
    for document in documents.iter().take(MAX_DOCUMENTS_SHOWN) {
        let (name, life) = (&document.document, document.life);
        let (revision, pending) = (document.revision.0, document.pending);
        writeln!(out, "    `{name}` {life:?}, revision {revision}, pending {pending}")?;
    }
    if let Some(more) = documents.len().checked_sub(MAX_DOCUMENTS_SHOWN).filter(|more| *more > 0) {
        writeln!(out, "    and {more} more")?;
    }
    Ok(())
}

fn summary(out: &mut impl Write, replay: &Replay<'_>, has_content: bool) -> io::Result<()> {
    let progress = replay.progress();
    let (steps, replayed, outputs) = (progress.steps, progress.replayed, progress.outputs);
    if !has_content {
        writeln!(
            out,
            "{steps} steps with {outputs} outputs: the recording was made without content, so that it can be shown and not replayed"
        )?;
    } else if replayed == steps {
        writeln!(out, "replayed {steps} steps: all {outputs} outputs are byte for byte as recorded")?;
    } else {
        writeln!(
            out,
            "replayed the first {replayed} of {steps} steps, with outputs byte for byte as recorded; the others come after {} missing ones, and can be shown only",
            progress.missing
        )?;
    }
    if replay.ending() == Ending::Cut {
        writeln!(out, "the file is cut off there: whatever recorded it did not end in good order")?;
    }
    Ok(())
}

fn failed(out: &mut impl Write, replay: &Replay<'_>, error: &ReplayError) -> io::Result<ExitCode> {
    if let ReplayError::Differs(difference) = error {
        writeln!(out, "the first step that differs, with what came out now:")?;
        step(out, &difference.step)?;
    }
    writeln!(out, "{error}")?;
    writeln!(out, "{} steps before it were as recorded", replay.progress().replayed)?;
    Ok(ExitCode::FAILURE)
}

fn seconds(microseconds: u64) -> String {
    format!("{}.{:06}", microseconds / 1_000_000, microseconds % 1_000_000)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_step_is_that_of_the_segment_that_is_named_or_of_the_first_that_has_it() {
        let place = |text: &str| text.parse::<Place>();
        let (any, second) = (place("12").unwrap(), place("2:12").unwrap());
        assert!(any.is_reached(1, 12) && any.is_reached(3, 13) && !any.is_reached(1, 11));
        assert!(second.is_reached(2, 12) && !second.is_reached(1, 12) && !second.is_reached(2, 11));
        assert_eq!((any.to_string(), second.to_string()), ("step 12".into(), "step 12 in segment 2".into()));
        for wrong in ["", ":", "2:", ":12", "0:12", "2:12:3", "x", "-1"] {
            assert!(place(wrong).is_err(), "{wrong}");
        }
    }
}
