//! Faults that are planted to see that the checks find them.

use rejoin_core::planted::Fault;

use crate::plan::{Follows, Plan};
use crate::violation::Claim;

/// Frames in 10,000 that are spoiled at least where the fault shows in them.
const GARBAGE: u32 = 200;

/// A fault that the checks must find.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plant {
    /// Clients rewrite pending changes onto the newest revision that they know before they send them: the obvious way, which hides
    /// what their authors had not seen.
    RewritePending,
    /// Clients send what they have sent once more under another name, as one that forgets who it was.
    PushTwice,
    /// Once the authority went back, clients send what is not yet known there twice, the second time under another name.
    PushTwiceAfterward,
    /// The disks of clients say that a commit is durable a little before it is.
    ClientsFlushLate,
    /// The disk of the authority says that a commit is durable a little before it is.
    AuthorityFlushesLate,
    /// The disk of the authority loses what it had flushed.
    LoseFlushed,
    /// The newest revision in the authority's log becomes another one while the authority is down.
    RewriteLog,
    /// What a client inserts into a text arrives at another place of it.
    MoveText,
    /// The pushes of one client never arrive.
    LosePushes,
    /// The network cuts links on which nothing is said, and lets them be made anew.
    CutIdle,
    /// A patch that a client sends arrives empty.
    EmptyPatches,
    /// A value that nobody typed arrives with what a client sends.
    AddValue,
    /// A document that is told whole arrives with another content.
    AlterSnapshots,
    /// Conflict records are left out of documents that are told whole.
    DropRecords,
    /// The titles in the list are others than the authority has.
    RetitleListed,
    /// The authority accepts once more what arrives once more.
    AcceptRepeats,
    /// The authority takes the changes of a push from the last to the first.
    SwapOrder,
    /// Of a change with several operations the authority does the first half.
    HalfPatches,
    /// Clients say that a change is saved as soon as it is made.
    SaveEarly,
    /// Whoever receives a frame that cannot be read passes over it and goes on.
    SkipBadFrames,
    /// The authority sends what it tells again and again, without waiting for the link to have room.
    SendForever,
    /// Links go dead in one direction though nothing happened to them.
    SwallowFrames,
    /// Clients send their changes in the order in which they were made last.
    ReversePushes,
    /// Nobody is told that a change of theirs was accepted or rejected.
    LoseAcknowledgements,
    /// The disks of clients keep changes as pending that have an outcome.
    KeepPending,
    /// The disks of clients do not keep changes that were rejected.
    DropRejected,
    /// The disks of clients lose rows of changes, and keep what says that they are there.
    LoseRows,
    /// A document that is told whole is told as alive, though it is a tombstone.
    ReviveTombstones,
    /// Nobody is told who left.
    KeepGhosts,
    /// The authority makes no records of conflicts.
    OmitRecords,
    /// The authority makes records with a value that nobody ever saw.
    FalsifyRecords,
    /// What a client reads of its own disk is older than what it has shown.
    ShowOlder,
    /// What was acknowledged is not written at the authority, one time in many.
    SkipWrite,
    /// Of several authorities each stores what it decided, whatever another one stored meanwhile.
    OverwriteRivals,
    /// What is told of a document's history is not when it was made.
    RedateHistory,
    /// An authority beside the first to which nobody is connected sees nothing of what the others have stored.
    IgnoreRivalsAlone,
    /// Of several authorities none sees what another one has stored since it last looked.
    MissRivals,
}

impl Plant {
    /// Every fault, by its name for the command line.
    pub const ALL: [(&'static str, Self); 37] = [
        ("rewrite-pending", Self::RewritePending),
        ("push-twice", Self::PushTwice),
        ("push-twice-afterward", Self::PushTwiceAfterward),
        ("clients-flush-late", Self::ClientsFlushLate),
        ("authority-flushes-late", Self::AuthorityFlushesLate),
        ("lose-flushed", Self::LoseFlushed),
        ("rewrite-log", Self::RewriteLog),
        ("move-text", Self::MoveText),
        ("lose-pushes", Self::LosePushes),
        ("cut-idle", Self::CutIdle),
        ("empty-patches", Self::EmptyPatches),
        ("add-value", Self::AddValue),
        ("alter-snapshots", Self::AlterSnapshots),
        ("drop-records", Self::DropRecords),
        ("retitle-listed", Self::RetitleListed),
        ("accept-repeats", Self::AcceptRepeats),
        ("swap-order", Self::SwapOrder),
        ("half-patches", Self::HalfPatches),
        ("save-early", Self::SaveEarly),
        ("skip-bad-frames", Self::SkipBadFrames),
        ("send-forever", Self::SendForever),
        ("swallow-frames", Self::SwallowFrames),
        ("reverse-pushes", Self::ReversePushes),
        ("lose-acknowledgements", Self::LoseAcknowledgements),
        ("keep-pending", Self::KeepPending),
        ("drop-rejected", Self::DropRejected),
        ("lose-rows", Self::LoseRows),
        ("revive-tombstones", Self::ReviveTombstones),
        ("keep-ghosts", Self::KeepGhosts),
        ("omit-records", Self::OmitRecords),
        ("falsify-records", Self::FalsifyRecords),
        ("show-older", Self::ShowOlder),
        ("skip-write", Self::SkipWrite),
        ("overwrite-rivals", Self::OverwriteRivals),
        ("redate-history", Self::RedateHistory),
        ("ignore-rivals-alone", Self::IgnoreRivalsAlone),
        ("miss-rivals", Self::MissRivals),
    ];

    /// The fault of a name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|(known, _)| *known == name).map(|(_, plant)| plant)
    }

