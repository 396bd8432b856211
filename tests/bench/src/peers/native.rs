//! Rejoin's native door: binary messages, and authors that say what they saw, as every replica does.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::rc::Rc;

use anyhow::{Context, Result, bail, ensure};
use bytes::Bytes;
use rejoin_json::{ContentHash, Json, Limits, Operation, Patch, PointerBuf};
use rejoin_wire::limits::{MAX_FRAME_BYTES, MAX_MESSAGE_BYTES};
use rejoin_wire::{
    Assembler, Body, Change, Counter, DocumentId, DocumentPush, Encoding, Frame, Have, Header, Hello,
    Message, OpenDocument, PROTOCOL_VERSION, PushedChange, ReplicaId, Revision, SUBPROTOCOL_BINARY,
    UnixMillis, decode_message, encode_message, frames,
};

use crate::load::{Arrived, Author, Door, Held, Kind, Room, Socket, Token, frame, key};

/// Rejoin's binary subprotocol.
pub(crate) struct Native;

impl Door for Native {
    fn connect(&self, address: SocketAddr, room: &Room, member: usize) -> Result<Socket> {
        let mut socket = Socket::connect(address, "/ws", Some(SUBPROTOCOL_BINARY))?;
        let replica = replica(room, member);
        let hello =
            Hello { versions: vec![PROTOCOL_VERSION], replica, workspace: None, token: None, agent: None };
        send(&mut socket, &Message::Hello(hello))?;
        ensure!(matches!(receive(&mut socket)?, Message::Welcome(_)), "no welcome");
        Ok(socket)
    }

    fn create(&self, socket: &mut Socket, room: &Room) -> Result<()> {
        let content = Json::parse(&room.content(), &Limits::default())?;
        let body = Body::Create { header: Header::default(), content };
        // Whoever creates is behind all members.
        let change = change(replica(room, CREATOR), 1, Revision(0), body);
        let seen = Some(Json::Null.content_hash());
        send(socket, &push(room, PushedChange { change, seen })?)?;
        ensure!(matches!(receive(socket)?, Message::Outcomes { .. }), "the document is not made");
        Ok(())
    }

    fn join(&self, socket: &mut Socket, room: &Room, held: Option<Held>, edit: u32) -> Result<Held> {
        let have = held
            .map_or_else(Have::default, |held| Have { revision: Revision(held.version), chain: held.chain });
        let document = DocumentId::new(&room.document())?;
        let open = OpenDocument { document, have, pending: Vec::new() };
        send(socket, &Message::Open { documents: vec![open] })?;
        let mut arrived = Arrived::waiting(room, held.is_some(), edit);
        // A large document is not decoded: its bytes are what is waited for.
        let mut small = None;
        loop {
            let payload = socket.receive()?;
            if payload.len() < MAX_FRAME_BYTES / 2 {
                small = Some(payload.clone());
            }
            if arrived.take(&payload)? {
                break;
            }
        }
        match small.map(decoded).transpose() {
            Ok(Some(Message::Snapshot(snapshot))) => {
                Ok(Held { version: snapshot.revision.0, chain: snapshot.chain })
            }
            _ => Ok(Held::default()),
        }
    }

    fn authors(&self, room: &Room, held: Held) -> Result<Vec<Box<dyn Author>>> {
        let content = Json::parse(&room.content(), &Limits::default())?;
        let history = Rc::new(RefCell::new(History {
            first: held.version,
            contents: VecDeque::from([(content, None)]),
            kept: 64 + 4 * room.writers,
        }));
        let author = |member| -> Box<dyn Author> {
            Box::new(NativeAuthor {
                room: *room,
                member,
                history: Rc::clone(&history),
                revision: held.version,
                counter: 0,
            })
        };
        Ok((0..room.writers).map(author).collect())
    }
}

/// The place of whoever makes a document.
const CREATOR: usize = 0xffff;

fn replica(room: &Room, member: usize) -> ReplicaId {
    ReplicaId(((room.number as u128) << 16 | member as u128) + 1)
}

fn send(socket: &mut Socket, message: &Message) -> Result<()> {
    for frame in frames(encode_message(message, Encoding::Binary), Encoding::Binary, MAX_FRAME_BYTES) {
        socket.send(Kind::Binary, frame.payload())?;
    }
    Ok(())
}

fn receive(socket: &mut Socket) -> Result<Message> {
    decoded(socket.receive()?)
}

