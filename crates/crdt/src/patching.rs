//! A JSON Patch on the view of a document, as edits of what stands behind it.
//!
//! Objects and arrays that a patch adds become maps and arrays that others can edit at the same time; its strings stay plain. A string that takes the
//! place of a text becomes an edit of that text, of the parts that differ. XML is shown as text and is no text: it is replaced or removed as a whole.

use std::sync::Arc;

use rejoin_json::{Json, Limits, Operation, Patch, PatchError, Pointer, apply, diff_text};
use thiserror::Error;
use yrs::any::Number;
use yrs::types::text::YChange;
use yrs::{
    Any, Array as _, ArrayPrelim, ArrayRef, In, Map as _, MapPrelim, MapRef, Out, ReadTxn as _, Text as _,
    TextRef, TransactionMut, WriteTxn as _, XmlFragment as _,
};

use crate::document::ApplyError;
use crate::update::MAX_DEPTH;
use crate::view::{ROOT_MAP, roots};

/// Why a patch was not applied.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum PatchingError {
    /// It does not apply to the view, or makes that larger than the limits allow.
    #[error(transparent)]
    Patch(#[from] PatchError),
    /// It makes the view something else than an object.
    #[error("the top of a document must stay an object")]
    Top,
    /// A value stands too deep: maps and arrays are types, and those stand 64 deep at most.
    #[error("values would be nested deeper than 64")]
    Depth,
    /// The document has to be made again.
    #[error(transparent)]
    Broken(#[from] ApplyError),
}

/// What holds the value that an operation names.
enum Holder {
    /// The top.
    Top,
    Map(MapRef),
    Array(ArrayRef),
}

/// What an operation does, with what the view holds before and after it.
struct Edit<'a> {
    before: &'a Json,
    after: &'a Json,
}

/// Checks a patch on the view of a document: gives the view before each operation, and after the last.
///
/// A patch that is refused here has changed nothing.
pub(crate) fn steps(before: Json, patch: &Patch, limits: &Limits) -> Result<Vec<Json>, PatchingError> {
    // As one, since it may go through what is larger than it leaves.
    let mut whole = before.clone();
    apply(&mut whole, patch, limits)?;
    let mut views = vec![before];
    for operation in &patch.0 {
        let mut view = views.last().cloned().unwrap_or_default();
        apply(
            &mut view,
            &Patch(vec![operation.clone()]),
            &Limits { max_document_bytes: usize::MAX, ..*limits },
        )?;
        if view.as_object().is_none() {
            return Err(PatchingError::Top);
        }
        if view.depth() > MAX_DEPTH {
            return Err(PatchingError::Depth);
        }
        views.push(view);
    }
    Ok(views)
}

/// Does what a patch says, of which `views` are the [`steps`].
pub(crate) fn run(
    transaction: &mut TransactionMut<'_>,
    patch: &Patch,
    views: &[Json],
) -> Result<(), PatchingError> {
    for (operation, views) in patch.0.iter().zip(views.windows(2)) {
        let [before, after] = views else { continue };
        let edit = Edit { before, after };
        match operation {
            Operation::Add { path, .. } => edit.put(transaction, path, true),
            Operation::Copy { path, .. } => edit.put(transaction, path, true),
            Operation::Replace { path, .. } | Operation::Splice { path, .. } => {
                edit.put(transaction, path, false);
            }
            Operation::Remove { path } => edit.remove(transaction, path),
            Operation::Move { from, path } => {
                // What is between both is nobody's view.
                let mut between = before.clone();
                let remove = Patch(vec![Operation::Remove { path: from.clone() }]);
                apply(&mut between, &remove, &Limits::default())?;
                Edit { before, after: &between }.remove(transaction, from);
                Edit { before: &between, after }.put(transaction, path, true);
            }
            Operation::Test { .. } => {}
        }
    }
    Ok(())
}

