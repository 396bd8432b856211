//! Presence that is any JSON.

use rejoin_json::{Json, Object};

use crate::traits::{PresenceLike, Refusal};

/// A presence that is any JSON value: a cursor, a name, whether somebody types. An update is a whole presence. Who has said nothing
/// shows `{}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JsonPresence(pub Json);

impl Default for JsonPresence {
    fn default() -> Self {
        Self(Object::new().into())
    }
}

impl PresenceLike for JsonPresence {
    type Update = Json;

    fn read(json: &Json) -> Result<Json, Refusal> {
        Ok(json.clone())
    }

    fn update(&mut self, update: Json) -> Result<(), Refusal> {
        self.0 = update;
        Ok(())
    }

    fn to_json(&self) -> Json {
        self.0.clone()
    }
}
