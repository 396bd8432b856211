//! A replica's own recent changes to a document, by which both sides compute what their author saw.

use std::collections::VecDeque;
use std::sync::Arc;

use rejoin_json::{Limits, PlacePath, Side};
use rejoin_wire::{Body, Change, ChangeHash, Counter, Revision};

use crate::merging::{Meeting, apply_to_seen, decide, transposed};
use crate::records::Origin;
use crate::state::State;
use crate::time::Instant;

/// Merges that rebuilding what an author saw may take; beyond that the author is asked for it.
pub(crate) const MAX_REBUILD_MERGES: usize = 1_000;

/// What became of an own change so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OwnFate {
    Pending,
    Accepted,
    Rejected,
}

/// An own change with what its author saw.
#[derive(Clone, Debug)]
pub(crate) struct Own {
    pub(crate) change: Arc<Change>,
    pub(crate) hash: ChangeHash,
    /// What was seen; absent where that is the change before, applied to what was seen then.
    pub(crate) start: Option<State>,
    pub(crate) fate: OwnFate,
    /// How far it has come; on the author's side only.
    pub(crate) progress: Progress,
}

/// How far an own change has come.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Progress {
    pub(crate) rung: Rung,
    pub(crate) since: Instant,
    /// Bytes that it takes in the outbox.
    pub(crate) bytes: usize,
    pub(crate) origin: Origin,
    /// Whether it has been durable here, so that nobody has to repeat it.
    pub(crate) kept: bool,
}

impl Progress {
    /// Takes note that nobody has to repeat it; for whom it was made, where that one is to be told of it.
    pub(crate) fn keep(&mut self) -> Option<Origin> {
        let kept = std::mem::replace(&mut self.kept, true);
        (!kept && self.origin.number != 0).then_some(self.origin)
    }
}

/// How safe a change is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rung {
    /// In memory only.
    #[default]
    Local,
    /// Durable on this device.
    Saved,
    /// Handed to an open link.
    Sent,
    /// Durable at the authority.
    Acknowledged,
}

/// Own changes in order, contiguous, the newest last, with what their author had after the newest.
#[derive(Clone, Debug, Default)]
pub(crate) struct Window {
    owns: VecDeque<Own>,
    /// What the author had after the newest change, if nothing else arrived meanwhile.
    after: Option<State>,
}

impl Window {
    /// True when a change on `base` and `over` was made on just what the newest change left.
    pub(crate) fn continues(&self, base: Revision, over: Counter, counter: Counter) -> Option<&State> {
        let newest = &self.owns.back()?.change;
        let follows = newest.base == base && newest.over == over && newest.counter.next() == counter;
        follows.then_some(self.after.as_ref()?)
    }

    /// What the author had after the newest change.
    pub(crate) fn after(&self) -> Option<&State> {
        self.after.as_ref()
    }

    pub(crate) fn newest(&self) -> Option<&Own> {
        self.owns.back()
    }

    pub(crate) fn len(&self) -> usize {
        self.owns.len()
    }

    pub(crate) fn iter(&self) -> std::collections::vec_deque::Iter<'_, Own> {
        self.owns.iter()
    }

    pub(crate) fn iter_mut(&mut self) -> std::collections::vec_deque::IterMut<'_, Own> {
        self.owns.iter_mut()
    }

    /// The change with this counter.
    pub(crate) fn own_mut(&mut self, counter: Counter) -> Option<&mut Own> {
        let front = self.owns.front()?.change.counter;
        self.owns.get_mut(usize::try_from(counter.0.checked_sub(front.0)?).ok()?)
    }

    /// Adds a change made on `seen`, which is left out where it follows from the change before.
    ///
    /// `after` is what the change made of `seen`, where that is known: nodes shared with other versions compare at once.
    pub(crate) fn push(&mut self, own: Own, seen: &State, after: Option<State>, limits: &Limits) {
        let Change { base, over, counter, .. } = *own.change;
        let follows = self.continues(base, over, counter).is_some_and(|after| after.same(seen));
        let start = (!follows).then(|| seen.clone());
        self.after = Some(after.unwrap_or_else(|| {
            let kept = if follows { self.after.take() } else { None };
            let mut after = kept.unwrap_or_else(|| seen.clone());
            apply_to_seen(&mut after, &own.change.body, limits);
            after
        }));
        self.owns.push_back(Own { start, ..own });
    }

    /// Adds a change that knows itself what was seen, or was made on what the change before left.
    ///
    /// Where its base and `over` do not say the latter to the authority, it keeps what was seen to be told.
    pub(crate) fn append(&mut self, mut own: Own, limits: &Limits) {
        let Change { base, over, counter, .. } = *own.change;
        if own.start.is_none() && self.continues(base, over, counter).is_none() {
            own.start.clone_from(&self.after);
        }
        let mut after = match &own.start {
            Some(start) => Some(start.clone()),
            None => self.after.take(),
        };
        if let Some(after) = &mut after {
            apply_to_seen(after, &own.change.body, limits);
        }
        self.after = after;
        self.owns.push_back(own);
    }

    /// Forgets changes before `over`: nothing newer was made while they were pending.
    pub(crate) fn forget_before(&mut self, over: Counter, limits: &Limits) {
        let gone = self.owns.iter().take_while(|own| own.change.counter < over).count();
        self.forget(gone, limits);
    }

    /// Forgets the oldest changes down to a number of them.
    pub(crate) fn shrink(&mut self, most: usize, limits: &Limits) {
        self.forget(self.owns.len().saturating_sub(most), limits);
    }

    fn forget(&mut self, gone: usize, limits: &Limits) {
        if self.owns.get(gone).is_some_and(|next| next.start.is_none()) {
            let mut walk = Walk::default();
            for own in self.owns.iter().take(gone) {
                walk.step(own, limits);
            }
            if let Some(next) = self.owns.get_mut(gone) {
                next.start = walk.state;
            }
        }
        self.owns.drain(..gone);
    }

    /// Drops the changes from a counter on; the rest stays as it was.
    pub(crate) fn split_off(&mut self, counter: Counter, limits: &Limits) -> Vec<Own> {
        let at = self.owns.iter().position(|own| own.change.counter >= counter).unwrap_or(self.owns.len());
        let mut walk = Walk::default();
        for own in self.owns.iter().take(at) {
            walk.step(own, limits);
        }
        let mut gone: Vec<Own> = self.owns.split_off(at).into();
        if let Some(first) = gone.first_mut() {
            let seen = walk.seen(first);
            first.start = seen;
        }
        self.after = walk.state;
        gone
    }

    /// What the author of the changes from `over` up to, not including, `until` had, on this state: each change merged in, in
    /// order. `None` when the window does not reach back to `over`, or more merges than allowed are needed.
    pub(crate) fn rebuild(
        &self,
        start: &State,
        over: Counter,
        until: Counter,
        with_rejected: bool,
        limits: &Limits,
    ) -> Option<State> {
        let needed = usize::try_from(until.0.checked_sub(over.0)?).ok()?;
        if needed == 0 {
            return Some(start.clone());
        }
        let covered =
            self.owns.front()?.change.counter <= over && self.owns.back()?.change.counter.next() >= until;
        if !covered || needed > MAX_REBUILD_MERGES {
            return None;
        }
        let mut current = start.clone();
        let mut walk = Walk::default();
        for own in &self.owns {
            let inside = own.change.counter >= over && own.change.counter < until;
            if inside && (with_rejected || own.fate != OwnFate::Rejected) {
                let seen = walk.seen(own)?;
                let merge = if with_rejected { merged_in } else { carried_over };
                current = merge(&seen, own, current, limits);
            }
            walk.step(own, limits);
        }
        Some(current)
    }
}

