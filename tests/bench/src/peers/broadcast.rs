//! The ceiling: an axum server that hands each frame to the others of its room, and does nothing else (`src/bin/broadcast.rs`).

use std::net::SocketAddr;

use anyhow::Result;

use crate::load::{Arrived, Author, Door, Held, Kind, Room, Socket, Token, frame};

/// Bytes of a frame: as many as Rejoin's native door sends for the same edit, about.
const FRAME_BYTES: usize = 128;

/// A bare broadcast.
pub(crate) struct Broadcast;

impl Door for Broadcast {
    fn connect(&self, address: SocketAddr, room: &Room, _: usize) -> Result<Socket> {
        Socket::connect(address, &format!("/room/{}", room.number), None)
    }

    /// A large document is kept as it is, for whoever joins; a small one is nowhere.
    fn create(&self, socket: &mut Socket, room: &Room) -> Result<()> {
        if room.filler > 0 {
            socket.send(Kind::Binary, room.content().as_bytes())?;
            socket.receive()?;
        }
        Ok(())
    }

    fn join(&self, socket: &mut Socket, room: &Room, _: Option<Held>, edit: u32) -> Result<Held> {
        if room.filler > 0 {
            let mut arrived = Arrived::waiting(room, false, edit);
            while !arrived.take(&socket.receive()?)? {}
        }
        Ok(Held::default())
    }

    fn authors(&self, room: &Room, _: Held) -> Result<Vec<Box<dyn Author>>> {
        Ok((0..room.writers).map(|_| -> Box<dyn Author> { Box::new(Speaker) }).collect())
    }
}

struct Speaker;

impl Author for Speaker {
    fn edit(&mut self, token: Token, out: &mut Vec<u8>) -> Result<()> {
        let mut payload = token.to_string().into_bytes();
        payload.resize(FRAME_BYTES, b'.');
        frame(Kind::Binary, &payload, out);
        Ok(())
    }

    fn hear(&mut self, _: &[u8]) -> Result<bool> {
        Ok(false)
    }

    fn is_told(&self) -> bool {
        false
    }
}
