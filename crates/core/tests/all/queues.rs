//! What waits at the authority: nobody waits for ever, everything that waits is bounded, and what it becomes is told in messages of bounded size.
#![allow(clippy::unwrap_used)]

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use crate::support::{World, id, json, workspace};
use rejoin_core::{
    Base, Grant, Input, MAX_DOCUMENTS_PER_COMMIT, MAX_QUEUED_BYTES, MAX_QUEUED_BYTES_PER_DOCUMENT, Reply,
    Rung, Token,
};
use rejoin_json::{Json, Operation, Patch};
use rejoin_wire::{Body, ErrorCode, Header, Message};

fn create(content: &str) -> Body {
    Body::Create { header: Header::default(), content: json(content) }
}

fn put(value: Json) -> Body {
    let patch = Patch(vec![Operation::Add { path: "/s".try_into().unwrap(), value }]);
    Body::Edit { patch, settles: Vec::new(), undoes: None }
}

fn submit(world: &mut World, token: u64, name: &str, body: Body) {
    world.root.replica.submit(Token(token), Grant::new("ada", true), &id(name), body, Base::Current, None);
}

/// The store does the commit under way, and holds the next one.
fn commit_once(world: &mut World) {
    for (request, operation) in std::mem::take(&mut world.root.uncommitted) {
        let answer = world.root.store.execute(&workspace(), &operation);
        world.root.store.sync();
        world.root.replica.handle_input(world.now, Input::Stored { request, answer });
    }
    world.run();
}

fn refused(world: &World, tokens: std::ops::Range<u64>) -> Vec<u64> {
    let refused = |token: &u64| match world.root.replies.get(token) {
        Some(Reply::Refused { code, .. }) => {
            assert_eq!(*code, ErrorCode::RateLimited);
            true
        }
        _ => false,
    };
    tokens.filter(refused).collect()
}

#[test]
fn a_document_has_its_turn_however_busy_the_others_are() {
    let documents = 300_u64;
    assert!(usize::try_from(documents).unwrap() > MAX_DOCUMENTS_PER_COMMIT);
    let name = |at: u64| format!("d{at:03}");
    let mut world = World::new(0);
    for at in 0..documents {
        submit(&mut world, at, &name(at), create("{}"));
    }
    world.run();
    world.root.replies.clear();
    world.root.holds_commits = true;
    let everywhere = |world: &mut World, turn: u64| {
        for at in 0..documents {
            submit(world, turn * documents + at, &name(at), put(Json::from(1)));
        }
    };
    everywhere(&mut world, 0);
    world.run();
    for turn in 1..4 {
        // Whoever had a turn has something to do again before the next.
        everywhere(&mut world, turn);
        commit_once(&mut world);
    }
    let waits: Vec<u64> = (0..documents).filter(|token| !world.root.replies.contains_key(token)).collect();
    assert!(waits.is_empty(), "these wait since the first turn: {waits:?}");
    world.let_root_commits_through();
    assert_eq!(world.root.replies.len() as u64, 4 * documents);
}

#[test]
fn the_bytes_that_wait_at_one_document_are_bounded() {
    let mut world = World::with_inline_bytes(usize::MAX, 0);
    world.add_roomy();
    world.run();
    world.open("d");
    world.create(0, "d", "{}");
    world.root.holds_commits = true;
    submit(&mut world, 0, "d", put(Json::Null));
    world.run();
    let eighth = Json::from("x".repeat(MAX_QUEUED_BYTES_PER_DOCUMENT / 8));
    for token in 1..=8 {
        submit(&mut world, token, "d", put(eighth.clone()));
    }
    world.run();
    // With what a change takes besides its value, the last is one too many.
    assert_eq!(refused(&world, 0..9), [8]);
    submit(&mut world, 9, "e", create("{}"));
    // A follower is told to wait, and does.
    let replica = &mut world.followers[0].replica;
    replica
        .edit(
            &id("d"),
            match put(eighth) {
                Body::Edit { patch, .. } => patch,
                _ => unreachable!(),
            },
        )
        .unwrap();
    world.run();
    assert_eq!(world.errors(0).iter().map(|error| error.code).collect::<Vec<_>>(), [ErrorCode::RateLimited]);
    world.let_root_commits_through();
    world.run_for(60_000);
    assert_eq!(world.followers[0].replica.status(&id("d")).unwrap().rung, Rung::Acknowledged);
    assert_eq!(refused(&world, 0..10), [8], "what waits elsewhere is taken");
    // There is as much room again as there was.
    world.root.holds_commits = true;
    submit(&mut world, 20, "d", put(Json::Null));
    world.run();
    for token in 21..=28 {
        submit(&mut world, token, "d", put(Json::from("y".repeat(MAX_QUEUED_BYTES_PER_DOCUMENT / 8))));
    }
    world.run();
    assert_eq!(refused(&world, 20..29), [28]);
}

#[test]
fn the_bytes_that_wait_at_all_documents_are_bounded() {
    let mut world = World::new(0);
    let each = MAX_QUEUED_BYTES_PER_DOCUMENT / 8;
    let documents = MAX_QUEUED_BYTES / (7 * each) + 1;
    for at in 0..documents {
        submit(&mut world, 0, &format!("d{at}"), create("{}"));
    }
    world.run();
    world.root.holds_commits = true;
    submit(&mut world, 0, "d0", put(Json::Null));
    world.run();
    let value = Json::from("x".repeat(each));
    let mut token = 0;
    for at in 0..documents {
        for _ in 0..7 {
            token += 1;
            submit(&mut world, token, &format!("d{at}"), put(value.clone()));
        }
    }
    world.run();
    let refused = refused(&world, 0..token + 1);
    let room = u64::try_from(MAX_QUEUED_BYTES / each).unwrap();
    assert_eq!(refused.first(), Some(&room), "all that fit were taken: {refused:?}");
    assert_eq!(refused.len() as u64, token - room + 1);
}

#[test]
fn an_author_is_told_what_stands_beside_its_own_changes_in_messages_of_bounded_size() {
    let mut world = World::with_inline_bytes(usize::MAX, 0);
    world.add_roomy();
    world.run();
    world.open("d");
    world.create(0, "d", r#"{"n":0}"#);
    world.root.holds_commits = true;
    submit(&mut world, 0, "d", put(Json::Null));
    world.run();
    // In one turn, what others wrote takes more than a message holds.
    for (token, byte) in [(1, "a"), (2, "b"), (3, "c")] {
        submit(&mut world, token, "d", put(Json::from(byte.repeat(7 << 20))));
    }
    world.edit(0, "d", r#"[{"op":"replace","path":"/n","value":1}]"#);
    world.followers[0].messages.clear();
    world.let_root_commits_through();
    let updates = world.followers[0].messages.iter().filter_map(|message| match message {
        Message::Update(update) => Some(update.entries.len()),
        _ => None,
    });
    // The commit that was held, and then each that is large by itself.
    assert_eq!(updates.collect::<Vec<_>>(), [1, 1, 1, 1, 1]);
    assert!(world.followers[0].closed.is_empty());
    world.converged("d");
}
