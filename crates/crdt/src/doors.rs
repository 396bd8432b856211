//! What travels on the sockets of Yjs clients: each frame as one message, checked before anything looks into it.
//!
//! The updates, state vectors and awareness in a message are proven to be some. What they do to a document is not known yet.

pub mod hocuspocus;
pub mod y_websocket;

use bytes::Bytes;

use crate::awareness;
use crate::malformed::{Fault, Malformed};
use crate::reader::Reader;
use crate::state_vector::StateVector;
use crate::update::Update;
use crate::writing::write;

/// The exchange by which two sides come to hold the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sync {
    /// What a side has: it is answered by what it lacks.
    Step1(StateVector),
    /// What the other side lacked.
    Step2(Update),
    /// Something new.
    Update(Update),
}

/// An awareness update that is one: bytes that [`awareness::check`] takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Awareness(Bytes);

impl Awareness {
    /// Takes bytes of somebody else.
    ///
    /// # Errors
    ///
    /// As [`awareness::check`].
    pub fn check(bytes: Bytes) -> Result<Self, Malformed> {
        awareness::check(&bytes)?;
        Ok(Self(bytes))
    }

    /// What each client says.
    pub fn entries(&self) -> Vec<awareness::Entry<'_>> {
        awareness::check(&self.0).unwrap_or_default()
    }

    /// Its bytes.
    pub fn bytes(&self) -> &Bytes {
        &self.0
    }
}

/// A frame that is being read, of which parts are kept without being copied.
struct Incoming<'a> {
    frame: &'a Bytes,
    reader: Reader<'a>,
}

impl<'a> Incoming<'a> {
    fn new(frame: &'a Bytes) -> Self {
        Self { frame, reader: Reader::new(frame) }
    }

    /// Bytes behind their length, and where they begin.
    fn part(&mut self) -> Result<(Bytes, usize), Malformed> {
        let part = self.reader.buffer()?;
        let begin = self.reader.at() - part.len();
        Ok((self.frame.slice(begin..self.reader.at()), begin))
    }

    fn sync(&mut self, max_update_bytes: usize) -> Result<Sync, Malformed> {
        let start = self.reader;
        let step = self.reader.byte()?;
        let (part, begin) = self.part()?;
        let within = |error: Malformed| Malformed { at: begin + error.at, ..error };
        match step {
            0 => StateVector::check(&part).map(Sync::Step1).map_err(within),
            1 => Update::check(part, max_update_bytes).map(Sync::Step2).map_err(within),
            2 => Update::check(part, max_update_bytes).map(Sync::Update).map_err(within),
            _ => Err(start.fault(Fault::Kind)),
        }
    }

    fn awareness(&mut self) -> Result<Awareness, Malformed> {
        let (part, begin) = self.part()?;
        Awareness::check(part).map_err(|error| Malformed { at: begin + error.at, ..error })
    }
}

/// A message that is being written.
struct Outgoing(Vec<u8>);

impl Outgoing {
    fn number(mut self, number: u64) -> Self {
        write(&mut self.0, number);
        self
    }

    /// Bytes behind their length.
    fn part(mut self, bytes: &[u8]) -> Self {
        write(&mut self.0, bytes.len() as u64);
        self.0.extend_from_slice(bytes);
        self
    }

    fn done(self) -> Bytes {
        self.0.into()
    }
}
