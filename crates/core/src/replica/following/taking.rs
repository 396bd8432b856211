//! Taking in what the authority tells of documents.

use super::*;
use crate::crdt::Crdt;
use crate::ids::{id_from, replica_id};
use crate::merging::apply_to_seen;
use crate::records::Origin;

/// Why a change that brings back a lost line of history is given up here.
const NOT_TOLD: &str = "what the change was made on cannot be read any more; make it again";

impl Upstream {
    /// Whether this replica might edit when the link opened.
    pub(in crate::replica) fn may_edit(&self) -> bool {
        self.welcome.as_ref().is_none_or(|welcome| welcome.may_edit)
    }
}

impl Replica {
    pub(super) fn take_in(&mut self, id: &DocumentId, message: Message) {
        match message {
            Message::Update(update) => self.take_update(id, update),
            Message::Snapshot(snapshot) => self.take_snapshot(id, *snapshot),
            Message::Outcomes { outcomes, .. } => {
                if SERVES && self.config.role.relays() {
                    self.route_outcomes(id, &outcomes);
                }
                self.take_outcomes(id, &outcomes);
            }
            Message::NeedEntries { after, until, .. } => self.give_entries(id, after, until),
            _ => {}
        }
    }

    /// What the authority told does not follow what is held: it is asked from there.
    pub(super) fn open_again(&mut self, id: &DocumentId) {
        self.upstream.holes.insert(id.clone());
        self.open_upstream(id);
    }

    pub(super) fn take_update(&mut self, id: &DocumentId, update: Update) {
        let position = update.position;
        let Some(document) = self.documents.get(id) else { return };
        let opening = document.outbox.sync == Sync::Opening;
        let held = document.durable.revision;
        let last = Revision(update.first.0 + update.entries.len() as u64).previous();
        let known = document.log.chain_at(&document.durable, update.first.previous());
        let follows = update.first.previous() <= held
            && known.is_none_or(|chain| chain == update.previous)
            && repeats_what_is_held(document, &update);
        if !follows {
            if !opening {
                self.open_again(id);
            }
        } else if self.take_entries(id, update, held, opening) {
            self.finish_hole(id);
            if opening || last >= held {
                self.note_open(id);
            }
        }
        if let Some(position) = position {
            self.handle_position(position, false);
        }
        if SERVES && self.config.role.relays() {
            self.tell_below(id, held);
        }
    }

    /// Takes in the entries after a revision; false when they can't be taken and were asked for again. Outcomes come before them where they
    /// are the answer to that.
    pub(super) fn take_entries(
        &mut self,
        id: &DocumentId,
        update: Update,
        held: Revision,
        answers: bool,
    ) -> bool {
        let limits = self.config.limits;
        let skip = usize::try_from(held.next().0.saturating_sub(update.first.0)).unwrap_or(usize::MAX);
        let mut taken: Vec<StoredRevision> = Vec::new();
        let mut records = Vec::new();
        let mut complete = true;
        let previous = self.documents.get(id).map(|document| document.durable.chain).unwrap_or_default();
        let relays = SERVES && self.config.role.relays();
        for (revision, mut entry) in (update.first.0..).map(Revision).zip(update.entries).skip(skip) {
            let submitted = if relays { self.take_forwarded(id, &mut entry, revision) } else { None };
            let own = match self.own_part(id, &entry) {
                OwnPart::Foreign => false,
                OwnPart::Head(body) => {
                    let exact = entry.effect == Effect::Own;
                    if exact {
                        entry.effect = effect_of(&body);
                    }
                    exact
                }
                // A copy of this replica took that name, and a later change from here may have been accepted behind it: only asking tells.
                OwnPart::Forked if !answers && self.has_pending_after(id, entry.change) => {
                    complete = false;
                    break;
                }
                OwnPart::Forked => {
                    self.fork(id, entry.change);
                    false
                }
                OwnPart::Unknown => {
                    complete = false;
                    break;
                }
            };
            let Some(document) = self.documents.get_mut(id) else { return false };
            let before = document.durable.chain;
            let Ok(reverse) = document.durable.advance(&entry, &limits) else {
                complete = false;
                break;
            };
            let mut revised = Revised { entry, reverse, submitted: None, previous: before };
            taken.push(StoredRevision::from(&revised));
            revised.submitted = submitted;
            records.extend(revised.entry.conflicts.iter().cloned());
            let (change, hash) = (revised.entry.change, revised.entry.hash);
            let revision = document.durable.revision;
            document.log.push(revised);
            // The own oldest change came back as it was: the view already shows it.
            if !own {
                document.outbox.forget_view();
            }
            self.settle_own(id, change, &Fate::Accepted { revision });
            self.forget_refused(id, change, hash);
        }
        if let Some(document) = self.documents.get(id) {
            self.upstream.note_taken(id, document.durable.sequence);
        }
        self.store_taken(id, previous, taken);
        for record in records {
            let Some(document) = self.documents.get_mut(id) else { break };
            if document.told.insert(record.id) {
                self.event(Event::Conflicted { document: id.clone(), record: Box::new(record) });
            }
        }
        if !complete {
            self.open_again(id);
        }
        complete
    }

