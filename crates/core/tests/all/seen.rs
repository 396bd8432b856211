//! A change is made on what its author saw, also where that is a part of the program which shows the document as it was a little while ago.
#![allow(clippy::unwrap_used)]

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use crate::support::{World, id, json, patch, workspace};
use rejoin_core::{EditError, Life, Origin, Seen};
use rejoin_json::Json;
use rejoin_store::{MemoryStore, Place};
use rejoin_wire::{ErrorCode, Message, Revision, Scope};

/// Two followers with the document `d`.
fn world(content: &str) -> World {
    let mut world = World::new(2);
    world.open("d");
    world.create(0, "d", content);
    world
}

/// What the first follower shows now, for an edit later.
fn look(world: &mut World) -> Seen {
    let view = world.followers[0].replica.view(&id("d")).unwrap();
    Seen { revision: view.revision, content: view.content }
}

fn edit_on(world: &mut World, edit: &str, seen: &Seen) {
    world.followers[0].replica.edit_on(&id("d"), patch(edit), seen.clone()).unwrap();
    world.run();
}

fn content(world: &mut World, at: usize) -> Json {
    world.followers[at].replica.view(&id("d")).unwrap().content
}

fn all_have(world: &mut World, expected: &str) {
    for at in 0..2 {
        assert_eq!(content(world, at), json(expected), "follower {at}");
    }
}

