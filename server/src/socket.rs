//! One WebSocket: a thin task around the session machine.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::ws::{CloseFrame, Message as Frame, Utf8Bytes, WebSocket};
use futures_util::{SinkExt, StreamExt};
use rejoin_core::{
    Credentials, Disconnect, Grant, Instant, LINK_LOW_WATER_BYTES, Payload, Peer, Sender, Session,
    SessionInput, SessionOutput,
};
use rejoin_wire::{CloseCode, Encoding, Frame as WireFrame, ReplicaId, WorkspaceId};
use tokio::time::timeout;

use crate::hub::{Hub, Link, Outgoing};
use crate::text_door::TextDoor;

/// Time for the last frames of a link to be written.
const CLOSE_PATIENCE: Duration = Duration::from_secs(5);

/// Messages taken from the link's queue before they are written together.
const WRITE_BATCH: usize = 256;

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
    pub(crate) session: Session,
    pub(crate) encoding: Encoding,
    pub(crate) default_workspace: WorkspaceId,
    /// The token that came with the upgrade request.
    pub(crate) token: Option<String>,
}

/// Serves a socket until it ends.
pub(crate) async fn serve(socket: WebSocket, conversation: Conversation) {
    let mut task =
        Task { socket, started: std::time::Instant::now(), link: None, door: None, unread: 0, conversation };
    let end = task.run().await;
    tracing::debug!(code = end.code, reason = %end.reason, "a link ended");
    let Task { mut socket, .. } = task;
    let frame = CloseFrame { code: close_code(end.code), reason: Utf8Bytes::from(end.reason.as_ref()) };
    if !end.by_peer {
        let _ = timeout(CLOSE_PATIENCE, socket.send(Frame::Close(Some(frame)))).await;
    }
    let _ = timeout(CLOSE_PATIENCE, socket.close()).await;
}

struct Task {
    socket: WebSocket,
    started: std::time::Instant,
    link: Option<Link>,
    door: Option<TextDoor>,
    /// Bytes given to the socket since the replica was last told that there is room.
    unread: usize,
    conversation: Conversation,
}

