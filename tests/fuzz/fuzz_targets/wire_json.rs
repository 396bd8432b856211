//! Text as messages of the JSON encoding: what is read is written back the same, in both encodings.

#![no_main]

use libfuzzer_sys::fuzz_target;
use rejoin_wire::{Encoding, decode_message, encode_message};

fuzz_target!(|bytes: &[u8]| {
    if let Ok(message) = decode_message(bytes, Encoding::Json) {
        for encoding in [Encoding::Json, Encoding::Binary] {
            let again = decode_message(&encode_message(&message, encoding), encoding);
            assert_eq!(again.as_ref(), Ok(&message));
        }
    }
});
