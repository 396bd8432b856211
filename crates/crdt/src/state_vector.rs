//! State vectors: how far somebody holds what each client wrote.

use std::collections::BTreeMap;

use crate::malformed::{Fault, Malformed};
use crate::reader::{MAX_SAFE_INTEGER, Reader};
use crate::update::{MAX_CLIENTS, MAX_CLOCK};
use crate::writing::write;

/// How far somebody holds what each client wrote: the clock behind the last, by client.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StateVector(BTreeMap<u64, u32>);

impl StateVector {
    /// Takes bytes of somebody else, if they are a state vector.
    ///
    /// # Errors
    ///
    /// [`Malformed`] where they are not one, or have more than [`MAX_CLIENTS`].
    pub fn check(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(bytes);
        let start = reader;
        let count = reader.count(2)?;
        if usize::try_from(count).is_ok_and(|count| count > MAX_CLIENTS) {
            return Err(start.fault(Fault::Clients));
        }
        let mut clocks = BTreeMap::new();
        for _ in 0..count {
            let start = reader;
            let client = reader.unsigned(MAX_SAFE_INTEGER)?;
            let clock = reader.unsigned(MAX_CLOCK)?;
            if clocks.insert(client, u32::try_from(clock).unwrap_or(u32::MAX)).is_some() {
                return Err(start.fault(Fault::Twice));
            }
        }
        reader.end()?;
        Ok(Self(clocks))
    }

    /// Its bytes, as everybody writes it.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        write(&mut bytes, u64::try_from(self.0.len()).unwrap_or(u64::MAX));
        for (client, clock) in &self.0 {
            write(&mut bytes, *client);
            write(&mut bytes, u64::from(*clock));
        }
        bytes
    }

    /// How far each client is held.
    pub fn iter(&self) -> impl Iterator<Item = (u64, u32)> + '_ {
        self.0.iter().map(|(client, clock)| (*client, *clock))
    }
}

impl FromIterator<(u64, u32)> for StateVector {
    fn from_iter<T: IntoIterator<Item = (u64, u32)>>(clocks: T) -> Self {
        Self(clocks.into_iter().collect())
    }
}
