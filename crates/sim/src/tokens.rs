//! Values that can be followed: every typed value is one code point that is used once.

use std::collections::BTreeMap;

use rejoin_json::Json;
use rejoin_wire::{Body, ConflictRecord, Effect};

use crate::crdt;

/// The first code point: a plane for private use. One code point a value, so that no merge of texts can cut one in two and no
/// two can become a third.
pub(crate) const FIRST: u32 = 0xF_0000;

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

/// Finds the tokens of a text.
fn find_in_text(text: &str, found: &mut Vec<Token>) {
    found.extend(text.chars().filter(|token| u32::from(*token) >= FIRST));
}

/// Finds the tokens of a value, those in keys too.
fn find(value: &Json, found: &mut Vec<Token>) {
    match value {
        Json::String(text) => find_in_text(text.as_str(), found),
        Json::Array(array) => array.iter().for_each(|element| find(element, found)),
        Json::Object(object) => object.iter().for_each(|(key, member)| {
            find_in_text(key, found);
            find(member, found);
        }),
        Json::Null | Json::Bool(_) | Json::Number(_) => {}
    }
}

/// How often each token was found.
fn counted(mut found: Vec<Token>) -> Counts {
    found.sort_unstable();
    let often = |equal: &[Token]| u32::try_from(equal.len()).unwrap_or(u32::MAX);
    found.chunk_by(PartialEq::eq).map(|equal| (equal[0], often(equal))).collect()
}

/// Counts the tokens of a value.
pub(crate) fn tokens(value: &Json) -> Counts {
    let mut found = Vec::new();
    find(value, &mut found);
    counted(found)
}

fn find_in_patch(patch: &rejoin_json::Patch, found: &mut Vec<Token>) {
    for operation in patch.iter() {
        match operation {
            rejoin_json::Operation::Test { .. } => {}
            rejoin_json::Operation::Splice { insert, .. } => find_in_text(insert, found),
            other => {
                if let Some(value) = other.value() {
                    find(value, found);
                }
                // The key of a new member is typed too.
                if let rejoin_json::Operation::Add { path, .. } = other
                    && let Some(key) = path.tokens().last()
                {
                    find_in_text(&key.decoded(), found);
                }
            }
        }
    }
}

/// The tokens that a change writes into the content.
pub(crate) fn in_body(body: &Body) -> Counts {
    let mut found = Vec::new();
    match body {
        Body::Create { content, .. } => find(content, &mut found),
        Body::Edit { patch, .. } => find_in_patch(patch, &mut found),
        Body::Merge { update } => crdt::find_in_update(update, &mut found),
        Body::Header { .. } | Body::Delete | Body::Undelete | Body::Void => {}
    }
    counted(found)
}

/// The tokens that a revision writes into the content.
pub(crate) fn in_effect(effect: &Effect) -> Counts {
    let mut found = Vec::new();
    match effect {
        Effect::Created { content, .. } => find(content, &mut found),
        Effect::Patched { patch } => find_in_patch(patch, &mut found),
        Effect::Merged { update } => crdt::find_in_update(update, &mut found),
        Effect::Own | Effect::Header { .. } | Effect::Deleted | Effect::Undeleted | Effect::Void => {}
    }
    counted(found)
}

/// The tokens of conflict records.
pub(crate) fn in_records<'a>(records: impl IntoIterator<Item = &'a ConflictRecord>) -> Counts {
    let mut found = Vec::new();
    for record in records {
        for value in [&record.base, &record.current, &record.incoming].into_iter().flatten() {
            find(value, &mut found);
        }
    }
    counted(found)
}
