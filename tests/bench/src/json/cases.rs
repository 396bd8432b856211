//! The cases: a document before and after an edit, and the edit as a patch of RFC 6902 there and back.

use anyhow::Result;
use rejoin_json::{Json, Limits, apply};
use serde_json::{Value, json};

use super::documents::{board, card, records, text};
use crate::random::Random;

/// Every document and every edit comes from it.
const SEED: u64 = 6902;

/// Elements of the long arrays.
const MANY: usize = 64_000;

/// Elements of a long array that are inserted, deleted and edited, each.
const MANY_EDITS: usize = 100;

/// One document and one edit of it, as values that every library can be given as text.
pub(super) struct Case {
    pub(super) size: &'static str,
    pub(super) edit: &'static str,
    pub(super) from: Value,
    pub(super) to: Value,
    /// The edit as a person made it; there is none where only the difference is of interest.
    pub(super) patches: Option<Patches>,
}

/// An edit there and back.
pub(super) struct Patches {
    pub(super) forward: Value,
    pub(super) back: Value,
    /// Whether a part of a string is changed, for which RFC 6902 has no operation: of no interest as a difference, which
    /// is that of the whole string.
    pub(super) in_parts: bool,
}

/// Boards of three sizes, each with every edit; then the long arrays.
pub(super) fn all() -> Result<Vec<Case>> {
    let mut cases = Vec::new();
    for (size, bytes) in [("1 KB", 1_000), ("100 KB", 100_000), ("5 MB", 5_000_000)] {
        let mut random = Random::new(SEED);
        let board = board(bytes, &mut random);
        let edits: [(&str, Patches); 6] = [
            ("one field", one_field(&board)),
            ("ten fields", ten_fields(&board)),
            ("array insert and delete", insert_and_delete(&board, &mut random)),
            ("text", sentence(&board, false, &mut random)),
            ("text in parts", sentence(&board, true, &mut random)),
            ("reorder", reorder(&board)),
        ];
        for (edit, patches) in edits {
            let mut to = Json::try_from(&board)?;
            apply(&mut to, &serde_json::from_value(patches.forward.clone())?, &Limits::default())?;
            let to = to.to_value();
            cases.push(Case { size, edit, from: board.clone(), to, patches: Some(patches) });
        }
        cases.push(Case { size, edit: "nothing", from: board.clone(), to: board, patches: None });
    }
    cases.extend(long_arrays());
    Ok(cases)
}

fn cards(board: &Value) -> &[Value] {
    board["cards"].as_array().map_or(&[], Vec::as_slice)
}

fn replacements(board: &Value, edits: &[(String, Value)]) -> Patches {
    let operation = |path: &str, value: &Value| json!({"op": "replace", "path": path, "value": value});
    Patches {
        forward: edits.iter().map(|(path, value)| operation(path, value)).collect(),
        back: edits
            .iter()
            .map(|(path, _)| operation(path, &board.pointer(path).cloned().unwrap_or_default()))
            .collect(),
        in_parts: false,
    }
}

fn one_field(board: &Value) -> Patches {
    let middle = cards(board).len() / 2;
    replacements(board, &[(format!("/cards/{middle}/title"), json!("A title that somebody typed"))])
}

fn ten_fields(board: &Value) -> Patches {
    let count = cards(board).len();
    let fields = ["title", "votes", "position/x", "assignee/name", "done"];
    let edits: Vec<(String, Value)> = (0..10)
        .map(|edit| {
            let (index, field) = (edit * count / 10, fields[edit % fields.len()]);
            let value = match field {
                "votes" | "position/x" => json!(1_000_000 + edit),
                "done" => json!("perhaps"),
                _ => json!(format!("edited {edit}")),
            };
            (format!("/cards/{index}/{field}"), value)
        })
        .collect();
    replacements(board, &edits)
}

fn insert_and_delete(board: &Value, random: &mut Random) -> Patches {
    let count = cards(board).len();
    let (insert, delete) = (count / 3, count * 2 / 3);
    let (insert, delete) = (format!("/cards/{insert}"), format!("/cards/{delete}"));
    let deleted = board.pointer(&delete).cloned().unwrap_or_default();
    Patches {
        forward: json!([
            {"op": "remove", "path": delete},
            {"op": "add", "path": insert, "value": card(count, random)},
        ]),
        back: json!([{"op": "remove", "path": insert}, {"op": "add", "path": delete, "value": deleted}]),
        in_parts: false,
    }
}

/// A sentence inserted into the description: the whole string anew, or only the sentence.
fn sentence(board: &Value, in_parts: bool, random: &mut Random) -> Patches {
    let before = board["description"].as_str().unwrap_or_default();
    let insert = format!(" {}.", text(40, random));
    let at = before.len() / 2;
    if !in_parts {
        let after = format!("{}{insert}{}", &before[..at], &before[at..]);
        return replacements(board, &[("/description".to_owned(), json!(after))]);
    }
    let splice = |remove: usize, insert: &str| json!([{"op": "splice", "path": "/description", "at": at, "remove": remove, "insert": insert}]);
    Patches { forward: splice(0, &insert), back: splice(insert.len(), ""), in_parts }
}

fn reorder(board: &Value) -> Patches {
    let count = cards(board).len();
    let moves: Vec<(usize, usize)> =
        (0..count.min(5)).map(|step| (count - 1 - step, step * count / 10)).collect();
    let operation = |from: usize, to: usize| json!({"op": "move", "from": format!("/cards/{from}"), "path": format!("/cards/{to}")});
    Patches {
        forward: moves.iter().map(|(from, to)| operation(*from, *to)).collect(),
        back: moves.iter().rev().map(|(from, to)| operation(*to, *from)).collect(),
        in_parts: false,
    }
}

fn long_arrays() -> Vec<Case> {
    let mut random = Random::new(SEED);
    let identified = records(MANY, &mut random);
    let numbers: Vec<Value> = (0..MANY).map(|_| json!(random.below(1_000_000))).collect();
    let mut shuffled = identified.clone();
    for last in (1..shuffled.len()).rev() {
        shuffled.swap(last, random.below(last + 1));
    }
    let edited_records = edited(&identified, &mut random, |n| json!({"id": MANY + n, "value": n}));
    let edited_numbers = edited(&numbers, &mut random, |n| json!(1_000_000 + n));
    let case = |edit, from: &[Value], to: Vec<Value>| Case {
        size: "64,000 elements",
        edit,
        from: Value::Array(from.to_vec()),
        to: Value::Array(to),
        patches: None,
    };
    vec![
        case("with identity, 200 come or go, 100 edited", &identified, edited_records),
        case("numbers, 200 come or go, 100 edited", &numbers, edited_numbers),
        case("with identity, shuffled", &identified, shuffled),
    ]
}

/// The array with elements inserted, deleted and replaced.
fn edited(array: &[Value], random: &mut Random, new: impl Fn(usize) -> Value) -> Vec<Value> {
    let mut edited = array.to_vec();
    for edit in 0..MANY_EDITS {
        edited.insert(random.below(edited.len()), new(edit));
        edited.remove(random.below(edited.len()));
        let place = random.below(edited.len());
        if edited[place].is_object() {
            edited[place]["value"] = json!(1_000_000 + edit);
        } else {
            edited[place] = json!(2_000_000 + edit);
        }
    }
    edited
}
