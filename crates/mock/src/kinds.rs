//! What kind of message a frame is, where its protocol is known.
//!
//! A frame is only named, never trusted: its outermost structure is looked at, and no more.

mod yjs;

use std::borrow::Cow;

use rejoin_wire::{Encoding, Message, SUBPROTOCOL_BINARY, SUBPROTOCOL_JSON, decode_message};
use serde::Deserialize;

use crate::Frame;
use crate::limits::MAX_NAME_BYTES;

/// The kind of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A message of Rejoin's own protocol, by the name that `docs/protocol.md` gives it.
    Rejoin(&'static str),
    /// What Yjs clients say at either door: `step1`, `step2`, `update`, `awareness`, `auth`, `query`.
    Yjs(&'static str),
    /// What Hocuspocus has of its own: `auth`, `stateless`, `close`, `status`, `ping`, `pong`.
    Hocuspocus(&'static str),
    /// A JSON object of another protocol, by the string that its member `type` has.
    Json(String),
    /// Any other text.
    Text,
    /// Any other bytes.
    Binary,
    /// Pings, pongs and closings, which faults of messages leave alone.
    Control,
}

/// Names that stand for kinds of several protocols.
const GROUPS: &[(&str, &[Kind])] = &[
    ("awareness", &[Kind::Yjs("awareness")]),
    ("presence", &[Kind::Rejoin("presence"), Kind::Rejoin("members"), Kind::Yjs("awareness")]),
    ("update", &[Kind::Rejoin("push"), Kind::Rejoin("update"), Kind::Yjs("update")]),
];

const YJS: &[&str] = &["step1", "step2", "update", "awareness", "auth", "query"];
const HOCUSPOCUS: &[&str] = &["auth", "stateless", "close", "status", "ping", "pong"];

impl Kind {
    /// Whether the kind has this name or belongs to the group of this name: `yjs.step2`, `yjs`, `presence`, `message`.
    pub fn is(&self, name: &str) -> bool {
        if *self == Self::Control {
            return false;
        }
        if let Some((_, kinds)) = GROUPS.iter().find(|(group, _)| *group == name) {
            return kinds.contains(self);
        }
        match (self, name.split_once('.')) {
            (_, None) if name == "message" => true,
            (Self::Rejoin(_), None) => name == "rejoin",
            (Self::Yjs(_), None) => name == "yjs",
            (Self::Hocuspocus(_), None) => name == "hocuspocus",
            (Self::Json(_), None) => name == "json" || name == "text",
            (Self::Text, None) => name == "text",
            (Self::Binary, None) => name == "binary",
            (Self::Rejoin(own), Some(("rejoin", name)))
            | (Self::Yjs(own), Some(("yjs", name)))
            | (Self::Hocuspocus(own), Some(("hocuspocus", name))) => *own == name,
            (Self::Json(own), Some(("json", name))) => own == name,
            _ => false,
        }
    }

    /// Whether there can be a kind of this name, or a group.
    pub fn is_name(name: &str) -> bool {
        match name.split_once('.') {
            None => known_words().any(|word| word == name),
            Some(("rejoin", name)) => Message::KINDS.iter().any(|(_, kind)| *kind == name),
            Some(("yjs", name)) => YJS.contains(&name),
            Some(("hocuspocus", name)) => HOCUSPOCUS.contains(&name),
            Some(("json", name)) => !name.is_empty(),
            Some(_) => false,
        }
    }

    /// All names, but for those of `json.` which are anybody's.
    pub fn names() -> impl Iterator<Item = Cow<'static, str>> {
        let dotted = |family: &'static str, name: &'static str| Cow::Owned(format!("{family}.{name}"));
        known_words()
            .map(Cow::Borrowed)
            .chain(Message::KINDS.iter().map(move |(_, name)| dotted("rejoin", name)))
            .chain(YJS.iter().map(move |name| dotted("yjs", name)))
            .chain(HOCUSPOCUS.iter().map(move |name| dotted("hocuspocus", name)))
    }
}

fn known_words() -> impl Iterator<Item = &'static str> {
    let families = ["message", "rejoin", "yjs", "hocuspocus", "json", "text", "binary"];
    families.into_iter().chain(GROUPS.iter().map(|(group, _)| *group))
}

impl std::fmt::Display for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Rejoin(name) => write!(f, "rejoin.{name}"),
            Self::Yjs(name) => write!(f, "yjs.{name}"),
            Self::Hocuspocus(name) => write!(f, "hocuspocus.{name}"),
            Self::Json(name) => write!(f, "json.{name}"),
            Self::Text => f.write_str("text"),
            Self::Binary => f.write_str("binary"),
            Self::Control => f.write_str("control"),
        }
    }
}

/// Which protocol a connection speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Dialect {
    /// Not known: it is that of the first message which is exactly one of a known protocol.
    #[default]
    Unknown,
    /// Rejoin's own, compact: `rejoin.v1`.
    Rejoin,
    /// Rejoin's own as JSON: `rejoin.v1.json`.
    RejoinJson,
    /// That of `y-websocket`.
    YWebsocket,
    /// That of `@hocuspocus/provider`.
    Hocuspocus,
}

impl Dialect {
    /// What the chosen subprotocol says; the doors of Yjs have none.
    pub fn of_subprotocol(subprotocol: Option<&str>) -> Self {
        match subprotocol {
            Some(SUBPROTOCOL_BINARY) => Self::Rejoin,
            Some(SUBPROTOCOL_JSON) => Self::RejoinJson,
            _ => Self::Unknown,
        }
    }
}