impl Edit<'_> {
    /// Has the value at a path be what the view says after the operation. `adds` where an element goes in front of what is there.
    fn put(&self, transaction: &mut TransactionMut<'_>, path: &Pointer, adds: bool) {
        let tokens = tokens(path);
        let Some((last, above)) = tokens.split_last() else {
            let (Some(before), Some(after)) = (self.before.as_object(), self.after.as_object()) else {
                return;
            };
            for (name, _) in before.iter().filter(|(name, _)| after.get(name).is_none()) {
                clear_top(transaction, name);
            }
            // What stays is edited where it stands: a root type that was cleared would be none any more.
            for (name, value) in after.iter().filter(|(name, value)| before.get(name) != Some(value)) {
                put_top(transaction, name, value);
            }
            return;
        };
        match holder(transaction, self.before, above) {
            (holder, held) if held < above.len() => {
                // It stands in a value that is replaced as a whole.
                let (key, path) = (above.get(held), above.get(..=held));
                if let (Some(key), Some(value)) = (key, path.and_then(|path| at(self.after, path))) {
                    replace_plain(transaction, &holder, key, value);
                }
            }
            (Holder::Top, _) => {
                if let Some(value) = at(self.after, &tokens) {
                    put_top(transaction, last, value);
                }
            }
            (Holder::Map(map), _) => {
                if let Some(value) = at(self.after, &tokens) {
                    put_member(transaction, &map, last, value);
                }
            }
            (Holder::Array(array), _) => {
                let length = array.len(transaction);
                let index = if last == "-" { length } else { last.parse().unwrap_or(length) };
                let values = at(self.after, above).and_then(Json::as_array);
                let value = usize::try_from(index).ok().and_then(|index| values?.get(index));
                let Some(value) = value else { return };
                if adds {
                    array.insert(transaction, index, shared(value));
                } else if !edit_text(transaction, array.get(transaction, index), value) {
                    array.remove(transaction, index);
                    array.insert(transaction, index, shared(value));
                }
            }
        }
    }

    fn remove(&self, transaction: &mut TransactionMut<'_>, path: &Pointer) {
        let tokens = tokens(path);
        let Some((last, above)) = tokens.split_last() else { return };
        match holder(transaction, self.before, above) {
            (_, held) if held < above.len() => self.put(transaction, path, false),
            (Holder::Top, _) => clear_top(transaction, last),
            (Holder::Map(map), _) => drop(map.remove(transaction, last)),
            (Holder::Array(array), _) => {
                if let Ok(index) = last.parse() {
                    array.remove(transaction, index);
                }
            }
        }
    }
}

/// The parts of a path.
fn tokens(path: &Pointer) -> Vec<String> {
    path.tokens().map(|token| token.decoded().into_owned()).collect()
}

/// The value at a path of a view.
fn at<'a>(view: &'a Json, path: &[String]) -> Option<&'a Json> {
    path.iter().try_fold(view, |value, token| match (value.as_object(), value.as_array()) {
        (Some(members), _) => members.get(token),
        (_, Some(values)) => match token.as_str() {
            "-" => values.get(values.len().checked_sub(1)?),
            index => values.get(index.parse().ok()?),
        },
        _ => None,
    })
}

/// The deepest type on a path from the top, and how many tokens lead into it: what the next one names is no type, or none is left.
fn holder(transaction: &TransactionMut<'_>, view: &Json, path: &[String]) -> (Holder, usize) {
    let mut holder = Holder::Top;
    for (held, token) in path.iter().enumerate() {
        let value = match &holder {
            Holder::Top => {
                let shown = view.get(token);
                at_top(transaction, token).or_else(|| emptied(transaction, token, shown?))
            }
            Holder::Map(map) => map.get(transaction, token),
            Holder::Array(array) => token.parse().ok().and_then(|index| array.get(transaction, index)),
        };
        holder = match value {
            Some(Out::YMap(map)) => Holder::Map(map),
            Some(Out::YArray(array)) => Holder::Array(array),
            _ => return (holder, held),
        };
    }
    (holder, path.len())
}

