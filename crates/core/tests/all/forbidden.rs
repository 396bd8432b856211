//! Those who may not edit: what they made stays with them, and is in nobody's way.
#![allow(clippy::unwrap_used)]

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use crate::support::{World, id, json, patch};
use rejoin_core::storage::{Operation, RecordKind, Write};
use rejoin_core::{EditError, Event, Origin};
use rejoin_store::MemoryStore;
use rejoin_wire::{ErrorCode, Header, Message, Scope};

fn add(value: &str) -> String {
    format!(r#"[{{"op":"add","path":"/l/-","value":"{value}"}}]"#)
}

fn rejected(world: &World, at: usize) -> Vec<ErrorCode> {
    world.followers[at].replica.rejected(&id("d")).iter().map(|rejected| rejected.code).collect()
}

fn was_forked(world: &World) -> bool {
    let forked = |event: &Event| matches!(event, Event::Forked { .. });
    world.followers.iter().any(|follower| follower.events.iter().any(forked))
}

/// Everybody but relays has a document with an empty list open.
fn begin(world: &mut World) {
    world.run_for(60_000);
    for at in 0..world.followers.len() {
        if !world.followers[at].relays {
            world.followers[at].replica.open(&id("d"));
        }
    }
    world.run_for(1_000);
    let editor = (0..world.followers.len()).rfind(|at| !world.followers[*at].relays).unwrap();
    world.create(editor, "d", r#"{"l":[]}"#);
    world.run_for(1_000);
}

/// Adds one that is offline with the same disk and in the same place, and as the same replica.
fn copy(world: &mut World, of: usize) -> usize {
    let copy = world.copy(of, &id("d"));
    assert_eq!(world.followers[copy].replica.id(), world.followers[of].replica.id());
    copy
}

/// Whether a follower heard that it may not edit.
fn was_refused(world: &World, at: usize) -> bool {
    world.errors(at).iter().any(|error| error.code == ErrorCode::Forbidden)
}

#[test]
fn what_is_refused_stands_among_the_rejected_at_once_and_the_next_change_has_another_name() {
    let mut world = World::new(2);
    begin(&mut world);
    world.edit(1, "d", &add("before"));
    world.offline(1);
    for value in ["a", "b", "c"] {
        world.edit(1, "d", &add(value));
    }
    world.grants[1].may_edit = false;
    world.followers[1].asked.clear();
    world.online(1);
    assert_eq!(world.converged("d"), r#"{"l":["before"]}"#);
    assert_eq!(rejected(&world, 1), [ErrorCode::Forbidden; 3]);
    assert_eq!(world.errors(1).len(), 1, "nothing is pushed again");
    // A crash leaves all of it pending or all of it rejected.
    let records = |operation: &Operation| match operation {
        Operation::Commit(batch) => {
            let put = |write: &&Write| matches!(write, Write::PutRecord { key, .. } if key.kind == RecordKind::Rejected);
            let drop = |write: &&Write| matches!(write, Write::DropRecord { key } if key.kind == RecordKind::Pending);
            (batch.writes.iter().filter(put).count(), batch.writes.iter().filter(drop).count())
        }
        _ => (0, 0),
    };
    let commits: Vec<_> =
        world.followers[1].asked.iter().map(records).filter(|records| *records != (0, 0)).collect();
    assert_eq!(commits, [(3, 3)]);
    world.run_for(60_000);
    assert_eq!(world.errors(1).len(), 1);
    world.allow(1, true);
    world.edit(1, "d", &add("after"));
    assert_eq!(world.converged("d"), r#"{"l":["before","after"]}"#);
    assert!(!was_forked(&world), "the authority knows of no gap");
    world.restart(1, Some(Scope::Documents));
    world.run();
    world.followers[1].replica.open(&id("d"));
    world.run_for(60_000);
    assert_eq!(rejected(&world, 1).len(), 3);
    world.edit(1, "d", &add("again"));
    assert_eq!(world.converged("d"), r#"{"l":["before","after","again"]}"#);
}

#[test]
fn one_who_lost_the_right_to_edit_is_in_nobodys_way_who_brings_back_a_lost_line() {
    let mut world = World::new(3);
    begin(&mut world);
    let backup = world.root.store.clone();
    for (at, value) in ["a", "b", "c"].into_iter().enumerate() {
        world.edit(at, "d", &add(value));
    }
    world.run();
    world.restart_root(backup);
    for follower in &mut world.followers {
        follower.holds_messages = true;
    }
    world.run_for(60_000);
    // One who was welcomed as an editor is the first to bring everything back, and may not any more.
    world.allow(2, false);
    world.let_messages_through(2);
    world.run();
    assert!(was_refused(&world, 2));
    for at in [0, 1] {
        world.let_messages_through(at);
    }
    world.run_for(60_000);
    assert_eq!(world.converged("d"), r#"{"l":["a","b","c"]}"#);
    for at in 0..3 {
        assert_eq!(rejected(&world, at), [], "{at}");
        assert_eq!(world.followers[at].replica.recovered(&id("d")).len(), 1, "{at}");
        assert_eq!(world.followers[at].replica.pending(&id("d")).len(), 0, "{at}");
    }
}

#[test]
fn what_was_made_behind_a_lost_line_is_kept_by_who_may_not_bring_that_back() {
    let mut world = World::new(1);
    begin(&mut world);
    let backup = world.root.store.clone();
    world.edit(0, "d", &add("lost"));
    world.offline(0);
    world.edit(0, "d", &add("pending"));
    world.restart_root(backup);
    world.followers[0].holds_messages = true;
    world.online(0);
    world.run_for(60_000);
    // The link goes before the push has its answer, and the process with it.
    world.root.holds_commits = true;
    world.let_messages_through(0);
    assert_eq!(world.followers[0].replica.pending(&id("d")).len(), 2);
    world.offline(0);
    world.restart(0, Some(Scope::Documents));
    world.run();
    world.followers[0].replica.open(&id("d"));
    world.followers[0].holds_messages = true;
    world.online(0);
    world.run_for(60_000);
    world.allow(0, false);
    world.let_messages_through(0);
    world.root.uncommitted.clear();
    let store = world.root.store.clone();
    world.restart_root(store);
    world.run_for(60_000);
    assert_eq!(world.converged("d"), r#"{"l":[]}"#);
    let quarantined = |event: &Event| matches!(event, Event::Quarantined { .. });
    assert!(!world.followers[0].events.iter().any(quarantined));
    let rejected = world.followers[0].replica.rejected(&id("d"));
    assert_eq!(rejected.len(), 1, "not what brings back the lost line: {rejected:?}");
    assert!(format!("{rejected:?}").contains("pending"));
    let recovered = world.followers[0].replica.recovered(&id("d"));
    assert_eq!(recovered[0].content, json(r#"{"l":["lost"]}"#));
    world.allow(0, true);
    world.edit(0, "d", &add("next"));
    assert_eq!(world.converged("d"), r#"{"l":["next"]}"#);
    assert!(!was_forked(&world));
}

#[test]
fn what_a_copy_has_accepted_is_not_among_the_rejected_any_more() {
    let mut world = World::new(1);
    begin(&mut world);
    world.offline(0);
    world.edit(0, "d", &add("shared"));
    let copy = copy(&mut world, 0);
    world.grants[0].may_edit = false;
    world.online(0);
    assert_eq!(rejected(&world, 0), [ErrorCode::Forbidden]);
    world.online(copy);
    assert_eq!(world.converged("d"), r#"{"l":["shared"]}"#);
    assert_eq!(rejected(&world, 0), []);
    world.restart(0, Some(Scope::Documents));
    world.run();
    world.followers[0].replica.open(&id("d"));
    world.run_for(60_000);
    assert_eq!(rejected(&world, 0), []);
    assert_eq!(world.converged("d"), r#"{"l":["shared"]}"#);
}

/// Somebody below so many relays, and a copy of it that may edit where the first one may not. Both have pushed the same change, and the authority
/// comes to that when its store has answered.
fn both_below(relays: usize, reader_first: bool) -> (World, [usize; 2]) {
    let mut world = World::new(0);
    let mut above = None;
    for _ in 0..relays {
        above = Some(world.add_relay(above));
    }
    let reader = world.add_below(above.unwrap());
    let other = world.add(Some(Scope::Documents), MemoryStore::new());
    begin(&mut world);
    world.offline(reader);
    world.edit(reader, "d", &add("shared"));
    let copy = copy(&mut world, reader);
    world.grants[reader].may_edit = false;
    world.root.holds_commits = true;
    world.edit(other, "d", &add("other"));
    world.root_heard.clear();
    for at in if reader_first { [reader, copy] } else { [copy, reader] } {
        world.online(at);
        world.run_for(60_000);
    }
    let pushes = world.root_heard.iter().filter(|message| matches!(message, Message::Push { .. }));
    assert_eq!(pushes.count(), 2);
    (world, [reader, copy])
}

#[test]
fn a_relay_tells_a_refusal_to_those_who_may_not_edit_and_to_nobody_else() {
    for relays in [1, 2] {
        for reader_first in [true, false] {
            let (mut world, [reader, copy]) = both_below(relays, reader_first);
            world.let_root_commits_through();
            world.run_for(60_000);
            assert_eq!(world.converged("d"), r#"{"l":["other","shared"]}"#, "{relays} {reader_first}");
            assert!(!was_refused(&world, copy), "{relays} {reader_first}");
            assert_eq!(
                (rejected(&world, reader), rejected(&world, copy)),
                (vec![], vec![]),
                "{relays} {reader_first}"
            );
            assert!(!was_forked(&world), "{relays} {reader_first}");
        }
    }
}

#[test]
fn a_refusal_for_one_who_has_gone_is_for_nobody() {
    for relays in [1, 2] {
        let (mut world, [reader, copy]) = both_below(relays, true);
        world.offline(reader);
        world.let_root_commits_through();
        world.run_for(60_000);
        assert!(!was_refused(&world, copy), "{relays}");
        assert_eq!(rejected(&world, copy), [], "{relays}");
        assert_eq!(world.content(copy, "d"), r#"{"l":["other","shared"]}"#, "{relays}");
    }
}

/// The commit with a change is under way while what was pushed before it is refused.
#[test]
fn what_is_refused_before_it_is_stored_is_kept_once_its_record_is() {
    let mut world = World::new(2);
    begin(&mut world);
    world.grants[1].may_edit = false;
    world.allow(1, false);
    world.followers[1].holds_messages = true;
    world.edit(1, "d", &add("pushed"));
    world.followers[1].holds_commits = true;
    let origin = Origin { part: 7, number: 1 };
    world.followers[1].replica.speak_for(origin).edit(&id("d"), patch(&add("typed"))).unwrap();
    world.run();
    world.let_messages_through(1);
    let is_kept = |world: &World| {
        let kept = |event: &&Event| matches!(event, Event::Kept { origin: of, .. } if *of == origin);
        world.followers[1].events.iter().filter(kept).count()
    };
    assert_eq!(rejected(&world, 1).len(), 2);
    assert_eq!(is_kept(&world), 0, "its part of the program is to hold it still");
    let again = world.followers[1].replica.speak_for(origin).edit(&id("d"), patch(&add("typed")));
    assert_eq!(again, Err(EditError::MadeBefore { kept: false }));
    world.followers[1].holds_commits = false;
    world.let_commits_through(1);
    world.run();
    assert_eq!(is_kept(&world), 1);
    let again = world.followers[1].replica.speak_for(origin).edit(&id("d"), patch(&add("typed")));
    assert_eq!(again, Err(EditError::MadeBefore { kept: true }));
    world.restart(1, Some(Scope::Documents));
    world.run();
    world.followers[1].replica.open(&id("d"));
    world.run_for(1_000);
    assert_eq!(rejected(&world, 1).len(), 2);
}

#[test]
fn below_a_relay_that_may_only_read_nobody_may_edit() {
    let mut world = World::new(0);
    let first = world.add_relay(None);
    world.grants[first].may_edit = false;
    let second = world.add_relay(Some(first));
    let author = world.add_below(second);
    world.add(Some(Scope::Documents), MemoryStore::new());
    begin(&mut world);
    world.edit(author, "d", &add("mine"));
    world.run_for(600_000);
    assert_eq!(rejected(&world, author), [ErrorCode::Forbidden]);
    assert_eq!(world.errors(author).len(), 1, "{:?}", world.errors(author));
}

/// A copy that may only read is asked what was seen, and is refused before its answer is at the relay.
#[test]
fn an_editor_is_asked_for_what_a_refused_reader_was_asked_for() {
    let mut world = World::new(0);
    let relay = world.add_relay(None);
    let editor = world.add_below(relay);
    let other = world.add(Some(Scope::Documents), MemoryStore::new());
    begin(&mut world);
    world.followers[editor].holds_messages = true;
    world.followers[editor].replica.delete(&id("d")).unwrap();
    world.run();
    world.followers[editor].replica.create(&id("d"), json(r#"{"new":true}"#)).unwrap();
    world.edit(editor, "d", r#"[{"op":"add","path":"/l","value":"again"}]"#);
    world.offline(editor);
    world.followers[editor].holds_messages = false;
    let reader = copy(&mut world, editor);
    world.grants[reader].may_edit = false;
    let root = world.root.store.clone();
    world.restart_root(root);
    world.run_for(60_000);
    // Something else is under way at the document, so both pushes wait.
    world.root.replica.open(&id("d"));
    world.root.holds_commits = true;
    world.followers[other].replica.undelete(&id("d")).unwrap();
    world.run();
    for at in [editor, reader] {
        world.online(at);
        world.run_for(30_000);
    }
    world.root.holds_commits = false;
    world.let_root_commits_through();
    world.run_for(30_000);
    assert!(was_refused(&world, reader));
    assert_eq!(world.followers[editor].replica.pending(&id("d")).len(), 0, "the editor waits no longer");
}

/// A recovered version has the content only.
#[test]
fn a_header_that_was_lost_and_is_refused_stands_among_the_rejected() {
    let mut world = World::new(1);
    begin(&mut world);
    let backup = world.root.store.clone();
    let before = world.followers[0].replica.view(&id("d")).unwrap().header;
    let header = Header { title: Some("acknowledged".into()), ..(*before).clone() };
    world.followers[0].replica.set_header(&id("d"), header).unwrap();
    world.edit(0, "d", &add("acknowledged as well"));
    world.run_for(1_000);
    world.restart_root(backup);
    world.followers[0].holds_messages = true;
    world.run_for(60_000);
    world.allow(0, false);
    world.followers[0].events.clear();
    world.let_messages_through(0);
    world.run_for(60_000);
    let replica = &world.followers[0].replica;
    assert_eq!(rejected(&world, 0), [ErrorCode::Forbidden], "the edit is in the recovered version");
    assert!(format!("{:?}", replica.rejected(&id("d"))).contains("acknowledged"));
    assert_eq!(replica.recovered(&id("d")).len(), 1);
    assert!(world.followers[0].events.contains(&Event::Recovered { document: id("d") }));
}
