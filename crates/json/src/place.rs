//! Places: where in a document something happened, in words that outlive the positions of array elements.

use std::{cmp::Ordering, fmt, sync::Arc};

use jsonptr::{PointerBuf, Token};
use serde::{
    Deserialize, Deserializer, Serialize, Serializer, de,
    de::{MapAccess, SeqAccess, Visitor},
    ser::SerializeMap,
};

use crate::{Json, MAX_DEPTH};

/// One step down from a container.
///
/// In JSON a key is a string, an identity an object with one member (`{"id": 7}`), an index a number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// The member of an object with this key.
    Key(Arc<str>),
    /// The element of an array whose member `member` has this value.
    Id {
        /// The identity key.
        member: Arc<str>,
        /// A string or a number.
        value: Json,
    },
    /// The element at this index, in an array where it has no identity. Means something only beside one content.
    Index(usize),
}

/// A place in a document: steps from the root, array elements by identity wherever they have one.
///
/// In JSON an array of [steps](Step): `["cards", {"id": 7}, "title"]`. For people, by `Display`: `/cards/[id=7]/title`.
/// The order is arbitrary, but total, and groups places below one another.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct PlacePath(Vec<Step>);

impl PlacePath {
    /// The place of the whole document.
    pub fn root() -> Self {
        Self::default()
    }

    /// The steps from the root.
    pub fn steps(&self) -> &[Step] {
        &self.0
    }

    /// The place one step further down.
    pub fn child(&self, step: Step) -> Self {
        Self(self.0.iter().cloned().chain([step]).collect())
    }

    /// Whether one place is the other or lies inside it.
    ///
    /// Indexes shift from version to version, so that an index may mean any element of its array.
    pub fn overlaps(&self, other: &Self) -> bool {
        self.0.iter().zip(&other.0).all(|(a, b)| match (a, b) {
            (Step::Index(_), Step::Index(_) | Step::Id { .. }) | (Step::Id { .. }, Step::Index(_)) => true,
            _ => a == b,
        })
    }

    /// The value at this place.
    ///
    /// `None` when there is none, and when several elements have the identity that a step names.
    pub fn find<'a>(&self, document: &'a Json) -> Option<&'a Json> {
        self.0.iter().try_fold(document, |value, step| Some(step.find(value)?.1))
    }

    /// The pointer to this place in a document (RFC 6901); `None` as in [`find`](Self::find).
    pub fn resolve(&self, document: &Json) -> Option<PointerBuf> {
        let mut pointer = PointerBuf::new();
        let mut value = document;
        for step in &self.0 {
            let (index, below) = step.find(value)?;
            match (step, index) {
                (Step::Key(key), _) => pointer.push_back(Token::new(&**key)),
                (_, Some(index)) => pointer.push_back(Token::from(index)),
                _ => return None,
            }
            value = below;
        }
        Some(pointer)
    }
}

impl Step {
    /// The step to an element by its identity: the first of the identity keys that it has with a string or a number.
    pub(crate) fn identifying(element: &Json, identity_keys: &[Arc<str>]) -> Option<Self> {
        let object = element.as_object()?;
        identity_keys.iter().find_map(|key| {
            let value = object.get(key)?;
            let scalar = matches!(value, Json::Number(_) | Json::String(_));
            scalar.then(|| Self::Id { member: key.clone(), value: value.clone() })
        })
    }

    /// The value one step down, and its index if it is an element.
    fn find<'a>(&self, value: &'a Json) -> Option<(Option<usize>, &'a Json)> {
        match self {
            Self::Key(key) => Some((None, value.get(key)?)),
            Self::Index(index) => Some((Some(*index), value.as_array()?.get(*index)?)),
            Self::Id { member, value: identity } => {
                let elements = value.as_array()?.iter().enumerate();
                let mut found = elements.filter(|(_, element)| element.get(member) == Some(identity));
                match (found.next(), found.next()) {
                    (Some((index, element)), None) => Some((Some(index), element)),
                    _ => None,
                }
            }
        }
    }

    /// A number and a text by which steps of different kinds and identities of different types are put in order.
    fn rank(&self) -> (u8, &str) {
        match self {
            Self::Key(key) => (0, key),
            Self::Id { member, .. } => (1, member),
            Self::Index(_) => (2, ""),
        }
    }
}

