//! Who else is present on a document, as a subscriber knows it.

use std::ops::RangeInclusive;
use std::sync::Arc;

use rejoin_json::Json;
use rejoin_wire::limits::MAX_MEMBERS_PER_MESSAGE;
use rejoin_wire::{Member, MemberId, PresenceChange};

use super::{check, patched};
use crate::collections::BTreeMap;

/// What one of the others shows.
#[derive(Clone, Debug, PartialEq)]
pub struct Presence {
    /// As whom the authority knows the member.
    pub principal: Arc<str>,
    /// Its state.
    pub state: Json,
}

/// What a message changed for a subscriber.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum PresentChange {
    /// Somebody came.
    Joined(MemberId),
    /// Somebody shows something else.
    Changed(MemberId),
    /// Somebody is gone.
    Left(MemberId),
}

/// The others on a document.
///
/// A patch for a member that is not known is skipped, and the member stays unknown until it is told whole: by the
/// next keyframe, or when its state comes as a whole. That only happens where a frame was missed, and whoever leaves
/// a frame out owes a keyframe. The same holds for a state that breaks the limits: the member is taken for unknown.
#[derive(Clone, Debug, Default)]
pub struct Present {
    /// At most [`MAX_MEMBERS_PER_MESSAGE`], as many as a keyframe can name.
    others: BTreeMap<MemberId, Arc<Presence>>,
}

impl Present {
    /// Knows of nobody.
    pub const fn new() -> Self {
        Self { others: BTreeMap::new() }
    }

    /// Takes the parts of a [`Message::Members`](rejoin_wire::Message::Members), without what it says about the
    /// receiver's own members, and returns what changed, by member.
    pub fn apply(
        &mut self,
        own: &RangeInclusive<MemberId>,
        keyframe: bool,
        members: Vec<Member>,
        left: &[MemberId],
    ) -> Vec<PresentChange> {
        let mut changes = BTreeMap::new();
        let mut before = if keyframe { std::mem::take(&mut self.others) } else { BTreeMap::new() };
        // A keyframe builds on nothing, so a patch has no place in it.
        let counts = |member: &Member| {
            let is_patch = matches!(member.change, PresenceChange::Patch(_));
            !own.contains(&member.member) && (!keyframe || !is_patch)
        };
        for member in members.into_iter().filter(counts) {
            let id = member.member;
            if let Some(known) = before.remove(&id) {
                self.others.insert(id, known);
            }
            note(&mut changes, self.tell(member));
        }
        for id in left {
            note(&mut changes, self.remove(*id));
        }
        for id in before.into_keys() {
            note(&mut changes, Some(PresentChange::Left(id)));
        }
        changes.into_values().collect()
    }

    /// Forgets everybody, because the link is lost and nothing is known; returns who is gone.
    pub fn clear(&mut self) -> Vec<PresentChange> {
        std::mem::take(&mut self.others).into_keys().map(PresentChange::Left).collect()
    }

    /// Everybody, as somebody has to be told who knows of nobody.
    pub(crate) fn everybody(&self) -> Vec<PresentChange> {
        self.others.keys().copied().map(PresentChange::Joined).collect()
    }

    /// What this member shows.
    pub fn presence(&self, member: MemberId) -> Option<&Presence> {
        self.others.get(&member).map(Arc::as_ref)
    }

    /// Has what a member shows be held together with others who hold the same: whoever serves many links holds a copy for each otherwise. `same` gives
    /// what is equal to it.
    pub fn share(&mut self, member: MemberId, same: impl FnOnce(&Arc<Presence>) -> Arc<Presence>) {
        if let Some(presence) = self.others.get_mut(&member) {
            *presence = same(presence);
        }
    }

    /// The others by member id.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (MemberId, &Presence)> {
        self.others.iter().map(|(member, presence)| (*member, presence.as_ref()))
    }

    /// How many others are known.
    pub fn len(&self) -> usize {
        self.others.len()
    }

    /// Whether nobody else is known.
    pub fn is_empty(&self) -> bool {
        self.others.is_empty()
    }

    fn tell(&mut self, member: Member) -> Option<PresentChange> {
        let Member { member: id, principal, change } = member;
        let full = self.others.len() >= MAX_MEMBERS_PER_MESSAGE;
        let known = self.others.get_mut(&id);
        let state = match (change, &known) {
            (PresenceChange::Set(state), _) => check(&state).map(|()| state),
            (PresenceChange::Patch(patch), Some(known)) => patched(&known.state, &patch),
            (PresenceChange::Patch(_), None) => return None,
            (PresenceChange::Leave, _) => return self.remove(id),
        };
        let Ok(state) = state else { return self.remove(id) };
        match known {
            Some(known) => {
                let told = Presence { principal, state };
                let changed = **known != told;
                if changed {
                    *known = Arc::new(told);
                }
                changed.then_some(PresentChange::Changed(id))
            }
            None if full => None,
            None => {
                self.others.insert(id, Arc::new(Presence { principal, state }));
                Some(PresentChange::Joined(id))
            }
        }
    }

    fn remove(&mut self, member: MemberId) -> Option<PresentChange> {
        self.others.remove(&member).map(|_| PresentChange::Left(member))
    }
}

