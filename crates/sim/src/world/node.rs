//! A process with its disk.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use rejoin_core::{Config, Grant, LinkId, Replica, Role, Seen, View};
use rejoin_json::Json;
use rejoin_wire::{ChainHash, ChangeHash, ChangeId, DocumentId, Revision, Scope, WorkspaceId};

use super::disk::{Disk, pending_key};
use super::{ROOT, Replied};
use crate::dice::Dice;
use crate::model::{MadeId, OpenRecords, Records, equal_records};
use crate::plan::Surroundings;

/// A process with its disk.
pub(crate) struct Node {
    pub(crate) config: Config,
    /// Absent while the process is down.
    pub(crate) replica: Option<Replica>,
    /// Counts starts.
    pub(crate) life: u32,
    /// It has said that it is ready, and what was open before has not been opened again yet.
    pub(crate) ready: bool,
    /// What was open before is open again: people may act.
    pub(crate) begun: bool,
    pub(crate) disk: Disk,
    /// Counts the stores that gave way to an empty one.
    pub(crate) stores: u32,
    pub(crate) links: BTreeMap<LinkId, u64>,
    /// Whom it connects to: the authority, or a relay.
    pub(crate) above: usize,
    pub(crate) partitioned: bool,
    pub(crate) may_edit: bool,
    /// How far its wall clock is wrong, in milliseconds.
    pub(crate) skew_ms: i64,
    pub(crate) wake_at: Option<u64>,
    /// Documents that may look different since they were last looked at.
    pub(crate) dirty: BTreeSet<DocumentId>,
    pub(crate) opened: BTreeSet<DocumentId>,
    /// What a part of its program shows of documents, which may be a while old.
    pub(crate) looks: BTreeMap<DocumentId, Seen>,
    /// Own changes without an outcome, as they were last seen.
    pub(crate) own: BTreeMap<DocumentId, BTreeMap<ChangeHash, (ChangeId, MadeId)>>,
    /// Own changes that were refused without an outcome in this life: one that was not stored is refused too.
    pub(crate) refused: Vec<(DocumentId, ChangeId, MadeId)>,
    pub(crate) replies: Vec<Replied>,
    /// Of its disk and of what it does by itself.
    pub(crate) dice: Dice,
    /// How often it connected.
    pub(crate) dials: u64,
    /// Until when its disk takes its time.
    pub(crate) slow_until: u64,
    /// How many more effects it has before its process ends.
    pub(crate) dies_after: Option<u64>,
    /// Its process ends once it has asked its store for the next commit.
    pub(crate) dies_asking: bool,
    /// What it shows others of itself.
    pub(crate) shown: BTreeMap<DocumentId, Json>,
    /// The confirmed revision that it showed last of each document, in this life or, where that is stored, in those before.
    pub(crate) read: BTreeMap<DocumentId, (Revision, ChainHash)>,
    /// Under which Yjs client its program writes into CRDT documents, and how much it has written so.
    pub(crate) writers: BTreeMap<DocumentId, (u64, u32)>,
    /// What was looked at of its documents.
    pub(crate) checked: Checked,
    /// Documents of which something that it stored went bad.
    pub(crate) spoiled: BTreeSet<DocumentId>,
}

impl Node {
    pub(crate) fn root(surroundings: &Surroundings, workspace: &WorkspaceId) -> Self {
        let mut config = Config::new(workspace.clone(), Role::Root);
        config.limits.max_document_bytes = surroundings.root_document_bytes;
        config.shares_store = surroundings.roots > 1;
        config.max_idle_documents = surroundings.idle_documents;
        config.max_inline_bytes = surroundings.inline_bytes;
        config.max_unsummed_updates = surroundings.unsummed;
        config.heartbeat_timeout = 2 * Duration::from_micros(surroundings.heartbeat_us);
        Self::new(config, 0)
    }

    pub(crate) fn follower(
        surroundings: &Surroundings,
        workspace: &WorkspaceId,
        number: usize,
        scope: Option<Scope>,
        dice: &mut Dice,
    ) -> Self {
        let mut config = Config::new(workspace.clone(), Role::Follower { scope });
        config.principal = format!("user {number}").into();
        config.max_idle_documents = surroundings.idle_documents;
        Self::new(config, i64::try_from(dice.between(0, 4_000)).unwrap_or(0))
    }

