//! Replies of the replica in the words of the text door.

use std::sync::Arc;

use rejoin_core::Base;
use rejoin_core::{HistoryEntry, Life, Presence, Present, VectorClock, View};
use rejoin_json::{ContentHash, Json, Operation, Patch, PointerBuf, Policy};
use rejoin_wire::{
    ConflictRecord, DocumentId, Effect, Entry, EventType, MemberId, RequestId, Revision, Rfc3339,
    TextConflict, TextDocument, TextEvent, TextMember, TextMessage, TextResponse, TextUpdate, whole_document,
};

use super::Response;
use crate::answers::Refused;

pub(super) fn answer(request_id: Option<RequestId>, message: TextResponse) -> Response {
    TextMessage { request_id, message }
}

pub(super) fn error(refused: Refused) -> TextResponse {
    let Refused { code, message } = refused;
    TextResponse::Error { code, message, field: None, retry: code.retry() }
}

pub(super) fn named_base(revision: Option<Revision>, hash: Option<ContentHash>) -> Option<Base> {
    match (revision, hash) {
        (Some(revision), Some(hash)) => Some(Base::Both(revision, hash)),
        (revision, hash) => revision.map(Base::Revision).or(hash.map(Base::Hash)),
    }
}

pub(super) fn synced(view: &View) -> TextResponse {
    let conflicts = view.conflicts.values().map(TextConflict::from).collect();
    TextResponse::SyncDocument { document: text_document(view), conflicts }
}

pub(crate) fn text_document(view: &View) -> TextDocument {
    TextDocument {
        id: view.document.clone(),
        title: view.title(),
        content: view.content.clone(),
        version: view.version,
        revision: view.revision,
        vector_clock: view.clock.iter().map(|change| (change.replica, change.counter)).collect(),
        created_at: Rfc3339(view.created_at),
        updated_at: Rfc3339(view.updated_at),
        deleted_at: (view.life == Life::Deleted).then_some(Rfc3339(view.updated_at)),
        author: Arc::clone(&view.author),
    }
}

pub(super) fn conflicts_of(
    document: &DocumentId,
    revision: Revision,
    policy: Policy,
    records: &[ConflictRecord],
) -> TextResponse {
    TextResponse::ConflictDetected {
        document_id: document.clone(),
        revision,
        resolution_strategy: policy,
        conflicts: records.iter().map(TextConflict::from).collect(),
    }
}

pub(super) fn has_splice(effect: &Effect) -> bool {
    let splices = |patch: &Patch| patch.iter().any(|operation| matches!(operation, Operation::Splice { .. }));
    matches!(effect, Effect::Patched { patch } if splices(patch))
}

/// What a revision is in the words of the text door, as far as its entry says it.
pub(super) fn news_of(id: &DocumentId, revision: Revision, entry: &Entry) -> Vec<Response> {
    let mut news: Vec<Response> = Vec::new();
    let time = Rfc3339(entry.time);
    let author = Arc::clone(&entry.author);
    match &entry.effect {
        // Of a document that was there before, only the document itself says all.
        Effect::Created { .. } if revision > Revision(1) => {}
        Effect::Created { header, content } => {
            let title =
                header.title.clone().or_else(|| content.get("title").and_then(Json::as_str).map(Arc::from));
            let document = TextDocument {
                id: id.clone(),
                title,
                content: content.clone(),
                version: 1,
                revision,
                vector_clock: VectorClock::from_iter([entry.change])
                    .iter()
                    .map(|change| (change.replica, change.counter))
                    .collect(),
                created_at: time,
                updated_at: time,
                deleted_at: None,
                author,
            };
            news.push(TextResponse::DocumentCreated { document }.into());
        }
        Effect::Patched { patch } => news.push(updated(id, revision, entry, patch).into()),
        Effect::Deleted => {
            news.push(
                TextResponse::DocumentDeleted { document_id: id.clone(), revision, author, time }.into(),
            );
        }
        Effect::Header { .. } | Effect::Undeleted | Effect::Void | Effect::Own | Effect::Merged { .. } => {}
    }
    news
}

