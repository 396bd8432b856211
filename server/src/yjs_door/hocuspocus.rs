//! The door of `@hocuspocus/provider`: several documents on one connection, each with a token of its own.
//!
//! Each document is a room with a link of its own, as each may be seen by somebody else: what one token allows says nothing of another.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::future::poll_fn;
use rejoin_core::{Grant, Instant, LINK_LOW_WATER_BYTES, Payload, Peer};
use rejoin_crdt::doors::Sync;
use rejoin_crdt::doors::hocuspocus::{self, Access, Frame, Message, name_of};
use rejoin_wire::limits::{HELLO_TIMEOUT_MS, MAX_BYTES_BEFORE_AUTHENTICATION, MAX_CRDT_BYTES};
use rejoin_wire::{CloseCode, DocumentId, Encoding, UnixMillis, WorkspaceId};

use super::room::{MAX_UNTOLD, MAX_UNTOLD_BYTES};
use super::{Answered, Asked, Ending, Room, Say, client_replica};
use crate::frames;
use crate::hub::{Closing, Hub, Link, Outgoing, Urgency};
use crate::instruments;

#[cfg(test)]
mod tests;

/// Documents of one connection, those counted that its client may not see.
pub(super) const MAX_DOCUMENTS: usize = 100;

/// Bytes of frames about documents whose token has not come yet, over all documents of a connection.
pub(super) const MAX_EARLY_BYTES: usize = MAX_BYTES_BEFORE_AUTHENTICATION;

/// Time until a connection has shown a token that is good.
pub(super) const TOKEN_PATIENCE: std::time::Duration =
    std::time::Duration::from_millis(HELLO_TIMEOUT_MS as u64);

/// Tokens that may be wrong before one is good, and after that: whoever tries more is guessing.
pub(super) const MAX_REFUSED_TOKENS: usize = 100;

/// Bytes of what may follow the name of a document, by which a client tells several providers of it apart.
pub(super) const MAX_SESSION_BYTES: usize = 64;

/// Messages of one document that are taken before it is the turn of another.
const TURN: usize = 256;

/// One connection of `@hocuspocus/provider`.
pub(crate) struct HocuspocusDoor {
    hub: Hub,
    workspace: WorkspaceId,
    /// The documents, by what the client calls them: the name, and a session where it has several providers of one.
    seats: BTreeMap<String, Seat>,
    /// Rooms that the client has left, with something still to be told the replica.
    leaving: Vec<Served>,
    early_bytes: usize,
    /// Tokens that were not good.
    refused: usize,
    /// Until when somebody must have come in.
    until: Option<Instant>,
    said: Vec<Payload>,
    arrived: Option<(String, Arrived)>,
    /// Whose turn was last.
    last: String,
    ending: Option<Ending>,
    is_over: bool,
}

/// A document of a connection.
enum Seat {
    /// Its token has not come yet: what was said about it.
    Early(Vec<Bytes>),
    /// The client is in the room.
    Served(Box<Served>),
    /// It is not, or not any more: what it says is dropped until it shows a token again.
    Closed,
}

struct Served {
    room: Room,
    grant: Grant,
    peer: Peer,
    link: Option<Link>,
    /// Bytes told since the replica was last told that there is room.
    unread: usize,
    asked: Option<Asked>,
}

/// Something for a room.
enum Arrived {
    Answer(Answered),
    Outgoing(Option<Outgoing>),
    Urgent(Urgency),
}

impl HocuspocusDoor {
    /// Nobody has come in yet.
    pub(crate) fn new(hub: Hub, workspace: WorkspaceId, now: Instant) -> Self {
        Self {
            hub,
            workspace,
            seats: BTreeMap::new(),
            leaving: Vec::new(),
            early_bytes: 0,
            refused: 0,
            until: Some(now + TOKEN_PATIENCE),
            said: Vec::new(),
            arrived: None,
            last: String::new(),
            ending: None,
            is_over: false,
        }
    }

    /// Whether more of the client can be read.
    pub(crate) fn takes_frames(&self) -> bool {
        let (mut untold, mut bytes) = (0, 0);
        for served in self.served() {
            let (more, more_bytes) = served.room.untold();
            (untold, bytes) = (untold + more, bytes + more_bytes);
            if served.room.is_answering() {
                return false;
            }
        }
        untold < MAX_UNTOLD && bytes < MAX_UNTOLD_BYTES && !self.is_over
    }

    fn served(&self) -> impl Iterator<Item = &Served> {
        self.seats.values().filter_map(|seat| match seat {
            Seat::Served(served) => Some(&**served),
            Seat::Early(_) | Seat::Closed => None,
        })
    }

