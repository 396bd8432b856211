//! Edits of roots and of what stands in them, by name and kind. All of a batch are checked before the first is made: yrs takes nothing back.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use rejoin_json::{Json, Object};
use thiserror::Error;
use yrs::branch::BranchID;
use yrs::types::Attrs;
use yrs::types::text::YChange;
use yrs::{
    Any, Array as _, ArrayRef, In, Map as _, MapRef, Out, ReadTxn, Text as _, TextPrelim, TextRef,
    TransactionMut, WriteTxn as _, Xml as _, XmlElementPrelim, XmlElementRef, XmlFragment as _,
    XmlFragmentRef, XmlOut, XmlTextPrelim, XmlTextRef,
};

use crate::document::ApplyError;
use crate::patching::{any, shared, units};
use crate::position::Position;
use crate::update::MAX_DEPTH;
use crate::view;

/// What kind of type a root is. yrs does not know before somebody says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RootKind {
    /// A text with marks.
    Text,
    /// Values in an order.
    Array,
    /// Values by key.
    Map,
    /// XML nodes in an order.
    Xml,
}

/// A step from a type into one that stands in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// The member of a map.
    Key(String),
    /// The element of an array, or the node of a fragment or an element, counted from 0.
    Index(u32),
}

/// A type: a root, or one that stands in it before the edits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// The name of the root.
    pub root: String,
    /// Its kind.
    pub kind: RootKind,
    /// The way into it; empty for the root itself.
    pub path: Vec<Step>,
}

/// What is put into a type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// A value that is replaced as a whole.
    Plain(Json),
    /// A value whose objects and arrays are types that others can edit at the same time.
    Shared(Json),
    /// A text that others can edit at the same time.
    Text(String),
    /// An XML element of this name; in XML only.
    Element(String),
    /// A text in XML; in XML only.
    XmlText(String),
}

/// One edit. Indices and lengths of texts are in UTF-16 units, where what is embedded is one; those of others count elements. Each edit of a batch
/// sees what the ones before it made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Edit {
    /// Puts letters into a text. Without attributes they have those around them.
    InsertText {
        /// Where.
        index: u32,
        /// The letters.
        text: String,
        /// The marks on them.
        attributes: Option<Object>,
    },
    /// Puts a value into a text.
    Embed {
        /// Where.
        index: u32,
        /// The value.
        value: Json,
        /// The marks on it.
        attributes: Object,
    },
    /// Marks a part of a text; `null` takes a mark away.
    Format {
        /// From where.
        index: u32,
        /// How much.
        length: u32,
        /// The marks.
        attributes: Object,
    },
    /// Deletes from a text, an array or XML.
    Delete {
        /// From where.
        index: u32,
        /// How much.
        length: u32,
    },
    /// Puts values into an array, or nodes into XML.
    Insert {
        /// In front of which.
        index: u32,
        /// The values.
        values: Vec<Value>,
    },
    /// Sets the member of a map, or the attribute of an XML element, which is a plain value.
    Set {
        /// The name.
        key: String,
        /// The value.
        value: Value,
    },
    /// Removes the member of a map, or the attribute of an XML element, if it is there.
    Unset {
        /// The name.
        key: String,
    },
}

/// Why edits were not made. But for [`EditError::Broken`] none of them was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum EditError {
    /// Nothing, or no type, stands where a path leads.
    #[error("there is no such type")]
    Missing,
    /// The type there, or what is put into it, is of another kind than the edit is for.
    #[error("the edit is for another kind of type")]
    WrongKind,
    /// The index or the end lies behind the end of the type.
    #[error("the index is out of range")]
    OutOfRange,
    /// It lies between the two units of one letter.
    #[error("the index lies within a letter")]
    WithinLetter,
    /// An edit may delete what another edit of the batch is for.
    #[error("an edit deletes what another one is for; make them one after the other")]
    Overlap,
    /// A type would stand deeper within others than [`MAX_DEPTH`](crate::MAX_DEPTH).
    #[error("types would be nested deeper than 64")]
    Depth,
    /// The document has to be made again.
    #[error(transparent)]
    Broken(#[from] ApplyError),
}

/// A type that was found.
#[derive(Clone)]
enum Handle {
    Text(TextRef),
    XmlText(XmlTextRef),
    Array(ArrayRef),
    Map(MapRef),
    Fragment(XmlFragmentRef),
    Element(XmlElementRef),
}

/// What is known of a type while edits are checked.
enum Sketch {
    /// Its letters; what is embedded is one that is half of none.
    Text(Vec<u16>),
    Sequence(u32),
    Map,
}

/// A type on the way to another, and the key there.
type Passed = (BranchID, Option<String>);

/// Edits that can be made.
pub(crate) struct Plan<'a>(Vec<(Handle, &'a Edit)>);

