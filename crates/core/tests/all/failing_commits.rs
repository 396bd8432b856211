//! Commits that the store does not take: what it refuses waits alone, and everything else goes on.
#![allow(clippy::unwrap_used)]

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use crate::support::{World, id, json, patch};
use rejoin_core::storage::{Operation, StoreError, Write};
use rejoin_core::{Base, Event, Grant, Input, MAX_COMMIT_BYTES, Reply, Rung, Token};
use rejoin_store::MemoryStore;
use rejoin_wire::{Body, ErrorCode, ErrorMessage, Revision, Scope};

fn rung(world: &World, name: &str) -> Rung {
    world.followers[0].replica.status(&id(name)).unwrap().rung
}

/// A world with three documents, of which the store refuses `b`.
fn world(error: StoreError) -> World {
    let mut world = World::new(1);
    for name in ["a", "b", "c"] {
        world.open(name);
        world.create(0, name, "{}");
    }
    world.root.events.clear();
    world.root.store.refuse(Some((id("b"), error)));
    world
}

fn edit_all(world: &mut World, member: &str) {
    for name in ["a", "b", "c"] {
        let edit = patch(&format!(r#"[{{"op":"add","path":"/{member}","value":1}}]"#));
        world.followers[0].replica.edit(&id(name), edit).unwrap();
    }
    world.run();
}

#[test]
fn a_document_that_the_store_refuses_holds_up_no_other() {
    for error in [StoreError::QuotaExceeded("test".into()), StoreError::Corrupted("test".into())] {
        let mut world = world(error);
        // They are in one commit.
        world.root.holds_commits = true;
        edit_all(&mut world, "x");
        world.let_root_commits_through();
        let rungs = |world: &World| ["a", "b", "c"].map(|name| rung(world, name));
        assert_eq!(rungs(&world), [Rung::Acknowledged, Rung::Sent, Rung::Acknowledged]);
        edit_all(&mut world, "y");
        world.run_for(10_000);
        assert_eq!(rungs(&world), [Rung::Acknowledged, Rung::Saved, Rung::Acknowledged]);
        let failures = world.root.events.iter().filter(|event| matches!(event, Event::StoreFailed { .. }));
        assert_eq!(failures.count(), 1, "told once, not with each attempt");
        let attempts = |world: &World| {
            let commits = world.root.asked.iter().filter(|asked| matches!(asked, Operation::Commit(_)));
            commits.count()
        };
        let before = attempts(&world);
        world.run_for(10_000);
        assert!((5..=25).contains(&(attempts(&world) - before)), "{} attempts", attempts(&world) - before);

        world.root.store.refuse(None);
        world.run_for(1_000);
        assert_eq!(rungs(&world), [Rung::Acknowledged; 3]);
        assert!(matches!(world.root.events.last(), Some(Event::StoreWorks)), "{:?}", world.root.events);
        assert_eq!(world.converged("b"), r#"{"x":1,"y":1}"#);
        assert_eq!(world.root.replica.poll_timeout(), None, "nothing is left to wait for");
    }
}

#[test]
fn a_commit_takes_so_many_bytes_and_the_rest_goes_into_the_next() {
    let mut world = World::new(1);
    world.open("d");
    world.create(0, "d", r#"{"text":""}"#);
    world.root.asked.clear();
    // Each replaces the whole text, and keeps the one before for the way back.
    let bytes = MAX_COMMIT_BYTES / 8;
    for token in 0..6 {
        let value = char::from(b'a' + u8::try_from(token).unwrap()).to_string().repeat(bytes);
        let edit = patch(&format!(r#"[{{"op":"replace","path":"/text","value":"{value}"}}]"#));
        let body = Body::Edit { patch: edit, settles: Vec::new(), undoes: None };
        world.root.replica.submit(Token(token), Grant::new("ada", true), &id("d"), body, Base::Current, None);
    }
    world.run();
    while world.compute() > 0 {}
    assert!((0..6).all(|token| matches!(world.root.replies[&token], Reply::Accepted(_))));
    let rows = |batch: &[Write]| {
        let row = |write: &Write| if let Write::AppendChanges(row) = write { row.body.len() } else { 0 };
        batch.iter().map(row).sum::<usize>()
    };
    let commits: Vec<usize> = world
        .root
        .asked
        .iter()
        .filter_map(
            |asked| if let Operation::Commit(batch) = asked { Some(rows(&batch.writes)) } else { None },
        )
        .collect();
    assert!(commits.len() >= 2, "{commits:?}");
    assert!(commits.iter().all(|commit| *commit <= MAX_COMMIT_BYTES + 2 * bytes + 1_000), "{commits:?}");
    assert_eq!(
        world.root.replica.view(&id("d")).unwrap().content,
        json(&format!(r#"{{"text":"{}"}}"#, "f".repeat(bytes)))
    );
}

#[test]
fn a_document_whose_time_has_come_waits_for_the_commit_under_way() {
    let full = || StoreError::QuotaExceeded("test".into());
    let mut world = world(full());
    world.edit(0, "b", r#"[{"op":"add","path":"/x","value":1}]"#);
    world.root.holds_commits = true;
    world.edit(0, "a", r#"[{"op":"add","path":"/x","value":1}]"#);
    assert_eq!(world.root.uncommitted.len(), 1);
    world.run_for(10_000);
    assert_eq!(world.root.replica.poll_timeout(), None, "nothing can be done before the store answers");
    world.root.store.refuse(None);
    world.let_root_commits_through();
    assert_eq!(["a", "b"].map(|name| rung(&world, name)), [Rung::Acknowledged; 2]);
}

#[test]
fn a_document_whose_time_has_come_waits_until_the_store_is_asked_again() {
    let mut world = world(StoreError::QuotaExceeded("test".into()));
    world.edit(0, "b", r#"[{"op":"add","path":"/x","value":1}]"#);
    world.root.store.refuse(None);
    world.run_for(300);
    world.root.holds_commits = true;
    world.edit(0, "a", r#"[{"op":"add","path":"/x","value":1}]"#);
    let (request, _) = world.root.uncommitted.pop().unwrap();
    let answer = Err(StoreError::Unavailable("test".into()));
    world.root.replica.handle_input(world.now, Input::Stored { request, answer });
    world.root.holds_commits = false;
    world.run_for(400);
    assert_eq!(rung(&world, "b"), Rung::Sent, "the store was unavailable since");
    world.run_for(200);
    assert_eq!(["a", "b"].map(|name| rung(&world, name)), [Rung::Acknowledged; 2]);
}

#[test]
fn authors_whose_changes_the_store_does_not_take_are_told_so_once_each() {
    for error in [StoreError::QuotaExceeded("test".into()), StoreError::Corrupted("test".into())] {
        let mut world = world(error);
        let late = world.add(Some(Scope::Documents), MemoryStore::new());
        world.open("b");
        let told = |world: &World, at: usize| -> Vec<_> {
            let about = |error: ErrorMessage| (error.code, error.document, error.change);
            world.errors(at).into_iter().map(about).collect()
        };
        edit_all(&mut world, "x");
        world.run_for(5_000);
        assert_eq!(
            told(&world, 0),
            [(ErrorCode::Unavailable, Some(id("b")), None)],
            "no refusal, and nothing of what was taken"
        );
        assert!(told(&world, late).is_empty());
        world.edit(late, "b", r#"[{"op":"add","path":"/late","value":1}]"#);
        world.run_for(5_000);
        assert_eq!((told(&world, 0).len(), told(&world, late).len()), (1, 1));
        world.root.store.refuse(None);
        world.run_for(1_000);
        assert_eq!(world.converged("b"), r#"{"late":1,"x":1}"#);
        // When it happens again, that is news.
        world.root.store.refuse(Some((id("b"), StoreError::QuotaExceeded("test".into()))));
        world.edit(0, "b", r#"[{"op":"add","path":"/y","value":1}]"#);
        world.run_for(5_000);
        assert_eq!((told(&world, 0).len(), told(&world, late).len()), (2, 1));
    }
}

#[test]
fn a_replica_whose_store_wrote_what_it_did_not_answer_writes_it_again() {
    let mut world = World::new(1);
    let relay = world.add_relay(None);
    let below = world.add_below(relay);
    world.open("d");
    world.create(0, "d", "{}");
    for (at, member) in [(0, "a"), (relay, "b"), (below, "c")] {
        world.followers[at].events.clear();
        world.followers[at].holds_commits = true;
        world.edit(0, "d", &format!(r#"[{{"op":"add","path":"/{member}","value":1}}]"#));
        world.lose_answers(at);
        world.run_for(10_000);
        let events = &world.followers[at].events;
        assert!(events.iter().any(|event| matches!(event, Event::StoreWorks)), "{events:?}");
        let is_lost = |event: &Event| matches!(event, Event::StoreFailed { lasting: true, .. });
        assert!(!events.iter().any(is_lost), "{events:?}");
    }
    assert_eq!(world.converged("d"), r#"{"a":1,"b":1,"c":1}"#);
    // And it reads what it wrote twice.
    world.restart(0, Some(Scope::Documents));
    world.followers[0].network = false;
    world.open("d");
    assert_eq!(world.content(0, "d"), r#"{"a":1,"b":1,"c":1}"#);
}

fn submit(world: &mut World, token: u64, text: &str, base: Base) {
    let body = Body::Edit { patch: patch(text), settles: Vec::new(), undoes: None };
    world.root.replica.submit(Token(token), Grant::new("ada", true), &id("d"), body, base, None);
}

/// A follower that has `d` open, in which there is a list, the commits of whose authority are held from this revision on.
fn world_with_list() -> (World, Revision) {
    let mut world = World::new(1);
    world.open("d");
    world.create(0, "d", r#"{"list":[1]}"#);
    world.root.holds_commits = true;
    let revision = world.root.replica.view(&id("d")).unwrap().revision;
    (world, revision)
}

/// What became of a driver's change: the revision that it made, or why it was refused.
fn outcome(world: &World, token: u64) -> Result<Revision, ErrorCode> {
    match &world.root.replies[&token] {
        Reply::Accepted(accepted) => Ok(accepted.revision),
        Reply::Refused { code, .. } => Err(*code),
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_drivers_submitted_is_made_once_though_the_answer_to_its_commit_is_lost() {
    let (mut world, revision) = world_with_list();
    submit(&mut world, 1, r#"[{"op":"add","path":"/list/-","value":2}]"#, Base::Current);
    // The next two cannot be made again on themselves, and the one after that cannot be made at all.
    submit(&mut world, 2, r#"[{"op":"remove","path":"/list/1"}]"#, Base::Exactly(revision.next()));
    submit(&mut world, 3, r#"[{"op":"remove","path":"/list/0"}]"#, Base::Current);
    submit(&mut world, 4, r#"[{"op":"remove","path":"/list/7"}]"#, Base::Current);
    world.run();
    world.lose_root_answers();
    submit(&mut world, 5, r#"[{"op":"add","path":"/list/-","value":5}]"#, Base::Current);
    world.run_for(10_000);
    let outcomes: Vec<_> = (1..=5).map(|token| outcome(&world, token)).collect();
    let made = |after: u64| Ok(Revision(revision.0 + after));
    assert_eq!(outcomes, [made(1), made(2), made(3), Err(ErrorCode::InvalidPatch), made(4)]);
    assert_eq!(world.converged("d"), r#"{"list":[5]}"#);
}

#[test]
fn what_a_driver_submitted_is_made_though_the_commit_was_not_done() {
    let (mut world, revision) = world_with_list();
    submit(&mut world, 1, r#"[{"op":"add","path":"/list/-","value":2}]"#, Base::Exactly(revision));
    world.run();
    let (request, _) = world.root.uncommitted.pop().unwrap();
    let answer = Err(StoreError::Unavailable("test".into()));
    world.root.replica.handle_input(world.now, Input::Stored { request, answer });
    world.root.holds_commits = false;
    world.run_for(10_000);
    assert_eq!(outcome(&world, 1), Ok(revision.next()));
    assert_eq!(world.converged("d"), r#"{"list":[1,2]}"#);
}

#[test]
fn a_rejection_without_any_revision_is_found_though_the_answer_to_its_commit_is_lost() {
    let (mut world, _) = world_with_list();
    submit(&mut world, 1, r#"[{"op":"remove","path":"/list/7"}]"#, Base::Current);
    world.run();
    world.lose_root_answers();
    let clock = |world: &mut World| world.root.replica.view(&id("d")).unwrap().clock;
    world.run_for(10_000);
    assert_eq!(outcome(&world, 1), Err(ErrorCode::InvalidPatch));
    let before = clock(&mut world);
    submit(&mut world, 2, r#"[{"op":"add","path":"/list/-","value":2}]"#, Base::Current);
    world.run();
    let newest = world.root.replica.view(&id("d")).unwrap().revision;
    assert_eq!(outcome(&world, 2), Ok(newest));
    assert_ne!(clock(&mut world), before);
    assert_eq!(world.converged("d"), r#"{"list":[1,2]}"#);
}

#[test]
fn a_driver_is_not_refused_what_it_made_since_whose_change_was_before_it_is_gone() {
    let (mut world, revision) = world_with_list();
    // The first commit waits, so that the next one holds changes of both.
    submit(&mut world, 1, r#"[{"op":"add","path":"/list/-","value":2}]"#, Base::Current);
    world.run();
    world.edit(0, "d", r#"[{"op":"add","path":"/x","value":1}]"#);
    submit(
        &mut world,
        2,
        r#"[{"op":"add","path":"/list/-","value":3}]"#,
        Base::Exactly(Revision(revision.0 + 2)),
    );
    let (request, operation) = world.root.uncommitted.pop().unwrap();
    let answer = world.root.store.execute(&crate::support::workspace(), &operation);
    world.root.replica.handle_input(world.now, Input::Stored { request, answer });
    world.run();
    world.root.store.sync();
    world.offline(0);
    world.lose_root_answers();
    world.run_for(10_000);
    assert_eq!(outcome(&world, 2), Ok(Revision(revision.0 + 3)));
    world.online(0);
    assert_eq!(world.converged("d"), r#"{"list":[1,2,3],"x":1}"#);
}
