//! Writes over REST: what is asked for becomes a change, which is submitted.

use std::future::Future;
use std::sync::Arc;

use axum::Extension;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::Response;
use rejoin_core::{
    Accepted, Base, ConflictChoice, Grant, Life, OpenConflict, Past, Replica, Reply, RequestKey,
};
use rejoin_json::{
    DiffOptions, Json, Limits, Patch, UnknownPolicy, diff, merge_patch_apply, merge_patch_to_patch,
};
use rejoin_wire::{
    Body as ChangeBody, ConflictId, DocumentId, ErrorCode, Header, Revision, TextConflict, TextDocument,
};
use serde::{Deserialize, Serialize};

use super::input::{Path, Query, bad_body, from_json};
use super::keys::{Asked, key_of};
use super::{alive, read_view, refused, tagged};
use crate::error::ApiError;
use crate::router::Server;
use crate::text_door::text_document;

/// Media type of JSON Patch (RFC 6902).
const JSON_PATCH: &str = "application/json-patch+json";

/// Media type of JSON Merge Patch (RFC 7396).
pub(super) const MERGE_PATCH: &str = "application/merge-patch+json";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewDocument {
    id: DocumentId,
    content: Json,
    #[serde(default)]
    title: Option<Arc<str>>,
    #[serde(default)]
    policy: Option<String>,
    #[serde(default)]
    counters: Vec<rejoin_json::PointerBuf>,
    #[serde(default)]
    identity: Option<Vec<Arc<str>>>,
}

