//! Values that can be followed: every typed value is one code point that is used once.

use std::collections::BTreeMap;

use rejoin_json::Json;
use rejoin_wire::{Body, ConflictRecord, Effect};

/// The first code point: a plane for private use. One code point a value, so that no merge of texts can cut one in two and no
/// two can become a third.
const FIRST: u32 = 0xF_0000;

/// A typed value.
pub(crate) type Token = char;

/// How often each token occurs.
pub(crate) type Counts = BTreeMap<Token, u32>;

/// Gives out tokens, each once.
#[derive(Debug, Default)]
pub(crate) struct Issuer(u32);

impl Issuer {
    /// A token that nobody has typed before.
    pub(crate) fn issue(&mut self) -> Token {
        let token =
            char::from_u32(FIRST + self.0).expect("invariant: a world types fewer values than a plane has");
        self.0 += 1;
        token
    }

    /// Whether the token was given out.
    pub(crate) fn has_issued(&self, token: Token) -> bool {
        u32::from(token) - FIRST < self.0
    }
}

/// Counts the tokens of a text.
pub(crate) fn count_text(text: &str, counts: &mut Counts) {
    for token in text.chars().filter(|token| u32::from(*token) >= FIRST) {
        *counts.entry(token).or_default() += 1;
    }
}

/// Counts the tokens of a value, those in keys too.
pub(crate) fn count(value: &Json, counts: &mut Counts) {
    match value {
        Json::String(text) => count_text(text.as_str(), counts),
        Json::Array(array) => array.iter().for_each(|element| count(element, counts)),
        Json::Object(object) => object.iter().for_each(|(key, member)| {
            count_text(key, counts);
            count(member, counts);
        }),
        Json::Null | Json::Bool(_) | Json::Number(_) => {}
    }
}

/// The tokens of a value.
pub(crate) fn tokens(value: &Json) -> Counts {
    let mut counts = Counts::new();
    count(value, &mut counts);
    counts
}

fn count_patch(patch: &rejoin_json::Patch, counts: &mut Counts) {
    for operation in patch.iter() {
        match operation {
            rejoin_json::Operation::Test { .. } => {}
            rejoin_json::Operation::Splice { insert, .. } => count_text(insert, counts),
            other => {
                if let Some(value) = other.value() {
                    count(value, counts);
                }
                // The key of a new member is typed too.
                if let rejoin_json::Operation::Add { path, .. } = other
                    && let Some(key) = path.tokens().last()
                {
                    count_text(&key.decoded(), counts);
                }
            }
        }
    }
}

/// The tokens that a change writes into the content.
pub(crate) fn in_body(body: &Body) -> Counts {
    let mut counts = Counts::new();
    match body {
        Body::Create { content, .. } => count(content, &mut counts),
        Body::Edit { patch, .. } => count_patch(patch, &mut counts),
        Body::Header { .. } | Body::Delete | Body::Undelete | Body::Void => {}
    }
    counts
}

/// The tokens that a revision writes into the content.
pub(crate) fn in_effect(effect: &Effect) -> Counts {
    let mut counts = Counts::new();
    match effect {
        Effect::Created { content, .. } => count(content, &mut counts),
        Effect::Patched { patch } => count_patch(patch, &mut counts),
        Effect::Own | Effect::Header { .. } | Effect::Deleted | Effect::Undeleted | Effect::Void => {}
    }
    counts
}

/// The tokens of conflict records.
pub(crate) fn in_records<'a>(records: impl IntoIterator<Item = &'a ConflictRecord>) -> Counts {
    let mut counts = Counts::new();
    for record in records {
        for value in [&record.base, &record.current, &record.incoming].into_iter().flatten() {
            count(value, &mut counts);
        }
    }
    counts
}
