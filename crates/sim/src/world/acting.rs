//! What people and programs do.

use std::collections::BTreeMap;

use rejoin_core::{Base, ConflictChoice, EditError, Life, Replica, RequestKey, Seen, View};
use rejoin_json::{Json, Limits, apply};
use rejoin_wire::{
    Body, Change, ChangeId, Counter, DocumentId, Header, ReplicaId, Revision, UnixMillis, to_bytes,
};

use super::node::Node;
use super::watching::Asked;
use super::{LINES, ROOT, World};
use crate::crdt;
use crate::dice::Dice;
use crate::plan::{Action, Line};
use crate::tokens::{in_body, tokens};
use crate::typing;
use crate::violation::{Checked, Violation};

/// What a driver submitted under a key, to be repeated.
#[derive(Clone, Debug)]
struct Keyed {
    document: DocumentId,
    key: String,
    body: Body,
    base: Base,
    revision: Option<Revision>,
}

/// What a driver submitted last under a key.
#[derive(Debug, Default)]
pub(super) struct Acting {
    keyed: BTreeMap<usize, Keyed>,
    keys: u32,
}

impl Acting {
    pub(super) fn accepted(&mut self, made: usize, revision: Revision) {
        if let Some(keyed) = self.keyed.get_mut(&made) {
            keyed.revision = Some(revision);
        }
    }

    pub(super) fn refused(&mut self, made: usize) {
        self.keyed.remove(&made);
    }

    /// An authority is down: what was submitted and not answered may have been accepted or not.
    pub(super) fn forget(&mut self) {
        self.keyed.retain(|_, keyed| keyed.revision.is_some());
    }

    /// What was accepted may be lost.
    pub(super) fn forget_all(&mut self) {
        self.keyed.clear();
    }
}

impl World {
    /// The next line happens.
    pub(super) fn act(&mut self) -> Checked {
        let Some(line) = self.lines.get(self.played).copied() else { return Ok(()) };
        self.played += 1;
        if let Some(next) = self.lines.get(self.played) {
            self.plan_at(next.after, super::Happening::Act);
        }
        self.dice = Dice::of(self.seed, LINES, u64::from(line.dice));
        self.plant()?;
        let took_place = if line.action.is_fault() { self.go_wrong(line)? } else { self.play(line)? };
        self.coverage.note(line.action, took_place);
        // Who has nothing to undo or to settle types something instead.
        if !took_place && !line.action.is_fault() && line.action != Action::Edit {
            let edit = Line { action: Action::Edit, node: line.node.max(1), ..line };
            let took_place = self.play(edit)?;
            self.coverage.note(Action::Edit, took_place);
        }
        Ok(())
    }

    /// Somebody does something; false where they are not there, or have nothing to do it to.
    fn play(&mut self, line: Line) -> Result<bool, Violation> {
        let document = self.documents[line.document % self.documents.len()].clone();
        match line.action {
            Action::Submit => self.submit(&document),
            Action::Repeat => self.repeat(),
            action => match self.present_client(line.node) {
                Some(node) => self.act_on(node, &document, action),
                None => Ok(false),
            },
        }
    }

    /// The one of a number, or the next one whose process is there.
    fn present_client(&self, number: usize) -> Option<usize> {
        let clients: Vec<usize> = (1..).map_while(|number| self.client(number)).collect();
        let from = number.checked_sub(1)? % clients.len();
        let others = clients.iter().cycle().skip(from).take(clients.len());
        others.copied().find(|node| self.is_ready(*node))
    }

    /// One of those whom people work with, copies too, by number from 1.
    pub(super) fn client(&self, number: usize) -> Option<usize> {
        let mut clients = self.below_roots().into_iter().filter(|node| !self.nodes[*node].is_relay());
        clients.nth(number.checked_sub(1)?)
    }

    /// Whether the documents are somebody's own.
    pub(super) fn brought(&self) -> bool {
        !self.contents.is_empty()
    }

    fn is_ready(&self, node: usize) -> bool {
        let node = &self.nodes[node];
        node.begun && node.replica.as_ref().is_some_and(Replica::is_ready)
    }

    fn drain_if_up(&mut self, node: usize) -> Checked {
        if self.nodes[node].replica.is_some() { self.drain(node) } else { Ok(()) }
    }

