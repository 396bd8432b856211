//! Looking at replicas after each drain.

use std::collections::{BTreeMap, BTreeSet};

use rejoin_core::storage::{Batch, ChangeRow, Write};
use rejoin_core::{LoggedRow, OwnChange, Reply, Token, View};
use rejoin_wire::{ChangeHash, ChangeId, DocumentId, ErrorCode, Revision};

use super::node::Node;
use super::{ROOT, World};
use crate::checks::Standing;
use crate::model::Fate;
use crate::violation::{Checked, Claim, Violation};

/// What the world asked the authority for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    /// That a change be accepted.
    Driver(usize),
    /// The same again, under the same key.
    Repeat(Option<Revision>),
    /// A page of history.
    History { document: DocumentId, is_newest: bool },
}

impl World {
    /// Looks at a replica; true when that made it work.
    pub(super) fn watch(&mut self, node: usize) -> Result<bool, Violation> {
        let Node { ready, begun, replica, opened, .. } = &mut self.nodes[node];
        if std::mem::take(ready) {
            *begun = true;
            if let Some(replica) = replica {
                opened.iter().for_each(|document| replica.open(document));
            }
            return Ok(true);
        }
        if self.is_root(node) {
            self.watch_root(node)?;
        } else {
            self.watch_follower(node)?;
        }
        Ok(false)
    }

    /// What was written of a node becomes durable. From the authority's disk the model learns of revisions, before anybody is told of them.
    pub(super) fn flush_now(&mut self, node: usize) -> Checked {
        let flushed = self.nodes[node].disk.flush();
        if node == ROOT { self.read_flushed(&flushed) } else { Ok(()) }
    }

    /// Takes in what has become durable at the authority, and checks each revision.
    pub(super) fn read_flushed(&mut self, flushed: &[Batch]) -> Checked {
        for write in flushed.iter().flat_map(|batch| &batch.writes) {
            if let Write::AppendChanges(row) | Write::PutChanges(row) = write {
                self.read_row(row)?;
            }
        }
        Ok(())
    }

    fn read_row(&mut self, row: &ChangeRow) -> Checked {
        let document = &row.document;
        let LoggedRow { entries, rejected, .. } = match LoggedRow::read(row) {
            Ok(logged) => logged,
            Err(_) if self.rotten.contains(document) => return Ok(()),
            Err(error) => {
                let what = format!("{document} from revision {} cannot be read: {error}", row.first_revision);
                return Err(Violation::new(Claim::Durability, what));
            }
        };
        if self.observed {
            self.revisions.check_outcomes(document, &entries, &rejected)?;
        }
        for revision in self.model.extend(document, row.first_revision, entries)? {
            if let Some(appended) = self.model.appended(document, revision).filter(|_| self.observed) {
                self.revisions.check(&appended, &self.model.issuer)?;
            }
        }
        Ok(())
    }

    /// The authority's disk has what the model has: no revision less, and none that is another.
    pub(super) fn check_log(&mut self) -> Checked {
        for document in self.documents.clone() {
            self.model.judging.note(Claim::Durability);
            let line = self.model.line(&document).map_or(Revision(0), crate::model::Line::revision);
            let held = self.nodes[ROOT].disk.durable().revisions.get(&document).copied().unwrap_or_default();
            if held < line {
                let what = format!("{document} had revision {line} and starts with {held}");
                return Err(Violation::new(Claim::Durability, what));
            }
            for row in self.nodes[ROOT].disk.rows(&self.workspace, &document) {
                self.read_row(&row)?;
            }
        }
        Ok(())
    }

    /// A token for what an authority is asked.
    pub(super) fn token(&mut self, root: usize, asked: Asked) -> Token {
        let token = Token(self.next_token);
        self.next_token += 1;
        self.asked.insert(token, (root, asked));
        token
    }

    fn watch_root(&mut self, node: usize) -> Checked {
        for (token, reply) in std::mem::take(&mut self.nodes[node].replies) {
            let Some((_, asked)) = self.asked.remove(&token) else { continue };
            self.take_reply(node, &asked, reply)?;
        }
        let Node { replica: Some(replica), checked, .. } = &mut self.nodes[node] else { return Ok(()) };
        if !self.observed {
            return Ok(());
        }
        for document in &self.documents {
            // What it cannot read is not lost before it is known that nobody has it.
            let Some(view) = replica.confirmed(document).filter(|view| view.unreadable.is_none()) else {
                continue;
            };
            if checked.is_news(document, &view) {
                Standing::check_confirmed(&self.model, node, document, &view, checked)?;
            }
        }
        Ok(())
    }

