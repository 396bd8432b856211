//! A root, a relay, and clients at both: what a relay passes on, tells and leaves to the authority.
#![allow(clippy::unwrap_used)]

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use crate::support::{World, id, json};
use rejoin_core::{Input, LinkId, MAX_INQUIRIES, MAX_QUEUED_PUSHES};
use rejoin_wire::{
    Author, Body, ChainHash, Change, Counter, DocumentPush, ErrorCode, Fate, Have, Header, Message,
    OpenDocument, PendingRun, PresenceChange, PushedChange, RelayedMember, ReplicaId, Revision, UnixMillis,
};

fn creation(replica: u128, author: Option<Author>) -> Message {
    let body = Body::Create { header: Header::default(), content: json("{}") };
    let (replica, counter) = (ReplicaId(replica), Counter(1));
    let change = Change { replica, counter, base: Revision(0), over: counter, time: UnixMillis(0), body };
    let changes = vec![PushedChange { change, seen: None }];
    Message::Push { pushes: vec![DocumentPush { document: id("d"), changes, author }] }
}

fn eve(may_edit: bool) -> Option<Author> {
    Some(Author { principal: "eve".into(), may_edit })
}

/// A world whose first follower may speak for others.
fn with_speaker() -> World {
    let mut world = World::new(2);
    world.cut(0);
    world.grants[0].may_relay = true;
    world.run_for(60_000);
    world
}

#[test]
fn only_a_link_that_may_speak_for_others_pushes_in_their_names() {
    let mut world = with_speaker();
    world.open("d");
    world.say_to_root(1, creation(7, eve(true)));
    world.run();
    let errors = world.errors(1);
    assert_eq!(errors.len(), 1);
    assert_eq!(errors[0].code, ErrorCode::UnexpectedMessage);
    assert_eq!(errors[0].change.unwrap().replica, ReplicaId(7), "it says which push it means");

    world.say_to_root(0, creation(7, eve(true)));
    world.run();
    let view = world.followers[1].replica.view(&id("d")).unwrap();
    assert_eq!((view.revision, &*view.author), (Revision(1), "eve"));
}

#[test]
fn an_author_who_may_only_read_is_refused_and_so_is_everybody_behind_a_link_that_may_only_read() {
    for (link, author) in [(true, false), (false, true)] {
        let mut world = with_speaker();
        world.allow(0, link);
        world.say_to_root(0, creation(7, eve(author)));
        world.run();
        let codes: Vec<ErrorCode> = world.errors(0).iter().map(|error| error.code).collect();
        assert_eq!(codes, [ErrorCode::Forbidden]);
        assert!(
            world.followers[0].messages.iter().all(|message| !matches!(message, Message::Outcomes { .. }))
        );
        assert!(world.root.replica.view(&id("d")).is_none_or(|view| view.revision == Revision(0)));
    }
}

#[test]
fn a_relayed_member_is_shown_under_its_own_number_and_goes_with_the_link() {
    let mut world = with_speaker();
    world.open("d");
    let member = |number| Some(RelayedMember { number, principal: "eve".into() });
    let show = |number| Message::Presence {
        document: id("d"),
        change: PresenceChange::Set(json("5")),
        member: member(number),
    };
    for number in [0, 65_536] {
        world.say_to_root(0, show(number));
    }
    world.say_to_root(1, show(1));
    world.run_for(1_000);
    assert_eq!(world.errors(0).len(), 2);
    assert_eq!(world.errors(1).len(), 1);
    world.say_to_root(0, show(1));
    world.say_to_root(0, show(65_535));
    world.run_for(1_000);
    let present = |world: &World, at: usize| world.followers[at].replica.present(&id("d")).len();
    assert_eq!(present(&world, 1), 2);
    world.followers[0].network = false;
    world.cut(0);
    world.run_for(1_000);
    assert_eq!(present(&world, 1), 0, "all of them");
}

#[test]
fn an_inquiry_finds_what_the_authority_knows() {
    let mut world = with_speaker();
    world.open("d");
    world.create(1, "d", r#"{"n":1}"#);
    world.edit(1, "d", r#"[{"op":"replace","path":"/n","value":2}]"#);
    let replica = world.followers[1].replica.id();
    let inquiry = |request, have| {
        let pending = vec![PendingRun { replica, first: Counter(2), last: Counter(3) }];
        Message::Inquiry { request, about: Some(OpenDocument { document: id("d"), have, pending }) }
    };
    let unknown = Have { revision: Revision(2), chain: ChainHash([1; 32]) };
    world.say_to_root(0, Message::Inquiry { request: 1, about: None });
    world.say_to_root(0, inquiry(2, Have::default()));
    world.say_to_root(0, inquiry(3, unknown));
    world.run();
    let findings: Vec<_> = world.followers[0]
        .messages
        .iter()
        .filter_map(|message| match message {
            Message::Finding(finding) => Some(finding),
            _ => None,
        })
        .collect();
    let [head, held, parted] = findings[..] else { panic!("{findings:?}") };
    assert_eq!((head.request, head.head.0, head.continues), (1, 2, true));
    assert_eq!((held.request, held.continues, held.ancestors.len()), (2, true, 0));
    assert_eq!(held.outcomes.len(), 1, "the third change has no outcome");
    assert_eq!(held.outcomes[0].fate, Fate::Accepted { revision: Revision(2) });
    assert_eq!((parted.continues, parted.ancestors.len()), (false, 3));
}

#[test]
fn inquiries_that_wait_are_bounded() {
    let mut world = with_speaker();
    let link = LinkId(1);
    for request in 0..=MAX_INQUIRIES as u64 {
        let message = Message::Inquiry { request, about: None };
        world.root.replica.handle_input(world.now, Input::Received { link, message });
    }
    world.run();
    let refused = world.errors(0);
    assert_eq!(refused.len(), 1);
    assert_eq!((refused[0].code, refused[0].request), (ErrorCode::RateLimited, Some(MAX_INQUIRIES as u64)));
}

#[test]
fn as_many_pushes_as_may_wait_for_their_authors_do_and_one_more_is_refused_for_now() {
    let mut world = with_speaker();
    world.open("d");
    world.say_to_root(0, creation(7, eve(true)));
    world.run();
    world.followers[0].holds_messages = true;
    // Nobody but their authors knows what these were made on.
    let unknown = Some(json("null").content_hash());
    let push = |number: usize| {
        let (replica, counter) = (ReplicaId(100 + number as u128), Counter(1));
        let change = Change {
            replica,
            counter,
            base: Revision(1),
            over: counter,
            time: UnixMillis(0),
            body: Body::Delete,
        };
        let changes = vec![PushedChange { change, seen: unknown }];
        Message::Push { pushes: vec![DocumentPush { document: id("d"), changes, author: eve(true) }] }
    };
    for number in 0..=MAX_QUEUED_PUSHES {
        world.say_to_root(0, push(number));
        world.run();
    }
    world.let_messages_through(0);
    let errors = world.errors(0);
    assert_eq!(errors.len(), 1, "{errors:?}");
    assert_eq!(errors[0].code, ErrorCode::RateLimited);
    assert_eq!(errors[0].change.unwrap().replica, ReplicaId(100 + MAX_QUEUED_PUSHES as u128));
}
