//! The history as it looks from outside: who typed what on which view, and what the authority's log made of it.
//!
//! Independent of the engine's merge: it applies the patches of the log, and otherwise only counts and compares.

use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::sync::Arc;

use rejoin_core::{Crdt, Life, View};
use rejoin_json::{Json, Limits, apply};
use rejoin_wire::{
    Body, ChainHash, Change, ChangeHash, ConflictId, ConflictRecord, Counter, CrdtUpdate, DocumentId, Effect,
    Entry, Header, ReplicaId, Revision, UnixMillis,
};
use sha2::{Digest, Sha256};

use crate::crdt::{LOG, Shown};
use crate::judged::Judging;
use crate::tokens::{Counts, Issuer, Token, in_body, in_effect, in_records, tokens};
use crate::violation::{Claim, Violation};
use crate::world::NOBODY;

/// In place of a node: all who hold what an authority lost.
const RECOVERED: usize = NOBODY - 1;

/// Names a change of the model.
pub(crate) type MadeId = usize;

/// A change as its author made it.
#[derive(Clone, Debug)]
pub(crate) struct Made {
    pub(crate) node: usize,
    /// As whom its author made it. A replica whose id was forked sends what waits under another.
    pub(crate) replica: ReplicaId,
    pub(crate) document: DocumentId,
    pub(crate) body: Body,
    pub(crate) time: UnixMillis,
    pub(crate) base: Revision,
    pub(crate) over: u64,
    /// What its author saw; absent for a driver's change until it is known which revision that was.
    pub(crate) seen: Option<Json>,
    /// What its author had afterwards; absent where nobody was shown that.
    pub(crate) after: Option<Json>,
    /// Values that nobody had typed before.
    pub(crate) fresh: Counts,
    pub(crate) fate: Fate,
}

impl Made {
    /// Whether clients made it to bring back what an authority lost.
    pub(crate) fn is_recovered(&self) -> bool {
        self.node == RECOVERED
    }

    /// Whether nobody of this world waits for what becomes of it.
    pub(crate) fn is_strangers(&self) -> bool {
        self.is_recovered() || self.node == NOBODY
    }
}

/// What became of a change, as far as its author was told or the log says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Open,
    Acknowledged,
    Rejected,
    /// Its device lost it before it was durable there.
    Lost,
}

/// Records that are open at a revision.
pub(crate) type OpenRecords = Arc<BTreeMap<ConflictId, Arc<ConflictRecord>>>;

/// Whether what is open is just what somebody shows.
pub(crate) fn equal_records(open: &OpenRecords, shown: &Records) -> bool {
    open.iter().map(|(id, record)| (id, record.as_ref())).eq(shown.iter())
}

/// The open records of a document as a view has them: in the engine's own map where that is built for pages.
pub(crate) type Records = rejoin_core::collections::BTreeMap<ConflictId, ConflictRecord>;

/// A revision in the log.
#[derive(Clone, Debug)]
pub(crate) struct Logged {
    pub(crate) entry: Option<Entry>,
    pub(crate) chain: ChainHash,
    pub(crate) life: Life,
    pub(crate) header: Arc<Header>,
    pub(crate) content: Json,
    /// The updates of a CRDT document; its content is what they show.
    pub(crate) crdt: Option<Crdt>,
    counts: OnceCell<Counts>,
    pub(crate) conflicts: OpenRecords,
    pub(crate) made: Option<MadeId>,
    /// The base of that change.
    pub(crate) made_on: Option<Revision>,
    /// The first own counter that was pending when that change was made.
    pub(crate) made_over: u64,
}

impl Logged {
    fn absent() -> Self {
        Self {
            entry: None,
            chain: ChainHash::default(),
            life: Life::Absent,
            header: Arc::new(Header::default()),
            content: Json::Null,
            crdt: None,
            counts: OnceCell::new(),
            conflicts: Arc::default(),
            made: None,
            made_on: None,
            made_over: 0,
        }
    }

    /// The tokens of its content, counted when somebody asks.
    pub(crate) fn counts(&self) -> &Counts {
        self.counts.get_or_init(|| tokens(&self.content))
    }
}

/// One line of history of one document; the front is revision 0.
#[derive(Clone, Debug)]
pub(crate) struct Line(pub(crate) Vec<Rc<Logged>>);