/// Names the messages of one direction of a connection, in their order.
#[derive(Clone, Debug, Default)]
pub struct Recogniser {
    dialect: Dialect,
    /// The kind of the message whose fragments are coming in.
    begun: Option<Kind>,
}

impl Recogniser {
    /// One for a connection of this dialect.
    pub fn new(dialect: Dialect) -> Self {
        Self { dialect, begun: None }
    }

    /// The kind of the next frame. Each fragment of a message has the kind of the message.
    pub fn kind(&mut self, frame: &Frame) -> Kind {
        match frame {
            Frame::Text(text) => self.text(text),
            Frame::Binary(bytes) => self.binary(bytes),
            Frame::Ping(_) | Frame::Pong(_) | Frame::Close(_) => Kind::Control,
        }
    }

    fn text(&mut self, text: &str) -> Kind {
        let Some(Head { kind: name, last, text: part }) = head(text) else { return Kind::Text };
        let known = Message::KINDS.iter().find(|(_, known)| *known == name).map(|(_, known)| *known);
        if self.dialect == Dialect::Unknown
            && known.is_some()
            && decode_message(text.as_bytes(), Encoding::Json).is_ok()
        {
            self.dialect = Dialect::RejoinJson;
        }
        match (self.dialect, known) {
            (Dialect::RejoinJson, Some(known)) => Kind::Rejoin(known),
            (Dialect::RejoinJson, None) if name == "fragment" => {
                let kind = self.begun.take().unwrap_or_else(|| begun_by(&part));
                self.begun = (!last).then(|| kind.clone());
                kind
            }
            _ => Kind::Json(name.into_owned()),
        }
    }

    fn binary(&mut self, bytes: &[u8]) -> Kind {
        match self.dialect {
            Dialect::Rejoin => self.rejoin(bytes),
            Dialect::YWebsocket => yjs::y_websocket(bytes).unwrap_or(Kind::Binary),
            Dialect::Hocuspocus => yjs::hocuspocus(bytes).unwrap_or(Kind::Binary),
            Dialect::RejoinJson => Kind::Binary,
            Dialect::Unknown => self.learn(bytes).unwrap_or(Kind::Binary),
        }
    }

    /// Takes the first protocol whose rules the message keeps to the last byte.
    fn learn(&mut self, bytes: &[u8]) -> Option<Kind> {
        let whole = bytes.strip_prefix(&[WHOLE]);
        if whole.is_some_and(|message| decode_message(message, Encoding::Binary).is_ok()) {
            self.dialect = Dialect::Rejoin;
            return Some(self.rejoin(bytes));
        }
        for (dialect, kind) in
            [(Dialect::YWebsocket, yjs::y_websocket(bytes)), (Dialect::Hocuspocus, yjs::hocuspocus(bytes))]
        {
            if kind.is_some() {
                self.dialect = dialect;
                return kind;
            }
        }
        None
    }

    fn rejoin(&mut self, bytes: &[u8]) -> Kind {
        let numbered = |number: Option<&u8>| {
            let known = Message::KINDS.iter().find(|(known, _)| Some(known) == number);
            known.map_or(Kind::Binary, |(_, name)| Kind::Rejoin(name))
        };
        match bytes.split_first() {
            Some((&WHOLE, message)) => numbered(message.first()),
            Some((&MORE, part)) => self.begun.get_or_insert_with(|| numbered(part.first())).clone(),
            Some((&LAST, _)) => self.begun.take().unwrap_or(Kind::Binary),
            _ => Kind::Binary,
        }
    }
}

/// The first byte of a frame, as `docs/protocol.md` has it: a whole message, a part, the last part.
const WHOLE: u8 = 0;
const MORE: u8 = 1;
const LAST: u8 = 2;

/// What names a JSON object: its type, and of a fragment which part it is.
#[derive(Deserialize)]
struct Head<'a> {
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
    #[serde(default)]
    last: bool,
    #[serde(default, borrow)]
    text: Cow<'a, str>,
}

/// The head of a JSON object. A type that is longer than anybody would write in a plan is none.
fn head(text: &str) -> Option<Head<'_>> {
    if !text.trim_start().starts_with('{') {
        return None;
    }
    // Another protocol's `last` or `text` may be anything.
    #[derive(Deserialize)]
    struct Type<'a> {
        #[serde(borrow, rename = "type")]
        kind: Cow<'a, str>,
    }
    let head = serde_json::from_str::<Head<'_>>(text).ok().or_else(|| {
        let Type { kind } = serde_json::from_str(text).ok()?;
        Some(Head { kind, last: false, text: Cow::Borrowed("") })
    })?;
    Some(head).filter(|head| head.kind.len() <= MAX_NAME_BYTES)
}

/// The kind of the message that begins with this part; its type comes first where a Rejoin peer wrote it.
fn begun_by(part: &str) -> Kind {
    let name = part.strip_prefix(r#"{"type":""#).and_then(|rest| rest.split_once('"')).map(|(name, _)| name);
    let known = Message::KINDS.iter().find(|(_, known)| Some(*known) == name);
    known.map_or(Kind::Text, |(_, known)| Kind::Rejoin(known))
}

#[cfg(test)]
mod tests;
