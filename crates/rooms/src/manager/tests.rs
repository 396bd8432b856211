use rejoin_json::{Limits, Patch};
use rejoin_wire::ErrorCode;

use super::*;
use crate::limits::*;
use crate::{ClientId, JsonPresence, JsonStorage, RoomId};

type Rooms = RoomsManager<RoomId, ClientId, JsonPresence, JsonStorage>;

fn at(seconds: u64) -> Time {
    Time { now: Instant(seconds * 1_000_000), unix: UnixMillis(1_700_000_000_000 + seconds * 1_000) }
}

fn room(name: &str) -> RoomId {
    name.parse().unwrap()
}

fn json(text: &str) -> Json {
    Json::parse(text, &Limits::default()).unwrap()
}

/// Rooms with a driver that takes what is sent at once, and has each storage loaded empty.
struct World {
    rooms: Rooms,
    now: u64,
    takes: bool,
    /// What was sent, with the numbers of clients in place of their ids.
    sent: Vec<(u64, String)>,
    other: Vec<Effect<RoomId, JsonStorage>>,
}

impl World {
    fn new(config: Config) -> Self {
        Self {
            rooms: Rooms::new(config, Instant(0)),
            now: 0,
            takes: true,
            sent: Vec::new(),
            other: Vec::new(),
        }
    }

    fn drain(&mut self) {
        while let Some(effect) = self.rooms.poll_effect() {
            match effect {
                Effect::Send { connection, text } => {
                    let text = text.replace("00000000-0000-0000-0000-00000000000", "");
                    self.sent.push((connection.0, text));
                    if self.takes {
                        self.rooms.taken(connection);
                    }
                }
                Effect::Load { room, stay } if self.takes => {
                    self.rooms.loaded(at(self.now), &room, stay, JsonStorage::default());
                }
                other => self.other.push(other),
            }
        }
    }

    fn connect(&mut self, connection: u64, client: u128, name: &str) -> Result<(), JoinError> {
        let joined = self.rooms.connect(
            at(self.now),
            Connection(connection),
            ClientId(client),
            &room(name),
            Right::Edit,
        );
        self.drain();
        joined
    }

    fn says(&mut self, connection: u64, text: &str) {
        self.rooms.received(at(self.now), Connection(connection), text);
        self.drain();
    }

    fn wait_until(&mut self, seconds: u64) {
        loop {
            let due = self.rooms.poll_timeout();
            if due > at(seconds).now {
                break;
            }
            self.now = due.0 / 1_000_000;
            self.rooms.handle_timeout(at(self.now));
            self.drain();
        }
        self.now = seconds;
    }

    fn heard(&mut self, connection: u64) -> Vec<String> {
        let (own, rest) =
            std::mem::take(&mut self.sent).into_iter().partition(|(other, _)| *other == connection);
        self.sent = rest;
        own.into_iter().map(|(_, text)| text).collect()
    }

    fn closed(&mut self) -> Vec<(u64, CloseCode)> {
        let closed = |effect: &Effect<_, _>| match effect {
            Effect::Close { connection, code, .. } => Some((connection.0, *code)),
            _ => None,
        };
        self.other.iter().filter_map(closed).collect()
    }

    /// Has all that is to be stored be durable.
    fn persist(&mut self) {
        for effect in std::mem::take(&mut self.other) {
            match effect {
                Effect::Persist { room, stay, version, .. } => {
                    self.rooms.persisted(at(self.now), &room, stay, version);
                }
                other => self.other.push(other),
            }
        }
        self.drain();
    }

    fn error(&mut self, connection: u64) -> String {
        let heard = self.heard(connection).pop().unwrap();
        json(&heard).get("Error").and_then(|error| error.get("code")?.as_str().map(str::to_owned)).unwrap()
    }
}

fn two() -> World {
    let mut world = World::new(Config::default());
    world.connect(1, 1, "a").unwrap();
    world.connect(2, 2, "a").unwrap();
    world.sent.clear();
    world
}

const ADD: &str = r#"{"UpdateStorage":{"op":"add","path":"/a","value":1}}"#;
const EMPTY: &str =
    r#"{"StorageUpdated":{"operations":[{"op":"replace","path":"","value":{}}],"version":0}}"#;

