//! CRDT documents: what many write at the same time is all there, once, for everybody.
#![allow(clippy::unwrap_used)]

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use crate::support::bare::{Bare, push_at};
use crate::support::{World, id, json, patch};
use rejoin_core::storage::StoreError;
use rejoin_core::{Crdt, Event, Grant, Input, Life, LinkId, Peer, Replica, echoed_id};
use rejoin_crdt::{Document, Update};
use rejoin_json::Limits;
use rejoin_wire::limits::MAX_CRDT_BYTES;
use rejoin_wire::{
    Body, CrdtUpdate, Effect, Encoding, ErrorCode, Have, Header, Message, OpenDocument, ReplicaId,
};

/// Somebody who writes into the document `d`: what a program shows of it beside the replica.
struct Writer {
    at: usize,
    client: u64,
}

fn document(client: u64, crdt: Option<&Crdt>) -> Document {
    let mut document = Document::new("d", client);
    for update in crdt.map(Crdt::updates).unwrap_or_default() {
        document.apply(Update::check(update.0, MAX_CRDT_BYTES).unwrap()).unwrap();
    }
    document
}

fn shown(replica: &mut Replica) -> String {
    let view = replica.view(&id("d")).unwrap();
    assert_eq!(view.content, rejoin_json::Json::Null);
    document(1, view.crdt.as_ref()).json().unwrap().canonical()
}

impl Writer {
    /// A client of its own for each, as each has that opens the document.
    fn new(at: usize, client: u64) -> Self {
        Self { at, client }
    }

    fn update(&self, world: &mut World, text: &str) -> CrdtUpdate {
        let view = world.followers[self.at].replica.view(&id("d")).unwrap();
        let mut document = document(self.client, view.crdt.as_ref());
        CrdtUpdate(document.patch(&patch(text), &Limits::default()).unwrap().unwrap().bytes().clone())
    }

    fn write(&self, world: &mut World, text: &str) {
        let update = self.update(world, text);
        world.followers[self.at].replica.merge(&id("d"), update).unwrap();
        world.run();
    }
}

/// Everybody shows the same, and nothing is pending.
fn converged(world: &mut World) -> String {
    world.converged("d");
    let root = shown(&mut world.root.replica);
    for node in &mut world.followers {
        assert_eq!(shown(&mut node.replica), root);
    }
    root
}

fn rejected(world: &World, at: usize) -> Vec<ErrorCode> {
    let rejected = |event: &Event| match event {
        Event::Rejected { code, .. } => Some(*code),
        _ => None,
    };
    world.followers[at].events.iter().filter_map(rejected).collect()
}

