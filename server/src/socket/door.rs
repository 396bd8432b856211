//! What stands between a socket and the replica, where the client holds no replica itself.

use std::sync::Arc;
use std::task::Poll;

use futures_util::StreamExt;
use futures_util::future::poll_fn;
use rejoin_core::{Credentials, Grant, Instant, Payload, SessionInput};
use rejoin_rooms::{ClientId, RoomId};
use rejoin_wire::{CloseCode, DocumentId, Frame, Hello, Message, ReplicaId, TextMessage, TextRequest};
use tokio_tungstenite::tungstenite::{Error as SocketError, Message as SocketFrame};

use super::quota::Quota;
use super::{Conversation, Task};
use crate::hub::unix_now;
use crate::rooms_door::{Rooms, RoomsDoor};
use crate::text_door::{TextDoor, Told};
use crate::yjs_door::{HocuspocusDoor, YWebsocketDoor};

/// A protocol of others than ours.
pub(crate) enum Foreign {
    /// The document, and under which id its client makes changes.
    YWebsocket(DocumentId, ReplicaId),
    Hocuspocus,
    /// The rooms door: which room is joined first, as whom, and whether that is the only one that may be.
    Rooms {
        rooms: Arc<Rooms>,
        room: RoomId,
        client: ClientId,
        stays: bool,
    },
}

/// A door of one connection.
pub(super) enum Door {
    Text(Box<TextDoor>),
    YWebsocket(Box<YWebsocketDoor>),
    Hocuspocus(Box<HocuspocusDoor>),
    Rooms(Box<RoomsDoor>),
}

impl Foreign {
    /// Whether its door speaks over the socket's own link.
    pub(super) fn has_link(&self) -> bool {
        matches!(self, Self::YWebsocket(..))
    }
}

impl Door {
    /// Whether more of the client can be read.
    pub(super) fn takes_frames(&self) -> bool {
        match self {
            Self::Text(door) => door.takes_requests(),
            Self::YWebsocket(door) => door.takes_frames(),
            Self::Hocuspocus(door) => door.takes_frames(),
            Self::Rooms(door) => door.takes_frames(),
        }
    }

    /// Whether its client is read while it does not read what waits for it. One that is answered each frame would have answers pile up.
    pub(super) fn reads_while_blocked(&self) -> bool {
        matches!(self, Self::Text(_))
    }

    /// Whether what its client sends in one go is handed on together.
    pub(super) fn gathers(&self) -> bool {
        matches!(self, Self::YWebsocket(_) | Self::Hocuspocus(_))
    }

    /// Whether what it says are frames of the WebSocket, written already.
    pub(super) fn writes_frames(&self) -> bool {
        matches!(self, Self::YWebsocket(_) | Self::Hocuspocus(_))
    }

    /// Whether more of what the replica tells can be taken.
    pub(super) fn takes_news(&self) -> bool {
        match self {
            Self::Text(door) => door.takes_news(),
            Self::YWebsocket(_) | Self::Hocuspocus(_) | Self::Rooms(_) => true,
        }
    }

    /// Resolves when something that takes time is done; never when nothing is.
    pub(super) async fn progress(&mut self) {
        match self {
            Self::Text(door) => door.progress().await,
            Self::YWebsocket(door) => door.progress().await,
            // Every idle link keeps room for the largest of them.
            Self::Hocuspocus(door) => Box::pin(door.progress()).await,
            Self::Rooms(door) => Box::pin(door.progress()).await,
        }
    }

    /// Takes in what was done.
    pub(super) fn finish(&mut self) {
        match self {
            Self::Text(door) => door.finish(),
            Self::YWebsocket(door) => door.finish(),
            Self::Hocuspocus(door) => door.finish(),
            Self::Rooms(door) => door.finish(),
        }
    }

    /// Takes what the replica tells over the socket's link, which doors of several documents have not.
    pub(super) fn take_told(&mut self, told: &Told) {
        match self {
            Self::Text(door) => door.take_told(told),
            Self::YWebsocket(door) => door.take_told(told),
            Self::Hocuspocus(_) | Self::Rooms(_) => {}
        }
    }

    pub(super) fn take_said(&mut self) -> Vec<Payload> {
        match self {
            Self::Text(door) => door.take_said().collect(),
            Self::YWebsocket(door) => door.take_said(),
            Self::Hocuspocus(door) => door.take_said(),
            Self::Rooms(door) => door.take_said(),
        }
    }

