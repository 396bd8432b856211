//! One room in memory.

use std::collections::{BTreeMap, VecDeque};

use rejoin_core::Instant;
use rejoin_json::Json;
use rejoin_wire::{ErrorCode, UnixMillis};

use super::effect::{Connection, Right, Stay};
use crate::limits::{MAX_PENDING_BATCHES, MAX_PENDING_BYTES, MAX_WAITING_BATCHES};
use crate::message::ServerMessage;
use crate::traits::{Difference, Refusal, StorageLike};

pub(super) struct Room<C, P, S: StorageLike> {
    pub(super) stay: Stay,
    pub(super) members: BTreeMap<C, Member<P>>,
    /// Bytes of what the members show.
    pub(super) presence_bytes: usize,
    pub(super) storage: Held<S>,
    /// Accepted and not yet durable, in order.
    pub(super) pending: VecDeque<Pending>,
    pending_bytes: usize,
    /// The newest version that is durable, and its content.
    pub(super) durable: (u64, Json),
    /// Since when nobody is in it.
    pub(super) empty_since: Option<Instant>,
}

#[derive(Debug)]
pub(super) struct Member<P> {
    pub(super) connection: Connection,
    pub(super) right: Right,
    pub(super) presence: P,
    pub(super) shown: Json,
    pub(super) timestamp: UnixMillis,
}

/// The storage of a room.
pub(super) enum Held<S: StorageLike> {
    /// It is being read; batches wait for it.
    Loading(VecDeque<(Connection, S::Operation)>),
    Ready(S),
}

/// A batch that is accepted, with the content that it makes.
#[derive(Debug)]
pub(super) struct Pending {
    pub(super) version: u64,
    pub(super) operations: Json,
    snapshot: Json,
    bytes: usize,
}

impl<C: Ord, P, S: StorageLike> Room<C, P, S> {
    pub(super) fn new(stay: Stay, now: Instant) -> Self {
        Self {
            stay,
            members: BTreeMap::new(),
            presence_bytes: 0,
            storage: Held::Loading(VecDeque::new()),
            pending: VecDeque::new(),
            pending_bytes: 0,
            durable: (0, Json::Null),
            empty_since: Some(now),
        }
    }

    /// Has a batch wait for the storage, or accepts it: then it is to be stored.
    pub(super) fn offer(
        &mut self,
        connection: Connection,
        operation: S::Operation,
    ) -> Result<Option<(u64, S::Change)>, Refusal> {
        match &mut self.storage {
            Held::Loading(waiting) if waiting.len() >= MAX_WAITING_BATCHES => Err(Refusal::new(
                ErrorCode::Unavailable,
                "the room's storage is still being read: send it again later",
            )),
            Held::Loading(waiting) => {
                waiting.push_back((connection, operation));
                Ok(None)
            }
            Held::Ready(_) => self.accept(operation).map(Some),
        }
    }

    /// Accepts a batch as the next version.
    pub(super) fn accept(&mut self, operation: S::Operation) -> Result<(u64, S::Change), Refusal> {
        let Held::Ready(storage) = &mut self.storage else {
            return Err(Refusal::new(
                ErrorCode::Unavailable,
                "the room's storage is still being read: send it again later",
            ));
        };
        if self.pending.len() >= MAX_PENDING_BATCHES || self.pending_bytes >= MAX_PENDING_BYTES {
            let message = "the store does not keep up with this room: send it again later";
            return Err(Refusal::new(ErrorCode::Unavailable, message));
        }
        let change = storage.apply(operation)?;
        let (version, operations) = (storage.version(), S::operations(&change));
        let bytes = operations.encoded_len();
        self.pending_bytes += bytes;
        self.pending.push_back(Pending { version, operations, snapshot: storage.snapshot(), bytes });
        Ok((version, change))
    }

    /// The oldest batch up to a version is durable: it can be told.
    pub(super) fn settle(&mut self, version: u64) -> Option<ServerMessage> {
        let pending = self.pending.pop_front_if(|pending| pending.version <= version)?;
        self.pending_bytes -= pending.bytes;
        self.durable = (pending.version, pending.snapshot);
        Some(ServerMessage::StorageUpdated { version: pending.version, operations: pending.operations })
    }

    /// The storage as a member gets it that has nothing.
    pub(super) fn whole(&self) -> Option<ServerMessage> {
        let Held::Ready(_) = self.storage else { return None };
        let (version, snapshot) = &self.durable;
        let replace = crate::message::object([
            ("op", "replace".into()),
            ("path", "".into()),
            ("value", snapshot.clone()),
        ]);
        Some(ServerMessage::StorageUpdated { version: *version, operations: vec![replace].into() })
    }

    /// What is durable and came after a version.
    pub(super) fn since(&self, have: u64) -> Option<Difference> {
        let Held::Ready(storage) = &self.storage else { return None };
        let (version, snapshot) = &self.durable;
        let whole = || Difference::Whole { version: *version, snapshot: snapshot.clone() };
        Some(match storage.since(have) {
            _ if have > *version => whole(),
            Difference::Changes(mut changes) => {
                changes.retain(|(changed, _)| changed <= version);
                Difference::Changes(changes)
            }
            Difference::Whole { .. } => whole(),
        })
    }

    #[cfg(test)]
    pub(super) fn pending_bytes(&self) -> usize {
        self.pending_bytes
    }
}
