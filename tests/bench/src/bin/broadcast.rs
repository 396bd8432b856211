//! The ceiling of the benchmarks: each frame goes to the others of its room, over the same WebSocket library with the
//! same buffers as Rejoin's server has, and nothing is decoded, decided or stored.
//!
//! A frame of more than 64 KiB is kept and given to whoever joins, and its sender is answered.

#![allow(clippy::print_stdout, reason = "it says where it listens")]

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::extract::{Path, State};
use axum::response::Response;
use axum::routing::get;
use futures_util::SinkExt;
use tokio::net::TcpListener;
use tokio::sync::mpsc;

/// Rejoin's server allocates with it, too.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The buffers of Rejoin's sockets.
const READ_BUFFER_BYTES: usize = 2 * 1024;
const WRITE_BUFFER_BYTES: usize = 4 * 1024;

/// Larger frames are documents.
const KEPT_BYTES: usize = 64 * 1024;

/// Frames that wait for one socket.
const QUEUE: usize = 4_096;

/// Frames that are written together.
const BATCH: usize = 256;

#[derive(Default)]
struct Room {
    kept: Option<Message>,
    members: Vec<(u64, mpsc::Sender<Message>)>,
    next: u64,
}

type Rooms = Arc<Mutex<BTreeMap<u32, Arc<Mutex<Room>>>>>;

fn main() -> std::io::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        println!("listening on http://{}", listener.local_addr()?);
        std::io::stdout().flush()?;
        let router = Router::new().route("/room/{room}", get(open)).with_state(Rooms::default());
        axum::serve(tcp_nodelay(listener), router).await
    })
}

/// Frames leave at once, as those of the others do.
fn tcp_nodelay(listener: TcpListener) -> impl axum::serve::Listener<Addr = std::net::SocketAddr> {
    use axum::serve::ListenerExt;
    listener.tap_io(|stream| {
        let _ = stream.set_nodelay(true);
    })
}

async fn open(upgrade: WebSocketUpgrade, Path(room): Path<u32>, State(rooms): State<Rooms>) -> Response {
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
    let (own, kept) = {
        let mut room = room.lock().unwrap_or_else(PoisonError::into_inner);
        room.next += 1;
        let own = room.next;
        room.members.push((own, sender));
        (own, room.kept.clone())
    };
    if let Some(kept) = kept {
        let _ = socket.send(kept).await;
    }
    let mut batch = Vec::with_capacity(BATCH);
    loop {
        tokio::select! {
            biased;
            taken = queue.recv_many(&mut batch, BATCH) => {
                let mut written = taken > 0;
                for message in batch.drain(..) {
                    written = written && socket.feed(message).await.is_ok();
                }
                if !written || socket.flush().await.is_err() {
                    break;
                }
            }
            received = socket.recv() => match received {
                Some(Ok(message @ (Message::Binary(_) | Message::Text(_)))) => {
                    let is_kept = message_len(&message) > KEPT_BYTES;
                    take(&room, own, message);
                    if is_kept && socket.send(Message::Text("kept".into())).await.is_err() {
                        break;
                    }
                }
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                _ => break,
            },
        }
    }
    room.lock().unwrap_or_else(PoisonError::into_inner).members.retain(|(member, _)| *member != own);
}

fn message_len(message: &Message) -> usize {
    match message {
        Message::Binary(bytes) => bytes.len(),
        Message::Text(text) => text.len(),
        _ => 0,
    }
}

/// Keeps a document; hands anything else to the others. Whoever reads too slowly loses frames, which a benchmark would notice.
fn take(room: &Mutex<Room>, own: u64, message: Message) {
    let mut room = room.lock().unwrap_or_else(PoisonError::into_inner);
    if message_len(&message) > KEPT_BYTES {
        room.kept = Some(message);
        return;
    }
    for (member, queue) in &room.members {
        if *member != own {
            let _ = queue.try_send(message.clone());
        }
    }
}