    fn take_reply(&mut self, node: usize, asked: &Asked, reply: Reply) -> Checked {
        match (asked, reply) {
            (Asked::History { is_newest, .. }, Reply::History(page)) if self.observed => {
                self.check_page(node, &page, *is_newest)
            }
            (Asked::Driver(made), Reply::Accepted(accepted)) => {
                let document = &self.model.made[*made].document;
                let line = self.model.line(document);
                if line.and_then(|line| line.at(accepted.revision)).and_then(|at| at.made) != Some(*made) {
                    let what = format!("a change is said to be revision {} of {document}", accepted.revision);
                    return Err(Violation::new(Claim::DurableOnly, what));
                }
                self.acting.accepted(*made, accepted.revision);
                Ok(())
            }
            (Asked::Driver(made), Reply::Refused { code, .. }) => {
                // What the store did not answer for may have been done.
                if code != ErrorCode::Unavailable
                    && self.model.is_logged(*made)
                    && !self.model.was_lost(*made)
                {
                    let what =
                        format!("a change is refused as {code:?} and accepted: {:?}", self.model.made[*made]);
                    return Err(Violation::new(Claim::AtMostOnce, what));
                }
                self.model.made[*made].fate = Fate::Rejected;
                self.acting.refused(*made);
                Ok(())
            }
            (Asked::Repeat(Some(revision)), reply) => match reply {
                Reply::Accepted(accepted) if accepted.revision == *revision => Ok(()),
                // Whoever asks while the disk fails learns nothing, and is told that it may ask again.
                Reply::Refused { code: ErrorCode::Corrupted | ErrorCode::Unavailable, .. } => Ok(()),
                other => Err(Violation::new(
                    Claim::AtMostOnce,
                    format!("a repeat of revision {revision} is answered by {other:?}"),
                )),
            },
            _ => Ok(()),
        }
    }

    /// What a program is shown does not go back, but where the authority did, or what was stored went bad.
    fn check_read(&mut self, node: usize, document: &DocumentId, view: &View) -> Checked {
        let Node { read, spoiled, .. } = &mut self.nodes[node];
        let Some((revision, chain)) = read.insert(document.clone(), (view.revision, view.chain)) else {
            return Ok(());
        };
        self.model.judging.note(Claim::MonotonicReads);
        if view.revision >= revision
            || spoiled.contains(document)
            || self.model.is_lost(document, revision, chain)
        {
            return Ok(());
        }
        let what = format!("node {node} showed {document} at {revision} and shows it at {}", view.revision);
        Err(Violation::new(Claim::MonotonicReads, what))
    }

