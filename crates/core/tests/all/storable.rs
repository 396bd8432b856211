//! What is acknowledged can be read again: documents and changes at the edge of each limit, through a store, a restart and a read.
#![allow(clippy::unwrap_used)]

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use crate::support::{World, id, json};
use rejoin_core::{Base, EditError, Grant, Reply, Rung, Token};
use rejoin_json::{Json, Limits, Operation, Patch, PointerBuf};
use rejoin_wire::limits::{MAX_DEPTH, MAX_HEADER_ITEMS, MAX_OPERATIONS_PER_PATCH, MAX_TEXT_BYTES};
use rejoin_wire::{Body, ErrorCode, Header, HeaderError, Scope};

/// One follower that takes large changes, and `d` open there.
fn world() -> World {
    let mut world = World::with_inline_bytes(usize::MAX, 0);
    world.add_roomy();
    world.run();
    world.open("d");
    world
}

/// Starts the root and the follower anew from what their stores have; both must read what they had.
fn read_again(world: &mut World) {
    let before = world.converged("d");
    let store = world.root.store.clone();
    world.restart_root(store);
    world.restart(0, Some(Scope::Documents));
    world.followers[0].network = false;
    world.open("d");
    assert!(world.content(0, "d") == before, "the follower read another content from its own store");
    world.online(0);
    assert!(world.converged("d") == before, "another content was read again");
    assert!(world.followers[0].closed.is_empty(), "{:?}", world.followers[0].closed);
    // And somebody who comes anew can be told.
    let fresh = world.add_roomy();
    world.run_for(60_000);
    world.followers[fresh].replica.open(&id("d"));
    world.run();
    assert!(world.converged("d") == before, "another content was read again");
    assert!(world.followers[fresh].closed.is_empty(), "{:?}", world.followers[fresh].closed);
}

fn edit(world: &mut World, patch: Patch) {
    world.followers[0].replica.edit(&id("d"), patch).unwrap();
    world.run();
    assert_eq!(world.followers[0].replica.status(&id("d")).unwrap().rung, Rung::Acknowledged);
    assert!(world.followers[0].replica.rejected(&id("d")).is_empty());
}

fn text(bytes: usize) -> std::sync::Arc<str> {
    "x".repeat(bytes).into()
}

/// A header with each field at its limit, and so many bytes and items more of the one that is named.
fn header(field: &str, bytes: usize, items: usize) -> Header {
    let more = |name: &str, number: usize| if name == field { number } else { 0 };
    let name = |at: usize, field: &str| text(if at == 0 { MAX_TEXT_BYTES + more(field, bytes) } else { 9 });
    let count = |field: &str| MAX_HEADER_ITEMS + more(field, items);
    let counter = |at: usize| PointerBuf::parse(format!("/{}", &name(at, "counters")[1..])).unwrap();
    Header {
        title: Some(name(0, "title")),
        counters: (0..count("counters")).map(counter).collect(),
        identity: (0..count("identity")).map(|at| name(at, "identity")).collect(),
        ..Header::default()
    }
}

/// Headers with one field beyond its limit.
fn too_large() -> Vec<(&'static str, Header)> {
    let long = ["title", "counters", "identity"].map(|field| (field, header(field, 1, 0)));
    let many = ["counters", "identity"].map(|field| (field, header(field, 0, 1)));
    long.into_iter().chain(many).collect()
}

#[test]
fn a_header_at_its_limits_is_read_again() {
    let mut world = world();
    world.followers[0].replica.create_with(&id("d"), header("", 0, 0), json("{}")).unwrap();
    world.run();
    read_again(&mut world);
    let view = world.followers[0].replica.view(&id("d")).unwrap();
    assert_eq!(*view.header, header("", 0, 0));
}