    fn has_pending_after(&self, id: &DocumentId, change: ChangeId) -> bool {
        let after = |own: &ChangeId| own.replica == change.replica && own.counter > change.counter;
        let document = self.documents.get(id);
        document.is_some_and(|document| document.outbox.pending().any(|own| after(&own.change.id())))
    }

    /// What an entry is to this replica.
    pub(super) fn own_part(&self, id: &DocumentId, entry: &Entry) -> OwnPart {
        let Some(document) = self.documents.get(id) else { return OwnPart::Unknown };
        let outbox = &document.outbox;
        match outbox.own(entry.change) {
            Some(own) if own.hash == entry.hash => {
                // Everything before it has an outcome that was not told: only asking helps.
                let first = outbox.pending().find(|first| first.change.replica == entry.change.replica);
                if first.is_some_and(|first| first.change.id() == entry.change) {
                    OwnPart::Head(own.change.body.clone())
                } else {
                    OwnPart::Unknown
                }
            }
            Some(_) if entry.effect == Effect::Own => OwnPart::Unknown,
            Some(_) => OwnPart::Forked,
            None if entry.effect == Effect::Own => OwnPart::Unknown,
            None => OwnPart::Foreign,
        }
    }

    pub(super) fn store_taken(
        &mut self,
        id: &DocumentId,
        previous: rejoin_wire::ChainHash,
        taken: Vec<StoredRevision>,
    ) {
        let Some(document) = self.documents.get_mut(id) else { return };
        if taken.is_empty() {
            return;
        }
        let last_revision = document.durable.revision;
        let first_revision = Revision(last_revision.0 + 1 - taken.len() as u64);
        let row = Row { previous, revised: List(taken), rejected: List(Vec::new()) };
        let body = seal_of(id, &row);
        document.checkpoint = document.checkpoint.followed_by(body.len());
        self.storing.write(Write::AppendChanges(ChangeRow {
            document: id.clone(),
            first_revision,
            last_revision,
            sequence: document.durable.sequence,
            replica: ReplicaId(0),
            first_counter: Counter(0),
            last_counter: Counter(0),
            body,
        }));
        self.storing.write(Write::PutHead(head_of(id, &document.durable)));
        let floor = document.log.floor();
        document.log.trim(Revision(u64::MAX), MAX_LOG_REVISIONS);
        document.more_below |= document.log.floor() > floor;
        let unchecked = last_revision.0 - document.checkpoint.revision.0;
        let pending = document.outbox.has_pending();
        if document.checkpoint.is_outdated(last_revision)
            && (!pending || unchecked >= MAX_UNCHECKED_REVISIONS)
        {
            self.store_checkpoint(id);
        }
        self.event(Event::Changed { document: id.clone(), local: false });
        self.tell_rung(id);
    }

