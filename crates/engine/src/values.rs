//! What a page is told, and how values cross: in the compact encoding, whose other half is `npm/rejoin/src/host/codec.ts`.

use std::sync::Arc;

use rejoin_core::storage::StoreError;
use rejoin_core::{
    Event, HistoryEntry, HistoryPage, Life, LinkStatus, OnRung, OwnChange, Presence, RejectedChange, Replica,
    Reply, Rung, SyncStatus, View,
};
use rejoin_json::{ConflictKind, Json, Limits, Operation, Patch, Winner, apply};
use rejoin_wire::{
    Body, ChangeId, ConflictRecord, CrdtUpdate, Effect, Header, ListItem, MemberId, ReplicaId,
    around_documents,
};

use crate::commands::Refused;
use crate::telling::MAX_TOLD_PENDING;

/// Reads what a page says.
pub(crate) fn read(bytes: &[u8]) -> Result<Json, Refused> {
    around_documents(bytes).map_err(|error| Refused::new("invalid_value", &error.to_string()))
}

pub(crate) fn object<const N: usize>(members: [(&str, Json); N]) -> Json {
    members.into_iter().map(|(key, value)| (Arc::from(key), value)).collect()
}

pub(crate) fn count(number: u64) -> Json {
    Json::number(number as f64).unwrap_or_default()
}

/// An update of a CRDT document as a text: of each character only the lowest eight bits count.
pub(crate) fn update_of(text: &str) -> CrdtUpdate {
    let mut bytes = Vec::with_capacity(text.len());
    for character in text.chars() {
        bytes.push(character as u8);
    }
    CrdtUpdate(bytes.into())
}

/// A text of an update: each byte is the character of that number.
pub(crate) fn text_of(update: &CrdtUpdate) -> Json {
    let mut text = String::new();
    for byte in &update.0 {
        text.push(char::from(*byte));
    }
    Json::from(text)
}

pub(crate) fn updates(updates: &[CrdtUpdate]) -> Json {
    updates.iter().map(text_of).collect()
}

fn size(number: usize) -> Json {
    count(number as u64)
}

fn shared(text: &Arc<str>) -> Json {
    Json::from(Arc::clone(text))
}

fn or_null(value: Option<Json>) -> Json {
    value.unwrap_or_default()
}

/// A change's name, as commands take it too.
pub(crate) fn change_name(change: ChangeId) -> String {
    format!("{}/{}", change.replica, change.counter.0)
}

/// What is known of a document besides its content.
pub(crate) fn facts(replica: &Replica, view: &View) -> Json {
    let id = &view.document;
    let Some(status) = replica.status(id) else { return Json::Null };
    let mut pending = replica.pending(id);
    let unnamed = pending.len().saturating_sub(MAX_TOLD_PENDING);
    let pending: Json = pending.drain(unnamed..).map(|own| pending_change(&own)).collect();
    object([
        ("author", shared(&view.author)),
        (
            "conflicts",
            view.conflicts.values().map(|record| conflict(record, &view.content, replica.id())).collect(),
        ),
        ("header", header(&view.header)),
        ("life", Json::from(life(view.life))),
        ("pending", pending),
        ("pendingCount", size(status.pending)),
        (
            "recovered",
            replica
                .recovered(id)
                .into_iter()
                .map(|version| {
                    object([
                        ("at", count(version.at.0)),
                        ("content", version.content),
                        ("number", count(version.number)),
                        ("revision", count(version.revision.0)),
                    ])
                })
                .collect(),
        ),
        ("rejected", replica.rejected(id).iter().map(rejected_change).collect()),
        ("revision", count(view.revision.0)),
        ("rung", Json::from(rung(status.rung))),
        ("synced", Json::from(status.synced)),
        ("title", or_null(view.title().map(Json::from))),
        ("updatedAt", count(view.updated_at.0)),
        ("version", count(view.version)),
    ])
}

fn life(life: Life) -> &'static str {
    match life {
        Life::Absent => "absent",
        Life::Alive => "alive",
        Life::Deleted => "deleted",
    }
}

fn rung(rung: Rung) -> &'static str {
    match rung {
        Rung::Local => "local",
        Rung::Saved => "saved",
        Rung::Sent => "sent",
        Rung::Acknowledged => "acknowledged",
    }
}

fn header(header: &Header) -> Json {
    object([
        ("counters", header.counters.iter().map(|pointer| Json::from(pointer.as_str())).collect()),
        ("identity", header.identity.iter().map(shared).collect()),
        ("policy", Json::from(header.policy.name())),
        ("title", or_null(header.title.as_ref().map(shared))),
    ])
}

