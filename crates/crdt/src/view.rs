//! A document as JSON: what REST shows of it, and what a JSON Patch means.
//!
//! The view is one object. A root type stands in it under its name, if there is anything in it: an empty one cannot be told from none. What
//! has no type of its own, as the number at `/slide`, stands in the root map [`ROOT_MAP`], whose members are members of the view, but where a root
//! type has the same name.

use rejoin_json::{Array, Json, Object};
use yrs::branch::BranchPtr;
use yrs::types::text::YChange;
use yrs::{
    Any, Array as _, ArrayRef, GetString as _, Map as _, MapRef, Out, ReadTxn, Text as _, TextRef, Xml as _,
    XmlElementRef, XmlFragment as _, XmlFragmentRef, XmlOut, XmlTextRef,
};

/// The root map that holds what is at the top of the view and no type of its own.
pub const ROOT_MAP: &str = "root";

/// The whole view.
pub(crate) fn view(transaction: &impl ReadTxn) -> Json {
    let mut members = Object::new();
    if let Some(root) = transaction.get_map(ROOT_MAP) {
        for (key, value) in root.iter(transaction) {
            members.insert(key, json(transaction, value));
        }
    }
    for (name, root) in roots(transaction) {
        members.insert(name.as_str(), json(transaction, root));
    }
    members.into()
}

/// The root types in which there is something, but for [`ROOT_MAP`].
pub(crate) fn roots(transaction: &impl ReadTxn) -> impl Iterator<Item = (String, Out)> {
    let named = transaction.root_refs().filter(|(name, _)| *name != ROOT_MAP);
    let roots = named.filter_map(|(name, root)| Some((name.to_owned(), shown(transaction, root)?)));
    // Whoever changes one of them goes on to the next after that.
    roots.collect::<Vec<_>>().into_iter()
}

/// A root type as what it shows; `None` where that is nothing.
fn shown(transaction: &impl ReadTxn, root: Out) -> Option<Out> {
    let root = match root {
        Out::UndefinedRef(branch) => inferred(transaction, branch)?,
        root => root,
    };
    let is_empty = match &root {
        Out::YText(text) => text.len(transaction) == 0,
        Out::YXmlText(text) => text.len(transaction) == 0,
        Out::YArray(array) => array.len(transaction) == 0,
        Out::YMap(map) => map.len(transaction) == 0,
        Out::YXmlFragment(fragment) => fragment.len(transaction) == 0,
        Out::YXmlElement(element) => element.len(transaction) == 0,
        Out::Any(_) | Out::YDoc(_) | Out::UndefinedRef(_) => true,
    };
    (!is_empty).then_some(root)
}

/// A root type that others have named: what it is shows in what it holds.
fn inferred(transaction: &impl ReadTxn, branch: BranchPtr) -> Option<Out> {
    if MapRef::from(branch).len(transaction) > 0 {
        return Some(Out::YMap(MapRef::from(branch)));
    }
    // Pieces of text, and what is embedded in one: the values of an array are of a kind that is none of both.
    let text = TextRef::from(branch);
    if text.diff(transaction, YChange::identity).iter().any(|piece| matches!(piece.insert, Out::Any(_))) {
        return Some(Out::YText(text));
    }
    let array = ArrayRef::from(branch);
    match array.get(transaction, 0)? {
        Out::YXmlElement(_) | Out::YXmlText(_) => Some(Out::YXmlFragment(XmlFragmentRef::from(branch))),
        _ => Some(Out::YArray(array)),
    }
}

/// A value of a document.
pub(crate) fn json(transaction: &impl ReadTxn, value: Out) -> Json {
    match value {
        Out::Any(any) => plain(&any),
        Out::YText(text) => text.get_string(transaction).into(),
        Out::YArray(array) => {
            Array::from(array.iter(transaction).map(|value| json(transaction, value)).collect::<Vec<_>>())
                .into()
        }
        Out::YMap(map) => {
            let members = map.iter(transaction).map(|(key, value)| (key.into(), json(transaction, value)));
            Object::from_entries(members.collect()).into()
        }
        Out::YXmlElement(element) => xml(transaction, XmlOut::Element(element)).into(),
        Out::YXmlFragment(fragment) => xml(transaction, XmlOut::Fragment(fragment)).into(),
        Out::YXmlText(text) => xml(transaction, XmlOut::Text(text)).into(),
        // Of a document within, its own door tells.
        Out::YDoc(_) | Out::UndefinedRef(_) => Json::Null,
    }
}

/// A value that is replaced as a whole.
pub(crate) fn plain(any: &Any) -> Json {
    match any {
        Any::Null | Any::Undefined => Json::Null,
        Any::Bool(value) => Json::from(*value),
        // What is no number in JSON, as infinity, is nothing there.
        Any::Number(number) => number.as_f64().and_then(Json::number).unwrap_or(Json::Null),
        Any::String(text) => Json::from(&**text),
        // JSON has no bytes.
        Any::Buffer(bytes) => {
            Array::from(bytes.iter().map(|byte| Json::from(u32::from(*byte))).collect::<Vec<_>>()).into()
        }
        Any::Array(values) => Array::from(values.iter().map(plain).collect::<Vec<_>>()).into(),
        Any::Map(members) => Object::from_entries(
            members.iter().map(|(key, value)| (key.as_str().into(), plain(value))).collect(),
        )
        .into(),
    }
}

/// XML as text, with attributes in the order of their names: yrs has them in another order in each process.
fn xml(transaction: &impl ReadTxn, node: XmlOut) -> String {
    let mut out = String::new();
    write_xml(transaction, node, &mut out);
    out
}

fn write_xml(transaction: &impl ReadTxn, node: XmlOut, out: &mut String) {
    match node {
        XmlOut::Text(text) => out.push_str(&escaped(&text_of(transaction, &text))),
        XmlOut::Fragment(fragment) => {
            fragment.children(transaction).for_each(|child| write_xml(transaction, child, out));
        }
        XmlOut::Element(element) => {
            let tag = element.tag();
            out.push('<');
            out.push_str(tag);
            for (name, value) in attributes(transaction, &element) {
                out.push_str(&format!(" {name}=\"{}\"", escaped(&value)));
            }
            out.push('>');
            element.children(transaction).for_each(|child| write_xml(transaction, child, out));
            out.push_str(&format!("</{tag}>"));
        }
    }
}

fn attributes(transaction: &impl ReadTxn, element: &XmlElementRef) -> Vec<(String, String)> {
    let text = |value: Json| value.as_str().map_or_else(|| value.canonical(), str::to_owned);
    let attributes = element.attributes(transaction);
    let mut attributes: Vec<(String, String)> =
        attributes.map(|(name, value)| (name.to_owned(), text(json(transaction, value)))).collect();
    attributes.sort_unstable();
    attributes
}

fn text_of(transaction: &impl ReadTxn, text: &XmlTextRef) -> String {
    // Without its marks, which yrs writes as elements in no order.
    let pieces = text.diff(transaction, YChange::identity);
    pieces.into_iter().filter_map(|piece| piece.insert.cast::<String>().ok()).collect()
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
