//! How much one connection may have waiting.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use rejoin_core::{Config, Life, Role};
use rejoin_json::Json;
use rejoin_store::Store;
use rejoin_wire::{
    ChainHash, ChangeHash, ChangeId, Counter, ErrorMessage, ReplicaId, Sequence, Snapshot, TextOutcome,
    UnixMillis,
};

use super::held::{MAX_HELD_BYTES, MAX_HELD_NEWS};
use super::*;
use crate::faulty::{Fault, Faulty};

/// A connection whose first write waits for the store, so that everything else waits behind it.
fn busy() -> TextDoor {
    let faulty = Arc::new(Faulty::default());
    faulty.set(Fault::Slow);
    let store: Arc<dyn Store> = faulty;
    let hub = Hub::start(&store, 1, |workspace| Config::new(workspace, Role::Root));
    let workspace = WorkspaceId::new("w").unwrap();
    let mut door = TextDoor::new(hub, workspace, Grant::new("ada", true), Policy::Theirs);
    door.take_request(request(), 1);
    assert!(door.current.is_some() && door.waiting.is_empty());
    door
}

fn request() -> TextMessage<TextRequest> {
    let document_id = "d".parse().unwrap();
    TextRequest::DeleteDocument { document_id, revision: None, content_hash: None }.into()
}

#[tokio::test]
async fn requests_wait_behind_one_another_up_to_a_number() {
    let mut door = busy();
    for _ in 1..MAX_WAITING_REQUESTS {
        door.take_request(request(), 1);
    }
    assert!(door.takes_requests());
    door.take_request(request(), 1);
    assert_eq!((door.takes_requests(), door.waiting.len()), (false, MAX_WAITING_REQUESTS));
}

#[tokio::test]
async fn requests_wait_behind_one_another_up_to_a_size() {
    let mut door = busy();
    door.take_request(request(), MAX_WAITING_BYTES - 1);
    assert!(door.takes_requests());
    door.take_request(request(), 1);
    assert_eq!((door.takes_requests(), door.waiting_bytes), (false, MAX_WAITING_BYTES));
}

fn news() -> Message {
    let (code, message) = (ErrorCode::Unavailable, "later".into());
    Message::Error(ErrorMessage { code, message, document: None, request: None, change: None })
}

#[tokio::test]
async fn news_wait_for_the_answer_of_a_write_up_to_a_number_and_are_told_before_it_beyond() {
    let mut door = busy();
    for _ in 0..MAX_HELD_NEWS {
        door.take_message(news(), 1);
    }
    assert_eq!((door.held.len(), door.take_said().count()), (MAX_HELD_NEWS, 0));
    door.take_message(news(), 1);
    assert_eq!((door.held.len(), door.take_said().count()), (MAX_HELD_NEWS, 1));
}

#[tokio::test]
async fn news_wait_for_the_answer_of_a_write_up_to_a_size_and_are_told_before_it_beyond() {
    let mut door = busy();
    for bytes in [MAX_HELD_BYTES - 1, 1] {
        door.take_message(news(), bytes);
    }
    assert_eq!((door.held.len(), door.take_said().count()), (2, 0));
    door.take_message(news(), 1);
    assert_eq!((door.held.len(), door.take_said().count()), (2, 1));
    while door.held.pop().is_some() {}
    door.take_message(news(), 1);
    assert_eq!((door.held.len(), door.take_said().count()), (1, 0), "there is room again");
}

fn entry(revision: u64, effect: Effect) -> Entry {
    Entry {
        sequence: Sequence(revision),
        change: ChangeId { replica: ReplicaId(1), counter: Counter(revision) },
        hash: ChangeHash::default(),
        author: "ada".into(),
        time: UnixMillis(0),
        effect,
        conflicts: Vec::new(),
        settled: Vec::new(),
    }
}