    /// A node between the authority and followers.
    pub(crate) fn relay(surroundings: &Surroundings, workspace: &WorkspaceId) -> Self {
        let mut config = Config::new(workspace.clone(), Role::Relay);
        config.principal = "relay".into();
        config.max_idle_documents = surroundings.idle_documents;
        config.heartbeat_timeout = 2 * Duration::from_micros(surroundings.heartbeat_us);
        Self::new(config, 0)
    }

    fn new(config: Config, skew_ms: i64) -> Self {
        Self {
            config,
            replica: None,
            life: 0,
            ready: false,
            begun: false,
            disk: Disk::default(),
            stores: 0,
            links: BTreeMap::new(),
            above: ROOT,
            partitioned: false,
            may_edit: true,
            skew_ms,
            wake_at: None,
            dirty: BTreeSet::new(),
            opened: BTreeSet::new(),
            looks: BTreeMap::new(),
            own: BTreeMap::new(),
            refused: Vec::new(),
            replies: Vec::new(),
            dice: Dice::new(0),
            dials: 0,
            slow_until: 0,
            dies_after: None,
            dies_asking: false,
            spoiled: BTreeSet::new(),
            shown: BTreeMap::new(),
            read: BTreeMap::new(),
            writers: BTreeMap::new(),
            checked: Checked::default(),
        }
    }

    /// The same disk in another machine.
    pub(crate) fn copy(&self) -> Self {
        let mut disk = self.disk.clone();
        disk.crash(0);
        let durable = disk.durable().clone();
        let mut own = self.own.clone();
        for (document, changes) in &mut own {
            changes.retain(|_, (change, _)| durable.pending.contains(&pending_key(document, *change)));
        }
        let (opened, above, spoiled) = (self.opened.clone(), self.above, self.spoiled.clone());
        Self { disk, own, opened, above, spoiled, ..Self::new(self.config.clone(), self.skew_ms) }
    }

    pub(crate) fn grant(&self) -> Grant {
        Grant { may_relay: self.is_relay(), ..Grant::new(Arc::clone(&self.config.principal), self.may_edit) }
    }

    pub(crate) fn is_relay(&self) -> bool {
        self.config.role == Role::Relay
    }

    pub(crate) fn scope(&self) -> Option<Scope> {
        match self.config.role {
            Role::Root => None,
            Role::Relay => Some(Scope::Documents),
            Role::Follower { scope } => scope,
        }
    }
}

/// What was looked at last of each document, so that it is not looked at again while nothing moves.
#[derive(Debug, Default)]
pub(crate) struct Checked {
    views: BTreeMap<DocumentId, View>,
    /// The open records of each as they were shown last, and those that they were found equal to.
    records: BTreeMap<DocumentId, (Arc<Records>, OpenRecords)>,
}

impl Checked {
    /// Whether a view is another one than that which was looked at last. One that is shown with other bytes is.
    pub(crate) fn is_news(&mut self, document: &DocumentId, view: &View) -> bool {
        let is_known = |known: &View| {
            let same_content = || known.content.ptr_eq(&view.content) || known.content == view.content;
            let same_records =
                || Arc::ptr_eq(&known.conflicts, &view.conflicts) || known.conflicts == view.conflicts;
            let same_header = || Arc::ptr_eq(&known.header, &view.header) || known.header == view.header;
            known.chain == view.chain
                && known.crdt == view.crdt
                && known.life == view.life
                && same_header()
                && same_content()
                && same_records()
        };
        if self.views.get(document).is_some_and(is_known) {
            return false;
        }
        self.views.insert(document.clone(), view.clone());
        true
    }

    /// Whether the records that are shown are those that are open: most revisions leave both as they are.
    pub(crate) fn shows_open(
        &mut self,
        document: &DocumentId,
        shown: &Arc<Records>,
        open: &OpenRecords,
    ) -> bool {
        let known = self.records.get(document);
        if known.is_some_and(|known| Arc::ptr_eq(&known.0, shown) && Arc::ptr_eq(&known.1, open)) {
            return true;
        }
        let are_equal = equal_records(open, shown);
        if are_equal {
            self.records.insert(document.clone(), (Arc::clone(shown), Arc::clone(open)));
        }
        are_equal
    }
}
