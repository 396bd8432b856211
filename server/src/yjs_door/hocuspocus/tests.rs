#![allow(clippy::unwrap_used)]

use std::time::Duration;

use rejoin_core::{Config, Role};
use rejoin_json::{Json, Limits};
use rejoin_store::{SharedMemoryStore, Store};
use rejoin_wire::{Body, Header};

use super::*;
use crate::frames;

/// Longer than anything here takes.
const DEADLINE: Duration = Duration::from_secs(20);

const NOW: UnixMillis = UnixMillis(1_000);

/// An update that client 1 makes in a text named `t`: it inserts `hi`.
const HI: &[u8] = &[1, 1, 1, 0, 4, 1, 1, b't', 2, b'h', b'i', 0];

const START: Instant = Instant(0);

/// A door over a store of its own, and what its client was sent.
struct Test {
    hub: Hub,
    door: HocuspocusDoor,
    heard: Vec<Vec<u8>>,
}

fn workspace() -> WorkspaceId {
    WorkspaceId::new("default").unwrap()
}

/// Whoever says `tok` may edit, and whoever says `read` may read.
fn admit(token: &str, _: DocumentId) -> Result<Grant, Ending> {
    match token {
        "tok" => Ok(Grant::new("ada", true)),
        "read" => Ok(Grant::new("ben", false)),
        "fast" => Err((CloseCode::RateLimited, "too fast".into())),
        _ => Err((CloseCode::Unauthorized, "no".into())),
    }
}

impl Test {
    fn new() -> Self {
        let store: Arc<dyn Store> = Arc::new(SharedMemoryStore::default());
        Self::on(&Hub::start(&store, 1, |workspace| Config::new(workspace, Role::Root)))
    }

    fn on(hub: &Hub) -> Self {
        let door = HocuspocusDoor::new(hub.clone(), workspace(), START);
        Self { hub: hub.clone(), door, heard: Vec::new() }
    }

    /// Another connection to the same server.
    fn other(&self) -> Self {
        Self::on(&self.hub)
    }

    fn send(&mut self, bytes: &[u8]) {
        self.door.take_frame(&Bytes::copy_from_slice(bytes), NOW, admit);
    }

    /// A frame about a document.
    fn say(&mut self, address: &str, message: &[u8]) {
        self.send(&about(address, message));
    }

    fn token(&mut self, address: &str, token: &str) {
        let mut message = vec![2, 0, u8::try_from(token.len()).unwrap()];
        message.extend_from_slice(token.as_bytes());
        self.say(address, &message);
    }

    /// What the client was sent at once.
    fn said(&mut self) -> Vec<Vec<u8>> {
        let said = self.door.take_said();
        frames::read(&said)
    }

    /// Goes on until the client was sent this.
    async fn hears(&mut self, frame: &[u8]) {
        self.hears_one_of(&[frame.to_vec()]).await;
    }

    async fn hears_one_of(&mut self, frames: &[Vec<u8>]) {
        let hears = async {
            loop {
                let said = self.said();
                self.heard.extend(said);
                if let Some(at) = self.heard.iter().position(|heard| frames.contains(heard)) {
                    self.heard.remove(at);
                    return;
                }
                self.door.settle(true).await;
                self.door.progress().await;
                self.door.finish();
            }
        };
        let heard = tokio::time::timeout(DEADLINE, hears).await;
        assert!(heard.is_ok(), "{frames:?} did not come; {:?} did", self.heard);
    }

    /// Goes on until the connection ends.
    async fn ends(&mut self) -> Ending {
        let ends = async {
            loop {
                if let Some(ending) = self.door.take_ending() {
                    return ending;
                }
                self.door.settle(true).await;
                self.door.progress().await;
                self.door.finish();
            }
        };
        tokio::time::timeout(DEADLINE, ends).await.unwrap()
    }

    async fn comes_in(&mut self, address: &str) {
        self.token(address, "tok");
        self.say(address, &[0, 0, 1, 0]);
        self.hears(&about(address, b"\x02\x02\x0aread-write")).await;
    }

