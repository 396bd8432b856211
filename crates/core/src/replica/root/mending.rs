//! Writing again what could not be read: checkpoints from the rows that lead to them, rows from what clients hold.
//!
//! Nobody who gives entries is trusted: what they lead to must have the chain hash that is known here.

use std::time::Duration;

use rejoin_wire::{Body, Entry, Have};

use super::*;
use crate::replica::documents::Damage;
use crate::replica::{CORRUPTED, Event};
use crate::sizes::entry_bytes;
use crate::state::{Point, chain_after};
use crate::storage::{RecordKey, RecordKind};

/// Documents whose revisions are asked of clients at the same time. Others follow.
pub const MAX_MENDING_DOCUMENTS: usize = 4;

/// Bytes of revisions that are held for one document until they prove what they are. A client that gives more is asked no more.
pub const MAX_MENDING_BYTES: usize = 64 << 20;

/// Damaged documents that whoever follows the feed is told of.
const MAX_DAMAGED_DOCUMENTS: usize = 1_024;

/// How long a client may take for each answer before another is asked.
pub const MENDING_PATIENCE: Duration = Duration::from_secs(10);

/// Why entries are not taken.
const NOT_THESE: &str = "these entries do not lead to the revision that is known here";

/// Writes that a document needs besides those of changes, in a commit of their own.
pub(in crate::replica) struct Mend {
    document: DocumentId,
    /// The newest revision that the store must have.
    expect: Revision,
    writes: Vec<Write>,
    /// Whether rows are among them: then the document is read anew once they are durable.
    rows: bool,
}

/// What a client has given so far of the revisions that cannot be read.
pub(in crate::replica) struct Mending {
    link: LinkId,
    entries: Vec<Entry>,
    bytes: usize,
    /// Until when it may answer.
    until: Instant,
}

impl Damage {
    /// The point that revisions after a readable one must lead to, where that can be known, and no more of them are missing than others hold.
    fn end_of_missing(&self, readable: Revision) -> Option<Have> {
        let missing = |end: &Have| end.revision.0.checked_sub(readable.0);
        let end =
            self.end.filter(|end| missing(end).is_some_and(|count| count <= MAX_LOG_REVISIONS as u64))?;
        let mut next = readable.next();
        for row in &self.rows {
            if row.first_revision != next {
                return None;
            }
            next = row.last_revision.next();
        }
        (next == end.revision.next()).then_some(end)
    }

    /// Whether somebody who holds this may hold what is missing.
    fn may_be_had_from(&self, have: Have, readable: Revision, end: Have) -> bool {
        let agrees = |known: Have| have.revision != known.revision || have.chain == known.chain;
        let newest_is_known = self.newest.chain != ChainHash::default();
        have.revision >= end.revision
            && have.revision <= self.newest.revision
            && have.revision.0 - readable.0 <= MAX_LOG_REVISIONS as u64
            && agrees(end)
            && (!newest_is_known || agrees(self.newest))
    }
}

impl Queue {
    /// Forgets that a mended document is to be told of.
    pub(in crate::replica) fn forget_own(&mut self) {
        self.waiting.retain(|queued| queued.from != From::Upstream);
    }
}

impl Replica {
    /// Writes checkpoints again that could not be read.
    pub(in crate::replica) fn mend_checkpoints(&mut self, id: &DocumentId, writes: Vec<Write>) {
        let Some(document) = self.documents.get(id) else { return };
        if writes.is_empty() {
            return;
        }
        let newest = document.damage.as_ref().map(|damage| damage.newest.revision);
        let expect = newest.unwrap_or(document.durable.revision);
        self.root.mends.push_back(Mend { document: id.clone(), expect, writes, rows: false });
    }

    /// Asks somebody who has a damaged document open for the revisions that cannot be read, unless somebody is asked already.
    pub(in crate::replica) fn seek_copies(&mut self, id: &DocumentId) {
        let writing = self.root.mends.iter().any(|mend| mend.document == *id && mend.rows);
        let written = self.root.commit.as_ref().and_then(|commit| commit.mended.as_ref());
        let writing = writing || written.is_some_and(|(written, rows)| written == id && *rows);
        let full = self.root.mending.len() >= MAX_MENDING_DOCUMENTS;
        if writing || full || self.root.mending.contains_key(id) {
            return;
        }
        let Some(document) = self.documents.get(id).filter(|document| document.loaded) else { return };
        let Some(damage) = &document.damage else { return };
        let readable = document.durable.revision;
        let Some(end) = damage.end_of_missing(readable) else { return };
        let holder = document.subscribers.iter().find(|(link, subscriber)| {
            !damage.refused.contains(link) && damage.may_be_had_from(subscriber.have(), readable, end)
        });
        let Some((link, _)) = holder else { return };
        let link = *link;
        let mending = Mending { link, entries: Vec::new(), bytes: 0, until: self.now + MENDING_PATIENCE };
        self.root.mending.insert(id.clone(), mending);
        self.send(link, &Message::NeedEntries { document: id.clone(), after: readable, until: end.revision });
    }

