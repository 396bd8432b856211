//! The words of the protocol, in the form that libFuzzer reads. Both ways of driving the targets insert them.

use std::sync::LazyLock;

const FILE: &str = include_str!("../protocol.dict");

/// The words as they stand in messages.
pub fn words() -> &'static [Vec<u8>] {
    static WORDS: LazyLock<Vec<Vec<u8>>> =
        LazyLock::new(|| FILE.lines().filter(|line| line.starts_with('"')).map(word).collect());
    &WORDS
}

/// The word of a line: in quotes, in which a backslash begins `\\`, `\"` or `\xNN`.
fn word(line: &str) -> Vec<u8> {
    let inner = line.strip_prefix('"').and_then(|line| line.strip_suffix('"')).expect("a word in quotes");
    let mut bytes = Vec::new();
    let mut rest = inner.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'\\' => match rest.next() {
                Some(b'x') => {
                    let digit = |byte: Option<u8>| char::from(byte.unwrap_or_default()).to_digit(16);
                    let (high, low) = (digit(rest.next()), digit(rest.next()));
                    u8::try_from(16 * high.expect("a digit") + low.expect("a digit")).expect("two digits")
                }
                Some(byte @ (b'\\' | b'"')) => byte,
                other => panic!("{line}: {other:?} is not escaped"),
            },
            byte => byte,
        });
    }
    bytes
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use rejoin_wire::{ErrorCode, Message, TextRequest};

    use super::*;
    use crate::samples;

    /// Members whose text is one of few.
    const CHOICES: [&str; 7] =
        ["type", "op", "kind", "event_type", "policy", "winner", "resolution_strategy"];

    /// Names of members, and texts that are one of few, of a value and of what is in it.
    fn names(value: &serde_json::Value, into: &mut BTreeSet<String>) {
        match value {
            serde_json::Value::Array(items) => items.iter().for_each(|item| names(item, into)),
            serde_json::Value::Object(members) => members.iter().for_each(|(name, value)| {
                into.insert(name.clone());
                if let (true, Some(text)) = (CHOICES.contains(&name.as_str()), value.as_str()) {
                    into.insert(text.to_owned());
                }
                names(value, into);
            }),
            _ => {}
        }
    }

    #[test]
    fn every_word_of_the_protocol_is_in_it() {
        let mut expected: BTreeSet<String> = BTreeSet::new();
        expected.extend(Message::KINDS.iter().map(|(_, name)| (*name).to_owned()));
        expected.extend(TextRequest::TYPES.iter().map(|name| (*name).to_owned()));
        expected.extend(ErrorCode::ALL.iter().map(|code| code.name().to_owned()));
        for text in samples::every_example() {
            // An example may be several messages in a row.
            for value in serde_json::Deserializer::from_str(text).into_iter() {
                names(&value.expect("an example is JSON"), &mut expected);
            }
        }
        assert!(expected.len() > 100, "the page shows every message");
        let words: BTreeSet<&[u8]> = words().iter().map(Vec::as_slice).collect();
        let missing = expected.iter().filter(|name| !words.contains(format!("\"{name}\"").as_bytes()));
        assert_eq!(missing.collect::<Vec<_>>(), [""; 0]);
        for (number, name) in Message::KINDS {
            assert!(words.contains(&[*number][..]), "the number of {name}");
        }
    }

    #[test]
    fn words_are_read_as_libfuzzer_reads_them() {
        assert_eq!(word(r#""a\x00\xfF\\\"b""#), b"a\0\xff\\\"b");
    }
}
