//! What updates may cost.

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use rejoin_crdt::{ApplyError, Document, MAX_PRICE, Update};
use yrs::{Map as _, ReadTxn as _, Text as _, Transact as _, WriteTxn as _};

use crate::support::{check, document, peer, sorted, take, var, whole};

/// An update of structures of one client from a clock on, and of what it deletes.
fn written(client: u64, clock: u64, structures: &[Vec<u8>], deleted: &[(u64, u64)]) -> Update {
    let mut bytes = Vec::new();
    if structures.is_empty() {
        bytes.push(0);
    } else {
        bytes.push(1);
        bytes.extend([var(structures.len() as u64), var(client), var(clock)].concat());
        structures.iter().for_each(|structure| bytes.extend_from_slice(structure));
    }
    if deleted.is_empty() {
        bytes.push(0);
    } else {
        bytes.extend([vec![1], var(client), var(deleted.len() as u64)].concat());
        deleted.iter().for_each(|(from, length)| bytes.extend([var(*from), var(*length)].concat()));
    }
    check(bytes)
}

/// A letter in the text `t` beside nothing.
fn alone() -> Vec<u8> {
    vec![4, 1, 1, b't', 1, b'a']
}

/// A letter behind another.
fn behind(client: u64, clock: u64) -> Vec<u8> {
    [vec![0x84], var(client), var(clock), vec![1, b'b']].concat()
}

/// A member of the map `m`, without what was there before.
fn member() -> Vec<u8> {
    vec![0x28, 1, 1, b'm', 1, b'k', 1, 121]
}

/// A mark, or a type, behind the last.
fn mark(client: u64, clock: u64) -> Vec<u8> {
    [vec![0x86], var(client), var(clock), vec![1, b'b', 4], b"true".to_vec()].concat()
}

