//! One connection: a WebSocket and the session that speaks over it.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use rejoin_core::{
    Disconnect, Instant, LinkId, Payload, Session, SessionConfig, SessionInput, SessionOutput,
};
use rejoin_wire::{CloseCode, Encoding, Frame as WireFrame, Message};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Error as SocketError;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::{Message as Frame, Utf8Bytes};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

/// Time to close a socket in good order.
const CLOSE_PATIENCE: Duration = Duration::from_secs(2);

pub(crate) type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// A connection that is up.
pub(crate) struct Line {
    pub(crate) link: LinkId,
    socket: Socket,
    session: Session,
    /// The socket has taken nothing since it was last given something: frames wait in the session until it does.
    is_blocked: bool,
    /// Nothing can be written any more: frames are dropped.
    is_broken: bool,
}

/// What a line wakes its task for.
pub(crate) enum LineWake {
    Frame(Option<Result<Frame, SocketError>>),
    /// A blocked socket has taken what waited for it, or broke.
    Flushed(Result<(), SocketError>),
}

/// What came out of a line.
#[derive(Default)]
pub(crate) struct Drained {
    /// Whether anything moved, in or out.
    pub(crate) moved: bool,
    pub(crate) messages: Vec<Message>,
    pub(crate) end: Option<Disconnect>,
}

impl Line {
    pub(crate) fn new(link: LinkId, socket: Socket, config: Arc<SessionConfig>, now: Instant) -> Self {
        let session = Session::client(config, Encoding::Binary, now);
        Self { link, socket, session, is_blocked: false, is_broken: false }
    }

    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        self.session.poll_timeout()
    }

    pub(crate) fn take_timeout(&mut self, now: Instant) {
        self.session.handle_input(now, SessionInput::Timeout);
    }

    pub(crate) fn send(&mut self, now: Instant, payload: Payload) {
        self.session.handle_input(now, SessionInput::Send(payload));
    }

    /// Ends the session in good order; its end comes out of [`drain`](Self::drain).
    pub(crate) fn finish(&mut self, now: Instant, code: CloseCode, reason: Arc<str>) {
        self.session.handle_input(now, SessionInput::Close { code, reason });
    }

    /// Waits for a frame, and for a blocked socket to take what it was given. Dropping the future loses nothing.
    pub(crate) async fn wake(&mut self) -> LineWake {
        let (socket, is_blocked) = (&mut self.socket, self.is_blocked);
        poll_fn(|context| {
            if is_blocked && let Poll::Ready(flushed) = socket.poll_flush_unpin(context) {
                return Poll::Ready(LineWake::Flushed(flushed));
            }
            socket.poll_next_unpin(context).map(LineWake::Frame)
        })
        .await
    }

    pub(crate) fn take_wake(&mut self, now: Instant, wake: LineWake) {
        match wake {
            LineWake::Frame(frame) => self.take_frame(now, frame),
            LineWake::Flushed(flushed) => self.note_room(now, Poll::Ready(flushed)),
        }
    }

    fn take_frame(&mut self, now: Instant, frame: Option<Result<Frame, SocketError>>) {
        let closed = |code, reason: &str| SessionInput::Closed { code, reason: reason.into() };
        let input = match frame {
            Some(Ok(Frame::Binary(bytes))) => SessionInput::Frame(WireFrame::Binary(bytes)),
            Some(Ok(Frame::Text(text))) => SessionInput::Frame(WireFrame::Text(text.into())),
            Some(Ok(Frame::Ping(_) | Frame::Pong(_) | Frame::Frame(_))) => SessionInput::Alive,
            Some(Ok(Frame::Close(Some(frame)))) => closed(Some(frame.code.into()), frame.reason.as_str()),
            Some(Ok(Frame::Close(None))) | None => closed(None, ""),
            Some(Err(error)) => closed(None, &error.to_string()),
        };
        self.session.handle_input(now, input);
    }

    /// Writes what the session has, as far as the socket takes it at once, and hands out what came.
    pub(crate) async fn drain(&mut self, now: Instant) -> Drained {
        let mut drained = Drained::default();
        while let Some(output) = self.next_output(now).await {
            drained.moved = true;
            match output {
                SessionOutput::Frame(frame) => self.write(now, frame_of(frame)),
                SessionOutput::Ping => self.write(now, Frame::Ping(bytes::Bytes::new())),
                SessionOutput::Message(message) => drained.messages.push(message),
                SessionOutput::Disconnect(end) => {
                    drained.end = Some(end);
                    break;
                }
                SessionOutput::Authenticate(_)
                | SessionOutput::Opened(_)
                | SessionOutput::Text(_)
                | SessionOutput::Foreign(_) => {}
            }
        }
        if !self.is_broken {
            let flushed = poll_fn(|context| Poll::Ready(self.socket.poll_flush_unpin(context))).await;
            self.note_room(now, flushed);
        }
        drained
    }

    /// What the session asks for; what has to be written only while the socket has room.
    async fn next_output(&mut self, now: Instant) -> Option<SessionOutput> {
        self.look_for_room(now).await;
        if self.is_blocked && self.session.poll_timeout().is_none() {
            // What a socket that takes nothing never took is said again over the next one.
            (self.is_blocked, self.is_broken) = (false, true);
        }
        if self.is_blocked { self.session.poll_received() } else { self.session.poll_output() }
    }

    async fn look_for_room(&mut self, now: Instant) {
        if self.is_broken {
            return;
        }
        let is_blocked = self.is_blocked;
        let polled = poll_fn(|context| {
            // What was given to a blocked socket must all be gone, so that one that takes a little is not taken for a fast one.
            Poll::Ready(if is_blocked {
                self.socket.poll_flush_unpin(context)
            } else {
                self.socket.poll_ready_unpin(context)
            })
        });
        let polled = polled.await;
        self.note_room(now, polled);
    }

    fn note_room(&mut self, now: Instant, polled: Poll<Result<(), SocketError>>) {
        match polled {
            Poll::Ready(Ok(())) => self.is_blocked = false,
            Poll::Ready(Err(error)) => self.break_off(now, &error),
            Poll::Pending => self.is_blocked = true,
        }
    }

    /// Gives the socket a frame that it has room for.
    fn write(&mut self, now: Instant, frame: Frame) {
        if !self.is_broken
            && let Err(error) = self.socket.start_send_unpin(frame)
        {
            self.break_off(now, &error);
        }
    }

    fn break_off(&mut self, now: Instant, error: &SocketError) {
        (self.is_blocked, self.is_broken) = (false, true);
        self.session.handle_input(now, SessionInput::Closed { code: None, reason: error.to_string().into() });
    }

    /// Closes the socket, with the code and reason of its end where this side ended it.
    pub(crate) async fn close(mut self, end: Option<&Disconnect>) {
        if self.is_blocked || self.is_broken || end.is_some_and(|end| end.by_peer) {
            return;
        }
        let frame =
            end.map(|end| CloseFrame { code: end.code.into(), reason: Utf8Bytes::from(end.reason.as_ref()) });
        let _ = tokio::time::timeout(CLOSE_PATIENCE, self.socket.close(frame)).await;
    }
}

fn frame_of(frame: WireFrame) -> Frame {
    match frame {
        WireFrame::Binary(bytes) => Frame::Binary(bytes),
        // What goes out as text was encoded as such.
        WireFrame::Text(text) => Frame::Text(Utf8Bytes::try_from(text).unwrap_or_default()),
    }
}
