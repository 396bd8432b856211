//! Links of the native door without a replica: as many as a machine can hold, and as lazy as a test wants them.

use std::net::SocketAddr;

use anyhow::{Result, bail};
use futures_util::{SinkExt, StreamExt};
use rejoin_wire::limits::{MAX_FRAME_BYTES, MAX_MESSAGE_BYTES};
use rejoin_wire::{
    Assembler, Encoding, Frame, Hello, Message, PROTOCOL_VERSION, ReplicaId, SUBPROTOCOL_BINARY,
    decode_message, encode_message, frames,
};
use tokio::net::{TcpSocket, TcpStream};
use tokio_tungstenite::tungstenite::Message as Payload;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

use crate::load::{url, within};

/// What this side keeps for a socket, in bytes: thousands of them are in one process.
const BUFFER_BYTES: usize = 1_024;

/// The server has closed a link, with this code; 0 where none came.
#[derive(Debug)]
pub(crate) struct Closed(u16);

impl std::fmt::Display for Closed {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "the server closed the link with {}", self.0)
    }
}

impl std::error::Error for Closed {}

pub(crate) struct Raw {
    socket: WebSocketStream<TcpStream>,
    assembler: Assembler,
}

impl Raw {
    /// A link that was welcomed. `receive_buffer` is how many bytes the kernel takes for a peer that does not read.
    pub(crate) async fn open(
        address: SocketAddr,
        replica: u128,
        receive_buffer: Option<u32>,
    ) -> Result<Self> {
        let socket = TcpSocket::new_v4()?;
        if let Some(bytes) = receive_buffer {
            socket.set_recv_buffer_size(bytes)?;
        }
        let stream = within("a connection", socket.connect(address)).await??;
        let mut request = url(address).into_client_request()?;
        request.headers_mut().insert("sec-websocket-protocol", SUBPROTOCOL_BINARY.parse()?);
        let config = WebSocketConfig::default().read_buffer_size(BUFFER_BYTES).write_buffer_size(0);
        let upgrade = client_async_with_config(request, stream, Some(config));
        let (socket, _) = within("an upgrade", upgrade).await??;
        let mut raw = Self { socket, assembler: Assembler::new(Encoding::Binary, MAX_MESSAGE_BYTES) };
        let hello = Hello {
            versions: vec![PROTOCOL_VERSION],
            replica: ReplicaId(replica),
            workspace: None,
            token: None,
            agent: None,
        };
        raw.send(&Message::Hello(hello)).await?;
        match raw.next().await? {
            Message::Welcome(_) => Ok(raw),
            other => bail!("the server begins with {other:?}"),
        }
    }

    pub(crate) async fn send(&mut self, message: &Message) -> Result<()> {
        for frame in frames(encode_message(message, Encoding::Binary), Encoding::Binary, MAX_FRAME_BYTES) {
            let Frame::Binary(bytes) = frame else { bail!("a binary message in a text frame") };
            within("room for a frame", self.socket.send(Payload::Binary(bytes))).await??;
        }
        Ok(())
    }

    /// The next message; [`Closed`] when the server has closed the link.
    pub(crate) async fn next(&mut self) -> Result<Message> {
        loop {
            let bytes = match within("a message", self.socket.next()).await? {
                Some(Ok(Payload::Binary(bytes))) => bytes,
                Some(Ok(Payload::Close(frame))) => {
                    return Err(Closed(frame.map_or(0, |frame| frame.code.into())).into());
                }
                Some(Ok(_)) => continue,
                // Whoever reads too late finds the connection reset.
                None | Some(Err(_)) => return Err(Closed(0).into()),
            };
            if let Some(message) = self.assembler.push(Frame::Binary(bytes))? {
                return Ok(decode_message(&message, Encoding::Binary)?);
            }
        }
    }
}
