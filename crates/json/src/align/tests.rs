use super::*;
use proptest::prelude::*;
#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

const PLENTY: u64 = 1 << 40;

/// Elements of which every look is the same, and every fingerprint unless they are allowed.
struct Lookalike {
    fingerprints: bool,
}

impl<T: Copy + Into<u64> + PartialEq> Likeness<T> for Lookalike {
    fn look(&self, _: &T) -> u64 {
        0
    }

    fn fingerprint(&self, element: &T) -> u64 {
        if self.fingerprints { (*element).into() } else { 0 }
    }

    fn same(&self, a: &T, b: &T) -> bool {
        a == b
    }
}

/// A linear congruential generator, so that long inputs cost nothing to make.
fn noise(seed: u64) -> impl FnMut(usize) -> usize {
    let mut state = seed;
    move |below| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % below
    }
}

fn matched(matches: &[Match]) -> usize {
    matches.iter().map(|run| run.len).sum()
}

/// Panics unless the matches are what `align` promises.
fn check<T: PartialEq + std::fmt::Debug>(a: &[T], b: &[T], matches: &[Match]) {
    let mut end = None;
    for run in matches {
        assert!(run.len > 0, "an empty run");
        assert_eq!(a[run.a..run.a + run.len], b[run.b..run.b + run.len], "unequal elements matched");
        if let Some((a, b)) = end {
            assert!(run.a >= a && run.b >= b, "matches cross");
            assert!((run.a, run.b) != (a, b), "adjacent runs are not joined");
        }
        end = Some((run.a + run.len, run.b + run.len));
    }
}

/// The length of the longest common subsequence by the quadratic table.
fn longest(a: &[u8], b: &[u8]) -> usize {
    let mut row = vec![0; b.len() + 1];
    for x in a {
        let mut diagonal = 0;
        for (j, y) in b.iter().enumerate() {
            let above = row[j + 1];
            row[j + 1] = if x == y { diagonal + 1 } else { above.max(row[j]) };
            diagonal = above;
        }
    }
    row[b.len()]
}

fn shuffled(count: usize, seed: u64) -> Vec<usize> {
    let mut values: Vec<usize> = (0..count).collect();
    let mut below = noise(seed);
    for end in (1..count).rev() {
        values.swap(end, below(end + 1));
    }
    values
}

#[test]
fn equal_sequences_are_one_match() {
    assert_eq!(align(b"abc", b"abc", &mut Work::new(0)), [Match { a: 0, b: 0, len: 3 }]);
    assert_eq!(align(b"", b"", &mut Work::new(0)), Vec::new());
    assert_eq!(align(b"abc", b"", &mut Work::new(0)), Vec::new());
}

#[test]
fn the_example_of_the_paper_has_four_matches() {
    let matches = align(b"ABCABBA", b"CBABAC", &mut Work::new(PLENTY));
    check(b"ABCABBA", b"CBABAC", &matches);
    assert_eq!(matched(&matches), 4);
}

#[test]
fn a_spent_budget_leaves_the_middle_unmatched_but_for_rare_elements() {
    let mut below = noise(4);
    let mut bits = || -> Vec<usize> { (0..100).map(|_| below(2)).collect() };
    let a = [&bits()[..], &[7], &bits(), &[2]].concat();
    let b = [&bits()[..], &[7], &bits(), &[3]].concat();
    let (poor, rich) = (align(&a, &b, &mut Work::new(0)), align(&a, &b, &mut Work::new(PLENTY)));
    check(&a, &b, &poor);
    check(&a, &b, &rich);
    assert!(poor.iter().any(|run| (run.a..run.a + run.len).contains(&100)), "the one 7 is an anchor");
    assert!(matched(&poor) < matched(&rich));
}

#[test]
fn equal_elements_in_any_order_are_paired_once() {
    let mut pairs = equal_pairs(b"abXaYa", b"aYcXa", &Lookalike { fingerprints: true });
    pairs.sort_unstable();
    assert_eq!(pairs, [(0, 0), (2, 3), (3, 4), (4, 1)]);
}

#[test]
fn work_is_not_given_back() {
    let mut work = Work::new(10);
    assert!(work.spend(10));
    assert!(work.spend(0));
    let mut work = Work::new(10);
    assert!(!work.spend(11));
    assert!(!work.spend(1));
}