impl Line {
    fn new() -> Self {
        Self(vec![Rc::new(Logged::absent())])
    }

    pub(crate) fn revision(&self) -> Revision {
        Revision(self.0.len() as u64 - 1)
    }

    pub(crate) fn at(&self, revision: Revision) -> Option<&Logged> {
        self.0.get(usize::try_from(revision.0).ok()?).map(Rc::as_ref)
    }

    /// What comes after a revision.
    pub(crate) fn after(&self, revision: Revision) -> impl Iterator<Item = &Logged> {
        let kept = usize::try_from(revision.0).unwrap_or(usize::MAX).saturating_add(1);
        self.0.iter().skip(kept).map(Rc::as_ref)
    }

    pub(crate) fn tip(&self) -> &Logged {
        self.0.last().expect("invariant: a line has revision 0")
    }
}

/// All that is known from outside.
#[derive(Debug, Default)]
pub(crate) struct Model {
    /// How often each claim was judged.
    pub(crate) judging: Judging,
    /// What CRDT documents show.
    pub(crate) shown: Shown,
    pub(crate) issuer: Issuer,
    pub(crate) made: Vec<Made>,
    /// Changes by the hashes that they have had: a change that is renumbered stays the same.
    names: BTreeMap<ChangeHash, MadeId>,
    /// At which node a value was typed first, even where it was taken away again in the same change.
    typists: BTreeMap<Token, usize>,
    /// Copies of nodes, each with what it is a copy of: what one person typed before stands in both.
    pub(crate) copies: BTreeMap<usize, usize>,
    /// Changes that are, or were, in the log.
    logged: BTreeSet<MadeId>,
    /// Their hashes there.
    accepted: BTreeMap<DocumentId, BTreeSet<ChangeHash>>,
    pub(crate) typed_by: BTreeMap<Token, MadeId>,
    lines: BTreeMap<DocumentId, Line>,
    /// What a restored authority lost: for each document the line as it was, and the last revision that stayed.
    pub(crate) lost_lines: Vec<(DocumentId, Line, Revision)>,
    /// Every state that ever was in the log.
    states: BTreeMap<DocumentId, BTreeMap<ChainHash, (Revision, Rc<Logged>)>>,
}

/// One revision that was appended to the log, for the checks.
pub(crate) struct Appended<'a> {
    pub(crate) document: &'a DocumentId,
    pub(crate) revision: Revision,
    pub(crate) line: &'a Line,
    pub(crate) before: &'a Logged,
    pub(crate) after: &'a Logged,
    pub(crate) entry: &'a Entry,
    pub(crate) made: Option<&'a Made>,
    /// Whether the document ever had another line of history.
    pub(crate) recovered: bool,
    pub(crate) model: &'a Model,
}

impl Appended<'_> {
    /// Whether a value was typed by the author of the revision, whatever became of it.
    pub(crate) fn typed_by_author(&self, token: Token) -> bool {
        let person = |node: usize| self.model.copies.get(&node).copied().unwrap_or(node);
        let typed = self.model.typists.get(&token).copied();
        typed.zip(self.made).is_some_and(|(typed, made)| person(typed) == person(made.node))
    }
}

impl Model {
    pub(crate) fn line(&self, document: &DocumentId) -> Option<&Line> {
        self.lines.get(document)
    }

    pub(crate) fn lines(&self) -> impl Iterator<Item = (&DocumentId, &Line)> {
        self.lines.iter()
    }

    /// The last counter of a replica in the log of a document.
    pub(crate) fn newest_of(&self, document: &DocumentId, replica: ReplicaId) -> u64 {
        let entries =
            self.line(document).into_iter().flat_map(|line| &line.0).filter_map(|at| at.entry.as_ref());
        let counters =
            entries.filter(|entry| entry.change.replica == replica).map(|entry| entry.change.counter.0);
        counters.max().unwrap_or(0)
    }

    /// The change with this hash.
    pub(crate) fn named(&self, hash: ChangeHash) -> Option<MadeId> {
        self.names.get(&hash).copied()
    }

    /// A change has this hash too.
    pub(crate) fn name(&mut self, hash: ChangeHash, made: MadeId) {
        self.names.insert(hash, made);
    }

    /// Whether a change is, or was, in the log.
    pub(crate) fn is_logged(&self, made: MadeId) -> bool {
        self.logged.contains(&made)
    }

