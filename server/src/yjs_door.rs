//! The door of `y-websocket` clients: one document on each connection, which is to them a room.
//!
//! A connection is a link to the workspace's replica like any other, under a replica id of its own. What the client sends becomes changes; it
//! is told them again once they are durable, as its protocol wants. What it says of itself becomes presence of its link, so that everybody
//! in the document sees it, whichever door they came through.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use bytes::Bytes;
use rejoin_core::{Grant, Payload, Present, PresentChange};
use rejoin_crdt::doors::{Awareness, Sync, y_websocket};
use rejoin_crdt::{Document, StateVector, Update, awareness};
use rejoin_json::{Json, Limits};
use rejoin_wire::limits::{MAX_CRDT_BYTES, MAX_PRESENCE_BYTES, MAX_PRESENCE_PARTS};
use rejoin_wire::{
    Body, Change, ChangeId, CloseCode, Counter, CrdtUpdate, DocumentId, DocumentPush, Effect, Entry,
    ErrorCode, Fate, Have, MemberId, Message, OpenDocument, PendingRun, PresenceChange, PushedChange,
    RelayedMember, ReplicaId, Revision, Snapshot, UnixMillis,
};

use crate::text_door::Told;

/// Updates of a client that are not durable yet; with so many it is not read.
const MAX_UNTOLD: usize = 256;

/// Bytes of those, likewise.
const MAX_UNTOLD_BYTES: usize = MAX_CRDT_BYTES;

/// Members of other doors have made client ids, above those that Yjs draws.
const MADE_CLIENTS: u64 = 1 << 32;

/// No member has this number: the replica tells nobody of its own.
const NOBODY: std::ops::RangeInclusive<MemberId> = MemberId(0)..=MemberId(0);

/// Why a connection ends.
type Ending = (CloseCode, Arc<str>);

/// One `y-websocket` client.
pub(crate) struct YjsDoor {
    document: DocumentId,
    replica: ReplicaId,
    grant: Grant,
    /// The number of its next change.
    next: Counter,
    /// The newest revision that it was told.
    revision: Revision,
    /// Whether the replica is to tell the document whole, and what the client wants to know then.
    opening: Option<Opening>,
    /// Own updates that are not durable yet, with their numbers.
    untold: VecDeque<(Counter, CrdtUpdate)>,
    untold_bytes: usize,
    present: Present,
    /// As which client each of the others was told, and its clock.
    clients: BTreeMap<MemberId, (u64, u32)>,
    /// The clients that it speaks for: which part of its link each is, and its clock.
    own: BTreeMap<u64, (u32, u32)>,
    said: Vec<Payload>,
    messages: Vec<Message>,
    ending: Option<Ending>,
}

/// The replica was asked for the document.
#[derive(Default)]
struct Opening {
    /// What it has told of it so far.
    updates: Vec<CrdtUpdate>,
    /// What the client has, where it wants to know what it lacks.
    lacks: Option<StateVector>,
    /// Whether it has been asked what it has that the server lacks.
    is_again: bool,
}

impl YjsDoor {
    /// The replica id is one that nobody has, nor had.
    pub(crate) fn new(document: DocumentId, replica: ReplicaId, grant: Grant) -> Self {
        let mut door = Self {
            document,
            replica,
            grant,
            next: Counter(1),
            revision: Revision(0),
            opening: None,
            untold: VecDeque::new(),
            untold_bytes: 0,
            present: Present::new(),
            clients: BTreeMap::new(),
            own: BTreeMap::new(),
            said: Vec::new(),
            messages: Vec::new(),
            ending: None,
        };
        door.open(Opening::default());
        door
    }

    fn open(&mut self, opening: Opening) {
        self.ask(Have::default());
        self.opening = Some(opening);
    }

