//! Patches of what CRDT documents show, by those who hold no replica.
#![allow(clippy::unwrap_used)]

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use crate::support::{World, id, patch};
use rejoin_core::storage::StoreError;
use rejoin_core::{Base, Crdt, Grant, HistoryEntry, MAX_HISTORY_SHOWN_BYTES, Reply, Token, View};
use rejoin_crdt::{Document, Update};
use rejoin_json::{Json, Limits, Object, apply};
use rejoin_wire::limits::MAX_CRDT_BYTES;
use rejoin_wire::{Body, CrdtUpdate, ErrorCode, Revision};

fn document(client: u64, crdt: &Crdt) -> Document {
    let mut document = Document::new("d", client);
    for update in crdt.updates() {
        document.apply(Update::check(update.0, MAX_CRDT_BYTES).unwrap()).unwrap();
    }
    document
}

/// What a follower makes of a patch, as a program does that knows yrs.
fn write(world: &mut World, at: usize, client: u64, text: &str) {
    let crdt = world.followers[at].replica.view(&id("d")).unwrap().crdt.unwrap_or_default();
    let update = document(client, &crdt).patch(&patch(text), &Limits::default()).unwrap().unwrap();
    world.followers[at].replica.merge(&id("d"), CrdtUpdate(update.bytes().clone())).unwrap();
    world.run();
}

fn world() -> World {
    let mut world = World::new(2);
    world.open("d");
    write(
        &mut world,
        0,
        7,
        r#"[{"op":"add","path":"/list","value":["a"]},{"op":"add","path":"/n","value":1}]"#,
    );
    world
}

fn begin(world: &mut World, token: u64, text: &str, base: Base) {
    let body = Body::Edit { patch: patch(text), settles: Vec::new(), undoes: None };
    world.root.replica.submit(Token(token), Grant::new("ada", true), &id("d"), body, base, None);
    world.run();
}

/// What becomes of a patch: what the document shows after it, and its revision.
fn submit(world: &mut World, text: &str, base: Base) -> Result<(String, Revision), ErrorCode> {
    begin(world, 1, text, base);
    outcome(world, 1)
}

fn outcome(world: &mut World, token: u64) -> Result<(String, Revision), ErrorCode> {
    match world.root.replies.remove(&token).unwrap() {
        Reply::Accepted(accepted) => Ok((accepted.view.content.canonical(), accepted.revision)),
        Reply::Refused { code, .. } => Err(code),
        other => panic!("{other:?}"),
    }
}

fn read(world: &mut World) -> View {
    world.root.replica.read(Token(9), &id("d"));
    world.run();
    let Some(Reply::Document(view)) = world.root.replies.remove(&9) else { panic!("no document") };
    *view
}

/// Everybody has the same, and it shows what the authority says.
fn converged(world: &mut World) -> String {
    world.converged("d");
    let told = read(world).content.canonical();
    for node in &mut world.followers {
        let crdt = node.replica.view(&id("d")).unwrap().crdt.unwrap();
        assert_eq!(document(1, &crdt).json().unwrap().canonical(), told);
    }
    told
}

