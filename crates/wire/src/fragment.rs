//! Messages to WebSocket frames and back. A message that does not fit into a frame travels in fragments.

use bytes::Bytes;

use crate::catalogue::CONTROL;
use crate::code::ErrorCode;
use crate::encoding::Encoding;
use crate::limits::MAX_FRAME_BYTES;

#[cfg(feature = "json")]
mod json;

/// First byte of a binary frame that holds a whole message.
const WHOLE: u8 = 0;
/// First byte of a binary frame that holds a part of a message, of which more follows.
const MORE: u8 = 1;
/// First byte of a binary frame that holds the last part of a message.
const LAST: u8 = 2;

/// Smallest frames that messages are cut into; smaller ones would be mostly overhead.
pub const MIN_FRAME_BYTES: usize = 128;

/// A WebSocket frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame {
    /// A text frame. [`frames`] makes them of UTF-8; what a peer sent is checked when it is read.
    Text(Bytes),
    /// A binary frame.
    Binary(Bytes),
}

impl Frame {
    /// What the frame holds.
    pub fn payload(&self) -> &Bytes {
        match self {
            Self::Text(payload) | Self::Binary(payload) => payload,
        }
    }

    /// What the frame holds, taken out of it.
    pub fn into_payload(self) -> Bytes {
        match self {
            Self::Text(payload) | Self::Binary(payload) => payload,
        }
    }
}

/// Cuts an encoded message into frames of at most `max_frame` bytes each, [`MIN_FRAME_BYTES`] at the least.
///
/// A message that fits becomes one frame.
pub fn frames(payload: Bytes, encoding: Encoding, max_frame: usize) -> impl Iterator<Item = Frame> {
    Frames { rest: payload, encoding, max_frame: max_frame.max(MIN_FRAME_BYTES), begun: false }
}

struct Frames {
    rest: Bytes,
    encoding: Encoding,
    max_frame: usize,
    /// True once a fragment was made: an empty rest then means the end.
    begun: bool,
}

impl Iterator for Frames {
    type Item = Frame;

    fn next(&mut self) -> Option<Frame> {
        if self.rest.is_empty() {
            return None;
        }
        Some(match self.encoding {
            Encoding::Binary => Frame::Binary(self.binary()),
            #[cfg(feature = "json")]
            Encoding::Json => Frame::Text(self.json()),
        })
    }
}

impl Frames {
    fn binary(&mut self) -> Bytes {
        let part = self.rest.split_to(self.rest.len().min(self.max_frame - 1));
        let marker = match (self.begun, self.rest.is_empty()) {
            (false, true) => WHOLE,
            (_, false) => MORE,
            (true, true) => LAST,
        };
        self.begun = true;
        let mut frame = Vec::with_capacity(1 + part.len());
        frame.push(marker);
        frame.extend_from_slice(&part);
        frame.into()
    }
}

/// Puts messages together again from the frames of one link, one message at a time.
///
/// While the fragments of a message come in, whole frames may come between them if they hold a `ping`, a `pong` or a
/// `goodbye`, so that a heartbeat does not wait; any other message would overtake the one that was begun.
///
/// Memory is bounded by the largest message, and taken only for what has arrived. After an error what was begun is dropped.
#[derive(Clone, Debug)]
pub struct Assembler {
    encoding: Encoding,
    max_message_bytes: usize,
    /// What has arrived of a message of which more follows. Never empty.
    begun: Option<Vec<u8>>,
}

impl Assembler {
    /// Makes an assembler for messages of at most so many bytes over all their fragments.
    pub fn new(encoding: Encoding, max_message_bytes: usize) -> Self {
        Self { encoding, max_message_bytes, begun: None }
    }

    /// Bytes that are kept of a message of which more follows.
    pub fn buffered(&self) -> usize {
        self.begun.as_ref().map_or(0, Vec::len)
    }

    /// Takes a frame, and returns the message that it completes.
    ///
    /// # Errors
    ///
    /// When the frame is of the wrong kind, too large, malformed or out of turn.
    pub fn push(&mut self, frame: Frame) -> Result<Option<Bytes>, FragmentError> {
        let result = self.take(frame);
        if result.is_err() {
            self.begun = None;
        }
        result
    }

