//! What the generator has to know of a peer: how a client of it joins a document, edits it, and is acknowledged.

use std::net::SocketAddr;

use anyhow::{Result, ensure};
use rejoin_wire::ChainHash;

use super::socket::Socket;
use super::token::{Token, tokens};

/// A document and who is there.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Room {
    /// Its number.
    pub(crate) number: usize,
    /// Members that edit: the first of them.
    pub(crate) writers: usize,
    /// Bytes that the document holds beside the values that are edited, about.
    pub(crate) filler: usize,
}

/// Bytes of one member that fills a document.
const FILLER_BYTES: usize = 1_000;

impl Room {
    /// A room of a small document.
    pub(crate) const fn small(number: usize, writers: usize) -> Self {
        Self { number, writers, filler: 0 }
    }

    /// The document's name.
    pub(crate) fn document(&self) -> String {
        format!("room-{:04}", self.number)
    }

    /// What stands in it at first, as JSON: one value for each writer, behind all that fills it.
    pub(crate) fn content(&self) -> String {
        let filler = (0..self.filler / FILLER_BYTES).map(|number| {
            let text = "Words that nobody edits. ".repeat(FILLER_BYTES / 25);
            format!("\"f{number:05}\":\"{}\"", &text[..FILLER_BYTES - 11])
        });
        let values = (0..self.writers).map(|writer| {
            let token = Token { room: self.number, writer, number: 0 };
            format!("\"{}\":\"{token}\"", key(writer))
        });
        format!("{{{}}}", filler.chain(values).collect::<Vec<_>>().join(","))
    }
}

/// The member of the document that a writer edits.
pub(crate) fn key(writer: usize) -> String {
    format!("w{writer:04}")
}

/// What somebody who was there holds of a document.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Held {
    /// The peer's own count of versions.
    pub(crate) version: u64,
    /// Of Rejoin: the chain hash at that revision.
    pub(crate) chain: ChainHash,
}

/// A way to speak with a peer. Sockets block here.
pub(crate) trait Door: Sync {
    /// Connects and says who this is.
    fn connect(&self, address: SocketAddr, room: &Room, member: usize) -> Result<Socket>;

    /// Makes the room's document.
    fn create(&self, socket: &mut Socket, room: &Room) -> Result<()>;

    /// Joins, with nothing or with what is held, and waits until the first writer's value is at least that of this edit.
    fn join(&self, socket: &mut Socket, room: &Room, held: Option<Held>, edit: u32) -> Result<Held>;

    /// Says who somebody is who has joined, where the protocol has that.
    fn show(&self, _: &mut Socket, _: &Room, _: usize) -> Result<()> {
        Ok(())
    }

    /// The members of a room that edit, the first of all. All of them have just joined.
    fn authors(&self, room: &Room, held: Held) -> Result<Vec<Box<dyn Author>>>;
}

/// A member that edits.
pub(crate) trait Author {
    /// Adds the frame of an edit that writes a token.
    fn edit(&mut self, token: Token, out: &mut Vec<u8>) -> Result<()>;

    /// Takes a frame; true when it acknowledges the edit under way.
    fn hear(&mut self, payload: &[u8]) -> Result<bool>;

    /// Whether edits are acknowledged at all.
    fn is_told(&self) -> bool {
        true
    }
}

/// Which values of a room have arrived.
pub(crate) struct Arrived {
    room: usize,
    missing: Vec<bool>,
    left: usize,
    edit: u32,
}

impl Arrived {
    /// Waits for every value, or, of somebody who holds the others, for the first writer's; and of that for an edit.
    pub(crate) fn waiting(room: &Room, is_held: bool, edit: u32) -> Self {
        let writers = if is_held { 1 } else { room.writers };
        Self { room: room.number, missing: vec![true; writers], left: writers, edit }
    }

    /// Takes what came; true when nothing is missing.
    pub(crate) fn take(&mut self, payload: &[u8]) -> Result<bool> {
        for token in tokens(payload) {
            ensure!(token.room == self.room, "told of another room");
            if token.writer == 0 && token.number < self.edit {
                continue;
            }
            if let Some(missing) = self.missing.get_mut(token.writer)
                && std::mem::take(missing)
            {
                self.left -= 1;
            }
        }
        Ok(self.left == 0)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn documents_have_about_the_bytes_that_are_asked_for() {
        let large = Room { filler: 1_000_000, ..Room::small(1, 2) }.content();
        assert!((990_000..1_020_000).contains(&large.len()), "{}", large.len());
        assert!(rejoin_json::Json::parse(&large, &rejoin_json::Limits::default()).is_ok());
    }

    #[test]
    fn a_document_has_arrived_when_every_value_has() {
        let room = Room::small(3, 2);
        let content = room.content();
        let (first, second) = content.split_at(content.len() / 2);
        let mut arrived = Arrived::waiting(&room, false, 0);
        assert!(!arrived.take(first.as_bytes()).unwrap());
        assert!(arrived.take(second.as_bytes()).unwrap());
        let mut newest = Arrived::waiting(&room, true, 1);
        assert!(!newest.take(content.as_bytes()).unwrap(), "older");
        assert!(newest.take(Token { room: 3, writer: 0, number: 1 }.to_string().as_bytes()).unwrap());
        assert!(newest.take(Token { room: 4, writer: 0, number: 1 }.to_string().as_bytes()).is_err());
    }
}
