//! Documents: updates in any order, doubled, merged, with gaps, and what is refused of them.

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use rejoin_crdt::{ApplyError, Document, MAX_DEPTH, MAX_WAITING_BYTES, StateVector, Update};
use yrs::{
    Array as _, Doc, Map as _, MapPrelim, Out, ReadTxn as _, Text as _, Transact as _, WriteTxn as _,
    merge_updates_v1,
};

use crate::support::{Dice, check, document, of, peer, sorted, take, var, whole};

/// One of several who edit offline, and now and then take over what another has.
fn edit(doc: &Doc, dice: &mut Dice) {
    let mut transaction = doc.transact_mut();
    let text = transaction.get_or_insert_text("text");
    let array = transaction.get_or_insert_array("array");
    let map = transaction.get_or_insert_map("map");
    for _ in 0..=dice.below(4) {
        let upto = |length: u32, dice: &mut Dice| u32::try_from(dice.below(length as usize + 1)).unwrap();
        match dice.below(8) {
            0..3 => {
                let at = upto(text.len(&transaction), dice);
                let piece = *dice.pick(&["a", "bc", "é", "😀z"]);
                text.insert(&mut transaction, at, piece);
            }
            3 if text.len(&transaction) > 1 => {
                let at = upto(text.len(&transaction) - 2, dice);
                text.remove_range(&mut transaction, at, 1);
            }
            4 => {
                map.insert(&mut transaction, *dice.pick(&["k", "l"]), dice.below(9) as i64);
            }
            5 => {
                let at = upto(array.len(&transaction), dice);
                array.insert(&mut transaction, at, MapPrelim::from([("q", 1)]));
            }
            6 if array.len(&transaction) > 0 => {
                let at = upto(array.len(&transaction) - 1, dice);
                array.remove(&mut transaction, at);
            }
            7 if array.len(&transaction) > 0 => {
                let at = upto(array.len(&transaction) - 1, dice);
                if let Some(Out::YMap(inner)) = array.get(&transaction, at) {
                    inner.insert(&mut transaction, "z", dice.below(5) as i64);
                }
            }
            _ => {}
        }
    }
}

/// The updates of a history with several authors, in the order in which they were made.
fn history(seed: u64) -> Vec<Vec<u8>> {
    let mut dice = Dice::new(seed);
    let docs: Vec<Doc> = (0..3 + dice.below(3) as u64).map(|at| peer(1_000 + at * 7)).collect();
    let mut updates = Vec::new();
    for _ in 0..40 {
        let doc = dice.pick(&docs).clone();
        let before = doc.transact().state_vector();
        edit(&doc, &mut dice);
        updates.push(doc.transact().encode_diff_v1(&before));
        let other = dice.pick(&docs).clone();
        if dice.below(3) == 0 && !Doc::ptr_eq(&other, &doc) {
            let has = other.transact().state_vector();
            take(&other, &doc.transact().encode_diff_v1(&has));
        }
    }
    updates
}

#[test]
fn updates_in_any_order_doubled_and_merged_make_what_yrs_makes_of_them_in_order() {
    let mut waited = 0;
    for seed in 0..150 {
        let updates = history(seed);
        let reference = peer(1);
        updates.iter().for_each(|update| take(&reference, update));
        let mut dice = Dice::new(seed ^ 0xabc);
        let mut order: Vec<usize> = (0..updates.len()).collect();
        dice.shuffle(&mut order);
        let mut document = document();
        for at in order {
            let update = match dice.below(6) {
                0 => merge_updates_v1([&updates[at], dice.pick(&updates)]).unwrap(),
                _ => updates[at].clone(),
            };
            let applied = document.apply(check(update)).unwrap();
            assert!(applied.dropped.is_empty());
            assert!(!document.doc().transact().has_missing_updates(), "yrs never sees a gap");
            waited += document.waiting().len();
        }
        assert_eq!((document.waiting().len(), document.waiting_bytes()), (0, 0), "seed {seed}");
        let expected = of([&check(whole(&reference))]);
        assert_eq!(document.json().unwrap(), expected.json().unwrap(), "seed {seed}");
        let cold = of([&check(sorted(&document))]);
        assert_eq!(cold.json().unwrap(), document.json().unwrap());
        let known: Vec<(u64, u32)> = reference
            .transact()
            .state_vector()
            .iter()
            .map(|(client, clock)| (client.get(), *clock))
            .collect();
        assert!(known.iter().all(|(client, clock)| document.clocks().get(client) == Some(clock)));
    }
    assert!(waited > 1_000, "{waited}");
}

