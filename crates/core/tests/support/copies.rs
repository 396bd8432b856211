//! Copies of followers, as of a profile or a backup.

use rejoin_wire::{DocumentId, Scope};

use super::World;

impl World {
    /// Adds a follower that is offline, with the same disk and in the same place as another, and a document open.
    pub fn copy(&mut self, of: usize, document: &DocumentId) -> usize {
        let store = self.followers[of].store.clone();
        let copy = self.add(Some(Scope::Documents), store);
        self.above[copy] = self.above[of];
        self.offline(copy);
        self.run();
        self.followers[copy].replica.open(document);
        self.run();
        copy
    }
}
