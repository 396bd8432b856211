//! The ceiling of an echo: axum's WebSocket, with its usual buffers, that sends back each message and does nothing else.

#![allow(clippy::print_stdout, reason = "it says where it listens")]

use std::io::Write;

use axum::Router;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::response::Response;
use axum::routing::any;
use axum::serve::ListenerExt;
use futures_util::{FutureExt, SinkExt};
use tokio::net::TcpListener;

/// Rejoin's commands allocate with it, too.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::io::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        println!("listening on http://{}", listener.local_addr()?);
        std::io::stdout().flush()?;
        let listener = listener.tap_io(|stream| {
            let _ = stream.set_nodelay(true);
        });
        axum::serve(listener, Router::new().route("/ws", any(open))).await
    })
}

async fn open(upgrade: WebSocketUpgrade) -> Response {
    upgrade.on_upgrade(echo)
}

/// What is there is answered together.
async fn echo(mut socket: WebSocket) {
    while let Some(Ok(mut message)) = socket.recv().await {
        loop {
            if let Message::Text(_) | Message::Binary(_) = message
                && socket.feed(message).await.is_err()
            {
                return;
            }
            match socket.recv().now_or_never() {
                Some(Some(Ok(next))) => message = next,
                Some(_) => return,
                None => break,
            }
        }
        if socket.flush().await.is_err() {
            return;
        }
    }
}
