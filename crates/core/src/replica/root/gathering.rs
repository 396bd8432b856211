//! What other authorities over the same store have written: found by its feed numbers, taken in, and told like own commits.
//!
//! Nothing is committed meanwhile, and nothing is asked while a commit is under way: so whatever is found is of others, and the next commit
//! is decided on top of it.

use rejoin_wire::{ListItem, Message};

use super::*;
use crate::replica::LinkId;
use crate::replica::serving::list_item;
use crate::storage::RowKey;

/// How often an authority that shares its store asks it for what others wrote, while it has links below: so late is told what no hint told of.
pub const SHARED_STORE_INTERVAL: Duration = Duration::from_secs(2);

/// Heads that are asked for at a time.
const PAGE_HEADS: u32 = 256;

/// Rows of a document that are asked for at a time.
const PAGE_ROWS: u32 = 1_024;

/// The number of a question for what others wrote: whoever waits for it to be done knows what stood in the store when it was put.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::replica) struct Stamp(u64);

/// What others wrote, as far as it is known that they did.
#[derive(Default)]
pub(super) struct Gathering {
    /// Whether there is a reason to ask.
    wanted: bool,
    /// Questions that were put, and how many of them are done.
    put: Stamp,
    done: Stamp,
    stage: Stage,
    /// Documents in memory that may have gone beyond the feed. Nobody is told of them before it has followed.
    ahead: BTreeSet<DocumentId>,
    /// Those of them that the question under way covers.
    covered: BTreeSet<DocumentId>,
    /// A question is done, and commits have their turn before the next.
    gives_way: bool,
    /// When the store was asked last.
    asked_at: Option<Instant>,
    /// What those wait for who read something that may be out of date.
    reads: Option<Stamp>,
    /// Documents whose pushes wait for it.
    waiting: BTreeSet<DocumentId>,
    /// Pages of heads that drivers wait for.
    heads: Vec<(Token, Operation)>,
    /// A feed number that the store has, though no head that can be listed may have it, and the question that lists what others do.
    floor: Option<(Sequence, Stamp)>,
}

#[derive(Default)]
enum Stage {
    #[default]
    Idle,
    /// The store is asked for heads.
    Asked,
    Taking(Box<Page>),
}

/// A page of heads, while the documents in memory follow them.
struct Page {
    heads: Vec<Head>,
    complete: bool,
    /// Those that have not followed yet.
    open: BTreeSet<DocumentId>,
    /// Up to where those were that nobody lacks anything of up to there.
    held: BTreeMap<DocumentId, Revision>,
    /// Whose rows are being read, and after which.
    reading: BTreeMap<DocumentId, RowKey>,
    /// Those that were read anew, since rows did not lead on.
    anew: BTreeSet<DocumentId>,
}

impl Gathering {
    /// Whether the store is asked, or what it told is being taken in.
    pub(super) fn is_busy(&self) -> bool {
        !matches!(self.stage, Stage::Idle)
    }

    pub(super) fn is_idle(&self) -> bool {
        !self.is_busy() && !self.wanted
    }

    pub(super) fn is_done(&self, stamp: Stamp) -> bool {
        stamp <= self.done
    }

    /// Which question is the last that is done, and which the next that may be put.
    pub(super) fn known(&self) -> (Stamp, Stamp) {
        (self.done, self.put.next())
    }

    fn page(&mut self) -> Option<&mut Page> {
        match &mut self.stage {
            Stage::Taking(page) => Some(page),
            _ => None,
        }
    }
}

