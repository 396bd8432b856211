//! Laws of the three-way merge, over random documents and random edits of them.

#![allow(clippy::unwrap_used)]

mod laws;
mod random;

use laws::{
    POLICIES, Triple, check_identities, check_meetings, check_nothing_lost, check_patch_merge, check_patches,
    check_records, leaves, merged, options, scalars_of, triple,
};
use proptest::prelude::*;
use random::{Dice, Flavour, document, edited, unshared, value};
use rejoin_json::{
    ConflictKind, DiffOptions, Json, Limits, MergeOptions, Operation, Patch, PlacePath, PointerBuf, Policy,
    Side, Winner, apply, default_identity_keys, diff, merge, merge_create, touched, undo,
};
#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

/// Cases of each law; wasm32 runs the same code more slowly.
const CASES: u32 = if cfg!(target_arch = "wasm32") { 500 } else { 4_000 };

fn config() -> ProptestConfig {
    ProptestConfig { max_global_rejects: 1 << 20, ..rejoin_properties::cases(CASES) }
}

/// What a random document and its edits are made from.
fn seed() -> impl Strategy<Value = Vec<u32>> {
    prop::collection::vec(any::<u32>(), 1..160)
}

fn flavour() -> impl Strategy<Value = Flavour> {
    prop::sample::select(Flavour::ALL.to_vec())
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn a_side_that_changed_nothing_changes_nothing(seed in seed(), flavour in flavour()) {
        let Triple { base, current: x, .. } = triple(&seed, flavour);
        for policy in POLICIES {
            for (current, incoming) in [(&x, &base), (&base, &x), (&x, &x)] {
                for (base, current, incoming) in [
                    (base.clone(), current.clone(), incoming.clone()),
                    (unshared(&base), unshared(current), unshared(incoming)),
                ] {
                    let outcome = merged(&base, &current, &incoming, policy);
                    prop_assert_eq!(&outcome.content, &x);
                    prop_assert!(outcome.conflicts.is_empty(), "{:?}", outcome.conflicts);
                }
            }
        }
    }

    #[test]
    fn what_is_shared_does_not_matter(seed in seed(), flavour in flavour()) {
        let triple = triple(&seed, flavour);
        let shared = merged(&triple.base, &triple.current, &triple.incoming, Policy::Theirs);
        let apart = merged(
            &unshared(&triple.base), &unshared(&triple.current), &unshared(&triple.incoming), Policy::Theirs,
        );
        prop_assert_eq!(shared, apart);
    }

    #[test]
    fn the_patches_of_a_merge_lead_there_and_back(seed in seed(), flavour in flavour()) {
        let Triple { base, current, incoming, .. } = triple(&seed, flavour);
        for policy in POLICIES {
            check_patches(&current, &merged(&base, &current, &incoming, policy));
        }
    }

    #[test]
    fn nothing_that_either_side_wrote_is_lost(seed in seed(), flavour in flavour()) {
        let triple = triple(&seed, flavour);
        for policy in POLICIES {
            let outcome = merged(&triple.base, &triple.current, &triple.incoming, policy);
            check_nothing_lost(&triple, flavour, &outcome);
            check_records(&triple, &outcome, policy);
        }
    }

    #[test]
    fn where_both_sides_met_there_is_a_record(
        seed in seed(), flavour in prop::sample::select(vec![Flavour::Keyed, Flavour::InPlace]),
    ) {
        let triple = triple(&seed, flavour);
        for policy in POLICIES {
            check_meetings(&triple, &merged(&triple.base, &triple.current, &triple.incoming, policy));
        }
    }

    #[test]
    fn nothing_is_made_up(seed in seed(), flavour in flavour()) {
        let triple = triple(&seed, flavour);
        let known = scalars_of([&triple.base, &triple.current, &triple.incoming]);
        let outcome = merged(&triple.base, &triple.current, &triple.incoming, Policy::Theirs);
        for scalar in scalars_of([&outcome.content]).keys() {
            let text = scalar.starts_with('"');
            prop_assert!(known.contains_key(scalar) || text && flavour == Flavour::Texts, "{}", scalar);
        }
    }

    #[test]
    fn no_array_gains_an_identity_twice(seed in seed(), flavour in flavour()) {
        let triple = triple(&seed, flavour);
        for policy in POLICIES {
            check_identities(&triple, &merged(&triple.base, &triple.current, &triple.incoming, policy));
        }
    }

    #[test]
    fn a_patch_is_merged_as_what_it_made_of_what_was_seen(
        seed in seed(), flavour in flavour(), counted in any::<bool>(),
    ) {
        let Triple { base: seen, current, incoming, patch } = triple(&seed, flavour);
        let counters = [PointerBuf::parse("/a/*/n").unwrap(), PointerBuf::parse("/b/n").unwrap()];
        for policy in POLICIES {
            let options = MergeOptions { counters: if counted { &counters } else { &[] }, ..options(policy) };
            for current in [&current, &seen, &unshared(&seen)] {
                check_patch_merge(&seen, &patch, current, &incoming, &options);
            }
        }
    }

    #[test]
    fn arbitrary_contents_merge(seed in seed()) {
        let mut dice = Dice::of(&seed);
        let [base, current, incoming] = [0; 3].map(|_| value(&mut dice, Flavour::Mixed, 3));
        let triple = Triple { patch: Patch::new(), base, current, incoming };
        for policy in POLICIES {
            let outcome = merged(&triple.base, &triple.current, &triple.incoming, policy);
            check_patches(&triple.current, &outcome);
            check_records(&triple, &outcome, policy);
        }
        let created = merge_create(&triple.current, &triple.incoming, &options(Policy::Theirs)).unwrap();
        check_patches(&triple.current, &created);
    }

    #[test]
    fn an_undo_of_the_last_change_leaves_what_was_before(seed in seed(), flavour in flavour()) {
        let Triple { base, current, incoming, .. } = triple(&seed, flavour);
        let outcome = undo(&base, &incoming, &incoming, &options(Policy::Theirs)).unwrap();
        prop_assert_eq!(&outcome.content, &base);
        prop_assert!(outcome.conflicts.is_empty());
        // Undone after others edited on, an undo brings back nothing that they threw away and overwrites nothing.
        let view = merged(&base, &incoming, &current, Policy::Theirs).content;
        let outcome = undo(&base, &incoming, &view, &options(Policy::Theirs)).unwrap();
        check_patches(&view, &outcome);
        for conflict in &outcome.conflicts {
            prop_assert!(conflict.winner != Winner::Incoming, "{:?}", conflict);
        }
    }

    #[test]
    fn edits_of_different_places_equal_both_patches_in_either_order(seed in seed()) {
        let mut dice = Dice::of(&seed);
        let base = document(&mut dice, Flavour::Keyed);
        let [first, second] = ["c", "i"].map(|side| {
            let edits = dice.below(3) + 1;
            let (_, mut patch) = edited(&base, &mut dice, Flavour::InPlace, side, edits);
            // A test would be about what the other patch left.
            patch.0.retain(|operation| !matches!(operation, Operation::Test { .. }));
            patch
        });
        let keys = default_identity_keys();
        let places = [touched(&base, &first, &keys), touched(&base, &second, &keys)];
        let apart = places[0].iter().all(|a| places[1].iter().all(|b| !a.overlaps(b)));
        prop_assume!(apart);
        let limits = Limits::default();
        let patched = |patches: [&Patch; 2]| {
            let mut document = base.clone();
            patches.iter().for_each(|patch| apply(&mut document, patch, &limits).unwrap());
            document
        };
        let expected = patched([&first, &second]);
        prop_assert_eq!(&patched([&second, &first]), &expected);
        let [current, incoming] = [&first, &second].map(|patch| patched([patch, &Patch::new()]));
        for (current, incoming) in [(&current, &incoming), (&incoming, &current)] {
            for policy in POLICIES {
                let outcome = merged(&base, current, incoming, policy);
                prop_assert_eq!(&outcome.content, &expected);
                prop_assert!(outcome.conflicts.is_empty());
            }
        }
    }

    #[test]
    fn insertions_and_deletions_take_effect_where_they_were_made(seed in seed()) {
        let mut dice = Dice::of(&seed);
        let count = dice.below(6);
        let elements: Vec<Slot> = (0..count).map(|_| Slot::random(&mut dice)).collect();
        let last = Slot::random(&mut dice);
        let list = |ids: Vec<String>| ids.into_iter().map(|id| json(&format!(r#"{{"id":"{id}"}}"#))).collect::<Json>();
        let side = |inserted: fn(&Slot) -> usize, deleted: fn(&Slot) -> bool, name: &str| {
            let mut ids = Vec::new();
            for (at, slot) in elements.iter().chain([&last]).enumerate() {
                ids.extend((0..inserted(slot)).map(|n| format!("{name}{at}.{n}")));
                if at < count && !deleted(slot) {
                    ids.push(format!("b{at}"));
                }
            }
            list(ids)
        };
        let base = list((0..count).map(|at| format!("b{at}")).collect());
        let current = side(|slot| slot.current, |slot| slot.current_deletes, "c");
        let incoming = side(|slot| slot.incoming, |slot| slot.incoming_deletes, "i");

        // Between two elements that both kept: what current put there, then what incoming put there.
        let mut expected = Vec::new();
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        for (at, slot) in elements.iter().chain([&last]).enumerate() {
            ours.extend((0..slot.current).map(|n| format!("c{at}.{n}")));
            theirs.extend((0..slot.incoming).map(|n| format!("i{at}.{n}")));
            if at == count || !slot.current_deletes && !slot.incoming_deletes {
                expected.append(&mut ours);
                expected.append(&mut theirs);
                expected.extend((at < count).then(|| format!("b{at}")));
            }
        }
        let outcome = merged(&base, &current, &incoming, Policy::Theirs);
        prop_assert_eq!(outcome.content, list(expected));
        prop_assert!(outcome.conflicts.is_empty());
    }

    #[test]
    fn what_is_not_touched_stays(seed in seed(), flavour in flavour()) {
        let Triple { base, incoming, patch, .. } = triple(&seed, flavour);
        let places = touched(&base, &patch, &default_identity_keys());
        let (before, after) = (leaves(&base), leaves(&incoming));
        for path in before.keys().chain(after.keys()) {
            if before.get(path) != after.get(path) {
                prop_assert!(places.iter().any(|place| place.overlaps(path)), "{} of {}: {:?}", path, patch, places);
            }
        }
    }

    #[test]
    fn under_latest_each_place_goes_to_its_newer_side(seed in seed()) {
        let Triple { base, current, incoming, .. } = triple(&seed, Flavour::Keyed);
        // By a property of the place, so that places of one merge differ.
        let newer = |path: &PlacePath| if path.to_string().len().is_multiple_of(2) { Side::Current } else { Side::Incoming };
        let options = MergeOptions { newer: &newer, ..options(Policy::Latest) };
        let outcome = merge(&base, &current, &incoming, &options).unwrap();
        for conflict in outcome.conflicts.iter().filter(|conflict| conflict.kind == ConflictKind::Edited) {
            prop_assert_eq!(conflict.winner, Winner::from(newer(&conflict.path)));
        }
    }
}

/// What both sides do before and with an element of a list.
#[derive(Debug)]
struct Slot {
    current: usize,
    incoming: usize,
    current_deletes: bool,
    incoming_deletes: bool,
}

impl Slot {
    fn random(dice: &mut Dice<'_>) -> Self {
        Self {
            current: dice.below(3).saturating_sub(1),
            incoming: dice.below(3).saturating_sub(1),
            current_deletes: dice.below(4) == 0,
            incoming_deletes: dice.below(4) == 0,
        }
    }
}

fn json(text: &str) -> Json {
    Json::parse(text, &Limits::default()).unwrap()
}

#[test]
fn the_patches_of_a_merge_are_as_small_as_the_difference() {
    let cards: Vec<String> = (0..1_000)
        .map(|id| format!(r#"{{"id":{id},"title":"Card {id}","text":"{}"}}"#, "x".repeat(60)))
        .collect();
    let base = json(&format!(r#"{{"cards":[{}]}}"#, cards.join(",")));
    let replace = |index: usize, title: &str| {
        let path = PointerBuf::parse(format!("/cards/{index}/title")).unwrap();
        Patch(vec![Operation::Replace { path, value: Json::from(title) }])
    };
    let (mut current, mut incoming) = (base.clone(), base.clone());
    apply(&mut current, &replace(10, "theirs"), &Limits::default()).unwrap();
    apply(&mut incoming, &replace(900, "mine"), &Limits::default()).unwrap();
    let outcome = merged(&base, &current, &incoming, Policy::Theirs);
    assert_eq!(outcome.forward, replace(900, "mine"));
    assert_eq!(outcome.reverse, replace(900, "Card 900"));
    assert_eq!(outcome.forward, diff(&current, &outcome.content, &DiffOptions::default()));
    let shared = outcome.content.get("cards").unwrap().as_array().unwrap();
    let before = current.get("cards").unwrap().as_array().unwrap();
    assert_eq!(
        shared.iter().zip(before).filter(|(a, b)| !a.ptr_eq(b)).count(),
        1,
        "the rest is shared with current"
    );
}