fn conflict(record: &ConflictRecord, content: &Json, own: ReplicaId) -> Json {
    let mut members = vec![
        ("author", shared(&record.author)),
        ("change", Json::from(change_name(record.change))),
        ("id", Json::from(format!("{}/{}", record.id.revision.0, record.id.index))),
        ("isOwn", Json::from(record.change.replica == own)),
        ("kind", Json::from(kind(record.kind))),
        // Where the place is now, if it is still there.
        ("path", or_null(record.path.resolve(content).map(|path| Json::from(path.as_str())))),
        ("place", Json::from(record.path.to_string())),
        ("time", count(record.time.0)),
        ("unresolved", Json::from(record.unresolved)),
        ("winner", Json::from(winner(record.winner))),
    ];
    let values = [("base", &record.base), ("current", &record.current), ("incoming", &record.incoming)];
    members.extend(values.into_iter().filter_map(|(name, value)| Some((name, value.clone()?))));
    members.into_iter().map(|(key, value)| (Arc::from(key), value)).collect()
}

fn kind(kind: ConflictKind) -> &'static str {
    match kind {
        ConflictKind::Edited => "edited",
        ConflictKind::Inserted => "inserted",
        ConflictKind::Text => "text",
        ConflictKind::Counter => "counter",
        ConflictKind::DeletedCurrent => "deleted_current",
        ConflictKind::DeletedIncoming => "deleted_incoming",
        _ => "other",
    }
}

fn winner(winner: Winner) -> &'static str {
    match winner {
        Winner::Current => "current",
        Winner::Incoming => "incoming",
        Winner::Merged => "merged",
    }
}

fn pending_change(own: &OwnChange) -> Json {
    object([
        ("id", Json::from(change_name(own.change.id()))),
        ("kind", Json::from(body_kind(&own.change.body))),
        ("paths", paths(&own.change.body)),
        ("rung", Json::from(rung(own.rung))),
        ("time", count(own.change.time.0)),
    ])
}

fn rejected_change(rejected: &RejectedChange) -> Json {
    let patch = match &rejected.change.body {
        Body::Edit { patch, .. } => patch.to_json(),
        _ => Json::Null,
    };
    let content = match &rejected.change.body {
        Body::Create { content, .. } => content.clone(),
        Body::Merge { update } => text_of(update),
        _ => Json::Null,
    };
    object([
        ("code", Json::from(rejected.code.name())),
        ("content", content),
        ("id", Json::from(change_name(rejected.change.id()))),
        ("kind", Json::from(body_kind(&rejected.change.body))),
        ("message", shared(&rejected.message)),
        ("patch", patch),
        ("time", count(rejected.change.time.0)),
    ])
}

fn body_kind(body: &Body) -> &'static str {
    match body {
        Body::Create { .. } => "create",
        Body::Edit { undoes: Some(_), .. } => "undo",
        Body::Edit { settles, .. } if !settles.is_empty() => "settle",
        Body::Edit { .. } => "edit",
        Body::Header { .. } => "header",
        Body::Delete => "delete",
        Body::Undelete => "undelete",
        Body::Void => "void",
        Body::Merge { .. } => "merge",
    }
}

fn paths(body: &Body) -> Json {
    match body {
        Body::Edit { patch, .. } => {
            patch.iter().map(|operation| Json::from(operation.path().as_str())).collect()
        }
        _ => Json::Null,
    }
}

pub(crate) fn status(status: &SyncStatus) -> Json {
    let on = |on: &OnRung| object([("ageMs", count(on.age_ms)), ("changes", size(on.changes))]);
    object([
        ("acknowledged", count(status.ladder.acknowledged)),
        ("ageMs", count(status.age_ms)),
        ("durable", Json::from(status.durable)),
        ("link", link(status.link)),
        ("local", on(&status.ladder.local)),
        ("outboxBytes", size(status.outbox_bytes)),
        ("pending", size(status.pending)),
        ("rung", Json::from(rung(status.rung))),
        ("saved", on(&status.ladder.saved)),
        ("sent", on(&status.ladder.sent)),
    ])
}

/// The name of the state, or the close code of a refusal.
fn link(status: LinkStatus) -> Json {
    match status {
        LinkStatus::Offline => Json::from("offline"),
        LinkStatus::Connecting => Json::from("connecting"),
        LinkStatus::Online => Json::from("online"),
        LinkStatus::Refused { code } => Json::from(u32::from(code)),
    }
}

pub(crate) fn present(present: &[(MemberId, Presence)]) -> Json {
    present
        .iter()
        .map(|(member, presence)| {
            object([
                ("member", count(member.0)),
                ("principal", shared(&presence.principal)),
                ("state", presence.state.clone()),
            ])
        })
        .collect()
}

pub(crate) fn list(items: &[ListItem]) -> Json {
    items
        .iter()
        .map(|item| {
            object([
                ("deleted", Json::from(item.deleted)),
                ("id", Json::from(item.document.as_str())),
                ("revision", count(item.revision.0)),
                ("title", or_null(item.title.as_ref().map(shared))),
                ("updatedAt", count(item.updated_at.0)),
            ])
        })
        .collect()
}

