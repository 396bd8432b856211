//! One socket of a client.

use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;

use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade};
use axum::extract::{Path, Query, State};
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use rejoin_rooms::limits::MAX_MESSAGE_BYTES;
use rejoin_rooms::{ClientIdLike, Connection, PresenceLike, Refusal, Right, RoomIdLike, StorageLike};
use rejoin_wire::CloseCode;
use serde::Deserialize;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use crate::Rooms;
use crate::actor::{Decide, Input, Outgoing, SOCKET_QUEUE};
use crate::rest::Refused;

#[derive(Deserialize)]
pub(crate) struct Who {
    client_id: Option<String>,
}

pub(crate) async fn upgrade<R, C, P, S>(
    State(rooms): State<Rooms<R, C, P, S>>,
    Path(room): Path<String>,
    Query(who): Query<Who>,
    upgrade: WebSocketUpgrade,
    parts: Parts,
) -> Response
where
    R: RoomIdLike + Send + Sync + 'static,
    C: ClientIdLike + Send + 'static,
    P: PresenceLike + Send + 'static,
    S: StorageLike + Send + 'static,
    S::Change: Send + 'static,
    S::Operation: Send + 'static,
{
    let entered = R::read(&room).and_then(|room| {
        let right = (rooms.admit)(&parts, &room)?;
        let client = (rooms.identify)(who.client_id.as_deref())?;
        Ok((room, right, client))
    });
    let (room, right, client) = match entered {
        Ok(entered) => entered,
        Err(refusal) => return Refused(refusal).into_response(),
    };
    // Where the client may move to is decided by what it showed when it came.
    let admit = Arc::clone(&rooms.admit);
    let decide: Decide<R> = Arc::new(move |room: &R| (admit)(&parts, room));
    upgrade
        .max_message_size(MAX_MESSAGE_BYTES)
        .max_frame_size(MAX_MESSAGE_BYTES)
        .on_upgrade(move |socket| serve(socket, rooms, client, room, right, decide))
}

async fn serve<R, C, P, S: StorageLike>(
    socket: WebSocket,
    rooms: Rooms<R, C, P, S>,
    client: C,
    room: R,
    right: Right,
    decide: Decide<R>,
) {
    let (sink, stream) = socket.split();
    let (queue, outgoing) = mpsc::channel(SOCKET_QUEUE);
    let (gone, given_up) = oneshot::channel();
    let (reply, connected) = oneshot::channel();
    let connect = Input::Connect { client, room, right, decide, queue, gone, reply };
    let mut sink = sink;
    if rooms.inputs.send(connect).await.is_err() {
        return close(&mut sink, CloseCode::Restart, "the rooms are closed: connect again").await;
    }
    let connection = match connected.await {
        Ok(Ok(connection)) => connection,
        Ok(Err(error)) => {
            let refusal = Refusal::from(error);
            return close(&mut sink, CloseCode::Unavailable, &refusal.message).await;
        }
        Err(_) => return close(&mut sink, CloseCode::Restart, "the rooms are closed: connect again").await,
    };
    let inputs = rooms.inputs.clone();
    drop(rooms);
    {
        let mut reading = pin!(read(stream, &inputs, connection));
        tokio::select! {
            () = &mut reading => {}
            () = write(sink, outgoing, given_up, &inputs, connection) => {
                // A socket that ends with something unread is reset, and takes the close code with it.
                let _ = timeout(CLOSE_PATIENCE, reading).await;
            }
        }
    }
    let _ = inputs.send(Input::Closed(connection)).await;
}

async fn read<R, C, P, S: StorageLike>(
    mut stream: SplitStream<WebSocket>,
    inputs: &mpsc::Sender<Input<R, C, P, S>>,
    connection: Connection,
) {
    while let Some(Ok(message)) = stream.next().await {
        let input = match message {
            Message::Text(text) => Input::Received(connection, text.as_str().to_owned()),
            Message::Close(_) => return,
            Message::Binary(_) | Message::Ping(_) | Message::Pong(_) => Input::Heard(connection),
        };
        if inputs.send(input).await.is_err() {
            return;
        }
    }
}

/// Gives the socket one message after the other. One that takes none is declared dead by the rooms.
async fn write<R, C, P, S: StorageLike>(
    mut sink: SplitSink<WebSocket, Message>,
    mut outgoing: mpsc::Receiver<Outgoing>,
    given_up: oneshot::Receiver<Infallible>,
    inputs: &mpsc::Sender<Input<R, C, P, S>>,
    connection: Connection,
) {
    let mut late = pin!(async {
        let _ = given_up.await;
        tokio::time::sleep(CLOSE_PATIENCE).await;
    });
    while let Some(next) = outgoing.recv().await {
        match next {
            Outgoing::Text(text) => {
                let sent = tokio::select! {
                    biased;
                    sent = sink.send(Message::Text(text.as_ref().into())) => sent.is_ok(),
                    () = &mut late => false,
                };
                if !sent || inputs.send(Input::Taken(connection)).await.is_err() {
                    return;
                }
            }
            Outgoing::Close(code, reason) => return close(&mut sink, code, reason).await,
        }
    }
}

async fn close(sink: &mut SplitSink<WebSocket, Message>, code: CloseCode, reason: &str) {
    let frame = CloseFrame { code: code.number(), reason: reason.to_owned().into() };
    let _ = timeout(CLOSE_PATIENCE, sink.send(Message::Close(Some(frame)))).await;
}

/// Time for the last frame to be written.
const CLOSE_PATIENCE: std::time::Duration = std::time::Duration::from_secs(5);