pub(super) async fn create(
    State(server): State<Server>,
    Extension(grant): Extension<Grant>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, ApiError> {
    let document: NewDocument = from_json(&body)?;
    let id = document.id.clone();
    let key = key_of(&headers, &Asked { kind: &[b"create"], document: &id, body: &body })?;
    let policy = server.policy();
    let change = async { Ok((creation(document, policy)?, Base::Current)) };
    Write { server: &server, grant, id, key }.answer(change).await
}

fn creation(document: NewDocument, policy: rejoin_json::Policy) -> Result<ChangeBody, ApiError> {
    let mut header =
        Header { title: document.title, policy, counters: document.counters, ..Header::default() };
    if let Some(policy) = document.policy {
        let unknown = |error: UnknownPolicy| ApiError::new(ErrorCode::BadMessage, error.to_string());
        header.policy = policy.parse().map_err(unknown)?;
    }
    header.identity = document.identity.unwrap_or(header.identity);
    header.check().map_err(|error| ApiError::new(ErrorCode::TooLarge, error.to_string()))?;
    Ok(ChangeBody::Create { header, content: document.content })
}

pub(super) async fn patch(
    State(server): State<Server>,
    Extension(grant): Extension<Grant>,
    headers: HeaderMap,
    Path(id): Path<DocumentId>,
    Query(query): Query<BaseQuery>,
    body: Bytes,
) -> Result<Response, ApiError> {
    let media = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let is_merge = match media.split(';').next().unwrap_or_default().trim() {
        JSON_PATCH | "application/json" => false,
        MERGE_PATCH => true,
        _ => {
            let message = format!("PATCH takes `{JSON_PATCH}` or `{MERGE_PATCH}`; say which in Content-Type");
            return Err(ApiError::new(ErrorCode::BadMessage, message));
        }
    };
    let base = query.base(&headers)?;
    let key = query.key(&headers, if is_merge { b"merge" } else { b"patch" }, &id, &body)?;
    let change = async {
        if !is_merge {
            let text = std::str::from_utf8(&body).map_err(|error| bad_body(&body, &error))?;
            let patch = Patch::parse(text, &Limits::default()).map_err(|error| bad_body(&body, &error))?;
            return Ok((edit(patch), base.unwrap_or(Base::Current)));
        }
        let merge_patch: Json = from_json(&body)?;
        let seen = Seen::at(&server, &id, base).await?;
        Ok((edit(seen.merged(&merge_patch)?), seen.base))
    };
    Write { server: &server, grant, id: id.clone(), key }.answer(change).await
}

pub(super) async fn replace(
    State(server): State<Server>,
    Extension(grant): Extension<Grant>,
    headers: HeaderMap,
    Path(id): Path<DocumentId>,
    Query(query): Query<BaseQuery>,
    body: Bytes,
) -> Result<Response, ApiError> {
    let base = query.base(&headers)?;
    let key = query.key(&headers, b"put", &id, &body)?;
    let change = async {
        let content: Json = from_json(&body)?;
        let seen = Seen::at(&server, &id, base).await?;
        Ok((edit(diff(&seen.content, &content, &seen.options())), seen.base))
    };
    Write { server: &server, grant, id: id.clone(), key }.answer(change).await
}

pub(super) async fn delete(
    State(server): State<Server>,
    Extension(grant): Extension<Grant>,
    headers: HeaderMap,
    Path(id): Path<DocumentId>,
    Query(query): Query<BaseQuery>,
) -> Result<Response, ApiError> {
    let base = query.base(&headers)?;
    let key = query.key(&headers, b"delete", &id, &[])?;
    let change = async { Ok((ChangeBody::Delete, base.unwrap_or(Base::Current))) };
    Write { server: &server, grant, id, key }.answer(change).await
}

pub(super) async fn undelete(
    State(server): State<Server>,
    Extension(grant): Extension<Grant>,
    headers: HeaderMap,
    Path(id): Path<DocumentId>,
) -> Result<Response, ApiError> {
    let key = key_of(&headers, &Asked { kind: &[b"undelete"], document: &id, body: &[] })?;
    let change = async { Ok((ChangeBody::Undelete, Base::Current)) };
    Write { server: &server, grant, id, key }.answer(change).await
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
struct Settlement {
    /// `keep`, `current`, `incoming` or `base`.
    choice: Option<String>,
    /// Another value.
    value: Option<Json>,
}

pub(super) async fn settle(
    State(server): State<Server>,
    Extension(grant): Extension<Grant>,
    headers: HeaderMap,
    Path((id, conflict)): Path<(DocumentId, String)>,
    body: Bytes,
) -> Result<Response, ApiError> {
    let kind = [b"settle".as_slice(), conflict.as_bytes()];
    let key = key_of(&headers, &Asked { kind: &kind, document: &id, body: &body })?;
    let change = settlement(&server, &id, &conflict, &body);
    Write { server: &server, grant, id: id.clone(), key }.answer(change).await
}

async fn settlement(
    server: &Server,
    id: &DocumentId,
    conflict: &str,
    body: &[u8],
) -> Result<(ChangeBody, Base), ApiError> {
    let settlement: Settlement = from_json(body)?;
    let bad = |message: &str| ApiError::new(ErrorCode::BadMessage, message);
    let (revision, index) =
        conflict.split_once('-').ok_or_else(|| bad("a conflict is named revision-index, as 12-0"))?;
    let number = |text: &str| text.parse().map_err(|_| bad("a conflict is named revision-index, as 12-0"));
    let name = ConflictId {
        revision: Revision(number(revision)?),
        index: u32::try_from(number(index)?).unwrap_or(u32::MAX),
    };
    let document = id.clone();
    let read = move |replica: &mut Replica, token| replica.read_conflict(token, &document, name);
    let OpenConflict { view, place } = match server.command(read).await? {
        Reply::Conflict(conflict) => *conflict,
        reply => return Err(refused(reply)),
    };
    let view = alive(view)?;
    let record = view
        .conflicts
        .get(&name)
        .ok_or_else(|| ApiError::new(ErrorCode::DocumentNotFound, "there is no such open conflict"))?;
    let choice = match (settlement.choice.as_deref(), settlement.value) {
        (None, Some(value)) => ConflictChoice::Value(value),
        (Some("keep"), None) => ConflictChoice::Keep,
        (Some("current"), None) => ConflictChoice::Current,
        (Some("incoming"), None) => ConflictChoice::Incoming,
        (Some("base"), None) => ConflictChoice::Base,
        _ => return Err(bad("settle with {\"choice\": keep | current | incoming | base} or {\"value\": …}")),
    };
    let patch = choice.patch(record, place.as_ref(), &view.content).ok_or_else(|| {
        ApiError::new(
            ErrorCode::InvalidPatch,
            "the place of the conflict is not there any more; settle it by `keep`",
        )
    })?;
    Ok((ChangeBody::Edit { patch, settles: vec![name], undoes: None }, Base::Revision(view.revision)))
}

fn edit(patch: Patch) -> ChangeBody {
    ChangeBody::Edit { patch, settles: Vec::new(), undoes: None }
}

/// What the sender of a whole content, or of a part of one, saw.
struct Seen {
    content: Json,
    header: Arc<Header>,
    base: Base,
}

impl Seen {
    /// The document at the base that a write names; as it is now where it names none.
    async fn at(server: &Server, id: &DocumentId, base: Option<Base>) -> Result<Self, ApiError> {
        let view = read_view(server, id).await?;
        let base = match base {
            Some(Base::Revision(revision)) if revision != view.revision => {
                return Self::before(server, id, revision).await;
            }
            Some(Base::Exactly(revision)) if revision != view.revision => {
                let message = format!(
                    "the document is at revision {}; read it again and repeat the change on that",
                    view.revision
                );
                return Err(ApiError::new(ErrorCode::PreconditionFailed, message));
            }
            Some(exactly @ Base::Exactly(_)) => exactly,
            _ => Base::Revision(view.revision),
        };
        Ok(Self { content: view.content, header: view.header, base })
    }

    async fn before(server: &Server, id: &DocumentId, revision: Revision) -> Result<Self, ApiError> {
        let document = id.clone();
        let past =
            match server.command(move |replica, token| replica.read_at(token, &document, revision)).await? {
                Reply::Past(past) => past,
                reply => return Err(refused(reply)),
            };
        if past.life != Life::Alive {
            let message = "there was no document at this revision; name one at which you saw it";
            return Err(ApiError::new(ErrorCode::UnknownBase, message));
        }
        let Past { header, content, .. } = *past;
        Ok(Self { content, header, base: Base::Revision(revision) })
    }

    /// The difference that a merge patch makes. Where each of its members by itself would be more than a patch may hold, containers are
    /// replaced: its sender knows nothing of operations, and cannot send fewer.
    fn merged(&self, merge_patch: &Json) -> Result<Patch, ApiError> {
        let patch = merge_patch_to_patch(&self.content, merge_patch);
        let options = self.options();
        if patch.len() <= options.max_operations {
            return Ok(patch);
        }
        let mut content = self.content.clone();
        merge_patch_apply(&mut content, merge_patch, &Limits::default())
            .map_err(|error| ApiError::new(ErrorCode::InvalidPatch, error.to_string()))?;
        Ok(diff(&self.content, &content, &options))
    }

    /// Elements are told apart as the document says.
    fn options(&self) -> DiffOptions {
        DiffOptions { identity_keys: self.header.identity.as_slice().into(), ..DiffOptions::default() }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct BaseQuery {
    /// The revision that the sender saw; what others did since is merged.
    base: Option<u64>,
}

impl BaseQuery {
    /// `If-Match` refuses a document that has moved on; `?base=` merges.
    fn base(&self, headers: &HeaderMap) -> Result<Option<Base>, ApiError> {
        let Some(tag) = headers.get(header::IF_MATCH) else {
            return Ok(self.base.map(|base| Base::Revision(Revision(base))));
        };
        let text = tag.to_str().unwrap_or_default();
        if text == "*" {
            return Ok(Some(Base::Current));
        }
        let revision = text.trim_matches('"').parse().map_err(|_| {
            ApiError::new(
                ErrorCode::BadMessage,
                "If-Match takes the ETag that a read gave: the revision in quotes",
            )
        })?;
        Ok(Some(Base::Exactly(Revision(revision))))
    }

    /// The key of the request, of which both are part as they were sent.
    fn key(
        &self,
        headers: &HeaderMap,
        kind: &[u8],
        document: &DocumentId,
        body: &[u8],
    ) -> Result<Option<RequestKey>, ApiError> {
        let base = self.base.map(|base| base.to_string()).unwrap_or_default();
        let tag = headers.get(header::IF_MATCH).map(HeaderValue::as_bytes).unwrap_or_default();
        key_of(headers, &Asked { kind: &[kind, base.as_bytes(), tag], document, body })
    }
}

/// A write on its way.
struct Write<'a> {
    server: &'a Server,
    grant: Grant,
    id: DocumentId,
    key: Option<RequestKey>,
}

impl Write<'_> {
    /// Answers a repeat as the first time, and anything else with what the change came to. Nothing is looked at for `change` before it is
    /// known to be no repeat: the first time may have changed all of it.
    async fn answer(
        self,
        change: impl Future<Output = Result<(ChangeBody, Base), ApiError>>,
    ) -> Result<Response, ApiError> {
        if let Some(first) = self.first_outcome().await? {
            return written(first);
        }
        let (body, base) = match change.await {
            Ok(change) => change,
            // Of two that come at once, one may find what the other has left.
            Err(error) => return self.first_outcome().await?.map_or(Err(error), written),
        };
        let Self { server, grant, id, key } = self;
        let submit = move |replica: &mut Replica, token| {
            replica.submit(token, grant, &id, body, base, key.as_ref());
        };
        written(server.command(submit).await?)
    }

    /// What became of the same write when it was sent before.
    async fn first_outcome(&self) -> Result<Option<Reply>, ApiError> {
        let Some(key) = self.key.clone() else { return Ok(None) };
        let (grant, id) = (self.grant.clone(), self.id.clone());
        let reply =
            self.server.command(move |replica, token| replica.repeat(token, &grant, &id, &key)).await?;
        Ok(Some(reply).filter(|reply| !matches!(reply, Reply::New)))
    }
}

fn written(reply: Reply) -> Result<Response, ApiError> {
    let accepted = match reply {
        Reply::Accepted(accepted) => accepted,
        reply => return Err(refused(reply)),
    };
    let Accepted { view, revision, conflicts, created, .. } = *accepted;
    let conflicts = conflicts.iter().map(TextConflict::from).collect();
    let written = Written { document: text_document(&view), accepted_revision: revision, conflicts };
    let mut response = tagged(&view, written);
    if created {
        *response.status_mut() = StatusCode::CREATED;
    }
    Ok(response)
}

/// What a write made.
#[derive(Serialize)]
struct Written {
    #[serde(flatten)]
    document: TextDocument,
    /// The revision that this write made; the document may be further already.
    accepted_revision: Revision,
    conflicts: Vec<TextConflict>,
}
