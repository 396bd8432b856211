//! The ceiling of servers of Yjs clients: axum and yrs, with the WebSocket library, the buffers and the allocator of Rejoin's server.
//!
//! It applies each update to the room's document and hands the frame to everybody in the room, its author too, as `y-websocket` does. It checks and
//! stores nothing: an update that yrs cannot take ends the process.

#![allow(clippy::print_stdout, reason = "it says where it listens")]

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::extract::{Path, State};
use axum::response::Response;
use axum::routing::get;
use bytes::Bytes;
use futures_util::SinkExt;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use yrs::updates::decoder::Decode;
use yrs::updates::encoder::Encode;
use yrs::{Doc, ReadTxn, StateVector, Transact, Update};

/// Rejoin's server allocates with it, too.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The buffers of Rejoin's sockets.
const READ_BUFFER_BYTES: usize = 2 * 1024;
const WRITE_BUFFER_BYTES: usize = 4 * 1024;

/// Frames that wait for one socket.
const QUEUE: usize = 4_096;

/// Frames that are written together.
const BATCH: usize = 256;

#[derive(Default)]
struct Room {
    doc: Doc,
    members: Vec<(u64, mpsc::Sender<Bytes>)>,
    /// What each member says of itself.
    awareness: BTreeMap<u64, Bytes>,
    next: u64,
}

type Rooms = Arc<Mutex<BTreeMap<String, Arc<Mutex<Room>>>>>;

fn main() -> std::io::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        use axum::serve::ListenerExt;
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        println!("listening on http://{}", listener.local_addr()?);
        std::io::stdout().flush()?;
        let router = Router::new().route("/{room}", get(open)).with_state(Rooms::default());
        let listener = listener.tap_io(|stream| {
            let _ = stream.set_nodelay(true);
        });
        axum::serve(listener, router).await
    })
}

async fn open(upgrade: WebSocketUpgrade, Path(room): Path<String>, State(rooms): State<Rooms>) -> Response {
    let room = {
        let mut rooms = rooms.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(rooms.entry(room).or_default())
    };
    upgrade
        .read_buffer_size(READ_BUFFER_BYTES)
        .write_buffer_size(WRITE_BUFFER_BYTES)
        .on_upgrade(move |socket| converse(socket, room))
}

async fn converse(mut socket: WebSocket, room: Arc<Mutex<Room>>) {
    let (sender, mut queue) = mpsc::channel(QUEUE);
    let own = {
        let mut room = room.lock().unwrap_or_else(PoisonError::into_inner);
        room.next += 1;
        let own = room.next;
        let state_vector = room.doc.transact().state_vector().encode_v1();
        let _ = sender.try_send(sync(0, &state_vector));
        for said in room.awareness.values() {
            let _ = sender.try_send(said.clone());
        }
        room.members.push((own, sender.clone()));
        own
    };
    let mut batch = Vec::with_capacity(BATCH);
    loop {
        tokio::select! {
            biased;
            taken = queue.recv_many(&mut batch, BATCH) => {
                let mut written = taken > 0;
                for frame in batch.drain(..) {
                    written = written && socket.feed(Message::Binary(frame)).await.is_ok();
                }
                if !written || socket.flush().await.is_err() {
                    break;
                }
            }
            received = socket.recv() => match received {
                Some(Ok(Message::Binary(frame))) => {
                    if let Some(answer) = take(&room, own, &frame) {
                        let _ = sender.try_send(answer);
                    }
                }
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                _ => break,
            },
        }
    }
    let mut room = room.lock().unwrap_or_else(PoisonError::into_inner);
    room.members.retain(|(member, _)| *member != own);
    room.awareness.remove(&own);
}

/// Takes a frame and hands it on; returns what its sender is answered.
fn take(room: &Mutex<Room>, own: u64, frame: &Bytes) -> Option<Bytes> {
    let mut room = room.lock().unwrap_or_else(PoisonError::into_inner);
    match frame.get(..2)? {
        [0, 0] => {
            let have = StateVector::decode_v1(body(frame, 2)?).ok()?;
            return Some(sync(1, &room.doc.transact().encode_state_as_update_v1(&have)));
        }
        [0, 1 | 2] => {
            let update = body(frame, 2)?;
            // Whoever has nothing to tell says so.
            if update == [0, 0] {
                return None;
            }
            room.doc.transact_mut().apply_update(Update::decode_v1(update).ok()?).ok()?;
        }
        [1, _] => {
            room.awareness.insert(own, frame.clone());
        }
        _ => return None,
    }
    // Whoever reads too slowly loses frames, which a benchmark would notice.
    for (_, queue) in &room.members {
        let _ = queue.try_send(frame.clone());
    }
    None
}

/// What stands behind the kinds, by its length.
fn body(frame: &[u8], kinds: usize) -> Option<&[u8]> {
    let (mut at, mut length, mut shift) = (kinds, 0, 0);
    loop {
        let byte = *frame.get(at)?;
        length |= usize::from(byte & 0x7f) << shift;
        (at, shift) = (at + 1, shift + 7);
        if byte < 0x80 {
            return frame.get(at..at + length);
        }
    }
}

fn sync(kind: u8, body: &[u8]) -> Bytes {
    let mut frame = vec![0, kind];
    let mut length = body.len();
    loop {
        let [low, ..] = (length & 0x7f).to_le_bytes();
        length >>= 7;
        frame.push(if length > 0 { low | 0x80 } else { low });
        if length == 0 {
            break;
        }
    }
    frame.extend_from_slice(body);
    frame.into()
}
