//! The document tree: immutable from outside, shared between versions, copied along the path of an edit.

use std::{fmt, sync::Arc};

use jsonptr::Pointer;

use crate::{number, pointer::Tokens};

mod array;
mod convert;
mod object;
mod sequence;
mod text;

pub(crate) use array::Run;
pub use array::{Array, Elements};
pub use object::{Entry, Members, Object};
pub use text::Text;
pub(crate) use text::{escape_length, escapes_of};

/// A JSON value whose parts are shared with other values.
///
/// A clone costs O(1). Containers know the length of their canonical text and their depth, so that
/// [`encoded_len`](Self::encoded_len) and [`depth`](Self::depth) cost O(1) too; they are kept by the mutating methods of
/// [`Object`] and [`Array`], which work in place where a node is not shared and copy the node (not what is below it) where
/// it is.
///
/// Equality is by value, with a short-cut where both sides are the same node; 1 equals 1.0 and 0 equals -0.
#[derive(Clone, Default, PartialEq)]
pub enum Json {
    /// `null`.
    #[default]
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number; always finite, and never between 2^53 and 10^21 in magnitude: see [`Json::number`].
    Number(f64),
    /// A string.
    String(Text),
    /// An array.
    Array(Array),
    /// An object.
    Object(Object),
}

// Numbers are finite, so that equality is total.
impl Eq for Json {}

/// The type of a [`Json`] value, as messages name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// `null`.
    Null,
    /// A boolean.
    Bool,
    /// A number.
    Number,
    /// A string.
    String,
    /// An array.
    Array,
    /// An object.
    Object,
}

impl Json {
    /// Makes a number, unless it is one that documents refuse.
    ///
    /// `None` for NaN and the infinities, which JSON cannot write, and for what lies between 2^53 and 10^21 in magnitude:
    /// canonical text has these as integers of which only the first 16 or so digits are true.
    pub fn number(number: f64) -> Option<Self> {
        // Adding zero makes -0 into 0, which is what canonical text makes of it.
        number::is_allowed(number).then_some(Self::Number(number + 0.0))
    }