/// What a socket's task wakes up for.
enum Wake {
    Frame(Option<Result<Frame, axum::Error>>),
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
        loop {
            if let Some(end) = self.drain().await {
                return end;
            }
            let wake = self.wait().await;
            self.take(wake).await;
        }
    }

    async fn wait(&mut self) -> Wake {
        let deadline = self.conversation.session.poll_timeout();
        let now = self.now();
        let sleep = deadline.map_or(Duration::from_secs(3_600), |at| at.since(now));
        let hub = self.conversation.hub.clone();
        // A text client that has asked for more than it was answered is not read until it was.
        let reads = self.door.as_ref().is_none_or(TextDoor::takes_requests);
        let door = async {
            match &mut self.door {
                Some(door) => door.progress().await,
                None => std::future::pending().await,
            }
        };
        let (outgoing, overflow) = match &mut self.link {
            Some(link) => (Some(&mut link.queue), Some(&link.overflow)),
            None => (None, None),
        };
        let outgoing = async {
            match outgoing {
                Some(queue) => queue.recv().await,
                None => std::future::pending().await,
            }
        };
        let overflow = async {
            match overflow {
                Some(overflow) => overflow.notified().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = hub.stopped() => Wake::Stop,
            () = overflow => Wake::Overflow,
            outgoing = outgoing => Wake::Outgoing(outgoing),
            () = door => Wake::Door,
            frame = self.socket.next(), if reads => Wake::Frame(frame),
            () = tokio::time::sleep(sleep) => Wake::Timeout,
        }
    }

    async fn take(&mut self, wake: Wake) {
        match wake {
            Wake::Timeout => self.input(SessionInput::Timeout),
            Wake::Stop => self.input(SessionInput::Close {
                code: CloseCode::Restart,
                reason: "the server is stopping; connect again".into(),
            }),
            Wake::Overflow => self.input(SessionInput::Close {
                code: CloseCode::SlowReader,
                reason: "this link reads too slowly; connect again to catch up".into(),
            }),
            Wake::Door => self.take_door(),
            Wake::Outgoing(None) => self.input(SessionInput::Close {
                code: CloseCode::Restart,
                reason: "the workspace is gone; connect again".into(),
            }),
            Wake::Outgoing(Some(outgoing)) => self.take_outgoing(outgoing).await,
            Wake::Frame(frame) => self.take_frame(frame),
        }
    }

    fn take_frame(&mut self, frame: Option<Result<Frame, axum::Error>>) {
        let closed = |code, reason: &str| SessionInput::Closed { code, reason: reason.into() };
        let input = match frame {
            Some(Ok(Frame::Binary(bytes))) => SessionInput::Frame(WireFrame::Binary(bytes)),
            Some(Ok(Frame::Text(text))) => SessionInput::Frame(WireFrame::Text(text.into())),
            Some(Ok(Frame::Ping(_) | Frame::Pong(_))) => SessionInput::Alive,
            Some(Ok(Frame::Close(Some(frame)))) => closed(Some(frame.code), frame.reason.as_str()),
            Some(Ok(Frame::Close(None))) | None => closed(None, ""),
            Some(Err(error)) => closed(None, &error.to_string()),
        };
        metrics::counter!("rejoin_frames_received_total").increment(1);
        self.input(input);
    }

    async fn take_outgoing(&mut self, first: Outgoing) {
        let mut next = Some(first);
        let mut taken = 0;
        while let Some(outgoing) = next.take() {
            match outgoing {
                Outgoing::Payload(payload) => {
                    self.unread += payload.len();
                    self.give(payload);
                }
                Outgoing::Close { code, reason } => self.input(SessionInput::Close { code, reason }),
            }
            taken += 1;
            if taken < WRITE_BATCH {
                next = self.link.as_mut().and_then(|link| link.queue.try_recv().ok());
            }
        }
    }

    /// Sends a message on: as it is to a replica, in words to a text client.
    fn give(&mut self, payload: Payload) {
        match &mut self.door {
            None => self.input(SessionInput::Send(payload)),
            Some(door) => {
                door.take_payload(&payload);
                self.take_door();
            }
        }
    }

    /// Hands on what the text door says to the replica.
    async fn tell_replica(&mut self) {
        let Some(door) = &mut self.door else { return };
        for message in door.take_messages() {
            if let Some(link) = &self.link {
                let _ = link.received(message).await;
            }
        }
    }

    fn take_door(&mut self) {
        let Some(door) = &mut self.door else { return };
        for response in door.take_responses() {
            self.input(SessionInput::Send(Payload::text(response.to_text())));
        }
    }

    /// Does what the session asks for, and writes everything in one go.
    async fn drain(&mut self) -> Option<Disconnect> {
        let mut fed = false;
        while let Some(output) = self.conversation.session.poll_output() {
            match output {
                SessionOutput::Frame(frame) => {
                    fed = true;
                    if self.socket.feed(frame_of(frame)).await.is_err() {
                        self.input(SessionInput::Closed {
                            code: None,
                            reason: "the connection broke".into(),
                        });
                    }
                }
                SessionOutput::Ping => {
                    fed = true;
                    let _ = self.socket.feed(Frame::Ping(bytes::Bytes::new())).await;
                }
                SessionOutput::Authenticate(credentials) => self.authenticate(&credentials),
                SessionOutput::Opened(opened) => self.open(opened.grant, opened.sender).await,
                SessionOutput::Message(message) => {
                    let gone = match &self.link {
                        Some(link) => link.received(message).await.is_err(),
                        None => false,
                    };
                    if gone {
                        self.take(Wake::Stop).await;
                    }
                }
                SessionOutput::Text(request) => {
                    if let Some(door) = &mut self.door {
                        door.take_request(request);
                    }
                    self.take_door();
                }
                SessionOutput::Disconnect(end) => {
                    let _ = timeout(CLOSE_PATIENCE, self.socket.flush()).await;
                    return Some(end);
                }
            }
        }
        if fed && self.socket.flush().await.is_err() {
            self.input(SessionInput::Closed { code: None, reason: "the connection broke".into() });
        }
        self.tell_replica().await;
        self.tell_writable().await;
        None
    }

    /// What was handed over is with the kernel: the replica may send more.
    async fn tell_writable(&mut self) {
        if self.unread < LINK_LOW_WATER_BYTES {
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
            Ok(grant) => SessionInput::Authenticated(grant),
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
        };
        let workspace = workspace.unwrap_or_else(|| self.conversation.default_workspace.clone());
        let peer = Peer { replica, encoding, grant: grant.clone(), token: None };
        match self.conversation.hub.open(&workspace, peer).await {
            Ok(link) => {
                if sender == Sender::Plain {
                    self.door = Some(TextDoor::new(self.conversation.hub.clone(), workspace, grant));
                }
                self.link = Some(link);
            }
            Err(_) => self.take_stop(),
        }
    }

    fn take_stop(&mut self) {
        let reason = "the server is stopping; connect again".into();
        self.input(SessionInput::Close { code: CloseCode::Restart, reason });
    }
}

fn frame_of(frame: WireFrame) -> Frame {
    match frame {
        WireFrame::Binary(bytes) => Frame::Binary(bytes),
        // What goes out as text was encoded as such; anything else would be a fault of this side, shown as an empty frame.
        WireFrame::Text(text) => Frame::Text(Utf8Bytes::try_from(text).unwrap_or_default()),
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
