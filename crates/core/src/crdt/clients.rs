//! Under which ids of Yjs clients an authority writes.

use crate::time::{Random, Seed};

/// Bits of an id: as many as Yjs can count to.
const CLIENT_BITS: u32 = 53;

/// Draws ids that nobody else has, nor had.
#[derive(Debug)]
pub(crate) struct Clients {
    random: Random,
    own: Option<u64>,
}

impl Clients {
    pub(crate) fn new(seed: Seed) -> Self {
        // Other numbers than those that the seed gives elsewhere.
        Self { random: Random::new(Seed(!seed.0)), own: None }
    }

    /// The id for what is written next to all that stands. It is the same again, as each id makes a document larger for ever.
    pub(crate) fn own(&mut self) -> u64 {
        match self.own {
            Some(own) => own,
            None => *self.own.insert(Self::draw(&mut self.random)),
        }
    }

    /// An id for one change only, which is written next to something earlier.
    pub(crate) fn fresh(&mut self) -> u64 {
        Self::draw(&mut self.random)
    }

    /// What was written last may come back, or not: nothing else may be written under the same id.
    pub(crate) fn forget(&mut self) {
        self.own = None;
    }

    fn draw(random: &mut Random) -> u64 {
        // 0 is nobody's.
        (random.next_u64() >> (u64::BITS - CLIENT_BITS)).max(1)
    }
}