    /// Takes what a client gives of what cannot be read.
    pub(in crate::replica) fn handle_entries(
        &mut self,
        link: LinkId,
        id: &DocumentId,
        first: Revision,
        entries: Vec<Entry>,
    ) {
        let Some(mending) = self.root.mending.get_mut(id).filter(|mending| mending.link == link) else {
            return;
        };
        let Some(document) = self.documents.get(id) else { return };
        let readable = document.durable.revision;
        let end = document.damage.as_ref().and_then(|damage| damage.end_of_missing(readable));
        let Some(end) = end else { return };
        if entries.is_empty() {
            self.seek_elsewhere(id);
            return;
        }
        let fits = first.0 == readable.0 + mending.entries.len() as u64 + 1;
        mending.bytes = entries.iter().map(entry_bytes).fold(mending.bytes, usize::saturating_add);
        mending.entries.extend(entries);
        let reached = Revision(readable.0 + mending.entries.len() as u64);
        if !fits || reached > end.revision || mending.bytes > MAX_MENDING_BYTES {
            self.send_error(link, ErrorCode::BadMessage, NOT_THESE, Some(id));
            self.seek_elsewhere(id);
        } else if reached < end.revision {
            mending.until = self.now + MENDING_PATIENCE;
            let (document, until) = (id.clone(), end.revision);
            self.send(link, &Message::NeedEntries { document, after: reached, until });
        } else {
            self.prove(link, id, end);
        }
    }

    /// All entries are here: they are written if they lead to what is known.
    fn prove(&mut self, link: LinkId, id: &DocumentId, end: Have) {
        let Some(mending) = self.root.mending.get_mut(id) else { return };
        let entries = std::mem::take(&mut mending.entries);
        let limits = self.config.limits;
        let Some(document) = self.documents.get(id) else { return };
        let Some(damage) = &document.damage else { return };
        let chain = entries.iter().fold(document.durable.chain, chain_after);
        let rows = (chain == end.chain).then(|| rows_of(&document.durable, entries, &damage.rows, &limits));
        let Some(rows) = rows.flatten() else {
            self.send_error(link, ErrorCode::BadMessage, NOT_THESE, Some(id));
            self.seek_elsewhere(id);
            return;
        };
        let mut writes: Vec<Write> = rows.into_iter().map(Write::PutChanges).collect();
        writes.push(Write::PutRecord { key: mended_key(id), body: Bytes::new() });
        let expect = damage.newest.revision;
        self.root.mends.push_back(Mend { document: id.clone(), expect, writes, rows: true });
        self.root.mending.remove(id);
        self.seek_for_others();
    }

    /// Who was asked gives nothing that helps: another is asked.
    fn seek_elsewhere(&mut self, id: &DocumentId) {
        let Some(mending) = self.root.mending.remove(id) else { return };
        if let Some(damage) = self.documents.get_mut(id).and_then(|document| document.damage.as_mut()) {
            damage.refused.insert(mending.link);
        }
        self.seek_copies(id);
        self.seek_for_others();
    }

    /// Fewer documents are being mended: others have their turn.
    fn seek_for_others(&mut self) {
        for id in self.root.damaged.iter().cloned().collect::<Vec<_>>() {
            if self.root.mending.len() >= MAX_MENDING_DOCUMENTS {
                return;
            }
            self.seek_copies(&id);
        }
    }

    /// A document was read: whoever follows the feed is told if it is damaged, and may hold what is missing.
    pub(in crate::replica) fn note_damage(&mut self, id: &DocumentId) {
        let damaged = self.documents.get(id).is_some_and(|document| document.damage.is_some());
        if !damaged {
            self.root.damaged.remove(id);
            return;
        }
        if self.root.damaged.len() < MAX_DAMAGED_DOCUMENTS {
            self.root.damaged.insert(id.clone());
        }
        for link in self.followers() {
            self.send_error(link, ErrorCode::Corrupted, CORRUPTED, Some(id));
        }
        self.seek_copies(id);
    }

    /// Tells one who begins to follow the feed which documents are damaged.
    pub(in crate::replica) fn tell_damaged(&mut self, link: LinkId) {
        for id in self.root.damaged.iter().cloned().collect::<Vec<_>>() {
            self.send_error(link, ErrorCode::Corrupted, CORRUPTED, Some(&id));
        }
    }

