//! Values for tests: any that can be, and one of each kind that stays the same.

#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use jsonptr::PointerBuf;
use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use rejoin_json::{ConflictKind, ContentHash, Json, Operation, Patch, PlacePath, Policy, Step, Winner};

use crate::limits::MAX_INTEGER;
use crate::{
    Author, Body, ChainHash, Change, ChangeHash, ChangeId, ConflictId, ConflictRecord, Counter, CrdtUpdate,
    Cursor, DocumentId, DocumentPush, Effect, Entry, Epoch, ErrorCode, ErrorMessage, Fate, Finding, Have,
    Header, Hello, ListItem, Member, MemberId, Message, OpenDocument, Outcome, PendingRun, PresenceChange,
    PushedChange, RelayedMember, ReplicaId, Revision, Scope, Sequence, Snapshot, UnixMillis, Update, Updates,
    Welcome, WorkspaceId,
};

mod samples;

pub(crate) use samples::{REPLICA, document, json, samples};

pub(crate) fn integers() -> BoxedStrategy<u64> {
    prop_oneof![0..300_u64, 0..=MAX_INTEGER, Just(MAX_INTEGER)].boxed()
}

pub(crate) fn texts() -> BoxedStrategy<Arc<str>> {
    prop_oneof!["[a-c]{0,3}", "\\PC{0,80}", "[\\x00-\\x1f\"\\\\/~é😀]{0,8}"].prop_map(Arc::from).boxed()
}

pub(crate) fn numbers() -> BoxedStrategy<f64> {
    prop_oneof![
        (-200..200_i32).prop_map(f64::from),
        (-1_000_000_000..1_000_000_000_i32, 0..8_i32).prop_map(|(mantissa, decimals)| {
            (0..decimals).fold(f64::from(mantissa), |number, _| number / 10.0)
        }),
        any::<i64>().prop_map(|bits| f64::from_bits(bits.cast_unsigned())),
        select(vec![9_007_199_254_740_992.0, -9_007_199_254_740_992.0, -0.0, 5e-324, 1e21, 0.1 + 0.2, 1e-7]),
    ]
    .prop_filter("a number that documents hold", |number| Json::number(*number).is_some())
    .boxed()
}

pub(crate) fn values() -> BoxedStrategy<Json> {
    let scalar = prop_oneof![
        Just(Json::Null),
        any::<bool>().prop_map(Json::from),
        numbers().prop_map(|number| Json::number(number).unwrap()),
        texts().prop_map(Json::from),
    ];
    scalar
        .prop_recursive(4, 24, 5, |inner| {
            prop_oneof![
                vec(inner.clone(), 0..5).prop_map(Json::from),
                btree_map(texts(), inner, 0..5).prop_map(|members| members.into_iter().collect()),
            ]
        })
        .boxed()
}

pub(crate) fn pointers() -> BoxedStrategy<PointerBuf> {
    vec(texts(), 0..4).prop_map(|tokens| PointerBuf::from_tokens(tokens.iter().map(|token| &**token))).boxed()
}

pub(crate) fn operations() -> BoxedStrategy<Operation> {
    let path = pointers;
    prop_oneof![
        (path(), values()).prop_map(|(path, value)| Operation::Add { path, value }),
        path().prop_map(|path| Operation::Remove { path }),
        (path(), values()).prop_map(|(path, value)| Operation::Replace { path, value }),
        (path(), path()).prop_map(|(from, path)| Operation::Move { from, path }),
        (path(), path()).prop_map(|(from, path)| Operation::Copy { from, path }),
        (path(), values()).prop_map(|(path, value)| Operation::Test { path, value }),
        (path(), 0..99_999_usize, 0..99_999_usize, texts()).prop_map(|(path, at, remove, insert)| {
            Operation::Splice { path, at, remove, insert: insert.as_ref().into() }
        }),
    ]
    .boxed()
}

pub(crate) fn patches() -> BoxedStrategy<Patch> {
    vec(operations(), 0..4).prop_map(Patch).boxed()
}

pub(crate) fn places() -> BoxedStrategy<PlacePath> {
    let identity =
        prop_oneof![numbers().prop_map(|number| Json::number(number).unwrap()), texts().prop_map(Json::from)];
    let step = prop_oneof![
        texts().prop_map(Step::Key),
        (texts(), identity).prop_map(|(member, value)| Step::Id { member, value }),
        (0..999_usize).prop_map(Step::Index),
    ];
    vec(step, 0..4).prop_map(PlacePath::from).boxed()
}

pub(crate) fn documents() -> BoxedStrategy<DocumentId> {
    "[a-z0-9é:-]{1,16}".prop_map(|id| DocumentId::new(&id).unwrap()).boxed()
}