fn update(first: u64, effects: Vec<Effect>) -> Message {
    let entries = (first..).zip(effects).map(|(revision, effect)| entry(revision, effect)).collect();
    let (document, previous) = ("d".parse().unwrap(), ChainHash::default());
    Message::Update(Update { document, first: Revision(first), previous, entries, position: None })
}

#[tokio::test]
async fn news_for_which_a_document_is_looked_at_wait_up_to_a_size_until_the_last_is_told() {
    let mut door = busy();
    door.tell(update(3, vec![Effect::Undeleted]), MAX_WAITING_BYTES - 1);
    assert!(door.takes_news() && door.takes_requests());
    door.tell(update(4, vec![Effect::Undeleted]), 1);
    assert_eq!(
        (door.takes_news(), door.takes_requests(), door.waiting_bytes),
        (false, false, MAX_WAITING_BYTES)
    );
}

#[tokio::test]
async fn revisions_behind_one_for_which_the_document_is_looked_at_wait_for_that() {
    let mut door = busy();
    let effects = vec![Effect::Deleted, Effect::Undeleted, Effect::Deleted, Effect::Undeleted];
    door.tell(update(3, effects), MAX_HELD_BYTES);
    assert_eq!(kinds(&mut door), ["document_deleted 3"]);
    assert_eq!((door.looks.len(), door.held.len(), door.waiting_bytes), (1, 1, 0));
    assert!(!door.takes_news(), "their bytes are held");
}

#[tokio::test]
async fn queues_give_their_room_back_with_their_last_item() {
    let mut door = busy();
    for _ in 1..MAX_WAITING_REQUESTS {
        door.take_request(request(), 1);
    }
    door.tell(update(3, vec![Effect::Undeleted]), 1);
    (0..MAX_HELD_NEWS).for_each(|_| door.take_message(news(), 1));
    let rooms = |door: &TextDoor| [door.waiting.capacity(), door.looks.capacity(), door.held.capacity()];
    assert!(rooms(&door).iter().all(|room| *room > 0));
    while door.current.take().is_some() {
        door.start_next();
    }
    assert_eq!((rooms(&door), door.waiting_bytes), ([0; 3], 0));
    assert_eq!((door.take_said().count(), door.said.capacity()), (MAX_HELD_NEWS, 0));
    let mut held = held::Held::default();
    held.push(update(3, vec![Effect::Undeleted]), 1);
    assert!(held.take_before(&"d".parse().unwrap(), Revision(4)).is_some());
    assert_eq!(held.capacity(), 0);
}

#[tokio::test]
async fn documents_that_cannot_be_opened_are_subscribed_to_up_to_a_number() {
    let mut door = idle();
    let document = |number: usize| DocumentId::new(&format!("d{number}")).unwrap();
    let subscribe = |door: &mut TextDoor, number: usize| {
        door.take_request(TextRequest::Subscribe { document_id: Some(document(number)) }.into(), 1);
        let is_begun = door.current.take().is_some();
        door.waiting.clear();
        door.take_done(Done { unopened: is_begun.then(|| document(number)), ..Done::default() });
        is_begun
    };
    assert!((0..MAX_DOCUMENTS).all(|number| subscribe(&mut door, number)));
    assert_eq!((door.opened.len(), door.documents.len()), (0, MAX_DOCUMENTS));
    assert!(!subscribe(&mut door, MAX_DOCUMENTS), "one more is refused");
    assert!(subscribe(&mut door, 0), "one of them can be tried again");
    assert_eq!(door.documents.len(), MAX_DOCUMENTS);
}

/// What is told, with the revision that it is about.
fn kinds(door: &mut TextDoor) -> Vec<String> {
    door.take_said()
        .map(|payload| {
            let told: serde_json::Value = serde_json::from_slice(payload.frames()[0].payload()).unwrap();
            let revision = ["sync_revision", "revision"].map(|key| told[key].as_u64()).into_iter().flatten();
            let of = |part: &str| told[part]["revision"].as_u64();
            let whole = of("document").or(of("patch"));
            let revision = revision.chain(whole).map(|revision| format!(" {revision}")).collect::<String>();
            format!("{}{revision}", told["type"].as_str().unwrap())
        })
        .collect()
}

