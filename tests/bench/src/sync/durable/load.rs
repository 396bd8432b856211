//! Clients that cost little: what they send is encoded before the clock starts, and of what comes back only numbers are read.
//!
//! They speak the protocol over sockets as any replica does: each opens its documents, has one push under way for each of them, and
//! sends the next when every change of it is told as accepted. They all run on one thread.

use std::collections::{BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use rejoin_json::{Json, Operation, Patch, PointerBuf};
use rejoin_wire::{
    Body, ChainHash, Change, Counter, DocumentId, DocumentPush, Encoding, Have, Header, Hello, Message,
    OpenDocument, PROTOCOL_VERSION, PushedChange, ReplicaId, Revision, UnixMillis, encode_message,
};

use super::super::sample;
use super::socket::{Socket, frames_of};

/// What the clients do.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shape {
    pub(super) clients: usize,
    /// Documents of each client, which nobody else edits.
    pub(super) documents: usize,
    /// Changes in one push.
    pub(super) changes: usize,
    /// Pushes to each document, one after the other.
    pub(super) pushes: usize,
}

impl Shape {
    pub(super) const fn edits(&self) -> usize {
        self.clients * self.documents * self.edits_of_document()
    }

    pub(super) const fn edits_of_document(&self) -> usize {
        self.changes * self.pushes
    }

    /// The names of all documents.
    pub(super) fn names(&self) -> impl Iterator<Item = String> + use<> {
        let Self { clients, documents, .. } = *self;
        (0..clients).flat_map(move |client| (0..documents).map(move |number| name(client, number)))
    }
}

fn name(client: usize, number: usize) -> String {
    format!("count-{client}-{number}")
}

/// Clients that have connected, with all that they are going to send.
pub(super) struct Load {
    clients: Vec<Client>,
}

struct Client {
    socket: Socket,
    lanes: Vec<Lane>,
}

/// One document of a client.
struct Lane {
    document: DocumentId,
    /// Frames that are still to be sent, each list a push.
    pushes: VecDeque<Vec<u8>>,
    /// Changes of the push under way that are not told as accepted yet.
    waits: usize,
}

impl Load {
    /// Connects everybody, creates and opens the documents, and encodes all pushes.
    pub(super) async fn prepare(address: SocketAddr, shape: Shape) -> Result<Self> {
        let preparing: Vec<_> =
            (0..shape.clients).map(|number| tokio::spawn(Client::prepare(address, number, shape))).collect();
        let mut clients = Vec::new();
        for each in preparing {
            clients.push(each.await??);
        }
        Ok(Self { clients })
    }

    /// Sends everything; the time until the last change is acknowledged.
    pub(super) async fn run(self, shape: Shape) -> Result<Duration> {
        let started = Instant::now();
        let working: Vec<_> =
            self.clients.into_iter().map(|client| tokio::spawn(client.work(shape.changes))).collect();
        for each in working {
            each.await??;
        }
        Ok(started.elapsed())
    }
}

impl Client {
    async fn prepare(address: SocketAddr, number: usize, shape: Shape) -> Result<Self> {
        let mut socket = Socket::connect(address).await?;
        let replica = ReplicaId(1 + number as u128);
        let hello =
            Hello { versions: vec![PROTOCOL_VERSION], replica, workspace: None, token: None, agent: None };
        socket.send(&Message::Hello(hello)).await?;
        let documents: Vec<_> = (0..shape.documents)
            .map(|each| DocumentId::new(&name(number, each)))
            .collect::<Result<_, _>>()?;
        for document in &documents {
            socket.send(&creation(document, replica)?).await?;
            socket.send(&opening(document)).await?;
        }
        let mut missing: BTreeSet<_> = documents.iter().cloned().collect();
        while !missing.is_empty() {
            match socket.receive().await? {
                Message::Snapshot(snapshot) if snapshot.revision == Revision(1) => {
                    missing.remove(&snapshot.document);
                }
                Message::Update(update) if update.first == Revision(1) && update.entries.len() == 1 => {
                    missing.remove(&update.document);
                }
                Message::Welcome(_)
                | Message::Snapshot(_)
                | Message::Update(_)
                | Message::Outcomes { .. } => {}
                other => bail!("the server said {other:?}"),
            }
        }
        let lanes = documents.into_iter().map(|document| Lane::new(document, replica, shape));
        let lanes = lanes.collect::<Result<_>>()?;
        Ok(Self { socket, lanes })
    }

    async fn work(mut self, changes: usize) -> Result<()> {
        let mut waiting = 0;
        let mut out = Vec::new();
        for lane in &mut self.lanes {
            waiting += usize::from(lane.begin(changes, &mut out));
        }
        while waiting > 0 {
            if !out.is_empty() {
                self.socket.write(&out).await?;
                out.clear();
            }
            self.socket.read().await?;
            while let Some(payload) = self.socket.next_message()? {
                let Some((document, accepted)) = accepted(payload)? else { continue };
                let lane = self.lanes.iter_mut().find(|lane| lane.document.as_str().as_bytes() == document);
                let lane = lane.context("told of a document that was not opened")?;
                lane.waits = lane.waits.checked_sub(accepted).context("more was accepted than sent")?;
                if lane.waits == 0 {
                    waiting -= usize::from(!lane.begin(changes, &mut out));
                }
            }
        }
        Ok(())
    }
}