    /// The type of this value.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Null => Kind::Null,
            Self::Bool(_) => Kind::Bool,
            Self::Number(_) => Kind::Number,
            Self::String(_) => Kind::String,
            Self::Array(_) => Kind::Array,
            Self::Object(_) => Kind::Object,
        }
    }

    /// Whether both are the same node, or equal values of a type without nodes (null, boolean, number).
    ///
    /// Costs O(1). `true` implies equality; `false` says nothing.
    pub fn ptr_eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Null, Self::Null) => true,
            (Self::Bool(a), Self::Bool(b)) => a == b,
            (Self::Number(a), Self::Number(b)) => a == b,
            (Self::String(a), Self::String(b)) => a.ptr_eq(b),
            (Self::Array(a), Self::Array(b)) => a.ptr_eq(b),
            (Self::Object(a), Self::Object(b)) => a.ptr_eq(b),
            _ => false,
        }
    }

    /// Whether this is a container that somebody else holds too, so that changing it copies it.
    pub fn is_shared(&self) -> bool {
        match self {
            Self::Array(array) => array.is_shared(),
            Self::Object(object) => object.is_shared(),
            Self::Null | Self::Bool(_) | Self::Number(_) | Self::String(_) => false,
        }
    }

    /// Length of the canonical text in bytes, without writing it.
    ///
    /// Costs O(1), except for a number with a fraction, which is formatted.
    pub fn encoded_len(&self) -> usize {
        match self {
            Self::Null | Self::Bool(true) => 4,
            Self::Bool(false) => 5,
            Self::Number(number) => number::encoded_len(*number),
            Self::String(text) => text.encoded_len(),
            Self::Array(array) => array.encoded_len(),
            Self::Object(object) => object.encoded_len(),
        }
    }

    /// How deep containers nest: 0 for a scalar, 1 for `[]` and `{}`, one more for each level. Costs O(1).
    pub fn depth(&self) -> usize {
        match self {
            Self::Null | Self::Bool(_) | Self::Number(_) | Self::String(_) => 0,
            Self::Array(array) => array.depth(),
            Self::Object(object) => object.depth(),
        }
    }

    /// The value at a pointer (RFC 6901), if there is one.
    ///
    /// Array elements are named by decimal digits without leading zeros. `-`, the place behind the last element, has no
    /// value.
    pub fn pointer(&self, pointer: &Pointer) -> Option<&Self> {
        Tokens::of(pointer).try_fold(self, |value, token| match value {
            Self::Object(object) => object.get(&token.key()),
            Self::Array(array) => array.get(token.index()?),
            _ => None,
        })
    }

    /// The member of this object with that key; `None` for other types too.
    pub fn get(&self, key: &str) -> Option<&Self> {
        self.as_object()?.get(key)
    }

    /// Whether this is `null`.
    pub fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }

    /// Whether this is an array or an object.
    pub fn is_container(&self) -> bool {
        matches!(self, Self::Array(_) | Self::Object(_))
    }

    /// The boolean, if this is one.
    pub fn as_bool(&self) -> Option<bool> {
        if let Self::Bool(value) = self { Some(*value) } else { None }
    }

    /// The number, if this is one.
    pub fn as_f64(&self) -> Option<f64> {
        if let Self::Number(number) = self { Some(*number) } else { None }
    }

    /// The number as an integer, if this is an integral number within ±2^53.
    pub fn as_i64(&self) -> Option<i64> {
        self.as_f64().and_then(number::as_safe_integer)
    }

    /// The text, if this is a string.
    pub fn as_str(&self) -> Option<&str> {
        self.as_text().map(Text::as_str)
    }

    /// The shared text, if this is a string.
    pub fn as_text(&self) -> Option<&Text> {
        if let Self::String(text) = self { Some(text) } else { None }
    }

    /// The array, if this is one.
    pub fn as_array(&self) -> Option<&Array> {
        if let Self::Array(array) = self { Some(array) } else { None }
    }

    /// The object, if this is one.
    pub fn as_object(&self) -> Option<&Object> {
        if let Self::Object(object) = self { Some(object) } else { None }
    }

    /// The array for mutation, if this is one.
    ///
    /// A node inside a tree is reached with [`Object::update`] and [`Array::update`], which keep what its ancestors know
    /// about it.
    pub fn as_array_mut(&mut self) -> Option<&mut Array> {
        if let Self::Array(array) = self { Some(array) } else { None }
    }

    /// The object for mutation, if this is one; for a node inside a tree see [`as_array_mut`](Self::as_array_mut).
    pub fn as_object_mut(&mut self) -> Option<&mut Object> {
        if let Self::Object(object) = self { Some(object) } else { None }
    }

    /// Takes the value out and leaves `null`.
    pub fn take(&mut self) -> Self {
        std::mem::take(self)
    }
}

impl Kind {
    /// The word for this type with its article, for messages: "an object".
    pub fn with_article(self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool => "a boolean",
            Self::Number => "a number",
            Self::String => "a string",
            Self::Array => "an array",
            Self::Object => "an object",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Null => "null",
            Self::Bool => "boolean",
            Self::Number => "number",
            Self::String => "string",
            Self::Array => "array",
            Self::Object => "object",
        })
    }
}

/// Compact text in canonical form.
impl fmt::Display for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write_canonical(f)
    }
}

/// The same text as [`Display`](fmt::Display).
impl fmt::Debug for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write_canonical(f)
    }
}

