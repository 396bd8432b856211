//! What people do to documents, and what the authority makes of it.

use std::sync::Arc;

use jsonptr::PointerBuf;
use rejoin_json::{ConflictKind, ContentHash, Json, Patch, PlacePath, Policy, Winner};
use serde::{Deserialize, Serialize};

use crate::code::ErrorCode;
use crate::crdt::{CrdtUpdate, Updates};
use crate::id::{ChainHash, ChangeHash, Counter, DocumentId, ReplicaId, Revision, Sequence, UnixMillis};
use crate::limits::{MAX_HEADER_ITEMS, MAX_TEXT_BYTES, short_text};

/// Names a change of a document: the replica that made it and that replica's counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ChangeId {
    /// The replica that made the change.
    pub replica: ReplicaId,
    /// Its number among that replica's changes of the document.
    pub counter: Counter,
}

/// One atomic edit: what a person did against what the person saw. Never rewritten.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Change {
    /// The replica that made it.
    pub replica: ReplicaId,
    /// Its number among that replica's changes of the document; contiguous from 1.
    pub counter: Counter,
    /// The confirmed revision it was made on.
    pub base: Revision,
    /// The first own counter that was still pending then; its own counter when none was.
    pub over: Counter,
    /// When it was made, by the author's clock.
    pub time: UnixMillis,
    /// What was done.
    pub body: Body,
}

impl Change {
    /// The change's name.
    pub fn id(&self) -> ChangeId {
        ChangeId { replica: self.replica, counter: self.counter }
    }
}

/// What a change does.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", try_from = "crate::json::flat::FlatBody")]
pub enum Body {
    /// Creates the document, or continues a deleted one with new content. A second creation merges over `{}`.
    Create {
        /// Title, policy, counters and identity keys.
        header: Header,
        /// The first content.
        content: Json,
    },
    /// Edits the content, settles conflicts, or both at once.
    Edit {
        /// Applied to the content that the author saw.
        patch: Patch,
        /// Conflicts that this change settles.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        settles: Vec<ConflictId>,
        /// The own change that this one takes back, when it is an undo.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        undoes: Option<ChangeId>,
    },
    /// Replaces the header.
    Header {
        /// The new header.
        header: Header,
    },
    /// Deletes the document. Its content stays on the tombstone.
    Delete,
    /// Brings a deleted document back, with every edit that reached its tombstone.
    Undelete,
    /// Does nothing but use up its counter: stands in for a pending change that could not be read again.
    Void,
    /// Adds to a CRDT document, and creates it where there is none. Such documents are edited in no other way: updates made apart commute, and
    /// meet without conflicts.
    Merge {
        /// What is added.
        update: CrdtUpdate,
    },
}

/// What governs a document besides its content; revisioned like content.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Header {
    /// Shown name; without it a string member `title` of the content serves.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<Arc<str>>,
    /// Who wins where two changes touch one place.
    pub policy: Policy,
    /// Places that hold counters: pointers in which a token `*` matches any key or element.
    pub counters: Vec<PointerBuf>,
    /// Members that identify the elements of arrays, first match wins.
    pub identity: Vec<Arc<str>>,
}

impl Default for Header {
    fn default() -> Self {
        Self {
            title: None,
            policy: Policy::Theirs,
            counters: Vec::new(),
            identity: vec!["id".into(), "key".into()],
        }
    }
}

impl Header {
    /// The name under which people see the document: its title, else the string member `title` of its content, cut to
    /// [`MAX_TEXT_BYTES`] where that is longer: listings tell it as a short text.
    pub fn shown_title(&self, content: &Json) -> Option<Arc<str>> {
        self.title.clone().or_else(|| content.get("title")?.as_str().map(short_text))
    }

    /// Whether every reader takes this header: a title, and each counter and identity key, of at most [`MAX_TEXT_BYTES`], and at most
    /// [`MAX_HEADER_ITEMS`] of both.
    ///
    /// # Errors
    ///
    /// For the first field that is beyond its limit. A header that is stored or sent all the same can never be read again.
    pub fn check(&self) -> Result<(), HeaderError> {
        fn fits<'a>(
            field: &'static str,
            mut texts: impl Iterator<Item = &'a str>,
        ) -> Result<(), HeaderError> {
            match texts.any(|text| text.len() > MAX_TEXT_BYTES) {
                true => Err(HeaderError::TooLong { field, limit: MAX_TEXT_BYTES }),
                false => Ok(()),
            }
        }
        for (field, items) in [("counters", self.counters.len()), ("identity", self.identity.len())] {
            if items > MAX_HEADER_ITEMS {
                return Err(HeaderError::TooMany { field, limit: MAX_HEADER_ITEMS });
            }
        }
        fits("title", self.title.as_deref().into_iter())?;
        fits("counters", self.counters.iter().map(|counter| counter.as_str()))?;
        fits("identity", self.identity.iter().map(AsRef::as_ref))
    }
}

