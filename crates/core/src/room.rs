//! Presence of one document: who is here, and what each of them shows of itself.
//!
//! Presence is never stored and ends with its connection. Three parts share its work: [`OwnPresence`] sends what this
//! replica shows, [`Room`] gathers it where the document's subscribers meet, and [`Present`] is what a subscriber
//! knows of the others.
//!
//! One frame serves everybody in a room. It names the sender of a state too, who skips what concerns itself: encoding
//! once for all costs less than leaving one member out for each. Only a frame that concerns one member alone, which
//! is the common case of one person moving a cursor, needs not be sent to that member, see [`Flush::sole`].

use std::sync::Arc;
use std::time::Duration;

use rejoin_json::{Json, Limits, merge_patch_apply, merge_patch_diff};
use rejoin_wire::limits::{MAX_DEPTH, MAX_PRESENCE_BYTES, MAX_PRESENCE_PARTS};
use rejoin_wire::{DocumentId, ErrorCode, Member, MemberId, Message, PresenceChange};

use crate::collections::{BTreeMap, BTreeSet};
use crate::time::Instant;

mod own;
mod parts;
mod present;

pub use own::OwnPresence;
pub(crate) use parts::OwnParts;
pub use present::{Presence, Present, PresentChange};

/// The shortest time between two frames of presence: twenty a second look smooth, and a crowd of cursors costs no
/// more.
pub const PRESENCE_INTERVAL: Duration = Duration::from_millis(50);

/// How long a member whose state was refused waits before it tries again: the room may be full for long.
pub const PRESENCE_RETRY: Duration = Duration::from_secs(5);

/// Members that one room names.
pub const MAX_ROOM_MEMBERS: usize = 1_024;

/// Bytes of all states of one room together: a frame about everybody may be due in every interval, and goes to
/// everybody. A full room still has a kilobyte for each member, where a name and a cursor take a hundred bytes.
pub const MAX_ROOM_BYTES: usize = 1024 * 1024;

/// Says why a presence state was not taken. What the member showed before stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PresenceError {
    /// The state, or the patch, is too large.
    #[error(
        "a presence state has at most {MAX_PRESENCE_BYTES} bytes: show less, and put what should last into the document"
    )]
    TooLarge,
    /// The state is nested too deeply.
    #[error("a presence state is nested at most {MAX_DEPTH} deep: flatten it")]
    TooDeep,
    /// The room shows as much as it can.
    #[error(
        "a room shows at most {MAX_ROOM_MEMBERS} members and {MAX_ROOM_BYTES} bytes: \
         show less, or try again when somebody has left"
    )]
    RoomFull,
    /// All numbers for parts of the program are taken.
    #[error(
        "at most {MAX_PRESENCE_PARTS} parts of a program show their presence on a document: show less of them"
    )]
    TooManyParts,
    /// A patch came from somebody who shows nothing.
    #[error("there is no state to patch: send the whole state first")]
    NothingToPatch,
}

impl PresenceError {
    /// The code with which a link refuses the message.
    pub const fn code(self) -> ErrorCode {
        match self {
            Self::TooLarge => ErrorCode::TooLarge,
            Self::TooDeep => ErrorCode::TooDeep,
            Self::RoomFull | Self::TooManyParts => ErrorCode::RateLimited,
            Self::NothingToPatch => ErrorCode::UnexpectedMessage,
        }
    }
}

/// Everybody who shows something on one document, and what the subscribers have been told of it.
///
/// The owner feeds it what members send ([`apply`](Self::apply), with the member that the link belongs to: a member
/// speaks only for itself), says when one is gone ([`leave`](Self::leave)), and drains it:
/// [`poll_timeout`](Self::poll_timeout) says when a frame is due, [`poll_flush`](Self::poll_flush) makes it. A
/// subscriber's first frame is a [`keyframe`](Self::keyframe); from then on it gets every flush. One that missed a
/// flush, as presence is what a slow reader loses first, gets nothing until its next keyframe, since patches build on
/// what was told before.
#[derive(Clone, Debug)]
pub struct Room {
    document: DocumentId,
    members: BTreeMap<MemberId, Occupant>,
    /// Members whose state may differ from what was told.
    changed: BTreeSet<MemberId>,
    /// Told of, and gone since.
    left: BTreeSet<MemberId>,
    /// Of all states.
    bytes: usize,
    version: u64,
    next_flush: Instant,
}

