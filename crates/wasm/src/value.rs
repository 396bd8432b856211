//! Values as JavaScript has them.

use js_sys::{Array, Uint8Array};
use rejoin_engine::Value;
use wasm_bindgen::{JsCast, JsValue};

/// A value of JavaScript's own.
#[derive(Clone)]
pub(crate) struct Js(pub(crate) JsValue);

impl Value for Js {
    fn null() -> Self {
        Self(JsValue::NULL)
    }

    fn boolean(boolean: bool) -> Self {
        Self(JsValue::from_bool(boolean))
    }

    fn number(number: f64) -> Self {
        Self(JsValue::from_f64(number))
    }

    fn text(text: &str) -> Self {
        Self(JsValue::from_str(text))
    }

    fn bytes(bytes: &[u8]) -> Self {
        Self(Uint8Array::new_from_slice(bytes).into())
    }

    fn list(items: &[Self]) -> Self {
        let array = Array::new();
        for Self(item) in items {
            array.push(item);
        }
        Self(array.into())
    }

    fn is_null(&self) -> bool {
        self.0.is_null()
    }

    fn as_boolean(&self) -> Option<bool> {
        self.0.as_bool()
    }

    fn as_number(&self) -> Option<f64> {
        self.0.as_f64()
    }

    fn to_text(&self) -> Option<String> {
        self.0.as_string()
    }

    fn to_bytes(&self) -> Option<Vec<u8>> {
        Some(self.0.dyn_ref::<Uint8Array>()?.to_vec())
    }

    fn to_list(&self) -> Option<Vec<Self>> {
        Some(self.0.dyn_ref::<Array>()?.iter().map(Self).collect())
    }
}