    /// What it tells the replica over the socket's link.
    pub(super) fn take_messages(&mut self) -> Vec<Message> {
        match self {
            Self::Text(door) => door.take_messages(),
            Self::YWebsocket(door) => door.take_messages(),
            Self::Hocuspocus(_) | Self::Rooms(_) => Vec::new(),
        }
    }

    /// Tells the replica the rest over links of its own; `has_room` where its client takes more.
    pub(super) async fn settle(&mut self, has_room: bool) {
        match self {
            Self::Text(_) | Self::YWebsocket(_) => {}
            Self::Hocuspocus(door) => Box::pin(door.settle(has_room)).await,
            Self::Rooms(door) => Box::pin(door.settle(has_room)).await,
        }
    }

    /// Why the socket is to be closed, once what was said is sent.
    pub(super) fn take_ending(&mut self) -> Option<(CloseCode, Arc<str>)> {
        match self {
            Self::Text(_) => None,
            Self::YWebsocket(door) => door.take_ending(),
            Self::Hocuspocus(door) => door.take_ending(),
            Self::Rooms(door) => door.take_ending(),
        }
    }

    /// Its client is silent and was pinged: some need to hear more than that.
    pub(super) fn keep_alive(&mut self) {
        match self {
            Self::Text(_) => {}
            Self::YWebsocket(door) => door.keep_alive(),
            Self::Hocuspocus(door) => door.keep_alive(),
            Self::Rooms(door) => door.keep_alive(),
        }
    }

    /// When something is due in it.
    pub(super) fn deadline(&self) -> Option<Instant> {
        match self {
            Self::Text(_) | Self::YWebsocket(_) | Self::Rooms(_) => None,
            Self::Hocuspocus(door) => door.deadline(),
        }
    }

    pub(super) fn check_time(&mut self, now: Instant) {
        if let Self::Hocuspocus(door) = self {
            door.check_time(now);
        }
    }
}

impl Task {
    /// A frame that has come already, of a client whose door hands on together what comes together.
    pub(super) async fn next_frame(&mut self) -> Option<Option<Result<SocketFrame, SocketError>>> {
        let gathers = self.door.as_ref().is_some_and(Door::gathers);
        if !gathers || self.is_over() || !self.reads() {
            return None;
        }
        let socket = &mut self.socket;
        poll_fn(|context| {
            Poll::Ready(match socket.poll_next_unpin(context) {
                Poll::Ready(frame) => Some(frame),
                Poll::Pending => None,
            })
        })
        .await
    }

    /// Hands on what the door says to the replica.
    pub(super) async fn tell_replica(&mut self) {
        let has_room = self.blocked.is_none();
        let Some(door) = &mut self.door else { return };
        door.settle(has_room).await;
        for message in door.take_messages() {
            if let Some(link) = &self.link {
                let _ = link.received(message).await;
            }
        }
    }

    /// Takes what the replica told before it answered, and then the answer.
    pub(super) async fn finish_door(&mut self) {
        if self.door.as_ref().is_some_and(Door::takes_news)
            && let Some(first) = self.link.as_mut().and_then(|link| link.queue.try_recv().ok())
        {
            self.take_outgoing(first).await;
        }
        if let Some(door) = &mut self.door {
            door.finish();
        }
        self.take_door();
    }

    pub(super) fn take_door(&mut self) {
        let Some(door) = &mut self.door else { return };
        let said = door.take_said();
        let ending = door.take_ending();
        for payload in said {
            self.input(SessionInput::Send(payload));
        }
        if let Some((code, reason)) = ending {
            self.input(SessionInput::Close { code, reason });
        }
    }

