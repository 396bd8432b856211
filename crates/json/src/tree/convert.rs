//! To and from `serde_json::Value`, and serde.

use std::{fmt, sync::Arc};

use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{DeserializeSeed, Error, MapAccess, SeqAccess, Visitor},
    ser::{SerializeMap, SerializeSeq},
};
use serde_json::Value;

use super::{Entry, Json};
use crate::{limits::MAX_DEPTH, number, parse::ParseError, parse::ParseErrorKind};

impl Json {
    /// Takes over a value of `serde_json`.
    ///
    /// # Errors
    ///
    /// Refuses what [`Json::parse`] would: numbers that doubles blur, and nesting deeper than [`MAX_DEPTH`].
    pub fn from_value(value: &Value) -> Result<Self, ParseError> {
        from_value(value, MAX_DEPTH).map_err(ParseError::without_position)
    }

    /// This value for `serde_json`; integral numbers within ±2^53 become integers.
    pub fn to_value(&self) -> Value {
        match self {
            Self::Null => Value::Null,
            Self::Bool(value) => Value::Bool(*value),
            Self::Number(number) => match number::as_safe_integer(*number) {
                Some(integer) => Value::from(integer),
                None => Value::from(*number),
            },
            Self::String(text) => Value::from(text.as_str()),
            Self::Array(array) => array.iter().map(Self::to_value).collect(),
            Self::Object(object) => {
                object.iter().map(|(key, value)| (key.to_string(), value.to_value())).collect()
            }
        }
    }
}

fn from_value(value: &Value, levels: usize) -> Result<Json, ParseErrorKind> {
    let deeper = || levels.checked_sub(1).ok_or(ParseErrorKind::TooDeep { limit: MAX_DEPTH });
    Ok(match value {
        Value::Null => Json::Null,
        Value::Bool(value) => Json::Bool(*value),
        Value::Number(number) => from_number(number)?,
        Value::String(text) => Json::from(text.as_str()),
        Value::Array(items) => {
            let levels = deeper()?;
            items.iter().map(|item| from_value(item, levels)).collect::<Result<Vec<_>, _>>()?.into()
        }
        Value::Object(members) => {
            let levels = deeper()?;
            let entry =
                |(key, value): (&String, _)| Ok((Arc::from(key.as_str()), from_value(value, levels)?));
            members.iter().map(entry).collect::<Result<Vec<Entry>, ParseErrorKind>>()?.into_iter().collect()
        }
    })
}

fn from_number(number: &serde_json::Number) -> Result<Json, ParseErrorKind> {
    if let Some(integer) = number.as_i64() {
        from_signed(integer)
    } else if number.is_u64() {
        Err(ParseErrorKind::IntegerOutOfRange)
    } else {
        number.as_f64().and_then(Json::number).ok_or(ParseErrorKind::NumberOutOfRange)
    }
}

#[allow(clippy::cast_precision_loss)]
fn from_signed(integer: i64) -> Result<Json, ParseErrorKind> {
    // 2^53 + 1 becomes 2^53 as a double, so that the integers are compared.
    if integer.unsigned_abs() <= number::MAX_SAFE_INTEGER {
        Ok(Json::Number(integer as f64))
    } else {
        Err(ParseErrorKind::IntegerOutOfRange)
    }
}

impl TryFrom<&Value> for Json {
    type Error = ParseError;

    fn try_from(value: &Value) -> Result<Self, ParseError> {
        Self::from_value(value)
    }
}

impl TryFrom<Value> for Json {
    type Error = ParseError;

    fn try_from(value: Value) -> Result<Self, ParseError> {
        Self::from_value(&value)
    }
}

impl From<&Json> for Value {
    fn from(value: &Json) -> Self {
        value.to_value()
    }
}

impl From<Json> for Value {
    fn from(value: Json) -> Self {
        value.to_value()
    }
}

impl Serialize for Json {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => serializer.serialize_unit(),
            Self::Bool(value) => serializer.serialize_bool(*value),
            Self::Number(number) => match number::as_safe_integer(*number) {
                Some(integer) => serializer.serialize_i64(integer),
                None => serializer.serialize_f64(*number),
            },
            Self::String(text) => serializer.serialize_str(text),
            Self::Array(array) => {
                let mut sequence = serializer.serialize_seq(Some(array.len()))?;
                array.iter().try_for_each(|item| sequence.serialize_element(item))?;
                sequence.end()
            }
            Self::Object(object) => {
                let mut map = serializer.serialize_map(Some(object.len()))?;
                object.iter().try_for_each(|(key, value)| map.serialize_entry(key, value))?;
                map.end()
            }
        }
    }
}

