//! What clients of rooms send: messages in both forms, names of rooms in paths, batches, and all of it to the machine.

use rejoin_core::Instant;
use rejoin_rooms::{
    ClientId, ClientMessage, Config, Connection, CrdtStorage, Effect, Form, JsonPresence, JsonStorage, Right,
    RoomId, RoomsManager, ServerMessage, StorageLike, Time, decode_client_message, decode_server_message,
};
use rejoin_wire::UnixMillis;

use crate::input::Input;

/// A text as a message of either side, as a name, and as a batch: what is read is written as it was.
pub fn messages(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok(message) = decode_client_message(text).message {
        for form in [Form::Page, Form::Typed] {
            let again = decode_client_message(&message.encode(form));
            assert_eq!((again.form, again.message.as_ref()), (form, Ok(&message)));
        }
        if let ClientMessage::UpdateStorage(batch) = message {
            let _ = CrdtStorage::read(&batch);
            let _ = JsonStorage::read(&batch);
        }
    }
    if let Ok(message) = decode_server_message(text).message {
        for form in [Form::Page, Form::Typed] {
            assert_eq!(decode_server_message(&message.encode(form)).message.as_ref(), Ok(&message));
        }
    }
    if let Ok(room) = RoomId::from_path(text) {
        assert_eq!(room.to_string().parse(), Ok(room));
    }
}

/// Messages of three clients in two rooms, whose storage is durable at once: everything that is told can be read, and versions have no
/// hole.
pub fn machine(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let time = Time { now: Instant(0), unix: UnixMillis(0) };
    let mut rooms =
        RoomsManager::<RoomId, ClientId, JsonPresence, CrdtStorage>::new(Config::default(), time.now);
    for client in 0..3_u64 {
        let room: RoomId = if client < 2 { "a" } else { "b" }.parse().expect("the names are names");
        let joined = rooms.connect(time, Connection(client), ClientId(client.into()), &room, Right::Edit);
        joined.expect("there is room for three");
        drain(&mut rooms, time);
    }
    while !input.is_empty() {
        let client = Connection(u64::from(input.byte() % 3));
        let length = usize::from(input.byte()) | usize::from(input.byte() & 3) << 8;
        if let Ok(text) = std::str::from_utf8(input.take(length)) {
            rooms.received(time, client, text);
            drain(&mut rooms, time);
        }
    }
}

fn drain(rooms: &mut RoomsManager<RoomId, ClientId, JsonPresence, CrdtStorage>, time: Time) {
    while let Some(effect) = rooms.poll_effect() {
        match effect {
            Effect::Send { connection, text } => {
                let message = decode_server_message(&text).message.expect("what is told can be read");
                if let ServerMessage::PresenceUpdated { presence, .. } = message {
                    assert!(presence.encoded_len() <= rejoin_rooms::limits::MAX_PRESENCE_BYTES);
                }
                rooms.taken(connection);
            }
            Effect::MayJoin { connection, room } => {
                let _ = rooms.join(time, connection, &room, Right::Edit);
            }
            Effect::Load { room, stay } => {
                rooms.loaded(time, &room, stay, CrdtStorage::new(1));
            }
            Effect::Persist { room, stay, version, .. } => {
                let before = rooms.storage(&room).map(|(version, _)| version);
                assert_eq!(before.map(|before| before + 1), Some(version));
                rooms.persisted(time, &room, stay, version);
            }
            Effect::Close { .. } | Effect::Empty { .. } | Effect::Unload { .. } => {}
        }
    }
}

const TEXTS: &[&str] = &[
    r#"{"UpdatePresence":{"cursor":{"x":1,"y":2.5},"name":"ada"}}"#,
    r#"{"type":"UpdatePresence","data":{}}"#,
    r#"{"UpdateStorage":[{"op":"add","path":"/slides","value":[{"title":"a"}]},{"op":"add","path":"/slides/-","value":1}]}"#,
    r#"{"UpdateStorage":{"op":"replace","path":"/slides/0/title","value":"b"}}"#,
    r#"{"type":"UpdateStorage","data":"AQEBAAQBAXQCaGkA"}"#,
    r#"{"JoinRoom":"b"}"#,
    r#"{"type":"JoinRoom","data":{"room_id":"team/c"}}"#,
    r#""LeaveRoom""#,
    r#""Pong""#,
    r#"{"RoomJoined":{"room_id":"a","client_id":"b"}}"#,
    r#"{"type":"StorageUpdated","data":{"version":1,"operations":[]}}"#,
    r#"{"PresenceUpdated":{"client_id":"b","timestamp":1700000000000,"presence":null}}"#,
    r#"{"Error":{"code":"too_deep","message":"flatten it","retry":false}}"#,
    "team%2Fcaf%C3%A9",
];

pub(crate) fn message_seeds() -> Vec<Vec<u8>> {
    TEXTS.iter().map(|text| text.as_bytes().to_vec()).collect()
}

pub(crate) fn machine_seeds() -> Vec<Vec<u8>> {
    let framed = |(at, text): (usize, &&str)| {
        let length = u16::try_from(text.len()).expect("the seeds are short").to_le_bytes();
        [&[u8::try_from(at % 3).expect("three are few")], &length[..], text.as_bytes()].concat()
    };
    let each: Vec<Vec<u8>> = TEXTS.iter().enumerate().map(framed).collect();
    each.iter().cloned().chain([each.concat()]).collect()
}
