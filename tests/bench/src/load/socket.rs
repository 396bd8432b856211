//! A WebSocket of the generator, as thin as it can be: blocking while a link is prepared, then one of many that are polled.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

/// Opcodes of RFC 6455 5.2.
const TEXT: u8 = 1;
const BINARY: u8 = 2;
const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;
/// The last fragment of a message.
const LAST: u8 = 0x80;
/// A client's frames are masked; any four bytes do as well as others.
const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];
/// How long an answer may take while a link is prepared.
const PATIENCE: Duration = Duration::from_secs(60);
/// Bytes that are read at once at most.
pub(crate) const READ_BYTES: usize = 256 * 1024;

/// What a frame holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Text,
    Binary,
}

/// One link's socket.
pub(crate) struct Socket {
    pub(crate) stream: TcpStream,
    /// Received and not yet taken.
    inbox: Vec<u8>,
    taken: usize,
    /// What the kernel had no room for.
    outbox: Vec<u8>,
}

/// What came of a read.
pub(crate) enum Got {
    Bytes(usize),
    Nothing,
}

impl Socket {
    /// Connects and upgrades.
    pub(crate) fn connect(address: SocketAddr, path: &str, subprotocol: Option<&str>) -> Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let mut socket = Self { stream, inbox: Vec::new(), taken: 0, outbox: Vec::new() };
        let subprotocol =
            subprotocol.map_or_else(String::new, |name| format!("Sec-WebSocket-Protocol: {name}\r\n"));
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{subprotocol}\r\n"
        );
        socket.stream.write_all(request.as_bytes())?;
        let end = loop {
            if let Some(at) = socket.inbox.windows(4).position(|window| window == b"\r\n\r\n") {
                break at + 4;
            }
            socket.wait()?;
        };
        ensure!(socket.inbox.starts_with(b"HTTP/1.1 101 "), "the server does not upgrade");
        socket.taken = end;
        Ok(socket)
    }

    /// Sends a frame; waits until it is with the kernel.
    pub(crate) fn send(&mut self, kind: Kind, payload: &[u8]) -> Result<()> {
        let mut out = Vec::new();
        frame(kind, payload, &mut out);
        Ok(self.stream.write_all(&out)?)
    }

    /// Waits for a frame and hands out its payload.
    pub(crate) fn receive(&mut self) -> Result<Vec<u8>> {
        loop {
            if let Some(payload) = self.next_frame()? {
                return Ok(payload.to_vec());
            }
            self.wait()?;
        }
    }

    fn wait(&mut self) -> Result<()> {
        let mut buffer = [0; 16 * 1024];
        let read = self.stream.read(&mut buffer).context("no answer came")?;
        ensure!(read > 0, "the server has closed the connection");
        self.keep(&buffer[..read]);
        Ok(())
    }

    fn keep(&mut self, bytes: &[u8]) {
        self.inbox.drain(..self.taken);
        self.taken = 0;
        self.inbox.extend_from_slice(bytes);
    }

    /// Reads what is there, where nobody waits for more.
    pub(crate) fn read(&mut self, buffer: &mut [u8]) -> Result<Got> {
        match self.stream.read(buffer) {
            Ok(0) => bail!("the server has closed the connection"),
            Ok(read) => {
                self.keep(&buffer[..read]);
                Ok(Got::Bytes(read))
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(Got::Nothing),
            Err(error) => Err(error.into()),
        }
    }

    /// The payload of the next frame that is there as a whole; pings are answered.
    pub(crate) fn next_frame(&mut self) -> Result<Option<&[u8]>> {
        loop {
            let rest = &self.inbox[self.taken..];
            let Some((opcode, header, length)) = header(rest)? else { return Ok(None) };
            if rest.len() < header + length {
                return Ok(None);
            }
            let start = self.taken + header;
            self.taken = start + length;
            match opcode {
                // 0 goes on with a message in fragments: what is looked for stands in one of them.
                0 | TEXT | BINARY => return Ok(Some(&self.inbox[start..start + length])),
                PING => {
                    let payload = self.inbox[start..start + length].to_vec();
                    let mut out = Vec::new();
                    frame_of(LAST | PONG, &payload, &mut out);
                    self.write(&out)?;
                }
                PONG => {}
                CLOSE => {
                    let reason = self.inbox.get(start + 2..start + length).unwrap_or_default();
                    bail!("the server closed: {}", String::from_utf8_lossy(reason));
                }
                _ => bail!("a frame has the opcode {opcode}"),
            }
        }
    }

    /// Writes what the kernel takes and keeps the rest for [`Self::flush`].
    pub(crate) fn write(&mut self, frames: &[u8]) -> Result<()> {
        self.outbox.extend_from_slice(frames);
        self.flush()
    }

    /// Writes what was kept; false while something is left.
    pub(crate) fn flush(&mut self) -> Result<()> {
        while !self.outbox.is_empty() {
            match self.stream.write(&self.outbox) {
                Ok(written) => {
                    self.outbox.drain(..written);
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
}

/// Adds a frame as a client writes it.
pub(crate) fn frame(kind: Kind, payload: &[u8], out: &mut Vec<u8>) {
    let opcode = match kind {
        Kind::Text => TEXT,
        Kind::Binary => BINARY,
    };
    frame_of(LAST | opcode, payload, out);
}

fn frame_of(first: u8, payload: &[u8], out: &mut Vec<u8>) {
    out.push(first);
    match (u8::try_from(payload.len()), u16::try_from(payload.len())) {
        (Ok(length @ ..126), _) => out.push(0x80 | length),
        (_, Ok(length)) => {
            out.push(0x80 | 126);
            out.extend(length.to_be_bytes());
        }
        _ => {
            out.push(0x80 | 127);
            out.extend((payload.len() as u64).to_be_bytes());
        }
    }
    out.extend(MASK);
    out.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
}

/// Of a server's frame: its opcode, the bytes of its header, and those of its payload.
pub(crate) fn header(bytes: &[u8]) -> Result<Option<(u8, usize, usize)>> {
    let [first, second, rest @ ..] = bytes else { return Ok(None) };
    ensure!(first & 0x70 == 0, "a frame uses an extension that nobody asked for");
    let opcode = first & 0x0f;
    Ok(match (second, rest) {
        (126, [a, b, ..]) => Some((opcode, 4, u16::from_be_bytes([*a, *b]).into())),
        (127, [a, b, c, d, e, f, g, h, ..]) => {
            Some((opcode, 10, usize::try_from(u64::from_be_bytes([*a, *b, *c, *d, *e, *f, *g, *h]))?))
        }
        (126 | 127, _) => None,
        (length, _) => Some((opcode, 2, usize::from(*length))),
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_read_at_each_length() {
        assert_eq!(header(&[0x82, 125]).unwrap(), Some((BINARY, 2, 125)));
        assert_eq!(header(&[0x81, 126, 1, 0]).unwrap(), Some((TEXT, 4, 256)));
        assert_eq!(header(&[0x82, 127, 0, 0, 0, 0, 0, 1, 0, 0]).unwrap(), Some((BINARY, 10, 65_536)));
        assert_eq!(header(&[0x82, 126, 1]).unwrap(), None);
        assert!(header(&[0xc2, 1]).is_err(), "compressed");
    }

    #[test]
    fn frames_of_a_client_are_masked() {
        let mut out = Vec::new();
        frame(Kind::Text, b"ab", &mut out);
        assert_eq!(out, [0x81, 0x82, MASK[0], MASK[1], MASK[2], MASK[3], b'a' ^ MASK[0], b'b' ^ MASK[1]]);
        for (length, header) in [(125, 6), (126, 8), (65_535, 8), (65_536, 14)] {
            out.clear();
            frame(Kind::Binary, &vec![0; length], &mut out);
            assert_eq!(out.len(), header + length);
        }
    }
}
