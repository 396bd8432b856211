//! The same seeds and inputs give the same bytes, on every platform.
#![allow(clippy::unwrap_used)]

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use std::fmt::Write;

use crate::support::{World, id};
use rejoin_json::Json;

/// The hash of what [`play`] says. It changes when the protocol, the records or the machine's decisions do, and then is the same on all
/// platforms again.
const EXPECTED: &str = "292b5f1ed151393daca948ad35b049d332c82b6d0da50057317ce1bcda52fde8";

/// Plays a world with edits together and apart, conflicts, an undo, a deletion, and a root that starts again; gives everything that was said and stored.
fn play() -> String {
    let mut world = World::new(3);
    world.open("d");
    world.create(
        0,
        "d",
        r#"{"list":[{"id":"a","n":1.5},{"id":"b","n":1e21}],"text":"one two three","count":0}"#,
    );
    for round in 0..8 {
        let away = round % 3;
        world.offline(away);
        for at in 0..3 {
            let edit = format!(
                r#"[{{"op":"replace","path":"/list/0/n","value":{round}.{at}}},
                    {{"op":"add","path":"/list/-","value":{{"id":"{round}{at}"}}}},
                    {{"op":"replace","path":"/text","value":"one {at} two {round} three"}}]"#
            );
            world.edit(at, "d", &edit);
        }
        if round == 4 {
            world.followers[1].replica.undo(&id("d")).unwrap();
            world.restart_root(world.root.store.clone());
        }
        world.online(away);
    }
    world.followers[2].replica.delete(&id("d")).unwrap();
    world.run();
    let mut said = world.converged("d");
    let everybody = std::iter::once(&world.root).chain(&world.followers);
    for node in everybody {
        write!(said, "{:?}{:?}", node.messages, node.asked).unwrap();
    }
    write!(said, "{:?}", world.root_heard).unwrap();
    said
}

#[test]
fn the_same_seeds_and_inputs_give_the_same_bytes_everywhere() {
    let said = play();
    assert_eq!(said, play());
    let hash = Json::from(said.as_str()).content_hash();
    assert_eq!(format!("{hash:?}"), EXPECTED);
}