    /// Writes the content whole. Rows that lead up to it stay as far as they may serve to find what is in common with an
    /// authority that went back.
    pub(in crate::replica) fn store_checkpoint(&mut self, id: &DocumentId) {
        let Some(document) = self.documents.get_mut(id) else { return };
        let revision = document.durable.revision;
        let body = checkpoint_body(id, &document.durable);
        document.checkpoint = Checkpoint::at(revision, body.len());
        self.storing.write(Write::PutCheckpoint { document: id.clone(), revision, body });
        self.storing.write(Write::DropCheckpoints { document: id.clone(), before: revision });
        let kept = Revision(revision.0.saturating_sub(MAX_LOG_REVISIONS as u64));
        let through = if document.more_below { kept } else { kept.max(document.log.floor()) };
        self.storing.write(Write::TrimChanges { document: id.clone(), through });
        self.storing.write(Write::PutHead(head_of(id, &document.durable)));
        self.store_starts_whole(id);
    }

    pub(super) fn take_snapshot(&mut self, id: &DocumentId, snapshot: Snapshot) {
        let Some(document) = self.documents.get(id) else { return };
        let opening = document.outbox.sync == Sync::Opening;
        let held = document.durable.revision;
        if !snapshot.continues {
            if !answers(&snapshot, document) {
                self.leave_lost_line(id, snapshot.revision);
                self.ask_anew(id);
                return;
            }
            if self.reach_common(id, &snapshot) {
                self.upstream.wait_for(id, Message::Snapshot(Box::new(snapshot)));
                return;
            }
            self.take_other_line(id, snapshot);
            // Where one document went back, others may have.
            if self.upstream.scope == Some(Scope::Documents) && !self.upstream.line_changed {
                self.compare();
            }
            return;
        }
        let unasked = self.upstream.line_changed && !opening && held > Revision(0);
        if unasked || !document.outbox.covered_by(&snapshot.covers) {
            // It does not speak for what is pending here, or not for what is held: that must be asked.
            if !opening {
                self.open_again(id);
            }
            return;
        }
        if snapshot.revision < held || (snapshot.revision == held && held > Revision(0)) {
            self.take_outcomes(id, &snapshot.outcomes);
            self.note_open(id);
            return;
        }
        let outcomes = snapshot.outcomes.clone();
        self.adopt(id, snapshot);
        self.take_outcomes(id, &outcomes);
        self.store_starts_whole(id);
        self.note_open(id);
        self.tell_rung(id);
        if SERVES && self.config.role.relays() {
            self.tell_jump(id);
        }
    }

    /// Asks for what is held now, where only what was held before has been asked for.
    fn ask_anew(&mut self, id: &DocumentId) {
        let Some(document) = self.documents.get_mut(id) else { return };
        let opening = document.outbox.sync == Sync::Opening;
        if opening && document.asked == document.durable.revision {
            return;
        }
        document.outbox.sync = Sync::Closed;
        self.open_again(id);
    }

    /// Removes the rows and checkpoints that are stored: those of a lost line must not meet those of the new one.
    fn purge(&mut self, id: &DocumentId) {
        let newest = Revision(i64::MAX.unsigned_abs());
        self.storing.write(Write::TrimChanges { document: id.clone(), through: newest });
        self.storing.write(Write::DropCheckpoints { document: id.clone(), before: newest });
    }

