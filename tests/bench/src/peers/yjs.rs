//! Servers of Yjs clients: the protocol of `y-websocket`, and that of `@hocuspocus/provider`, which names the document in each frame.
//!
//! Clients are written out by hand, as the bytes that Yjs itself would send: they type into one text, each behind what it wrote last. Each says of
//! itself who it is, as editors do.

use std::net::SocketAddr;

use anyhow::Result;

use crate::load::{Arrived, Author, Door, Held, Kind, Room, Socket, TOKEN_BYTES, Token, frame};

/// One of the two protocols, at a path.
pub(crate) struct Yjs {
    /// What stands in front of the document's name, or the whole path where frames name it.
    pub(crate) path: &'static str,
    /// Whether each frame names the document.
    pub(crate) names: bool,
}

/// Kinds of messages.
const SYNC: u8 = 0;
const AWARENESS: u8 = 1;
const AUTH: u8 = 2;
/// Kinds of a sync message.
const STEP1: u8 = 0;
const STEP2: u8 = 1;
const UPDATE: u8 = 2;
/// What somebody has or sends who has nothing.
const NO_STATE: &[u8] = &[0];
const NO_UPDATE: &[u8] = &[0, 0];
/// A structure that holds a text, with its neighbours to the left or right where it has some.
const TEXT: u8 = 4;
const HAS_LEFT: u8 = 0x80;
const HAS_RIGHT: u8 = 0x40;
/// The text that everybody types into.
const ROOT: &[u8] = b"t";
/// Bytes of one piece of what fills a document. Each stands before the one that was written last, so that none become one.
const PIECE_BYTES: usize = 200;
/// Pieces in an update.
const PIECES: usize = 400;

/// The client id of a member; whoever makes a document is behind all of them.
fn client(member: usize) -> u64 {
    1_000 + member as u64
}

const CREATOR: u64 = 999;

fn number(mut value: u64, out: &mut Vec<u8>) {
    loop {
        let [low, ..] = (value & 0x7f).to_le_bytes();
        value >>= 7;
        out.push(if value > 0 { low | 0x80 } else { low });
        if value == 0 {
            break;
        }
    }
}

fn part(bytes: &[u8], out: &mut Vec<u8>) {
    number(bytes.len() as u64, out);
    out.extend_from_slice(bytes);
}

/// Text that is put in, and which letter stands beside it.
struct Piece {
    side: u8,
    /// The letter by its client and clock; none where nothing stands there.
    beside: Option<(u64, u64)>,
    text: Vec<u8>,
}

/// An update of one client with pieces one after the other.
fn update(client: u64, clock: u64, pieces: &[Piece]) -> Vec<u8> {
    let mut out = vec![1];
    number(pieces.len() as u64, &mut out);
    number(client, &mut out);
    number(clock, &mut out);
    for Piece { side, beside, text } in pieces {
        match beside {
            Some((client, clock)) => {
                out.push(TEXT | side);
                number(*client, &mut out);
                number(*clock, &mut out);
            }
            None => {
                out.extend([TEXT, 1]);
                part(ROOT, &mut out);
            }
        }
        part(text, &mut out);
    }
    // Nothing is deleted.
    out.push(0);
    out
}

impl Yjs {
    fn message(&self, room: &Room, kinds: &[u8], body: &[u8]) -> Vec<u8> {
        let mut out = self.address(room);
        out.extend_from_slice(kinds);
        part(body, &mut out);
        out
    }

    fn address(&self, room: &Room) -> Vec<u8> {
        let mut out = Vec::new();
        if self.names {
            part(room.document().as_bytes(), &mut out);
        }
        out
    }
}

impl Door for Yjs {
    fn connect(&self, address: SocketAddr, room: &Room, _: usize) -> Result<Socket> {
        if !self.names {
            return Socket::connect(address, &format!("{}{}", self.path, room.document()), None);
        }
        let mut socket = Socket::connect(address, self.path, None)?;
        // A token, and the version of the provider.
        let mut token = self.address(room);
        token.extend([AUTH, 0]);
        part(b"", &mut token);
        part(b"4.7.0", &mut token);
        socket.send(Kind::Binary, &token)?;
        Ok(socket)
    }

