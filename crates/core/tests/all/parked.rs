//! Pushes whose authors are asked what they saw: they wait for so long, take their room no longer, and are lost to nobody.
#![allow(clippy::unwrap_used)]

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use crate::support::bare::{Bare, create, creation, edit, odd_edit, odd_edit_of, push_to, put, seen_content};
use crate::support::{World, id};
use rejoin_core::{Grant, Input, Instant, LinkId, MAX_QUEUED_BYTES, SEEN_PATIENCE};
use rejoin_wire::{Author, Change, Counter, ErrorCode, Message, PushedChange, ReplicaId, Scope};

const ADA: LinkId = LinkId(1);
const BOB: LinkId = LinkId(2);

/// An authority with a document, and two links that may edit it.
fn bare() -> Bare {
    let mut bare = Bare::new(usize::MAX);
    bare.link(ADA, Grant::new("ada", true));
    bare.link(BOB, Grant::new("bob", true));
    bare.say(BOB, creation(7, None));
    bare.said.clear();
    bare
}

fn end_of_patience(bare: &Bare) -> Instant {
    bare.now + SEEN_PATIENCE
}

fn before(moment: Instant) -> Instant {
    Instant(moment.0 - 1)
}

#[test]
fn who_does_not_say_what_it_saw_is_refused_at_the_end_of_the_patience_and_not_before() {
    let mut bare = bare();
    bare.say(ADA, odd_edit(8, None));
    let end = end_of_patience(&bare);
    assert_eq!(bare.replica.poll_timeout(), Some(end));
    bare.until(before(end));
    assert!(bare.refusals(ADA).is_empty());
    assert_eq!(bare.replica.backlog(bare.now).waiting, 1);
    bare.until(end);
    assert_eq!(bare.refusals(ADA), [ErrorCode::RateLimited]);
    assert_eq!(bare.replica.backlog(bare.now).waiting, 0);
    assert_eq!(bare.replica.poll_timeout(), None, "nothing is left to wait for");
    // An answer that comes later is of no use, and what is sent again is asked about again.
    bare.say(ADA, seen_content(8));
    assert!(bare.outcomes(ADA, 8).is_empty());
    bare.said.clear();
    bare.say(ADA, odd_edit(8, None));
    assert!(bare.was_asked(ADA, 8));
    bare.say(ADA, seen_content(8));
    assert_eq!(bare.outcomes(ADA, 8), [None]);
    assert_eq!(bare.replica.poll_timeout(), None);
}

#[test]
fn an_answer_in_time_ends_the_waiting_and_so_does_the_end_of_the_link() {
    let mut bare = bare();
    bare.say(ADA, odd_edit(8, None));
    bare.until(before(end_of_patience(&bare)));
    bare.say(BOB, odd_edit(9, None));
    bare.say(ADA, seen_content(8));
    assert_eq!(bare.outcomes(ADA, 8), [None]);
    assert_eq!(bare.replica.poll_timeout(), Some(end_of_patience(&bare)), "the other was asked later");
    bare.close(BOB);
    assert_eq!(bare.replica.poll_timeout(), None);
    assert_eq!(bare.replica.backlog(bare.now).waiting, 0);
}

#[test]
fn pushes_of_one_who_never_answers_take_the_room_of_others_no_longer() {
    const BYTES: usize = 7 << 20;
    let mut bare = bare();
    let documents = MAX_QUEUED_BYTES / BYTES;
    for at in 0..documents {
        let document = format!("d{at}");
        bare.say(BOB, push_to(&document, 7, 0, create(), None, None));
        bare.say(ADA, odd_edit_of(&document, 8, BYTES));
    }
    let end = end_of_patience(&bare);
    let large = push_to("d", 9, 1, put(9, 6 << 20), None, None);
    bare.until(before(end));
    bare.say(BOB, large.clone());
    assert_eq!(bare.refusals(BOB), [ErrorCode::RateLimited]);
    bare.until(end);
    assert_eq!(bare.refusals(ADA), vec![ErrorCode::RateLimited; documents]);
    bare.say(BOB, large);
    assert_eq!(bare.outcomes(BOB, 9), [None]);
}

#[test]
fn a_push_goes_on_once_the_same_change_has_its_outcome_over_another_link() {
    let mut bare = bare();
    bare.grant(ADA, Grant { may_relay: true, ..Grant::new("relay", true) });
    let bob = Author { principal: "bob".into(), may_edit: true };
    bare.say(ADA, odd_edit(8, Some(bob)));
    assert!(bare.was_asked(ADA, 8));
    // The author leaves the relay, and settles it by itself.
    bare.say(BOB, odd_edit(8, None));
    bare.holds_commits = true;
    bare.say(BOB, seen_content(8));
    assert!(bare.outcomes(ADA, 8).is_empty(), "nothing is told before it is durable");
    bare.answer_commits(&Ok(()));
    assert_eq!((bare.outcomes(BOB, 8), bare.outcomes(ADA, 8)), (vec![None], vec![None]));
    assert_eq!(bare.replica.backlog(bare.now).waiting, 0);
    assert_eq!(bare.replica.poll_timeout(), None, "nothing is left to wait for");
}

