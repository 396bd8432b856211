//! What this replica shows of itself on one document.

use rejoin_json::Json;
use rejoin_wire::PresenceChange;

use super::{PRESENCE_INTERVAL, PRESENCE_RETRY, PresenceError, check, difference, patched};
use crate::time::Instant;

/// The own presence on a document, sent to the authority at most once in [`PRESENCE_INTERVAL`].
///
/// The owner drains it while a link is open: [`poll_timeout`](Self::poll_timeout) says when something is due,
/// [`poll_send`](Self::poll_send) takes it.
#[derive(Clone, Debug, Default)]
pub struct OwnPresence {
    state: Option<Json>,
    sent: Sent,
    next_send: Instant,
}

/// What the authority holds, by what it was sent on this link.
#[derive(Clone, Debug, Default)]
enum Sent {
    #[default]
    Nothing,
    State(Json),
    /// That what was shown before is no longer.
    Left,
    /// It refused something, and holds what it took before.
    Unknown,
}

impl OwnPresence {
    /// Shows nothing.
    pub const fn new() -> Self {
        Self { state: None, sent: Sent::Nothing, next_send: Instant(0) }
    }

    /// Shows this state from now on.
    pub fn set(&mut self, state: Json) -> Result<(), PresenceError> {
        check(&state)?;
        self.state = Some(state);
        Ok(())
    }

    /// Changes what is shown by a merge patch (RFC 7396).
    pub fn patch(&mut self, patch: &Json) -> Result<(), PresenceError> {
        let state = self.state.as_ref().ok_or(PresenceError::NothingToPatch)?;
        self.state = Some(patched(state, patch)?);
        Ok(())
    }

    /// Shows nothing any more.
    pub fn leave(&mut self) {
        self.state = None;
    }

    /// What is shown.
    pub const fn state(&self) -> Option<&Json> {
        self.state.as_ref()
    }

    /// Forgets what the authority was sent, because a link opened: the whole state is due.
    pub fn forget_sent(&mut self) {
        self.sent = Sent::Nothing;
    }

    /// The authority refused what it was sent: the whole state is due again after [`PRESENCE_RETRY`]. Does nothing when it was sent nothing.
    pub fn refused(&mut self, now: Instant) {
        if matches!(self.sent, Sent::Nothing) {
            return;
        }
        self.sent = Sent::Unknown;
        self.next_send = now + PRESENCE_RETRY;
    }

    /// When something is due to be sent; `None` when the authority has it all.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let has_all = match (&self.state, &self.sent) {
            (None, Sent::Nothing | Sent::Left) => true,
            (Some(state), Sent::State(sent)) => state == sent,
            _ => false,
        };
        (!has_all).then_some(self.next_send)
    }

    /// What is due to be sent, if something is.
    pub fn poll_send(&mut self, now: Instant) -> Option<PresenceChange> {
        if self.poll_timeout().is_none_or(|due| now < due) {
            return None;
        }
        self.next_send = now + PRESENCE_INTERVAL;
        let sent = std::mem::take(&mut self.sent);
        let Some(state) = &self.state else {
            self.sent = Sent::Left;
            return Some(PresenceChange::Leave);
        };
        self.sent = Sent::State(state.clone());
        difference(if let Sent::State(known) = &sent { Some(known) } else { None }, state)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::time::Duration;

    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::super::tests::json;
    use super::*;

    const START: Instant = Instant(1_000_000);

    #[test]
    fn the_first_state_goes_at_once_and_whole_and_later_ones_as_patches_after_the_interval() {
        let mut own = OwnPresence::new();
        assert_eq!(own.poll_timeout(), None);
        own.set(json(r#"{"name":"Ada","x":1}"#)).unwrap();
        assert!(own.poll_timeout().unwrap() <= START);
        assert_eq!(own.poll_send(START), Some(PresenceChange::Set(json(r#"{"name":"Ada","x":1}"#))));
        for x in 2..9 {
            own.patch(&json(&format!(r#"{{"x":{x}}}"#))).unwrap();
        }
        let due = START + PRESENCE_INTERVAL;
        assert_eq!(own.poll_timeout(), Some(due));
        assert_eq!(own.poll_send(due - Duration::from_micros(1)), None);
        assert_eq!(own.poll_send(due), Some(PresenceChange::Patch(json(r#"{"x":8}"#))));
        assert_eq!((own.poll_timeout(), own.poll_send(due + PRESENCE_INTERVAL)), (None, None));
    }

    #[test]
    fn what_comes_back_to_what_was_sent_is_not_sent() {
        let mut own = OwnPresence::new();
        own.set(json("1")).unwrap();
        let _ = own.poll_send(START);
        own.set(json("2")).unwrap();
        own.set(json("1")).unwrap();
        assert_eq!(own.poll_timeout(), None);
        own.leave();
        assert_eq!(own.poll_send(START + PRESENCE_INTERVAL), Some(PresenceChange::Leave));
        own.leave();
        assert_eq!(own.poll_timeout(), None);
    }

    #[test]
    fn a_new_link_gets_the_whole_state() {
        let mut own = OwnPresence::new();
        own.forget_sent();
        assert_eq!(own.poll_timeout(), None);
        own.set(json(r#"{"a":1}"#)).unwrap();
        let _ = own.poll_send(START);
        own.patch(&json(r#"{"b":2}"#)).unwrap();
        own.forget_sent();
        let sent = own.poll_send(START + PRESENCE_INTERVAL);
        assert_eq!(sent, Some(PresenceChange::Set(json(r#"{"a":1,"b":2}"#))));
    }

    #[test]
    fn what_the_authority_refused_is_sent_again_whole_and_not_at_once() {
        let mut own = OwnPresence::new();
        own.set(json(r#"{"name":"Ada","x":1}"#)).unwrap();
        let _ = own.poll_send(START);
        own.refused(START);
        own.patch(&json(r#"{"x":2}"#)).unwrap();
        assert_eq!(own.poll_timeout(), Some(START + PRESENCE_RETRY));
        assert_eq!(own.poll_send(START + PRESENCE_RETRY - Duration::from_micros(1)), None);
        let whole = PresenceChange::Set(json(r#"{"name":"Ada","x":2}"#));
        assert_eq!(own.poll_send(START + PRESENCE_RETRY), Some(whole));
        // It may still hold what it took before.
        own.refused(START);
        own.leave();
        assert_eq!(own.poll_send(START + PRESENCE_RETRY), Some(PresenceChange::Leave));
        assert_eq!(own.poll_timeout(), None);
        own.refused(START);
        assert_eq!(own.poll_send(START + PRESENCE_RETRY), Some(PresenceChange::Leave));
    }

    #[test]
    fn a_refusal_without_anything_sent_asks_for_nothing() {
        let mut own = OwnPresence::new();
        own.refused(START);
        assert_eq!(own.poll_timeout(), None);
    }

    #[test]
    fn a_refused_state_leaves_the_last_one() {
        let mut own = OwnPresence::new();
        assert_eq!(own.patch(&json("{}")), Err(PresenceError::NothingToPatch));
        own.set(json("1")).unwrap();
        let long = json(&format!("{:?}", "x".repeat(super::super::MAX_PRESENCE_BYTES)));
        assert_eq!(own.set(long), Err(PresenceError::TooLarge));
        assert_eq!(own.state(), Some(&json("1")));
    }
}
