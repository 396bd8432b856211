//! Settling the conflicts of array elements that are known by their index only.
#![allow(clippy::unwrap_used)]

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use rejoin_core::{ConflictChoice, EditError, Reply, Token};
use rejoin_store::MemoryStore;
use rejoin_wire::Scope;

use crate::support::{World, id, json};

/// Two who edit one tag apart, and what stands around it when the conflict is settled.
fn conflict_at_a_tag(before: &str) -> World {
    let mut world = World::new(2);
    world.open("d");
    world.create(0, "d", r#"{"tags":["a","b","c"]}"#);
    world.offline(1);
    world.edit(0, "d", r#"[{"op":"replace","path":"/tags/1","value":1}]"#);
    world.edit(1, "d", r#"[{"op":"replace","path":"/tags/1","value":2}]"#);
    world.online(1);
    assert_eq!(world.converged("d"), r#"{"tags":["a",2,"c"]}"#);
    world.edit(0, "d", before);
    world.run();
    world
}

fn settle(world: &mut World, choice: ConflictChoice) -> Result<(), EditError> {
    let replica = &mut world.followers[0].replica;
    let conflict = *replica.view(&id("d")).unwrap().conflicts.keys().next().unwrap();
    replica.settle(&id("d"), conflict, choice)?;
    world.run();
    Ok(())
}

#[test]
fn an_element_that_has_moved_is_settled_where_it_stands_now() {
    let mut world = conflict_at_a_tag(r#"[{"op":"add","path":"/tags/0","value":"new"}]"#);
    settle(&mut world, ConflictChoice::Current).unwrap();
    assert_eq!(world.converged("d"), r#"{"tags":["new","a",1,"c"]}"#);
}

#[test]
fn the_value_that_won_stays_one_element_where_it_is_chosen_again() {
    let mut world = conflict_at_a_tag(r#"[{"op":"add","path":"/tags/1","value":"new"}]"#);
    settle(&mut world, ConflictChoice::Incoming).unwrap();
    assert_eq!(world.converged("d"), r#"{"tags":["a","new",2,"c"]}"#);
}

#[test]
fn another_element_at_the_index_is_not_overwritten() {
    let mut world = conflict_at_a_tag(r#"[{"op":"remove","path":"/tags/1"}]"#);
    for choice in [ConflictChoice::Current, ConflictChoice::Base, ConflictChoice::Value(json("3"))] {
        assert!(matches!(settle(&mut world, choice), Err(EditError::PlaceGone)));
    }
    settle(&mut world, ConflictChoice::Keep).unwrap();
    assert_eq!(world.converged("d"), r#"{"tags":["a","c"]}"#);
}

#[test]
fn an_element_that_stands_twice_is_settled_where_it_was_met() {
    let mut world = conflict_at_a_tag(r#"[{"op":"add","path":"/tags/0","value":2}]"#);
    world.edit(0, "d", r#"[{"op":"add","path":"/tags/0","value":0}]"#);
    world.run();
    settle(&mut world, ConflictChoice::Current).unwrap();
    assert_eq!(world.converged("d"), r#"{"tags":[0,2,"a",1,"c"]}"#);
}

#[test]
fn an_element_that_its_deletion_lost_against_can_be_deleted_where_it_stands() {
    let mut world = World::new(2);
    world.open("d");
    world.create(0, "d", r#"{"tags":["a","b","c"]}"#);
    world.offline(1);
    world.edit(0, "d", r#"[{"op":"replace","path":"/tags/1","value":"edited"}]"#);
    world.edit(1, "d", r#"[{"op":"remove","path":"/tags/1"}]"#);
    world.online(1);
    assert_eq!(world.converged("d"), r#"{"tags":["a","edited","c"]}"#);
    world.edit(1, "d", r#"[{"op":"remove","path":"/tags/0"}]"#);
    world.run();
    settle(&mut world, ConflictChoice::Incoming).unwrap();
    assert_eq!(world.converged("d"), r#"{"tags":["c"]}"#);
}

#[test]
fn texts_that_were_put_together_are_found_where_they_stand() {
    let mut world = World::new(2);
    world.open("d");
    world.create(0, "d", r#"{"tags":["a","one two three"]}"#);
    world.offline(1);
    world.edit(0, "d", r#"[{"op":"replace","path":"/tags/1","value":"ONE 2 three"}]"#);
    world.edit(1, "d", r#"[{"op":"replace","path":"/tags/1","value":"one II THREE"}]"#);
    world.online(1);
    let merged = world.converged("d");
    world.edit(0, "d", r#"[{"op":"add","path":"/tags/0","value":"new"}]"#);
    world.run();
    settle(&mut world, ConflictChoice::Current).unwrap();
    assert_eq!(world.converged("d"), r#"{"tags":["new","a","ONE 2 three"]}"#, "was {merged}");
}

/// Two equal quantities, of which the one with the conflict goes: the other is another line of the order.
#[test]
fn an_equal_element_elsewhere_is_not_overwritten() {
    let mut world = World::new(2);
    world.open("d");
    world.create(0, "d", r#"{"quantities":["a",1,"c",7]}"#);
    world.offline(1);
    world.edit(0, "d", r#"[{"op":"replace","path":"/quantities/1","value":6}]"#);
    world.edit(1, "d", r#"[{"op":"replace","path":"/quantities/1","value":7}]"#);
    world.online(1);
    assert_eq!(world.converged("d"), r#"{"quantities":["a",7,"c",7]}"#);
    world.edit(1, "d", r#"[{"op":"remove","path":"/quantities/1"}]"#);
    world.run();
    let settled = settle(&mut world, ConflictChoice::Current);
    assert!(matches!(settled, Err(EditError::PlaceGone)), "{settled:?}");
    assert_eq!(world.converged("d"), r#"{"quantities":["a","c",7]}"#);
}

/// The same one level deeper, at the index.
#[test]
fn a_member_of_another_element_is_not_overwritten() {
    let mut world = World::new(2);
    world.open("d");
    world.create(0, "d", r#"{"rows":[{"n":"a","v":0},{"n":"b","v":1},{"n":"c","v":7}]}"#);
    world.offline(1);
    world.edit(0, "d", r#"[{"op":"replace","path":"/rows/1/v","value":6}]"#);
    world.edit(1, "d", r#"[{"op":"replace","path":"/rows/1/v","value":7}]"#);
    world.online(1);
    let before = world.converged("d");
    world.edit(1, "d", r#"[{"op":"remove","path":"/rows/1"}]"#);
    world.run();
    let settled = settle(&mut world, ConflictChoice::Current);
    assert_eq!(
        world.converged("d"),
        r#"{"rows":[{"n":"a","v":0},{"n":"c","v":7}]}"#,
        "{settled:?}, was {before}"
    );
}

/// A paragraph that was typed in by several changes, as typing makes them, and nothing has moved since.
#[test]
fn a_text_that_was_typed_in_several_times_is_found_where_it_stands() {
    let mut world = World::new(2);
    world.open("d");
    world.create(0, "d", r#"{"p":["a","one two three"]}"#);
    world.offline(1);
    world.edit(0, "d", r#"[{"op":"replace","path":"/p/1","value":"ONE 2 three"}]"#);
    world.edit(1, "d", r#"[{"op":"replace","path":"/p/1","value":"one II three"}]"#);
    world.edit(1, "d", r#"[{"op":"replace","path":"/p/1","value":"one III three"}]"#);
    world.edit(1, "d", r#"[{"op":"replace","path":"/p/1","value":"one III THREE"}]"#);
    world.online(1);
    let merged = world.converged("d");
    let settled = settle(&mut world, ConflictChoice::Current);
    assert!(settled.is_ok(), "{merged} has not moved: {settled:?}");
}

/// The same of a number: the conflict is met by the first of two changes that were made offline.
#[test]
fn a_number_that_was_changed_twice_is_found_where_it_stands() {
    let mut world = World::new(2);
    world.open("d");
    world.create(0, "d", r#"{"n":["a",1]}"#);
    world.offline(1);
    world.edit(0, "d", r#"[{"op":"replace","path":"/n/1","value":6}]"#);
    world.edit(1, "d", r#"[{"op":"replace","path":"/n/1","value":7}]"#);
    world.edit(1, "d", r#"[{"op":"replace","path":"/n/1","value":8}]"#);
    world.online(1);
    let merged = world.converged("d");
    let settled = settle(&mut world, ConflictChoice::Current);
    assert_eq!(world.converged("d"), r#"{"n":["a",6]}"#, "was {merged}: {settled:?}");
}

/// A replica that was told of the document as a whole does not know what happened since the conflict.
#[test]
fn an_element_is_not_settled_where_the_log_does_not_reach_its_record() {
    let mut world = conflict_at_a_tag(r#"[{"op":"add","path":"/tags/0","value":"new"}]"#);
    let late = world.add(Some(Scope::Documents), MemoryStore::new());
    world.run_for(60_000);
    world.followers[late].replica.open(&id("d"));
    world.run_for(1_000);
    let replica = &mut world.followers[late].replica;
    let conflict = *replica.view(&id("d")).unwrap().conflicts.keys().next().unwrap();
    let settled = replica.settle(&id("d"), conflict, ConflictChoice::Current);
    assert!(matches!(settled, Err(EditError::PlaceGone)), "{settled:?}");
    replica.settle(&id("d"), conflict, ConflictChoice::Keep).unwrap();
}

#[test]
fn an_element_is_followed_through_own_changes_that_nobody_has_seen() {
    let mut world = conflict_at_a_tag(r#"[{"op":"add","path":"/tags/0","value":"new"}]"#);
    world.offline(0);
    world.edit(0, "d", r#"[{"op":"remove","path":"/tags/0"}]"#);
    world.edit(0, "d", r#"[{"op":"remove","path":"/tags/0"}]"#);
    settle(&mut world, ConflictChoice::Current).unwrap();
    world.online(0);
    assert_eq!(world.converged("d"), r#"{"tags":[1,"c"]}"#);
}

#[test]
fn an_authority_that_was_started_again_knows_where_an_element_is() {
    let mut world = conflict_at_a_tag(r#"[{"op":"add","path":"/tags/0","value":"new"}]"#);
    for _ in 0..100 {
        world.edit(1, "d", r#"[{"op":"add","path":"/tags/0","value":2}]"#);
        world.run();
    }
    let conflict = *world.root.replica.confirmed(&id("d")).unwrap().conflicts.keys().next().unwrap();
    let store = world.root.store.clone();
    world.restart_root(store);
    world.root.replica.read_conflict(Token(100), &id("d"), conflict);
    world.run();
    let Some(Reply::Conflict(read)) = world.root.replies.remove(&100) else { panic!("no answer") };
    assert_eq!(read.place.unwrap().to_string(), "/tags/102");
}