impl Lane {
    fn new(document: DocumentId, replica: ReplicaId, shape: Shape) -> Result<Self> {
        let encoded = |number: usize| {
            let edits = edits(replica, number * shape.changes, shape.changes)?;
            Ok(frames_of(encode_message(&push(&document, edits), Encoding::Binary)))
        };
        let pushes = (0..shape.pushes).map(encoded).collect::<Result<_>>()?;
        Ok(Self { document, pushes, waits: 0 })
    }

    /// Adds the next push to what is written; false when there is none.
    fn begin(&mut self, changes: usize, out: &mut Vec<u8>) -> bool {
        let Some(push) = self.pushes.pop_front() else { return false };
        out.extend_from_slice(&push);
        self.waits = changes;
        true
    }
}

fn creation(document: &DocumentId, replica: ReplicaId) -> Result<Message> {
    let create = Body::Create { header: Header::default(), content: sample::count()? };
    let change = change(replica, 1, Revision(0), 1, create);
    Ok(push(document, vec![PushedChange { change, seen: Some(Json::Null.content_hash()) }]))
}

fn opening(document: &DocumentId) -> Message {
    let have = Have { revision: Revision(0), chain: ChainHash::default() };
    let document = OpenDocument { document: document.clone(), have, pending: Vec::new() };
    Message::Open { documents: vec![document] }
}

fn push(document: &DocumentId, changes: Vec<PushedChange>) -> Message {
    Message::Push { pushes: vec![DocumentPush { document: document.clone(), changes, author: None }] }
}

/// Edits that count on from `done`, made one after the other on the revision that those before led to.
fn edits(replica: ReplicaId, done: usize, count: usize) -> Result<Vec<PushedChange>> {
    let path = PointerBuf::parse("/count")?;
    // The creation was the first change and the first revision.
    let (base, over) = (Revision(1 + done as u64), 2 + done as u64);
    let seen = Json::parse(&format!(r#"{{"count":{done}}}"#), &rejoin_json::Limits::default())?;
    let edit = |number: usize| {
        let value = u32::try_from(done + number + 1)?.into();
        let patch = Patch(vec![Operation::Replace { path: path.clone(), value }]);
        let body = Body::Edit { patch, settles: Vec::new(), undoes: None };
        let change = change(replica, over + number as u64, base, over, body);
        Ok(PushedChange { change, seen: (number == 0).then(|| seen.content_hash()) })
    };
    (0..count).map(edit).collect()
}

fn change(replica: ReplicaId, counter: u64, base: Revision, over: u64, body: Body) -> Change {
    let time = UnixMillis(1_736_525_432_000);
    Change { replica, counter: Counter(counter), base, over: Counter(over), time, body }
}

/// Of an update: its document, and how many revisions it tells. Nobody else edits, so they are the client's own.
fn accepted(payload: &[u8]) -> Result<Option<(&[u8], usize)>> {
    /// Numbers of the messages in docs/protocol.md.
    const UPDATE: u8 = 64;
    const PING: u8 = 3;
    /// In front of the entries.
    const HASH_BYTES: usize = 32;
    match payload {
        [UPDATE, rest @ ..] => {
            let (length, rest) = varint(rest)?;
            let (document, rest) = rest.split_at_checked(length).context("an update ends early")?;
            let (_, rest) = varint(rest)?;
            let (_, rest) = rest.split_at_checked(HASH_BYTES).context("an update ends early")?;
            Ok(Some((document, varint(rest)?.0)))
        }
        // The run is shorter than the patience of the server.
        [PING, ..] => Ok(None),
        _ => {
            let message = rejoin_wire::decode_message(payload, Encoding::Binary)?;
            bail!("the server said {message:?}")
        }
    }
}

fn varint(bytes: &[u8]) -> Result<(usize, &[u8])> {
    let end = bytes.iter().position(|byte| byte & 0x80 == 0).context("a number ends early")?;
    ensure!(end < 8, "a number is too long");
    let value = bytes[..=end].iter().rev().fold(0, |value, byte| value << 7 | usize::from(byte & 0x7f));
    Ok((value, &bytes[end + 1..]))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use rejoin_wire::{ChangeHash, ChangeId, Effect, Entry, Sequence, Update};

    use super::*;

    #[test]
    fn revisions_of_an_update_are_counted_without_reading_them() {
        let entry = Entry {
            sequence: Sequence(300),
            change: ChangeId { replica: ReplicaId(1), counter: Counter(200) },
            hash: ChangeHash([7; 32]),
            author: "ada".into(),
            time: UnixMillis(0),
            effect: Effect::Own,
            conflicts: Vec::new(),
            settled: Vec::new(),
        };
        let update = Update {
            document: DocumentId::new("count-1-2").unwrap(),
            first: Revision(1_000),
            previous: ChainHash([9; 32]),
            entries: vec![entry; 200],
            position: None,
        };
        let bytes = encode_message(&Message::Update(update), Encoding::Binary);
        assert_eq!(accepted(&bytes).unwrap(), Some((&b"count-1-2"[..], 200)));
        assert!(accepted(&bytes[..20]).is_err());
    }
}
