//! One connection of the rooms door.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;

use futures_util::StreamExt;
use futures_util::stream::FuturesOrdered;
use rejoin_core::{Base, Grant, Payload, Replica, Reply};
use rejoin_json::Json;
use rejoin_rooms::limits::{MAX_BAD_MESSAGES, MAX_MESSAGE_BYTES};
use rejoin_rooms::{
    ClientId, ClientMessage, CrdtOperation, CrdtStorage, Form, Refusal, RoomId, RoomIdLike, ServerMessage,
    StorageLike, decode_client_message,
};
use rejoin_wire::{CloseCode, ErrorCode};

use super::content::Kind;
use super::feed::{Feed, Rooms};
use super::stay::{Arrived, NotEntered, Stay, Told};
use super::writing::{WriteError, edit, refusal_of, write};
use super::{Ending, MAX_UNTOLD, MAX_UNTOLD_BYTES};
use crate::hub::Stopped;

type Soon<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// One connection of a client of rooms.
pub(crate) struct RoomsDoor {
    rooms: Arc<Rooms>,
    grant: Grant,
    client: ClientId,
    /// The only room that the client may be in, where its ticket says so.
    only: Option<RoomId>,
    form: Form,
    stay: Option<Box<Stay>>,
    /// The room that was asked for, until it is known whether the client may be in it. It is not read meanwhile.
    entering: Option<Soon<Result<Box<Stay>, NotEntered>>>,
    /// Batches that the replica was not told of, in order, with their bytes.
    unsent: VecDeque<(Arc<Feed>, CrdtOperation, usize)>,
    /// Batches that are not durable yet.
    sent: FuturesOrdered<Soon<(Result<Reply, Stopped>, usize)>>,
    /// One that has to be looked into first; the others wait for it.
    writing: Option<Soon<(Result<(), WriteError>, usize)>>,
    untold_bytes: usize,
    bad: u32,
    said: Vec<Payload>,
    arrived: Option<Event>,
    ending: Option<Ending>,
    is_over: bool,
}

enum Event {
    Entered(Result<Box<Stay>, NotEntered>),
    Replied(Result<Reply, Stopped>, usize),
    Written(Result<(), WriteError>, usize),
    Stay(Arrived),
}

impl RoomsDoor {
    /// The client joins the room as soon as that can be said.
    pub(crate) fn new(rooms: Arc<Rooms>, grant: Grant, client: ClientId, room: RoomId, stays: bool) -> Self {
        let mut door = Self {
            rooms,
            grant,
            client,
            only: stays.then(|| room.clone()),
            form: Form::default(),
            stay: None,
            entering: None,
            unsent: VecDeque::new(),
            sent: FuturesOrdered::new(),
            writing: None,
            untold_bytes: 0,
            bad: 0,
            said: Vec::new(),
            arrived: None,
            ending: None,
            is_over: false,
        };
        door.enter(room);
        door
    }

    fn enter(&mut self, room: RoomId) {
        let (rooms, client, grant) = (Arc::clone(&self.rooms), self.client, self.grant.clone());
        self.entering =
            Some(Box::pin(async move { Stay::enter(&rooms, &room, client, grant).await.map(Box::new) }));
    }

