//! Messages to bytes and back, in the encoding that a link has agreed on.

use bytes::Bytes;

use crate::binary::{Reader, Wire, to_bytes};
use crate::error::{DecodeError, DecodeErrorKind};
#[cfg(feature = "json")]
use crate::json;
use crate::limits::MAX_MESSAGE_BYTES;
use crate::message::Message;

/// WebSocket subprotocol of the compact encoding.
pub const SUBPROTOCOL_BINARY: &str = "rejoin.v1";

/// WebSocket subprotocol of the JSON encoding.
pub const SUBPROTOCOL_JSON: &str = "rejoin.v1.json";

/// How messages are written on a link. Both encodings carry the same messages within the same limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Encoding {
    /// Compact, in binary frames.
    Binary,
    /// One JSON object a message, in text frames: for people, and for languages without a codec.
    #[cfg(feature = "json")]
    Json,
}

impl Encoding {
    /// The WebSocket subprotocol that stands for this encoding.
    pub const fn subprotocol(self) -> &'static str {
        match self {
            Self::Binary => SUBPROTOCOL_BINARY,
            #[cfg(feature = "json")]
            Self::Json => SUBPROTOCOL_JSON,
        }
    }

    /// The encoding that a WebSocket subprotocol stands for; `None` for others.
    pub fn of_subprotocol(subprotocol: &str) -> Option<Self> {
        let known = [
            Self::Binary,
            #[cfg(feature = "json")]
            Self::Json,
        ];
        known.into_iter().find(|encoding| encoding.subprotocol() == subprotocol)
    }
}

/// Writes a message, without cutting it into frames: see [`frames`](crate::frames).
pub fn encode_message(message: &Message, encoding: Encoding) -> Bytes {
    match encoding {
        Encoding::Binary => to_bytes(message).into(),
        #[cfg(feature = "json")]
        Encoding::Json => json::encode(message).into(),
    }
}

/// Reads a message that a peer sent, within all limits of [`limits`](crate::limits).
///
/// # Errors
///
/// When the bytes are not exactly one message. After an error of kind [`DecodeErrorKind::UnknownType`] the link may go on.
pub fn decode_message(bytes: &[u8], encoding: Encoding) -> Result<Message, DecodeError> {
    if bytes.len() > MAX_MESSAGE_BYTES {
        let kind = DecodeErrorKind::Limit { what: "the message", limit: MAX_MESSAGE_BYTES };
        return Err(DecodeError::new(MAX_MESSAGE_BYTES, kind));
    }
    match encoding {
        Encoding::Binary => decode_binary(bytes),
        #[cfg(feature = "json")]
        Encoding::Json => {
            let message = json::decode(bytes)?;
            // One set of limits, kept in one place: a message is within them when its compact form is.
            decode_binary(&to_bytes(&message)).map_err(|error| DecodeError::new(0, error.kind().clone()))?;
            Ok(message)
        }
    }
}

