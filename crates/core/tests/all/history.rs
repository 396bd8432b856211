//! Documents with a long history: every revision can be told, and a change that was made long ago is decided like any other.
#![allow(clippy::unwrap_used)]

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use crate::support::{World, id, patch};
use rejoin_core::storage::{Operation, StoreError};
use rejoin_core::{Base, Grant, HistoryPage, MAX_OLDER_REVISIONS, Reply, Token};
use rejoin_wire::{Body, Effect, ErrorCode, Message, Revision};

/// Far more than memory holds, and more than two readings of the store give.
const LONG: u64 = 3_000;

fn body(text: &str) -> Body {
    Body::Edit { patch: patch(text), settles: Vec::new(), undoes: None }
}

fn submit(world: &mut World, token: u64, base: Base, body: Body) {
    world.root.replica.submit(Token(token), Grant::new("ada", true), &id("d"), body, base, None);
}

/// A document whose member `n` went up to `revisions`, one by one, at an authority that has started anew since.
fn world(revisions: u64) -> World {
    let mut world = World::new(1);
    world.open("d");
    world.create(0, "d", r#"{"n":1,"text":""}"#);
    world.offline(0);
    for number in 2..=revisions {
        submit(
            &mut world,
            number,
            Base::Current,
            body(&format!(r#"[{{"op":"replace","path":"/n","value":{number}}}]"#)),
        );
        // Some commits have many, most of them few.
        if number % 7 == 0 || number == revisions {
            world.run();
        }
    }
    let store = std::mem::take(&mut world.root.store);
    world.restart_root(store);
    world.run();
    world
}

fn page(world: &mut World, before: Option<Revision>, limit: u32) -> HistoryPage {
    world.root.replies.clear();
    world.root.replica.history(Token(1), &id("d"), before, limit);
    world.run();
    match world.root.replies.remove(&1) {
        Some(Reply::History(page)) => *page,
        other => panic!("{other:?}"),
    }
}

#[test]
fn every_revision_of_a_long_history_is_told_once_and_each_with_its_own_effect() {
    let mut world = world(LONG);
    let mut before = None;
    let mut expected = LONG;
    loop {
        let page = page(&mut world, before, 700);
        assert_eq!(page.first.0 + page.entries.len() as u64 - 1, expected, "no gap");
        for (revision, entry) in (page.first.0..).zip(&page.entries) {
            match &entry.entry.effect {
                Effect::Created { .. } => assert_eq!(revision, 1),
                Effect::Patched { patch } => {
                    assert!(patch.to_string().contains(&format!(r#""value":{revision}}}"#)), "{patch}");
                    let back = entry.reverse_patch.as_ref().unwrap().to_string();
                    assert!(back.contains(&format!(r#""value":{}}}"#, revision - 1)), "{back}");
                }
                other => panic!("{other:?}"),
            }
        }
        expected = page.first.0 - 1;
        before = Some(page.first);
        assert_eq!(page.more, expected > 0);
        if !page.more {
            break;
        }
    }
    assert_eq!(expected, 0);
    let first = page(&mut world, Some(Revision(3)), 1);
    assert_eq!((first.first, first.entries.len(), first.more), (Revision(2), 1, true));
    assert!(page(&mut world, Some(Revision(1)), 5).entries.is_empty());
}

#[test]
fn a_page_deep_below_leaves_nothing_in_memory_and_reads_each_row_once() {
    let mut world = world(LONG);
    page(&mut world, None, 1);
    let reads = |world: &mut World| {
        world.root.asked.clear();
        page(world, Some(Revision(10)), 5);
        world.root.asked.iter().filter(|asked| matches!(asked, Operation::LoadChanges { .. })).count()
    };
    let first = reads(&mut world);
    assert!((2..=3).contains(&first), "{first} readings");
    assert_eq!(reads(&mut world), first, "nothing was kept");
}

#[test]
fn questions_for_history_are_answered_in_turn_and_when_the_store_fails() {
    let mut world = world(LONG);
    world.root.store.fail_next(2, StoreError::Unavailable("test".into()));
    for token in 1..=3 {
        world.root.replica.history(Token(token), &id("d"), Some(Revision(5)), 2);
    }
    world.run_for(60_000);
    let told = |token: u64| match &world.root.replies[&token] {
        Reply::History(page) => Ok((page.first, page.entries.len())),
        Reply::Refused { code, .. } => Err(*code),
        other => panic!("{other:?}"),
    };
    let answers: Vec<_> = (1..=3).map(told).collect();
    assert!(answers.contains(&Ok((Revision(3), 2))), "{answers:?}");
    let others = answers.iter().filter(|answer| !matches!(answer, Ok((Revision(3), 2))));
    assert!(others.clone().all(|answer| *answer == Err(ErrorCode::Unavailable)), "{answers:?}");
}

#[test]
fn a_change_on_an_old_revision_is_merged_and_one_on_too_old_a_one_is_refused() {
    let mut world = world(MAX_OLDER_REVISIONS + 3);
    let newest = Revision(MAX_OLDER_REVISIONS + 3);
    for (token, base, text) in [(1, 2, "refused"), (2, 3, "merged")] {
        let edit = body(&format!(r#"[{{"op":"replace","path":"/text","value":"{text}"}}]"#));
        submit(&mut world, token, Base::Revision(Revision(base)), edit);
        world.run();
    }
    assert!(matches!(&world.root.replies[&1], Reply::Refused { code: ErrorCode::UnknownBase, .. }));
    let Reply::Accepted(accepted) = &world.root.replies[&2] else { panic!("{:?}", world.root.replies[&2]) };
    assert_eq!(accepted.revision, newest.next());
    assert_eq!(accepted.view.content.canonical(), format!(r#"{{"n":{},"text":"merged"}}"#, newest.0));
}

#[test]
fn a_follower_that_was_away_for_very_long_is_asked_what_it_saw() {
    let mut world = world(MAX_OLDER_REVISIONS + 3);
    world.followers[0]
        .replica
        .edit(&id("d"), patch(r#"[{"op":"replace","path":"/text","value":"away"}]"#))
        .unwrap();
    world.online(0);
    world.run_for(60_000);
    let asked = world.root_heard.iter().any(|heard| matches!(heard, Message::SeenContent { .. }));
    assert!(asked, "the author said what it saw");
    assert_eq!(world.converged("d"), format!(r#"{{"n":{},"text":"away"}}"#, MAX_OLDER_REVISIONS + 3));
}
