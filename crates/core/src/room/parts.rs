//! What the parts of the program show of themselves on one document, each as a member of its own.

use rejoin_json::Json;
use rejoin_wire::PresenceChange;
use rejoin_wire::limits::MAX_PRESENCE_PARTS;

use super::{OwnPresence, PresenceError};
use crate::time::Instant;

/// The presence of a replica's parts on a document: part 0 under the link's own member number, each other one under one of the
/// [`MAX_PRESENCE_PARTS`] numbers after it.
#[derive(Clone, Debug, Default)]
pub(crate) struct OwnParts {
    parts: Vec<OwnPart>,
    /// The number that was given last.
    last: u32,
}

#[derive(Clone, Debug)]
struct OwnPart {
    part: u64,
    /// 0 for part 0.
    number: u32,
    shown: OwnPresence,
}

impl OwnPart {
    /// Whether it shows something, or has to say yet that it does no more.
    fn is_needed(&self) -> bool {
        self.shown.state().is_some() || self.shown.poll_timeout().is_some()
    }
}

impl OwnParts {
    /// Has a part show this state from now on.
    pub(crate) fn set(&mut self, part: u64, state: Json) -> Result<(), PresenceError> {
        if let Some(known) = self.parts.iter_mut().find(|known| known.part == part) {
            return known.shown.set(state);
        }
        let mut shown = OwnPresence::new();
        shown.set(state.clone())?;
        let number = if part == 0 { Some(0) } else { self.free_number() };
        if let Some(number) = number {
            self.parts.push(OwnPart { part, number, shown });
            return Ok(());
        }
        // One that has to say yet that it left needs not say so when another one goes on under its number.
        let left = self.parts.iter_mut().find(|known| known.part != 0 && known.shown.state().is_none());
        let left = left.ok_or(PresenceError::TooManyParts)?;
        left.part = part;
        left.shown.set(state)
    }

    /// Has a part show nothing any more.
    pub(crate) fn leave(&mut self, part: u64) {
        if let Some(known) = self.parts.iter_mut().find(|known| known.part == part) {
            known.shown.leave();
        }
        self.release();
    }

    /// Has no part show anything any more, on a document that stays open upstream.
    pub(crate) fn leave_all(&mut self) {
        for known in &mut self.parts {
            known.shown.leave();
        }
        self.release();
    }

    /// Has no part show anything any more, on a document that is closed upstream, which takes the presence away by itself.
    pub(crate) fn close(&mut self) {
        self.parts.clear();
    }

    /// Forgets what the authority was sent, because the link closed: the whole states are due on the next.
    pub(crate) fn forget_sent(&mut self) {
        for known in &mut self.parts {
            known.shown.forget_sent();
        }
        self.release();
    }

    /// The authority refused something that it was sent, without saying of whom.
    pub(crate) fn refused(&mut self, now: Instant) {
        for known in &mut self.parts {
            known.shown.refused(now);
        }
    }