pub(crate) fn replicas() -> BoxedStrategy<ReplicaId> {
    any::<u128>().prop_map(ReplicaId).boxed()
}

macro_rules! positions {
    ($($function:ident $name:ident)*) => {$(
        pub(crate) fn $function() -> BoxedStrategy<$name> {
            integers().prop_map($name).boxed()
        }
    )*};
}

positions! {
    revisions Revision
    sequences Sequence
    counters Counter
    times UnixMillis
    epochs Epoch
    member_ids MemberId
}

pub(crate) fn change_ids() -> BoxedStrategy<ChangeId> {
    (replicas(), counters()).prop_map(|(replica, counter)| ChangeId { replica, counter }).boxed()
}

pub(crate) fn conflict_ids() -> BoxedStrategy<ConflictId> {
    (revisions(), any::<u32>()).prop_map(|(revision, index)| ConflictId { revision, index }).boxed()
}

pub(crate) fn policies() -> BoxedStrategy<Policy> {
    select(vec![Policy::Theirs, Policy::Ours, Policy::Latest, Policy::Manual]).boxed()
}

pub(crate) fn codes() -> BoxedStrategy<ErrorCode> {
    select(ErrorCode::ALL).boxed()
}

pub(crate) fn headers() -> BoxedStrategy<Header> {
    (option::of(texts()), policies(), vec(pointers(), 0..3), vec(texts(), 0..3))
        .prop_map(|(title, policy, counters, identity)| Header { title, policy, counters, identity })
        .boxed()
}

pub(crate) fn updates() -> BoxedStrategy<CrdtUpdate> {
    vec(any::<u8>(), 0..9).prop_map(|bytes| CrdtUpdate(bytes.into())).boxed()
}

pub(crate) fn bodies() -> BoxedStrategy<Body> {
    prop_oneof![
        (headers(), values()).prop_map(|(header, content)| Body::Create { header, content }),
        (patches(), vec(conflict_ids(), 0..3), option::of(change_ids()))
            .prop_map(|(patch, settles, undoes)| Body::Edit { patch, settles, undoes }),
        headers().prop_map(|header| Body::Header { header }),
        select(vec![Body::Delete, Body::Undelete, Body::Void]),
        updates().prop_map(|update| Body::Merge { update }),
    ]
    .boxed()
}

pub(crate) fn changes() -> BoxedStrategy<Change> {
    (replicas(), counters(), revisions(), counters(), times(), bodies())
        .prop_map(|(replica, counter, base, over, time, body)| Change {
            replica,
            counter,
            base,
            over,
            time,
            body,
        })
        .boxed()
}

pub(crate) fn effects() -> BoxedStrategy<Effect> {
    prop_oneof![
        (headers(), values()).prop_map(|(header, content)| Effect::Created { header, content }),
        patches().prop_map(|patch| Effect::Patched { patch }),
        headers().prop_map(|header| Effect::Header { header }),
        select(vec![Effect::Own, Effect::Deleted, Effect::Undeleted, Effect::Void]),
        updates().prop_map(|update| Effect::Merged { update }),
    ]
    .boxed()
}

pub(crate) fn conflicts() -> BoxedStrategy<ConflictRecord> {
    let value = || option::of(values());
    (
        (
            conflict_ids(),
            change_ids(),
            revisions(),
            places(),
            select(CONFLICT_KINDS),
            value(),
            value(),
            value(),
        ),
        (select(WINNERS), any::<bool>(), texts(), times()),
    )
        .prop_map(|(first, (winner, unresolved, author, time))| {
            let (id, change, against, path, kind, base, current, incoming) = first;
            ConflictRecord {
                id,
                change,
                against,
                path,
                kind,
                base,
                current,
                incoming,
                winner,
                unresolved,
                author,
                time,
            }
        })
        .boxed()
}

pub(crate) const CONFLICT_KINDS: &[ConflictKind] = &[
    ConflictKind::Edited,
    ConflictKind::Inserted,
    ConflictKind::Text,
    ConflictKind::Counter,
    ConflictKind::DeletedCurrent,
    ConflictKind::DeletedIncoming,
    ConflictKind::DeletedDocument,
];

pub(crate) const WINNERS: &[Winner] = &[Winner::Current, Winner::Incoming, Winner::Merged];

pub(crate) fn entries() -> BoxedStrategy<Entry> {
    (
        sequences(),
        change_ids(),
        any::<[u8; 32]>(),
        texts(),
        times(),
        effects(),
        vec(conflicts(), 0..2),
        vec(conflict_ids(), 0..2),
    )
        .prop_map(|(sequence, change, hash, author, time, effect, conflicts, settled)| Entry {
            sequence,
            change,
            hash: ChangeHash(hash),
            author,
            time,
            effect,
            conflicts,
            settled,
        })
        .boxed()
}

