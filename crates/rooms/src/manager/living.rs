//! Signs of life, and rooms that nobody is in.

use rejoin_core::Instant;
use rejoin_wire::CloseCode;

use super::effect::{Connection, Effect, Time};
use super::outbox::Weight;
use super::room::Held;
use super::{RoomsManager, Telling};
use crate::message::ServerMessage;
use crate::traits::{ClientIdLike, PresenceLike, RoomIdLike, StorageLike};

impl<R, C, P, S> RoomsManager<R, C, P, S>
where
    R: RoomIdLike,
    C: ClientIdLike,
    P: PresenceLike,
    S: StorageLike,
{
    /// When [`handle_timeout`](Self::handle_timeout) is due. A later call of anything but `handle_timeout` makes it no earlier.
    #[must_use]
    pub fn poll_timeout(&self) -> Instant {
        self.pings.first().map_or(self.sweep, |(due, _)| self.sweep.min(*due))
    }

    /// Sends what pings are due, and sweeps: closes dead clients, and gives the storage of idle rooms back.
    pub fn handle_timeout(&mut self, time: Time) {
        let mut ping = Telling::new(ServerMessage::Ping);
        while let Some((due, connection)) = self.pings.first().copied().filter(|(due, _)| *due <= time.now) {
            self.pings.remove(&(due, connection));
            let Some(link) = self.links.get(&connection) else { continue };
            let silent = link.heard + self.config.ping_interval;
            if silent > time.now {
                self.pings.insert((silent, connection));
                continue;
            }
            self.pings.insert((time.now + self.config.ping_interval, connection));
            self.send(connection, &mut ping, Weight::Bytes);
        }
        if self.sweep <= time.now {
            self.sweep = time.now + self.config.sweep_interval;
            self.sweep_clients(time.now);
            self.sweep_rooms(time.now);
        }
        self.settle(time.now);
    }

    fn sweep_clients(&mut self, now: Instant) {
        let timeout = self.config.client_timeout;
        let is_dead = |(_, link): &(&Connection, &super::Link<R, C>)| link.heard + timeout <= now;
        let dead: Vec<Connection> =
            self.links.iter().filter(is_dead).map(|(connection, _)| *connection).collect();
        for connection in dead {
            let reason = "nothing was heard for too long";
            self.closing.push_back((connection, CloseCode::HeartbeatTimeout, reason));
        }
        self.settle(now);
    }

    fn sweep_rooms(&mut self, now: Instant) {
        let timeout = self.config.idle_timeout;
        let idle: Vec<R> = self
            .rooms
            .iter()
            .filter(|(_, room)| room.empty_since.is_some_and(|since| since + timeout <= now))
            // What is not durable is not given back: the store may still refuse it.
            .filter(|(_, room)| room.pending.is_empty() && matches!(room.storage, Held::Ready(_)))
            .map(|(name, _)| name.clone())
            .collect();
        for name in idle {
            if let Some((room, Held::Ready(storage))) =
                self.rooms.remove_entry(&name).map(|(name, room)| (name, room.storage))
            {
                self.effects.push_back(Effect::Unload { room, storage });
            }
        }
    }
}