fn written(followers: usize) -> (World, Vec<Writer>) {
    let mut world = World::new(followers);
    world.open("d");
    let writers: Vec<Writer> = (0..followers).zip(10..).map(|(at, client)| Writer::new(at, client)).collect();
    writers[0].write(&mut world, r#"[{"op":"add","path":"/list","value":[]}]"#);
    (world, writers)
}

#[test]
fn the_first_update_makes_the_document_and_what_is_written_apart_is_all_there() {
    let (mut world, writers) = written(3);
    for writer in &writers {
        world.offline(writer.at);
    }
    for (writer, value) in writers.iter().zip(["1", "2", "3"]) {
        for _ in 0..3 {
            writer.write(&mut world, &format!(r#"[{{"op":"add","path":"/list/-","value":{value}}}]"#));
        }
    }
    for writer in &writers {
        world.online(writer.at);
    }
    let content = converged(&mut world);
    assert_eq!(content, r#"{"list":[1,1,1,2,2,2,3,3,3]}"#);
    let view = world.root.replica.view(&id("d")).unwrap();
    assert_eq!((view.revision.0, view.life), (10, Life::Alive));
    assert!(view.conflicts.is_empty());

    let stored = world.root.store.clone();
    world.restart_root(stored);
    world.open("d");
    assert_eq!(converged(&mut world), content);
    for at in 0..3 {
        world.restart(at, None);
    }
    world.open("d");
    assert_eq!(converged(&mut world), content);
}

#[test]
fn two_who_create_it_apart_create_it_together() {
    let mut world = World::new(2);
    world.open("d");
    world.offline(0);
    world.offline(1);
    for (at, name) in [(0, "a"), (1, "b")] {
        let text = format!(r#"[{{"op":"add","path":"/{name}","value":1}}]"#);
        Writer::new(at, 10 + at as u64).write(&mut world, &text);
    }
    world.online(0);
    world.online(1);
    assert_eq!(converged(&mut world), r#"{"a":1,"b":1}"#);
}

#[test]
fn an_update_that_would_do_harm_is_refused_alone() {
    let (mut world, writers) = written(2);
    for bytes in [&[1, 2, 3][..], &[], &[0, 0, 0]] {
        let bad = CrdtUpdate(bytes.to_vec().into());
        world.followers[0].replica.merge(&id("d"), bad).unwrap();
        world.run();
    }
    assert_eq!(rejected(&world, 0), [ErrorCode::InvalidUpdate; 3]);
    writers[0].write(&mut world, r#"[{"op":"add","path":"/list/-","value":1}]"#);
    writers[1].write(&mut world, r#"[{"op":"add","path":"/list/-","value":2}]"#);
    assert_eq!(converged(&mut world), r#"{"list":[1,2]}"#);
}

#[test]
fn what_waits_for_another_update_is_kept_until_that_is_there() {
    let (mut world, writers) = written(2);
    world.offline(1);
    let first = writers[1].update(&mut world, r#"[{"op":"add","path":"/a","value":1}]"#);
    world.followers[1].replica.merge(&id("d"), first.clone()).unwrap();
    let second = writers[1].update(&mut world, r#"[{"op":"add","path":"/b","value":2}]"#);
    // As by a door that passes on what it is given.
    world.followers[0].replica.merge(&id("d"), second).unwrap();
    world.run();
    assert_eq!(shown(&mut world.root.replica), r#"{"list":[]}"#);
    world.online(1);
    assert_eq!(converged(&mut world), r#"{"a":1,"b":2,"list":[]}"#);
}

#[test]
fn each_kind_of_document_is_edited_in_its_own_way() {
    let (mut world, writers) = written(2);
    let replica = &mut world.followers[0].replica;
    assert!(replica.edit(&id("d"), patch(r#"[{"op":"add","path":"/x","value":1}]"#)).is_err());
    assert!(replica.create(&id("d"), json("{}")).is_err());
    replica.open(&id("j"));
    world.run();
    world.create(0, "j", "{}");
    let update = writers[0].update(&mut world, r#"[{"op":"add","path":"/x","value":1}]"#);
    assert!(world.followers[0].replica.merge(&id("j"), update.clone()).is_err());

    // Apart they could not know.
    world.followers.iter_mut().for_each(|node| node.replica.open(&id("e")));
    world.run();
    world.offline(0);
    world.offline(1);
    world.followers[0].replica.create(&id("e"), json(r#"{"n":1}"#)).unwrap();
    world.followers[1].replica.merge(&id("e"), update).unwrap();
    world.online(0);
    world.online(1);
    assert_eq!(world.converged("e"), r#"{"n":1}"#);
    assert_eq!(rejected(&world, 1), [ErrorCode::WrongKind]);
    assert_eq!(converged(&mut world), r#"{"list":[]}"#);
}

#[test]
fn a_long_history_is_told_in_few_updates_and_loses_nothing() {
    let (mut world, writers) = written(2);
    world.offline(1);
    let mut author = document(50, None);
    for number in 0..1_100 {
        let text = format!(r#"[{{"op":"add","path":"/k","value":{number}}}]"#);
        let update = author.patch(&patch(&text), &Limits::default()).unwrap().unwrap();
        world.followers[0].replica.merge(&id("d"), CrdtUpdate(update.bytes().clone())).unwrap();
        world.run();
    }
    writers[1].write(&mut world, r#"[{"op":"add","path":"/list/-","value":"apart"}]"#);
    world.online(1);
    let content = converged(&mut world);
    assert!(content.contains(r#""k":1099"#) && content.contains("apart"));
    let count = |world: &mut World| world.root.replica.view(&id("d")).unwrap().crdt.unwrap().count();
    assert!(count(&mut world) < 400, "{}", count(&mut world));
    let stored = world.root.store.clone();
    world.restart_root(stored);
    world.open("d");
    assert_eq!(converged(&mut world), content);
    world.run_for(60_000);
    writers[0].write(&mut world, r#"[{"op":"add","path":"/list/-","value":1}]"#);
    let late = world.add(None, rejoin_store::MemoryStore::default());
    world.followers[late].replica.open(&id("d"));
    world.run();
    assert_ne!(converged(&mut world), content);
}

#[test]
fn a_commit_that_fails_is_made_again() {
    let (mut world, writers) = written(2);
    world.root.store.fail_next_commits(3, StoreError::Unavailable("busy".into()));
    writers[0].write(&mut world, r#"[{"op":"add","path":"/list/-","value":1}]"#);
    writers[1].write(&mut world, r#"[{"op":"add","path":"/list/-","value":2}]"#);
    world.run_for(60_000);
    assert_eq!(converged(&mut world), r#"{"list":[1,2]}"#);
}

#[test]
fn a_deleted_one_keeps_what_was_written_by_who_did_not_know() {
    let (mut world, writers) = written(2);
    world.offline(1);
    writers[1].write(&mut world, r#"[{"op":"add","path":"/list/-","value":1}]"#);
    world.followers[0].replica.delete(&id("d")).unwrap();
    world.run();
    world.online(1);
    world.converged("d");
    assert_eq!(world.root.replica.view(&id("d")).unwrap().life, Life::Deleted);
    assert_eq!(world.root.replica.view(&id("d")).unwrap().conflicts.len(), 1);
    world.followers[0].replica.undelete(&id("d")).unwrap();
    world.run();
    assert_eq!(converged(&mut world), r#"{"list":[1]}"#);
    let header = Header { title: Some("Shared".into()), ..Header::default() };
    world.followers[0].replica.set_header(&id("d"), header).unwrap();
    world.run();
    assert_eq!(converged(&mut world), r#"{"list":[1]}"#);
}

#[test]
fn what_a_root_lost_that_went_back_is_brought_back() {
    let (mut world, writers) = written(2);
    let older = world.root.store.clone();
    for value in 0..5 {
        writers[0].write(&mut world, &format!(r#"[{{"op":"add","path":"/list/-","value":{value}}}]"#));
    }
    world.offline(1);
    writers[1].write(&mut world, r#"[{"op":"add","path":"/list/-","value":"apart"}]"#);
    world.restart_root(older);
    world.online(0);
    world.run_for(60_000);
    world.online(1);
    world.run_for(60_000);
    assert_eq!(converged(&mut world), r#"{"list":[0,1,2,3,4,"apart"]}"#);
}

#[test]
fn a_copy_of_a_profile_loses_and_doubles_nothing() {
    let (mut world, writers) = written(2);
    world.offline(0);
    writers[0].write(&mut world, r#"[{"op":"add","path":"/list/-","value":1}]"#);
    let copy = world.copy(0, &id("d"));
    writers[0].write(&mut world, r#"[{"op":"add","path":"/list/-","value":2}]"#);
    Writer::new(copy, 77).write(&mut world, r#"[{"op":"add","path":"/list/-","value":3}]"#);
    world.online(copy);
    world.online(0);
    world.run_for(60_000);
    let content = converged(&mut world);
    assert!([r#"{"list":[1,2,3]}"#, r#"{"list":[1,3,2]}"#].contains(&content.as_str()), "{content}");
}

#[test]
fn a_relay_passes_updates_and_serves_what_it_has() {
    let (mut world, writers) = written(1);
    let relay = world.add_relay(None);
    let below = world.add_below(relay);
    world.open("d");
    Writer::new(below, 99).write(&mut world, r#"[{"op":"add","path":"/list/-","value":1}]"#);
    writers[0].write(&mut world, r#"[{"op":"add","path":"/list/-","value":2}]"#);
    assert_eq!(converged(&mut world), r#"{"list":[1,2]}"#);
}

/// An update that a Yjs client begins with: it writes two letters.
fn letters(client: u8) -> CrdtUpdate {
    CrdtUpdate(vec![1, 1, client, 0, 4, 1, 1, b't', 2, b'h', b'i', 0].into())
}

#[test]
fn who_hears_what_it_said_is_told_its_updates_in_the_message_of_everybody() {
    let (hearing, plain) = (echoed_id(7 << 64), ReplicaId(8));
    let [ada, bob, reader] = [LinkId(1), LinkId(2), LinkId(3)];
    let mut bare = Bare::new(usize::MAX);
    for (link, replica) in [(ada, hearing), (bob, plain), (reader, ReplicaId(9))] {
        let grant = Grant::new("ada", true);
        let peer = Peer { replica, encoding: Encoding::Binary, grant, token: None };
        bare.input(Input::LinkOpened { link, peer });
        let open = OpenDocument { document: id("d"), have: Have::default(), pending: Vec::new() };
        bare.say(link, Message::Open { documents: vec![open] });
    }
    let merge = |replica: ReplicaId, counter, client| {
        push_at(replica.0, counter, 0, Body::Merge { update: letters(client) })
    };
    bare.holds_commits = true;
    bare.say(ada, merge(hearing, 1, 1));
    // These wait for the commit that is under way, and are durable together.
    bare.say(bob, merge(plain, 1, 2));
    bare.say(ada, merge(hearing, 2, 3));
    bare.answer_commits(&Ok(()));
    bare.said.clear();
    bare.answer_commits(&Ok(()));
    let told = |link: LinkId| {
        let mut updates = bare.said.iter().filter_map(|(to, message)| match message {
            Message::Update(update) if *to == link => Some(update.clone()),
            _ => None,
        });
        let update = updates.next().unwrap();
        assert!(updates.next().is_none());
        update
    };
    assert_eq!(told(ada), told(reader));
    let effects = |link| told(link).entries.into_iter().map(|entry| entry.effect).collect::<Vec<_>>();
    let merged = |client| Effect::Merged { update: letters(client) };
    assert_eq!(effects(ada), [merged(2), merged(3)]);
    assert_eq!(effects(bob), [Effect::Own, merged(3)], "it knows what it has written");
}
