//! Random documents and random edits, biased towards sides that meet: few keys, few identities, few values.

use rejoin_json::{Json, Limits, Operation, Patch, PointerBuf, apply};

/// What documents are made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flavour {
    /// Objects and arrays whose elements all have an identity.
    Keyed,
    /// The same, edited below the elements only: no array gains, loses or moves one.
    InPlace,
    /// Arrays of values without identity.
    Plain,
    /// All sorts of arrays, with identities missing and repeated.
    Mixed,
    /// Strings of words.
    Texts,
}

impl Flavour {
    pub(crate) const ALL: [Self; 5] = [Self::Keyed, Self::InPlace, Self::Plain, Self::Mixed, Self::Texts];
}

/// Small numbers out of a list of large ones; zeros when the list ends, so that a shorter list is a simpler case.
pub(crate) struct Dice<'a>(std::slice::Iter<'a, u32>);

impl<'a> Dice<'a> {
    pub(crate) fn of(seed: &'a [u32]) -> Self {
        Self(seed.iter())
    }

    pub(crate) fn below(&mut self, count: usize) -> usize {
        self.0.next().map_or(0, |number| *number as usize % count.max(1))
    }

    fn pick<T: Copy>(&mut self, items: &[T]) -> T {
        items[self.below(items.len())]
    }
}

const KEYS: [&str; 4] = ["a", "b", "n", "x"];
const WORDS: [&str; 6] = ["", "the fox", "the red fox", "the quick fox ran", "a red hen ran", "fox"];

/// A document: an object with arrays and objects in it.
pub(crate) fn document(dice: &mut Dice<'_>, flavour: Flavour) -> Json {
    let members = (0..dice.below(4) + 1).map(|_| {
        let key = dice.pick(&KEYS);
        let value = if dice.below(2) == 0 { array(dice, flavour, 2) } else { value(dice, flavour, 2) };
        (key.into(), value)
    });
    let members: Vec<_> = members.collect();
    members.into_iter().collect()
}

/// Any value.
pub(crate) fn value(dice: &mut Dice<'_>, flavour: Flavour, depth: usize) -> Json {
    match dice.below(if depth == 0 { 3 } else { 6 }) {
        0 => Json::from(u32::try_from(dice.below(4)).unwrap()),
        1 => word(dice, flavour),
        2 => dice.pick(&[Json::Null, Json::Bool(true), Json::Bool(false)].each_ref()).clone(),
        3 => array(dice, flavour, depth - 1),
        _ => (0..dice.below(4))
            .map(|_| (dice.pick(&KEYS).into(), value(dice, flavour, depth - 1)))
            .collect::<Vec<_>>()
            .into_iter()
            .collect(),
    }
}

fn word(dice: &mut Dice<'_>, flavour: Flavour) -> Json {
    if flavour == Flavour::Texts {
        Json::from(dice.pick(&WORDS))
    } else {
        Json::from(dice.pick(&["s1", "s2", ""]))
    }
}

fn array(dice: &mut Dice<'_>, flavour: Flavour, depth: usize) -> Json {
    let mut elements: Vec<Json> = Vec::new();
    for _ in 0..dice.below(6) {
        let new = element(dice, flavour, depth);
        let keyed = matches!(flavour, Flavour::Keyed | Flavour::InPlace | Flavour::Texts);
        if !keyed || elements.iter().all(|element| element.get("id") != new.get("id")) {
            elements.push(new);
        }
    }
    Json::from(elements)
}

/// An element as the arrays of a flavour have them.
fn element(dice: &mut Dice<'_>, flavour: Flavour, depth: usize) -> Json {
    let identified = match flavour {
        Flavour::Keyed | Flavour::InPlace | Flavour::Texts => true,
        Flavour::Plain => false,
        Flavour::Mixed => dice.below(3) > 0,
    };
    if !identified {
        return value(dice, flavour, depth.min(1));
    }
    let mut members = vec![("id".into(), Json::from(u32::try_from(dice.below(6)).unwrap()))];
    if flavour == Flavour::Mixed && dice.below(4) == 0 {
        members = vec![("key".into(), Json::from("k"))];
    }
    for _ in 0..dice.below(3) {
        members.push((dice.pick(&KEYS).into(), value(dice, flavour, depth.saturating_sub(1))));
    }
    members.into_iter().collect()
}

/// Edits a document and returns the result with the patch that was made. Values that are new are marked with the side.
pub(crate) fn edited(
    document: &Json,
    dice: &mut Dice<'_>,
    flavour: Flavour,
    side: &str,
    edits: usize,
) -> (Json, Patch) {
    let mut document = document.clone();
    let mut patch = Patch::new();
    for edit in 0..edits {
        let operation = operation(&document, dice, flavour, &format!("{side}{edit}"));
        // Not everything that comes up can be done, as moving a value into itself.
        let step = Patch(vec![operation.clone()]);
        if apply(&mut document, &step, &Limits::default()).is_ok() {
            patch.0.push(operation);
        }
    }
    (document, patch)
}