/// A connection whose first write was just accepted as a revision, when the client held another.
fn accepted(revision: u64, held: u64, seen: Option<u64>) -> TextDoor {
    let mut door = busy();
    let document: DocumentId = "d".parse().unwrap();
    if held > 0 {
        door.known.raise(&document, Revision(held));
    }
    door.current = None;
    let view = View {
        crdt: None,
        document: document.clone(),
        life: Life::Alive,
        content: Json::Null,
        header: Arc::default(),
        revision: Revision(revision),
        sequence: Sequence(revision),
        version: 1,
        chain: ChainHash::default(),
        conflicts: Arc::default(),
        clock: Arc::default(),
        created_at: UnixMillis(0),
        updated_at: UnixMillis(0),
        author: "ada".into(),
        unreadable: None,
    };
    let own = Own { revision: Revision(revision), seen: seen.map(Revision), merged: false, view };
    let outcome = TextOutcome::accepted(document, Revision(revision));
    let responses = vec![TextResponse::DocumentUpdatedResponse(outcome).into()];
    door.finished = Some(Box::new(Done { responses, accepted: Some(Box::new(own)), ..Done::default() }));
    door
}

#[tokio::test]
async fn what_others_did_before_an_own_revision_is_told_before_its_answer_and_the_rest_behind_it() {
    let mut door = accepted(9, 6, None);
    door.take_message(update(7, vec![Effect::Deleted; 2]), 1);
    door.take_message(news(), 1);
    door.take_message(update(9, vec![Effect::Deleted; 2]), 1);
    assert_eq!(kinds(&mut door), [""; 0], "all of it waits");
    door.finish();
    let told = [
        "document_deleted 7",
        "document_deleted 8",
        "document_updated_response 9",
        "error",
        "document_deleted 10",
    ];
    assert_eq!(kinds(&mut door), told);
    let mut door = accepted(9, 7, None);
    door.take_message(update(8, vec![Effect::Deleted; 3]), 1);
    door.finish();
    assert_eq!(
        kinds(&mut door),
        ["document_deleted 8", "document_updated_response 9", "document_deleted 10"],
        "in one message"
    );
}

#[tokio::test]
async fn news_that_do_not_lead_on_from_what_was_told_are_told_by_the_whole_document() {
    let mut door = busy();
    door.known.raise(&"d".parse().unwrap(), Revision(4));
    door.tell(update(5, vec![Effect::Deleted]), 1);
    assert_eq!((kinds(&mut door), door.looks.len()), (vec!["document_deleted 5".to_owned()], 0));
    door.tell(update(7, vec![Effect::Deleted; 2]), 1);
    assert_eq!((kinds(&mut door).len(), door.looks.len()), (0, 1));
    let look = &door.looks[0].0;
    assert!(matches!(look.news, Looked::Anew) && look.revision == Revision(8));
}

/// The document was told whole at a revision.
fn whole_at(revision: u64) -> Option<Box<Done>> {
    Some(Box::new(Done { whole: vec![("d".parse().unwrap(), Revision(revision))], ..Done::default() }))
}

#[tokio::test]
async fn an_answer_waits_for_a_look_at_the_revision_before() {
    let mut door = accepted(9, 7, None);
    door.take_message(update(8, vec![Effect::Undeleted; 3]), 1);
    door.finish();
    assert_eq!(kinds(&mut door), [""; 0]);
    assert!(door.looking && door.answering.is_some());
    door.current = None;
    door.finished = whole_at(8);
    door.finish();
    assert_eq!(kinds(&mut door), ["document_updated_response 9"]);
    assert!(door.looking, "at revision 10, and not again at 9");
    assert_eq!(door.known.get(&"d".parse().unwrap()), Some(Revision(10)));
}

