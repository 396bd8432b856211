//! What a socket is given, and whether it takes it.

use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::future::poll_fn;
use futures_util::{SinkExt, StreamExt};
use rejoin_core::{Disconnect, SessionInput};
use rejoin_wire::{CloseCode, Frame as WireFrame};
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::Frame as RawFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};
use tokio_tungstenite::tungstenite::{Error as SocketError, Message as Frame, Utf8Bytes};

use super::door::Door;
use super::{Task, frame_of};
use crate::instruments;
use crate::upgrade::WRITE_BUFFER_BYTES;

/// Larger messages are sent in fragments of so many bytes: the library keeps as much room to write as its largest frame took, for as long as the
/// connection is there.
pub(super) const FRAGMENT_BYTES: usize = 16 * 1024;

/// A large message, as far as the socket was not given it.
pub(super) struct Rest {
    /// What kind of message it is, until its first fragment has said so.
    pub(super) kind: Option<Data>,
    pub(super) payload: Bytes,
}

impl Rest {
    /// The next fragment; none behind the last.
    pub(super) fn next(&mut self) -> Option<Frame> {
        if self.payload.is_empty() {
            return None;
        }
        let fragment = self.payload.split_to(self.payload.len().min(FRAGMENT_BYTES));
        let kind = OpCode::Data(self.kind.take().unwrap_or(Data::Continue));
        Some(Frame::Frame(RawFrame::message(fragment, kind, self.payload.is_empty())))
    }
}

impl Task {
    /// Gives up on a socket that has taken nothing for too long.
    pub(super) fn check_patience(&mut self) {
        let Some(since) = self.blocked else { return };
        let now = self.now();
        if now.since(since) >= self.conversation.patience.write && !self.is_over() {
            metrics::counter!(instruments::SLOW_READERS).increment(1);
            self.input(SessionInput::Close {
                code: CloseCode::SlowReader,
                reason: "this link does not read what waits for it; connect again to catch up".into(),
            });
        }
        if self.is_over() && now.since(*self.ending.get_or_insert(now)) >= self.conversation.patience.close {
            self.is_broken = true;
        }
    }

    /// Whether the socket takes another frame now: always true of one that is broken, which drops it.
    pub(super) async fn has_room(&mut self) -> bool {
        if self.is_broken {
            return true;
        }
        let is_blocked = self.blocked.is_some();
        // What was given to a blocked socket must all be gone, so that a reader that takes a little is not taken for a fast one.
        let polled = poll_fn(|context| Poll::Ready(self.poll_room(context, is_blocked))).await;
        self.note_room(polled)
    }

    /// Whether the socket takes another message, or with `flushes` has passed on all that it was given.
    pub(super) fn poll_room(
        &mut self,
        context: &mut Context<'_>,
        flushes: bool,
    ) -> Poll<Result<(), SocketError>> {
        loop {
            let polled = match flushes || self.socket.get_ref().waiting() >= WRITE_BUFFER_BYTES {
                true => self.socket.poll_flush_unpin(context),
                false => self.socket.poll_ready_unpin(context),
            };
            let (Poll::Ready(Ok(())), Some(rest)) = (&polled, &mut self.rest) else { return polled };
            match rest.next() {
                Some(fragment) => {
                    if let Err(error) = self.socket.start_send_unpin(fragment) {
                        return Poll::Ready(Err(error));
                    }
                }
                None => self.rest = None,
            }
        }
    }

    /// Notes whether the socket has room.
    pub(super) fn note_room(&mut self, polled: Poll<Result<(), SocketError>>) -> bool {
        match polled {
            Poll::Ready(Ok(())) => self.blocked = None,
            Poll::Ready(Err(error)) => self.break_off(&error),
            Poll::Pending => {
                let now = self.now();
                self.blocked.get_or_insert(now);
            }
        }
        self.blocked.is_none()
    }

    /// Gives the socket a frame of the session that it has room for. Those of some doors are written already.
    pub(super) fn give_socket(&mut self, frame: WireFrame) {
        match frame {
            WireFrame::Binary(written) if self.door.as_ref().is_some_and(Door::writes_frames) => {
                if !self.is_broken {
                    self.socket.get_mut().push(written);
                }
            }
            frame => self.write(frame_of(frame)),
        }
    }

    /// Gives the socket a frame that it has room for.
    pub(super) fn write(&mut self, frame: Frame) {
        if self.is_broken {
            return;
        }
        let frame = match frame {
            Frame::Binary(payload) if payload.len() > FRAGMENT_BYTES => {
                self.rest = Some(Box::new(Rest { kind: Some(Data::Binary), payload }));
                return;
            }
            Frame::Text(text) if text.len() > FRAGMENT_BYTES => {
                self.rest = Some(Box::new(Rest { kind: Some(Data::Text), payload: text.into() }));
                return;
            }
            frame => frame,
        };
        if let Err(error) = self.socket.start_send_unpin(frame) {
            self.break_off(&error);
        }
    }

    pub(super) fn break_off(&mut self, error: &SocketError) {
        (self.blocked, self.rest, self.is_broken) = (None, None, true);
        self.input(SessionInput::Closed { code: None, reason: error.to_string().into() });
    }

    /// Closes the WebSocket, and reads on until the peer has closed it too: a connection that ends with something unread is reset, and
    /// a reset takes the close code with it.
    pub(super) async fn leave(&mut self, end: &Disconnect) {
        if self.is_broken {
            return;
        }
        if !end.by_peer {
            while let Some(fragment) = self.rest.as_mut().and_then(|rest| rest.next()) {
                if self.socket.send(fragment).await.is_err() {
                    return;
                }
            }
            let reason = Utf8Bytes::from(end.reason.as_ref());
            let frame = CloseFrame { code: close_code(end.code).into(), reason };
            let _ = self.socket.send(Frame::Close(Some(frame))).await;
        }
        let _ = self.socket.close(None).await;
        while let Some(Ok(_)) = self.socket.next().await {}
    }
}

/// The code of the close frame: one that may travel.
fn close_code(code: u16) -> u16 {
    if (1000..=1003).contains(&code) || (1007..=1014).contains(&code) || (3000..5000).contains(&code) {
        code
    } else {
        1000
    }
}
