//! What a program is shown of a document.

use super::*;
use crate::crdt::Crdt;
use crate::replica::Document;

/// A document as it looks from here.
#[derive(Clone, Debug)]
pub struct View {
    /// The document.
    pub document: DocumentId,
    /// Its content, with own changes. Of a CRDT document it is null, but in answers of an authority, which looks into it: there it is what the document
    /// shows as JSON.
    pub content: Json,
    /// What it is made of, with own changes, as a CRDT document.
    pub crdt: Option<Crdt>,
    /// Whether it exists.
    pub life: Life,
    /// What governs it.
    pub header: Arc<Header>,
    /// The confirmed revision.
    pub revision: Revision,
    /// The chain hash there: equal ones mean equal histories.
    pub chain: ChainHash,
    /// The feed number of that revision.
    pub sequence: Sequence,
    /// User-visible saves up to that revision.
    pub version: u64,
    /// Open conflict records.
    pub conflicts: Arc<BTreeMap<ConflictId, ConflictRecord>>,
    /// Which changes of whom are in: all of them at the authority; at others those that they were told one by one since a snapshot, and their own.
    pub clock: Arc<VectorClock>,
    /// When it was created.
    pub created_at: UnixMillis,
    /// When the confirmed revision was made.
    pub updated_at: UnixMillis,
    /// Who made that revision.
    pub author: Arc<str>,
    /// At the authority: the newest revision that there is, where that cannot be read. Then this is the newest that can be, and nobody can
    /// change the document.
    pub unreadable: Option<Revision>,
}

impl Document {
    /// What the authority has confirmed, as far as it can be read.
    pub(in crate::replica) fn confirmed(&self, id: &DocumentId) -> View {
        let unreadable = self.damage.as_ref().map(|damage| damage.newest.revision);
        View { unreadable, ..View::of(id, &self.durable) }
    }
}

impl View {
    pub(in crate::replica) fn of(id: &DocumentId, point: &Point) -> Self {
        Self::with(id, point, point.state.clone())
    }

    pub(super) fn with(id: &DocumentId, point: &Point, state: State) -> Self {
        Self {
            document: id.clone(),
            content: state.content,
            crdt: state.crdt,
            life: state.life,
            header: state.header,
            revision: point.revision,
            chain: point.chain,
            sequence: point.sequence,
            version: point.version,
            conflicts: Arc::clone(&point.conflicts),
            clock: Arc::clone(&point.clock),
            created_at: point.created_at,
            updated_at: point.updated_at,
            author: Arc::clone(&point.author),
            unreadable: None,
        }
    }

    /// Whether the document is there with just this content.
    pub(super) fn shows(&self, content: &Json) -> bool {
        self.life == Life::Alive && self.content == *content
    }

    /// The shown name: [`Header::shown_title`].
    pub fn title(&self) -> Option<Arc<str>> {
        self.header.shown_title(&self.content)
    }
}
