//! The messages of the native door. `docs/protocol.md` says who sends what when.

use std::sync::Arc;

use rejoin_json::{Json, Policy};
use serde::{Deserialize, Serialize};

use crate::change::{ChangeId, DocumentPush, Entry, Have, Header, Outcome, PendingRun, Snapshot, Update};
use crate::code::ErrorCode;
use crate::id::{
    Counter, DocumentId, Epoch, MemberId, ReplicaId, Revision, Sequence, UnixMillis, WorkspaceId,
};

/// The protocol version that this crate speaks.
pub const PROTOCOL_VERSION: u16 = 1;

/// A message of either direction. One that comes from the wrong side is answered with `unexpected_message`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Message {
    /// First message of a downstream replica.
    Hello(Hello),
    /// The answer that opens the link.
    Welcome(Welcome),
    /// Asks for a pong with the same nonce; either side.
    Ping {
        /// Returned as it came.
        nonce: u64,
    },
    /// Answers a ping.
    Pong {
        /// The ping's.
        nonce: u64,
    },
    /// Something was refused; the link stays open.
    Error(ErrorMessage),
    /// The sender is about to close the connection.
    Goodbye {
        /// Close code that follows.
        code: u16,
        /// Why, and what to do.
        reason: Arc<str>,
    },

    /// Up: follow the workspace's feed.
    Follow {
        /// What is wanted of it.
        scope: Scope,
        /// The last position held.
        cursor: Option<Cursor>,
    },
    /// Up: subscribe to documents.
    Open {
        /// Each with what the replica holds of it.
        documents: Vec<OpenDocument>,
    },
    /// Up: end subscriptions.
    Close {
        /// The documents.
        documents: Vec<DocumentId>,
    },
    /// Up: changes to be accepted.
    Push {
        /// One run of changes a document.
        pushes: Vec<DocumentPush>,
    },
    /// Up: what the author saw, whole, because the authority could not rebuild it.
    SeenContent {
        /// The document.
        document: DocumentId,
        /// The change's replica.
        replica: ReplicaId,
        /// The change's counter.
        counter: Counter,
        /// What the author saw; absent when it can no longer be told, and the change is then rejected.
        #[serde(default, deserialize_with = "crate::json::present", skip_serializing_if = "Option::is_none")]
        content: Option<Json>,
        /// The header that it saw; absent without content. Where a peer leaves it out, that of the change's base is taken.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        header: Option<Header>,
    },
    /// Up: the sender's own presence on a document; absent leaves.
    Presence {
        /// The document.
        document: DocumentId,
        /// How it changes.
        change: PresenceChange,
        /// Whose presence it is, where it is not the sender's own.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        member: Option<RelayedMember>,
    },
    /// Up: a page of a document's history, newest first.
    HistoryRequest {
        /// Returned with the page.
        request: u64,
        /// The document.
        document: DocumentId,
        /// Only revisions before this one.
        before: Option<Revision>,
        /// At most so many.
        limit: u32,
    },
    /// Up: what only the authority knows, asked by a relay.
    Inquiry {
        /// Returned with the finding.
        request: u64,
        /// What somebody below wants to open; absent when only the head of the feed is asked for.
        about: Option<OpenDocument>,
    },
    /// Up: revisions that the authority cannot read any more.
    Entries {
        /// The document.
        document: DocumentId,
        /// The revision of the first entry.
        first: Revision,
        /// As many as fit; none when the sender does not hold them.
        entries: Vec<Entry>,
    },

    /// Down: consecutive revisions of a document.
    Update(Update),
    /// Down: a whole document.
    Snapshot(Box<Snapshot>),
    /// Down: fates of the receiver's changes that no update tells.
    Outcomes {
        /// The document.
        document: DocumentId,
        /// One a change.
        outcomes: Vec<Outcome>,
    },
    /// Down: send [`Message::SeenContent`] for this change.
    NeedSeen {
        /// The document.
        document: DocumentId,
        /// The change's replica.
        replica: ReplicaId,
        /// The change's counter.
        counter: Counter,
    },
    /// Down: another change stands under this id; the sender is a copy and must take a fresh replica id.
    Forked {
        /// The document.
        document: DocumentId,
        /// The id that two replicas use.
        replica: ReplicaId,
        /// The first counter that differs.
        counter: Counter,
    },
    /// Down: the follower now holds the feed up to here.
    Position {
        /// The position.
        sequence: Sequence,
    },
    /// Down: documents of the workspace, without content.
    Listing {
        /// Ordered by the feed number of their newest revision.
        items: Vec<ListItem>,
        /// The follower now holds the list up to here.
        position: Sequence,
    },
    /// Down: who is present on a document.
    Members {
        /// The document.
        document: DocumentId,
        /// True when the list is all of them, else what changed.
        keyframe: bool,
        /// Joined or changed.
        members: Vec<Member>,
        /// Gone.
        left: Vec<MemberId>,
    },
    /// Down: a page of history.
    HistoryPage {
        /// The request's number.
        request: u64,
        /// The document.
        document: DocumentId,
        /// The revision that the first entry makes; the entries ascend.
        first: Revision,
        /// Consecutive revisions.
        entries: Vec<Entry>,
        /// True when older revisions exist.
        more: bool,
    },
    /// Down: answers an inquiry.
    Finding(Finding),
    /// Down: send [`Message::Entries`] of these revisions, which the authority cannot read any more.
    NeedEntries {
        /// The document.
        document: DocumentId,
        /// Revisions after this one.
        after: Revision,
        /// Up to this one.
        until: Revision,
    },
}

