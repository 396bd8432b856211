//! What is left where the deciding side is left out, as in browsers.
#![cfg(not(feature = "authority"))]
#![allow(clippy::unwrap_used)]

use rejoin_wire::{DecodeErrorKind, Encoding, Message, Sequence, decode_message};

#[test]
fn what_goes_up_is_of_no_known_type_and_what_goes_down_is_read() {
    let position = decode_message(&[69, 5, 0], Encoding::Binary).unwrap();
    assert_eq!(position, Message::Position { sequence: Sequence(5) });
    for (number, _) in Message::KINDS.iter().filter(|(number, _)| (16..64).contains(number)) {
        let error = decode_message(&[*number, 0, 0], Encoding::Binary).unwrap_err();
        assert_eq!(*error.kind(), DecodeErrorKind::UnknownType { name: number.to_string().into() });
    }
}
