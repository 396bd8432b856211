//! Many clients in many rooms, by chance, beside a simple model of what each of them must have seen.
#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use proptest::prelude::*;
use rejoin_core::Instant;
use rejoin_json::{Json, Limits, Patch, apply};
use rejoin_rooms::{
    ClientId, Config, Connection, CrdtStorage, Effect, Form, JsonPresence, Right, RoomId, RoomsManager,
    ServerMessage, Stay, StorageLike as _, Time, decode_server_message,
};
use rejoin_wire::UnixMillis;

const ROOMS: [&str; 3] = ["a", "b", "team/c"];
const CLIENTS: usize = 5;

type Rooms = RoomsManager<RoomId, ClientId, JsonPresence, CrdtStorage>;

#[derive(Clone, Copy, Debug)]
enum Step {
    Connect { client: usize, room: usize },
    Crash { client: usize },
    Move { client: usize, room: usize },
    Leave { client: usize },
    Presence { client: usize, value: u8 },
    Edit { client: usize, key: u8, value: u8 },
    Take { client: usize, messages: u8 },
    Persist { batches: u8 },
    Load,
    Fail,
    Wait { seconds: u8 },
}

fn steps() -> impl Strategy<Value = Step> {
    let (client, room) = (0..CLIENTS, 0..ROOMS.len());
    prop_oneof![
        4 => (client.clone(), room.clone()).prop_map(|(client, room)| Step::Connect { client, room }),
        1 => client.clone().prop_map(|client| Step::Crash { client }),
        2 => (client.clone(), room).prop_map(|(client, room)| Step::Move { client, room }),
        1 => client.clone().prop_map(|client| Step::Leave { client }),
        12 => (client.clone(), any::<u8>()).prop_map(|(client, value)| Step::Presence { client, value }),
        6 => (client.clone(), 0..4_u8, any::<u8>()).prop_map(|(client, key, value)| Step::Edit { client, key, value }),
        2 => (client, 1..40_u8).prop_map(|(client, messages)| Step::Take { client, messages }),
        5 => (1..5_u8).prop_map(|batches| Step::Persist { batches }),
        5 => Just(Step::Load),
        1 => Just(Step::Fail),
        1 => (1..40_u8).prop_map(|seconds| Step::Wait { seconds }),
    ]
}

/// What one client knows, from its messages alone.
#[derive(Default)]
struct Seen {
    room: Option<String>,
    others: BTreeMap<String, Json>,
    /// The version and content of the storage.
    storage: Option<(u64, Json)>,
}

struct Client {
    connection: Option<Connection>,
    /// Sent, and not yet taken by its socket.
    socket: VecDeque<String>,
    seen: Seen,
}

struct World {
    rooms: Rooms,
    time: Time,
    clients: Vec<Client>,
    connections: u64,
    loads: VecDeque<(RoomId, Stay)>,
    persists: VecDeque<(RoomId, Stay, u64, Vec<bytes::Bytes>)>,
    /// What is durable: the version and the updates of each room.
    store: BTreeMap<RoomId, (u64, Vec<bytes::Bytes>)>,
}

fn id(client: usize) -> ClientId {
    ClientId(client as u128 + 1)
}

