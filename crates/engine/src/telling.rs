//! What was told of each open document, and what is to be told next.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use rejoin_core::{Crdt, Event, Ladder, Life, LinkStatus, OnRung, Replica, Seen, SyncStatus};
use rejoin_json::{DiffOptions, Json, Limits, Patch, apply, diff};
use rejoin_wire::DocumentId;

use crate::values;

/// Pending changes that are named one by one, newest last; all of them are counted.
pub(crate) const MAX_TOLD_PENDING: usize = 100;

/// Tellings of a document that a tab may still show when it makes a change. They share what is equal; a tab that is further behind says what it
/// shows.
pub(crate) const MAX_PAST_TELLINGS: usize = 64;

/// Tabs of a document whose last change is known by what it left. The others say what they show.
pub(crate) const MAX_LEFT: usize = 64;

/// Keeps a page informed: it is told each document whole once, then what changed.
#[derive(Default)]
pub(crate) struct Teller {
    told: BTreeMap<DocumentId, Told>,
    /// Documents that may look different.
    dirty: BTreeSet<DocumentId>,
    present: BTreeSet<DocumentId>,
    listed: bool,
    status_may_differ: bool,
    status: Option<SyncStatus>,
}

/// What a page knows of a document.
#[derive(Default)]
struct Told {
    /// How many hold it open.
    opened: u32,
    /// Of the last telling.
    number: u64,
    content: Option<Json>,
    facts: Json,
    /// What it is made of as a CRDT document.
    crdt: Crdt,
    /// By number, oldest first, the present one too.
    past: VecDeque<(u64, Seen)>,
    /// By tab, what it showed after its newest change.
    left: BTreeMap<u64, Seen>,
}

/// A telling.
pub(crate) struct Telling {
    pub(crate) document: DocumentId,
    /// One more than that of the telling before.
    pub(crate) number: u64,
    /// From the content that was told before.
    pub(crate) patch: Option<Json>,
    /// The whole content, where it was not told before.
    pub(crate) content: Option<Json>,
    pub(crate) facts: Option<Json>,
    /// What a CRDT document is made of besides what was told before.
    pub(crate) updates: Option<Json>,
}

/// A change that its tab need not repeat.
pub(crate) struct Kept<'a> {
    pub(crate) document: &'a DocumentId,
    pub(crate) part: u64,
    pub(crate) number: u64,
}

impl Teller {
    pub(crate) fn open(&mut self, id: &DocumentId) {
        self.told.entry(id.clone()).or_default().opened += 1;
        self.dirty.insert(id.clone());
        self.present.insert(id.clone());
    }

    /// True when somebody had it open.
    pub(crate) fn close(&mut self, id: &DocumentId) -> bool {
        let Some(told) = self.told.get_mut(id) else { return false };
        told.opened -= 1;
        if told.opened == 0 {
            self.told.remove(id);
        }
        true
    }

    /// Has a document looked at that may look different without an event that says so.
    pub(crate) fn look_again(&mut self, id: &DocumentId) {
        self.dirty.insert(id.clone());
    }

