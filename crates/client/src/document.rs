//! A document in a program's hands.

use std::sync::Arc;

use rejoin_core::{
    ConflictChoice, DocumentStatus, EditError, HistoryPage, Life, Presence, RecoveredVersion, RejectedChange,
    Reply, Rung, Undone, View,
};
use rejoin_json::{Json, Operation, Patch, PointerBuf};
use rejoin_wire::{
    ChangeId, ConflictId, ConflictRecord, DocumentId, ErrorCode, Header, IdError, MemberId, Revision,
};

use crate::client::{Client, Closed};

/// Why a document could not be used so. Nothing changed.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum DocumentError {
    /// The client has ended.
    #[error(transparent)]
    Closed(#[from] Closed),
    /// The edit was refused here, before anything was sent.
    #[error(transparent)]
    Edit(#[from] EditError),
    /// The id is none.
    #[error(transparent)]
    Id(#[from] IdError),
    /// The pointer is none.
    #[error("`{0}` is no JSON pointer")]
    Pointer(String),
    /// The authority rejected own changes of the document. They stand, with their values, until they are dismissed.
    #[error("{} of the changes to this document were rejected; see what they hold, and dismiss them", .0.len())]
    Rejected(Vec<RejectedChange>),
    /// The question was refused, or cannot be answered now.
    #[error("{message}")]
    Refused {
        /// For programs; `unavailable` and `rate_limited` may be asked again later.
        code: ErrorCode,
        /// For people.
        message: Arc<str>,
    },
}

/// An open document. Reading shows own edits at once; `saved` and `acknowledged` say how safe they are.
#[derive(Clone)]
pub struct Document {
    client: Client,
    id: DocumentId,
}

type Result<T> = std::result::Result<T, DocumentError>;

impl Document {
    pub(crate) fn new(client: Client, id: DocumentId) -> Self {
        Self { client, id }
    }

    /// The document's name.
    pub fn id(&self) -> &DocumentId {
        &self.id
    }

    async fn with<R: Send + 'static>(
        &self,
        run: impl FnOnce(&mut rejoin_core::Replica, &DocumentId) -> R + Send + 'static,
    ) -> Result<R> {
        let id = self.id.clone();
        Ok(self.client.with(move |replica| run(replica, &id)).await?)
    }

    /// The document as it looks from here.
    pub async fn view(&self) -> Result<View> {
        self.with(|replica, id| replica.view(id)).await?.ok_or(DocumentError::Edit(EditError::NotOpen))
    }

    /// The content as it looks from here.
    pub async fn value(&self) -> Result<Json> {
        Ok(self.view().await?.content)
    }

    /// Whether the document exists and is not deleted.
    pub async fn exists(&self) -> Result<bool> {
        Ok(self.view().await?.life == Life::Alive)
    }

    /// Creates the document.
    pub async fn create(&self, content: Json) -> Result<ChangeId> {
        Ok(self.with(move |replica, id| replica.create(id, content)).await??)
    }

    /// Creates the document with policy, counters and identity keys.
    pub async fn create_with(&self, header: Header, content: Json) -> Result<ChangeId> {
        Ok(self.with(move |replica, id| replica.create_with(id, header, content)).await??)
    }

    /// Edits the document.
    pub async fn edit(&self, patch: impl Into<Patch>) -> Result<ChangeId> {
        let patch = patch.into();
        Ok(self.with(move |replica, id| replica.edit(id, patch)).await??)
    }

    /// Sets the value at a pointer.
    pub async fn replace(&self, pointer: &str, value: impl Into<Json>) -> Result<ChangeId> {
        let path = PointerBuf::parse(pointer).map_err(|_| DocumentError::Pointer(pointer.to_owned()))?;
        self.edit(Patch(vec![Operation::Replace { path, value: value.into() }])).await
    }

    /// Deletes the document.
    pub async fn delete(&self) -> Result<ChangeId> {
        Ok(self.with(|replica, id| replica.delete(id)).await??)
    }

    /// Brings the deleted document back.
    pub async fn undelete(&self) -> Result<ChangeId> {
        Ok(self.with(|replica, id| replica.undelete(id)).await??)
    }

    /// Takes back the newest own change.
    pub async fn undo(&self) -> Result<Undone> {
        Ok(self.with(|replica, id| replica.undo(id)).await??)
    }

    /// Takes back the newest undo.
    pub async fn redo(&self) -> Result<Undone> {
        Ok(self.with(|replica, id| replica.redo(id)).await??)
    }

    /// Takes back what an own change did, whatever others made of the document since.
    pub async fn undo_change(&self, change: ChangeId) -> Result<Undone> {
        Ok(self.with(move |replica, id| replica.undo_change(id, change)).await??)
    }

    /// Open conflicts, oldest first.
    pub async fn conflicts(&self) -> Result<Vec<ConflictRecord>> {
        Ok(self.view().await?.conflicts.values().cloned().collect())
    }

    /// Settles a conflict.
    pub async fn settle(&self, conflict: ConflictId, choice: ConflictChoice) -> Result<ChangeId> {
        Ok(self.with(move |replica, id| replica.settle(id, conflict, choice)).await??)
    }

    /// Own changes that the authority rejected.
    pub async fn rejected(&self) -> Result<Vec<RejectedChange>> {
        self.with(|replica, id| replica.rejected(id)).await
    }

    /// Lets go of a rejected change, with the values that it holds.
    pub async fn dismiss_rejected(&self, change: ChangeId) -> Result<()> {
        self.with(move |replica, id| replica.dismiss_rejected(id, change)).await
    }

    /// Contents that the authority lost, kept here beside the changes that brought them back.
    pub async fn recovered(&self) -> Result<Vec<RecoveredVersion>> {
        self.with(|replica, id| replica.recovered(id)).await
    }

    /// Lets go of a recovered version.
    pub async fn dismiss_recovered(&self, number: u64) -> Result<()> {
        self.with(move |replica, id| replica.dismiss_recovered(id, number)).await
    }

    /// A page of at most `limit` revisions from the authority, the newest of them before `before` or the newest of all: who did what, when,
    /// oldest first. Needs a link; with `unavailable` there is none, or it closed meanwhile.
    pub async fn history(&self, before: Option<Revision>, limit: u32) -> Result<HistoryPage> {
        let id = self.id.clone();
        match self.client.ask(move |replica, token| replica.remote_history(token, &id, before, limit)).await?
        {
            Reply::History(page) => Ok(*page),
            Reply::Refused { code, message } => Err(DocumentError::Refused { code, message }),
            _ => {
                let message = "the answer is of another kind; report this".into();
                Err(DocumentError::Refused { code: ErrorCode::UnexpectedMessage, message })
            }
        }
    }

    /// Shows a cursor, a selection, a name to everybody who has the document open, until the link or the program ends; `None` shows nothing more.
    pub async fn set_presence(&self, state: Option<Json>) -> Result<()> {
        Ok(self.with(move |replica, id| replica.set_presence(id, state)).await??)
    }

    /// Who else shows presence on the document.
    pub async fn present(&self) -> Result<Vec<(MemberId, Presence)>> {
        self.with(|replica, id| replica.present(id)).await
    }

    /// How safe own changes are.
    pub async fn status(&self) -> Result<DocumentStatus> {
        self.with(|replica, id| replica.status(id)).await?.ok_or(DocumentError::Edit(EditError::NotOpen))
    }

    /// Waits until all own changes are durable on this device, or further.
    pub async fn saved(&self) -> Result<()> {
        self.until_rung(Rung::Saved).await.map(|_| ())
    }

    /// Waits until all own changes are durable at the authority. Where it rejected some, and they are not dismissed yet, these are the error:
    /// everything else is durable then.
    pub async fn acknowledged(&self) -> Result<()> {
        let rejected = self.until_rung(Rung::Acknowledged).await?;
        if rejected.is_empty() { Ok(()) } else { Err(DocumentError::Rejected(rejected)) }
    }

    /// Waits until all own changes stand on a rung, or a higher one; gives those that were rejected.
    async fn until_rung(&self, rung: Rung) -> Result<Vec<RejectedChange>> {
        let id = self.id.clone();
        let reached = move |replica: &mut rejoin_core::Replica| {
            let reached = replica.status(&id).is_some_and(|status| status.rung >= rung);
            reached.then(|| replica.rejected(&id))
        };
        Ok(self.client.until(reached).await?)
    }

    /// Waits until what the authority has of the document is here.
    pub async fn synced(&self) -> Result<()> {
        let id = self.id.clone();
        Ok(self
            .client
            .until(move |replica| replica.status(&id).filter(|status| status.synced).map(|_| ()))
            .await?)
    }

    /// Waits until the document exists with content as wanted, and returns it.
    pub async fn until(&self, wanted: impl Fn(&Json) -> bool + Clone + Send + 'static) -> Result<Json> {
        let id = self.id.clone();
        let look = move |replica: &mut rejoin_core::Replica| {
            replica
                .view(&id)
                .filter(|view| view.life == Life::Alive && wanted(&view.content))
                .map(|view| view.content)
        };
        Ok(self.client.until(look).await?)
    }

    /// Lets go of the document. Own changes are still sent.
    pub async fn close(self) -> Result<()> {
        self.with(|replica, id| replica.close(id)).await
    }
}
