//! Reads members of a request one by one, so that an error names the member and says what belongs there.

use std::sync::Arc;

use jsonptr::PointerBuf;
use rejoin_json::{ContentHash, Json, Kind, Object, Patch, Policy};

use super::RequestId;
use crate::change::ConflictId;
use crate::code::ErrorCode;
use crate::error::shorten;
use crate::id::{DocumentId, Revision, Sequence};
use crate::limits::{MAX_DEPTH, MAX_INTEGER, MAX_OPERATIONS_PER_PATCH, MAX_PRESENCE_BYTES, MAX_TEXT_BYTES};

/// Characters of another layer's error that are repeated; it may quote foreign text.
const MAX_REASON_CHARACTERS: usize = 256;

/// Longest request id in bytes: it is a key in the store for a day.
const MAX_REQUEST_ID_BYTES: usize = 128;

/// What is wrong with a member.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct FieldError {
    pub(super) code: ErrorCode,
    pub(super) field: String,
    pub(super) message: String,
}

/// The members of an object, and the path that leads to it.
pub(super) struct Fields<'a> {
    object: &'a Object,
    path: String,
}

impl<'a> Fields<'a> {
    pub(super) fn new(object: &'a Object) -> Self {
        Self { object, path: String::new() }
    }

    /// A member that must be there.
    pub(super) fn required<T: Field>(&self, name: &str) -> Result<T, FieldError> {
        self.read(name, self.object.get(name).ok_or_else(|| self.missing(name, T::EXPECTED))?)
    }

    /// A member that may be missing or null.
    pub(super) fn optional<T: Field>(&self, name: &str) -> Result<Option<T>, FieldError> {
        match self.object.get(name) {
            None | Some(Json::Null) => Ok(None),
            Some(value) => self.read(name, value).map(Some),
        }
    }

    /// A list that must be there.
    pub(super) fn list<T: Field>(&self, name: &str, limit: usize) -> Result<Vec<T>, FieldError> {
        let value = self.object.get(name).ok_or_else(|| self.missing(name, "a list"))?;
        let items = value.as_array().ok_or_else(|| self.wrong(name, Wrong::Type, "a list", value))?;
        if items.len() > limit {
            let message = format!("`{}` has more than {limit} elements: send fewer at a time", self.at(name));
            return Err(FieldError { code: ErrorCode::TooLarge, field: self.at(name), message });
        }
        let item = |(index, item)| self.read(&format!("{name}[{index}]"), item);
        items.iter().enumerate().map(item).collect()
    }

    /// A list that may be missing or null.
    pub(super) fn optional_list<T: Field>(
        &self,
        name: &str,
        limit: usize,
    ) -> Result<Option<Vec<T>>, FieldError> {
        match self.object.get(name) {
            None | Some(Json::Null) => Ok(None),
            Some(_) => self.list(name, limit).map(Some),
        }
    }

    /// An object that must be there.
    pub(super) fn object(&self, name: &str) -> Result<Fields<'a>, FieldError> {
        let value = self.object.get(name).ok_or_else(|| self.missing(name, "an object"))?;
        match value {
            Json::Object(object) => Ok(Fields { object, path: format!("{}.", self.at(name)) }),
            other => Err(self.wrong(name, Wrong::Type, "an object", other)),
        }
    }

    fn read<T: Field>(&self, name: &str, value: &Json) -> Result<T, FieldError> {
        T::read(value).map_err(|wrong| self.wrong(name, wrong, T::EXPECTED, value))
    }

    fn missing(&self, name: &str, expected: &str) -> FieldError {
        let field = self.at(name);
        let message = format!("`{field}` is missing: add {expected}");
        FieldError { code: ErrorCode::BadMessage, field, message }
    }

    fn wrong(&self, name: &str, wrong: Wrong, expected: &str, value: &Json) -> FieldError {
        let field = self.at(name);
        let (code, message) = match wrong {
            Wrong::Type => {
                let found = value.kind().with_article();
                (ErrorCode::BadMessage, format!("`{field}` is {found}: send {expected}"))
            }
            Wrong::Value => (ErrorCode::BadMessage, format!("`{field}` is not right: send {expected}")),
            Wrong::Because(code, reason) => {
                (code, format!("`{field}`: {}", shorten(&reason, MAX_REASON_CHARACTERS)))
            }
        };
        FieldError { code, field, message }
    }

    fn at(&self, name: &str) -> String {
        format!("{}{name}", self.path)
    }
}

/// Why a value cannot be a member.
pub(super) enum Wrong {
    /// It has another type.
    Type,
    /// It has the type, but not a value that is meant.
    Value,
    /// As said.
    Because(ErrorCode, String),
}

/// What a member can be.
pub(super) trait Field: Sized {
    /// What belongs there, for people: "a …".
    const EXPECTED: &'static str;

    fn read(value: &Json) -> Result<Self, Wrong>;
}

fn text(value: &Json) -> Result<&str, Wrong> {
    value.as_str().ok_or(Wrong::Type)
}

fn integer(value: &Json) -> Result<u64, Wrong> {
    if value.kind() != Kind::Number {
        return Err(Wrong::Type);
    }
    let integer = value.as_i64().and_then(|integer| u64::try_from(integer).ok());
    integer.filter(|integer| *integer <= MAX_INTEGER).ok_or(Wrong::Value)
}

impl Field for Arc<str> {
    const EXPECTED: &'static str = "a text of at most 4096 bytes";

