//! What waits to be written to the socket.

use std::collections::VecDeque;

use rejoin_wire::{Encoding, Frame, Message, encode_message, frames};

use super::config::QUEUED_MESSAGE_OVERHEAD;
use super::payload::Payload;

/// Messages for which an empty queue keeps its room: they are small, and a link has a few of them at each turn.
const KEPT_PAYLOADS: usize = 16;

/// Messages in order, and pings and pongs that overtake them, also between the frames of one.
#[derive(Debug, Default)]
pub(super) struct Outgoing {
    payloads: VecDeque<Payload>,
    /// Frames of the first payload that are taken already.
    taken: usize,
    /// Cost of the payloads.
    bytes: usize,
    ping: Option<u64>,
    /// Of several pings that wait for an answer the newest is answered, as RFC 6455 5.5.3 allows for its own.
    pong: Option<u64>,
}

impl Outgoing {
    pub(super) fn push(&mut self, payload: Payload) {
        if !payload.is_empty() {
            self.bytes += cost(&payload);
            self.payloads.push_back(payload);
        }
    }

    pub(super) const fn ping(&mut self, nonce: u64) {
        self.ping = Some(nonce);
    }

    pub(super) const fn pong(&mut self, nonce: u64) {
        self.pong = Some(nonce);
    }

    /// Bytes that wait, a little more for each message.
    pub(super) const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether the frames of a message are taken in part, so that no other message can come before the rest.
    pub(super) const fn is_inside_message(&self) -> bool {
        self.taken > 0
    }

    /// Drops all that waits.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    /// The next ping or pong.
    pub(super) fn poll_control(&mut self, encoding: Encoding) -> Option<Frame> {
        let pong = self.pong.take().map(|nonce| Message::Pong { nonce });
        let message = pong.or_else(|| self.ping.take().map(|nonce| Message::Ping { nonce }))?;
        control_frame(&message, encoding)
    }

    /// Whether a ping is wanted; takes the wish.
    #[cfg(feature = "json")]
    pub(super) const fn take_ping(&mut self) -> bool {
        self.ping.take().is_some()
    }

    /// The next frame of a message.
    pub(super) fn poll_payload(&mut self) -> Option<Frame> {
        let first = self.payloads.front()?;
        let frame = first.frames().get(self.taken)?.clone();
        self.taken += 1;
        if self.taken >= first.frames().len() {
            self.bytes -= cost(first);
            self.taken = 0;
            self.payloads.pop_front();
            release_when_empty(&mut self.payloads, KEPT_PAYLOADS);
        }
        Some(frame)
    }

    #[cfg(test)]
    pub(super) fn capacity(&self) -> usize {
        self.payloads.capacity()
    }
}

/// Gives back what a burst took, so that an idle link stays small; room for so many items is kept.
pub(super) fn release_when_empty<T>(queue: &mut VecDeque<T>, kept: usize) {
    if queue.is_empty() && queue.capacity() > kept {
        *queue = VecDeque::new();
    }
}

/// The one frame of a small message.
pub(super) fn control_frame(message: &Message, encoding: Encoding) -> Option<Frame> {
    frames(encode_message(message, encoding), encoding, usize::MAX).next()
}

fn cost(payload: &Payload) -> usize {
    payload.len() + QUEUED_MESSAGE_OVERHEAD
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use rejoin_wire::limits::MAX_FRAME_BYTES;

    use super::*;

    #[test]
    fn pings_and_pongs_overtake_messages_and_only_the_newest_pong_is_kept() {
        let mut outgoing = Outgoing::default();
        outgoing.push(Payload::of_encoded(vec![b'x'; 2 * MAX_FRAME_BYTES].into(), Encoding::Binary));
        assert!(outgoing.poll_payload().is_some() && outgoing.is_inside_message());
        outgoing.ping(1);
        (2..100).for_each(|nonce| outgoing.pong(nonce));
        let control = |message| control_frame(&message, Encoding::Binary);
        assert_eq!(outgoing.poll_control(Encoding::Binary), control(Message::Pong { nonce: 99 }));
        assert_eq!(outgoing.poll_control(Encoding::Binary), control(Message::Ping { nonce: 1 }));
        assert_eq!(outgoing.poll_control(Encoding::Binary), None);
        assert!(outgoing.poll_payload().is_some() && outgoing.poll_payload().is_some());
        assert_eq!(
            (outgoing.poll_payload(), outgoing.bytes(), outgoing.is_inside_message()),
            (None, 0, false)
        );
    }

    #[test]
    fn what_waits_is_counted_until_its_last_frame_is_taken() {
        let mut outgoing = Outgoing::default();
        outgoing.push(Payload::of_encoded(bytes::Bytes::new(), Encoding::Binary));
        assert_eq!((outgoing.bytes(), outgoing.poll_payload()), (0, None));
        let [first, second] = [MAX_FRAME_BYTES + 1, 1].map(|length| vec![b'x'; length].into());
        outgoing.push(Payload::of_encoded(first, Encoding::Binary));
        outgoing.push(Payload::of_encoded(second, Encoding::Binary));
        let counted = [(); 4].map(|()| {
            let bytes = outgoing.bytes();
            let _ = outgoing.poll_payload();
            bytes
        });
        let small = 1 + QUEUED_MESSAGE_OVERHEAD;
        let both = MAX_FRAME_BYTES + 1 + QUEUED_MESSAGE_OVERHEAD + small;
        assert_eq!(counted, [both, both, small, 0]);
    }
}