impl World {
    fn new() -> Self {
        let time = Time { now: Instant(0), unix: UnixMillis(0) };
        let client = |_| Client { connection: None, socket: VecDeque::new(), seen: Seen::default() };
        Self {
            rooms: Rooms::new(Config::default(), time.now),
            time,
            clients: (0..CLIENTS).map(client).collect(),
            connections: 0,
            loads: VecDeque::new(),
            persists: VecDeque::new(),
            store: BTreeMap::new(),
        }
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Connect { client, room } => {
                self.connections += 1;
                let connection = Connection(self.connections);
                self.clients[client] =
                    Client { connection: Some(connection), socket: VecDeque::new(), seen: Seen::default() };
                let room: RoomId = ROOMS[room].parse().unwrap();
                self.rooms.connect(self.time, connection, id(client), &room, Right::Edit).unwrap();
            }
            Step::Crash { client } => {
                if let Some(connection) = self.clients[client].connection.take() {
                    self.rooms.disconnected(self.time, connection);
                }
            }
            Step::Move { client, room } => self.says(client, &format!("{{\"JoinRoom\":{:?}}}", ROOMS[room])),
            Step::Leave { client } => self.says(client, r#""LeaveRoom""#),
            Step::Presence { client, value } => self.says(client, &format!("{{\"UpdatePresence\":{value}}}")),
            Step::Edit { client, key, value } => {
                let edit = format!(r#"{{"UpdateStorage":{{"op":"add","path":"/{key}","value":{value}}}}}"#);
                self.says(client, &edit);
            }
            Step::Take { client, messages } => (0..messages).for_each(|_| self.take(client)),
            Step::Persist { batches } => (0..batches).for_each(|_| self.persist()),
            Step::Load => self.load(),
            Step::Fail => {
                if let Some((room, stay, _, _)) = self.persists.pop_front() {
                    self.persists.retain(|(other, _, _, _)| *other != room);
                    self.rooms.failed(self.time, &room, stay);
                }
            }
            Step::Wait { seconds } => {
                self.time.now = self.time.now + Duration::from_secs(seconds.into());
                while self.rooms.poll_timeout() <= self.time.now {
                    self.rooms.handle_timeout(self.time);
                }
            }
        }
        self.drain();
    }

    fn says(&mut self, client: usize, text: &str) {
        if let Some(connection) = self.clients[client].connection {
            self.rooms.received(self.time, connection, text);
        }
    }

    fn drain(&mut self) {
        while let Some(effect) = self.rooms.poll_effect() {
            match effect {
                Effect::Send { connection, text } => {
                    let client = self.clients.iter_mut().find(|client| client.connection == Some(connection));
                    let client = client.expect("nothing is sent to who is gone");
                    client.socket.push_back(text.to_string());
                    assert!(client.socket.len() <= rejoin_rooms::limits::MAX_IN_FLIGHT);
                }
                Effect::Close { connection, .. } => {
                    let of = |client: &&mut Client| client.connection == Some(connection);
                    if let Some(client) = self.clients.iter_mut().find(of) {
                        client.connection = None;
                    }
                }
                Effect::MayJoin { connection, room } => {
                    self.rooms.join(self.time, connection, &room, Right::Edit).unwrap();
                }
                Effect::Load { room, stay } => self.loads.push_back((room, stay)),
                Effect::Persist { room, stay, version, change } => {
                    self.persists.push_back((room, stay, version, change.updates));
                }
                Effect::Unload { room, storage } => {
                    let (version, updates) = self.store.get(&room).cloned().unwrap_or_default();
                    assert_eq!(storage.version(), version, "all of it is durable");
                    let stored = CrdtStorage::load(version, updates, 1 << 40).unwrap();
                    assert_eq!(storage.snapshot(), stored.snapshot());
                    self.store.insert(room, (version, vec![storage.state().unwrap()]));
                }
                Effect::Empty { room } => assert_eq!(self.rooms.members(&room), Some(Vec::new())),
            }
        }
    }

    fn persist(&mut self) {
        let Some((room, stay, version, updates)) = self.persists.pop_front() else { return };
        let stored = self.store.entry(room.clone()).or_default();
        assert_eq!(stored.0 + 1, version, "versions have no holes");
        stored.0 = version;
        stored.1.extend(updates);
        self.rooms.persisted(self.time, &room, stay, version);
        self.drain();
    }

    fn load(&mut self) {
        let Some((room, stay)) = self.loads.pop_front() else { return };
        let (version, updates) = self.store.get(&room).cloned().unwrap_or_default();
        let client = 100 + self.connections * 1_000 + self.loads.len() as u64 + version;
        let storage = CrdtStorage::load(version, updates, client).unwrap();
        self.rooms.loaded(self.time, &room, stay, storage);
        self.drain();
    }

    /// The socket of a client takes a message, and the client reads it.
    fn take(&mut self, number: usize) {
        let client = &mut self.clients[number];
        let (Some(text), Some(connection)) = (client.socket.pop_front(), client.connection) else { return };
        let decoded = decode_server_message(&text);
        assert_eq!(decoded.form, Form::Page);
        let (seen, own) = (&mut client.seen, id(number).to_string());
        match decoded.message.unwrap() {
            ServerMessage::RoomJoined { room_id, client_id } if client_id == own => {
                *seen = Seen { room: Some(room_id), ..Seen::default() };
            }
            ServerMessage::RoomLeft { room_id, client_id } if client_id == own => {
                assert_eq!(seen.room.as_ref(), Some(&room_id));
                *seen = Seen::default();
            }
            ServerMessage::RoomJoined { room_id, client_id } => {
                assert_eq!(seen.room, Some(room_id), "nobody hears of another room");
                assert!(seen.others.insert(client_id, rejoin_json::Object::new().into()).is_none());
            }
            ServerMessage::RoomLeft { room_id, client_id } => {
                assert_eq!(seen.room, Some(room_id), "nobody hears of another room");
                // Who was slow may not have heard that it was there.
                seen.others.remove(&client_id);
            }
            ServerMessage::PresenceUpdated { client_id, presence, .. } => {
                assert!(seen.room.is_some());
                // Only the state of who joins names somebody for the first time.
                assert!(seen.storage.is_none() || seen.others.contains_key(&client_id));
                seen.others.insert(client_id, presence);
            }
            ServerMessage::StorageUpdated { version, operations } => {
                assert!(seen.room.is_some());
                let (before, mut content) =
                    seen.storage.take().unwrap_or_else(|| (version - version.min(1), Json::Null));
                let is_whole = content == Json::Null;
                assert!(is_whole || before + 1 == version, "versions have no holes");
                apply(&mut content, &Patch::from_json(&operations).unwrap(), &Limits::default()).unwrap();
                seen.storage = Some((version, content));
            }
            ServerMessage::Ping => self.rooms.received(self.time, connection, r#""Pong""#),
            ServerMessage::Error { code, .. } => {
                assert!(["unexpected_message", "unavailable"].contains(&&*code), "{code}");
            }
        }
        self.rooms.taken(connection);
        self.drain();
    }

    fn come_to_rest(&mut self) {
        while !self.loads.is_empty() {
            self.load();
        }
        while !self.persists.is_empty() {
            self.persist();
        }
        for client in 0..CLIENTS {
            while self.clients[client].connection.is_some() && !self.clients[client].socket.is_empty() {
                self.take(client);
            }
        }
    }

    /// What clients know is what is there.
    fn check(&self) {
        for (number, client) in self.clients.iter().enumerate() {
            let Some(connection) = client.connection else { continue };
            let room = self.rooms.room_of(connection);
            assert_eq!(client.seen.room, room.map(ToString::to_string));
            let Some(room) = room else { continue };
            let others =
                self.rooms.members(room).unwrap().into_iter().filter(|member| member.client != id(number));
            let others: BTreeMap<_, _> =
                others.map(|other| (other.client.to_string(), other.presence)).collect();
            assert_eq!(client.seen.others, others);
            assert_eq!(client.seen.storage, self.rooms.storage(room));
        }
    }
}

proptest! {
    #![proptest_config(rejoin_properties::cases(150))]

    #[test]
    fn members_agree_on_who_is_there_and_what_they_edit_whatever_happens(steps in prop::collection::vec(steps(), 0..250)) {
        let mut world = World::new();
        for step in steps {
            world.step(step);
        }
        world.come_to_rest();
        world.check();
    }
}