#[test]
fn a_header_beyond_a_limit_is_refused_where_it_is_made_and_nothing_is_stored_or_sent() {
    let mut world = world();
    world.create(0, "d", "{}");
    world.followers[0].replica.open(&id("e"));
    world.run();
    let (asked, sent) = (world.followers[0].asked.len(), world.followers[0].sent);
    for (field, header) in too_large() {
        let replica = &mut world.followers[0].replica;
        let created = replica.create_with(&id("e"), header.clone(), json("{}"));
        let set = replica.set_header(&id("d"), header);
        for refused in [created.unwrap_err(), set.unwrap_err()] {
            let EditError::Header(
                HeaderError::TooLong { field: named, .. } | HeaderError::TooMany { field: named, .. },
            ) = refused
            else {
                panic!("{refused:?}")
            };
            assert_eq!(named, field);
        }
    }
    world.run();
    assert_eq!((world.followers[0].asked.len(), world.followers[0].sent), (asked, sent));
    world.edit(0, "d", r#"[{"op":"add","path":"/a","value":1}]"#);
    read_again(&mut world);
}

#[test]
fn a_header_beyond_a_limit_is_rejected_by_the_authority() {
    for (field, header) in too_large() {
        let mut world = world();
        for (token, created) in [(1, header.clone()), (2, Header::default()), (3, header.clone())] {
            // A second creation merges, and keeps the header that stands: what it brings is not stored all the same.
            let body = Body::Create { header: created, content: json("{}") };
            let grant = Grant::new("ada", true);
            world.root.replica.submit(Token(token), grant, &id("d"), body, Base::Current, None);
            world.run();
        }
        let body = Body::Header { header };
        world.root.replica.submit(Token(4), Grant::new("ada", true), &id("d"), body, Base::Current, None);
        world.run();
        for token in [1, 3, 4] {
            let Reply::Refused { code, message } = &world.root.replies[&token] else {
                panic!("{field}: {:?}", world.root.replies[&token])
            };
            assert_eq!(*code, ErrorCode::TooLarge);
            assert!(message.contains(&format!("`{field}`")), "{message}");
        }
        read_again(&mut world);
    }
}

#[test]
fn a_patch_of_as_many_operations_as_may_be_is_read_again_whatever_its_way_back_takes() {
    let members = |prefix: &str, count: usize| {
        let members: Vec<String> = (0..count).map(|at| format!(r#""{prefix}{at}":{at}"#)).collect();
        members.join(",")
    };
    let at = |prefix: &str, at: usize| PointerBuf::from_tokens([format!("{prefix}{at}").as_str()]);
    let count = MAX_OPERATIONS_PER_PATCH;
    // Each takes two operations back: the value returns, and so does the one in whose place it went.
    let moves = (0..count).map(|n| Operation::Move { from: at("a", n), path: at("b", n) }).collect();
    let copies = (0..count).map(|n| Operation::Copy { from: at("a", n), path: at("b", n) }).collect();
    let adds = (0..count).map(|n| Operation::Add { path: at("a", n), value: Json::from("other") }).collect();
    for operations in [moves, copies, adds] {
        let mut world = world();
        world.create(0, "d", &format!("{{{},{}}}", members("a", count), members("b", count)));
        let first = world.content(0, "d");
        edit(&mut world, Patch(operations));
        read_again(&mut world);
        // The way back still leads there.
        let grant = Grant::new("ada", true);
        let body = Body::Edit { patch: Patch::default(), settles: Vec::new(), undoes: None };
        let seen = Json::parse(&first, &Limits::default()).unwrap().content_hash();
        world.root.replica.submit(Token(1), grant, &id("d"), body, Base::Hash(seen), None);
        world.run();
        assert!(matches!(world.root.replies[&1], Reply::Accepted(_)), "{:?}", world.root.replies[&1]);
        read_again(&mut world);
    }
}

#[test]
fn one_operation_more_is_refused_where_it_is_made() {
    let mut world = world();
    world.create(0, "d", "{}");
    let add = |n: usize| Operation::Add { path: PointerBuf::from_tokens([n.to_string()]), value: Json::Null };
    let patch = Patch((0..=MAX_OPERATIONS_PER_PATCH).map(add).collect());
    assert!(matches!(world.followers[0].replica.edit(&id("d"), patch), Err(EditError::Patch(_))));
    read_again(&mut world);
}

#[test]
fn splices_of_a_text_are_read_again() {
    let mut world = world();
    let long = "x".repeat(MAX_OPERATIONS_PER_PATCH);
    world.create(0, "d", &format!(r#"{{"text":"{long}"}}"#));
    let splice =
        |at| Operation::Splice { path: "/text".try_into().unwrap(), at, remove: 1, insert: "é".into() };
    edit(&mut world, Patch((0..MAX_OPERATIONS_PER_PATCH).rev().map(splice).collect()));
    read_again(&mut world);
}

#[test]
fn the_deepest_documents_and_patches_are_read_again() {
    let nested = |levels: usize| format!("{}0{}", "[".repeat(levels), "]".repeat(levels));
    let mut world = world();
    world.create(0, "d", &nested(MAX_DEPTH));
    read_again(&mut world);
    let replace =
        Operation::Replace { path: PointerBuf::new(), value: json(&nested(MAX_DEPTH).replace('0', "1")) };
    edit(&mut world, Patch(vec![replace]));
    read_again(&mut world);
    let inside = PointerBuf::parse("/0".repeat(MAX_DEPTH)).unwrap();
    edit(&mut world, Patch(vec![Operation::Replace { path: inside.clone(), value: json("2") }]));
    read_again(&mut world);
    let deeper = Patch(vec![Operation::Replace { path: inside, value: json("[]") }]);
    assert!(world.followers[0].replica.edit(&id("d"), deeper).is_err());
    read_again(&mut world);
}

#[test]
fn a_conflict_at_the_deepest_place_is_read_again() {
    let mut world = world();
    let other = world.add_roomy();
    world.run();
    world.open("d");
    let nested = format!("{}0{}", "[".repeat(MAX_DEPTH), "]".repeat(MAX_DEPTH));
    world.create(0, "d", &nested);
    world.offline(other);
    let inside = PointerBuf::parse("/0".repeat(MAX_DEPTH)).unwrap();
    for (at, value) in [(0, "1"), (other, "2")] {
        let replace = Operation::Replace { path: inside.clone(), value: json(value) };
        world.followers[at].replica.edit(&id("d"), Patch(vec![replace])).unwrap();
        world.run();
    }
    world.online(other);
    assert_eq!(world.followers[0].replica.view(&id("d")).unwrap().conflicts.len(), 1);
    read_again(&mut world);
}

#[test]
fn the_largest_documents_are_read_again() {
    let limit = Limits::default().max_document_bytes;
    let text = |byte: &str| json(&format!(r#""{}""#, byte.repeat(limit - 2)));
    let mut world = world();
    let create = Body::Create { header: Header::default(), content: text("a") };
    let replace = |value: Json| {
        let patch = Patch(vec![Operation::Replace { path: PointerBuf::new(), value }]);
        Body::Edit { patch, settles: Vec::new(), undoes: None }
    };
    for (token, body) in [(1, create), (2, replace(text("b")))] {
        let grant = Grant::new("ada", true);
        world.root.replica.submit(Token(token), grant, &id("d"), body, Base::Current, None);
        world.run();
        assert!(matches!(world.root.replies[&token], Reply::Accepted(_)));
        read_again(&mut world);
    }
}

#[test]
fn a_long_title_of_content_is_listed_cut() {
    for bytes in [MAX_TEXT_BYTES, MAX_TEXT_BYTES + 1, 64 << 10, 1 << 20] {
        let mut world = World::with_scope(1, Some(Scope::List));
        let title = format!("é{}", "x".repeat(bytes - 2));
        let content = json(&format!(r#"{{"title":"{title}"}}"#));
        let body = Body::Create { header: Header::default(), content };
        world.root.replica.submit(Token(1), Grant::new("ada", true), &id("d"), body, Base::Current, None);
        world.run();
        assert!(matches!(world.root.replies[&1], Reply::Accepted(_)), "{:?}", world.root.replies[&1]);
        let told = |world: &World| world.followers[0].replica.list()[0].title.clone().unwrap();
        let listed = told(&world);
        assert!(listed.len() <= MAX_TEXT_BYTES && title.starts_with(listed.trim_end_matches('…')));
        assert_eq!(*listed == *title, bytes <= MAX_TEXT_BYTES);
        // As it is told from the store, too.
        let store = world.root.store.clone();
        world.restart_root(store);
        world.restart(0, Some(Scope::List));
        world.run_for(60_000);
        assert_eq!(told(&world), listed);
        assert!(world.followers[0].closed.is_empty());
    }
}

#[test]
fn changes_that_wait_or_were_rejected_are_read_again_at_every_limit() {
    let mut world = world();
    world.create(0, "d", "{}");
    world.offline(0);
    world.followers[0].replica.set_header(&id("d"), header("", 0, 0)).unwrap();
    let add = |n: usize| Operation::Add { path: PointerBuf::from_tokens([n.to_string()]), value: Json::Null };
    world.followers[0]
        .replica
        .edit(&id("d"), Patch((0..MAX_OPERATIONS_PER_PATCH).map(add).collect()))
        .unwrap();
    let nested = format!("{}0{}", "[".repeat(MAX_DEPTH - 1), "]".repeat(MAX_DEPTH - 1));
    world.edit(0, "d", &format!(r#"[{{"op":"add","path":"/deep","value":{nested}}}]"#));
    let pending = |world: &World| {
        let pending = world.followers[0].replica.pending(&id("d"));
        pending.iter().map(|own| own.change.as_ref().clone()).collect::<Vec<_>>()
    };
    let before = (pending(&world), world.content(0, "d"));
    world.restart(0, Some(Scope::Documents));
    world.followers[0].network = false;
    world.open("d");
    assert_eq!((pending(&world), world.content(0, "d")), before);

    world.allow(0, false);
    world.grants[0].may_edit = false;
    world.online(0);
    let rejected = |world: &World| {
        let rejected = world.followers[0].replica.rejected(&id("d"));
        rejected.into_iter().map(|rejected| rejected.change).collect::<Vec<_>>()
    };
    assert_eq!(rejected(&world), before.0);
    read_again(&mut world);
    assert_eq!(rejected(&world), before.0);
}