    /// Takes note of what happened.
    pub(crate) fn note<'a>(&mut self, event: &'a Event) -> Option<Kept<'a>> {
        self.status_may_differ = true;
        match event {
            Event::Kept { document, origin } => {
                return Some(Kept { document, part: origin.part, number: origin.number });
            }
            Event::Present { document } => {
                self.present.insert(document.clone());
            }
            Event::Listed => self.listed = true,
            Event::Opened { document }
            | Event::Changed { document, .. }
            | Event::Synced { document }
            | Event::Conflicted { document, .. }
            | Event::Rejected { document, .. }
            | Event::Recovered { document }
            | Event::Rung { document, .. }
            | Event::Quarantined { document } => {
                self.dirty.insert(document.clone());
            }
            Event::Link(status) => {
                self.dirty.extend(self.told.keys().cloned());
                if !matches!(status, LinkStatus::Online) {
                    // Who was present is not known any more.
                    self.present.extend(self.told.keys().cloned());
                }
            }
            _ => {}
        }
        None
    }

    /// What looks different since it was told.
    pub(crate) fn tell(&mut self, replica: &mut Replica) -> Vec<Telling> {
        let dirty = std::mem::take(&mut self.dirty);
        dirty.into_iter().filter_map(|id| self.tell_one(replica, id)).collect()
    }

    fn tell_one(&mut self, replica: &mut Replica, id: DocumentId) -> Option<Telling> {
        let told = self.told.get_mut(&id)?;
        let view = replica.view(&id)?;
        let facts = values::facts(replica, &view);
        let facts = (facts != told.facts).then(|| {
            told.facts.clone_from(&facts);
            facts
        });
        // What a tombstone keeps is not shown.
        let content = if view.life == Life::Alive { view.content.clone() } else { Json::Null };
        let (patch, whole) = match &told.content {
            None => (None, Some(content.clone())),
            Some(before) if before.ptr_eq(&content) => (None, None),
            Some(before) => {
                let patch =
                    diff(before, &content, &DiffOptions { align_arrays: false, ..DiffOptions::default() });
                ((!patch.is_empty()).then(|| values::patch_for_page(&patch, before)), None)
            }
        };
        told.content = Some(content);
        let crdt = view.crdt.unwrap_or_default();
        let beyond = crdt.beyond(&told.crdt);
        told.crdt = crdt;
        let updates = (!beyond.is_empty()).then(|| values::updates(&beyond));
        if patch.is_none() && whole.is_none() && facts.is_none() && updates.is_none() {
            return None;
        }
        told.number += 1;
        let seen = Seen { revision: view.revision, content: told.content.clone().unwrap_or_default() };
        told.past.push_back((told.number, seen));
        if told.past.len() > MAX_PAST_TELLINGS {
            told.past.pop_front();
        }
        Some(Telling { document: id, number: told.number, patch, content: whole, facts, updates })
    }

    /// A document as it was told last, for somebody who comes later or missed something.
    pub(crate) fn whole(&self, id: &DocumentId) -> Option<Json> {
        let told = self.told.get(id)?;
        Some(values::object([
            ("content", told.content.clone()?),
            ("facts", told.facts.clone()),
            ("number", values::count(told.number)),
            ("updates", values::updates(&told.crdt.updates())),
        ]))
    }

    /// What a tab that was told so much shows; `None` where that is too long ago.
    pub(crate) fn seen(&self, id: &DocumentId, number: u64) -> Option<Seen> {
        let past = &self.told.get(id)?.past;
        past.iter().rev().find(|(told, _)| *told == number).map(|(_, seen)| seen.clone())
    }

    /// What a tab showed after its newest change of the document.
    pub(crate) fn left(&self, id: &DocumentId, part: u64) -> Option<Seen> {
        self.told.get(id)?.left.get(&part).cloned()
    }

    /// Takes note of what a tab shows after a change.
    pub(crate) fn note_left(&mut self, id: &DocumentId, part: u64, seen: Seen, patch: &Patch) {
        let Some(told) = self.told.get_mut(id) else { return };
        let Seen { revision, mut content } = seen;
        if told.left.len() >= MAX_LEFT && !told.left.contains_key(&part) {
            told.left.clear();
        }
        match apply(&mut content, patch, &Limits::default()) {
            Ok(()) => told.left.insert(part, Seen { revision, content }),
            Err(_) => told.left.remove(&part),
        };
    }

    /// Who is present where that may have changed.
    pub(crate) fn present(&mut self, replica: &Replica) -> Vec<(DocumentId, Json)> {
        let changed = std::mem::take(&mut self.present);
        let told = &self.told;
        let open = changed.into_iter().filter(|id| told.contains_key(id));
        open.map(|id| {
            let present = values::present(&replica.present(&id));
            (id, present)
        })
        .collect()
    }

    /// The documents of the workspace, where that may have changed.
    pub(crate) fn list(&mut self, replica: &Replica) -> Option<Json> {
        std::mem::take(&mut self.listed).then(|| values::list(&replica.list()))
    }

    /// How safe own changes are, where that changed.
    pub(crate) fn status(&mut self, replica: &Replica) -> Option<Json> {
        if !std::mem::take(&mut self.status_may_differ) {
            return None;
        }
        let status = replica.sync_status();
        let ageless = Some(without_ages(status));
        (ageless != self.status).then(|| {
            self.status = ageless;
            values::status(&status)
        })
    }
}

/// Ages grow by themselves, and a page has a clock.
fn without_ages(status: SyncStatus) -> SyncStatus {
    let ageless = |rung: OnRung| OnRung { age_ms: 0, ..rung };
    let Ladder { local, saved, sent, acknowledged } = status.ladder;
    let ladder = Ladder { local: ageless(local), saved: ageless(saved), sent: ageless(sent), acknowledged };
    SyncStatus { age_ms: 0, ladder, ..status }
}