/// The first message on a link.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Hello {
    /// Versions that the sender speaks.
    pub versions: Vec<u16>,
    /// The sender's replica id.
    pub replica: ReplicaId,
    /// The workspace of this link; the server's default when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workspace: Option<WorkspaceId>,
    /// Bearer token, when it was not sent with the upgrade request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<Arc<str>>,
    /// The sending program and its version, for logs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<Arc<str>>,
}

/// The answer that opens a link.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Welcome {
    /// The version spoken from now on.
    pub version: u16,
    /// The workspace of this link.
    pub workspace: WorkspaceId,
    /// The authority's line of history.
    pub epoch: Epoch,
    /// The newest position of the feed.
    pub head: Sequence,
    /// The receiver's name among the present.
    pub member: MemberId,
    /// As whom the receiver is known.
    pub principal: Arc<str>,
    /// False when the receiver may only read.
    pub may_edit: bool,
    /// The policy of documents that are created without one.
    pub policy: Policy,
    /// The authority's wall clock.
    pub time: UnixMillis,
    /// Milliseconds of silence after which either side may take the link for dead.
    pub heartbeat_timeout_ms: u32,
    /// Largest message in bytes that the authority takes, over all its fragments.
    pub max_message_bytes: u32,
}

/// What a follower wants of the feed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// Every document with its content.
    Documents,
    /// Which documents exist, without content.
    List,
}

/// A position in the feed of one line of history.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cursor {
    /// The line of history.
    pub epoch: Epoch,
    /// Everything up to here is held.
    pub sequence: Sequence,
}

/// A document to subscribe to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OpenDocument {
    /// The document.
    pub document: DocumentId,
    /// What the replica holds of it.
    #[serde(default)]
    pub have: Have,
    /// Own changes whose fates the replica does not know. They are told before anything else about the document.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pending: Vec<PendingRun>,
}

/// A document of a listing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ListItem {
    /// The document.
    pub document: DocumentId,
    /// Its newest revision.
    pub revision: Revision,
    /// The feed number of that revision.
    pub sequence: Sequence,
    /// True for a tombstone.
    pub deleted: bool,
    /// Its shown name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<Arc<str>>,
    /// When the newest revision was made.
    pub updated_at: UnixMillis,
}

/// How one's own presence changes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", content = "state", rename_all = "snake_case")]
pub enum PresenceChange {
    /// This is the whole state.
    Set(Json),
    /// A merge patch (RFC 7396) of the state that the receiver has.
    Patch(Json),
    /// No longer present.
    Leave,
}

/// One of those present below a relay, or a part of the sender's program.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RelayedMember {
    /// The sender's number for it: 1 to [`MAX_RELAYED_MEMBERS`](crate::limits::MAX_RELAYED_MEMBERS), or to
    /// [`MAX_PRESENCE_PARTS`](crate::limits::MAX_PRESENCE_PARTS) of who does not relay.
    pub number: u32,
    /// As whom it is known; of who does not relay it is empty or the sender's own.
    pub principal: Arc<str>,
}

/// What the authority knows of what somebody below a relay wants to open.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Finding {
    /// The inquiry's number.
    pub request: u64,
    /// The newest position of the feed.
    pub head: Sequence,
    /// False when what is held is not part of the history.
    pub continues: bool,
    /// Where it is not: revisions with their chain hashes, newest first, from what is held.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ancestors: Vec<Have>,
    /// What became of the changes that were asked about: complete, but for those that have no outcome yet.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub outcomes: Vec<Outcome>,
}

/// One of those present.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Member {
    /// The connection.
    pub member: MemberId,
    /// As whom it is known.
    pub principal: Arc<str>,
    /// Its state, or how it changed.
    pub change: PresenceChange,
}

/// A refusal.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ErrorMessage {
    /// Why, for programs.
    pub code: ErrorCode,
    /// Why, for people, and what to do.
    pub message: Arc<str>,
    /// The document that it concerns.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub document: Option<DocumentId>,
    /// The request that it answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<u64>,
    /// The first change that was refused, when it answers a push.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub change: Option<ChangeId>,
}
