//! Bytes as messages of the compact encoding: what is read is written back the same, in both encodings.

#![no_main]

use libfuzzer_sys::fuzz_target;
use rejoin_json::Json;
use rejoin_wire::{Change, Encoding, Wire, decode_message, encode_message, from_bytes, to_bytes};

fuzz_target!(|bytes: &[u8]| {
    if let Ok(message) = decode_message(bytes, Encoding::Binary) {
        for encoding in [Encoding::Binary, Encoding::Json] {
            let again = decode_message(&encode_message(&message, encoding), encoding);
            assert_eq!(again.as_ref(), Ok(&message));
        }
    }
    has_one_form::<Json>(bytes);
    has_one_form::<Change>(bytes);
});

/// What is hashed has exactly one form.
fn has_one_form<T: Wire>(bytes: &[u8]) {
    if let Ok(value) = from_bytes::<T>(bytes) {
        assert_eq!(to_bytes(&value), bytes);
    }
}