pub(crate) fn event(event: &Event) -> Option<Json> {
    let of = |kind: &str, document: &rejoin_wire::DocumentId| {
        object([("document", Json::from(document.as_str())), ("type", Json::from(kind))])
    };
    Some(match event {
        Event::Ready => object([("type", Json::from("ready"))]),
        Event::Conflicted { document, .. } => of("conflict", document),
        Event::Rejected { document, .. } => of("rejected", document),
        Event::Recovered { document } => of("recovered", document),
        Event::Quarantined { document } => of("quarantined", document),
        Event::Forked { .. } => object([("type", Json::from("forked"))]),
        Event::CaughtUp { .. } => object([("type", Json::from("caughtUp"))]),
        Event::StoreFailed { error, lasting } => object([
            ("code", Json::from(store_code(error))),
            ("lasting", Json::from(*lasting)),
            ("message", Json::from(error.to_string())),
            ("type", Json::from("storeFailed")),
        ]),
        Event::StoreWorks => object([("type", Json::from("storeWorks"))]),
        _ => return None,
    })
}

fn store_code(error: &StoreError) -> &'static str {
    match error {
        StoreError::QuotaExceeded(_) => "full",
        StoreError::Corrupted(_) => "corrupted",
        StoreError::Conflict(_) => "conflict",
        _ => "unavailable",
    }
}

pub(crate) fn reply(reply: &Reply, own: ReplicaId) -> Json {
    match reply {
        Reply::History(page) => object([("ok", history(page, own))]),
        Reply::Refused { code, message } => object([("error", Refused::new(code.name(), message).to_json())]),
        _ => Json::Null,
    }
}

fn history(page: &HistoryPage, own: ReplicaId) -> Json {
    let revisions = page.entries.iter().zip(page.first.0..);
    object([
        ("entries", revisions.map(|(entry, revision)| history_entry(entry, revision, own)).collect()),
        ("more", Json::from(page.more)),
    ])
}

fn history_entry(entry: &HistoryEntry, revision: u64, own: ReplicaId) -> Json {
    let HistoryEntry { entry, forward_patch, reverse_patch, .. } = entry;
    let (kind, patch, content) = match &entry.effect {
        Effect::Own => ("own", None, None),
        Effect::Created { content, .. } => ("create", None, Some(content.clone())),
        Effect::Patched { patch } => ("edit", Some(forward_patch.as_ref().unwrap_or(patch).to_json()), None),
        Effect::Header { .. } => ("header", None, None),
        Effect::Deleted => ("delete", None, None),
        Effect::Undeleted => ("undelete", None, None),
        Effect::Void => ("void", None, None),
        Effect::Merged { .. } => ("merge", None, None),
    };
    object([
        ("author", shared(&entry.author)),
        ("change", Json::from(change_name(entry.change))),
        ("content", or_null(content)),
        ("isOwn", Json::from(entry.change.replica == own)),
        ("kind", Json::from(kind)),
        ("patch", or_null(patch)),
        ("revision", count(revision)),
        ("reverse", or_null(reverse_patch.as_ref().map(Patch::to_json))),
        ("time", count(entry.time.0)),
    ])
}

/// A patch whose splices count in units of UTF-16, as the strings of a page do.
pub(crate) fn patch_for_page(patch: &Patch, before: &Json) -> Json {
    if !patch.iter().any(|operation| matches!(operation, Operation::Splice { .. })) {
        return patch.to_json();
    }
    let mut state = before.clone();
    let mut operations = Vec::with_capacity(patch.len());
    for operation in patch {
        let alone = Patch(vec![operation.clone()]);
        operations.push(match operation {
            Operation::Splice { path, at, remove, insert } => {
                let text = state.pointer(path).and_then(Json::as_str).unwrap_or_default();
                let units = |range: &str| size(range.chars().map(char::len_utf16).sum());
                object([
                    ("at", units(text.get(..*at).unwrap_or_default())),
                    ("insert", Json::from(insert.as_str())),
                    ("op", Json::from("splice")),
                    ("path", Json::from(path.as_str())),
                    ("remove", units(text.get(*at..at + remove).unwrap_or_default())),
                ])
            }
            _ => alone.to_json().as_array().and_then(|list| list.get(0).cloned()).unwrap_or_default(),
        });
        // A difference applies to what it was made from.
        let _ = apply(&mut state, &alone, &Limits::default());
    }
    operations.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_update_is_the_same_as_a_text_and_back_whatever_its_bytes_are() {
        let update = CrdtUpdate((0..=255).collect::<Vec<u8>>().into());
        let text = text_of(&update);
        assert_eq!(text.as_str().map(update_of), Some(update));
        assert_eq!(update_of("\u{0}a\u{ff}\u{141}").0, [0, b'a', 255, b'A'].as_slice());
    }
}