    /// Asks the replica for what is behind this, and what became of own updates that it has not told.
    fn ask(&mut self, have: Have) {
        let ends = self.untold.front().zip(self.untold.back());
        let run = ends.map(|((first, _), (last, _))| PendingRun {
            replica: self.replica,
            first: *first,
            last: *last,
        });
        let open = OpenDocument { document: self.document.clone(), have, pending: run.into_iter().collect() };
        self.messages.push(Message::Open { documents: vec![open] });
    }

    /// Whether more of the client can be read.
    pub(crate) fn takes_frames(&self) -> bool {
        self.untold.len() < MAX_UNTOLD && self.untold_bytes < MAX_UNTOLD_BYTES && self.ending.is_none()
    }

    pub(crate) fn take_said(&mut self) -> Vec<Payload> {
        std::mem::take(&mut self.said)
    }

    pub(crate) fn take_messages(&mut self) -> Vec<Message> {
        std::mem::take(&mut self.messages)
    }

    /// Why the connection is to end, once what was said is sent.
    pub(crate) fn take_ending(&mut self) -> Option<Ending> {
        self.ending.take()
    }

    fn end(&mut self, code: CloseCode, reason: impl Into<Arc<str>>) {
        self.ending.get_or_insert((code, reason.into()));
    }

    fn say(&mut self, frame: Bytes) {
        self.said.push(Payload::binary(frame));
    }

    /// Takes a frame of the client.
    pub(crate) fn take_frame(&mut self, frame: &Bytes, now: UnixMillis) {
        match y_websocket::read(frame, MAX_CRDT_BYTES) {
            Ok(y_websocket::Message::Sync(Sync::Step1(have))) => self.take_step1(have),
            Ok(y_websocket::Message::Sync(Sync::Step2(update) | Sync::Update(update))) => {
                self.take_update(&update, now);
            }
            Ok(y_websocket::Message::Awareness(told)) => self.take_awareness(&told),
            Ok(y_websocket::Message::QueryAwareness) => self.tell_everybody(),
            Err(error) => self.end(CloseCode::BadMessage, format!("a message cannot be read: {error}")),
        }
    }

    fn take_step1(&mut self, have: StateVector) {
        match &mut self.opening {
            Some(opening) => opening.lacks = Some(have),
            None => self.open(Opening { lacks: Some(have), is_again: true, ..Opening::default() }),
        }
    }

    /// What a reader sends is dropped: its client has no way to be told.
    fn take_update(&mut self, update: &Update, now: UnixMillis) {
        if update.is_empty() || !self.grant.may_edit {
            return;
        }
        let update = CrdtUpdate(update.bytes().clone());
        let counter = self.next;
        self.next = counter.next();
        self.untold_bytes += update.0.len();
        self.untold.push_back((counter, update.clone()));
        let change = Change {
            replica: self.replica,
            counter,
            base: self.revision,
            over: counter,
            time: now,
            body: Body::Merge { update },
        };
        let push = DocumentPush {
            document: self.document.clone(),
            changes: vec![PushedChange { change, seen: None }],
            author: None,
        };
        self.messages.push(Message::Push { pushes: vec![push] });
    }

    /// A client's own id is a part of its link; the first is the link itself. What does not fit into a presence is not shown to others.
    fn take_awareness(&mut self, told: &Awareness) {
        // It hears its own renewals, by which it knows that the server is there.
        self.say(y_websocket::awareness(told.bytes()));
        for entry in told.entries() {
            let known = self.own.get(&entry.client).copied();
            let part = match known {
                Some((part, clock)) if clock < entry.clock || clock == entry.clock && entry.is_gone() => part,
                None if entry.clock > 0 && !entry.is_gone() => {
                    let used = |part: &u32| self.own.values().any(|(other, _)| other == part);
                    let Some(part) = (0..=MAX_PRESENCE_PARTS).find(|part| !used(part)) else { continue };
                    part
                }
                _ => continue,
            };
            let change = if entry.is_gone() {
                self.own.remove(&entry.client);
                PresenceChange::Leave
            } else {
                let Some(state) = presence_of(&entry) else { continue };
                self.own.insert(entry.client, (part, entry.clock));
                PresenceChange::Set(state)
            };
            let member = (part > 0).then(|| RelayedMember { number: part, principal: "".into() });
            self.messages.push(Message::Presence { document: self.document.clone(), change, member });
        }
    }