    /// A link does not have a document open any more.
    pub(in crate::replica) fn forget_holder(&mut self, link: LinkId, id: &DocumentId) {
        if self.root.mending.get(id).is_some_and(|mending| mending.link == link) {
            self.seek_elsewhere(id);
        }
        if let Some(damage) = self.documents.get_mut(id).and_then(|document| document.damage.as_mut()) {
            damage.refused.remove(&link);
        }
    }

    /// Asks others where somebody does not answer, and refuses the pushes of those who do not.
    pub(in crate::replica) fn lose_patience(&mut self) {
        self.refuse_unsaid();
        let due = self.root.mending.iter().filter(|(_, mending)| mending.until <= self.now);
        let due: Vec<DocumentId> = due.map(|(id, _)| id.clone()).collect();
        for id in due {
            self.seek_elsewhere(&id);
        }
    }

    /// When the next of those who were asked has taken too long.
    pub(in crate::replica) fn next_impatience(&self) -> Option<Instant> {
        let mending = self.root.mending.values().map(|mending| mending.until).min();
        mending.into_iter().chain(self.next_unsaid()).min()
    }

    /// Commits the next of what is to be written again; false when there is nothing.
    pub(super) fn commit_mend(&mut self) -> bool {
        let Some(Mend { document, expect, writes, rows }) = self.root.mends.pop_front() else { return false };
        self.root.commit = Some(Committing { documents: Vec::new(), mended: Some((document.clone(), rows)) });
        let batch = Batch { expect: vec![(document, expect)], feed: None, writes };
        self.request(Operation::Commit(batch), Purpose::Commit);
        true
    }

    /// What was written again is durable.
    pub(super) fn note_mended(&mut self, id: &DocumentId, rows: bool) {
        if rows {
            self.load_anew(id);
        } else {
            self.event(Event::Mended { document: id.clone() });
        }
    }

    /// What was to be written again could not be.
    pub(super) fn note_not_mended(&mut self, id: &DocumentId, error: &StoreError) {
        match error {
            StoreError::Conflict(_) => self.load_anew(id),
            StoreError::Corrupted(_) => {
                // Nor can the store write there.
                if let Some(damage) = self.documents.get_mut(id).and_then(|document| document.damage.as_mut())
                {
                    damage.end = None;
                }
            }
            _ => self.seek_copies(id),
        }
    }

    /// A document whose rows were written again was read: a void change makes a revision of it, so that the feed tells everybody who was
    /// told less, or nothing, meanwhile.
    pub(in crate::replica) fn announce_mended(&mut self, id: &DocumentId) {
        let change = Change {
            replica: self.identity,
            counter: Counter(0),
            base: Revision(0),
            over: Counter(0),
            time: self.unix_now(),
            body: Body::Void,
        };
        let grant = Grant::new(Arc::clone(&self.config.principal), true);
        let changes = vec![PushedChange { change, seen: None }];
        let (from, base) = (From::Upstream, Some(Base::Current));
        let since = self.now;
        self.enqueue(
            id,
            Queued {
                from,
                grant,
                changes,
                base,
                seen: None,
                relayed: false,
                awaits: None,
                tried: BTreeSet::new(),
                since,
                taken: Vec::new(),
                asked: None,
            },
        );
        self.event(Event::Mended { document: id.clone() });
    }
}

/// The key of the record that a document's rows were written again.
pub(super) fn mended_key(id: &DocumentId) -> RecordKey {
    RecordKey { kind: RecordKind::Mended, document: id.clone(), replica: ReplicaId(0), number: 0 }
}

/// The rows that could not be read, made of what lies in them; `None` where an effect does not apply.
fn rows_of(
    readable: &Point,
    entries: Vec<Entry>,
    rows: &[ChangeRow],
    limits: &Limits,
) -> Option<Vec<ChangeRow>> {
    let mut point = readable.clone();
    let mut revised = VecDeque::with_capacity(entries.len());
    for entry in entries {
        let previous = point.chain;
        let reverse = point.advance(&entry, limits).ok()?;
        revised.push_back(Revised { entry, reverse, submitted: None, previous });
    }
    let made = |row: &ChangeRow| {
        let count = row.last_revision.0 + 1 - row.first_revision.0;
        let own: Vec<Revised> = (0..count).map_while(|_| revised.pop_front()).collect();
        let previous = own.first()?.previous;
        let sequence = own.last()?.entry.sequence;
        let body = seal_row(&row.document, previous, &own.iter().collect::<Vec<_>>(), &[]);
        Some(ChangeRow { sequence, body, ..row.clone() })
    };
    rows.iter().map(made).collect()
}
