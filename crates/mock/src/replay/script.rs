//! A script, read wholly before anything of it is played.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use thiserror::Error;

use super::line::{RawClose, RawCloseFrame, RawDirection, RawLine};
use crate::limits::{
    MAX_LINE_BYTES, MAX_SCRIPT_BYTES, MAX_SCRIPT_LINES, MAX_SCRIPT_PATTERNS, MAX_SCRIPT_TIME,
};
use crate::pattern::{MessagePattern, PatternError};
use crate::templates::{KnownCaptures, Template, TemplateError};
use crate::{CloseFrame, NORMAL_CLOSE};

/// What a mock says when, and what it expects: JSON Lines that were read, checked and joined.
#[derive(Clone, Debug)]
pub struct Script {
    pub(super) steps: Box<[Step]>,
}

/// One line that is done before the next.
#[derive(Clone, Debug)]
pub(super) struct Step {
    /// Its number in the file, from 1.
    pub(super) line: u32,
    /// When it is due, from the origin.
    pub(super) at: Duration,
    pub(super) wait: Option<Box<Wait>>,
    pub(super) send: Option<Content>,
    pub(super) close: Option<Box<CloseFrame>>,
    /// Where to go on, if not at the next.
    pub(super) next: Option<u32>,
    /// That it goes on at the first line, whose own time counts from there.
    pub(super) loops: bool,
}

/// What is sent.
#[derive(Clone, Debug)]
pub(super) enum Content {
    Text(Template),
    Binary(Bytes),
}

/// What a line needs from the client before it is done.
#[derive(Clone, Debug, Default)]
pub(super) struct Wait {
    pub(super) what: Awaited,
    pub(super) timeout: Option<Duration>,
    /// What the message has to be. Only lines with `in` have any of it.
    pub(super) expected: Option<Content>,
    pub(super) assertions: Vec<Assertion>,
    pub(super) branches: Vec<(Arc<MessagePattern>, u32)>,
}

/// Which message.
#[derive(Clone, Debug, Default)]
pub(super) enum Awaited {
    /// The one behind the last that was taken.
    #[default]
    Next,
    /// The oldest that matches and that no line has taken.
    Match(Arc<MessagePattern>),
    /// The client's closing, with this code if there is one.
    Close(Option<u16>),
}

#[derive(Clone, Debug)]
pub(super) struct Assertion {
    pub(super) pattern: Arc<MessagePattern>,
    pub(super) expected: bool,
    pub(super) description: Option<Box<str>>,
}

/// Why a script is not played.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("line {line}: {kind}")]
pub struct ScriptError {
    /// Which line; the first is 1.
    pub line: usize,
    /// What is wrong with it.
    pub kind: ScriptErrorKind,
}

