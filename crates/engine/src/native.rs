//! What a page says, without a page: the commands have no JavaScript in them and run natively, for fuzz targets.

use rejoin_core::{Event, Replica};
use rejoin_json::Json;

use crate::commands;
use crate::telling::Teller;

/// A replica that obeys the commands of a page, and what the page would be told.
pub struct Commanded {
    /// The replica, whose driver is the caller.
    pub replica: Replica,
    teller: Teller,
}

impl Commanded {
    /// Has the replica obey.
    pub fn new(replica: Replica) -> Self {
        Self { replica, teller: Teller::default() }
    }

    /// Does what a command in the compact encoding says; its refusal is told in words.
    ///
    /// # Errors
    ///
    /// When the command cannot be read, or cannot be done.
    pub fn obey(&mut self, command: &[u8]) -> Result<Json, String> {
        commands::run(&mut self.replica, &mut self.teller, command).map_err(|refused| refused.text())
    }

    /// Something happened of which the page is told.
    pub fn note(&mut self, event: &Event) {
        self.teller.note(event);
    }

    /// How many documents the page would be told of now.
    pub fn tell(&mut self) -> usize {
        self.teller.tell(&mut self.replica).len()
    }
}