    /// Whether a change is, or was, in the log under just this hash.
    pub(crate) fn is_accepted(&self, document: &DocumentId, hash: ChangeHash) -> bool {
        self.accepted.get(document).is_some_and(|accepted| accepted.contains(&hash))
    }

    /// Notes a change that somebody made; `left` is the content with which it left its author.
    pub(crate) fn note_made(
        &mut self,
        node: usize,
        document: &DocumentId,
        change: &Change,
        seen: Option<Json>,
        after: Option<Json>,
        left: &Counts,
    ) -> MadeId {
        let id = self.made.len();
        let mut fresh = in_body(&change.body);
        for token in fresh.keys() {
            self.typists.entry(*token).or_insert(node);
        }
        // What one patch writes and takes away again was never there.
        fresh.retain(|token, _| !self.typed_by.contains_key(token) && left.contains_key(token));
        for token in fresh.keys() {
            self.typed_by.insert(*token, id);
        }
        self.made.push(Made {
            node,
            replica: change.replica,
            document: document.clone(),
            body: change.body.clone(),
            time: change.time,
            base: change.base,
            over: change.over.0,
            seen,
            after,
            fresh,
            fate: Fate::Open,
        });
        id
    }

    /// The authority goes back to an older image of its disk, in which this is the last revision of a document. True where it loses some.
    pub(crate) fn note_restored(&mut self, document: &DocumentId, last: Revision) -> bool {
        let Some(line) = self.lines.get_mut(document).filter(|line| last < line.revision()) else {
            return false;
        };
        let kept = Line(line.0.iter().take(usize::try_from(last.0).unwrap_or(0) + 1).cloned().collect());
        let lost = std::mem::replace(line, kept);
        self.lost_lines.push((document.clone(), lost, last));
        true
    }

    /// Whether a change was accepted in what the authority lost when it went back: it may have another outcome after that.
    pub(crate) fn was_lost(&self, made: MadeId) -> bool {
        self.lost_lines.iter().any(|(_, line, last)| line.after(*last).any(|lost| lost.made == Some(made)))
    }

    /// Whether a replica's name is one under which clients bring back what the authority lost of a document.
    pub(crate) fn brings_back(&self, document: &DocumentId, replica: ReplicaId) -> bool {
        self.lost_lines_of(document).any(|line| line.0.iter().any(|at| recovers(at.chain, replica).is_some()))
    }

    /// Whether a change may be one of those that bring back all that stood in a CRDT document, where nothing in common is known: their name is made of the
    /// updates in which it is told.
    pub(crate) fn brings_back_all(&self, document: &DocumentId, change: &Change) -> bool {
        let is_first = (change.base, change.over) == (Revision(0), Counter(1));
        is_first && matches!(&change.body, Body::Merge { update } if self.was_merged(document, update))
    }

    /// Whether an update has only what stands in a line of a CRDT document that the authority lost.
    fn was_merged(&self, document: &DocumentId, update: &CrdtUpdate) -> bool {
        let written = counted_in(update);
        self.lost_lines_of(document).any(|line| {
            let updates = line.0.iter().filter_map(|at| match &at.entry.as_ref()?.effect {
                Effect::Merged { update } => Some(counted_in(update)),
                _ => None,
            });
            let lost: BTreeSet<Token> = updates.flat_map(Counts::into_keys).collect();
            !lost.is_empty() && written.keys().all(|token| lost.contains(token))
        })
    }

    /// The newest revision of a document that the authority lost when it went back.
    pub(crate) fn newest_lost(&self, document: &DocumentId) -> Option<Revision> {
        self.lost_lines_of(document).map(Line::revision).max()
    }

    /// Lines of a document that the authority lost when it went back.
    pub(crate) fn lost_lines_of(&self, document: &DocumentId) -> impl Iterator<Item = &Line> {
        self.lost_lines.iter().filter(move |(of, ..)| of == document).map(|(_, line, _)| line)
    }

    /// Whether this is a revision that the authority lost when it went back, as it was.
    pub(crate) fn is_lost(&self, document: &DocumentId, revision: Revision, chain: ChainHash) -> bool {
        self.lost_lines_of(document).any(|line| line.at(revision).is_some_and(|at| at.chain == chain))
    }