    fn act_on(&mut self, node: usize, document: &DocumentId, action: Action) -> Result<bool, Violation> {
        if self.nodes[node].opened.insert(document.clone()) {
            self.open(node, document)?;
            return Ok(true);
        }
        let Some(view) = self.nodes[node].replica.as_mut().and_then(|replica| replica.view(document)) else {
            return Ok(false);
        };
        if self.is_crdt(document)
            && (view.life == Life::Absent || matches!(action, Action::Undo | Action::Redo))
        {
            return self.edit_once(node, document);
        }
        if view.life == Life::Absent
            || !self.is_crdt(document) && (view.life == Life::Deleted && self.dice.chance(2_000))
        {
            let (header, content) = match self.contents.get(document) {
                Some(brought) => (brought.header.clone(), brought.content.clone()),
                None => (typing::header(&mut self.dice), typing::content(&mut self.model.issuer)),
            };
            return self.made(node, document, |replica| replica.create_with(document, header, content));
        }
        match action {
            Action::Edit => self.edit_once(node, document),
            Action::Burst => {
                let mut any = false;
                for _ in 0..self.dice.between(3, 12) {
                    any |= self.edit_once(node, document)?;
                }
                Ok(any)
            }
            Action::Delete => self.made(node, document, |replica| replica.delete(document)),
            Action::Undelete => self.made(node, document, |replica| replica.undelete(document)),
            Action::Undo => {
                self.made(node, document, |replica| replica.undo(document).map(|undone| undone.change))
            }
            Action::Redo => {
                self.made(node, document, |replica| replica.redo(document).map(|undone| undone.change))
            }
            Action::Settle => {
                let open: Vec<_> = view.conflicts.keys().copied().collect();
                if open.is_empty() {
                    return Ok(false);
                }
                let conflict = *self.dice.pick(&open);
                let choices = [
                    ConflictChoice::Keep,
                    ConflictChoice::Current,
                    ConflictChoice::Incoming,
                    ConflictChoice::Base,
                ];
                let choice = self.dice.pick(&choices).clone();
                self.made(node, document, |replica| replica.settle(document, conflict, choice))
            }
            Action::Header => {
                let title = format!("title {}", self.model.issuer.issue());
                let header = Header {
                    title: Some(title.into()),
                    policy: typing::header(&mut self.dice).policy,
                    ..(*view.header).clone()
                };
                self.made(node, document, |replica| replica.set_header(document, header))
            }
            Action::Close => {
                self.nodes[node].opened.remove(document);
                self.nodes[node].shown.remove(document);
                if let Some(replica) = &mut self.nodes[node].replica {
                    replica.close(document);
                }
                self.drain(node)?;
                Ok(true)
            }
            Action::Presence => {
                let state = self.dice.chance(8_000).then(|| Json::from(format!("at {}", self.played)));
                let Node { replica: Some(replica), shown, .. } = &mut self.nodes[node] else {
                    return Ok(false);
                };
                if replica.set_presence(document, state.clone()).is_err() {
                    return Ok(false);
                }
                match state {
                    Some(state) => shown.insert(document.clone(), state),
                    None => shown.remove(document),
                };
                self.drain(node)?;
                Ok(true)
            }
            Action::History => {
                let asked = Asked::History { document: document.clone(), is_newest: false };
                let token = self.token(node, asked);
                if let Some(replica) = &mut self.nodes[node].replica {
                    replica.remote_history(token, document, None, 20);
                }
                self.drain(node)?;
                Ok(true)
            }
            _ => Ok(false),
        }
    }

    /// Opens a document on a follower.
    ///
    /// # Errors
    ///
    /// The first breach of a claim.
    pub fn open(&mut self, node: usize, document: &DocumentId) -> Checked {
        self.nodes[node].opened.insert(document.clone());
        if let Some(replica) = &mut self.nodes[node].replica {
            replica.open(document);
        }
        self.drain(node)
    }

    fn edit_once(&mut self, node: usize, document: &DocumentId) -> Result<bool, Violation> {
        let Some(view) = self.nodes[node].replica.as_mut().and_then(|replica| replica.view(document)) else {
            return Ok(false);
        };
        if self.is_crdt(document) {
            return self.write_into(node, document, &view);
        }
        // A part of the program shows the document as it was when it looked.
        if self.dice.chance(2_000) {
            let look = Seen { revision: view.revision, content: view.content.clone() };
            self.nodes[node].looks.insert(document.clone(), look);
        }
        let looked = self.nodes[node].looks.get(document).filter(|_| view.life == Life::Alive);
        if let Some(look) = looked.filter(|look| look.revision <= view.revision).cloned()
            && self.dice.chance(2_000)
        {
            return self.edit_on(node, document, look);
        }
        let patch = typing::patch(&view.content, self.brought(), &mut self.dice, &mut self.model.issuer);
        if patch.is_empty() {
            return Ok(false);
        }
        self.made(node, document, |replica| replica.edit(document, patch))
    }