#[test]
fn what_was_applied_makes_the_same_again_wherever_it_goes() {
    for seed in 0..30 {
        let mut updates = history(seed);
        Dice::new(seed).shuffle(&mut updates);
        let (mut here, mut there) = (document(), document());
        for update in updates {
            for applied in here.apply(check(update)).unwrap().updates {
                let applied = there.apply(applied).unwrap();
                assert_eq!(there.waiting().len(), 0, "each can be applied as it comes");
                assert_eq!(applied.updates.len(), 1);
            }
        }
        assert_eq!(sorted(&here), sorted(&there));
    }
}

#[test]
fn who_has_something_gets_what_it_lacks() {
    let updates: Vec<Update> = history(7).into_iter().map(check).collect();
    let (document, mut behind) = (of(&updates), of(&updates[..20]));
    let have =
        behind.clocks().iter().flat_map(|(client, clock)| [var(*client), var((*clock).into())].concat());
    let have = [var(behind.clocks().len() as u64), have.collect()].concat();
    let lacks = check(document.since(&StateVector::check(&have).unwrap()).unwrap());
    assert!(lacks.bytes().len() < sorted(&document).len());
    behind.apply(lacks).unwrap();
    assert_eq!(sorted(&behind), sorted(&document));
}

#[test]
fn an_update_twice_changes_nothing_the_second_time() {
    let doc = peer(9);
    {
        let mut transaction = doc.transact_mut();
        transaction.get_or_insert_text("t").insert(&mut transaction, 0, "x");
    }
    let update = check(whole(&doc));
    let mut document = document();
    assert_eq!(document.apply(update.clone()).unwrap().updates, std::slice::from_ref(&update));
    let before = sorted(&document);
    document.apply(update).unwrap();
    assert_eq!(sorted(&document), before);
}

/// A map of client 9 at a clock, in the root type `a` or in what the client made before.
fn nested(clock: u8, within: Option<u8>) -> Update {
    let place = within.map_or(vec![1, 1, b'a'], |within| vec![0, 9, within]);
    check([vec![1, 1, 9, clock, 7], place, vec![0, 0]].concat())
}

#[test]
fn types_stand_as_deep_as_they_may_though_each_came_by_itself() {
    let deepest = u8::try_from(MAX_DEPTH).unwrap();
    let all: Vec<Update> = (0..=deepest).map(|clock| nested(clock, clock.checked_sub(1))).collect();
    let mut document = document();
    for update in &all[..MAX_DEPTH] {
        document.apply(update.clone()).unwrap();
    }
    let before = sorted(&document);
    assert_eq!(document.apply(all[MAX_DEPTH].clone()), Err(ApplyError::Depth));
    assert_eq!(sorted(&document), before);
    // It is as if it had not come: another takes the clock.
    document.apply(nested(deepest, Some(0))).unwrap();
    assert_eq!(document.clocks().get(&9), Some(&(u32::from(deepest) + 1)));
}

#[test]
fn what_waited_and_is_too_deep_is_dropped_alone() {
    let deepest = u8::try_from(MAX_DEPTH).unwrap();
    let mut document = document();
    for clock in (1..=deepest).rev() {
        assert!(document.apply(nested(clock, Some(clock - 1))).unwrap().updates.is_empty());
    }
    let applied = document.apply(nested(0, None)).unwrap();
    assert_eq!(applied.updates.len(), MAX_DEPTH);
    assert_eq!(applied.dropped.len(), 1);
    assert_eq!((document.waiting().len(), document.waiting_bytes()), (0, 0));
}

/// A text of a client behind one that is missing, of so many bytes in all.
fn behind_a_gap(client: u8, bytes: usize) -> Update {
    let text = |length: usize| {
        [vec![1, 1, client, 1, 0x84, client, 0], var(length as u64), vec![b'x'; length], vec![0]].concat()
    };
    let around = text(bytes).len() - bytes;
    let update = text(bytes - around);
    assert_eq!(update.len(), bytes);
    check(update)
}

