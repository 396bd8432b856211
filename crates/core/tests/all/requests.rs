//! Requests of those without a replica: each takes effect once under its key, whatever becomes of the store, and none leaves a trace in clocks.
#![allow(clippy::unwrap_used)]

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use crate::support::{World, id, patch, workspace};
use rejoin_core::storage::{Operation, RequestId, StoreError};
use rejoin_core::{Base, Grant, Input, Output, Replica, Reply, RequestKey, Token};
use rejoin_store::{MemoryStore, Place};
use rejoin_wire::{
    Body, Change, Counter, DocumentPush, ErrorCode, Message, PushedChange, ReplicaId, Revision, Sequence,
    UnixMillis, to_bytes,
};

/// One follower, and a document `d`.
fn world() -> World {
    let mut world = World::new(1);
    world.open("d");
    world.create(0, "d", r#"{"list":[]}"#);
    world
}

fn body(text: &str) -> Body {
    Body::Edit { patch: patch(text), settles: Vec::new(), undoes: None }
}

fn append(number: u64) -> Body {
    body(&format!(r#"[{{"op":"add","path":"/list/-","value":{number}}}]"#))
}

/// Hands a request to the authority, which has not worked on it yet.
fn hand_in(world: &mut World, token: u64, key: &str, base: Base, body: Body) {
    let key = RequestKey::new(key, &[&to_bytes(&body)]);
    world.root.replica.submit(Token(token), Grant::new("ada", true), &id("d"), body, base, Some(&key));
}

fn submit(world: &mut World, token: u64, key: &str, body: Body) {
    hand_in(world, token, key, Base::Current, body);
    world.run();
}

/// Asks whether a request was made before.
fn ask(world: &mut World, token: u64, key: &str, body: &Body) {
    let key = RequestKey::new(key, &[&to_bytes(body)]);
    world.root.replica.repeat(Token(token), &Grant::new("ada", true), &id("d"), &key);
    world.run();
}

fn revision(world: &World, token: u64) -> Revision {
    match &world.root.replies[&token] {
        Reply::Accepted(accepted) => accepted.revision,
        other => panic!("{other:?}"),
    }
}

fn code(world: &World, token: u64) -> ErrorCode {
    match &world.root.replies[&token] {
        Reply::Refused { code, .. } => *code,
        other => panic!("{other:?}"),
    }
}

fn questions(world: &World) -> usize {
    world.root.asked.iter().filter(|asked| matches!(asked, Operation::LoadOutcomes { .. })).count()
}

fn restart_root(world: &mut World) {
    let store = std::mem::take(&mut world.root.store);
    world.restart_root(store);
    world.run_for(60_000);
}

#[test]
fn a_clock_does_not_grow_with_requests_and_each_is_known_after_a_restart() {
    let mut world = world();
    for number in 0..50 {
        submit(&mut world, number, &format!("k{number}"), append(number));
    }
    let clock = world.root.replica.view(&id("d")).unwrap().clock;
    assert_eq!(clock.len(), 1, "the follower that created it: {clock:?}");
    assert_eq!(world.followers[0].replica.view(&id("d")).unwrap().clock, clock);

    let stands = world.converged("d");
    restart_root(&mut world);
    for number in [49, 0, 17] {
        submit(&mut world, 100 + number, &format!("k{number}"), append(number));
        assert_eq!(revision(&world, 100 + number), Revision(number + 2));
    }
    assert_eq!(world.converged("d"), stands);
    submit(&mut world, 200, "k3", append(7));
    assert_eq!(code(&world, 200), ErrorCode::IdempotencyMismatch);
    assert_eq!(world.converged("d"), stands);
}

#[test]
fn requests_that_arrive_together_are_asked_for_together_and_committed_together() {
    let mut world = world();
    for number in 0..20 {
        hand_in(&mut world, number, &format!("k{}", number / 2), Base::Current, append(number / 2));
    }
    world.root.asked.clear();
    world.run();
    assert_eq!(questions(&world), 10, "each key once");
    let commits = world.root.asked.iter().filter(|asked| matches!(asked, Operation::Commit(_))).count();
    assert_eq!(commits, 1);
    assert_eq!(world.converged("d"), r#"{"list":[0,1,2,3,4,5,6,7,8,9]}"#);
    for number in 0..20 {
        assert_eq!(revision(&world, number), Revision(number / 2 + 2));
    }
}

#[test]
fn a_repeat_that_comes_while_the_first_is_not_durable_gets_its_outcome() {
    let mut world = world();
    world.root.holds_commits = true;
    submit(&mut world, 1, "k", append(1));
    submit(&mut world, 2, "k", append(1));
    assert!(world.root.replies.is_empty());
    world.let_root_commits_through();
    assert_eq!((revision(&world, 1), revision(&world, 2)), (Revision(2), Revision(2)));
    assert_eq!(world.converged("d"), r#"{"list":[1]}"#);
}

#[test]
fn a_request_whose_commit_failed_takes_effect_once() {
    let mut world = world();
    world.root.store.fail_next_commits(1, StoreError::Unavailable("test".into()));
    submit(&mut world, 1, "k", append(1));
    submit(&mut world, 2, "k", append(1));
    assert!(world.root.replies.is_empty());
    world.run_for(5_000);
    assert_eq!((revision(&world, 1), revision(&world, 2)), (Revision(2), Revision(2)));
    assert_eq!(world.converged("d"), r#"{"list":[1]}"#);
}

#[test]
fn a_store_that_cannot_say_is_asked_again_after_a_pause() {
    let mut world = world();
    world.root.asked.clear();
    world.root.store.fail_next(1, StoreError::Unavailable("test".into()));
    submit(&mut world, 1, "k", append(1));
    assert!(world.root.replies.is_empty());
    assert_eq!(questions(&world), 1, "a store that fails is not asked in a loop");
    world.run_for(5_000);
    assert_eq!(revision(&world, 1), Revision(2));
    assert_eq!(questions(&world), 2);
    assert_eq!(world.converged("d"), r#"{"list":[1]}"#);
}

#[test]
fn a_rejection_is_repeated_and_a_refusal_is_not_an_outcome() {
    let mut world = world();
    let test = body(r#"[{"op":"test","path":"/list","value":[9]}]"#);
    submit(&mut world, 1, "rejected", test.clone());
    assert_eq!(code(&world, 1), ErrorCode::TestFailed);
    submit(&mut world, 2, "edit", append(9));
    restart_root(&mut world);
    submit(&mut world, 3, "rejected", test);
    assert_eq!(code(&world, 3), ErrorCode::TestFailed);

    hand_in(&mut world, 4, "exact", Base::Exactly(Revision(1)), append(1));
    world.run();
    assert_eq!(code(&world, 4), ErrorCode::PreconditionFailed);
    for token in [5, 6] {
        hand_in(&mut world, token, "exact", Base::Exactly(Revision(2)), append(1));
        world.run();
        assert_eq!(revision(&world, token), Revision(3));
    }
    assert_eq!(world.converged("d"), r#"{"list":[9,1]}"#);
}

/// The authority is told of the time, as a driver does before it submits.
fn pass_a_minute(world: &mut World) {
    world.run_for(60_000);
    world.root.replica.handle_input(world.now, Input::Timeout);
}

#[test]
fn a_request_is_dated_by_the_clock_and_not_by_its_key() {
    let mut world = world();
    pass_a_minute(&mut world);
    submit(&mut world, 1, "k", append(1));
    let Reply::Accepted(accepted) = &world.root.replies[&1] else { panic!("refused") };
    let made = accepted.view.updated_at;
    assert!(made > accepted.view.created_at, "{made:?}");
    pass_a_minute(&mut world);
    submit(&mut world, 2, "k", append(1));
    let Reply::Accepted(accepted) = &world.root.replies[&2] else { panic!("refused") };
    assert_eq!((accepted.revision, accepted.view.updated_at), (Revision(2), made));
}

#[test]
fn a_key_is_known_by_what_was_asked_and_not_by_what_was_made_of_it() {
    let mut world = world();
    let asked = RequestKey::new("k", &[b"put", b"[1]"]);
    for (token, body) in [(1, append(1)), (2, body("[]")), (3, Body::Delete)] {
        let grant = Grant::new("ada", true);
        world.root.replica.submit(Token(token), grant, &id("d"), body, Base::Current, Some(&asked));
        world.run();
        assert_eq!(revision(&world, token), Revision(2));
    }
    assert_eq!(world.converged("d"), r#"{"list":[1]}"#);
}

#[test]
fn whether_a_request_is_a_repeat_is_told_without_making_it() {
    let mut world = world();
    ask(&mut world, 1, "k", &append(1));
    assert!(matches!(world.root.replies[&1], Reply::New));
    submit(&mut world, 2, "other", append(9));
    // The question left nothing behind that a later one would trust: the store is asked again.
    world.root.asked.clear();
    submit(&mut world, 3, "k", append(1));
    assert_eq!((questions(&world), revision(&world, 3)), (1, Revision(3)));
    ask(&mut world, 4, "k", &append(1));
    assert_eq!(revision(&world, 4), Revision(3));
    ask(&mut world, 5, "k", &append(2));
    assert_eq!(code(&world, 5), ErrorCode::IdempotencyMismatch);

    let stands = world.converged("d");
    restart_root(&mut world);
    ask(&mut world, 6, "k", &append(1));
    assert_eq!(revision(&world, 6), Revision(3));
    ask(&mut world, 7, "k", &append(2));
    assert_eq!(code(&world, 7), ErrorCode::IdempotencyMismatch);
    assert_eq!(world.converged("d"), stands);
}

#[test]
fn whether_a_request_is_a_repeat_is_told_once_its_outcome_is_durable() {
    let mut world = world();
    world.root.holds_commits = true;
    submit(&mut world, 1, "k", append(1));
    ask(&mut world, 2, "k", &append(1));
    assert!(world.root.replies.is_empty());
    world.let_root_commits_through();
    assert_eq!((revision(&world, 1), revision(&world, 2)), (Revision(2), Revision(2)));
}

#[test]
fn whether_a_request_is_a_repeat_cannot_be_told_while_the_store_cannot_say() {
    let mut world = world();
    world.root.store.fail_next(1, StoreError::Unavailable("test".into()));
    ask(&mut world, 1, "k", &append(1));
    assert_eq!(code(&world, 1), ErrorCode::Unavailable);
    ask(&mut world, 2, "k", &append(1));
    assert!(matches!(world.root.replies[&2], Reply::New));
}

#[test]
fn a_repeat_gets_its_outcome_when_a_checkpoint_has_covered_it() {
    let mut world = world();
    for number in 1..200 {
        submit(&mut world, number, &format!("k{number}"), append(number));
    }
    restart_root(&mut world);
    submit(&mut world, 300, "k1", append(1));
    assert_eq!(revision(&world, 300), Revision(2));
    ask(&mut world, 301, "k1", &append(1));
    assert_eq!(revision(&world, 301), Revision(2));
}

#[test]
fn a_request_whose_stored_outcome_cannot_be_read_is_not_made_again() {
    let mut world = world();
    submit(&mut world, 1, "k", append(1));
    // A checkpoint covers it, so the document itself is readable.
    for number in 2..200 {
        submit(&mut world, number, &format!("k{number}"), append(number));
    }
    let stands = world.converged("d");
    let mut store: MemoryStore = std::mem::take(&mut world.root.store);
    let is_row = |place: &&Place| matches!(place, Place::Changes(_, Revision(2), ..));
    let row = store.bodies(&workspace()).iter().find(is_row).cloned().unwrap();
    assert!(store.corrupt(&workspace(), &row, |body| body.truncate(9)));
    world.restart_root(store);
    world.run();
    submit(&mut world, 300, "k", append(1));
    assert_eq!(code(&world, 300), ErrorCode::Corrupted);
    ask(&mut world, 301, "k", &append(1));
    assert_eq!(code(&world, 301), ErrorCode::Corrupted);
    assert_eq!(world.converged("d"), stands);
}

#[test]
fn a_link_cannot_take_the_id_of_a_request() {
    let mut world = world();
    let change = Change {
        replica: ReplicaId(0x6b65_7965 << 96 | 7),
        counter: Counter(1),
        base: Revision(1),
        over: Counter(1),
        time: UnixMillis(1),
        body: append(1),
    };
    let push =
        DocumentPush { document: id("d"), author: None, changes: vec![PushedChange { change, seen: None }] };
    world.say_to_root(0, Message::Push { pushes: vec![push] });
    world.run();
    assert_eq!(world.errors(0).last().map(|error| error.code), Some(ErrorCode::BadMessage));
    assert!(world.followers[0].closed.is_empty());
    assert_eq!(world.converged("d"), r#"{"list":[]}"#);
}

#[test]
fn heads_are_told_as_the_store_has_them_with_how_far_the_feed_was_durable() {
    let mut world = world();
    submit(&mut world, 1, "k", append(1));
    world.root.holds_commits = true;
    submit(&mut world, 2, "l", append(2));
    let (request, operation) = world.root.uncommitted.pop().unwrap();
    let answer = world.root.store.execute(&workspace(), &operation);
    // The store has it, and its answer is on the way.
    world.root.replica.heads(Token(3), Sequence(0), 10);
    world.run();
    let Reply::Heads { heads, durable } = &world.root.replies[&3] else { panic!("no heads") };
    let told: Vec<_> = heads.iter().map(|head| (head.revision, head.sequence)).collect();
    assert_eq!((told, *durable), (vec![(Revision(3), Sequence(3))], Sequence(2)));
    world.root.replica.handle_input(world.now, Input::Stored { request, answer });
    world.run();
    assert_eq!(revision(&world, 2), Revision(3));
}

#[test]
fn heads_that_cannot_be_read_are_not_to_be_asked_for_again_where_the_store_is_damaged() {
    let errors = [
        (StoreError::Unavailable("busy".into()), ErrorCode::Unavailable),
        (StoreError::Corrupted("spoiled".into()), ErrorCode::Corrupted),
    ];
    for (error, expected) in errors {
        let mut world = world();
        world.root.fails_reads = Some(error);
        world.root.replica.heads(Token(3), Sequence(0), 10);
        world.run();
        let Reply::Refused { code, .. } = &world.root.replies[&3] else { panic!("it was answered") };
        assert_eq!(*code, expected);
    }
}

/// What a replica asks of its store until it has nothing to do.
fn asked(replica: &mut Replica, replies: &mut Vec<Reply>) -> Vec<(RequestId, Operation)> {
    let mut asked = Vec::new();
    while let Some(output) = replica.poll_output() {
        match output {
            Output::Store { request, operation } => asked.push((request, operation)),
            Output::Reply { reply, .. } => replies.push(reply),
            _ => {}
        }
    }
    asked
}

#[test]
fn heads_that_are_asked_for_at_the_start_wait_until_the_feed_is_known() {
    let mut world = world();
    let store = std::mem::take(&mut world.root.store);
    world.restart_root(store);
    let mut replies = Vec::new();
    world.root.replica.heads(Token(1), Sequence(0), 10);
    let questions = asked(&mut world.root.replica, &mut replies);
    assert!(matches!(questions[..], [(_, Operation::LoadMeta)]), "{questions:?}");
    let failed = || Err(StoreError::Unavailable("busy".into()));
    let answer = |world: &mut World, (request, operation): &(RequestId, Operation)| {
        let answer = world.root.store.execute(&workspace(), operation);
        world.root.replica.handle_input(world.now, Input::Stored { request: *request, answer });
    };
    world.root.replica.handle_input(world.now, Input::Stored { request: questions[0].0, answer: failed() });
    assert!(asked(&mut world.root.replica, &mut replies).is_empty());
    assert!(matches!(replies[..], [Reply::Refused { code: ErrorCode::Unavailable, .. }]), "{replies:?}");

    world.root.replica.heads(Token(2), Sequence(0), 10);
    world.now = world.root.replica.poll_timeout().unwrap();
    world.root.replica.handle_input(world.now, Input::Timeout);
    for _ in 0..3 {
        for question in asked(&mut world.root.replica, &mut replies) {
            answer(&mut world, &question);
        }
    }
    let Some(Reply::Heads { heads, durable }) = replies.last() else { panic!("{replies:?}") };
    assert_eq!((heads.len(), *durable), (1, Sequence(1)));
}

#[test]
fn a_document_is_read_as_it_was_at_any_revision_that_the_log_reaches() {
    let mut world = world();
    for number in 0..40 {
        submit(&mut world, number, &format!("k{number}"), append(number));
    }
    for restarted in [false, true] {
        if restarted {
            restart_root(&mut world);
        }
        for revision in [41, 1, 3, 20] {
            world.root.replica.read_at(Token(100), &id("d"), Revision(revision));
            world.run();
            let Some(Reply::Past(past)) = world.root.replies.remove(&100) else { panic!("{revision}") };
            let list = past.content.get("list").and_then(rejoin_json::Json::as_array).unwrap();
            assert_eq!((past.revision, list.len() as u64), (Revision(revision), revision - 1));
        }
        world.root.replica.read_at(Token(100), &id("d"), Revision(42));
        world.run();
        assert_eq!(code(&world, 100), ErrorCode::UnknownBase);
    }
}