/// Updates in front of one, and that one, of about so many structures.
type Shape = (&'static str, fn(u64) -> (Vec<Update>, Update));

/// What costs yrs time that grows with the square of it.
const DEAR: &[Shape] = &[
    ("letters beside nothing, among those of another", |count| {
        let all: Vec<_> = (0..count).map(|_| alone()).collect();
        (vec![written(1, 0, &all, &[])], written(2, 0, &all, &[]))
    }),
    ("members without the ones before them", |count| {
        (vec![], written(1, 0, &(0..count).map(|_| member()).collect::<Vec<_>>(), &[]))
    }),
    ("letters behind the same one", |count| {
        let first: Vec<_> = (0..count).map(|clock| if clock == 0 { alone() } else { behind(1, 0) }).collect();
        let second: Vec<_> = (0..count).map(|_| behind(1, 0)).collect();
        (vec![written(1, 0, &first, &[])], written(2, 0, &second, &[]))
    }),
    ("letters behind each of a chain, in front of nothing", |count| {
        let chain = |clock| if clock == 0 { alone() } else { mark(1, clock - 1) };
        let first: Vec<_> = (0..count).map(chain).collect();
        let second: Vec<_> = (0..count).map(|at| behind(1, at)).collect();
        (vec![written(1, 0, &first, &[])], written(2, 0, &second, &[]))
    }),
    ("every second letter deleted", |count| {
        let text = [vec![4, 1, 1, b't'], var(2 * count), vec![b'a'; 2 * count as usize]].concat();
        let deleted: Vec<_> = (0..count).map(|at| (2 * at, 1)).collect();
        (vec![written(1, 0, &[text], &[])], written(1, 0, &[], &deleted))
    }),
    ("pairs of letters", |count| {
        let pair = |at| if at % 2 == 0 { alone() } else { behind(1, at - 1) };
        (vec![], written(1, 0, &(0..count).map(pair).collect::<Vec<_>>(), &[]))
    }),
    ("marks deleted in front of many others", |count| {
        let chain = |clock| if clock == 0 { alone() } else { mark(1, clock - 1) };
        let first: Vec<_> = (0..2 * count).map(chain).collect();
        (vec![written(1, 0, &first, &[])], written(1, 0, &[], &[(0, count)]))
    }),
];

#[test]
fn what_grows_with_the_square_is_refused_and_nothing_of_it_is_applied() {
    for (name, shape) in DEAR {
        let (before, update) = shape(25_000);
        let mut document = document();
        for update in before {
            document.apply(update).unwrap();
        }
        let (held, state) = (document.clocks().clone(), sorted(&document));
        assert!(document.price(&update) > MAX_PRICE, "{name}: {}", document.price(&update));
        assert_eq!(document.admit(update), Err(ApplyError::Dear), "{name}");
        assert_eq!(document.clocks(), &held, "{name}");
        assert!(sorted(&document) == state, "{name}");
    }
}

#[test]
fn a_price_is_the_same_again_and_the_edge_of_the_limit_is_taken() {
    // The k-th costs k.
    let mut document = document();
    let of = |count: u64| written(1, 0, &(0..count).map(|_| member()).collect::<Vec<_>>(), &[]);
    let (mut fits, mut beyond) = (1_u64, 1_u64 << 11);
    while beyond - fits > 1 {
        let middle = (fits + beyond) / 2;
        let price = document.price(&of(middle));
        assert_eq!(document.price(&of(middle)), price);
        *(if price <= MAX_PRICE { &mut fits } else { &mut beyond }) = middle;
    }
    assert_eq!(document.admit(of(beyond)), Err(ApplyError::Dear));
    let small = of(fits);
    let before = document.price(&small);
    assert!(before <= MAX_PRICE);
    assert_eq!(document.admit(small.clone()).unwrap().updates.len(), 1);
    assert_eq!(document.price(&small), 0, "all of it is there");
}

#[test]
fn what_waited_and_costs_too_much_is_dropped() {
    let all: Vec<_> = (0..20_000).map(|_| member()).collect();
    let mut document = document();
    assert!(document.admit(written(1, 1, &all, &[])).unwrap().updates.is_empty());
    let applied = document.admit(written(1, 0, &[alone()], &[])).unwrap();
    assert_eq!((applied.updates.len(), applied.dropped.len()), (1, 1));
    assert_eq!(document.clocks().get(&1), Some(&1));
    assert_eq!(document.waiting().len(), 0);
}

/// Has a document take an update that an honest client wrote.
fn takes(document: &mut Document, what: &str, update: Update) {
    let price = document.price(&update);
    assert!(document.admit(update).is_ok(), "{what} costs {price}");
}

#[test]
fn what_people_do_is_taken() {
    let one = peer(5);
    let mut document = document();
    {
        let mut edit = one.transact_mut();
        let text = edit.get_or_insert_text("text");
        text.insert(&mut edit, 0, &"a paste ".repeat(64_000));
    }
    takes(&mut document, "a paste", check(whole(&one)));
    let before = one.transact().state_vector();
    {
        let mut edit = one.transact_mut();
        let text = edit.get_or_insert_text("text");
        (0..200).for_each(|at| text.remove_range(&mut edit, at * 2_000, 3));
        (0..200).for_each(|at| text.insert(&mut edit, at * 2_000, "other"));
    }
    takes(&mut document, "replacing all", check(one.transact().encode_state_as_update_v1(&before)));
    let two = peer(6);
    {
        let mut edit = two.transact_mut();
        let map = edit.get_or_insert_map("map");
        for at in 0..100_000 {
            map.insert(&mut edit, format!("{}", at % 1_000), at);
        }
    }
    takes(&mut document, "members", check(whole(&two)));
    // Both go on at the same places.
    take(&one, &whole(&two));
    let before = two.transact().state_vector();
    for doc in [&one, &two] {
        let mut edit = doc.transact_mut();
        let map = edit.get_or_insert_map("map");
        (0..100).for_each(|at| {
            map.insert(&mut edit, format!("{at}"), "x");
        });
    }
    for doc in [&one, &two] {
        takes(&mut document, "collisions", check(doc.transact().encode_state_as_update_v1(&before)));
    }
    // What everybody says again.
    assert!(document.price(&check(whole(&one))) < MAX_PRICE / 4);
}

/// Run by hand, optimized: what yrs takes for each of the price, and what the data sets cost.
#[cfg(not(target_arch = "wasm32"))]
#[test]
#[ignore = "measures"]
#[allow(clippy::print_stdout)]
fn what_the_price_is_worth() {
    let timed = |mut document: Document, update: Update| {
        let start = std::time::Instant::now();
        let price = document.price(&update);
        let priced = start.elapsed();
        let start = std::time::Instant::now();
        document.apply(update.clone()).unwrap();
        let both = start.elapsed();
        (price, priced, both, both.as_nanos() as f64 / price.max(1) as f64)
    };
    for (name, shape) in DEAR {
        for count in [250, 500, 1_000] {
            let (before, update) = shape(count);
            let mut document = document();
            before.into_iter().for_each(|update| drop(document.apply(update).unwrap()));
            let (price, priced, took, each) = timed(document, update);
            println!("{name}: {count}: price {price} in {priced:?}, yrs {took:?}, {each:.1} ns each");
        }
    }
    if let Some(bytes) = rejoin_conformance::file("yjs-compat", "b4-update.bin") {
        println!("b4: {:?}", timed(document(), check(bytes.bytes)));
    }
    // Traces, unpacked into a folder: one update for each transaction, and all of them as one.
    let Some(folder) = std::env::var_os("REJOIN_TRACES") else { return };
    let read = |name: &str| {
        let bytes = std::fs::read(std::path::Path::new(&folder).join(name)).unwrap();
        serde_json::from_slice::<serde_json::Value>(&bytes).unwrap()
    };
    let paper = read("automerge-paper.json");
    let doc = peer(9);
    let mut updates = Vec::new();
    for transaction in paper["txns"].as_array().unwrap() {
        let mut edit = doc.transact_mut();
        run(&mut edit, &transaction["patches"]);
        updates.push(edit.encode_update_v1());
    }
    costs("automerge-paper", &updates, &doc, &timed);
    let concurrent = read("friendsforever_concurrent.json");
    let agents: Vec<_> =
        (0..concurrent["numAgents"].as_u64().unwrap()).map(|agent| peer(10 + agent)).collect();
    let mut versions: Vec<Vec<u8>> = Vec::new();
    let mut known: Vec<std::collections::BTreeSet<usize>> = vec![Default::default(); agents.len()];
    for (at, transaction) in concurrent["txns"].as_array().unwrap().iter().enumerate() {
        let agent = transaction["agent"].as_u64().unwrap() as usize;
        let mut wanted: Vec<usize> = Vec::new();
        let mut open: Vec<usize> = transaction["parents"]
            .as_array()
            .unwrap()
            .iter()
            .map(|parent| parent.as_u64().unwrap() as usize)
            .collect();
        while let Some(parent) = open.pop() {
            if known[agent].insert(parent) {
                wanted.push(parent);
                let parents = concurrent["txns"][parent]["parents"].as_array().unwrap();
                open.extend(parents.iter().map(|parent| parent.as_u64().unwrap() as usize));
            }
        }
        wanted.sort_unstable();
        wanted.iter().for_each(|parent| take(&agents[agent], &versions[*parent]));
        let mut edit = agents[agent].transact_mut();
        run(&mut edit, &transaction["patches"]);
        versions.push(edit.encode_update_v1());
        known[agent].insert(at);
    }
    let all = peer(99);
    versions.iter().for_each(|update| take(&all, update));
    assert_eq!(
        yrs::GetString::get_string(&all.get_or_insert_text("text"), &all.transact()),
        concurrent["endContent"].as_str().unwrap()
    );
    costs("friendsforever", &versions, &all, &timed);
}

#[cfg(not(target_arch = "wasm32"))]
fn run(edit: &mut yrs::TransactionMut<'_>, patches: &serde_json::Value) {
    let text = edit.get_or_insert_text("text");
    for patch in patches.as_array().unwrap() {
        let (at, removed) = (patch[0].as_u64().unwrap() as u32, patch[1].as_u64().unwrap() as u32);
        text.remove_range(edit, at, removed);
        text.insert(edit, at, patch[2].as_str().unwrap());
    }
}

#[cfg(not(target_arch = "wasm32"))]
#[allow(clippy::print_stdout)]
fn costs<T: std::fmt::Debug>(
    name: &str,
    updates: &[Vec<u8>],
    doc: &yrs::Doc,
    timed: &impl Fn(Document, Update) -> T,
) {
    let mut document = document();
    let (mut most, mut priced) = (0, std::time::Duration::ZERO);
    let start = std::time::Instant::now();
    for update in updates {
        let update = check(update.clone());
        let at = std::time::Instant::now();
        most = most.max(document.price(&update));
        priced += at.elapsed();
        document.admit(update).unwrap();
    }
    println!(
        "{name}: {} updates, dearest {most}; all {:?}, prices {priced:?}",
        updates.len(),
        start.elapsed()
    );
    println!("{name} as one state: {:?}", timed(crate::support::document(), check(whole(doc))));
    println!("the state again: {}", document.price(&check(whole(doc))));
    if updates.len() > 100_000 {
        // yrs takes minutes to merge them.
        return;
    }
    let merged = yrs::merge_updates_v1(updates.iter().map(Vec::as_slice)).unwrap();
    println!("{name} merged: {:?}", timed(crate::support::document(), check(merged)));
}
