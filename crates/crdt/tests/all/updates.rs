//! What is taken for an update and for a state vector, and what each refusal says.

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use rejoin_crdt::{Fault, MAX_CLIENTS, MAX_CLOCK, MAX_DEPTH, Malformed, StateVector, Update};
use yrs::{Map as _, ReadTxn as _, Text as _, Transact as _, WriteTxn as _, XmlFragment as _};

use crate::support::{check, peer, var, whole};

/// What is wrong with bytes, and where.
fn refused(bytes: &[u8]) -> Malformed {
    match Update::check(bytes.to_vec().into(), 1 << 26) {
        Ok(_) => panic!("{bytes:02x?} is taken"),
        Err(malformed) => malformed,
    }
}

fn fault(bytes: &[u8]) -> Fault {
    refused(bytes).fault
}

/// One structure of client 9 at clock 5, which nothing is deleted of.
fn structure(bytes: &[u8]) -> Vec<u8> {
    [&[1, 1, 9, 5], bytes, &[0]].concat()
}

/// The same in the root type `a`, of a kind.
fn in_root(kind: u8, content: &[u8]) -> Vec<u8> {
    structure(&[&[kind, 1, 1, b'a'], content].concat())
}

#[test]
fn what_yrs_writes_is_taken_and_told() {
    let doc = peer(9);
    {
        let mut transaction = doc.transact_mut();
        let text = transaction.get_or_insert_text("t");
        text.insert(&mut transaction, 0, "héllo😀");
        text.remove_range(&mut transaction, 1, 2);
        let map = transaction.get_or_insert_map("m");
        map.insert(&mut transaction, "k", yrs::MapPrelim::from([("n", 1)]));
        let fragment = transaction.get_or_insert_xml_fragment("x");
        fragment.push_back(&mut transaction, yrs::XmlElementPrelim::empty("p"));
    }
    let bytes = whole(&doc);
    let update = check(bytes.clone());
    let facts = update.facts();
    assert_eq!(facts.inserted.len(), 1);
    assert_eq!((facts.inserted[0].client, facts.inserted[0].start), (9, 0));
    assert_eq!(facts.inserted[0].end, doc.transact().state_vector().get(&yrs::ClientID::new(9)));
    assert_eq!((facts.types, facts.skipped), (2, 0));
    assert_eq!(facts.deleted.get(&9), Some(&3));
    assert_eq!(update.bytes().as_ref(), bytes);
    assert!(check(vec![0, 0]).is_empty());
}

#[test]
fn what_is_no_update_is_refused() {
    assert_eq!(refused(&[]), Malformed { at: 0, fault: Fault::Ends });
    assert_eq!(fault(&[0, 0, 0]), Fault::Trailing);
    assert_eq!(fault(&[0, 1]), Fault::Count);
    assert_eq!(fault(&[0x80, 0, 0]), Fault::Integer);
    assert_eq!(fault(&[0xff; 12]), Fault::Integer);
    // More clients, structures or ranges than bytes are left for.
    assert_eq!(fault(&[9, 1, 1, 1, 0, 1, 1, 0]), Fault::Count);
    assert_eq!(fault(&[1, 99, 9, 0, 0, 1, 0]), Fault::Count);
    assert_eq!(fault(&[0, 1, 9, 99, 0, 1]), Fault::Count);
    assert_eq!(fault(&[1, 0, 9, 0, 0, 1, 0]), Fault::Empty);
    let twice = [2, 1, 9, 0, 0, 1, 1, 9, 1, 0, 1, 0];
    assert_eq!(fault(&twice), Fault::Twice);
    assert_eq!(fault(&[0, 2, 9, 1, 0, 1, 9, 1, 1, 1]), Fault::Twice);
}