pub(crate) fn haves() -> BoxedStrategy<Have> {
    (revisions(), any::<[u8; 32]>())
        .prop_map(|(revision, chain)| Have { revision, chain: ChainHash(chain) })
        .boxed()
}

pub(crate) fn runs() -> BoxedStrategy<PendingRun> {
    (replicas(), counters(), counters())
        .prop_map(|(replica, first, last)| PendingRun { replica, first, last })
        .boxed()
}

pub(crate) fn fates() -> BoxedStrategy<Fate> {
    prop_oneof![
        revisions().prop_map(|revision| Fate::Accepted { revision }),
        (codes(), texts()).prop_map(|(code, message)| Fate::Rejected { code, message }),
    ]
    .boxed()
}

pub(crate) fn outcomes() -> BoxedStrategy<Outcome> {
    (change_ids(), any::<[u8; 32]>(), fates())
        .prop_map(|(change, hash, fate)| Outcome { change, hash: ChangeHash(hash), fate })
        .boxed()
}

pub(crate) fn snapshots() -> BoxedStrategy<Snapshot> {
    (
        (documents(), haves(), sequences(), integers(), headers(), any::<bool>(), values()),
        (vec(conflicts(), 0..2), times(), times(), texts(), vec(haves(), 0..3), any::<bool>()),
        (vec(runs(), 0..2), vec(outcomes(), 0..3), option::of(vec(updates(), 0..3))),
    )
        .prop_map(|(first, second, (covers, outcomes, updates))| {
            let (document, Have { revision, chain }, sequence, version, header, deleted, content) = first;
            let (conflicts, created_at, updated_at, author, ancestors, continues) = second;
            Snapshot {
                document,
                revision,
                chain,
                sequence,
                version,
                header,
                deleted,
                content,
                conflicts,
                created_at,
                updated_at,
                author,
                ancestors,
                continues,
                covers,
                outcomes,
                updates: updates.map(Updates),
            }
        })
        .boxed()
}

pub(crate) fn pushes() -> BoxedStrategy<DocumentPush> {
    let seen = option::of(any::<[u8; 32]>().prop_map(ContentHash));
    let pushed = (changes(), seen).prop_map(|(change, seen)| PushedChange { change, seen });
    let author = (texts(), any::<bool>()).prop_map(|(principal, may_edit)| Author { principal, may_edit });
    (documents(), vec(pushed, 0..3), option::of(author))
        .prop_map(|(document, changes, author)| DocumentPush { document, changes, author })
        .boxed()
}

pub(crate) fn presence() -> BoxedStrategy<PresenceChange> {
    prop_oneof![
        values().prop_map(PresenceChange::Set),
        values().prop_map(PresenceChange::Patch),
        Just(PresenceChange::Leave),
    ]
    .boxed()
}

/// Any message.
pub(crate) fn messages() -> BoxedStrategy<Message> {
    prop_oneof![link_messages(), upward_messages(), document_messages(), list_messages()].boxed()
}

fn link_messages() -> BoxedStrategy<Message> {
    let workspace = || "[a-z]{1,8}".prop_map(|id| WorkspaceId::new(&id).unwrap());
    let hello = (
        vec(any::<u16>(), 0..4),
        replicas(),
        option::of(workspace()),
        option::of(texts()),
        option::of(texts()),
    )
        .prop_map(|(versions, replica, workspace, token, agent)| Hello {
            versions,
            replica,
            workspace,
            token,
            agent,
        });
    let welcome = (
        (any::<u16>(), workspace(), epochs(), sequences(), member_ids(), texts()),
        (any::<bool>(), policies(), times(), any::<u32>(), any::<u32>()),
    )
        .prop_map(|(first, second)| {
            let (version, workspace, epoch, head, member, principal) = first;
            let (may_edit, policy, time, heartbeat_timeout_ms, max_message_bytes) = second;
            Welcome {
                version,
                workspace,
                epoch,
                head,
                member,
                principal,
                may_edit,
                policy,
                time,
                heartbeat_timeout_ms,
                max_message_bytes,
            }
        });
    let change = (replicas(), counters()).prop_map(|(replica, counter)| ChangeId { replica, counter });
    let error = (codes(), texts(), option::of(documents()), option::of(integers()), option::of(change))
        .prop_map(|(code, message, document, request, change)| ErrorMessage {
            code,
            message,
            document,
            request,
            change,
        });
    prop_oneof![
        hello.prop_map(Message::Hello),
        welcome.prop_map(Message::Welcome),
        error.prop_map(Message::Error),
        integers().prop_map(|nonce| Message::Ping { nonce }),
        integers().prop_map(|nonce| Message::Pong { nonce }),
        (any::<u16>(), texts()).prop_map(|(code, reason)| Message::Goodbye { code, reason }),
    ]
    .boxed()
}

