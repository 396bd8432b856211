//! What there is to choose from, without opening any of it.

use super::*;

/// A document in memory, as it looks from here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// The document.
    pub document: DocumentId,
    /// Its shown name, with own changes.
    pub title: Option<Arc<str>>,
    /// Whether it exists, with own changes.
    pub life: Life,
    /// The confirmed revision; 0 where only own changes make it.
    pub revision: Revision,
    /// Own changes without an outcome.
    pub pending: usize,
}

impl Replica {
    /// What is in memory of the workspace's documents, in the order of their ids.
    ///
    /// All documents with own changes without an outcome are, soon after [`Event::Ready`]: those too that only such a change makes, which the
    /// store has no head of. With the pages of [`heads`](Self::heads), over which this goes where both name a document, it is a list of all
    /// that is held, offline too. [`Event::Changed`] tells what looks different since.
    pub fn listed(&mut self) -> Vec<Listed> {
        let ids: Vec<DocumentId> = self.documents.keys().cloned().collect();
        ids.iter().filter_map(|id| self.listed_one(id)).collect()
    }

    fn listed_one(&mut self, id: &DocumentId) -> Option<Listed> {
        let view = self.view(id)?;
        if view.life == Life::Absent {
            return None;
        }
        let pending = self.loaded(id)?.outbox.pending().count();
        let (title, life) = (view.title(), view.life);
        Some(Listed { document: view.document, title, life, revision: view.revision, pending })
    }
}
