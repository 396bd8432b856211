//! The documents of a workspace, listed offline after a restart, without opening any of them.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use crate::support::{World, id};
use rejoin_core::storage::{Operation, StoreError};
use rejoin_core::{Life, Reply, Token};
use rejoin_wire::{ErrorCode, Revision, Scope, Sequence};

/// What a program shows: the title of each document that is not deleted, and whether own changes of it wait.
fn shown(world: &mut World) -> BTreeMap<String, (Option<String>, bool)> {
    let mut shown = BTreeMap::new();
    let mut after = Sequence(0);
    for token in 0.. {
        world.followers[0].replica.heads(Token(token), after, 2);
        world.run();
        let Some(Reply::Heads { heads, .. }) = world.followers[0].replies.remove(&token) else { panic!() };
        let Some(last) = heads.last() else { break };
        after = last.sequence;
        for head in heads.iter().filter(|head| !head.deleted) {
            shown.insert(head.document.to_string(), (head.title.as_deref().map(str::to_owned), false));
        }
    }
    for listed in world.followers[0].replica.listed() {
        let name = listed.document.to_string();
        if listed.life == Life::Alive {
            shown.insert(name, (listed.title.as_deref().map(str::to_owned), listed.pending > 0));
        } else {
            shown.remove(&name);
        }
    }
    shown
}

fn entry(name: &str, title: &str, pending: bool) -> (String, (Option<String>, bool)) {
    (name.to_owned(), (Some(title.to_owned()), pending))
}

#[test]
fn documents_are_listed_offline_after_a_restart_and_none_is_opened_for_it() {
    let mut world = World::new(1);
    for name in ["a", "b", "c", "gone"] {
        world.open(name);
        world.create(0, name, &format!(r#"{{"title":"Title {name}"}}"#));
    }
    world.followers[0].replica.delete(&id("gone")).unwrap();
    world.run();
    world.offline(0);
    for name in ["new", "b", "c"] {
        world.followers[0].replica.open(&id(name));
    }
    world.run();
    world.create(0, "new", r#"{"title":"Made offline"}"#);
    world.edit(0, "b", r#"[{"op":"replace","path":"/title","value":"Renamed offline"}]"#);
    world.followers[0].replica.delete(&id("c")).unwrap();
    world.run();
    world.restart(0, Some(Scope::Documents));
    world.followers[0].network = false;
    world.run();
    let expected = [
        entry("a", "Title a", false),
        entry("b", "Renamed offline", true),
        entry("new", "Made offline", true),
    ];
    assert_eq!(shown(&mut world), BTreeMap::from(expected));
    let loads = |asked: &Operation| match asked {
        Operation::LoadDocument { document, .. } => Some(document.to_string()),
        _ => None,
    };
    let loaded: Vec<_> = world.followers[0].asked.iter().filter_map(loads).collect();
    assert_eq!(loaded, ["b", "c", "new"], "only where something waits");
    let listed = world.followers[0].replica.listed();
    let new = listed.iter().find(|listed| listed.document == id("new")).unwrap();
    assert_eq!((new.revision, new.pending), (Revision(0), 1));
    world.online(0);
    world.run_for(1_000);
    let expected = [
        entry("a", "Title a", false),
        entry("b", "Renamed offline", false),
        entry("new", "Made offline", false),
    ];
    assert_eq!(shown(&mut world), BTreeMap::from(expected));
}

#[test]
fn heads_that_cannot_be_read_are_refused_and_asked_for_again() {
    let mut world = World::new(1);
    world.open("d");
    world.create(0, "d", "{}");
    world.followers[0].store.fail_next(1, StoreError::Unavailable("asleep".into()));
    world.followers[0].replica.heads(Token(1), Sequence(0), 10);
    world.run();
    let reply = world.followers[0].replies.get(&1);
    assert!(matches!(reply, Some(Reply::Refused { code: ErrorCode::Unavailable, .. })), "{reply:?}");
    world.followers[0].replica.heads(Token(2), Sequence(0), 10);
    world.run();
    let Some(Reply::Heads { heads, durable }) = world.followers[0].replies.get(&2) else { panic!() };
    assert_eq!((heads.len(), *durable), (1, Sequence(1)));
}