    /// Whether more of the client can be read.
    pub(crate) fn takes_frames(&self) -> bool {
        let untold = self.unsent.len() + self.sent.len() + usize::from(self.writing.is_some());
        self.entering.is_none()
            && untold < MAX_UNTOLD
            && self.untold_bytes < MAX_UNTOLD_BYTES
            && !self.is_over
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

    fn end(&mut self, (code, reason): Ending) {
        self.ending.get_or_insert((code, reason));
    }

    fn say(&mut self, message: &ServerMessage) {
        self.said.push(Payload::text(message.encode(self.form).as_ref().to_owned()));
    }

    fn refuse(&mut self, code: ErrorCode, message: impl Into<String>) {
        self.say(&ServerMessage::refusal(&Refusal::new(code, message)));
    }

    /// Asks a silent client for a sign of life.
    pub(crate) fn keep_alive(&mut self) {
        self.say(&ServerMessage::Ping);
    }

    /// Says that a message was one too many, and not taken.
    pub(crate) fn refuse_frame(&mut self, why: &str) {
        self.refuse(ErrorCode::RateLimited, why);
    }

    /// Takes a message of the client.
    pub(crate) fn take_text(&mut self, text: &str) {
        if self.is_over || self.ending.is_some() {
            return;
        }
        if text.len() > MAX_MESSAGE_BYTES {
            let message = format!("a message has at most {MAX_MESSAGE_BYTES} bytes: send it in several");
            return self.refuse_bad(&Refusal::new(ErrorCode::TooLarge, message));
        }
        let decoded = decode_client_message(text);
        if decoded.form == Form::Typed {
            self.form = Form::Typed;
        }
        match decoded.message {
            Ok(message) => {
                self.bad = 0;
                self.take_message(message);
            }
            Err(error) => self.refuse_bad(&error.into()),
        }
    }

    fn refuse_bad(&mut self, refusal: &Refusal) {
        self.bad += 1;
        self.say(&ServerMessage::refusal(refusal));
        if self.bad >= MAX_BAD_MESSAGES {
            self.end((CloseCode::BadMessage, "too many messages in a row could not be read".into()));
        }
    }

    fn take_message(&mut self, message: ClientMessage) {
        match message {
            ClientMessage::JoinRoom(room) => match RoomId::read(&room) {
                Ok(room) if self.stay.as_ref().is_some_and(|stay| *stay.feed().room() == room) => {
                    self.join_again();
                }
                Ok(room) if self.only.as_ref().is_none_or(|only| *only == room) => self.enter(room),
                Ok(_) => {
                    self.refuse(ErrorCode::Forbidden, "the ticket is for another room: ask for one for this");
                }
                Err(refusal) => self.say(&ServerMessage::refusal(&refusal)),
            },
            ClientMessage::Pong => {}
            ClientMessage::LeaveRoom if self.stay.is_some() => self.leave(),
            ClientMessage::UpdatePresence(state) if self.stay.is_some() => self.show(state),
            ClientMessage::UpdateStorage(operation) if self.stay.is_some() => self.update(&operation),
            _ => self.refuse(ErrorCode::UnexpectedMessage, "this client is in no room: join one first"),
        }
    }

    /// Its place is not taken anew, which would end the connection that has it: this one.
    fn join_again(&mut self) {
        let Some(stay) = &mut self.stay else { return };
        let (joined, told) = (stay.joined(), stay.again(self.form));
        self.say(&joined);
        self.tell(told);
    }

    fn leave(&mut self) {
        if let Some(stay) = self.stay.take() {
            self.say(&stay.left());
        }
    }

    fn show(&mut self, state: Json) {
        let shown = self.stay.as_mut().map_or(Ok(()), |stay| stay.show(state));
        if let Err(refusal) = shown {
            self.say(&ServerMessage::refusal(&refusal));
        }
    }

    fn update(&mut self, operation: &Json) {
        if !self.grant.may_edit {
            return self.refuse(ErrorCode::Forbidden, "this client may read the room, and not edit it");
        }
        let Some(stay) = &self.stay else { return };
        match CrdtStorage::read(operation) {
            Ok(operation) => {
                let bytes = bytes_of(&operation);
                self.untold_bytes += bytes;
                self.unsent.push_back((Arc::clone(stay.feed()), operation, bytes));
            }
            Err(refusal) => self.say(&ServerMessage::refusal(&refusal)),
        }
    }

    /// Tells the replica what there is to tell; `has_room` where the client takes more.
    pub(crate) async fn settle(&mut self, has_room: bool) {
        if self.try_settle(has_room).await.is_err() {
            self.end((CloseCode::Restart, Stopped.to_string().into()));
        }
    }

    async fn try_settle(&mut self, has_room: bool) -> Result<(), Stopped> {
        if let Some(stay) = &mut self.stay {
            stay.settle(has_room).await?;
        }
        while self.writing.is_none()
            && let Some((feed, operation, bytes)) = self.unsent.pop_front()
        {
            match operation {
                CrdtOperation::Patch(patch) if matches!(feed.kind(), Kind::Crdt | Kind::Json) => {
                    let (grant, document) = (self.grant.clone(), feed.room().document().clone());
                    let submit = Box::new(move |replica: &mut Replica, token| {
                        replica.submit(token, grant, &document, edit(patch), Base::Current, None);
                    });
                    let reply = feed.hub().ask(feed.room().workspace(), submit).await?;
                    self.sent.push_back(Box::pin(async move { (reply.await, bytes) }));
                }
                operation if self.sent.is_empty() => {
                    let grant = self.grant.clone();
                    self.writing = Some(Box::pin(async move {
                        let written = async {
                            let written = write(&feed, &grant, operation).await?;
                            // What comes next is about what this has made.
                            feed.reach(written.version).await;
                            Ok(())
                        };
                        (written.await, bytes)
                    }));
                }
                // It may be about one of those, which have to be told first.
                operation => {
                    self.unsent.push_front((feed, operation, bytes));
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// Resolves when there is something to take in.
    pub(crate) async fn progress(&mut self) {
        if self.arrived.is_some() {
            return;
        }
        let Self { entering, sent, writing, stay, .. } = self;
        let arrived = tokio::select! {
            biased;
            entered = soon(entering) => Event::Entered(entered),
            Some((reply, bytes)) = sent.next(), if !sent.is_empty() => Event::Replied(reply, bytes),
            (written, bytes) = soon(writing) => Event::Written(written, bytes),
            arrived = async {
                match stay {
                    Some(stay) => stay.progress().await,
                    None => std::future::pending().await,
                }
            } => Event::Stay(arrived),
        };
        self.arrived = Some(arrived);
    }

    /// Takes it in.
    pub(crate) fn finish(&mut self) {
        match self.arrived.take() {
            None => {}
            Some(Event::Entered(entered)) => {
                self.entering = None;
                self.take_entered(entered);
            }
            Some(Event::Replied(reply, bytes)) => {
                self.untold_bytes -= bytes;
                match reply {
                    Ok(Reply::Accepted(_)) => {}
                    Ok(reply) => self.say(&ServerMessage::refusal(&refusal_of(reply))),
                    Err(stopped) => self.end((CloseCode::Restart, stopped.to_string().into())),
                }
            }
            Some(Event::Written(written, bytes)) => {
                self.writing = None;
                self.untold_bytes -= bytes;
                match written {
                    Ok(()) => {}
                    Err(WriteError::Refused(refusal)) => self.say(&ServerMessage::refusal(&refusal)),
                    Err(WriteError::Stopped) => self.end((CloseCode::Restart, Stopped.to_string().into())),
                }
            }
            Some(Event::Stay(arrived)) => {
                let Some(stay) = &mut self.stay else { return };
                let told = stay.take(arrived, self.form);
                self.tell(told);
            }
        }
    }

    fn tell(&mut self, Told { said, batches, is_gone, ending }: Told) {
        for message in said {
            self.say(&message);
        }
        self.said.extend(batches);
        if is_gone {
            self.leave();
        }
        if let Some(ending) = ending {
            self.end(ending);
        }
    }

    fn take_entered(&mut self, entered: Result<Box<Stay>, NotEntered>) {
        match entered {
            Ok(stay) => {
                let joined = stay.joined();
                if let Some(before) = self.stay.replace(stay) {
                    self.say(&before.left());
                }
                self.say(&joined);
            }
            Err(NotEntered::Refused(refusal)) => {
                self.say(&ServerMessage::refusal(&refusal));
                if self.stay.is_none() && refusal.code.retry() {
                    self.end((CloseCode::Unavailable, refusal.message.into()));
                }
            }
            Err(NotEntered::Stopped) => self.end((CloseCode::Restart, Stopped.to_string().into())),
        }
    }
}

fn bytes_of(operation: &CrdtOperation) -> usize {
    match operation {
        CrdtOperation::Patch(patch) => patch.encoded_len(),
        CrdtOperation::Updates(updates) => updates.iter().map(|update| update.bytes().len()).sum(),
    }
}

async fn soon<T>(future: &mut Option<Soon<T>>) -> T {
    match future {
        Some(future) => future.await,
        None => std::future::pending().await,
    }
}