impl Handle {
    fn of(value: Out) -> Result<Self, EditError> {
        match value {
            Out::YText(text) => Ok(Self::Text(text)),
            Out::YXmlText(text) => Ok(Self::XmlText(text)),
            Out::YArray(array) => Ok(Self::Array(array)),
            Out::YMap(map) => Ok(Self::Map(map)),
            Out::YXmlFragment(fragment) => Ok(Self::Fragment(fragment)),
            Out::YXmlElement(element) => Ok(Self::Element(element)),
            Out::Any(_) | Out::YDoc(_) | Out::UndefinedRef(_) => Err(EditError::Missing),
        }
    }

    fn root(transaction: &mut TransactionMut<'_>, name: &str, kind: RootKind) -> Self {
        match kind {
            RootKind::Text => Self::Text(transaction.get_or_insert_text(name)),
            RootKind::Array => Self::Array(transaction.get_or_insert_array(name)),
            RootKind::Map => Self::Map(transaction.get_or_insert_map(name)),
            RootKind::Xml => Self::Fragment(transaction.get_or_insert_xml_fragment(name)),
        }
    }

    fn out(self) -> Out {
        match self {
            Self::Text(text) => Out::YText(text),
            Self::XmlText(text) => Out::YXmlText(text),
            Self::Array(array) => Out::YArray(array),
            Self::Map(map) => Out::YMap(map),
            Self::Fragment(fragment) => Out::YXmlFragment(fragment),
            Self::Element(element) => Out::YXmlElement(element),
        }
    }

    fn id(&self) -> BranchID {
        match self {
            Self::Text(text) => AsRef::<yrs::branch::Branch>::as_ref(text).id(),
            Self::XmlText(text) => AsRef::<yrs::branch::Branch>::as_ref(text).id(),
            Self::Array(array) => AsRef::<yrs::branch::Branch>::as_ref(array).id(),
            Self::Map(map) => AsRef::<yrs::branch::Branch>::as_ref(map).id(),
            Self::Fragment(fragment) => AsRef::<yrs::branch::Branch>::as_ref(fragment).id(),
            Self::Element(element) => AsRef::<yrs::branch::Branch>::as_ref(element).id(),
        }
    }

    fn step(&self, transaction: &impl ReadTxn, step: &Step) -> Result<Self, EditError> {
        let node = |node: XmlOut| match node {
            XmlOut::Element(element) => Self::Element(element),
            XmlOut::Fragment(fragment) => Self::Fragment(fragment),
            XmlOut::Text(text) => Self::XmlText(text),
        };
        match (self, step) {
            (Self::Map(map), Step::Key(key)) => {
                Self::of(map.get(transaction, key).ok_or(EditError::Missing)?)
            }
            (Self::Array(array), Step::Index(index)) => {
                Self::of(array.get(transaction, *index).ok_or(EditError::Missing)?)
            }
            (Self::Fragment(fragment), Step::Index(index)) => {
                fragment.get(transaction, *index).map(node).ok_or(EditError::Missing)
            }
            (Self::Element(element), Step::Index(index)) => {
                element.get(transaction, *index).map(node).ok_or(EditError::Missing)
            }
            _ => Err(EditError::WrongKind),
        }
    }

    fn sketch(&self, transaction: &impl ReadTxn) -> Sketch {
        let letters = |pieces: Vec<yrs::types::text::Diff<YChange>>| {
            let mut letters = Vec::new();
            for piece in pieces {
                match piece.insert {
                    Out::Any(Any::String(text)) => letters.extend(text.encode_utf16()),
                    _ => letters.push(0xfffc),
                }
            }
            Sketch::Text(letters)
        };
        match self {
            Self::Text(text) => letters(text.diff(transaction, YChange::identity)),
            Self::XmlText(text) => letters(text.diff(transaction, YChange::identity)),
            Self::Array(array) => Sketch::Sequence(array.len(transaction)),
            Self::Fragment(fragment) => Sketch::Sequence(fragment.len(transaction)),
            Self::Element(element) => Sketch::Sequence(element.len(transaction)),
            Self::Map(_) => Sketch::Map,
        }
    }

    fn is_xml(&self) -> bool {
        matches!(self, Self::Fragment(_) | Self::Element(_))
    }
}

/// Finds a type, and what is passed on the way.
fn find(transaction: &mut TransactionMut<'_>, target: &Target) -> Result<(Handle, Vec<Passed>), EditError> {
    let mut handle = Handle::root(transaction, &target.root, target.kind);
    let mut passed = Vec::new();
    for step in &target.path {
        let key = match step {
            Step::Key(key) => Some(key.clone()),
            Step::Index(_) => None,
        };
        passed.push((handle.id(), key));
        handle = handle.step(transaction, step)?;
    }
    Ok((handle, passed))
}