    fn take(&mut self, frame: Frame) -> Result<Option<Bytes>, FragmentError> {
        let length = frame.payload().len();
        if length > MAX_FRAME_BYTES {
            return Err(FragmentError::FrameTooLarge { limit: MAX_FRAME_BYTES });
        }
        match (self.encoding, frame) {
            _ if length == 0 => Err(FragmentError::Empty),
            (Encoding::Binary, Frame::Binary(frame)) => self.binary(frame),
            #[cfg(feature = "json")]
            (Encoding::Json, Frame::Text(frame)) => self.json(frame),
            (Encoding::Binary, Frame::Text(_)) => Err(FragmentError::WrongFrame { expected: "binary" }),
            #[cfg(feature = "json")]
            (Encoding::Json, Frame::Binary(_)) => Err(FragmentError::WrongFrame { expected: "text" }),
        }
    }

    fn binary(&mut self, mut frame: Bytes) -> Result<Option<Bytes>, FragmentError> {
        let part = frame.split_off(1);
        match frame.first().copied() {
            Some(WHOLE) => {
                let control =
                    || part.first().is_some_and(|number| CONTROL.iter().any(|(known, _)| known == number));
                self.check_turn(control)?;
                self.whole(part)
            }
            Some(MORE) => self.part(&part, false),
            Some(LAST) => self.part(&part, true),
            Some(marker) => Err(FragmentError::UnknownMarker(marker)),
            None => Err(FragmentError::Empty),
        }
    }

    fn check_turn(&self, control: impl FnOnce() -> bool) -> Result<(), FragmentError> {
        if self.begun.is_none() || control() { Ok(()) } else { Err(FragmentError::OutOfTurn) }
    }

    fn whole(&self, message: Bytes) -> Result<Option<Bytes>, FragmentError> {
        if message.is_empty() {
            Err(FragmentError::Empty)
        } else if message.len() > self.max_message_bytes {
            Err(FragmentError::MessageTooLarge { limit: self.max_message_bytes })
        } else {
            Ok(Some(message))
        }
    }

    fn part(&mut self, part: &[u8], last: bool) -> Result<Option<Bytes>, FragmentError> {
        if part.is_empty() {
            return Err(FragmentError::Empty);
        }
        let room = self.max_message_bytes.saturating_sub(self.buffered());
        if part.len() > room {
            return Err(FragmentError::MessageTooLarge { limit: self.max_message_bytes });
        }
        let mut message = match self.begun.take() {
            Some(begun) => begun,
            None if last => return Err(FragmentError::NotBegun),
            None => Vec::new(),
        };
        if message.capacity() - message.len() < part.len() {
            // Doubles as a vector does, but never beyond what a message may have.
            let wanted = part.len().max(message.len()).min(room);
            message.reserve_exact(wanted);
        }
        message.extend_from_slice(part);
        if last {
            return Ok(Some(message.into()));
        }
        self.begun = Some(message);
        Ok(None)
    }
}

/// Says why a frame cannot be part of a message. The link cannot go on: what follows has lost its beginning.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FragmentError {
    /// The frame, or its part of a message, is empty.
    #[error("a frame or fragment is empty: send at least one byte of the message in each")]
    Empty,
    /// A text frame in the compact encoding, or the reverse.
    #[error("this link speaks in {expected} frames: negotiate the other subprotocol for the other kind")]
    WrongFrame {
        /// The kind of frame that the encoding has.
        expected: &'static str,
    },
    /// The first byte of a binary frame is none of those that are defined.
    #[error("a binary frame begins with 0, 1 or 2, not with {0}")]
    UnknownMarker(u8),
    /// The frame is too large.
    #[error("a frame has more than {limit} bytes: cut the message into fragments")]
    FrameTooLarge {
        /// The largest that is accepted, in bytes.
        limit: usize,
    },
    /// The message is too large.
    #[error("a message has more than {limit} bytes: split the document, or send fewer changes at a time")]
    MessageTooLarge {
        /// The largest that is accepted over all fragments, in bytes.
        limit: usize,
    },
    /// A text frame is not UTF-8.
    #[error("a text frame is not UTF-8: encode it as that")]
    BadUtf8,
    /// A JSON fragment lacks `last` or `text`, or has them of another type.
    #[error("a fragment needs the members `last`, a boolean, and `text`, a string")]
    Malformed,
    /// A last fragment without a first.
    #[error(
        "the last fragment of a message came without the ones before it: send a message of one part whole"
    )]
    NotBegun,
    /// A whole message, not one of those that may, between the fragments of another.
    #[error("between fragments only ping, pong and goodbye may come: finish the message first")]
    OutOfTurn,
}