impl Stamp {
    fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl Replica {
    /// Has the store asked for what others wrote until now. What is given is done once that is taken in.
    pub(in crate::replica) fn want_news(&mut self) -> Stamp {
        self.root.gathering.wanted = true;
        self.root.gathering.put.next()
    }

    /// Whether everything is taken in that others had written when something began to wait; always so where nobody else writes.
    pub(in crate::replica) fn has_news(&self, stamp: Stamp) -> bool {
        self.root.gathering.is_done(stamp)
    }

    /// What a link that opens, or asks, has to wait for.
    pub(in crate::replica) fn news_of_others(&mut self) -> Stamp {
        if self.config.shares_store && self.config.role.decides() {
            self.want_news()
        } else {
            Stamp::default()
        }
    }

    /// Whether a document may have gone beyond the feed: what would be told of it now would be told again with the feed.
    pub(in crate::replica) fn is_ahead(&self, id: &DocumentId) -> bool {
        let gathering = &self.root.gathering;
        gathering.ahead.contains(id) || gathering.covered.contains(id)
    }

    /// A document was read, maybe with what others wrote since they were asked about.
    pub(in crate::replica) fn note_read(&mut self, id: &DocumentId) {
        let shares = self.config.shares_store;
        let newest = self.documents.get(id).map(|document| document.durable.sequence);
        if shares && newest > Some(self.root.durable) {
            self.root.gathering.ahead.insert(id.clone());
            self.want_news();
        }
    }

    /// Whether those who read have to wait until it is known what others wrote: without links below nobody else asks.
    pub(in crate::replica) fn holds_reads(&mut self) -> bool {
        if self.reads.is_empty() {
            return false;
        }
        if self.root.gathering.reads.is_none() && self.is_out_of_date() {
            self.root.gathering.reads = Some(self.want_news());
        }
        match self.root.gathering.reads {
            // A store that fails does not keep from reading what is in memory.
            Some(stamp) if !self.has_news(stamp) && self.storing.retry_at().is_none() => true,
            _ => {
                self.root.gathering.reads = None;
                false
            }
        }
    }

    /// When others are asked about at the latest, while somebody would notice; `None` before the first time.
    fn news_due(&self) -> Option<Instant> {
        self.root.gathering.asked_at.map(|at| at + SHARED_STORE_INTERVAL)
    }

    /// When the store is asked next without any hint; `None` while that depends on an answer of the store.
    pub(in crate::replica) fn next_gathering(&self) -> Option<Instant> {
        let waits = self.root.commit.is_none() && self.root.gathering.is_idle();
        let asks = self.config.shares_store && self.config.role.decides() && !self.links.is_empty();
        self.news_due().filter(|_| asks && waits && self.storing.retry_at().is_none())
    }

    /// Goes on with what others wrote, before own changes are accepted on top of it.
    pub(in crate::replica) fn gather(&mut self) {
        if !self.config.role.decides() {
            return;
        }
        self.ask_who_was_first();
        if self.root.gathering.is_busy() {
            self.go_on_taking();
        } else if !self.root.gathering.gives_way {
            self.ask_for_news();
        }
    }

    /// Asks the store for what others wrote, when there is a reason.
    pub(in crate::replica) fn ask_for_news(&mut self) {
        self.root.gathering.gives_way = false;
        let asks = self.config.shares_store && !self.links.is_empty();
        if asks && self.news_due().is_none_or(|due| due <= self.now) {
            self.root.gathering.wanted = true;
        }
        let waits = self.root.commit.is_some() || self.storing.retry_at().is_some();
        let gathering = &mut self.root.gathering;
        if !gathering.wanted || gathering.is_busy() || waits || !self.config.role.decides() {
            return;
        }
        gathering.wanted = false;
        gathering.put = gathering.put.next();
        gathering.asked_at = Some(self.now);
        let mut ahead = std::mem::take(&mut gathering.ahead);
        gathering.covered.append(&mut ahead);
        self.ask_for_heads(None);
    }

    fn ask_for_heads(&mut self, past: Option<DocumentId>) {
        self.root.gathering.stage = Stage::Asked;
        let operation = Operation::ScanHeads { after: self.root.durable, past, limit: PAGE_HEADS };
        self.request(operation, Purpose::News);
    }

    /// The store could not be asked: it is, again.
    pub(in crate::replica) fn handle_news_failed(&mut self, error: StoreError) {
        self.root.gathering.stage = Stage::Idle;
        self.root.gathering.wanted = true;
        self.retry_later(error);
        // They read what is in memory, and the store for themselves.
        self.answer_heads();
    }

    pub(in crate::replica) fn handle_news(&mut self, heads: Vec<Head>) {
        let follows = self.has_live_followers();
        let complete = heads.len() < PAGE_HEADS as usize;
        if !heads.is_empty() {
            self.note_found();
        }
        let (mut open, mut held) = (BTreeSet::new(), BTreeMap::new());
        for head in &heads {
            let id = &head.document;
            match self.documents.get(id) {
                None if !follows => continue,
                // Those who follow the feed are told of it once, together.
                None => {
                    self.document(id);
                }
                Some(document) if document.loaded && !self.is_ahead(id) => {
                    held.insert(id.clone(), document.durable.revision);
                }
                Some(_) => {}
            }
            self.root.gathering.covered.insert(id.clone());
            open.insert(id.clone());
        }
        let (reading, anew) = (BTreeMap::new(), BTreeSet::new());
        self.root.gathering.stage =
            Stage::Taking(Box::new(Page { heads, complete, open, held, reading, anew }));
    }

    /// Brings the documents of a page to where their heads are; tells of them once all are there.
    fn go_on_taking(&mut self) {
        let Some(page) = self.root.gathering.page() else { return };
        let open = page.open.clone();
        let heads: Vec<(DocumentId, Revision)> = page
            .heads
            .iter()
            .filter(|head| open.contains(&head.document))
            .map(|head| (head.document.clone(), head.revision))
            .collect();
        for (id, revision) in heads {
            if self.has_followed(&id, revision)
                && let Some(page) = self.root.gathering.page()
            {
                page.open.remove(&id);
            }
        }
        if self.root.gathering.page().is_some_and(|page| page.open.is_empty()) {
            self.finish_page();
        }
    }

    /// Whether a document is where its head is, as far as it can be read; has it read on where it is not.
    fn has_followed(&mut self, id: &DocumentId, newest: Revision) -> bool {
        let Some(document) = self.documents.get(id) else { return true };
        if !document.loaded {
            return false;
        }
        if document.durable.revision >= newest && document.damage.is_none() {
            return true;
        }
        let (after, is_damaged) = (document.durable.revision, document.damage.is_some());
        let Some(page) = self.root.gathering.page() else { return true };
        if page.reading.contains_key(id) {
            return false;
        }
        if page.anew.contains(id) {
            // It was read as a whole, and there is no more of it.
            return true;
        }
        if self.storing.retry_at().is_some() {
            return false;
        }
        if is_damaged {
            self.read_anew(id);
        } else {
            self.read_rows(id, RowKey::after(after));
        }
        false
    }

    /// What was read of a document does not lead on from what is in memory.
    fn read_anew(&mut self, id: &DocumentId) {
        if let Some(page) = self.root.gathering.page() {
            page.anew.insert(id.clone());
            page.reading.remove(id);
        }
        self.load_anew(id);
    }

    fn read_rows(&mut self, id: &DocumentId, past: RowKey) {
        let Some(document) = self.documents.get_mut(id) else { return };
        document.requests += 1;
        if let Some(page) = self.root.gathering.page() {
            page.reading.insert(id.clone(), past);
        }
        let operation = Operation::LoadRows { document: id.clone(), past, limit: PAGE_ROWS };
        self.request(operation, Purpose::NewRows(id.clone()));
    }

    pub(in crate::replica) fn handle_new_rows(&mut self, id: &DocumentId, rows: &[ChangeRow]) {
        let Some(document) = self.documents.get_mut(id) else { return };
        document.requests = document.requests.saturating_sub(1);
        let is_loaded = document.loaded;
        let (Some(page), true) = (self.root.gathering.page(), is_loaded) else { return };
        page.reading.remove(id);
        let newest = page.heads.iter().find(|head| head.document == *id).map(|head| head.revision);
        let leads_on = self.go_on_by(id, rows);
        let reached = self.documents.get(id).map(|document| document.durable.revision);
        match rows.last() {
            Some(last) if leads_on && rows.len() >= PAGE_ROWS as usize => self.read_rows(id, last.key()),
            _ if leads_on && reached >= newest => {}
            _ => self.read_anew(id),
        }
    }

    /// The rows of a document could not be read: they are asked for again.
    pub(in crate::replica) fn handle_new_rows_failed(&mut self, id: &DocumentId, error: StoreError) {
        if let Some(document) = self.documents.get_mut(id) {
            document.requests = document.requests.saturating_sub(1);
        }
        if let Some(page) = self.root.gathering.page() {
            page.reading.remove(id);
        }
        if error.is_damage() {
            if self.documents.get(id).is_some_and(|document| document.loaded) {
                self.read_anew(id);
            }
        } else {
            self.retry_later(error);
        }
    }

    /// The documents of a page are where their heads are: everybody is told, in the order of the feed, and the feed goes on to there.
    fn finish_page(&mut self) {
        let stage = std::mem::take(&mut self.root.gathering.stage);
        let Stage::Taking(page) = stage else { return };
        let Page { heads, complete, held, .. } = *page;
        let since = self.root.durable;
        let mut firsts: Vec<(Option<Revision>, Sequence)> = Vec::with_capacity(heads.len());
        for head in &heads {
            firsts.push(self.first_news(&head.document, held.get(&head.document).copied(), since));
        }
        // A document whose new revisions lie between those of others does not let a position be told before those are.
        let mut bound = Sequence(u64::MAX);
        let mut bounds = Vec::with_capacity(heads.len());
        for (head, (_, first)) in heads.iter().zip(&firsts).rev() {
            bounds.push(head.sequence.min(bound));
            bound = bound.min(Sequence(first.0.saturating_sub(1)));
        }
        for ((head, (first, _)), bound) in heads.iter().zip(firsts).zip(bounds.into_iter().rev()) {
            self.root.durable = self.root.durable.max(bound);
            self.tell_news(&head.document, first);
        }
        let last = heads.last().map(|head| head.document.clone());
        let newest = heads.last().map_or(since, |head| head.sequence);
        self.root.durable = self.root.durable.max(newest);
        self.root.given = self.root.durable;
        self.tell_listing(heads.into_iter().map(list_item).collect::<Vec<ListItem>>(), self.root.durable);
        self.tell_how_far();
        if complete { self.finish_gathering() } else { self.ask_for_heads(last) }
    }

    /// The first revision of a document that those who follow the feed were not told, if it is at hand, and its feed number.
    fn first_news(
        &self,
        id: &DocumentId,
        held: Option<Revision>,
        since: Sequence,
    ) -> (Option<Revision>, Sequence) {
        let nothing = (None, Sequence(u64::MAX));
        let Some(document) = self.loaded(id) else { return nothing };
        let floor = document.log.floor();
        let news = document.log.since(floor).rev().take_while(|(_, revised)| revised.entry.sequence > since);
        let Some((first, revised)) = news.last() else { return nothing };
        let sequence = revised.entry.sequence;
        // What lies before the oldest revision at hand is known where nothing does, or where it is what was told last.
        let reaches = first > floor.next() || floor == Revision(0) || held == Some(floor);
        (reaches.then_some(first), sequence)
    }

    /// Tells everybody of what others made of a document.
    fn tell_news(&mut self, id: &DocumentId, first: Option<Revision>) {
        let Some(document) = self.loaded(id) else { return };
        match first.filter(|_| document.damage.is_none()) {
            Some(first) => self.tell_others(id, first, &BTreeSet::new()),
            None => self.fall_behind(id),
        }
        self.take_settled(id);
        self.trim_log(id);
        self.busy.insert(id.clone());
    }

    /// Tells live links how far the feed is, where no update said it.
    fn tell_how_far(&mut self) {
        let sequence = self.root.durable;
        let mut encoded = EncodedOnce::default();
        for (encoding, links) in self.links_before(sequence) {
            let payload = encoded.get(encoding, || Message::Position { sequence });
            self.transmit_payload(links.into(), payload);
        }
    }

    /// All that others had written when the store was asked is taken in: whoever waited for it goes on.
    fn finish_gathering(&mut self) {
        let gathering = &mut self.root.gathering;
        gathering.done = gathering.put;
        gathering.covered.clear();
        gathering.gives_way = true;
        if let Some((floor, _)) = gathering.floor.take_if(|(_, listed)| *listed <= gathering.done) {
            self.root.durable = self.root.durable.max(floor);
            self.root.given = self.root.durable;
        }
        self.note_gathered();
        self.busy.append(&mut self.root.gathering.waiting);
        self.answer_heads();
        self.welcome_those_who_wait();
    }

    /// Has a document's pushes wait for what others wrote.
    pub(in crate::replica) fn await_news(&mut self, id: &DocumentId) {
        self.root.gathering.waiting.insert(id.clone());
        self.want_news();
    }

    /// Keeps a driver's question for heads until it is known what others wrote, where nobody has asked for a while; gives it back where there
    /// is nothing to wait for.
    pub(in crate::replica) fn hold_heads(&mut self, token: Token, operation: Operation) -> Option<Operation> {
        if !self.is_out_of_date() || self.storing.retry_at().is_some() {
            return Some(operation);
        }
        self.want_news();
        self.root.gathering.heads.push((token, operation));
        None
    }

    fn answer_heads(&mut self) {
        for (token, operation) in std::mem::take(&mut self.root.gathering.heads) {
            self.ask_heads(token, operation);
        }
    }

    /// Whether others may write, and were not asked about for so long that those who read have to wait.
    fn is_out_of_date(&self) -> bool {
        let shares = self.config.shares_store && self.config.role.decides();
        shares && self.news_due().is_none_or(|due| due <= self.now)
    }

    /// Asks for the highest feed number by itself: nothing that can be listed said why a commit was refused.
    pub(super) fn ask_for_floor(&mut self) {
        self.request(Operation::LoadMeta, Purpose::Floor);
    }

    pub(in crate::replica) fn handle_floor(&mut self, sequence: Sequence) {
        if sequence > self.root.durable {
            // What has been written meanwhile is listed by a question that comes after this answer.
            let listed = self.want_news();
            self.root.gathering.floor = Some((sequence, listed));
        }
    }

    /// Whether a document stays in memory because it is being taken in.
    pub(in crate::replica) fn is_gathered(&self, id: &DocumentId) -> bool {
        self.root.gathering.covered.contains(id)
    }

    fn has_live_followers(&self) -> bool {
        self.links.keys().any(|link: &LinkId| self.is_live(*link))
    }
}
