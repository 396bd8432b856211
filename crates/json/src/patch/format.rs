//! The JSON form of patches.

use std::{fmt, sync::Arc};

use jsonptr::{Pointer, PointerBuf};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _, ser::SerializeMap};

use super::{Operation, Patch};
use crate::{Json, Object, Text, excerpt::Excerpt};

impl Patch {
    /// Takes a patch from its JSON form, sharing the values.
    ///
    /// Members that the operation does not define are ignored (RFC 6902, section 4).
    ///
    /// # Errors
    ///
    /// When it is not a list of operations that are known and have the members they need; says which one is not.
    pub fn from_json(json: &Json) -> Result<Self, PatchFormatError> {
        let whole = |kind| PatchFormatError { operation: None, kind };
        let operations = json.as_array().ok_or_else(|| whole(PatchFormatErrorKind::NotAList))?;
        let operation = |(index, json)| {
            Operation::from_json(json).map_err(|kind| PatchFormatError { operation: Some(index), kind })
        };
        operations.iter().enumerate().map(operation).collect()
    }

    /// The JSON form, sharing the values.
    pub fn to_json(&self) -> Json {
        self.iter().map(Operation::to_json).collect()
    }

    /// Length of the canonical text of the JSON form in bytes.
    pub fn encoded_len(&self) -> usize {
        self.to_json().encoded_len()
    }
}

impl Operation {
    fn from_json(json: &Json) -> Result<Self, PatchFormatErrorKind> {
        let members = Members(json.as_object().ok_or(PatchFormatErrorKind::NotAnObject)?);
        let path = || members.pointer("path");
        let from = || members.pointer("from");
        let value = || members.any("value").cloned();
        Ok(match members.text("op")?.as_str() {
            "add" => Self::Add { path: path()?, value: value()? },
            "remove" => Self::Remove { path: path()? },
            "replace" => Self::Replace { path: path()?, value: value()? },
            "move" => Self::Move { from: from()?, path: path()? },
            "copy" => Self::Copy { from: from()?, path: path()? },
            "test" => Self::Test { path: path()?, value: value()? },
            "splice" => Self::Splice {
                path: path()?,
                at: members.count("at")?,
                remove: members.count("remove")?,
                insert: members.text("insert")?.as_str().to_owned(),
            },
            unknown => return Err(PatchFormatErrorKind::UnknownOperation(unknown.to_owned())),
        })
    }

    fn to_json(&self) -> Json {
        let pointer = |pointer: &Pointer| Json::from(pointer.as_str());
        let mut entries = vec![entry("op", Json::from(self.name())), entry("path", pointer(self.path()))];
        if let Some(from) = self.from() {
            entries.push(entry("from", pointer(from)));
        }
        if let Some(value) = self.value() {
            entries.push(entry("value", value.clone()));
        }
        if let Self::Splice { at, remove, insert, .. } = self {
            entries.push(entry("at", count(*at)));
            entries.push(entry("remove", count(*remove)));
            entries.push(entry("insert", Json::from(insert.as_str())));
        }
        entries.into_iter().collect()
    }
}

fn entry(key: &str, value: Json) -> (Arc<str>, Json) {
    (Arc::from(key), value)
}

/// A length in bytes as a number; no text is as long as 2^53 bytes.
#[allow(clippy::cast_precision_loss)]
fn count(bytes: usize) -> Json {
    Json::Number(bytes as f64)
}

struct Members<'a>(&'a Object);

impl<'a> Members<'a> {
    fn any(&self, member: &'static str) -> Result<&'a Json, PatchFormatErrorKind> {
        self.0.get(member).ok_or(PatchFormatErrorKind::Missing { member })
    }

    fn text(&self, member: &'static str) -> Result<&'a Text, PatchFormatErrorKind> {
        self.any(member)?.as_text().ok_or(PatchFormatErrorKind::WrongType { member, expected: "a string" })
    }

    fn count(&self, member: &'static str) -> Result<usize, PatchFormatErrorKind> {
        let integer = self.any(member)?.as_i64().and_then(|integer| usize::try_from(integer).ok());
        integer.ok_or(PatchFormatErrorKind::WrongType { member, expected: "a number of bytes" })
    }

    fn pointer(&self, member: &'static str) -> Result<PointerBuf, PatchFormatErrorKind> {
        let pointer = self.text(member)?.as_str();
        match Pointer::parse(pointer) {
            Ok(pointer) => Ok(pointer.to_buf()),
            Err(_) => Err(PatchFormatErrorKind::NotAPointer { member, text: pointer.to_owned() }),
        }
    }
}

/// Why a JSON value is no patch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PatchFormatError {
    /// Index of the operation that is malformed; absent when the whole is.
    pub operation: Option<usize>,
    /// What is wrong with it.
    pub kind: PatchFormatErrorKind,
}

/// What is wrong with the form of a patch; the sentences say what to do about it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PatchFormatErrorKind {
    /// The whole is not an array.
    #[error("a patch is an array of operations: send one")]
    NotAList,
    /// The operation is not an object.
    #[error("an operation is an object with the members \"op\" and \"path\": send one")]
    NotAnObject,
    /// The operation lacks a member.
    #[error("the member {member:?} is missing: add it")]
    Missing {
        /// Its name.
        member: &'static str,
    },
    /// A member of the operation has a type that it cannot have.
    #[error("the member {member:?} is not {expected}: make it one")]
    WrongType {
        /// Its name.
        member: &'static str,
        /// What it should be.
        expected: &'static str,
    },
    /// A path is not a JSON pointer.
    #[error(
        "the member {member:?} is {}, which is no JSON pointer: begin each part with \"/\", and write \"~\" as \
         \"~0\" and \"/\" inside a part as \"~1\"",
        Excerpt(.text)
    )]
    NotAPointer {
        /// The name of the member.
        member: &'static str,
        /// Its text.
        text: String,
    },
    /// The operation is not one of those that are known.
    #[error("the operation {} is not known: use add, remove, replace, move, copy, test or splice", Excerpt(.0))]
    UnknownOperation(String),
}