#[test]
fn who_joins_gets_itself_the_others_and_the_storage_first_and_others_hear_of_it() {
    let mut world = World::new(Config::default());
    world.connect(1, 1, "a").unwrap();
    assert_eq!(world.heard(1), [r#"{"RoomJoined":{"client_id":"1","room_id":"a"}}"#, EMPTY]);
    world.now = 7;
    world.says(1, r#"{"UpdatePresence":{"cursor":3}}"#);
    world.connect(2, 2, "a").unwrap();
    assert_eq!(world.heard(1), [r#"{"RoomJoined":{"client_id":"2","room_id":"a"}}"#]);
    let shown = r#"{"PresenceUpdated":{"client_id":"1","presence":{"cursor":3},"timestamp":1700000007000}}"#;
    assert_eq!(world.heard(2), [r#"{"RoomJoined":{"client_id":"2","room_id":"a"}}"#, shown, EMPTY]);
    world.says(1, r#"{"UpdatePresence":{}}"#);
    let shown = r#"{"PresenceUpdated":{"client_id":"1","presence":{},"timestamp":1700000007000}}"#;
    assert_eq!((world.heard(2), world.heard(1).len()), (vec![shown.to_owned()], 0));
}

#[test]
fn leaving_and_a_crash_are_seen_by_the_others() {
    let mut world = two();
    let left = r#"{"RoomLeft":{"client_id":"2","room_id":"a"}}"#;
    world.says(2, r#""LeaveRoom""#);
    assert_eq!((world.heard(1), world.heard(2)), (vec![left.to_owned()], vec![left.to_owned()]));
    world.says(2, r#""LeaveRoom""#);
    assert_eq!(world.error(2), "unexpected_message");
    world.connect(3, 3, "a").unwrap();
    world.heard(1);
    world.rooms.disconnected(at(0), Connection(3));
    world.drain();
    assert_eq!(world.heard(1), [left.replace("2", "3")]);
}

#[test]
fn a_client_is_spoken_to_in_the_pages_form_until_it_sends_a_type() {
    let mut world = two();
    world.says(2, r#"{"type":"Pong"}"#);
    world.says(1, r#"{"UpdatePresence":1}"#);
    assert!(world.heard(2)[0].starts_with(r#"{"data":{"client_id":"1","#));
    world.says(2, r#"{"UpdatePresence":1}"#);
    assert!(world.heard(1)[0].starts_with(r#"{"PresenceUpdated":"#));
    world.says(2, r#""LeaveRoom""#);
    assert!(world.heard(2)[0].ends_with(r#""type":"RoomLeft"}"#));
}

#[test]
fn a_batch_is_told_to_everybody_once_it_is_durable() {
    let mut world = two();
    world.says(1, ADD);
    world.says(1, &ADD.replace("/a", "/b"));
    assert!(world.sent.is_empty());
    world.connect(3, 3, "a").unwrap();
    assert!(world.heard(3).contains(&EMPTY.to_owned()));
    assert_eq!(world.rooms.since(&room("a"), 0), Some(Difference::Changes(vec![])));
    world.sent.clear();
    world.persist();
    let told = r#"{"StorageUpdated":{"operations":[{"op":"add","path":"/a","value":1}],"version":1}}"#;
    for client in [1, 2, 3] {
        let heard = world.heard(client);
        assert_eq!((heard.len(), heard[0].as_str()), (2, told));
    }
    assert_eq!(world.rooms.storage(&room("a")), Some((2, json(r#"{"a":1,"b":1}"#))));
}

#[test]
fn what_the_store_does_not_take_is_told_to_nobody_and_all_are_asked_to_come_back() {
    let mut world = two();
    world.says(1, ADD);
    let Some(Effect::Persist { stay, .. }) = world.other.pop() else { panic!() };
    world.rooms.failed(at(0), &room("a"), stay);
    world.drain();
    assert_eq!(world.closed(), [(1, CloseCode::Unavailable), (2, CloseCode::Unavailable)]);
    assert!(world.sent.is_empty() && world.rooms.rooms().next().is_none());
    world.connect(3, 3, "a").unwrap();
    world.says(3, ADD);
    world.heard(3);
    // An answer about the stay before.
    world.rooms.persisted(at(0), &room("a"), stay, 1);
    world.drain();
    assert!(world.heard(3).is_empty());
}

#[test]
fn who_may_only_view_does_not_edit() {
    let mut world = two();
    world.rooms.connect(at(0), Connection(3), ClientId(3), &room("a"), Right::View).unwrap();
    world.drain();
    world.says(3, ADD);
    assert_eq!(world.error(3), "forbidden");
}

#[test]
fn a_move_waits_for_the_driver_and_what_is_sent_meanwhile_is_about_the_new_room() {
    let mut world = two();
    world.says(1, r#"{"JoinRoom":"b"}"#);
    world.says(1, r#"{"UpdatePresence":7}"#);
    assert!(world.sent.is_empty());
    world.rooms.join(at(0), Connection(1), &room("b"), Right::Edit).unwrap();
    world.drain();
    assert_eq!(world.heard(2), [r#"{"RoomLeft":{"client_id":"1","room_id":"a"}}"#]);
    assert_eq!(world.rooms.members(&room("b")).unwrap()[0].presence, json("7"));
    world.says(1, r#"{"JoinRoom":"a"}"#);
    world.rooms.refuse(at(0), Connection(1), &Refusal::new(ErrorCode::Forbidden, "no"));
    world.drain();
    assert_eq!((world.error(1), world.rooms.room_of(Connection(1))), ("forbidden".into(), Some(&room("b"))));
    world.says(1, r#"{"JoinRoom":"a/b/c"}"#);
    assert_eq!(world.error(1), "invalid_value");
    world.says(1, r#"{"JoinRoom":"a"}"#);
    (0..MAX_HELD_MESSAGES).for_each(|_| world.says(1, r#""Pong""#));
    assert!(world.heard(1).is_empty());
    world.says(1, r#""Pong""#);
    assert_eq!(world.error(1), "rate_limited");
}

#[test]
fn a_client_that_comes_back_keeps_its_place_and_its_old_socket_ends_nothing() {
    let mut world = two();
    world.says(1, r#"{"UpdatePresence":7}"#);
    world.sent.clear();
    world.now = 50;
    world.connect(9, 1, "a").unwrap();
    assert_eq!(world.closed(), [(1, CloseCode::Normal)]);
    world.rooms.disconnected(at(50), Connection(1));
    world.drain();
    assert!(world.heard(2).is_empty());
    assert_eq!(world.rooms.members(&room("a")).unwrap()[0].presence, json("7"));
    world.rooms.heard(at(50), Connection(2));
    world.wait_until(100);
    assert_eq!(world.closed(), [(1, CloseCode::Normal)]);
    // In another room it is one that moves.
    world.sent.clear();
    world.connect(10, 1, "b").unwrap();
    assert_eq!(world.heard(2), [r#"{"RoomLeft":{"client_id":"1","room_id":"a"}}"#]);
    assert_eq!(world.heard(10).len(), 2);
}

#[test]
fn silence_is_answered_by_a_ping_and_ends_with_the_sweep_after_the_timeout() {
    let mut world = two();
    world.wait_until(29);
    assert!(world.sent.is_empty());
    world.rooms.heard(at(29), Connection(2));
    world.wait_until(30);
    assert_eq!((world.heard(1), world.heard(2).len()), (vec![r#""Ping""#.to_owned()], 0));
    world.wait_until(59);
    assert_eq!((world.heard(2).len(), world.closed().len()), (1, 0));
    world.says(2, "no message, and life all the same");
    world.wait_until(60);
    assert_eq!(world.closed(), [(1, CloseCode::HeartbeatTimeout)]);
    assert!(world.heard(2).contains(&r#"{"RoomLeft":{"client_id":"1","room_id":"a"}}"#.to_owned()));
    world.wait_until(119);
    assert_eq!(world.closed().len(), 1);
    world.wait_until(120);
    assert_eq!(world.closed().len(), 2);
}

#[test]
fn an_idle_room_gives_its_storage_back_once_all_of_it_is_durable() {
    let mut world = two();
    world.says(1, ADD);
    world.rooms.disconnected(at(0), Connection(1));
    world.rooms.disconnected(at(0), Connection(2));
    world.drain();
    world.wait_until(300);
    assert_eq!(world.rooms.rooms().count(), 1);
    world.persist();
    world.wait_until(330);
    assert_eq!(world.rooms.rooms().count(), 0);
    let Some(Effect::Unload { storage, .. }) = world.other.pop() else { panic!() };
    assert_eq!((storage.version(), storage.snapshot()), (1, json(r#"{"a":1}"#)));
}

#[test]
fn rooms_and_members_have_capacities() {
    let mut world = World::new(Config { max_members: 2, max_rooms: 2, ..Config::default() });
    world.connect(1, 1, "a").unwrap();
    world.connect(2, 2, "a").unwrap();
    assert_eq!(world.connect(3, 3, "a"), Err(JoinError::RoomFull));
    assert_eq!(world.rooms.room_of(Connection(3)), None);
    world.connect(3, 3, "b").unwrap();
    assert_eq!(world.connect(4, 4, "c"), Err(JoinError::TooManyRooms));
    assert_eq!(world.rooms.open(at(0), room("c")), Err(JoinError::TooManyRooms));
    world.says(3, r#"{"JoinRoom":"a"}"#);
    assert_eq!(world.rooms.join(at(0), Connection(3), &room("a"), Right::Edit), Err(JoinError::RoomFull));
    world.drain();
    assert_eq!(world.error(3), "rate_limited");
    // Who comes back takes no place of its own.
    world.connect(5, 1, "a").unwrap();
}

#[test]
fn presences_have_limits_alone_and_together() {
    let mut world = two();
    let long = |bytes: usize| format!(r#"{{"UpdatePresence":"{}"}}"#, "x".repeat(bytes - 2));
    world.says(1, &long(MAX_PRESENCE_BYTES));
    assert_eq!(world.heard(2).len(), 1);
    world.says(1, &long(MAX_PRESENCE_BYTES + 1));
    assert_eq!(world.error(1), "too_large");
    let deep = |levels: usize| format!("{{\"UpdatePresence\":{}{}}}", "[".repeat(levels), "]".repeat(levels));
    world.says(1, &deep(MAX_DEPTH + 1));
    assert_eq!(world.error(1), "too_deep");
    world.says(1, &deep(MAX_DEPTH));
    assert!(world.heard(1).is_empty());
    // As if others showed all but a hundred bytes of what may be.
    let shown = |world: &World| world.rooms.rooms[&room("a")].presence_bytes;
    world.sent.clear();
    world.rooms.rooms.get_mut(&room("a")).unwrap().presence_bytes = MAX_ROOM_PRESENCE_BYTES - 100;
    world.says(2, &long(102));
    assert_eq!((world.heard(2).len(), shown(&world)), (0, MAX_ROOM_PRESENCE_BYTES));
    world.says(2, &long(103));
    assert_eq!(world.error(2), "rate_limited");
    assert_eq!(world.connect(3, 3, "a"), Err(JoinError::PresenceFull));
    world.says(2, &long(100));
    world.connect(3, 3, "a").unwrap();
    world.says(2, r#"{"UpdatePresence":{}}"#);
    world.rooms.disconnected(at(0), Connection(3));
    assert_eq!(shown(&world), MAX_ROOM_PRESENCE_BYTES - 100);
}

#[test]
fn a_slow_reader_gets_the_newest_presence_and_every_version_and_is_closed_beyond_the_bound() {
    let mut world = two();
    world.takes = false;
    let mut fast = 0;
    let mut catch_up = |world: &mut World| {
        for _ in 0..world.heard(1).len() {
            world.rooms.taken(Connection(1));
            fast += 1;
        }
    };
    for number in 0..200 {
        world.says(1, &format!(r#"{{"UpdatePresence":{number}}}"#));
    }
    assert_eq!(world.heard(2).len(), MAX_IN_FLIGHT);
    for _ in 0..MAX_QUEUED_MESSAGES {
        world.says(1, ADD);
        world.persist();
        catch_up(&mut world);
    }
    assert!(world.closed().is_empty());
    let link = &world.rooms.links[&Connection(2)];
    assert_eq!(link.outbox.waiting().0, MAX_QUEUED_MESSAGES + 1);
    world.rooms.taken(Connection(2));
    world.drain();
    assert!(world.heard(2)[0].contains(r#""presence":199"#));
    world.says(1, ADD);
    world.persist();
    assert_eq!(world.closed(), [(2, CloseCode::SlowReader)]);
    assert!(CloseCode::retry(CloseCode::SlowReader.number()));
    catch_up(&mut world);
    assert_eq!(world.rooms.members(&room("a")).unwrap().len(), 1);
}

#[test]
fn batches_wait_for_the_storage_and_for_the_store_up_to_their_limits() {
    let mut world = World::new(Config::default());
    world.takes = false;
    world.connect(1, 1, "a").unwrap();
    let Some(Effect::Load { stay, .. }) = world.other.pop() else { panic!() };
    (0..MAX_WAITING_BATCHES).for_each(|_| world.says(1, ADD));
    assert_eq!(world.heard(1).len(), 1);
    world.says(1, ADD);
    assert_eq!(world.error(1), "unavailable");
    world.rooms.loaded(at(0), &room("a"), stay, JsonStorage::default());
    world.drain();
    assert_eq!((world.heard(1), world.other.len()), (vec![EMPTY.to_owned()], MAX_WAITING_BATCHES));
    let patch = Patch::from_json(&json(r#"[{"op":"add","path":"/a","value":1}]"#)).unwrap();
    for version in MAX_WAITING_BATCHES + 1..=MAX_PENDING_BATCHES {
        assert_eq!(world.rooms.update_storage(&room("a"), patch.clone()), Ok(version as u64));
    }
    let refused = world.rooms.update_storage(&room("a"), patch.clone()).unwrap_err();
    assert_eq!(refused.code, ErrorCode::Unavailable);
    world.rooms.persisted(at(0), &room("a"), stay, MAX_PENDING_BATCHES as u64);
    assert_eq!(world.rooms.rooms[&room("a")].pending_bytes(), 0);
    let missing = world.rooms.update_storage(&room("b"), patch).unwrap_err();
    assert_eq!(missing.code, ErrorCode::Unavailable);
}

#[test]
fn a_room_that_is_deleted_sends_its_members_out_and_they_stay_connected() {
    let mut world = two();
    assert!(world.rooms.delete(at(0), &room("a")) && !world.rooms.delete(at(0), &room("a")));
    world.drain();
    assert_eq!(world.heard(1), [r#"{"RoomLeft":{"client_id":"1","room_id":"a"}}"#]);
    assert_eq!((world.heard(2).len(), world.closed().len()), (1, 0));
    world.says(1, ADD);
    assert_eq!(world.error(1), "unexpected_message");
}

#[test]
fn who_sends_what_cannot_be_read_is_told_why_and_closed_in_the_end() {
    let mut world = two();
    for _ in 1..MAX_BAD_MESSAGES {
        world.says(1, "{");
        assert_eq!(world.error(1), "bad_message");
    }
    world.says(1, r#""Pong""#);
    (1..MAX_BAD_MESSAGES).for_each(|_| world.says(1, "{"));
    assert!(world.closed().is_empty());
    world.says(1, "{");
    assert_eq!(world.closed(), [(1, CloseCode::BadMessage)]);
}

#[test]
fn who_is_slow_and_asks_for_its_own_room_gets_the_others_behind_that() {
    let mut world = two();
    world.takes = false;
    for number in 0..MAX_IN_FLIGHT + 2 {
        world.says(1, &format!(r#"{{"UpdatePresence":{number}}}"#));
    }
    world.says(2, r#"{"JoinRoom":"a"}"#);
    world.rooms.join(at(0), Connection(2), &room("a"), Right::Edit).unwrap();
    (0..MAX_IN_FLIGHT + 2).for_each(|_| world.rooms.taken(Connection(2)));
    world.drain();
    let heard = world.heard(2);
    let place = |part: &str| heard.iter().rposition(|text| text.contains(part)).unwrap();
    assert!(place("RoomJoined") < place(r#""presence":17"#));
    assert_eq!(heard.last().map(String::as_str), Some(EMPTY));
}