impl From<bool> for Json {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl From<i32> for Json {
    fn from(value: i32) -> Self {
        Self::Number(f64::from(value))
    }
}

impl From<u32> for Json {
    fn from(value: u32) -> Self {
        Self::Number(f64::from(value))
    }
}

impl From<&str> for Json {
    fn from(value: &str) -> Self {
        Self::String(Text::from(value))
    }
}

impl From<String> for Json {
    fn from(value: String) -> Self {
        Self::String(Text::from(value))
    }
}

impl From<Arc<str>> for Json {
    fn from(value: Arc<str>) -> Self {
        Self::String(Text::from(value))
    }
}

impl From<Text> for Json {
    fn from(value: Text) -> Self {
        Self::String(value)
    }
}

impl From<Array> for Json {
    fn from(value: Array) -> Self {
        Self::Array(value)
    }
}

impl From<Object> for Json {
    fn from(value: Object) -> Self {
        Self::Object(value)
    }
}

impl From<Vec<Json>> for Json {
    fn from(value: Vec<Json>) -> Self {
        Self::Array(Array::from(value))
    }
}

impl FromIterator<Json> for Json {
    fn from_iter<I: IntoIterator<Item = Json>>(items: I) -> Self {
        Self::Array(items.into_iter().collect())
    }
}

impl FromIterator<Entry> for Json {
    fn from_iter<I: IntoIterator<Item = Entry>>(entries: I) -> Self {
        Self::Object(entries.into_iter().collect())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;
    use crate::{Limits, PointerBuf};

    fn json(text: &str) -> Json {
        Json::parse(text, &Limits::default()).unwrap()
    }

    #[test]
    fn a_value_takes_three_words() {
        // Arrays of a million elements stay at 24 MB; the tag of Json lives in a niche of Text.
        let words = if cfg!(target_pointer_width = "64") { 24 } else { 16 };
        assert_eq!(size_of::<Json>(), words);
    }

    #[test]
    fn numbers_are_equal_by_value() {
        assert_eq!(json("1"), json("1.0"));
        assert_eq!(json("0"), json("-0"));
        assert_eq!(json("100"), json("1e2"));
        assert_ne!(json("1"), json("\"1\""));
    }

    #[test]
    fn equality_does_not_need_shared_nodes() {
        let text = r#"{"a":[1,{"b":"c"}],"d":null}"#;
        assert_eq!(json(text), json(text));
        assert!(!json(text).ptr_eq(&json(text)));
        let one = json(text);
        assert!(one.clone().ptr_eq(&one));
    }

    #[test]
    fn a_pointer_names_at_most_one_value() {
        let document = json(r#"{"a/b":{"m~n":[10,11]},"":{"":1},"0":"zero"}"#);
        let at = |pointer: &str| document.pointer(&PointerBuf::parse(pointer).unwrap()).cloned();
        assert_eq!(at(""), Some(document.clone()));
        assert_eq!(at("/a~1b/m~0n/1"), Some(json("11")));
        assert_eq!(at("//"), Some(json("1")));
        assert_eq!(at("/0"), Some(json("\"zero\"")));
        for absent in ["/a", "/a~1b/m~0n/2", "/a~1b/m~0n/-", "/a~1b/m~0n/01", "/a~1b/m~0n/+1", "/0/0"] {
            assert_eq!(at(absent), None, "{absent}");
        }
    }

    #[test]
    fn names_of_javascript_prototypes_are_plain_keys() {
        let text = r#"{"__proto__":{"constructor":1},"constructor":2,"hasOwnProperty":3,"toString":4}"#;
        let document = json(text);
        assert_eq!(
            document.get("__proto__").and_then(|value| value.get("constructor")),
            Some(&Json::from(1))
        );
        assert_eq!(json("{}").get("__proto__"), None);
        assert_eq!(document.canonical(), text);
    }

    #[test]
    fn only_numbers_that_survive_their_text_are_made() {
        assert_eq!(Json::number(1.5), Some(Json::Number(1.5)));
        assert_eq!(Json::number(-0.0).unwrap().as_f64().unwrap().to_bits(), 0);
        for refused in [f64::NAN, f64::INFINITY, 1e18, -9_007_199_254_740_994.0] {
            assert_eq!(Json::number(refused), None);
        }
    }
}