#[test]
fn a_patch_becomes_an_update_that_everybody_gets() {
    let mut world = world();
    assert_eq!(read(&mut world).content.canonical(), r#"{"list":["a"],"n":1}"#);
    let (shown, revision) =
        submit(&mut world, r#"[{"op":"add","path":"/list/-","value":"b"}]"#, Base::Current).unwrap();
    assert_eq!((shown.as_str(), revision), (r#"{"list":["a","b"],"n":1}"#, Revision(2)));
    write(&mut world, 1, 8, r#"[{"op":"add","path":"/list/-","value":"c"}]"#);
    submit(&mut world, r#"[{"op":"replace","path":"/n","value":2}]"#, Base::Exactly(Revision(3))).unwrap();
    assert_eq!(converged(&mut world), r#"{"list":["a","b","c"],"n":2}"#);
    // One client for all that is written next to what stands.
    let crdt = read(&mut world).crdt.unwrap();
    assert_eq!(document(1, &crdt).state_vector().iter().count(), 3);
}

#[test]
fn a_patch_of_an_earlier_revision_meets_what_came_since_as_an_update_does() {
    let mut world = world();
    submit(&mut world, r#"[{"op":"add","path":"/list/0","value":"first"}]"#, Base::Current).unwrap();
    submit(&mut world, r#"[{"op":"add","path":"/list/0","value":"zero"}]"#, Base::Current).unwrap();
    let late = r#"[{"op":"add","path":"/list/1","value":"behind a"},{"op":"remove","path":"/n"}]"#;
    submit(&mut world, late, Base::Revision(Revision(1))).unwrap();
    assert_eq!(converged(&mut world), r#"{"list":["zero","first","a","behind a"]}"#);

    world.root.replica.read_at(Token(9), &id("d"), Revision(2));
    world.run();
    let Some(Reply::Past(past)) = world.root.replies.remove(&9) else { panic!("no past") };
    assert_eq!(past.content.canonical(), r#"{"list":["first","a"],"n":1}"#);
}

#[test]
fn a_patch_that_does_not_fit_is_refused_and_changes_nothing() {
    let mut world = world();
    let refused = [
        (r#"[{"op":"remove","path":"/there"}]"#, Base::Current, ErrorCode::InvalidPatch),
        (r#"[{"op":"test","path":"/n","value":2}]"#, Base::Current, ErrorCode::TestFailed),
        (r#"[{"op":"replace","path":"","value":1}]"#, Base::Current, ErrorCode::InvalidPatch),
        (r#"[{"op":"remove","path":"/n"}]"#, Base::Exactly(Revision(9)), ErrorCode::PreconditionFailed),
        (r#"[{"op":"remove","path":"/n"}]"#, Base::Revision(Revision(9)), ErrorCode::UnknownBase),
        (r#"[{"op":"remove","path":"/list"}]"#, Base::Revision(Revision(0)), ErrorCode::DocumentNotFound),
    ];
    for (text, base, code) in refused {
        assert_eq!(submit(&mut world, text, base), Err(code), "{text}");
    }
    assert_eq!(converged(&mut world), r#"{"list":["a"],"n":1}"#);
    world.followers[0].replica.delete(&id("d")).unwrap();
    world.run();
    let text = r#"[{"op":"remove","path":"/n"}]"#;
    assert_eq!(submit(&mut world, text, Base::Current), Err(ErrorCode::DocumentDeleted));
    assert_eq!(submit(&mut world, text, Base::Revision(Revision(1))).unwrap().1, Revision(3));
    assert_eq!(read(&mut world).conflicts.len(), 1);
}

#[test]
fn patches_whose_commit_failed_are_made_again_on_what_stands_then() {
    let mut world = world();
    world.root.store.fail_next_commits(2, StoreError::Unavailable("busy".into()));
    begin(&mut world, 1, r#"[{"op":"add","path":"/list/-","value":"b"}]"#, Base::Current);
    begin(&mut world, 2, r#"[{"op":"add","path":"/list/-","value":"c"}]"#, Base::Current);
    begin(&mut world, 3, r#"[{"op":"remove","path":"/there"}]"#, Base::Current);
    world.run_for(60_000);
    assert_eq!(outcome(&mut world, 1).unwrap().1, Revision(2));
    assert_eq!(outcome(&mut world, 2).unwrap().1, Revision(3));
    assert_eq!(outcome(&mut world, 3), Err(ErrorCode::InvalidPatch));
    assert_eq!(converged(&mut world), r#"{"list":["a","b","c"],"n":1}"#);
}

#[test]
fn what_a_root_wrote_before_it_went_back_and_what_it_writes_then_are_told_apart() {
    let mut world = world();
    submit(&mut world, r#"[{"op":"add","path":"/list/-","value":"b"}]"#, Base::Current).unwrap();
    let older = world.root.store.clone();
    submit(&mut world, r#"[{"op":"add","path":"/list/-","value":"lost"}]"#, Base::Current).unwrap();
    world.offline(0);
    world.offline(1);
    world.restart_root(older);
    world.run();
    submit(&mut world, r#"[{"op":"add","path":"/list/-","value":"new"}]"#, Base::Current).unwrap();
    world.online(0);
    world.online(1);
    world.run_for(60_000);
    let content = converged(&mut world);
    let both = [r#"{"list":["a","b","lost","new"],"n":1}"#, r#"{"list":["a","b","new","lost"],"n":1}"#];
    assert!(both.contains(&content.as_str()), "{content}");
}

#[test]
fn what_is_shown_follows_what_is_stored_after_a_restart_and_through_many_revisions() {
    let mut world = world();
    for number in 0..1_100 {
        let text = format!(r#"[{{"op":"replace","path":"/n","value":{number}}}]"#);
        submit(&mut world, &text, Base::Current).unwrap();
        if number % 100 == 0 {
            assert_eq!(read(&mut world).content.canonical(), format!(r#"{{"list":["a"],"n":{number}}}"#));
        }
    }
    let stored = world.root.store.clone();
    world.restart_root(stored);
    world.open("d");
    submit(&mut world, r#"[{"op":"add","path":"/list/-","value":"b"}]"#, Base::Current).unwrap();
    world.run_for(60_000);
    assert_eq!(converged(&mut world), r#"{"list":["a","b"],"n":1099}"#);
}

/// All pages of the history, oldest revision first.
fn history(world: &mut World, limit: u32) -> Vec<HistoryEntry> {
    let (mut before, mut entries) = (None, Vec::new());
    loop {
        world.root.replica.shown_history(Token(3), &id("d"), before, limit);
        world.run();
        match world.root.replies.remove(&3).unwrap() {
            Reply::History(page) => {
                entries.splice(0..0, page.entries);
                if !page.more {
                    assert_eq!(page.first, Revision(1));
                    return entries;
                }
                before = Some(page.first);
            }
            other => panic!("before {before:?}: {other:?}"),
        }
    }
}

/// Follows the patches of a history forward from nothing and back again; what the document showed at each revision.
fn followed(entries: &[HistoryEntry]) -> Vec<Json> {
    let mut content = Json::from(Object::new());
    let mut shown = vec![content.clone()];
    for entry in entries {
        apply(&mut content, entry.forward_patch.as_ref().unwrap(), &Limits::default()).unwrap();
        shown.push(content.clone());
    }
    for (entry, before) in entries.iter().zip(&shown).rev() {
        apply(&mut content, entry.reverse_patch.as_ref().unwrap(), &Limits::default()).unwrap();
        assert_eq!(content, *before);
    }
    shown.split_off(1)
}

#[test]
fn history_tells_what_each_update_changed_of_what_is_shown() {
    let mut world = world();
    for number in 2..=20 {
        submit(&mut world, &format!(r#"[{{"op":"replace","path":"/n","value":{number}}}]"#), Base::Current)
            .unwrap();
    }
    let shown = followed(&history(&mut world, 7));
    let expected = (1..=20).map(|number| format!(r#"{{"list":["a"],"n":{number}}}"#));
    assert!(shown.iter().map(Json::canonical).eq(expected), "{shown:?}");
}

#[test]
fn history_goes_back_behind_the_sum_of_a_document_that_was_read_from_the_store() {
    let mut world = world();
    for number in 2..=1_200 {
        submit(&mut world, &format!(r#"[{{"op":"replace","path":"/n","value":{number}}}]"#), Base::Current)
            .unwrap();
    }
    let stored = world.root.store.clone();
    world.restart_root(stored);
    world.open("d");
    let shown = followed(&history(&mut world, 100));
    let expected = (1..=1_200).map(|number| format!(r#"{{"list":["a"],"n":{number}}}"#));
    assert!(shown.iter().map(Json::canonical).eq(expected));
}

#[test]
fn a_page_of_history_shows_so_many_bytes_and_one_revision_at_least() {
    let mut world = world();
    let text = "x".repeat(MAX_HISTORY_SHOWN_BYTES / 4);
    submit(&mut world, &format!(r#"[{{"op":"add","path":"/text","value":"{text}"}}]"#), Base::Current)
        .unwrap();
    for number in 3..=10 {
        submit(&mut world, &format!(r#"[{{"op":"replace","path":"/n","value":{number}}}]"#), Base::Current)
            .unwrap();
    }
    world.root.replica.shown_history(Token(3), &id("d"), None, 100);
    world.run();
    let Some(Reply::History(page)) = world.root.replies.remove(&3) else { panic!("no history") };
    assert!(page.more && page.entries.iter().all(|entry| entry.forward_patch.is_some()));
    // The document is some bytes larger than a quarter of what a page may show.
    assert_eq!((page.first, page.entries.len()), (Revision(8), 3));
    let shown = followed(&history(&mut world, 100));
    assert_eq!(shown.len(), 10);
    assert!(shown[9].canonical().starts_with(r#"{"list":["a"],"n":10,"text":"xxx"#));
}