impl fmt::Display for PatchFormatError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.operation {
            Some(index) => write!(f, "operation {index}: {}", self.kind),
            None => self.kind.fmt(f),
        }
    }
}

impl std::error::Error for PatchFormatError {}

impl Serialize for Patch {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self)
    }
}

impl Serialize for Operation {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("op", self.name())?;
        if let Some(from) = self.from() {
            map.serialize_entry("from", from.as_str())?;
        }
        map.serialize_entry("path", self.path().as_str())?;
        if let Some(value) = self.value() {
            map.serialize_entry("value", value)?;
        }
        if let Self::Splice { at, remove, insert, .. } = self {
            map.serialize_entry("at", at)?;
            map.serialize_entry("remove", remove)?;
            map.serialize_entry("insert", insert)?;
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for Patch {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::from_json(&Json::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

impl<'de> Deserialize<'de> for Operation {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::from_json(&Json::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;
    use crate::Limits;

    fn parse(text: &str) -> Result<Patch, String> {
        Patch::parse(text, &Limits::default()).map_err(|error| error.to_string())
    }

    const EVERY_OPERATION: &str = r#"[
        {"op": "add", "path": "/a~1b", "value": [1, {"c": null}]},
        {"op": "remove", "path": ""},
        {"op": "replace", "path": "/0", "value": null},
        {"op": "move", "from": "/a", "path": "/b/-"},
        {"op": "copy", "from": "/~0", "path": "/b"},
        {"op": "test", "path": "/b", "value": "x"},
        {"op": "splice", "path": "/b", "at": 3, "remove": 0, "insert": "é\n"}
    ]"#;

    #[test]
    fn every_operation_is_read_as_it_is_written() {
        let patch = parse(EVERY_OPERATION).unwrap();
        assert_eq!(patch.len(), 7);
        assert_eq!(Patch::from_json(&patch.to_json()), Ok(patch.clone()));
        let json = Json::parse(EVERY_OPERATION, &Limits::default()).unwrap();
        assert_eq!(patch.to_json(), json);
        assert_eq!(patch.to_string(), json.canonical());
        let text = serde_json::to_string(&patch).unwrap();
        assert_eq!(serde_json::from_str::<Patch>(&text).unwrap(), patch);
        assert_eq!(Json::parse(&text, &Limits::default()).unwrap(), json);
    }

    #[test]
    fn unknown_members_are_ignored() {
        let patch = parse(r#"[{"op": "remove", "path": "/a", "value": 1, "note": {}}]"#).unwrap();
        assert_eq!(patch, Patch(vec![Operation::Remove { path: PointerBuf::parse("/a").unwrap() }]));
    }

    #[test]
    fn a_malformed_operation_is_named_with_what_to_do() {
        for (text, expected) in [
            ("{}", "a patch is an array of operations: send one"),
            (
                r#"[{"op":"remove","path":""}, 1]"#,
                "operation 1: an operation is an object with the members \"op\" and \"path\": send one",
            ),
            (r#"[{"path":""}]"#, "operation 0: the member \"op\" is missing: add it"),
            (r#"[{"op":"add","path":""}]"#, "operation 0: the member \"value\" is missing: add it"),
            (r#"[{"op":"copy","path":""}]"#, "operation 0: the member \"from\" is missing: add it"),
            (r#"[{"op":7,"path":""}]"#, "operation 0: the member \"op\" is not a string: make it one"),
            (
                r#"[{"op":"splice","path":"","at":-1,"remove":0,"insert":""}]"#,
                "operation 0: the member \"at\" is not a number of bytes: make it one",
            ),
            (
                r#"[{"op":"spam","path":""}]"#,
                "operation 0: the operation \"spam\" is not known: use add, remove, replace, move, copy, test or splice",
            ),
            (
                r#"[{"op":"remove","path":"a"}]"#,
                "operation 0: the member \"path\" is \"a\", which is no JSON pointer: begin each part with \"/\", and \
                 write \"~\" as \"~0\" and \"/\" inside a part as \"~1\"",
            ),
        ] {
            assert_eq!(parse(text).unwrap_err(), expected);
        }
    }

    #[test]
    fn a_long_foreign_text_is_not_repeated_in_a_message() {
        let text = format!(r#"[{{"op":"{}","path":""}}]"#, "é".repeat(1000));
        assert!(parse(&text).unwrap_err().len() < 300);
    }

    #[test]
    fn a_value_in_a_patch_may_be_as_deep_as_a_document() {
        let limits = Limits { max_depth: 3, ..Limits::default() };
        let patch =
            |value: &str| Patch::parse(&format!(r#"[{{"op":"add","path":"","value":{value}}}]"#), &limits);
        assert!(patch("[[[]]]").is_ok());
        assert!(patch("[[[[]]]]").is_err());
    }
}