    /// When something is due to be sent; `None` when the authority has it all.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        self.parts.iter().filter_map(|known| known.shown.poll_timeout()).min()
    }

    /// What is due to be sent next, with the number of whom it is about.
    pub(crate) fn poll_send(&mut self, now: Instant) -> Option<(u32, PresenceChange)> {
        let send = |known: &mut OwnPart| Some((known.number, known.shown.poll_send(now)?));
        let due = self.parts.iter_mut().find_map(send);
        self.release();
        due
    }

    /// Gives back the numbers of parts that are gone.
    fn release(&mut self) {
        self.parts.retain(OwnPart::is_needed);
    }

    /// A number that no part has. Long unused ones first: what is still told of the last who had one is not taken for the next.
    fn free_number(&mut self) -> Option<u32> {
        let after = (1..=MAX_PRESENCE_PARTS).map(|step| (self.last + step - 1) % MAX_PRESENCE_PARTS + 1);
        let is_free = |number: &u32| self.parts.iter().all(|known| known.number != *number);
        let number = after.into_iter().find(is_free)?;
        self.last = number;
        Some(number)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::super::tests::json;
    use super::super::{MAX_PRESENCE_BYTES, PRESENCE_INTERVAL};
    use super::*;

    const START: Instant = Instant(1_000_000);

    fn drain(parts: &mut OwnParts, now: Instant) -> Vec<(u32, PresenceChange)> {
        std::iter::from_fn(|| parts.poll_send(now)).collect()
    }

    fn set(state: &str) -> PresenceChange {
        PresenceChange::Set(json(state))
    }

    #[test]
    fn each_part_is_sent_under_its_own_number_and_at_its_own_pace() {
        let mut parts = OwnParts::default();
        parts.set(77, json("1")).unwrap();
        parts.set(0, json("2")).unwrap();
        parts.set(99, json("3")).unwrap();
        assert_eq!(drain(&mut parts, START), [(1, set("1")), (0, set("2")), (2, set("3"))]);
        assert_eq!((drain(&mut parts, START), parts.poll_timeout()), (vec![], None));
        parts.set(99, json("4")).unwrap();
        let due = START + PRESENCE_INTERVAL;
        assert_eq!((drain(&mut parts, START), parts.poll_timeout()), (vec![], Some(due)));
        assert_eq!(drain(&mut parts, due), [(2, set("4"))]);
        parts.leave(77);
        assert_eq!(drain(&mut parts, due + PRESENCE_INTERVAL), [(1, PresenceChange::Leave)]);
        parts.leave(5);
        assert_eq!((drain(&mut parts, due + PRESENCE_INTERVAL), parts.poll_timeout()), (vec![], None));
    }

    #[test]
    fn so_many_parts_are_shown_besides_the_first_and_one_more_when_one_has_left() {
        let mut parts = OwnParts::default();
        for part in 0..=u64::from(MAX_PRESENCE_PARTS) {
            parts.set(part, json("1")).unwrap();
        }
        let _ = drain(&mut parts, START);
        assert_eq!(parts.set(1_000, json("1")), Err(PresenceError::TooManyParts));
        parts.set(3, json("2")).unwrap();
        parts.leave(0);
        assert_eq!(parts.set(1_000, json("1")), Err(PresenceError::TooManyParts), "that number is its own");
        parts.leave(5);
        parts.set(1_000, json("7")).unwrap();
        assert_eq!(parts.set(1_001, json("1")), Err(PresenceError::TooManyParts));
        let sent = drain(&mut parts, START + PRESENCE_INTERVAL);
        assert_eq!(sent, [(0, PresenceChange::Leave), (3, set("2")), (5, set("7"))]);
    }

    #[test]
    fn a_number_is_given_again_after_all_others() {
        let mut parts = OwnParts::default();
        let mut now = START;
        for part in 0..2 * MAX_PRESENCE_PARTS {
            parts.set(u64::from(part) + 100, json("1")).unwrap();
            assert_eq!(drain(&mut parts, now), [(part % MAX_PRESENCE_PARTS + 1, set("1"))]);
            parts.leave(u64::from(part) + 100);
            now = now + PRESENCE_INTERVAL;
            assert_eq!(drain(&mut parts, now).len(), 1);
            now = now + PRESENCE_INTERVAL;
        }
    }

    #[test]
    fn a_state_that_is_refused_takes_no_number() {
        let mut parts = OwnParts::default();
        let long = json(&format!("{:?}", "x".repeat(MAX_PRESENCE_BYTES)));
        for part in 1..100 {
            assert_eq!(parts.set(part, long.clone()), Err(PresenceError::TooLarge));
        }
        parts.set(1, json("1")).unwrap();
        assert_eq!(drain(&mut parts, START), [(1, set("1"))]);
    }

    #[test]
    fn a_new_link_gets_the_states_of_all_parts_that_are_left() {
        let mut parts = OwnParts::default();
        for part in [0, 8, 9] {
            parts.set(part, json("1")).unwrap();
        }
        let _ = drain(&mut parts, START);
        parts.leave(8);
        parts.forget_sent();
        assert_eq!(drain(&mut parts, START + PRESENCE_INTERVAL), [(0, set("1")), (2, set("1"))]);
        parts.close();
        assert_eq!(parts.poll_timeout(), None);
    }
}