    async fn creates_json(&self, name: &str) {
        let content = Json::parse("{}", &Limits::default()).unwrap();
        let body = Body::Create { header: Header::default(), content };
        let document = DocumentId::new(name).unwrap();
        let workspace = workspace();
        let created = self.hub.command(&workspace, move |replica, token| {
            replica.submit(token, Grant::new("ada", true), &document, body, rejoin_core::Base::Current, None);
        });
        created.await.unwrap();
    }
}

fn about(address: &str, message: &[u8]) -> Vec<u8> {
    let mut frame = vec![u8::try_from(address.len()).unwrap()];
    frame.extend_from_slice(address.as_bytes());
    frame.extend_from_slice(message);
    frame
}

fn insert() -> Vec<u8> {
    [&[0, 2, 12], HI].concat()
}

#[tokio::test]
async fn the_frames_are_those_of_the_provider() {
    let mut test = Test::new();
    test.say("d1", b"\x02\x00\x03tok\x054.8.0");
    test.say("d1", &[0, 0, 3, 1, 1, 2]);
    test.say("d1", &[1, 6, 1, 1, 0, 2, b'{', b'}']);
    assert_eq!(test.said()[0], about("d1", b"\x02\x02\x0aread-write"));
    test.hears(&about("d1", &[0, 0, 1, 0])).await;
    test.hears(&about("d1", &[0, 1, 2, 0, 0])).await;
    test.say("d1", &[&[0, 1, 12], HI].concat());
    assert!(test.said().is_empty(), "nothing is durable yet");
    test.hears(&about("d1", &insert())).await;
    test.hears(&about("d1", &[8, 1])).await;
    test.say("d1", &[7]);
    test.hears(&about("d1", b"\x07\x12provider_initiated")).await;
    assert!(!test.heard.iter().any(|frame| frame.ends_with(&[8, 1])), "one for each");
    test.send(&[9]);
    assert_eq!(test.said(), [[10]]);
    test.send(&[10]);
    assert!(test.said().is_empty() && test.door.take_ending().is_none());
}

#[tokio::test]
async fn each_update_has_one_answer_and_one_that_says_nothing_has_it_at_once() {
    let mut test = Test::new();
    test.comes_in("d1").await;
    test.say("d1", &[0, 1, 2, 0, 0]);
    assert!(test.said().contains(&about("d1", &[8, 1])));
    for _ in 0..3 {
        test.say("d1", &insert());
        test.hears(&about("d1", &[8, 1])).await;
    }
}

#[tokio::test]
async fn what_comes_before_the_token_waits_for_it() {
    let mut test = Test::new();
    test.say("d1", &insert());
    assert!(test.said().is_empty());
    test.token("d1", "tok");
    test.hears(&about("d1", &[8, 1])).await;
    let mut other = test.other();
    other.comes_in("d1").await;
    other.hears(&about("d1", &[&[0, 1, 12], HI].concat())).await;
}

#[tokio::test]
async fn so_much_waits_for_tokens_and_no_more() {
    let stateless = |bytes: usize| {
        let mut message = vec![5];
        // Two bytes of length, whatever it is.
        let text = bytes - 3;
        message.extend([u8::try_from(text & 127 | 128).unwrap(), u8::try_from(text >> 7).unwrap()]);
        message.resize(bytes, b'x');
        message
    };
    let piece = about("d1", &stateless(8_189));
    assert_eq!(piece.len() * 8, MAX_EARLY_BYTES);
    let mut test = Test::new();
    for _ in 0..8 {
        test.send(&piece);
        assert!(test.door.take_ending().is_none());
    }
    test.say("d2", &[3]);
    assert_eq!(test.door.take_ending().map(|(code, _)| code), Some(CloseCode::TooLarge));
    let mut test = Test::new();
    test.send(&vec![0; MAX_EARLY_BYTES + 1]);
    assert_eq!(
        test.door.take_ending().map(|(code, _)| code),
        Some(CloseCode::TooLarge),
        "it is not looked at"
    );
    // What waited makes room when its token has come, good or not.
    let mut test = Test::new();
    for token in ["tok", "bad", "tok"] {
        (0..8).for_each(|_| test.send(&piece));
        test.token("d1", token);
        test.say("d1", &[7]);
        assert!(test.door.take_ending().is_none());
    }
}