    /// Makes a snapshot the confirmed content.
    pub(super) fn adopt(&mut self, id: &DocumentId, snapshot: Snapshot) {
        let Some(document) = self.documents.get_mut(id) else { return };
        if std::mem::take(&mut document.given_up) {
            // What could not be read may be later than the snapshot, of an authority that went back, and would be in its way.
            self.purge(id);
        }
        let Some(document) = self.documents.get_mut(id) else { return };
        let exists = snapshot.revision > Revision(0);
        let life = match (exists, snapshot.deleted) {
            (false, _) => Life::Absent,
            (true, true) => Life::Deleted,
            (true, false) => Life::Alive,
        };
        let mut clock = Arc::clone(&document.durable.clock);
        for outcome in &snapshot.outcomes {
            if matches!(outcome.fate, Fate::Accepted { .. }) {
                Arc::make_mut(&mut clock).observe(outcome.change);
            }
        }
        let records: Vec<_> =
            snapshot.conflicts.iter().filter(|record| !document.told.contains(&record.id)).cloned().collect();
        document.durable = Point {
            state: State {
                life,
                header: Arc::new(snapshot.header),
                content: snapshot.content,
                crdt: snapshot.updates.map(|updates| updates.0.into_iter().collect()),
            },
            revision: snapshot.revision,
            chain: snapshot.chain,
            sequence: snapshot.sequence,
            version: snapshot.version,
            conflicts: Arc::new(snapshot.conflicts.into_iter().map(|record| (record.id, record)).collect()),
            created_at: snapshot.created_at,
            updated_at: snapshot.updated_at,
            author: snapshot.author,
            clock,
        };
        self.upstream.note_taken(id, document.durable.sequence);
        document.log = Log::after(document.durable.revision);
        document.more_below = false;
        document.outbox.forget_view();
        document.told.extend(records.iter().map(|record| record.id));
        self.store_checkpoint(id);
        self.event(Event::Changed { document: id.clone(), local: false });
        for record in records {
            self.event(Event::Conflicted { document: id.clone(), record: Box::new(record) });
        }
    }

    /// Asks the store for older revisions where none of those in memory is in common with the authority's; true when they may come.
    fn reach_common(&mut self, id: &DocumentId, snapshot: &Snapshot) -> bool {
        let Some(document) = self.documents.get(id) else { return false };
        if common_revision(document, &snapshot.ancestors).is_some() {
            return false;
        }
        let floor = Revision(document.durable.revision.0.saturating_sub(MAX_LOG_REVISIONS as u64));
        self.load_older(id, floor)
    }

    /// The authority's history does not contain what is held here: its content becomes a recovered version, and what it lacks is
    /// sent again as changes.
    pub(super) fn take_other_line(&mut self, id: &DocumentId, snapshot: Snapshot) {
        let Some(document) = self.documents.get(id) else { return };
        // Who may only read cannot bring anything back: what they push is refused.
        let lost = if self.upstream.may_edit() {
            lost_changes(document, &snapshot.ancestors, &self.config.limits)
        } else {
            Vec::new()
        };
        let content = document.durable.state.content.clone();
        let had_content = document.durable.state.life != Life::Absent;
        if had_content {
            self.keep_recovered(id, content);
        }
        self.purge(id);
        let outcomes = snapshot.outcomes.clone();
        self.adopt(id, snapshot);
        self.take_outcomes(id, &outcomes);
        self.recover(id, lost);
        self.note_open(id);
        self.tell_rung(id);
    }

    pub(super) fn take_outcomes(&mut self, id: &DocumentId, outcomes: &[Outcome]) {
        for outcome in outcomes {
            let Some(document) = self.documents.get(id) else { return };
            let Some(own) = document.outbox.own(outcome.change) else { continue };
            if own.hash != outcome.hash && own.change.body != Body::Void {
                // What has an outcome is not made again, whatever name stands before it.
                self.settle_known(id, outcomes);
                self.fork(id, outcome.change);
                return;
            }
            let ready = match outcome.fate {
                Fate::Accepted { revision } => revision <= document.durable.revision,
                Fate::Rejected { .. } => true,
            };
            // An accepted change stays until the revision that it made is here, or its text would flicker.
            if ready {
                if let Some(document) = self.documents.get_mut(id) {
                    document.outbox.forget_view();
                }
                self.settle_own(id, outcome.change, &outcome.fate);
            }
        }
        self.tell_rung(id);
    }

    /// Notes the outcomes of own changes, though the revisions that some made are still to come.
    fn settle_known(&mut self, id: &DocumentId, outcomes: &[Outcome]) {
        for outcome in outcomes {
            let own = self.documents.get(id).and_then(|document| document.outbox.own(outcome.change));
            if own.is_some_and(|own| own.hash == outcome.hash) {
                self.settle_own(id, outcome.change, &outcome.fate);
            }
        }
    }

