//! Presence of several parts of one program, as the tabs of a browser: each is a member of its own.
#![allow(clippy::unwrap_used)]

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use crate::support::{World, id, json, patch};
use rejoin_core::{EditError, PresenceError, Replica};
use rejoin_wire::limits::MAX_PRESENCE_PARTS;
use rejoin_wire::{ErrorCode, Message, PresenceChange, RelayedMember};

/// Followers who have `d` open.
fn world(followers: usize) -> World {
    let mut world = World::new(followers);
    world.open("d");
    world.create(0, "d", "{}");
    world
}

fn show(replica: &mut Replica, part: u64, state: &str) -> Result<(), EditError> {
    replica.set_presence_of(part, &id("d"), Some(json(state)))
}

/// Who is seen, as principals with states, in the order of the states.
fn seen(world: &World, at: usize) -> Vec<String> {
    let present = world.followers[at].replica.present(&id("d"));
    let mut seen: Vec<_> =
        present.iter().map(|(_, one)| format!("{} {}", one.principal, one.state)).collect();
    seen.sort();
    seen
}

#[test]
fn parts_of_one_replica_are_members_to_the_others_and_not_to_itself() {
    let mut world = world(3);
    let replica = &mut world.followers[0].replica;
    replica.set_presence(&id("d"), Some(json("0"))).unwrap();
    show(replica, 700, "1").unwrap();
    show(replica, 900, "2").unwrap();
    show(&mut world.followers[1].replica, 700, "3").unwrap();
    world.run_for(1_000);
    assert_eq!(seen(&world, 2), ["user0 0", "user0 1", "user0 2", "user1 3"]);
    assert_eq!(seen(&world, 0), ["user1 3"]);
    assert_eq!(seen(&world, 1), ["user0 0", "user0 1", "user0 2"]);
    // Each goes on, and goes, by itself.
    let replica = &mut world.followers[0].replica;
    show(replica, 700, r#"{"cursor":5}"#).unwrap();
    replica.set_presence_of(900, &id("d"), None).unwrap();
    world.run_for(1_000);
    assert_eq!(seen(&world, 2), ["user0 0", r#"user0 {"cursor":5}"#, "user1 3"]);
    // One who comes later sees the same, and so does everybody after the link was lost for a while.
    world.offline(0);
    world.run_for(1_000);
    assert_eq!(seen(&world, 2), ["user1 3"], "all of them end with the link");
    world.online(0);
    assert_eq!(seen(&world, 2), ["user0 0", r#"user0 {"cursor":5}"#, "user1 3"]);
    assert_eq!(seen(&world, 0), ["user1 3"]);
    world.followers[0].replica.close(&id("d"));
    world.run_for(1_000);
    assert_eq!(seen(&world, 2), ["user1 3"], "and with the document");
    assert!(world.errors(0).is_empty(), "{:?}", world.errors(0));
}

#[test]
fn a_replica_shows_as_many_parts_as_a_link_may() {
    let mut world = world(2);
    let replica = &mut world.followers[0].replica;
    for part in 0..=u64::from(MAX_PRESENCE_PARTS) {
        show(replica, part * 1_000, &part.to_string()).unwrap();
    }
    let full = Err(EditError::Presence(PresenceError::TooManyParts));
    assert_eq!(show(replica, 5, "5"), full);
    world.run_for(1_000);
    assert_eq!(seen(&world, 1).len(), 1 + MAX_PRESENCE_PARTS as usize);
    assert!(world.errors(0).is_empty(), "{:?}", world.errors(0));
    let replica = &mut world.followers[0].replica;
    replica.set_presence_of(3_000, &id("d"), None).unwrap();
    show(replica, 5, r#""new""#).unwrap();
    world.run_for(1_000);
    assert_eq!(seen(&world, 1).len(), 1 + MAX_PRESENCE_PARTS as usize);
    assert!(seen(&world, 1).contains(&r#"user0 "new""#.to_owned()));
    assert!(!seen(&world, 1).contains(&"user0 3".to_owned()));
    assert_eq!(world.root.replica.set_presence_of(1, &id("d"), None), full, "who serves shows itself only");
}

#[test]
fn a_link_shows_no_more_parts_than_it_may_and_nobody_else() {
    let mut world = world(2);
    let say = |world: &mut World, number: u32, principal: &str| {
        let before = world.errors(0).len();
        let change = PresenceChange::Set(json(&number.to_string()));
        let member = Some(RelayedMember { number, principal: principal.into() });
        world.say_to_root(0, Message::Presence { document: id("d"), change, member });
        world.run_for(1_000);
        world.errors(0).get(before).map(|error| error.code)
    };
    for (number, principal) in [(0, ""), (MAX_PRESENCE_PARTS + 1, ""), (u32::MAX, "user0"), (1, "user1")] {
        assert_eq!(say(&mut world, number, principal), Some(ErrorCode::Forbidden), "{number} {principal}");
    }
    assert_eq!(seen(&world, 1), [""; 0]);
    assert_eq!(say(&mut world, 1, ""), None);
    assert_eq!(say(&mut world, MAX_PRESENCE_PARTS, "user0"), None);
    assert_eq!(seen(&world, 1), ["user0 1", "user0 16"]);
    // The next link's number comes after those of this one.
    world.followers[1].replica.set_presence(&id("d"), Some(json("7"))).unwrap();
    world.run_for(1_000);
    assert_eq!(seen(&world, 0), ["user1 7"]);
}

#[test]
fn parts_go_through_relays_and_are_known_by_their_own_name() {
    let mut world = World::new(1);
    let relay = world.add_relay(None);
    let second = world.add_relay(Some(relay));
    let (ada, bo) = (world.add_below(relay), world.add_below(second));
    world.run_for(60_000);
    world.open("d");
    world.create(0, "d", "{}");
    world.run_for(1_000);
    for (at, part, state) in [(ada, 0, "10"), (ada, 5, "11"), (bo, 5, "20"), (bo, 6, "21")] {
        show(&mut world.followers[at].replica, part, state).unwrap();
    }
    world.run_for(1_000);
    let name = |at: usize, state: &str| format!("user{at} {state}");
    let (adas, bos) = ([name(ada, "10"), name(ada, "11")], [name(bo, "20"), name(bo, "21")]);
    assert_eq!(seen(&world, 0), [adas.clone(), bos.clone()].concat());
    assert_eq!((seen(&world, ada), seen(&world, bo)), (bos.to_vec(), adas.to_vec()));
    world.followers[bo].replica.set_presence_of(5, &id("d"), None).unwrap();
    world.run_for(1_000);
    assert_eq!(seen(&world, 0), [adas.to_vec(), vec![name(bo, "21")]].concat());
    world.offline(ada);
    world.run_for(1_000);
    assert_eq!(seen(&world, 0), [name(bo, "21")]);
    assert_eq!(seen(&world, bo), [""; 0]);
}

#[test]
fn parts_that_were_refused_are_shown_later() {
    let mut world = world(2);
    world.refused_presences = 2;
    let replica = &mut world.followers[0].replica;
    show(replica, 1, "1").unwrap();
    show(replica, 2, "2").unwrap();
    world.run();
    assert_eq!((world.refused_presences, seen(&world, 1).len()), (0, 0));
    world.run_for(6_000);
    assert_eq!(seen(&world, 1), ["user0 1", "user0 2"], "sent again");
}

#[test]
fn who_closes_a_document_is_gone_though_it_leaves_memory_at_once() {
    let mut world = World::new(1);
    let hasty = world.add_forgetful(Some(rejoin_wire::Scope::Documents), 0);
    world.open("d");
    world.create(0, "d", "{}");
    world.followers[hasty].replica.set_presence(&id("d"), Some(json("1"))).unwrap();
    world.run_for(1);
    let replica = &mut world.followers[hasty].replica;
    replica.edit(&id("d"), patch(r#"[{"op":"add","path":"/a","value":1}]"#)).unwrap();
    replica.close(&id("d"));
    world.run_for(1_000);
    assert!(world.followers[hasty].replica.confirmed(&id("d")).is_none(), "it left memory");
    assert_eq!(world.content(0, "d"), r#"{"a":1}"#);
    assert_eq!(seen(&world, 0), [""; 0]);
}

#[test]
fn who_closes_a_document_is_gone_though_a_change_of_theirs_waits() {
    for offline in [false, true] {
        let mut world = world(2);
        show(&mut world.followers[0].replica, 700, "1").unwrap();
        world.followers[0].replica.set_presence(&id("d"), Some(json("0"))).unwrap();
        world.run_for(1_000);
        assert_eq!(seen(&world, 1), ["user0 0", "user0 1"]);
        if offline {
            world.offline(0);
        }
        let replica = &mut world.followers[0].replica;
        replica.edit(&id("d"), patch(r#"[{"op":"add","path":"/a","value":1}]"#)).unwrap();
        replica.close(&id("d"));
        world.run_for(1_000);
        if offline {
            world.online(0);
            world.run_for(1_000);
        }
        assert_eq!(world.content(1, "d"), r#"{"a":1}"#);
        assert_eq!(seen(&world, 1), [""; 0], "offline: {offline}");
        // Whoever opens it again shows nothing before they say so.
        world.followers[0].replica.open(&id("d"));
        world.run_for(1_000);
        assert_eq!(seen(&world, 1), [""; 0], "offline: {offline}");
    }
}