    /// Hands a frame to its door, unless too many came: clients of Yjs cannot be told to wait, but come back.
    pub(super) fn take_foreign(&mut self, frame: Frame) {
        self.received = 0;
        let over = self.over.take();
        let is_ignored = self.quota.is_ignored();
        let Self { door, conversation, quota, .. } = self;
        let refused = match (door, frame, over) {
            (Some(Door::Rooms(door)), _, Some(wait)) if !is_ignored => {
                door.refuse_frame(&wait.to_string());
                None
            }
            (_, _, Some(wait)) => Some((CloseCode::RateLimited, wait.to_string().into())),
            (Some(Door::YWebsocket(door)), Frame::Binary(frame), None) => {
                door.take_frame(&frame, unix_now());
                None
            }
            (Some(Door::Hocuspocus(door)), Frame::Binary(frame), None) => {
                door.take_frame(&frame, unix_now(), |token, document| {
                    conversation.admit_token(token, document, quota)
                });
                None
            }
            (Some(Door::Rooms(door)), Frame::Text(bytes), None) => {
                // What came as text is UTF-8.
                door.take_text(std::str::from_utf8(&bytes).unwrap_or_default());
                None
            }
            // A sign of life, and nothing else.
            (Some(Door::Rooms(_)), Frame::Binary(_), None) => None,
            (Some(Door::YWebsocket(_) | Door::Hocuspocus(_)), Frame::Text(_), None) => {
                Some((CloseCode::BadMessage, "this door speaks in binary frames".into()))
            }
            (Some(Door::Text(_)) | None, _, None) => None,
        };
        if let Some((code, reason)) = refused {
            self.input(SessionInput::Close { code, reason });
        }
        self.take_door();
    }

    /// Hands a request to the text door, unless too many came.
    pub(super) fn take_request(&mut self, request: TextMessage<TextRequest>) {
        let bytes = std::mem::take(&mut self.received);
        let over = self.over.take();
        let Some(Door::Text(door)) = &mut self.door else { return };
        match over {
            None => door.take_request(request, bytes),
            Some(wait) if self.quota.is_ignored() => self
                .input(SessionInput::Close { code: CloseCode::RateLimited, reason: wait.to_string().into() }),
            Some(wait) => door.refuse(request.request_id, &wait.to_string()),
        }
    }

    /// Opens a door that has links of its own.
    pub(super) fn open_foreign(&mut self, foreign: Foreign, grant: &Grant) {
        match foreign {
            Foreign::Rooms { rooms, room, client, stays } => {
                self.open_rooms(RoomsDoor::new(rooms, grant.clone(), client, room, stays), grant);
            }
            Foreign::YWebsocket(..) | Foreign::Hocuspocus => self.open_hocuspocus(),
        }
    }

    /// Under which id the socket's own link makes changes.
    pub(super) fn foreign_replica(&self) -> ReplicaId {
        match self.conversation.foreign.as_deref() {
            Some(Foreign::YWebsocket(_, replica)) => *replica,
            _ => ReplicaId(0),
        }
    }

    /// Opens the door of rooms, whose clients have a link for each.
    fn open_rooms(&mut self, door: RoomsDoor, grant: &Grant) {
        if let Err(wait) = self.quota.open(&self.conversation.limiters, &grant.principal) {
            let reason = wait.to_string().into();
            return self.input(SessionInput::Close { code: CloseCode::RateLimited, reason });
        }
        self.quota.count(&self.conversation.limiters, &grant.principal);
        self.door = Some(Door::Rooms(Box::new(door)));
    }

    /// Opens the door whose documents have links of their own.
    fn open_hocuspocus(&mut self) {
        let workspace = self.conversation.default_workspace.clone();
        let door = HocuspocusDoor::new(self.conversation.hub.clone(), workspace, self.now());
        self.door = Some(Door::Hocuspocus(Box::new(door)));
    }
}

impl Conversation {
    /// What a token allows that came for one document.
    fn admit_token(
        &self,
        token: &str,
        document: DocumentId,
        quota: &mut Quota,
    ) -> Result<Grant, (CloseCode, Arc<str>)> {
        let shown = (!token.is_empty()).then(|| token.into());
        let hello = Hello {
            versions: Vec::new(),
            replica: ReplicaId(0),
            workspace: None,
            token: shown,
            agent: Some("hocuspocus".into()),
        };
        let room = RoomId::new(self.default_workspace.clone(), document).ok();
        let ticket = self.tickets.admit(token, room.as_ref(), unix_now());
        let grant = ticket.unwrap_or_else(|| self.admission.admit(&Credentials::Hello(hello), None))?;
        let is_taken = quota.open(&self.limiters, &grant.principal);
        is_taken.map_err(|wait| (CloseCode::RateLimited, wait.to_string().into()))?;
        quota.count(&self.limiters, &grant.principal);
        Ok(grant)
    }
}
