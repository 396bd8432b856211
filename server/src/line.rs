//! What lies between the WebSocket library and the network: frames that are written already go around the library.
//!
//! The library writes each frame of each connection by itself, into a buffer that the connection keeps. What everybody in a room is told is the same
//! for all of them, heads of the frames included, so that it is written once and shared ([`crate::frames`]).

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Pieces of what waits that are handed to the kernel at a time.
const MAX_SLICES: usize = 16;

/// Pieces for which an empty queue keeps its room.
const KEPT_PIECES: usize = 4;

/// A stream, and frames that wait for it.
///
/// The library hands over whole frames. A write is taken all or not at all, so that none of them can end up within another.
pub(crate) struct Line<S> {
    stream: S,
    waiting: VecDeque<Bytes>,
    bytes: usize,
}

impl<S> Line<S> {
    pub(crate) fn new(stream: S) -> Self {
        Self { stream, waiting: VecDeque::new(), bytes: 0 }
    }

    /// Adds whole frames, behind what waits. They are written with the next flush.
    pub(crate) fn push(&mut self, frames: Bytes) {
        if !frames.is_empty() {
            self.bytes += frames.len();
            self.waiting.push_back(frames);
        }
    }

    /// Bytes that wait.
    pub(crate) fn waiting(&self) -> usize {
        self.bytes
    }

    fn take_written(&mut self, mut written: usize) {
        self.bytes = self.bytes.saturating_sub(written);
        while let Some(first) = self.waiting.front_mut() {
            let taken = written.min(first.len());
            first.advance(taken);
            written -= taken;
            if !first.is_empty() {
                return;
            }
            self.waiting.pop_front();
        }
        if self.waiting.capacity() > KEPT_PIECES {
            self.waiting = VecDeque::new();
        }
    }
}

impl<S: AsyncWrite + Unpin> Line<S> {
    fn poll_written(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.waiting.is_empty() {
            let mut slices = [IoSlice::new(&[]); MAX_SLICES];
            let count = slices
                .iter_mut()
                .zip(&self.waiting)
                .map(|(slice, piece)| *slice = IoSlice::new(piece))
                .count();
            let stream = Pin::new(&mut self.stream);
            let written =
                ready!(stream.poll_write_vectored(context, slices.get(..count).unwrap_or_default()))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.take_written(written);
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Line<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Line<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        frames: &[u8],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_written(context))?;
        let written = ready!(Pin::new(&mut self.stream).poll_write(context, frames))?;
        match frames.get(written..) {
            Some(rest) if written > 0 => {
                self.push(Bytes::copy_from_slice(rest));
                Poll::Ready(Ok(frames.len()))
            }
            _ => Poll::Ready(Ok(written)),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_written(context))?;
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_written(context))?;
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::task::Waker;

    use super::*;

    /// A network that takes so many bytes until it is given more room.
    #[derive(Default)]
    struct Narrow {
        room: usize,
        taken: Vec<u8>,
    }

    impl AsyncWrite for Narrow {
        fn poll_write(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            bytes: &[u8],
        ) -> Poll<io::Result<usize>> {
            let taken = bytes.len().min(self.room);
            if taken == 0 {
                return Poll::Pending;
            }
            self.room -= taken;
            self.taken.extend_from_slice(&bytes[..taken]);
            Poll::Ready(Ok(taken))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    struct World(Line<Narrow>);

    impl World {
        fn new() -> Self {
            Self(Line::new(Narrow::default()))
        }

        /// Gives the network so much more room, and flushes; whether everything has gone.
        fn flush(&mut self, room: usize) -> bool {
            self.0.stream.room += room;
            Pin::new(&mut self.0).poll_flush(&mut Context::from_waker(Waker::noop())).is_ready()
        }

        /// What the library writes; whether it was taken.
        fn write(&mut self, frames: &[u8]) -> bool {
            let written = Pin::new(&mut self.0).poll_write(&mut Context::from_waker(Waker::noop()), frames);
            match written {
                Poll::Ready(written) => written.unwrap() == frames.len(),
                Poll::Pending => false,
            }
        }
    }

    #[test]
    fn frames_go_out_in_their_order_however_little_is_taken_at_a_time() {
        let mut world = World::new();
        for number in 0..2 * MAX_SLICES {
            world.0.push(Bytes::from(vec![u8::try_from(number).unwrap(); number]));
        }
        let all: Vec<u8> =
            (0..2 * MAX_SLICES).flat_map(|number| vec![u8::try_from(number).unwrap(); number]).collect();
        assert_eq!(world.0.waiting(), all.len());
        for room in (0..all.len() - 1).step_by(7).map(|_| 7) {
            world.flush(room);
        }
        assert!(world.flush(7));
        assert_eq!((world.0.waiting(), &world.0.stream.taken), (0, &all));
        assert!(world.0.waiting.capacity() <= KEPT_PIECES);
    }

    #[test]
    fn what_the_library_writes_never_comes_within_a_frame() {
        let mut world = World::new();
        world.0.push(Bytes::from_static(b"first"));
        assert!(!world.flush(2) && !world.write(b"pong"), "half a frame is out");
        assert_eq!(world.0.waiting(), 3);
        // Of what it writes itself it is told all or nothing.
        world.0.stream.room = 5;
        assert!(world.write(b"pong"));
        world.0.push(Bytes::from_static(b"second"));
        assert!(!world.flush(0) && world.flush(100));
        assert_eq!(world.0.stream.taken, b"firstpongsecond");
    }
}
