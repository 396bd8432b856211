//! Decisions that take long are made elsewhere, and hold up nothing but their own document.
#![allow(clippy::unwrap_used)]

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use crate::support::{World, id};
use rejoin_core::storage::{Answered, StoreError};
use rejoin_core::{Computed, Event, Input, MAX_INLINE_CHANGES_PER_TURN, Rung};

/// Bytes of the content that [`world`] starts with.
const CONTENT_BYTES: usize = r#"{"text":"0123456789"}"#.len();

/// Two followers of one document, `d`, whose decisions are made elsewhere when they look at more than so many bytes.
fn world(max_inline_bytes: usize) -> World {
    let mut world = World::with_inline_bytes(max_inline_bytes, 2);
    world.open("d");
    world.create(0, "d", r#"{"text":"0123456789"}"#);
    world.compute();
    world
}

fn rung(world: &World, at: usize, name: &str) -> Rung {
    world.followers[at].replica.status(&id(name)).unwrap().rung
}

#[test]
fn as_many_bytes_as_are_looked_at_inline_need_nobody_and_one_more_does() {
    // An edit of what stands is hashed once, and merged without looking.
    for (max_inline_bytes, jobs) in [(CONTENT_BYTES, 0), (CONTENT_BYTES - 1, 1)] {
        let mut world = world(max_inline_bytes);
        world.edit(1, "d", r#"[{"op":"add","path":"/a","value":1}]"#);
        assert_eq!(world.root.jobs.len(), jobs);
        assert_eq!(world.compute(), jobs);
        assert_eq!(world.converged("d"), r#"{"a":1,"text":"0123456789"}"#);
    }
}

#[test]
fn other_documents_go_on_while_a_decision_is_made() {
    let mut world = world(10);
    world.open("e");
    world.edit(0, "d", r#"[{"op":"add","path":"/a","value":1}]"#);
    world.create(1, "e", r#"{}"#);
    world.edit(1, "e", r#"[{"op":"add","path":"/b","value":1}]"#);
    assert_eq!((rung(&world, 0, "d"), rung(&world, 1, "e")), (Rung::Sent, Rung::Acknowledged));
    assert_eq!(world.root.jobs.len(), 1, "and it is asked for once");
    assert_eq!(world.compute(), 1);
    assert_eq!(rung(&world, 0, "d"), Rung::Acknowledged);
    assert_eq!(world.converged("d"), r#"{"a":1,"text":"0123456789"}"#);
    assert_eq!(world.converged("e"), r#"{"b":1}"#);
}

#[test]
fn a_decision_that_fails_is_refused_and_its_document_goes_on() {
    let mut world = world(10);
    world.edit(0, "d", r#"[{"op":"add","path":"/a","value":1}]"#);
    let (request, _) = world.root.jobs.remove(0);
    world.root.replica.handle_input(world.now, Input::Computed { request, computed: Computed::failed() });
    world.run();
    assert_eq!(rung(&world, 0, "d"), Rung::Sent);
    world.edit(1, "d", r#"[{"op":"add","path":"/b","value":1}]"#);
    assert_eq!(world.compute(), 1);
    assert_eq!(rung(&world, 1, "d"), Rung::Acknowledged, "others are not held up");
    // What was refused for the moment is sent again.
    world.run_for(5_000);
    world.compute();
    assert_eq!(world.converged("d"), r#"{"a":1,"b":1,"text":"0123456789"}"#);
}

#[test]
fn pushes_that_meet_are_decided_in_their_order_wherever_that_is() {
    let mut contents = Vec::new();
    for max_inline_bytes in [0, 1 << 20] {
        let mut world = world(max_inline_bytes);
        world.offline(0);
        world.offline(1);
        for at in [0, 1] {
            world.edit(at, "d", &format!(r#"[{{"op":"add","path":"/same","value":{at}}}]"#));
            world.edit(at, "d", &format!(r#"[{{"op":"add","path":"/own{at}","value":1}}]"#));
            world.edit(at, "d", r#"[{"op":"replace","path":"/text","value":"rewritten"}]"#);
        }
        for at in [0, 1] {
            world.online(at);
            world.compute();
        }
        let conflicts = world.followers[0].replica.view(&id("d")).unwrap().conflicts.len();
        contents.push((world.converged("d"), conflicts));
    }
    assert_eq!(contents[0], contents[1]);
    assert_eq!(contents[0].1, 1, "the two values of one place are both kept");
}

#[test]
fn what_was_decided_on_a_commit_that_never_was_is_decided_again() {
    let mut world = world(CONTENT_BYTES);
    // Another process wrote to the store, which the root learns when it commits.
    let mut elsewhere = World::new(1);
    elsewhere.restart_root(world.root.store.clone());
    elsewhere.online(0);
    elsewhere.open("d");
    elsewhere.edit(0, "d", r#"[{"op":"add","path":"/other","value":1}]"#);
    world.root.store = elsewhere.root.store.clone();
    for (at, key) in [(0, "a"), (1, "b")] {
        let edit = format!(r#"[{{"op":"add","path":"/{key}","value":1}}]"#);
        world.followers[at].replica.edit(&id("d"), crate::support::patch(&edit)).unwrap();
    }
    world.run();
    assert_eq!(world.root.jobs.len(), 1, "the first was decided at once, the second is made elsewhere on it");
    let (request, job) = world.root.jobs[0].clone();
    world.run_for(60_000);
    assert!(world.compute() > 1);
    let expected = r#"{"a":1,"b":1,"other":1,"text":"0123456789"}"#;
    assert_eq!(world.converged("d"), expected);
    // The answer comes once more, when nobody waits for it.
    world.root.replica.handle_input(world.now, Input::Computed { request, computed: job.run() });
    world.run();
    assert_eq!(world.converged("d"), expected);
}

#[test]
fn a_push_that_a_failed_commit_cuts_in_two_stays_one() {
    let mut world = world(300);
    world.followers[0].holds_messages = true;
    world.edit(0, "d", r#"[{"op":"add","path":"/a","value":1}]"#);
    world.compute();
    world.offline(0);
    world.edit(1, "d", r#"[{"op":"add","path":"/b","value":1}]"#);
    // The second goes on the first, which makes it much: it is decided elsewhere, on what the commit takes back.
    world.edit(0, "d", &format!(r#"[{{"op":"add","path":"/long","value":"{:0400}"}}]"#, 0));
    world.edit(0, "d", r#"[{"op":"add","path":"/c","value":1}]"#);
    world.followers[0].holds_messages = false;
    world.root.store.fail_next_commits(1, StoreError::Unavailable("test".into()));
    world.online(0);
    assert!(world.compute() > 0);
    world.run_for(60_000);
    assert_eq!(world.compute(), 0);
    assert!(!world.followers[0].events.iter().any(|event| matches!(event, Event::Forked { .. })));
    assert!(world.converged("d").starts_with(r#"{"a":1,"b":1,"c":1,"long":"#));
}

#[test]
fn an_answer_of_the_store_is_no_decision() {
    let mut world = world(0);
    world.edit(0, "d", r#"[{"op":"add","path":"/a","value":1}]"#);
    let request = world.root.jobs[0].0;
    world.root.replica.handle_input(world.now, Input::Stored { request, answer: Ok(Answered::Committed) });
    world.run();
    assert_eq!(world.compute(), 1);
    assert_eq!(world.converged("d"), r#"{"a":1,"text":"0123456789"}"#);
}

#[test]
fn a_turn_ends_with_its_share_of_looking() {
    let mut world = world(1_000);
    world.offline(0);
    let count = 4 * MAX_INLINE_CHANGES_PER_TURN;
    world.offline(1);
    for number in 0..count {
        world.edit(1, "d", &format!(r#"[{{"op":"add","path":"/b{number}","value":"{:0200}"}}]"#, number));
    }
    world.edit(0, "d", r#"[{"op":"add","path":"/a","value":1}]"#);
    world.online(0);
    let commits = |world: &World| {
        let is_commit = |asked: &&_| matches!(asked, rejoin_core::storage::Operation::Commit(_));
        world.root.asked.iter().filter(is_commit).count()
    };
    let before = commits(&world);
    world.online(1);
    world.compute();
    assert!(commits(&world) > before + 1, "{}", commits(&world) - before);
    assert!(world.converged("d").contains("b31"));
}
