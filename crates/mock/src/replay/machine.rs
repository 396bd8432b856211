//! The machine that plays a script on one connection.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::script::{Awaited, Content, Script, Step, Wait};
use crate::limits::{MAX_BACKLOG_BYTES, MAX_BACKLOG_MESSAGES, SHORTEST_PASS};
use crate::machine::{Machine, Output};
use crate::pattern::Captures;
use crate::templates::Expander;
use crate::{CloseFrame, Frame, NORMAL_CLOSE, Time, close_code};

/// Characters of a message that a note quotes.
const QUOTED_CHARACTERS: usize = 80;

/// Plays a script on one connection.
///
/// What is sent is made when it is asked for: a script whose lines are all due takes no more memory than one line at a time.
#[derive(Debug)]
pub struct Replay {
    script: Arc<Script>,
    expander: Expander,
    captures: Captures,
    now: Option<Time>,
    /// The line that is next, by its index.
    at: usize,
    phase: Phase,
    origin: Origin,
    /// When the line before was done. Never before the moment of the origin.
    done: Duration,
    /// When a jump back was made last, and whether a message was taken since.
    last_jump: Option<Duration>,
    took_since_jump: bool,
    backlog: Backlog,
    outputs: VecDeque<Output<Note>>,
}

/// What the times of lines count from: at this moment they are at `ts`.
#[derive(Clone, Copy, Debug, Default)]
struct Origin {
    moment: Duration,
    ts: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// The line at `at` has what it waits for, or waits for nothing but its time; a branch says where it goes on.
    Due { since: Duration, branch: Option<u32> },
    /// It waits for a message; those of the backlog before this number do not match.
    Waits { from: u64 },
    /// Nothing more is played.
    Over,
}

/// What a replay says of itself, for whoever watches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Note {
    /// A line waits for a message.
    Waits {
        /// Its number in the file.
        line: u32,
    },
    /// A line has its message.
    Matched {
        /// Its number in the file.
        line: u32,
    },
    /// What came is not what the line expects.
    Unexpected {
        /// Its number in the file.
        line: u32,
        /// What was expected and what came.
        reason: String,
    },
    /// What a line waits for did not come in time.
    TimedOut {
        /// Its number in the file.
        line: u32,
    },
    /// Messages that no line took were forgotten, as too many wait.
    Forgotten {
        /// How many.
        messages: usize,
    },
    /// The client closed before the script was over.
    LeftAt {
        /// The line that was next.
        line: u32,
    },
    /// The last line is done.
    Finished,
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Waits { line } => write!(f, "line {line} waits for a message"),
            Self::Matched { line } => write!(f, "line {line} has its message"),
            Self::Unexpected { line, reason } => write!(f, "line {line}: {reason}"),
            Self::TimedOut { line } => write!(f, "line {line} has waited too long"),
            Self::Forgotten { messages } => write!(f, "forgot {messages} messages that no line took"),
            Self::LeftAt { line } => write!(f, "the client closed before line {line}"),
            Self::Finished => f.write_str("the last line is done"),
        }
    }
}

impl Replay {
    /// One that plays a script from its start. The seed is that of its tokens.
    pub fn new(script: Arc<Script>, seed: u64) -> Self {
        Self {
            script,
            expander: Expander::new(seed),
            captures: Captures::default(),
            now: None,
            at: 0,
            phase: Phase::Over,
            origin: Origin::default(),
            done: Duration::ZERO,
            last_jump: None,
            took_since_jump: false,
            backlog: Backlog::default(),
            outputs: VecDeque::new(),
        }
    }

    /// The line that is played next, by its number in the file; `None` when nothing more is.
    pub fn line(&self) -> Option<u32> {
        (self.phase != Phase::Over).then(|| self.script.steps.get(self.at).map(|step| step.line)).flatten()
    }

