//! The canonical text of a value (RFC 8785) and its hash.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest, Sha256};

use crate::{
    number::NumberText,
    sort::sort_by,
    tree::{Entry, Json, Object, escape_length},
};

impl Json {
    /// Writes the canonical text (RFC 8785): no white space, keys in the order of their UTF-16 code units, numbers and
    /// escapes as ECMAScript writes them.
    ///
    /// # Errors
    ///
    /// Only what `out` returns.
    pub fn write_canonical<W: fmt::Write + ?Sized>(&self, out: &mut W) -> fmt::Result {
        Writer { out, number: NumberText::new() }.value(self)
    }

    /// The canonical text (RFC 8785).
    pub fn canonical(&self) -> String {
        let mut text = String::with_capacity(self.encoded_len());
        // Writing to a string cannot fail.
        let _ = self.write_canonical(&mut text);
        text
    }

    /// The hash of the canonical text: equal for equal values, on every platform.
    pub fn content_hash(&self) -> ContentHash {
        let mut hasher = Hasher { sha: Sha256::new(), buffer: String::with_capacity(HASH_BUFFER_BYTES) };
        // Writing to a hash cannot fail.
        let _ = self.write_canonical(&mut hasher);
        hasher.sha.update(&hasher.buffer);
        ContentHash(hasher.sha.finalize().into())
    }
}

struct Writer<'a, W: ?Sized> {
    out: &'a mut W,
    number: NumberText,
}

impl<W: fmt::Write + ?Sized> Writer<'_, W> {
    fn value(&mut self, value: &Json) -> fmt::Result {
        match value {
            Json::Null => self.out.write_str("null"),
            Json::Bool(true) => self.out.write_str("true"),
            Json::Bool(false) => self.out.write_str("false"),
            Json::Number(number) => self.out.write_str(self.number.format(*number)),
            Json::String(text) => self.string(text),
            Json::Array(array) => {
                let mut separator = "[";
                for item in array {
                    self.out.write_str(separator)?;
                    self.value(item)?;
                    separator = ",";
                }
                self.out.write_str(if array.is_empty() { "[]" } else { "]" })
            }
            Json::Object(object) => self.object(object),
        }
    }

    fn object(&mut self, object: &Object) -> fmt::Result {
        if object.is_empty() {
            return self.out.write_str("{}");
        }
        // The tree keeps keys in the order of code points. UTF-16 differs from it only where it needs surrogates.
        if object.iter().any(|(key, _)| key.bytes().any(|byte| byte >= FIRST_BYTE_OF_SURROGATE_PAIR)) {
            let mut entries: Vec<&Entry> = object.iter().collect();
            sort_by(&mut entries, |(a, _), (b, _)| a.encode_utf16().cmp(b.encode_utf16()));
            self.members(entries.into_iter())
        } else {
            self.members(object.iter())
        }
    }

    fn members<'e>(&mut self, entries: impl Iterator<Item = &'e Entry>) -> fmt::Result {
        let mut separator = '{';
        for (key, value) in entries {
            self.out.write_char(separator)?;
            self.string(key)?;
            self.out.write_char(':')?;
            self.value(value)?;
            separator = ',';
        }
        self.out.write_char('}')
    }

    fn string(&mut self, text: &str) -> fmt::Result {
        self.out.write_char('"')?;
        let mut rest = text;
        while let Some(at) = rest.bytes().position(|byte| escape_length(byte) > 0) {
            let (plain, escaped) = rest.split_at(at);
            let (character, after) = escaped.split_at(1);
            self.out.write_str(plain)?;
            match character.as_bytes() {
                [b'"'] => self.out.write_str("\\\"")?,
                [b'\\'] => self.out.write_str("\\\\")?,
                [b'\n'] => self.out.write_str("\\n")?,
                [b'\r'] => self.out.write_str("\\r")?,
                [b'\t'] => self.out.write_str("\\t")?,
                [0x08] => self.out.write_str("\\b")?,
                [0x0c] => self.out.write_str("\\f")?,
                bytes => bytes.iter().try_for_each(|byte| write!(self.out, "\\u{byte:04x}"))?,
            }
            rest = after;
        }
        self.out.write_str(rest)?;
        self.out.write_char('"')
    }
}

/// Four-byte sequences of UTF-8, which are the characters that UTF-16 writes as surrogate pairs, begin here.
const FIRST_BYTE_OF_SURROGATE_PAIR: u8 = 0xf0;

/// Feeds SHA-256 in pieces of some length: canonical text is written in pieces of a few bytes.
struct Hasher {
    sha: Sha256,
    buffer: String,
}

const HASH_BUFFER_BYTES: usize = 1024;

