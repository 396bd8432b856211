//! Worlds with a fixed plot, each about one way in which history can fork, fail or go back.

#![allow(clippy::unwrap_used)]

use rejoin_core::storage::StoreError;
use rejoin_core::{EditError, Life, Rung};
use rejoin_json::{Json, Limits, Patch, Policy};
use rejoin_sim::{Plan, ROOT, World};
use rejoin_wire::{ChangeId, DocumentId, ErrorCode, Header};

/// One follower and another.
const ANN: usize = 1;
const BEN: usize = 2;

const SECOND: u64 = 1_000_000;

/// Nobody reaches the authority for this long.
const AWAY: u64 = 600 * SECOND;

fn json(text: &str) -> Json {
    Json::parse(text, &Limits::default()).unwrap()
}

fn patch(text: &str) -> Patch {
    Patch::parse(text, &Limits::default()).unwrap()
}

/// A world in which two followers hold a document with this content.
fn begun(content: &str, header: Header) -> (World, DocumentId) {
    let mut world = World::new(Plan::still(2, 1));
    let document = world.document(0);
    world.pass(SECOND).unwrap();
    world.open(ANN, &document).unwrap();
    world.open(BEN, &document).unwrap();
    world.pass(SECOND).unwrap();
    let content = json(content);
    world.command(ANN, &document, |ann| ann.create_with(&document, header, content)).unwrap().unwrap();
    world.settle().unwrap();
    (world, document)
}

fn edit(world: &mut World, node: usize, document: &DocumentId, text: &str) -> Result<ChangeId, EditError> {
    let patch = patch(text);
    world.command(node, document, |replica| replica.edit(document, patch)).unwrap()
}

fn content(world: &mut World, node: usize, document: &DocumentId) -> String {
    world.replica(node).view(document).unwrap().content.canonical()
}