#[derive(Clone, Debug)]
struct Occupant {
    principal: Arc<str>,
    state: Json,
    /// What every subscriber holds; none before the first flush.
    flushed: Option<Json>,
    /// Subscribers hold other states than the flushed one, because a keyframe came between two flushes or the member
    /// went and came: the next flush names the whole state.
    mixed: bool,
}

/// A frame for all subscribers of a room.
#[derive(Clone, Debug, PartialEq)]
pub struct Flush {
    /// The frame's message, of the kind [`Message::Members`].
    pub message: Message,
    /// The member that the frame is about, when it is about nobody else: it learns nothing from it and can be left
    /// out.
    pub sole: Option<MemberId>,
}

impl Room {
    /// Opens an empty room.
    pub const fn new(document: DocumentId) -> Self {
        Self {
            document,
            members: BTreeMap::new(),
            changed: BTreeSet::new(),
            left: BTreeSet::new(),
            bytes: 0,
            version: 0,
            next_flush: Instant(0),
        }
    }

    /// Takes what a member says of itself.
    pub fn apply(
        &mut self,
        member: MemberId,
        principal: &Arc<str>,
        change: PresenceChange,
    ) -> Result<(), PresenceError> {
        match change {
            PresenceChange::Set(state) => self.set(member, principal, state),
            PresenceChange::Patch(patch) => self.patch(member, &patch),
            PresenceChange::Leave => {
                self.leave(member);
                Ok(())
            }
        }
    }

    /// Makes this the member's whole state; joins it when it was not here.
    pub fn set(&mut self, member: MemberId, principal: &Arc<str>, state: Json) -> Result<(), PresenceError> {
        check(&state)?;
        if self.members.contains_key(&member) {
            return self.replace(member, state);
        }
        let bytes = self.bytes + state.encoded_len();
        if self.members.len() >= MAX_ROOM_MEMBERS || bytes > MAX_ROOM_BYTES {
            return Err(PresenceError::RoomFull);
        }
        // Of one that left and is back between two flushes, subscribers still hold the old state.
        let mixed = self.left.remove(&member);
        self.members.insert(member, Occupant { principal: principal.clone(), state, flushed: None, mixed });
        self.touch(member, bytes);
        Ok(())
    }

    /// Applies a merge patch (RFC 7396) to the member's state.
    pub fn patch(&mut self, member: MemberId, patch: &Json) -> Result<(), PresenceError> {
        let occupant = self.members.get(&member).ok_or(PresenceError::NothingToPatch)?;
        let state = patched(&occupant.state, patch)?;
        self.replace(member, state)
    }

    /// Takes a member out at once, because it said so or its link closed; true when it was here.
    pub fn leave(&mut self, member: MemberId) -> bool {
        let Some(occupant) = self.members.remove(&member) else { return false };
        self.changed.remove(&member);
        self.bytes -= occupant.state.encoded_len();
        if occupant.flushed.is_some() || occupant.mixed {
            self.left.insert(member);
        }
        self.version += 1;
        true
    }

    /// Takes out all members of a range: one link with everybody that it speaks for.
    pub fn leave_all(&mut self, members: std::ops::RangeInclusive<MemberId>) {
        let gone: Vec<MemberId> = self.members.range(members).map(|(member, _)| *member).collect();
        for member in gone {
            self.leave(member);
        }
    }