    fn watch_follower(&mut self, node: usize) -> Checked {
        for (token, reply) in std::mem::take(&mut self.nodes[node].replies) {
            let Some((_, asked)) = self.asked.remove(&token) else { continue };
            self.take_reply(node, &asked, reply)?;
        }
        for document in std::mem::take(&mut self.nodes[node].dirty) {
            let Some(replica) = &self.nodes[node].replica else { return Ok(()) };
            let Some(view) = replica.confirmed(&document) else { continue };
            // What nobody opened may leave memory before a disk takes it.
            if self.observed && self.nodes[node].opened.contains(&document) {
                self.check_read(node, &document, &view)?;
            }
            let checked = &mut self.nodes[node].checked;
            if self.observed && checked.is_news(&document, &view) {
                Standing::check_confirmed(&self.model, node, &document, &view, checked)?;
            }
            let Some(replica) = &self.nodes[node].replica else { return Ok(()) };
            if let Some(held) =
                self.held_when_lost.get_mut(&document).and_then(|holders| holders.get_mut(&node))
                && view.revision > held.confirmed
                && self.model.is_lost(&document, view.revision, view.chain)
            {
                held.confirmed = view.revision;
            }
            let pending = replica.pending(&document);
            if self.observed && !pending.is_empty() && replica.sync_status().durable {
                self.model.judging.note(Claim::Rungs);
                Standing::check_rungs(node, &document, &pending, self.nodes[node].disk.durable())?;
            }
            // By their hashes: a name can pass to another change when changes are renumbered.
            let here: BTreeSet<ChangeHash> = pending.iter().map(|own| own.hash).collect();
            let known = self.nodes[node].own.get(&document);
            if known.map_or(here.is_empty(), |known| known.keys().eq(here.iter())) {
                continue;
            }
            // Looked at only where one is gone: each is hashed anew.
            let is_gone = known.is_some_and(|known| known.keys().any(|hash| !here.contains(hash)));
            let rejected = if is_gone { replica.rejected(&document) } else { Vec::new() };
            let rejected: BTreeMap<ChangeHash, ErrorCode> =
                rejected.iter().map(|rejected| (rejected.change.hash(&document), rejected.code)).collect();
            let mut own = self.nodes[node].own.remove(&document).unwrap_or_default();
            for OwnChange { hash, change, .. } in &pending {
                if own.contains_key(hash) {
                    continue;
                }
                if let Some(made) = self.model.named(*hash) {
                    // Its device forgot that it was settled: a crash came before that was durable.
                    if self.model.made[made].fate == Fate::Lost {
                        self.model.made[made].fate = Fate::Open;
                    }
                    // A fork that a crash took back comes again, to the same name.
                    own.retain(|known, (_, other)| *other != made || here.contains(known));
                    own.insert(*hash, (change.id(), made));
                    continue;
                }
                // What the authority lost is brought back under names of its own, and is not renumbered: one that is accepted looks like the next
                // where both change nothing.
                if self.model.brings_back(&document, change.replica) {
                    continue;
                }
                // Of several that look alike the oldest: they stay in their order.
                let renumbered = own.iter().filter(|(hash, (_, made))| {
                    let made = &self.model.made[*made];
                    !here.contains(hash)
                        && !rejected.contains_key(hash)
                        && made.time == change.time
                        && made.body == change.body
                });
                let renumbered = renumbered.min_by_key(|(_, (_, made))| *made);
                match renumbered.map(|(hash, (_, made))| (*hash, *made)) {
                    Some((before, made)) => {
                        own.remove(&before);
                        own.insert(*hash, (change.id(), made));
                        self.model.name(*hash, made);
                    }
                    None if self.model.brings_back_all(&document, change) => {}
                    None => {
                        let what =
                            format!("node {node} has a change of {document} that nobody made: {change:?}");
                        return Err(Violation::new(Claim::NoPhantom, what));
                    }
                }
            }
            let gone: Vec<(ChangeHash, ChangeId, usize)> = own
                .iter()
                .filter(|(hash, _)| !here.contains(hash))
                .map(|(hash, (id, made))| (*hash, *id, *made))
                .collect();
            for (hash, id, made) in gone {
                self.model.judging.note(Claim::Durability);
                own.remove(&hash);
                if let Some(code) = rejected.get(&hash) {
                    let is_accepted = self.model.is_accepted(&document, hash) && !self.model.was_lost(made);
                    let is_excused = match code {
                        // Who may not edit is refused without an outcome: a copy of the same may be accepted.
                        ErrorCode::Forbidden => true,
                        // The outcome could not be read, and the author was told so, before somebody gave it back.
                        ErrorCode::Corrupted => self.rotten.contains(&document),
                        _ => false,
                    };
                    if self.observed && is_accepted && !is_excused {
                        let what =
                            format!("node {node}: {id:?} of {document} is accepted, and told as rejected");
                        return Err(Violation::new(Claim::AtMostOnce, what));
                    }
                    self.model.made[made].fate =
                        if is_accepted { Fate::Acknowledged } else { Fate::Rejected };
                    if *code == ErrorCode::Forbidden {
                        self.nodes[node].refused.push((document.clone(), id, made));
                    }
                    self.rejections += 1;
                } else if self.model.is_logged(made) {
                    self.model.made[made].fate = Fate::Acknowledged;
                } else {
                    let what = format!(
                        "node {node}: {id:?} of {document} is gone and is not in the log: {:?}",
                        self.model.made[made]
                    );
                    return Err(Violation::new(Claim::Durability, what));
                }
            }
            self.nodes[node].own.insert(document, own);
        }
        Ok(())
    }
}