/// Says which field of a header is beyond its limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HeaderError {
    /// A text is too long.
    #[error("`{field}` has more than {limit} bytes: shorten it")]
    TooLong {
        /// The field, as it is called in JSON.
        field: &'static str,
        /// Most bytes of a title, a counter or an identity key.
        limit: usize,
    },
    /// A list is too long.
    #[error("`{field}` has more than {limit} elements: leave some out")]
    TooMany {
        /// The field, as it is called in JSON.
        field: &'static str,
        /// Most elements.
        limit: usize,
    },
}

/// Names a conflict record of a document: the revision that made it, and its place among that revision's records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ConflictId {
    /// The revision that made the record.
    pub revision: Revision,
    /// Its place among the records of that revision.
    pub index: u32,
}

/// A place that two concurrent changes touched. Kept, and synced, until a change settles it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ConflictRecord {
    /// The record's name.
    pub id: ConflictId,
    /// The change that arrived and met the conflict.
    pub change: ChangeId,
    /// The newest revision that touched the place and that the arriving change had not seen.
    pub against: Revision,
    /// The place.
    pub path: PlacePath,
    /// What kind of meeting it was.
    pub kind: ConflictKind,
    /// The value that both started from; absent where there was none.
    #[serde(default, deserialize_with = "crate::json::present", skip_serializing_if = "Option::is_none")]
    pub base: Option<Json>,
    /// The value that stood when the change arrived; absent where it had been deleted.
    #[serde(default, deserialize_with = "crate::json::present", skip_serializing_if = "Option::is_none")]
    pub current: Option<Json>,
    /// The value that the change brought; absent where it deleted.
    #[serde(default, deserialize_with = "crate::json::present", skip_serializing_if = "Option::is_none")]
    pub incoming: Option<Json>,
    /// Which value the document has now.
    pub winner: Winner,
    /// True under the policy `manual`: nobody has decided yet.
    pub unresolved: bool,
    /// Who made the arriving change.
    pub author: Arc<str>,
    /// When it was accepted.
    pub time: UnixMillis,
}

/// One revision of a document, as the authority tells it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// Its number in the workspace's feed.
    pub sequence: Sequence,
    /// The change that made it.
    pub change: ChangeId,
    /// That change's hash, as it was submitted.
    pub hash: ChangeHash,
    /// Who made it.
    pub author: Arc<str>,
    /// When it was made, no later than it was received.
    pub time: UnixMillis,
    /// What it does to the revision before.
    pub effect: Effect,
    /// Conflict records that it made.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conflicts: Vec<ConflictRecord>,
    /// Conflict records that it settled.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub settled: Vec<ConflictId>,
}

/// What a revision does to the one before it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", try_from = "crate::json::flat::FlatEffect")]
pub enum Effect {
    /// Exactly what the receiver of this message submitted under this change's id; told without repeating it.
    Own,
    /// The document begins, or begins again, with this content.
    Created {
        /// The header.
        header: Header,
        /// The whole content.
        content: Json,
    },
    /// The content changes; an empty patch where the change lost everywhere.
    Patched {
        /// Applies to the content before.
        patch: Patch,
    },
    /// The header changes.
    Header {
        /// The new header.
        header: Header,
    },
    /// The document is deleted.
    Deleted,
    /// The document is back.
    Undeleted,
    /// Nothing but the counter moves.
    Void,
    /// A CRDT document has an update more; it begins with the first one.
    Merged {
        /// What is added.
        update: CrdtUpdate,
    },
}

/// Consecutive revisions of one document.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Update {
    /// The document.
    pub document: DocumentId,
    /// The revision that the first entry makes.
    pub first: Revision,
    /// The chain hash of the revision before the first entry.
    pub previous: ChainHash,
    /// One entry a revision, without gaps.
    pub entries: Vec<Entry>,
    /// After this message a follower of the workspace holds the feed up to here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub position: Option<Sequence>,
}

/// A document at one revision, whole.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Snapshot {
    /// The document.
    pub document: DocumentId,
    /// The revision; 0 when the authority knows no such document.
    pub revision: Revision,
    /// The chain hash at the revision.
    pub chain: ChainHash,
    /// The feed number of the revision.
    pub sequence: Sequence,
    /// User-visible saves so far.
    pub version: u64,
    /// The header.
    pub header: Header,
    /// True for a tombstone.
    pub deleted: bool,
    /// The content; on a tombstone the content that an undelete brings back. Null for a CRDT document.
    pub content: Json,
    /// Open conflict records.
    pub conflicts: Vec<ConflictRecord>,
    /// When the document was created.
    pub created_at: UnixMillis,
    /// When the newest revision was made.
    pub updated_at: UnixMillis,
    /// Who made the newest revision.
    pub author: Arc<str>,
    /// Revisions and chain hashes before this one, newest first, by which a replica finds the last common one.
    pub ancestors: Vec<Have>,
    /// False when what the receiver said to hold is not part of this history: the authority went back.
    pub continues: bool,
    /// The receiver's runs of changes for which `outcomes` is complete: a counter in them without an outcome has none yet.
    pub covers: Vec<PendingRun>,
    /// Fates of the receiver's own changes.
    pub outcomes: Vec<Outcome>,
    /// What a CRDT document is made of: updates whose sum it is, in this order. Absent for a JSON document.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub updates: Option<Updates>,
}

