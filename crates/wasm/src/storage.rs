//! Storage operations as JavaScript values, and the answers to them: see [`rejoin_engine::storage`].

use js_sys::Reflect;
use rejoin_core::storage::{Answer, Operation, StoreError};
pub use rejoin_engine::storage::{Asked, MAX_BODY_BYTES, MAX_POSITION, MAX_TEXT_BYTES, is_strict};
use wasm_bindgen::JsValue;

use crate::value::Js;

/// Makes an operation a value. Refuses a batch with a number, text or body that the database could not hold.
pub fn to_value(operation: &Operation) -> Result<JsValue, StoreError> {
    rejoin_engine::storage::to_value(operation).map(|Js(value)| value)
}

/// Reads what an operation was resolved with. A value that is not what was asked for is [`StoreError::Corrupted`].
pub fn answered(asked: Asked, value: &JsValue) -> Answer {
    rejoin_engine::storage::answered(asked, &Js(value.clone()))
}

/// Reads what an operation was rejected with. What is no `StoreError` of the adapter is [`StoreError::Unavailable`].
#[must_use]
pub fn error(value: &JsValue) -> StoreError {
    let message = field(value, "message").and_then(|message| message.as_string()).unwrap_or_default().into();
    match field(value, "code").and_then(|code| code.as_f64()) {
        Some(1.0) => StoreError::QuotaExceeded(message),
        Some(2.0) => StoreError::Corrupted(message),
        Some(3.0) => StoreError::Conflict(message),
        _ => StoreError::Unavailable(message),
    }
}

/// Whether an operation was rejected because another tab leads now.
#[must_use]
pub fn is_stale_leader(value: &JsValue) -> bool {
    field(value, "staleLeader").is_some_and(|it| it.is_truthy())
}

/// Whether an operation was rejected because the database is not the one that was opened: it was evicted, deleted or cleared.
#[must_use]
pub fn is_emptied(value: &JsValue) -> bool {
    field(value, "emptied").is_some_and(|it| it.is_truthy())
}

fn field(value: &JsValue, name: &str) -> Option<JsValue> {
    Reflect::get(value, &JsValue::from_str(name)).ok()
}