#[test]
fn what_yrs_does_not_survive_or_understand_is_refused() {
    // Clocks that reach the end, and lengths beyond it.
    let end = |length: u64| [&[1, 1, 9, 5, 0][..], &var(length), &[0]].concat();
    assert!(Update::check(end(MAX_CLOCK - 5).into(), 100).is_ok());
    assert_eq!(fault(&end(MAX_CLOCK - 4)), Fault::Clock);
    assert_eq!(fault(&end(MAX_CLOCK + 1)), Fault::Clock);
    let deleted = |length: u64| [&[0, 1, 9, 1, 5][..], &var(length)].concat();
    assert!(Update::check(deleted(MAX_CLOCK - 5).into(), 100).is_ok());
    assert_eq!(fault(&deleted(MAX_CLOCK - 4)), Fault::Clock);
    assert_eq!(fault(&structure(&[0, 0])), Fault::Empty);
    assert_eq!(fault(&in_root(4, &[0])), Fault::Empty);
    assert_eq!(fault(&in_root(8, &[0])), Fault::Empty);
    // Kinds that nobody has: weak links, collected items of the second format.
    for kind in [2, 11, 12, 31] {
        assert_eq!(fault(&in_root(kind, &[1, 1, b'1'])), Fault::Kind, "kind {kind}");
    }
    for kind in [5, 7, 9, 15] {
        assert_eq!(fault(&in_root(7, &[kind, 0])), Fault::Kind, "type {kind}");
    }
    assert_eq!(fault(&in_root(8, &[1, 115])), Fault::Kind);
    assert_eq!(fault(&in_root(4, &[1, 0xff])), Fault::Utf8);
    assert_eq!(fault(&in_root(5, &[1, b'{'])), Fault::Json);
    assert_eq!(fault(&in_root(6, &[1, b'b', 1, b'{'])), Fault::Json);
}

#[test]
fn nothing_stands_beside_itself_or_what_comes_later() {
    let beside = |clock| structure(&[0x84, 9, clock, 1, b'x']);
    assert!(Update::check(beside(4).into(), 100).is_ok());
    assert_eq!(fault(&beside(5)), Fault::Reference);
    assert_eq!(fault(&structure(&[0x44, 9, 6, 1, b'x'])), Fault::Reference);
    assert_eq!(fault(&structure(&[4, 0, 9, 5, 1, b'x'])), Fault::Reference);
    assert!(
        Update::check(structure(&[0x84, 8, 99, 1, b'x']).into(), 100).is_ok(),
        "others have clocks of their own"
    );
}

#[test]
fn values_stand_as_deep_as_they_may_and_no_deeper() {
    let nested = |depth: usize| in_root(8, &[&[1][..], &[117, 1].repeat(depth), &[126]].concat());
    assert!(Update::check(nested(MAX_DEPTH - 1).into(), 1_000).is_ok());
    assert_eq!(fault(&nested(MAX_DEPTH)), Fault::Depth);
    let json = |depth: usize| {
        let text = "[".repeat(depth) + &"]".repeat(depth);
        in_root(5, &[&var(text.len() as u64), text.as_bytes()].concat())
    };
    assert!(Update::check(json(MAX_DEPTH).into(), 1_000).is_ok());
    assert_eq!(fault(&json(MAX_DEPTH + 1)), Fault::Depth);
}

#[test]
fn as_many_bytes_and_clients_are_taken_and_one_more_is_not() {
    let bytes = in_root(4, &[1, b'x']);
    let most = bytes.len();
    assert!(Update::check(bytes.clone().into(), most).is_ok());
    let refused = Update::check(bytes.into(), most - 1).unwrap_err();
    assert_eq!(refused, Malformed { at: most - 1, fault: Fault::Bytes });
    let clients = |count: usize| {
        let each = (0..count as u64).rev().flat_map(|client| [&[1][..], &var(client), &[0, 0, 1]].concat());
        [var(count as u64), each.collect(), vec![0]].concat()
    };
    assert!(Update::check(clients(MAX_CLIENTS).into(), 1 << 20).is_ok());
    assert_eq!(fault(&clients(MAX_CLIENTS + 1)), Fault::Clients);
}

#[test]
fn a_state_vector_is_taken_if_it_is_one() {
    let read = StateVector::check(&[2, 9, 5, 7, 0]).unwrap();
    assert_eq!(read.iter().collect::<Vec<_>>(), [(7, 0), (9, 5)]);
    let fault = |bytes: &[u8]| StateVector::check(bytes).unwrap_err().fault;
    assert_eq!(fault(&[]), Fault::Ends);
    // Five bytes that announce half a milliard of clients.
    assert_eq!(fault(&[0x80, 0x80, 0x80, 0x80, 0x02]), Fault::Count);
    assert_eq!(fault(&[1, 9]), Fault::Count);
    assert_eq!(fault(&[2, 9, 1, 9, 1]), Fault::Twice);
    assert_eq!(fault(&[0, 0]), Fault::Trailing);
    assert_eq!(fault(&[&[1, 9][..], &var(MAX_CLOCK + 1)].concat()), Fault::Integer);
    assert!(StateVector::check(&[&[1, 9][..], &var(MAX_CLOCK)].concat()).is_ok());
}