#[tokio::test]
async fn an_answer_that_lies_further_on_than_what_was_told_is_followed_by_the_whole_document() {
    let cases = [(9, 8, None, false), (9, 7, None, true), (9, 0, None, false), (9, 7, Some(8), false)];
    for (revision, held, seen, is_whole) in
        cases.into_iter().chain([(9, 0, Some(0), true), (9, 0, Some(7), true)])
    {
        let mut door = accepted(revision, held, seen);
        door.finish();
        let mut expected = vec!["document_updated_response 9"];
        expected.extend(is_whole.then_some("sync_document 9"));
        assert_eq!(kinds(&mut door), expected, "held {held}, seen {seen:?}");
        door.take_message(update(8, vec![Effect::Deleted; 3]), 1);
        assert_eq!(kinds(&mut door), ["document_deleted 10"], "what it holds is not told again");
    }
}

#[tokio::test]
async fn a_document_that_was_told_whole_is_not_looked_at_for_earlier_revisions() {
    let mut door = busy();
    for revision in [3, 4, 5] {
        door.tell(update(revision, vec![Effect::Undeleted]), 1);
    }
    door.current = None;
    door.finished = whole_at(4);
    door.finish();
    assert!(door.looking && door.looks.is_empty() && door.waiting_bytes == 0, "only the last is looked at");
}

/// A document that came to a revision by more than is told one by one.
fn whole(document: &str, revision: u64) -> Message {
    Message::Snapshot(Box::new(Snapshot {
        document: document.parse().unwrap(),
        revision: Revision(revision),
        chain: ChainHash::default(),
        sequence: Sequence(revision),
        version: revision,
        header: Header::default(),
        deleted: false,
        content: rejoin_json::Json::Null,
        conflicts: Vec::new(),
        created_at: UnixMillis(0),
        updated_at: UnixMillis(0),
        author: "ada".into(),
        ancestors: Vec::new(),
        continues: true,
        covers: Vec::new(),
        outcomes: Vec::new(),
        updates: None,
    }))
}

#[tokio::test]
async fn a_document_that_is_told_whole_is_looked_at_unless_the_client_knows_it_or_does_not_want_it() {
    let mut door = busy();
    door.known.raise(&"known".parse().unwrap(), Revision(5));
    for (document, revision, is_told) in
        [("known", 5, false), ("absent", 0, false), ("known", 6, true), ("new", 1, true)]
    {
        let waiting = door.looks.len();
        door.tell(whole(document, revision), 1);
        assert_eq!(door.looks.len() > waiting, is_told, "{document} at {revision}");
    }
    assert_eq!(door.waiting_bytes, 2);
    door.news = false;
    door.tell(whole("unwanted", 1), 1);
    door.documents.insert("wanted".parse().unwrap());
    door.tell(whole("wanted", 1), 1);
    assert_eq!(door.looks.len(), 3);
}

#[test]
fn news_of_later_revisions_do_not_hold_up_those_before_that_were_told_again_behind_them() {
    let later = update(5, vec![Effect::Undeleted]);
    let Message::Update(of) = &later else { panic!("an update") };
    let document = of.document.clone();
    let mut held = held::Held::default();
    held.push(later.clone(), 1);
    held.push(update(3, vec![Effect::Undeleted]), 1);
    let told = held.take_before(&document, Revision(5));
    assert_eq!(told, Some((update(3, vec![Effect::Undeleted]), 1)));
    assert_eq!(held.take_before(&document, Revision(5)), None);
    assert_eq!(held.pop(), Some((later, 1)));
}

fn patched() -> Effect {
    let path = rejoin_json::PointerBuf::parse("/a").unwrap();
    let patch = rejoin_json::Patch(vec![rejoin_json::Operation::Replace { path, value: 1.into() }]);
    Effect::Patched { patch }
}

/// A connection on which nothing waits.
fn idle() -> TextDoor {
    let mut door = busy();
    door.current = None;
    door
}