    /// Begins to wait for what the line at `at` needs.
    fn reach(&mut self) {
        let Some(step) = self.script.steps.get(self.at) else {
            return self.finish();
        };
        self.phase = match step.wait {
            None => Phase::Due { since: self.done, branch: None },
            Some(_) => {
                self.outputs.push_back(Output::Note(Note::Waits { line: step.line }));
                Phase::Waits { from: 0 }
            }
        };
    }

    /// When the time of a line has come that is next.
    fn due(&self, step: &Step) -> Duration {
        (self.origin.moment + step.at.saturating_sub(self.origin.ts)).max(self.done)
    }

    /// Does what is due next; `false` if nothing is.
    fn advance(&mut self, now: Time) -> bool {
        let script = self.script.clone();
        let Some(step) = script.steps.get(self.at) else { return false };
        let due = self.due(step);
        match self.phase {
            Phase::Over => false,
            Phase::Waits { from } => {
                step.wait.as_ref().is_some_and(|wait| self.look_for(step, wait, from, due, now))
            }
            Phase::Due { since, branch } => {
                let moment = due.max(since);
                if moment > now.elapsed {
                    return false;
                }
                self.complete(step, branch, moment, now);
                true
            }
        }
    }

    /// Whether the wait is over, one way or the other.
    fn look_for(&mut self, step: &Step, wait: &Wait, from: u64, due: Duration, now: Time) -> bool {
        let until = wait.timeout.map(|timeout| due.saturating_add(timeout));
        match self.backlog.find(&wait.what, from) {
            Some(taken) if until.is_none_or(|until| taken.at <= until) => {
                self.took_since_jump = true;
                self.take(step, wait, &taken);
                true
            }
            _ if until.is_some_and(|until| until <= now.elapsed) => {
                self.outputs.push_back(Output::Note(Note::TimedOut { line: step.line }));
                let reason = format!("line {} has waited too long", step.line);
                self.close(CloseFrame { code: close_code::TIMED_OUT, reason });
                true
            }
            _ => {
                self.phase = Phase::Waits { from: self.backlog.next };
                false
            }
        }
    }

    fn take(&mut self, step: &Step, wait: &Wait, taken: &Received) {
        if let Err(reason) = self.check(wait, &taken.frame, taken.unix_ms) {
            self.outputs.push_back(Output::Note(Note::Unexpected { line: step.line, reason }));
            let reason = format!("line {} expects something else", step.line);
            return self.close(CloseFrame { code: close_code::UNEXPECTED, reason });
        }
        self.outputs.push_back(Output::Note(Note::Matched { line: step.line }));
        if let Awaited::Close(_) = wait.what {
            return self.finish_quietly();
        }
        let mut branch = None;
        if let Frame::Text(text) = &taken.frame {
            if let Awaited::Match(pattern) = &wait.what
                && let Some(captures) = pattern.captures(text)
            {
                self.captures.take(captures);
            }
            for (pattern, target) in &wait.branches {
                if let Some(captures) = pattern.captures(text) {
                    self.captures.take(captures);
                    branch = Some(*target);
                    break;
                }
            }
        }
        self.phase = Phase::Due { since: taken.at, branch };
    }

    /// Whether a message is what its line expects.
    fn check(&mut self, wait: &Wait, frame: &Frame, unix_ms: i64) -> Result<(), String> {
        match (&wait.what, frame) {
            (Awaited::Close(expected), Frame::Close(close)) => {
                let code = close.as_ref().map(|close| close.code);
                return match expected {
                    Some(_) if code != *expected => {
                        Err(format!("expects to be closed with {}, got {}", name(*expected), name(code)))
                    }
                    _ => Ok(()),
                };
            }
            (Awaited::Close(_), _) => return Err(format!("expects to be closed, got {}", quoted(frame))),
            _ => {}
        }
        let expected = match &wait.expected {
            None => None,
            Some(Content::Binary(bytes)) => Some(Frame::Binary(bytes.clone())),
            Some(Content::Text(text)) => {
                Some(Frame::Text(self.expander.expand(text, unix_ms, &self.captures)))
            }
        };
        if let Some(expected) = expected.filter(|expected| expected != frame) {
            return Err(format!("expects {}, got {}", quoted(&expected), quoted(frame)));
        }
        for assertion in &wait.assertions {
            let matches = match frame {
                Frame::Text(text) => assertion.pattern.matches(text),
                _ => assertion.pattern.matches_binary(),
            };
            if matches != assertion.expected {
                let does = if matches { "matches" } else { "does not match" };
                let what = format!("{} {does} {}", quoted(frame), assertion.pattern);
                return Err(match &assertion.description {
                    Some(description) => format!("{description}: {what}"),
                    None => what,
                });
            }
        }
        Ok(())
    }

