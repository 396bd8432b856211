//! What a world is made of and what happens in it: data, which a seed draws and a file holds.

mod draw;
mod file;

use rejoin_json::Json;
use rejoin_wire::limits::MAX_FRAME_BYTES;
use rejoin_wire::{DocumentId, Header, Scope};
use serde::{Deserialize, Serialize};

pub use file::{FORMAT, MAX_PLAN_BYTES, PlanError};

use crate::plant::Plant;
use crate::tokens::tokens;
use crate::world::ROOT;

/// A world before anything has happened in it.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// Where chance comes from that no line has.
    pub seed: u64,
    /// Nodes, network and disks.
    pub surroundings: Surroundings,
    /// What people do and what goes wrong, in order.
    pub lines: Vec<Line>,
    /// Documents that somebody brought along; what they are called and contain is drawn where there are none.
    pub contents: Vec<Content>,
    /// The fault that is planted, if any.
    pub plant: Option<Plant>,
    /// The process whose effect this is ends before it, counted over all from 0 until everything is mended.
    pub ends_at: Option<u64>,
}

/// A document that somebody brought along.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Content {
    /// Its id.
    pub document: DocumentId,
    /// What governs it: policy, counters, identities.
    #[serde(default)]
    pub header: Header,
    /// What it contains.
    pub content: Json,
}

/// Nodes, network and disks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Surroundings {
    /// What each follower wants of the feed.
    pub followers: Vec<Follows>,
    /// How many relays there are, in a chain below the authority.
    pub relays: usize,
    /// How many of them are between each follower and the authority.
    pub relayed: Vec<usize>,
    /// How many authorities there are, over one store.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub roots: usize,
    /// How many documents there are.
    pub documents: usize,
    /// How many of them are CRDT documents: the last ones. Those that somebody brought along are none.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub crdt: usize,
    /// Updates of one of them after which the authority tells them as one.
    #[serde(default = "never", skip_serializing_if = "is_never_summed")]
    pub unsummed: usize,
    /// Whether people write into their maps too.
    #[serde(default, skip_serializing_if = "is_false")]
    pub maps: bool,
    /// Delay of a message in microseconds, at most.
    pub delay_us: u64,
    /// Wires that speak the binary encoding rather than JSON, in ten thousand.
    pub binary: u32,
    /// Largest frame that messages are cut into, in bytes.
    pub frame_bytes: usize,
    /// Bytes on their way in one direction beyond which the network takes no further frame.
    pub socket_bytes: usize,
    /// Silence after which the authority asks whether a link is alive, in microseconds; after twice of it the link is dead.
    pub heartbeat_us: u64,
    /// Delay of the disk in microseconds, at most.
    pub disk_us: u64,
    /// Documents that a replica keeps in memory while nothing needs them.
    pub idle_documents: usize,
    /// Largest document that the authority takes, in bytes; clients take more, and learn it by a rejection.
    pub root_document_bytes: usize,
    /// Bytes that the authority looks at for one change before it has the decision made elsewhere.
    pub inline_bytes: usize,
    /// Time that a decision takes elsewhere in microseconds, at most.
    pub compute_us: u64,
    /// What goes wrong by itself.
    pub rates: Rates,
}

/// What a follower wants of the feed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Follows {
    /// Every document, whole.
    Documents,
    /// The list of documents, and those that it opens.
    List,
    /// Only those that it opens.
    Opened,
}

impl Follows {
    pub(crate) const fn scope(self) -> Option<Scope> {
        match self {
            Self::Documents => Some(Scope::Documents),
            Self::List => Some(Scope::List),
            Self::Opened => None,
        }
    }
}

/// How often something goes wrong by itself, in ten thousand chances.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rates {
    /// Of a frame on its way comes something that no correct peer sends.
    pub garbage: u32,
    /// A request to a disk fails for the moment.
    pub disk: u32,
    /// Another writer was first, at the authority.
    pub conflict: u32,
    /// A disk has made a commit durable, and its answer is lost: the process is told that it is unavailable, and goes on.
    #[serde(default, skip_serializing_if = "is_never")]
    pub lost_answer: u32,
}

/// One thing that somebody does or that goes wrong. All chance in it comes from its own dice, so that it stays what it is when
/// lines before it are taken out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Line {
    /// Pause since the line before, in microseconds.
    pub after: u64,
    /// What its dice begin with.
    pub dice: u32,
    /// What happens.
    #[serde(rename = "do")]
    pub action: Action,
    /// To whom; what has no such node or finds it down does not happen.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub node: usize,
    /// To which document.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub document: usize,
    /// How long it lasts, in microseconds.
    #[serde(default, skip_serializing_if = "lasts_not")]
    pub lasts: u64,
}

