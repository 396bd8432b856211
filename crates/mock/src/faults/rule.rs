//! One rule of a plan: what happens to which messages, and when.

use std::time::Duration;

use crate::glob::Glob;
use crate::kinds::Kind;
use crate::latency::Distribution;
use crate::{CloseFrame, Direction, Frame, MessagePattern};

#[derive(Clone, Debug)]
pub(super) struct Rule {
    pub(super) action: Action,
    /// Any of them; every message where there are none.
    pub(super) selectors: Vec<Selector>,
    pub(super) direction: Option<Direction>,
    pub(super) path: Option<PathPattern>,
    pub(super) after: Option<After>,
    /// From 0 to 1.
    pub(super) chance: Option<f64>,
    pub(super) times: Option<u64>,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Action {
    Drop,
    /// So many more are made.
    Duplicate(usize),
    /// So many overtake it.
    Reorder(usize),
    /// So many bytes are changed.
    Corrupt(usize),
    /// So many bytes are left; without a number chance says how many.
    Truncate(Option<usize>),
    Delay(Distribution),
    /// Bytes per second.
    Throttle(u64),
    /// For ever without a time.
    Stall(Option<Duration>),
    HalfOpen,
    Close(CloseFrame),
}

impl Action {
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Drop => "drop",
            Self::Duplicate(_) => "duplicate",
            Self::Reorder(_) => "reorder",
            Self::Corrupt(_) => "corrupt",
            Self::Truncate(_) => "truncate",
            Self::Delay(_) => "delay",
            Self::Throttle(_) => "throttle",
            Self::Stall(_) => "stall",
            Self::HalfOpen => "half-open",
            Self::Close(_) => "close",
        }
    }

    /// Whether it happens to the connection, and not to a message.
    fn is_of_connection(&self) -> bool {
        matches!(self, Self::Stall(_) | Self::HalfOpen | Self::Close(_))
    }
}

#[derive(Clone, Debug)]
pub(super) enum Selector {
    Name(String),
    Pattern(MessagePattern),
}

#[derive(Clone, Debug)]
pub(super) struct PathPattern {
    pub(super) pattern: String,
    pub(super) glob: Glob,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum After {
    /// Since the opening.
    Time(Duration),
    /// So many messages of that name.
    Count(u64, String),
}

/// What sets a rule off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trigger {
    /// Each message that it selects, if chance says so.
    Messages,
    /// The last of the messages that are counted.
    Count,
    /// A moment.
    Time(Duration),
}

impl Rule {
    pub(super) fn applies(&self, direction: Direction, path: &str) -> bool {
        self.direction.is_none_or(|it| it == direction)
            && self.path.as_ref().is_none_or(|it| it.glob.rest(path).is_some())
    }

    pub(super) fn selects(&self, kind: &Kind, frame: &Frame) -> bool {
        self.selectors.is_empty()
            || self.selectors.iter().any(|selector| match (selector, frame) {
                (Selector::Name(name), _) => kind.is(name),
                (Selector::Pattern(pattern), Frame::Text(text)) => pattern.matches(text),
                (Selector::Pattern(_), _) => false,
            })
    }

    pub(super) fn trigger(&self) -> Trigger {
        if !self.action.is_of_connection() || !self.selectors.is_empty() || self.chance.is_some() {
            return Trigger::Messages;
        }
        match self.after {
            Some(After::Count(..)) => Trigger::Count,
            Some(After::Time(time)) => Trigger::Time(time),
            None => Trigger::Time(Duration::ZERO),
        }
    }
}