fn upward_messages() -> BoxedStrategy<Message> {
    let cursor = (epochs(), sequences()).prop_map(|(epoch, sequence)| Cursor { epoch, sequence });
    let open = || {
        (documents(), haves(), vec(runs(), 0..2)).prop_map(|(document, have, pending)| OpenDocument {
            document,
            have,
            pending,
        })
    };
    let member = (any::<u32>(), texts()).prop_map(|(number, principal)| RelayedMember { number, principal });
    prop_oneof![
        (select(vec![Scope::Documents, Scope::List]), option::of(cursor))
            .prop_map(|(scope, cursor)| Message::Follow { scope, cursor }),
        vec(open(), 0..3).prop_map(|documents| Message::Open { documents }),
        vec(documents(), 0..3).prop_map(|documents| Message::Close { documents }),
        vec(pushes(), 0..3).prop_map(|pushes| Message::Push { pushes }),
        (documents(), replicas(), counters(), option::of(values()), option::of(headers())).prop_map(
            |(document, replica, counter, content, header)| Message::SeenContent {
                document,
                replica,
                counter,
                content,
                header
            }
        ),
        (documents(), presence(), option::of(member))
            .prop_map(|(document, change, member)| { Message::Presence { document, change, member } }),
        (integers(), option::of(open())).prop_map(|(request, about)| Message::Inquiry { request, about }),
        (integers(), documents(), option::of(revisions()), any::<u32>()).prop_map(
            |(request, document, before, limit)| Message::HistoryRequest { request, document, before, limit }
        ),
        (documents(), revisions(), vec(entries(), 0..3))
            .prop_map(|(document, first, entries)| Message::Entries { document, first, entries }),
    ]
    .boxed()
}

fn document_messages() -> BoxedStrategy<Message> {
    let update = (documents(), revisions(), any::<[u8; 32]>(), vec(entries(), 0..3), option::of(sequences()));
    let finding = (integers(), sequences(), any::<bool>(), vec(haves(), 0..3), vec(outcomes(), 0..3))
        .prop_map(|(request, head, continues, ancestors, outcomes)| Finding {
            request,
            head,
            continues,
            ancestors,
            outcomes,
        });
    prop_oneof![
        update.prop_map(|(document, first, previous, entries, position)| {
            Message::Update(Update { document, first, previous: ChainHash(previous), entries, position })
        }),
        snapshots().prop_map(|snapshot| Message::Snapshot(Box::new(snapshot))),
        (documents(), vec(outcomes(), 0..3))
            .prop_map(|(document, outcomes)| Message::Outcomes { document, outcomes }),
        (documents(), replicas(), counters()).prop_map(|(document, replica, counter)| Message::NeedSeen {
            document,
            replica,
            counter
        }),
        (documents(), replicas(), counters()).prop_map(|(document, replica, counter)| Message::Forked {
            document,
            replica,
            counter
        }),
        (integers(), documents(), revisions(), vec(entries(), 0..3), any::<bool>()).prop_map(
            |(request, document, first, entries, more)| Message::HistoryPage {
                request,
                document,
                first,
                entries,
                more
            }
        ),
        finding.prop_map(Message::Finding),
        (documents(), revisions(), revisions()).prop_map(|(document, after, until)| Message::NeedEntries {
            document,
            after,
            until
        }),
    ]
    .boxed()
}

fn list_messages() -> BoxedStrategy<Message> {
    let item = (documents(), revisions(), sequences(), any::<bool>(), option::of(texts()), times()).prop_map(
        |(document, revision, sequence, deleted, title, updated_at)| ListItem {
            document,
            revision,
            sequence,
            deleted,
            title,
            updated_at,
        },
    );
    let member = (member_ids(), texts(), presence()).prop_map(|(member, principal, change)| Member {
        member,
        principal,
        change,
    });
    prop_oneof![
        sequences().prop_map(|sequence| Message::Position { sequence }),
        (vec(item, 0..3), sequences()).prop_map(|(items, position)| Message::Listing { items, position }),
        (documents(), any::<bool>(), vec(member, 0..3), vec(member_ids(), 0..3)).prop_map(
            |(document, keyframe, members, left)| Message::Members { document, keyframe, members, left }
        ),
    ]
    .boxed()
}

/// Bytes as hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
