//! Looking at replicas after each drain.

use std::collections::BTreeSet;

use rejoin_core::{Reply, Token};
use rejoin_wire::{Change, ChangeHash, ChangeId, DocumentId, ErrorCode, Revision};

use super::node::Node;
use super::{ROOT, World};
use crate::checks::Standing;
use crate::model::Fate;
use crate::violation::{Checked, Claim, Violation};

/// What the world asked the authority for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    /// The log, after a start.
    Start(DocumentId),
    /// New revisions.
    News(DocumentId, Revision),
    /// That a change be accepted.
    Driver(usize),
    /// The same again, under the same key.
    Repeat(Option<Revision>),
    /// Something whose answer does not matter.
    Nothing,
}

impl World {
    /// Looks at a replica; true when that made it work.
    pub(super) fn watch(&mut self, node: usize) -> Result<bool, Violation> {
        if std::mem::take(&mut self.nodes[node].ready) {
            self.greet(node);
            return Ok(true);
        }
        if node == ROOT {
            return self.watch_root();
        }
        self.watch_follower(node)?;
        Ok(false)
    }

    /// What is done first when a replica has read who it is.
    fn greet(&mut self, node: usize) {
        if node == ROOT {
            for document in self.documents.clone() {
                // A relay pushes to documents that it did not open. They must stay in memory until the model has seen what became of it.
                if let Some(replica) = self.nodes[ROOT].replica.as_mut().filter(|_| self.surroundings.relays > 0) {
                    replica.open(&document);
                }
                self.ask_history(Asked::Start(document));
            }
            return;
        }
        let Node { replica, opened, .. } = &mut self.nodes[node];
        if let Some(replica) = replica {
            opened.iter().for_each(|document| replica.open(document));
        }
    }

    pub(super) fn token(&mut self, asked: Asked) -> Token {
        let token = Token(self.next_token);
        self.next_token += 1;
        self.asked.insert(token, asked);
        token
    }

    fn ask_history(&mut self, asked: Asked) {
        // No more than is new: what the authority would have to read from its disk comes too late.
        let (document, limit) = match &asked {
            Asked::Start(document) => (document.clone(), 1),
            Asked::News(document, revision) => {
                let held = self.model.line(document).map_or(0, |line| line.revision().0);
                (document.clone(), u32::try_from(revision.0 - held).unwrap_or(u32::MAX))
            }
            _ => return,
        };
        let token = self.token(asked);
        if let Some(replica) = &mut self.nodes[ROOT].replica {
            replica.history(token, &document, None, limit);
        }
    }

    fn watch_root(&mut self) -> Result<bool, Violation> {
        for (token, reply) in std::mem::take(&mut self.nodes[ROOT].replies) {
            let Some(asked) = self.asked.remove(&token) else { continue };
            self.take_reply(&asked, reply)?;
        }
        let (mut asks, mut starts) = (Vec::new(), Vec::new());
        for document in &self.documents {
            let Some(view) =
                self.nodes[ROOT].replica.as_ref().and_then(|replica| replica.confirmed(document))
            else {
                continue;
            };
            if view.unreadable.is_some() {
                // What it lacks is not lost before it is known that nobody has it.
                self.unread.insert(document.clone());
                continue;
            }
            if self.unread.remove(document) {
                starts.push(Asked::Start(document.clone()));
                continue;
            }
            let starting = self.asked.values().any(|asked| *asked == Asked::Start(document.clone()));
            if starting {
                continue;
            }
            let held = self.model.line(document).map_or(Revision(0), crate::model::Line::revision);
            let news = Asked::News(document.clone(), view.revision);
            if view.revision > held {
                if !self.asked.values().any(|asked| *asked == news) {
                    asks.push(news);
                }
            } else {
                Standing::check_confirmed(&self.model, ROOT, document, &view)?;
                if view.revision < held {
                    let what = format!(
                        "the authority is at {document} revision {} and was at {held}",
                        view.revision
                    );
                    return Err(Violation::new(Claim::Durability, what));
                }
            }
        }
        asks.append(&mut starts);
        let asked = !asks.is_empty();
        if !asked {
            self.release_submitted();
        }
        for ask in asks {
            self.ask_history(ask);
        }
        Ok(asked)
    }

    /// What programs changed need not stay in memory for the model any more.
    fn release_submitted(&mut self) {
        let Some(replica) = &mut self.nodes[ROOT].replica else { return };
        let (asked, made) = (&self.asked, &self.model.made);
        self.acting.held.retain(|document| {
            let waits = asked.values().any(|asked| match asked {
                Asked::Start(of) | Asked::News(of, _) => of == document,
                Asked::Driver(of) => made[*of].document == *document,
                Asked::Repeat(_) | Asked::Nothing => false,
            });
            if !waits {
                replica.close(document);
            }
            waits
        });
    }

