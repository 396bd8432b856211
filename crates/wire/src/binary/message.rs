//! The parts of messages that are not documents.

use rejoin_json::Json;

use super::derive::{wire_choices, wire_structs};
use super::{Reader, Wire, Writer};
use crate::error::DecodeErrorKind;
use crate::limits::{MAX_ANCESTORS, MAX_ITEMS_PER_MESSAGE, MAX_PRESENCE_BYTES, MAX_RUNS, MAX_VERSIONS};
use crate::message::{
    Cursor, ErrorMessage, Finding, Hello, ListItem, Member, OpenDocument, PresenceChange, RelayedMember,
    Scope, Welcome,
};

wire_structs! {
    Hello { versions[MAX_VERSIONS], replica, workspace, token, agent };
    Welcome {
        version, workspace, epoch, head, member, principal, may_edit, policy, time, heartbeat_timeout_ms,
        max_message_bytes
    };
    Cursor { epoch, sequence };
    OpenDocument { document, have, pending[MAX_RUNS] } + extension;
    ListItem { document, revision, sequence, deleted, title, updated_at } + extension;
    Member { member, principal, change } + extension;
    RelayedMember { number, principal };
    Finding { request, head, continues, ancestors[MAX_ANCESTORS], outcomes[MAX_ITEMS_PER_MESSAGE] };
    ErrorMessage { code, message, document, request, change };
}

wire_choices! {
    Scope "scope" { Documents = 0, List = 1 }
}

mod presence {
    pub(super) const SET: u8 = 0;
    pub(super) const PATCH: u8 = 1;
    pub(super) const LEAVE: u8 = 2;
}

impl Wire for PresenceChange {
    fn write(&self, out: &mut Writer) {
        let (tag, state) = match self {
            Self::Set(state) => (presence::SET, Some(state)),
            Self::Patch(patch) => (presence::PATCH, Some(patch)),
            Self::Leave => (presence::LEAVE, None),
        };
        out.byte(tag);
        if let Some(state) = state {
            state.write(out);
        }
    }

    fn read(input: &mut Reader<'_>) -> Self {
        let start = input.offset();
        match input.byte() {
            presence::SET => Self::Set(read_state(input)),
            presence::PATCH => Self::Patch(read_state(input)),
            presence::LEAVE => Self::Leave,
            tag => {
                let what = "change of presence";
                input.fail_at(start, DecodeErrorKind::UnknownTag { what, tag: u64::from(tag) });
                Self::Leave
            }
        }
    }
}

/// Reads a state of at most [`MAX_PRESENCE_BYTES`].
fn read_state(input: &mut Reader<'_>) -> Json {
    let start = input.offset();
    let state = Json::read(input);
    if state.encoded_len() > MAX_PRESENCE_BYTES {
        let kind = DecodeErrorKind::Limit { what: "a presence state", limit: MAX_PRESENCE_BYTES };
        input.fail_at(start, kind);
    }
    state
}
