//! What is left where the deciding side is left out, as in browsers.
#![cfg(not(feature = "authority"))]
#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use rejoin_core::storage::{Answered, Operation};
use rejoin_core::{
    Config, Grant, Input, Instant, LinkId, Output, Peer, Replica, Reply, Role, Seed, Session, SessionConfig,
    SessionInput, SessionOutput, Token,
};
use rejoin_json::{Json, Limits, Patch, Policy};
use rejoin_wire::{
    CloseCode, ConflictId, DocumentId, Encoding, Epoch, ErrorCode, Frame, MemberId, Message, ReplicaId,
    Revision, Sequence, UnixMillis, Welcome, WorkspaceId, encode_message, frames,
    limits::{MAX_FRAME_BYTES, MAX_MESSAGE_BYTES},
};

const NOW: Instant = Instant(0);

fn workspace() -> WorkspaceId {
    WorkspaceId::new("w").unwrap()
}

fn id() -> DocumentId {
    DocumentId::new("note").unwrap()
}

fn json(text: &str) -> Json {
    Json::parse(text, &Limits::default()).unwrap()
}

/// Answers the store's part, which holds nothing yet, and returns the rest.
fn drain(replica: &mut Replica) -> Vec<Output> {
    let mut rest = Vec::new();
    while let Some(output) = replica.poll_output() {
        let Output::Store { request, operation } = output else {
            rest.push(output);
            continue;
        };
        let answer = match operation {
            Operation::LoadMeta => Answered::Meta { records: Vec::new(), sequence: Sequence(0) },
            Operation::LoadDocument { .. } => Answered::Document(Box::default()),
            Operation::LoadRows { .. } | Operation::LoadChanges { .. } | Operation::LoadOutcomes { .. } => {
                Answered::Changes(Vec::new())
            }
            Operation::ScanHeads { .. } => Answered::Heads(Vec::new()),
            Operation::ScanRecords { .. } => Answered::Records(Vec::new()),
            Operation::Commit(_) => Answered::Committed,
        };
        replica.handle_input(NOW, Input::Stored { request, answer: Ok(answer) });
    }
    rest
}

fn offline() -> Replica {
    let config = Config::new(workspace(), Role::Follower { scope: None });
    let mut replica = Replica::new(config, Seed(1), NOW, UnixMillis(0));
    replica.handle_input(NOW, Input::Online(false));
    drain(&mut replica);
    replica
}

#[test]
fn it_edits_and_undoes_offline() {
    let mut replica = offline();
    replica.open(&id());
    drain(&mut replica);
    replica.create(&id(), json(r#"{"text":"Hello"}"#)).unwrap();
    let typed = r#"[{"op":"replace","path":"/text","value":"Hello, world"}]"#;
    replica.edit(&id(), Patch::parse(typed, &Limits::default()).unwrap()).unwrap();
    drain(&mut replica);
    assert_eq!(replica.view(&id()).unwrap().content, json(r#"{"text":"Hello, world"}"#));
    replica.undo(&id()).unwrap();
    assert_eq!(replica.view(&id()).unwrap().content, json(r#"{"text":"Hello"}"#));
}

#[test]
fn who_connects_to_it_is_sent_away() {
    let mut replica = offline();
    let peer = Peer {
        replica: ReplicaId(7),
        encoding: Encoding::Binary,
        grant: Grant::new("ada", true),
        token: None,
    };
    replica.handle_input(NOW, Input::LinkOpened { link: LinkId(1), peer });
    let outputs = drain(&mut replica);
    assert!(
        matches!(outputs[..], [Output::Disconnect { link: LinkId(1), code: CloseCode::Forbidden, .. }]),
        "{outputs:?}"
    );
}

#[test]
fn what_only_the_deciding_side_is_asked_is_refused() {
    let mut replica = offline();
    replica.read(Token(1), &id());
    replica.read_at(Token(2), &id(), Revision(1));
    replica.read_conflict(Token(3), &id(), ConflictId { revision: Revision(1), index: 0 });
    let outputs = drain(&mut replica);
    assert_eq!(outputs.len(), 3, "{outputs:?}");
    for (output, asked) in outputs.iter().zip(1..) {
        let Output::Reply { token, reply: Reply::Refused { code, .. } } = output else {
            panic!("{output:?}");
        };
        assert_eq!((*token, *code), (Token(asked), ErrorCode::UnexpectedMessage));
    }
}

#[test]
fn it_lists_what_it_holds() {
    let mut replica = offline();
    replica.heads(Token(1), Sequence(0), 9);
    let outputs = drain(&mut replica);
    let [Output::Reply { token: Token(1), reply: Reply::Heads { heads, .. } }] = &outputs[..] else {
        panic!("{outputs:?}");
    };
    assert!(heads.is_empty() && replica.listed().is_empty());
    replica.open(&id());
    drain(&mut replica);
    assert!(replica.listed().is_empty(), "there is no such document");
    replica.create(&id(), json(r#"{"title":"Note"}"#)).unwrap();
    let [listed] = &replica.listed()[..] else { panic!() };
    assert_eq!((listed.title.as_deref(), listed.pending), (Some("Note"), 1));
}

#[test]
fn a_session_takes_what_goes_down_and_knows_nothing_of_what_goes_up() {
    let mut session = Session::client(Arc::new(SessionConfig::default()), Encoding::Binary, NOW);
    let welcome = Message::Welcome(Welcome {
        version: 1,
        workspace: workspace(),
        epoch: Epoch(1),
        head: Sequence(0),
        member: MemberId(1),
        principal: "ada".into(),
        may_edit: true,
        policy: Policy::Theirs,
        time: UnixMillis(0),
        heartbeat_timeout_ms: 60_000,
        max_message_bytes: u32::try_from(MAX_MESSAGE_BYTES).unwrap(),
    });
    let position = &[0, 69, 5, 0];
    let close = &[0, 18, 0, 0];
    let greeting = frames(encode_message(&welcome, Encoding::Binary), Encoding::Binary, MAX_FRAME_BYTES);
    for frame in greeting.chain([position, close].map(|bytes| Frame::Binary(bytes[..].to_vec().into()))) {
        session.handle_input(NOW, SessionInput::Frame(frame));
    }
    let mut messages = Vec::new();
    let mut written = 0;
    while let Some(output) = session.poll_output() {
        match output {
            SessionOutput::Message(message) => messages.push(message),
            SessionOutput::Frame(_) => written += 1,
            output => panic!("{output:?}"),
        }
    }
    assert_eq!(messages, [welcome, Message::Position { sequence: Sequence(5) }]);
    assert_eq!(written, 1, "the error that says so");
    assert!(session.is_open());
}
