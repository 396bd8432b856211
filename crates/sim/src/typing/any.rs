//! Patches to documents of any shape: those that somebody brings along.

use jsonptr::{PointerBuf, Token};
use rejoin_json::{Json, Operation};

use crate::dice::Dice;
use crate::tokens::Issuer;

/// How deep a place may lie.
const MAX_DEPTH: usize = 8;

/// An operation at a place that a walk from the root comes upon.
pub(super) fn operation(content: &Json, dice: &mut Dice, issuer: &mut Issuer) -> Option<Operation> {
    let mut path = PointerBuf::new();
    let mut here = content;
    for depth in 0.. {
        let stays = depth > 0 && (depth == MAX_DEPTH || dice.chance(2_500));
        let (key, next) = match here {
            Json::Object(object) if !stays && !object.is_empty() => {
                let (key, member) = object.iter().nth(dice.below(object.len()))?;
                (Token::new(key.to_string()), member)
            }
            Json::Array(array) if !stays && !array.is_empty() => {
                let at = dice.below(array.len());
                (Token::new(at.to_string()), array.get(at)?)
            }
            _ => break,
        };
        path.push_back(key);
        here = next;
    }
    at(here, path, dice, issuer)
}

/// What is done to a value.
fn at(value: &Json, mut path: PointerBuf, dice: &mut Dice, issuer: &mut Issuer) -> Option<Operation> {
    let is_root = path.is_root();
    let removed = |path| (!is_root).then_some(Operation::Remove { path });
    match value {
        Json::Object(_) if is_root || dice.chance(7_000) => {
            path.push_back(Token::new(format!("new {}", dice.between(1, 9))));
            Some(Operation::Add { path, value: typed(issuer) })
        }
        Json::Array(array) if is_root || dice.chance(7_000) => {
            let at = dice.below(array.len() + 1);
            let like = array.get(at.saturating_sub(1)).cloned();
            path.push_back(Token::new(at.to_string()));
            Some(Operation::Add { path, value: another(like.as_ref(), issuer) })
        }
        Json::Object(_) | Json::Array(_) => removed(path),
        _ if dice.chance(1_000) => removed(path),
        _ if is_root => None,
        Json::String(text) => match super::splice(text.as_str(), path.clone(), dice, issuer) {
            Some(splice) if dice.chance(6_000) => Some(splice),
            _ => Some(Operation::Replace { path, value: typed(issuer) }),
        },
        Json::Number(_) => {
            let number = value.as_i64().unwrap_or(0) + i64::try_from(dice.between(0, 9)).ok()? - 3;
            Some(Operation::Replace { path, value: Json::number(number as f64)? })
        }
        Json::Bool(is_true) => Some(Operation::Replace { path, value: Json::from(!is_true) }),
        Json::Null => Some(Operation::Replace { path, value: typed(issuer) }),
    }
}

fn typed(issuer: &mut Issuer) -> Json {
    Json::from(issuer.issue().to_string())
}

/// An element like another one, by an identity of its own.
fn another(like: Option<&Json>, issuer: &mut Issuer) -> Json {
    let Some(Json::Object(object)) = like else { return typed(issuer) };
    object
        .iter()
        .map(|(key, member)| match member {
            Json::String(_) => (key.clone(), typed(issuer)),
            Json::Number(_) if ["id", "key"].contains(&&**key) => (key.clone(), typed(issuer)),
            other => (key.clone(), other.clone()),
        })
        .collect()
}
