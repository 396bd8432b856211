//! An example of the traits: a presentation that many look at and edit. Slides, polls and a video are one JSON document; each member shows where it
//! is.
//!
//! ```
//! use rejoin_rooms::presentation::{PresentationManager, PresentationPresence};
//! use rejoin_rooms::{ClientId, Config, Connection, Right, Time};
//!
//! let time = Time::default();
//! let mut rooms = PresentationManager::new(Config::default(), time.now);
//! rooms.connect(time, Connection(1), ClientId(7), &"lecture".parse()?, Right::Edit)?;
//! rooms.received(time, Connection(1), r#"{"UpdatePresence":{"slide":3}}"#);
//! let shown = &rooms.members(&"lecture".parse()?).expect("the room is there")[0].presence;
//! assert_eq!(shown.to_string(), r#"{"slide":3}"#);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use rejoin_json::{Json, Limits, Object, Patch, merge_patch_apply};
use rejoin_wire::ErrorCode;

use crate::id::{ClientId, RoomId};
use crate::manager::RoomsManager;
use crate::message::object;
use crate::storage::JsonStorage;
use crate::traits::{Difference, PresenceLike, Refusal, StorageLike};

/// Rooms with presentations.
pub type PresentationManager = RoomsManager<RoomId, ClientId, PresentationPresence, SharedPresentation>;

/// What somebody shows of itself at a presentation. An update has the members that change; null takes one away.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PresentationPresence {
    /// Its name.
    pub name: Option<String>,
    /// The number of the slide at which it looks.
    pub slide: Option<u32>,
    /// Where on the slide its pointer is: parts of its width and height.
    pub cursor: Option<[f64; 2]>,
}

impl PresenceLike for PresentationPresence {
    type Update = Json;

    fn read(json: &Json) -> Result<Json, Refusal> {
        json.as_object().map(|_| json.clone()).ok_or_else(|| refused("a presence is an object: send one"))
    }

    fn update(&mut self, update: Json) -> Result<(), Refusal> {
        let mut json = self.to_json();
        merge_patch_apply(&mut json, &update, &Limits::default())
            .map_err(|_| refused("the presence is too large: show less"))?;
        let name = json
            .get("name")
            .map(|name| name.as_str().ok_or_else(|| refused("\"name\" is a string: send one")));
        let slide = json.get("slide").map(|slide| {
            let slide = slide.as_i64().and_then(|slide| u32::try_from(slide).ok());
            slide.ok_or_else(|| refused("\"slide\" is the number of a slide, from 0: send one"))
        });
        let cursor = json.get("cursor").map(|cursor| {
            let place = |axis| cursor.get(axis)?.as_f64().filter(|place| (0.0..=1.0).contains(place));
            let cursor = place("x").zip(place("y")).map(|(x, y)| [x, y]);
            cursor
                .ok_or_else(|| refused("\"cursor\" is an object with \"x\" and \"y\" from 0 to 1: send one"))
        });
        *self = Self {
            name: name.transpose()?.map(str::to_owned),
            slide: slide.transpose()?,
            cursor: cursor.transpose()?,
        };
        Ok(())
    }

    fn to_json(&self) -> Json {
        let mut members = Object::new();
        if let Some(name) = &self.name {
            members.insert("name", name.as_str().into());
        }
        if let Some(slide) = self.slide {
            members.insert("slide", slide.into());
        }
        if let Some([x, y]) = self.cursor {
            members.insert("cursor", object([("x", Json::Number(x)), ("y", Json::Number(y))]));
        }
        members.into()
    }
}

/// Slides, polls and a video. Its JSON form is `{"slides":[…],"polls":[…],"video":…}`, and stays of that shape.
#[derive(Clone, Debug)]
pub struct SharedPresentation(JsonStorage);

impl Default for SharedPresentation {
    fn default() -> Self {
        let list = || Json::from(Vec::new());
        Self(JsonStorage::load(0, object([("slides", list()), ("polls", list()), ("video", Json::Null)])))
    }
}