impl Ord for Step {
    fn cmp(&self, other: &Self) -> Ordering {
        self.rank().cmp(&other.rank()).then_with(|| match (self, other) {
            (Self::Id { value: a, .. }, Self::Id { value: b, .. }) => scalar_order(a, b),
            (Self::Index(a), Self::Index(b)) => a.cmp(b),
            _ => Ordering::Equal,
        })
    }
}

impl PartialOrd for Step {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// Numbers before strings; other types, which no identity has, by their text.
fn scalar_order(a: &Json, b: &Json) -> Ordering {
    a.kind().cmp(&b.kind()).then_with(|| match (a, b) {
        (Json::Number(a), Json::Number(b)) => a.partial_cmp(b).unwrap_or(Ordering::Equal),
        (Json::String(a), Json::String(b)) => a.cmp(b),
        _ => a.canonical().cmp(&b.canonical()),
    })
}

impl From<Vec<Step>> for PlacePath {
    fn from(steps: Vec<Step>) -> Self {
        Self(steps)
    }
}

impl FromIterator<Step> for PlacePath {
    fn from_iter<I: IntoIterator<Item = Step>>(steps: I) -> Self {
        Self(steps.into_iter().collect())
    }
}

/// As a pointer, with identities in brackets: `/cards/[id=7]/title`. For people; programs have the JSON form.
impl fmt::Display for PlacePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|step| write!(f, "/{step}"))
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Key(key) => f.write_str(Token::new(&**key).encoded()),
            Self::Id { member, value } => write!(f, "[{}={value}]", Token::new(&**member).encoded()),
            Self::Index(index) => write!(f, "{index}"),
        }
    }
}

impl Serialize for PlacePath {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(&self.0)
    }
}

impl Serialize for Step {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Key(key) => serializer.serialize_str(key),
            Self::Id { member, value } => {
                let mut map = serializer.serialize_map(Some(1))?;
                map.serialize_entry(member, value)?;
                map.end()
            }
            Self::Index(index) => serializer.serialize_u64(*index as u64),
        }
    }
}

impl<'de> Deserialize<'de> for PlacePath {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(PlaceVisitor)
    }
}

struct PlaceVisitor;

impl<'de> Visitor<'de> for PlaceVisitor {
    type Value = PlacePath;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "an array of at most {MAX_DEPTH} steps")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut steps: A) -> Result<PlacePath, A::Error> {
        let mut path = Vec::new();
        while let Some(step) = steps.next_element()? {
            if path.len() == MAX_DEPTH {
                return Err(de::Error::invalid_length(path.len() + 1, &self));
            }
            path.push(step);
        }
        Ok(PlacePath(path))
    }
}

impl<'de> Deserialize<'de> for Step {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(StepVisitor)
    }
}

struct StepVisitor;

