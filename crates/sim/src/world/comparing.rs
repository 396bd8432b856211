//! What everybody shows at the end and tells of the past, compared with the log: authorities over one store, views, pages of history.

use rejoin_core::{HistoryPage, Input};
use rejoin_json::{Limits, apply};
use rejoin_wire::{Effect, Revision, to_bytes};

use super::World;
use super::ending::SETTLED_WITHIN_US;
use super::watching::Asked;
use crate::model::{Line, equal_records};
use crate::violation::{Checked, Claim, Violation};

/// Revisions of each document that everybody asks for at the end, at most.
const PAGE_REVISIONS: u32 = 20;

/// Time that stores and authorities have, when nothing goes wrong any more, until it is looked whether questions are answered; in microseconds.
const ANSWERED_WITHIN_US: u64 = 10_000_000;

impl World {
    /// Authorities over one store are told that it moved, as somebody does who reads there; and everybody asks for the newest page of each history.
    pub(super) fn ask_everybody(&mut self) -> Checked {
        let documents = self.documents.clone();
        for root in self.roots() {
            if self.shares_store() {
                self.input(root, Input::StoreMoved)?;
            }
            for document in &documents {
                if let Some(replica) = &mut self.nodes[root].replica {
                    replica.open(document);
                }
            }
            self.drain(root)?;
        }
        // What they have in memory may be old until they have read what the others stored.
        self.run_until(self.now + ANSWERED_WITHIN_US)?;
        let mut tokens = Vec::new();
        for node in 0..self.nodes.len() {
            if self.nodes[node].is_relay() {
                continue;
            }
            for document in &documents {
                let token = self.token(node, Asked::History { document: document.clone(), is_newest: true });
                tokens.push(token);
                let is_root = self.is_root(node);
                let Some(replica) = &mut self.nodes[node].replica else { continue };
                if is_root {
                    replica.history(token, document, None, PAGE_REVISIONS);
                } else {
                    replica.remote_history(token, document, None, PAGE_REVISIONS);
                }
                self.drain(node)?;
            }
        }
        // Pages take long through links of small frames that are read slowly.
        let patience = self.now + SETTLED_WITHIN_US;
        while tokens.iter().any(|token| self.asked.contains_key(token)) && self.now < patience {
            self.run_until(self.now + ANSWERED_WITHIN_US)?;
        }
        if let Some((node, asked)) = tokens.iter().find_map(|token| self.asked.get(token)) {
            let what = format!("node {node} is not answered: {asked:?}");
            return Err(Violation::new(Claim::Liveness, what));
        }
        Ok(())
    }

    /// Every authority holds what the log has, and what is shown of a document without own changes is what is confirmed.
    pub(super) fn check_shown(&mut self) -> Checked {
        for (document, line) in self.model.lines() {
            let tip = line.tip();
            for (number, node) in self.nodes.iter_mut().enumerate() {
                let is_root = node.config.role == rejoin_core::Role::Root;
                let is_open = is_root || node.opened.contains(document);
                let Some(replica) = node.replica.as_mut().filter(|_| is_open) else { continue };
                let differs = |what: &str| {
                    let what =
                        format!("node {number} shows {what} of {document}, which is at {}", line.revision());
                    Err(Violation::new(Claim::Convergence, what))
                };
                self.model.judging.note(Claim::Convergence);
                let Some(view) = replica.view(document) else { return differs("nothing") };
                if view.unreadable.is_some() {
                    continue;
                }
                if view.chain != tip.chain || view.revision != line.revision() {
                    return differs(&format!("revision {}", view.revision));
                }
                if view.life != tip.life || *view.header != *tip.header {
                    return differs("another header");
                }
                let content = self.model.shown.content(document, number, &view);
                if !content.ptr_eq(&tip.content) && to_bytes(&content) != to_bytes(&tip.content) {
                    return differs(&format!("other content: {content}"));
                }
                if !equal_records(&tip.conflicts, &view.conflicts) {
                    return Err(Violation::new(
                        Claim::Conflicts,
                        format!("node {number} shows {:?} of {document}", view.conflicts),
                    ));
                }
            }
        }
        Ok(())
    }

    /// A page of history is a part of the log, or was one before the authority lost it, and leads back through what stood there.
    pub(super) fn check_page(&self, node: usize, page: &HistoryPage, is_newest: bool) -> Checked {
        self.model.judging.note(Claim::Convergence);
        let HistoryPage { document, first, entries, more } = page;
        let differs = |what: String| {
            let what = format!("node {node} is told of {document} from revision {first} on: {what}");
            Err(Violation::new(Claim::Convergence, what))
        };
        let is_told = |line: &&Line| {
            let numbered = (first.0..).map(Revision).zip(entries);
            numbered
                .into_iter()
                .all(|(at, told)| line.at(at).and_then(|logged| logged.entry.as_ref()) == Some(&told.entry))
        };
        let now = self.model.line(document);
        if entries.is_empty() && now.is_none() {
            return Ok(());
        }
        let Some(line) = now.into_iter().chain(self.model.lost_lines_of(document)).find(is_told) else {
            return differs(format!("what never was in the log: {entries:?}"));
        };
        if *more != (*first > Revision(1)) && !self.rotten.contains(document) {
            return differs(format!("that there is {} before it", if *more { "more" } else { "nothing" }));
        }
        let last = Revision((first.0 + entries.len() as u64).saturating_sub(1));
        if is_newest && now.is_some_and(|line| line.revision() != last) {
            return differs(format!("no revision after {last}"));
        }
        for (at, told) in (first.0..).map(Revision).zip(entries) {
            let (Some(before), Some(after)) = (line.at(at.previous()), line.at(at)) else { continue };
            if let (Effect::Patched { .. }, Some(back)) = (&told.entry.effect, &told.reverse_patch) {
                let mut content = after.content.clone();
                let applied = apply(&mut content, back, &Limits::default());
                if applied.is_err() || content != before.content {
                    return differs(format!("that revision {at} is taken back by {back:?}"));
                }
            }
        }
        Ok(())
    }
}