    /// Whether a document is made of updates.
    fn is_crdt(&self, document: &DocumentId) -> bool {
        let at = self.documents.iter().position(|other| other == document);
        // Faults are planted in what the engine does to JSON documents.
        let crdt = if self.brought() || self.plant.is_some() { 0 } else { self.surroundings.crdt };
        at.is_some_and(|at| at + crdt >= self.documents.len())
    }

    /// Writes into a CRDT document, as a program does that has it open: under one client id, until what it wrote is not all there.
    fn write_into(&mut self, node: usize, document: &DocumentId, view: &View) -> Result<bool, Violation> {
        let crdt = view.crdt.as_ref();
        let known = self.nodes[node].writers.get(document).copied();
        let shown = &self.model.shown;
        let is_there =
            |(client, written): &(u64, u32)| shown.written(document, node, crdt, *client) == *written;
        let client = match known.filter(is_there) {
            Some((client, _)) => client,
            None => self.dice.between(1, u64::from(u32::MAX)),
        };
        let maps = self.surroundings.maps;
        let (dice, issuer) = (&mut self.dice, &mut self.model.issuer);
        let Some(update) = shown.update((document, node), crdt, client, maps, dice, issuer) else {
            return Ok(false);
        };
        let made = self.made(node, document, |replica| replica.merge(document, update))?;
        let Node { replica, writers, .. } = &mut self.nodes[node];
        // Whoever crashed over it writes under another id when it is back: what it wrote may be everywhere, or nowhere.
        let Some(replica) = replica else {
            writers.remove(document);
            return Ok(made);
        };
        let view = replica.view(document);
        let crdt = view.as_ref().and_then(|view| view.crdt.as_ref());
        let written = self.model.shown.written(document, node, crdt, client);
        writers.insert(document.clone(), (client, written));
        Ok(made)
    }

    /// Edits what was seen a while ago.
    fn edit_on(&mut self, node: usize, document: &DocumentId, look: Seen) -> Result<bool, Violation> {
        let patch = typing::patch(&look.content, self.brought(), &mut self.dice, &mut self.model.issuer);
        if patch.is_empty() {
            return Ok(false);
        }
        let seen = look.content.clone();
        self.command_on(node, document, Some(seen), |replica| replica.edit_on(document, patch, look))
            .map(|made| made.is_ok())
    }

    fn made(
        &mut self,
        node: usize,
        document: &DocumentId,
        command: impl FnOnce(&mut Replica) -> Result<ChangeId, EditError>,
    ) -> Result<bool, Violation> {
        self.command(node, document, command).map(|made| made.is_ok())
    }

    /// Has a follower do something to a document that makes a change, and takes note of what it saw.
    ///
    /// # Errors
    ///
    /// The first breach of a claim. Inside, whether the replica took the command.
    ///
    /// # Panics
    ///
    /// When the follower is down, or the change that it says to have made is not pending.
    pub fn command(
        &mut self,
        node: usize,
        document: &DocumentId,
        command: impl FnOnce(&mut Replica) -> Result<ChangeId, EditError>,
    ) -> Result<Result<ChangeId, EditError>, Violation> {
        self.command_on(node, document, None, command)
    }

    /// As [`command`](Self::command), on what was seen where that is not the view.
    fn command_on(
        &mut self,
        node: usize,
        document: &DocumentId,
        looked: Option<Json>,
        command: impl FnOnce(&mut Replica) -> Result<ChangeId, EditError>,
    ) -> Result<Result<ChangeId, EditError>, Violation> {
        let is_spoiled = self.nodes[node].spoiled.contains(document);
        let replica =
            self.nodes[node].replica.as_mut().expect("invariant: only a running follower is told to act");
        let shown = &self.model.shown;
        let view = replica.view(document).map(|view| shown.content(document, node, &view));
        let is_view = looked.is_none() || looked == view;
        let seen = looked.or(view);
        let result = command(replica);
        if let Ok(id) = &result {
            let pending = replica.pending(document);
            let own = pending
                .iter()
                .rev()
                .find(|own| own.change.id() == *id)
                .expect("invariant: a change that was made is pending");
            let after = match (&seen, &own.change.body) {
                (Some(seen), Body::Edit { patch, .. }) if !is_view => {
                    let mut after = seen.clone();
                    apply(&mut after, patch, &Limits::default()).ok().map(|()| after)
                }
                _ => replica.view(document).map(|view| shown.content(document, node, &view)),
            };
            let left = after.as_ref().map(tokens).unwrap_or_default();
            // What became of changes under another id its counter does not tell, and what they were made on may not be readable any more.
            let after = after
                .filter(|_| is_view && !is_spoiled)
                .filter(|_| pending.iter().all(|own| own.change.replica == id.replica));
            let made = self.model.note_made(node, document, &own.change, seen, after, &left);
            let hash = own.hash;
            self.model.name(hash, made);
            self.nodes[node].own.entry(document.clone()).or_default().insert(hash, (*id, made));
            let change = &own.change;
            self.trace.note(self.now, 2, node, &id.counter.0.to_le_bytes(), || format!("makes {change:?}"));
        }
        self.drain(node)?;
        Ok(result)
    }

