//! A connection between a follower and the authority, or a relay on the way to it: a session at each end, and frames on their way.

use std::collections::VecDeque;
use std::sync::Arc;

use rejoin_core::{LinkId, Session};
use rejoin_wire::{Encoding, Frame};

use super::vandal::Vandal;

use crate::dice::Dice;

/// Which end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Side {
    Below,
    Above,
}

impl Side {
    pub(crate) fn other(self) -> Self {
        match self {
            Self::Below => Self::Above,
            Self::Above => Self::Below,
        }
    }
}

/// A connection. Each direction keeps its order.
#[derive(Debug)]
pub(crate) struct Wire {
    pub(crate) follower: usize,
    /// The authority, or a relay.
    pub(crate) above: usize,
    pub(crate) encoding: Encoding,
    /// Nothing that is written arrives any more, though an end may not know it yet.
    pub(crate) cut: bool,
    /// It was cut, went dead or slow, or carried something bad: an end may take it for dead.
    pub(crate) is_troubled: bool,
    /// Something came over it that no correct peer sends.
    pub(crate) spoiled: bool,
    /// Nobody of this world is below.
    pub(crate) hostile: bool,
    /// Who they are where they may edit.
    pub(crate) vandal: Option<Vandal>,
    pub(crate) dice: Dice,
    below_end: End,
    above_end: End,
}

/// One end, with what it has written.
#[derive(Debug)]
pub(crate) struct End {
    pub(crate) link: LinkId,
    /// Absent once its task has forgotten it, or its process is down.
    pub(crate) session: Option<Session>,
    pub(crate) pipe: Pipe,
    pub(crate) wake_at: Option<u64>,
    /// Bytes that the replica handed over since it was last told to go on.
    pub(crate) handed: usize,
}

impl Wire {
    pub(crate) fn new(
        [follower, above]: [usize; 2],
        encoding: Encoding,
        [below_end, above_end]: [(LinkId, Session); 2],
        dice: Dice,
    ) -> Self {
        let end = |(link, session)| End {
            link,
            session: Some(session),
            pipe: Pipe::default(),
            wake_at: None,
            handed: 0,
        };
        Self {
            follower,
            above,
            encoding,
            cut: false,
            is_troubled: false,
            spoiled: false,
            hostile: false,
            vandal: None,
            dice,
            below_end: end(below_end),
            above_end: end(above_end),
        }
    }

    pub(crate) fn end(&self, side: Side) -> &End {
        match side {
            Side::Below => &self.below_end,
            Side::Above => &self.above_end,
        }
    }

    pub(crate) fn end_mut(&mut self, side: Side) -> &mut End {
        match side {
            Side::Below => &mut self.below_end,
            Side::Above => &mut self.above_end,
        }
    }

    /// The end of a node.
    pub(crate) fn side(&self, node: usize) -> Side {
        if node == self.above { Side::Above } else { Side::Below }
    }

    /// The node at an end.
    pub(crate) fn node(&self, side: Side) -> usize {
        match side {
            Side::Below => self.follower,
            Side::Above => self.above,
        }
    }

    /// Whether neither end knows of it any more.
    pub(crate) fn is_over(&self) -> bool {
        self.below_end.session.is_none() && self.above_end.session.is_none()
    }
}

/// What is on its way.
#[derive(Clone, Debug)]
pub(crate) enum Carried {
    Frame(Frame),
    /// A frame that no correct peer sends: it must end the link.
    Garbage(Frame),
    /// The socket was closed.
    Close {
        code: u16,
        reason: Arc<str>,
    },
}

impl Carried {
    fn bytes(&self) -> usize {
        match self {
            Self::Frame(frame) | Self::Garbage(frame) => frame.payload().len(),
            Self::Close { .. } => 0,
        }
    }
}

/// One direction.
#[derive(Debug, Default)]
pub(crate) struct Pipe {
    queue: VecDeque<Carried>,
    bytes: usize,
    last_at: u64,
    pub(crate) stalled_until: u64,
    /// Until when its reader takes one frame at a time.
    pub(crate) slow_until: u64,
    /// True once nothing that is written arrives any more, and nobody was told.
    pub(crate) is_void: bool,
}

/// From one frame to the next of a slow reader, in microseconds.
const SLOW_READ_US: u64 = 100_000;

impl Pipe {
    /// Takes something; returns when it arrives, if it does.
    pub(crate) fn push(&mut self, carried: Carried, now: u64, delay: u64) -> Option<u64> {
        if self.is_void {
            return None;
        }
        self.bytes += carried.bytes();
        self.queue.push_back(carried);
        let slowed = if now < self.slow_until { self.last_at + SLOW_READ_US } else { 0 };
        self.last_at = (now + delay).max(self.last_at).max(self.stalled_until).max(slowed);
        Some(self.last_at)
    }

    pub(crate) fn pop(&mut self) -> Option<Carried> {
        let carried = self.queue.pop_front()?;
        self.bytes -= carried.bytes();
        Some(carried)
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(crate) fn lose(&mut self) {
        self.queue.clear();
        self.bytes = 0;
    }
}
