//! How many changes stand on each rung and for how long, at their author and at the authority.
#![allow(clippy::unwrap_used)]

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use std::time::Duration;

use crate::support::{World, id, patch};
use rejoin_core::{Backlog, Base, Grant, Input, Ladder, OnRung, Rung, Token};
use rejoin_wire::Body;

const WAIT_MS: u64 = 400;

fn ladder(world: &World) -> Ladder {
    world.followers[0].replica.sync_status().ladder
}

/// Lets time pass in which nothing happens.
fn wait(world: &mut World) {
    world.now = world.now + Duration::from_millis(WAIT_MS);
    let now = world.now;
    world.followers[0].replica.handle_input(now, Input::Timeout);
}

fn add(world: &mut World, number: u64) {
    world.edit(0, "d", &format!(r#"[{{"op":"add","path":"/list/-","value":{number}}}]"#));
}

#[test]
fn each_rung_says_how_many_stand_on_it_and_for_how_long() {
    let mut world = World::new(1);
    world.open("d");
    world.create(0, "d", r#"{"list":[]}"#);
    assert_eq!(ladder(&world), Ladder { acknowledged: 1, ..Ladder::default() });

    world.offline(0);
    world.followers[0].holds_commits = true;
    add(&mut world, 1);
    wait(&mut world);
    add(&mut world, 2);
    assert_eq!(ladder(&world).local, OnRung { changes: 2, age_ms: WAIT_MS });
    world.let_commits_through(0);
    assert_eq!(ladder(&world).local, OnRung::default());
    let before = ladder(&world).saved;
    wait(&mut world);
    let age_ms = before.age_ms + WAIT_MS;
    assert_eq!(ladder(&world).saved, OnRung { changes: 2, age_ms });
    let status = world.followers[0].replica.sync_status();
    assert_eq!((status.rung, status.age_ms, status.pending), (Rung::Saved, age_ms, 2));

    world.root.holds_commits = true;
    world.online(0);
    wait(&mut world);
    let before = ladder(&world).sent;
    wait(&mut world);
    assert_eq!(ladder(&world).sent, OnRung { changes: 2, age_ms: before.age_ms + WAIT_MS });
    assert_eq!((ladder(&world).saved, ladder(&world).acknowledged), (OnRung::default(), 1));
    world.let_root_commits_through();
    assert_eq!(ladder(&world), Ladder { acknowledged: 3, ..Ladder::default() });

    // What is rejected is not acknowledged.
    world.allow(0, false);
    add(&mut world, 3);
    world.run_for(60_000);
    assert_eq!(ladder(&world), Ladder { acknowledged: 3, ..Ladder::default() });
    assert_eq!(world.followers[0].replica.status(&id("d")).unwrap().rejected, 1);
}

#[test]
fn an_authority_says_what_waits_and_how_long_a_commit_took_from_the_arrival_of_its_oldest() {
    let mut world = World::new(1);
    world.open("d");
    world.create(0, "d", r#"{"list":[]}"#);
    world.root.replica.take_durable_age();
    assert_eq!(world.root.replica.backlog(world.now), Backlog::default());
    let submit = |world: &mut World, token| {
        let body = patch(r#"[{"op":"add","path":"/list/-","value":1}]"#);
        let body = Body::Edit { patch: body, settles: Vec::new(), undoes: None };
        let grant = Grant::new("ada", true);
        world.root.replica.submit(Token(token), grant, &id("d"), body, Base::Current, None);
        world.run();
    };
    let wait = |world: &mut World| {
        world.now = world.now + Duration::from_millis(WAIT_MS);
        let now = world.now;
        world.root.replica.handle_input(now, Input::Timeout);
        world.run();
    };
    world.root.holds_commits = true;
    submit(&mut world, 1);
    wait(&mut world);
    submit(&mut world, 2);
    submit(&mut world, 3);
    wait(&mut world);
    let age = Duration::from_millis(WAIT_MS);
    let backlog = world.root.replica.backlog(world.now);
    let expected = Backlog { tentative: 1, tentative_age: 2 * age, waiting: 2, waiting_age: age };
    assert_eq!(backlog, expected);
    let other = Backlog { tentative: 5, tentative_age: age, waiting: 1, waiting_age: 3 * age };
    let both = Backlog { tentative: 6, tentative_age: 2 * age, waiting: 3, waiting_age: 3 * age };
    assert_eq!(backlog.and(other), both);
    assert_eq!(world.root.replica.take_durable_age(), None);

    let (request, operation) = world.root.uncommitted.pop().unwrap();
    let answer = world.root.store.execute(&crate::support::workspace(), &operation);
    world.root.replica.handle_input(world.now, Input::Stored { request, answer });
    assert_eq!(world.root.replica.take_durable_age(), Some(2 * age));
    assert_eq!(world.root.replica.take_durable_age(), None, "told once");
    world.let_root_commits_through();
    assert_eq!(world.root.replica.take_durable_age(), Some(age));
    assert_eq!(world.root.replica.backlog(world.now), Backlog::default());
}
