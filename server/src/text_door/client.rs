//! What the text door asks of a workspace's replica, one request at a time.

use std::collections::VecDeque;

use rejoin_core::{Accepted, Base, Grant, Life, Replica, Reply, RequestKey, View};
use rejoin_json::{DiffOptions, diff};
use rejoin_wire::{
    Body, DocumentId, Effect, Entry, ErrorCode, Have, Message, OpenDocument, PresenceChange, RequestId,
    Revision, Sequence, TextOutcome, TextResponse, WorkspaceId,
};

use super::words::{answer, conflicts_of, error, synced, text_document, updated, whole_strings};
use super::{Done, Look, Looked, Own, Work};
use crate::answers::Refused;
use crate::feed::{Events, Feed};
use crate::hub::Hub;

/// What a request needs of the server, apart from the door that it came through.
pub(super) struct Client {
    pub(super) hub: Hub,
    pub(super) workspace: WorkspaceId,
    pub(super) grant: Grant,
}

/// A write of a text client.
pub(super) struct Write {
    pub(super) kind: Kind,
    pub(super) document: DocumentId,
    pub(super) body: Body,
    pub(super) base: Base,
    pub(super) key: Option<RequestKey>,
}

#[derive(Clone, Copy)]
pub(super) enum Kind {
    Create,
    Update,
    Delete,
    Undelete,
    Settle,
}

impl Kind {
    fn response(self, outcome: TextOutcome) -> TextResponse {
        match self {
            Self::Create => TextResponse::DocumentCreatedResponse(outcome),
            Self::Update => TextResponse::DocumentUpdatedResponse(outcome),
            Self::Delete => TextResponse::DocumentDeletedResponse(outcome),
            Self::Undelete => TextResponse::DocumentUndeletedResponse(outcome),
            Self::Settle => TextResponse::ConflictSettledResponse(outcome),
        }
    }
}

impl Client {
    pub(super) async fn write(self, request_id: Option<RequestId>, write: Write) -> Done {
        let Write { kind, document, body, base, key } = write;
        let (grant, id) = (self.grant.clone(), document.clone());
        let seen = named(&base);
        let reply = self
            .hub
            .command(&self.workspace, move |replica, token| {
                replica.submit(token, grant, &id, body, base, key.as_ref());
            })
            .await;
        let mut done = Done::default();
        let outcome = match reply {
            Ok(Reply::Accepted(accepted)) => {
                let Accepted { view, revision, conflicts, exact, .. } = *accepted;
                let outcome = TextOutcome::accepted(document.clone(), revision);
                done.responses.push(answer(request_id, kind.response(outcome)));
                if !conflicts.is_empty() {
                    let policy = view.header.policy;
                    done.responses.push(conflicts_of(&document, revision, policy, &conflicts).into());
                }
                done.accepted = Some(Box::new(Own { revision, seen, merged: !exact, view }));
                return done;
            }
            // No revision of it is known, since there is none.
            Ok(Reply::Refused { code: ErrorCode::UnknownBase, .. })
                if matches!(self.read(document.clone()).await, Ok(None)) =>
            {
                let message = "there is no such document; create it first, or check its id";
                TextOutcome::refused(document, ErrorCode::DocumentNotFound, message.into())
            }
            Ok(Reply::Refused { code, message }) => TextOutcome::refused(document, code, message),
            Ok(_) => TextOutcome::refused(
                document,
                ErrorCode::Unavailable,
                "the server gave no answer; send it again".into(),
            ),
            Err(stopped) => {
                TextOutcome::refused(document, ErrorCode::Unavailable, stopped.to_string().into())
            }
        };
        done.responses.push(answer(request_id, kind.response(outcome)));
        done
    }

    /// A document that exists, dead or alive.
    async fn read(&self, document: DocumentId) -> Result<Option<View>, Refused> {
        let reply =
            self.hub.command(&self.workspace, move |replica, token| replica.read(token, &document)).await?;
        match reply {
            Reply::Document(view) => Ok(Some(*view).filter(|view| view.life != Life::Absent)),
            reply => Err(reply.into()),
        }
    }

    /// Tells the first of these documents that exists, and then the others.
    pub(super) async fn sync(
        self,
        request_id: Option<RequestId>,
        mut documents: VecDeque<DocumentId>,
        mut synced_count: u64,
    ) -> Done {
        let mut done = Done::default();
        while let Some(document) = documents.pop_front() {
            match self.read(document.clone()).await {
                Ok(None) => {}
                Ok(Some(view)) => {
                    synced_count += 1;
                    done.whole.push((view.document.clone(), view.revision));
                    done.responses.push(answer(request_id.clone(), synced(&view)));
                    break;
                }
                // The others can be told.
                Err(refused) if refused.code == ErrorCode::Corrupted => {
                    done.responses.push(answer(request_id.clone(), error(refused.of(&document))));
                    break;
                }
                Err(refused) => {
                    done.responses.push(answer(request_id, error(refused.of(&document))));
                    return done;
                }
            }
        }
        if documents.is_empty() {
            done.responses.push(answer(request_id, TextResponse::SyncComplete { synced_count }));
        } else {
            done.next = Some(Work::Sync { request_id, documents, synced_count });
        }
        done
    }