/// What stands in a type, as the view shows it.
pub(crate) fn read(transaction: &mut TransactionMut<'_>, target: &Target) -> Result<Json, EditError> {
    let (handle, _) = find(transaction, target)?;
    Ok(view::json(transaction, handle.out()))
}

/// The position at an index of a text, an array or XML.
pub(crate) fn position(
    transaction: &mut TransactionMut<'_>,
    target: &Target,
    index: u32,
    before: bool,
) -> Result<Position, EditError> {
    let (handle, _) = find(transaction, target)?;
    let transaction = &*transaction;
    let position = match &handle {
        Handle::Text(text) => Position::at(transaction, text, text.len(transaction), index, before),
        Handle::XmlText(text) => Position::at(transaction, text, text.len(transaction), index, before),
        Handle::Array(array) => Position::at(transaction, array, array.len(transaction), index, before),
        Handle::Fragment(nodes) => Position::at(transaction, nodes, nodes.len(transaction), index, before),
        Handle::Element(nodes) => Position::at(transaction, nodes, nodes.len(transaction), index, before),
        Handle::Map(_) => return Err(EditError::WrongKind),
    };
    position.ok_or(EditError::OutOfRange)
}

/// Checks all edits of a batch.
pub(crate) fn plan<'a>(
    transaction: &mut TransactionMut<'_>,
    edits: &'a [(Target, Edit)],
) -> Result<Plan<'a>, EditError> {
    let mut sketches: BTreeMap<String, Sketch> = BTreeMap::new();
    let mut plan = Vec::with_capacity(edits.len());
    let (mut passed, mut deleting) = (Vec::new(), Vec::new());
    for (target, edit) in edits {
        let (handle, way) = find(transaction, target)?;
        let id = handle.id();
        match edit {
            Edit::Delete { .. } => deleting.push((id.clone(), None)),
            Edit::Set { key, .. } | Edit::Unset { key } if !handle.is_xml() => {
                deleting.push((id.clone(), Some(key.clone())));
            }
            _ => {}
        }
        passed.extend(way);
        let sketch = match sketches.entry(format!("{id:?}")) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => entry.insert(handle.sketch(transaction)),
        };
        check(&handle, sketch, edit, target.path.len() + 1)?;
        plan.push((handle, edit));
    }
    if passed.iter().any(|passed| deleting.contains(passed)) {
        return Err(EditError::Overlap);
    }
    Ok(Plan(plan))
}

/// Checks an edit, and has the sketch be what is after it.
fn check(handle: &Handle, sketch: &mut Sketch, edit: &Edit, depth: usize) -> Result<(), EditError> {
    let range = |index: u32, length: u32, all: usize| {
        let (from, length) = (index as usize, length as usize);
        if from <= all && length <= all - from { Ok(from..from + length) } else { Err(EditError::OutOfRange) }
    };
    match (sketch, edit) {
        (Sketch::Text(letters), Edit::InsertText { index, text, .. }) => {
            let at = range(*index, 0, letters.len())?;
            whole(letters, at.start)?;
            letters.splice(at, text.encode_utf16());
        }
        (Sketch::Text(letters), Edit::Embed { index, value, .. }) => {
            let at = range(*index, 0, letters.len())?;
            whole(letters, at.start)?;
            if value.depth() > MAX_DEPTH {
                return Err(EditError::Depth);
            }
            letters.insert(at.start, 0xfffc);
        }
        (Sketch::Text(letters), Edit::Format { index, length, .. } | Edit::Delete { index, length }) => {
            let range = range(*index, *length, letters.len())?;
            whole(letters, range.start)?;
            whole(letters, range.end)?;
            if matches!(edit, Edit::Delete { .. }) {
                letters.drain(range);
            }
        }
        (Sketch::Sequence(all), Edit::Delete { index, length }) => {
            range(*index, *length, *all as usize)?;
            *all -= length;
        }
        (Sketch::Sequence(all), Edit::Insert { index, values }) => {
            range(*index, 0, *all as usize)?;
            values.iter().try_for_each(|value| fits(value, handle.is_xml(), depth))?;
            *all = u32::try_from(values.len())
                .ok()
                .and_then(|more| all.checked_add(more))
                .ok_or(EditError::OutOfRange)?;
        }
        (Sketch::Map, Edit::Set { value, .. }) => fits(value, false, depth)?,
        (Sketch::Map, Edit::Unset { .. }) => {}
        (_, Edit::Set { value: Value::Plain(value), .. }) if matches!(handle, Handle::Element(_)) => {
            if value.depth() > MAX_DEPTH {
                return Err(EditError::Depth);
            }
        }
        (_, Edit::Unset { .. }) if matches!(handle, Handle::Element(_)) => {}
        _ => return Err(EditError::WrongKind),
    }
    Ok(())
}