#[test]
fn a_push_whose_change_is_in_a_commit_that_fails_stays_parked() {
    let mut bare = bare();
    bare.say(ADA, odd_edit(8, None));
    let end = end_of_patience(&bare);
    bare.holds_commits = true;
    bare.say(BOB, edit(9, 1));
    bare.answer_commits(&Err(rejoin_core::storage::StoreError::Unavailable("test".into())));
    bare.pass(1_000);
    bare.answer_commits(&Ok(()));
    assert_eq!(bare.outcomes(BOB, 9), [None]);
    assert_eq!(bare.replica.poll_timeout(), Some(end));
    bare.say(ADA, seen_content(8));
    bare.answer_commits(&Ok(()));
    assert_eq!(bare.outcomes(ADA, 8), [None]);
}

#[test]
fn whose_answer_does_not_arrive_in_time_sends_the_push_again_and_loses_nothing() {
    let mut world = World::asking(Some(Scope::Documents));
    world.loses_answers = true;
    world.online(0);
    let asked = |world: &World| {
        let asks = |message: &&Message| matches!(message, Message::NeedSeen { .. });
        world.followers[0].messages.iter().filter(asks).count()
    };
    assert_eq!(asked(&world), 1);
    let patience = u64::try_from(SEEN_PATIENCE.as_millis()).unwrap();
    world.run_for(patience);
    assert_eq!(world.errors(0).last().map(|error| error.code), Some(ErrorCode::RateLimited));
    assert_eq!(asked(&world), 2);
    world.loses_answers = false;
    world.run_for(patience);
    assert_eq!(asked(&world), 3);
    assert!(world.followers[0].replica.rejected(&id("d")).is_empty());
    assert_eq!(world.converged("d"), r#"{"new":true,"old":"again"}"#);
}

#[test]
fn a_relay_does_not_say_for_an_author_who_is_gone_that_it_cannot_say() {
    let mut world = World::new(0);
    let relay = world.add_relay(None);
    world.run();
    let link = world.followers[relay].up.unwrap();
    let message = Message::NeedSeen { document: id("d"), replica: ReplicaId(8), counter: Counter(1) };
    world.followers[relay].replica.handle_input(world.now, Input::Received { link, message });
    world.run();
    let answers = |message: &&Message| matches!(message, Message::SeenContent { .. });
    assert_eq!(world.root_heard.iter().filter(answers).count(), 0);
}

#[test]
fn a_push_that_is_sent_again_shorter_loses_nothing_of_the_longer_one() {
    let mut bare = bare();
    let Message::Push { pushes: odd } = odd_edit(8, None) else { panic!("it is a push") };
    let Message::Push { pushes: next } = edit(8, 1) else { panic!("it is a push") };
    let mut long = odd.clone();
    let mut second = next[0].changes[0].clone();
    second.change.counter = Counter(2);
    second.change.over = Counter(1);
    long[0].changes.push(second);
    bare.say(ADA, Message::Push { pushes: long });
    assert!(bare.was_asked(ADA, 8));
    bare.say(ADA, Message::Push { pushes: odd });
    bare.say(ADA, seen_content(8));
    assert_eq!(bare.outcomes(ADA, 8), [None, None]);
}

#[test]
fn what_a_copy_pushed_behind_a_change_of_the_same_name_does_not_go_on_behind_the_other() {
    let mut bare = bare();
    bare.grant(ADA, Grant { may_relay: true, ..Grant::new("relay", true) });
    let author = || Some(Author { principal: "bob".into(), may_edit: true });
    let changed = |bytes| {
        let Message::Push { pushes } = push_to("d", 8, 1, put(8, bytes), None, author()) else {
            panic!("it is a push")
        };
        pushes[0].changes[0].change.clone()
    };
    let Message::Push { pushes: odd } = odd_edit(8, author()) else { panic!("it is a push") };
    let mut copied = odd.clone();
    copied[0].changes[0].change = changed(2);
    let second = Change { counter: Counter(2), over: Counter(1), ..changed(3) };
    copied[0].changes.push(PushedChange { change: second, seen: None });
    bare.say(ADA, Message::Push { pushes: copied });
    assert!(bare.was_asked(ADA, 8));
    // Nobody below the relay waits for that any more, and it passes on what another copy of the profile made.
    bare.say(ADA, Message::Push { pushes: odd });
    bare.say(ADA, seen_content(8));
    assert_eq!(bare.outcomes(ADA, 8), [None], "the first of one, and not the second of the other");
    assert_eq!(bare.replica.backlog(bare.now).waiting, 0);
    assert_eq!(bare.replica.poll_timeout(), None, "nothing is left to wait for");
}