/// A place to edit, and whether it is an element.
struct Spot {
    path: PointerBuf,
    in_array: bool,
}

fn spot(document: &Json, dice: &mut Dice<'_>) -> Spot {
    let mut spot = Spot { path: PointerBuf::new(), in_array: false };
    let mut value = document;
    loop {
        let count = match value {
            Json::Object(object) => object.len(),
            Json::Array(array) => array.len(),
            _ => 0,
        };
        if count == 0 || !spot.path.is_root() && dice.below(3) == 0 {
            return spot;
        }
        let index = dice.below(count);
        spot.in_array = matches!(value, Json::Array(_));
        match value {
            Json::Object(object) => {
                let (key, below) = object.iter().nth(index).unwrap();
                spot.path.push_back(&**key);
                value = below;
            }
            Json::Array(array) => {
                spot.path.push_back(index);
                value = array.get(index).unwrap();
            }
            _ => return spot,
        }
    }
}

fn operation(document: &Json, dice: &mut Dice<'_>, flavour: Flavour, mark: &str) -> Operation {
    let Spot { path, in_array } = spot(document, dice);
    let in_place = flavour == Flavour::InPlace;
    let value_there = document.pointer(&path).cloned().unwrap_or_default();
    let identity = path.last().is_some_and(|token| matches!(token.encoded(), "id" | "key"));
    match dice.below(9) {
        0 | 1 if !(in_array || path.is_root() || in_place && identity) => {
            Operation::Replace { path, value: fresh(dice, flavour, mark) }
        }
        2 if !path.is_root() && !(in_place && (in_array || identity)) => Operation::Remove { path },
        3 if !path.is_root() && in_array && !in_place => {
            let mut to = path.clone();
            to.pop_back();
            to.push_back(dice.below(6));
            Operation::Move { from: path, path: to }
        }
        4 if !in_place => {
            let mut to = spot(document, dice).path;
            if to.is_root() {
                to.push_back(dice.pick(&KEYS));
            }
            if dice.below(2) == 0 {
                Operation::Copy { from: path, path: to }
            } else {
                Operation::Move { from: path, path: to }
            }
        }
        5 => Operation::Test { path, value: value_there },
        6 if value_there.as_str().is_some() && !(in_place && identity) => {
            let text = value_there.as_str().unwrap_or_default();
            let mut cuts: Vec<usize> = (0..=text.len()).filter(|at| text.is_char_boundary(*at)).collect();
            let at = dice.below(cuts.len());
            let at = cuts.drain(at..).next().unwrap_or(0);
            let remove = dice.below(4).min(text.len() - at);
            let insert = if flavour == Flavour::Texts {
                dice.pick(&["", "er", " big", "big "]).into()
            } else {
                mark.to_string()
            };
            Operation::Splice { path, at, remove, insert }
        }
        _ => addition(path, &value_there, dice, flavour, mark),
    }
}

/// Adds a member or an element to a container; replaces what is none.
fn addition(
    mut path: PointerBuf,
    value: &Json,
    dice: &mut Dice<'_>,
    flavour: Flavour,
    mark: &str,
) -> Operation {
    match value {
        Json::Array(array) if flavour != Flavour::InPlace => {
            let mut new = element(dice, flavour, 1);
            if let (Some(object), true) = (new.as_object_mut(), dice.below(2) == 0) {
                object.insert("t", Json::from(mark));
            }
            let plain = matches!(flavour, Flavour::Plain | Flavour::Mixed) && dice.below(2) == 0;
            if plain {
                new = fresh(dice, flavour, mark);
            }
            path.push_back(dice.below(array.len() + 1));
            Operation::Add { path, value: new }
        }
        Json::Object(_) => {
            path.push_back(dice.pick(&KEYS));
            Operation::Add { path, value: fresh(dice, flavour, mark) }
        }
        _ => Operation::Test { path, value: value.clone() },
    }
}

/// A value that nobody else writes, mostly.
fn fresh(dice: &mut Dice<'_>, flavour: Flavour, mark: &str) -> Json {
    match dice.below(6) {
        0 => value(dice, flavour, 1),
        1 => [("x".into(), Json::from(mark))].into_iter().collect(),
        2 => array(dice, flavour, 1),
        3 if flavour == Flavour::Texts => word(dice, flavour),
        4 => Json::from(u32::try_from(dice.below(50)).unwrap()),
        _ => Json::from(format!("new {mark}")),
    }
}

/// The same value with no node shared.
pub(crate) fn unshared(value: &Json) -> Json {
    Json::parse(&value.canonical(), &Limits::default()).unwrap()
}