    /// A program without a replica submits a change at the authority.
    fn submit(&mut self, document: &DocumentId) -> Result<bool, Violation> {
        let root = self.any_root();
        if !self.is_ready(root) {
            return Ok(false);
        }
        let Some(line) = self.model.line(document).filter(|line| line.tip().life == Life::Alive) else {
            return Ok(false);
        };
        let (newest, content) = (line.revision().0, line.tip().content.clone());
        let old = self.dice.between(newest.saturating_sub(6).max(1), newest);
        let at = line.at(Revision(old)).filter(|at| at.life == Life::Alive).map(|at| at.content.clone());
        let (base, seen) = match at {
            Some(seen) if self.dice.chance(5_000) => (Base::Revision(Revision(old)), Some(seen)),
            _ => (Base::Current, None),
        };
        let mut left = seen.as_ref().unwrap_or(&content).clone();
        let patch = if line.tip().crdt.is_some() {
            crdt::patch(&left, self.surroundings.maps, &mut self.dice, &mut self.model.issuer)
        } else {
            typing::patch(&left, self.brought(), &mut self.dice, &mut self.model.issuer)
        };
        if apply(&mut left, &patch, &Limits::default()).is_err() {
            return Ok(false);
        }
        let left = tokens(&left);
        let body = Body::Edit { patch, settles: Vec::new(), undoes: None };
        // Without a value of its own it could not be told from another one in the log.
        if !in_body(&body).keys().any(|token| left.contains_key(token)) {
            return Ok(false);
        }
        let told = match &base {
            Base::Revision(revision) => *revision,
            _ => Revision(0),
        };
        let change = Change {
            replica: ReplicaId(0),
            counter: Counter(0),
            base: told,
            over: Counter(0),
            time: UnixMillis(0),
            body: body.clone(),
        };
        let made = self.model.note_made(ROOT, document, &change, seen, None, &left);
        let key = self.dice.chance(3_000).then(|| {
            self.acting.keys += 1;
            format!("key {}", self.acting.keys)
        });
        if let Some(key) = &key {
            let keyed = Keyed {
                document: document.clone(),
                key: key.clone(),
                body: body.clone(),
                base: base.clone(),
                revision: None,
            };
            self.acting.keyed.insert(made, keyed);
        }
        let token = self.token(root, Asked::Driver(made));
        self.tell_time(root)?;
        self.trace.note(self.now, 2, root, &[], || format!("is given {body:?} on {base:?}"));
        if let Some(replica) = &mut self.nodes[root].replica {
            let key = key.as_deref().map(|key| request_key(key, &body));
            replica.submit(token, Self::grant_of_root(), document, body, base, key.as_ref());
        }
        self.drain_if_up(root)?;
        Ok(true)
    }

    /// A program repeats what it submitted, under its key.
    fn repeat(&mut self) -> Result<bool, Violation> {
        let root = self.any_root();
        let keyed: Vec<Keyed> = self.acting.keyed.values().cloned().collect();
        if keyed.is_empty() || !self.is_ready(root) {
            return Ok(false);
        }
        let Keyed { document, key, body, base, revision } = self.dice.pick(&keyed).clone();
        let token = self.token(root, Asked::Repeat(revision));
        self.tell_time(root)?;
        if let Some(replica) = &mut self.nodes[root].replica {
            let key = request_key(&key, &body);
            if self.dice.chance(5_000) {
                replica.repeat(token, &Self::grant_of_root(), &document, &key);
            } else {
                replica.submit(token, Self::grant_of_root(), &document, body, base, Some(&key));
            }
        }
        self.drain_if_up(root)?;
        Ok(true)
    }
}

/// What a program asks for under a key.
fn request_key(key: &str, body: &Body) -> RequestKey {
    RequestKey::new(key, &[&to_bytes(body)])
}
