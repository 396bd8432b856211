//! Clients of an echo, all on one thread, each with so many messages under way.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};

use super::PATH;
use crate::load::{Got, Kind, READ_BYTES, Socket, frame};
use crate::measure::Samples;

/// Events that are taken at a time.
const EVENTS: usize = 1_024;
/// Nothing has come for so long: something is lost.
const PATIENCE: Duration = Duration::from_secs(30);

/// What the clients say.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shape {
    pub(super) connections: usize,
    /// Messages of each that were sent and have not come back.
    pub(super) window: usize,
    pub(super) message_bytes: usize,
}

/// The clients, connected.
pub(super) struct Crowd {
    poll: Poll,
    events: Events,
    buffer: Vec<u8>,
    sockets: Vec<Socket>,
    shape: Shape,
    frame: Vec<u8>,
    echoes: u64,
}

impl Crowd {
    /// Connects everybody, and sends the first messages.
    pub(super) fn gather(address: SocketAddr, shape: Shape) -> Result<Self> {
        let mut message = Vec::new();
        frame(Kind::Binary, &vec![7; shape.message_bytes], &mut message);
        let mut crowd = Self {
            poll: Poll::new()?,
            events: Events::with_capacity(EVENTS),
            buffer: vec![0; READ_BYTES],
            sockets: idle(address, shape.connections)?,
            shape,
            frame: message,
            echoes: 0,
        };
        for (at, socket) in crowd.sockets.iter_mut().enumerate() {
            socket.stream.set_nonblocking(true)?;
            let interest = Interest::READABLE | Interest::WRITABLE;
            crowd.poll.registry().register(&mut SourceFd(&socket.stream.as_raw_fd()), Token(at), interest)?;
            socket.write(&crowd.frame.repeat(shape.window))?;
        }
        Ok(crowd)
    }

    /// Messages that have come back, whole.
    pub(super) fn echoes(&self) -> u64 {
        self.echoes
    }

    /// Everybody goes on for so long.
    pub(super) fn run(&mut self, time: Duration) -> Result<()> {
        let end = Instant::now() + time;
        let mut news = (self.echoes, Instant::now());
        while let Some(left) = end.checked_duration_since(Instant::now()) {
            self.turn(left.min(Duration::from_millis(10)))?;
            if self.echoes > news.0 {
                news = (self.echoes, Instant::now());
            }
            ensure!(news.1.elapsed() < PATIENCE, "nothing comes back");
        }
        Ok(())
    }

    fn turn(&mut self, patience: Duration) -> Result<()> {
        match self.poll.poll(&mut self.events, Some(patience)) {
            Err(error) if error.kind() == ErrorKind::Interrupted => return Ok(()),
            polled => polled?,
        }
        let ready: Vec<_> =
            self.events.iter().map(|it| (it.token().0, it.is_readable(), it.is_writable())).collect();
        for (at, is_readable, is_writable) in ready {
            if is_writable {
                self.sockets[at].flush()?;
            }
            if is_readable {
                self.read(at)?;
            }
        }
        Ok(())
    }

    fn read(&mut self, at: usize) -> Result<()> {
        let socket = &mut self.sockets[at];
        while let Got::Bytes(read) = socket.read(&mut self.buffer)? {
            let mut come = 0;
            while let Some(payload) = socket.next_frame()? {
                ensure!(payload.len() == self.shape.message_bytes, "another message has come back");
                come += 1;
            }
            self.echoes += come as u64;
            socket.write(&self.frame.repeat(come))?;
            // A short read has left nothing behind.
            if read < self.buffer.len() {
                break;
            }
        }
        Ok(())
    }
}

/// Connections on which nothing happens.
pub(super) fn idle(address: SocketAddr, connections: usize) -> Result<Vec<Socket>> {
    (0..connections).map(|_| Socket::connect(address, PATH, None)).collect()
}

/// How long one message at a time takes to come back.
pub(super) fn round_trips(address: SocketAddr, count: usize, message_bytes: usize) -> Result<Samples> {
    let mut socket = Socket::connect(address, PATH, None)?;
    let message = vec![7; message_bytes];
    let mut times = Vec::with_capacity(count);
    // The first ones have the connection of a proxy made, and code compiled.
    for number in 0..count + count / 10 {
        let sent = Instant::now();
        socket.send(Kind::Binary, &message)?;
        ensure!(socket.receive()? == message, "another message has come back");
        if number >= count / 10 {
            times.push(sent.elapsed());
        }
    }
    Ok(Samples::new(times))
}
