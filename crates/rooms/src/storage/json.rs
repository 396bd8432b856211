//! A storage that is one JSON document.

use rejoin_json::{Json, Limits, Object, Patch, apply};

use super::{History, read_patch};
use crate::traits::{Difference, Refusal, StorageLike};

/// One JSON document, edited by RFC 6902. It begins as `{}`.
#[derive(Clone, Debug)]
pub struct JsonStorage {
    version: u64,
    content: Json,
    history: History,
}

impl Default for JsonStorage {
    fn default() -> Self {
        Self::load(0, Object::new().into())
    }
}

impl JsonStorage {
    /// A storage as it was stored.
    pub fn load(version: u64, content: Json) -> Self {
        Self { version, content, history: History::default() }
    }
}

impl StorageLike for JsonStorage {
    type Operation = Patch;
    type Change = Patch;

    fn read(json: &Json) -> Result<Patch, Refusal> {
        read_patch(json)
    }

    fn apply(&mut self, operation: Patch) -> Result<Patch, Refusal> {
        apply(&mut self.content, &operation, &Limits::default())?;
        self.version += 1;
        self.history.push(self.version, operation.to_json());
        Ok(operation)
    }

    fn operations(change: &Patch) -> Json {
        change.to_json()
    }

    fn version(&self) -> u64 {
        self.version
    }

    fn snapshot(&self) -> Json {
        self.content.clone()
    }

    fn since(&self, version: u64) -> Difference {
        self.history.since(version, self.version, || self.snapshot())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use rejoin_wire::ErrorCode;

    use super::*;

    fn json(text: &str) -> Json {
        Json::parse(text, &Limits::default()).unwrap()
    }

    fn edit(storage: &mut JsonStorage, text: &str) -> Result<u64, ErrorCode> {
        let operation = JsonStorage::read(&json(text)).map_err(|refusal| refusal.code)?;
        storage.apply(operation).map_err(|refusal| refusal.code)?;
        Ok(storage.version())
    }

    #[test]
    fn batches_count_and_an_operation_alone_is_one() {
        let mut storage = JsonStorage::default();
        assert_eq!(edit(&mut storage, r#"{"op":"add","path":"/a","value":[1]}"#), Ok(1));
        let both = r#"[{"op":"add","path":"/a/-","value":2},{"op":"move","from":"/a/0","path":"/b"}]"#;
        assert_eq!(edit(&mut storage, both), Ok(2));
        assert_eq!(storage.snapshot(), json(r#"{"a":[2],"b":1}"#));
        assert_eq!(storage.since(1), Difference::Changes(vec![(2, json(both))]));
    }

    #[test]
    fn a_batch_takes_effect_as_a_whole_or_not_at_all() {
        let mut storage = JsonStorage::load(3, json(r#"{"a":1}"#));
        let cases = [
            (r#"[{"op":"add","path":"/b","value":2},{"op":"remove","path":"/c"}]"#, ErrorCode::InvalidPatch),
            (r#"[{"op":"remove","path":"/a"},{"op":"test","path":"","value":1}]"#, ErrorCode::TestFailed),
            ("[]", ErrorCode::InvalidPatch),
            ("7", ErrorCode::InvalidPatch),
            (r#"{"op":"splice","path":"/a","at":0,"remove":0,"insert":""}"#, ErrorCode::InvalidPatch),
        ];
        for (batch, expected) in cases {
            assert_eq!(edit(&mut storage, batch), Err(expected), "{batch}");
        }
        assert_eq!((storage.version(), storage.snapshot()), (3, json(r#"{"a":1}"#)));
    }

    #[test]
    fn a_batch_has_operations_up_to_the_limit() {
        let batch = |count| Json::from(vec![json(r#"{"op":"add","path":"/a","value":1}"#); count]);
        assert!(JsonStorage::read(&batch(10_000)).is_ok());
        assert_eq!(JsonStorage::read(&batch(10_001)).unwrap_err().code, ErrorCode::TooLarge);
    }
}