/// Refuses numbers that doubles blur, and nesting deeper than [`MAX_DEPTH`]; of repeated keys the last stays.
impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Levels(MAX_DEPTH).deserialize(deserializer)
    }
}

/// Reads a value with at most that many levels of containers.
#[derive(Clone, Copy)]
struct Levels(usize);

impl Levels {
    fn deeper<E: Error>(self) -> Result<Self, E> {
        let limit = ParseErrorKind::TooDeep { limit: MAX_DEPTH };
        self.0.checked_sub(1).map(Self).ok_or_else(|| E::custom(limit))
    }
}

impl<'de> DeserializeSeed<'de> for Levels {
    type Value = Json;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Json, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Levels {
    type Value = Json;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E: Error>(self) -> Result<Json, E> {
        Ok(Json::Null)
    }

    fn visit_none<E: Error>(self) -> Result<Json, E> {
        Ok(Json::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Json, D::Error> {
        self.deserialize(deserializer)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Json, E> {
        Ok(Json::Bool(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Json, E> {
        from_signed(value).map_err(E::custom)
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Json, E> {
        let signed = i64::try_from(value).map_err(|_| ParseErrorKind::IntegerOutOfRange);
        signed.and_then(from_signed).map_err(E::custom)
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Json, E> {
        Json::number(value).ok_or_else(|| E::custom(ParseErrorKind::NumberOutOfRange))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Json, E> {
        Ok(Json::from(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Json, A::Error> {
        let levels = self.deeper()?;
        let mut items = Vec::new();
        while let Some(item) = sequence.next_element_seed(levels)? {
            items.push(item);
        }
        Ok(Json::from(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Json, A::Error> {
        let levels = self.deeper()?;
        let mut entries: Vec<Entry> = Vec::new();
        while let Some(key) = map.next_key::<Arc<str>>()? {
            entries.push((key, map.next_value_seed(levels)?));
        }
        Ok(entries.into_iter().collect())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::json;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    fn nested(levels: usize) -> Value {
        (0..levels).fold(Value::Null, |inner, _| Value::Array(vec![inner]))
    }

    #[test]
    fn a_value_goes_there_and_back() {
        let value = json!({"a": [1, -2, 2.5, 1e300, null, true, "é\n"], "": {"b": {}, "c": []}});
        let tree = Json::from_value(&value).unwrap();
        assert_eq!(tree.to_value(), value);
        assert_eq!(serde_json::to_value(&tree).unwrap(), value);
        assert_eq!(serde_json::from_value::<Json>(value).unwrap(), tree);
    }

    #[test]
    fn integral_numbers_become_integers() {
        assert_eq!(Json::from_value(&json!(1.0)).unwrap().to_value(), json!(1));
        assert_eq!(
            serde_json::to_string(&Json::Number(9_007_199_254_740_992.0)).unwrap(),
            "9007199254740992"
        );
        assert_eq!(Json::from_value(&json!(-0.0)).unwrap().to_value(), json!(0));
    }

    #[test]
    fn integers_beyond_2_to_the_53_are_refused() {
        for number in [json!(9_007_199_254_740_993_i64), json!(-9_007_199_254_740_993_i64), json!(u64::MAX)] {
            assert_eq!(Json::from_value(&number).unwrap_err().kind, ParseErrorKind::IntegerOutOfRange);
            assert!(serde_json::from_value::<Json>(number).is_err());
        }
        assert_eq!(Json::from_value(&json!(1e18)).unwrap_err().kind, ParseErrorKind::NumberOutOfRange);
        assert!(serde_json::from_str::<Json>("1e18").is_err());
        assert!(Json::from_value(&json!(-9_007_199_254_740_992_i64)).is_ok());
    }

    #[test]
    fn deeper_nesting_than_the_stack_bears_is_refused() {
        assert_eq!(Json::from_value(&nested(MAX_DEPTH)).unwrap().depth(), MAX_DEPTH);
        let too_deep = ParseErrorKind::TooDeep { limit: MAX_DEPTH };
        assert_eq!(Json::from_value(&nested(MAX_DEPTH + 1)).unwrap_err().kind, too_deep);
        let refused = serde_json::from_value::<Json>(nested(MAX_DEPTH + 1)).unwrap_err();
        assert!(refused.to_string().contains("128"), "{refused}");
    }
}
