//! One WebSocket: a thin task around the session machine.

use std::future::Future;
use std::net::IpAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::poll_fn;
use futures_util::{SinkExt, StreamExt};
use rejoin_core::{
    Credentials, Disconnect, Grant, Instant, LINK_LOW_WATER_BYTES, Payload, Peer, Sender, Session,
    SessionInput, SessionOutput,
};
use rejoin_wire::limits::MAX_MESSAGE_BYTES;
use rejoin_wire::{CloseCode, Encoding, Frame as WireFrame, Message, ReplicaId, WorkspaceId};
use tokio::time::{Sleep, timeout};
use tokio_tungstenite::tungstenite::error::ProtocolError;
use tokio_tungstenite::tungstenite::{Error as SocketError, Message as Frame, Utf8Bytes};

use crate::connections::Connection;
use crate::hub::{Closing, Hub, Link, Outgoing, Urgency};
use crate::instruments;
use crate::policies::Policies;
use crate::rates::Limiters;
use crate::text_door::{TextDoor, Told};
use crate::tickets::Tickets;
use crate::upgrade::Socket;
use crate::yjs_door::YWebsocketDoor;
use door::Door;
pub(crate) use door::Foreign;
use quota::{Quota, Wait};
use writing::Rest;

mod door;
mod quota;
#[cfg(test)]
mod tests;
mod writing;

/// Time for the last frames of a link to be written, and for its peer to close too.
const CLOSE_PATIENCE: Duration = Duration::from_secs(5);

/// A peer that takes nothing of what waits for it for so long has stopped reading.
const WRITE_PATIENCE: Duration = Duration::from_secs(60);

/// A frame that cannot be refused by itself waits so long for its turn, where too many came; then the link is closed.
const TURN_PATIENCE: Duration = Duration::from_secs(5);

/// How long a socket waits for what.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    /// [`WRITE_PATIENCE`].
    write: Duration,
    /// [`TURN_PATIENCE`].
    turn: Duration,
    /// [`CLOSE_PATIENCE`].
    close: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self { write: WRITE_PATIENCE, turn: TURN_PATIENCE, close: CLOSE_PATIENCE }
    }
}

/// How long a socket waits at most for which nothing is due.
const LONGEST_WAIT: Duration = Duration::from_secs(3_600);

/// Messages taken from the link's queue before they are written together.
const WRITE_BATCH: usize = 256;

/// Frames of a client without a replica that are read before what came of them is handed on together.
const READ_BATCH: usize = 64;

/// Decides who may come in.
pub(crate) trait Admission: Send + Sync {
    /// What these credentials allow in a workspace, or why nothing.
    fn admit(
        &self,
        credentials: &Credentials,
        upgrade_token: Option<&str>,
    ) -> Result<Grant, (CloseCode, Arc<str>)>;
}

/// What a socket serves.
pub(crate) struct Conversation {
    pub(crate) hub: Hub,
    pub(crate) admission: Arc<dyn Admission>,
    pub(crate) tickets: Arc<Tickets>,
    pub(crate) session: Session,
    pub(crate) encoding: Encoding,
    pub(crate) default_workspace: WorkspaceId,
    pub(crate) policies: Arc<Policies>,
    /// Which protocol it is where that is neither the native one nor the text door's.
    pub(crate) foreign: Option<Box<Foreign>>,
    /// The token that came with the upgrade request.
    pub(crate) token: Option<String>,
    pub(crate) limiters: Arc<Limiters>,
    /// Under which address its messages are counted.
    pub(crate) address: Option<IpAddr>,
    pub(crate) patience: Patience,
}

/// Serves a socket until it ends.
///
/// Every idle link holds this future: it is made of the task alone, as an `async fn` would keep room for its arguments beside it.
pub(crate) fn serve(
    socket: Socket,
    conversation: Conversation,
    connection: Connection,
) -> impl Future<Output = ()> + Send {
    let mut task = Task {
        socket,
        started: tokio::time::Instant::now(),
        link: None,
        door: None,
        unread: 0,
        received: 0,
        blocked: None,
        over: None,
        held: None,
        rest: None,
        ending: None,
        is_broken: false,
        is_deaf: false,
        _connection: connection,
        quota: Quota::new(&conversation.limiters, conversation.address),
        conversation,
    };
    async move {
        let end = task.run().await;
        tracing::debug!(code = end.code, reason = %end.reason, "a link ended");
        let _ = Box::pin(timeout(task.conversation.patience.close, task.leave(&end))).await;
    }
}