const fn never() -> usize {
    usize::MAX
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
const fn is_never_summed(updates: &usize) -> bool {
    *updates == usize::MAX
}

const fn one() -> usize {
    1
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
const fn is_one(number: &usize) -> bool {
    *number == 1
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
const fn is_false(flag: &bool) -> bool {
    !*flag
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
const fn is_zero(number: &usize) -> bool {
    *number == 0
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
const fn is_never(chances: &u32) -> bool {
    *chances == 0
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
const fn lasts_not(microseconds: &u64) -> bool {
    *microseconds == 0
}

macro_rules! actions {
    ($($(#[doc = $doc:literal])+ $action:ident,)+) => {
        /// A kind of line. Those of people come first, then what goes wrong.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(rename_all = "kebab-case")]
        pub enum Action {
            $($(#[doc = $doc])+ $action,)+
        }

        impl Action {
            /// Every kind, in order.
            pub const ALL: &[Self] = &[$(Self::$action),+];
        }
    };
}

actions! {
    /// Somebody edits a document, and opens or creates it first where that is necessary.
    Edit,
    /// Three to twelve edits in a row.
    Burst,
    /// Somebody deletes a document.
    Delete,
    /// Somebody undeletes one.
    Undelete,
    /// Somebody takes back what they did last.
    Undo,
    /// Somebody does again what they took back.
    Redo,
    /// Somebody settles a conflict.
    Settle,
    /// Somebody changes title and policy.
    Header,
    /// Somebody closes a document.
    Close,
    /// Somebody moves a cursor, or leaves.
    Presence,
    /// Somebody asks the authority for history.
    History,
    /// A program without a replica submits a change at the authority.
    Submit,
    /// It repeats one under its key.
    Repeat,
    /// A link is cut; what is on its way is lost, or arrives late.
    Cut,
    /// A link carries nothing in one direction any more, and nobody is told.
    HalfOpen,
    /// A link carries nothing in one direction for a while.
    Stall,
    /// Links carry nothing, each for a time of its own.
    Clog,
    /// A node takes what is sent to it one frame at a time, for a while.
    SlowReader,
    /// A node cannot reach who is above it for a while.
    Partition,
    /// A process ends, and of its writes only the durable ones are sure to stay.
    Crash,
    /// A process ends between one of its next effects and the one after.
    CrashAtEffect,
    /// The authority's process ends, and something that it has stored goes bad which somebody else holds.
    Rot,
    /// The next commits of a node fail.
    DiskFails,
    /// The disk of a node takes its time for a while.
    SlowDisk,
    /// The disk of a node is full: for a while at the authority, for good elsewhere.
    DiskFull,
    /// What a node has stored of a document cannot be read any more when it starts again.
    FlipBit,
    /// What a follower has stored is cleared under it.
    Clear,
    /// A follower may not edit for a while.
    Forbid,
    /// A follower's disk is copied, and the copy starts as one more replica.
    Copy,
    /// The authority's disk is copied, to go back to.
    Image,
    /// The authority starts again from that copy.
    Restore,
    /// A wall clock jumps, by up to an hour either way.
    Clock,
    /// What a follower once pushed arrives once more, on its newest link.
    Redeliver,
    /// Somebody who may only read says to the authority what no correct client says.
    Hostile,
}

impl Action {
    /// Whether it is something that goes wrong.
    pub fn is_fault(self) -> bool {
        self >= Self::Cut
    }

    /// Its name in plans.
    pub fn name(self) -> String {
        match serde_json::to_value(self) {
            Ok(serde_json::Value::String(name)) => name,
            _ => format!("{self:?}"),
        }
    }
}

impl Surroundings {
    /// The node that another is connected to. After the first authority come the followers, then the relays, then further authorities, to
    /// whom whoever is connected to the first comes as well.
    pub(crate) fn above(&self, node: usize) -> usize {
        let followers = self.followers.len();
        let relays = match self.relayed.get(node - 1) {
            Some(relays) => *relays,
            None if node > followers + self.relays => 0,
            None => node - 1 - followers,
        };
        if relays == 0 { ROOT } else { followers + relays }
    }

    /// How many nodes there are at the beginning.
    pub fn nodes(&self) -> usize {
        self.roots + self.followers.len() + self.relays
    }
}

impl Plan {
    /// The same with documents that somebody brought along.
    ///
    /// # Errors
    ///
    /// A document that has characters in it by which simulated edits are followed.
    pub fn with_contents(mut self, contents: Vec<Content>) -> Result<Self, PlanError> {
        if let Some(followed) = contents.iter().find(|content| !tokens(&content.content).is_empty()) {
            return Err(PlanError::Followed(followed.document.clone()));
        }
        if !contents.is_empty() {
            self.surroundings.documents = contents.len();
            self.surroundings.crdt = 0;
            // Of large documents each edit is a small part.
            self.surroundings.root_document_bytes = 8 << 20;
            for line in &mut self.lines {
                line.document = line.dice as usize % contents.len();
            }
        }
        self.contents = contents;
        Ok(self)
    }

    /// A world in which nothing goes wrong by itself and nobody acts, for plots.
    pub fn still(followers: usize, documents: usize) -> Self {
        let surroundings = Surroundings {
            followers: vec![Follows::Documents; followers],
            relays: 0,
            relayed: vec![0; followers],
            roots: 1,
            documents,
            crdt: 0,
            unsummed: usize::MAX,
            maps: false,
            delay_us: 1_000,
            binary: 10_000,
            frame_bytes: MAX_FRAME_BYTES,
            socket_bytes: 64 << 10,
            heartbeat_us: 30_000_000,
            disk_us: 500,
            idle_documents: 1_024,
            root_document_bytes: 8 << 20,
            inline_bytes: 1 << 20,
            compute_us: 500,
            rates: Rates::default(),
        };
        Self { seed: 1, surroundings, lines: Vec::new(), contents: Vec::new(), plant: None, ends_at: None }
    }
}
