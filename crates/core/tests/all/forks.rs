//! Changes whose names somebody else uses are made again under other names, and accepted once whoever sends them.
#![allow(clippy::unwrap_used)]

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use crate::support::{World, id, json};
use rejoin_core::Event;
use rejoin_core::storage::StoreError;
use rejoin_json::Json;
use rejoin_wire::{Header, Scope};

/// Has a follower add to the counter of the document `d`: what is accepted twice counts twice.
fn count(world: &mut World, at: usize, more: i64) {
    let view = world.followers[at].replica.view(&id("d")).unwrap();
    let next = view.content.get("n").and_then(Json::as_i64).unwrap() + more;
    world.edit(at, "d", &format!(r#"[{{"op":"replace","path":"/n","value":{next}}}]"#));
}

/// A follower that is offline and has counted 1, and a copy of it that has used the name of that change for 10.
fn forestalled() -> World {
    let mut world = World::new(1);
    world.open("d");
    let header = Header { counters: vec!["/n".parse().unwrap()], ..Header::default() };
    world.followers[0].replica.create_with(&id("d"), header, json(r#"{"n":0}"#)).unwrap();
    world.run();
    let copy = world.copy(0, &id("d"));
    world.offline(0);
    count(&mut world, 0, 1);
    world.followers[copy].network = true;
    count(&mut world, copy, 10);
    world
}

fn forks(world: &World, at: usize) -> usize {
    world.followers[at].events.iter().filter(|event| matches!(event, Event::Forked { .. })).count()
}

#[test]
fn copies_that_hold_the_same_change_make_it_again_as_one() {
    let mut world = forestalled();
    let copy = world.copy(0, &id("d"));
    count(&mut world, 0, 100);
    count(&mut world, copy, 1_000);
    for at in [0, copy] {
        world.online(at);
        assert!(forks(&world, at) > 0);
    }
    assert_eq!(world.converged("d"), r#"{"n":1111}"#);
    count(&mut world, 0, 10_000);
    count(&mut world, copy, 100_000);
    assert_eq!(world.converged("d"), r#"{"n":111111}"#);
}

#[test]
fn a_crash_that_takes_a_fork_back_does_not_have_its_changes_accepted_twice() {
    let mut world = forestalled();
    // From here on nothing is stored: the change is made again in memory only.
    let mut stored = world.followers[0].store.clone();
    world.followers[0].store.fail_next_commits(u32::MAX, StoreError::QuotaExceeded("full".into()));
    world.online(0);
    assert_eq!(forks(&world, 0), 1);
    assert_eq!(world.converged("d"), r#"{"n":11}"#);
    stored.crash();
    world.followers[0].store = stored;
    world.restart(0, Some(Scope::Documents));
    world.open("d");
    world.run_for(60_000);
    assert_eq!(forks(&world, 0), 1, "it is forked anew");
    assert_eq!(world.converged("d"), r#"{"n":11}"#);
}