    /// Takes a message of the replica.
    pub(crate) fn take_told(&mut self, told: &Told) {
        if let Some(message) = told.message() {
            self.take_message(message);
        }
    }

    fn take_message(&mut self, message: &Message) {
        match message {
            Message::Snapshot(snapshot) if snapshot.document == self.document => self.take_snapshot(snapshot),
            Message::Update(update) if update.document == self.document => {
                for entry in &update.entries {
                    self.take_entry(entry);
                }
                self.revision = Revision(update.first.0 + update.entries.len() as u64 - 1);
                self.answer();
            }
            Message::Outcomes { outcomes, .. } => {
                for outcome in outcomes {
                    match &outcome.fate {
                        Fate::Accepted { .. } => drop(self.take_untold(outcome.change)),
                        Fate::Rejected { message, .. } => {
                            self.end(CloseCode::BadMessage, format!("an update was refused: {message}"));
                        }
                    }
                }
            }
            // What was pushed is with the client: it sends it again when it is back.
            Message::Error(error) if error.change.is_some() || error.code == ErrorCode::Corrupted => {
                let code = if error.code.retry() { CloseCode::Unavailable } else { CloseCode::Forbidden };
                self.end(code, Arc::clone(&error.message));
            }
            Message::Forked { .. } | Message::NeedSeen { .. } => {
                self.end(
                    CloseCode::Unavailable,
                    "the updates of this connection are sent anew: connect again",
                );
            }
            Message::Members { keyframe, members, left, .. } => {
                let changes = self.present.apply(&NOBODY, *keyframe, members.clone(), left);
                self.tell_changes(&changes);
            }
            _ => {}
        }
    }

    fn take_snapshot(&mut self, snapshot: &Snapshot) {
        self.revision = snapshot.revision;
        if snapshot.deleted {
            return self.end(CloseCode::Forbidden, "the document is deleted; undelete it first");
        }
        let updates = match &snapshot.updates {
            Some(updates) => updates.0.clone(),
            None if snapshot.revision == Revision(0) => Vec::new(),
            None => return self.end(CloseCode::Forbidden, NOT_CRDT),
        };
        for outcome in &snapshot.outcomes {
            self.take_untold(outcome.change);
        }
        if !self.untold.is_empty() && snapshot.covers.is_empty() {
            // A snapshot does not say which of them are in it.
            self.ask(Have { revision: snapshot.revision, chain: snapshot.chain });
        }
        match &mut self.opening {
            Some(opening) => opening.updates = updates,
            // It was told too little in between, as a slow reader: what it has is not known.
            None => updates.iter().for_each(|update| self.say(y_websocket::update(&update.0))),
        }
        self.answer();
    }

    fn take_entry(&mut self, entry: &Entry) {
        let update = match &entry.effect {
            Effect::Merged { update } => Some(update.clone()),
            Effect::Own => self.take_untold(entry.change),
            Effect::Created { .. } | Effect::Patched { .. } => {
                return self.end(CloseCode::Forbidden, NOT_CRDT);
            }
            Effect::Deleted => return self.end(CloseCode::Forbidden, "the document was deleted"),
            Effect::Header { .. } | Effect::Undeleted | Effect::Void => None,
        };
        let Some(update) = update else { return };
        match &mut self.opening {
            Some(opening) => opening.updates.push(update),
            None => self.say(y_websocket::update(&update.0)),
        }
    }

