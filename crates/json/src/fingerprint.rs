//! Fingerprints: 64 bits of a value by which unequal values are told apart without a walk over both.
//!
//! Equal values have equal fingerprints, on every platform. The reverse is only likely, and not even that for values
//! that somebody chose: whoever acts on equal fingerprints compares the values too. Never stored, never sent.

use crate::Json;

/// Odd, with bits in no pattern: 2^64 divided by the golden ratio.
const MULTIPLIER: u64 = 0x9e37_79b9_7f4a_7c15;

/// The fingerprint of a value; costs a walk over it.
pub(crate) fn of_json(value: &Json) -> u64 {
    finish(add_json(0, value))
}

/// A fingerprint by what can be seen without a walk: the values right below a container, and of containers below it
/// their lengths.
pub(crate) fn at_first_look(value: &Json) -> u64 {
    finish(match value {
        Json::Array(array) => array.iter().fold(6, add_glance),
        Json::Object(object) => object.iter().fold(7, |state, (_, value)| add_glance(state, value)),
        scalar => add_json(0, scalar),
    })
}

fn add_glance(state: u64, value: &Json) -> u64 {
    if value.is_container() { mix(state ^ 8, value.encoded_len() as u64) } else { add_json(state, value) }
}

/// The fingerprint of a key with its value.
pub(crate) fn of_member(key: &str, value: &Json) -> u64 {
    finish(add_json(add_bytes(0, key.as_bytes()), value))
}

/// The fingerprint of a text.
pub(crate) fn of_bytes(bytes: &[u8]) -> u64 {
    finish(add_bytes(0, bytes))
}

/// Adds a value to a state; begins with its type and ends at a length or a mark, so that no two trees add the same.
fn add_json(state: u64, value: &Json) -> u64 {
    match value {
        Json::Null => mix(state, 1),
        Json::Bool(value) => mix(state, 2 + u64::from(*value)),
        // Adding zero makes -0 into 0, which it equals.
        Json::Number(number) => mix(state ^ 4, (number + 0.0).to_bits()),
        Json::String(text) => add_bytes(state ^ 5, text.as_bytes()),
        Json::Array(array) => array.iter().fold(mix(state ^ 6, array.len() as u64), add_json),
        Json::Object(object) => {
            object.iter().fold(mix(state ^ 7, object.len() as u64), |state, (key, value)| {
                add_json(add_bytes(state, key.as_bytes()), value)
            })
        }
    }
}

fn add_bytes(state: u64, bytes: &[u8]) -> u64 {
    let (words, rest) = bytes.as_chunks();
    let state = words
        .iter()
        .fold(state ^ ((bytes.len() as u64) << 8), |state, word| mix(state, u64::from_le_bytes(*word)));
    mix(state, rest.iter().fold(0, |word, byte| word << 8 | u64::from(*byte)))
}

fn mix(state: u64, word: u64) -> u64 {
    (state.rotate_left(23) ^ word).wrapping_mul(MULTIPLIER)
}

/// Spreads what the multiplications left in the high bits (the finalizer of MurmurHash3).
fn finish(mut state: u64) -> u64 {
    state = (state ^ (state >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    state = (state ^ (state >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    state ^ (state >> 33)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::Limits;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    fn of(text: &str) -> u64 {
        of_json(&Json::parse(text, &Limits::default()).unwrap())
    }

    #[test]
    fn equal_values_have_equal_fingerprints() {
        assert_eq!(of(r#"{"a":[1,-0,"x"],"b":null}"#), of(r#"{ "b":null, "a":[1.0,0,"\u0078"] }"#));
    }

    #[test]
    fn values_that_look_alike_have_different_fingerprints() {
        let alike = [
            "null",
            "false",
            "true",
            "0",
            "1",
            "\"\"",
            "\"\\u0000\"",
            "\"0\"",
            "\"null\"",
            "[]",
            "{}",
            "[[]]",
            "[null]",
            "[[],[]]",
            "[[[]]]",
            "[1,2]",
            "[2,1]",
            "[[1],2]",
            "[[1,2]]",
            r#"{"a":"b"}"#,
            r#"{"b":"a"}"#,
            r#"["a","b"]"#,
            r#"{"a":{}}"#,
            r#"{"a":[]}"#,
            "\"12345678\"",
            "\"123456780\"",
            "\"12345678\\u0000\"",
        ];
        let mut fingerprints: Vec<u64> = alike.iter().map(|text| of(text)).collect();
        fingerprints.sort_unstable();
        fingerprints.dedup();
        assert_eq!(fingerprints.len(), alike.len());
    }

    #[test]
    fn a_fingerprint_is_the_same_on_every_platform() {
        assert_eq!(of(r#"{"a":[1,"text of more than eight bytes",true]}"#), 16_500_417_342_983_368_986);
    }
}