#[test]
fn elements_that_all_look_the_same_match_only_equals() {
    let [a, b] = [1, 2].map(|seed| shuffled(300, seed).into_iter().map(|x| x as u64).collect::<Vec<_>>());
    let matches = align_by(&a, &b, &mut Work::new(PLENTY), &Lookalike { fingerprints: true });
    check(&a, &b, &matches);
    assert_eq!(matches, align(&a, &b, &mut Work::new(PLENTY)));
    check(&a, &b, &align_by(&a, &b, &mut Work::new(PLENTY), &Lookalike { fingerprints: false }));
}

#[test]
fn a_longest_increasing_run_is_strict_and_in_order() {
    assert!(longest_increasing(&[]).is_empty());
    assert_eq!(longest_increasing(&[5, 5, 5]).len(), 1);
    assert_eq!(longest_increasing(&[3, 1, 2, 9, 4, 5]), [1, 2, 4, 5]);
    assert_eq!(longest_increasing(&[0, 1, 2, 3]), [0, 1, 2, 3]);
}

#[test]
fn sixty_four_thousand_elements_need_no_quadratic_time() {
    // Steps stand for time: the exact ways take none of the budget, the others stay in it.
    let sorted: Vec<usize> = (0..64_000).collect();
    let work = &mut Work::new(0);
    let permuted = shuffled(64_000, 1);
    let matches = align(&sorted, &permuted, work);
    check(&sorted, &permuted, &matches);
    assert!(matched(&matches) > 400, "a random permutation increases along about 2 √n of its elements");

    let different: Vec<usize> = (64_000..128_000).collect();
    assert_eq!(align(&sorted, &different, work), []);

    let edited: Vec<usize> = sorted.iter().copied().filter(|value| value % 1_000 != 7).chain([3]).collect();
    assert_eq!(matched(&align(&sorted, &edited, work)), edited.len() - 1);

    let mut below = noise(3);
    let a: Vec<usize> = (0..64_000).map(|_| below(2)).collect();
    let b: Vec<usize> = (0..64_000).map(|_| below(2)).collect();
    check(&a, &b, &align(&a, &b, &mut Work::new(1 << 22)));
}

#[test]
fn a_middle_beyond_the_limit_is_not_aligned() {
    let a: Vec<u8> = vec![1; MAX_ELEMENTS];
    let mut b = a.clone();
    b.insert(0, 2);
    b.push(3);
    assert_eq!(align(&a, &b, &mut Work::new(PLENTY)), []);
}

proptest! {
    #![proptest_config(rejoin_properties::cases(600))]

    #[test]
    fn with_steps_enough_the_alignment_is_a_longest_one(
        a in prop::collection::vec(0u8..5, 0..60), b in prop::collection::vec(0u8..5, 0..60),
    ) {
        let matches = align(&a, &b, &mut Work::new(PLENTY));
        check(&a, &b, &matches);
        prop_assert_eq!(matched(&matches), longest(&a, &b));
    }

    #[test]
    fn snakes_and_listed_pairs_agree(
        a in prop::collection::vec(0u8..9, 0..40), b in prop::collection::vec(0u8..9, 0..40),
    ) {
        let (x, y): (Vec<u32>, Vec<u32>) =
            (a.iter().copied().map(u32::from).collect(), b.iter().copied().map(u32::from).collect());
        let length = longest(&a, &b);
        prop_assert_eq!(Snakes::new(&x, &y, 0).find(&mut Work::new(PLENTY)).len(), length);
        prop_assert_eq!(common_subsequence(&x, &y, usize::MAX).len(), length);
    }

    #[test]
    fn an_alignment_is_sound_whatever_the_budget(
        a in prop::collection::vec(0u8..4, 0..80), b in prop::collection::vec(0u8..4, 0..80),
        steps in 0u64..400,
    ) {
        let matches = align(&a, &b, &mut Work::new(steps));
        check(&a, &b, &matches);
        prop_assert_eq!(&matches, &align_by(&a, &b, &mut Work::new(steps), &Lookalike { fingerprints: true }));
    }
}