    fn take_untold(&mut self, change: ChangeId) -> Option<CrdtUpdate> {
        if change.replica != self.replica {
            return None;
        }
        let at = self.untold.iter().position(|(counter, _)| *counter == change.counter)?;
        let (_, update) = self.untold.remove(at)?;
        self.untold_bytes -= update.0.len();
        Some(update)
    }

    /// The document is here: the client is asked for what the server lacks, and told what it lacks itself, as soon as it has said so.
    fn answer(&mut self) {
        let Some(opening) = self.opening.take() else { return };
        let mut document = Document::new("", 0);
        for update in &opening.updates {
            // Each was checked when it was accepted, and is left out here as it is there where it can no longer be applied.
            let _ = Update::check(update.0.clone(), MAX_CRDT_BYTES).map(|update| document.apply(update));
        }
        if !opening.is_again {
            self.say(y_websocket::step1(&document.state_vector().encode()));
            if !self.present.is_empty() {
                self.tell_everybody();
            }
        }
        let Some(lacks) = opening.lacks else { return };
        match document.since(&lacks) {
            Ok(update) => self.say(y_websocket::step2(&update)),
            Err(error) => return self.end(CloseCode::Internal, error.to_string()),
        }
        let waiting: Vec<Bytes> = document.waiting().map(|update| update.bytes().clone()).collect();
        waiting.iter().for_each(|update| self.say(y_websocket::update(update)));
    }

    fn tell_everybody(&mut self) {
        let everybody: Vec<PresentChange> =
            self.present.iter().map(|(member, _)| PresentChange::Changed(member)).collect();
        self.tell_changes(&everybody);
    }

    /// Tells what others show. Those of Yjs doors have said their client id and clock; others are given some.
    fn tell_changes(&mut self, changes: &[PresentChange]) {
        let mut shown = Vec::with_capacity(changes.len());
        for change in changes {
            match change {
                PresentChange::Joined(member) | PresentChange::Changed(member) => {
                    let Some(presence) = self.present.presence(*member) else { continue };
                    let clock = self.clients.get(member).map_or(1, |(_, clock)| clock.saturating_add(1));
                    let (client, clock, state) = awareness_of(*member, clock, &presence.state);
                    self.clients.insert(*member, (client, clock));
                    shown.push((client, clock, state));
                }
                PresentChange::Left(member) => {
                    let Some((client, clock)) = self.clients.remove(member) else { continue };
                    shown.push((client, clock, "null".to_owned()));
                }
            }
        }
        if shown.is_empty() {
            return;
        }
        let entries: Vec<awareness::Entry<'_>> = shown
            .iter()
            .map(|(client, clock, state)| awareness::Entry { client: *client, clock: *clock, state })
            .collect();
        self.say(y_websocket::awareness(&awareness::encode(&entries)));
    }
}

const NOT_CRDT: &str = "the document is a JSON document, which this door does not serve; take another name";

/// What a client says of itself, as presence: its state beside its id and clock.
fn presence_of(entry: &awareness::Entry<'_>) -> Option<Json> {
    let awareness::Entry { client, clock, state } = entry;
    let text = format!(r#"{{"yjs":{{"client":{client},"clock":{clock}}},"state":{state}}}"#);
    let limits = Limits { max_document_bytes: MAX_PRESENCE_BYTES, ..Limits::default() };
    Json::parse(&text, &limits).ok().filter(|state| state.encoded_len() <= MAX_PRESENCE_BYTES)
}

/// A presence as a client says it of itself.
fn awareness_of(member: MemberId, clock: u32, presence: &Json) -> (u64, u32, String) {
    let said = || {
        let yjs = presence.get("yjs")?;
        let client = u64::try_from(yjs.get("client")?.as_i64()?).ok()?;
        let clock = u32::try_from(yjs.get("clock")?.as_i64()?).ok()?;
        Some((client, clock, presence.get("state")?.canonical()))
    };
    said().unwrap_or_else(|| (MADE_CLIENTS | member.0, clock, presence.canonical()))
}
