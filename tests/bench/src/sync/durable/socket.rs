//! A WebSocket as thin as it can be: frames in and out of one buffer.

use std::net::SocketAddr;

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use rejoin_wire::limits::MAX_FRAME_BYTES;
use rejoin_wire::{Encoding, Message, SUBPROTOCOL_BINARY, decode_message, encode_message, frames};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::load::{Kind, READ_BYTES, frame, header};

/// First byte of a frame that is a whole binary message (RFC 6455 5.2).
const BINARY: u8 = 0x82;
/// First byte of the payload of a frame that holds a whole message of the protocol.
const WHOLE: u8 = 0;

pub(super) struct Socket {
    stream: TcpStream,
    buffer: Vec<u8>,
    /// Bytes of the buffer that are taken.
    taken: usize,
}

impl Socket {
    /// Connects and upgrades.
    pub(super) async fn connect(address: SocketAddr) -> Result<Self> {
        let mut stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let request = format!(
            "GET /ws HTTP/1.1\r\nHost: {address}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
             Sec-WebSocket-Protocol: {SUBPROTOCOL_BINARY}\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).await?;
        let mut socket = Self { stream, buffer: Vec::new(), taken: 0 };
        let end = loop {
            socket.read().await?;
            if let Some(at) = socket.buffer.windows(4).position(|window| window == b"\r\n\r\n") {
                break at + 4;
            }
        };
        ensure!(socket.buffer.starts_with(b"HTTP/1.1 101 "), "the server does not upgrade");
        socket.taken = end;
        Ok(socket)
    }

    /// Sends a message.
    pub(super) async fn send(&mut self, message: &Message) -> Result<()> {
        self.write(&frames_of(encode_message(message, Encoding::Binary))).await
    }

    /// Waits for a message.
    pub(super) async fn receive(&mut self) -> Result<Message> {
        loop {
            if let Some(payload) = self.next_message()? {
                return Ok(decode_message(payload, Encoding::Binary)?);
            }
            self.read().await?;
        }
    }

    /// Writes frames as they are.
    pub(super) async fn write(&mut self, frames: &[u8]) -> Result<()> {
        Ok(self.stream.write_all(frames).await?)
    }

    /// Waits for more bytes.
    pub(super) async fn read(&mut self) -> Result<()> {
        self.buffer.drain(..self.taken);
        self.taken = 0;
        self.buffer.reserve(READ_BYTES);
        let read = self.stream.read_buf(&mut self.buffer).await?;
        ensure!(read > 0, "the server has closed the connection");
        Ok(())
    }

    /// The next message that is there as a whole.
    pub(super) fn next_message(&mut self) -> Result<Option<&[u8]>> {
        let rest = &self.buffer[self.taken..];
        let Some((_, header, length)) = header(rest)? else { return Ok(None) };
        ensure!(rest.first() == Some(&BINARY), "a frame is no binary message: {:#x?}", rest.first());
        let Some(frame) = rest.get(header..header + length) else { return Ok(None) };
        self.taken += header + length;
        let (first, message) = frame.split_first().context("a frame is empty")?;
        ensure!(*first == WHOLE, "a message comes in fragments");
        Ok(Some(message))
    }
}

/// The frames of an encoded message, as a client writes them.
pub(super) fn frames_of(message: Bytes) -> Vec<u8> {
    let mut out = Vec::new();
    for one in frames(message, Encoding::Binary, MAX_FRAME_BYTES) {
        frame(Kind::Binary, one.payload(), &mut out);
    }
    out
}
