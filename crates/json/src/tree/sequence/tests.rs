#![allow(clippy::unwrap_used)]

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use super::*;

/// Enough for a tree of three levels.
const MANY: u32 = 5_000;

fn numbers(count: u32) -> Vec<Json> {
    (0..count).map(Json::from).collect()
}

/// Checks what the pieces know and how they are built, and returns the parts.
fn checked(sequence: &Sequence<Json>) -> Vec<Json> {
    check(sequence, true);
    let parts: Vec<Json> = sequence.iter().cloned().collect();
    assert_eq!(sequence.len(), parts.len());
    assert_eq!(sequence.encoded_len() + 2, Json::from(parts.clone()).canonical().len());
    assert_eq!(sequence.depth(), parts.iter().map(Json::depth).max().unwrap_or(0));
    parts
}

/// Returns how many levels there are.
fn check(sequence: &Sequence<Json>, is_root: bool) -> usize {
    let (known, found) = (sequence.0.gauge, sequence.0.body.gauge());
    assert_eq!(
        (known.len, known.encoded_len, known.depth),
        (found.len, found.encoded_len, found.depth),
        "a piece knows its parts"
    );
    match &sequence.0.body {
        Body::Leaf(parts) => {
            assert!(parts.len() <= WIDTH && (is_root || !parts.is_empty()));
            1
        }
        Body::Branch(children) => {
            assert!((1 + usize::from(is_root)..=WIDTH).contains(&children.len()));
            assert!(children.iter().all(|(len, child)| *len == child.len()));
            let levels: Vec<usize> = children.iter().map(|(_, child)| check(child, false)).collect();
            assert!(levels.iter().all(|level| *level == levels[0]), "leaves stand on one level");
            levels[0] + 1
        }
    }
}

/// Numbers that look random.
fn dice(seed: u64) -> impl FnMut(usize) -> usize {
    let mut state = seed;
    move |end| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(state >> 33).unwrap() % end
    }
}

/// Every piece of a list, by address.
fn pieces(sequence: &Sequence<Json>, found: &mut Vec<*const Piece<Json>>) {
    found.push(Arc::as_ptr(&sequence.0));
    if let Body::Branch(children) = &sequence.0.body {
        children.iter().for_each(|(_, child)| pieces(child, found));
    }
}

/// How many pieces of the list are not in the other.
fn copied(sequence: &Sequence<Json>, other: &Sequence<Json>) -> usize {
    let (mut own, mut others) = (Vec::new(), Vec::new());
    pieces(sequence, &mut own);
    pieces(other, &mut others);
    own.iter().filter(|piece| !others.contains(piece)).count()
}

#[test]
fn a_list_does_what_a_vector_does_while_copies_keep_what_they_had() {
    let mut dice = dice(7);
    for start in [0, 33, 1_100] {
        let mut model = numbers(start);
        let mut sequence = Sequence::from(model.clone());
        let mut kept = Vec::new();
        for step in 0..2_000_u32 {
            // Grows at first, then shrinks.
            let grows = dice(10) < if step < 1_000 { 8 } else { 2 };
            let index = dice(model.len() + 1);
            let nested = Json::from(vec![Json::from(step)]);
            let value = if step % 7 == 0 { nested } else { Json::from(step) };
            match step % 3 {
                0 if index < model.len() => {
                    sequence.change(index, &mut |place| *place = value.clone());
                    model[index] = value;
                }
                _ if grows => {
                    sequence.insert(index, value.clone());
                    model.insert(index, value);
                }
                _ => {
                    let expected = (index < model.len()).then(|| model.remove(index));
                    assert_eq!(sequence.remove(index), expected);
                }
            }
            if step % 250 == 0 {
                assert_eq!(checked(&sequence), model);
                kept.push((sequence.clone(), model.clone()));
            }
        }
        assert_eq!(checked(&sequence), model);
        for (sequence, model) in kept {
            assert_eq!(checked(&sequence), model);
        }
    }
}

#[test]
fn a_list_that_is_emptied_from_either_end_is_an_empty_leaf() {
    for from_end in [true, false] {
        let mut sequence = Sequence::from(numbers(MANY));
        for _ in 0..MANY {
            assert!(sequence.remove(if from_end { sequence.len() - 1 } else { 0 }).is_some());
        }
        assert_eq!(sequence.remove(0), None);
        assert_eq!(checked(&sequence), []);
        assert_eq!(check(&sequence, true), 1);
    }
}

#[test]
fn a_list_built_at_its_end_is_as_compact_as_one_built_at_once() {
    let mut sequence = Sequence::default();
    for number in 0..MANY {
        sequence.insert(sequence.len(), Json::from(number));
    }
    let count = |sequence| {
        let mut found = Vec::new();
        pieces(sequence, &mut found);
        found.len()
    };
    assert_eq!(checked(&sequence), numbers(MANY));
    assert_eq!(count(&sequence), count(&Sequence::from(numbers(MANY))));
}

#[test]
fn an_edit_of_a_shared_list_copies_one_piece_of_each_level() {
    let before = Sequence::from(numbers(64_000));
    let levels = check(&before, true);
    assert_eq!(levels, 4);
    let mut after = before.clone();
    after.change(31_999, &mut |place| *place = Json::Null);
    assert_eq!(copied(&after, &before), levels);
    let mut after = before.clone();
    after.insert(31_999, Json::Null);
    // A full piece of each level is cut in two, at most.
    assert!(copied(&after, &before) <= 2 * levels + 1);
    let mut after = before.clone();
    after.remove(31_999);
    assert!(copied(&after, &before) <= 2 * levels);
    assert_eq!(checked(&before), numbers(64_000));
}

#[test]
fn an_edit_of_a_list_that_nobody_shares_copies_nothing() {
    let mut sequence = Sequence::from(numbers(MANY));
    let mut before = Vec::new();
    pieces(&sequence, &mut before);
    sequence.change(2_500, &mut |place| *place = Json::Null);
    sequence.remove(2_500);
    sequence.insert(2_500, Json::from(2_500));
    let mut after = Vec::new();
    pieces(&sequence, &mut after);
    assert_eq!(before, after);
}

#[test]
fn iteration_from_both_ends_meets_in_the_middle() {
    let sequence = Sequence::from(numbers(1_000));
    let (mut parts, mut model) = (sequence.iter(), 0..1_000_u32);
    let mut dice = dice(3);
    loop {
        let skipped = dice(40);
        let (part, expected) = match dice(3) {
            0 => (parts.next_back(), model.next_back()),
            1 => (parts.next(), model.next()),
            _ => (parts.nth(skipped), model.nth(skipped)),
        };
        assert_eq!(part, expected.map(Json::from).as_ref());
        assert_eq!(parts.len(), model.len());
        if expected.is_none() {
            break;
        }
    }
}

#[test]
fn lists_in_different_pieces_are_equal_by_their_parts() {
    let one = Sequence::from(numbers(1_000));
    let mut other = Sequence::default();
    for number in (0..1_000_u32).rev() {
        other.insert(0, Json::from(number));
    }
    assert!(one == other);
    other.change(999, &mut |place| *place = Json::from(998));
    assert!(one != other);
    other.remove(999);
    assert!(one != other);
}

#[test]
fn runs_of_a_shared_piece_have_one_address() {
    let before = Sequence::from(numbers(1_000));
    let mut after = before.clone();
    after.change(500, &mut |place| *place = Json::Null);
    let apart: usize =
        shared_runs(&before, &after).filter(|(a, b)| !std::ptr::eq(*a, *b)).map(|(a, _)| a.len()).sum();
    assert_eq!(apart, WIDTH);
}