struct Task {
    socket: Socket,
    started: tokio::time::Instant,
    link: Option<Link>,
    door: Option<Door>,
    /// Bytes given to the socket since the replica was last told that there is room.
    unread: usize,
    /// Bytes received since the last request of a text client.
    received: usize,
    /// Since when the socket has taken nothing, while something waits for it.
    blocked: Option<Instant>,
    /// How long the frame that was read last has to wait, because too many came; until it is refused or waits for its turn.
    over: Option<Wait>,
    /// A frame that waits for its turn. Nothing is read meanwhile.
    held: Option<Box<Held>>,
    /// What a large message still has to say. Nothing else is written meanwhile.
    rest: Option<Box<Rest>>,
    /// Since when the session is over, while its last frames wait for a blocked socket.
    ending: Option<Instant>,
    /// True when nothing can be written any more: frames are dropped.
    is_broken: bool,
    /// True when nothing can be read any more.
    is_deaf: bool,
    /// Counted for as long as the socket is there.
    _connection: Connection,
    quota: Quota,
    conversation: Conversation,
}

/// A frame that waits for its turn.
struct Held {
    /// What it brings the replica; nothing where the session answered it, as a ping, or where it is part of a message.
    message: Option<Message>,
    since: Instant,
    until: Instant,
}

/// What a socket's task wakes up for.
enum Wake {
    Frame(Option<Result<Frame, SocketError>>),
    /// A blocked socket has taken what waited for it, or broke.
    Flushed(Result<(), SocketError>),
    Outgoing(Option<Outgoing>),
    Overflow,
    Timeout,
    Stop,
    Door,
}

impl Task {
    fn now(&self) -> Instant {
        Instant(u64::try_from(self.started.elapsed().as_micros()).unwrap_or(u64::MAX))
    }

    fn input(&mut self, input: SessionInput) {
        let now = self.now();
        self.conversation.session.handle_input(now, input);
    }

    async fn run(&mut self) -> Disconnect {
        // It stays from one wake to the next: to set it takes a lock that all sockets share.
        let mut alarm = pin!(tokio::time::sleep(LONGEST_WAIT));
        let mut has_read = false;
        loop {
            if let Some(end) = self.drain(has_read).await {
                return end;
            }
            self.set(alarm.as_mut());
            let wake = self.wait(alarm.as_mut()).await;
            has_read = matches!(wake, Wake::Frame(_));
            self.take(wake).await;
        }
    }

    /// Sees to it that the alarm goes off in time. It may do so too early, when what was due has been put off since.
    fn set(&self, mut alarm: Pin<&mut Sleep>) {
        // The clock is read only where it goes off, not at each message.
        let due = self.deadline().and_then(|at| self.started.checked_add(Duration::from_micros(at.0)));
        if alarm.is_elapsed() {
            alarm.as_mut().reset(due.unwrap_or_else(|| tokio::time::Instant::now() + LONGEST_WAIT));
        } else if let Some(due) = due.filter(|due| *due < alarm.deadline()) {
            alarm.as_mut().reset(due);
        }
    }

    /// Waits for whatever comes first. Of a blocked socket nothing is asked but that it takes what it was given, and what it still
    /// reads: what else there is to say stays with the replica, which counts it, and a text client's requests wait.
    async fn wait(&mut self, alarm: Pin<&mut Sleep>) -> Wake {
        let stopped = self.conversation.hub.stopped();
        let is_open = !self.is_over();
        let is_blocked = self.blocked.is_some();
        let reads = self.reads();
        let takes_news = self.door.as_ref().is_none_or(Door::takes_news);
        let door = async {
            match &mut self.door {
                Some(door) => door.progress().await,
                None => std::future::pending().await,
            }
        };
        let has_link = self.link.is_some();
        let (outgoing, urgent) = match &mut self.link {
            Some(link) => link.ends(),
            None => (None, None),
        };
        let outgoing = async {
            match outgoing {
                Some(queue) => queue.recv().await,
                None => std::future::pending().await,
            }
        };
        let urgent = poll_fn(|context| urgent.map_or(Poll::Pending, |urgent| urgent.poll(context)));
        let socket = &mut self.socket;
        let socket = poll_fn(|context| {
            if is_blocked && let Poll::Ready(flushed) = socket.poll_flush_unpin(context) {
                return Poll::Ready(Wake::Flushed(flushed));
            }
            if !reads {
                return Poll::Pending;
            }
            socket.poll_next_unpin(context).map(Wake::Frame)
        });
        tokio::select! {
            biased;
            urgency = urgent, if is_open => match urgency {
                Urgency::Stop => Wake::Stop,
                Urgency::Overflow => Wake::Overflow,
            },
            () = stopped, if is_open && !has_link => Wake::Stop,
            outgoing = outgoing, if is_open && !is_blocked && takes_news => Wake::Outgoing(outgoing),
            () = door, if is_open && !is_blocked => Wake::Door,
            wake = socket => wake,
            () = alarm => Wake::Timeout,
        }
    }

