//! Vector clocks, and what changes say of themselves: both know alike who had seen what.
#![allow(clippy::unwrap_used)]

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use crate::support::{World, id, patch};
use proptest::prelude::*;
use rejoin_core::{Reply, Token, VectorClock};
use rejoin_wire::{Change, ChangeId, Revision};

const FOLLOWERS: usize = 3;

/// A change with the clock of what its author had seen, and the revision that it made.
#[derive(Debug)]
struct Made {
    change: Change,
    clock: VectorClock,
    revision: Revision,
}

/// Plays followers that edit one document, together and apart, by a list of (follower, what to do).
fn play(steps: &[(u8, u8)]) -> Vec<Made> {
    let mut world = World::new(FOLLOWERS);
    world.open("d");
    world.create(0, "d", "{}");
    let mut made = Vec::new();
    for (number, (who, what)) in steps.iter().enumerate() {
        let at = usize::from(*who) % FOLLOWERS;
        match what % 5 {
            0..=2 => {
                let replica = &mut world.followers[at].replica;
                let edit = format!(r#"[{{"op":"add","path":"/{}","value":{number}}}]"#, number % 4);
                replica.edit(&id("d"), patch(&edit)).unwrap();
                let change = replica.pending(&id("d")).pop().unwrap().change.as_ref().clone();
                made.push(change);
                world.run();
            }
            3 => world.offline(at),
            _ => world.online(at),
        }
    }
    for at in 0..FOLLOWERS {
        world.online(at);
    }
    world.converged("d");
    world.root.replica.history(Token(1), &id("d"), None, 1_000);
    world.run();
    let Some(Reply::History(page)) = world.root.replies.remove(&1) else { panic!("no history") };
    assert!(!page.more);
    let revision = |change: ChangeId| {
        let at = page.entries.iter().position(|entry| entry.entry.change == change).unwrap();
        Revision(page.first.0 + at as u64)
    };
    let clock_at = |revision: Revision| -> VectorClock {
        let until = usize::try_from(revision.0).unwrap();
        page.entries.iter().take(until).map(|entry| entry.entry.change).collect()
    };
    let newest = world.root.replica.view(&id("d")).unwrap();
    assert_eq!(*newest.clock, clock_at(newest.revision));
    let with_clock = |change: Change| {
        let mut clock = clock_at(change.base);
        clock.observe(change.id());
        Made { revision: revision(change.id()), change, clock }
    };
    made.into_iter().map(with_clock).collect()
}

/// Whether `later` was made by somebody who had seen `earlier`, by its base and `over` alone.
fn seen_by_base_and_over(earlier: &Made, later: &Made) -> bool {
    let own = earlier.change.replica == later.change.replica;
    earlier.revision <= later.change.base
        || (own && (later.change.over..later.change.counter).contains(&earlier.change.counter))
}

fn the_clock_calls_concurrent_what_base_and_over_call_concurrent(steps: &[(u8, u8)]) -> usize {
    let made = play(steps);
    let mut concurrent = 0;
    for (at, a) in made.iter().enumerate() {
        for b in &made[at + 1..] {
            let seen = seen_by_base_and_over(a, b) || seen_by_base_and_over(b, a);
            assert_eq!(a.clock.is_concurrent_with(&b.clock), !seen, "{a:?} {b:?}");
            assert_eq!(b.clock.has_seen(a.change.id()), seen_by_base_and_over(a, b), "{a:?} {b:?}");
            concurrent += usize::from(!seen);
        }
    }
    concurrent
}

#[test]
fn edits_made_apart_are_concurrent_and_those_made_one_after_another_are_not() {
    let (edit, leave) = (0, 3);
    let apart = [(0, leave), (1, leave), (0, edit), (1, edit), (0, edit)];
    assert_eq!(the_clock_calls_concurrent_what_base_and_over_call_concurrent(&apart), 2);
    let together = [(0, edit), (1, edit), (2, edit), (0, edit)];
    assert_eq!(the_clock_calls_concurrent_what_base_and_over_call_concurrent(&together), 0);
}

proptest! {
    #![proptest_config(rejoin_properties::cases(100))]

    #[test]
    fn clocks_agree_with_changes(steps in prop::collection::vec((any::<u8>(), any::<u8>()), 0..40)) {
        the_clock_calls_concurrent_what_base_and_over_call_concurrent(&steps);
    }
}
