//! One message of each type and shape, always the same.

use std::sync::Arc;

use rejoin_json::{Json, Limits, Patch, PlacePath, Policy};

use super::{CONFLICT_KINDS, WINNERS};
use crate::{
    Author, Body, ChainHash, Change, ChangeHash, ChangeId, ConflictId, ConflictRecord, Counter, CrdtUpdate,
    Cursor, DocumentId, DocumentPush, Effect, Entry, Epoch, ErrorCode, ErrorMessage, Fate, Finding, Have,
    Header, Hello, ListItem, Member, MemberId, Message, OpenDocument, Outcome, PROTOCOL_VERSION, PendingRun,
    PresenceChange, PushedChange, RelayedMember, ReplicaId, Revision, Scope, Sequence, Snapshot, UnixMillis,
    Update, Updates, Welcome, WorkspaceId,
};

pub(crate) fn json(text: &str) -> Json {
    Json::parse(text, &Limits::default()).unwrap()
}

pub(crate) fn document() -> DocumentId {
    DocumentId::new("notes").unwrap()
}

pub(crate) const REPLICA: ReplicaId = ReplicaId(0x0123_4567_89ab_cdef_0011_2233_4455_6677);

const TIME: UnixMillis = UnixMillis(1_736_525_432_000);

fn text(text: &str) -> Arc<str> {
    Arc::from(text)
}

fn patch(text: &str) -> Patch {
    Patch::parse(text, &Limits::default()).unwrap()
}

fn header() -> Header {
    Header {
        title: Some(text("Notes")),
        policy: Policy::Manual,
        counters: vec!["/votes/*".parse().unwrap()],
        identity: vec![text("id")],
    }
}

fn change(counter: u64, body: Body) -> Change {
    Change {
        replica: REPLICA,
        counter: Counter(counter),
        base: Revision(3),
        over: Counter(counter),
        time: TIME,
        body,
    }
}

fn id(counter: u64) -> ChangeId {
    ChangeId { replica: REPLICA, counter: Counter(counter) }
}

fn have() -> Have {
    Have { revision: Revision(300), chain: ChainHash([0xab; 32]) }
}

fn run() -> PendingRun {
    PendingRun { replica: REPLICA, first: Counter(7), last: Counter(9) }
}

