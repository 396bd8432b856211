//! What the updates of a page of history changed of what a CRDT document shows.
//!
//! Nobody can go back over an update. Where the updates before a page are not told one by one any more, as they were summed up, all of them are
//! read again from the first.

use std::sync::Arc;

use rejoin_json::{DiffOptions, diff};
use rejoin_wire::{CrdtUpdate, Header};

use super::*;
use crate::crdt::{Crdt, Sum};

/// Who edits nothing.
const NOBODY: u64 = 0;

/// What a document was before a page.
pub(super) struct Before {
    sum: Sum,
    header: Arc<Header>,
}

/// The way forward from nothing to a page. It holds one document and the page, however long it is.
pub(in crate::replica) struct Forward {
    from: Asker,
    page: HistoryPage,
    before: Box<Before>,
    /// All updates up to this revision are in the sum.
    at: Revision,
}

/// Where it is known what the document showed before a page.
pub(super) fn way(page: &HistoryPage, log: &Log, tip: &Point, limits: &Limits) -> Way {
    if !page.entries.iter().any(|entry| update_of(&entry.entry).is_some()) {
        return Way::None;
    }
    let header = Arc::clone(&tip.state.header);
    match log.state_at(tip, page.first.previous(), limits) {
        Some(state) => {
            let sum = Sum::of(&state.crdt.unwrap_or_default(), NOBODY);
            Way::Known(Box::new(Before { sum, header }))
        }
        None => Way::Forward(Box::new(Before { sum: Sum::of(&Crdt::default(), NOBODY), header })),
    }
}

fn update_of(entry: &Entry) -> Option<&CrdtUpdate> {
    match &entry.effect {
        Effect::Merged { update } => Some(update),
        _ => None,
    }
}

/// How many of the oldest revisions would be too many. None shows more than what was shown before the page, and all that was written since.
fn too_many(before: usize, entries: &[HistoryEntry]) -> usize {
    let written = |entry: &HistoryEntry| update_of(&entry.entry).map_or(0, |update| update.0.len());
    let mut shown = before + entries.iter().map(written).sum::<usize>();
    let mut all = 0;
    let fit = entries.iter().rev().take_while(|entry| {
        all += shown;
        shown -= written(entry);
        all <= MAX_HISTORY_SHOWN_BYTES
    });
    entries.len() - fit.count().max(1).min(entries.len())
}

impl Before {
    /// Says of each update of the page what it changed, and what was shown where the document was deleted or brought back.
    pub(super) fn show(mut self, mut page: HistoryPage) -> HistoryPage {
        let mut shown = self.sum.json();
        let left_out = too_many(shown.encoded_len(), &page.entries);
        if left_out > 0 {
            page.first.0 += left_out as u64;
            page.more = true;
            let mut older = page.entries.drain(..left_out);
            if !older.all(|entry| update_of(&entry.entry).is_none_or(|update| self.sum.push(update))) {
                drop(older);
                return page;
            }
            drop(older);
            shown = self.sum.json();
        }
        let identity_keys = self.header.identity.as_slice().into();
        // Programs know the patches of RFC 6902.
        let options = DiffOptions { identity_keys, min_splice_bytes: usize::MAX, ..DiffOptions::default() };
        for entry in &mut page.entries {
            match &entry.entry.effect {
                Effect::Merged { update } => {
                    // One that cannot be applied any more changes nothing, as when the document is read.
                    if !self.sum.push(update) {
                        break;
                    }
                    let after = self.sum.json();
                    entry.forward_patch = Some(diff(&shown, &after, &options));
                    entry.reverse_patch = Some(diff(&after, &shown, &options));
                    shown = after;
                }
                Effect::Deleted | Effect::Undeleted => entry.before = Some(shown.clone()),
                _ => {}
            }
        }
        page
    }
}

impl Forward {
    pub(super) fn new(from: Asker, page: HistoryPage, before: Box<Before>) -> Self {
        Self { from, page, before, at: Revision(0) }
    }

    /// The revisions that are to be read: after the first, up to the second.
    pub(super) fn next(&self) -> (Revision, Revision) {
        let until = Revision(self.at.0 + u64::from(OLDER_ROWS)).min(self.page.first.previous());
        (self.at, until)
    }

    /// Goes on over rows, as far as they follow one another and can be read; whether there is more to read.
    pub(super) fn pass(&mut self, rows: &[ChangeRow]) -> bool {
        let (before, until) = (self.at, self.page.first.previous());
        for row in rows {
            let Ok(body) = Row::of(row) else { return false };
            let revisions = (row.first_revision.0..).map(Revision).zip(body.into_revised());
            for (revision, revised) in revisions {
                if revision <= self.at || revision > until {
                    continue;
                }
                let is_next = revision == self.at.next();
                if !is_next || update_of(&revised.entry).is_some_and(|update| !self.before.sum.push(update)) {
                    return false;
                }
                self.at = revision;
            }
        }
        before < self.at && self.at < until
    }

    /// The page: with what its updates changed, where all before it could be read.
    pub(super) fn end(self) -> (Asker, HistoryPage) {
        let Self { from, page, before, at } = self;
        let page = if at.next() == page.first { before.show(page) } else { page };
        (from, page)
    }
}