fn decoded(payload: Vec<u8>) -> Result<Message> {
    let mut assembler = Assembler::new(Encoding::Binary, MAX_MESSAGE_BYTES);
    let message = assembler.push(Frame::Binary(Bytes::from(payload)))?.context("a message in fragments")?;
    Ok(decode_message(&message, Encoding::Binary)?)
}

fn push(room: &Room, change: PushedChange) -> Result<Message> {
    let document = DocumentId::new(&room.document())?;
    Ok(Message::Push { pushes: vec![DocumentPush { document, changes: vec![change], author: None }] })
}

fn change(replica: ReplicaId, counter: u64, base: Revision, body: Body) -> Change {
    let time = UnixMillis(1_736_525_432_000);
    Change { replica, counter: Counter(counter), base, over: Counter(counter), time, body }
}

/// What a room's document was at each of its newest revisions, once for all authors of the room.
struct History {
    first: u64,
    contents: VecDeque<(Json, Option<ContentHash>)>,
    kept: usize,
}

impl History {
    /// Notes what the next revision wrote, unless somebody else told it before.
    fn note(&mut self, revision: u64, token: Token) -> Result<()> {
        let next = self.first + self.contents.len() as u64;
        if revision < next {
            return Ok(());
        }
        ensure!(revision == next, "a revision is missing");
        let (mut content, _) = self.contents.back().context("no content")?.clone();
        rejoin_json::apply(&mut content, &patch(token)?, &Limits::default())?;
        self.contents.push_back((content, None));
        if self.contents.len() > self.kept {
            self.contents.pop_front();
            self.first += 1;
        }
        Ok(())
    }

    /// Goes on from a revision, unless others were told of it.
    fn restart(&mut self, revision: u64, content: Json) {
        if revision >= self.first + self.contents.len() as u64 {
            (self.first, self.contents) = (revision, VecDeque::from([(content, None)]));
        }
    }

    fn hash(&mut self, revision: u64) -> Result<ContentHash> {
        let at = revision.checked_sub(self.first).context("too old a revision")?;
        let (content, hash) = self.contents.get_mut(usize::try_from(at)?).context("no such revision")?;
        Ok(*hash.get_or_insert_with(|| content.content_hash()))
    }
}

fn patch(token: Token) -> Result<Patch> {
    let path = PointerBuf::parse(format!("/{}", key(token.writer)))?;
    Ok(Patch(vec![Operation::Replace { path, value: token.to_string().as_str().into() }]))
}

struct NativeAuthor {
    room: Room,
    member: usize,
    history: Rc<RefCell<History>>,
    /// The newest that it holds.
    revision: u64,
    counter: u32,
}

impl Author for NativeAuthor {
    fn edit(&mut self, token: Token, out: &mut Vec<u8>) -> Result<()> {
        self.counter = token.number;
        let body = Body::Edit { patch: patch(token)?, settles: Vec::new(), undoes: None };
        let replica = replica(&self.room, self.member);
        let change = change(replica, self.counter.into(), Revision(self.revision), body);
        let seen = Some(self.history.borrow_mut().hash(self.revision)?);
        let message = encode_message(&push(&self.room, PushedChange { change, seen })?, Encoding::Binary);
        for part in frames(message, Encoding::Binary, MAX_FRAME_BYTES) {
            frame(Kind::Binary, part.payload(), out);
        }
        Ok(())
    }

    fn hear(&mut self, payload: &[u8]) -> Result<bool> {
        let update = match decoded(payload.to_vec())? {
            Message::Update(update) => update,
            // Whoever lies far behind is told the document whole.
            Message::Snapshot(snapshot) => {
                let own = Token { room: self.room.number, writer: self.member, number: self.counter };
                let value = snapshot.content.get(&key(self.member)).and_then(Json::as_str);
                let is_acknowledged = value == Some(own.to_string().as_str());
                self.revision = snapshot.revision.0;
                self.history.borrow_mut().restart(self.revision, snapshot.content);
                return Ok(is_acknowledged);
            }
            Message::Ping { .. } => return Ok(false),
            other => bail!("the server said {other:?}"),
        };
        let mut is_acknowledged = false;
        for (revision, entry) in (update.first.0..).zip(&update.entries) {
            let member = usize::try_from(entry.change.replica.0 - 1)? & 0xffff;
            let number = u32::try_from(entry.change.counter.0)?;
            is_acknowledged |= member == self.member && number == self.counter;
            let token = Token { room: self.room.number, writer: member, number };
            self.history.borrow_mut().note(revision, token)?;
            self.revision = revision;
        }
        Ok(is_acknowledged)
    }
}