fn conflict() -> ConflictRecord {
    ConflictRecord {
        id: ConflictId { revision: Revision(4), index: 0 },
        change: id(7),
        against: Revision(3),
        path: serde_json::from_str::<PlacePath>(r#"["cards", {"id": 7}, "tags", 2]"#).unwrap(),
        kind: CONFLICT_KINDS[0],
        base: Some(Json::Null),
        current: None,
        incoming: Some(json(r#""later""#)),
        winner: WINNERS[0],
        unresolved: true,
        author: text("ada@example.com"),
        time: TIME,
    }
}

fn entry(effect: Effect) -> Entry {
    Entry {
        sequence: Sequence(1_000),
        change: id(7),
        hash: ChangeHash([0xcd; 32]),
        author: text("ada@example.com"),
        time: TIME,
        effect,
        conflicts: vec![conflict()],
        settled: vec![ConflictId { revision: Revision(2), index: 1 }],
    }
}

fn outcomes() -> Vec<Outcome> {
    let message = text("the patch does not apply");
    [Fate::Accepted { revision: Revision(4) }, Fate::Rejected { code: ErrorCode::InvalidPatch, message }]
        .map(|fate| Outcome { change: id(7), hash: ChangeHash([0xcd; 32]), fate })
        .into()
}

fn every_operation() -> Patch {
    patch(
        r#"[
            {"op":"add","path":"/cards/-","value":{"id":7,"tags":[]}},
            {"op":"remove","path":"/old"},
            {"op":"replace","path":"","value":[1,-1,2.5,1e300,true,false,null]},
            {"op":"move","from":"/a","path":"/b"},
            {"op":"copy","from":"/a~1b","path":"/m~0n"},
            {"op":"test","path":"/title","value":"Notes"},
            {"op":"splice","path":"/text","at":5,"remove":2,"insert":"é"}
        ]"#,
    )
}

/// Messages that hold every type of message and every form of what is in them.
pub(crate) fn samples() -> Vec<Message> {
    [link(), upward(), downward()].concat()
}

fn link() -> Vec<Message> {
    vec![
        Message::Hello(Hello {
            versions: vec![PROTOCOL_VERSION],
            replica: REPLICA,
            workspace: Some(WorkspaceId::new("team").unwrap()),
            token: Some(text("secret")),
            agent: None,
        }),
        Message::Welcome(Welcome {
            version: PROTOCOL_VERSION,
            workspace: WorkspaceId::new("team").unwrap(),
            epoch: Epoch(5),
            head: Sequence(1_000),
            member: MemberId(12),
            principal: text("ada@example.com"),
            may_edit: true,
            policy: Policy::Theirs,
            time: TIME,
            heartbeat_timeout_ms: 60_000,
            max_message_bytes: 16 << 20,
        }),
        Message::Ping { nonce: 0 },
        Message::Pong { nonce: crate::limits::MAX_INTEGER },
        Message::Error(ErrorMessage {
            code: ErrorCode::RateLimited,
            message: text("too many requests: wait a second"),
            document: Some(document()),
            request: Some(9),
            change: Some(id(7)),
        }),
        Message::Goodbye { code: 1012, reason: text("the server restarts: connect again") },
    ]
}

fn upward() -> Vec<Message> {
    let bodies = [
        Body::Create { header: header(), content: json(r#"{"title":"Notes","cards":[{"id":7}]}"#) },
        Body::Edit { patch: every_operation(), settles: vec![conflict().id], undoes: Some(id(6)) },
        Body::Header { header: Header::default() },
        Body::Delete,
        Body::Undelete,
        Body::Void,
        Body::Merge { update: CrdtUpdate::empty() },
    ];
    let pushed = |(body, counter)| PushedChange {
        change: change(counter, body),
        seen: (counter == 7).then(|| json("{}").content_hash()),
    };
    vec![
        Message::Follow { scope: Scope::Documents, cursor: None },
        Message::Follow {
            scope: Scope::List,
            cursor: Some(Cursor { epoch: Epoch(5), sequence: Sequence(999) }),
        },
        Message::Open {
            documents: vec![OpenDocument { document: document(), have: have(), pending: vec![run()] }],
        },
        Message::Close { documents: vec![document()] },
        Message::Push {
            pushes: vec![DocumentPush {
                document: document(),
                changes: bodies.into_iter().zip(7..).map(pushed).collect(),
                author: Some(Author { principal: text("eve@example.com"), may_edit: false }),
            }],
        },
        Message::SeenContent {
            document: document(),
            replica: REPLICA,
            counter: Counter(7),
            content: Some(Json::Null),
            header: Some(Header::default()),
        },
        Message::SeenContent {
            document: document(),
            replica: REPLICA,
            counter: Counter(7),
            content: None,
            header: None,
        },
        Message::Presence {
            document: document(),
            change: PresenceChange::Set(json(r#"{"cursor":{"path":"/text","at":5}}"#)),
            member: Some(RelayedMember { number: 300, principal: text("eve@example.com") }),
        },
        Message::Presence { document: document(), change: PresenceChange::Leave, member: None },
        Message::HistoryRequest { request: 9, document: document(), before: Some(Revision(300)), limit: 50 },
        Message::Inquiry { request: 10, about: None },
        Message::Inquiry {
            request: 11,
            about: Some(OpenDocument { document: document(), have: have(), pending: vec![run()] }),
        },
        Message::Entries {
            document: document(),
            first: Revision(4),
            entries: vec![entry(Effect::Patched { patch: every_operation() }), entry(Effect::Void)],
        },
        Message::Entries { document: document(), first: Revision(4), entries: Vec::new() },
    ]
}

fn downward() -> Vec<Message> {
    let effects = [
        Effect::Own,
        Effect::Created { header: header(), content: json(r#"{"title":"Notes"}"#) },
        Effect::Patched { patch: every_operation() },
        Effect::Header { header: header() },
        Effect::Deleted,
        Effect::Undeleted,
        Effect::Void,
        Effect::Merged { update: CrdtUpdate::empty() },
    ];
    let entries: Vec<Entry> = effects.map(entry).into();
    let members = [
        PresenceChange::Set(json(r#"{"cursor":5}"#)),
        PresenceChange::Patch(json(r#"{"cursor":null}"#)),
        PresenceChange::Leave,
    ];
    let member = |change| Member { member: MemberId(12), principal: text("ada@example.com"), change };
    vec![
        Message::Update(Update {
            document: document(),
            first: Revision(4),
            previous: ChainHash([0xab; 32]),
            entries: entries.clone(),
            position: Some(Sequence(1_000)),
        }),
        Message::Snapshot(Box::new(Snapshot {
            document: document(),
            revision: Revision(300),
            chain: ChainHash([0xab; 32]),
            sequence: Sequence(1_000),
            version: 12,
            header: header(),
            deleted: false,
            content: json(r#"{"title":"Notes","text":"…","price":9.99,"votes":{"a":300}}"#),
            conflicts: vec![conflict()],
            created_at: TIME,
            updated_at: TIME,
            author: text("ada@example.com"),
            ancestors: vec![have(), Have::default()],
            continues: true,
            covers: vec![run()],
            outcomes: outcomes(),
            updates: Some(Updates(vec![CrdtUpdate::empty()])),
        })),
        Message::Outcomes { document: document(), outcomes: outcomes() },
        Message::NeedSeen { document: document(), replica: REPLICA, counter: Counter(7) },
        Message::Forked { document: document(), replica: REPLICA, counter: Counter(7) },
        Message::Position { sequence: Sequence(1_000) },
        Message::Listing {
            items: vec![ListItem {
                document: document(),
                revision: Revision(300),
                sequence: Sequence(1_000),
                deleted: true,
                title: Some(text("Notes")),
                updated_at: TIME,
            }],
            position: Sequence(1_000),
        },
        Message::Members {
            document: document(),
            keyframe: true,
            members: members.map(member).into(),
            left: vec![MemberId(300)],
        },
        Message::HistoryPage { request: 9, document: document(), first: Revision(4), entries, more: true },
        Message::Finding(Finding {
            request: 11,
            head: Sequence(1_000),
            continues: false,
            ancestors: vec![have(), Have::default()],
            outcomes: outcomes(),
        }),
        Message::NeedEntries { document: document(), after: Revision(3), until: Revision(300) },
    ]
}
