//! Where storages are kept.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::future::Future;
use std::sync::{Mutex, PoisonError};

use rejoin_rooms::{RoomIdLike, StorageLike};

/// Keeps the storages of rooms. What concerns one room is asked one after the other, in the order of its batches.
pub trait RoomStore<R, S: StorageLike>: Send + Sync + 'static {
    /// Why it did not do what it was asked for. It is logged; clients are told to come back.
    type Error: Display + Send;

    /// Reads the storage of a room, an empty one where there is none yet.
    fn load(&self, room: &R) -> impl Future<Output = Result<S, Self::Error>> + Send;

    /// Stores a batch. Nobody is told of it before that is done.
    fn persist(
        &self,
        room: &R,
        version: u64,
        change: S::Change,
    ) -> impl Future<Output = Result<(), Self::Error>> + Send;

    /// The room has left the memory, and each of its batches was stored: this is all of them together.
    fn unload(&self, room: &R, storage: S) -> impl Future<Output = ()> + Send;

    /// Forgets the storage of a room.
    fn delete(&self, room: &R) -> impl Future<Output = Result<(), Self::Error>> + Send;
}

/// Keeps storages in memory, for tests and for rooms that may be lost with the process.
pub struct MemoryStore<R, S> {
    make: Box<dyn Fn(&R) -> S + Send + Sync>,
    idle: Mutex<BTreeMap<R, S>>,
}

impl<R, S> MemoryStore<R, S> {
    /// `make` makes the storage of a room that there was not before.
    pub fn new(make: impl Fn(&R) -> S + Send + Sync + 'static) -> Self {
        Self { make: Box::new(make), idle: Mutex::default() }
    }
}

/// A store in memory has nothing to fail at.
#[derive(Debug, thiserror::Error)]
pub enum Never {}

impl<R, S> RoomStore<R, S> for MemoryStore<R, S>
where
    R: RoomIdLike + Send + Sync + 'static,
    S: StorageLike + Send + 'static,
    S::Change: Send,
{
    type Error = Never;

    async fn load(&self, room: &R) -> Result<S, Never> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).remove(room);
        Ok(idle.unwrap_or_else(|| (self.make)(room)))
    }

    async fn persist(&self, _: &R, _: u64, _: S::Change) -> Result<(), Never> {
        Ok(())
    }

    async fn unload(&self, room: &R, storage: S) {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).insert(room.clone(), storage);
    }

    async fn delete(&self, room: &R) -> Result<(), Never> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).remove(room);
        Ok(())
    }
}
