//! docs/rooms.md says what the code does.
#![allow(clippy::unwrap_used)]

use rejoin_json::{Json, Limits};
use rejoin_rooms::{decode_client_message, decode_server_message, limits};
use rejoin_wire::ErrorCode;

const PAGE: &str = include_str!("../../../docs/rooms.md");

/// The lines of a block of examples.
fn examples(side: &str) -> Vec<&'static str> {
    let (_, block) = PAGE.split_once(&format!("```json {side}\n")).unwrap();
    block.split_once("```").unwrap().0.lines().collect()
}

/// The rows of a table under a heading.
fn rows(heading: &str) -> Vec<Vec<&'static str>> {
    let (_, part) = PAGE.split_once(&format!("## {heading}\n")).unwrap();
    let lines = part.lines().take_while(|line| !line.starts_with("## ")).filter(|line| line.starts_with('|'));
    lines.skip(2).map(|line| line.split('|').map(|cell| cell.trim().trim_matches('`')).collect()).collect()
}

#[test]
fn every_example_is_read_and_written_again() {
    let canonical = |text: &str| Json::parse(text, &Limits::default()).unwrap().canonical();
    for text in examples("client") {
        let decoded = decode_client_message(text);
        assert_eq!(*decoded.message.unwrap().encode(decoded.form), *canonical(text), "{text}");
    }
    for text in examples("server") {
        let decoded = decode_server_message(text);
        assert_eq!(*decoded.message.unwrap().encode(decoded.form), *text);
    }
}

#[test]
fn every_limit_is_that_of_the_code() {
    macro_rules! named {
        ($($name:ident)*) => { vec![$((stringify!($name), limits::$name as u64)),*] };
    }
    let limits = named![
        MAX_MESSAGE_BYTES MAX_DEPTH MAX_UPDATE_BYTES MAX_UPDATES_PER_BATCH MAX_STATE_BYTES MAX_PRESENCE_BYTES
        MAX_ROOM_PRESENCE_BYTES MAX_MEMBERS MAX_ROOMS MAX_HISTORY_BATCHES MAX_HISTORY_BYTES MAX_IN_FLIGHT
        MAX_QUEUED_MESSAGES MAX_QUEUED_BYTES MAX_HELD_MESSAGES MAX_HELD_BYTES MAX_WAITING_BATCHES
        MAX_PENDING_BATCHES MAX_PENDING_BYTES MAX_BAD_MESSAGES
    ];
    let told: Vec<_> = rows("Limits").iter().map(|row| (row[2], row[3].parse().unwrap())).collect();
    assert_eq!(told, limits);
    assert_eq!(limits::PING_INTERVAL.as_secs(), 30);
    assert_eq!(limits::CLIENT_TIMEOUT.as_secs(), 60);
    assert_eq!(limits::SWEEP_INTERVAL.as_secs(), 30);
}

#[test]
fn every_code_is_one_with_its_retry() {
    for row in rows("Errors") {
        let code = ErrorCode::ALL.iter().find(|code| code.name() == row[1]).unwrap();
        assert_eq!(code.retry().to_string(), row[2], "{code}");
    }
}
