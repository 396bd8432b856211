//! Rooms and who is in them, as a machine without IO.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use rejoin_core::Instant;
use rejoin_json::Json;
use rejoin_wire::{CloseCode, UnixMillis};

use crate::message::{ClientMessage, Form, ServerMessage};
use crate::traits::{ClientIdLike, Difference, PresenceLike, Refusal, RoomIdLike, StorageLike};

mod effect;
mod joining;
mod living;
mod outbox;
mod receiving;
mod room;
mod storing;
#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;

pub use effect::{Config, Connection, Effect, JoinError, Right, Stay, Time};
use outbox::{Outbox, Pushed, Weight};
use room::{Held, Member, Room};

/// Rooms and who is in them.
///
/// Its driver calls it with what happened, and then takes [`poll_effect`](Self::poll_effect) until there is nothing more. When
/// [`poll_timeout`](Self::poll_timeout) is over it calls [`handle_timeout`](Self::handle_timeout). Calls about connections that are closed, and
/// answers about stays of rooms that are over, do nothing.
pub struct RoomsManager<RoomId, ClientId, Presence, Storage: StorageLike> {
    config: Config,
    rooms: BTreeMap<RoomId, Room<ClientId, Presence, Storage>>,
    links: BTreeMap<Connection, Link<RoomId, ClientId>>,
    /// The newest connection of each client.
    clients: BTreeMap<ClientId, Connection>,
    effects: VecDeque<Effect<RoomId, Storage>>,
    /// When each client may be due a ping. What was heard since is looked at then.
    pings: BTreeSet<(Instant, Connection)>,
    sweep: Instant,
    stays: u64,
    /// Those that must be closed once what is under way is done.
    closing: VecDeque<(Connection, CloseCode, &'static str)>,
}

/// One connection.
#[derive(Debug)]
struct Link<R, C> {
    client: C,
    room: Option<R>,
    form: Form,
    outbox: Outbox<C>,
    heard: Instant,
    /// Its client asked to move, and the driver has not yet answered. What it sends meanwhile is about the room that it wants to be in.
    asked: bool,
    held: VecDeque<ClientMessage>,
    held_bytes: usize,
    /// Messages in a row that could not be read.
    bad: u32,
}

/// A member of a room, as others see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberPresence<C> {
    /// Who.
    pub client: C,
    /// Since when it shows this.
    pub timestamp: UnixMillis,
    /// What it shows.
    pub presence: Json,
}

/// A message that goes to several, written once in each form.
struct Telling {
    message: ServerMessage,
    texts: [Option<Arc<str>>; 2],
}

impl Telling {
    fn new(message: ServerMessage) -> Self {
        Self { message, texts: [None, None] }
    }

    fn text(&mut self, form: Form) -> Arc<str> {
        let [page, typed] = &mut self.texts;
        let text = if form == Form::Page { page } else { typed };
        text.get_or_insert_with(|| self.message.encode(form)).clone()
    }
}

impl<R, C, P, S> RoomsManager<R, C, P, S>
where
    R: RoomIdLike,
    C: ClientIdLike,
    P: PresenceLike,
    S: StorageLike,
{
    /// Without rooms.
    pub fn new(config: Config, now: Instant) -> Self {
        Self {
            config,
            rooms: BTreeMap::new(),
            links: BTreeMap::new(),
            clients: BTreeMap::new(),
            effects: VecDeque::new(),
            pings: BTreeSet::new(),
            sweep: now + config.sweep_interval,
            stays: 0,
            closing: VecDeque::new(),
        }
    }

    /// What is to be done next.
    #[must_use]
    pub fn poll_effect(&mut self) -> Option<Effect<R, S>> {
        self.effects.pop_front()
    }

    /// The rooms in memory, in order.
    pub fn rooms(&self) -> impl Iterator<Item = &R> {
        self.rooms.keys()
    }

    /// Who is in a room; `None` where it is not in memory.
    pub fn members(&self, room: &R) -> Option<Vec<MemberPresence<C>>> {
        let members = self.rooms.get(room)?.members.iter();
        let shown = |(client, member): (&C, &Member<P>)| MemberPresence {
            client: client.clone(),
            timestamp: member.timestamp,
            presence: member.shown.clone(),
        };
        Some(members.map(shown).collect())
    }

    /// The newest durable version of a room's storage and its content; `None` where it is not in memory.
    pub fn storage(&self, room: &R) -> Option<(u64, Json)> {
        let room = self.rooms.get(room)?;
        matches!(room.storage, Held::Ready(_)).then(|| room.durable.clone())
    }

    /// What is durable of a room's storage and came after a version; `None` where it is not in memory.
    pub fn since(&self, room: &R, version: u64) -> Option<Difference> {
        self.rooms.get(room)?.since(version)
    }

    /// The room in which a connection is.
    pub fn room_of(&self, connection: Connection) -> Option<&R> {
        self.links.get(&connection)?.room.as_ref()
    }

    fn send(&mut self, connection: Connection, telling: &mut Telling, weight: Weight) {
        let Some(link) = self.links.get_mut(&connection) else { return };
        let text = telling.text(link.form);
        let pushed = match &telling.message {
            ServerMessage::PresenceUpdated { .. } => unreachable!("invariant: presences go by `show`"),
            _ => link.outbox.push(&text, weight),
        };
        self.pushed(connection, text, pushed);
    }

    fn show(&mut self, connection: Connection, client: &C, telling: &mut Telling) {
        let Some(link) = self.links.get_mut(&connection) else { return };
        let text = telling.text(link.form);
        let pushed = link.outbox.push_presence(client, &text);
        self.pushed(connection, text, pushed);
    }

    fn pushed(&mut self, connection: Connection, text: Arc<str>, pushed: Pushed) {
        match pushed {
            Pushed::Now => self.effects.push_back(Effect::Send { connection, text }),
            Pushed::Waits => {}
            Pushed::Full => {
                let reason = "the client is slower than the room: come back for its newest state";
                self.closing.push_back((connection, CloseCode::SlowReader, reason));
            }
        }
    }

    fn reply(&mut self, connection: Connection, message: ServerMessage) {
        self.send(connection, &mut Telling::new(message), Weight::Bytes);
    }

    fn refuse_message(&mut self, connection: Connection, refusal: &Refusal) {
        self.reply(connection, ServerMessage::refusal(refusal));
    }

    /// Tells the members of a room, but for one.
    fn tell(&mut self, room: &R, except: Option<Connection>, message: ServerMessage) {
        let mut telling = Telling::new(message);
        for connection in self.connections_of(room) {
            if Some(connection) != except {
                self.send(connection, &mut telling, Weight::Bytes);
            }
        }
    }

    fn connections_of(&self, room: &R) -> Vec<Connection> {
        let members = self.rooms.get(room).into_iter().flat_map(|room| room.members.values());
        members.map(|member| member.connection).collect()
    }

    /// Closes those that have to be: each can make others too slow, who have to be told that it left.
    fn settle(&mut self, now: Instant) {
        while let Some((connection, code, reason)) = self.closing.pop_front() {
            if self.forget(connection, now) {
                self.effects.push_back(Effect::Close { connection, code, reason });
            }
        }
    }

    /// Forgets a connection, and has its client leave.
    fn forget(&mut self, connection: Connection, now: Instant) -> bool {
        self.leave(connection, now, false);
        let Some(link) = self.links.remove(&connection) else { return false };
        if self.clients.get(&link.client) == Some(&connection) {
            self.clients.remove(&link.client);
        }
        true
    }
}