impl SharedPresentation {
    /// A presentation as it was stored.
    ///
    /// # Errors
    ///
    /// [`Refusal`] where it is none.
    pub fn load(version: u64, content: Json) -> Result<Self, Refusal> {
        check(&content)?;
        Ok(Self(JsonStorage::load(version, content)))
    }
}

impl StorageLike for SharedPresentation {
    type Operation = Patch;
    type Change = Patch;

    fn read(json: &Json) -> Result<Patch, Refusal> {
        JsonStorage::read(json)
    }

    fn apply(&mut self, operation: Patch) -> Result<Patch, Refusal> {
        let mut after = self.0.snapshot();
        rejoin_json::apply(&mut after, &operation, &Limits::default())?;
        check(&after)?;
        self.0.apply(operation)
    }

    fn operations(change: &Patch) -> Json {
        JsonStorage::operations(change)
    }

    fn version(&self) -> u64 {
        self.0.version()
    }

    fn snapshot(&self) -> Json {
        self.0.snapshot()
    }

    fn since(&self, version: u64) -> Difference {
        self.0.since(version)
    }
}

fn check(content: &Json) -> Result<(), Refusal> {
    for member in ["slides", "polls"] {
        if content.get(member).and_then(Json::as_array).is_none() {
            return Err(refused("\"slides\" and \"polls\" are arrays: change what is in them"));
        }
    }
    content
        .get("video")
        .map(|_| ())
        .ok_or_else(|| refused("\"video\" is there, and null without one: replace it"))
}

fn refused(message: &str) -> Refusal {
    Refusal::new(ErrorCode::InvalidValue, message)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn json(text: &str) -> Json {
        Json::parse(text, &Limits::default()).unwrap()
    }

    #[test]
    fn an_update_changes_what_it_names_of_a_presence() {
        let mut presence = PresentationPresence::default();
        let mut update = |text: &str| {
            let update = PresentationPresence::read(&json(text))?;
            presence.update(update).map(|()| presence.to_json())
        };
        assert_eq!(update("{}"), Ok(json("{}")));
        update(r#"{"name":"Ada","slide":2}"#).unwrap();
        let shown = update(r#"{"cursor":{"x":0.5,"y":1},"slide":null,"other":1}"#);
        assert_eq!(shown, Ok(json(r#"{"name":"Ada","cursor":{"x":0.5,"y":1}}"#)));
        for wrong in
            ["7", r#"{"slide":-1}"#, r#"{"slide":"a"}"#, r#"{"cursor":{"x":2,"y":0}}"#, r#"{"name":1}"#]
        {
            assert_eq!(update(wrong).unwrap_err().code, ErrorCode::InvalidValue, "{wrong}");
        }
    }

    #[test]
    fn a_presentation_keeps_its_shape() {
        let mut presentation = SharedPresentation::default();
        let mut edit = |text: &str| presentation.apply(SharedPresentation::read(&json(text))?);
        edit(r#"{"op":"add","path":"/slides/-","value":{"title":"a"}}"#).unwrap();
        edit(r#"{"op":"replace","path":"/video","value":{"url":"v","at":3.5,"playing":true}}"#).unwrap();
        for wrong in [
            r#"{"op":"remove","path":"/polls"}"#,
            r#"{"op":"replace","path":"/slides","value":1}"#,
            r#"{"op":"remove","path":"/video"}"#,
        ] {
            assert_eq!(edit(wrong).unwrap_err().code, ErrorCode::InvalidValue, "{wrong}");
        }
        assert_eq!(presentation.version(), 2);
        let loaded = SharedPresentation::load(2, presentation.snapshot()).unwrap();
        assert_eq!(loaded.snapshot(), presentation.snapshot());
        assert!(SharedPresentation::load(0, json("{}")).is_err());
    }
}