#[tokio::test]
async fn a_token_must_come_in_time_unless_one_was_good() {
    let until = START + TOKEN_PATIENCE;
    let mut test = Test::new();
    test.token("d1", "bad");
    assert_eq!(test.door.deadline(), Some(until));
    test.door.check_time(Instant(until.0 - 1));
    assert!(test.door.take_ending().is_none());
    test.door.check_time(until);
    assert_eq!(test.door.take_ending().map(|(code, _)| code), Some(CloseCode::HelloTimeout));
    let mut test = Test::new();
    test.token("d1", "tok");
    assert_eq!(test.door.deadline(), None);
}

#[tokio::test]
async fn each_document_has_its_own_token() {
    let mut test = Test::new();
    test.token("d1", "bad");
    assert_eq!(test.said(), [about("d1", b"\x02\x01\x02no")]);
    test.comes_in("d2").await;
    test.say("d1", &insert());
    test.say("d1", &[0, 0, 1, 0]);
    test.say("d2", &insert());
    test.hears(&about("d2", &[8, 1])).await;
    assert!(!test.heard.iter().any(|frame| frame.starts_with(b"\x02d1")));
    test.say("d1", &[1, 6, 1, 1, 0, 2, b'{', b'}']);
    assert_eq!(test.said(), [about("d1", &[1, 1, 0])], "its client is not to take the connection for dead");
    // It may be shown again.
    test.comes_in("d1").await;
    test.hears(&about("d1", &[0, 1, 2, 0, 0])).await;
    test.token("d1", "bad");
    test.hears(&about("d1", b"\x02\x01\x02no")).await;
    test.say("d1", &insert());
    assert!(test.said().is_empty(), "it has left");
    test.token("d3", "fast");
    assert_eq!(test.door.take_ending().map(|(code, _)| code), Some(CloseCode::RateLimited));
}

#[tokio::test]
async fn so_many_tokens_may_be_wrong_and_no_more() {
    let mut test = Test::new();
    test.token("d0", "tok");
    for _ in 0..MAX_REFUSED_TOKENS {
        test.token("d1", "bad");
        assert!(test.door.take_ending().is_none());
    }
    test.token("d1", "bad");
    assert_eq!(test.door.take_ending().map(|(code, _)| code), Some(CloseCode::Unauthorized));
}

#[tokio::test]
async fn a_reader_edits_nothing_and_is_told_so_but_for_what_is_there() {
    let mut test = Test::new();
    test.comes_in("d1").await;
    test.say("d1", &insert());
    test.hears(&about("d1", &[8, 1])).await;
    let mut reader = test.other();
    reader.token("d1", "read");
    reader.say("d1", &[0, 0, 1, 0]);
    reader.hears(&about("d1", b"\x02\x02\x08readonly")).await;
    reader.hears(&about("d1", &[&[0, 1, 12], HI].concat())).await;
    reader.say("d1", &[&[0, 1, 12], HI].concat());
    assert_eq!(reader.said(), [about("d1", &[8, 1])], "that is known");
    let others = [1, 1, 2, 0, 4, 1, 1, b't', 2, b'n', b'o', 0];
    for step in [1, 2] {
        reader.say("d1", &[&[0, step, 12], &others[..]].concat());
        assert_eq!(reader.said(), [about("d1", &[8, 0])]);
    }
    let mut late = test.other();
    late.comes_in("d1").await;
    late.hears(&about("d1", &[&[0, 1, 12], HI].concat())).await;
}

#[tokio::test]
async fn a_connection_has_so_many_documents_and_no_more() {
    let mut test = Test::new();
    for number in 0..MAX_DOCUMENTS {
        test.say(&format!("d{number}"), &[3]);
    }
    test.token("more", "tok");
    let said = test.said();
    assert!(said[0].starts_with(b"\x04more\x02\x01") && said.len() == 1, "{said:?}");
    test.say("more", &[3]);
    test.token("d99", "tok");
    assert_eq!(test.said(), [about("d99", b"\x02\x02\x0aread-write")]);
    test.say("d0", &[7]);
    test.token("more", "tok");
    assert_eq!(test.said()[1], about("more", b"\x02\x02\x0aread-write"));
}

