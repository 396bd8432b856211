//! The text door: messages of a WebSocket that negotiated no subprotocol.
//!
//! Made for people and for a few lines of any language: one JSON object a message, a request for each thing to do, an answer
//! for each request. The server is the replica; such a client holds no state that must survive.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

mod fields;
mod request;
mod response;
mod time;

pub use request::{NewDocument, TextError, TextPatch, TextRequest, decode_text};
pub use response::{
    EventType, TextConflict, TextDocument, TextEvent, TextMember, TextOutcome, TextResponse, TextUpdate,
    whole_document,
};
pub use time::{NotRfc3339, Rfc3339};

/// A request or an answer, with what ties the two together.
///
/// ```
/// use rejoin_wire::{TextRequest, decode_text};
///
/// let request = decode_text(r#"{"type": "ping", "request_id": 7}"#)?;
/// assert_eq!(request.message, TextRequest::Ping);
/// assert_eq!(request.request_id.map(|id| id.to_string()), Some("7".to_owned()));
/// # Ok::<(), rejoin_wire::TextError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TextMessage<T> {
    /// The request's own name, returned with its answer. A write that is sent again under the same name within 24 hours
    /// takes effect once, and is answered as the first time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<RequestId>,
    /// What is asked or answered.
    #[serde(flatten)]
    pub message: T,
}

impl<T: Serialize> TextMessage<T> {
    /// The text of the message.
    pub fn to_text(&self) -> String {
        serde_json::to_string(self).expect("invariant: every text message has a JSON form")
    }
}

impl<T> From<T> for TextMessage<T> {
    fn from(message: T) -> Self {
        Self { request_id: None, message }
    }
}

/// A request's name as its sender chose it: a whole number, or a text of 1 to 128 bytes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(untagged)]
pub enum RequestId {
    /// A number, at most [`MAX_INTEGER`](crate::limits::MAX_INTEGER).
    Number(u64),
    /// A text.
    Text(Arc<str>),
}

impl fmt::Display for RequestId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => fmt::Display::fmt(number, formatter),
            Self::Text(text) => formatter.write_str(text),
        }
    }
}
