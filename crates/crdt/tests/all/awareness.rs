//! Awareness of others, before anything looks into it.

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use std::sync::Arc;

use rejoin_crdt::awareness::{
    Entry, MAX_AWARENESS_CLIENTS, MAX_AWARENESS_STATE_BYTES, MAX_CLIENTS_PER_CONNECTION, MAX_TABLE_BYTES,
    Table, check, encode,
};
use rejoin_crdt::{Fault, Malformed};

use crate::support::var;

fn fault(bytes: &[u8]) -> Fault {
    let Err(Malformed { fault, .. }) = check(bytes) else { panic!("{bytes:02x?} is taken") };
    fault
}

fn entry(client: u64, clock: u32, state: &str) -> Entry<'_> {
    Entry { client, clock, state }
}

#[test]
fn what_is_written_is_read_again() {
    let entries = [entry(7, 1, r#"{"name":"ada"}"#), entry((1 << 53) - 1, u32::MAX, "null")];
    let bytes = encode(&entries);
    let read = check(&bytes).unwrap();
    assert_eq!(read, entries);
    assert!(read[1].is_gone() && !read[0].is_gone());
    // As y-protocols writes it.
    assert_eq!(encode(&[entry(1, 0, "{}")]), [1, 1, 0, 2, b'{', b'}']);
}

#[test]
fn what_is_none_is_refused_before_it_takes_memory() {
    assert_eq!(fault(&[]), Fault::Ends);
    assert_eq!(fault(&[0xff, 0xff, 0xff, 0xff, 0x0f]), Fault::Count);
    assert_eq!(fault(&[1, 1, 0, 2, b'{']), Fault::Ends);
    assert_eq!(fault(&[1, 1, 0, 2, b'{', b'x']), Fault::Json);
    assert_eq!(fault(&[1, 1, 0, 2, 0xff, 0xff]), Fault::Utf8);
    assert_eq!(fault(&[0, 0]), Fault::Trailing);
    assert_eq!(fault(&[&[1, 1][..], &var(1 << 32), &[2, b'{', b'}']].concat()), Fault::Integer);
    let deep = "[".repeat(65) + &"]".repeat(65);
    assert_eq!(fault(&encode(&[entry(1, 1, &deep)])), Fault::Depth);
    assert!(check(&encode(&[entry(1, 1, &deep[1..deep.len() - 1])])).is_ok());
}

#[test]
fn as_many_clients_and_as_long_a_state_are_read_and_one_more_is_not() {
    let many = vec![entry(1, 1, "1"); MAX_AWARENESS_CLIENTS + 1];
    assert_eq!(check(&encode(&many[1..])).unwrap().len(), MAX_AWARENESS_CLIENTS);
    assert_eq!(fault(&encode(&many)), Fault::Clients);
    let long = format!("\"{}\"", "x".repeat(MAX_AWARENESS_STATE_BYTES - 2));
    assert!(check(&encode(&[entry(1, 1, &long)])).is_ok());
    assert_eq!(fault(&encode(&[entry(1, 1, &format!(" {long}"))])), Fault::Bytes);
}

/// What everybody is told, as clients with clocks and states.
fn told(update: Option<Vec<u8>>) -> Vec<(u64, u32, String)> {
    let update = update.unwrap_or_else(|| encode(&[]));
    check(&update)
        .unwrap()
        .into_iter()
        .map(|entry| (entry.client, entry.clock, entry.state.to_owned()))
        .collect()
}

fn said(client: u64, clock: u32, state: &str) -> Vec<(u64, u32, String)> {
    vec![(client, clock, state.to_owned())]
}

/// A room in which Ada, over her first connection, has client 7.
fn room() -> (Table, Arc<str>, Arc<str>) {
    let (mut table, ada, bob) = (Table::default(), "ada".into(), "bob".into());
    assert_eq!(told(table.apply(1, &ada, &[entry(7, 1, "{}")]).update), said(7, 1, "{}"));
    (table, ada, bob)
}

#[test]
fn what_is_not_newer_is_not_told_again_but_that_somebody_is_gone() {
    let (mut table, ada, _) = room();
    for old in [entry(7, 1, "{}"), entry(7, 1, "[]"), entry(7, 0, "[]"), entry(7, 0, "null")] {
        assert_eq!(table.apply(1, &ada, &[old]).update, None);
    }
    assert_eq!(table.apply(1, &ada, &[entry(8, 0, "{}")]).update, None, "nobody is heard before clock 1");
    assert_eq!(told(table.apply(1, &ada, &[entry(7, 2, "[]")]).update), said(7, 2, "[]"));
    assert_eq!(table.state(7), Some("[]"));
    assert_eq!(told(table.apply(1, &ada, &[entry(7, 2, "null")]).update), said(7, 2, "null"));
    assert!(table.is_empty());
    assert_eq!(table.apply(1, &ada, &[entry(7, 3, "null")]).update, None, "nobody knew of it");
}

#[test]
fn a_client_that_connects_again_stays_when_its_old_connection_ends() {
    let (mut table, ada, _) = room();
    // The same word again over the new connection is enough.
    assert_eq!(table.apply(2, &ada, &[entry(7, 1, "{}")]).update, None);
    assert_eq!(table.leave(1), None);
    assert_eq!(table.state(7), Some("{}"));
    let late = table.apply(1, &ada, &[entry(7, 9, "[]")]);
    assert_eq!((late.update, late.refused), (None, 1), "the old one speaks for it no more");
    assert_eq!(told(table.leave(2)), said(7, 1, "null"));
    assert!(table.is_empty());
}

#[test]
fn nobody_speaks_for_a_client_of_somebody_else() {
    let (mut table, ada, bob) = room();
    let entries = [entry(7, 5, "null"), entry(7, 6, "[]"), entry(9, 1, "1")];
    let applied = table.apply(2, &bob, &entries);
    assert_eq!((told(applied.update), applied.refused), (said(9, 1, "1"), 2));
    assert_eq!(table.state(7), Some("{}"));
    table.leave(1);
    assert_eq!(table.apply(2, &bob, &[entry(7, 1, "2")]).refused, 0, "nobody has it now");
    assert_eq!(table.apply(3, &ada, &[entry(7, 2, "3")]).refused, 1);
    let all = check(&table.everybody()).unwrap().len();
    assert_eq!((all, table.len()), (2, 2));
}

#[test]
fn as_many_clients_and_bytes_as_may_be_are_shown_and_one_more_is_not() {
    let (mut table, ada, bob) = room();
    let many: Vec<Entry<'_>> =
        (100..).take(MAX_CLIENTS_PER_CONNECTION).map(|client| entry(client, 1, "1")).collect();
    assert_eq!(table.apply(1, &ada, &many).refused, 1, "client 7 is one of them");
    assert_eq!(table.len(), MAX_CLIENTS_PER_CONNECTION);
    let mut table = Table::default();
    let state = format!("\"{}\"", "x".repeat(MAX_AWARENESS_STATE_BYTES - 2));
    let full = MAX_TABLE_BYTES / MAX_AWARENESS_STATE_BYTES;
    for client in 0..full as u64 {
        assert_eq!(table.apply(client, &bob, &[entry(client, 1, &state)]).refused, 0);
    }
    assert_eq!(table.apply(99, &bob, &[entry(99, 1, "1")]).refused, 1);
    // What is there may become shorter, and leaves room then.
    assert_eq!(table.apply(0, &bob, &[entry(0, 2, &format!("{}\"", &state[..state.len() - 2]))]).refused, 0);
    assert_eq!(table.apply(99, &bob, &[entry(99, 1, "1")]).refused, 0);
}