/// Whether a place in a text is not within a letter.
fn whole(letters: &[u16], at: usize) -> Result<(), EditError> {
    let within = letters.get(at).is_some_and(|unit| (0xdc00..0xe000).contains(unit));
    if within { Err(EditError::WithinLetter) } else { Ok(()) }
}

fn fits(value: &Value, is_xml: bool, depth: usize) -> Result<(), EditError> {
    match value {
        Value::Plain(value) if !is_xml && value.depth() <= MAX_DEPTH => Ok(()),
        Value::Shared(value) if !is_xml && value.depth() + depth <= MAX_DEPTH => Ok(()),
        Value::Text(_) if !is_xml && depth < MAX_DEPTH => Ok(()),
        Value::Element(_) | Value::XmlText(_) if is_xml && depth < MAX_DEPTH => Ok(()),
        Value::Plain(_) | Value::Shared(_) | Value::Text(_) if !is_xml => Err(EditError::Depth),
        Value::Element(_) | Value::XmlText(_) if is_xml => Err(EditError::Depth),
        _ => Err(EditError::WrongKind),
    }
}

impl Plan<'_> {
    /// Makes the edits.
    pub(crate) fn run(self, transaction: &mut TransactionMut<'_>) {
        for (handle, edit) in self.0 {
            match handle {
                Handle::Text(text) => edit_text(transaction, &text, edit),
                Handle::XmlText(text) => edit_text(transaction, &text, edit),
                Handle::Array(array) => match edit {
                    Edit::Insert { index, values } => {
                        for (index, value) in (*index..).zip(values) {
                            array.insert(transaction, index, input(value));
                        }
                    }
                    Edit::Delete { index, length } if *length > 0 => {
                        array.remove_range(transaction, *index, *length);
                    }
                    _ => {}
                },
                Handle::Map(map) => match edit {
                    Edit::Set { key, value } => drop(map.insert(transaction, key.as_str(), input(value))),
                    Edit::Unset { key } => drop(map.remove(transaction, key)),
                    _ => {}
                },
                Handle::Fragment(fragment) => edit_nodes(transaction, &fragment, edit),
                Handle::Element(element) => match edit {
                    Edit::Set { key, value: Value::Plain(value) } => {
                        element.insert_attribute(transaction, key.as_str(), any(value));
                    }
                    Edit::Unset { key } => element.remove_attribute(transaction, key),
                    _ => edit_nodes(transaction, &element, edit),
                },
            }
        }
    }
}

pub(crate) fn edit_text(transaction: &mut TransactionMut<'_>, text: &impl yrs::Text, edit: &Edit) {
    match edit {
        Edit::InsertText { index, text: letters, attributes: None } if units(letters) > 0 => {
            text.insert(transaction, *index, letters);
        }
        Edit::InsertText { index, text: letters, attributes: Some(attributes) } if units(letters) > 0 => {
            text.insert_with_attributes(transaction, *index, letters, marks(attributes));
        }
        Edit::Embed { index, value, attributes } => {
            text.insert_embed_with_attributes(transaction, *index, any(value), marks(attributes));
        }
        Edit::Format { index, length, attributes } if *length > 0 => {
            text.format(transaction, *index, *length, marks(attributes));
        }
        Edit::Delete { index, length } if *length > 0 => text.remove_range(transaction, *index, *length),
        _ => {}
    }
}

fn edit_nodes(transaction: &mut TransactionMut<'_>, nodes: &impl yrs::XmlFragment, edit: &Edit) {
    match edit {
        Edit::Insert { index, values } => {
            for (index, value) in (*index..).zip(values) {
                match value {
                    Value::Element(name) => {
                        nodes.insert(transaction, index, XmlElementPrelim::empty(name.as_str()));
                    }
                    Value::XmlText(text) => {
                        nodes.insert(transaction, index, XmlTextPrelim::new(text.as_str()));
                    }
                    Value::Plain(_) | Value::Shared(_) | Value::Text(_) => {}
                }
            }
        }
        Edit::Delete { index, length } if *length > 0 => nodes.remove_range(transaction, *index, *length),
        _ => {}
    }
}

fn input(value: &Value) -> In {
    match value {
        Value::Plain(value) => In::Any(any(value)),
        Value::Shared(value) => shared(value),
        Value::Text(text) => In::Text(TextPrelim::new(text.as_str()).into()),
        Value::Element(name) => In::XmlElement(XmlElementPrelim::empty(name.as_str())),
        Value::XmlText(text) => In::XmlText(XmlTextPrelim::new(text.as_str()).into()),
    }
}

fn marks(attributes: &Object) -> Attrs {
    attributes.iter().map(|(name, value)| (name.as_ref().into(), any(value))).collect()
}