impl FragmentError {
    /// The code with which a link refuses such a frame.
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::FrameTooLarge { .. } | Self::MessageTooLarge { .. } => ErrorCode::TooLarge,
            _ => ErrorCode::BadMessage,
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use proptest::prelude::*;

    use super::*;
    use crate::limits::MAX_MESSAGE_BYTES;

    const PING: &[u8] = br#"{"type":"ping","nonce":1}"#;

    fn binary(bytes: &[u8]) -> Frame {
        Frame::Binary(Bytes::copy_from_slice(bytes))
    }

    fn text(text: &str) -> Frame {
        Frame::Text(Bytes::copy_from_slice(text.as_bytes()))
    }

    fn fragment(part: &str, last: bool) -> Frame {
        text(&serde_json::json!({"type": "fragment", "last": last, "text": part}).to_string())
    }

    fn assembler(encoding: Encoding) -> Assembler {
        Assembler::new(encoding, MAX_MESSAGE_BYTES)
    }

    fn assert_reassembles(payload: &[u8], encoding: Encoding, max_frame: usize) {
        let mut assembler = assembler(encoding);
        let frames: Vec<Frame> = frames(Bytes::copy_from_slice(payload), encoding, max_frame).collect();
        for (index, frame) in frames.iter().enumerate() {
            assert!(frame.payload().len() <= max_frame.max(MIN_FRAME_BYTES));
            let message = assembler.push(frame.clone()).unwrap();
            let expected = (index + 1 == frames.len()).then_some(payload);
            assert_eq!(message.as_deref(), expected);
        }
        assert_eq!(assembler.buffered(), 0);
    }

    #[test]
    fn a_message_that_fits_is_one_frame() {
        let payload = Bytes::from(vec![7; MIN_FRAME_BYTES - 1]);
        let cut = |payload, encoding| frames(payload, encoding, MIN_FRAME_BYTES).collect::<Vec<_>>();
        let whole = [&[WHOLE][..], &payload].concat();
        assert_eq!(cut(payload.clone(), Encoding::Binary), [binary(&whole)]);
        let larger = Bytes::from(vec![b'7'; MIN_FRAME_BYTES]);
        assert_eq!(cut(larger.clone(), Encoding::Json), [Frame::Text(larger.clone())]);
        let fragments = cut(larger, Encoding::Binary);
        let markers: Vec<u8> = fragments.iter().map(|frame| frame.payload()[0]).collect();
        assert_eq!(markers, [MORE, LAST]);
        assert!(cut(Bytes::new(), Encoding::Binary).is_empty());
    }

    #[test]
    fn a_large_message_is_put_together_again() {
        for length in [1, 126, 127, 128, 129, 254, 255, 10_000] {
            assert_reassembles(&vec![7; length], Encoding::Binary, MIN_FRAME_BYTES);
        }
        let awkward = r#"{"a":"\u0001\n\"😀é"}"#.repeat(500);
        for max_frame in MIN_FRAME_BYTES..MIN_FRAME_BYTES + 12 {
            assert_reassembles(awkward.as_bytes(), Encoding::Json, max_frame);
        }
        // Control characters are longest when escaped.
        assert_reassembles("\u{1}".repeat(1_000).as_bytes(), Encoding::Json, 0);
        let large = vec![7; MAX_MESSAGE_BYTES];
        assert_reassembles(&large, Encoding::Binary, MAX_FRAME_BYTES);
    }

