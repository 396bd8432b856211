//! What clients send.

use super::effect::{Connection, Effect, Right, Time};
use super::{RoomsManager, Telling};
use crate::limits::{
    MAX_BAD_MESSAGES, MAX_HELD_BYTES, MAX_HELD_MESSAGES, MAX_PRESENCE_BYTES, MAX_ROOM_PRESENCE_BYTES,
};
use crate::message::{ClientMessage, Form, ServerMessage, decode_client_message};
use crate::traits::{ClientIdLike, PresenceLike, Refusal, RoomIdLike, StorageLike};
use rejoin_json::Json;
use rejoin_wire::limits::MAX_DEPTH;
use rejoin_wire::{CloseCode, ErrorCode};

impl<R, C, P, S> RoomsManager<R, C, P, S>
where
    R: RoomIdLike,
    C: ClientIdLike,
    P: PresenceLike,
    S: StorageLike,
{
    /// A client sent a text.
    pub fn received(&mut self, time: Time, connection: Connection, text: &str) {
        let Some(link) = self.links.get_mut(&connection) else { return };
        link.heard = time.now;
        let decoded = decode_client_message(text);
        if decoded.form == Form::Typed {
            link.form = Form::Typed;
        }
        match decoded.message {
            Ok(message) => {
                link.bad = 0;
                self.handle(time, connection, message);
            }
            Err(error) => {
                link.bad += 1;
                if link.bad >= MAX_BAD_MESSAGES {
                    let reason = "too many messages in a row could not be read";
                    self.closing.push_back((connection, CloseCode::BadMessage, reason));
                }
                self.refuse_message(connection, &error.into());
            }
        }
        self.settle(time.now);
    }

    /// A client gave a sign of life that is no text: a frame of bytes, a ping or pong of the socket.
    pub fn heard(&mut self, time: Time, connection: Connection) {
        if let Some(link) = self.links.get_mut(&connection) {
            link.heard = time.now;
        }
    }

    /// The socket of a client took a message that it was sent: the next one may follow.
    pub fn taken(&mut self, connection: Connection) {
        let next = self.links.get_mut(&connection).and_then(|link| link.outbox.taken());
        self.effects.extend(next.map(|text| Effect::Send { connection, text }));
    }

    fn handle(&mut self, time: Time, connection: Connection, message: ClientMessage) {
        let Some(link) = self.links.get_mut(&connection) else { return };
        if link.asked {
            let bytes = link.held_bytes + message.bytes();
            if link.held.len() >= MAX_HELD_MESSAGES || bytes > MAX_HELD_BYTES {
                let message = "the room that was asked for is not yet joined: send it again later";
                return self.refuse_message(connection, &Refusal::new(ErrorCode::RateLimited, message));
            }
            link.held_bytes = bytes;
            return link.held.push_back(message);
        }
        let done = match message {
            ClientMessage::UpdatePresence(json) => self.update_presence(time, connection, &json),
            ClientMessage::UpdateStorage(json) => self.update_from(connection, &json),
            ClientMessage::JoinRoom(room) => R::read(&room).map(|room| {
                link.asked = true;
                self.effects.push_back(Effect::MayJoin { connection, room });
            }),
            ClientMessage::LeaveRoom if link.room.is_none() => Err(nowhere()),
            ClientMessage::LeaveRoom => {
                self.leave(connection, time.now, true);
                Ok(())
            }
            ClientMessage::Pong => Ok(()),
        };
        if let Err(refusal) = done {
            self.refuse_message(connection, &refusal);
        }
    }

    /// The driver has answered: what came meanwhile is done, up to the next question.
    pub(super) fn answered(&mut self, time: Time, connection: Connection) {
        let Some(link) = self.links.get_mut(&connection) else { return };
        link.asked = false;
        while let Some(link) = self.links.get_mut(&connection).filter(|link| !link.asked) {
            let Some(message) = link.held.pop_front() else { break };
            link.held_bytes -= message.bytes();
            self.handle(time, connection, message);
        }
    }

    fn update_presence(&mut self, time: Time, connection: Connection, json: &Json) -> Result<(), Refusal> {
        let link = self.links.get(&connection).ok_or_else(nowhere)?;
        let (name, client) = (link.room.clone().ok_or_else(nowhere)?, link.client.clone());
        let room = self.rooms.get_mut(&name).ok_or_else(nowhere)?;
        let member = room.members.get_mut(&client).ok_or_else(nowhere)?;
        let mut presence = member.presence.clone();
        presence.update(P::read(json)?)?;
        let shown = presence.to_json();
        let bytes = shown.encoded_len();
        if bytes > MAX_PRESENCE_BYTES {
            let message = format!(
                "a presence has at most {MAX_PRESENCE_BYTES} bytes: show less, and put what should last into the storage"
            );
            return Err(Refusal::new(ErrorCode::TooLarge, message));
        }
        if shown.depth() > MAX_DEPTH {
            let message = format!("a presence is nested at most {MAX_DEPTH} deep: flatten it");
            return Err(Refusal::new(ErrorCode::TooDeep, message));
        }
        let before = member.shown.encoded_len();
        let all = room.presence_bytes - before + bytes;
        if bytes > before && all > MAX_ROOM_PRESENCE_BYTES {
            let message = "the room shows as much as it can: show less, or try again when somebody has left";
            return Err(Refusal::new(ErrorCode::RateLimited, message));
        }
        room.presence_bytes = all;
        member.presence = presence;
        member.shown = shown.clone();
        member.timestamp = time.unix;
        let mut telling = Telling::new(ServerMessage::PresenceUpdated {
            client_id: client.to_string(),
            timestamp: time.unix.0,
            presence: shown,
        });
        for other in self.connections_of(&name) {
            if other != connection {
                self.show(other, &client, &mut telling);
            }
        }
        Ok(())
    }

    fn update_from(&mut self, connection: Connection, json: &Json) -> Result<(), Refusal> {
        let link = self.links.get(&connection).ok_or_else(nowhere)?;
        let name = link.room.clone().ok_or_else(nowhere)?;
        let room = self.rooms.get_mut(&name).ok_or_else(nowhere)?;
        let member = room.members.get(&link.client).ok_or_else(nowhere)?;
        if member.right == Right::View {
            let message = "you may see this room and not edit it: ask its owner for the role of an editor";
            return Err(Refusal::new(ErrorCode::Forbidden, message));
        }
        let accepted = room.offer(connection, S::read(json)?)?;
        let stay = room.stay;
        self.effects.extend(accepted.map(|(version, change)| Effect::Persist {
            room: name,
            stay,
            version,
            change,
        }));
        Ok(())
    }
}

fn nowhere() -> Refusal {
    Refusal::new(ErrorCode::UnexpectedMessage, "you are in no room: send JoinRoom first")
}