    pub(crate) fn take_said(&mut self) -> Vec<Payload> {
        std::mem::take(&mut self.said)
    }

    /// Why the connection is to end, once what was said is sent.
    pub(crate) fn take_ending(&mut self) -> Option<Ending> {
        let ending = self.ending.take();
        self.is_over |= ending.is_some();
        ending
    }

    fn end(&mut self, code: CloseCode, reason: impl Into<Arc<str>>) {
        self.ending.get_or_insert((code, reason.into()));
    }

    /// When [`check_time`](Self::check_time) is due.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.until.filter(|_| !self.is_over)
    }

    pub(crate) fn check_time(&mut self, now: Instant) {
        if self.until.take_if(|until| now >= *until).is_some() {
            self.end(CloseCode::HelloTimeout, "no token came in time: connect again");
        }
    }

    /// Says something: a client that hears nothing takes the connection for dead.
    pub(crate) fn keep_alive(&mut self) {
        if let Some(address) = self.seats.keys().next().cloned() {
            self.say_nothing(&address);
        }
    }

    /// A ping of the protocol is unknown to clients before 4.0.
    fn say_nothing(&mut self, address: &str) {
        self.said.push(frames::message(&hocuspocus::awareness(address, &[0])));
    }

    /// Takes a frame of the client. None is taken behind one that cannot be read.
    pub(crate) fn take_frame(
        &mut self,
        frame: &Bytes,
        now: UnixMillis,
        admit: impl FnOnce(&str, DocumentId) -> Result<Grant, Ending>,
    ) {
        if self.is_over || self.ending.is_some() {
            return;
        }
        // Nobody is known yet: no more is looked at than may wait.
        if self.until.is_some() && frame.len() > MAX_EARLY_BYTES {
            return self.too_early();
        }
        match hocuspocus::read(frame, MAX_CRDT_BYTES) {
            Ok(Frame::Ping) => self.said.push(frames::message(&hocuspocus::pong())),
            Ok(Frame::Pong) => {}
            Ok(Frame::About { address, message }) => self.take_message(address, message, frame, now, admit),
            Err(error) => self.end(CloseCode::BadMessage, format!("a message cannot be read: {error}")),
        }
    }

    fn too_early(&mut self) {
        let reason = format!("a connection takes {MAX_EARLY_BYTES} bytes before the token: send that first");
        self.end(CloseCode::TooLarge, reason);
    }

    fn take_message(
        &mut self,
        address: &str,
        message: Message<'_>,
        frame: &Bytes,
        now: UnixMillis,
        admit: impl FnOnce(&str, DocumentId) -> Result<Grant, Ending>,
    ) {
        match (self.seats.get_mut(address), message) {
            (_, Message::Close) => {
                self.leave(address);
                self.seats.remove(address);
                self.said.push(frames::message(&hocuspocus::closed(address, "provider_initiated")));
            }
            (seat, Message::Token { token, .. }) => {
                let is_new = seat.is_none();
                match document_of(address).filter(|_| !is_new || self.seats.len() < MAX_DOCUMENTS) {
                    Some(document) => {
                        let admitted = admit(token, document.clone());
                        self.take_token(address, document, now, admitted);
                    }
                    None => self.say_no_room(address),
                }
            }
            (Some(Seat::Served(served)), message) => {
                served.take(message, now);
                self.collect(address);
            }
            // Its client renews what it shows, and hears by the answer that the server is there.
            (Some(Seat::Closed), Message::Awareness(_)) => self.say_nothing(address),
            (Some(Seat::Closed), _) => {}
            (seat, _) => {
                let is_new = seat.is_none();
                if is_new && (document_of(address).is_none() || self.seats.len() >= MAX_DOCUMENTS) {
                    return;
                }
                self.early_bytes += frame.len();
                let seat = self.seats.entry(address.to_owned()).or_insert_with(|| Seat::Early(Vec::new()));
                if let Seat::Early(frames) = seat {
                    frames.push(frame.clone());
                }
                if self.early_bytes > MAX_EARLY_BYTES {
                    self.too_early();
                }
            }
        }
    }

    fn say_no_room(&mut self, address: &str) {
        let reason = match document_of(address) {
            None => format!(
                "this is no name of a room: it has 1 to 128 bytes without control characters, and a session at most {MAX_SESSION_BYTES}"
            ),
            Some(_) => format!("a connection has at most {MAX_DOCUMENTS} documents: open another"),
        };
        self.said.push(frames::message(&hocuspocus::denied(address, &reason)));
    }

    fn take_token(
        &mut self,
        address: &str,
        document: DocumentId,
        now: UnixMillis,
        admitted: Result<Grant, Ending>,
    ) {
        let grant = match admitted {
            Ok(grant) => grant,
            Err((code, reason)) if CloseCode::retry(code.number()) => return self.end(code, reason),
            Err((code, reason)) => {
                self.refused += 1;
                if self.refused > MAX_REFUSED_TOKENS {
                    return self.end(code, reason);
                }
                self.leave(address);
                self.seats.insert(address.to_owned(), Seat::Closed);
                return self.said.push(frames::message(&hocuspocus::denied(address, &reason)));
            }
        };
        self.until = None;
        let access = if grant.may_edit { Access::ReadWrite } else { Access::ReadOnly };
        self.said.push(frames::message(&hocuspocus::allowed(address, access)));
        // A new token of somebody who may do the same changes nothing.
        if matches!(self.seats.get(address), Some(Seat::Served(served)) if served.grant == grant) {
            return;
        }
        // The client does not begin again by itself where it may do something else now: it is asked.
        let asks = matches!(self.seats.get(address), Some(Seat::Served(_)));
        let early = self.leave(address);
        let mut served = Box::new(Served::new(document, grant, asks));
        for frame in early {
            if let Ok(Frame::About { message, .. }) = hocuspocus::read(&frame, MAX_CRDT_BYTES) {
                served.take(message, now);
            }
        }
        self.seats.insert(address.to_owned(), Seat::Served(served));
        self.collect(address);
    }

    /// Takes the client out of a room; returns what it said before its token.
    fn leave(&mut self, address: &str) -> Vec<Bytes> {
        let Some(seat) = self.seats.get_mut(address) else { return Vec::new() };
        match std::mem::replace(seat, Seat::Closed) {
            Seat::Early(frames) => {
                self.early_bytes -= frames.iter().map(Bytes::len).sum::<usize>();
                frames
            }
            // What it pushed last is told before its link ends.
            Seat::Served(served) => {
                self.leaving.push(*served);
                Vec::new()
            }
            Seat::Closed => Vec::new(),
        }
    }

    /// Says what a room says to its client, and does what else it asks for.
    fn collect(&mut self, address: &str) {
        let Some(Seat::Served(served)) = self.seats.get_mut(address) else { return };
        let said = served.room.take_said();
        self.said.extend(said.into_iter().map(|say| payload(address, say)));
        if let Some(question) = served.room.take_question() {
            served.asked = Some(question.ask());
        }
        match served.room.take_ending() {
            None => {}
            // The client comes back by itself when its connection ends, and not when its room does.
            Some((code, reason)) if CloseCode::retry(code.number()) => self.end(code, reason),
            Some((_, reason)) => {
                self.leave(address);
                self.said.push(frames::message(&hocuspocus::closed(address, &reason)));
            }
        }
    }

    /// Tells the replica what the rooms have to say, over links that are opened for that.
    pub(crate) async fn settle(&mut self, has_room: bool) {
        let mut is_gone = false;
        for mut served in std::mem::take(&mut self.leaving) {
            is_gone |= served.settle(&self.hub, &self.workspace, false).await.is_err();
        }
        for seat in self.seats.values_mut() {
            if let Seat::Served(served) = seat {
                is_gone |= served.settle(&self.hub, &self.workspace, has_room).await.is_err();
            }
        }
        if is_gone {
            self.end(CloseCode::Restart, "the server is stopping; connect again");
        }
    }

    /// Resolves when there is something for a room.
    pub(crate) async fn progress(&mut self) {
        if self.arrived.is_some() {
            return;
        }
        let arrived = poll_fn(|context| self.poll(context)).await;
        self.last.clone_from(&arrived.0);
        self.arrived = Some(arrived);
    }

    /// One room after the other, so that none waits for another that has much to say.
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<(String, Arrived)> {
        let (last, whole) = (self.last.clone(), (Bound::Unbounded::<&str>, Bound::Unbounded));
        let mut polled = |ends: (Bound<&str>, Bound<&str>)| {
            self.seats.range_mut::<str, _>(ends).find_map(|(address, seat)| {
                let Seat::Served(served) = seat else { return None };
                match served.poll(context) {
                    Poll::Ready(arrived) => Some((address.clone(), arrived)),
                    Poll::Pending => None,
                }
            })
        };
        match polled((Bound::Excluded(&last), Bound::Unbounded)).or_else(|| polled(whole)) {
            Some(arrived) => Poll::Ready(arrived),
            None => Poll::Pending,
        }
    }

    /// Takes in what came.
    pub(crate) fn finish(&mut self) {
        let Some((address, arrived)) = self.arrived.take() else { return };
        let Some(Seat::Served(served)) = self.seats.get_mut(&address) else { return };
        let ending = match arrived {
            Arrived::Answer(answered) => {
                served.room.take_answer(answered);
                None
            }
            Arrived::Outgoing(first) => served.take_outgoing(first),
            Arrived::Urgent(Urgency::Stop) => {
                Some((CloseCode::Restart, "the server is stopping; connect again".into()))
            }
            Arrived::Urgent(Urgency::Overflow) => {
                metrics::counter!(instruments::SLOW_READERS).increment(1);
                let reason = "this link reads too slowly; connect again to catch up";
                Some((CloseCode::SlowReader, reason.into()))
            }
        };
        self.collect(&address);
        if let Some((code, reason)) = ending {
            self.end(code, reason);
        }
    }
}