/// Goes through a window, knowing what the author saw at each change.
#[derive(Default)]
pub(crate) struct Walk {
    state: Option<State>,
}

impl Walk {
    /// What the author of the next change saw.
    pub(crate) fn seen(&self, own: &Own) -> Option<State> {
        own.start.clone().or_else(|| self.state.clone())
    }

    /// Goes past a change.
    pub(crate) fn step(&mut self, own: &Own, limits: &Limits) {
        if let Some(start) = &own.start {
            self.state = Some(start.clone());
        }
        if let Some(state) = &mut self.state {
            apply_to_seen(state, &own.change.body, limits);
        }
    }
}

/// The state with an own change carried over to it that was made on the same with rejected changes: as it was when the authority
/// accepted it, whatever the policy.
fn carried_over(seen: &State, own: &Own, current: State, limits: &Limits) -> State {
    let Body::Edit { patch, .. } = &own.change.body else { return merged_in(seen, own, current, limits) };
    if !seen.is_alive() || !current.is_alive() {
        return current;
    }
    match transposed(seen, patch, &current, &current.header, limits) {
        Ok(content) => State { content, ..current },
        Err(_) => current,
    }
}

/// The state with an own change merged in. A change that cannot take effect contributes nothing.
///
/// Under `latest` the own change counts as the later one: neither side can know here when it will be received.
pub(crate) fn merged_in(seen: &State, own: &Own, current: State, limits: &Limits) -> State {
    let newer = |_: &PlacePath| Side::Incoming;
    let meeting = Meeting {
        body: &own.change.body,
        seen,
        clean: None,
        current: &current,
        #[cfg(feature = "crdt")]
        update: None,
        #[cfg(feature = "crdt")]
        is_measured: false,
        newer: &newer,
        limits,
    };
    match decide(&meeting) {
        Ok(outcome) => outcome.state,
        Err(_) => current,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use rejoin_json::{Json, Operation, Patch};
    use rejoin_wire::{Body, DocumentId, Header, ReplicaId, UnixMillis};
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    fn own(counter: u64, over: u64, body: Body) -> Own {
        let (counter, over) = (Counter(counter), Counter(over));
        let (replica, base, time) = (ReplicaId(1), Revision(0), UnixMillis(0));
        let change = Change { replica, counter, base, over, time, body };
        let hash = change.hash(&DocumentId::new("d").unwrap());
        Own {
            change: Arc::new(change),
            hash,
            start: None,
            fate: OwnFate::Pending,
            progress: Progress::default(),
        }
    }

    fn edit(counter: u64, over: u64) -> Own {
        let path = "/n".try_into().unwrap();
        let patch = Patch(vec![Operation::Replace { path, value: Json::from(2) }]);
        own(counter, over, Body::Edit { patch, settles: Vec::new(), undoes: None })
    }

    #[test]
    fn what_the_authority_would_take_for_the_base_is_told_with_what_was_seen() {
        let limits = Limits::default();
        let mut window = Window::default();
        let content = Json::parse(r#"{"n":1}"#, &limits).unwrap();
        let create = own(1, 1, Body::Create { header: Header::default(), content });
        window.append(Own { start: Some(State::absent()), ..create }, &limits);
        window.append(edit(2, 1), &limits);
        assert!(window.newest().unwrap().start.is_none(), "it follows, as its numbers say");
        let seen = window.after().cloned();
        window.append(edit(3, 3), &limits);
        assert_eq!(
            window.newest().unwrap().start,
            seen,
            "its numbers say that it was made on the base itself"
        );
    }
}
