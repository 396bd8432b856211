//! Messages, codecs and limits of the Rejoin protocol.
//!
//! This crate knows how bytes become messages and messages become bytes, and nothing of what they mean: that is
//! `rejoin-core`. It never performs IO and never panics on foreign bytes. `docs/protocol.md` is normative.

mod binary;
mod catalogue;
mod change;
mod code;
mod crdt;
#[cfg(test)]
mod documentation;
mod encoding;
mod error;
mod fragment;
mod hash;
mod id;
mod json;
pub mod limits;
mod message;
#[cfg(test)]
mod testing;
#[cfg(feature = "json")]
mod text;

pub use binary::{Reader, Wire, Writer, around_documents, from_bytes, to_bytes};
pub use change::{
    Author, Body, Change, ChangeId, ConflictId, ConflictRecord, DocumentPush, Effect, Entry, Fate, Have,
    Header, HeaderError, Outcome, PendingRun, PushedChange, Snapshot, Update,
};
pub use code::{CloseCode, ErrorCode};
pub use crdt::{CrdtUpdate, Updates};
pub use encoding::{Encoding, SUBPROTOCOL_BINARY, SUBPROTOCOL_JSON, decode_message, encode_message};
pub use error::{DecodeError, DecodeErrorKind};
pub use fragment::{Assembler, FragmentError, Frame, MIN_FRAME_BYTES, frames};
pub use id::{
    ChainHash, ChangeHash, Counter, DocumentId, Epoch, IdError, MAX_ID_BYTES, MemberId, ReplicaId, Revision,
    Sequence, UnixMillis, WorkspaceId,
};
pub use message::{
    Cursor, ErrorMessage, Finding, Hello, ListItem, Member, Message, OpenDocument, PROTOCOL_VERSION,
    PresenceChange, RelayedMember, Scope, Welcome,
};
#[cfg(feature = "json")]
pub use text::{
    EventType, NewDocument, NotRfc3339, RequestId, Rfc3339, TextConflict, TextDocument, TextError, TextEvent,
    TextMember, TextMessage, TextOutcome, TextPatch, TextRequest, TextResponse, TextUpdate, decode_text,
    whole_document,
};
