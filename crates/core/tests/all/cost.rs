//! What things cost in bytes and in questions to the store: counts, which are the same on every machine.
#![allow(clippy::unwrap_used)]

use crate::support::{Node, World, id, json, patch};
use rejoin_core::storage::{Operation, Write};
use rejoin_wire::Scope;

/// A frame's own header, with room: two bytes, two or eight of length, four of mask.
const FRAME_BYTES: usize = 14;

/// About 100 KB.
fn records() -> String {
    let record = |number: usize| {
        format!(r#"{{"id":"r{number}","title":"Record {number}","note":"{}"}}"#, "some words ".repeat(13))
    };
    let records: Vec<String> = (0..500).map(record).collect();
    format!(r#"{{"records":[{}]}}"#, records.join(","))
}

/// Bytes of the rows and records that a node has asked to be written.
fn written(node: &Node) -> usize {
    let bytes = |write: &Write| match write {
        Write::PutCheckpoint { body, .. }
        | Write::PutRecord { body, .. }
        | Write::AddMeta { body, .. }
        | Write::PutMeta { body, .. } => body.len(),
        Write::AppendChanges(row) => row.body.len(),
        _ => 0,
    };
    let commit = |operation: &Operation| match operation {
        Operation::Commit(batch) => batch.writes.iter().map(bytes).sum(),
        _ => 0,
    };
    node.asked.iter().map(commit).sum()
}

/// Bytes that two edits take to the peer, from the author and to it, and in the authority's store: the second of two, which finds all settled.
fn cost_of(content: &str, edits: [&str; 2]) -> [usize; 4] {
    let mut world = World::with_scope(2, None);
    world.open("d");
    world.create(0, "d", content);
    assert!(world.converged("d").len() > 40_000);
    world.edit(0, "d", edits[0]);
    for node in &mut world.followers {
        (node.sent, node.received) = (0, 0);
    }
    world.root.asked.clear();
    world.edit(0, "d", edits[1]);
    world.converged("d");
    let (author, peer) = (&world.followers[0], &world.followers[1]);
    assert_eq!(peer.sent, 0, "whoever only watches says nothing");
    [
        peer.received + FRAME_BYTES,
        author.sent + FRAME_BYTES,
        author.received + FRAME_BYTES,
        written(&world.root),
    ]
}

#[test]
fn an_edit_of_one_field_of_100_kb_takes_less_than_300_bytes_everywhere() {
    let edit = |title: &str| format!(r#"[{{"op":"replace","path":"/records/7/title","value":"{title}"}}]"#);
    let costs = cost_of(&records(), [&edit("One"), &edit("Another title")]);
    assert!(costs.iter().all(|bytes| *bytes < 300), "{costs:?}");
}

#[test]
fn a_keystroke_in_a_string_of_50_kb_takes_less_than_300_bytes_everywhere() {
    let text = "one letter at a time ".repeat(2_500);
    let (before, after) = text.split_at(text.len() / 2);
    let edit =
        |typed: &str| format!(r#"[{{"op":"replace","path":"/text","value":"{before}{typed}{after}"}}]"#);
    let costs = cost_of(&format!(r#"{{"text":"{text}"}}"#), [&edit("a"), &edit("ab")]);
    assert!(costs.iter().all(|bytes| *bytes < 300), "{costs:?}");
}

#[test]
fn coming_back_touches_only_what_has_changed() {
    let mut world = World::new(2);
    for number in 0..200 {
        let name = format!("d{number}");
        world.followers[0].replica.open(&id(&name));
        world.run();
        world.create(0, &name, r#"{"title":"as it was","text":"which nobody reads again"}"#);
    }
    world.offline(1);
    for number in [7, 70, 170] {
        world.edit(0, &format!("d{number}"), r#"[{"op":"replace","path":"/title","value":"changed"}]"#);
    }
    let node = &mut world.followers[1];
    (node.sent, node.received) = (0, 0);
    node.asked.clear();
    world.root.asked.clear();
    world.online(1);
    let node = &world.followers[1];
    let loads = |asked: &[Operation]| {
        asked.iter().filter(|operation| !matches!(operation, Operation::Commit(_))).count()
    };
    // One page of heads tells the authority what changed; the follower has all in memory.
    assert!(matches!(world.root.asked[..], [Operation::ScanHeads { .. }]), "{:?}", world.root.asked);
    assert_eq!(loads(&node.asked), 0, "{:?}", node.asked);
    assert!(node.sent < 150, "{} bytes up", node.sent);
    assert!(node.received < 3 * 150 + 150, "{} bytes down", node.received);
    world.followers[1].replica.open(&id("d70"));
    world.run();
    assert_eq!(world.content(1, "d70"), r#"{"text":"which nobody reads again","title":"changed"}"#);
}

#[test]
fn a_long_queue_is_not_written_again_for_each_change_that_is_settled() {
    let mut world = World::with_scope(1, Some(Scope::Documents));
    world.open("d");
    let content = records();
    world.create(0, "d", &content);
    world.offline(0);
    for number in 0..1_000 {
        let edit =
            format!(r#"[{{"op":"replace","path":"/records/{}/title","value":"{number}"}}]"#, number % 500);
        world.followers[0].replica.edit(&id("d"), patch(&edit)).unwrap();
    }
    world.run();
    world.followers[0].asked.clear();
    world.root.asked.clear();
    world.online(0);
    world.converged("d");
    assert_eq!(world.followers[0].replica.view(&id("d")).unwrap().content.get("records").unwrap(), &{
        let mut expected = json(&content);
        for number in 0..1_000 {
            let edit = format!(
                r#"[{{"op":"replace","path":"/records/{}/title","value":"{number}"}}]"#,
                number % 500
            );
            rejoin_json::apply(&mut expected, &patch(&edit), &rejoin_json::Limits::default()).unwrap();
        }
        expected.get("records").unwrap().clone()
    });
    // Four pushes: each leaves a row and a checkpoint at the authority, and at the author what the next push was made on.
    let rows = 1_000 * 200;
    assert!(written(&world.root) < rows + 5 * content.len(), "{}", written(&world.root));
    assert!(written(&world.followers[0]) < rows + 8 * content.len(), "{}", written(&world.followers[0]));
}
