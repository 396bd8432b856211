//! Bytes as JSON: what is read agrees with another reader and is read again from its canonical text.

#![no_main]

use libfuzzer_sys::fuzz_target;
use rejoin_json::{Json, Limits, ParseErrorKind};

fuzz_target!(|bytes: &[u8]| {
    let limits = Limits::default();
    let theirs = serde_json::from_slice::<Json>(bytes);
    match Json::parse_bytes(bytes, &limits) {
        Ok(document) => {
            assert_eq!(theirs.ok().as_ref(), Some(&document));
            assert!(document.depth() <= limits.max_depth);
            let text = document.canonical();
            assert_eq!(document.encoded_len(), text.len());
            let again = Json::parse(&text, &limits).expect("canonical text is JSON");
            assert_eq!(again.canonical(), text);
            assert_eq!(again.depth(), document.depth());
        }
        // Others count levels to 128, and read an integer of any length as a double.
        Err(error) => assert!(
            theirs.is_err()
                || matches!(error.kind, ParseErrorKind::TooDeep { .. } | ParseErrorKind::IntegerOutOfRange),
            "{error}"
        ),
    }
});
