//! The rungs that own changes stand on, and for how long.

use super::outbox::Outbox;
use super::{LinkStatus, Replica};
use crate::window::Rung;

/// How safe all own changes in memory are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SyncStatus {
    /// The link upstream.
    pub link: LinkStatus,
    /// The lowest rung of all.
    pub rung: Rung,
    /// Milliseconds for which a change has stood on it.
    pub age_ms: u64,
    /// How many stand on each, and for how long.
    pub ladder: Ladder,
    /// Changes without an outcome.
    pub pending: usize,
    /// Their bytes.
    pub outbox_bytes: usize,
    /// False when the store failed for good and everything stays in memory.
    pub durable: bool,
}

/// Own changes on one rung.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OnRung {
    /// How many.
    pub changes: usize,
    /// Milliseconds for which the oldest of them has stood on it.
    pub age_ms: u64,
}

/// Own changes by the rung that they stand on. Those that reached the highest are only counted: nothing is waited for any more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ladder {
    /// In memory only.
    pub local: OnRung,
    /// Durable on this device.
    pub saved: OnRung,
    /// Handed to an open link.
    pub sent: OnRung,
    /// Changes that became durable at the authority since this replica started.
    pub acknowledged: u64,
}

impl Replica {
    /// How safe all own changes are.
    pub fn sync_status(&self) -> SyncStatus {
        let outboxes = || self.documents.values().map(|document| &document.outbox);
        let lowest = outboxes().filter_map(Outbox::lowest).min();
        SyncStatus {
            link: self.upstream.status(),
            ladder: self.ladder(),
            rung: lowest.map_or(Rung::Acknowledged, |(rung, _)| rung),
            age_ms: lowest
                .map_or(0, |(_, since)| u64::try_from(self.now.since(since).as_millis()).unwrap_or(u64::MAX)),
            pending: outboxes().map(|outbox| outbox.pending().count()).sum(),
            outbox_bytes: outboxes().map(|outbox| outbox.bytes).sum(),
            durable: !self.storing.is_memory_only(),
        }
    }

    pub(super) fn ladder(&self) -> Ladder {
        let mut ladder = Ladder { acknowledged: self.upstream.acknowledged, ..Ladder::default() };
        let pending = self.documents.values().flat_map(|document| document.outbox.pending());
        for progress in pending.map(|own| &own.progress) {
            let rung = match progress.rung {
                Rung::Local => &mut ladder.local,
                Rung::Saved => &mut ladder.saved,
                Rung::Sent | Rung::Acknowledged => &mut ladder.sent,
            };
            rung.changes += 1;
            let age = self.now.since(progress.since).as_millis();
            rung.age_ms = rung.age_ms.max(u64::try_from(age).unwrap_or(u64::MAX));
        }
        ladder
    }
}