    /// Whether the authority cannot read what is newest of a document. It is asked again once it can.
    fn is_damaged(&self, document: &DocumentId) -> bool {
        let view = self.nodes[ROOT].replica.as_ref().and_then(|replica| replica.confirmed(document));
        view.is_some_and(|view| view.unreadable.is_some())
    }

    /// Whether a document has left the authority's memory since it was asked for: it may have been damaged. It is asked again once it is back.
    fn is_unknown(&self, document: &DocumentId) -> bool {
        let replica = self.nodes[ROOT].replica.as_ref();
        replica.and_then(|replica| replica.confirmed(document)).is_none()
    }

    fn take_reply(&mut self, asked: &Asked, reply: Reply) -> Checked {
        match (asked, reply) {
            (Asked::Start(document), Reply::History(_)) if self.is_unknown(document) => {
                self.unread.insert(document.clone());
                Ok(())
            }
            (Asked::Start(document) | Asked::News(document, _), Reply::History(mut page))
                if !self.is_damaged(document) && !self.is_unknown(document) =>
            {
                if matches!(asked, Asked::Start(_)) {
                    let last = Revision(page.first.0 + page.entries.len() as u64).previous();
                    self.model.note_start(document, last)?;
                }
                self.plant_log(&mut page.entries);
                let new = self.model.extend(document, page.first, &page.entries)?;
                for revision in new {
                    if let Some(appended) = self.model.appended(document, revision) {
                        self.revisions.check(&appended, &self.model.issuer)?;
                    }
                }
                Ok(())
            }
            (Asked::Driver(made), Reply::Accepted(accepted)) => {
                self.acting.accepted(*made, accepted.revision);
                Ok(())
            }
            (Asked::Driver(made), Reply::Refused { .. }) => {
                self.model.made[*made].fate = Fate::Rejected;
                self.acting.refused(*made);
                Ok(())
            }
            (Asked::Repeat(Some(revision)), reply) => match reply {
                Reply::Accepted(accepted) if accepted.revision == *revision => Ok(()),
                Reply::Refused { code: ErrorCode::Corrupted, .. } => Ok(()),
                other => Err(Violation::new(
                    Claim::AtMostOnce,
                    format!("a repeat of revision {revision} is answered by {other:?}"),
                )),
            },
            _ => Ok(()),
        }
    }

    fn watch_follower(&mut self, node: usize) -> Checked {
        self.nodes[node].replies.clear();
        for document in std::mem::take(&mut self.nodes[node].dirty) {
            let Some(replica) = &self.nodes[node].replica else { return Ok(()) };
            let Some(view) = replica.confirmed(&document) else { continue };
            Standing::check_confirmed(&self.model, node, &document, &view)?;
            if let Some(held) =
                self.held_when_lost.get_mut(&document).and_then(|holders| holders.get_mut(&node))
                && view.revision > held.confirmed
                && self.model.is_lost(&document, view.revision, view.chain)
            {
                held.confirmed = view.revision;
            }
            let pending = replica.pending(&document);
            if replica.sync_status().durable {
                Standing::check_rungs(node, &document, &pending, self.nodes[node].disk.durable())?;
            }
            // By their hashes: a name can pass to another change when changes are renumbered.
            let pending: Vec<(ChangeHash, Change)> =
                pending.into_iter().map(|own| (own.change.hash(&document), own.change)).collect();
            let here: BTreeSet<ChangeHash> = pending.iter().map(|(hash, _)| *hash).collect();
            let rejected: BTreeSet<ChangeHash> =
                replica.rejected(&document).iter().map(|rejected| rejected.change.hash(&document)).collect();
            let mut own = self.nodes[node].own.remove(&document).unwrap_or_default();
            for (hash, change) in &pending {
                if own.contains_key(hash) {
                    continue;
                }
                if let Some(made) = self.model.named(*hash) {
                    // Its device forgot that it was settled: a crash came before that was durable.
                    if self.model.made[made].fate == Fate::Lost {
                        self.model.made[made].fate = Fate::Open;
                    }
                    own.insert(*hash, (change.id(), made));
                    continue;
                }
                // Of several that look alike the oldest: they stay in their order.
                let renumbered = own.iter().filter(|(hash, (_, made))| {
                    let made = &self.model.made[*made];
                    !here.contains(hash)
                        && !rejected.contains(hash)
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
                    None if self.restored => {}
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
                own.remove(&hash);
                if rejected.contains(&hash) {
                    self.model.made[made].fate = Fate::Rejected;
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
