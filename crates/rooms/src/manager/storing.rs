//! What the store says.

use rejoin_wire::CloseCode;

use super::RoomsManager;
use super::effect::{Effect, Stay, Time};
use super::room::Held;
use crate::traits::{ClientIdLike, PresenceLike, Refusal, RoomIdLike, StorageLike};
use rejoin_wire::ErrorCode;

impl<R, C, P, S> RoomsManager<R, C, P, S>
where
    R: RoomIdLike,
    C: ClientIdLike,
    P: PresenceLike,
    S: StorageLike,
{
    /// The storage of a room is read, all of it durable. Its members get it, and what they sent meanwhile is done.
    pub fn loaded(&mut self, time: Time, room: &R, stay: Stay, storage: S) {
        let Some(there) = self.rooms.get_mut(room).filter(|there| there.stay == stay) else { return };
        let Held::Loading(waiting) = &mut there.storage else { return };
        let waiting = std::mem::take(waiting);
        there.durable = (storage.version(), storage.snapshot());
        there.storage = Held::Ready(storage);
        for connection in self.connections_of(room) {
            self.tell_whole(connection, room);
        }
        for (connection, operation) in waiting {
            let Some(there) = self.rooms.get_mut(room) else { return };
            match there.accept(operation) {
                Ok((version, change)) => {
                    self.effects.push_back(Effect::Persist { room: room.clone(), stay, version, change });
                }
                Err(refusal) => self.refuse_message(connection, &refusal),
            }
        }
        self.settle(time.now);
    }

    /// All batches of a room up to a version are durable: the room is told.
    pub fn persisted(&mut self, time: Time, room: &R, stay: Stay, version: u64) {
        while let Some(there) = self.rooms.get_mut(room).filter(|there| there.stay == stay) {
            let Some(message) = there.settle(version) else { break };
            self.tell(room, None, message);
        }
        self.settle(time.now);
    }

    /// The store cannot read the storage of a room, or does not take a batch. The room is given up with what is not durable, which nobody was told
    /// of, and its members are asked to come back.
    pub fn failed(&mut self, time: Time, room: &R, stay: Stay) {
        if self.rooms.get(room).is_none_or(|there| there.stay != stay) {
            return;
        }
        for (connection, _) in self.take_away(room) {
            let reason = "the store is unavailable: come back later";
            self.closing.push_back((connection, CloseCode::Unavailable, reason));
        }
        self.settle(time.now);
    }

    /// Accepts a batch that did not come by a socket. Gives its version, of which the room is told once it is durable.
    ///
    /// # Errors
    ///
    /// [`Refusal`]; [`ErrorCode::Unavailable`] where the room's storage is not in memory: [`open`](Self::open) the room first.
    pub fn update_storage(&mut self, room: &R, operation: S::Operation) -> Result<u64, Refusal> {
        let unavailable =
            || Refusal::new(ErrorCode::Unavailable, "the room is not in memory: send it again later");
        let there = self.rooms.get_mut(room).ok_or_else(unavailable)?;
        let (version, change) = there.accept(operation)?;
        let stay = there.stay;
        self.effects.push_back(Effect::Persist { room: room.clone(), stay, version, change });
        Ok(version)
    }
}
