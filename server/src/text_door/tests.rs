//! How much one connection may have waiting.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use rejoin_core::{Config, Role};
use rejoin_store::Store;
use rejoin_wire::{
    ChainHash, ChangeHash, ChangeId, Counter, ErrorMessage, ReplicaId, Sequence, Snapshot, UnixMillis,
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
    assert!(door.writing && door.waiting.is_empty());
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
async fn news_wait_for_the_answer_of_a_write_up_to_a_number_and_are_told_at_once_beyond() {
    let mut door = busy();
    for _ in 0..MAX_HELD_NEWS {
        door.take_message(news(), 1);
    }
    assert_eq!((door.held.len(), door.take_responses().len()), (MAX_HELD_NEWS, 0));
    door.take_message(news(), 1);
    assert_eq!((door.held.len(), door.take_responses().len()), (MAX_HELD_NEWS, 1));
}

#[tokio::test]
async fn news_wait_for_the_answer_of_a_write_up_to_a_size_and_are_told_at_once_beyond() {
    let mut door = busy();
    for bytes in [MAX_HELD_BYTES - 1, 1] {
        door.take_message(news(), bytes);
    }
    assert_eq!((door.held.len(), door.take_responses().len()), (2, 0));
    door.take_message(news(), 1);
    assert_eq!((door.held.len(), door.take_responses().len()), (2, 1));
    assert_eq!(door.held.take().len(), 2);
    door.take_message(news(), 1);
    assert_eq!((door.held.len(), door.take_responses().len()), (1, 0), "there is room again");
}

/// An update of two revisions for which the document is looked at.
fn looked_at() -> Message {
    let entry = |counter| Entry {
        sequence: Sequence(counter),
        change: ChangeId { replica: ReplicaId(1), counter: Counter(counter) },
        hash: ChangeHash::default(),
        author: "ada".into(),
        time: UnixMillis(0),
        effect: Effect::Undeleted,
        conflicts: Vec::new(),
        settled: Vec::new(),
    };
    let (document, previous) = ("d".parse().unwrap(), ChainHash::default());
    let entries = vec![entry(3), entry(4)];
    Message::Update(Update { document, first: Revision(3), previous, entries, position: None })
}

#[tokio::test]
async fn news_for_which_a_document_is_looked_at_wait_up_to_a_size_until_the_last_is_told() {
    let mut door = busy();
    door.tell(looked_at(), MAX_WAITING_BYTES - 1);
    assert!(door.takes_news() && door.takes_requests());
    door.tell(looked_at(), 1);
    assert_eq!(
        (door.takes_news(), door.takes_requests(), door.waiting_bytes),
        (false, false, MAX_WAITING_BYTES)
    );
    let bytes: Vec<usize> = door.waiting.iter().map(|(_, bytes)| *bytes).collect();
    assert_eq!(bytes, [0, 1, 0, MAX_WAITING_BYTES - 1]);
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
    }))
}

#[tokio::test]
async fn a_document_that_is_told_whole_is_looked_at_unless_the_client_knows_it_or_does_not_want_it() {
    let mut door = busy();
    door.known.raise(&"known".parse().unwrap(), Revision(5));
    door.own.raise(&"own".parse().unwrap(), Revision(5));
    for (document, revision, is_told) in
        [("known", 5, false), ("own", 5, false), ("absent", 0, false), ("known", 6, true), ("new", 1, true)]
    {
        let waiting = door.waiting.len();
        door.tell(whole(document, revision), 1);
        assert_eq!(door.waiting.len() > waiting, is_told, "{document} at {revision}");
    }
    assert_eq!(door.waiting_bytes, 2);
    door.news = false;
    door.tell(whole("unwanted", 1), 1);
    door.documents.insert("wanted".parse().unwrap());
    door.tell(whole("wanted", 1), 1);
    assert_eq!(door.waiting.len(), 3);
}
