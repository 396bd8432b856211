//! Messages to JSON text and back.

use std::borrow::Cow;

use serde::Deserialize;

use crate::catalogue;
use crate::error::{DecodeError, DecodeErrorKind, shorten};
use crate::limits::MAX_JSON_DEPTH;
use crate::message::Message;

/// Characters of a foreign text that an error repeats.
const MAX_QUOTED_CHARACTERS: usize = 64;

/// Characters of the JSON reader's words that an error repeats; they may quote foreign text.
const MAX_REASON_CHARACTERS: usize = 256;

/// The text of a message.
pub(crate) fn encode(message: &Message) -> Vec<u8> {
    serde_json::to_vec(message).expect("invariant: every message has a JSON form")
}

/// Reads a message. Its depth is bounded; its other limits are left to be checked.
pub(crate) fn decode(bytes: &[u8]) -> Result<Message, DecodeError> {
    let text = utf8(bytes)?;
    check_depth(text)?;
    let name = type_of(text)?;
    match catalogue::read_json(&name, text) {
        Some(message) => message.map_err(|error| reader_error(text, &error)),
        None => {
            let name = shorten(&name, MAX_QUOTED_CHARACTERS).into_boxed_str();
            Err(DecodeError::new(0, DecodeErrorKind::UnknownType { name }))
        }
    }
}

/// The member `type` of a JSON object; nothing else of it is kept.
pub(crate) fn type_of(text: &str) -> Result<Cow<'_, str>, DecodeError> {
    #[derive(Deserialize)]
    struct Envelope<'a> {
        #[serde(rename = "type", borrow)]
        name: Cow<'a, str>,
    }
    // Serde would take a list for an object.
    if !text.trim_start().starts_with('{') {
        let what = "a message: a JSON object with the member `type`";
        return Err(DecodeError::new(0, DecodeErrorKind::Invalid { what }));
    }
    match serde_json::from_str::<Envelope<'_>>(text) {
        Ok(envelope) => Ok(envelope.name),
        Err(error) => Err(reader_error(text, &error)),
    }
}

pub(crate) fn utf8(bytes: &[u8]) -> Result<&str, DecodeError> {
    std::str::from_utf8(bytes)
        .map_err(|error| DecodeError::new(error.valid_up_to(), DecodeErrorKind::BadUtf8))
}

/// Refuses text that nests deeper than any message, before anything recurses into it.
fn check_depth(text: &str) -> Result<(), DecodeError> {
    let mut depth = 0_usize;
    let mut bytes = text.bytes().enumerate();
    while let Some((offset, byte)) = bytes.next() {
        match byte {
            b'{' | b'[' if depth == MAX_JSON_DEPTH => {
                return Err(DecodeError::new(offset, DecodeErrorKind::Depth { limit: MAX_JSON_DEPTH }));
            }
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.saturating_sub(1),
            b'"' => skip_string(&mut bytes),
            _ => {}
        }
    }
    Ok(())
}

fn skip_string(bytes: &mut impl Iterator<Item = (usize, u8)>) {
    while let Some((_, byte)) = bytes.next() {
        match byte {
            b'"' => return,
            b'\\' => drop(bytes.next()),
            _ => {}
        }
    }
}

/// What the JSON reader says, with the place in bytes.
fn reader_error(text: &str, error: &serde_json::Error) -> DecodeError {
    let lines_before = error.line().saturating_sub(1);
    let line_start: usize = text.split_inclusive('\n').take(lines_before).map(str::len).sum();
    let offset = line_start.saturating_add(error.column()).min(text.len());
    let message = shorten(&error.to_string(), MAX_REASON_CHARACTERS).into_boxed_str();
    DecodeError::new(offset, DecodeErrorKind::Json { message })
}
