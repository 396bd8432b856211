//! A root and its followers: edits made together and apart, and everything that can come between.
#![allow(clippy::unwrap_used)]

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use crate::support::cluster::copying;
use crate::support::{World, id, json, patch};
use rejoin_core::{ConflictChoice, EditError, Event, LINK_HIGH_WATER_BYTES, Life, Rung};
use rejoin_json::Policy;
use rejoin_store::MemoryStore;
use rejoin_wire::{
    Body, Change, Counter, DocumentPush, ErrorCode, Header, Message, PushedChange, ReplicaId, Revision,
    Scope, UnixMillis,
};

#[test]
fn an_edit_reaches_everybody() {
    let mut world = World::new(3);
    world.open("d");
    world.create(0, "d", r#"{"title":"a","n":1}"#);
    world.edit(1, "d", r#"[{"op":"replace","path":"/title","value":"b"}]"#);
    assert_eq!(world.converged("d"), r#"{"n":1,"title":"b"}"#);
    let status = world.followers[1].replica.status(&id("d")).unwrap();
    assert_eq!(status.rung, Rung::Acknowledged);
}

#[test]
fn two_edit_apart_at_different_places_and_both_survive() {
    let mut world = World::new(2);
    world.open("d");
    world.create(0, "d", r#"{"a":1,"b":1}"#);
    world.offline(0);
    world.offline(1);
    world.edit(0, "d", r#"[{"op":"replace","path":"/a","value":2}]"#);
    world.edit(1, "d", r#"[{"op":"replace","path":"/b","value":3}]"#);
    world.online(0);
    world.online(1);
    assert_eq!(world.converged("d"), r#"{"a":2,"b":3}"#);
    assert!(world.followers[0].replica.view(&id("d")).unwrap().conflicts.is_empty());
}

#[test]
fn one_field_edited_apart_leaves_one_conflict_that_a_change_settles() {
    let mut world = World::new(2);
    world.open("d");
    world.create(0, "d", r#"{"a":"base"}"#);
    world.offline(1);
    world.edit(0, "d", r#"[{"op":"replace","path":"/a","value":"zero"}]"#);
    for value in ["one", "two", "three"] {
        world.edit(1, "d", &format!(r#"[{{"op":"replace","path":"/a","value":"{value}"}}]"#));
    }
    world.online(1);
    assert_eq!(world.converged("d"), r#"{"a":"three"}"#);
    let view = world.followers[0].replica.view(&id("d")).unwrap();
    assert_eq!(view.conflicts.len(), 1, "{:?}", view.conflicts);
    let (conflict, record) = view.conflicts.iter().next().unwrap();
    assert_eq!(record.current, Some(json(r#""zero""#)));
    world.followers[0].replica.settle(&id("d"), *conflict, ConflictChoice::Current).unwrap();
    world.run();
    assert_eq!(world.converged("d"), r#"{"a":"zero"}"#);
    assert!(world.followers[1].replica.view(&id("d")).unwrap().conflicts.is_empty());
}

#[test]
fn offline_edits_survive_a_restart_and_arrive_once_in_order() {
    let mut world = World::new(2);
    world.open("d");
    world.create(0, "d", r#"{"l":[]}"#);
    world.offline(0);
    for n in 0..40 {
        world.edit(0, "d", &format!(r#"[{{"op":"add","path":"/l/-","value":{n}}}]"#));
    }
    world.restart(0, Some(Scope::Documents));
    world.run();
    world.followers[0].replica.open(&id("d"));
    world.run();
    assert_eq!(world.followers[0].replica.pending(&id("d")).len(), 40);
    world.edit(1, "d", r#"[{"op":"add","path":"/other","value":true}]"#);
    world.online(0);
    let numbers: Vec<String> = (0..40).map(|n| n.to_string()).collect();
    assert_eq!(world.converged("d"), format!(r#"{{"l":[{}],"other":true}}"#, numbers.join(",")));
}

#[test]
fn delete_against_edit_keeps_the_edit_on_the_tombstone_and_undelete_brings_it_back() {
    let mut world = World::new(2);
    world.open("d");
    world.create(0, "d", r#"{"a":1}"#);
    world.offline(1);
    world.followers[0].replica.delete(&id("d")).unwrap();
    world.edit(1, "d", r#"[{"op":"replace","path":"/a","value":2}]"#);
    world.online(1);
    world.converged("d");
    assert_eq!(world.followers[1].replica.view(&id("d")).unwrap().life, Life::Deleted);
    world.followers[0].replica.undelete(&id("d")).unwrap();
    world.run();
    assert_eq!(world.converged("d"), r#"{"a":2}"#);
    assert_eq!(world.followers[1].replica.view(&id("d")).unwrap().conflicts.len(), 1);
}

#[test]
fn a_rejected_change_stands_among_the_rejected_and_what_depends_on_it_goes_too() {
    let mut world = World::new(2);
    world.open("d");
    world.create(0, "d", r#"{"a":1}"#);
    world.offline(1);
    world.edit(1, "d", r#"[{"op":"test","path":"/a","value":1},{"op":"add","path":"/card","value":{}}]"#);
    world.edit(1, "d", r#"[{"op":"add","path":"/card/title","value":"x"}]"#);
    world.edit(1, "d", r#"[{"op":"add","path":"/b","value":5}]"#);
    world.grants[1].may_edit = false;
    world.online(1);
    assert_eq!(world.converged("d"), r#"{"a":1}"#);
    let rejected = world.followers[1].replica.rejected(&id("d"));
    assert_eq!(rejected.len(), 3);
    assert!(rejected.iter().all(|rejected| rejected.code == ErrorCode::Forbidden));
}

#[test]
fn what_was_typed_into_rejected_text_is_taken_in_once() {
    for policy in [Policy::Theirs, Policy::Ours, Policy::Latest, Policy::Manual] {
        let mut world = World::new(2);
        world.open("d");
        let header = Header { policy, ..Header::default() };
        world.followers[0].replica.create_with(&id("d"), header, json(r#"{"text":"one two"}"#)).unwrap();
        world.run();
        world.followers[0].holds_messages = true;
        let write = |text: &str| format!(r#"{{"op":"replace","path":"/text","value":"{text}"}}"#);
        world.edit(0, "d", &format!("[{},{}]", write("on A-e two"), copying("/long")));
        world.edit(0, "d", &format!("[{}]", write("on B-A-e two")));
        world.edit(0, "d", &format!("[{}]", write("on B-C-A-e two")));
        world.let_messages_through(0);
        assert_eq!(world.followers[0].replica.rejected(&id("d")).len(), 1, "{policy}");
        assert_eq!(world.converged("d"), r#"{"text":"on B-C-A-e two"}"#, "{policy}");
    }
}

#[test]
fn undo_takes_back_the_own_change_and_keeps_what_others_did() {
    let mut world = World::new(2);
    world.open("d");
    world.create(0, "d", r#"{"a":1,"b":1}"#);
    world.edit(0, "d", r#"[{"op":"replace","path":"/a","value":2}]"#);
    world.edit(1, "d", r#"[{"op":"replace","path":"/b","value":7}]"#);
    world.followers[0].replica.undo(&id("d")).unwrap();
    world.run();
    assert_eq!(world.converged("d"), r#"{"a":1,"b":7}"#);
    world.followers[0].replica.redo(&id("d")).unwrap();
    world.run();
    assert_eq!(world.converged("d"), r#"{"a":2,"b":7}"#);
}

#[test]
fn a_copied_profile_takes_a_fresh_id_and_nothing_is_doubled_or_lost() {
    let mut world = World::new(1);
    world.open("d");
    world.create(0, "d", r#"{"l":[]}"#);
    let store = world.followers[0].store.clone();
    let copy = world.add(Some(Scope::Documents), store);
    world.offline(copy);
    world.run();
    world.followers[copy].replica.open(&id("d"));
    world.run();
    world.edit(0, "d", r#"[{"op":"add","path":"/l/-","value":"original"}]"#);
    world.edit(copy, "d", r#"[{"op":"add","path":"/l/-","value":"copy"}]"#);
    world.edit(copy, "d", r#"[{"op":"add","path":"/l/-","value":"copy too"}]"#);
    world.online(copy);
    let content = world.converged("d");
    for value in ["original", "\"copy\"", "copy too"] {
        assert_eq!(content.matches(value).count(), 1, "{content}");
    }
    assert_ne!(world.followers[0].replica.id(), world.followers[copy].replica.id());
}

#[test]
fn an_authority_that_went_back_gets_the_lost_changes_again() {
    let mut world = World::new(2);
    world.open("d");
    world.create(0, "d", r#"{"a":1}"#);
    let backup = world.root.store.clone();
    world.edit(0, "d", r#"[{"op":"add","path":"/b","value":2}]"#);
    world.edit(1, "d", r#"[{"op":"add","path":"/c","value":3}]"#);
    world.restart_root(backup);
    world.run_for(60_000);
    assert_eq!(world.converged("d"), r#"{"a":1,"b":2,"c":3}"#);
    assert!(world.followers[0].events.contains(&Event::Recovered { document: id("d") }));
    assert_eq!(world.followers[0].replica.recovered(&id("d")).len(), 1);
}

#[test]
fn what_was_lost_long_ago_is_brought_back_change_by_change() {
    let mut world = World::new(1);
    world.open("d");
    world.create(0, "d", r#"{"n":1,"l":[]}"#);
    let header = Header { counters: vec!["/n".try_into().unwrap()], ..Header::default() };
    world.followers[0].replica.set_header(&id("d"), header).unwrap();
    world.run();
    let backup = world.root.store.clone();
    for _ in 0..300 {
        world.edit(0, "d", r#"[{"op":"add","path":"/l/-","value":"x"}]"#);
    }
    world.edit(0, "d", r#"[{"op":"replace","path":"/n","value":2}]"#);
    world.offline(0);
    world.restart_root(backup);
    let other = world.add(Some(Scope::Documents), MemoryStore::default());
    world.followers[other].replica.open(&id("d"));
    world.run_for(60_000);
    for n in 0..300 {
        world.edit(other, "d", &format!(r#"[{{"op":"add","path":"/m","value":{n}}}]"#));
    }
    // Only the newest is in memory now, on both sides: the rest must be read to find what they have in common.
    let store = world.root.store.clone();
    world.restart_root(store);
    world.restart(0, Some(Scope::Documents));
    world.followers[0].replica.open(&id("d"));
    world.online(0);
    world.run_for(60_000);
    let content = world.converged("d");
    assert!(content.contains(r#""m":299,"n":2"#), "{content}");
    assert_eq!(content.matches("\"x\"").count(), 300);
    let revision = world.root.replica.view(&id("d")).unwrap().revision;
    assert_eq!(revision, Revision(603), "each change once");
}

#[test]
fn a_revision_that_did_nothing_does_not_hide_what_those_after_it_were_made_on() {
    let mut world = World::new(2);
    world.open("d");
    world.create(0, "d", r#"{"a":0,"b":0}"#);
    let image = world.root.store.clone();
    world.edit(0, "d", r#"[{"op":"replace","path":"/a","value":1}]"#);
    // Both delete it; the second of them does nothing.
    world.offline(1);
    world.followers[1].replica.delete(&id("d")).unwrap();
    world.followers[0].replica.delete(&id("d")).unwrap();
    world.online(1);
    world.followers[0].replica.undelete(&id("d")).unwrap();
    world.run();
    world.edit(0, "d", r#"[{"op":"replace","path":"/b","value":2}]"#);
    assert_eq!(world.converged("d"), r#"{"a":1,"b":2}"#);
    world.restart_root(image);
    world.run_for(120_000);
    assert_eq!(world.converged("d"), r#"{"a":1,"b":2}"#);
    for node in &world.followers {
        assert_eq!(node.replica.rejected(&id("d")).len(), 0);
    }
}

#[test]
fn an_edit_that_a_tombstone_kept_is_brought_back_too() {
    let mut world = World::new(2);
    world.open("d");
    world.create(0, "d", r#"{"a":1}"#);
    let backup = world.root.store.clone();
    world.offline(1);
    world.edit(1, "d", r#"[{"op":"add","path":"/b","value":2}]"#);
    world.followers[0].replica.delete(&id("d")).unwrap();
    world.run();
    world.online(1);
    world.offline(1);
    world.followers[0].replica.undelete(&id("d")).unwrap();
    world.edit(0, "d", r#"[{"op":"add","path":"/c","value":3}]"#);
    world.restart_root(backup);
    world.run_for(60_000);
    world.online(1);
    assert_eq!(world.converged("d"), r#"{"a":1,"b":2,"c":3}"#);
    assert!(world.followers[0].replica.rejected(&id("d")).is_empty());
}

#[test]
fn what_was_lost_of_a_document_that_is_only_followed_is_brought_back_too() {
    let mut world = World::new(1);
    world.open("d");
    world.create(0, "d", r#"{"a":1}"#);
    let backup = world.root.store.clone();
    world.edit(0, "d", r#"[{"op":"add","path":"/b","value":2}]"#);
    world.offline(0);
    world.restart(0, Some(Scope::Documents));
    world.restart_root(backup);
    let other = world.add(Some(Scope::Documents), MemoryStore::default());
    world.followers[other].replica.open(&id("d"));
    world.run_for(60_000);
    world.edit(other, "d", r#"[{"op":"add","path":"/c","value":3}]"#);
    // The link goes again before everything is compared.
    world.online(0);
    world.cut(0);
    world.run_for(60_000);
    assert_eq!(world.content(other, "d"), r#"{"a":1,"b":2,"c":3}"#);
    assert_eq!(world.followers[0].replica.recovered(&id("d")).len(), 1);
}

#[test]
fn an_answer_about_what_was_held_before_is_not_taken_for_one_about_what_is_held_now() {
    // The authority has gone on, and it stands where it went back to.
    for values in [&["c", "d"][..], &[]] {
        let mut world = World::with_scope(1, None);
        world.open("d");
        world.create(0, "d", r#"{"l":["a"]}"#);
        let backup = world.root.store.clone();
        world.edit(0, "d", r#"[{"op":"add","path":"/l/-","value":"b"}]"#);
        world.offline(0);
        world.restart_root(backup);
        let other = world.add(None, MemoryStore::new());
        world.followers[other].replica.open(&id("d"));
        world.run_for(60_000);
        for value in values {
            world.edit(other, "d", &format!(r#"[{{"op":"add","path":"/l/-","value":"{value}"}}]"#));
        }
        world.followers[0].holds_messages = true;
        world.online(0);
        // Its program lets go of it and takes it again before the answer is here: there are two.
        world.followers[0].replica.close(&id("d"));
        world.run();
        world.followers[0].replica.open(&id("d"));
        world.run();
        world.let_messages_through(0);
        world.run_for(60_000);
        let parted = |message: &&Message| matches!(message, Message::Snapshot(told) if !told.continues);
        assert_eq!(world.followers[0].messages.iter().filter(parted).count(), 2);
        let content = world.converged("d");
        for value in ["a", "b"].iter().chain(values) {
            assert_eq!(content.matches(&format!("\"{value}\"")).count(), 1, "{content}");
        }
        assert_eq!(world.followers[0].replica.recovered(&id("d")).len(), 1);
    }
}

#[test]
fn who_may_only_read_does_not_spoil_what_an_editor_brings_back() {
    let mut world = World::new(2);
    world.open("d");
    world.create(0, "d", r#"{"a":1}"#);
    let backup = world.root.store.clone();
    world.edit(0, "d", r#"[{"op":"add","path":"/b","value":2}]"#);
    world.grants[0].may_edit = false;
    world.restart_root(backup);
    world.offline(1);
    world.run_for(60_000);
    assert_eq!(world.content(0, "d"), r#"{"a":1}"#);
    assert!(world.followers[0].replica.rejected(&id("d")).is_empty());
    assert_eq!(world.followers[0].replica.recovered(&id("d")).len(), 1);
    world.online(1);
    world.run_for(60_000);
    assert_eq!(world.converged("d"), r#"{"a":1,"b":2}"#);
}

#[test]
fn a_header_is_compared_with_the_one_that_its_author_saw() {
    let mut world = World::new(1);
    world.open("d");
    world.create(0, "d", r#"{"a":1}"#);
    let with = |policy| Header { policy, ..Header::default() };
    world.followers[0].replica.set_header(&id("d"), with(Policy::Ours)).unwrap();
    world.run();
    // Made over an own creation that the authority does not know: what was seen cannot be rebuilt from revision 0.
    let (replica, counter) = (ReplicaId(7), Counter(1));
    let content = json(r#"{"mine":1}"#);
    let change = Change {
        replica,
        counter,
        base: Revision(0),
        over: counter,
        time: UnixMillis(1),
        body: Body::Header { header: with(Policy::Theirs) },
    };
    let pushed = PushedChange { change, seen: Some(content.content_hash()) };
    world.say_to_root(
        0,
        Message::Push {
            pushes: vec![DocumentPush { document: id("d"), changes: vec![pushed], author: None }],
        },
    );
    // It is answered before the follower, which did not make it, can say so.
    world.drain_root();
    let header = Some(with(Policy::Latest));
    world.say_to_root(
        0,
        Message::SeenContent { document: id("d"), replica, counter, content: Some(content), header },
    );
    world.run_for(1_000);
    assert_eq!(world.followers[0].replica.view(&id("d")).unwrap().header.policy, Policy::Theirs);
}

#[test]
fn a_header_is_set_on_a_living_document_only() {
    let mut world = World::new(1);
    world.open("d");
    world.create(0, "d", r#"{"a":1}"#);
    let replica = &mut world.followers[0].replica;
    replica.set_header(&id("d"), Header { title: Some("Plan".into()), ..Header::default() }).unwrap();
    replica.delete(&id("d")).unwrap();
    assert_eq!(replica.set_header(&id("d"), Header::default()), Err(EditError::Deleted));
}

#[test]
fn a_follower_that_was_away_for_long_is_caught_up_by_a_snapshot_and_keeps_its_pending_edit() {
    let mut world = World::new(2);
    world.open("d");
    world.create(0, "d", r#"{"a":"","mine":0}"#);
    world.offline(1);
    world.edit(1, "d", r#"[{"op":"replace","path":"/mine","value":1}]"#);
    for n in 0..100 {
        world.edit(0, "d", &format!(r#"[{{"op":"replace","path":"/a","value":"{}"}}]"#, "x".repeat(n)));
    }
    world.restart(1, Some(Scope::Documents));
    world.run();
    world.followers[1].replica.open(&id("d"));
    world.online(1);
    assert_eq!(world.converged("d"), format!(r#"{{"a":"{}","mine":1}}"#, "x".repeat(99)));
}

#[test]
fn a_follower_of_the_whole_workspace_gets_only_what_changed() {
    let mut world = World::new(2);
    for n in 0..50 {
        let name = format!("d{n}");
        world.followers[0].replica.open(&id(&name));
        world.run();
        world.create(0, &name, r#"{"text":"some text that takes a few bytes"}"#);
    }
    world.offline(1);
    world.edit(0, "d7", r#"[{"op":"add","path":"/x","value":1}]"#);
    world.restart(1, Some(Scope::Documents));
    let before = world.followers[1].messages.len();
    world.online(1);
    let updates = world.followers[1].messages.len() - before;
    // The greeting, what is newest here compared, the one document, the position.
    assert!(updates <= 5, "{:?}", world.followers[1].messages);
    world.followers[1].replica.open(&id("d7"));
    world.run();
    assert_eq!(world.content(1, "d7"), r#"{"text":"some text that takes a few bytes","x":1}"#);
}

fn listed(world: &World, at: usize) -> Vec<(String, u64, bool)> {
    let list = world.followers[at].replica.list();
    list.iter().map(|item| (item.document.to_string(), item.revision.0, item.deleted)).collect()
}

#[test]
fn the_list_shows_what_the_authority_has_and_nothing_that_it_lost() {
    let mut world = World::with_scope(1, None);
    let reader = world.add(Some(Scope::List), MemoryStore::new());
    world.run();
    world.followers[0].replica.open(&id("kept"));
    world.run();
    world.create(0, "kept", r#"{"a":1}"#);
    let image = world.root.store.clone();
    world.followers[0].replica.open(&id("lost"));
    world.run();
    world.create(0, "lost", r#"{"b":1}"#);
    world.edit(0, "kept", r#"[{"op":"replace","path":"/a","value":2}]"#);
    world.followers[0].replica.delete(&id("kept")).unwrap();
    world.run();
    let (kept, lost) = ("kept".to_owned(), "lost".to_owned());
    assert_eq!(listed(&world, reader), [(kept.clone(), 3, true), (lost.clone(), 1, false)]);
    // Nobody else is there to bring back what it lost.
    world.offline(0);
    world.restart_root(image);
    world.run_for(60_000);
    assert_eq!(listed(&world, reader), [(kept.clone(), 1, false)]);
    world.online(0);
    assert_eq!(listed(&world, reader), [(kept, 3, true), (lost, 1, false)]);
}

#[test]
fn a_failed_commit_loses_nothing() {
    let mut world = World::new(2);
    world.open("d");
    world.create(0, "d", r#"{"a":1}"#);
    world.root.store.fail_next_commits(2, rejoin_core::storage::StoreError::Unavailable("test".into()));
    world.edit(0, "d", r#"[{"op":"replace","path":"/a","value":2}]"#);
    assert_eq!(world.followers[0].replica.status(&id("d")).unwrap().rung, Rung::Sent);
    assert_eq!(world.content(1, "d"), r#"{"a":1}"#);
    world.run_for(5_000);
    assert_eq!(world.converged("d"), r#"{"a":2}"#);
}

#[test]
fn a_push_that_is_refused_for_now_is_sent_again_each_second() {
    let mut world = World::new(2);
    world.open("d");
    world.create(0, "d", r#"{"a":1}"#);
    world.refused_pushes = 2;
    world.edit(0, "d", r#"[{"op":"replace","path":"/a","value":2}]"#);
    world.run_for(1_999);
    assert_eq!((world.refused_pushes, world.content(1, "d")), (0, r#"{"a":1}"#.to_owned()));
    world.run_for(2);
    assert_eq!(world.converged("d"), r#"{"a":2}"#);
    assert_eq!(world.followers[0].replica.poll_timeout(), None, "nothing is left to wait for");
}

#[test]
fn a_refused_presence_holds_up_no_push_and_is_shown_later() {
    let mut world = World::new(2);
    world.open("d");
    world.create(0, "d", r#"{"a":1}"#);
    let show = |world: &mut World, state: &str| {
        world.followers[0].replica.set_presence(&id("d"), Some(json(state))).unwrap();
        world.run();
    };
    world.refused_presences = 1;
    show(&mut world, "1");
    assert_eq!((world.refused_presences, world.followers[1].replica.present(&id("d")).len()), (0, 0));
    world.edit(0, "d", r#"[{"op":"replace","path":"/a","value":2}]"#);
    assert_eq!(world.content(1, "d"), r#"{"a":2}"#, "without a pause");
    world.run_for(6_000);
    assert_eq!(world.followers[1].replica.present(&id("d")).len(), 1, "sent again");

    // Nor one that is under way.
    world.followers[0].holds_messages = true;
    world.edit(0, "d", r#"[{"op":"replace","path":"/a","value":3}]"#);
    world.refused_presences = 1;
    show(&mut world, "2");
    assert_eq!(world.refused_presences, 0);
    world.let_messages_through(0);
    world.edit(0, "d", r#"[{"op":"replace","path":"/a","value":4}]"#);
    assert_eq!(world.converged("d"), r#"{"a":4}"#, "without a pause");
}

#[test]
fn presence_is_seen_by_the_others_and_ends_with_the_link() {
    let mut world = World::new(3);
    world.open("d");
    world.create(0, "d", "{}");
    world.followers[0].replica.set_presence(&id("d"), Some(json(r#"{"cursor":1}"#))).unwrap();
    world.run_for(200);
    assert_eq!(world.followers[1].replica.present(&id("d")).len(), 1);
    assert_eq!(world.followers[0].replica.present(&id("d")).len(), 0);
    world.offline(0);
    world.run_for(200);
    assert_eq!(world.followers[1].replica.present(&id("d")).len(), 0);
    world.online(0);
    assert_eq!(world.followers[1].replica.present(&id("d")).len(), 1, "and begins with the next");
}

#[test]
fn who_read_too_slowly_for_presence_sees_everybody_as_they_are_when_it_reads_again() {
    let mut world = World::new(3);
    world.open("d");
    world.create(0, "d", r#"{"a":""}"#);
    let show = |world: &mut World, at: usize, state: &str| {
        world.followers[at].replica.set_presence(&id("d"), Some(json(state))).unwrap();
        world.run_for(200);
    };
    show(&mut world, 0, r#"{"name":"Ada","cursor":1}"#);
    show(&mut world, 2, r#"{"name":"Bo"}"#);
    world.slow = Some(1);
    let long = "x".repeat(LINK_HIGH_WATER_BYTES);
    world.edit(0, "d", &format!(r#"[{{"op":"replace","path":"/a","value":"{long}"}}]"#));
    show(&mut world, 0, r#"{"name":"Ada","cursor":2}"#);
    world.offline(2);
    world.run_for(200);
    assert_eq!(world.followers[1].replica.present(&id("d")).len(), 2, "it was not told yet");
    world.catch_breath();
    let states = |world: &World| -> Vec<String> {
        let present = world.followers[1].replica.present(&id("d"));
        present.iter().map(|(_, presence)| presence.state.to_string()).collect()
    };
    assert_eq!(states(&world), [r#"{"cursor":2,"name":"Ada"}"#]);
    show(&mut world, 0, r#"{"name":"Ada","cursor":3}"#);
    assert_eq!(states(&world), [r#"{"cursor":3,"name":"Ada"}"#]);
}

#[test]
fn presence_is_shown_again_where_a_document_is_closed_and_opened_again() {
    let mut world = World::with_scope(2, None);
    world.open("d");
    world.create(0, "d", "{}");
    for _ in 0..2 {
        world.followers[0].replica.set_presence(&id("d"), Some(json(r#"{"cursor":1}"#))).unwrap();
        world.run_for(200);
        assert_eq!(world.followers[1].replica.present(&id("d")).len(), 1);
        world.followers[0].replica.close(&id("d"));
        world.run_for(200);
        assert_eq!(world.followers[1].replica.present(&id("d")).len(), 0);
        world.followers[0].replica.open(&id("d"));
        world.run_for(200);
    }
}

#[test]
fn a_store_that_fails_for_good_leaves_a_replica_that_works_in_memory() {
    let mut world = World::new(2);
    world.open("d");
    world.create(0, "d", r#"{"a":1}"#);
    world.followers[1]
        .store
        .fail_next_commits(1, rejoin_core::storage::StoreError::QuotaExceeded("test".into()));
    world.edit(1, "d", r#"[{"op":"add","path":"/b","value":2}]"#);
    world.edit(1, "d", r#"[{"op":"add","path":"/c","value":3}]"#);
    assert_eq!(world.converged("d"), r#"{"a":1,"b":2,"c":3}"#);
    assert!(!world.followers[1].replica.sync_status().durable);
}

#[test]
fn what_fits_no_outbox_is_refused_and_nothing_is_dropped() {
    let mut world = World::new(1);
    world.open("d");
    world.create(0, "d", "{}");
    world.offline(0);
    let big = "x".repeat(100 << 10);
    let edit = format!(r#"[{{"op":"add","path":"/a","value":"{big}"}}]"#);
    let mut made = 0;
    while world.followers[0].replica.edit(&id("d"), patch(&edit)).is_ok() {
        made += 1;
        assert!(made < 100, "the outbox has no limit");
    }
    assert_eq!(world.followers[0].replica.pending(&id("d")).len(), made);
    world.run();
    world.online(0);
    world.converged("d");
}

#[test]
fn a_root_starts_again_where_its_store_stands() {
    let mut world = World::new(2);
    world.open("d");
    world.create(0, "d", r#"{"l":[]}"#);
    for n in 0..200 {
        world.edit(n % 2, "d", &format!(r#"[{{"op":"add","path":"/l/-","value":{n}}}]"#));
    }
    let before = world.converged("d");
    let store: MemoryStore = world.root.store.clone();
    world.restart_root(store);
    world.run_for(60_000);
    assert_eq!(world.converged("d"), before);
    world.edit(0, "d", r#"[{"op":"add","path":"/after","value":1}]"#);
    world.converged("d");
}

#[test]
fn consecutive_own_edits_after_somebody_elses_all_arrive() {
    let mut world = World::new(2);
    world.open("d");
    world.create(0, "d", r#"{"a":1,"b":1}"#);
    world.edit(1, "d", r#"[{"op":"replace","path":"/b","value":7}]"#);
    for value in 2..6 {
        world.edit(0, "d", &format!(r#"[{{"op":"replace","path":"/a","value":{value}}}]"#));
    }
    assert_eq!(world.converged("d"), r#"{"a":5,"b":7}"#);
}

#[test]
fn a_follower_has_caught_up_once_what_came_for_documents_that_it_must_read_is_in() {
    let mut world = World::new(2);
    world.open("d");
    world.create(0, "d", r#"{"a":1}"#);
    world.offline(1);
    world.edit(0, "d", r#"[{"op":"replace","path":"/a","value":2}]"#);
    world.restart(1, Some(Scope::Documents));
    world.online(1);
    let events = &world.followers[1].events;
    let changed = events.iter().position(|event| matches!(event, Event::Changed { local: false, .. }));
    let caught_up = events.iter().position(|event| matches!(event, Event::CaughtUp { .. }));
    assert!(changed.unwrap() < caught_up.unwrap(), "{events:?}");
    // What is taken in counts as held: a second start asks for nothing again.
    world.restart(1, Some(Scope::Documents));
    world.followers[1].received = 0;
    world.online(1);
    assert!(world.followers[1].received < 200, "{} bytes", world.followers[1].received);
}

#[test]
fn a_list_goes_on_where_a_document_that_is_open_has_filled_the_link() {
    let mut world = World::with_scope(1, Some(Scope::List));
    let author = world.add(Some(Scope::Documents), MemoryStore::new());
    world.run();
    world.open("d");
    world.create(author, "d", "{}");
    // The update alone is more than the link takes, and what the list says of it has to wait.
    world.slow = Some(0);
    let text = "x".repeat(LINK_HIGH_WATER_BYTES);
    world.edit(author, "d", &format!(r#"[{{"op":"add","path":"/text","value":"{text}"}}]"#));
    world.catch_breath();
    let listed: Vec<Revision> = world.followers[0].replica.list().iter().map(|item| item.revision).collect();
    assert_eq!(listed, [Revision(2)]);
}
