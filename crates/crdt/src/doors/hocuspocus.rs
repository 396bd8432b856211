//! The protocol of `@hocuspocus/provider`: one socket for many documents, each message with the name of its own.
//!
//! A name may be followed by a zero and a session, by which several providers of one socket use the same document. Whoever answers says
//! both again.

use bytes::Bytes;

use super::{Awareness, Incoming, Outgoing, Sync};
use crate::malformed::{Fault, Malformed};

/// A frame of a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame<'a> {
    /// About no document: whether the server is there.
    Ping,
    /// The server was asked for life, and is answered.
    Pong,
    /// About a document.
    About {
        /// The name, as it is said in answers: with the session, where there is one.
        address: &'a str,
        /// What is said.
        message: Message<'a>,
    },
}

/// What a client says about a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message<'a> {
    /// What it has, or what others lack.
    Sync(Sync),
    /// The same, where nothing is to be answered.
    SyncReply(Sync),
    /// What it says of itself.
    Awareness(Awareness),
    /// It wants to come in.
    Token {
        /// What it shows for that.
        token: &'a str,
        /// Of the provider, where it says so.
        version: Option<&'a str>,
    },
    /// It wants to know what the others say of themselves.
    QueryAwareness,
    /// Something that is not of the document.
    Stateless(&'a str),
    /// It needs the document no more.
    Close,
}

/// What a client may do with a document that it came in to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// See and edit it.
    ReadWrite,
    /// See it.
    ReadOnly,
}

/// The name of a document in an address, and the session.
pub fn name_of(address: &str) -> (&str, Option<&str>) {
    match address.split_once('\0') {
        Some((name, session)) => (name, Some(session)),
        None => (address, None),
    }
}

/// Reads a frame of a client, of which an update may have so many bytes.
///
/// # Errors
///
/// [`Malformed`] where it is not one message that a client sends.
pub fn read(frame: &Bytes, max_update_bytes: usize) -> Result<Frame<'_>, Malformed> {
    match frame.as_ref() {
        [9] => return Ok(Frame::Ping),
        [10] => return Ok(Frame::Pong),
        _ => {}
    }
    let mut incoming = Incoming::new(frame);
    let address = incoming.reader.text()?;
    let start = incoming.reader;
    let message = match incoming.reader.byte()? {
        0 => Message::Sync(incoming.sync(max_update_bytes)?),
        1 => Message::Awareness(incoming.awareness()?),
        2 => {
            if incoming.reader.byte()? != 0 {
                return Err(start.fault(Fault::Kind));
            }
            let token = incoming.reader.text()?;
            let version = if incoming.reader.left() > 0 { Some(incoming.reader.text()?) } else { None };
            Message::Token { token, version }
        }
        3 => Message::QueryAwareness,
        4 => Message::SyncReply(incoming.sync(max_update_bytes)?),
        5 => Message::Stateless(incoming.reader.text()?),
        7 => Message::Close,
        _ => return Err(start.fault(Fault::Kind)),
    };
    incoming.reader.end()?;
    Ok(Frame::About { address, message })
}

fn about(address: &str, kind: u64) -> Outgoing {
    Outgoing(Vec::new()).part(address.as_bytes()).number(kind)
}

/// The client came in.
pub fn allowed(address: &str, access: Access) -> Bytes {
    let scope = match access {
        Access::ReadWrite => "read-write",
        Access::ReadOnly => "readonly",
    };
    about(address, 2).number(2).part(scope.as_bytes()).done()
}

/// The client may not come in, and why.
pub fn denied(address: &str, reason: &str) -> Bytes {
    about(address, 2).number(1).part(reason.as_bytes()).done()
}

/// What the server has, by the bytes of a state vector: the client answers with what the server lacks.
pub fn step1(address: &str, state_vector: &[u8]) -> Bytes {
    about(address, 0).number(0).part(state_vector).done()
}

/// What the client lacked, by the bytes of an update.
pub fn step2(address: &str, update: &[u8]) -> Bytes {
    about(address, 0).number(1).part(update).done()
}

/// Something new, by the bytes of an update.
pub fn update(address: &str, update: &[u8]) -> Bytes {
    about(address, 0).number(2).part(update).done()
}

/// What others say of themselves, by the bytes of an awareness update.
pub fn awareness(address: &str, update: &[u8]) -> Bytes {
    about(address, 1).part(update).done()
}

/// Whether a step 2 or an update was taken: one for each.
pub fn status(address: &str, is_taken: bool) -> Bytes {
    about(address, 8).number(u64::from(is_taken)).done()
}

/// The server is done with a document, and why.
pub fn closed(address: &str, reason: &str) -> Bytes {
    about(address, 7).part(reason.as_bytes()).done()
}

/// The server is there.
pub fn pong() -> Bytes {
    Bytes::from_static(&[10])
}
