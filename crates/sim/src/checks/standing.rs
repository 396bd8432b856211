//! Checks of what replicas hold and tell, at any time.

use rejoin_core::{OwnChange, Rung, View};
use rejoin_wire::{DocumentId, Fate, Message, Revision};

use crate::model::Model;
use crate::violation::{Checked, Claim, Violation};
use crate::world::disk::{Durable, pending_key};
use crate::world::node;

/// Checks that keep nothing.
pub(crate) struct Standing;

impl Standing {
    /// Nobody is told what the authority's disk does not have, and did not have before it lost it.
    pub(crate) fn check_told(
        message: &Message,
        durable: &Durable,
        lost: impl Fn(&DocumentId) -> Option<Revision>,
    ) -> Checked {
        let check = |document: &DocumentId, revision: Revision| {
            let held = durable.revisions.get(document).copied().unwrap_or_default();
            if revision <= held || lost(document) >= Some(revision) {
                return Ok(());
            }
            let what = format!(
                "{document} revision {revision} is told while {held} is durable, in a `{}`",
                message.kind()
            );
            Err(Violation::new(Claim::DurableOnly, what))
        };
        match message {
            Message::Update(update) => check(
                &update.document,
                Revision((update.first.0 + update.entries.len() as u64).saturating_sub(1)),
            ),
            Message::Snapshot(snapshot) => check(&snapshot.document, snapshot.revision),
            Message::Outcomes { document, outcomes } => {
                outcomes.iter().try_for_each(|outcome| match outcome.fate {
                    Fate::Accepted { revision } => check(document, revision),
                    Fate::Rejected { .. } => Ok(()),
                })
            }
            Message::Listing { items, .. } => {
                items.iter().try_for_each(|item| check(&item.document, item.revision))
            }
            _ => Ok(()),
        }
    }

    /// A replica that says that it holds a revision holds what the authority has there.
    pub(crate) fn check_confirmed(
        model: &Model,
        node: usize,
        document: &DocumentId,
        view: &View,
        checked: &mut node::Checked,
    ) -> Checked {
        if view.revision == Revision(0) {
            return Ok(());
        }
        model.judging.note(Claim::Convergence);
        if !view.conflicts.is_empty() {
            model.judging.note(Claim::Conflicts);
        }
        let differs = |what: String| {
            Violation::new(
                Claim::Convergence,
                format!("node {node}, {document} revision {}: {what}", view.revision),
            )
        };
        let Some((revision, state)) = model.state_of(document, view) else {
            return Err(differs("a history that the authority never had".into()));
        };
        if revision != view.revision {
            return Err(differs(format!("the history of revision {revision}")));
        }
        let content = model.shown.content(document, node, view);
        if state.content != content || state.crdt.is_some() != view.crdt.is_some() {
            return Err(differs(format!("content {content} instead of {}", state.content)));
        }
        if state.life != view.life {
            return Err(differs(format!("{:?} instead of {:?}", view.life, state.life)));
        }
        if *state.header != *view.header {
            return Err(differs("another header".into()));
        }
        if !checked.shows_open(document, &view.conflicts, &state.conflicts) {
            let what = format!(
                "node {node}, {document} revision {revision}: {:?} instead of {:?}",
                view.conflicts, state.conflicts
            );
            return Err(Violation::new(Claim::Conflicts, what));
        }
        Ok(())
    }

    /// A change that is said to be saved is on the disk.
    pub(crate) fn check_rungs(
        node: usize,
        document: &DocumentId,
        pending: &[OwnChange],
        durable: &Durable,
    ) -> Checked {
        for own in pending.iter().filter(|own| own.rung >= Rung::Saved) {
            let change = own.change.id();
            if !durable.pending.contains(&pending_key(document, change)) {
                let what = format!(
                    "node {node}, {document}: {change:?} stands on {:?} and is not on the disk",
                    own.rung
                );
                return Err(Violation::new(Claim::Rungs, what));
            }
        }
        Ok(())
    }
}