fn told(message: &Message) -> Told {
    Told::new(Payload::encode(message, rejoin_wire::Encoding::Binary))
}

#[tokio::test]
async fn news_in_words_that_others_hear_too_are_those_that_one_would_be_told_alone() {
    for (known, effects, expected) in [
        (0, 2, vec!["document_updated 4", "document_updated 5"]),
        (3, 2, vec!["document_updated 4", "document_updated 5"]),
        (4, 2, vec!["document_updated 5"]),
        (5, 2, vec![]),
        (9, 2, vec![]),
        (3, 0, vec![]),
    ] {
        let message = update(4, vec![patched(); effects]);
        let (mut shared, mut alone) = (idle(), idle());
        for door in [&mut shared, &mut alone] {
            if known > 0 {
                door.known.raise(&"d".parse().unwrap(), Revision(known));
            }
        }
        assert!(shared.tell_ready(&told(&message)), "nothing is in the way");
        alone.take_message(message, 1);
        let known_then = |door: &TextDoor| door.known.get(&"d".parse().unwrap());
        assert_eq!(known_then(&shared), known_then(&alone));
        let texts = |door: &mut TextDoor| door.take_said().collect::<Vec<_>>();
        let mut again = idle();
        again.said = shared.take_said().map(Said::Ready).collect();
        let words = texts(&mut alone);
        assert_eq!(again.take_said().collect::<Vec<_>>(), words);
        again.said = words.into_iter().map(Said::Ready).collect();
        assert_eq!(kinds(&mut again), expected, "known {known}");
    }
}

#[tokio::test]
async fn news_are_not_told_in_ready_words_where_something_is_before_them_or_missing() {
    let plain = || told(&update(4, vec![patched()]));
    assert!(!busy().tell_ready(&plain()), "a write is under way");
    let mut door = idle();
    door.held.push(news(), 1);
    assert!(!door.tell_ready(&plain()), "other news wait");
    let mut door = idle();
    door.known.raise(&"d".parse().unwrap(), Revision(2));
    assert!(!door.tell_ready(&plain()), "revision 3 is missing");
    for effects in [vec![Effect::Undeleted], vec![patched(), Effect::Deleted]] {
        assert!(!idle().tell_ready(&told(&update(4, effects))), "something is looked up or is no edit");
    }
    let mut door = idle();
    door.news = false;
    assert!(door.tell_ready(&plain()) && door.take_said().next().is_none(), "nobody wants them");
}

#[tokio::test]
async fn whoever_begins_by_unsubscribing_from_everything_does_not_follow_until_it_subscribes() {
    let hub = || {
        let store: Arc<dyn Store> = Arc::new(Faulty::default());
        Hub::start(&store, 1, |workspace| Config::new(workspace, Role::Root))
    };
    let door =
        || TextDoor::new(hub(), WorkspaceId::new("w").unwrap(), Grant::new("ada", true), Policy::Theirs);
    let welcome = |door: &mut TextDoor| door.cursor = Some(Cursor::default());
    let follows = |door: &mut TextDoor| {
        door.take_messages().iter().filter(|message| matches!(message, Message::Follow { .. })).count()
    };
    let unsubscribe = || TextMessage::from(TextRequest::Unsubscribe { document_id: None });
    let subscribe = || TextMessage::from(TextRequest::Subscribe { document_id: None });
    let mut quiet = door();
    welcome(&mut quiet);
    quiet.take_request(unsubscribe(), 1);
    assert_eq!((follows(&mut quiet), quiet.news), (0, false));
    quiet.take_request(subscribe(), 1);
    assert_eq!((follows(&mut quiet), quiet.news), (1, true));
    let mut usual = door();
    usual.take_request(request(), 1);
    assert_eq!(follows(&mut usual), 0, "it is not welcomed yet");
    welcome(&mut usual);
    usual.follow();
    usual.take_request(unsubscribe(), 1);
    usual.take_request(subscribe(), 1);
    assert_eq!(follows(&mut usual), 1, "once");
}