/// What stands at the top under a name.
fn at_top(transaction: &TransactionMut<'_>, name: &str) -> Option<Out> {
    let root = roots(transaction).find(|(root, _)| root == name).map(|(_, root)| root);
    root.or_else(|| transaction.get_map(ROOT_MAP)?.get(transaction, name))
}

fn clear_top(transaction: &mut TransactionMut<'_>, name: &str) {
    let root = roots(transaction).find(|(root, _)| root == name).map(|(_, root)| root);
    match root {
        Some(Out::YText(text)) => {
            let length = text.len(transaction);
            text.remove_range(transaction, 0, length);
        }
        Some(Out::YXmlText(text)) => {
            let length = text.len(transaction);
            text.remove_range(transaction, 0, length);
        }
        Some(Out::YArray(array)) => {
            let length = array.len(transaction);
            array.remove_range(transaction, 0, length);
        }
        Some(Out::YMap(map)) => map.clear(transaction),
        Some(Out::YXmlFragment(fragment)) => {
            let length = fragment.len(transaction);
            fragment.remove_range(transaction, 0, length);
        }
        _ => {}
    }
    // A root type hides the member of the same name.
    if let Some(map) = transaction.get_map(ROOT_MAP) {
        map.remove(transaction, name);
    }
}

/// Has a value stand at the top. What has a type of its own keeps it where the value fits.
fn put_top(transaction: &mut TransactionMut<'_>, name: &str, value: &Json) {
    let root = roots(transaction).find(|(root, _)| root == name).map(|(_, root)| root);
    let member = || transaction.get_map(ROOT_MAP).and_then(|map| map.get(transaction, name));
    let root = root.or_else(|| if member().is_none() { emptied(transaction, name, value) } else { None });
    match (&root, value) {
        (Some(Out::YText(text)), Json::String(value)) => splice(transaction, text, value.as_str()),
        (Some(Out::YMap(map)), Json::Object(members)) => {
            map.clear(transaction);
            members
                .iter()
                .for_each(|(key, value)| drop(map.insert(transaction, key.as_ref(), shared(value))));
        }
        (Some(Out::YArray(array)), Json::Array(values)) => {
            let length = array.len(transaction);
            array.remove_range(transaction, 0, length);
            values.iter().for_each(|value| drop(array.push_back(transaction, shared(value))));
        }
        _ => {
            if root.is_some() {
                clear_top(transaction, name);
            }
            let map = transaction.get_or_insert_map(ROOT_MAP);
            put_member(transaction, &map, name, value);
        }
    }
}

/// A root type in which there is nothing any more, as the one that fits a value: whoever named it looks for the value there.
fn emptied(transaction: &TransactionMut<'_>, name: &str, value: &Json) -> Option<Out> {
    let (_, root) = transaction.root_refs().find(|(root, _)| *root == name && name != ROOT_MAP)?;
    let Out::UndefinedRef(branch) = root else { return Some(root) };
    match value {
        Json::String(_) => Some(Out::YText(TextRef::from(branch))),
        Json::Array(_) => Some(Out::YArray(ArrayRef::from(branch))),
        Json::Object(_) => Some(Out::YMap(MapRef::from(branch))),
        _ => None,
    }
}

fn put_member(transaction: &mut TransactionMut<'_>, map: &MapRef, key: &str, value: &Json) {
    if !edit_text(transaction, map.get(transaction, key), value) {
        map.insert(transaction, key, shared(value));
    }
}

/// Replaces a value of which a part was changed, and which is no type.
fn replace_plain(transaction: &mut TransactionMut<'_>, holder: &Holder, key: &str, value: &Json) {
    let value = In::Any(any(value));
    match holder {
        Holder::Top => drop(transaction.get_or_insert_map(ROOT_MAP).insert(transaction, key, value)),
        Holder::Map(map) => drop(map.insert(transaction, key, value)),
        Holder::Array(array) => {
            if let Ok(index) = key.parse() {
                array.remove(transaction, index);
                array.insert(transaction, index, value);
            }
        }
    }
}

