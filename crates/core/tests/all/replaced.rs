//! A follower whose store is emptied under it, or gives way to an empty one: what it has in memory is stored again, and the rest fetched.
#![allow(clippy::unwrap_used)]

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use crate::support::{World, id, json, patch};
use rejoin_core::storage::{Answered, Operation, StoreError};
use rejoin_core::{EditError, Event, Input, LinkStatus, Origin, Reply, Rung, Token};
use rejoin_store::MemoryStore;
use rejoin_wire::{ErrorCode, Message, Revision, Scope, Sequence};

const PUSH: &str = r#"[{"op":"add","path":"/l/-","value":1}]"#;

/// Followers who have `d` open, a list.
fn world(followers: usize) -> World {
    let mut world = World::new(followers);
    world.open("d");
    world.create(0, "d", r#"{"l":[]}"#);
    world
}

/// The store of a follower becomes an empty one, with what is under way.
fn replace(world: &mut World, at: usize) {
    let node = &mut world.followers[at];
    node.store = MemoryStore::new();
    node.uncommitted.clear();
    node.events.clear();
    node.replica.handle_input(world.now, Input::StoreReplaced);
    world.run();
}

fn restart(world: &mut World) {
    world.restart(0, Some(Scope::Documents));
    world.followers[0].network = false;
    world.followers[0].replica.open(&id("d"));
    world.run();
}

fn rung(world: &World) -> Rung {
    world.followers[0].replica.status(&id("d")).unwrap().rung
}

#[test]
fn what_is_in_memory_is_stored_again_and_read_after_a_restart() {
    let mut world = world(2);
    world.edit(0, "d", PUSH);
    world.allow(0, false);
    world.edit(0, "d", r#"[{"op":"add","path":"/refused","value":1}]"#);
    world.allow(0, true);
    world.offline(0);
    for number in 1..=3 {
        let origin = Origin { part: 7, number };
        world.followers[0].replica.speak_for(origin).edit(&id("d"), patch(PUSH)).unwrap();
    }
    world.run();
    let before = world.followers[0].replica.pending(&id("d"));
    let identity = world.followers[0].replica.id();
    replace(&mut world, 0);
    let replica = &world.followers[0].replica;
    assert_ne!(replica.id(), identity, "whose counters of other documents are not known any more");
    let names = |replica: &rejoin_core::Replica| -> Vec<_> {
        replica.pending(&id("d")).iter().map(|own| (*own.change).clone()).collect()
    };
    assert_eq!(names(replica), before.iter().map(|own| (*own.change).clone()).collect::<Vec<_>>());
    let rungs: Vec<Rung> = world.followers[0]
        .events
        .iter()
        .filter_map(|event| match event {
            Event::Rung { rung, .. } => Some(*rung),
            _ => None,
        })
        .collect();
    assert_eq!(rungs, [Rung::Local, Rung::Saved], "it fell, and was saved again");
    assert!(
        !world.followers[0].events.iter().any(|event| matches!(event, Event::Kept { .. })),
        "told before"
    );
    let identity = replica.id();
    restart(&mut world);
    let replica = &mut world.followers[0].replica;
    assert_eq!(replica.id(), identity);
    assert_eq!(names(replica), before.iter().map(|own| (*own.change).clone()).collect::<Vec<_>>());
    assert_eq!(replica.rejected(&id("d")).len(), 1);
    assert_eq!(world.content(0, "d"), r#"{"l":[1,1,1,1]}"#);
    let again = world.followers[0].replica.speak_for(Origin { part: 7, number: 3 });
    assert_eq!(again.edit(&id("d"), patch(PUSH)), Err(EditError::MadeBefore { kept: true }));
    world.online(0);
    world.edit(0, "d", PUSH);
    assert_eq!(world.converged("d"), r#"{"l":[1,1,1,1,1]}"#);
}

#[test]
fn what_was_sent_before_does_not_arrive_twice() {
    let mut world = world(2);
    // Accepted, and the author does not know yet.
    world.followers[0].holds_messages = true;
    world.edit(0, "d", PUSH);
    world.edit(0, "d", PUSH);
    let pending = world.followers[0].replica.pending(&id("d"));
    assert_eq!(pending.iter().map(|own| own.rung).collect::<Vec<_>>(), [Rung::Sent, Rung::Saved]);
    replace(&mut world, 0);
    world.edit(0, "d", PUSH);
    world.followers[0].holds_messages = false;
    world.run_for(60_000);
    assert_eq!(world.converged("d"), r#"{"l":[1,1,1]}"#);
    assert_eq!(world.followers[0].replica.recovered(&id("d")).len(), 0);
    // And the same when it learns of it only after a restart.
    world.followers[0].holds_messages = true;
    world.edit(0, "d", PUSH);
    world.offline(0);
    world.followers[0].holds_messages = false;
    replace(&mut world, 0);
    restart(&mut world);
    assert_eq!(world.followers[0].replica.pending(&id("d")).len(), 1);
    world.online(0);
    assert_eq!(world.converged("d"), r#"{"l":[1,1,1,1]}"#);
}

#[test]
fn documents_that_are_not_in_memory_are_fetched_again() {
    let mut world = World::new(1);
    let forgetful = world.add_forgetful(Some(Scope::Documents), 1);
    world.run();
    let names = ["a", "b", "c", "d"];
    for name in names {
        world.followers[0].replica.open(&id(name));
        world.run();
        world.create(0, name, &format!(r#"{{"name":"{name}"}}"#));
    }
    world.run_for(1_000);
    replace(&mut world, forgetful);
    assert_eq!(world.followers[forgetful].replica.sync_status().link, LinkStatus::Offline, "for a moment");
    world.run_for(60_000);
    world.offline(forgetful);
    for name in names {
        world.followers[forgetful].replica.open(&id(name));
        world.run();
        assert_eq!(world.content(forgetful, name), format!(r#"{{"name":"{name}"}}"#));
    }
    world.online(forgetful);
    // The cursor is where it was: nothing of this is told again.
    world.followers[forgetful].messages.clear();
    world.cut(forgetful);
    world.run_for(60_000);
    let messages = &world.followers[forgetful].messages;
    let tells = |message: &Message| match message {
        Message::Update(update) => !update.entries.is_empty(),
        message => matches!(message, Message::Snapshot(_)),
    };
    assert!(messages.len() > 2 && !messages.iter().any(tells), "{messages:?}");
}

#[test]
fn memory_only_ends_with_a_store_that_works() {
    let mut world = world(2);
    world.followers[0].store.fail_next_commits(1, StoreError::QuotaExceeded("full".into()));
    world.offline(0);
    world.edit(0, "d", PUSH);
    assert!(!world.followers[0].replica.sync_status().durable);
    replace(&mut world, 0);
    assert!(world.followers[0].replica.sync_status().durable);
    assert!(world.followers[0].events.contains(&Event::StoreWorks), "{:?}", world.followers[0].events);
    assert_eq!(rung(&world), Rung::Saved);
    restart(&mut world);
    assert_eq!(world.content(0, "d"), r#"{"l":[1]}"#);
    world.online(0);
    assert_eq!(world.converged("d"), r#"{"l":[1]}"#);
    // One that fails as well leaves everything in memory again.
    world.followers[0].store.fail_next_commits(1, StoreError::QuotaExceeded("full".into()));
    world.edit(0, "d", PUSH);
    let node = &mut world.followers[0];
    node.store = MemoryStore::new();
    node.store.fail_next_commits(1, StoreError::QuotaExceeded("still full".into()));
    node.replica.handle_input(world.now, Input::StoreReplaced);
    world.run_for(60_000);
    assert!(!world.followers[0].replica.sync_status().durable);
    world.edit(0, "d", PUSH);
    assert_eq!(world.converged("d"), r#"{"l":[1,1,1]}"#);
}

#[test]
fn a_commit_that_was_under_way_is_void_and_its_answer_is_for_nobody() {
    let mut world = world(1);
    world.offline(0);
    world.followers[0].holds_commits = true;
    world.edit(0, "d", PUSH);
    let late = world.followers[0].uncommitted.clone();
    assert_eq!(late.len(), 1);
    replace(&mut world, 0);
    // What is not stored yet is not said to be, whatever the old store says; and nor is the next before it is.
    world.edit(0, "d", PUSH);
    let answer = |world: &mut World, answer: Result<Answered, StoreError>| {
        let request = late[0].0;
        world.followers[0].replica.handle_input(world.now, Input::Stored { request, answer });
        world.run();
    };
    answer(&mut world, Ok(Answered::Committed));
    answer(&mut world, Err(StoreError::QuotaExceeded("old".into())));
    assert_eq!(rung(&world), Rung::Local);
    assert!(world.followers[0].replica.sync_status().durable);
    // Twice in a row, with the commits of the first still under way.
    replace(&mut world, 0);
    assert_eq!(rung(&world), Rung::Local);
    world.let_commits_through(0);
    assert_eq!(rung(&world), Rung::Saved);
    restart(&mut world);
    assert_eq!(world.content(0, "d"), r#"{"l":[1,1]}"#);
    world.online(0);
    assert_eq!(world.converged("d"), r#"{"l":[1,1]}"#);
}

#[test]
fn nothing_that_was_asked_of_the_old_store_is_asked_of_the_new_one() {
    let mut world = world(1);
    world.offline(0);
    let replica = &mut world.followers[0].replica;
    replica.edit(&id("d"), patch(PUSH)).unwrap();
    replica.open(&id("e"));
    // The driver has not yet looked at what it is asked to do.
    replica.handle_input(world.now, Input::StoreReplaced);
    world.followers[0].store = MemoryStore::new();
    world.followers[0].asked.clear();
    world.run();
    let loads = |asked: &&Operation| matches!(asked, Operation::LoadDocument { .. });
    assert_eq!(world.followers[0].asked.iter().filter(loads).count(), 1, "of what is not in memory");
    let commits = world.followers[0].asked.iter().filter(|asked| matches!(asked, Operation::Commit(_)));
    assert_eq!(commits.count(), 1);
    assert!(world.followers[0].replica.view(&id("e")).is_some());
    assert_eq!(rung(&world), Rung::Saved);
}

#[test]
fn before_it_is_ready_a_replica_begins_with_the_new_store() {
    let mut world = world(1);
    let mut store = world.followers[0].store.clone();
    store.fail_next(1, StoreError::Unavailable("asleep".into()));
    let at = world.add(Some(Scope::Documents), store);
    world.followers[at].replica.open(&id("d"));
    world.run();
    assert!(!world.followers[at].replica.is_ready());
    replace(&mut world, at);
    assert!(world.followers[at].replica.is_ready());
    let identity = world.followers[at].replica.id();
    assert_ne!(identity, world.followers[0].replica.id());
    world.run_for(60_000);
    assert_eq!(world.converged("d"), r#"{"l":[]}"#);
    world.restart(at, Some(Scope::Documents));
    world.run();
    assert_eq!(world.followers[at].replica.id(), identity);
}

#[test]
fn a_question_that_was_read_from_the_old_store_is_answered() {
    let mut world = world(1);
    for _ in 0..100 {
        world.edit(0, "d", PUSH);
    }
    restart(&mut world);
    world.followers[0].replica.history(Token(1), &id("d"), Some(Revision(20)), 10);
    // The driver takes what it is asked to read, and the store is gone before it was read.
    while world.followers[0].replica.poll_output().is_some() {}
    world.followers[0].replica.heads(Token(2), Sequence(0), 10);
    while world.followers[0].replica.poll_output().is_some() {}
    replace(&mut world, 0);
    for token in [1, 2] {
        let reply = world.followers[0].replies.get(&token);
        assert!(matches!(reply, Some(Reply::Refused { code: ErrorCode::Unavailable, .. })), "{reply:?}");
    }
}

#[test]
fn an_authority_that_went_back_meanwhile_gets_what_is_in_memory() {
    let mut world = world(1);
    world.edit(0, "d", PUSH);
    world.run_for(1_000);
    let backup = world.root.store.clone();
    world.edit(0, "d", r#"[{"op":"add","path":"/lost","value":2}]"#);
    world.offline(0);
    replace(&mut world, 0);
    world.restart_root(backup);
    // Others go on from there, past what was lost.
    let other = world.add(Some(Scope::Documents), MemoryStore::new());
    world.run_for(60_000);
    world.followers[other].replica.open(&id("d"));
    world.run();
    for _ in 0..3 {
        world.edit(other, "d", PUSH);
    }
    world.online(0);
    assert_eq!(world.converged("d"), r#"{"l":[1,1,1,1],"lost":2}"#);
    assert_eq!(world.followers[0].replica.recovered(&id("d")).len(), 1);
}

#[test]
fn who_serves_keeps_its_store() {
    let mut world = world(1);
    let before = world.root.replica.id();
    world.root.asked.clear();
    world.root.replica.handle_input(world.now, Input::StoreReplaced);
    world.run();
    assert_eq!((world.root.replica.id(), world.root.asked.len()), (before, 0));
    world.followers[0].replica.set_presence(&id("d"), Some(json("1"))).unwrap();
    world.edit(0, "d", PUSH);
    world.converged("d");
}
