//! Rights that change while something that was pushed waits: what is decided later is decided by what may be done then.
#![allow(clippy::unwrap_used)]

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use crate::support::bare::{Bare, announced_edit, creation, edit, odd_edit, seen_content};
use rejoin_core::storage::StoreError;
use rejoin_core::{Grant, LinkId};
use rejoin_wire::{Author, ErrorCode};

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

#[test]
fn a_push_that_waits_for_what_was_seen_is_rejected_once_the_right_is_gone() {
    let mut bare = bare(usize::MAX);
    bare.say(ADA, odd_edit(8, None));
    assert!(bare.was_asked(ADA, 8));
    bare.grant(ADA, reader());
    bare.say(ADA, seen_content(8));
    assert_eq!(bare.outcomes(ADA, 8), [Some(ErrorCode::Forbidden)]);
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
        let fate = (!then).then_some(ErrorCode::Forbidden);
        assert_eq!(bare.outcomes(ADA, 8), [fate]);
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
    assert_eq!(bare.outcomes(ADA, 8), [Some(ErrorCode::Forbidden)]);
}

#[test]
fn a_decision_that_is_made_elsewhere_for_one_who_may_edit_is_of_no_use_later() {
    for (before, then) in [(true, false), (false, true)] {
        let mut bare = bare(0);
        bare.grant(ADA, Grant::new("ada", before));
        bare.say(ADA, announced_edit(8));
        assert_eq!(bare.jobs.len(), 1);
        bare.grant(ADA, Grant::new("ada", then));
        bare.compute();
        let fate = (!then).then_some(ErrorCode::Forbidden);
        assert_eq!(bare.outcomes(ADA, 8), [fate]);
    }
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
        // Whoever pushes it again is told what became of it.
        bare.link(ADA, Grant::new("ada", true));
        bare.say(ADA, edit(8, 1));
        assert_eq!(bare.outcomes(ADA, 8), [(!may_edit).then_some(ErrorCode::Forbidden)]);
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
        assert_eq!(bare.outcomes(ADA, 8), [(!may_edit).then_some(ErrorCode::Forbidden)]);
    }
}
