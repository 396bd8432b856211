//! The protocol of `y-websocket`: the document stands in the path, and each binary frame has one message. Clients up to 3.1.0 read only the first
//! of a frame.

use bytes::Bytes;

use super::{Awareness, Incoming, Outgoing, Sync};
use crate::malformed::{Fault, Malformed};

/// What a client says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// What it has, or what others lack.
    Sync(Sync),
    /// What it says of itself.
    Awareness(Awareness),
    /// It wants to know what the others say of themselves.
    QueryAwareness,
}

/// Reads a frame of a client, of which an update may have so many bytes.
///
/// # Errors
///
/// [`Malformed`] where it is not one message that a client sends.
pub fn read(frame: &Bytes, max_update_bytes: usize) -> Result<Message, Malformed> {
    let mut incoming = Incoming::new(frame);
    let start = incoming.reader;
    let message = match incoming.reader.byte()? {
        0 => Message::Sync(incoming.sync(max_update_bytes)?),
        1 => Message::Awareness(incoming.awareness()?),
        3 => Message::QueryAwareness,
        _ => return Err(start.fault(Fault::Kind)),
    };
    incoming.reader.end()?;
    Ok(message)
}

/// What the server has, by the bytes of a state vector: the client answers with what the server lacks.
pub fn step1(state_vector: &[u8]) -> Bytes {
    Outgoing(vec![0, 0]).part(state_vector).done()
}

/// What the client lacked, by the bytes of an update.
pub fn step2(update: &[u8]) -> Bytes {
    Outgoing(vec![0, 1]).part(update).done()
}

/// Something new, by the bytes of an update.
pub fn update(update: &[u8]) -> Bytes {
    Outgoing(vec![0, 2]).part(update).done()
}

/// What others say of themselves, by the bytes of an awareness update.
pub fn awareness(update: &[u8]) -> Bytes {
    Outgoing(vec![1]).part(update).done()
}

/// The client may not come in, and why.
pub fn denied(reason: &str) -> Bytes {
    Outgoing(vec![2, 0]).part(reason.as_bytes()).done()
}
