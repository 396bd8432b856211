//! A plan of faults, and how it is written.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use super::error::FaultError;
use super::machine::Faults;
use super::parser::Parser;
use super::rule::{Action, After, Rule, Selector};
use crate::Direction;

/// What goes wrong on connections, as it is written in the language of `docs/mock-faults.md`. The default is that nothing does.
///
/// ```
/// use rejoin_mock::FaultPlan;
///
/// let plan: FaultPlan = "drop(yjs.step2) p=0.1; delay(presence) 400ms±100; close(4401) after 3 updates".parse()?;
/// assert_eq!(plan.to_string(), "drop(yjs.step2) p=0.1; delay(presence) 300ms..500ms; close(4401) after 3 updates");
/// # Ok::<(), rejoin_mock::FaultError>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct FaultPlan {
    pub(super) rules: Vec<Rule>,
}

impl FaultPlan {
    /// Whether nothing goes wrong.
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// What the plan does to one direction of a connection to this path. The same seed does the same to the same messages.
    pub fn machine(&self, direction: Direction, path: &str, seed: u64) -> Faults {
        Faults::new(self, None, direction, path, seed)
    }
}

impl FromStr for FaultPlan {
    type Err = FaultError;

    fn from_str(text: &str) -> Result<Self, FaultError> {
        Ok(Self { rules: Parser::new(text)?.plan()? })
    }
}

/// Reads back as the same plan.
impl fmt::Display for FaultPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, rule) in self.rules.iter().enumerate() {
            let separator = if index == 0 { "" } else { "; " };
            write!(f, "{separator}{rule}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.action.name())?;
        let closes = matches!(self.action, Action::Close(_));
        if let Action::Close(frame) = &self.action {
            write!(f, "({}", frame.code)?;
            if !frame.reason.is_empty() {
                f.write_str(" ")?;
                quoted(f, &frame.reason)?;
            }
            f.write_str(")")?;
        }
        for (index, selector) in self.selectors.iter().enumerate() {
            f.write_str(match (index, closes) {
                (0, false) => "(",
                (0, true) => " on ",
                _ => ", ",
            })?;
            selector.fmt(f)?;
        }
        if !self.selectors.is_empty() && !closes {
            f.write_str(")")?;
        }
        match &self.action {
            Action::Duplicate(1) | Action::Reorder(1) | Action::Corrupt(1) => {}
            Action::Duplicate(count) | Action::Reorder(count) => write!(f, " by {count}")?,
            Action::Corrupt(bytes) => write!(f, " {bytes} bytes")?,
            Action::Truncate(Some(bytes)) => write!(f, " to {bytes} bytes")?,
            Action::Delay(distribution) => write!(f, " {distribution}")?,
            Action::Throttle(rate) => write!(f, " {rate}B/s")?,
            Action::Stall(Some(duration)) => {
                f.write_str(" ")?;
                write_duration(f, *duration)?;
            }
            Action::Drop
            | Action::Truncate(None)
            | Action::Stall(None)
            | Action::HalfOpen
            | Action::Close(_) => {}
        }
        match self.direction {
            Some(Direction::In) => f.write_str(" in")?,
            Some(Direction::Out) => f.write_str(" out")?,
            None => {}
        }
        if let Some(path) = &self.path {
            f.write_str(" path=")?;
            quoted(f, &path.pattern)?;
        }
        if let Some(chance) = self.chance {
            write!(f, " p={chance}")?;
        }
        match &self.after {
            Some(After::Time(time)) => {
                f.write_str(" after ")?;
                write_duration(f, *time)?;
            }
            Some(After::Count(count, name)) => {
                let plural = if *count != 1 && !name.contains('.') { "s" } else { "" };
                write!(f, " after {count} {name}{plural}")?;
            }
            None => {}
        }
        if let Some(times) = self.times {
            write!(f, " times={times}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::Pattern(pattern) => quoted(f, &pattern.to_string()),
        }
    }
}

fn quoted(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    write!(f, "\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n"))
}

/// Writes a time in the largest unit in which it is a whole number.
pub(crate) fn write_duration(f: &mut fmt::Formatter<'_>, duration: Duration) -> fmt::Result {
    let nanos = duration.as_nanos();
    for (unit, length) in [("s", 1_000_000_000), ("ms", 1_000_000), ("us", 1_000)] {
        if nanos.is_multiple_of(length) {
            return write!(f, "{}{unit}", nanos / length);
        }
    }
    write!(f, "{nanos}ns")
}
