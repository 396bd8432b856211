#![allow(clippy::unwrap_used)]

use std::sync::Arc;
use std::time::Duration;

use rejoin_core::{Config, Grant, Role, State, chain_after};
use rejoin_crdt::Document;
use rejoin_json::{Json, Limits, Patch};
use rejoin_rooms::limits::{MAX_MEMBERS, MAX_QUEUED_BYTES, MAX_QUEUED_MESSAGES};
use rejoin_rooms::{ClientId, CrdtOperation, ServerMessage};
use rejoin_store::{SharedMemoryStore, Store};
use rejoin_wire::{
    ChangeId, Counter, CrdtUpdate, DocumentId, Effect, Entry, Have, Header, Member, MemberId, Message,
    PresenceChange, ReplicaId, Revision, Sequence, Snapshot, UnixMillis, Update, Updates,
};

use super::content::{Content, Kind, News};
use super::feed::{Feed, Next, Rooms, Since};
use super::people::{People, unwrapped, wrapped};
use super::writing::{create, write};
use crate::hub::Hub;

fn json(text: &str) -> Json {
    Json::parse(text, &Limits::default()).unwrap()
}

fn id() -> DocumentId {
    DocumentId::new("room").unwrap()
}

fn snapshot(revision: u64, content: Json, updates: Option<Updates>) -> Message {
    let absent = State::absent();
    Message::Snapshot(Box::new(Snapshot {
        document: id(),
        revision: Revision(revision),
        chain: Have::default().chain,
        sequence: Sequence(revision),
        version: revision,
        header: Header::clone(&absent.header),
        deleted: false,
        content,
        conflicts: Vec::new(),
        created_at: UnixMillis(0),
        updated_at: UnixMillis(0),
        author: "ada".into(),
        ancestors: Vec::new(),
        continues: false,
        covers: Vec::new(),
        outcomes: Vec::new(),
        updates,
    }))
}

fn entry(effect: Effect) -> Entry {
    Entry {
        change: ChangeId { replica: ReplicaId(1), counter: Counter(1) },
        author: "ada".into(),
        time: UnixMillis(0),
        sequence: Sequence(1),
        effect,
        conflicts: Vec::new(),
        settled: Vec::new(),
        hash: rejoin_wire::ChangeHash([0; 32]),
    }
}

/// An update with these entries behind what is known.
fn update(content: &Content, entries: Vec<Entry>) -> Message {
    let Have { revision, chain } = content.have();
    Message::Update(Update {
        document: id(),
        first: revision.next(),
        previous: chain,
        entries,
        position: None,
    })
}

fn patch(document: &mut Document, patch: &str) -> Effect {
    let patch = Patch::parse(patch, &Limits::default()).unwrap();
    let update = document.patch(&patch, &Limits::default()).unwrap().unwrap();
    Effect::Merged { update: CrdtUpdate(update.bytes().clone()) }
}

fn batches(news: Vec<News>) -> Vec<(u64, String)> {
    let batch = |news| match news {
        News::Batch(revision, operations) => (revision.0, operations.to_string()),
        other => panic!("{other:?}"),
    };
    news.into_iter().map(batch).collect()
}

