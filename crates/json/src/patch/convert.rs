//! To and from the types of the `json-patch` crate.

use json_patch::{
    AddOperation, CopyOperation, MoveOperation, PatchOperation, RemoveOperation, ReplaceOperation,
    TestOperation,
};

use super::{Operation, Patch};
use crate::{Json, Limits, ParseError, PatchError, apply::without_splices};

impl Patch {
    /// This patch in the operations of RFC 6902 alone: each splice becomes a replacement by the string it makes of the one
    /// in `before`, the document that the patch is for.
    ///
    /// # Errors
    ///
    /// When the patch has splices and does not apply to `before`.
    pub fn without_splices(&self, before: &Json, limits: &Limits) -> Result<Self, PatchError> {
        without_splices(before, self, limits)
    }

    /// This patch in the types of `json-patch`, splices as in [`without_splices`](Self::without_splices).
    ///
    /// # Errors
    ///
    /// When the patch has splices and does not apply to `before`.
    pub fn to_json_patch(&self, before: &Json, limits: &Limits) -> Result<json_patch::Patch, PatchError> {
        let operations = self.without_splices(before, limits)?;
        Ok(json_patch::Patch(operations.into_iter().filter_map(standard_operation).collect()))
    }
}

/// `None` for a splice.
fn standard_operation(operation: Operation) -> Option<PatchOperation> {
    Some(match operation {
        Operation::Add { path, value } => PatchOperation::Add(AddOperation { path, value: value.to_value() }),
        Operation::Remove { path } => PatchOperation::Remove(RemoveOperation { path }),
        Operation::Replace { path, value } => {
            PatchOperation::Replace(ReplaceOperation { path, value: value.to_value() })
        }
        Operation::Move { from, path } => PatchOperation::Move(MoveOperation { from, path }),
        Operation::Copy { from, path } => PatchOperation::Copy(CopyOperation { from, path }),
        Operation::Test { path, value } => {
            PatchOperation::Test(TestOperation { path, value: value.to_value() })
        }
        Operation::Splice { .. } => return None,
    })
}

/// Refuses the values that [`Json::from_value`] refuses.
impl TryFrom<&PatchOperation> for Operation {
    type Error = ParseError;

    fn try_from(operation: &PatchOperation) -> Result<Self, ParseError> {
        Ok(match operation {
            PatchOperation::Add(AddOperation { path, value }) => {
                Self::Add { path: path.clone(), value: Json::from_value(value)? }
            }
            PatchOperation::Remove(RemoveOperation { path }) => Self::Remove { path: path.clone() },
            PatchOperation::Replace(ReplaceOperation { path, value }) => {
                Self::Replace { path: path.clone(), value: Json::from_value(value)? }
            }
            PatchOperation::Move(MoveOperation { from, path }) => {
                Self::Move { from: from.clone(), path: path.clone() }
            }
            PatchOperation::Copy(CopyOperation { from, path }) => {
                Self::Copy { from: from.clone(), path: path.clone() }
            }
            PatchOperation::Test(TestOperation { path, value }) => {
                Self::Test { path: path.clone(), value: Json::from_value(value)? }
            }
        })
    }
}

/// Refuses the values that [`Json::from_value`] refuses.
impl TryFrom<&json_patch::Patch> for Patch {
    type Error = ParseError;

    fn try_from(patch: &json_patch::Patch) -> Result<Self, ParseError> {
        patch.0.iter().map(Operation::try_from).collect()
    }
}

/// Refuses the values that [`Json::from_value`] refuses.
impl TryFrom<json_patch::Patch> for Patch {
    type Error = ParseError;

    fn try_from(patch: json_patch::Patch) -> Result<Self, ParseError> {
        Self::try_from(&patch)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::{from_value, json};
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    #[test]
    fn patches_go_there_and_back() {
        let value = json!([
            {"op": "add", "path": "/a", "value": [1, 2.5]},
            {"op": "test", "path": "/a/0", "value": 1},
            {"op": "copy", "from": "/a", "path": "/b~1"},
            {"op": "move", "from": "/a", "path": "/c"},
            {"op": "replace", "path": "/c", "value": null},
            {"op": "remove", "path": "/c"},
        ]);
        let theirs: json_patch::Patch = from_value(value.clone()).unwrap();
        let ours = Patch::try_from(&theirs).unwrap();
        assert_eq!(serde_json::to_value(&ours).unwrap(), value);
        assert_eq!(ours.to_json_patch(&Json::Null, &Limits::default()).unwrap(), theirs);
    }

    #[test]
    fn a_patch_with_an_integer_that_doubles_blur_is_refused() {
        let theirs: json_patch::Patch =
            from_value(json!([{"op": "add", "path": "", "value": [9_007_199_254_740_993_i64]}])).unwrap();
        assert!(Patch::try_from(theirs).is_err());
    }

    #[test]
    fn splices_become_replacements_by_what_they_make() {
        let limits = Limits::default();
        let before = Json::from_value(&json!({"title": "Héllo", "other": ["x"]})).unwrap();
        let patch = Patch::parse(
            r#"[
                {"op": "splice", "path": "/title", "at": 1, "remove": 2, "insert": "e"},
                {"op": "move", "from": "/title", "path": "/other/0"},
                {"op": "splice", "path": "/other/0", "at": 5, "remove": 0, "insert": "!"},
                {"op": "remove", "path": "/other/1"}
            ]"#,
            &limits,
        )
        .unwrap();
        let expected = json!([
            {"op": "replace", "path": "/title", "value": "Hello"},
            {"op": "move", "from": "/title", "path": "/other/0"},
            {"op": "replace", "path": "/other/0", "value": "Hello!"},
            {"op": "remove", "path": "/other/1"},
        ]);
        assert_eq!(serde_json::to_value(patch.to_json_patch(&before, &limits).unwrap()).unwrap(), expected);
        let mut changed = before.to_value();
        json_patch::patch(&mut changed, &patch.to_json_patch(&before, &limits).unwrap()).unwrap();
        assert_eq!(changed, json!({"other": ["Hello!"]}));
        assert_eq!(patch.to_json_patch(&Json::Null, &limits).unwrap_err().operation, 0);
    }
}
