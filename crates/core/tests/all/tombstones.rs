//! Who begins anew after an own deletion has seen a tombstone, by whatever way the authority learns what was seen.
#![allow(clippy::unwrap_used, missing_docs)]

use crate::support::{World, id, json};
use rejoin_json::Policy;
use rejoin_wire::{Header, Message, Scope};
#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

/// A document that counts, under the policy `ours`; and the header that it gets when it begins anew.
fn counting() -> (World, Header) {
    let mut world = World::new(1);
    world.open("d");
    let header = Header { counters: vec!["/n".try_into().unwrap()], ..Header::default() };
    let ours = Header { policy: Policy::Ours, ..header.clone() };
    world.followers[0].replica.create_with(&id("d"), ours, json(r#"{"n":6}"#)).unwrap();
    world.run();
    (world, header)
}

#[test]
fn who_begins_anew_after_a_deletion_that_a_copy_sent_too_is_known_to_have_seen_a_tombstone() {
    let (mut world, header) = counting();
    world.offline(0);
    world.followers[0].replica.delete(&id("d")).unwrap();
    world.run();
    let copy = world.add(Some(Scope::Documents), world.followers[0].store.clone());
    world.offline(copy);
    world.run();
    world.followers[copy].replica.open(&id("d"));
    world.run();
    for (at, start) in [(0, r#"{"n":0}"#), (copy, r#"{"a":1,"n":0}"#)] {
        world.followers[at].replica.create_with(&id("d"), header.clone(), json(start)).unwrap();
    }
    world.edit(copy, "d", r#"[{"op":"replace","path":"/n","value":-2}]"#);
    world.online(0);
    world.online(copy);
    assert_eq!(world.converged("d"), r#"{"a":1,"n":-2}"#);
}

#[test]
fn who_begins_anew_after_an_own_deletion_and_is_asked_what_it_saw_is_known_to_have_seen_a_tombstone() {
    let (mut world, header) = counting();
    // The deletion is accepted, and its author does not hear of it.
    world.followers[0].holds_messages = true;
    world.followers[0].replica.delete(&id("d")).unwrap();
    world.run();
    world.offline(0);
    world.followers[0].holds_messages = false;
    let store = world.root.store.clone();
    world.restart_root(store);
    world.followers[0].replica.create_with(&id("d"), header, json(r#"{"n":0}"#)).unwrap();
    world.edit(0, "d", r#"[{"op":"replace","path":"/n","value":-2}]"#);
    world.online(0);
    let asked = |message: &Message| matches!(message, Message::NeedSeen { .. });
    assert!(world.followers[0].messages.iter().any(asked));
    assert_eq!(world.converged("d"), r#"{"n":-2}"#);
}