    /// The line has all it needs, at this moment: it says what it has to, and the next is reached.
    fn complete(&mut self, step: &Step, branch: Option<u32>, moment: Duration, now: Time) {
        self.done = moment;
        if step.wait.is_some() {
            // The moment of a match is what the line's own time says: what follows keeps its distances.
            self.origin = Origin { moment, ts: step.at };
        }
        if let Some(content) = &step.send {
            let frame = match content {
                Content::Text(text) => Frame::Text(self.expander.expand(text, now.unix_ms, &self.captures)),
                Content::Binary(bytes) => Frame::Binary(bytes.clone()),
            };
            self.outputs.push_back(Output::Send(frame));
        }
        if let Some(close) = &step.close {
            return self.close(CloseFrame::clone(close));
        }
        match branch.or(step.next) {
            Some(target) => self.jump(target),
            None if step.loops => self.restart(),
            None => {
                self.at += 1;
                self.reach();
            }
        }
    }

    /// Goes on at another line, which is due at once.
    fn jump(&mut self, target: u32) {
        let target = usize::try_from(target).unwrap_or(usize::MAX);
        if target <= self.at {
            self.pace();
        }
        self.at = target;
        let ts = self.script.steps.get(target).map_or(Duration::ZERO, |step| step.at);
        self.origin = Origin { moment: self.done, ts };
        self.reach();
    }

    /// Goes on at the first line, from whose pass all times count.
    fn restart(&mut self) {
        self.pace();
        self.at = 0;
        self.origin = Origin { moment: self.done, ts: Duration::ZERO };
        self.reach();
    }

    /// A pass that has neither waited nor taken time is given some.
    fn pace(&mut self) {
        if self.last_jump == Some(self.done) && !self.took_since_jump {
            self.done += SHORTEST_PASS;
        }
        self.last_jump = Some(self.done);
        self.took_since_jump = false;
    }

    fn finish(&mut self) {
        self.outputs.push_back(Output::Note(Note::Finished));
        self.close(NORMAL_CLOSE);
    }

    /// The client has closed already.
    fn finish_quietly(&mut self) {
        self.outputs.push_back(Output::Note(Note::Finished));
        self.phase = Phase::Over;
        self.backlog = Backlog::default();
    }

    fn close(&mut self, close: CloseFrame) {
        self.outputs.push_back(Output::Close(close));
        self.phase = Phase::Over;
        self.backlog = Backlog::default();
    }
}

impl Machine for Replay {
    type Note = Note;

    fn opened(&mut self, now: Time) {
        self.now = Some(now);
        self.origin = Origin { moment: now.elapsed, ts: Duration::ZERO };
        self.done = now.elapsed;
        self.reach();
    }

    fn received(&mut self, now: Time, frame: Frame) {
        self.now = Some(now);
        if self.phase == Phase::Over {
            return;
        }
        match frame {
            Frame::Ping(_) | Frame::Pong(_) => {}
            Frame::Close(_) => {
                // Nobody takes what was to be sent before the line that expects it.
                let expected = self.script.steps.get(self.at).and_then(|step| step.wait.as_ref());
                if expected.is_some_and(|wait| matches!(wait.what, Awaited::Close(_))) {
                    self.backlog.push(frame, now);
                } else {
                    if let Some(line) = self.line() {
                        self.outputs.push_back(Output::Note(Note::LeftAt { line }));
                    }
                    self.phase = Phase::Over;
                }
            }
            Frame::Text(_) | Frame::Binary(_) => {
                let messages = self.backlog.push(frame, now);
                if messages > 0 {
                    self.outputs.push_back(Output::Note(Note::Forgotten { messages }));
                }
            }
        }
    }

