//! What a link below a relay can do to the relay, to the authority and to the others: no more than it could do by itself.
#![allow(clippy::unwrap_used)]

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use crate::support::{World, id, json, patch};
use rejoin_core::{
    Input, LinkId, MAX_EARLY_BYTES, MAX_FORWARDED_BYTES, MAX_FORWARDED_BYTES_PER_LINK,
    MAX_FORWARDED_QUESTIONS,
};
use rejoin_json::Json;
use rejoin_wire::limits::MAX_MESSAGE_BYTES;
use rejoin_wire::{
    Author, Body, Change, Counter, DocumentPush, Encoding, ErrorCode, Have, Header, Message, OpenDocument,
    PushedChange, ReplicaId, Revision, UnixMillis, encode_message,
};

const RELAY: usize = 0;
const EVE: usize = 1;
const BO: usize = 2;

fn world() -> World {
    let mut world = World::new(0);
    world.add_relay(None);
    world.add_below(RELAY);
    world.add_below(RELAY);
    world.run_for(60_000);
    for at in [EVE, BO] {
        world.followers[at].replica.open(&id("d"));
    }
    world.run_for(1_000);
    world.create(BO, "d", r#"{"n":0}"#);
    world.root_heard.clear();
    world
}

/// The others go on: the relay's link is open, and an edit of Bo's arrives.
fn others_go_on(world: &mut World) {
    assert!(world.followers[RELAY].closed.is_empty() && world.followers[BO].closed.is_empty());
    world.edit(BO, "d", r#"[{"op":"add","path":"/bo","value":1}]"#);
    world.run_for(1_000);
    assert!(world.followers[BO].replica.pending(&id("d")).is_empty());
}

fn creation(name: &str, replica: u128, content: Json) -> DocumentPush {
    let body = Body::Create { header: Header::default(), content };
    push(name, ReplicaId(replica), 1, Revision(0), body)
}

fn push(name: &str, replica: ReplicaId, counter: u64, base: Revision, body: Body) -> DocumentPush {
    let counter = Counter(counter);
    let change = Change { replica, counter, base, over: counter, time: UnixMillis(0), body };
    DocumentPush { document: id(name), changes: vec![PushedChange { change, seen: None }], author: None }
}

fn edit(text: &str) -> Body {
    Body::Edit { patch: patch(text), settles: Vec::new(), undoes: None }
}

fn heard(world: &World, kind: &str) -> usize {
    world.root_heard.iter().filter(|message| message.kind() == kind).count()
}

fn megabyte() -> Json {
    Json::String("x".repeat(1 << 20).into())
}

#[test]
fn what_is_said_before_the_welcome_is_kept_up_to_a_limit() {
    let mut world = world();
    world.offline(RELAY);
    world.run_for(60_000);
    let question = |request| Message::Inquiry { request, about: None };
    let bytes = encode_message(&question(1_000), Encoding::Binary).len() + 256;
    let fit = MAX_EARLY_BYTES / bytes;
    for request in 1_000..1_000 + fit as u64 {
        world.say_to_root(EVE, question(request));
    }
    world.run();
    world.followers[EVE].closed.clear();
    world.say_to_root(BO, question(1));
    world.say_to_root(EVE, question(1_000));
    world.run();
    assert_eq!(world.followers[EVE].closed, [4503]);
    world.followers[BO].messages.clear();
    world.online(RELAY);
    let kinds: Vec<_> = world.followers[BO].messages.iter().map(Message::kind).collect();
    assert_eq!(kinds[0], "welcome");
    assert!(kinds.contains(&"finding"), "what was said early is answered after it: {kinds:?}");
}

#[test]
fn changes_of_one_link_that_wait_for_their_outcomes_are_bounded() {
    let mut world = world();
    world.root.holds_commits = true;
    let pushes = MAX_FORWARDED_BYTES_PER_LINK as u64 / (1 << 20);
    for number in 0..pushes {
        let push = creation(&format!("e{number}"), 7, megabyte());
        world.say_to_root(EVE, Message::Push { pushes: vec![push] });
    }
    world.run();
    // With what a change takes besides its content, the last is one too many.
    let refused = world.errors(EVE);
    assert_eq!(refused.len(), 1);
    assert_eq!((refused[0].code, refused[0].document.clone()), (ErrorCode::RateLimited, Some(id("e7"))));
    assert_eq!(refused[0].change.unwrap().replica, ReplicaId(7));
    world.let_root_commits_through();
    world.say_to_root(EVE, Message::Push { pushes: vec![creation("e7", 7, megabyte())] });
    world.run();
    assert_eq!(world.errors(EVE).len(), 1, "there is room again");
    others_go_on(&mut world);
}

#[test]
fn one_push_may_be_larger_than_what_may_wait() {
    let mut world = world();
    let half = Json::String("x".repeat(MAX_FORWARDED_BYTES_PER_LINK / 2 - 100).into());
    let mut push = creation("e", 7, half.clone());
    push.changes.extend(creation("e", 7, half).changes.into_iter().map(|mut pushed| {
        pushed.change.counter = Counter(2);
        pushed.change.over = Counter(1);
        pushed
    }));
    world.say_to_root(EVE, Message::Push { pushes: vec![push] });
    world.run();
    assert!(world.errors(EVE).is_empty());
    assert_eq!(heard(&world, "push"), 1);
}

#[test]
fn changes_of_all_links_that_wait_for_their_outcomes_are_bounded() {
    let mut world = world();
    world.root.holds_commits = true;
    let each = MAX_FORWARDED_BYTES_PER_LINK - (1 << 20);
    let links = MAX_FORWARDED_BYTES / each + 1;
    let first = BO + 1;
    for _ in 0..links {
        world.add_below(RELAY);
    }
    world.run_for(60_000);
    for at in first..first + links {
        for number in 0..each >> 20 {
            let name = format!("e{number}");
            let push = creation(&name, at as u128, megabyte());
            world.say_to_root(at, Message::Push { pushes: vec![push] });
        }
    }
    world.run();
    let refused: Vec<usize> = (first..first + links).map(|at| world.errors(at).len()).collect();
    let total: usize = refused.iter().sum();
    let taken = links * (each >> 20) - total;
    assert_eq!(taken, (MAX_FORWARDED_BYTES >> 20) - 1, "{refused:?}");
    assert!(refused[..links - 1].iter().all(|refused| *refused == 0), "{refused:?}");
}

#[test]
fn questions_that_wait_for_the_authority_are_bounded() {
    let mut world = world();
    world.followers[RELAY].holds_messages = true;
    let question = |request| Message::HistoryRequest { request, document: id("d"), before: None, limit: 1 };
    for request in 0..=MAX_FORWARDED_QUESTIONS as u64 {
        world.say_to_root(EVE, question(request));
        world.run();
    }
    let refused = world.errors(EVE);
    assert_eq!(refused.len(), 1);
    let last = MAX_FORWARDED_QUESTIONS as u64;
    assert_eq!((refused[0].code, refused[0].request), (ErrorCode::RateLimited, Some(last)));
    // An opening that needs the authority's word waits for its turn.
    world.cut(BO);
    world.edit(BO, "d", r#"[{"op":"add","path":"/bo","value":1}]"#);
    world.let_messages_through(RELAY);
    world.run_for(60_000);
    assert!(world.followers[BO].replica.pending(&id("d")).is_empty());
    let pages = world.followers[EVE].messages.iter().filter(|message| message.kind() == "history_page");
    assert_eq!(pages.count(), MAX_FORWARDED_QUESTIONS);
}

#[test]
fn a_push_that_its_author_makes_too_large_for_a_message_is_refused_by_the_relay() {
    let mut world = world();
    let message = |bytes: usize| {
        let half = |bytes: usize| Json::String("x".repeat(bytes).into());
        let mut push = creation("e", 7, half(bytes / 2));
        let mut second = creation("e", 7, half(bytes - bytes / 2)).changes;
        second[0].change.counter = Counter(2);
        push.changes.append(&mut second);
        Message::Push { pushes: vec![push] }
    };
    let encoded = |bytes| encode_message(&message(bytes), Encoding::Binary).len();
    let most = MAX_MESSAGE_BYTES - (encoded(1 << 20) - (1 << 20)) - 8;
    let largest = (most..).take_while(|bytes| encoded(*bytes) <= MAX_MESSAGE_BYTES).last().unwrap();
    world.say_to_root(EVE, message(largest));
    world.run();
    let refused = world.errors(EVE);
    assert_eq!((refused.len(), refused[0].code), (1, ErrorCode::TooLarge));
    assert_eq!(heard(&world, "push"), 0);
    // The name of the author is five bytes long, and two more say that there is one and that it may edit.
    let name = encode_message(&Message::Push { pushes: vec![creation("e", 7, json("1"))] }, Encoding::Binary);
    let author = Some(Author { principal: "user1".into(), may_edit: true });
    let named = DocumentPush { author, ..creation("e", 7, json("1")) };
    let named = encode_message(&Message::Push { pushes: vec![named] }, Encoding::Binary);
    world.say_to_root(EVE, message(largest - (named.len() - name.len())));
    world.run();
    assert_eq!((world.errors(EVE).len(), heard(&world, "push")), (1, 1));
    others_go_on(&mut world);
}

#[test]
fn a_link_that_contradicts_itself_is_closed_alone() {
    let mut world = world();
    let mut push = push("d", ReplicaId(7), 1, Revision(1), edit(r#"[{"op":"add","path":"/e","value":1}]"#));
    push.changes[0].seen = Some(json(r#"{"n":7}"#).content_hash());
    world.followers[EVE].holds_messages = true;
    world.say_to_root(EVE, Message::Push { pushes: vec![push] });
    world.run();
    assert!(world.followers[EVE].closed.is_empty());
    let content = Some(json(r#"{"n":8}"#));
    let (document, replica, counter) = (id("d"), ReplicaId(7), Counter(1));
    world.say_to_root(EVE, Message::SeenContent { document, replica, counter, content, header: None });
    world.run();
    assert_eq!(world.followers[EVE].closed, [4400]);
    others_go_on(&mut world);
}

#[test]
fn who_names_a_base_that_never_was_hears_it_alone() {
    let mut world = world();
    world.followers[EVE].holds_messages = true;
    let push = push("d", ReplicaId(7), 1, Revision(9), edit(r#"[{"op":"add","path":"/e","value":1}]"#));
    world.say_to_root(EVE, Message::Push { pushes: vec![push] });
    world.run();
    world.let_messages_through(EVE);
    let parted = |message: &Message| matches!(message, Message::Snapshot(snapshot) if !snapshot.continues);
    assert!(world.followers[EVE].messages.iter().any(parted));
    assert!(!world.followers[RELAY].messages.iter().any(parted));
    others_go_on(&mut world);
}

#[test]
fn what_a_link_may_not_say_is_not_passed_on() {
    let mut world = world();
    let author = Some(Author { principal: "bo".into(), may_edit: true });
    let in_anothers_name = DocumentPush { author, ..creation("e", 7, json("{}")) };
    let mut gap = creation("e", 7, json("{}"));
    gap.changes.push(gap.changes[0].clone());
    for push in [in_anothers_name, gap] {
        world.say_to_root(EVE, Message::Push { pushes: vec![push] });
    }
    let (document, replica, counter) = (id("d"), ReplicaId(7), Counter(1));
    let content = Some(json("{}"));
    world.say_to_root(EVE, Message::SeenContent { document, replica, counter, content, header: None });
    world.run();
    let codes: Vec<ErrorCode> = world.errors(EVE).iter().map(|error| error.code).collect();
    assert_eq!(codes, [ErrorCode::UnexpectedMessage, ErrorCode::BadMessage]);
    assert!(world.root_heard.is_empty(), "{:?}", world.root_heard);
    others_go_on(&mut world);
}

#[test]
fn however_often_a_link_opens_and_closes_the_authority_hears_little_of_it() {
    let mut world = world();
    for _ in 0..1_000 {
        for document in 0..3 {
            let document = id(&format!("e{document}"));
            let open =
                OpenDocument { document: document.clone(), have: Have::default(), pending: Vec::new() };
            world.say_to_root(EVE, Message::Open { documents: vec![open] });
            world.say_to_root(EVE, Message::Close { documents: vec![document] });
            world.run();
        }
    }
    world.run_for(1_000);
    assert!(world.root_heard.len() <= 2, "{}", world.root_heard.len());
    others_go_on(&mut world);
}

#[test]
fn a_link_that_goes_takes_nothing_with_it_and_leaves_nothing_behind() {
    let mut world = world();
    world.root.holds_commits = true;
    let push = creation("e", 7, json(r#"{"kept":true}"#));
    world.say_to_root(EVE, Message::Push { pushes: vec![push] });
    world.run();
    let link = LinkId(EVE as u64 + 1);
    world.followers[RELAY].replica.handle_input(world.now, Input::LinkClosed { link, code: None });
    world.let_root_commits_through();
    world.followers[BO].replica.open(&id("e"));
    world.run_for(1_000);
    assert_eq!(world.content(BO, "e"), r#"{"kept":true}"#, "what was passed on stays so");
    others_go_on(&mut world);
}

#[test]
fn who_pushed_last_is_asked_what_it_saw_and_when_it_goes_another() {
    let mut world = world();
    world.followers[BO].holds_messages = true;
    let mut push = push("d", ReplicaId(7), 1, Revision(1), edit(r#"[{"op":"add","path":"/e","value":1}]"#));
    push.changes[0].seen = Some(json("{}").content_hash());
    for at in [EVE, BO] {
        world.say_to_root(at, Message::Push { pushes: vec![push.clone()] });
    }
    world.run();
    // The same client may be on both links: the older one is dead then, and nobody has noticed.
    let asked = |world: &World| world.followers[EVE].messages.iter().any(|told| told.kind() == "need_seen");
    assert!(!asked(&world));
    let link = LinkId(BO as u64 + 1);
    world.followers[RELAY].replica.handle_input(world.now, Input::LinkClosed { link, code: None });
    world.run();
    assert!(asked(&world));
}
