//! How much one connection may have waiting.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use rejoin_core::{Config, Role};
use rejoin_store::Store;
use rejoin_wire::ErrorMessage;

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

#[tokio::test]
async fn news_wait_for_the_answer_of_a_write_up_to_a_number_and_are_told_at_once_beyond() {
    let mut door = busy();
    let news = || {
        let (code, message) = (ErrorCode::Unavailable, "later".into());
        Message::Error(ErrorMessage { code, message, document: None, request: None, change: None })
    };
    for _ in 0..MAX_HELD_NEWS {
        door.take_message(news());
    }
    assert_eq!((door.held.len(), door.take_responses().len()), (MAX_HELD_NEWS, 0));
    door.take_message(news());
    assert_eq!((door.held.len(), door.take_responses().len()), (MAX_HELD_NEWS, 1));
}