    /// Says what a change was made on.
    pub(super) fn handle_need_seen(&mut self, id: &DocumentId, change: ChangeId) {
        let limits = self.config.limits;
        let outbox = self.documents.get(id).map(|document| &document.outbox);
        let seen = outbox.and_then(|outbox| outbox.seen(change, &limits));
        let seen = seen.filter(|seen| seen.life != Life::Absent);
        let own = outbox.and_then(|outbox| outbox.own(change));
        if seen.is_none() && own.is_some_and(|own| own.progress.origin == Origin::LOST_LINE) {
            // That this replica cannot say would reject the change for all who bring back the same lost line, and another of them may be able to.
            // The push is forgotten where it waits for the answer.
            self.take_refusal(id, change, ErrorCode::UnknownBase, &NOT_TOLD.into());
            return;
        }
        let (content, header) = seen.map(|seen| (seen.content, (*seen.header).clone())).unzip();
        let ChangeId { replica, counter } = change;
        self.send_upstream(&Message::SeenContent { document: id.clone(), replica, counter, content, header });
    }

    pub(super) fn note_open(&mut self, id: &DocumentId) {
        let Some(document) = self.documents.get_mut(id) else { return };
        // The authority can read it again. Kept, this would open the document anew each time it is loaded.
        let offered = self.upstream.offered.remove(id);
        if document.outbox.sync == Sync::Opening {
            document.outbox.sync = Sync::Open;
            // What was shown on another link is due again on this one.
            self.lively.insert(id.clone());
            let needed = document.opened > 0 || document.outbox.has_pending() || self.is_shown(id);
            self.event(Event::Synced { document: id.clone() });
            // It was asked for to be compared, or to be given, only: the feed goes on with it.
            if !needed && (self.upstream.holes.contains(id) || offered) {
                self.close_upstream(id);
            }
        }
        self.busy.insert(id.clone());
        self.finish_hole(id);
    }

    pub(in crate::replica) fn finish_hole(&mut self, id: &DocumentId) {
        if self.upstream.holes.remove(id) {
            self.advance_cursor();
        }
    }
}

/// Whether the entries of an update that are held already are on the line that is held.
fn repeats_what_is_held(document: &crate::replica::Document, update: &Update) -> bool {
    let (log, durable) = (&document.log, &document.durable);
    let mut chain = update.previous;
    let mut last = None;
    for (revision, entry) in (update.first.0..=durable.revision.0).map(Revision).zip(&update.entries) {
        let own = log.revised(revision).map(|own| &own.entry).filter(|_| entry.effect == Effect::Own);
        chain = chain_after(chain, own.unwrap_or(entry));
        last = Some(revision);
    }
    last.is_none_or(|last| log.chain_at(durable, last) == Some(chain))
}

/// Whether the snapshot of another line answers one who holds this document: it names that line from there back, and what is held is not on
/// it. Whoever asked twice before the first answer came holds something else when the second does, and would bring back once more what
/// nobody has lost.
fn answers(snapshot: &Snapshot, document: &crate::replica::Document) -> bool {
    let held = Have { revision: document.durable.revision, chain: document.durable.chain };
    let newest = snapshot.ancestors.first();
    newest.is_none_or(|newest| {
        newest.revision == held.revision.min(snapshot.revision)
            && (*newest != held || held.revision == Revision(0))
    })
}

/// What an entry is to this replica.
pub(super) enum OwnPart {
    /// Somebody else's.
    Foreign,
    /// The oldest own change, as it was made.
    Head(Body),
    /// Under an own change's name, but another change.
    Forked,
    /// An own change that can't be placed, because outcomes before it are not known.
    Unknown,
}

/// What a change does where it takes effect just as it was submitted.
pub(in crate::replica) fn effect_of(body: &Body) -> Effect {
    match body {
        Body::Create { header, content } => {
            Effect::Created { header: header.clone(), content: content.clone() }
        }
        Body::Edit { patch, .. } => Effect::Patched { patch: patch.clone() },
        Body::Header { header } => Effect::Header { header: header.clone() },
        Body::Delete => Effect::Deleted,
        Body::Undelete => Effect::Undeleted,
        Body::Void => Effect::Void,
        Body::Merge { update } => Effect::Merged { update: update.clone() },
    }
}

