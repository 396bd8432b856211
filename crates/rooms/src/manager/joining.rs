//! Coming, moving and going.

use rejoin_core::Instant;
use rejoin_wire::CloseCode;

use super::effect::{Connection, Effect, JoinError, Right, Stay, Time};
use super::outbox::{Outbox, Weight};
use super::room::{Member, Room};
use super::{Form, Link, RoomsManager, Telling};
use crate::limits::MAX_ROOM_PRESENCE_BYTES;
use crate::message::ServerMessage;
use crate::traits::{ClientIdLike, PresenceLike, Refusal, RoomIdLike, StorageLike};

impl<R, C, P, S> RoomsManager<R, C, P, S>
where
    R: RoomIdLike,
    C: ClientIdLike,
    P: PresenceLike,
    S: StorageLike,
{
    /// A client has opened a socket on a room: it joins, and the room is made where there is none.
    ///
    /// A client that is connected already has come back: its old connection is closed, and in the same room nobody hears of it. That both are
    /// the same is for the driver to know.
    ///
    /// # Errors
    ///
    /// [`JoinError`]: nothing has changed.
    pub fn connect(
        &mut self,
        time: Time,
        connection: Connection,
        client: C,
        room: &R,
        right: Right,
    ) -> Result<(), JoinError> {
        if self.links.contains_key(&connection) {
            return Err(JoinError::NoConnection);
        }
        let old = self.clients.get(&client).copied();
        let before = old.and_then(|old| self.room_of(old)).cloned();
        if before.as_ref() != Some(room) {
            self.has_place(room)?;
        }
        self.links.insert(
            connection,
            Link {
                client: client.clone(),
                room: before,
                form: Form::default(),
                outbox: Outbox::default(),
                heard: time.now,
                asked: false,
                held: Default::default(),
                held_bytes: 0,
                bad: 0,
            },
        );
        self.pings.insert((time.now + self.config.ping_interval, connection));
        if let Some(old) = old {
            self.links.remove(&old);
            let reason = "the client has connected again";
            self.effects.push_back(Effect::Close { connection: old, code: CloseCode::Normal, reason });
        }
        self.clients.insert(client, connection);
        if self.room_of(connection).is_some_and(|before| before != room) {
            self.leave(connection, time.now, false);
        }
        self.enter(time, connection, room, right);
        self.settle(time.now);
        Ok(())
    }

    /// A client may move to the room that it asked for.
    ///
    /// # Errors
    ///
    /// [`JoinError`]. The client is told, and stays where it was.
    pub fn join(
        &mut self,
        time: Time,
        connection: Connection,
        room: &R,
        right: Right,
    ) -> Result<(), JoinError> {
        let link = self.links.get(&connection).ok_or(JoinError::NoConnection)?;
        let joined = if link.room.as_ref() == Some(room) { Ok(()) } else { self.has_place(room) };
        match joined {
            Ok(()) => self.enter(time, connection, room, right),
            Err(error) => self.refuse_message(connection, &error.into()),
        }
        self.answered(time, connection);
        self.settle(time.now);
        joined
    }

    /// A client may not move to the room that it asked for.
    pub fn refuse(&mut self, time: Time, connection: Connection, refusal: &Refusal) {
        self.refuse_message(connection, refusal);
        self.answered(time, connection);
        self.settle(time.now);
    }

    /// A socket is closed, however that came. Its client leaves, unless it has connected again.
    pub fn disconnected(&mut self, time: Time, connection: Connection) {
        self.forget(connection, time.now);
        self.settle(time.now);
    }

    /// Makes a room that nobody is in yet, unless it is there.
    ///
    /// # Errors
    ///
    /// [`JoinError::TooManyRooms`].
    pub fn open(&mut self, time: Time, room: R) -> Result<(), JoinError> {
        if !self.rooms.contains_key(&room) && self.rooms.len() >= self.config.max_rooms {
            return Err(JoinError::TooManyRooms);
        }
        self.make(room, time.now);
        Ok(())
    }

    /// Ends a room: its members leave and stay connected, and its storage is dropped with what is not yet durable. The store is the driver's to
    /// clean. Says whether there was one.
    pub fn delete(&mut self, time: Time, room: &R) -> bool {
        let is_there = self.rooms.contains_key(room);
        for (connection, client) in self.take_away(room) {
            let left = ServerMessage::RoomLeft { room_id: room.to_string(), client_id: client.to_string() };
            self.reply(connection, left);
        }
        self.settle(time.now);
        is_there
    }

    /// Takes a room away, and says who was in it: nobody has to hear how all of them left one by one.
    pub(super) fn take_away(&mut self, room: &R) -> Vec<(Connection, C)> {
        let Some(there) = self.rooms.remove(room) else { return Vec::new() };
        let members = there.members.into_iter().map(|(client, member)| (member.connection, client));
        members
            .inspect(|(connection, _)| {
                if let Some(link) = self.links.get_mut(connection) {
                    link.room = None;
                    link.outbox.forget_presences();
                }
            })
            .collect()
    }

    /// Whether one more may join.
    fn has_place(&self, room: &R) -> Result<(), JoinError> {
        match self.rooms.get(room) {
            None if self.rooms.len() >= self.config.max_rooms => Err(JoinError::TooManyRooms),
            None => Ok(()),
            Some(room) if room.members.len() >= self.config.max_members => Err(JoinError::RoomFull),
            Some(room)
                if room.presence_bytes + P::default().to_json().encoded_len() > MAX_ROOM_PRESENCE_BYTES =>
            {
                Err(JoinError::PresenceFull)
            }
            Some(_) => Ok(()),
        }
    }

    fn make(&mut self, room: R, now: Instant) {
        if !self.rooms.contains_key(&room) {
            let stay = Stay(self.stays);
            self.stays += 1;
            self.rooms.insert(room.clone(), Room::new(stay, now));
            self.effects.push_back(Effect::Load { room, stay });
        }
    }

    /// Has a client be in a room in which there is a place for it, and tells everybody.
    fn enter(&mut self, time: Time, connection: Connection, room: &R, right: Right) {
        let Some(link) = self.links.get(&connection) else { return };
        let client = link.client.clone();
        if link.room.as_ref().is_some_and(|before| before != room) {
            self.leave(connection, time.now, true);
        }
        self.make(room.clone(), time.now);
        let joined = ServerMessage::RoomJoined { room_id: room.to_string(), client_id: client.to_string() };
        let Some(there) = self.rooms.get_mut(room) else { return };
        there.empty_since = None;
        let is_new = match there.members.get_mut(&client) {
            Some(member) => {
                (member.connection, member.right) = (connection, right);
                false
            }
            None => {
                let presence = P::default();
                let shown = presence.to_json();
                there.presence_bytes += shown.encoded_len();
                let member = Member { connection, right, presence, shown, timestamp: time.unix };
                there.members.insert(client.clone(), member);
                true
            }
        };
        if is_new {
            self.tell(room, Some(connection), joined.clone());
        }
        if let Some(link) = self.links.get_mut(&connection) {
            link.room = Some(room.clone());
            // Who asks for the room in which it is gets its state anew, behind what waits.
            link.outbox.forget_presences();
        }
        self.send(connection, &mut Telling::new(joined), Weight::Nothing);
        self.show_all(connection, room, &client);
        self.tell_whole(connection, room);
    }

    fn show_all(&mut self, connection: Connection, room: &R, own: &C) {
        let Some(room) = self.rooms.get(room) else { return };
        let others: Vec<_> = room
            .members
            .iter()
            .filter(|(client, _)| *client != own)
            .map(|(client, member)| {
                let message = ServerMessage::PresenceUpdated {
                    client_id: client.to_string(),
                    timestamp: member.timestamp.0,
                    presence: member.shown.clone(),
                };
                (client.clone(), message)
            })
            .collect();
        for (client, message) in others {
            self.show(connection, &client, &mut Telling::new(message));
        }
    }

    /// Gives a client the storage of its room, once that is there.
    pub(super) fn tell_whole(&mut self, connection: Connection, room: &R) {
        if let Some(whole) = self.rooms.get(room).and_then(Room::whole) {
            self.send(connection, &mut Telling::new(whole), Weight::Nothing);
        }
    }

    /// Has a client leave its room, if it is in one, and tells the others; itself too where it stays connected.
    pub(super) fn leave(&mut self, connection: Connection, now: Instant, stays: bool) {
        let Some(link) = self.links.get_mut(&connection) else { return };
        let Some(room) = link.room.take() else { return };
        link.outbox.forget_presences();
        let client = link.client.clone();
        let Some(there) = self.rooms.get_mut(&room) else { return };
        if let Some(member) = there.members.remove(&client) {
            there.presence_bytes -= member.shown.encoded_len();
        }
        let others: Vec<Connection> = there.members.values().map(|member| member.connection).collect();
        if others.is_empty() {
            there.empty_since = Some(now);
            self.effects.push_back(Effect::Empty { room: room.clone() });
        }
        for other in others {
            if let Some(link) = self.links.get_mut(&other) {
                link.outbox.forget_presence(&client);
            }
        }
        let left = ServerMessage::RoomLeft { room_id: room.to_string(), client_id: client.to_string() };
        if stays {
            self.reply(connection, left.clone());
        }
        self.tell(&room, None, left);
    }
}
