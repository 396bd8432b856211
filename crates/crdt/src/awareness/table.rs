//! Who says what of itself in one room, and over which connection.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Entry, MAX_AWARENESS_CLIENTS, encode};

/// Clients that one connection may speak for: a page has one, and a server that renders several.
pub const MAX_CLIENTS_PER_CONNECTION: usize = 64;

/// Bytes of all states of one room: whoever joins gets them at once.
pub const MAX_TABLE_BYTES: usize = 1 << 20;

/// What each client of a room says of itself.
///
/// A client is spoken for by one connection, the newest of its principal that did: a reconnecting client keeps its id, and the end of its old connection
/// does not end it. Nobody else may speak for it. Clocks decide as in JavaScript: what is not newer is dropped, also where it differs, and with it a
/// first word with clock 0; only that a client is gone may be said with the clock that it has.
#[derive(Clone, Debug, Default)]
pub struct Table {
    clients: BTreeMap<u64, Held>,
    bytes: usize,
}

#[derive(Clone, Debug)]
struct Held {
    clock: u32,
    state: Arc<str>,
    connection: u64,
    principal: Arc<str>,
}

/// What became of an awareness update.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Told {
    /// The bytes of an awareness update for everybody in the room: what is new of this one.
    pub update: Option<Vec<u8>>,
    /// Clients that belong to others, or for which there is no room.
    pub refused: usize,
}

impl Table {
    /// Takes what a connection says of its clients. Connections have rising numbers.
    pub fn apply(&mut self, connection: u64, principal: &Arc<str>, entries: &[Entry<'_>]) -> Told {
        let mut told = Vec::new();
        let mut refused = 0;
        for entry in entries {
            if !self.may_speak(connection, principal, entry.client) {
                refused += 1;
                continue;
            }
            let known = self.clients.get_mut(&entry.client).map(|held| {
                held.connection = held.connection.max(connection);
                held.clock
            });
            let is_gone = entry.is_gone();
            let is_new = match known {
                Some(clock) => clock < entry.clock || clock == entry.clock && is_gone,
                None => entry.clock > 0 && !is_gone,
            };
            if !is_new {
                continue;
            }
            if is_gone {
                self.remove(entry.client);
            } else if !self.insert(connection, principal, entry) {
                refused += 1;
                continue;
            }
            told.push(entry.clone());
        }
        Told { update: (!told.is_empty()).then(|| encode(&told)), refused }
    }

    /// A connection has ended, and with it the clients that it still speaks for: the bytes of an awareness update for the others.
    pub fn leave(&mut self, connection: u64) -> Option<Vec<u8>> {
        let gone = self.clients.iter().filter(|(_, held)| held.connection == connection);
        let gone: Vec<(u64, u32)> = gone.map(|(client, held)| (*client, held.clock)).collect();
        gone.iter().for_each(|(client, _)| self.remove(*client));
        let entries: Vec<Entry<'_>> =
            gone.into_iter().map(|(client, clock)| Entry { client, clock, state: "null" }).collect();
        (!entries.is_empty()).then(|| encode(&entries))
    }

    /// The bytes of an awareness update that says all: for whoever joins.
    pub fn everybody(&self) -> Vec<u8> {
        let entry = |(client, held): (&u64, &Held)| (*client, held.clock, Arc::clone(&held.state));
        let all: Vec<(u64, u32, Arc<str>)> = self.clients.iter().map(entry).collect();
        let entries: Vec<Entry<'_>> = all
            .iter()
            .map(|(client, clock, state)| Entry { client: *client, clock: *clock, state })
            .collect();
        encode(&entries)
    }

    /// What a client says of itself, as JSON.
    pub fn state(&self, client: u64) -> Option<&str> {
        self.clients.get(&client).map(|held| &*held.state)
    }

    /// How many clients there are.
    pub fn len(&self) -> usize {
        self.clients.len()
    }

    /// Whether there is nobody.
    pub fn is_empty(&self) -> bool {
        self.clients.is_empty()
    }

    fn may_speak(&self, connection: u64, principal: &Arc<str>, client: u64) -> bool {
        self.clients.get(&client).is_none_or(|held| {
            held.connection == connection || held.principal == *principal && held.connection < connection
        })
    }

    /// False where there is no room for it.
    fn insert(&mut self, connection: u64, principal: &Arc<str>, entry: &Entry<'_>) -> bool {
        let known = self.clients.get(&entry.client);
        let before = known.map_or(0, |held| held.state.len());
        let is_first = known.is_none();
        let own = || self.clients.values().filter(|held| held.connection == connection).count();
        if self.bytes - before + entry.state.len() > MAX_TABLE_BYTES
            || is_first
                && (self.clients.len() >= MAX_AWARENESS_CLIENTS || own() >= MAX_CLIENTS_PER_CONNECTION)
        {
            return false;
        }
        self.bytes = self.bytes - before + entry.state.len();
        let held = Held {
            clock: entry.clock,
            state: entry.state.into(),
            connection,
            principal: Arc::clone(principal),
        };
        self.clients.insert(entry.client, held);
        true
    }

    fn remove(&mut self, client: u64) {
        if let Some(held) = self.clients.remove(&client) {
            self.bytes -= held.state.len();
        }
    }
}