#[test]
fn each_revision_of_a_crdt_document_is_told_as_what_it_changed() {
    let (mut content, mut document) = (Content::new(), Document::new("", 7));
    assert_eq!(content.take(&snapshot(0, Json::Null, None)), [News::Whole]);
    assert_eq!((content.kind(), content.view().to_string()), (Kind::Absent, "{}".to_owned()));
    let effects = [
        patch(&mut document, r#"[{"op":"add","path":"/list","value":[1]}]"#),
        Effect::Void,
        patch(&mut document, r#"[{"op":"add","path":"/list/-","value":2}]"#),
    ];
    let news = content.take(&update(&content, effects.map(entry).into()));
    let expected = [
        (1, r#"[{"op":"add","path":"/list","value":[1]}]"#),
        (2, "[]"),
        (3, r#"[{"op":"add","path":"/list/1","value":2}]"#),
    ];
    assert_eq!(batches(news), expected.map(|(revision, operations)| (revision, operations.to_owned())));
    assert_eq!((content.kind(), content.view().to_string()), (Kind::Crdt, r#"{"list":[1,2]}"#.to_owned()));
}

#[test]
fn a_splice_is_told_as_rfc_6902() {
    let mut content = Content::new();
    let text = "x".repeat(4_000);
    content.take(&snapshot(1, json(&format!(r#"{{"text":"{text}"}}"#)), None));
    let splice = r#"[{"op":"splice","path":"/text","at":0,"remove":1,"insert":"y"}]"#;
    let Ok(patch) = Patch::parse(splice, &Limits::default()) else { panic!("{splice}") };
    let news = batches(content.take(&update(&content, vec![entry(Effect::Patched { patch })])));
    assert!(news[0].1.starts_with(r#"[{"op":"replace","path":"/text","value":"yxxx"#), "{news:?}");
}

#[test]
fn what_does_not_follow_is_asked_for_whole_and_nothing_is_taken_before_it_comes() {
    let (mut content, mut document) = (Content::new(), Document::new("", 7));
    content.take(&snapshot(0, Json::Null, None));
    let first = entry(patch(&mut document, r#"[{"op":"add","path":"/a","value":1}]"#));
    let mut later = update(&content, vec![first.clone()]);
    if let Message::Update(update) = &mut later {
        update.previous = chain_after(update.previous, &first);
    }
    assert_eq!(content.take(&later), [News::Lost]);
    assert_eq!(content.take(&update(&content, vec![first])), []);
    let state = document.since(&rejoin_crdt::StateVector::default()).unwrap();
    let updates = Updates(vec![CrdtUpdate(state)]);
    assert_eq!(content.take(&snapshot(5, Json::Null, Some(updates))), [News::Whole]);
    assert_eq!((content.have().revision, content.view().to_string()), (Revision(5), r#"{"a":1}"#.to_owned()));
    // What a tombstone keeps is not told: it is asked for when the document is back.
    let news = content.take(&update(&content, vec![entry(Effect::Deleted)]));
    assert_eq!((news, content.kind()), (vec![News::Deleted(Revision(6))], Kind::Deleted));
    assert_eq!(content.take(&update(&content, vec![entry(Effect::Undeleted)])), [News::Lost]);
}

fn member(number: u64, principal: &str, state: Json) -> Member {
    Member { member: MemberId(number), principal: principal.into(), change: PresenceChange::Set(state) }
}

fn told(people: &mut People, members: &[Member], left: &[MemberId]) -> Vec<String> {
    let messages = people.tell(false, members, left, UnixMillis(9), false);
    messages.iter().map(|message| message.encode(rejoin_rooms::Form::Page).to_string()).collect()
}

#[test]
fn who_comes_again_before_its_old_link_has_ended_neither_comes_nor_goes() {
    let mut people = People::new("r".to_owned(), ClientId(1), Arc::from("ada"));
    people.welcome(MemberId(100));
    let other = ClientId(2);
    let came = told(&mut people, &[member(200, "bob", wrapped(other, json("{}")))], &[]);
    assert_eq!(came.len(), 2, "{came:?}");
    assert!(came[0].starts_with(r#"{"RoomJoined""#) && came[1].contains(&other.to_string()), "{came:?}");
    let again = told(&mut people, &[member(300, "bob", wrapped(other, json("{}")))], &[]);
    assert!(again.iter().all(|message| message.starts_with(r#"{"PresenceUpdated""#)), "{again:?}");
    assert_eq!(told(&mut people, &[], &[MemberId(200)]), [""; 0]);
    let gone = told(&mut people, &[], &[MemberId(300)]);
    assert_eq!(gone, [format!(r#"{{"RoomLeft":{{"client_id":"{other}","room_id":"r"}}}}"#)]);
}

#[test]
fn nobody_speaks_for_somebody_else_and_nobody_hears_of_itself() {
    let mut people = People::new("r".to_owned(), ClientId(1), Arc::from("ada"));
    people.welcome(MemberId(100));
    // Its own link, an old one of its own, and somebody who says to be it.
    let members = [
        member(100, "ada", wrapped(ClientId(1), json("1"))),
        member(200, "ada", wrapped(ClientId(1), json("2"))),
        member(300, "bob", wrapped(ClientId(1), json("3"))),
    ];
    assert_eq!(told(&mut people, &members, &[]), [""; 0]);
    told(&mut people, &[member(400, "bob", wrapped(ClientId(2), json("4")))], &[]);
    assert_eq!(told(&mut people, &[member(500, "eve", wrapped(ClientId(2), json("5")))], &[]), [""; 0]);
}

#[test]
fn members_of_other_doors_have_an_id_and_show_what_they_mean() {
    let mut people = People::new("r".to_owned(), ClientId(1), Arc::from("ada"));
    let yjs = json(r#"{"yjs":{"client":7,"clock":1},"state":{"name":"Bob"}}"#);
    let messages = people.tell(
        true,
        &[member(2, "bob", yjs), member(3, "eve", json(r#"{"state":1}"#))],
        &[],
        UnixMillis(9),
        true,
    );
    let shown: Vec<String> = messages
        .into_iter()
        .map(|message| match message {
            ServerMessage::PresenceUpdated { client_id, timestamp: 9, presence } => {
                format!("{client_id} {presence}")
            }
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(
        shown,
        [
            r#"72656a6f-696e-8000-8000-000000000002 {"name":"Bob"}"#,
            r#"72656a6f-696e-8000-8000-000000000003 {"state":1}"#
        ]
    );
    assert_eq!(unwrapped(&wrapped(ClientId(1), json("5"))), &json("5"));
}

async fn opened(room: &str) -> (Hub, Arc<Rooms>, Arc<Feed>) {
    let store: Arc<dyn Store> = Arc::new(SharedMemoryStore::default());
    let hub = Hub::start(&store, 1, |workspace| Config::new(workspace, Role::Root));
    let rooms = Rooms::new(hub.clone());
    let feed = rooms.open(&room.parse().unwrap()).await.unwrap();
    (hub, rooms, feed)
}

/// Writes a text in the place of all that there is; returns the version.
async fn write_text(feed: &Arc<Feed>, text: &str) -> Revision {
    let patch = format!(r#"[{{"op":"add","path":"/text","value":"{text}"}}]"#);
    let patch = Patch::parse(&patch, &Limits::default()).unwrap();
    let version = write(feed, &Grant::new("ada", true), CrdtOperation::Patch(patch)).await.unwrap().version;
    feed.reach(version).await;
    version
}

#[tokio::test]
async fn a_feed_that_has_ended_is_given_to_nobody() {
    let (hub, rooms, feed) = opened("room").await;
    assert_eq!(feed.kind(), Kind::Absent);
    hub.stop(Duration::from_secs(5)).await;
    feed.ended().await;
    let again = tokio::time::timeout(Duration::from_secs(10), rooms.open(feed.room())).await.unwrap();
    assert!(again.is_err(), "the server is stopping");
    drop(feed);
    assert!(rooms.occupied().is_empty());
}

#[tokio::test]
async fn a_client_is_told_what_is_remembered_and_no_further_back() {
    let (_hub, _rooms, feed) = opened("room").await;
    for number in 1..=MAX_QUEUED_MESSAGES {
        write_text(&feed, &number.to_string()).await;
    }
    let told_from = |version: u64| match feed.next(Revision(version), usize::MAX) {
        Next::Batches(batches) => Some(batches.first().unwrap().version()),
        Next::TooSlow => None,
        _ => panic!("neither batches nor their end"),
    };
    assert_eq!(told_from(0), Some(Revision(1)));
    write_text(&feed, "one more").await;
    assert_eq!((told_from(0), told_from(1)), (None, Some(Revision(2))));
    assert!(matches!(feed.since(Revision(0)), Since::Whole));
    assert!(
        matches!(feed.since(Revision(1)), Since::Batches(batches) if batches.len() == MAX_QUEUED_MESSAGES)
    );
}

#[tokio::test]
async fn a_batch_that_is_too_large_to_be_remembered_is_told_as_the_whole_storage() {
    let (_hub, _rooms, feed) = opened("room").await;
    let before = write_text(&feed, "short").await;
    let after = write_text(&feed, &"x".repeat(MAX_QUEUED_BYTES)).await;
    match feed.next(before, 16) {
        Next::Whole(whole) => assert_eq!(whole.version(), after),
        _ => panic!("everybody would be sent away for one large batch"),
    }
    let last = write_text(&feed, "short").await;
    assert!(matches!(feed.next(after, 16), Next::Batches(batches) if batches[0].version() == last));
}

#[tokio::test]
async fn so_many_clients_are_in_a_room_and_one_more_when_one_has_left() {
    let (_hub, _rooms, feed) = opened("room").await;
    let ada: Arc<str> = "ada".into();
    let enter = |client: usize| feed.enter(ClientId(client as u128), &ada);
    let mut taken: Vec<_> = (0..MAX_MEMBERS).map(|client| enter(client).unwrap()).collect();
    assert!(enter(MAX_MEMBERS).is_err());
    // Who comes back takes its own place.
    let again = enter(0).unwrap();
    taken.remove(0);
    assert!(enter(MAX_MEMBERS).is_err());
    drop(again);
    assert!(enter(MAX_MEMBERS).is_ok());
}

#[tokio::test]
async fn of_two_who_make_a_room_one_has_made_it() {
    let (_hub, _rooms, feed) = opened("room").await;
    let ada = Grant::new("ada", true);
    let (one, other) = tokio::join!(create(&feed, &ada), create(&feed, &ada));
    assert!(one.unwrap().created != other.unwrap().created);
}
