//! Who may edit: pushes of others are refused and get no outcome. Rights change while something that was pushed waits, and what is decided later is
//! decided by what may be done then.
#![allow(clippy::unwrap_used)]

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use crate::support::bare::{
    Bare, announced_edit, creation, edit, odd_edit, push_all, push_at, put, seen_content,
};
use crate::support::id;
use rejoin_core::storage::StoreError;
use rejoin_core::{Grant, LinkId};
use rejoin_wire::{Author, Counter, ErrorCode, Message, Revision};

const ADA: LinkId = LinkId(1);
const BOB: LinkId = LinkId(2);

fn reader() -> Grant {
    Grant::new("ada", false)
}

/// An authority with a document and a link that may edit it.
fn bare(max_inline_bytes: usize) -> Bare {
    let mut bare = Bare::new(max_inline_bytes);
    bare.link(ADA, Grant::new("ada", true));
    bare.link(BOB, Grant::new("bob", true));
    bare.say(BOB, creation(7, None));
    bare.said.clear();
    bare
}

/// What became of the first change of a replica, over a link that may edit in the end or not: it is accepted, or refused without an outcome.
fn assert_told(bare: &Bare, link: LinkId, replica: u128, may_edit: bool) {
    let outcomes: &[Option<ErrorCode>] = if may_edit { &[None] } else { &[] };
    assert_eq!(bare.outcomes(link, replica), outcomes);
    let refusals: &[ErrorCode] = if may_edit { &[] } else { &[ErrorCode::Forbidden] };
    assert_eq!(bare.refusals(link), refusals);
}

#[test]
fn what_a_reader_pushes_in_the_name_of_another_is_not_in_its_way() {
    let mut bare = bare(usize::MAX);
    bare.grant(ADA, reader());
    let body = |name| put(name, 1);
    // In BOB's name, the next one and one beyond it, and one that has its outcome.
    bare.say(ADA, push_at(7, 2, 1, body(666)));
    bare.say(ADA, push_at(7, 3, 1, body(666)));
    bare.say(ADA, creation(7, None));
    assert_eq!(bare.refusals(ADA), [ErrorCode::Forbidden; 2]);
    assert_eq!(bare.outcomes(ADA, 7), [None], "what is known is told, to whoever asks");
    bare.say(BOB, push_at(7, 2, 1, body(7)));
    assert_eq!(bare.outcomes(BOB, 7), [None]);
    let forked = |(_, message): &(LinkId, Message)| matches!(message, Message::Forked { .. });
    assert!(!bare.said.iter().any(forked), "{:?}", bare.said);
    bare.restart();
    bare.link(BOB, Grant::new("bob", true));
    bare.said.clear();
    bare.say(BOB, push_at(7, 3, 2, body(8)));
    assert_eq!(bare.outcomes(BOB, 7), [None], "nothing of it is stored");
}

#[test]
fn of_a_push_that_is_refused_what_is_known_keeps_its_outcomes() {
    let mut bare = bare(usize::MAX);
    bare.say(ADA, edit(8, 1));
    bare.grant(ADA, reader());
    bare.said.clear();
    let message = push_all(8, [(1, 1, put(8, 1)), (2, 2, put(9, 1)), (3, 2, put(10, 1))]);
    bare.say(ADA, message);
    assert_eq!(bare.outcomes(ADA, 8), [None], "of the first");
    let refused: Vec<Counter> = bare
        .said
        .iter()
        .filter_map(|(_, message)| match message {
            Message::Error(error) => error.change.map(|change| change.counter),
            _ => None,
        })
        .collect();
    assert_eq!(refused, [Counter(2)], "and the rest of the push goes with it");
}

#[test]
fn a_push_that_waits_for_what_was_seen_is_refused_once_the_right_is_gone() {
    let mut bare = bare(usize::MAX);
    bare.say(ADA, odd_edit(8, None));
    assert!(bare.was_asked(ADA, 8));
    bare.grant(ADA, reader());
    bare.say(ADA, seen_content(8));
    assert_told(&bare, ADA, 8, false);
}

#[test]
fn a_push_that_waits_for_the_store_is_decided_by_what_may_be_done_then() {
    for (before, then) in [(true, false), (false, true)] {
        let mut bare = bare(usize::MAX);
        bare.grant(ADA, Grant::new("ada", before));
        bare.holds_commits = true;
        bare.say(BOB, edit(9, 1));
        bare.say(ADA, edit(8, 1));
        bare.grant(ADA, Grant::new("ada", then));
        bare.answer_commits(&Ok(()));
        bare.answer_commits(&Ok(()));
        assert_told(&bare, ADA, 8, then);
    }
}

#[test]
fn a_push_of_a_commit_that_fails_is_decided_again_by_what_may_be_done_then() {
    let mut bare = bare(usize::MAX);
    bare.holds_commits = true;
    bare.say(ADA, edit(8, 1));
    bare.grant(ADA, reader());
    bare.answer_commits(&Err(StoreError::Unavailable("test".into())));
    bare.pass(1_000);
    bare.answer_commits(&Ok(()));
    assert_told(&bare, ADA, 8, false);
    assert!(bare.commits.is_empty());
}

#[test]
fn a_decision_that_is_made_elsewhere_for_one_who_may_edit_is_of_no_use_later() {
    let mut bare = bare(0);
    bare.say(ADA, announced_edit(8));
    assert_eq!(bare.jobs.len(), 1);
    bare.grant(ADA, reader());
    bare.compute();
    assert_told(&bare, ADA, 8, false);
    bare.say(ADA, announced_edit(8));
    assert!(bare.jobs.is_empty(), "nothing is computed for who may not edit");
    bare.grant(ADA, Grant::new("ada", true));
    bare.said.clear();
    bare.say(ADA, announced_edit(8));
    bare.compute();
    assert_told(&bare, ADA, 8, true);
}

#[test]
fn what_a_link_left_behind_is_decided_by_what_it_could_do_at_the_end() {
    for may_edit in [true, false] {
        let mut bare = bare(usize::MAX);
        bare.holds_commits = true;
        bare.say(BOB, edit(9, 1));
        bare.say(ADA, edit(8, 1));
        bare.grant(ADA, Grant::new("ada", may_edit));
        bare.close(ADA);
        bare.answer_commits(&Ok(()));
        bare.answer_commits(&Ok(()));
        bare.answer_commits(&Ok(()));
        let revision = bare.replica.view(&id("d")).unwrap().revision;
        assert_eq!(revision, Revision(if may_edit { 3 } else { 2 }));
        // Whoever pushes it again has it accepted, once.
        bare.holds_commits = false;
        bare.link(ADA, Grant::new("ada", true));
        bare.said.clear();
        bare.say(ADA, edit(8, 1));
        assert_told(&bare, ADA, 8, true);
        assert_eq!(bare.replica.view(&id("d")).unwrap().revision, Revision(3));
    }
}

#[test]
fn what_a_relay_pushes_for_others_keeps_the_right_that_the_relay_named() {
    for may_edit in [true, false] {
        let relay = |may_edit| Grant { may_relay: true, ..Grant::new("relay", may_edit) };
        let mut bare = bare(usize::MAX);
        bare.grant(ADA, relay(true));
        let author = Author { principal: "eve".into(), may_edit };
        bare.say(ADA, odd_edit(8, Some(author)));
        bare.grant(ADA, relay(!may_edit));
        if may_edit {
            bare.say(ADA, seen_content(8));
        }
        assert_told(&bare, ADA, 8, may_edit);
    }
}
