//! Whatever a peer or a store says, a replica goes on and does right by the others.
#![allow(clippy::unwrap_used)]

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use crate::support::bare::{Bare, announced_edit, creation, edit, push_to};
use crate::support::{World, id, json, workspace};
use proptest::prelude::*;
use rejoin_core::storage::{Answered, RequestId, StoreError};
use rejoin_core::{ConflictChoice, Event, Grant, Input, Instant, LinkId, Output, Replica};
use rejoin_store::{MemoryStore, Place};
use rejoin_wire::{
    Body, Encoding, ErrorCode, Have, Message, OpenDocument, Revision, Scope, decode_message, encode_message,
};

/// A world in which messages of every usual kind went both ways.
fn busy_world() -> World {
    let mut world = World::new(2);
    world.open("d");
    world.create(0, "d", r#"{"a":1,"cards":[{"id":"x","t":"one"},{"id":"y"}],"text":"one two three"}"#);
    world.followers[0].replica.set_presence(&id("d"), Some(json(r#"{"cursor":1}"#))).unwrap();
    world.run_for(200);
    world.offline(1);
    world.edit(0, "d", r#"[{"op":"replace","path":"/a","value":2}]"#);
    world.edit(1, "d", r#"[{"op":"replace","path":"/a","value":3},{"op":"remove","path":"/cards/0"}]"#);
    world.online(1);
    world.run_for(60_000);
    let open: Vec<_> = world.followers[0].replica.view(&id("d")).unwrap().conflicts.keys().copied().collect();
    for record in open {
        world.followers[0].replica.settle(&id("d"), record, ConflictChoice::Current).unwrap();
    }
    world.followers[0].replica.delete(&id("d")).unwrap();
    world.run();
    world.followers[0].replica.undelete(&id("d")).unwrap();
    world.run_for(1_000);
    world
}

/// A message as it went over a link, with some bytes changed; `None` where it is refused before it reaches a replica.
fn spoiled(message: &Message, flips: &[(prop::sample::Index, u8)]) -> Option<Message> {
    let mut bytes = encode_message(message, Encoding::Binary).to_vec();
    for (at, flip) in flips {
        let at = at.index(bytes.len());
        bytes[at] ^= flip;
    }
    decode_message(&bytes, Encoding::Binary).ok()
}

/// Where a byte is changed, and its bits that are.
type Flips = Vec<(prop::sample::Index, u8)>;

fn flips() -> impl Strategy<Value = Flips> {
    prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..3)
}

/// What is said, spoiled how, and to whom.
fn sayings() -> impl Strategy<Value = Vec<(prop::sample::Index, Flips, bool)>> {
    prop::collection::vec((any::<prop::sample::Index>(), flips(), any::<bool>()), 1..40)
}

proptest! {
    #![proptest_config(rejoin_properties::cases(200))]

    #[test]
    fn no_message_breaks_a_replica_and_the_others_go_on(sayings in sayings()) {
        let mut world = busy_world();
        let mut heard = world.root_heard.clone();
        heard.extend(world.followers[0].messages.clone());
        let mut said = 0;
        for (which, flips, to_root) in sayings {
            let Some(message) = spoiled(which.get(&heard), &flips) else { continue };
            said += 1;
            if to_root {
                world.say_to_root(0, message);
            } else if let Some(link) = world.followers[0].up {
                world.followers[0].replica.handle_input(world.now, Input::Received { link, message });
            }
            world.run();
        }
        prop_assume!(said > 0);
        world.run_for(60_000);
        // Whatever became of the link and the document of the one, the other's work is not held up.
        world.followers[1].replica.open(&id("other"));
        world.run();
        world.create(1, "other", r#"{"fine":true}"#);
        world.run_for(60_000);
        world.root.replica.open(&id("other"));
        world.run();
        let root = world.root.replica.view(&id("other")).unwrap();
        prop_assert_eq!(root.content.canonical(), r#"{"fine":true}"#);
        let status = world.followers[1].replica.sync_status();
        prop_assert_eq!(status.pending, 0);
    }
}

#[test]
fn an_answer_that_comes_twice_or_to_no_request_is_ignored() {
    let mut world = busy_world();
    let before = world.content(0, "d");
    let asked = world.followers[0].asked.clone();
    assert!(!asked.is_empty());
    for (number, operation) in asked.iter().enumerate() {
        let answer = world.followers[0].store.clone().execute(&workspace(), operation);
        for request in [RequestId(number as u64), RequestId(u64::MAX)] {
            let answer = answer.clone();
            world.followers[0].replica.handle_input(world.now, Input::Stored { request, answer });
        }
    }
    world.run();
    assert_eq!(world.content(0, "d"), before);
    world.edit(0, "d", r#"[{"op":"add","path":"/late","value":true}]"#);
    assert!(world.converged("d").contains("late"));
}

#[test]
fn a_document_that_is_damaged_harms_no_other_and_is_mended() {
    let mut world = World::new(1);
    world.open("d");
    world.open("other");
    world.create(0, "d", r#"{"a":1}"#);
    world.create(0, "other", r#"{"b":1}"#);
    let mut store = world.root.store.clone();
    let of_d =
        |place: &Place| matches!(place, Place::Checkpoint(of, _) | Place::Changes(of, ..) if *of == id("d"));
    let places: Vec<Place> = store.bodies(&workspace()).into_iter().filter(of_d).collect();
    assert!(!places.is_empty());
    for place in &places {
        assert!(store.corrupt(&workspace(), place, |bytes| bytes.iter_mut().for_each(|byte| *byte ^= 0x55)));
    }
    world.offline(0);
    world.restart_root(store);
    let late = world.add(Some(Scope::Documents), MemoryStore::new());
    world.open("d");
    world.open("other");
    world.run_for(60_000);
    assert!(world.root.events.contains(&Event::Quarantined { document: id("d") }));
    world.edit(late, "other", r#"[{"op":"add","path":"/c","value":2}]"#);
    assert!(world.followers[late].replica.pending(&id("other")).is_empty());
    assert!(world.errors(late).iter().any(|error| error.document == Some(id("d"))));
    world.edit(0, "d", r#"[{"op":"add","path":"/kept","value":true}]"#);
    world.online(0);
    assert_eq!(world.converged("d"), r#"{"a":1,"kept":true}"#);
    assert_eq!(world.converged("other"), r#"{"b":1,"c":2}"#);
}

/// The first of what a replica asks of its store.
fn asked(replica: &mut Replica) -> RequestId {
    let request = |output| if let Output::Store { request, .. } = output { Some(request) } else { None };
    std::iter::from_fn(|| replica.poll_output()).find_map(request).unwrap()
}

#[test]
fn a_store_that_answers_what_was_not_asked_is_asked_again() {
    let mut world = World::new(0);
    let follower = world.add(Some(Scope::Documents), MemoryStore::new());
    let replica = &mut world.followers[follower].replica;
    let request = asked(replica);
    replica.handle_input(world.now, Input::Stored { request, answer: Ok(Answered::Heads(Vec::new())) });
    let due = replica.poll_timeout();
    assert!(due.is_some_and(|due| due > world.now), "{due:?}");
    world.run_for(1_000);
    assert!(world.followers[follower].replica.is_ready());
    let due = world.followers[follower].replica.poll_timeout();
    assert!(due.is_none_or(|due| due > world.now), "{due:?} at {:?}", world.now);
}

#[test]
fn nothing_is_read_before_it_is_known_who_reads() {
    let mut world = World::new(1);
    world.open("d");
    world.create(0, "d", r#"{"a":1}"#);
    let follower = world.add(Some(Scope::Documents), MemoryStore::new());
    let replica = &mut world.followers[follower].replica;
    let meta = asked(replica);
    replica.open(&id("d"));
    let later = Instant(world.now.0 + 1_000_000);
    replica.handle_input(later, Input::Timeout);
    assert!(replica.poll_output().is_none_or(|output| matches!(output, Output::Event(_))));
    assert_eq!(replica.poll_timeout(), None, "its driver would never sleep");
    let unavailable = Err(StoreError::Unavailable("busy".into()));
    replica.handle_input(later, Input::Stored { request: meta, answer: unavailable });
    while replica.poll_output().is_some() {}
    assert!(replica.poll_timeout().is_some_and(|due| due > later));
    world.now = later;
    world.run_for(1_000);
    assert!(world.followers[follower].replica.view(&id("d")).is_some());
}

#[test]
fn a_change_that_does_nothing_makes_no_document() {
    let mut bare = Bare::new(usize::MAX);
    let (ada, bob) = (LinkId(1), LinkId(2));
    bare.link(ada, Grant::new("ada", true));
    bare.link(bob, Grant::new("bob", true));
    bare.say(ada, push_to("d", 8, 0, Body::Void, None, None));
    assert_eq!(bare.outcomes(ada, 8), [Some(ErrorCode::DocumentNotFound)]);
    bare.say(bob, creation(7, None));
    assert_eq!(bare.outcomes(bob, 7), [None]);
    assert_eq!(bare.replica.confirmed(&id("d")).unwrap().revision, Revision(1));
    // Of one that is there it makes a revision.
    bare.say(ada, push_to("d", 9, 1, Body::Void, None, None));
    assert_eq!(bare.outcomes(ada, 9), [None]);
}

#[test]
fn what_is_decided_waits_for_its_commit_whatever_else_is_pushed_with_it() {
    let mut bare = Bare::new(0);
    let (ada, bob, carl) = (LinkId(1), LinkId(2), LinkId(3));
    bare.link(ada, Grant::new("ada", true));
    bare.link(bob, Grant::new("bob", true));
    bare.link(carl, Grant::new("carl", true));
    bare.say(ada, creation(7, None));
    let open = OpenDocument { document: id("d"), have: Have::default(), pending: Vec::new() };
    bare.say(bob, Message::Open { documents: vec![open] });
    bare.holds_commits = true;
    bare.said.clear();
    // In one turn: an edit, one that is made on a revision which nobody knows, and one that is decided elsewhere.
    bare.replica.handle_input(bare.now, Input::Received { link: ada, message: edit(8, 1) });
    bare.replica.handle_input(bare.now, Input::Received { link: bob, message: edit(9, 99) });
    bare.say(carl, announced_edit(10));
    let told = |bare: &Bare| {
        let tells = |message: &Message| matches!(message, Message::Update(_) | Message::Outcomes { .. });
        bare.said.iter().filter(|(_, message)| tells(message)).count()
    };
    assert_eq!(told(&bare), 0, "{:?}", bare.said);
    // What a failed commit took back is decided again.
    bare.answer_commits(&Err(StoreError::Unavailable("busy".into())));
    bare.pass(60_000);
    assert_eq!(told(&bare), 0, "{:?}", bare.said);
    bare.answer_commits(&Ok(()));
    assert_eq!(bare.outcomes(ada, 8), [None]);
    assert_eq!(bare.replica.confirmed(&id("d")).unwrap().revision, Revision(2));
}
