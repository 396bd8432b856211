#![allow(clippy::unwrap_used)]

use rejoin_core::{Grant, Payload};
use rejoin_crdt::awareness::{self, Entry as Shown};
use rejoin_json::{Json, Limits};
use rejoin_wire::{
    ChainHash, ChangeHash, ChangeId, CloseCode, Counter, CrdtUpdate, DocumentId, Effect, Encoding, Entry,
    ErrorCode, ErrorMessage, Fate, Header, Member, MemberId, Message, Outcome, PresenceChange, ReplicaId,
    Revision, Sequence, Snapshot, UnixMillis, Update, Updates,
};

use bytes::Bytes;
use rejoin_crdt::doors::y_websocket;
use rejoin_wire::limits::{MAX_CRDT_BYTES, MAX_PRESENCE_BYTES, MAX_PRESENCE_PARTS};

use super::news::MAX_NEWS_BYTES;
use super::people::MADE_CLIENTS;
use super::room::{MAX_PUSH_BYTES, MAX_UNTOLD};
use super::*;
use crate::frames;
use crate::text_door::Told;

const OWN: ReplicaId = ReplicaId(7);
const NOW: UnixMillis = UnixMillis(1_000);

/// An update that client 1 makes in a text named `t`: it inserts `hi`.
const HI: &[u8] = &[1, 1, 1, 0, 4, 1, 1, b't', 2, b'h', b'i', 0];

/// The same, and then the first letter is deleted.
const HI_CUT: &[u8] = &[1, 1, 1, 0, 4, 1, 1, b't', 2, b'h', b'i', 1, 1, 1, 0, 1];

/// Nothing but that.
const CUT: &[u8] = &[0, 1, 1, 1, 0, 1];

fn room() -> DocumentId {
    DocumentId::new("room").unwrap()
}

fn door() -> YWebsocketDoor {
    YWebsocketDoor::new(room(), OWN, Grant::new("ada", true))
}

fn told(message: &Message) -> Told {
    Told::new(Payload::encode(message, Encoding::Binary))
}

fn tell(door: &mut YWebsocketDoor, message: &Message) {
    door.take_told(&told(message));
}

fn frame(door: &mut YWebsocketDoor, bytes: &[u8]) {
    door.take_frame(&Bytes::copy_from_slice(bytes), NOW);
}

/// A length of up to three bytes, as Yjs writes it.
fn varint(number: usize) -> Vec<u8> {
    let [low, middle, high] = [number & 0x7f | 0x80, number >> 7 & 0x7f | 0x80, number >> 14];
    [low, middle, high].map(|byte| u8::try_from(byte).unwrap()).to_vec()
}

/// What the client is sent, as bytes.
fn said(door: &mut YWebsocketDoor) -> Vec<Vec<u8>> {
    let said = door.take_said();
    frames::read(&said)
}

fn snapshot_of(revision: u64, updates: Option<&[&[u8]]>) -> Snapshot {
    Snapshot {
        document: room(),
        revision: Revision(revision),
        chain: ChainHash::default(),
        sequence: Sequence(revision),
        version: 0,
        header: Header::default(),
        deleted: false,
        content: Json::parse("null", &Limits::default()).unwrap(),
        conflicts: Vec::new(),
        created_at: NOW,
        updated_at: NOW,
        author: "ada".into(),
        continues: true,
        ancestors: Vec::new(),
        covers: Vec::new(),
        outcomes: Vec::new(),
        updates: updates.map(|updates| {
            Updates(updates.iter().map(|update| CrdtUpdate(Bytes::copy_from_slice(update))).collect())
        }),
    }
}

fn snapshot(revision: u64, updates: &[&[u8]]) -> Message {
    Message::Snapshot(Box::new(snapshot_of(revision, Some(updates))))
}

fn entry(replica: ReplicaId, counter: u64, effect: Effect) -> Entry {
    Entry {
        sequence: Sequence(counter),
        change: ChangeId { replica, counter: Counter(counter) },
        hash: ChangeHash::default(),
        author: "ada".into(),
        time: NOW,
        effect,
        conflicts: Vec::new(),
        settled: Vec::new(),
    }
}