#[test]
fn what_came_since_is_met_and_not_overwritten_unseen() {
    let mut world = world(r#"{"title":"a"}"#);
    let seen = look(&mut world);
    world.edit(1, "d", r#"[{"op":"replace","path":"/title","value":"theirs"}]"#);
    edit_on(&mut world, r#"[{"op":"replace","path":"/title","value":"mine"}]"#, &seen);
    all_have(&mut world, r#"{"title":"mine"}"#);
    for at in 0..2 {
        let view = world.followers[at].replica.view(&id("d")).unwrap();
        let [record] = view.conflicts.values().collect::<Vec<_>>()[..] else {
            panic!("{:?}", view.conflicts)
        };
        assert_eq!(record.base, Some(json(r#""a""#)));
        assert_eq!(record.current, Some(json(r#""theirs""#)));
        assert_eq!(record.incoming, Some(json(r#""mine""#)));
    }
}

#[test]
fn an_index_names_the_element_that_was_seen_there() {
    let mut world = world(r#"{"l":[{"id":"a"},{"id":"b"},{"id":"c"}]}"#);
    let seen = look(&mut world);
    world.edit(1, "d", r#"[{"op":"add","path":"/l/0","value":{"id":"x"}}]"#);
    edit_on(&mut world, r#"[{"op":"remove","path":"/l/1"}]"#, &seen);
    all_have(&mut world, r#"{"l":[{"id":"x"},{"id":"a"},{"id":"c"}]}"#);
}

#[test]
fn own_changes_that_were_not_seen_stay_online_and_offline() {
    for offline in [false, true] {
        let mut world = world(r#"{"l":[{"id":"a"},{"id":"b"}],"n":1}"#);
        if offline {
            world.offline(0);
        }
        let seen = look(&mut world);
        world.edit(
            0,
            "d",
            r#"[{"op":"add","path":"/l/0","value":{"id":"x"}},{"op":"replace","path":"/n","value":2}]"#,
        );
        edit_on(
            &mut world,
            r#"[{"op":"remove","path":"/l/0"},{"op":"replace","path":"/n","value":3}]"#,
            &seen,
        );
        let expected = r#"{"l":[{"id":"x"},{"id":"b"}],"n":3}"#;
        assert_eq!(content(&mut world, 0), json(expected), "offline {offline}");
        world.edit(0, "d", r#"[{"op":"add","path":"/after","value":true}]"#);
        if offline {
            world.online(0);
            world.run();
        }
        all_have(&mut world, r#"{"after":true,"l":[{"id":"x"},{"id":"b"}],"n":3}"#);
        let status = world.followers[0].replica.status(&id("d")).unwrap();
        assert_eq!((status.pending, status.rejected), (0, 0));
    }
}

#[test]
fn what_was_seen_survives_a_restart() {
    let mut world = world(r#"{"l":[{"id":"a"},{"id":"b"}]}"#);
    let seen = look(&mut world);
    world.edit(1, "d", r#"[{"op":"add","path":"/l/0","value":{"id":"x"}}]"#);
    world.offline(0);
    edit_on(&mut world, r#"[{"op":"remove","path":"/l/1"}]"#, &seen);
    world.restart(0, None);
    world.open("d");
    world.online(0);
    world.run();
    all_have(&mut world, r#"{"l":[{"id":"x"},{"id":"a"}]}"#);
}

#[test]
fn an_edit_of_what_was_deleted_since_is_kept_on_the_tombstone() {
    let mut world = world(r#"{"n":1}"#);
    let seen = look(&mut world);
    world.followers[1].replica.delete(&id("d")).unwrap();
    world.run();
    edit_on(&mut world, r#"[{"op":"replace","path":"/n","value":2}]"#, &seen);
    assert_eq!(world.followers[0].replica.view(&id("d")).unwrap().life, Life::Deleted);
    world.followers[1].replica.undelete(&id("d")).unwrap();
    world.run();
    all_have(&mut world, r#"{"n":2}"#);
}

#[test]
fn a_patch_that_does_not_apply_to_what_was_seen_is_refused() {
    let mut world = world(r#"{"n":1}"#);
    let seen = Seen { revision: Revision(1), content: json(r#"{"m":1}"#) };
    let refused =
        world.followers[0].replica.edit_on(&id("d"), patch(r#"[{"op":"remove","path":"/n"}]"#), seen);
    assert!(refused.is_err());
    all_have(&mut world, r#"{"n":1}"#);
}

#[test]
fn an_origin_is_spoken_for_in_one_command_though_that_is_refused() {
    let mut world = world(r#"{"n":1}"#);
    let (seen, origin) = (look(&mut world), Origin { part: 7, number: 1 });
    let replica = &mut world.followers[0].replica;
    let edit = patch(r#"[{"op":"replace","path":"/n","value":2}]"#);
    let refused = replica.speak_for(origin).edit_on(&id("unopened"), edit.clone(), seen);
    assert_eq!(refused.unwrap_err(), EditError::NotOpen);
    replica.edit(&id("d"), edit).unwrap();
    assert!(!replica.made_by(&id("d"), origin));
}

/// What a follower of `d` stored, but for what it confirmed, which cannot be read any more.
fn without_what_was_confirmed(mut store: MemoryStore) -> MemoryStore {
    let confirmed = |place: &Place| matches!(place, Place::Changes(..) | Place::Checkpoint(..));
    let places: Vec<Place> = store.bodies(&workspace()).into_iter().filter(confirmed).collect();
    assert!(!places.is_empty());
    for place in &places {
        assert!(store.corrupt(&workspace(), place, |bytes| bytes.iter_mut().for_each(|byte| *byte ^= 0x55)));
    }
    store
}

/// What the first follower of `world("{"n":1}")` stored, to which the authority goes back: it alone holds three revisions more, cannot read them, and
/// has changes on them. `look_back` has it make the first of these on what it saw a revision ago, which is stored whole.
fn who_lost_a_lost_line(look_back: bool) -> (World, MemoryStore) {
    let mut world = world(r#"{"n":1}"#);
    let image = world.root.store.clone();
    for n in 2..=3 {
        world.edit(0, "d", &format!(r#"[{{"op":"replace","path":"/n","value":{n}}}]"#));
    }
    let seen = look(&mut world);
    world.edit(0, "d", r#"[{"op":"replace","path":"/n","value":4}]"#);
    world.offline(0);
    if look_back {
        edit_on(&mut world, r#"[{"op":"add","path":"/first","value":true}]"#, &seen);
    } else {
        world.edit(0, "d", r#"[{"op":"add","path":"/first","value":true}]"#);
    }
    world.edit(0, "d", r#"[{"op":"add","path":"/second","value":true}]"#);
    world.offline(1);
    world.restart_root(image);
    // Whoever else held the lost revisions is gone for good.
    world.followers[1].store = MemoryStore::new();
    world.restart(1, Some(Scope::Documents));
    world.followers[1].replica.open(&id("d"));
    world.online(1);
    let store = without_what_was_confirmed(world.followers[0].store.clone());
    (world, store)
}

/// Starts a follower from a store and has it settle.
fn start_from(world: &mut World, at: usize, store: MemoryStore) {
    world.followers[at].store = store;
    world.restart(at, Some(Scope::Documents));
    world.followers[at].replica.open(&id("d"));
    world.online(at);
}

/// How often a follower was told of a history that what it names is no part of.
fn parted(world: &World, at: usize) -> usize {
    let parted = |message: &&Message| matches!(message, Message::Snapshot(told) if !told.continues);
    world.followers[at].messages.iter().filter(parted).count()
}

#[test]
fn what_nobody_can_tell_of_a_lost_line_rejects_the_changes_that_were_made_on_it() {
    for relayed in [false, true] {
        let (mut world, store) = who_lost_a_lost_line(false);
        let at = if relayed {
            let relay = world.add_relay(None);
            world.add_below(relay)
        } else {
            0
        };
        start_from(&mut world, at, store);
        assert_eq!(
            parted(&world, at),
            1,
            "the authority says once that it does not have what they were made on"
        );
        let replica = &mut world.followers[at].replica;
        let status = replica.status(&id("d")).unwrap();
        assert_eq!((status.pending, status.rejected), (0, 2), "relayed {relayed}");
        for rejected in replica.rejected(&id("d")) {
            assert_eq!(rejected.code, ErrorCode::UnknownBase);
        }
        world.edit(at, "d", r#"[{"op":"add","path":"/after","value":true}]"#);
        assert_eq!(content(&mut world, at), json(r#"{"after":true,"n":1}"#));
        assert_eq!(content(&mut world, 1), json(r#"{"after":true,"n":1}"#));
    }
}

#[test]
fn what_was_seen_of_a_lost_line_is_told_by_whoever_still_knows_it() {
    let (mut world, store) = who_lost_a_lost_line(true);
    world.edit(1, "d", r#"[{"op":"add","path":"/other","value":true}]"#);
    start_from(&mut world, 0, store);
    assert_eq!(parted(&world, 0), 1);
    let status = world.followers[0].replica.status(&id("d")).unwrap();
    assert_eq!((status.pending, status.rejected), (0, 1), "the second was made on what cannot be read");
    all_have(&mut world, r#"{"first":true,"n":1,"other":true}"#);
}

#[test]
fn what_is_made_again_on_another_line_survives_a_restart_under_its_new_name() {
    let (mut world, store) = who_lost_a_lost_line(true);
    // What it says that it saw does not arrive.
    world.loses_answers = true;
    start_from(&mut world, 0, store);
    assert_eq!(world.followers[0].replica.status(&id("d")).unwrap().pending, 2);
    world.loses_answers = false;
    let store = world.followers[0].store.clone();
    start_from(&mut world, 0, store);
    assert_eq!(parted(&world, 0), 0, "what they were stored on is part of the history");
    let status = world.followers[0].replica.status(&id("d")).unwrap();
    assert_eq!((status.pending, status.rejected), (0, 1));
    all_have(&mut world, r#"{"first":true,"n":1}"#);
}
