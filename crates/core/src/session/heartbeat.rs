//! Silence on a link: when to ask whether the peer is alive, and when to take it for dead.

use std::time::Duration;

use crate::time::Instant;

/// Watches how long nothing has been heard from the peer. Everything that arrives is a sign of life.
#[derive(Clone, Debug)]
pub(super) struct Heartbeat {
    ping_after: Duration,
    dead_after: Duration,
    heard: Instant,
    /// One question per silence is enough: the transport loses nothing without losing the link.
    pinged: bool,
}

/// What the silence asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Beat {
    Nothing,
    Ping,
    Dead,
}

impl Heartbeat {
    pub(super) const fn new(ping_after: Duration, dead_after: Duration, now: Instant) -> Self {
        Self { ping_after, dead_after, heard: now, pinged: false }
    }

    /// The peer is alive.
    pub(super) fn hear(&mut self, now: Instant) {
        self.heard = self.heard.max(now);
        self.pinged = false;
    }

    /// What is due now. A ping is asked for once per silence.
    pub(super) fn check(&mut self, now: Instant) -> Beat {
        let silent = now.since(self.heard);
        if silent >= self.dead_after {
            Beat::Dead
        } else if silent >= self.ping_after && !self.pinged {
            self.pinged = true;
            Beat::Ping
        } else {
            Beat::Nothing
        }
    }

    /// When something is due next.
    pub(super) fn deadline(&self) -> Instant {
        self.heard + if self.pinged { self.dead_after } else { self.ping_after.min(self.dead_after) }
    }
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const TICK: Duration = Duration::from_micros(1);
    const START: Instant = Instant(5_000_000);

    #[test]
    fn silence_asks_once_and_then_ends_the_link() {
        let mut heartbeat = Heartbeat::new(30 * SECOND, 60 * SECOND, START);
        assert_eq!(heartbeat.deadline(), START + 30 * SECOND);
        assert_eq!(heartbeat.check(START + 30 * SECOND - TICK), Beat::Nothing);
        assert_eq!(heartbeat.check(START + 30 * SECOND), Beat::Ping);
        assert_eq!(heartbeat.deadline(), START + 60 * SECOND);
        assert_eq!(heartbeat.check(START + 60 * SECOND - TICK), Beat::Nothing);
        assert_eq!(heartbeat.check(START + 60 * SECOND), Beat::Dead);
    }

    #[test]
    fn every_sign_of_life_starts_the_silence_anew() {
        let mut heartbeat = Heartbeat::new(30 * SECOND, 60 * SECOND, START);
        assert_eq!(heartbeat.check(START + 45 * SECOND), Beat::Ping);
        heartbeat.hear(START + 50 * SECOND);
        // A clock that stands still or goes back takes nothing away.
        heartbeat.hear(START + 49 * SECOND);
        assert_eq!(heartbeat.deadline(), START + 80 * SECOND);
        assert_eq!(heartbeat.check(START + 79 * SECOND), Beat::Nothing);
        assert_eq!(heartbeat.check(START + 80 * SECOND), Beat::Ping);
    }

    #[test]
    fn a_deadline_is_never_later_than_death() {
        let heartbeat = Heartbeat::new(90 * SECOND, 60 * SECOND, START);
        assert_eq!(heartbeat.deadline(), START + 60 * SECOND);
    }
}