fn update(first: u64, entries: Vec<Entry>) -> Message {
    Message::Update(Update {
        document: room(),
        first: Revision(first),
        previous: ChainHash::default(),
        entries,
        position: None,
    })
}

fn merged(bytes: &[u8]) -> Effect {
    Effect::Merged { update: CrdtUpdate(Bytes::copy_from_slice(bytes)) }
}

fn outcome(fate: Fate) -> Outcome {
    Outcome { change: ChangeId { replica: OWN, counter: Counter(1) }, hash: ChangeHash::default(), fate }
}

/// A member that shows what a Yjs client does.
fn shows(member: u64, principal: &str, client: u64, clock: u32, name: &str) -> Member {
    let text = format!(r#"{{"yjs":{{"client":{client},"clock":{clock}}},"state":"{name}"}}"#);
    let state = Json::parse(&text, &Limits::default()).unwrap();
    Member { member: MemberId(member), principal: principal.into(), change: PresenceChange::Set(state) }
}

fn members(members: Vec<Member>, left: &[u64]) -> Message {
    let left = left.iter().copied().map(MemberId).collect();
    Message::Members { document: room(), keyframe: false, members, left }
}

/// An awareness message of a client.
fn awareness_message(entries: &[(u64, u32, &str)]) -> Vec<u8> {
    let entries: Vec<Shown<'_>> = entries
        .iter()
        .map(|(client, clock, state)| Shown { client: *client, clock: *clock, state })
        .collect();
    y_websocket::awareness(&awareness::encode(&entries)).to_vec()
}

/// What the door says to the replica of the presence of its client.
fn presences(door: &mut YWebsocketDoor) -> Vec<(PresenceChange, u32)> {
    let presence = |message| match message {
        Message::Presence { change, member, .. } => Some((change, member.map_or(0, |member| member.number))),
        _ => None,
    };
    door.take_messages().into_iter().filter_map(presence).collect()
}

fn pushes(door: &mut YWebsocketDoor) -> usize {
    door.take_messages().iter().filter(|message| matches!(message, Message::Push { .. })).count()
}

/// How many changes each push has.
fn pushes_of(door: &mut YWebsocketDoor) -> Vec<usize> {
    let changes = |message| match message {
        Message::Push { pushes } => pushes.iter().map(|push| push.changes.len()).collect(),
        _ => Vec::new(),
    };
    door.take_messages().into_iter().flat_map(changes).collect()
}

/// A door whose client has been told the document.
fn open_with(updates: &[&[u8]]) -> YWebsocketDoor {
    let mut door = door();
    tell(&mut door, &snapshot(updates.len() as u64, updates));
    frame(&mut door, &y_websocket::step1(&[0]));
    tell(&mut door, &snapshot(updates.len() as u64, updates));
    let _ = (said(&mut door), door.take_messages());
    door
}

#[test]
fn a_client_and_the_server_exchange_what_they_have_and_an_update_is_echoed_once_it_is_durable() {
    let mut door = door();
    assert!(matches!(door.take_messages().as_slice(), [Message::Open { .. }]));
    frame(&mut door, &[0, 0, 3, 1, 1, 2]);
    assert!(said(&mut door).is_empty(), "nothing is known yet");
    tell(&mut door, &snapshot(0, &[]));
    assert_eq!(said(&mut door), [vec![0, 0, 1, 0], vec![0, 1, 2, 0, 0]]);
    frame(&mut door, &[&[0, 1, 12], HI].concat());
    assert_eq!(pushes(&mut door), 1);
    assert!(said(&mut door).is_empty(), "nothing is durable yet");
    tell(&mut door, &update(1, vec![entry(OWN, 1, Effect::Own)]));
    assert_eq!(said(&mut door), [[&[0, 2, 12], HI].concat()]);
    tell(&mut door, &update(2, vec![entry(ReplicaId(8), 1, merged(HI_CUT))]));
    assert_eq!(said(&mut door), [[&[0, 2, 16], HI_CUT].concat()]);
}

#[test]
fn own_updates_that_are_told_like_those_of_others_are_durable_too() {
    let mut door = open_with(&[]);
    for number in 1..=300 {
        assert!(door.takes_frames(), "after {number}");
        frame(&mut door, &[&[0, 2, 12], HI].concat());
        // That is how a link is caught up that missed something.
        tell(&mut door, &update(number, vec![entry(OWN, number, merged(HI))]));
        assert_eq!(said(&mut door), [[&[0, 2, 12], HI].concat()]);
    }
}

#[test]
fn what_a_client_sends_in_one_go_is_one_push() {
    let mut door = open_with(&[]);
    for _ in 0..3 {
        frame(&mut door, &[&[0, 2, 12], HI].concat());
    }
    let messages = door.take_messages();
    let [Message::Push { pushes }] = messages.as_slice() else { panic!("{messages:?}") };
    let counters: Vec<u64> = pushes[0].changes.iter().map(|pushed| pushed.change.counter.0).collect();
    assert_eq!((pushes.len(), counters), (1, vec![1, 2, 3]));
    frame(&mut door, &[&[0, 2, 12], HI].concat());
    assert_eq!(pushes_of(&mut door), [1], "what came later is one of its own");
}

#[test]
fn a_push_has_at_most_64_kib_of_updates_unless_one_alone_is_larger() {
    // Bytes around a text whose length takes three bytes.
    const AROUND: usize = 12;
    let inserting = |bytes: usize| {
        let text = vec![b'x'; bytes - AROUND];
        let update = [[1, 1, 1, 0, 4, 1, 1, b't'].as_slice(), &varint(text.len()), &text, &[0]].concat();
        assert_eq!(update.len(), bytes);
        [[0, 2].as_slice(), &varint(bytes), &update].concat()
    };
    for (second, expected) in [(MAX_PUSH_BYTES / 2, vec![2]), (MAX_PUSH_BYTES / 2 + 1, vec![1, 1])] {
        let mut door = open_with(&[]);
        frame(&mut door, &inserting(MAX_PUSH_BYTES / 2));
        frame(&mut door, &inserting(second));
        assert_eq!(pushes_of(&mut door), expected);
    }
    let mut door = open_with(&[]);
    frame(&mut door, &inserting(2 * MAX_PUSH_BYTES));
    assert_eq!(pushes_of(&mut door), [1]);
}

#[test]
fn updates_of_several_are_written_once_for_all_and_own_ones_among_them_are_durable() {
    let (mut author, mut reader) = (open_with(&[]), open_with(&[]));
    frame(&mut author, &[&[0, 2, 12], HI].concat());
    let entries = vec![entry(ReplicaId(8), 1, merged(CUT)), entry(OWN, 1, merged(HI))];
    let told = told(&update(1, entries));
    author.take_told(&told);
    reader.take_told(&told);
    let [to_author, to_reader] = [&mut author, &mut reader].map(|door| door.take_said());
    assert_eq!(to_author, to_reader);
    assert_eq!(frames::read(&to_author[..1]), [[&[0, 2, 6], CUT].concat(), [&[0, 2, 12], HI].concat()]);
    let [author_bytes, reader_bytes] = [&to_author, &to_reader].map(|said| said[0].frames()[0].payload());
    assert!(std::ptr::eq(&raw const author_bytes[0], &raw const reader_bytes[0]), "they share the bytes");
    for _ in 0..MAX_UNTOLD {
        assert!(author.takes_frames(), "nothing waits any more");
        frame(&mut author, &[&[0, 2, 12], HI].concat());
    }
    assert!(!author.takes_frames());
}

#[test]
fn updates_of_more_than_256_kib_are_told_one_frame_after_the_other() {
    for (bytes, payloads) in [(MAX_NEWS_BYTES, 1), (MAX_NEWS_BYTES + 1, 2)] {
        let mut door = open_with(&[]);
        let halves = [bytes / 2, bytes - bytes / 2].map(|bytes| merged(&vec![7; bytes]));
        let entries = halves.into_iter().zip(1..).map(|(half, at)| entry(ReplicaId(8), at, half)).collect();
        tell(&mut door, &update(1, entries));
        let said = door.take_said();
        assert_eq!((said.len(), frames::read(&said).len()), (payloads, 2), "{bytes}");
    }
}

#[test]
fn a_client_is_not_read_while_256_of_its_updates_are_not_durable() {
    let mut door = open_with(&[]);
    for _ in 0..MAX_UNTOLD {
        assert!(door.takes_frames());
        frame(&mut door, &[&[0, 2, 12], HI].concat());
    }
    assert!(!door.takes_frames());
    tell(&mut door, &update(1, vec![entry(OWN, 1, Effect::Own)]));
    assert!(door.takes_frames());
}

#[test]
fn what_the_server_has_is_not_taken_again_from_a_client_that_is_back() {
    for known in [&[&[0, 1, 16], HI_CUT].concat(), &[&[0, 1, 6], CUT].concat()] {
        let mut door = open_with(&[HI, CUT]);
        frame(&mut door, known);
        assert_eq!(pushes(&mut door), 0);
    }
    let mut door = open_with(&[HI]);
    frame(&mut door, &[&[0, 1, 16], HI_CUT].concat());
    assert_eq!(pushes(&mut door), 1, "the deletion is new");
}

#[test]
fn a_client_that_asks_again_is_answered_with_the_whole_and_not_with_what_was_on_its_way() {
    let mut door = open_with(&[HI]);
    frame(&mut door, &y_websocket::step1(&[0]));
    tell(&mut door, &update(2, vec![entry(ReplicaId(8), 1, merged(CUT))]));
    assert_eq!(said(&mut door), [[&[0, 2, 6], CUT].concat()]);
    tell(&mut door, &snapshot(2, &[HI, CUT]));
    let said = said(&mut door);
    assert!(said.len() == 1 && said[0].starts_with(&[0, 1]), "{said:?}");
}

#[tokio::test]
async fn an_answer_about_a_large_document_holds_up_its_client_alone() {
    use rejoin_crdt::Document;
    use rejoin_json::Patch;
    let text = "x".repeat(answering::MAX_INLINE_BYTES);
    let patch = format!(r#"[{{"op":"add","path":"/large","value":"{text}"}}]"#);
    let patch = Patch::parse(&patch, &Limits::default()).unwrap();
    let large = Document::new("", 9).patch(&patch, &Limits::default()).unwrap().unwrap();
    let mut door = door();
    frame(&mut door, &y_websocket::step1(&[0]));
    tell(&mut door, &snapshot(1, &[large.bytes()]));
    assert!(!door.takes_frames() && said(&mut door).is_empty());
    // One that came with the first is answered behind it.
    frame(&mut door, &y_websocket::step1(&[0]));
    door.progress().await;
    door.finish();
    let answered = said(&mut door);
    assert_eq!(answered.len(), 2, "what the server has, and what the client lacked");
    assert!(answered[1].len() > text.len() && answered[1].starts_with(&[0, 1]));
    assert!(door.takes_frames());
    // It was built for the first, and holds up nobody any more: nor whoever else has nothing.
    tell(&mut door, &snapshot(1, &[large.bytes()]));
    assert_eq!(said(&mut door), [answered[1].clone()]);
    assert_eq!(
        said(&mut open_with(&[large.bytes()])),
        Vec::<Vec<u8>>::new(),
        "it was told all of it at once"
    );
}

#[test]
fn a_reader_edits_nothing() {
    let mut door = YWebsocketDoor::new(room(), OWN, Grant::new("ada", false));
    tell(&mut door, &snapshot(0, &[]));
    for step in [1, 2] {
        frame(&mut door, &[&[0, step, 12], HI].concat());
    }
    assert_eq!(pushes(&mut door), 0);
    assert!(door.take_ending().is_none());
}

#[test]
fn whose_update_was_refused_is_sent_away_however_it_is_told() {
    let refused = || Fate::Rejected { code: ErrorCode::InvalidUpdate, message: "no".into() };
    let told_so = [
        Message::Outcomes { document: room(), outcomes: vec![outcome(refused())] },
        Message::Snapshot(Box::new(Snapshot {
            outcomes: vec![outcome(refused())],
            ..snapshot_of(1, Some(&[]))
        })),
    ];
    for message in told_so {
        let mut door = open_with(&[]);
        frame(&mut door, &[&[0, 2, 12], HI].concat());
        tell(&mut door, &message);
        assert_eq!(door.take_ending().map(|(code, _)| code), Some(CloseCode::BadMessage), "{message:?}");
    }
}

#[test]
fn a_room_that_is_none_is_closed_for_good_and_one_that_cannot_be_read_until_later() {
    let gone = Message::Snapshot(Box::new(Snapshot { deleted: true, ..snapshot_of(2, Some(&[])) }));
    let json = Message::Snapshot(Box::new(snapshot_of(1, None)));
    let deleted = update(1, vec![entry(ReplicaId(8), 1, Effect::Deleted)]);
    let damaged = Message::Error(ErrorMessage {
        code: ErrorCode::Corrupted,
        message: "damaged".into(),
        document: Some(room()),
        request: None,
        change: None,
    });
    for (message, code) in [
        (gone, CloseCode::Forbidden),
        (json, CloseCode::Forbidden),
        (deleted, CloseCode::Forbidden),
        // Somebody may connect who has what is missing.
        (damaged, CloseCode::Unavailable),
    ] {
        let mut door = door();
        tell(&mut door, &message);
        assert_eq!(door.take_ending().map(|(code, _)| code), Some(code), "{message:?}");
    }
}

#[test]
fn frames_that_are_none_end_the_connection() {
    for bad in
        [&[][..], &[4], &[0, 3, 0], &[0, 1, 12, 1], &[1, 1], &[2, 0, 0], &[0, 0, 5, 255, 255, 255, 255, 1]]
    {
        let mut door = open_with(&[]);
        frame(&mut door, bad);
        assert_eq!(door.take_ending().map(|(code, _)| code), Some(CloseCode::BadMessage), "{bad:?}");
    }
}

#[test]
fn a_client_shows_itself_and_hears_its_own_renewals() {
    let mut door = open_with(&[]);
    let shown = awareness_message(&[(5, 1, "{}")]);
    frame(&mut door, &shown);
    assert_eq!(said(&mut door), std::slice::from_ref(&shown));
    assert!(matches!(presences(&mut door).as_slice(), [(PresenceChange::Set(_), 0)]));
    frame(&mut door, &shown);
    assert!(presences(&mut door).is_empty(), "the same clock says nothing new");
    frame(&mut door, &awareness_message(&[(6, 0, "{}"), (5, 1, "null")]));
    assert_eq!(presences(&mut door), [(PresenceChange::Leave, 0)], "clock 0 says nothing");
}

#[test]
fn what_a_client_says_again_of_others_is_not_taken_for_its_own() {
    let mut door = open_with(&[]);
    tell(&mut door, &members(vec![shows(20, "ada", 9, 3, "Ben")], &[]));
    // `y-websocket` sends on all that it hears.
    frame(&mut door, &awareness_message(&[(9, 3, r#""Ben""#)]));
    frame(&mut door, &awareness_message(&[(9, 2, r#""Ben""#)]));
    assert!(presences(&mut door).is_empty());
    tell(&mut door, &members(vec![], &[20]));
    frame(&mut door, &awareness_message(&[(9, 3, r#""Ben""#)]));
    frame(&mut door, &awareness_message(&[(9, 3, "null")]));
    assert!(presences(&mut door).is_empty(), "late, too");
}

#[test]
fn nobody_speaks_for_a_client_of_somebody_else() {
    let mut door = open_with(&[]);
    tell(&mut door, &members(vec![shows(20, "ben", 9, 3, "Ben")], &[]));
    let _ = said(&mut door);
    frame(&mut door, &awareness_message(&[(9, 4, r#""no Ben""#)]));
    assert!(presences(&mut door).is_empty());
    let _ = said(&mut door);
    // Nor does another member, to this client.
    tell(&mut door, &members(vec![shows(40, "eve", 9, 100, "Eve")], &[]));
    tell(&mut door, &members(vec![], &[40]));
    assert!(said(&mut door).is_empty());
    tell(&mut door, &members(vec![], &[20]));
    assert_eq!(said(&mut door), [awareness_message(&[(9, 3, "null")])]);
}

#[test]
fn a_client_that_is_back_stays_when_its_old_connection_ends() {
    let mut door = open_with(&[]);
    tell(&mut door, &members(vec![shows(20, "ada", 9, 3, "Ben")], &[]));
    tell(&mut door, &members(vec![shows(40, "ada", 9, 3, "Ben")], &[]));
    let _ = said(&mut door);
    tell(&mut door, &members(vec![], &[20]));
    assert!(said(&mut door).is_empty());
    tell(&mut door, &members(vec![], &[40]));
    assert_eq!(said(&mut door), [awareness_message(&[(9, 3, "null")])]);
}

#[test]
fn a_client_that_gave_its_place_to_another_is_gone() {
    let mut door = open_with(&[]);
    tell(&mut door, &members(vec![shows(20, "ada", 9, 3, "old")], &[]));
    let _ = said(&mut door);
    tell(&mut door, &members(vec![shows(20, "ada", 10, 1, "new")], &[]));
    assert_eq!(said(&mut door), [awareness_message(&[(9, 3, "null"), (10, 1, r#""new""#)])]);
}

#[test]
fn of_what_one_frame_says_of_a_client_only_the_last_is_shown() {
    let mut door = open_with(&[]);
    let many: Vec<(u64, u32, &str)> = (1..=4_096).map(|clock| (5, clock, "{}")).collect();
    frame(&mut door, &awareness_message(&many));
    assert_eq!(presences(&mut door).len(), 1);
}

#[test]
fn a_connection_shows_so_many_clients_and_no_more() {
    let mut door = open_with(&[]);
    let many: Vec<(u64, u32, &str)> =
        (1..=u64::from(MAX_PRESENCE_PARTS) + 2).map(|client| (client, 1, "{}")).collect();
    frame(&mut door, &awareness_message(&many));
    assert_eq!(presences(&mut door).len(), MAX_PRESENCE_PARTS as usize + 1);
    let large = |bytes: usize| format!("{:?}", "x".repeat(bytes));
    let mut door = open_with(&[]);
    frame(&mut door, &awareness_message(&[(1, 1, &large(MAX_PRESENCE_BYTES))]));
    assert!(presences(&mut door).is_empty(), "too large");
}

#[test]
fn somebody_of_another_door_has_another_client_on_each_connection() {
    let client_on = |replica| {
        let mut door = YWebsocketDoor::new(room(), replica, Grant::new("ada", true));
        tell(&mut door, &snapshot(0, &[]));
        let _ = said(&mut door);
        let state = Json::parse(r#"{"name":"Eve"}"#, &Limits::default()).unwrap();
        let eve =
            Member { member: MemberId(30), principal: "eve".into(), change: PresenceChange::Set(state) };
        tell(&mut door, &members(vec![eve], &[]));
        let [told] = said(&mut door).try_into().unwrap();
        let y_websocket::Message::Awareness(told) = y_websocket::read(&told.into(), MAX_CRDT_BYTES).unwrap()
        else {
            panic!("no awareness")
        };
        told.entries()[0].client
    };
    // JavaScript remembers the clocks of those who are gone, and these begin anew.
    assert_ne!(client_on(ReplicaId(1)), client_on(ReplicaId(2)));
    assert!(client_on(ReplicaId(1)) >= MADE_CLIENTS);
}