    /// Whether another frame can be read.
    fn reads(&self) -> bool {
        // A text client that has asked for more than it was answered is not read until it was.
        let door_reads =
            |door: &Door| door.takes_frames() && (self.blocked.is_none() || door.reads_while_blocked());
        !self.is_deaf && self.held.is_none() && self.door.as_ref().is_none_or(door_reads)
    }

    /// When something is due, should nothing happen before.
    fn deadline(&self) -> Option<Instant> {
        let session = self.conversation.session.poll_timeout();
        let blocked = self.blocked.map(|since| match self.ending {
            None => since + self.conversation.patience.write,
            Some(ending) => ending + self.conversation.patience.close,
        });
        let held = self.held.as_deref().map(|held| held.until);
        let door = self.door.as_ref().and_then(Door::deadline);
        session.into_iter().chain(blocked).chain(held).chain(door).min()
    }

    fn is_over(&self) -> bool {
        self.conversation.session.poll_timeout().is_none()
    }

    async fn take(&mut self, wake: Wake) {
        match wake {
            Wake::Timeout => self.take_timeout(),
            Wake::Flushed(flushed) => {
                self.note_room(Poll::Ready(flushed));
            }
            Wake::Stop => self.input(SessionInput::Close {
                code: CloseCode::Restart,
                reason: "the server is stopping; connect again".into(),
            }),
            Wake::Overflow => {
                metrics::counter!(instruments::SLOW_READERS).increment(1);
                self.input(SessionInput::Close {
                    code: CloseCode::SlowReader,
                    reason: "this link reads too slowly; connect again to catch up".into(),
                });
            }
            Wake::Door => self.finish_door().await,
            Wake::Outgoing(None) => self.input(SessionInput::Close {
                code: CloseCode::Restart,
                reason: "the workspace is gone; connect again".into(),
            }),
            Wake::Outgoing(Some(outgoing)) => self.take_outgoing(outgoing).await,
            Wake::Frame(frame) => self.take_frame(frame),
        }
    }

    fn take_timeout(&mut self) {
        self.input(SessionInput::Timeout);
        let now = self.now();
        if let Some(door) = &mut self.door {
            door.check_time(now);
        }
        self.take_door();
    }

    fn take_frame(&mut self, frame: Option<Result<Frame, SocketError>>) {
        let closed = |code, reason: &str| SessionInput::Closed { code, reason: reason.into() };
        // Every frame costs something, whatever it says: it is counted before it is looked at.
        if matches!(frame, Some(Ok(Frame::Binary(_) | Frame::Text(_) | Frame::Ping(_) | Frame::Pong(_)))) {
            self.over = self.quota.take().err();
        }
        let input = match frame {
            Some(Ok(Frame::Binary(bytes))) => SessionInput::Frame(WireFrame::Binary(bytes)),
            Some(Ok(Frame::Text(text))) => SessionInput::Frame(WireFrame::Text(text.into())),
            // Fragments are put together before they come here.
            Some(Ok(Frame::Ping(_) | Frame::Pong(_) | Frame::Frame(_))) => SessionInput::Alive,
            Some(Ok(Frame::Close(Some(frame)))) => closed(Some(frame.code.into()), frame.reason.as_str()),
            Some(Ok(Frame::Close(None))) | None => closed(None, ""),
            Some(Err(error)) => {
                self.is_deaf = true;
                unreadable(&error)
            }
        };
        metrics::counter!(instruments::FRAMES_RECEIVED).increment(1);
        if let SessionInput::Frame(frame) = &input {
            self.received += frame.payload().len();
        }
        self.input(input);
    }

    async fn take_outgoing(&mut self, first: Outgoing) {
        let mut next = Some(first);
        let mut taken = 0;
        while let Some(outgoing) = next.take() {
            match outgoing {
                Outgoing::Told(told) => {
                    self.unread += told.payload().len();
                    self.give(told);
                }
                Outgoing::Close(closing) => {
                    let Closing { code, reason } = *closing;
                    self.input(SessionInput::Close { code, reason });
                }
            }
            taken += 1;
            if taken < WRITE_BATCH && self.door.as_ref().is_none_or(Door::takes_news) {
                next = self.link.as_mut().and_then(|link| link.queue.try_recv().ok());
            }
        }
    }