    /// Takes in revisions as the authority's disk has them; returns which are new.
    pub(crate) fn extend(
        &mut self,
        document: &DocumentId,
        first: Revision,
        entries: Vec<Entry>,
    ) -> Result<Vec<Revision>, Violation> {
        let mut new = Vec::new();
        for (at, entry) in entries.into_iter().enumerate() {
            let revision = Revision(first.0 + at as u64);
            let line = self.lines.entry(document.clone()).or_insert_with(Line::new);
            if let Some(known) = line.at(revision) {
                self.judging.note(Claim::RevisionsOnce);
                if known.entry.as_ref() != Some(&entry) {
                    let what =
                        format!("{document} revision {revision} is {:?} and was {:?}", entry, known.entry);
                    return Err(Violation::new(Claim::RevisionsOnce, what));
                }
                continue;
            }
            if revision != line.revision().next() {
                continue;
            }
            let Some(before) = line.0.last().map(Rc::clone) else { continue };
            let hash = entry.hash;
            let logged = Rc::new(self.logged(document, revision, &before, entry)?);
            self.logged.extend(logged.made);
            self.accepted.entry(document.clone()).or_default().insert(hash);
            let states = self.states.entry(document.clone()).or_default();
            states.insert(logged.chain, (revision, Rc::clone(&logged)));
            if let Some(line) = self.lines.get_mut(document) {
                line.0.push(logged);
            }
            new.push(revision);
        }
        Ok(new)
    }

    fn logged(
        &mut self,
        document: &DocumentId,
        revision: Revision,
        before: &Logged,
        entry: Entry,
    ) -> Result<Logged, Violation> {
        let mut next = Logged {
            header: Arc::clone(&before.header),
            content: before.content.clone(),
            crdt: before.crdt.clone(),
            conflicts: Arc::clone(&before.conflicts),
            life: before.life,
            ..Logged::absent()
        };
        match &entry.effect {
            Effect::Created { header, content } => {
                next.life = Life::Alive;
                next.header = Arc::new(header.clone());
                next.content = content.clone();
            }
            Effect::Patched { patch } => {
                apply(&mut next.content, patch, &Limits::default()).map_err(|error| {
                    Violation::new(
                        Claim::Convergence,
                        format!("{document} revision {revision} does not apply: {error}"),
                    )
                })?;
            }
            Effect::Header { header } => next.header = Arc::new(header.clone()),
            Effect::Deleted => next.life = Life::Deleted,
            Effect::Undeleted => next.life = Life::Alive,
            Effect::Merged { update } => {
                next.life = if next.life == Life::Absent { Life::Alive } else { next.life };
                let crdt = next.crdt.unwrap_or_default().with(update.clone());
                next.content = self.shown.json(document, LOG, &crdt);
                next.crdt = Some(crdt);
            }
            Effect::Void => {}
            Effect::Own => {
                return Err(Violation::new(
                    Claim::Convergence,
                    format!("{document} revision {revision} is told as `own` to a stranger"),
                ));
            }
        }
        if !entry.conflicts.is_empty() || !entry.settled.is_empty() {
            let conflicts = Arc::make_mut(&mut next.conflicts);
            for id in &entry.settled {
                conflicts.remove(id);
            }
            for record in &entry.conflicts {
                conflicts.insert(record.id, Arc::new(record.clone()));
            }
        }
        next.chain = before.chain.then(ChangeHash(Sha256::digest(rejoin_wire::to_bytes(&entry)).into()));
        next.made = self.find(document, revision, &entry);
        next.made_on = next.made.map(|made| self.made[made].base);
        next.made_over = next.made.map_or(0, |made| self.made[made].over);
        next.entry = Some(entry);
        Ok(next)
    }

    /// Which change of whom a revision is.
    fn find(&mut self, document: &DocumentId, revision: Revision, entry: &Entry) -> Option<MadeId> {
        if let Some(made) = self.names.get(&entry.hash) {
            return Some(*made);
        }
        if let Some(made) = self.recovery(document, entry) {
            self.names.insert(entry.hash, made);
            return Some(made);
        }
        // A driver's change, whose id nobody was told.
        let mut carried = in_effect(&entry.effect);
        carried.append(&mut in_records(&entry.conflicts));
        let unnamed = carried.keys().filter_map(|token| self.typed_by.get(token)).find(|made| {
            let made = &self.made[**made];
            made.node == 0 && made.fate == Fate::Open && made.document == *document
        });
        let made = *unnamed?;
        self.names.insert(entry.hash, made);
        let seen = self.made[made].seen.clone().or_else(|| {
            let base =
                if self.made[made].base == Revision(0) { revision.previous() } else { self.made[made].base };
            self.lines.get(document)?.at(base).map(|logged| logged.content.clone())
        });
        self.made[made].seen = seen;
        self.made[made].fate = Fate::Acknowledged;
        Some(made)
    }