/// What is wrong with a line of a script.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ScriptErrorKind {
    /// The script is larger than [`MAX_SCRIPT_BYTES`].
    #[error("a script has at most {MAX_SCRIPT_BYTES} bytes")]
    ScriptTooLarge,
    /// The script has more than [`MAX_SCRIPT_LINES`].
    #[error("a script has at most {MAX_SCRIPT_LINES} lines")]
    TooManyLines,
    /// The line has more than [`MAX_LINE_BYTES`].
    #[error("a line has at most {MAX_LINE_BYTES} bytes")]
    LineTooLong,
    /// The script has more than [`MAX_SCRIPT_PATTERNS`] different patterns.
    #[error("a script has at most {MAX_SCRIPT_PATTERNS} different patterns")]
    TooManyPatterns,
    /// The script has no line.
    #[error("there is nothing to play")]
    Empty,
    /// The line is not text.
    #[error("it is not UTF-8")]
    NotText,
    /// The line is not the JSON that is wanted.
    #[error("column {column}: {reason}")]
    Json {
        /// Where, from 1.
        column: usize,
        /// What the parser says.
        reason: String,
    },
    /// A time is less than the one before.
    #[error(
        "ts goes back from {before} to {ts}; it counts from the connection or the last match, not from the line before"
    )]
    TimeGoesBack {
        /// The time of the line before.
        before: u64,
        /// The time of this line.
        ts: u64,
    },
    /// A time is beyond [`MAX_SCRIPT_TIME`].
    #[error("{0} ms is too long; a script takes at most a year")]
    TooLate(u64),
    /// A pattern has an error.
    #[error("{key}: {error}")]
    Pattern {
        /// Which key has it.
        key: &'static str,
        /// What is wrong with it.
        error: PatternError,
    },
    /// A text has an error in a token.
    #[error("text: {0}")]
    Template(#[from] TemplateError),
    /// The content of a binary message is no base64.
    #[error("binary is no base64: {0}")]
    Base64(String),
    /// A code that no closing may have, or a reason that is too long.
    #[error("close: {0}")]
    Close(&'static str),
    /// Keys that cannot stand together.
    #[error("{0}")]
    Keys(&'static str),
    /// Two lines have the same name.
    #[error("step_id \"{step}\" is that of line {first} too")]
    SameStep {
        /// The name.
        step: String,
        /// The line that has it already.
        first: u32,
    },
    /// There is no line of this name.
    #[error("goto_step \"{0}\" is the step_id of no line")]
    NoStep(String),
}

impl Script {
    /// Reads a script, with the tokens of its texts where `expands` says so.
    ///
    /// ```
    /// use rejoin_mock::Script;
    ///
    /// let page = r#"{"ts":0,"dir":"out","text":"HELLO {{uuid}}","waitFor":"^CLIENT_READY$"}
    /// {"ts":10,"dir":"out","text":"{\"type\":\"welcome\",\"sessionId\":\"{{uuid}}\"}"}
    /// {"ts":20,"dir":"out","text":"{\"data\":{{randInt 1 100}}}","waitFor":"^ACK$"}"#;
    /// assert_eq!(Script::parse(page.as_bytes(), true)?.lines(), 3);
    /// let error = Script::parse(b"\n{\"ts\":0,\"txt\":\"HELLO\"}", true).unwrap_err();
    /// assert!(error.to_string().starts_with("line 2: column 13: unknown field `txt`"));
    /// # Ok::<(), rejoin_mock::ScriptError>(())
    /// ```
    pub fn parse(text: &[u8], expands: bool) -> Result<Self, ScriptError> {
        if text.len() > MAX_SCRIPT_BYTES {
            return Err(ScriptError { line: 1, kind: ScriptErrorKind::ScriptTooLarge });
        }
        let text = text.strip_prefix("\u{feff}".as_bytes()).unwrap_or(text);
        // Each line is read twice, as keeping what was read of a million takes more room than the script.
        let (mut reader, mut count) = (Reader::new(expands), 0);
        for line in lines(text) {
            let (number, line) = line?;
            reader.learn(count, number, &line).map_err(|kind| at(number, kind))?;
            count += 1;
        }
        if count == 0 {
            return Err(ScriptError { line: 1, kind: ScriptErrorKind::Empty });
        }
        reader.script(text, count)
    }

    /// How many lines are played.
    pub fn lines(&self) -> usize {
        self.steps.len()
    }
}

/// The lines that have anything in them, with their numbers.
fn lines(text: &[u8]) -> impl Iterator<Item = Result<(u32, RawLine), ScriptError>> {
    let numbered = (1..).zip(text.split(|&byte| byte == b'\n'));
    let filled = numbered.filter(|(_, line)| !line.trim_ascii().is_empty());
    filled.enumerate().map(|(index, (number, line))| {
        if index == MAX_SCRIPT_LINES {
            return Err(at(number, ScriptErrorKind::TooManyLines));
        }
        read(line).map(|line| (number, line)).map_err(|kind| at(number, kind))
    })
}

fn read(line: &[u8]) -> Result<RawLine, ScriptErrorKind> {
    if line.len() > MAX_LINE_BYTES {
        return Err(ScriptErrorKind::LineTooLong);
    }
    let line = str::from_utf8(line).map_err(|_| ScriptErrorKind::NotText)?;
    serde_json::from_str(line).map_err(|error| {
        let reason = error.to_string();
        let reason = reason.rsplit_once(" at line ").map_or(reason.as_str(), |(reason, _)| reason).to_owned();
        ScriptErrorKind::Json { column: error.column(), reason }
    })
}

/// What is known of all lines when each of them is read.
struct Reader {
    expands: bool,
    steps: BTreeMap<String, (u32, u32)>,
    patterns: BTreeMap<String, Arc<MessagePattern>>,
    captures: KnownCaptures,
}

impl Reader {
    fn new(expands: bool) -> Self {
        Self {
            expands,
            steps: BTreeMap::new(),
            patterns: BTreeMap::new(),
            captures: KnownCaptures::default(),
        }
    }

    /// Takes in the name and the patterns of a line, as a line can mean what stands behind it.
    fn learn(&mut self, index: u32, number: u32, line: &RawLine) -> Result<(), ScriptErrorKind> {
        if let Some(step) = &line.step_id
            && let Some((_, first)) = self.steps.insert(step.clone(), (index, number))
        {
            return Err(ScriptErrorKind::SameStep { step: step.clone(), first });
        }
        let waits = line.wait_for.iter().map(|pattern| ("waitFor", pattern));
        let branches = line.on_match.iter().map(|branch| ("on_match", &branch.pattern));
        for (key, pattern) in waits.chain(branches) {
            let pattern = self.pattern(key, pattern)?;
            self.captures.add(&pattern);
        }
        Ok(())
    }

    fn pattern(&mut self, key: &'static str, text: &str) -> Result<Arc<MessagePattern>, ScriptErrorKind> {
        if let Some(known) = self.patterns.get(text) {
            return Ok(known.clone());
        }
        if self.patterns.len() == MAX_SCRIPT_PATTERNS {
            return Err(ScriptErrorKind::TooManyPatterns);
        }
        let pattern = MessagePattern::parse(text).map_err(|error| ScriptErrorKind::Pattern { key, error })?;
        let pattern = Arc::new(pattern);
        self.patterns.insert(text.to_owned(), pattern.clone());
        Ok(pattern)
    }

    fn script(mut self, text: &[u8], count: u32) -> Result<Script, ScriptError> {
        let mut steps: Vec<Step> = Vec::with_capacity(usize::try_from(count).unwrap_or_default());
        // Behind a jump, and where one can end, times may begin anew.
        let mut before = None;
        for (index, line) in (1..).zip(lines(text)) {
            let (number, line) = line?;
            let jumps = line.goto_step.is_some();
            if line.step_id.is_some() {
                before = None;
            }
            let (step, ts) =
                self.step(number, line, before, index == count).map_err(|kind| at(number, kind))?;
            before = if jumps { None } else { Some(ts) };
            steps.push(step);
        }
        Ok(Script { steps: steps.into_boxed_slice() })
    }

    /// The step, and its time as the next has to be no earlier.
    fn step(
        &mut self,
        number: u32,
        line: RawLine,
        before: Option<u64>,
        last: bool,
    ) -> Result<(Step, u64), ScriptErrorKind> {
        let ts = line.ts.or(before).unwrap_or(0);
        if let Some(before) = before.filter(|&before| ts < before) {
            return Err(ScriptErrorKind::TimeGoesBack { before, ts });
        }
        check_keys(&line, last)?;
        let expects = line.dir == RawDirection::In;
        let close = line.close.map(closing).transpose()?;
        let expands = line.expand.unwrap_or(self.expands);
        let content = content(line.text, line.binary, expands.then_some(&self.captures))?;
        let next = line.goto_step.as_deref().map(|step| self.target(step)).transpose()?;
        let (at, timeout) = (time(ts)?, line.timeout.map(time).transpose()?);
        let pattern = line.wait_for.as_deref().map(|text| self.pattern("waitFor", text)).transpose()?;
        let mut step =
            Step { line: number, at, wait: None, send: None, close: None, next, loops: line.loops };
        if !expects {
            step.wait = pattern
                .map(|pattern| Box::new(Wait { what: Awaited::Match(pattern), timeout, ..Wait::default() }));
            step.send = content;
            step.close = close.map(|close| Box::new(close.unwrap_or(NORMAL_CLOSE)));
            return Ok((step, ts));
        }
        let what = match (close, pattern) {
            (Some(close), _) => Awaited::Close(close.map(|close| close.code)),
            (None, Some(pattern)) => Awaited::Match(pattern),
            (None, None) => Awaited::Next,
        };
        let mut wait = Wait { what, timeout, expected: content, ..Wait::default() };
        for assertion in line.assertions {
            let pattern = self.pattern("assertions", &assertion.pattern)?;
            let description = assertion.description.map(String::into_boxed_str);
            wait.assertions.push(Assertion { pattern, expected: assertion.expected, description });
        }
        for branch in line.on_match {
            let target = self.target(&branch.goto_step)?;
            wait.branches.push((self.pattern("on_match", &branch.pattern)?, target));
        }
        step.wait = Some(Box::new(wait));
        Ok((step, ts))
    }

    fn target(&self, step: &str) -> Result<u32, ScriptErrorKind> {
        let found = self.steps.get(step).map(|(index, _)| *index);
        found.ok_or_else(|| ScriptErrorKind::NoStep(step.to_owned()))
    }
}

fn at(number: u32, kind: ScriptErrorKind) -> ScriptError {
    ScriptError { line: usize::try_from(number).unwrap_or(usize::MAX), kind }
}

fn check_keys(line: &RawLine, last: bool) -> Result<(), ScriptErrorKind> {
    let expects = line.dir == RawDirection::In;
    let jumps = line.goto_step.is_some();
    let wrong = if line.text.is_some() && line.binary.is_some() {
        "a line has a text or is binary, not both"
    } else if !expects && (!line.on_match.is_empty() || !line.assertions.is_empty()) {
        "on_match and assertions are for lines with \"dir\":\"in\""
    } else if !expects && line.timeout.is_some() && line.wait_for.is_none() {
        "a timeout is for a line that waits; add waitFor or \"dir\":\"in\""
    } else if expects
        && line.close.is_some()
        && (line.text.is_some() || line.binary.is_some() || line.wait_for.is_some())
    {
        "a closing has no text; write two lines"
    } else if line.close.is_some()
        && (jumps || line.loops || !line.on_match.is_empty() || !line.assertions.is_empty())
    {
        "nothing comes after close"
    } else if line.loops && !last {
        "loop is for the last line"
    } else if line.loops && jumps {
        "a line has loop or goto_step, not both"
    } else {
        return Ok(());
    };
    Err(ScriptErrorKind::Keys(wrong))
}

fn content(
    text: Option<String>,
    binary: Option<String>,
    captures: Option<&KnownCaptures>,
) -> Result<Option<Content>, ScriptErrorKind> {
    if let Some(text) = text {
        let template = match captures {
            Some(known) => Template::parse(&text, known)?,
            None => Template::literal(text),
        };
        return Ok(Some(Content::Text(template)));
    }
    let Some(binary) = binary else { return Ok(None) };
    let bytes = STANDARD.decode(binary).map_err(|error| ScriptErrorKind::Base64(error.to_string()))?;
    Ok(Some(Content::Binary(bytes.into())))
}

/// The code and reason, if any code was named.
fn closing(close: RawClose) -> Result<Option<CloseFrame>, ScriptErrorKind> {
    let (code, reason) = match close {
        RawClose::Plain(true) => return Ok(None),
        RawClose::Plain(false) => return Err(ScriptErrorKind::Close("false means nothing; leave it out")),
        RawClose::Code(code) => (Some(code), String::new()),
        RawClose::Whole(RawCloseFrame { code, reason }) => (code, reason),
    };
    let Some(code) = code else {
        return match reason.is_empty() {
            true => Ok(None),
            false => Err(ScriptErrorKind::Close("a reason needs a code")),
        };
    };
    let frame = CloseFrame { code, reason };
    frame.check().map_err(ScriptErrorKind::Close)?;
    Ok(Some(frame))
}

fn time(ms: u64) -> Result<Duration, ScriptErrorKind> {
    let time = Duration::from_millis(ms);
    if time > MAX_SCRIPT_TIME { Err(ScriptErrorKind::TooLate(ms)) } else { Ok(time) }
}

#[cfg(test)]
mod tests;
