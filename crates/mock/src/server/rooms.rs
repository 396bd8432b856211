//! The connections of handlers, what waits to be sent to each, and the rooms in which they are.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, mpsc};

use super::error::Error;
use crate::limits::{FRAME_COST_BYTES, MAX_NAME_BYTES, MAX_QUEUED_BYTES, MAX_ROOMS_PER_CONNECTION};
use crate::{CloseFrame, Frame, close_code};

/// Tells the connections of one router apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId(pub(super) u64);

impl fmt::Display for ConnectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A frame that waits for its connection, with the room that it takes there.
pub(super) struct Queued {
    pub(super) frame: Frame,
    _room: Option<OwnedSemaphorePermit>,
}

/// The way to a connection, bounded by bytes.
#[derive(Clone)]
pub(crate) struct Outbox {
    queue: mpsc::UnboundedSender<Queued>,
    room: Arc<Semaphore>,
    /// Whoever writes the socket.
    writer: Arc<Notify>,
}

impl Outbox {
    pub(super) fn new() -> (Self, mpsc::UnboundedReceiver<Queued>) {
        let (queue, frames) = mpsc::unbounded_channel();
        let room = Arc::new(Semaphore::new(MAX_QUEUED_BYTES));
        (Self { queue, room, writer: Arc::default() }, frames)
    }

    /// Told whenever there is something to write.
    pub(super) fn wake(&self) -> Arc<Notify> {
        self.writer.clone()
    }

    /// Waits until there is room.
    pub(crate) async fn send(&self, frame: Frame) -> Result<(), Error> {
        let room = self.room.clone().acquire_many_owned(cost(&frame)).await.map_err(|_| Error::Closed)?;
        self.put(frame, Some(room))
    }

    /// Sends if there is room. A connection without any is behind, and is closed instead.
    fn offer(&self, frame: Frame) -> bool {
        match self.room.clone().try_acquire_many_owned(cost(&frame)) {
            Ok(room) => self.put(frame, Some(room)).is_ok(),
            Err(_) => {
                let reason = "this client takes too little of what it is sent".to_owned();
                self.close(CloseFrame { code: close_code::TOO_SLOW, reason });
                false
            }
        }
    }

    /// Says that nothing follows. A closing always has room: no other frame is taken after it.
    pub(super) fn close(&self, frame: CloseFrame) {
        if !self.room.is_closed() {
            self.room.close();
            let _ = self.put(Frame::Close(Some(frame)), None);
        }
    }

    /// Waits until all that was sent has been taken.
    pub(crate) async fn emptied(&self) -> Result<(), Error> {
        let all = u32::try_from(MAX_QUEUED_BYTES).unwrap_or(u32::MAX);
        self.room.acquire_many(all).await.map(drop).map_err(|_| Error::Closed)
    }

    fn put(&self, frame: Frame, room: Option<OwnedSemaphorePermit>) -> Result<(), Error> {
        self.queue.send(Queued { frame, _room: room }).map_err(|_| Error::Closed)?;
        self.writer.notify_one();
        Ok(())
    }
}

/// What a frame takes of [`MAX_QUEUED_BYTES`]. One that is larger than all of it has it for itself.
fn cost(frame: &Frame) -> u32 {
    u32::try_from((frame.size() + FRAME_COST_BYTES).min(MAX_QUEUED_BYTES)).unwrap_or(u32::MAX)
}

/// Who is connected and who is where.
#[derive(Default)]
pub(super) struct Rooms(Mutex<Inner>);

#[derive(Default)]
struct Inner {
    next: u64,
    connections: BTreeMap<ConnectionId, Member>,
    rooms: BTreeMap<Arc<str>, BTreeSet<ConnectionId>>,
}

struct Member {
    outbox: Outbox,
    rooms: BTreeSet<Arc<str>>,
}

impl Rooms {
    pub(super) fn enter(&self, outbox: Outbox) -> ConnectionId {
        let mut inner = self.inner();
        let id = ConnectionId(inner.next);
        inner.next += 1;
        inner.connections.insert(id, Member { outbox, rooms: BTreeSet::new() });
        id
    }

    pub(super) fn leave_all(&self, id: ConnectionId) {
        let mut inner = self.inner();
        let Some(member) = inner.connections.remove(&id) else { return };
        for room in member.rooms {
            inner.remove(&room, id);
        }
    }

    pub(super) fn join(&self, id: ConnectionId, room: &str) -> Result<(), Error> {
        if room.len() > MAX_NAME_BYTES {
            return Err(Error::TooMany("the name of a room has at most 256 bytes"));
        }
        let mut inner = self.inner();
        let name: Arc<str> = match inner.rooms.get_key_value(room) {
            Some((name, _)) => name.clone(),
            None => room.into(),
        };
        let member = inner.connections.get_mut(&id).ok_or(Error::Closed)?;
        if member.rooms.len() == MAX_ROOMS_PER_CONNECTION && !member.rooms.contains(room) {
            return Err(Error::TooMany("a connection is in at most 64 rooms"));
        }
        member.rooms.insert(name.clone());
        inner.rooms.entry(name).or_default().insert(id);
        Ok(())
    }

