//! Text as requests of the text door: what is read is written back the same, what is not is refused in few words.

#![no_main]

use libfuzzer_sys::fuzz_target;
use rejoin_wire::decode_text;

fuzz_target!(|text: &str| {
    match decode_text(text) {
        Ok(request) => assert_eq!(decode_text(&request.to_text()), Ok(request)),
        Err(error) => assert!(!error.message.is_empty() && error.response().to_text().len() < 16 * 1024),
    }
});