    #[test]
    fn json_fragments_are_as_documented() {
        let payload = Bytes::from("\"😀".repeat(30));
        let fragments: Vec<Frame> = frames(payload, Encoding::Json, MIN_FRAME_BYTES).collect();
        let first = str::from_utf8(fragments[0].payload()).unwrap();
        assert!(first.starts_with(r#"{"type":"fragment","last":false,"text":"\"😀\"😀"#), "{first}");
        assert!(first.len() > MIN_FRAME_BYTES - 6, "frames are filled");
        let last = str::from_utf8(fragments.last().unwrap().payload()).unwrap();
        assert!(last.starts_with(r#"{"type":"fragment","last":true,"text":""#), "{last}");
    }

    #[test]
    fn members_of_a_fragment_come_in_any_order() {
        let mut assembler = assembler(Encoding::Json);
        let first = text(r#" {"text":"{\"ty", "more":0, "last":false, "type":"fragment"}"#);
        assert_eq!(assembler.push(first), Ok(None));
        assert_eq!(assembler.buffered(), 4);
        let message = assembler.push(fragment(r#"pe":0}"#, true)).unwrap().unwrap();
        assert_eq!(&message[..], br#"{"type":0}"#);
    }

    #[test]
    fn a_frame_of_the_other_kind_is_refused() {
        let expected = |expected| Err(FragmentError::WrongFrame { expected });
        assert_eq!(assembler(Encoding::Binary).push(text("{}")), expected("binary"));
        assert_eq!(assembler(Encoding::Json).push(binary(&[0, 1])), expected("text"));
    }

    #[test]
    fn empty_frames_and_fragments_are_refused() {
        for bytes in [&[][..], &[WHOLE], &[MORE], &[LAST]] {
            assert_eq!(
                assembler(Encoding::Binary).push(binary(bytes)),
                Err(FragmentError::Empty),
                "{bytes:?}"
            );
        }
        assert_eq!(assembler(Encoding::Json).push(text("")), Err(FragmentError::Empty));
        for last in [false, true] {
            assert_eq!(assembler(Encoding::Json).push(fragment("", last)), Err(FragmentError::Empty));
        }
        let mut begun = assembler(Encoding::Binary);
        begun.push(binary(&[MORE, 1])).unwrap();
        assert_eq!(begun.push(binary(&[LAST])), Err(FragmentError::Empty));
    }

    #[test]
    fn malformed_frames_are_refused() {
        for marker in 3..=255 {
            let unknown = Err(FragmentError::UnknownMarker(marker));
            assert_eq!(assembler(Encoding::Binary).push(binary(&[marker, 1])), unknown);
        }
        let invalid = Frame::Text(Bytes::from_static(b"{\xff}"));
        assert_eq!(assembler(Encoding::Json).push(invalid), Err(FragmentError::BadUtf8));
        for malformed in [
            r#"{"type":"fragment"}"#,
            r#"{"type":"fragment","last":true}"#,
            r#"{"type":"fragment","last":1,"text":"a"}"#,
            r#"{"type":"fragment","last":false,"text":["a"]}"#,
        ] {
            let refused = assembler(Encoding::Json).push(text(malformed));
            assert_eq!(refused, Err(FragmentError::Malformed), "{malformed}");
        }
    }

    #[test]
    fn a_message_does_not_begin_with_its_last_fragment() {
        assert_eq!(assembler(Encoding::Binary).push(binary(&[LAST, 1])), Err(FragmentError::NotBegun));
        assert_eq!(assembler(Encoding::Json).push(fragment("a", true)), Err(FragmentError::NotBegun));
    }

    #[test]
    fn only_control_messages_come_between_fragments() {
        let mut binary_link = assembler(Encoding::Binary);
        let mut json_link = assembler(Encoding::Json);
        binary_link.push(binary(&[MORE, 69])).unwrap();
        json_link.push(fragment("{", false)).unwrap();
        for (number, name) in CONTROL {
            let message = binary_link.push(binary(&[WHOLE, *number, 0])).unwrap().unwrap();
            assert_eq!(&message[..], [*number, 0]);
            let control = format!(r#"{{"a":[],"type":"{name}"}}"#);
            assert_eq!(&json_link.push(text(&control)).unwrap().unwrap()[..], control.as_bytes());
        }
        assert_eq!(binary_link.push(binary(&[LAST, 9])).unwrap().unwrap()[..], [69, 9]);
        assert_eq!(json_link.push(fragment("}", true)).unwrap().unwrap()[..], *b"{}");

        binary_link.push(binary(&[MORE, 69])).unwrap();
        json_link.push(fragment("{", false)).unwrap();
        assert_eq!(binary_link.push(binary(&[WHOLE, 69, 9, 0])), Err(FragmentError::OutOfTurn));
        for other in [r#"{"type":"position","sequence":9}"#, r#"{"type":7}"#, "[]", "ping"] {
            assert_eq!(json_link.push(text(other)), Err(FragmentError::OutOfTurn), "{other}");
            json_link.push(fragment("{", false)).unwrap();
        }
    }

    #[test]
    fn an_error_drops_what_was_begun() {
        let mut link = assembler(Encoding::Binary);
        link.push(binary(&[MORE, 1, 2, 3])).unwrap();
        assert_eq!(link.buffered(), 3);
        assert!(link.push(binary(&[9, 9])).is_err());
        assert_eq!(link.buffered(), 0);
        assert_eq!(link.push(binary(&[LAST, 1])), Err(FragmentError::NotBegun));
    }

    #[test]
    fn frames_and_messages_end_at_their_limits() {
        let mut link = Assembler::new(Encoding::Binary, 10);
        let too_large = Err(FragmentError::MessageTooLarge { limit: 10 });
        let whole = |length: usize| binary(&[&[WHOLE][..], &vec![1; length]].concat());
        assert_eq!(link.push(whole(10)).unwrap().unwrap().len(), 10);
        assert_eq!(link.push(whole(11)), too_large);
        for (last, expected) in [(4, Ok(Some(10))), (5, Err(()))] {
            link.push(binary(&[&[MORE][..], &[1; 6]].concat())).unwrap();
            let pushed = link.push(binary(&[&[LAST][..], &vec![1; last]].concat()));
            assert_eq!(pushed.map(|message| message.map(|message| message.len())).map_err(drop), expected);
        }
        let mut frame = vec![b' '; MAX_FRAME_BYTES];
        frame[..PING.len()].copy_from_slice(PING);
        let mut json_link = assembler(Encoding::Json);
        assert!(json_link.push(Frame::Text(frame.clone().into())).unwrap().is_some());
        frame.push(b' ');
        let refused = json_link.push(Frame::Text(frame.into())).unwrap_err();
        assert_eq!(refused, FragmentError::FrameTooLarge { limit: MAX_FRAME_BYTES });
        assert_eq!(refused.code(), ErrorCode::TooLarge);
    }

    #[test]
    fn memory_is_taken_only_for_what_has_arrived() {
        let mut link = Assembler::new(Encoding::Binary, 1_000);
        for _ in 0..999 {
            link.push(binary(&[MORE, 1])).unwrap();
            let begun = link.begun.as_ref().unwrap();
            assert!(begun.capacity() <= (2 * begun.len()).min(1_000));
        }
    }

    proptest! {
        #![proptest_config(rejoin_properties::default_cases())]

        #[test]
        fn any_message_is_put_together_again(payload in "\\PC{1,600}", max_frame in 0..300_usize) {
            for encoding in [Encoding::Binary, Encoding::Json] {
                assert_reassembles(payload.as_bytes(), encoding, max_frame);
            }
        }

        #[test]
        fn no_frames_make_the_assembler_panic(
            frames in proptest::collection::vec((any::<bool>(), proptest::collection::vec(0..4_u8, 0..9)), 0..20)
        ) {
            for encoding in [Encoding::Binary, Encoding::Json] {
                let mut assembler = Assembler::new(encoding, 16);
                for (text, bytes) in &frames {
                    let bytes = Bytes::copy_from_slice(bytes);
                    let frame = if *text { Frame::Text(bytes) } else { Frame::Binary(bytes) };
                    if let Ok(Some(message)) = assembler.push(frame) {
                        prop_assert!(!message.is_empty() && message.len() <= 16);
                    }
                    prop_assert!(assembler.buffered() <= 16);
                }
            }
        }
    }
}