fn decode_binary(bytes: &[u8]) -> Result<Message, DecodeError> {
    let mut input = Reader::of_message(bytes);
    let message = Message::read(&mut input);
    input.finish()?;
    Ok(message)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use proptest::prelude::*;
    use rejoin_json::{Json, Operation, Patch, PointerBuf};

    use super::*;
    use crate::limits::{
        MAX_CHANGES_PER_PUSH, MAX_DEPTH, MAX_DOCUMENTS_PER_MESSAGE, MAX_HEADER_ITEMS, MAX_INTEGER,
        MAX_JSON_DEPTH, MAX_MEMBERS_PER_MESSAGE, MAX_PRESENCE_BYTES, MAX_TEXT_BYTES, MAX_VERSIONS,
    };
    use crate::testing::{REPLICA, document, json, messages, samples};
    use crate::{
        Body, Change, Counter, DocumentPush, ErrorCode, Header, Hello, MemberId, PresenceChange,
        PushedChange, Revision, UnixMillis,
    };

    const BOTH: [Encoding; 2] = [Encoding::Binary, Encoding::Json];

    fn read_back(message: &Message) -> [Result<Message, DecodeError>; 2] {
        BOTH.map(|encoding| decode_message(&encode_message(message, encoding), encoding))
    }

    fn refused(bytes: &[u8], encoding: Encoding) -> DecodeError {
        decode_message(bytes, encoding).unwrap_err()
    }

    #[test]
    fn a_subprotocol_stands_for_an_encoding() {
        for encoding in BOTH {
            assert_eq!(Encoding::of_subprotocol(encoding.subprotocol()), Some(encoding));
        }
        assert_eq!(Encoding::of_subprotocol("rejoin.v2"), None);
    }

    #[test]
    fn samples_are_read_back() {
        for message in samples() {
            for read in read_back(&message) {
                assert_eq!(read.as_ref(), Ok(&message));
            }
        }
    }

    #[test]
    fn a_cut_message_is_refused() {
        for message in samples() {
            for encoding in BOTH {
                let bytes = encode_message(&message, encoding);
                for end in 0..bytes.len() {
                    let error = refused(&bytes[..end], encoding);
                    assert_eq!(error.code(), ErrorCode::BadMessage, "{end}: {error}");
                    assert!(error.offset() <= end);
                }
            }
        }
    }

    #[test]
    fn a_message_with_something_behind_it_is_refused() {
        for message in samples() {
            for encoding in BOTH {
                let bytes = [encode_message(&message, encoding).as_ref(), b"0"].concat();
                assert_eq!(refused(&bytes, encoding).code(), ErrorCode::BadMessage);
            }
        }
    }

    #[test]
    fn a_damaged_message_is_another_one_or_an_error() {
        for message in samples() {
            for encoding in BOTH {
                let bytes = encode_message(&message, encoding).to_vec();
                for at in 0..bytes.len() {
                    // Of text, only what changes its structure or its digits; of the compact form, what ends numbers.
                    let values = match encoding {
                        Encoding::Binary => {
                            [0x00, 0x7f, 0x80, 0xff, bytes[at] ^ 1, bytes[at] ^ 0x40].to_vec()
                        }
                        Encoding::Json => [b'"', bytes[at] ^ 1].to_vec(),
                    };
                    for value in values {
                        let mut damaged = bytes.clone();
                        damaged[at] = value;
                        check_damaged(&damaged, encoding);
                    }
                }
            }
        }
    }

    fn check_damaged(bytes: &[u8], encoding: Encoding) {
        match decode_message(bytes, encoding) {
            Ok(other) => {
                let again = decode_message(&encode_message(&other, encoding), encoding);
                assert_eq!(again, Ok(other));
            }
            Err(error) => assert!(error.offset() <= bytes.len() && !error.to_string().is_empty()),
        }
    }

    #[test]
    fn an_unknown_type_is_told_by_its_name() {
        let error = refused(&[127, 0], Encoding::Binary);
        assert_eq!(*error.kind(), DecodeErrorKind::UnknownType { name: "127".into() });
        assert_eq!(error.code(), ErrorCode::UnknownType);
        let error = refused(br#"{"type":"teleport"}"#, Encoding::Json);
        assert_eq!(*error.kind(), DecodeErrorKind::UnknownType { name: "teleport".into() });
        let long = format!(r#"{{"type":"{}"}}"#, "é".repeat(1_000));
        let error = refused(long.as_bytes(), Encoding::Json).to_string();
        assert!(error.len() < 300 && error.contains('…'), "{error}");
    }

    #[test]
    fn unknown_members_are_ignored_in_json() {
        let text = br#" {"later":[{}], "nonce": 7, "type":"ping"} "#;
        assert_eq!(decode_message(text, Encoding::Json), Ok(Message::Ping { nonce: 7 }));
    }

    #[test]
    fn a_malformed_json_message_is_refused_with_its_place() {
        for (text, offset) in [
            ("", 0),
            ("[]", 0),
            (r#"["ping",7]"#, 0),
            ("null", 0),
            ("{}", 2),
            (r#"{"type":7}"#, 9),
            (r#"{"type":"ping"}"#, 15),
            ("{\"type\":\"ping\",\n\"nonce\":-1}", 26),
            (r#"{"type":"ping","type":"pong","nonce":1}"#, 21),
        ] {
            let error = refused(text.as_bytes(), Encoding::Json);
            assert_eq!((error.code(), error.offset()), (ErrorCode::BadMessage, offset), "{text}: {error}");
        }
        let error = refused(b"{\"type\":\"\xff\"}", Encoding::Json);
        assert_eq!(error, DecodeError::new(9, DecodeErrorKind::BadUtf8));
    }

    #[test]
    fn integers_stay_below_2_to_the_53_in_both_encodings() {
        assert!(read_back(&Message::Ping { nonce: MAX_INTEGER }).iter().all(Result::is_ok));
        for read in read_back(&Message::Ping { nonce: MAX_INTEGER + 1 }) {
            assert_eq!(*read.unwrap_err().kind(), DecodeErrorKind::IntegerOutOfRange);
        }
    }

    #[test]
    fn null_and_nothing_are_different_contents() {
        let seen = |content| Message::SeenContent {
            document: document(),
            replica: REPLICA,
            counter: Counter(1),
            content,
            header: None,
        };
        assert!(encode_message(&seen(Some(Json::Null)), Encoding::Json).ends_with(br#""content":null}"#));
        for content in [None, Some(Json::Null)] {
            for read in read_back(&seen(content.clone())) {
                assert_eq!(read, Ok(seen(content.clone())));
            }
        }
    }

    /// Both encodings take the message at its limit and refuse the one beyond it with that code.
    fn check_limit(within: &Message, beyond: &Message, code: ErrorCode) {
        for read in read_back(within) {
            assert_eq!(read.as_ref(), Ok(within));
        }
        for read in read_back(beyond) {
            let error = read.unwrap_err();
            assert_eq!(error.code(), code, "{error}");
        }
    }

    fn goodbye(length: usize) -> Message {
        Message::Goodbye { code: 1000, reason: "x".repeat(length).into() }
    }

    #[test]
    fn texts_end_at_their_limit() {
        check_limit(&goodbye(MAX_TEXT_BYTES), &goodbye(MAX_TEXT_BYTES + 1), ErrorCode::TooLarge);
    }

    #[test]
    fn lists_end_at_their_limit() {
        let close = |count| Message::Close { documents: vec![document(); count] };
        check_limit(
            &close(MAX_DOCUMENTS_PER_MESSAGE),
            &close(MAX_DOCUMENTS_PER_MESSAGE + 1),
            ErrorCode::TooLarge,
        );
        let members = |count| Message::Members {
            document: document(),
            keyframe: false,
            members: Vec::new(),
            left: vec![MemberId(1); count],
        };
        check_limit(
            &members(MAX_MEMBERS_PER_MESSAGE),
            &members(MAX_MEMBERS_PER_MESSAGE + 1),
            ErrorCode::TooLarge,
        );
        let hello = |count| {
            Message::Hello(Hello {
                versions: vec![1; count],
                replica: REPLICA,
                workspace: None,
                token: None,
                agent: None,
            })
        };
        check_limit(&hello(MAX_VERSIONS), &hello(MAX_VERSIONS + 1), ErrorCode::TooLarge);
    }

    fn push(count: usize, body: &Body) -> Message {
        let change = Change {
            replica: REPLICA,
            counter: Counter(1),
            base: Revision(1),
            over: Counter(1),
            time: UnixMillis(1),
            body: body.clone(),
        };
        let changes = vec![PushedChange { change, seen: None }; count];
        Message::Push { pushes: vec![DocumentPush { document: document(), changes, author: None }] }
    }

    #[test]
    fn a_push_ends_at_its_limits() {
        check_limit(
            &push(MAX_CHANGES_PER_PUSH, &Body::Void),
            &push(MAX_CHANGES_PER_PUSH + 1, &Body::Void),
            ErrorCode::TooLarge,
        );
        let header = |count| {
            let header = Header { counters: vec![PointerBuf::new(); count], ..Header::default() };
            push(1, &Body::Header { header })
        };
        check_limit(&header(MAX_HEADER_ITEMS), &header(MAX_HEADER_ITEMS + 1), ErrorCode::TooLarge);
    }

    #[test]
    fn the_elements_of_all_lists_together_are_limited() {
        // 253,952 and 270,336 elements of the 262,144 that are allowed.
        let patch = |count| Patch(vec![Operation::Remove { path: PointerBuf::new() }; count]);
        let edit = |count| Body::Edit { patch: patch(count), settles: Vec::new(), undoes: None };
        check_limit(&push(31, &edit(8_191)), &push(33, &edit(8_191)), ErrorCode::TooLarge);
    }

    #[test]
    fn a_presence_state_ends_at_its_limit() {
        let presence = |length: usize| Message::Presence {
            document: document(),
            change: PresenceChange::Set(Json::from("x".repeat(length))),
            member: None,
        };
        check_limit(
            &presence(MAX_PRESENCE_BYTES - 2),
            &presence(MAX_PRESENCE_BYTES - 1),
            ErrorCode::TooLarge,
        );
    }

    #[test]
    fn the_canonical_text_of_a_message_is_limited() {
        // One byte of the compact form stands for five of text.
        let nulls = |count| Message::SeenContent {
            document: document(),
            replica: REPLICA,
            counter: Counter(1),
            content: Some(Json::from(vec![Json::Null; count])),
            header: None,
        };
        let (within, beyond) = (nulls(MAX_MESSAGE_BYTES / 5 - 1), nulls(MAX_MESSAGE_BYTES / 5 + 1));
        let read = |message| decode_message(&encode_message(message, Encoding::Binary), Encoding::Binary);
        assert_eq!(read(&within).as_ref(), Ok(&within));
        assert_eq!(read(&beyond).unwrap_err().code(), ErrorCode::TooLarge);
    }

    #[test]
    fn a_value_ends_at_its_depth() {
        let nested = |levels: usize| {
            let content = (0..levels).fold(Json::Null, |inner, _| Json::from(vec![inner]));
            push(1, &Body::Create { header: Header::default(), content })
        };
        check_limit(&nested(MAX_DEPTH), &nested(MAX_DEPTH + 1), ErrorCode::TooDeep);
    }

    #[test]
    fn depth_without_end_is_refused_before_it_is_followed() {
        for open in ["[", r#"{"a":"#] {
            let text = format!(r#"{{"type":"ping","x":{}"#, open.repeat(1_000_000));
            let error = refused(text.as_bytes(), Encoding::Json);
            assert_eq!(*error.kind(), DecodeErrorKind::Depth { limit: MAX_JSON_DEPTH });
        }
        let quoted = format!(r#"{{"type":"ping","nonce":1,"x":"{}\"["}}"#, "[".repeat(1_000));
        assert!(decode_message(quoted.as_bytes(), Encoding::Json).is_ok());
    }

    #[test]
    fn a_message_ends_at_its_size() {
        let padded = |length: usize| {
            let mut text = br#"{"type":"ping","nonce":1}"#.to_vec();
            text.resize(length, b' ');
            text
        };
        assert!(decode_message(&padded(MAX_MESSAGE_BYTES), Encoding::Json).is_ok());
        assert_eq!(refused(&padded(MAX_MESSAGE_BYTES + 1), Encoding::Json).code(), ErrorCode::TooLarge);
        let zeros = vec![0; MAX_MESSAGE_BYTES + 1];
        assert_eq!(refused(&zeros, Encoding::Binary).code(), ErrorCode::TooLarge);
    }

    #[test]
    fn values_that_documents_do_not_hold_are_refused() {
        for value in ["9007199254740993", "1e400", r#""\ud800""#, "1e18"] {
            let text = format!(
                r#"{{"type":"seen_content","document":"a","replica":"{REPLICA}","counter":1,"content":{value}}}"#
            );
            assert_eq!(refused(text.as_bytes(), Encoding::Json).code(), ErrorCode::BadMessage, "{value}");
        }
        assert_eq!(json("1"), json("1.0"));
    }

    proptest! {
        #![proptest_config(rejoin_properties::default_cases())]

        #[test]
        fn messages_are_read_back_in_both_encodings(message in messages()) {
            for read in read_back(&message) {
                prop_assert_eq!(read.as_ref(), Ok(&message));
            }
        }

        #[test]
        fn no_bytes_make_the_reader_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            for encoding in BOTH {
                if let Ok(message) = decode_message(&bytes, encoding) {
                    prop_assert!(read_back(&message).iter().all(Result::is_ok));
                }
            }
        }
    }
}
