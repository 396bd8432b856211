//! One origin makes one change, however often it says so, and is told once when it need not say so again.
#![allow(clippy::unwrap_used)]

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use crate::support::{World, id, json, patch};
use rejoin_core::storage::StoreError;
use rejoin_core::{ConflictChoice, EditError, Event, MAX_PARTS, Origin, Replica, Rung};
use rejoin_json::Policy;
use rejoin_store::MemoryStore;
use rejoin_wire::{Header, Scope};

/// Adds one to the end of a list: a repeat shows.
const PUSH: &str = r#"[{"op":"add","path":"/l/-","value":1}]"#;

/// One follower with the document `d`, a list.
fn world() -> World {
    let mut world = World::new(1);
    world.open("d");
    world.create(0, "d", r#"{"l":[]}"#);
    world
}

const fn origin(part: u64, number: u64) -> Origin {
    Origin { part, number }
}

/// Pushes on behalf of an origin.
fn push(world: &mut World, from: Origin) -> Result<(), EditError> {
    let replica = &mut world.followers[0].replica;
    let made = replica.speak_for(from).edit(&id("d"), patch(PUSH)).map(|_| ());
    world.run();
    made
}

const KEPT: Result<(), EditError> = Err(EditError::MadeBefore { kept: true });
const NOT_KEPT: Result<(), EditError> = Err(EditError::MadeBefore { kept: false });

/// Which origins were told that they need not repeat themselves, oldest first.
fn kept(world: &World) -> Vec<Origin> {
    let origin = |event: &Event| match event {
        Event::Kept { document, origin } if *document == id("d") => Some(*origin),
        _ => None,
    };
    world.followers[0].events.iter().filter_map(origin).collect()
}

fn restart(world: &mut World) {
    world.restart(0, Some(Scope::Documents));
    world.followers[0].network = false;
    world.open("d");
}

#[test]
fn a_repeat_changes_nothing_while_its_change_is_pending_and_after_its_outcome() {
    let mut world = world();
    world.offline(0);
    world.followers[0].holds_commits = true;
    let from = origin(7, 1);
    assert!(!world.followers[0].replica.made_by(&id("d"), from));
    push(&mut world, from).unwrap();
    assert!(world.followers[0].replica.made_by(&id("d"), from));
    assert_eq!(push(&mut world, from), NOT_KEPT);
    assert_eq!(kept(&world), []);
    world.let_commits_through(0);
    assert_eq!(kept(&world), [from]);
    assert_eq!(push(&mut world, from), KEPT);
    world.online(0);
    assert_eq!(world.converged("d"), r#"{"l":[1]}"#);
    assert_eq!(push(&mut world, from), KEPT);
    assert_eq!(kept(&world), [from], "told once");
    // Another part, and the next number of this one, are other changes; without a number nothing is a repeat.
    push(&mut world, origin(8, 1)).unwrap();
    push(&mut world, origin(7, 2)).unwrap();
    push(&mut world, origin(7, 0)).unwrap();
    push(&mut world, origin(7, 0)).unwrap();
    assert_eq!(world.converged("d"), r#"{"l":[1,1,1,1,1]}"#);
    assert_eq!(push(&mut world, from), KEPT, "a lower number was made");
    assert_eq!(kept(&world), [from, origin(8, 1), origin(7, 2)]);
}

#[test]
fn a_repeat_of_what_was_rejected_changes_nothing() {
    let mut world = world();
    world.allow(0, false);
    let from = origin(7, 1);
    push(&mut world, from).unwrap();
    assert_eq!(world.followers[0].replica.rejected(&id("d")).len(), 1);
    assert_eq!(push(&mut world, from), KEPT);
    restart(&mut world);
    assert_eq!(push(&mut world, from), KEPT);
    assert!(world.followers[0].replica.pending(&id("d")).is_empty());
    assert_eq!(world.content(0, "d"), r#"{"l":[]}"#);
}

#[test]
fn a_repeat_after_a_restart_changes_nothing() {
    let mut world = world();
    let (settled, pending, lost) = (origin(7, 1), origin(7, 2), origin(7, 3));
    push(&mut world, settled).unwrap();
    world.offline(0);
    push(&mut world, pending).unwrap();
    world.followers[0].holds_commits = true;
    push(&mut world, lost).unwrap();
    assert_eq!(kept(&world), [settled, pending]);
    restart(&mut world);
    assert_eq!(push(&mut world, settled), KEPT);
    assert_eq!(push(&mut world, pending), KEPT);
    assert!(!world.followers[0].replica.made_by(&id("d"), lost));
    push(&mut world, lost).unwrap();
    assert_eq!(kept(&world), [lost], "what was told before is not told again");
    world.online(0);
    assert_eq!(world.converged("d"), r#"{"l":[1,1,1]}"#);
    restart(&mut world);
    for made in [settled, pending, lost] {
        assert_eq!(push(&mut world, made), KEPT, "nothing is pending any more, and it is known all the same");
    }
}

#[test]
fn a_repeat_after_the_replica_took_another_id_changes_nothing() {
    let mut world = world();
    let store = world.followers[0].store.clone();
    let copy = world.add(Some(Scope::Documents), store);
    world.offline(0);
    world.open("d");
    push(&mut world, origin(7, 1)).unwrap();
    push(&mut world, origin(8, 1)).unwrap();
    world.edit(copy, "d", r#"[{"op":"add","path":"/l/-","value":"copy"}]"#);
    world.online(0);
    assert!(world.followers[0].events.iter().any(|event| matches!(event, Event::Forked { .. })));
    assert_eq!(push(&mut world, origin(7, 1)), KEPT);
    assert_eq!(push(&mut world, origin(8, 1)), KEPT);
    assert_eq!(kept(&world), [origin(7, 1), origin(8, 1)], "told once");
    assert_eq!(world.converged("d").matches('1').count(), 2);
    restart(&mut world);
    assert_eq!(push(&mut world, origin(7, 1)), KEPT);
}

#[test]
fn in_memory_a_change_is_kept_once_it_has_an_outcome() {
    let mut world = World::new(0);
    world.add_forgetful(Some(Scope::Documents), 1);
    world.run();
    world.open("d");
    world.create(0, "d", r#"{"l":[]}"#);
    world.offline(0);
    world.followers[0].store.fail_next_commits(1, StoreError::QuotaExceeded("full".into()));
    let from = origin(7, 1);
    push(&mut world, from).unwrap();
    assert!(!world.followers[0].replica.sync_status().durable);
    assert_eq!(world.followers[0].replica.status(&id("d")).unwrap().rung, Rung::Local);
    assert_eq!((kept(&world), push(&mut world, from)), (vec![], NOT_KEPT));
    world.online(0);
    assert_eq!(kept(&world), [from]);
    // It is not forgotten either, when nobody needs the document any more and others push it out of memory.
    world.followers[0].replica.close(&id("d"));
    for name in ["a", "b", "c"] {
        world.open(name);
        world.create(0, name, "{}");
        world.followers[0].replica.close(&id(name));
    }
    world.run();
    assert_eq!(push(&mut world, from), KEPT);
    world.open("d");
    assert_eq!(world.converged("d"), r#"{"l":[1]}"#);
}

#[test]
fn the_newest_parts_of_a_document_are_known() {
    let mut world = world();
    let parts = MAX_PARTS as u64;
    for part in 1..=parts {
        push(&mut world, origin(part, 1)).unwrap();
    }
    restart(&mut world);
    assert_eq!(push(&mut world, origin(1, 1)), KEPT, "as many as are known");
    push(&mut world, origin(parts + 1, 1)).unwrap();
    world.online(0);
    restart(&mut world);
    assert!(!world.followers[0].replica.made_by(&id("d"), origin(1, 1)));
    for part in 2..=parts + 1 {
        assert_eq!(push(&mut world, origin(part, 1)), KEPT);
    }
}

#[test]
fn a_part_that_is_forgotten_is_known_while_its_change_is_pending() {
    let mut world = world();
    world.offline(0);
    for part in 1..=MAX_PARTS as u64 + 1 {
        push(&mut world, origin(part, 1)).unwrap();
    }
    assert_eq!(push(&mut world, origin(1, 1)), KEPT);
    restart(&mut world);
    assert_eq!(push(&mut world, origin(1, 1)), KEPT);
}

/// A command, named, that makes a change of `d`; true when it did.
type Command = (&'static str, fn(&mut Replica) -> Result<(), EditError>);

#[test]
fn every_command_that_makes_a_change_makes_it_once() {
    let commands: [Command; 9] = [
        ("edit", |replica| replica.edit(&id("d"), patch(PUSH)).map(|_| ())),
        ("set_header", |replica| {
            replica.set_header(&id("d"), Header { title: Some("t".into()), ..Header::default() }).map(|_| ())
        }),
        ("undo", |replica| replica.undo(&id("d")).map(|_| ())),
        ("redo", |replica| replica.redo(&id("d")).map(|_| ())),
        ("undo_change", |replica| {
            let made = replica.edit(&id("d"), patch(PUSH)).unwrap();
            replica.speak_for(origin(8, 1)).undo_change(&id("d"), made).map(|_| ())
        }),
        ("settle", |replica| {
            let open = *replica.view(&id("d")).unwrap().conflicts.keys().next().unwrap();
            replica.settle(&id("d"), open, ConflictChoice::Keep).map(|_| ())
        }),
        ("delete", |replica| replica.delete(&id("d")).map(|_| ())),
        ("undelete", |replica| replica.undelete(&id("d")).map(|_| ())),
        ("delete", |replica| replica.delete(&id("d")).map(|_| ())),
    ];
    let mut world = World::new(2);
    world.open("d");
    let header = Header { policy: Policy::Manual, ..Header::default() };
    let created =
        |replica: &mut Replica| replica.create_with(&id("d"), header.clone(), json(r#"{"l":[],"a":0}"#));
    created(world.followers[0].replica.speak_for(origin(9, 1))).unwrap();
    world.run();
    world.offline(0);
    world.edit(0, "d", r#"[{"op":"replace","path":"/a","value":1}]"#);
    world.edit(1, "d", r#"[{"op":"replace","path":"/a","value":2}]"#);
    world.online(0);
    world.offline(0);
    let replica = &mut world.followers[0].replica;
    let pending = |replica: &Replica| replica.pending(&id("d")).len();
    for (number, (name, command)) in (1..).zip(commands) {
        let from = if name == "undo_change" { Origin::default() } else { origin(7, number) };
        let before = pending(replica);
        command(replica.speak_for(from)).unwrap_or_else(|error| panic!("{name}: {error}"));
        let made = pending(replica) - before;
        let newest = replica.pending(&id("d")).last().unwrap().origin;
        if name == "undo_change" {
            assert_eq!((made, newest), (2, origin(8, 1)));
            let change = replica.pending(&id("d"))[before].change.id();
            let again = replica.speak_for(origin(8, 1)).undo_change(&id("d"), change);
            assert!(matches!(again, Err(EditError::MadeBefore { .. })), "{again:?}");
            continue;
        }
        assert_eq!((made, newest), (1, from), "{name}");
        let again = command(replica.speak_for(from));
        assert!(matches!(again, Err(EditError::MadeBefore { .. })), "{name}: {again:?}");
        assert_eq!(pending(replica), before + 1, "{name}");
    }
    // The document is deleted by now, and would be created again.
    let again = created(replica.speak_for(origin(9, 1)));
    assert_eq!(again, Err(EditError::MadeBefore { kept: true }));
    created(replica.speak_for(origin(9, 2))).unwrap();
}

#[test]
fn an_origin_speaks_for_one_command_whatever_comes_of_it() {
    let mut world = world();
    let replica = &mut world.followers[0].replica;
    let missing = patch(r#"[{"op":"remove","path":"/missing"}]"#);
    assert!(replica.speak_for(origin(7, 1)).edit(&id("d"), missing).is_err());
    assert!(!replica.made_by(&id("d"), origin(7, 1)), "what was refused was not made");
    replica.edit(&id("d"), patch(PUSH)).unwrap();
    assert!(!replica.made_by(&id("d"), origin(7, 1)), "it was for the command before");
    assert_eq!(replica.speak_for(origin(7, 2)).edit(&id("e"), patch(PUSH)), Err(EditError::NotOpen));
    replica.edit(&id("d"), patch(PUSH)).unwrap();
    assert!(!replica.made_by(&id("d"), origin(7, 2)));
    world.run();
    assert_eq!(kept(&world), [], "nobody asked to be told");
}

#[test]
fn origins_are_known_by_what_is_pending_where_their_record_cannot_be_read() {
    let mut world = world();
    world.offline(0);
    push(&mut world, origin(7, 1)).unwrap();
    push(&mut world, origin(7, 2)).unwrap();
    let place = |store: &MemoryStore| {
        let workspace = crate::support::workspace();
        let runs = |place: &rejoin_store::Place| format!("{place:?}").contains("Runs");
        store.bodies(&workspace).into_iter().find(runs).unwrap()
    };
    let store = &mut world.followers[0].store;
    let runs = place(store);
    assert!(store.corrupt(&crate::support::workspace(), &runs, |bytes| bytes[0] ^= 1));
    restart(&mut world);
    assert!(world.followers[0].events.contains(&Event::Quarantined { document: id("d") }));
    assert_eq!(push(&mut world, origin(7, 1)), KEPT);
    assert_eq!(push(&mut world, origin(7, 2)), KEPT);
    push(&mut world, origin(7, 3)).unwrap();
}