    pub(super) fn leave(&self, id: ConnectionId, room: &str) {
        let mut inner = self.inner();
        if let Some(member) = inner.connections.get_mut(&id) {
            member.rooms.remove(room);
        }
        inner.remove(room, id);
    }

    /// Sends to all who are in the room but for one, and says to how many.
    pub(super) fn broadcast(&self, room: &str, frame: &Frame, except: Option<ConnectionId>) -> usize {
        let inner = self.inner();
        let members = inner.rooms.get(room).into_iter().flatten().filter(|id| Some(**id) != except);
        let outboxes = members.filter_map(|id| inner.connections.get(id)).map(|member| &member.outbox);
        outboxes.filter(|outbox| outbox.offer(frame.clone())).count()
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    /// An empty room is none.
    fn remove(&mut self, room: &str, id: ConnectionId) {
        if let Some(members) = self.rooms.get_mut(room) {
            members.remove(&id);
            if members.is_empty() {
                self.rooms.remove(room);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn text(text: &str) -> Frame {
        Frame::Text(text.to_owned())
    }

    fn taken(frames: &mut mpsc::UnboundedReceiver<Queued>) -> Vec<Frame> {
        std::iter::from_fn(|| frames.try_recv().ok()).map(|queued| queued.frame).collect()
    }

    #[test]
    fn a_broadcast_reaches_the_others_of_the_room_and_nobody_else() {
        let rooms = Rooms::default();
        let mut queues = Vec::new();
        let ids = [(); 3].map(|()| {
            let (outbox, frames) = Outbox::new();
            queues.push(frames);
            rooms.enter(outbox)
        });
        rooms.join(ids[0], "a").unwrap();
        rooms.join(ids[1], "a").unwrap();
        rooms.join(ids[2], "b").unwrap();
        assert_eq!(rooms.broadcast("a", &text("x"), Some(ids[0])), 1);
        assert_eq!(queues.iter_mut().map(taken).collect::<Vec<_>>(), [vec![], vec![text("x")], vec![]]);
        rooms.leave(ids[1], "a");
        assert_eq!(rooms.broadcast("a", &text("y"), Some(ids[0])), 0);
        rooms.leave_all(ids[0]);
        assert!(!rooms.inner().rooms.contains_key("a"));
        assert_eq!(rooms.broadcast("b", &text("z"), None), 1);
    }

    #[test]
    fn a_connection_is_in_so_many_rooms_and_their_names_are_bounded() {
        let rooms = Rooms::default();
        let id = rooms.enter(Outbox::new().0);
        for room in 0..MAX_ROOMS_PER_CONNECTION {
            rooms.join(id, &room.to_string()).unwrap();
        }
        rooms.join(id, "0").unwrap();
        assert!(matches!(rooms.join(id, "one more"), Err(Error::TooMany(_))));
        rooms.leave(id, "0");
        rooms.join(id, &"x".repeat(MAX_NAME_BYTES)).unwrap();
        rooms.leave(id, "1");
        assert!(rooms.join(id, &"x".repeat(MAX_NAME_BYTES + 1)).is_err());
    }

    #[test]
    fn whoever_is_too_far_behind_is_closed_and_holds_no_more_than_its_room() {
        let rooms = Rooms::default();
        let (outbox, mut frames) = Outbox::new();
        let id = rooms.enter(outbox);
        rooms.join(id, "a").unwrap();
        let half = text(&"x".repeat(MAX_QUEUED_BYTES / 2 - FRAME_COST_BYTES));
        assert_eq!([(); 3].map(|()| rooms.broadcast("a", &half, None)), [1, 1, 0]);
        let taken = taken(&mut frames);
        assert_eq!(taken.len(), 3);
        let Some(Frame::Close(Some(close))) = taken.last() else { panic!("no closing") };
        assert_eq!(close.code, close_code::TOO_SLOW);
        assert_eq!(rooms.broadcast("a", &text("x"), None), 0);
    }

    #[tokio::test]
    async fn whoever_sends_waits_for_room() {
        let (outbox, mut frames) = Outbox::new();
        let all = Frame::Binary(vec![0; MAX_QUEUED_BYTES + 1].into());
        outbox.send(all).await.unwrap();
        let next = tokio::spawn({
            let outbox = outbox.clone();
            async move { outbox.send(text("next")).await }
        });
        tokio::task::yield_now().await;
        assert!(!next.is_finished());
        drop(frames.recv().await.unwrap());
        next.await.unwrap().unwrap();
        outbox.close(CloseFrame { code: 1_000, reason: String::new() });
        assert!(matches!(outbox.send(text("late")).await, Err(Error::Closed)));
    }
}