pub(super) fn updated(id: &DocumentId, revision: Revision, entry: &Entry, patch: &Patch) -> TextResponse {
    let patch = TextUpdate {
        document_id: id.clone(),
        patch: patch.to_json(),
        revision,
        content_hash: None,
        author: Arc::clone(&entry.author),
        time: Rfc3339(entry.time),
    };
    TextResponse::DocumentUpdated { patch }
}

/// The update that puts whole strings where an entry has parts of them, taken from the content that it led to. `None` where the document has
/// gone on since, or the patch moves places: then only the whole document tells it.
pub(super) fn whole_strings(entry: &Entry, revision: Revision, view: &View) -> Option<TextResponse> {
    let Effect::Patched { patch } = &entry.effect else { return None };
    if view.revision != revision {
        return None;
    }
    let mut whole: Vec<Operation> = Vec::new();
    for operation in patch.iter() {
        let (Operation::Splice { path, .. } | Operation::Replace { path, .. }) = operation else {
            return None;
        };
        let is_told = |told: &Operation| told.path() == operation.path();
        if !whole.iter().any(is_told) {
            whole.push(Operation::Replace { path: path.clone(), value: view.content.pointer(path)?.clone() });
        }
    }
    Some(updated(&view.document, revision, entry, &Patch(whole)))
}

/// What a revision is in the feed of events; `None` for one that changed nothing that a person sees.
pub(crate) fn event_of(id: &DocumentId, revision: Revision, entry: &HistoryEntry) -> Option<TextEvent> {
    let HistoryEntry { entry, forward_patch, reverse_patch, before, title, mended } = entry;
    let whole = |title: Option<&str>, content: &Json| {
        whole_document(id, title.or_else(|| content.get("title").and_then(Json::as_str)), content)
    };
    let replaced = || {
        let value = before.clone()?;
        Some(Patch(vec![Operation::Replace { path: PointerBuf::default(), value }]).to_json())
    };
    let before = || before.as_ref().map(|content| whole(title.as_deref(), content));
    let nothing = || Some(Patch::default().to_json());
    let (event_type, forward_patch, reverse_patch) = match &entry.effect {
        Effect::Created { header, content } => {
            (EventType::Create, Some(whole(header.title.as_deref(), content)), None)
        }
        Effect::Patched { patch } => (
            EventType::Update,
            Some(forward_patch.as_ref().unwrap_or(patch).to_json()),
            reverse_patch.as_ref().map(Patch::to_json).or_else(nothing),
        ),
        Effect::Header { .. } => (EventType::Update, nothing(), nothing()),
        // Where it cannot be said any more what an update changed, as the updates before it are damaged, that stays open.
        Effect::Merged { .. } => (
            EventType::Update,
            forward_patch.as_ref().map(Patch::to_json).or_else(nothing),
            reverse_patch.as_ref().map(Patch::to_json).or_else(nothing),
        ),
        Effect::Deleted => (EventType::Delete, None, before()),
        Effect::Undeleted => (EventType::Undelete, before(), None),
        // Whoever read on while revisions could not be read was not told of them.
        Effect::Void if *mended == Some(Life::Alive) => (EventType::Update, replaced(), nothing()),
        Effect::Void if *mended == Some(Life::Deleted) => (EventType::Delete, None, before()),
        Effect::Void | Effect::Own => return None,
    };
    Some(TextEvent {
        sequence: entry.sequence,
        event_type,
        document_id: id.clone(),
        revision,
        forward_patch,
        reverse_patch,
        author: Arc::clone(&entry.author),
        time: Rfc3339(entry.time),
    })
}

/// These members with their whole states, as they are known now.
pub(super) fn members(present: &Present, members: &[MemberId]) -> Vec<TextMember> {
    let whole = |member: &MemberId| {
        let Presence { principal, state } = present.presence(*member)?;
        Some(TextMember { member: *member, author: Arc::clone(principal), state: state.clone() })
    };
    members.iter().filter_map(whole).collect()
}