    /// Its name.
    pub(crate) fn name(self) -> &'static str {
        let known = Self::ALL.into_iter().find(|(_, plant)| *plant == self);
        known.expect("invariant: every fault is in the list").0
    }

    /// The claim that it breaks.
    pub const fn breaks(self) -> Claim {
        match self {
            Self::RewritePending => Claim::NoSilentOverwrite,
            Self::PushTwice | Self::PushTwiceAfterward => Claim::AtMostOnce,
            Self::ClientsFlushLate | Self::SaveEarly => Claim::Rungs,
            Self::AuthorityFlushesLate => Claim::DurableOnly,
            Self::LoseFlushed => Claim::Durability,
            Self::RewriteLog => Claim::RevisionsOnce,
            Self::MoveText => Claim::OfflineView,
            Self::LosePushes => Claim::Liveness,
            Self::CutIdle => Claim::Quiet,
            Self::EmptyPatches => Claim::NothingLost,
            Self::AddValue => Claim::NoPhantom,
            Self::AlterSnapshots => Claim::Convergence,
            Self::DropRecords => Claim::Conflicts,
            Self::RetitleListed => Claim::Lists,
            Self::SwapOrder => Claim::Order,
            Self::HalfPatches => Claim::Atomicity,
            Self::SkipBadFrames => Claim::BadFrames,
            Self::SendForever => Claim::Bounded,
            Self::ReversePushes | Self::SwallowFrames => Claim::Hospitality,
            Self::AcceptRepeats | Self::LoseAcknowledgements | Self::KeepPending => Claim::Liveness,
            Self::DropRejected | Self::LoseRows => Claim::ColdLoad,
            Self::ReviveTombstones | Self::RedateHistory | Self::IgnoreRivalsAlone => Claim::Convergence,
            Self::KeepGhosts => Claim::Presence,
            Self::OmitRecords => Claim::NoSilentOverwrite,
            Self::FalsifyRecords => Claim::RecordsTrue,
            Self::ShowOlder => Claim::MonotonicReads,
            Self::SkipWrite => Claim::DurableOnly,
            Self::OverwriteRivals => Claim::RevisionsOnce,
            Self::MissRivals => Claim::Liveness,
        }
    }

    /// The engine's own fault, where it is one.
    pub(crate) const fn in_engine(self) -> Option<Fault> {
        match self {
            Self::AcceptRepeats => Some(Fault::AcceptRepeats),
            Self::SwapOrder => Some(Fault::SwapOrder),
            Self::HalfPatches => Some(Fault::HalfPatches),
            Self::SaveEarly => Some(Fault::SaveEarly),
            Self::OmitRecords => Some(Fault::OmitRecords),
            Self::FalsifyRecords => Some(Fault::FalsifyRecords),
            _ => None,
        }
    }

    /// The world of a seed with this fault in it, and with whom it takes for the fault to show.
    pub fn plan(self, seed: u64, steps: u32) -> Plan {
        let mut plan = Plan { plant: Some(self), ..Plan::of_seed(seed, steps) };
        match self {
            // What somebody else writes meanwhile decides too.
            Self::MoveText => {
                plan.surroundings.followers.truncate(1);
                plan.surroundings.relayed.truncate(1);
            }
            Self::SkipBadFrames => {
                let rates = &mut plan.surroundings.rates;
                rates.garbage = rates.garbage.max(GARBAGE);
            }
            Self::RetitleListed => plan.surroundings.followers.fill(Follows::List),
            // The store of several authorities is a server of its own, which does as it says.
            Self::AuthorityFlushesLate => plan.surroundings.roots = 1,
            Self::OverwriteRivals | Self::MissRivals | Self::IgnoreRivalsAlone => plan.surroundings.roots = 2,
            _ => {}
        }
        plan
    }
}