    /// The first frame of a subscriber: everybody's state now.
    ///
    /// The message stays the same as long as [`version`](Self::version) does, so its bytes can be kept for a storm of
    /// joiners.
    pub fn keyframe(&mut self) -> Message {
        for member in &self.changed {
            if let Some(occupant) = self.members.get_mut(member) {
                occupant.mixed = true;
            }
        }
        let members = self.members.iter().map(|(member, occupant)| Member {
            member: *member,
            principal: occupant.principal.clone(),
            change: PresenceChange::Set(occupant.state.clone()),
        });
        self.message(true, members.collect(), Vec::new())
    }

    /// When the next frame is due; `None` when nothing has changed.
    pub fn poll_timeout(&self) -> Option<Instant> {
        (!self.changed.is_empty() || !self.left.is_empty()).then_some(self.next_flush)
    }

    /// The frame that is due, if one is: what changed since the last, at most one in [`PRESENCE_INTERVAL`].
    pub fn poll_flush(&mut self, now: Instant) -> Option<Flush> {
        if self.poll_timeout().is_none_or(|due| now < due) {
            return None;
        }
        let changed = std::mem::take(&mut self.changed);
        let left: Vec<MemberId> = std::mem::take(&mut self.left).into_iter().collect();
        let members: Vec<Member> = changed
            .into_iter()
            .filter_map(|member| {
                let occupant = self.members.get_mut(&member)?;
                let change = occupant.flush()?;
                Some(Member { member, principal: occupant.principal.clone(), change })
            })
            .collect();
        let sole = match (members.as_slice(), left.as_slice()) {
            ([], []) => return None,
            ([one], []) => Some(one.member),
            ([], [one]) => Some(*one),
            _ => None,
        };
        self.next_flush = now + PRESENCE_INTERVAL;
        Some(Flush { message: self.message(false, members, left), sole })
    }

    /// What a member shows.
    pub fn state(&self, member: MemberId) -> Option<&Json> {
        self.members.get(&member).map(|occupant| &occupant.state)
    }

    /// Counts the changes of what a keyframe says.
    pub const fn version(&self) -> u64 {
        self.version
    }

    /// Number of members.
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// Whether nobody shows anything.
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// The members by id, with their principals and states.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (MemberId, &Arc<str>, &Json)> {
        self.members.iter().map(|(member, occupant)| (*member, &occupant.principal, &occupant.state))
    }

    fn replace(&mut self, member: MemberId, state: Json) -> Result<(), PresenceError> {
        let Some(occupant) = self.members.get_mut(&member) else { return Ok(()) };
        if occupant.state == state {
            return Ok(());
        }
        let bytes = self.bytes - occupant.state.encoded_len() + state.encoded_len();
        if bytes > MAX_ROOM_BYTES {
            return Err(PresenceError::RoomFull);
        }
        occupant.state = state;
        self.touch(member, bytes);
        Ok(())
    }

    fn touch(&mut self, member: MemberId, bytes: usize) {
        self.bytes = bytes;
        self.changed.insert(member);
        self.version += 1;
    }

    fn message(&self, keyframe: bool, members: Vec<Member>, left: Vec<MemberId>) -> Message {
        Message::Members { document: self.document.clone(), keyframe, members, left }
    }
}

impl Occupant {
    /// What to tell subscribers, who from now on hold the state; `None` when they do already.
    fn flush(&mut self) -> Option<PresenceChange> {
        let known = if std::mem::take(&mut self.mixed) { None } else { self.flushed.as_ref() };
        let change = difference(known, &self.state);
        self.flushed = Some(self.state.clone());
        change
    }
}

/// Refuses what is too large for a state.
fn check(state: &Json) -> Result<(), PresenceError> {
    if state.encoded_len() > MAX_PRESENCE_BYTES {
        Err(PresenceError::TooLarge)
    } else if state.depth() > MAX_DEPTH {
        Err(PresenceError::TooDeep)
    } else {
        Ok(())
    }
}

/// The state after a merge patch.
fn patched(state: &Json, patch: &Json) -> Result<Json, PresenceError> {
    // A patch is only sent where it is smaller than the state that it makes.
    check(patch)?;
    let mut state = state.clone();
    merge_patch_apply(&mut state, patch, &Limits::default()).map_err(|_| PresenceError::TooLarge)?;
    check(&state)?;
    Ok(state)
}

