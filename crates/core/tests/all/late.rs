//! What comes late: answers that are on their way while edits are made, commits that a store takes its time for, outcomes that
//! were lost, refusals before a welcome.
#![allow(clippy::unwrap_used)]

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use crate::support::{World, id, json, patch};
use rejoin_core::storage::{Operation, StoreError};
use rejoin_core::{
    EditError, Grant, Input, Life, LinkStatus, MAX_QUESTIONS, Output, Peer, Reply, Rung, Token,
};
use rejoin_wire::{
    Body, ChainHash, Change, CloseCode, Counter, DocumentPush, Encoding, ErrorCode, ErrorMessage, Fate, Have,
    Message, OpenDocument, Outcome, PushedChange, ReplicaId, Revision, Scope, Sequence, UnixMillis,
};

/// Long enough that a few edits of its kind are told by a snapshot rather than one by one.
fn long(word: &str) -> String {
    word.repeat(400)
}

#[test]
fn a_snapshot_answers_an_open_although_an_edit_was_made_meanwhile() {
    let mut world = World::with_scope(2, None);
    world.open("d");
    world.create(0, "d", r#"{"mine":0,"text":""}"#);
    world.offline(0);
    for word in ["a", "b", "c", "d"] {
        let text = long(word);
        world.edit(1, "d", &format!(r#"[{{"op":"replace","path":"/text","value":"{text}"}}]"#));
    }
    world.followers[0].messages.clear();
    world.followers[0].holds_messages = true;
    world.online(0);
    assert_eq!(world.followers[0].replica.sync_status().link, LinkStatus::Online);
    world.edit(0, "d", r#"[{"op":"replace","path":"/mine","value":1}]"#);
    assert_eq!(world.followers[0].replica.status(&id("d")).unwrap().rung, Rung::Saved);
    world.let_messages_through(0);
    let is_snapshot =
        |message: &Message| matches!(message, Message::Snapshot(told) if told.covers.is_empty());
    assert!(world.followers[0].messages.iter().any(is_snapshot), "{:?}", world.followers[0].messages);
    let asked = world.root_heard.iter().filter(|heard| matches!(heard, Message::Open { .. })).count();
    world.run_for(60_000);
    assert_eq!(world.converged("d"), format!(r#"{{"mine":1,"text":"{}"}}"#, long("d")));
    let again = world.root_heard.iter().filter(|heard| matches!(heard, Message::Open { .. })).count();
    assert_eq!(again, asked, "the answer was taken");
}

#[test]
fn what_follows_a_creation_on_a_tombstone_is_compared_with_that_creation_alone() {
    let mut world = World::asking(None);
    world.followers[0].messages.clear();
    world.online(0);
    let asked = |message: &Message| matches!(message, Message::NeedSeen { .. });
    assert!(world.followers[0].messages.iter().any(asked), "{:?}", world.followers[0].messages);
    assert!(world.followers[0].replica.rejected(&id("d")).is_empty());
    assert_eq!(world.converged("d"), r#"{"new":true,"old":"again"}"#);
    let view = world.followers[0].replica.view(&id("d")).unwrap();
    assert_eq!((view.life, view.revision), (Life::Alive, Revision(4)));
    assert!(view.conflicts.is_empty(), "{:?}", view.conflicts);
}

#[test]
fn a_document_stays_in_memory_until_its_newest_revision_is_stored() {
    let mut world = World::new(1);
    let forgetful = world.add_forgetful(Some(Scope::Documents), 1);
    world.run();
    let names = ["a", "b", "c", "d"];
    for name in names {
        world.followers[0].replica.open(&id(name));
        world.run();
        world.create(0, name, r#"{"n":0}"#);
    }
    world.followers[forgetful].holds_commits = true;
    for name in names {
        world.edit(0, name, r#"[{"op":"replace","path":"/n","value":1}]"#);
    }
    // Nobody is there to tell it again.
    world.offline(forgetful);
    for name in names {
        world.followers[forgetful].replica.open(&id(name));
    }
    world.run();
    for name in names {
        let view = world.followers[forgetful].replica.view(&id(name)).unwrap();
        assert_eq!((view.revision, view.content.canonical().as_str()), (Revision(2), r#"{"n":1}"#), "{name}");
    }
    world.let_commits_through(forgetful);
    world.online(forgetful);
    for name in names {
        assert_eq!(world.converged(name), r#"{"n":1}"#);
    }
}

#[test]
fn presence_that_must_wait_for_its_document_is_not_due() {
    let mut world = World::with_scope(1, None);
    world.open("d");
    world.create(0, "d", r#"{"a":1}"#);
    world.cut(0);
    world.followers[0].holds_messages = true;
    world.run_for(60_000);
    assert_eq!(world.followers[0].replica.sync_status().link, LinkStatus::Online);
    let replica = &mut world.followers[0].replica;
    replica.set_presence(&id("d"), Some(json(r#"{"cursor":1}"#))).unwrap();
    world.run();
    let due = world.followers[0].replica.poll_timeout();
    assert!(
        due.is_none_or(|due| due > world.now),
        "{due:?} at {:?}: its driver would never sleep",
        world.now
    );
    world.let_messages_through(0);
    assert!(world.root_heard.iter().any(|heard| matches!(heard, Message::Presence { .. })));
}

#[test]
fn a_refusal_before_the_welcome_is_final_where_its_close_code_says_so() {
    let refused = |close: CloseCode| LinkStatus::Refused { code: close.number() };
    for (code, close, status) in [
        (
            ErrorCode::UnsupportedVersion,
            CloseCode::UnsupportedVersion,
            refused(CloseCode::UnsupportedVersion),
        ),
        (ErrorCode::Forbidden, CloseCode::Forbidden, refused(CloseCode::Forbidden)),
        (ErrorCode::Unavailable, CloseCode::Unavailable, LinkStatus::Offline),
    ] {
        let mut world = World::new(1);
        world.offline(0);
        let now = world.now;
        let replica = &mut world.followers[0].replica;
        replica.handle_input(now, Input::Online(true));
        let outputs: Vec<Output> = std::iter::from_fn(|| replica.poll_output()).collect();
        let connect =
            |output: &Output| if let Output::Connect { link } = output { Some(*link) } else { None };
        let link = outputs.iter().find_map(connect).unwrap();
        let grant = Grant::new("root", true);
        let peer = Peer { replica: ReplicaId(0), encoding: Encoding::Binary, grant, token: None };
        replica.handle_input(now, Input::LinkOpened { link, peer });
        let error =
            ErrorMessage { code, message: "not now".into(), document: None, request: None, change: None };
        replica.handle_input(now, Input::Received { link, message: Message::Error(error) });
        while let Some(output) = replica.poll_output() {
            assert!(!matches!(output, Output::Disconnect { .. }), "{output:?}");
        }
        replica.handle_input(now, Input::LinkClosed { link, code: Some(close.number()) });
        assert_eq!(replica.sync_status().link, status);
    }
}

#[test]
fn a_push_whose_beginning_a_failed_commit_gives_back_goes_on_in_order() {
    let mut world = World::new(2);
    world.open("d");
    world.create(1, "d", r#"{"n":0}"#);
    world.followers[0].holds_messages = true;
    let replica = ReplicaId(7);
    let seen = |counter| json(&format!(r#"{{"n":0,"seen":{counter}}}"#));
    let pushed = |counter| {
        let operations = patch(&format!(r#"[{{"op":"add","path":"/{counter}","value":true}}]"#));
        let body = Body::Edit { patch: operations, settles: Vec::new(), undoes: None };
        let (counter, base) = (Counter(counter), Revision(1));
        let change = Change { replica, counter, base, over: counter, time: UnixMillis(0), body };
        PushedChange { change, seen: Some(seen(counter.0).content_hash()) }
    };
    let say = |counter: u64| Message::SeenContent {
        document: id("d"),
        replica,
        counter: Counter(counter),
        content: Some(seen(counter)),
        header: None,
    };
    let changes = vec![pushed(1), pushed(2)];
    world.say_to_root(
        0,
        Message::Push { pushes: vec![DocumentPush { document: id("d"), changes, author: None }] },
    );
    world.run();
    world.root.store.fail_next_commits(1, StoreError::Unavailable("busy".into()));
    world.say_to_root(0, say(1));
    world.run();
    // The first is given back, while the second waits for this.
    world.say_to_root(0, say(2));
    world.run_for(1_000);
    for counter in [1, 2] {
        world.say_to_root(0, say(counter));
        world.run_for(1_000);
    }
    assert_eq!(world.content(1, "d"), r#"{"1":true,"2":true,"n":0}"#);
    world.let_messages_through(0);
    let forked = |message: &Message| matches!(message, Message::Forked { .. });
    assert!(!world.followers[0].messages.iter().any(forked), "{:?}", world.followers[0].messages);
}

#[test]
fn a_full_outbox_takes_no_more_changes_and_drops_none() {
    let mut world = World::new(1);
    world.open("d");
    world.create(0, "d", "{}");
    world.offline(0);
    let text = "x".repeat(100_000);
    let mut made = 0;
    let refused = loop {
        let change = patch(&format!(r#"[{{"op":"add","path":"/{made}","value":"{text}"}}]"#));
        match world.followers[0].replica.edit(&id("d"), change) {
            Ok(_) => made += 1,
            Err(error) => break error,
        }
    };
    assert_eq!(refused, EditError::OutboxFull { limit: 1 << 20 });
    assert_eq!(made, 10, "as many as there is room for");
    assert_eq!(world.followers[0].replica.pending(&id("d")).len(), made);
    world.online(0);
    assert_eq!(world.converged("d").matches(&text).count(), made);
    world.edit(0, "d", r#"[{"op":"add","path":"/more","value":1}]"#);
    assert!(world.converged("d").contains("more"), "what was sent makes room");
}

#[test]
fn what_one_of_two_copies_saw_is_not_taken_for_what_the_other_saw() {
    let mut world = World::new(2);
    world.open("d");
    world.create(1, "d", r#"{"a":1}"#);
    let copied = ReplicaId(77);
    let push = |counter, key: &str, seen: &str| {
        let patch = patch(&format!(r#"[{{"op":"add","path":"/{key}","value":1}}]"#));
        let change = Change {
            replica: copied,
            counter: Counter(counter),
            base: Revision(1),
            over: Counter(1),
            time: UnixMillis(1),
            body: Body::Edit { patch, settles: Vec::new(), undoes: None },
        };
        let changes = vec![PushedChange { change, seen: Some(json(seen).content_hash()) }];
        Message::Push { pushes: vec![DocumentPush { document: id("d"), changes, author: None }] }
    };
    world.say_to_root(0, push(1, "common", r#"{"a":1}"#));
    world.run();
    // From now on the authority has to ask what was made on that change.
    world.restart_root(world.root.store.clone());
    world.run_for(60_000);
    let seen = [r#"{"a":1,"mine":0}"#, r#"{"a":1,"mine":1}"#];
    for at in [0, 1] {
        world.followers[at].holds_messages = true;
        world.say_to_root(at, push(2, &format!("by{at}"), seen[at]));
    }
    world.run();
    for at in [0, 1] {
        let content = Some(json(seen[at]));
        let (document, replica, counter) = (id("d"), copied, Counter(2));
        world.say_to_root(at, Message::SeenContent { document, replica, counter, content, header: None });
    }
    world.run();
    assert!(world.followers.iter().all(|node| node.up.is_some()), "both were right about what they saw");
    for at in [0, 1] {
        world.let_messages_through(at);
    }
    assert_eq!(
        world.converged("d"),
        r#"{"a":1,"by0":1,"common":1}"#,
        "and the second is told that it is a copy"
    );
    let forked = |message: &Message| matches!(message, Message::Forked { replica, .. } if *replica == copied);
    assert!(world.followers[1].messages.iter().any(forked));
}

#[test]
fn a_question_to_the_authority_is_always_answered() {
    let mut world = World::new(1);
    world.open("d");
    world.create(0, "d", "1");
    let ask = |world: &mut World, tokens: std::ops::Range<usize>| {
        for token in tokens {
            world.followers[0].replica.remote_history(Token(token as u64), &id("d"), None, 1);
        }
        world.run();
    };
    let code = |world: &World, token: usize| match world.followers[0].replies.get(&(token as u64)) {
        Some(Reply::Refused { code, .. }) => Some(*code),
        Some(Reply::History(_)) => None,
        other => panic!("{other:?}"),
    };
    ask(&mut world, 0..MAX_QUESTIONS);
    assert!((0..MAX_QUESTIONS).all(|token| code(&world, token).is_none()), "answered, and room for others");

    world.followers[0].replies.clear();
    world.followers[0].holds_messages = true;
    ask(&mut world, 0..MAX_QUESTIONS + 1);
    assert_eq!(world.followers[0].replies.len(), 1);
    assert_eq!(code(&world, MAX_QUESTIONS), Some(ErrorCode::RateLimited));
    world.offline(0);
    world.run();
    assert!((0..MAX_QUESTIONS).all(|token| code(&world, token) == Some(ErrorCode::Unavailable)));

    world.followers[0].replies.clear();
    ask(&mut world, 0..1);
    assert_eq!(code(&world, 0), Some(ErrorCode::Unavailable));
}

/// The newest position that a follower was told.
fn told_position(world: &World, at: usize) -> Option<Sequence> {
    let position = |message: &Message| match message {
        Message::Position { sequence } => Some(*sequence),
        Message::Update(update) => update.position,
        _ => None,
    };
    world.followers[at].messages.iter().filter_map(position).max()
}

/// Lets `d` have so many revisions that a root which starts anew has the first ones in its store alone, and has it loaded.
fn outgrow_memory(world: &mut World) {
    world.open("d");
    world.create(0, "d", r#"{"n":1}"#);
    for n in 2..=140 {
        world.edit(0, "d", &format!(r#"[{{"op":"replace","path":"/n","value":{n}}}]"#));
    }
    let store = world.root.store.clone();
    world.restart_root(store);
    world.run_for(60_000);
    world.edit(0, "d", r#"[{"op":"add","path":"/loaded","value":true}]"#);
}

/// An opening of `d` by one who holds a revision that only the store knows.
fn open_of_old() -> Message {
    let have = Have { revision: Revision(3), chain: ChainHash::default() };
    Message::Open { documents: vec![OpenDocument { document: id("d"), have, pending: Vec::new() }] }
}

#[test]
fn a_position_is_told_once_nothing_below_it_is_missing() {
    for author in [0, 1] {
        let mut world = World::new(2);
        world.open("e");
        world.create(0, "e", r#"{"n":1}"#);
        outgrow_memory(&mut world);
        world.edit(0, "e", r#"[{"op":"add","path":"/loaded","value":true}]"#);
        let before = told_position(&world, 1).unwrap();
        // What this link holds of the document must be looked up.
        world.root.holds_reads = Some(|operation| !matches!(operation, Operation::Commit(_)));
        world.say_to_root(1, open_of_old());
        world.run();
        assert_eq!(world.root.uncommitted.len(), 1);
        world.edit(author, "d", r#"[{"op":"add","path":"/late","value":true}]"#);
        world.edit(0, "e", r#"[{"op":"add","path":"/late","value":true}]"#);
        assert_eq!(told_position(&world, 1), Some(before), "the edit of `d` is still to be told");
        world.let_root_commits_through();
        assert_eq!(told_position(&world, 1), Some(Sequence(before.0 + 2)));
        assert_eq!(world.converged("d"), r#"{"late":true,"loaded":true,"n":140}"#);
        assert_eq!(world.converged("e"), r#"{"late":true,"loaded":true,"n":1}"#);
    }
}

#[test]
fn revisions_of_another_line_do_not_stand_in_for_those_held() {
    let mut world = World::new(2);
    world.open("d");
    world.create(0, "d", r#"{"mine":true}"#);
    // Elsewhere, the document has another beginning.
    let mut other = World::new(2);
    other.open("d");
    other.create(0, "d", r#"{"other":true}"#);
    other.edit(0, "d", r#"[{"op":"add","path":"/later","value":true}]"#);
    let told = other.followers[1].messages.iter().filter_map(|message| match message {
        Message::Update(update) if !update.entries.is_empty() => Some(update.clone()),
        _ => None,
    });
    let told: Vec<_> = told.collect();
    let entries = told.iter().flat_map(|update| update.entries.clone()).collect::<Vec<_>>();
    assert_eq!((told[0].first, entries.len()), (Revision(1), 2));
    let update = Message::Update(rejoin_wire::Update { entries, ..told[0].clone() });
    let asked = world.root_heard.len();
    let link = world.followers[1].up.unwrap();
    let now = world.now;
    world.followers[1].replica.handle_input(now, Input::Received { link, message: update });
    world.run();
    assert_eq!(world.content(1, "d"), r#"{"mine":true}"#);
    let asks = |message: &Message| matches!(message, Message::Open { .. });
    assert!(world.root_heard[asked..].iter().any(asks), "what does not fit is asked for again");
    assert_eq!(world.converged("d"), r#"{"mine":true}"#);
}

#[test]
fn a_page_that_was_asked_for_before_the_last_one_is_no_answer_to_it() {
    let mut world = World::new(1);
    world.open("a");
    world.create(0, "a", r#"{"n":0}"#);
    let backup = world.root.store.clone();
    world.open("b");
    world.create(0, "b", r#"{"n":0}"#);
    world.offline(0);
    world.restart_root(backup);
    let other = world.add(Some(Scope::Documents), rejoin_store::MemoryStore::new());
    world.run_for(60_000);
    for name in ["x", "y", "z"] {
        world.followers[other].replica.open(&id(name));
        world.run();
        world.create(other, name, r#"{"n":0}"#);
    }
    world.root.holds_reads = Some(|operation| matches!(operation, Operation::ScanHeads { .. }));
    world.root_heard.clear();
    world.online(0);
    let follows = world.root_heard.iter().filter(|heard| matches!(heard, Message::Follow { .. })).count();
    assert_eq!(follows, 2, "it follows anew once it knows that the authority went back");
    world.let_root_commits_through();
    world.run_for(120_000);
    for name in ["a", "b", "x", "y", "z"] {
        assert_eq!(world.content(0, name), r#"{"n":0}"#, "{name}");
    }
}

#[test]
fn a_store_that_cannot_be_read_is_left_in_peace_for_a_while() {
    for error in [StoreError::Unavailable("busy".into()), StoreError::Corrupted("spoiled".into())] {
        let mut world = World::new(2);
        outgrow_memory(&mut world);
        world.root.fails_reads = Some(error.clone());
        world.root.asked.clear();
        // An answer that needs the chain hash at an old revision, a page of the feed, and a document at an old revision.
        world.say_to_root(1, open_of_old());
        world.say_to_root(1, Message::Follow { scope: Scope::Documents, cursor: None });
        world.root.replica.read_at(Token(1), &id("d"), Revision(5));
        world.run();
        let asked = world.root.asked.len();
        assert!(asked <= 4, "{error:?}: asked {asked} times at once");
        world.root.fails_reads = None;
        world.root.replies.clear();
        world.run_for(60_000);
        assert_eq!(world.converged("d"), r#"{"loaded":true,"n":140}"#, "{error:?}");
        let newest = world.followers[1].messages.iter().rev().find_map(|message| match message {
            Message::Position { sequence } => Some(*sequence),
            _ => None,
        });
        assert_eq!(newest, Some(Sequence(141)), "{error:?}: the feed goes on");
    }
}

#[test]
fn a_page_tells_what_is_durable_of_a_document_whose_next_revision_is_being_stored() {
    let mut world = World::new(2);
    world.followers[0].replica.open(&id("d"));
    world.followers[0].replica.open(&id("e"));
    world.run();
    world.create(0, "d", r#"{"n":1}"#);
    // The document that a follower asks for when it is back is its newest one.
    world.create(0, "e", r#"{"n":1}"#);
    world.offline(1);
    world.edit(0, "d", r#"[{"op":"replace","path":"/n","value":2}]"#);
    world.root.holds_changes = true;
    world.edit(0, "d", r#"[{"op":"replace","path":"/n","value":3}]"#);
    // The store has it and has not said so.
    let mut stored = Vec::new();
    for (request, operation) in std::mem::take(&mut world.root.uncommitted) {
        stored.push((request, world.root.store.execute(&crate::support::workspace(), &operation)));
        world.root.store.sync();
    }
    assert_eq!(stored.len(), 1);
    world.followers[1].messages.clear();
    let told = |world: &World| {
        let newest = |message: &Message| match message {
            Message::Update(update) if update.document == id("d") => {
                Some(update.first.0 + update.entries.len() as u64 - 1)
            }
            Message::Snapshot(snapshot) if snapshot.document == id("d") => Some(snapshot.revision.0),
            _ => None,
        };
        world.followers[1].messages.iter().filter_map(newest).collect::<Vec<_>>()
    };
    world.root_heard.clear();
    world.online(1);
    assert_eq!(told_position(&world, 1), Some(Sequence(3)));
    assert_eq!(told(&world), [2], "what lies below the position is told");
    world.root.holds_changes = false;
    for (request, answer) in stored {
        let now = world.now;
        world.root.replica.handle_input(now, Input::Stored { request, answer });
    }
    world.run();
    assert_eq!(told_position(&world, 1), Some(Sequence(4)));
    assert_eq!(told(&world), [2, 3]);
}

#[test]
fn a_document_that_is_closed_while_it_is_compared_does_not_keep_the_feed_from_going_on() {
    let mut world = World::new(2);
    world.open("d");
    world.create(0, "d", r#"{"a":1}"#);
    let image = world.root.store.clone();
    world.edit(0, "d", r#"[{"op":"replace","path":"/a","value":2}]"#);
    world.offline(0);
    world.restart_root(image);
    world.root.holds_reads = Some(|operation| matches!(operation, Operation::LoadDocument { .. }));
    world.run_for(60_000);
    // What it held is asked about, and not answered yet.
    world.followers[1].replica.close(&id("d"));
    world.run();
    world.let_root_commits_through();
    world.online(0);
    world.followers[0].replica.open(&id("later"));
    world.run();
    world.create(0, "later", "[]");
    assert!(world.followers[1].replica.confirmed(&id("later")).is_some(), "the feed brings it");
}

#[test]
fn what_lies_around_an_outcome_goes_in_pushes_without_a_gap() {
    let mut world = World::new(1);
    world.open("d");
    world.create(0, "d", "{}");
    world.root.holds_commits = true;
    for key in ["a", "b", "c"] {
        world.edit(0, "d", &format!(r#"[{{"op":"add","path":"/{key}","value":1}}]"#));
    }
    // Of the second an outcome is known before that of the first, as when the log cannot be read where that one is.
    let second = world.followers[0].replica.pending(&id("d"))[1].clone();
    let fate = Fate::Rejected { code: ErrorCode::Corrupted, message: "lost".into() };
    let outcomes = vec![Outcome { change: second.change.id(), hash: second.hash, fate }];
    let (now, link) = (world.now, world.followers[0].up.unwrap());
    let message = Message::Outcomes { document: id("d"), outcomes };
    world.followers[0].replica.handle_input(now, Input::Received { link, message });
    world.run();
    world.offline(0);
    let store = world.root.store.clone();
    world.root.holds_commits = false;
    world.root.uncommitted.clear();
    world.restart_root(store);
    world.followers[0].messages.clear();
    world.online(0);
    world.run_for(60_000);
    assert_eq!(world.errors(0), []);
    assert_eq!(world.converged("d"), r#"{"a":1,"c":1}"#);
    assert_eq!(world.followers[0].replica.rejected(&id("d")).len(), 1);
}

#[test]
fn who_opens_a_document_again_is_not_shown_those_who_were_there_before() {
    let mut world = World::with_scope(2, None);
    world.followers[0].replica.open(&id("d"));
    world.run();
    world.create(0, "d", "{}");
    world.followers[0].replica.set_presence(&id("d"), Some(json("1"))).unwrap();
    world.run_for(1_000);
    // What it is told of its first look arrives during the second one.
    world.followers[1].holds_messages = true;
    world.followers[1].replica.open(&id("d"));
    world.run();
    world.followers[1].replica.close(&id("d"));
    world.run();
    world.followers[0].replica.set_presence(&id("d"), None).unwrap();
    world.run_for(1_000);
    world.followers[1].replica.open(&id("d"));
    world.run();
    world.let_messages_through(1);
    assert!(world.followers[1].replica.present(&id("d")).is_empty());
}

#[test]
fn what_was_looked_at_stays_in_memory_where_nothing_is_stored_any_more() {
    let mut world = World::new(1);
    let full = world.add_forgetful(None, 0);
    world.run();
    world.open("d");
    world.create(0, "d", r#"{"n":1}"#);
    world.followers[full].store.fail_next_commits(1, StoreError::QuotaExceeded("full".into()));
    world.edit(0, "d", r#"[{"op":"replace","path":"/n","value":2}]"#);
    world.offline(full);
    world.followers[full].replica.close(&id("d"));
    world.run();
    world.followers[full].replica.open(&id("d"));
    world.run();
    assert_eq!(world.content(full, "d"), r#"{"n":2}"#);
}