    /// Sends a message on: as it is to a replica, in words to a text client.
    fn give(&mut self, told: Arc<Told>) {
        match &mut self.door {
            None => {
                let payload = match Arc::try_unwrap(told) {
                    Ok(told) => told.into_payload(),
                    Err(told) => told.payload().clone(),
                };
                self.input(SessionInput::Send(payload));
            }
            Some(door) => {
                door.take_told(&told);
                self.take_door();
            }
        }
    }

    /// Does what the session asks for, and writes everything in one go. Where a frame was read, what has come behind it is read with it.
    async fn drain(&mut self, has_read: bool) -> Option<Disconnect> {
        self.check_patience();
        self.hand_on_held().await;
        let mut left = if has_read { READ_BATCH } else { 1 };
        loop {
            if let Some(end) = self.drain_session().await {
                return Some(end);
            }
            // Nothing came of a frame too many that could be refused: the next is read when it would have had its turn.
            if let Some(over) = self.over.take() {
                let now = self.now();
                self.hand_on(None, now, Some(over)).await;
            }
            left -= 1;
            if left == 0 {
                break;
            }
            let Some(frame) = self.next_frame().await else { break };
            self.take_frame(frame);
        }
        if !self.is_broken {
            let flushed = poll_fn(|context| Poll::Ready(self.poll_room(context, true))).await;
            self.note_room(flushed);
        }
        self.tell_replica().await;
        self.tell_writable().await;
        None
    }

    async fn drain_session(&mut self) -> Option<Disconnect> {
        while let Some(output) = self.next_output().await {
            match output {
                SessionOutput::Frame(frame) => self.give_socket(frame),
                SessionOutput::Ping => {
                    self.write(Frame::Ping(Bytes::new()));
                    if let Some(door) = &mut self.door {
                        door.keep_alive();
                    }
                    self.take_door();
                }
                SessionOutput::Authenticate(credentials) => self.authenticate(&credentials),
                SessionOutput::Opened(opened) => Box::pin(self.open(opened.grant, opened.sender)).await,
                SessionOutput::Message(message) => {
                    let (now, over) = (self.now(), self.over.take());
                    self.hand_on(Some(message), now, over).await;
                }
                SessionOutput::Text(request) => {
                    self.take_request(request);
                    self.take_door();
                }
                SessionOutput::Foreign(frame) => self.take_foreign(frame),
                SessionOutput::Disconnect(end) => {
                    // What came before the end counts.
                    self.tell_replica().await;
                    return Some(end);
                }
            }
        }
        None
    }

    /// What the session asks for, as far as the socket has room and the message before was handed on.
    async fn next_output(&mut self) -> Option<SessionOutput> {
        let has_room = self.has_room().await;
        let session = &mut self.conversation.session;
        match (&self.held, has_room) {
            (None, true) => session.poll_output(),
            (None, false) => session.poll_received(),
            (Some(_), true) => session.poll_written(),
            (Some(_), false) => None,
        }
    }

    /// Hands on what waits when its turn has come; at once when the session is over, which has nothing to wait for.
    async fn hand_on_held(&mut self) {
        if self.held.is_none() {
            return;
        }
        let (now, is_over) = (self.now(), self.is_over());
        let Some(held) = self.held.take_if(|held| is_over || now >= held.until) else { return };
        let over = if is_over { None } else { self.quota.take().err() };
        self.hand_on(held.message, held.since, over).await;
    }

    /// Hands a frame's message to the replica; where too many came it is refused, or waits if it cannot be.
    async fn hand_on(&mut self, message: Option<Message>, since: Instant, over: Option<Wait>) {
        let Some(wait) = over else {
            if let Some(message) = message {
                self.give_replica(message).await;
            }
            return;
        };
        match message.as_ref().and_then(|message| quota::refusals(message, &wait)) {
            Some(refusals) if !self.quota.is_ignored() => {
                for refusal in refusals {
                    let payload = Payload::encode(&Message::Error(refusal), self.conversation.encoding);
                    self.input(SessionInput::Send(payload));
                }
            }
            None if self.now().since(since) < self.conversation.patience.turn => {
                let until = self.now() + wait.duration();
                self.held = Some(Box::new(Held { message, since, until }));
            }
            _ => self
                .input(SessionInput::Close { code: CloseCode::RateLimited, reason: wait.to_string().into() }),
        }
    }

