//! A root with a client of its own, a relay, and clients below that: what reaches whom, and what is left when any of them goes.
#![allow(clippy::unwrap_used)]

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use crate::support::{World, id, json, patch};
use rejoin_core::storage::StoreError;
use rejoin_core::{Input, Reply, Rung, Token};
use rejoin_store::MemoryStore;
use rejoin_wire::{
    Counter, DocumentPush, ErrorCode, Fate, Message, Outcome, PushedChange, Revision, Scope, Sequence,
};

const DIRECT: usize = 0;
const RELAY: usize = 1;
const ADA: usize = 2;
const BO: usize = 3;

/// All are connected and have the document open.
fn world() -> World {
    let mut world = World::new(1);
    assert_eq!(world.add_relay(None), RELAY);
    assert_eq!(world.add_below(RELAY), ADA);
    assert_eq!(world.add_below(RELAY), BO);
    settle(&mut world);
    open(&mut world, "d");
    world
}

/// Everybody but the relay opens a document; a relay holds them all.
fn open(world: &mut World, name: &str) {
    for at in 0..world.followers.len() {
        if !world.followers[at].relays {
            world.followers[at].replica.open(&id(name));
        }
    }
    settle(world);
}

fn settle(world: &mut World) {
    world.run_for(120_000);
}

/// Adds an element to the list of the document, without running the world.
fn add(world: &mut World, at: usize, value: &str) {
    let text = format!(r#"[{{"op":"add","path":"/l/-","value":"{value}"}}]"#);
    world.followers[at].replica.edit(&id("d"), patch(&text)).unwrap();
}

/// Each of these stands in the document once, and everybody has it.
fn holds_each_once(world: &mut World, values: &[&str]) {
    let content = world.converged("d");
    for value in values {
        assert_eq!(content.matches(&format!("\"{value}\"")).count(), 1, "{value} in {content}");
    }
}

fn rung(world: &World, at: usize) -> Rung {
    world.followers[at].replica.status(&id("d")).unwrap().rung
}

fn kinds(world: &World, at: usize) -> Vec<&'static str> {
    world.followers[at].messages.iter().map(Message::kind).collect()
}