/// The change that does again what a revision did.
pub(super) fn body_of(effect: &Effect) -> Body {
    match effect {
        Effect::Created { header, content } => {
            Body::Create { header: header.clone(), content: content.clone() }
        }
        Effect::Patched { patch } => Body::Edit { patch: patch.clone(), settles: Vec::new(), undoes: None },
        Effect::Header { header } => Body::Header { header: header.clone() },
        Effect::Deleted => Body::Delete,
        Effect::Undeleted => Body::Undelete,
        Effect::Merged { update } => Body::Merge { update: update.clone() },
        Effect::Own | Effect::Void => Body::Void,
    }
}

/// The newest revision that is held here and that the authority names as its own.
fn common_revision(document: &crate::replica::Document, ancestors: &[Have]) -> Option<Revision> {
    let theirs: BTreeMap<_, _> = ancestors.iter().map(|have| (have.revision, have.chain)).collect();
    let held = document.log.ancestors(&document.durable, Revision(u64::MAX), usize::MAX);
    let common = held.into_iter().find(|have| theirs.get(&have.revision) == Some(&have.chain));
    let common = common.map(|have| have.revision);
    common.or((document.log.floor() == Revision(0)).then_some(Revision(0)))
}

/// The revisions that the authority lost, as changes on the last common revision, each with what it was made on.
///
/// Their replica id and counters come from the lost line itself, so that all who held it send the same changes, which are accepted once.
pub(super) fn lost_changes(
    document: &crate::replica::Document,
    ancestors: &[Have],
    limits: &rejoin_json::Limits,
) -> Vec<(Change, State)> {
    let durable = &document.durable;
    if durable.revision == Revision(0) {
        return Vec::new();
    }
    match common_revision(document, ancestors) {
        Some(common) => {
            let Some(mut state) = document.log.state_at(durable, common, limits) else { return Vec::new() };
            let mut lost = Vec::new();
            let mut replica = None;
            for (revision, revised) in document.log.since(common) {
                let line = chain_after(revised.previous, &revised.entry);
                let change = Change {
                    replica: *replica.get_or_insert_with(|| id_from(&line.0)),
                    counter: Counter(revision.0 - common.0),
                    base: common,
                    over: Counter(1),
                    time: revised.entry.time,
                    body: body_of(&revised.entry.effect),
                };
                let mut seen = state.clone();
                if seen.life == Life::Deleted && matches!(change.body, Body::Edit { .. }) {
                    // The tombstone kept an edit of somebody who had not seen the deletion.
                    seen.life = Life::Alive;
                }
                if apply_effect(&mut state, &revised.entry.effect, limits).is_err() {
                    break;
                }
                lost.push((change, seen));
            }
            lost
        }
        None if durable.state.is_alive() => {
            // No common revision is known: both contents meet as two creations of one document. Others may know the first lost revision by
            // the same chain hash and bring that back under the id made of it.
            let bodies = match &durable.state.crdt {
                None => vec![Body::Create {
                    header: (*durable.state.header).clone(),
                    content: durable.state.content.clone(),
                }],
                Some(crdt) => crdt.updates().into_iter().map(|update| Body::Merge { update }).collect(),
            };
            // The same revision can be told in other updates, which have other bytes in all: those are other changes.
            let told = durable.state.crdt.as_ref().map_or(0, Crdt::bytes);
            let replica = replica_id(!id_from(&durable.chain.0).0 ^ told as u128);
            let change = |(body, counter)| Change {
                replica,
                counter: Counter(counter),
                base: Revision(0),
                over: Counter(1),
                time: durable.updated_at,
                body,
            };
            let mut seen = State::absent();
            let with_seen = |change: Change| {
                let before = seen.clone();
                apply_to_seen(&mut seen, &change.body, limits);
                (change, before)
            };
            bodies.into_iter().zip(1..).map(change).map(with_seen).collect()
        }
        None => Vec::new(),
    }
}
