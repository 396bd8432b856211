//! A server on a port of its own, and a client that is not ours.

use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use futures_util::{SinkExt, StreamExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

/// Far more than anything here takes; a test that waits so long has failed.
const PATIENCE: Duration = Duration::from_secs(60);

pub async fn serve(router: Router) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(rejoin_mock::serve(listener, router));
    address
}

pub struct Client(pub WebSocketStream<MaybeTlsStream<TcpStream>>);

impl Client {
    pub async fn connect(address: SocketAddr) -> Self {
        Self::open(&format!("ws://{address}/ws")).await
    }

    pub async fn open(url: &str) -> Self {
        Self(connect_async(url).await.unwrap().0)
    }

    pub async fn send(&mut self, message: Message) {
        self.0.send(message).await.unwrap();
    }

    pub async fn say(&mut self, text: &str) {
        self.send(Message::text(text)).await;
    }

    pub async fn next(&mut self) -> Option<Result<Message, Error>> {
        tokio::time::timeout(PATIENCE, self.0.next()).await.unwrap()
    }

    pub async fn hear(&mut self) -> Message {
        self.next().await.unwrap().unwrap()
    }

    pub async fn hear_text(&mut self) -> String {
        match self.hear().await {
            Message::Text(text) => text.to_string(),
            other => panic!("no text: {other:?}"),
        }
    }

    /// The code and reason of the closing that comes next, with what came before it.
    pub async fn rest(&mut self) -> (Vec<Message>, Option<(u16, String)>) {
        let mut before = Vec::new();
        loop {
            match self.next().await {
                Some(Ok(Message::Close(close))) => {
                    let close = close.map(|it| (u16::from(it.code), it.reason.to_string()));
                    while let Some(Ok(_)) = self.next().await {}
                    return (before, close);
                }
                Some(Ok(message)) => before.push(message),
                Some(Err(error)) => panic!("{error}"),
                None => panic!("it was not closed"),
            }
        }
    }

    pub async fn closing(&mut self) -> (u16, String) {
        let (before, close) = self.rest().await;
        assert_eq!(before, []);
        close.unwrap()
    }

    pub async fn close(&mut self, code: u16, reason: &str) {
        let frame = CloseFrame { code: CloseCode::from(code), reason: reason.to_owned().into() };
        self.0.close(Some(frame)).await.unwrap();
    }
}