    fn read(value: &Json) -> Result<Self, Wrong> {
        let text = text(value)?;
        if text.len() > MAX_TEXT_BYTES {
            let reason = format!("longer than {MAX_TEXT_BYTES} bytes: shorten it");
            return Err(Wrong::Because(ErrorCode::TooLarge, reason));
        }
        Ok(text.into())
    }
}

impl Field for u64 {
    const EXPECTED: &'static str = "a whole number from 0 to 9007199254740991";

    fn read(value: &Json) -> Result<Self, Wrong> {
        integer(value)
    }
}

impl Field for u32 {
    const EXPECTED: &'static str = "a whole number from 0 to 4294967295";

    fn read(value: &Json) -> Result<Self, Wrong> {
        integer(value).and_then(|integer| Self::try_from(integer).map_err(|_| Wrong::Value))
    }
}

impl Field for Revision {
    const EXPECTED: &'static str = "a revision, as an answer named it";

    fn read(value: &Json) -> Result<Self, Wrong> {
        integer(value).map(Self)
    }
}

impl Field for Sequence {
    const EXPECTED: &'static str = "a position of the feed; 0 is before its beginning";

    fn read(value: &Json) -> Result<Self, Wrong> {
        integer(value).map(Self)
    }
}

impl Field for DocumentId {
    const EXPECTED: &'static str = "a document id: a text of 1 to 128 bytes without control characters";

    fn read(value: &Json) -> Result<Self, Wrong> {
        Self::new(text(value)?).map_err(|_| Wrong::Value)
    }
}

impl Field for RequestId {
    const EXPECTED: &'static str = "a text of 1 to 128 bytes, or a whole number";

    fn read(value: &Json) -> Result<Self, Wrong> {
        match value {
            Json::String(text) if (1..=MAX_REQUEST_ID_BYTES).contains(&text.len()) => {
                Ok(Self::Text(text.as_arc().clone()))
            }
            Json::String(_) => Err(Wrong::Value),
            other => integer(other).map(Self::Number),
        }
    }
}

impl Field for ContentHash {
    const EXPECTED: &'static str = "the SHA-256 of the canonical content (RFC 8785) as 64 hexadecimal digits";

    fn read(value: &Json) -> Result<Self, Wrong> {
        text(value)?.parse().map_err(|_| Wrong::Value)
    }
}

impl Field for Policy {
    const EXPECTED: &'static str =
        "a policy: theirs (client_wins, auto), ours (server_wins), latest or manual";

    fn read(value: &Json) -> Result<Self, Wrong> {
        text(value)?.parse().map_err(|_| Wrong::Value)
    }
}

impl Field for PointerBuf {
    const EXPECTED: &'static str = "a JSON pointer, as /votes/*";

    fn read(value: &Json) -> Result<Self, Wrong> {
        let text = text(value)?;
        if text.len() > MAX_TEXT_BYTES {
            return Err(Wrong::Value);
        }
        Self::parse(text).map_err(|_| Wrong::Value)
    }
}

impl Field for ConflictId {
    const EXPECTED: &'static str = "the `id` of a conflict: an object with `revision` and `index`";

    fn read(value: &Json) -> Result<Self, Wrong> {
        let object = value.as_object().ok_or(Wrong::Type)?;
        let member = |name| object.get(name).ok_or(Wrong::Value);
        let wrong = |_| Wrong::Value;
        let revision = Revision::read(member("revision")?).map_err(wrong)?;
        let index = u32::read(member("index")?).map_err(wrong)?;
        Ok(Self { revision, index })
    }
}

/// A document's content.
pub(super) struct Content(pub(super) Json);

impl Field for Content {
    const EXPECTED: &'static str = "the content, a JSON value";

    fn read(value: &Json) -> Result<Self, Wrong> {
        check_depth(value)?;
        let limit = rejoin_json::Limits::default().max_document_bytes;
        if value.encoded_len() > limit {
            let reason = format!("the content has more than {limit} bytes: split the document");
            return Err(Wrong::Because(ErrorCode::TooLarge, reason));
        }
        Ok(Self(value.clone()))
    }
}

fn check_depth(value: &Json) -> Result<(), Wrong> {
    if value.depth() <= MAX_DEPTH {
        return Ok(());
    }
    let reason = format!("nested deeper than {MAX_DEPTH} levels: flatten the value");
    Err(Wrong::Because(ErrorCode::TooDeep, reason))
}

/// A presence state.
pub(super) struct State(pub(super) Json);

impl Field for State {
    const EXPECTED: &'static str = "the state, a JSON value; null leaves";

    fn read(value: &Json) -> Result<Self, Wrong> {
        check_depth(value)?;
        if value.encoded_len() > MAX_PRESENCE_BYTES {
            let reason =
                format!("the state has more than {MAX_PRESENCE_BYTES} bytes: put it into a document");
            return Err(Wrong::Because(ErrorCode::TooLarge, reason));
        }
        Ok(Self(value.clone()))
    }
}

impl Field for Patch {
    const EXPECTED: &'static str = "a JSON Patch (RFC 6902): a list of operations";

    fn read(value: &Json) -> Result<Self, Wrong> {
        let operations = value.as_array().ok_or(Wrong::Type)?;
        if operations.len() > MAX_OPERATIONS_PER_PATCH {
            let reason = format!("more than {MAX_OPERATIONS_PER_PATCH} operations: send several patches");
            return Err(Wrong::Because(ErrorCode::TooLarge, reason));
        }
        let patch = Self::from_json(value)
            .map_err(|error| Wrong::Because(ErrorCode::InvalidPatch, error.to_string()))?;
        patch.iter().filter_map(rejoin_json::Operation::value).try_for_each(check_depth)?;
        Ok(patch)
    }
}