    fn woken(&mut self, now: Time) {
        self.now = Some(now);
    }

    fn poll_output(&mut self) -> Option<Output<Note>> {
        let now = self.now?;
        loop {
            if let Some(output) = self.outputs.pop_front() {
                return Some(output);
            }
            if !self.advance(now) {
                return None;
            }
        }
    }

    fn deadline(&self) -> Option<Duration> {
        let step = self.script.steps.get(self.at)?;
        let due = self.due(step);
        match self.phase {
            Phase::Over => None,
            Phase::Due { since, .. } => Some(due.max(since)),
            Phase::Waits { .. } => Some(due.saturating_add(step.wait.as_ref()?.timeout?)),
        }
    }
}

/// Messages that no line has taken, oldest first.
#[derive(Debug, Default)]
struct Backlog {
    messages: VecDeque<Received>,
    bytes: usize,
    /// The number of the next that comes.
    next: u64,
    /// The number behind the last that was taken.
    behind_taken: u64,
}

#[derive(Debug)]
struct Received {
    number: u64,
    at: Duration,
    unix_ms: i64,
    frame: Frame,
}

impl Backlog {
    /// Keeps a message, and says how many had to be forgotten for it.
    fn push(&mut self, frame: Frame, now: Time) -> usize {
        self.bytes += frame.size();
        let received = Received { number: self.next, at: now.elapsed, unix_ms: now.unix_ms, frame };
        self.next += 1;
        self.messages.push_back(received);
        let mut forgotten = 0;
        // The newest is kept whatever its size: a line may wait for just that.
        while self.messages.len() > MAX_BACKLOG_MESSAGES
            || (self.bytes > MAX_BACKLOG_BYTES && self.messages.len() > 1)
        {
            forgotten += usize::from(self.remove(0).is_some());
        }
        forgotten
    }

    /// Takes the message that is waited for, if one from this number on is it.
    fn find(&mut self, what: &Awaited, from: u64) -> Option<Received> {
        let index = match what {
            Awaited::Next | Awaited::Close(_) => {
                self.messages.iter().position(|it| it.number >= from.max(self.behind_taken))
            }
            Awaited::Match(pattern) => self.messages.iter().position(|it| {
                it.number >= from
                    && match &it.frame {
                        Frame::Text(text) => pattern.matches(text),
                        _ => pattern.matches_binary(),
                    }
            }),
        };
        let taken = self.remove(index?)?;
        self.behind_taken = self.behind_taken.max(taken.number + 1);
        Some(taken)
    }

    fn remove(&mut self, index: usize) -> Option<Received> {
        let removed = self.messages.remove(index)?;
        self.bytes -= removed.frame.size();
        Some(removed)
    }
}

fn name(code: Option<u16>) -> String {
    code.map_or_else(|| "no code".to_owned(), |code| code.to_string())
}

/// A message as notes show it.
fn quoted(frame: &Frame) -> String {
    match frame {
        Frame::Text(text) => match text.char_indices().nth(QUOTED_CHARACTERS) {
            Some((end, _)) => format!("{:?}…", text.get(..end).unwrap_or_default()),
            None => format!("{text:?}"),
        },
        Frame::Binary(bytes) => format!("{} binary bytes", bytes.len()),
        Frame::Close(close) => format!("a closing with {}", name(close.as_ref().map(|close| close.code))),
        Frame::Ping(_) | Frame::Pong(_) => "a ping".to_owned(),
    }
}

#[cfg(test)]
mod tests;