impl<'de> Visitor<'de> for StepVisitor {
    type Value = Step;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key, an index, or an identity as an object with one member")
    }

    fn visit_str<E: de::Error>(self, key: &str) -> Result<Step, E> {
        Ok(Step::Key(key.into()))
    }

    fn visit_u64<E: de::Error>(self, index: u64) -> Result<Step, E> {
        usize::try_from(index)
            .map(Step::Index)
            .map_err(|_| E::invalid_value(de::Unexpected::Unsigned(index), &self))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Step, A::Error> {
        let identity = map.next_entry::<String, Json>()?;
        match (identity, map.next_key::<de::IgnoredAny>()?) {
            (Some((member, value @ (Json::String(_) | Json::Number(_)))), None) => {
                Ok(Step::Id { member: member.into(), value })
            }
            _ => Err(de::Error::invalid_type(de::Unexpected::Map, &self)),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::Limits;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    fn path(text: &str) -> PlacePath {
        serde_json::from_str(text).unwrap()
    }

    fn json(text: &str) -> Json {
        Json::parse(text, &Limits::default()).unwrap()
    }

    #[test]
    fn the_json_form_reads_back() {
        for text in [r"[]", r#"["cards",{"id":7},"a/b",{"key":"7"},3,""]"#] {
            assert_eq!(serde_json::to_string(&path(text)).unwrap(), text);
        }
        for refused in [
            r#""cards""#,
            r"[-1]",
            r"[1.5]",
            r"[null]",
            r"[[]]",
            r"[{}]",
            r#"[{"id":null}]"#,
            r#"[{"id":{}}]"#,
            r#"[{"id":1,"key":2}]"#,
        ] {
            assert!(serde_json::from_str::<PlacePath>(refused).is_err(), "{refused}");
        }
        let deep = format!("[{}]", vec!["0"; MAX_DEPTH + 1].join(","));
        assert!(serde_json::from_str::<PlacePath>(&deep).is_err());
    }

    #[test]
    fn people_see_a_pointer_with_identities() {
        assert_eq!(
            path(r#"["cards",{"id":7},"a/b~",{"key":"7"},3]"#).to_string(),
            r#"/cards/[id=7]/a~1b~0/[key="7"]/3"#
        );
        assert_eq!(PlacePath::root().to_string(), "");
    }

    #[test]
    fn an_identity_resolves_to_wherever_the_element_is() {
        let document = json(r#"{"a/b":[{"id":1},{"id":7,"tags":["x","y"]}]}"#);
        let place = path(r#"["a/b",{"id":7},"tags",1]"#);
        assert_eq!(place.resolve(&document).unwrap().to_string(), "/a~1b/1/tags/1");
        assert_eq!(place.find(&document), Some(&Json::from("y")));
        for absent in [
            r#"["a/b",{"id":8}]"#,
            r#"["a/b",{"id":"7"}]"#,
            r#"["a/b","1"]"#,
            r#"["a/b",2]"#,
            r#"[{"id":7}]"#,
        ] {
            assert_eq!(path(absent).resolve(&document), None, "{absent}");
        }
        assert_eq!(path(r#"[{"id":1}]"#).find(&json(r#"[{"id":1},{"id":1}]"#)), None, "not one of two");
    }

    #[test]
    fn places_overlap_when_one_contains_the_other() {
        let place = path(r#"["cards",{"id":7},"title"]"#);
        for overlapping in [r"[]", r#"["cards"]"#, r#"["cards",{"id":7},"title","x"]"#, r#"["cards",4]"#] {
            assert!(
                place.overlaps(&path(overlapping)) && path(overlapping).overlaps(&place),
                "{overlapping}"
            );
        }
        for apart in
            [r#"["card"]"#, r#"["cards",{"id":8}]"#, r#"["cards",{"key":7}]"#, r#"["cards",{"id":7},"text"]"#]
        {
            assert!(!place.overlaps(&path(apart)) && !path(apart).overlaps(&place), "{apart}");
        }
        assert!(path(r#"["list",1,"x"]"#).overlaps(&path(r#"["list",2]"#)), "indexes shift");
    }

    #[test]
    fn the_order_agrees_with_equality() {
        let places = [
            r"[]",
            r#"["a"]"#,
            r#"["a","b"]"#,
            r#"[{"id":1}]"#,
            r#"[{"id":2}]"#,
            r#"[{"id":"1"}]"#,
            r#"[{"key":1}]"#,
            "[0]",
            "[1]",
        ]
        .map(path);
        for (i, a) in places.iter().enumerate() {
            for (j, b) in places.iter().enumerate() {
                assert_eq!(a.cmp(b) == Ordering::Equal, i == j);
                assert_eq!(a.cmp(b), b.cmp(a).reverse());
            }
        }
    }
}