#[test]
fn three_edits_offline_to_one_field_against_one_remote_edit_leave_one_conflict() {
    for (policy, winner) in
        [(Policy::Ours, "x"), (Policy::Theirs, "d"), (Policy::Latest, "d"), (Policy::Manual, "x")]
    {
        let (mut world, document) = begun(r#"{"title":"a"}"#, Header { policy, ..Header::default() });
        world.partition(BEN, AWAY);
        edit(&mut world, ANN, &document, r#"[{"op":"replace","path":"/title","value":"x"}]"#).unwrap();
        world.pass(10 * SECOND).unwrap();
        for title in ["b", "c", "d"] {
            edit(
                &mut world,
                BEN,
                &document,
                &format!(r#"[{{"op":"replace","path":"/title","value":"{title}"}}]"#),
            )
            .unwrap();
        }
        world.pass(SECOND).unwrap();
        world.mend(BEN);
        world.settle().unwrap();
        assert_eq!(content(&mut world, ANN, &document), format!(r#"{{"title":"{winner}"}}"#));
        let open = world.replica(ROOT).confirmed(&document).unwrap().conflicts;
        assert_eq!(open.len(), 1, "{policy}: {open:?}");
        let record = open.values().next().unwrap();
        assert_eq!((&record.base, &record.current), (&Some(json(r#""a""#)), &Some(json(r#""x""#))));
        // Where the first of them won, the others replaced a value of their own author's.
        let incoming = if winner == "x" { r#""d""# } else { r#""b""# };
        assert_eq!(record.incoming, Some(json(incoming)), "{policy}");
        world.finish().unwrap();
    }
}

#[test]
fn a_copied_profile_takes_a_fresh_id_and_both_lose_nothing() {
    let (mut world, document) = begun(r#"{"tags":[]}"#, Header::default());
    world.partition(ANN, AWAY);
    edit(&mut world, ANN, &document, r#"[{"op":"add","path":"/tags/-","value":"shared"}]"#).unwrap();
    world.pass(SECOND).unwrap();
    let copy = world.copy(ANN);
    world.partition(copy, AWAY);
    world.pass(SECOND).unwrap();
    edit(&mut world, ANN, &document, r#"[{"op":"add","path":"/tags/-","value":"ann"}]"#).unwrap();
    edit(&mut world, copy, &document, r#"[{"op":"add","path":"/tags/-","value":"copy"}]"#).unwrap();
    assert_eq!(world.replica(ANN).id(), world.replica(copy).id());
    world.pass(SECOND).unwrap();
    world.mend(ANN);
    world.pass(60 * SECOND).unwrap();
    world.mend(copy);
    world.settle().unwrap();
    assert_ne!(world.replica(ANN).id(), world.replica(copy).id());
    let tags = content(&mut world, BEN, &document);
    for tag in ["shared", "ann", "copy"] {
        assert_eq!(tags.matches(tag).count(), 1, "{tags}");
    }
    world.finish().unwrap();
}

#[test]
fn a_change_that_is_rejected_in_mid_queue_keeps_its_values_and_lets_the_others_pass() {
    let (mut world, document) = begun(r#"{"a":0,"b":0}"#, Header::default());
    world.partition(BEN, AWAY);
    edit(&mut world, BEN, &document, r#"[{"op":"replace","path":"/a","value":1}]"#).unwrap();
    world.mend(BEN);
    world.settle().unwrap();
    world.allow(BEN, false).unwrap();
    let refused =
        edit(&mut world, BEN, &document, r#"[{"op":"add","path":"/list","value":["kept"]}]"#).unwrap();
    world.pass(5 * SECOND).unwrap();
    world.partition(BEN, AWAY);
    edit(&mut world, BEN, &document, r#"[{"op":"replace","path":"/b","value":2}]"#).unwrap();
    world.allow(BEN, true).unwrap();
    world.mend(BEN);
    world.settle().unwrap();
    let rejected = world.replica(BEN).rejected(&document);
    assert_eq!(rejected.len(), 1);
    assert_eq!((rejected[0].change.id(), rejected[0].code), (refused, ErrorCode::Forbidden));
    assert_eq!(content(&mut world, ANN, &document), r#"{"a":1,"b":2}"#);
    world.finish().unwrap();
}

#[test]
fn a_snapshot_over_the_base_of_a_pending_change_keeps_what_was_seen() {
    let (mut world, document) = begun(r#"{"title":"a","other":0}"#, Header::default());
    world.partition(BEN, AWAY);
    edit(&mut world, BEN, &document, r#"[{"op":"replace","path":"/title","value":"offline"}]"#).unwrap();
    // More revisions than are told one by one.
    for number in 1..=1_100 {
        edit(
            &mut world,
            ANN,
            &document,
            &format!(r#"[{{"op":"replace","path":"/other","value":{number}}}]"#),
        )
        .unwrap();
    }
    edit(&mut world, ANN, &document, r#"[{"op":"replace","path":"/title","value":"online"}]"#).unwrap();
    world.pass(20 * SECOND).unwrap();
    world.crash(BEN).unwrap();
    world.pass(SECOND).unwrap();
    world.start(BEN).unwrap();
    world.mend(BEN);
    world.settle().unwrap();
    assert_eq!(content(&mut world, ANN, &document), r#"{"other":1100,"title":"offline"}"#);
    let records = world.records(&document);
    assert_eq!(records.len(), 1, "{records:?}");
    assert_eq!(records[0].base, Some(json(r#""a""#)), "what was seen, not what is new");
    world.finish().unwrap();
}

#[test]
fn what_a_restored_authority_lost_comes_back_from_those_who_held_it() {
    let (mut world, document) = begun(r#"{"title":"a","tags":[],"count":0}"#, counting());
    world.take_image();
    edit(&mut world, ANN, &document, r#"[{"op":"add","path":"/tags/-","value":"lost"}]"#).unwrap();
    edit(&mut world, BEN, &document, r#"[{"op":"replace","path":"/count","value":5}]"#).unwrap();
    world.settle().unwrap();
    world.restore().unwrap();
    world.pass(SECOND).unwrap();
    world.start(ROOT).unwrap();
    world.settle().unwrap();
    let now = content(&mut world, ANN, &document);
    assert_eq!(now, r#"{"count":5,"tags":["lost"],"title":"a"}"#, "once, though both held it");
    assert_eq!(world.replica(ANN).recovered(&document).len(), 1);
    world.finish().unwrap();
}

#[test]
fn a_tombstone_that_arrives_after_the_authority_went_back_is_kept_as_a_recovered_version() {
    let mut arrived = 0;
    for seed in 1..=20 {
        let mut world = World::new(Plan { seed, ..Plan::still(1, 1) });
        let document = world.document(0);
        world.pass(SECOND).unwrap();
        // Nothing will be in common with what comes after.
        world.take_image();
        world.open(ANN, &document).unwrap();
        world.pass(SECOND).unwrap();
        let content = json(r#"{"title":"kept"}"#);
        world.command(ANN, &document, |ann| ann.create(&document, content)).unwrap().unwrap();
        world.settle().unwrap();
        let alive = world.replica(ANN).confirmed(&document).unwrap();
        world.command(ANN, &document, |ann| ann.delete(&document)).unwrap().unwrap();
        world.pass(2_500).unwrap();
        let before = world.replica(ANN).confirmed(&document).unwrap();
        world.restore().unwrap();
        world.pass(SECOND).unwrap();
        let after = world.replica(ANN).confirmed(&document).unwrap();
        arrived += u32::from(before.revision == alive.revision && after.life == Life::Deleted);
        world.start(ROOT).unwrap();
        world.settle().unwrap();
        let recovered = world.replica(ANN).recovered(&document);
        let contents: Vec<_> = recovered.iter().map(|version| version.content.canonical()).collect();
        assert_eq!(contents, [r#"{"title":"kept"}"#]);
        world.finish().unwrap();
    }
    assert!(arrived > 0, "no deletion arrived after the authority went back");
}

#[test]
fn a_failed_commit_is_told_to_nobody_and_made_again() {
    let (mut world, document) = begun(r#"{"a":0}"#, Header::default());
    world.fail_commits(3, StoreError::Unavailable("busy".into()));
    edit(&mut world, ANN, &document, r#"[{"op":"replace","path":"/a","value":1}]"#).unwrap();
    world.pass(SECOND / 2).unwrap();
    assert_eq!(content(&mut world, BEN, &document), r#"{"a":0}"#);
    assert!(world.replica(ANN).status(&document).unwrap().rung < Rung::Acknowledged);
    world.settle().unwrap();
    assert_eq!(content(&mut world, BEN, &document), r#"{"a":1}"#);
    world.finish().unwrap();
}

#[test]
fn an_edit_reaches_the_element_that_it_was_made_on() {
    let (mut world, document) =
        begun(r#"{"cards":[{"id":1,"t":"same"},{"id":2,"t":"same"}]}"#, Header::default());
    world.partition(BEN, AWAY);
    edit(&mut world, BEN, &document, r#"[{"op":"replace","path":"/cards/1/t","value":"two"}]"#).unwrap();
    edit(&mut world, ANN, &document, r#"[{"op":"add","path":"/cards/0","value":{"id":3,"t":"same"}}]"#)
        .unwrap();
    edit(&mut world, ANN, &document, r#"[{"op":"move","from":"/cards/2","path":"/cards/0"}]"#).unwrap();
    world.pass(SECOND).unwrap();
    world.mend(BEN);
    world.settle().unwrap();
    let expected = r#"{"cards":[{"id":2,"t":"two"},{"id":3,"t":"same"},{"id":1,"t":"same"}]}"#;
    assert_eq!(content(&mut world, ANN, &document), expected);
    assert!(world.records(&document).is_empty());
    world.finish().unwrap();
}

#[test]
fn counters_add_up_over_all_replicas() {
    let (mut world, document) = begun(r#"{"count":10}"#, counting());
    world.partition(ANN, AWAY);
    world.partition(BEN, AWAY);
    for (node, steps) in [(ANN, [12, 13]), (BEN, [9, 4])] {
        for step in steps {
            edit(
                &mut world,
                node,
                &document,
                &format!(r#"[{{"op":"replace","path":"/count","value":{step}}}]"#),
            )
            .unwrap();
        }
    }
    world.pass(SECOND).unwrap();
    world.mend(ANN);
    world.mend(BEN);
    world.settle().unwrap();
    assert_eq!(content(&mut world, ANN, &document), r#"{"count":7}"#);
    assert!(world.records(&document).is_empty());
    world.finish().unwrap();
}

fn counting() -> Header {
    Header { policy: Policy::Theirs, counters: vec!["/count".parse().unwrap()], ..Header::default() }
}

#[test]
fn a_follower_whose_storage_is_cleared_again_and_again_loses_nothing_that_it_has_in_memory() {
    let (mut world, document) = begun(r#"{"l":[]}"#, Header::default());
    world.partition(ANN, 5 * SECOND);
    for number in 1..=3 {
        let typed = format!(r#"[{{"op":"add","path":"/l/-","value":{number}}}]"#);
        edit(&mut world, ANN, &document, &typed).unwrap();
        // The first with its commit under way, the next with that of the clearing before.
        world.clear(ANN).unwrap();
        let rung = world.replica(ANN).status(&document).unwrap().rung;
        assert_eq!(rung, Rung::Local, "change {number}");
    }
    world.pass(SECOND).unwrap();
    assert_eq!(world.replica(ANN).status(&document).unwrap().rung, Rung::Saved);
    world.crash(ANN).unwrap();
    world.start(ANN).unwrap();
    world.settle().unwrap();
    assert_eq!(content(&mut world, BEN, &document), r#"{"l":[1,2,3]}"#);
    world.finish().unwrap();
}