/// How a receiver that knows the one state learns the other: a patch where that is smaller; `None` where they are
/// equal.
fn difference(known: Option<&Json>, state: &Json) -> Option<PresenceChange> {
    let Some(known) = known else { return Some(PresenceChange::Set(state.clone())) };
    if known == state {
        return None;
    }
    // A merge patch cannot say every difference: where it would write a null, it removes.
    let patch = merge_patch_diff(known, state).filter(|patch| patch.encoded_len() < state.encoded_len());
    Some(patch.map_or_else(|| PresenceChange::Set(state.clone()), PresenceChange::Patch))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    const START: Instant = Instant(1_000_000);

    pub(super) fn json(text: &str) -> Json {
        Json::parse(text, &Limits { max_depth: rejoin_json::MAX_DEPTH, ..Limits::default() }).unwrap()
    }

    fn room() -> Room {
        Room::new(DocumentId::new("d").unwrap())
    }

    fn name() -> Arc<str> {
        "ada".into()
    }

    fn set(room: &mut Room, member: u64, state: &str) {
        room.set(MemberId(member), &name(), json(state)).unwrap();
    }

    /// A message as (keyframe, (member, change), left), in text.
    fn told(message: &Message) -> (bool, Vec<(u64, String)>, Vec<u64>) {
        let Message::Members { keyframe, members, left, .. } = message else { panic!("{message:?}") };
        let change = |change: &PresenceChange| match change {
            PresenceChange::Set(state) => format!("set {state}"),
            PresenceChange::Patch(patch) => format!("patch {patch}"),
            PresenceChange::Leave => "leave".to_owned(),
        };
        let members = members.iter().map(|member| (member.member.0, change(&member.change))).collect();
        (*keyframe, members, left.iter().map(|member| member.0).collect())
    }

    type Told = (Vec<(u64, String)>, Vec<u64>);

    fn flush(room: &mut Room, now: Instant) -> Option<Told> {
        let (keyframe, members, left) = told(&room.poll_flush(now)?.message);
        assert!(!keyframe);
        Some((members, left))
    }

    #[test]
    fn the_first_change_is_told_at_once_and_the_next_ones_together_after_the_interval() {
        let mut room = room();
        assert_eq!((room.poll_timeout(), room.poll_flush(START)), (None, None));
        set(&mut room, 1, "1");
        assert!(room.poll_timeout().unwrap() <= START);
        assert_eq!(flush(&mut room, START), Some((vec![(1, "set 1".into())], vec![])));
        for state in 2..30 {
            set(&mut room, 1, &state.to_string());
            set(&mut room, 2, &state.to_string());
        }
        let due = START + PRESENCE_INTERVAL;
        assert_eq!(room.poll_timeout(), Some(due));
        assert_eq!(flush(&mut room, due - Duration::from_micros(1)), None);
        assert_eq!(flush(&mut room, due), Some((vec![(1, "set 29".into()), (2, "set 29".into())], vec![])));
        assert_eq!((room.poll_timeout(), room.poll_flush(due + PRESENCE_INTERVAL)), (None, None));
    }

    #[test]
    fn nothing_is_told_when_a_state_is_set_again_or_comes_back() {
        let mut room = room();
        set(&mut room, 1, r#"{"x":1}"#);
        let _ = room.poll_flush(START);
        let version = room.version();
        set(&mut room, 1, r#"{"x":1}"#);
        room.patch(MemberId(1), &json(r#"{"x":1}"#)).unwrap();
        assert_eq!((room.poll_timeout(), room.version()), (None, version));
        set(&mut room, 1, "2");
        set(&mut room, 1, r#"{"x":1}"#);
        assert_eq!(room.poll_flush(START + PRESENCE_INTERVAL), None);
        assert_eq!(room.poll_timeout(), None);
    }

    #[test]
    fn a_change_is_told_as_a_patch_where_that_is_smaller_and_says_it_exactly() {
        let cases = [
            (r#"{"name":"Ada","x":1}"#, r#"{"name":"Ada","x":2}"#, r#"patch {"x":2}"#),
            (r#"{"name":"Ada","x":1}"#, r#"{"name":"Ada"}"#, r#"patch {"x":null}"#),
            // As large as the state.
            (r#"{"x":1}"#, r#"{"x":2}"#, r#"set {"x":2}"#),
            // A merge patch has no way to write a null.
            (r#"{"name":"Ada","x":1}"#, r#"{"name":"Ada","x":null}"#, r#"set {"name":"Ada","x":null}"#),
            (r#"{"a":{"b":1},"c":0}"#, "[1,2]", "set [1,2]"),
        ];
        for (before, after, expected) in cases {
            let mut room = room();
            set(&mut room, 1, before);
            let _ = room.poll_flush(START);
            set(&mut room, 1, after);
            let (members, _) = flush(&mut room, START + PRESENCE_INTERVAL).unwrap();
            assert_eq!(members, [(1, expected.to_owned())], "{before} {after}");
        }
    }

    #[test]
    fn a_member_that_goes_is_gone_at_once_and_told_with_the_next_frame() {
        let mut room = room();
        set(&mut room, 1, "1");
        set(&mut room, 2, "2");
        let _ = room.poll_flush(START);
        assert!(room.leave(MemberId(1)) && !room.leave(MemberId(1)) && !room.leave(MemberId(7)));
        assert_eq!(told(&room.keyframe()), (true, vec![(2, "set 2".into())], vec![]));
        assert_eq!(flush(&mut room, START + PRESENCE_INTERVAL), Some((vec![], vec![1])));
    }

    #[test]
    fn nobody_hears_of_a_member_that_came_and_went_between_two_frames() {
        let mut room = room();
        set(&mut room, 1, "1");
        room.leave(MemberId(1));
        assert_eq!((room.poll_timeout(), room.poll_flush(START), room.len()), (None, None, 0));
        // Unless a keyframe named it.
        set(&mut room, 1, "1");
        let _ = room.keyframe();
        room.leave(MemberId(1));
        assert_eq!(flush(&mut room, START), Some((vec![], vec![1])));
    }

    #[test]
    fn one_that_left_and_is_back_is_told_whole_and_its_leaving_is_still_told() {
        let mut room = room();
        set(&mut room, 1, r#"{"name":"Ada","x":1}"#);
        let _ = room.poll_flush(START);
        room.leave(MemberId(1));
        set(&mut room, 1, r#"{"name":"Ada","x":1}"#);
        let whole = (1, r#"set {"name":"Ada","x":1}"#.to_owned());
        let due = START + PRESENCE_INTERVAL;
        assert_eq!(flush(&mut room.clone(), due), Some((vec![whole], vec![])));
        room.leave(MemberId(1));
        assert_eq!(flush(&mut room, due), Some((vec![], vec![1])));
    }

    #[test]
    fn a_late_joiner_gets_everybody_as_they_are_now_and_fits_into_the_frames_that_follow() {
        let mut room = room();
        set(&mut room, 1, r#"{"name":"Ada","x":1}"#);
        set(&mut room, 2, "2");
        let _ = room.poll_flush(START);
        set(&mut room, 1, r#"{"name":"Ada","x":1,"typing":true}"#);
        let now = vec![(1, r#"set {"name":"Ada","typing":true,"x":1}"#.into()), (2, "set 2".into())];
        assert_eq!(told(&room.keyframe()), (true, now, vec![]));
        // The early subscribers hold the state before, the late one the state after; both must end at the first.
        set(&mut room, 1, r#"{"name":"Ada","x":1}"#);
        let whole = (1, r#"set {"name":"Ada","x":1}"#.to_owned());
        assert_eq!(flush(&mut room, START + PRESENCE_INTERVAL), Some((vec![whole], vec![])));
    }

    #[test]
    fn a_frame_about_one_member_alone_names_it_to_be_left_out() {
        let mut room = room();
        let mut now = START;
        let mut sole = |room: &mut Room| {
            now = now + PRESENCE_INTERVAL;
            room.poll_flush(now).unwrap().sole
        };
        set(&mut room, 1, "1");
        assert_eq!(sole(&mut room), Some(MemberId(1)));
        set(&mut room, 1, "2");
        set(&mut room, 2, "2");
        assert_eq!(sole(&mut room), None);
        room.leave(MemberId(1));
        assert_eq!(sole(&mut room), Some(MemberId(1)));
        room.leave(MemberId(2));
        set(&mut room, 3, "3");
        assert_eq!(sole(&mut room), None);
    }

    #[test]
    fn a_state_is_taken_up_to_its_limits_and_refused_beyond() {
        let mut room = room();
        let string = |bytes: usize| json(&format!("{:?}", "x".repeat(bytes - 2)));
        let deep = |depth: usize| json(&format!("{}{}", "[".repeat(depth), "]".repeat(depth)));
        let mut apply = |change| room.apply(MemberId(1), &name(), change);
        assert_eq!(apply(PresenceChange::Set(string(MAX_PRESENCE_BYTES))), Ok(()));
        assert_eq!(apply(PresenceChange::Set(string(MAX_PRESENCE_BYTES + 1))), Err(PresenceError::TooLarge));
        assert_eq!(apply(PresenceChange::Set(deep(MAX_DEPTH))), Ok(()));
        assert_eq!(apply(PresenceChange::Set(deep(MAX_DEPTH + 1))), Err(PresenceError::TooDeep));
        // Each is small enough, and what they make is not.
        let half = "x".repeat(MAX_PRESENCE_BYTES / 2);
        assert_eq!(apply(PresenceChange::Set(json(&format!(r#"{{"a":"{half}"}}"#)))), Ok(()));
        let patch = PresenceChange::Patch(json(&format!(r#"{{"b":"{half}"}}"#)));
        assert_eq!(apply(patch), Err(PresenceError::TooLarge));
        let (_, _, state) = room.iter().next().unwrap();
        assert_eq!(state, &json(&format!(r#"{{"a":"{half}"}}"#)));
        let nobody = room.apply(MemberId(2), &name(), PresenceChange::Patch(json("{}")));
        assert_eq!(nobody, Err(PresenceError::NothingToPatch));
    }

    #[test]
    fn a_full_room_takes_no_more_members_but_their_changes() {
        let mut room = room();
        for member in 0..MAX_ROOM_MEMBERS as u64 {
            set(&mut room, member, "0");
        }
        let late = MemberId(u64::MAX);
        assert_eq!(room.set(late, &name(), json("0")), Err(PresenceError::RoomFull));
        set(&mut room, 0, "1");
        room.leave(MemberId(0));
        assert_eq!(room.set(late, &name(), json("0")), Ok(()));
        assert_eq!(room.len(), MAX_ROOM_MEMBERS);
    }

    #[test]
    fn the_states_of_a_room_have_a_limit_together() {
        let mut room = room();
        let large = format!("{:?}", "x".repeat(MAX_PRESENCE_BYTES - 2));
        let full = MAX_ROOM_BYTES / MAX_PRESENCE_BYTES;
        for member in 0..full as u64 {
            set(&mut room, member, &large);
        }
        let late = MemberId(u64::MAX);
        assert_eq!(room.set(late, &name(), json("0")), Err(PresenceError::RoomFull));
        set(&mut room, 0, r#"{"a":1}"#);
        assert_eq!(room.set(late, &name(), json("0")), Ok(()));
        let growth = json(&format!("{{\"a\":{:?}}}", "x".repeat(MAX_PRESENCE_BYTES - 8)));
        assert_eq!(room.patch(MemberId(0), &growth), Err(PresenceError::RoomFull));
        room.leave(late);
        assert_eq!(room.patch(MemberId(0), &growth), Ok(()));
        (0..full as u64).for_each(|member| assert!(room.leave(MemberId(member))));
        assert_eq!(room.bytes, 0);
    }

    #[derive(Clone, Debug)]
    enum Step {
        Change(u64, PresenceChange),
        Subscribe(usize),
        Miss(usize),
        Wait(u64),
    }

    fn states() -> impl Strategy<Value = Json> {
        let scalar =
            prop_oneof![Just("null"), Just("1"), Just("2"), Just(r#""a longer text, so that patches pay""#)];
        let object = prop::collection::btree_map("[abc]", scalar.clone(), 0..4).prop_map(|members| {
            let members: Vec<_> = members.iter().map(|(key, value)| format!("{key:?}:{value}")).collect();
            json(&format!("{{{}}}", members.join(",")))
        });
        prop_oneof![4 => object, 1 => scalar.prop_map(json)]
    }

    fn steps() -> impl Strategy<Value = Step> {
        let change = prop_oneof![
            3 => states().prop_map(PresenceChange::Set),
            3 => states().prop_map(PresenceChange::Patch),
            1 => Just(PresenceChange::Leave),
        ];
        prop_oneof![
            8 => (0..4_u64, change).prop_map(|(member, change)| Step::Change(member, change)),
            1 => (0..4_usize).prop_map(Step::Subscribe),
            1 => (0..4_usize).prop_map(Step::Miss),
            3 => (0..80_u64).prop_map(Step::Wait),
        ]
    }

    /// Subscriber `i` is member `i` too; those beyond only look on.
    #[derive(Default)]
    struct Subscriber {
        present: Present,
        /// Gets each flush; one that missed a flush gets none until its next keyframe.
        live: bool,
    }

    fn tell(subscriber: &mut Subscriber, own: usize, message: &Message) {
        let Message::Members { keyframe, members, left, .. } = message else { panic!("{message:?}") };
        subscriber.present.apply(
            &(MemberId(own as u64)..=MemberId(own as u64)),
            *keyframe,
            members.clone(),
            left,
        );
    }

    proptest! {
        #![proptest_config(rejoin_properties::cases(400))]

        #[test]
        fn every_subscriber_ends_with_what_the_room_shows_whenever_it_came(
            steps in prop::collection::vec(steps(), 0..80)
        ) {
            let mut room = room();
            let mut subscribers: [Subscriber; 4] = Default::default();
            let mut now = START;
            let mut last_frame = None;
            let end = [Step::Wait(PRESENCE_INTERVAL.as_millis().try_into().unwrap())];
            for step in steps.into_iter().chain(end) {
                match step {
                    Step::Change(member, change) => { let _ = room.apply(MemberId(member), &name(), change); }
                    Step::Subscribe(at) => {
                        tell(&mut subscribers[at], at, &room.keyframe());
                        subscribers[at].live = true;
                    }
                    Step::Miss(at) => subscribers[at].live = false,
                    Step::Wait(ms) => now = now + Duration::from_millis(ms),
                }
                if let Some(Flush { message, sole }) = room.poll_flush(now) {
                    prop_assert!(last_frame.is_none_or(|last| now.since(last) >= PRESENCE_INTERVAL));
                    last_frame = Some(now);
                    for (at, subscriber) in subscribers.iter_mut().enumerate().filter(|(_, one)| one.live) {
                        if sole != Some(MemberId(at as u64)) {
                            tell(subscriber, at, &message);
                        }
                    }
                }
            }
            prop_assert_eq!(room.poll_timeout(), None);
            prop_assert_eq!(room.bytes, room.iter().map(|(_, _, state)| state.encoded_len()).sum::<usize>());
            for (at, subscriber) in subscribers.iter().enumerate().filter(|(_, one)| one.live) {
                let others = room.iter().filter(|(member, _, _)| member.0 != at as u64);
                let expected: Vec<_> = others.map(|(member, _, state)| (member, state.clone())).collect();
                let seen: Vec<_> = subscriber.present.iter().map(|(member, one)| (member, one.state.clone())).collect();
                prop_assert_eq!(seen, expected);
            }
        }
    }
}
