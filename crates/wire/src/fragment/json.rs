//! Fragments in the JSON encoding: objects of type `fragment`, each with a part of the message's text.

use std::borrow::Cow;
use std::str;

use bytes::Bytes;
use serde::Deserialize;

use super::{Assembler, FragmentError, Frames};
use crate::catalogue::CONTROL;
use crate::json;

/// What stands around the text of a fragment in the JSON encoding.
const JSON_HEAD: &str = r#"{"type":"fragment","last":"#;
const JSON_MIDDLE: &str = r#","text":"#;
const JSON_TAIL: &str = "}";

/// Bytes of a fragment in the JSON encoding besides the escaped text: the parts above, `false`, two quotes.
const JSON_OVERHEAD: usize = JSON_HEAD.len() + JSON_MIDDLE.len() + JSON_TAIL.len() + 5 + 2;

impl Frames {
    pub(super) fn json(&mut self) -> Bytes {
        if !self.begun && self.rest.len() <= self.max_frame {
            return std::mem::take(&mut self.rest);
        }
        self.begun = true;
        let part = self.rest.split_to(part_len(&self.rest, self.max_frame - JSON_OVERHEAD));
        let last = if self.rest.is_empty() { "true" } else { "false" };
        let text = serde_json::to_string(&String::from_utf8_lossy(&part))
            .expect("invariant: every string has a JSON form");
        [JSON_HEAD, last, JSON_MIDDLE, &text, JSON_TAIL].concat().into()
    }
}

impl Assembler {
    pub(super) fn json(&mut self, frame: Bytes) -> Result<Option<Bytes>, FragmentError> {
        #[derive(Deserialize)]
        struct Fragment<'a> {
            last: bool,
            #[serde(borrow)]
            text: Cow<'a, str>,
        }
        let text = str::from_utf8(&frame).map_err(|_| FragmentError::BadUtf8)?;
        // What is not JSON is refused when it is decoded as a message, with a better reason.
        let name = json::type_of(text).unwrap_or_default();
        if name == "fragment" {
            let fragment: Fragment<'_> = serde_json::from_str(text).map_err(|_| FragmentError::Malformed)?;
            return self.part(fragment.text.as_bytes(), fragment.last);
        }
        self.check_turn(|| CONTROL.iter().any(|(_, known)| *known == name))?;
        drop(name);
        self.whole(frame)
    }
}

/// Length of the longest part, in whole characters, that takes at most `room` bytes in a JSON string.
fn part_len(text: &[u8], room: usize) -> usize {
    let mut used = 0;
    let mut boundary = 0;
    for (position, byte) in text.iter().enumerate() {
        let continues = byte & 0xc0 == 0x80;
        if !continues {
            boundary = position;
        }
        used += match byte {
            0x08 | b'\t' | b'\n' | 0x0c | b'\r' | b'"' | b'\\' => 2,
            0x00..0x20 => 6,
            _ => 1,
        };
        if used > room {
            return boundary;
        }
    }
    text.len()
}
