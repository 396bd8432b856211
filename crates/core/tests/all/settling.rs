//! Settling the conflicts of array elements that are known by their index only.
#![allow(clippy::unwrap_used)]

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use rejoin_core::{ConflictChoice, EditError};

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
fn an_element_that_stands_twice_is_settled_only_at_its_index() {
    let mut world = conflict_at_a_tag(r#"[{"op":"add","path":"/tags/0","value":2}]"#);
    world.edit(0, "d", r#"[{"op":"add","path":"/tags/0","value":0}]"#);
    world.run();
    settle(&mut world, ConflictChoice::Current).unwrap();
    assert_eq!(world.converged("d"), r#"{"tags":[0,1,"a",2,"c"]}"#, "the one at the index");

    let mut world = conflict_at_a_tag(r#"[{"op":"add","path":"/tags/0","value":2}]"#);
    assert!(matches!(settle(&mut world, ConflictChoice::Current), Err(EditError::PlaceGone)));
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
fn texts_that_were_put_together_are_found_by_what_came_of_it() {
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