impl fmt::Write for Hasher {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        if self.buffer.len() + text.len() > HASH_BUFFER_BYTES {
            self.sha.update(&self.buffer);
            self.buffer.clear();
        }
        if text.len() > HASH_BUFFER_BYTES {
            self.sha.update(text);
        } else {
            self.buffer.push_str(text);
        }
        Ok(())
    }
}

/// SHA-256 of the canonical text of a value.
///
/// Displays, parses and serializes as 64 lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ContentHash(pub [u8; 32]);

/// A text that is not 64 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a content hash is 64 hexadecimal digits")]
pub struct ContentHashError;

impl fmt::Display for ContentHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for ContentHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for ContentHash {
    type Err = ContentHashError;

    fn from_str(text: &str) -> Result<Self, ContentHashError> {
        let (pairs, []) = text.as_bytes().as_chunks::<2>() else { return Err(ContentHashError) };
        if pairs.len() != 32 {
            return Err(ContentHashError);
        }
        let mut hash = [0; 32];
        for (byte, [high, low]) in hash.iter_mut().zip(pairs) {
            *byte = hex_digit(*high)? << 4 | hex_digit(*low)?;
        }
        Ok(Self(hash))
    }
}

fn hex_digit(digit: u8) -> Result<u8, ContentHashError> {
    match digit {
        b'0'..=b'9' => Ok(digit - b'0'),
        b'a'..=b'f' => Ok(digit - b'a' + 10),
        b'A'..=b'F' => Ok(digit - b'A' + 10),
        _ => Err(ContentHashError),
    }
}

impl Serialize for ContentHash {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ContentHash {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;
    use crate::Limits;

    fn json(text: &str) -> Json {
        Json::parse(text, &Limits::default()).unwrap()
    }

    #[test]
    fn the_example_of_the_rfc_has_its_canonical_text() {
        // RFC 8785, 3.2.2 and 3.2.3.
        let text = r#"{
            "numbers": [333333333.33333329, 1E30, 4.50, 2e-3, 0.000000000000000000000000001],
            "string": "\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/",
            "literals": [null, true, false]
        }"#;
        let canonical = r#"{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],"string":"€$\u000f\nA'B\"\\\\\"/"}"#;
        assert_eq!(json(text).canonical(), canonical);
        assert_eq!(json(text).encoded_len(), canonical.len());
    }

    #[test]
    fn keys_are_written_in_the_order_of_utf_16() {
        // RFC 8785, 3.2.3: the smiling face comes before the ligature, though its code point is higher.
        let text = r#"{"\u20ac":"Euro Sign","\r":"Carriage Return","\ufb33":"Hebrew Letter Dalet With Dagesh","1":"One","\ud83d\ude00":"Emoji: Grinning Face","\u0080":"Control","\u00f6":"Latin Small Letter O With Diaeresis"}"#;
        let canonical = json(text).canonical();
        let order = ["Carriage", "One", "Control", "Latin", "Euro", "Emoji", "Hebrew"];
        let places: Vec<_> = order.iter().map(|name| canonical.find(name).unwrap()).collect();
        assert!(places.is_sorted(), "{canonical}");
        assert_eq!(json(&canonical), json(text));
    }

    #[test]
    fn the_hash_is_that_of_the_text() {
        let long = Json::from("x".repeat(5000));
        for value in [
            json("{}"),
            json(r#"{"b":[1.0,2],"a":"\u00e9"}"#),
            Json::from(vec![long.clone(), Json::from("y"), long]),
        ] {
            let expected: [u8; 32] = Sha256::digest(value.canonical()).into();
            assert_eq!(value.content_hash(), ContentHash(expected));
        }
    }

    #[test]
    fn a_hash_is_read_as_it_is_written() {
        let text = "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a";
        assert_eq!(json("{}").content_hash().to_string(), text);
        assert_eq!(text.parse(), Ok(json("{}").content_hash()));
        assert_eq!(text.to_uppercase().parse(), Ok(json("{}").content_hash()));
        for refused in
            ["", "4", &text[1..], &format!("{text}00"), &text.replace('4', "g"), &text.replace("44", "é")]
        {
            assert_eq!(refused.parse::<ContentHash>(), Err(ContentHashError), "{refused}");
        }
    }

    #[test]
    fn control_characters_are_escaped_as_the_rfc_says() {
        let text = Json::from("\0\u{1}\u{8}\t\n\u{b}\u{c}\r\u{1f}\u{7f}\u{2028}/");
        assert_eq!(text.canonical(), "\"\\u0000\\u0001\\b\\t\\n\\u000b\\f\\r\\u001f\u{7f}\u{2028}/\"");
    }
}
