//! Limits of what a document holds and of what is told at once, at their edges.
#![allow(clippy::unwrap_used)]

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use crate::support::{World, id, json, patch};
use rejoin_core::{EditError, Input, MAX_HISTORY_PAGE_BYTES, MAX_KEPT, Rung};
use rejoin_wire::limits::{MAX_CONFLICTS_PER_CHANGE, MAX_INTEGER, MAX_OPEN_CONFLICT_BYTES};
use rejoin_wire::{ErrorCode, Header, Message, Revision, UnixMillis};

/// Bytes that a conflict record takes besides its values and its place.
const RECORD_BYTES: usize = 512;

/// A document with so many members, at each of which both followers write while they are apart.
fn both_write(places: usize) -> World {
    let mut world = World::new(2);
    world.open("d");
    let members: Vec<String> = (0..places).map(|number| format!(r#""{number}":0"#)).collect();
    world.create(0, "d", &format!("{{{}}}", members.join(",")));
    world.offline(1);
    for (at, value) in [(0, 1), (1, 2)] {
        let operation = |number| format!(r#"{{"op":"replace","path":"/{number}","value":{value}}}"#);
        let operations: Vec<String> = (0..places).map(operation).collect();
        world.edit(at, "d", &format!("[{}]", operations.join(",")));
    }
    world
}

/// So many followers that take large changes.
fn roomy(followers: usize) -> World {
    let mut world = World::with_inline_bytes(usize::MAX, 0);
    for _ in 0..followers {
        world.add_roomy();
    }
    world.run();
    world.open("d");
    world
}

fn rejected(world: &World, at: usize) -> Vec<ErrorCode> {
    let rejected = world.followers[at].replica.rejected(&id("d"));
    rejected.iter().map(|rejected| rejected.code).collect()
}

#[test]
fn a_counter_is_moved_by_what_its_author_wrote_behind_a_change_that_is_too_large_at_the_authority_only() {
    let mut world = World::with_root(|config| config.limits.max_document_bytes = 100, 2, None);
    world.open("d");
    let header = Header { counters: vec!["/n".try_into().unwrap()], ..Header::default() };
    world.create(0, "d", r#"{"n":10}"#);
    world.followers[0].replica.set_header(&id("d"), header).unwrap();
    world.run();
    world.offline(1);
    let large = "x".repeat(100);
    world.edit(
        1,
        "d",
        &format!(
            r#"[{{"op":"replace","path":"/n","value":7}},{{"op":"add","path":"/large","value":"{large}"}}]"#
        ),
    );
    world.edit(1, "d", r#"[{"op":"remove","path":"/large"}]"#);
    world.edit(1, "d", r#"[{"op":"replace","path":"/n","value":6}]"#);
    world.online(1);
    assert_eq!(world.converged("d"), r#"{"n":9}"#, "three less go with what was rejected");
    assert_eq!(rejected(&world, 1), [ErrorCode::InvalidPatch]);
}

#[test]
fn as_many_conflicts_as_may_be_open_are_and_one_more_is_refused_with_its_values_kept() {
    let mut world = both_write(MAX_CONFLICTS_PER_CHANGE);
    world.edit(1, "d", r#"[{"op":"add","path":"/more","value":"mine"}]"#);
    world.edit(0, "d", r#"[{"op":"add","path":"/more","value":"theirs"}]"#);
    world.online(1);
    assert_eq!(rejected(&world, 1), [ErrorCode::TooManyConflicts]);
    world.converged("d");
    let view = world.followers[1].replica.view(&id("d")).unwrap();
    assert_eq!(view.conflicts.len(), MAX_CONFLICTS_PER_CHANGE, "each stays until it is settled");
    assert_eq!(view.content.get("more"), Some(&json(r#""theirs""#)));

    let settled = *view.conflicts.keys().next().unwrap();
    world.followers[0].replica.settle(&id("d"), settled, rejoin_core::ConflictChoice::Current).unwrap();
    world.run();
    world.offline(1);
    for (at, value) in [(1, "mine"), (0, "newer")] {
        world.edit(at, "d", &format!(r#"[{{"op":"replace","path":"/more","value":"{value}"}}]"#));
    }
    world.online(1);
    assert_eq!(rejected(&world, 1).len(), 1, "there is room for one again");
    world.converged("d");
}

#[test]
fn a_change_that_makes_more_conflicts_than_may_be_is_refused() {
    let mut world = both_write(MAX_CONFLICTS_PER_CHANGE + 1);
    world.online(1);
    assert_eq!(rejected(&world, 1), [ErrorCode::TooManyConflicts]);
    world.converged("d");
}

#[test]
fn conflicts_take_no_more_bytes_than_go_into_one_message_with_their_document() {
    // Of three values, as JSON, at a place of two bytes.
    let fits = MAX_OPEN_CONFLICT_BYTES - RECORD_BYTES - "/a".len();
    for (more, refused) in [(0, &[][..]), (1, &[ErrorCode::TooManyConflicts][..])] {
        let mut world = roomy(2);
        world.create(0, "d", r#"{"a":0}"#);
        world.offline(1);
        // Two short values, and one that takes the rest.
        let long = "x".repeat(fits + more - 1 - 1 - 2);
        world.edit(0, "d", r#"[{"op":"replace","path":"/a","value":1}]"#);
        world.edit(1, "d", &format!(r#"[{{"op":"replace","path":"/a","value":"{long}"}}]"#));
        world.online(1);
        assert_eq!(rejected(&world, 1), refused, "{more} more");
        world.converged("d");
    }
}

#[test]
fn a_document_with_all_the_conflicts_that_it_may_have_can_be_opened() {
    let mut world = roomy(2);
    world.create(0, "d", r#"{}"#);
    let string = |byte: &str| byte.repeat(1_300_000);
    world.edit(0, "d", &format!(r#"[{{"op":"add","path":"/s","value":"{}"}}]"#, string("a")));
    world.offline(1);
    for (at, byte) in [(0, "b"), (1, "c")] {
        let value = string(byte);
        world.edit(at, "d", &format!(r#"[{{"op":"replace","path":"/s","value":"{value}"}}]"#));
    }
    world.online(1);
    assert_eq!(world.followers[1].replica.view(&id("d")).unwrap().conflicts.len(), 1);
    let fresh = world.add(Some(rejoin_wire::Scope::Documents), rejoin_store::MemoryStore::new());
    world.run_for(60_000);
    world.followers[fresh].replica.open(&id("d"));
    world.run();
    world.converged("d");
}

#[test]
fn a_page_of_history_ends_with_its_bytes_and_holds_one_revision_at_least() {
    let mut world = roomy(1);
    world.create(0, "d", r#"{"s":""}"#);
    let large = MAX_HISTORY_PAGE_BYTES * 2 / 5;
    for byte in ["a", "b", "c", "d"] {
        let value = byte.repeat(large);
        world.edit(0, "d", &format!(r#"[{{"op":"replace","path":"/s","value":"{value}"}}]"#));
    }
    let mut told = Vec::new();
    let mut before = None;
    for request in 1.. {
        world.say_to_root(0, Message::HistoryRequest { request, document: id("d"), before, limit: 100 });
        world.run();
        let page = world.followers[0].messages.iter().rev().find_map(|message| match message {
            Message::HistoryPage { request: of, first, entries, more, .. } if *of == request => {
                Some((*first, entries.len(), *more))
            }
            _ => None,
        });
        let (first, count, more) = page.unwrap();
        told.push((first.0, count));
        before = Some(first);
        if !more {
            break;
        }
    }
    // Each holds what it replaced, too.
    assert_eq!(told, [(5, 1), (4, 1), (3, 1), (1, 2)]);
    assert_eq!(before, Some(Revision(1)));
}

#[test]
fn a_document_whose_rejected_changes_nobody_looks_at_takes_no_more_edits() {
    let mut world = World::new(2);
    world.open("d");
    world.create(0, "d", r#"{"n":0}"#);
    world.allow(1, false);
    for number in 0..MAX_KEPT {
        world.edit(1, "d", &format!(r#"[{{"op":"add","path":"/n","value":{number}}}]"#));
    }
    assert_eq!(rejected(&world, 1).len(), MAX_KEPT);
    let one_more = patch(r#"[{"op":"add","path":"/n","value":-1}]"#);
    let replica = &mut world.followers[1].replica;
    assert_eq!(replica.edit(&id("d"), one_more.clone()), Err(EditError::TooManyRejected));
    let oldest = replica.rejected(&id("d"))[0].change.id();
    replica.dismiss_rejected(&id("d"), oldest);
    replica.edit(&id("d"), one_more).unwrap();
    world.run();
    assert_eq!(rejected(&world, 1).len(), MAX_KEPT);
    assert_eq!(world.followers[1].replica.status(&id("d")).unwrap().rung, Rung::Acknowledged);
}

#[test]
fn wall_clocks_beyond_what_messages_can_say_stop_nobody() {
    for wrong in [UnixMillis(MAX_INTEGER), UnixMillis(MAX_INTEGER + 1), UnixMillis(u64::MAX)] {
        let mut world = World::new(2);
        world.open("d");
        world.root.replica.handle_input(world.now, Input::Clock(wrong));
        world.followers[0].replica.handle_input(world.now, Input::Clock(wrong));
        world.create(0, "d", "{}");
        world.offline(1);
        world.online(1);
        world.converged("d");
        let view = world.followers[1].replica.view(&id("d")).unwrap();
        assert_eq!(view.updated_at, UnixMillis(MAX_INTEGER));
    }
}
