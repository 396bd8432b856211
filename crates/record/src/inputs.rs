//! Inputs of a replica, byte by byte.

use std::sync::Arc;

use rejoin_core::storage::RequestId;
use rejoin_core::{Grant, Input, LinkId, Peer};
use rejoin_wire::limits::MAX_MESSAGE_BYTES;
use rejoin_wire::{
    DecodeErrorKind, Encoding, Message, Reader, ReplicaId, UnixMillis, Wire, Writer, decode_message,
    encode_message,
};

use crate::answers;
use crate::format::kind;
use crate::start::MAX_NAME_BYTES;

/// Writes what an input has, and gives its kind. A token is hidden: see [`hidden`].
pub(crate) fn write(input: &Input, out: &mut Writer) -> u8 {
    match input {
        Input::Timeout => kind::TIMEOUT,
        Input::LinkOpened { link, peer } => {
            write_link(*link, out);
            peer.replica.write(out);
            out.byte(match peer.encoding {
                Encoding::Binary => 0,
                Encoding::Json => 1,
            });
            write_grant(&peer.grant, out);
            peer.token.is_some().write(out);
            if let Some(token) = &peer.token {
                out.text(&hidden(token));
            }
            kind::LINK_OPENED
        }
        Input::Received { link, message } => {
            write_link(*link, out);
            out.raw(&encode_message(message, Encoding::Binary));
            kind::RECEIVED
        }
        Input::Writable { link } => {
            write_link(*link, out);
            kind::WRITABLE
        }
        Input::Granted { link, grant } => {
            write_link(*link, out);
            write_grant(grant, out);
            kind::GRANTED
        }
        Input::LinkClosed { link, code } => {
            write_link(*link, out);
            code.write(out);
            kind::LINK_CLOSED
        }
        Input::Stored { request, answer } => {
            out.varint(request.0);
            answers::write(answer, out);
            kind::STORED
        }
        Input::StoreReplaced => kind::STORE_REPLACED,
        Input::StoreMoved => kind::STORE_MOVED,
        Input::Computed { request, computed } => {
            out.varint(request.0);
            computed.has_failed().write(out);
            kind::COMPUTED
        }
        Input::Online(online) => {
            online.write(out);
            kind::ONLINE
        }
        Input::Clock(unix) => {
            out.varint(unix.0);
            kind::CLOCK
        }
    }
}

/// An input as it is recorded: what a job came to is not in it, since a replay does the job itself.
#[derive(Debug)]
pub(crate) enum Recorded {
    Input(Input),
    Computed { request: RequestId, has_failed: bool },
}

pub(crate) fn read(kind: u8, input: &mut Reader<'_>) -> Recorded {
    Recorded::Input(match kind {
        kind::TIMEOUT => Input::Timeout,
        kind::LINK_OPENED => {
            let link = read_link(input);
            let replica = ReplicaId::read(input);
            let encoding = if bool::read(input) { Encoding::Json } else { Encoding::Binary };
            let grant = read_grant(input);
            let token = bool::read(input).then(|| input.text("a token", MAX_NAME_BYTES).into());
            Input::LinkOpened { link, peer: Peer { replica, encoding, grant, token } }
        }
        kind::RECEIVED => Input::Received { link: read_link(input), message: read_message(input) },
        kind::WRITABLE => Input::Writable { link: read_link(input) },
        kind::GRANTED => Input::Granted { link: read_link(input), grant: read_grant(input) },
        kind::LINK_CLOSED => Input::LinkClosed { link: read_link(input), code: Wire::read(input) },
        kind::STORED => Input::Stored { request: RequestId(input.varint()), answer: answers::read(input) },
        kind::STORE_REPLACED => Input::StoreReplaced,
        kind::STORE_MOVED => Input::StoreMoved,
        kind::COMPUTED => {
            let request = RequestId(input.varint());
            return Recorded::Computed { request, has_failed: bool::read(input) };
        }
        kind::ONLINE => Input::Online(bool::read(input)),
        kind::CLOCK => Input::Clock(UnixMillis(input.varint())),
        tag => {
            input.fail(DecodeErrorKind::UnknownTag { what: "an input", tag: tag.into() });
            Input::Timeout
        }
    })
}

/// A message takes the rest of its record.
fn read_message(input: &mut Reader<'_>) -> Message {
    let nothing = Message::Ping { nonce: 0 };
    if input.has_failed() || input.remaining() > MAX_MESSAGE_BYTES {
        input.fail(DecodeErrorKind::Limit { what: "the message", limit: MAX_MESSAGE_BYTES });
        return nothing;
    }
    let start = input.offset();
    let bytes = input.raw(input.remaining());
    decode_message(bytes, Encoding::Binary).unwrap_or_else(|error| {
        input.fail_at(start + error.offset(), error.kind().clone());
        nothing
    })
}

/// Links from above and from below are both small numbers: the highest bit, by which they are told apart, comes last.
fn write_link(link: LinkId, out: &mut Writer) {
    out.varint(link.0.rotate_left(1));
}

fn read_link(input: &mut Reader<'_>) -> LinkId {
    LinkId(input.varint().rotate_right(1))
}

pub(crate) fn write_grant(grant: &Grant, out: &mut Writer) {
    out.text(&grant.principal);
    grant.may_edit.write(out);
    grant.may_relay.write(out);
}

pub(crate) fn read_grant(input: &mut Reader<'_>) -> Grant {
    let principal: Arc<str> = input.text("a principal", MAX_NAME_BYTES).into();
    Grant { principal, may_edit: bool::read(input), may_relay: bool::read(input) }
}

/// What stands in a recording for a token: as many bytes, so that everything else is as it was. Whoever is given a recording cannot act as who
/// made it.
pub(crate) fn hidden(token: &str) -> Arc<str> {
    "x".repeat(token.len()).into()
}
