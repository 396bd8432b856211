//! The door of `y-websocket` clients: one document on each connection, named by its path.

use bytes::Bytes;
use rejoin_core::{Grant, Payload};
use rejoin_crdt::doors::{Sync, y_websocket};
use rejoin_wire::limits::MAX_CRDT_BYTES;
use rejoin_wire::{CloseCode, DocumentId, Message, ReplicaId, UnixMillis};

use super::room::{MAX_UNTOLD, MAX_UNTOLD_BYTES};
use super::{Answered, Asked, Ending, Room, Say};
use crate::frames;
use crate::text_door::Told;

/// One `y-websocket` client.
pub(crate) struct YWebsocketDoor {
    room: Room,
    asked: Option<Asked>,
    answered: Option<Answered>,
    ending: Option<Ending>,
    is_over: bool,
}

impl YWebsocketDoor {
    /// The replica id is one that nobody has, nor had.
    pub(crate) fn new(document: DocumentId, replica: ReplicaId, grant: Grant) -> Self {
        let room = Room::new(document, replica, grant, true);
        Self { room, asked: None, answered: None, ending: None, is_over: false }
    }

    /// Whether more of the client can be read.
    pub(crate) fn takes_frames(&self) -> bool {
        let (untold, bytes) = self.room.untold();
        untold < MAX_UNTOLD && bytes < MAX_UNTOLD_BYTES && !self.room.is_answering() && !self.is_over
    }

    pub(crate) fn take_said(&mut self) -> Vec<Payload> {
        self.room.take_said().into_iter().filter_map(payload).collect()
    }

    pub(crate) fn take_messages(&mut self) -> Vec<Message> {
        self.room.take_messages()
    }

    /// Why the connection is to end, once what was said is sent.
    pub(crate) fn take_ending(&mut self) -> Option<Ending> {
        let ending = self.ending.take().or_else(|| self.room.take_ending());
        self.is_over |= ending.is_some();
        ending
    }

    /// Says something: a client that hears nothing takes the connection for dead.
    pub(crate) fn keep_alive(&mut self) {
        self.room.keep_alive();
    }

    /// Takes a frame of the client. None is taken behind one that cannot be read.
    pub(crate) fn take_frame(&mut self, frame: &Bytes, now: UnixMillis) {
        if self.is_over {
            return;
        }
        match y_websocket::read(frame, MAX_CRDT_BYTES) {
            Ok(y_websocket::Message::Sync(Sync::Step1(have))) => self.room.take_step1(have, false),
            Ok(y_websocket::Message::Sync(Sync::Step2(update))) => self.room.take_step2(&update, now),
            Ok(y_websocket::Message::Sync(Sync::Update(update))) => self.room.take_update(&update, now),
            Ok(y_websocket::Message::Awareness(told)) => self.room.take_awareness(&told),
            Ok(y_websocket::Message::QueryAwareness) => self.room.tell_everybody(),
            Err(error) => {
                self.ending =
                    Some((CloseCode::BadMessage, format!("a message cannot be read: {error}").into()));
            }
        }
        self.ask();
    }

    /// Takes a message of the replica.
    pub(crate) fn take_told(&mut self, told: &Told) {
        self.room.take_told(told);
        self.ask();
    }

    fn ask(&mut self) {
        if let Some(question) = self.room.take_question() {
            self.asked = Some(question.ask());
        }
    }

    /// Resolves when an answer that takes time is there; never when none is wanted.
    pub(crate) async fn progress(&mut self) {
        if self.answered.is_some() {
            return;
        }
        let Some(asked) = &mut self.asked else { return std::future::pending().await };
        self.answered = Some(asked.await);
        self.asked = None;
    }

    /// Takes in that answer.
    pub(crate) fn finish(&mut self) {
        if let Some(answered) = self.answered.take() {
            self.room.take_answer(answered);
            self.ask();
        }
    }
}

fn payload(say: Say) -> Option<Payload> {
    let frame = match say {
        Say::Step1(state_vector) => y_websocket::step1(&state_vector),
        Say::Step2(update) => y_websocket::step2(&update),
        Say::Update(update) => y_websocket::update(&update),
        Say::News(news) => return Some(news.y_websocket()),
        Say::Awareness(update) => y_websocket::awareness(&update),
        // The protocol has no word for it; but who hears nothing at all takes the connection for dead.
        Say::Taken(false) => y_websocket::awareness(&[0]),
        Say::Taken(true) => return None,
    };
    Some(frames::message(&frame))
}