#[test]
fn clients_below_a_relay_and_at_the_root_edit_at_once_and_converge() {
    let mut world = world();
    world.create(ADA, "d", r#"{"l":[]}"#);
    for (at, value) in [(DIRECT, "direct"), (ADA, "ada"), (BO, "bo")] {
        add(&mut world, at, value);
    }
    world.run();
    holds_each_once(&mut world, &["direct", "ada", "bo"]);
}

#[test]
fn who_edits_offline_on_either_side_comes_back_and_loses_nothing() {
    let mut world = world();
    world.create(DIRECT, "d", r#"{"l":[]}"#);
    for (at, value) in [(DIRECT, "direct"), (ADA, "ada"), (BO, "bo")] {
        world.offline(at);
        add(&mut world, at, value);
    }
    world.offline(RELAY);
    for at in [BO, RELAY, DIRECT, ADA] {
        world.online(at);
    }
    settle(&mut world);
    holds_each_once(&mut world, &["direct", "ada", "bo"]);
}

#[test]
fn who_only_follows_gets_what_it_missed_and_then_each_update_with_its_position() {
    let mut world = World::new(1);
    world.add_relay(None);
    settle(&mut world);
    for document in 0..300 {
        world.followers[DIRECT].replica.open(&id(&format!("d{document}")));
        world.run();
        world.create(DIRECT, &format!("d{document}"), "{}");
    }
    let late = world.add_below(RELAY);
    settle(&mut world);
    world.edit(DIRECT, "d7", r#"[{"op":"add","path":"/a","value":1}]"#);
    let live = |message: &Message| matches!(message, Message::Update(update) if update.position == Some(Sequence(301)));
    for at in [DIRECT, RELAY, late] {
        assert!(live(world.followers[at].messages.last().unwrap()), "at {at}");
    }
    world.followers[late].messages.clear();
    world.restart(late, Some(Scope::Documents));
    settle(&mut world);
    world.followers[late].replica.open(&id("d7"));
    settle(&mut world);
    assert_eq!(world.content(late, "d7"), r#"{"a":1}"#);
    let told = kinds(&world, late).into_iter().filter(|kind| *kind == "snapshot").count();
    assert_eq!(told, 0, "it knows from where to go on");
}

#[test]
fn the_authority_knows_an_author_below_a_relay_by_its_own_name() {
    let mut world = world();
    world.create(BO, "d", "{}");
    for at in [DIRECT, ADA, BO] {
        assert_eq!(&*world.followers[at].replica.view(&id("d")).unwrap().author, "user3");
    }
}

#[test]
fn an_author_gets_its_own_change_back_without_its_content_and_only_once() {
    let mut world = world();
    let long = "x".repeat(10_000);
    world.create(ADA, "d", &format!(r#"{{"l":["{long}"]}}"#));
    let before = (world.followers[RELAY].received, world.followers[ADA].received);
    add(&mut world, ADA, &long);
    world.run();
    assert!(world.followers[RELAY].received - before.0 < 1_000);
    assert!(world.followers[ADA].received - before.1 < 1_000);
    world.converged("d");
}

#[test]
fn nothing_is_acknowledged_before_the_authority_has_it_durable() {
    let mut world = world();
    world.create(ADA, "d", r#"{"l":[]}"#);
    world.root.holds_commits = true;
    add(&mut world, ADA, "ada");
    world.run();
    assert_eq!(rung(&world, ADA), Rung::Sent);
    assert_eq!(world.content(BO, "d"), r#"{"l":[]}"#, "nobody else sees it");
    world.let_root_commits_through();
    assert_eq!(rung(&world, ADA), Rung::Acknowledged);
    holds_each_once(&mut world, &["ada"]);
}

#[test]
fn a_link_upstream_that_is_lost_in_mid_push_neither_loses_nor_doubles_anything() {
    // The push is lost with the link; the authority has it and did not decide; it decided, and nobody heard.
    for heard in 0..3 {
        let mut world = world();
        world.create(ADA, "d", r#"{"l":[]}"#);
        add(&mut world, BO, "bo");
        world.run();
        add(&mut world, ADA, "ada");
        world.drain_follower(ADA);
        if heard > 0 {
            world.drain_follower(RELAY);
        }
        if heard > 1 {
            world.root.holds_commits = true;
            world.drain_root();
        }
        world.cut(RELAY);
        world.root.holds_commits = false;
        world.run();
        assert_eq!(rung(&world, ADA), Rung::Saved, "{heard}");
        if heard > 1 {
            world.let_root_commits_through();
        }
        assert_eq!(world.followers[ADA].closed, [4503], "{heard}");
        settle(&mut world);
        assert_eq!(rung(&world, ADA), Rung::Acknowledged, "{heard}");
        holds_each_once(&mut world, &["ada", "bo"]);
    }
}

#[test]
fn a_relay_that_starts_again_from_its_store_goes_on_where_it_was() {
    let mut world = world();
    world.create(ADA, "d", r#"{"l":[]}"#);
    let old = world.followers[RELAY].store.clone();
    for (at, value) in [(ADA, "one"), (DIRECT, "two")] {
        add(&mut world, at, value);
        world.run();
    }
    // As it was, an older image, and nothing at all.
    for store in [world.followers[RELAY].store.clone(), old, MemoryStore::new()] {
        add(&mut world, BO, "lost on its way");
        world.drain_follower(BO);
        world.restart_relay(RELAY, store);
        settle(&mut world);
        for at in [DIRECT, ADA, BO] {
            assert!(world.followers[at].replica.recovered(&id("d")).is_empty(), "nothing went back");
        }
        let content = world.converged("d");
        world.followers[BO].replica.undo(&id("d")).unwrap();
        settle(&mut world);
        assert_eq!(content.matches("lost on its way").count(), 1, "{content}");
        holds_each_once(&mut world, &["one", "two"]);
    }
}

#[test]
fn a_relay_welcomes_nobody_before_it_holds_what_the_authority_had() {
    let mut world = world();
    world.create(ADA, "d", r#"{"l":[]}"#);
    let old = world.followers[RELAY].store.clone();
    add(&mut world, ADA, "one");
    world.run();
    world.restart_relay(RELAY, old);
    world.followers[RELAY].holds_messages = true;
    for at in [ADA, BO] {
        world.followers[at].messages.clear();
    }
    settle(&mut world);
    assert_eq!(kinds(&world, ADA), [""; 0], "what it would be told is older than what it has");
    world.let_messages_through(RELAY);
    settle(&mut world);
    assert_eq!(kinds(&world, ADA)[0], "welcome");
    holds_each_once(&mut world, &["one"]);
}

#[test]
fn an_authority_that_went_back_gets_the_lost_changes_again_through_a_relay() {
    for relay_brings_back in [true, false] {
        let mut world = world();
        world.create(ADA, "d", r#"{"l":[]}"#);
        let backup = world.root.store.clone();
        for (at, value) in [(DIRECT, "one"), (ADA, "two"), (BO, "three")] {
            add(&mut world, at, value);
            world.run();
        }
        world.offline(DIRECT);
        if !relay_brings_back {
            // Its store is gone, too: only those below know.
            world.restart_relay(RELAY, MemoryStore::new());
        }
        world.restart_root(backup);
        settle(&mut world);
        world.online(DIRECT);
        settle(&mut world);
        holds_each_once(&mut world, &["one", "two", "three"]);
        for at in [DIRECT, ADA, BO] {
            assert_eq!(world.followers[at].replica.recovered(&id("d")).len(), 1);
        }
    }
}

#[test]
fn a_copied_profile_below_a_relay_takes_a_fresh_id() {
    let mut world = world();
    world.create(ADA, "d", r#"{"l":[]}"#);
    let copy = world.add_below(RELAY);
    let store = world.followers[ADA].store.clone();
    world.followers[copy].store = store;
    world.restart(copy, Some(Scope::Documents));
    world.offline(copy);
    world.run();
    world.followers[copy].replica.open(&id("d"));
    world.run();
    add(&mut world, ADA, "original");
    world.run();
    add(&mut world, copy, "copy");
    add(&mut world, copy, "copy too");
    world.online(copy);
    settle(&mut world);
    holds_each_once(&mut world, &["original", "copy", "copy too"]);
    assert_ne!(world.followers[ADA].replica.id(), world.followers[copy].replica.id());
}

#[test]
fn two_of_one_name_that_push_at_once_are_told_apart() {
    let mut world = world();
    world.create(ADA, "d", r#"{"l":[]}"#);
    let copy = world.add_below(RELAY);
    let store = world.followers[ADA].store.clone();
    world.followers[copy].store = store;
    world.restart(copy, Some(Scope::Documents));
    settle(&mut world);
    world.followers[copy].replica.open(&id("d"));
    settle(&mut world);
    world.root.holds_commits = true;
    add(&mut world, ADA, "original");
    add(&mut world, copy, "copy");
    world.run();
    world.let_root_commits_through();
    settle(&mut world);
    holds_each_once(&mut world, &["original", "copy"]);
}

#[test]
fn who_is_told_of_a_fork_takes_back_nothing_that_another_pushed() {
    let mut world = world();
    world.create(BO, "d", r#"{"l":[]}"#);
    add(&mut world, BO, "known");
    world.run();
    world.root.holds_commits = true;
    add(&mut world, BO, "on its way");
    world.run();
    // A copy of that profile, on a link of its own, has other changes under these names.
    let mut copied = world.followers[BO].replica.pending(&id("d"))[0].change.as_ref().clone();
    let name = copied.id();
    copied.counter = Counter(2);
    copied.over = copied.counter;
    let push = DocumentPush {
        document: id("d"),
        changes: vec![PushedChange { change: copied, seen: None }],
        author: None,
    };
    world.followers[BO].messages.clear();
    world.say_to_root(ADA, Message::Push { pushes: vec![push] });
    world.run();
    let tell = |world: &mut World, message: Message| {
        let link = world.followers[RELAY].up.unwrap();
        world.followers[RELAY].replica.handle_input(world.now, Input::Received { link, message });
        world.run();
    };
    // The authority says so of the copy's.
    let (document, replica) = (id("d"), name.replica);
    tell(&mut world, Message::Forked { document: document.clone(), replica, counter: Counter(2) });
    assert!(kinds(&world, ADA).contains(&"forked"), "{:?}", kinds(&world, ADA));
    assert!(!kinds(&world, BO).contains(&"forked"), "{:?}", kinds(&world, BO));
    // What the authority asks of the other one reaches it.
    tell(&mut world, Message::NeedSeen { document, replica, counter: name.counter });
    assert!(kinds(&world, BO).contains(&"need_seen"), "{:?}", kinds(&world, BO));
    world.let_root_commits_through();
    holds_each_once(&mut world, &["known", "on its way"]);
}

#[test]
fn a_fork_takes_back_no_other_push_that_came_over_the_same_link() {
    let mut world = World::new(0);
    let upper = world.add_relay(None);
    let lower = world.add_relay(Some(upper));
    let [ada, bo] = [world.add_below(lower), world.add_below(lower)];
    settle(&mut world);
    for at in [ada, bo] {
        world.followers[at].replica.open(&id("d"));
    }
    settle(&mut world);
    world.create(bo, "d", r#"{"l":[]}"#);
    world.offline(bo);
    add(&mut world, bo, "first");
    add(&mut world, bo, "second");
    world.root.holds_commits = true;
    world.online(bo);
    settle(&mut world);
    let pending = world.followers[bo].replica.pending(&id("d"));
    let (first, second) = (pending[0].clone(), pending[1].change.id());
    let tell = |world: &mut World, message: Message| {
        let link = world.followers[upper].up.unwrap();
        world.followers[upper].replica.handle_input(world.now, Input::Received { link, message });
        world.run();
    };
    let fate = Fate::Rejected { code: ErrorCode::TestFailed, message: "".into() };
    let outcomes = vec![Outcome { change: first.change.id(), hash: first.hash, fate }];
    tell(&mut world, Message::Outcomes { document: id("d"), outcomes });
    // A copy of that profile still has to push what begins the other push too, and comes to the upper relay over the same link.
    let changes = vec![PushedChange { change: first.change.as_ref().clone(), seen: None }];
    let push = DocumentPush { document: id("d"), changes, author: None };
    world.say_to_root(ada, Message::Push { pushes: vec![push] });
    world.run();
    let (document, replica) = (id("d"), second.replica);
    tell(&mut world, Message::Forked { document: document.clone(), replica, counter: first.change.counter });
    assert!(kinds(&world, ada).contains(&"forked"), "{:?}", kinds(&world, ada));
    assert!(!kinds(&world, bo).contains(&"forked"), "{:?}", kinds(&world, bo));
    tell(&mut world, Message::NeedSeen { document, replica, counter: second.counter });
    assert!(kinds(&world, bo).contains(&"need_seen"), "{:?}", kinds(&world, bo));
}

#[test]
fn a_rejected_change_is_told_to_its_author_only() {
    let mut world = world();
    world.create(ADA, "d", r#"{"l":[]}"#);
    world.allow(BO, false);
    for at in [DIRECT, ADA, BO] {
        world.followers[at].messages.clear();
    }
    add(&mut world, BO, "not allowed");
    add(&mut world, ADA, "allowed");
    world.run();
    let rejected = world.followers[BO].replica.rejected(&id("d"));
    assert_eq!(rejected.iter().map(|rejected| rejected.code).collect::<Vec<_>>(), [ErrorCode::Forbidden]);
    assert_eq!(kinds(&world, ADA), ["update"]);
    assert_eq!(kinds(&world, DIRECT), ["update"]);
    holds_each_once(&mut world, &["allowed"]);
}

#[test]
fn an_author_that_has_to_say_what_it_saw_is_asked_through_the_relay() {
    let mut world = world();
    world.create(ADA, "d", r#"{"old":true}"#);
    // Nothing is heard of the deletion before the next change is made on it, and an authority that has started again no longer knows what
    // its authors had seen last.
    world.followers[ADA].holds_messages = true;
    world.followers[ADA].replica.delete(&id("d")).unwrap();
    world.run();
    world.followers[ADA].replica.create(&id("d"), json(r#"{"new":true}"#)).unwrap();
    world.edit(ADA, "d", r#"[{"op":"add","path":"/old","value":"again"}]"#);
    world.offline(ADA);
    world.followers[ADA].holds_messages = false;
    let store = world.root.store.clone();
    world.restart_root(store);
    world.online(ADA);
    settle(&mut world);
    assert!(kinds(&world, ADA).contains(&"need_seen"), "{:?}", kinds(&world, ADA));
    assert!(!kinds(&world, BO).contains(&"need_seen"));
    assert_eq!(world.converged("d"), r#"{"new":true,"old":"again"}"#);
}

#[test]
fn presence_goes_through_a_relay_both_ways_and_ends_with_its_link() {
    let mut world = world();
    world.create(ADA, "d", "{}");
    let show = |world: &mut World, at: usize| {
        let state = json(&format!(r#"{{"who":{at}}}"#));
        world.followers[at].replica.set_presence(&id("d"), Some(state)).unwrap();
    };
    let seen = |world: &World, at: usize| {
        let present = world.followers[at].replica.present(&id("d"));
        let mut seen: Vec<_> =
            present.iter().map(|(_, one)| format!("{} {}", one.principal, one.state)).collect();
        seen.sort();
        seen
    };
    for at in [DIRECT, ADA, BO] {
        show(&mut world, at);
    }
    world.run_for(1_000);
    let shown = |at: usize| format!(r#"user{at} {{"who":{at}}}"#);
    assert_eq!(seen(&world, DIRECT), [shown(ADA), shown(BO)]);
    assert_eq!(seen(&world, ADA), [shown(DIRECT), shown(BO)]);
    assert_eq!(seen(&world, BO), [shown(DIRECT), shown(ADA)]);
    world.followers[DIRECT].replica.set_presence(&id("d"), None).unwrap();
    world.offline(BO);
    world.run_for(1_000);
    assert_eq!(seen(&world, DIRECT), [shown(ADA)]);
    assert_eq!(seen(&world, ADA), [""; 0]);
    world.online(BO);
    world.run_for(1_000);
    assert_eq!(seen(&world, DIRECT), [shown(ADA), shown(BO)]);
    world.offline(RELAY);
    world.run_for(1_000);
    assert_eq!(seen(&world, DIRECT), [""; 0]);
    assert_eq!(seen(&world, ADA), [""; 0]);
    show(&mut world, DIRECT);
    world.online(RELAY);
    settle(&mut world);
    assert_eq!(seen(&world, DIRECT), [shown(ADA), shown(BO)]);
    assert_eq!(seen(&world, BO), [shown(DIRECT), shown(ADA)]);
}

#[test]
fn a_relay_that_nobody_asks_for_presence_subscribes_to_nothing() {
    let mut world = world();
    world.root_heard.clear();
    let close = |world: &mut World, at: usize| {
        world.followers[at].replica.close(&id("d"));
        world.run_for(1_000);
        world.root_heard.iter().filter(|message| matches!(message, Message::Close { .. })).count()
    };
    assert_eq!(close(&mut world, ADA), 0);
    assert_eq!(close(&mut world, BO), 1);
    assert_eq!(world.followers[RELAY].replica.poll_timeout(), None, "and sleeps");
}

#[test]
fn history_is_asked_of_the_authority() {
    let mut world = world();
    world.create(DIRECT, "d", r#"{"l":[]}"#);
    for value in ["one", "two", "three"] {
        add(&mut world, DIRECT, value);
        world.run();
    }
    world.followers[ADA].replica.remote_history(Token(7), &id("d"), Some(Revision(4)), 2);
    world.run();
    let Some(Reply::History(page)) = world.followers[ADA].replies.get(&7) else { panic!() };
    assert_eq!((page.first, page.entries.len(), page.more), (Revision(2), 2, true));
    assert!(world.followers[BO].replies.is_empty());
}

#[test]
fn a_chain_of_relays_is_as_good_as_one() {
    let mut world = world();
    let second = world.add_relay(Some(RELAY));
    let eve = world.add_below(second);
    settle(&mut world);
    open(&mut world, "d");
    world.create(eve, "d", r#"{"l":[]}"#);
    assert_eq!(&*world.followers[DIRECT].replica.view(&id("d")).unwrap().author, &*format!("user{eve}"));
    world.followers[eve].replica.set_presence(&id("d"), Some(json("5"))).unwrap();
    world.followers[BO].replica.set_presence(&id("d"), Some(json("6"))).unwrap();
    world.offline(eve);
    add(&mut world, eve, "eve");
    add(&mut world, DIRECT, "direct");
    world.cut(RELAY);
    world.online(eve);
    settle(&mut world);
    holds_each_once(&mut world, &["eve", "direct"]);
    for (at, others) in [(DIRECT, 2), (ADA, 2), (BO, 1), (eve, 1)] {
        assert_eq!(world.followers[at].replica.present(&id("d")).len(), others, "at {at}");
    }
    world.allow(eve, false);
    add(&mut world, eve, "not allowed");
    world.run();
    assert_eq!(world.followers[eve].replica.rejected(&id("d")).len(), 1);
}

#[test]
fn a_relay_whose_store_is_gone_for_good_turns_everybody_away() {
    let mut world = world();
    world.create(ADA, "d", "{}");
    world.followers[RELAY].store.fail_next_commits(1, StoreError::QuotaExceeded("full".into()));
    world.edit(DIRECT, "d", r#"[{"op":"add","path":"/a","value":1}]"#);
    assert_eq!(world.followers[ADA].closed[0], 4503);
    settle(&mut world);
    assert!(world.followers[ADA].closed.iter().all(|code| *code == 4503));
    assert!(
        !kinds(&world, ADA)[1..].iter().skip_while(|kind| **kind != "welcome").any(|kind| *kind == "welcome")
    );
}

#[test]
fn a_relay_makes_no_changes_of_its_own() {
    let mut world = world();
    assert!(world.followers[RELAY].replica.create(&id("e"), json("{}")).is_err());
}
