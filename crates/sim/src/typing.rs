//! What people type: patches that fit what they see.

mod any;

use jsonptr::PointerBuf;
use rejoin_json::{Json, Limits, Operation, Patch, Policy, apply};
use rejoin_wire::Header;

use crate::dice::Dice;
use crate::tokens::Issuer;

const FIELDS: [&str; 5] = ["a", "b", "c", "d", "e"];

/// The header of a new document.
pub(crate) fn header(dice: &mut Dice) -> Header {
    let policy = *dice.pick(&[Policy::Theirs, Policy::Theirs, Policy::Ours, Policy::Latest, Policy::Manual]);
    Header { policy, counters: vec![pointer(&["count"])], ..Header::default() }
}

/// The content of a new document.
pub(crate) fn content(issuer: &mut Issuer) -> Json {
    object([
        ("s", object([("a", text(issuer)), ("b", text(issuer))])),
        ("cards", Json::from(vec![object([("id", Json::from("x1")), ("t", text(issuer))])])),
        ("tags", Json::from(vec![text(issuer)])),
        ("text", Json::from(format!("one {} two {} three", issuer.issue(), issuer.issue()))),
        ("count", Json::from(0)),
        ("nest", object([])),
    ])
}

fn object<const N: usize>(members: [(&str, Json); N]) -> Json {
    members.into_iter().map(|(key, value)| (key.into(), value)).collect()
}

fn text(issuer: &mut Issuer) -> Json {
    Json::from(issuer.issue().to_string())
}

fn pointer(tokens: &[&str]) -> PointerBuf {
    PointerBuf::from_tokens(tokens.iter().copied())
}

/// One to four operations that apply to what is seen; of documents that somebody brought along, by their shape.
pub(crate) fn patch(seen: &Json, brought: bool, dice: &mut Dice, issuer: &mut Issuer) -> Patch {
    let mut content = seen.clone();
    let mut operations = Vec::new();
    let wanted = if dice.chance(7_000) { 1 } else { dice.between(2, 4) };
    for _ in 0..wanted {
        let operation =
            if brought { any::operation(&content, dice, issuer) } else { operation(&content, dice, issuer) };
        let Some(operation) = operation else { continue };
        let one = Patch(vec![operation.clone()]);
        if apply(&mut content, &one, &Limits::default()).is_ok() {
            operations.push(operation);
        }
    }
    Patch(operations)
}

#[derive(Clone, Copy)]
enum Kind {
    SetField,
    RemoveField,
    Nest,
    ReplaceNest,
    InsertCard,
    EditCard,
    RemoveCard,
    MoveCard,
    InsertTag,
    ReplaceTag,
    RemoveTag,
    Splice,
    Count,
    Test,
}

const KINDS: [(u32, Kind); 14] = [
    (24, Kind::SetField),
    (4, Kind::RemoveField),
    (8, Kind::Nest),
    (3, Kind::ReplaceNest),
    (10, Kind::InsertCard),
    (14, Kind::EditCard),
    (5, Kind::RemoveCard),
    (6, Kind::MoveCard),
    (8, Kind::InsertTag),
    (4, Kind::ReplaceTag),
    (4, Kind::RemoveTag),
    (16, Kind::Splice),
    (8, Kind::Count),
    (3, Kind::Test),
];

