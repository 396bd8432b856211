//! A message on its way out, encoded once for all links that it goes to.

use std::sync::Arc;

use bytes::Bytes;
use rejoin_wire::limits::MAX_FRAME_BYTES;
use rejoin_wire::{Encoding, Frame, Message, encode_message, frames};

/// An encoded message, cut into the frames that a link writes. A clone shares the bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Payload {
    frames: Frames,
    bytes: usize,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Frames {
    /// All but a few messages.
    One(Frame),
    Many(Arc<[Frame]>),
}

impl Payload {
    /// Encodes a message.
    pub fn encode(message: &Message, encoding: Encoding) -> Self {
        Self::of_encoded(encode_message(message, encoding), encoding)
    }

    /// Takes a message that is encoded already.
    pub fn of_encoded(message: Bytes, encoding: Encoding) -> Self {
        Self::cut(message, encoding, MAX_FRAME_BYTES)
    }

    /// Takes a message that is encoded already, for a network that carries only smaller frames than the protocol allows.
    ///
    /// Frames have at most so many bytes, and [`MIN_FRAME_BYTES`](rejoin_wire::MIN_FRAME_BYTES) where that is less.
    pub fn cut(message: Bytes, encoding: Encoding, max_frame_bytes: usize) -> Self {
        let bytes = message.len();
        let mut cut = frames(message, encoding, max_frame_bytes);
        let frames = match (cut.next(), cut.next()) {
            (Some(first), Some(second)) => Frames::Many([first, second].into_iter().chain(cut).collect()),
            (Some(only), None) => Frames::One(only),
            (None, _) => Frames::Many(Arc::default()),
        };
        Self { frames, bytes }
    }

    /// Takes a message of the text door, which is one frame of any length: plain clients know no fragments.
    pub fn text(message: String) -> Self {
        Self { bytes: message.len(), frames: Frames::One(Frame::Text(message.into())) }
    }

    /// Takes a frame of a protocol that the driver speaks.
    pub fn binary(frame: Bytes) -> Self {
        Self { bytes: frame.len(), frames: Frames::One(Frame::Binary(frame)) }
    }

    /// Takes frames of a protocol that the driver speaks, which go out one behind the other.
    pub fn binaries(frames: impl IntoIterator<Item = Bytes>) -> Self {
        let frames: Arc<[Frame]> = frames.into_iter().map(Frame::Binary).collect();
        Self { bytes: frames.iter().map(|frame| frame.payload().len()).sum(), frames: Frames::Many(frames) }
    }

    /// Bytes of the encoded message.
    pub const fn len(&self) -> usize {
        self.bytes
    }

    /// Whether there is nothing to send.
    pub const fn is_empty(&self) -> bool {
        self.bytes == 0
    }

    /// The frames, in order.
    pub fn frames(&self) -> &[Frame] {
        match &self.frames {
            Frames::One(frame) => std::slice::from_ref(frame),
            Frames::Many(frames) => frames,
        }
    }
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use rejoin_wire::MIN_FRAME_BYTES;

    use super::*;

    #[test]
    fn a_message_is_cut_once_and_its_frames_are_shared() {
        for encoding in [Encoding::Binary, Encoding::Json] {
            let large = Payload::of_encoded(vec![b'x'; 3 * MAX_FRAME_BYTES].into(), encoding);
            assert_eq!(large.len(), 3 * MAX_FRAME_BYTES);
            assert_eq!(large.frames().len(), 4);
            assert!(large.frames().iter().all(|frame| frame.payload().len() <= MAX_FRAME_BYTES));
            assert!(std::ptr::eq(large.frames(), large.clone().frames()));
        }
    }

    #[test]
    fn a_message_is_cut_as_small_as_a_network_needs_and_no_smaller_than_is_sensible() {
        for (wanted, most) in [(1_000, 1_000), (MIN_FRAME_BYTES, MIN_FRAME_BYTES), (1, MIN_FRAME_BYTES)] {
            let cut = Payload::cut(vec![b'x'; 10_000].into(), Encoding::Binary, wanted);
            let longest = cut.frames().iter().map(|frame| frame.payload().len()).max();
            assert_eq!((longest, cut.len()), (Some(most), 10_000));
        }
    }

    #[test]
    fn frames_of_a_protocol_of_others_go_out_as_they_are_and_are_shared() {
        let frames = Payload::binaries(["ab", "c"].map(Bytes::from));
        assert_eq!((frames.len(), frames.frames().len()), (3, 2));
        assert_eq!(frames.frames()[1], Frame::Binary("c".into()));
        assert!(std::ptr::eq(frames.frames(), frames.clone().frames()));
        assert!(Payload::binaries([]).is_empty());
    }

    #[test]
    fn a_message_that_fits_is_one_frame_without_further_memory() {
        let payload = Payload::encode(&Message::Ping { nonce: 7 }, Encoding::Binary);
        let [frame] = payload.frames() else { panic!("{payload:?}") };
        let copy = payload.clone();
        assert!(std::ptr::eq(frame.payload().as_ptr(), copy.frames()[0].payload().as_ptr()));
        assert!(Payload::of_encoded(Bytes::new(), Encoding::Json).frames().is_empty());
    }
}
