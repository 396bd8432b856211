//! Awareness: what each client of a Yjs room says of itself, and how recently.

mod table;

use crate::malformed::{Fault, Malformed};
use crate::reader::{MAX_SAFE_INTEGER, Reader};
use crate::value;
use crate::writing::write;

pub use table::{MAX_CLIENTS_PER_CONNECTION, MAX_TABLE_BYTES, Table, Told};

/// Clients in one awareness message.
pub const MAX_AWARENESS_CLIENTS: usize = 4_096;

/// Bytes of one client's state, as JSON.
pub const MAX_AWARENESS_STATE_BYTES: usize = 64 * 1024;

/// What one client says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry<'a> {
    /// The client.
    pub client: u64,
    /// Higher is newer.
    pub clock: u32,
    /// JSON; `null` when it is gone.
    pub state: &'a str,
}

impl Entry<'_> {
    /// Whether it says that the client is gone.
    pub fn is_gone(&self) -> bool {
        self.state.trim_ascii() == "null"
    }
}

/// Reads an awareness update of somebody else.
///
/// # Errors
///
/// [`Malformed`] where it is not one, or beyond the limits of this crate.
pub fn check(bytes: &[u8]) -> Result<Vec<Entry<'_>>, Malformed> {
    let mut reader = Reader::new(bytes);
    let start = reader;
    let count = usize::try_from(reader.count(3)?).unwrap_or(usize::MAX);
    if count > MAX_AWARENESS_CLIENTS {
        return Err(start.fault(Fault::Clients));
    }
    let mut entries = Vec::with_capacity(count);
    for _ in 0..count {
        let client = reader.unsigned(MAX_SAFE_INTEGER)?;
        let clock = reader.unsigned(u64::from(u32::MAX))?;
        let start = reader;
        let state = value::json(&mut reader)?;
        if state.len() > MAX_AWARENESS_STATE_BYTES {
            return Err(start.fault(Fault::Bytes));
        }
        entries.push(Entry { client, clock: u32::try_from(clock).unwrap_or(u32::MAX), state });
    }
    reader.end()?;
    Ok(entries)
}

/// The bytes of an awareness update.
pub fn encode(entries: &[Entry<'_>]) -> Vec<u8> {
    let mut bytes = Vec::new();
    write(&mut bytes, u64::try_from(entries.len()).unwrap_or(u64::MAX));
    for Entry { client, clock, state } in entries {
        write(&mut bytes, *client);
        write(&mut bytes, u64::from(*clock));
        write(&mut bytes, u64::try_from(state.len()).unwrap_or(u64::MAX));
        bytes.extend_from_slice(state.as_bytes());
    }
    bytes
}