    fn create(&self, socket: &mut Socket, room: &Room) -> Result<()> {
        let filler = (0..room.filler.div_ceil(PIECE_BYTES)).map(|_| {
            let text = b"Words that nobody edits. ".repeat(PIECE_BYTES / 25);
            debug_assert_eq!(text.len(), PIECE_BYTES);
            text
        });
        let values =
            (0..room.writers).map(|writer| Token { room: room.number, writer, number: 0 }.to_string().into());
        let (mut clock, mut newest) = (0, None);
        let mut pieces = Vec::new();
        for text in filler.chain(values) {
            let first = clock;
            clock += text.len() as u64;
            pieces.push((first, Piece { side: HAS_RIGHT, beside: newest, text }));
            newest = Some((CREATOR, first));
        }
        while !pieces.is_empty() {
            let rest = pieces.split_off(pieces.len().min(PIECES));
            let first = pieces[0].0;
            let pieces: Vec<Piece> =
                std::mem::replace(&mut pieces, rest).into_iter().map(|(_, piece)| piece).collect();
            let update = update(CREATOR, first, &pieces);
            socket.send(Kind::Binary, &self.message(room, &[SYNC, UPDATE], &update))?;
        }
        // All of them tell their author its own updates, too.
        let mut arrived = Arrived::waiting(room, false, 0);
        while !arrived.take(&socket.receive()?)? {}
        Ok(())
    }

    fn join(&self, socket: &mut Socket, room: &Room, _: Option<Held>, edit: u32) -> Result<Held> {
        socket.send(Kind::Binary, &self.message(room, &[SYNC, STEP1], NO_STATE))?;
        let mut arrived = Arrived::waiting(room, false, edit);
        while !arrived.take(&socket.receive()?)? {}
        // What the server lacks, for which it has asked.
        socket.send(Kind::Binary, &self.message(room, &[SYNC, STEP2], NO_UPDATE))?;
        Ok(Held::default())
    }

    fn show(&self, socket: &mut Socket, room: &Room, member: usize) -> Result<()> {
        let mut said = vec![1];
        number(client(member), &mut said);
        number(1, &mut said);
        let state = format!(
            r##"{{"user":{{"name":"Member {member}","color":"#30bced","colorLight":"#30bced33"}},"cursor":null}}"##
        );
        part(state.as_bytes(), &mut said);
        socket.send(Kind::Binary, &self.message(room, &[AWARENESS], &said))
    }

    fn authors(&self, room: &Room, _: Held) -> Result<Vec<Box<dyn Author>>> {
        let author = |member| -> Box<dyn Author> {
            Box::new(Typist { address: self.address(room), client: client(member), clock: 0 })
        };
        Ok((0..room.writers).map(author).collect())
    }
}

/// Somebody who types.
struct Typist {
    address: Vec<u8>,
    client: u64,
    /// Letters that it has written.
    clock: u64,
}

impl Author for Typist {
    fn edit(&mut self, token: Token, out: &mut Vec<u8>) -> Result<()> {
        let beside = self.clock.checked_sub(1).map(|last| (self.client, last));
        let piece = Piece { side: HAS_LEFT, beside, text: token.to_string().into() };
        let update = update(self.client, self.clock, &[piece]);
        self.clock += TOKEN_BYTES as u64;
        let mut message = self.address.clone();
        message.extend([SYNC, UPDATE]);
        part(&update, &mut message);
        frame(Kind::Binary, &message, out);
        Ok(())
    }

    fn hear(&mut self, _: &[u8]) -> Result<bool> {
        Ok(false)
    }

    fn is_told(&self) -> bool {
        false
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use yrs::updates::decoder::Decode;
    use yrs::{Doc, GetString, Transact, Update};

    use super::*;

    #[test]
    fn what_is_written_by_hand_is_what_yjs_reads() {
        let doc = Doc::new();
        let text = doc.get_or_insert_text("t");
        let apply = |bytes: Vec<u8>| {
            doc.transact_mut().apply_update(Update::decode_v1(&bytes).unwrap()).unwrap();
        };
        let piece = |side, beside, text: &str| Piece { side, beside, text: text.as_bytes().to_vec() };
        apply(update(
            CREATOR,
            0,
            &[piece(HAS_RIGHT, None, "ab"), piece(HAS_RIGHT, Some((CREATOR, 0)), "cd")],
        ));
        apply(update(client(300), 0, &[piece(HAS_LEFT, None, "1")]));
        apply(update(client(300), 1, &[piece(HAS_LEFT, Some((client(300), 0)), "2")]));
        let shown = text.get_string(&doc.transact());
        assert!(shown.contains("cdab") && shown.contains("12") && shown.len() == 6, "{shown}");
    }

    #[test]
    fn frames_name_the_document_where_the_protocol_wants_it() {
        let room = Room::small(7, 1);
        let y_websocket = Yjs { path: "/", names: false };
        assert_eq!(y_websocket.message(&room, &[SYNC, STEP1], NO_STATE), [0, 0, 1, 0]);
        let hocuspocus = Yjs { path: "/", names: true };
        assert_eq!(hocuspocus.message(&room, &[SYNC, STEP1], NO_STATE), b"\x09room-0007\0\0\x01\0");
    }
}