impl Served {
    fn new(document: DocumentId, grant: Grant, asks: bool) -> Self {
        let replica = client_replica();
        let peer = Peer { replica, encoding: Encoding::Binary, grant: grant.clone(), token: None };
        let room = Room::new(document, replica, grant.clone(), asks);
        Self { room, grant, peer, link: None, unread: 0, asked: None }
    }

    fn take(&mut self, message: Message<'_>, now: UnixMillis) {
        let room = &mut self.room;
        match message {
            Message::Sync(Sync::Step1(have)) => room.take_step1(have, true),
            Message::SyncReply(Sync::Step1(have)) => room.take_step1(have, false),
            Message::Sync(Sync::Step2(update)) | Message::SyncReply(Sync::Step2(update)) => {
                room.take_step2(&update, now);
            }
            Message::Sync(Sync::Update(update)) | Message::SyncReply(Sync::Update(update)) => {
                room.take_update(&update, now);
            }
            Message::Awareness(told) => room.take_awareness(&told),
            Message::QueryAwareness => room.tell_everybody(),
            // Of its server's extensions, of which there are none here.
            Message::Stateless(_) => {}
            // They are the connection's.
            Message::Token { .. } | Message::Close => {}
        }
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Arrived> {
        if let Some(asked) = &mut self.asked
            && let Poll::Ready(answered) = asked.as_mut().poll(context)
        {
            self.asked = None;
            return Poll::Ready(Arrived::Answer(answered));
        }
        let Some((Some(queue), Some(urgent))) = self.link.as_mut().map(Link::ends) else {
            return Poll::Pending;
        };
        if let Poll::Ready(urgency) = urgent.poll(context) {
            return Poll::Ready(Arrived::Urgent(urgency));
        }
        queue.poll_recv(context).map(Arrived::Outgoing)
    }

    /// Takes what the replica tells, as far as it is there; returns why the link has ended, where it has.
    fn take_outgoing(&mut self, first: Option<Outgoing>) -> Option<Ending> {
        let mut next = first;
        let mut taken = 0;
        loop {
            match next {
                Some(Outgoing::Told(told)) => {
                    self.unread += told.payload().len();
                    self.room.take_told(&told);
                }
                Some(Outgoing::Close(closing)) => {
                    let Closing { code, reason } = *closing;
                    return Some((code, reason));
                }
                None => {
                    return Some((CloseCode::Restart, "the workspace is gone; connect again".into()));
                }
            }
            taken += 1;
            let more = if taken < TURN { self.link.as_mut() } else { None };
            next = Some(more.and_then(|link| link.queue.try_recv().ok())?);
        }
    }

    async fn settle(
        &mut self,
        hub: &Hub,
        workspace: &WorkspaceId,
        has_room: bool,
    ) -> Result<(), crate::hub::Stopped> {
        let link = match self.link.take() {
            Some(link) => link,
            None => hub.open(workspace, self.peer.clone()).await?,
        };
        let link = self.link.insert(link);
        for message in self.room.take_messages() {
            link.received(message).await?;
        }
        if has_room && self.unread >= LINK_LOW_WATER_BYTES {
            self.unread = 0;
            link.writable().await?;
        }
        Ok(())
    }
}

/// The document that is called so, where that can be one.
fn document_of(address: &str) -> Option<DocumentId> {
    let (name, session) = name_of(address);
    let session = session.unwrap_or_default();
    DocumentId::new(name).ok().filter(|_| session.len() <= MAX_SESSION_BYTES)
}

fn payload(address: &str, say: Say) -> Payload {
    frames::message(&match say {
        Say::Step1(state_vector) => hocuspocus::step1(address, &state_vector),
        Say::Step2(update) => hocuspocus::step2(address, &update),
        Say::Update(update) => hocuspocus::update(address, &update),
        Say::News(news) => return news.hocuspocus(address),
        Say::Awareness(update) => hocuspocus::awareness(address, &update),
        Say::Taken(is_taken) => hocuspocus::status(address, is_taken),
    })
}
