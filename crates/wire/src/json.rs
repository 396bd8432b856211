//! The JSON encoding: one message as one JSON object, its type in the member `type`.
//!
//! Members that this version does not know are ignored.

use rejoin_json::Json;
use serde::{Deserialize, Deserializer};

#[cfg(feature = "json")]
mod codec;
pub(crate) mod flat;

#[cfg(feature = "json")]
pub(crate) use codec::{decode, encode, type_of};

/// Reads an optional value for which `null` is a value: only a missing member is `None`.
pub(crate) fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Json>, D::Error> {
    Json::deserialize(deserializer).map(Some)
}