fn operation(content: &Json, dice: &mut Dice, issuer: &mut Issuer) -> Option<Operation> {
    let length = |key: &str| content.get(key).and_then(Json::as_array).map(rejoin_json::Array::len);
    match dice.weighted(&KINDS) {
        Kind::SetField => {
            content.get("s")?.as_object()?;
            Some(Operation::Add { path: pointer(&["s", *dice.pick(&FIELDS)]), value: text(issuer) })
        }
        Kind::RemoveField => Some(Operation::Remove { path: pointer(&["s", *dice.pick(&FIELDS)]) }),
        Kind::Nest => {
            let (key, member) = (*dice.pick(&FIELDS), *dice.pick(&FIELDS));
            match content.get("nest")?.get(key) {
                Some(_) => {
                    Some(Operation::Add { path: pointer(&["nest", key, member]), value: text(issuer) })
                }
                None => Some(Operation::Add {
                    path: pointer(&["nest", key]),
                    value: object([(member, text(issuer))]),
                }),
            }
        }
        Kind::ReplaceNest => {
            let key = *dice.pick(&FIELDS);
            content.get("nest")?.get(key)?;
            let value = if dice.chance(5_000) { text(issuer) } else { object([("z", text(issuer))]) };
            Some(Operation::Replace { path: pointer(&["nest", key]), value })
        }
        Kind::InsertCard => {
            let cards = content.get("cards")?.as_array()?;
            // Some names are taken twice, by people who do not see each other.
            let token = issuer.issue();
            let name = if dice.chance(2_500) {
                format!("x{}", dice.between(1, 4))
            } else {
                format!("c{}", u32::from(token))
            };
            if cards.iter().any(|card| card.get("id").and_then(Json::as_str) == Some(&name)) {
                return None;
            }
            let index = dice.below(cards.len() + 1).to_string();
            let card = object([("id", Json::from(name)), ("t", Json::from(token.to_string()))]);
            Some(Operation::Add { path: pointer(&["cards", &index]), value: card })
        }
        Kind::EditCard => {
            let index = dice.below(length("cards").filter(|length| *length > 0)?).to_string();
            Some(Operation::Add {
                path: pointer(&["cards", &index, *dice.pick(&["t", "u"])]),
                value: text(issuer),
            })
        }
        Kind::RemoveCard => {
            let index = dice.below(length("cards").filter(|length| *length > 0)?).to_string();
            Some(Operation::Remove { path: pointer(&["cards", &index]) })
        }
        Kind::MoveCard => {
            let length = length("cards").filter(|length| *length > 1)?;
            let (from, to) = (dice.below(length).to_string(), dice.below(length).to_string());
            Some(Operation::Move { from: pointer(&["cards", &from]), path: pointer(&["cards", &to]) })
        }
        Kind::InsertTag => {
            let index = dice.below(length("tags")? + 1).to_string();
            Some(Operation::Add { path: pointer(&["tags", &index]), value: text(issuer) })
        }
        Kind::ReplaceTag => {
            let index = dice.below(length("tags").filter(|length| *length > 0)?).to_string();
            Some(Operation::Replace { path: pointer(&["tags", &index]), value: text(issuer) })
        }
        Kind::RemoveTag => {
            let index = dice.below(length("tags").filter(|length| *length > 0)?).to_string();
            Some(Operation::Remove { path: pointer(&["tags", &index]) })
        }
        Kind::Splice => splice(content.get("text")?.as_str()?, pointer(&["text"]), dice, issuer),
        Kind::Count => {
            let count = content.get("count")?.as_i64()?;
            let by = i64::try_from(dice.between(0, 9)).ok()? - 3;
            Some(Operation::Replace { path: pointer(&["count"]), value: Json::number((count + by) as f64)? })
        }
        Kind::Test => {
            let field = *dice.pick(&FIELDS);
            let value = content.get("s")?.get(field)?.clone();
            Some(Operation::Test { path: pointer(&["s", field]), value })
        }
    }
}

fn splice(text: &str, path: PointerBuf, dice: &mut Dice, issuer: &mut Issuer) -> Option<Operation> {
    let places: Vec<usize> = text.char_indices().map(|(at, _)| at).chain([text.len()]).collect();
    let from = dice.below(places.len());
    let removed = if dice.chance(6_000) { 0 } else { dice.below(5) };
    let to = (from + removed).min(places.len() - 1);
    let (at, end) = (*places.get(from)?, *places.get(to)?);
    let insert = if dice.chance(8_000) { format!(" w{}", issuer.issue()) } else { String::new() };
    if insert.is_empty() && at == end {
        return None;
    }
    Some(Operation::Splice { path, at, remove: end - at, insert })
}
