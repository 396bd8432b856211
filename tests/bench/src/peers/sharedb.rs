//! ShareDB, as its JSON messages are spoken by its own client: operations of `json0` on the version that their author holds.

use std::net::SocketAddr;

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;

use crate::load::{Arrived, Author, Door, Held, Kind, Room, Socket, Token, frame, key};

/// ShareDB over `ws`.
pub(crate) struct ShareDb;

/// What is read of a message; its operations stay text.
#[derive(Deserialize)]
struct Said {
    #[serde(rename = "a")]
    action: String,
    #[serde(rename = "v")]
    version: Option<u64>,
    seq: Option<u32>,
    src: Option<String>,
    id: Option<String>,
    data: Option<Snapshot>,
    error: Option<serde_json::Value>,
}

#[derive(Deserialize)]
struct Snapshot {
    #[serde(rename = "v")]
    version: u64,
}

fn said(payload: &[u8]) -> Result<Said> {
    let said: Said = serde_json::from_slice(payload)?;
    if let Some(error) = &said.error {
        bail!("ShareDB refused: {error}");
    }
    Ok(said)
}

fn wait(socket: &mut Socket, action: &str) -> Result<Said> {
    loop {
        let said = said(&socket.receive()?)?;
        if said.action == action {
            return Ok(said);
        }
    }
}

/// As whom a member's operations go; its own client takes what the server has drawn.
fn source(room: &Room, member: usize) -> String {
    format!("{:04x}{member:04x}", room.number)
}

impl Door for ShareDb {
    fn connect(&self, address: SocketAddr, room: &Room, member: usize) -> Result<Socket> {
        let mut socket = Socket::connect(address, "/", None)?;
        let source = source(room, member);
        let greeting = format!(r#"{{"a":"hs","id":"{source}","protocol":1,"protocolMinor":2}}"#);
        socket.send(Kind::Text, greeting.as_bytes())?;
        let greeted = wait(&mut socket, "hs")?;
        ensure!(greeted.id.as_deref() == Some(&source), "another client was greeted");
        Ok(socket)
    }

    fn create(&self, socket: &mut Socket, room: &Room) -> Result<()> {
        let (document, content) = (room.document(), room.content());
        let creation = format!(
            r#"{{"a":"op","c":"rooms","d":"{document}","v":0,"seq":1,"x":{{}},"create":{{"type":"http://sharejs.org/types/JSONv0","data":{content}}}}}"#
        );
        socket.send(Kind::Text, creation.as_bytes())?;
        wait(socket, "op")?;
        Ok(())
    }

    fn join(&self, socket: &mut Socket, room: &Room, held: Option<Held>, edit: u32) -> Result<Held> {
        let document = room.document();
        let version = held.map_or_else(|| "null".to_owned(), |held| held.version.to_string());
        let request = format!(r#"{{"a":"s","c":"rooms","d":"{document}","v":{version}}}"#);
        socket.send(Kind::Text, request.as_bytes())?;
        let mut arrived = Arrived::waiting(room, held.is_some(), edit);
        loop {
            let payload = socket.receive()?;
            let is_complete = arrived.take(&payload)?;
            if is_complete && (held.is_some() || room.filler > 0) {
                return Ok(Held::default());
            }
            if is_complete {
                let version = said(&payload)?.data.context("no snapshot")?.version;
                return Ok(Held { version, ..Held::default() });
            }
        }
    }

    fn authors(&self, room: &Room, held: Held) -> Result<Vec<Box<dyn Author>>> {
        let author = |member| -> Box<dyn Author> {
            Box::new(Submitter {
                document: room.document(),
                source: source(room, member),
                version: held.version,
                number: 0,
            })
        };
        Ok((0..room.writers).map(author).collect())
    }
}

struct Submitter {
    document: String,
    source: String,
    /// The newest that it holds.
    version: u64,
    number: u32,
}

impl Author for Submitter {
    fn edit(&mut self, token: Token, out: &mut Vec<u8>) -> Result<()> {
        self.number = token.number;
        let Self { document, version, number, .. } = self;
        let key = key(token.writer);
        let request = format!(
            r#"{{"a":"op","c":"rooms","d":"{document}","v":{version},"seq":{number},"x":{{}},"op":[{{"p":["{key}"],"oi":"{token}"}}]}}"#
        );
        frame(Kind::Text, request.as_bytes(), out);
        Ok(())
    }

    fn hear(&mut self, payload: &[u8]) -> Result<bool> {
        let said = said(payload)?;
        if said.action != "op" {
            return Ok(false);
        }
        self.version = self.version.max(said.version.context("an operation without a version")? + 1);
        Ok(said.src.as_deref() == Some(&self.source) && said.seq == Some(self.number))
    }
}