    async fn give_replica(&mut self, message: Message) {
        let gone = match &self.link {
            Some(link) => link.received(message).await.is_err(),
            None => false,
        };
        if gone {
            self.take_stop();
        }
    }

    /// What was handed over is with the kernel: the replica may send more.
    async fn tell_writable(&mut self) {
        if self.unread < LINK_LOW_WATER_BYTES || self.blocked.is_some() {
            return;
        }
        self.unread = 0;
        if let Some(link) = &self.link {
            let _ = link.writable().await;
        }
    }

    fn authenticate(&mut self, credentials: &Credentials) {
        let token = self.conversation.token.as_deref();
        let input = match self.conversation.admission.admit(credentials, token) {
            Ok(grant) => match self.quota.open(&self.conversation.limiters, &grant.principal) {
                Ok(()) => SessionInput::Authenticated(grant),
                Err(wait) => {
                    SessionInput::Refused { code: CloseCode::RateLimited, reason: wait.to_string().into() }
                }
            },
            Err((code, reason)) => SessionInput::Refused { code, reason },
        };
        self.input(input);
    }

    async fn open(&mut self, grant: Grant, sender: Sender) {
        let (replica, workspace, encoding) = match &sender {
            Sender::Replica { hello, .. } => {
                (hello.replica, hello.workspace.clone(), self.conversation.encoding)
            }
            Sender::Plain => (ReplicaId(0), None, Encoding::Binary),
            Sender::Foreign => match self.conversation.foreign.take_if(|foreign| !foreign.has_link()) {
                Some(foreign) => return self.open_foreign(*foreign, &grant),
                None => (self.foreign_replica(), None, Encoding::Binary),
            },
        };
        let workspace = workspace.unwrap_or_else(|| self.conversation.default_workspace.clone());
        // Others were counted when they were asked who they are.
        if sender == Sender::Foreign
            && let Err(wait) = self.quota.open(&self.conversation.limiters, &grant.principal)
        {
            let reason = wait.to_string().into();
            return self.input(SessionInput::Close { code: CloseCode::RateLimited, reason });
        }
        self.quota.count(&self.conversation.limiters, &grant.principal);
        let peer = Peer { replica, encoding, grant: grant.clone(), token: None };
        match self.conversation.hub.open(&workspace, peer).await {
            Ok(link) => {
                self.link = Some(link);
                match (sender, self.conversation.foreign.take().map(|foreign| *foreign)) {
                    (Sender::Plain, _) => {
                        let hub = self.conversation.hub.clone();
                        let policy = self.conversation.policies.of(&workspace);
                        let door = TextDoor::new(hub, workspace, grant, policy);
                        self.door = Some(Door::Text(Box::new(door)));
                    }
                    (Sender::Foreign, Some(Foreign::YWebsocket(room, replica))) => {
                        let door = YWebsocketDoor::new(room, replica, grant);
                        self.door = Some(Door::YWebsocket(Box::new(door)));
                    }
                    (Sender::Replica { .. } | Sender::Foreign, _) => {}
                }
            }
            Err(_) => self.take_stop(),
        }
    }

    fn take_stop(&mut self) {
        let reason = "the server is stopping; connect again".into();
        self.input(SessionInput::Close { code: CloseCode::Restart, reason });
    }
}

/// What an error of reading says of the peer: that it broke WebSocket's rules, or that it is gone.
fn unreadable(error: &SocketError) -> SessionInput {
    match error {
        SocketError::Capacity(_) => {
            let reason = format!("a WebSocket message has more than {MAX_MESSAGE_BYTES} bytes");
            SessionInput::Close { code: CloseCode::TooLarge, reason: reason.into() }
        }
        SocketError::Protocol(ProtocolError::ResetWithoutClosingHandshake) => {
            SessionInput::Closed { code: None, reason: error.to_string().into() }
        }
        SocketError::Utf8(_) | SocketError::Protocol(_) => {
            SessionInput::Close { code: CloseCode::BadMessage, reason: error.to_string().into() }
        }
        _ => SessionInput::Closed { code: None, reason: error.to_string().into() },
    }
}

fn frame_of(frame: WireFrame) -> Frame {
    match frame {
        WireFrame::Binary(bytes) => Frame::Binary(bytes),
        // What goes out as text was encoded as such; anything else would be a fault of this side, shown as an empty frame.
        WireFrame::Text(text) => Frame::Text(Utf8Bytes::try_from(text).unwrap_or_default()),
    }
}
