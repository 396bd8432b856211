//! Rejoin's text door: JSON in text frames, from clients that keep nothing.

use std::net::SocketAddr;

use anyhow::{Result, bail, ensure};

use crate::load::{Arrived, Author, Door, Held, Kind, Room, Socket, Token, frame, key};

/// Rejoin without a subprotocol.
pub(crate) struct Text;

impl Door for Text {
    fn connect(&self, address: SocketAddr, _: &Room, _: usize) -> Result<Socket> {
        Socket::connect(address, "/ws", None)
    }

    fn create(&self, socket: &mut Socket, room: &Room) -> Result<()> {
        let (document, content) = (room.document(), room.content());
        let request =
            format!(r#"{{"type":"create_document","document":{{"id":"{document}","content":{content}}}}}"#);
        socket.send(Kind::Text, request.as_bytes())?;
        let answer = socket.receive()?;
        ensure!(is_success(&answer, b"document_created_response"), "{}", String::from_utf8_lossy(&answer));
        Ok(())
    }

    fn join(&self, socket: &mut Socket, room: &Room, _: Option<Held>, edit: u32) -> Result<Held> {
        // Others' documents are none of its business.
        socket.send(Kind::Text, br#"{"type":"unsubscribe"}"#)?;
        let request = format!(r#"{{"type":"subscribe","document_id":"{}"}}"#, room.document());
        socket.send(Kind::Text, request.as_bytes())?;
        let mut arrived = Arrived::waiting(room, false, edit);
        loop {
            let payload = socket.receive()?;
            if arrived.take(&payload)? {
                break;
            }
        }
        while !contains(&socket.receive()?, b"sync_complete") {}
        Ok(Held::default())
    }

    fn authors(&self, room: &Room, _: Held) -> Result<Vec<Box<dyn Author>>> {
        let author = |_| -> Box<dyn Author> { Box::new(TextAuthor { document: room.document() }) };
        Ok((0..room.writers).map(author).collect())
    }
}

fn contains(payload: &[u8], words: &[u8]) -> bool {
    memchr::memmem::find(payload, words).is_some()
}

fn is_success(payload: &[u8], response: &[u8]) -> bool {
    contains(payload, response) && contains(payload, br#""success":true"#)
}

struct TextAuthor {
    document: String,
}

impl Author for TextAuthor {
    fn edit(&mut self, token: Token, out: &mut Vec<u8>) -> Result<()> {
        let (document, key) = (&self.document, key(token.writer));
        let request = format!(
            r#"{{"type":"update_document","patch":{{"document_id":"{document}","patch":[{{"op":"replace","path":"/{key}","value":"{token}"}}]}}}}"#
        );
        frame(Kind::Text, request.as_bytes(), out);
        Ok(())
    }

    fn hear(&mut self, payload: &[u8]) -> Result<bool> {
        if !contains(payload, b"document_updated_response") {
            return Ok(false);
        }
        if !is_success(payload, b"document_updated_response") {
            bail!("an edit was refused: {}", String::from_utf8_lossy(payload));
        }
        Ok(true)
    }
}
