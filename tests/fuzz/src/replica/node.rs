//! A replica with its store and its questions to it.

use std::collections::VecDeque;

use bytes::Bytes;
use rejoin_core::fuzzing::{sealed, unsealed};
use rejoin_core::storage::{Answer, Answered, Operation, RequestId, StoreError};
use rejoin_core::{Config, Input as Given, Instant, Job, LinkId, Output, Replica, Role, Seed};
use rejoin_store::MemoryStore;
use rejoin_wire::{DocumentId, UnixMillis, WorkspaceId};

use crate::input::Input;

/// A replica asks for no more than so much in one drain, whatever was said to it: it is not drawn into a loop.
const MAX_OUTPUTS: usize = 100_000;

/// A replica with its store.
pub(crate) struct Node {
    config: Config,
    pub(crate) replica: Replica,
    store: MemoryStore,
    pub(crate) asked: VecDeque<(RequestId, Operation)>,
    jobs: VecDeque<(RequestId, Box<Job>)>,
    lives: u128,
}

pub(crate) fn workspace() -> WorkspaceId {
    WorkspaceId::new("fuzz").unwrap()
}

/// What a replica wants of the network.
pub(crate) enum Wish {
    Connect(LinkId),
    Transmit(Vec<LinkId>, Bytes),
    Disconnect(LinkId),
}

impl Node {
    /// `shares` is whether others may write to the store of an authority.
    pub(crate) fn new(role: Role, max_idle_documents: usize, shares: bool, now: Instant) -> Self {
        let mut config = Config::new(workspace(), role);
        config.shares_store = shares;
        config.max_idle_documents = max_idle_documents;
        config.max_outbox_bytes = 64 << 10;
        config.max_inline_bytes = 64;
        Self {
            replica: Self::started(&config, 1, now),
            config,
            store: MemoryStore::new(),
            asked: VecDeque::new(),
            jobs: VecDeque::new(),
            lives: 1,
        }
    }

    fn started(config: &Config, life: u128, now: Instant) -> Replica {
        let role = u128::from(config.role == Role::Root);
        Replica::new(
            config.clone(),
            Seed(2 * life + role),
            now,
            UnixMillis(1_700_000_000_000 + now.0 / 1_000),
        )
    }

    /// The process ends, and starts from what was durable.
    pub(crate) fn restart(&mut self, now: Instant) {
        self.lives += 1;
        self.store.crash();
        self.asked.clear();
        self.jobs.clear();
        self.replica = Self::started(&self.config, self.lives, now);
    }

    pub(crate) fn drain(&mut self) -> Vec<Wish> {
        let mut wishes = Vec::new();
        for _ in 0..MAX_OUTPUTS {
            match self.replica.poll_output() {
                None => return wishes,
                Some(Output::Store { request, operation }) => self.asked.push_back((request, operation)),
                Some(Output::Compute { request, job }) => self.jobs.push_back((request, job)),
                Some(Output::Connect { link }) => wishes.push(Wish::Connect(link)),
                Some(Output::Transmit { to, payload }) => wishes.push(Wish::Transmit(to.to_vec(), payload)),
                Some(Output::Disconnect { link, .. }) => wishes.push(Wish::Disconnect(link)),
                Some(Output::Reply { .. } | Output::Event(_)) => {}
                Some(other) => panic!("this driver does not know how to do {other:?}"),
            }
        }
        panic!("a replica does not come to an end");
    }

    /// A job is done, or the store does what it was asked first; either says so.
    pub(crate) fn answer(&mut self, now: Instant) -> bool {
        if let Some((request, job)) = self.jobs.pop_front() {
            self.replica.handle_input(now, Given::Computed { request, computed: job.run() });
            return true;
        }
        let Some((request, operation)) = self.asked.pop_front() else { return false };
        let answer = self.execute(&operation);
        self.replica.handle_input(now, Given::Stored { request, answer });
        true
    }

    fn execute(&mut self, operation: &Operation) -> Answer {
        let answer = self.store.execute(&workspace(), operation);
        self.store.sync();
        answer
    }

    /// Everything in the store.
    pub(crate) fn bodies(&mut self) -> Vec<Vec<u8>> {
        let places = self.store.bodies(&workspace());
        let seen = std::cell::RefCell::new(Vec::new());
        for place in places {
            self.store.corrupt(&workspace(), &place, |body| seen.borrow_mut().push(body.clone()));
        }
        seen.into_inner()
    }

    /// The store fails, lies, or answers what it was not asked.
    pub(crate) fn answer_badly(&mut self, input: &mut Input<'_>, now: Instant) {
        if self.asked.is_empty() {
            let request = RequestId(u64::from(input.pair()));
            return self
                .replica
                .handle_input(now, Given::Stored { request, answer: Ok(Answered::Committed) });
        }
        let at = input.below(self.asked.len().min(256));
        let Some((request, operation)) = self.asked.remove(at) else { return };
        let answer = match input.below(8) {
            0..3 => Err(StoreError::Unavailable("busy".into())),
            3 => Err(StoreError::Conflict("another was first".into())),
            4 if input.chance(32) => Err(StoreError::QuotaExceeded("full".into())),
            5 => Err(StoreError::Corrupted("spoiled".into())),
            6 => {
                let other = match operation {
                    Operation::Commit(_) => Answered::Heads(Vec::new()),
                    _ => Answered::Committed,
                };
                Ok(other)
            }
            _ => self.execute(&operation).map(|answer| spoiled(&operation, answer, input)),
        };
        // Now and then twice.
        if input.chance(64) {
            self.replica.handle_input(now, Given::Stored { request, answer: answer.clone() });
        }
        self.replica.handle_input(now, Given::Stored { request, answer });
    }
}

/// An answer in which some bytes are not as they were written, or some rows missing.
fn spoiled(operation: &Operation, mut answer: Answered, input: &mut Input<'_>) -> Answered {
    let spoil = |document: Option<&DocumentId>, body: &mut Bytes, input: &mut Input<'_>| {
        let mut bytes = body.to_vec();
        // Damaged, or written by somebody else, who knows the checksum.
        if input.chance(96) {
            bytes.truncate(unsealed(&bytes).len());
            input.spoil(&mut bytes);
            bytes = sealed(document, &bytes);
        } else {
            input.spoil(&mut bytes);
        }
        *body = bytes.into();
    };
    match &mut answer {
        Answered::Meta { records, .. } => records.iter_mut().for_each(|(_, body)| spoil(None, body, input)),
        Answered::Document(loaded) => match input.below(4) {
            0 => loaded.head = None,
            1 => loaded.rows.iter_mut().for_each(|row| spoil(Some(&row.document), &mut row.body, input)),
            2 => loaded.records.iter_mut().for_each(|(_, body)| spoil(None, body, input)),
            _ => {
                let document = match operation {
                    Operation::LoadDocument { document, .. } => Some(document),
                    _ => None,
                };
                loaded.checkpoint.iter_mut().for_each(|(_, body)| spoil(document, body, input));
            }
        },
        Answered::Changes(rows) => {
            rows.truncate(input.below(4));
            rows.iter_mut().for_each(|row| spoil(Some(&row.document), &mut row.body, input));
        }
        Answered::Heads(heads) => heads.truncate(input.below(4)),
        Answered::Records(records) => records.iter_mut().for_each(|(_, body)| spoil(None, body, input)),
        Answered::Committed => {}
    }
    answer
}