#[test]
fn as_much_as_may_waits_for_what_is_missing_and_no_byte_more() {
    let mut document = document();
    document.apply(behind_a_gap(9, MAX_WAITING_BYTES - 100)).unwrap();
    assert_eq!(document.apply(behind_a_gap(8, 101)), Err(ApplyError::Gap));
    document.apply(behind_a_gap(8, 100)).unwrap();
    assert_eq!(document.waiting_bytes(), MAX_WAITING_BYTES);
    assert_eq!(
        document.apply(check(vec![0, 1, 7, 1, 0, 1])),
        Err(ApplyError::Gap),
        "a deletion ahead of its element"
    );
    // What has no gap goes on.
    assert_eq!(document.apply(nested(0, None)).unwrap().updates.len(), 2, "and so does what waited for it");
    assert_eq!(document.waiting_bytes(), 100);
}

#[test]
fn a_deletion_waits_for_what_it_deletes_and_what_is_there_of_it_goes() {
    let author = peer(9);
    let mut document = document();
    {
        let mut transaction = author.transact_mut();
        transaction.get_or_insert_text("t").insert(&mut transaction, 0, "ab");
    }
    let first = whole(&author);
    let has = author.transact().state_vector();
    {
        let mut transaction = author.transact_mut();
        let text = transaction.get_or_insert_text("t");
        text.insert(&mut transaction, 2, "cd");
        text.remove_range(&mut transaction, 1, 2);
    }
    let (second, all) = (author.transact().encode_diff_v1(&has), whole(&author));
    // Only what it deletes: the structures go to somebody else.
    let deletions = check(second.clone());
    let at = second.len() - 5;
    let deletes = [&[0][..], &second[at..]].concat();
    assert_eq!(check(deletes.clone()).facts().deleted, deletions.facts().deleted);
    document.apply(check(first)).unwrap();
    assert_eq!(document.apply(check(deletes)).unwrap().updates.len(), 1, "one of both is there");
    assert_eq!(document.waiting().len(), 1);
    assert_eq!(document.json().unwrap().get("t").unwrap().as_str(), Some("a"));
    document.apply(check(second)).unwrap();
    assert_eq!(document.waiting().len(), 0);
    assert_eq!(document.json().unwrap().get("t").unwrap().as_str(), Some("ad"));
    assert_eq!(sorted(&document), check(all).sorted());
}

#[test]
fn an_edit_here_is_an_update_for_others() {
    let mut here = document();
    let made = here
        .edit::<ApplyError>(|transaction| {
            let text = transaction.get_or_insert_text("t");
            text.insert(transaction, 0, "hello");
            Ok(())
        })
        .unwrap()
        .unwrap();
    assert_eq!(here.clocks().get(&1), Some(&5));
    let there = of([&made]);
    assert_eq!(sorted(&there), sorted(&here));
    assert!(here.edit::<ApplyError>(|_| Ok(())).unwrap().is_none());
}

/// On wasm32 a panic ends the module, and whoever loaded it makes the document again.
#[cfg(not(target_arch = "wasm32"))]
#[test]
fn a_panic_within_an_edit_breaks_the_document_and_not_the_process() {
    let mut document = document();
    let broken = document.edit::<ApplyError>(|_| panic!("it breaks"));
    assert_eq!(broken, Err(ApplyError::Broken));
}

#[test]
fn the_parts_of_a_long_text_and_a_long_list_are_short() {
    let doc = peer(77);
    {
        let mut transaction = doc.transact_mut();
        let text = transaction.get_or_insert_text("t");
        text.insert(&mut transaction, 0, "end");
        text.insert(&mut transaction, 0, &"aé😀".repeat(3_000));
        text.remove_range(&mut transaction, 10, 5);
        let array = transaction.get_or_insert_array("a");
        for number in 0..3_000 {
            array.push_back(&mut transaction, format!("v{number}"));
        }
    }
    let update = check(whole(&doc));
    let parts = update.in_parts(&Default::default(), 1_000);
    assert!(parts.iter().all(|part| part.len() < 1_100), "{:?}", parts.iter().map(|part| part.len()).max());
    let mut document = Document::new("parts", 2);
    for part in parts {
        document.apply(check(part)).unwrap();
        assert_eq!(document.waiting().len(), 0);
    }
    let whole = of([&update]);
    assert_eq!(document.json().unwrap(), whole.json().unwrap());
    assert_eq!(document.clocks(), whole.clocks());
}