/// A revision that a replica holds, with its chain hash.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Have {
    /// The revision; 0 for nothing.
    pub revision: Revision,
    /// The chain hash there.
    pub chain: ChainHash,
}

/// Consecutive changes of one replica to a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PendingRun {
    /// The replica id that they carry.
    pub replica: ReplicaId,
    /// The first.
    pub first: Counter,
    /// The last.
    pub last: Counter,
}

/// What became of a change, told apart from the revision that it made.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// The change.
    pub change: ChangeId,
    /// Its hash as the authority knows it.
    pub hash: ChangeHash,
    /// Accepted or rejected, for ever.
    pub fate: Fate,
}

/// The one durable end of a change.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Fate {
    /// It made this revision.
    Accepted {
        /// The revision.
        revision: Revision,
    },
    /// It changed nothing; its author keeps it until dismissed.
    Rejected {
        /// Why, for programs.
        code: ErrorCode,
        /// Why, for people, and what to do.
        message: Arc<str>,
    },
}

/// Changes of one replica to one document, in order, without gaps.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DocumentPush {
    /// The document.
    pub document: DocumentId,
    /// The changes with what their author saw.
    pub changes: Vec<PushedChange>,
    /// On whose behalf they are pushed, where that is not the link's own principal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub author: Option<Author>,
}

/// Somebody whose changes a relay pushes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Author {
    /// As whom the author is known.
    pub principal: Arc<str>,
    /// False when the author may only read: the changes are then rejected, as they would be on a link of its own.
    pub may_edit: bool,
}

/// A change on its way to the authority.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PushedChange {
    /// The change.
    pub change: Change,
    /// Hash of the content that its author saw; sent with the first change of a push, and with each for which this was not the change before
    /// applied to what was seen then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seen: Option<ContentHash>,
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;
    use crate::binary::{from_bytes, to_bytes};
    use crate::testing::json;

    #[test]
    fn a_document_shows_its_title_or_that_of_its_content() {
        let header = |title: Option<&str>| Header { title: title.map(Arc::from), ..Header::default() };
        let content = json(r#"{"title":"inside"}"#);
        assert_eq!(header(Some("outside")).shown_title(&content).as_deref(), Some("outside"));
        assert_eq!(header(None).shown_title(&content).as_deref(), Some("inside"));
        for without in [json(r#"{"title":7}"#), json("{}"), json("[]")] {
            assert_eq!(header(None).shown_title(&without), None);
        }
    }

    #[test]
    fn a_long_title_of_content_is_cut_and_stays_one_that_every_reader_takes() {
        let title =
            |title: &str| Header::default().shown_title(&json(&format!(r#"{{"title":"{title}"}}"#))).unwrap();
        let fits = "é".repeat(MAX_TEXT_BYTES / 2);
        assert_eq!(*title(&fits), *fits);
        let cut = title(&format!("{fits}é"));
        assert!(cut.len() <= MAX_TEXT_BYTES && cut.ends_with('…'), "{} bytes", cut.len());
        assert_eq!(from_bytes::<Arc<str>>(&to_bytes(&cut)).unwrap(), cut);
    }

    #[test]
    fn what_a_header_says_of_itself_is_what_its_reader_finds() {
        let text = |bytes: usize| -> Arc<str> { "x".repeat(bytes).into() };
        let counter = |bytes: usize| PointerBuf::from_tokens([text(bytes - 1).as_ref()]);
        let (long, most) = (MAX_TEXT_BYTES, MAX_HEADER_ITEMS);
        let edge = |bytes: usize, items: usize| {
            let header = Header { counters: Vec::new(), ..Header::default() };
            [
                ("title", Header { title: Some(text(long + bytes)), ..header.clone() }),
                ("counters", Header { counters: vec![counter(9); most + items], ..header.clone() }),
                ("identity", Header { identity: vec![text(9); most + items], ..header.clone() }),
                ("identity", Header { identity: vec![text(9), text(long + bytes)], ..header.clone() }),
                ("counters", Header { counters: vec![counter(9), counter(long + bytes)], ..header }),
            ]
        };
        for (_, header) in edge(0, 0) {
            assert_eq!(header.check(), Ok(()));
            assert_eq!(from_bytes::<Header>(&to_bytes(&header)).unwrap(), header);
        }
        for (field, header) in edge(1, 1) {
            let error = header.check().unwrap_err();
            assert!(error.to_string().contains(&format!("`{field}`")), "{error}");
            // A reader takes longer counters: only what is made here is held to the same limit.
            if header.counters.len() != 2 {
                assert!(from_bytes::<Header>(&to_bytes(&header)).is_err(), "{field}");
            }
        }
    }
}