/// Adds to what one message changed; what it says twice about a member becomes one change.
fn note(changes: &mut BTreeMap<MemberId, PresentChange>, change: Option<PresentChange>) {
    use PresentChange::{Changed, Joined, Left};
    let Some(change) = change else { return };
    let (Joined(id) | Changed(id) | Left(id)) = change;
    match (changes.remove(&id), change) {
        (Some(Joined(_)), Left(_)) => {}
        (Some(Joined(_)), _) => {
            changes.insert(id, Joined(id));
        }
        (Some(Left(_)), Joined(_)) => {
            changes.insert(id, Changed(id));
        }
        (_, change) => {
            changes.insert(id, change);
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::super::tests::json;
    use super::PresentChange::{Changed, Joined, Left};
    use super::*;

    const OWN: &RangeInclusive<MemberId> = &(MemberId(98)..=MemberId(99));

    fn member(id: u64, change: PresenceChange) -> Member {
        Member { member: MemberId(id), principal: "ada".into(), change }
    }

    fn set(id: u64, state: &str) -> Member {
        member(id, PresenceChange::Set(json(state)))
    }

    fn patch(id: u64, patch: &str) -> Member {
        member(id, PresenceChange::Patch(json(patch)))
    }

    fn state(present: &Present, id: u64) -> Option<String> {
        present.presence(MemberId(id)).map(|presence| presence.state.canonical())
    }

    #[test]
    fn a_keyframe_replaces_everybody_and_reports_only_what_differs() {
        let mut present = Present::new();
        let first = present.apply(OWN, true, vec![set(1, "1"), set(2, "2"), set(3, "3")], &[]);
        assert_eq!(first, [Joined(MemberId(1)), Joined(MemberId(2)), Joined(MemberId(3))]);
        let second = present.apply(OWN, true, vec![set(1, "1"), set(2, "20"), set(4, "4")], &[]);
        assert_eq!(second, [Changed(MemberId(2)), Left(MemberId(3)), Joined(MemberId(4))]);
        assert_eq!(present.iter().map(|(id, _)| id.0).collect::<Vec<_>>(), [1, 2, 4]);
        assert_eq!(present.clear(), [Left(MemberId(1)), Left(MemberId(2)), Left(MemberId(4))]);
        assert!(present.is_empty());
    }

    #[test]
    fn what_a_message_says_of_the_receiver_itself_is_skipped() {
        let mut present = Present::new();
        for own in [98, 99] {
            assert_eq!(present.apply(OWN, true, vec![set(own, "1")], &[]), []);
            assert_eq!(present.apply(OWN, false, vec![set(own, "1")], &[MemberId(own)]), []);
        }
        assert!(present.is_empty());
    }

    #[test]
    fn a_patch_for_an_unknown_member_waits_for_the_whole_state() {
        let mut present = Present::new();
        assert_eq!(present.apply(OWN, false, vec![patch(1, r#"{"x":1}"#)], &[]), []);
        assert_eq!(present.apply(OWN, true, vec![patch(1, r#"{"x":1}"#)], &[]), []);
        assert!(present.is_empty());
        assert_eq!(present.apply(OWN, false, vec![set(1, r#"{"y":2}"#)], &[]), [Joined(MemberId(1))]);
        assert_eq!(present.apply(OWN, false, vec![patch(1, r#"{"x":1}"#)], &[]), [Changed(MemberId(1))]);
        assert_eq!(state(&present, 1).unwrap(), r#"{"x":1,"y":2}"#);
    }

    #[test]
    fn a_state_that_breaks_the_limits_makes_its_member_unknown() {
        let mut present = Present::new();
        let long = format!("{:?}", "x".repeat(super::super::MAX_PRESENCE_BYTES));
        present.apply(OWN, false, vec![set(1, "{}"), set(2, &long)], &[]);
        assert_eq!((state(&present, 1), state(&present, 2)), (Some("{}".into()), None));
        let half = format!("{:?}", "x".repeat(super::super::MAX_PRESENCE_BYTES / 2));
        assert_eq!(
            present.apply(OWN, false, vec![patch(1, &format!(r#"{{"a":{half}}}"#))], &[]),
            [Changed(MemberId(1))]
        );
        assert_eq!(
            present.apply(OWN, false, vec![patch(1, &format!(r#"{{"b":{half}}}"#))], &[]),
            [Left(MemberId(1))]
        );
    }

    #[test]
    fn no_more_members_are_known_than_one_keyframe_can_name() {
        let mut present = Present::new();
        for first in [0, 3_000] {
            let members = (first..first + 3_000).map(|id| set(id, "0")).collect();
            present.apply(&(MemberId(u64::MAX)..=MemberId(u64::MAX)), false, members, &[]);
        }
        assert_eq!(present.len(), MAX_MEMBERS_PER_MESSAGE);
        assert_eq!(present.apply(OWN, false, vec![set(5_900, "0")], &[]), []);
        assert_eq!(present.apply(OWN, false, vec![set(1, "1")], &[]), [Changed(MemberId(1))]);
    }

    #[test]
    fn what_one_message_says_twice_is_one_change() {
        let mut present = Present::new();
        let leave = |id| member(id, PresenceChange::Leave);
        assert_eq!(present.apply(OWN, false, vec![set(1, "1"), set(1, "2")], &[]), [Joined(MemberId(1))]);
        assert_eq!(present.apply(OWN, false, vec![set(2, "1"), leave(2)], &[]), []);
        assert_eq!(present.apply(OWN, false, vec![leave(1), set(1, "3")], &[]), [Changed(MemberId(1))]);
        assert_eq!(present.apply(OWN, false, vec![set(1, "4")], &[MemberId(1)]), [Left(MemberId(1))]);
    }
}