/// Makes a text what a string says, where a text is what stands there.
fn edit_text(transaction: &mut TransactionMut<'_>, text: Option<Out>, value: &Json) -> bool {
    match (text, value.as_str()) {
        (Some(Out::YText(text)), Some(value)) => {
            splice(transaction, &text, value);
            true
        }
        _ => false,
    }
}

/// Edits the parts of a text in which it differs. What is embedded in it, and not in the string, stays.
fn splice(transaction: &mut TransactionMut<'_>, text: &TextRef, value: &str) {
    let pieces = text.diff(transaction, YChange::identity);
    let pieces = pieces.into_iter().map(|piece| match piece.insert {
        Out::Any(Any::String(piece)) => Some(piece),
        _ => None,
    });
    let pieces: Vec<Option<Arc<str>>> = pieces.collect();
    let length = text.len(transaction);
    if pieces.iter().map(|piece| piece.as_ref().map_or(1, |piece| units(piece))).sum::<u32>() != length {
        // A string is embedded in it, which cannot be told from its text: it goes.
        text.remove_range(transaction, 0, length);
        return text.insert(transaction, 0, value);
    }
    let old: String = pieces.iter().flatten().map(|piece| &**piece).collect();
    // From the back, so that positions in front stay.
    for (stretch, put) in diff_text(&old, value).into_iter().rev() {
        let ranges = ranges(&pieces, stretch.start, stretch.len());
        for (index, length) in ranges.iter().rev().filter(|(_, length)| *length > 0) {
            text.remove_range(transaction, *index, *length);
        }
        let put = value.get(put).unwrap_or_default();
        if let Some((index, _)) = ranges.first().filter(|_| !put.is_empty()) {
            text.insert(transaction, *index, put);
        }
    }
}

/// Where bytes of a text's string lie in the text, in which what is embedded counts as one: index and length of each stretch, in UTF-16 units.
fn ranges(pieces: &[Option<Arc<str>>], from: usize, bytes: usize) -> Vec<(u32, u32)> {
    let (mut ranges, mut index, mut at) = (Vec::new(), 0, 0);
    for piece in pieces {
        let Some(piece) = piece else {
            index += 1;
            continue;
        };
        let start = from.saturating_sub(at).min(piece.len());
        let end = (from + bytes).saturating_sub(at).min(piece.len());
        let reaches = at <= from + bytes && from <= at + piece.len();
        if reaches && (start < end || ranges.is_empty()) {
            let part = |range: std::ops::Range<usize>| units(piece.get(range).unwrap_or_default());
            ranges.push((index + part(0..start), part(start..end)));
        }
        index += units(piece);
        at += piece.len();
    }
    if ranges.is_empty() {
        ranges.push((index, 0));
    }
    ranges
}

pub(crate) fn units(text: &str) -> u32 {
    u32::try_from(text.chars().map(char::len_utf16).sum::<usize>()).unwrap_or(u32::MAX)
}

/// A value that others can edit at the same time.
pub(crate) fn shared(value: &Json) -> In {
    match value {
        Json::Object(members) => In::Map(
            members.iter().map(|(key, value)| (key.to_string(), shared(value))).collect::<MapPrelim>(),
        ),
        Json::Array(values) => In::Array(values.iter().map(shared).collect::<ArrayPrelim>()),
        plain => In::Any(any(plain)),
    }
}

/// A value that is replaced as a whole.
pub(crate) fn any(value: &Json) -> Any {
    match value {
        Json::Null => Any::Null,
        Json::Bool(value) => Any::Bool(*value),
        Json::Number(_) => match value.as_i64() {
            Some(integer) => Any::Number(Number::Int(integer)),
            None => Any::Number(Number::Float(value.as_f64().unwrap_or_default())),
        },
        Json::String(text) => Any::String(text.as_arc().clone()),
        Json::Array(values) => Any::Array(values.iter().map(any).collect::<Vec<_>>().into()),
        Json::Object(members) => {
            Any::Map(Arc::new(members.iter().map(|(key, value)| (key.to_string(), any(value))).collect()))
        }
    }
}
