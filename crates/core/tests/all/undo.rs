//! What undo and redo do with changes that are not there to be taken back.
#![allow(clippy::unwrap_used)]

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use crate::support::{World, id, patch};
use rejoin_core::EditError;

/// One follower, whose document `d` went from 1 to 2.
fn world() -> World {
    let mut world = World::new(1);
    world.open("d");
    world.create(0, "d", r#"{"a":1}"#);
    set(&mut world, 0, 2);
    world
}

fn set(world: &mut World, at: usize, value: u32) {
    world.edit(at, "d", &format!(r#"[{{"op":"replace","path":"/a","value":{value}}}]"#));
}

fn undo(world: &mut World) -> Result<(), EditError> {
    let undone = world.followers[0].replica.undo(&id("d"));
    world.run();
    undone.map(|_| ())
}

fn redo(world: &mut World) -> Result<(), EditError> {
    let redone = world.followers[0].replica.redo(&id("d"));
    world.run();
    redone.map(|_| ())
}

#[test]
fn a_rejected_change_is_not_undone() {
    let mut world = world();
    world.allow(0, false);
    set(&mut world, 0, 3);
    assert_eq!(world.followers[0].replica.rejected(&id("d")).len(), 1);
    world.allow(0, true);
    undo(&mut world).unwrap();
    assert_eq!(world.converged("d"), r#"{"a":1}"#, "what stands is undone");
    redo(&mut world).unwrap();
    assert_eq!(world.converged("d"), r#"{"a":2}"#);
}

#[test]
fn what_undid_a_rejected_change_is_not_redone() {
    let mut world = world();
    world.offline(0);
    set(&mut world, 0, 3);
    undo(&mut world).unwrap();
    assert_eq!(world.content(0, "d"), r#"{"a":2}"#);
    world.grants[0].may_edit = false;
    world.online(0);
    assert_eq!(world.followers[0].replica.rejected(&id("d")).len(), 2);
    world.allow(0, true);
    assert_eq!(redo(&mut world), Err(EditError::NothingToUndo));
    undo(&mut world).unwrap();
    assert_eq!(world.converged("d"), r#"{"a":1}"#);
}

#[test]
fn a_change_whose_history_is_not_held_is_reported_once_and_stands_in_nobodys_way() {
    let mut world = world();
    let other = world.add(Some(rejoin_wire::Scope::Documents), rejoin_store::MemoryStore::new());
    world.run_for(60_000);
    world.open("d");
    undo(&mut world).unwrap();
    world.offline(0);
    for value in 0..100 {
        let text = format!("{value}").repeat(1_000);
        world.edit(other, "d", &format!(r#"[{{"op":"add","path":"/text","value":"{text}"}}]"#));
    }
    world.followers[0].messages.clear();
    world.online(0);
    let kinds: Vec<_> = world.followers[0].messages.iter().map(rejoin_wire::Message::kind).collect();
    assert!(kinds.contains(&"snapshot"), "what is between is not told: {kinds:?}");
    set(&mut world, 0, 5);
    undo(&mut world).unwrap();
    assert_eq!(
        world.followers[0].replica.view(&id("d")).unwrap().content.get("a"),
        Some(&crate::support::json("1"))
    );
    // The creation; the edit is undone already.
    assert_eq!(undo(&mut world), Err(EditError::HistoryNotHeld));
    assert_eq!(undo(&mut world), Err(EditError::NothingToUndo));
    redo(&mut world).unwrap();
    assert_eq!(redo(&mut world), Err(EditError::HistoryNotHeld));
    assert_eq!(redo(&mut world), Err(EditError::NothingToUndo));
    world.converged("d");
}

#[test]
fn a_change_of_somebody_else_is_taken_back_by_its_name() {
    let mut world = World::new(2);
    world.open("d");
    world.create(0, "d", r#"{"a":1,"b":1}"#);
    let edit = patch(r#"[{"op":"replace","path":"/a","value":2}]"#);
    let name = world.followers[0].replica.edit(&id("d"), edit).unwrap();
    world.run();
    world.edit(0, "d", r#"[{"op":"replace","path":"/b","value":2}]"#);
    let undone = world.followers[1].replica.undo_change(&id("d"), name).unwrap();
    world.run();
    assert_eq!(undone.kept, []);
    assert_eq!(world.converged("d"), r#"{"a":1,"b":2}"#);
}