    /// The change by which clients bring back what the authority lost: a revision, or all that stood at one where they know of
    /// nothing in common.
    fn recovery(&mut self, document: &DocumentId, entry: &Entry) -> Option<MadeId> {
        let recovers = |chain| recovers(chain, entry.change.replica);
        let named = self.lost_lines_of(document).find_map(|line| {
            let (at, whole) =
                line.0.iter().enumerate().find_map(|(at, logged)| Some((at, recovers(logged.chain)?)))?;
            let revision = at as u64 + entry.change.counter.0 - 1;
            Some((
                line.at(Revision(revision))?.clone(),
                line.at(Revision(revision.saturating_sub(1)))?,
                whole,
            ))
        });
        let Some((lost, before, whole)) = named else {
            let Effect::Merged { update } = &entry.effect else { return None };
            let body = Body::Merge { update: update.clone() };
            return self
                .was_merged(document, update)
                .then(|| self.note_recovered(document, entry, body, None, entry.time));
        };
        let (seen, time) = ((!whole).then(|| before.content.clone()), lost.entry.as_ref()?.time);
        let body = if whole {
            Body::Create { header: (*lost.header).clone(), content: lost.content }
        } else {
            match lost.entry?.effect {
                Effect::Created { header, content } => Body::Create { header, content },
                Effect::Patched { patch } => Body::Edit { patch, settles: Vec::new(), undoes: None },
                Effect::Header { header } => Body::Header { header },
                Effect::Deleted => Body::Delete,
                Effect::Undeleted => Body::Undelete,
                Effect::Merged { update } => Body::Merge { update },
                Effect::Own | Effect::Void => Body::Void,
            }
        };
        Some(self.note_recovered(document, entry, body, seen, time))
    }

    fn note_recovered(
        &mut self,
        document: &DocumentId,
        entry: &Entry,
        body: Body,
        seen: Option<Json>,
        time: UnixMillis,
    ) -> MadeId {
        let id = self.made.len();
        self.made.push(Made {
            node: RECOVERED,
            replica: entry.change.replica,
            document: document.clone(),
            body,
            time,
            base: Revision(0),
            over: 0,
            seen,
            after: None,
            fresh: Counts::new(),
            fate: Fate::Acknowledged,
        });
        id
    }

    /// A revision of the log with what stands around it.
    pub(crate) fn appended<'a>(
        &'a self,
        document: &'a DocumentId,
        revision: Revision,
    ) -> Option<Appended<'a>> {
        let line = self.lines.get(document)?;
        let after = line.at(revision)?;
        Some(Appended {
            document,
            revision,
            line,
            before: line.at(revision.previous())?,
            after,
            entry: after.entry.as_ref()?,
            made: after.made.and_then(|made| self.made.get(made)),
            recovered: self.lost_lines.iter().any(|(lost, ..)| lost == document),
            model: self,
        })
    }

    /// What every replica must hold that says it holds this revision.
    pub(crate) fn state_of(&self, document: &DocumentId, view: &View) -> Option<(Revision, &Logged)> {
        self.states.get(document)?.get(&view.chain).map(|(revision, logged)| (*revision, logged.as_ref()))
    }
}

fn counted_in(update: &CrdtUpdate) -> Counts {
    in_body(&Body::Merge { update: update.clone() })
}

/// Whether a replica's name is that of recovered changes of the line with this chain hash: true where they bring back all that stood.
fn recovers(chain: ChainHash, named: ReplicaId) -> Option<bool> {
    let replica = replica_of(chain);
    if named == replica { Some(false) } else { (named.0 == !replica.0).then_some(true) }
}

/// The replica id that recovered changes get from the chain hash of the first lost revision.
fn replica_of(chain: ChainHash) -> ReplicaId {
    ReplicaId(chain.0.iter().take(16).fold(0, |id, byte| id << 8 | u128::from(*byte)))
}