#[tokio::test]
async fn what_is_no_name_has_no_room_and_several_providers_may_have_one() {
    let mut test = Test::new();
    for bad in ["", "a\nb", &format!("d\0{}", "s".repeat(MAX_SESSION_BYTES + 1))] {
        test.token(bad, "tok");
        let said = test.said();
        assert!(said[0].starts_with(&about(bad, &[2, 1])), "{bad:?}: {said:?}");
        test.say(bad, &[3]);
    }
    let (first, second) = (format!("d\0{}", "s".repeat(MAX_SESSION_BYTES)), "d");
    test.comes_in(&first).await;
    test.comes_in(second).await;
    test.hears(&about(second, &[0, 1, 2, 0, 0])).await;
    test.say(&first, &insert());
    test.hears(&about(second, &insert())).await;
    test.hears(&about(&first, &[8, 1])).await;
}

#[tokio::test]
async fn a_document_that_is_no_room_is_closed_and_the_others_stay() {
    let mut test = Test::new();
    test.creates_json("json").await;
    test.comes_in("json").await;
    test.comes_in("d1").await;
    let reason = "the document is a JSON document, which this door does not serve; take another name";
    let mut closed = vec![7, u8::try_from(reason.len()).unwrap()];
    closed.extend_from_slice(reason.as_bytes());
    test.hears(&about("json", &closed)).await;
    test.say("d1", &insert());
    test.hears(&about("d1", &[8, 1])).await;
}

#[tokio::test]
async fn what_was_typed_before_a_document_is_left_is_kept() {
    let mut test = Test::new();
    test.token("d1", "tok");
    test.say("d1", &insert());
    test.say("d1", &[7]);
    test.door.settle(true).await;
    assert_eq!(test.hub.links(), 0);
    let mut other = test.other();
    other.comes_in("d1").await;
    // It may become durable before that or behind it.
    other.hears_one_of(&[about("d1", &[&[0, 1, 12], HI].concat()), about("d1", &insert())]).await;
}

#[tokio::test]
async fn frames_that_are_none_end_the_connection_and_nothing_is_taken_behind_them() {
    for bad in [
        &b"\x02d1"[..],
        b"\x02d1\x06",
        b"\x02d1\x08\x01",
        b"\x02d1\x02\x01\x00",
        b"\x03d1",
        b"\x02d1\x00\x02\x01\x01",
        b"",
    ] {
        let mut test = Test::new();
        test.token("d1", "tok");
        test.send(bad);
        test.say("d1", &insert());
        assert_eq!(test.door.take_ending().map(|(code, _)| code), Some(CloseCode::BadMessage), "{bad:?}");
        test.say("d1", &insert());
        assert!(!test.door.takes_frames());
        let Some(Seat::Served(served)) = test.door.seats.get("d1") else { panic!("it came in") };
        assert_eq!(served.room.untold(), (0, 0));
    }
}

#[tokio::test]
async fn a_client_that_says_nothing_hears_something() {
    let mut test = Test::new();
    test.door.keep_alive();
    assert!(test.said().is_empty(), "there is nothing to say it about");
    test.token("d1", "tok");
    let _ = test.said();
    test.door.keep_alive();
    assert_eq!(test.said(), [about("d1", &[1, 1, 0])]);
}

#[tokio::test]
async fn a_client_is_not_read_while_too_much_of_it_is_not_durable_in_all_its_documents_together() {
    let mut test = Test::new();
    for name in ["d1", "d2"] {
        test.comes_in(name).await;
        test.hears(&about(name, &[0, 1, 2, 0, 0])).await;
    }
    for _ in 0..MAX_UNTOLD / 2 {
        assert!(test.door.takes_frames());
        test.say("d1", &insert());
        test.say("d2", &insert());
    }
    assert!(!test.door.takes_frames());
    test.hears(&about("d1", &[8, 1])).await;
    assert!(test.door.takes_frames());
}

#[tokio::test]
async fn a_server_that_stops_ends_the_connection() {
    let mut test = Test::new();
    test.comes_in("d1").await;
    test.door.settle(true).await;
    let hub = test.hub.clone();
    let stopped = tokio::spawn(async move { hub.stop(DEADLINE).await });
    assert_eq!(test.ends().await.0, CloseCode::Restart);
    drop(test);
    stopped.await.unwrap();
}
