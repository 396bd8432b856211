//! What a world is checked for, and how a breach is told.

use std::fmt;

/// What must hold. The numbers are those of the invariants in docs/sync.md.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Claim {
    /// I1: replicas that hold one revision hold the same.
    Convergence,
    /// I2: what was acknowledged is in the authority's log.
    Durability,
    /// I3: what was typed is in the history, a conflict record or a rejected list.
    NothingLost,
    /// I4: what its replacer had not seen goes only with a record.
    NoSilentOverwrite,
    /// I5: what stands was typed.
    NoPhantom,
    /// I6: redelivery changes nothing.
    AtMostOnce,
    /// I7: the changes of one replica are accepted in their order.
    Order,
    /// I8: no rung is claimed early.
    Rungs,
    /// I9: nobody but the author sees what is not durable.
    DurableOnly,
    /// I10: a revision number is never given twice.
    RevisionsOnce,
    /// I12: what was shown is what is decided when nobody else wrote.
    OfflineView,
    /// I13: all operations of a change take effect in one revision, or none does.
    Atomicity,
    /// I16: a bad frame ends its link, and says why.
    BadFrames,
    /// I17: queues are bounded.
    Bounded,
    /// I19: quiet when idle.
    Quiet,
    /// I21: after healing, everything is sent and everybody has everything.
    Liveness,
    /// I22: records stay until settled, and are equal everywhere.
    Conflicts,
    /// I25: who follows the list is shown every document that the authority has, as it is.
    Lists,
    /// I33: a record of a conflict says what was.
    RecordsTrue,
    /// I32: what a program is shown does not go back.
    MonotonicReads,
    /// I24: everybody sees exactly those who are there, and as they show themselves.
    Presence,
    /// I14: who starts again from its disk, without a network, shows what it showed.
    ColdLoad,
    /// No correct peer is turned away.
    Hospitality,
}

impl Claim {
    /// Every claim, in order.
    pub const ALL: [Self; 23] = [
        Self::Convergence,
        Self::Durability,
        Self::NothingLost,
        Self::NoSilentOverwrite,
        Self::NoPhantom,
        Self::AtMostOnce,
        Self::Order,
        Self::Rungs,
        Self::DurableOnly,
        Self::RevisionsOnce,
        Self::OfflineView,
        Self::Atomicity,
        Self::BadFrames,
        Self::Bounded,
        Self::Quiet,
        Self::Liveness,
        Self::Conflicts,
        Self::Lists,
        Self::RecordsTrue,
        Self::MonotonicReads,
        Self::Presence,
        Self::ColdLoad,
        Self::Hospitality,
    ];
}

/// A breach.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{claim:?}: {what}")]
pub struct Violation {
    /// What does not hold.
    pub claim: Claim,
    /// How it showed.
    pub what: String,
}

impl Violation {
    pub(crate) fn new(claim: Claim, what: impl fmt::Display) -> Self {
        Self { claim, what: what.to_string() }
    }
}

/// Whether everything holds so far.
pub(crate) type Checked = Result<(), Violation>;