    /// Tells what a revision did, by the document as it is now.
    pub(super) async fn look(self, look: Look) -> Done {
        let Look { document, revision, news } = look;
        let mut done = Done::default();
        if matches!(news, Looked::Nothing) && !self.was_mended(&document, revision).await {
            return done;
        }
        let view = match self.read(document.clone()).await {
            Ok(Some(view)) => view,
            Ok(None) => return done,
            Err(refused) => {
                done.responses.push(error(refused.of(&document)).into());
                return done;
            }
        };
        let response = match news {
            Looked::Patch(entry) => {
                let update = match &entry.effect {
                    Effect::Merged { .. } => self.merged(&entry, revision, &view).await,
                    _ => whole_strings(&entry, revision, &view),
                };
                update.unwrap_or_else(|| whole(&mut done, &view))
            }
            Looked::Whole => {
                done.whole.push((document, view.revision));
                TextResponse::DocumentCreated { document: text_document(&view) }
            }
            Looked::Anew | Looked::Nothing => whole(&mut done, &view),
            Looked::Conflicts(records) => conflicts_of(&document, revision, view.header.policy, &records),
        };
        done.responses.push(response.into());
        done
    }

    /// What an update of a CRDT document changed of what that shows; `None` where the document has gone on since, or was made by it.
    async fn merged(&self, entry: &Entry, revision: Revision, view: &View) -> Option<TextResponse> {
        if view.revision != revision {
            return None;
        }
        let document = view.document.clone();
        let read = move |replica: &mut Replica, token| replica.read_at(token, &document, revision.previous());
        let Ok(Reply::Past(past)) = self.hub.command(&self.workspace, read).await else { return None };
        if past.life != Life::Alive {
            return None;
        }
        let identity_keys = view.header.identity.as_slice().into();
        let options = DiffOptions { identity_keys, ..DiffOptions::default() };
        Some(updated(&view.document, revision, entry, &diff(&past.content, &view.content, &options)))
    }

    /// Whether a revision tells that the document was mended. Where that cannot be said it is told whole, for the case.
    async fn was_mended(&self, document: &DocumentId, revision: Revision) -> bool {
        let (document, before) = (document.clone(), Some(revision.next()));
        let history = self.hub.command(&self.workspace, move |replica, token| {
            replica.history(token, &document, before, 1);
        });
        match history.await {
            Ok(Reply::History(page)) => page.entries.iter().any(|entry| entry.mended.is_some()),
            _ => true,
        }
    }

    /// Opens a document where it is now, so that nothing of it is told again.
    pub(super) async fn open(self, document: DocumentId, show: Option<PresenceChange>) -> Done {
        let have = match self.read(document.clone()).await {
            Ok(Some(view)) => Have { revision: view.revision, chain: view.chain },
            Ok(None) => Have::default(),
            Err(refused) => {
                let responses = vec![error(refused.of(&document)).into()];
                return Done { responses, unopened: Some(document), ..Done::default() };
            }
        };
        let open = OpenDocument { document: document.clone(), have, pending: Vec::new() };
        let mut messages = vec![Message::Open { documents: vec![open] }];
        messages.extend(show.map(|change| Message::Presence { document, change, member: None }));
        Done { messages, ..Done::default() }
    }

    /// Tells the oldest events after a position, at most `limit` and no more than one answer has room for.
    pub(super) async fn changes(
        self,
        request_id: Option<RequestId>,
        since: Sequence,
        limit: Option<u32>,
    ) -> Done {
        let response = match self.feed().after(since, limit).await {
            Ok(Events { events, latest_sequence, has_more }) => {
                TextResponse::Changes { events, latest_sequence, has_more }
            }
            Err(refused) => error(refused),
        };
        Done { responses: vec![answer(request_id, response)], ..Done::default() }
    }

    pub(super) async fn sync_all(self, request_id: Option<RequestId>) -> Done {
        match self.feed().documents().await {
            Ok(documents) => self.sync(request_id, documents, 0).await,
            Err(refused) => Done { responses: vec![answer(request_id, error(refused))], ..Done::default() },
        }
    }

    fn feed(&self) -> Feed {
        Feed { hub: self.hub.clone(), workspace: self.workspace.clone() }
    }
}

/// Tells a document whole.
fn whole(done: &mut Done, view: &View) -> TextResponse {
    done.whole.push((view.document.clone(), view.revision));
    synced(view)
}

/// The revision that a base names; 0 where it names a content, of which nobody can say which one that is.
fn named(base: &Base) -> Option<Revision> {
    match base {
        Base::Revision(revision)
        | Base::Both(revision, _)
        | Base::Exactly(revision)
        | Base::Seen(revision, _) => Some(*revision),
        Base::Hash(_) => Some(Revision(0)),
        Base::Current => None,
    }
}
