//! What an update costs yrs beyond its length. yrs looks for the place of an element among those that stand at the same place already, copies the
//! rest of a text where it cuts it, and moves the blocks behind one that it adds or takes out: each of them is linear for one element, and a
//! valid update can have that done for every one of its elements.
//!
//! So an outline of the document is kept: where blocks of each client end for good, and what stands leftmost behind each element. An element that is
//! put between two neighbours, as every client does that sees no others there, costs nothing. For one that is not, all that stands at its place
//! and behind what stands there is what yrs may look at.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;

use crate::reader::Reader;
use crate::structure::{self, Id, Kind, Structure};
use crate::update::Run;

/// The price of an update that somebody else may have applied: one is up to some 70 ns of yrs' work, natively. Work that is linear in the bytes of
/// the update is not in it.
pub const MAX_PRICE: u64 = 1 << 20;

/// UTF-16 units that are copied for one of the price.
const COPIED: u64 = 64;

/// Blocks that are moved for one of the price.
const MOVED: u64 = 32;

/// What an element costs that yrs may look at, where another is put at the same place; and as much to find out.
const SEEN: u64 = 10;

/// An update costs more than it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TooDear;

/// Where a block begins.
#[derive(Clone, Copy, Debug)]
struct Edge {
    clock: u32,
    /// Whether it is never joined with the one before it.
    fixed: bool,
    /// Whether it goes on from the one before it.
    follows: bool,
    deleted: bool,
}

/// Where an element may stand.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    /// Behind another element.
    Behind(Id),
    /// At the beginning of a list: its parent and key, as they are written.
    Front(Arc<[u8]>),
}

/// What stands leftmost at a place, of what was put there.
#[derive(Clone, Copy, Debug)]
struct First {
    id: Id,
    right: Option<Id>,
    /// Whether the right neighbour is known that it was given.
    is_known: bool,
    /// Whether another may stand there instead.
    is_unsure: bool,
}

/// The outline of a document.
#[derive(Debug, Default)]
pub(crate) struct Outline {
    edges: BTreeMap<u64, Vec<Edge>>,
    ends: BTreeMap<u64, u32>,
    firsts: BTreeMap<Place, First>,
    /// All that was put at a place, but for what goes on from its origin.
    members: BTreeMap<Place, Vec<Id>>,
    /// The list in which an element stands that was leftmost in one.
    fronts: BTreeMap<Id, Arc<[u8]>>,
    blocks: u64,
}

/// An update that is being added to an outline.
#[derive(Debug)]
pub(crate) struct Pricing<'a> {
    outline: &'a mut Outline,
    most: u64,
    looked_at: u64,
    copied: u64,
    moved: u64,
    /// Where structures of this update begin: yrs joins them at the end.
    fresh: BTreeMap<u64, Fresh>,
    undo: Undo,
}

#[derive(Debug, Default)]
struct Fresh {
    starts: Vec<u32>,
    /// Those that begin where others are joined before them.
    joined: u64,
    is_joining: bool,
}

/// What an outline was before.
#[derive(Debug, Default)]
pub(crate) struct Undo {
    clients: BTreeMap<u64, (Option<Vec<Edge>>, Option<u32>)>,
    firsts: Vec<(Place, Option<First>)>,
    members: Vec<Place>,
    fronts: Vec<Id>,
    blocks: u64,
}

impl Outline {
    /// Begins with an update that may cost so much.
    pub(crate) fn price(&mut self, most: u64) -> Pricing<'_> {
        let undo = Undo { blocks: self.blocks, ..Undo::default() };
        Pricing { outline: self, most, looked_at: 0, copied: 0, moved: 0, fresh: BTreeMap::new(), undo }
    }

    /// Forgets an update.
    pub(crate) fn take_back(&mut self, undo: Undo) {
        for (client, (edges, end)) in undo.clients {
            put_back(self.edges.entry(client), edges);
            put_back(self.ends.entry(client), end);
        }
        for (place, first) in undo.firsts.into_iter().rev() {
            put_back(self.firsts.entry(place), first);
        }
        for place in undo.members {
            if let Entry::Occupied(mut entry) = self.members.entry(place) {
                entry.get_mut().pop();
                if entry.get().is_empty() {
                    entry.remove();
                }
            }
        }
        for id in undo.fronts {
            self.fronts.remove(&id);
        }
        self.blocks = undo.blocks;
    }

    /// The element after another, if it goes on from it.
    fn follower(&self, id: Id) -> Option<Id> {
        let clock = id.clock + 1;
        if self.ends.get(&id.client).is_none_or(|end| *end <= clock) {
            return None;
        }
        let edges = self.edges.get(&id.client)?;
        let placed = edges.binary_search_by_key(&clock, |edge| edge.clock);
        match placed.ok().and_then(|at| edges.get(at)) {
            Some(edge) if !edge.follows => None,
            _ => Some(Id { clock, ..id }),
        }
    }
}

fn put_back<K: Ord, V>(entry: Entry<'_, K, V>, value: Option<V>) {
    match value {
        Some(value) => {
            entry.insert_entry(value);
        }
        None => {
            if let Entry::Occupied(entry) = entry {
                entry.remove();
            }
        }
    }
}

impl Pricing<'_> {
    /// What it costs so far.
    pub(crate) fn price(&self) -> u64 {
        self.looked_at.saturating_add(self.copied / COPIED).saturating_add(self.moved / MOVED)
    }

    /// What the outline was before.
    pub(crate) fn into_undo(self) -> Undo {
        self.undo
    }

    fn enough(&self) -> Result<(), TooDear> {
        if self.price() > self.most { Err(TooDear) } else { Ok(()) }
    }

    fn touch(&mut self, client: u64) {
        let outline = &self.outline;
        self.undo
            .clients
            .entry(client)
            .or_insert_with(|| (outline.edges.get(&client).cloned(), outline.ends.get(&client).copied()));
    }

    /// Adds an element, after all that it refers to. `goes_on` where its front is there already.
    pub(crate) fn add(
        &mut self,
        id: Id,
        structure: &Structure,
        bytes: &[u8],
        goes_on: bool,
    ) -> Result<(), TooDear> {
        self.touch(id.client);
        let follows = structure.follows || goes_on;
        let is_item = !matches!(structure.kind, Kind::Collected | Kind::Skipped);
        if is_item && !goes_on {
            self.place(id, structure, bytes);
        }
        let fresh = self.fresh.entry(id.client).or_default();
        let joins = follows && structure.joins;
        if joins && !fresh.is_joining {
            fresh.joined += 1;
        }
        fresh.is_joining = joins;
        self.moved += if joins { 0 } else { fresh.joined };
        fresh.starts.push(id.clock);
        if !joins || !is_item || structure.is_deleted {
            let edges = self.outline.edges.entry(id.client).or_default();
            edges.push(Edge {
                clock: id.clock,
                fixed: !follows && is_item,
                follows,
                deleted: !is_item || structure.is_deleted,
            });
            self.outline.blocks += 1;
        } else if let Some(last) = self.outline.edges.get(&id.client).and_then(|edges| edges.last()).copied()
            && last.deleted
        {
            // What goes on from a deleted one is a block of its own.
            let edge = Edge { clock: id.clock, fixed: false, follows: true, deleted: false };
            self.outline.edges.entry(id.client).or_default().push(edge);
            self.outline.blocks += 1;
        }
        self.outline.ends.insert(id.client, id.clock + structure.length);
        self.enough()
    }

    /// Finds out whether an element stands beside what it names, or yrs has to look for its place.
    fn place(&mut self, id: Id, structure: &Structure, bytes: &[u8]) {
        let [origin, right, _] = structure.refers;
        if let Some(right) = right {
            self.cut(right.client, right.clock, false);
        }
        let place = match origin {
            Some(origin) => {
                if !structure.follows {
                    self.cut(origin.client, origin.clock + 1, true);
                }
                Place::Behind(origin)
            }
            None => match right {
                Some(right) => match self.outline.fronts.get(&right) {
                    Some(front) => Place::Front(Arc::clone(front)),
                    None => {
                        self.looked_at = self.looked_at.saturating_add(self.outline.blocks + 1);
                        return;
                    }
                },
                None => Place::Front(structure::front(&mut Reader::new(bytes)).into()),
            },
        };
        let is_keyed = matches!(&place, Place::Front(front) if front.first() != Some(&0));
        let first = self.outline.firsts.get(&place).copied().or_else(|| {
            let Place::Behind(origin) = place else { return None };
            let id = self.outline.follower(origin).filter(|follower| *follower != id)?;
            Some(First { id, right: None, is_known: false, is_unsure: false })
        });
        let mut new = First { id, right, is_known: true, is_unsure: false };
        if let Some(first) = first {
            let has_same_right = first.is_known && first.right == right;
            if first.is_unsure || is_keyed {
                self.look(&place);
                new.is_unsure = true;
            } else if right == Some(first.id) {
                // Right in front of it.
            } else if first.id.client < id.client {
                self.look(&place);
                new = first;
            } else if !has_same_right {
                self.look(&place);
                new.is_unsure = true;
            }
        }
        if let Place::Front(front) = &place
            && let Entry::Vacant(entry) = self.outline.fronts.entry(id)
        {
            entry.insert(Arc::clone(front));
            self.undo.fronts.push(id);
        }
        // One that goes on from its origin is known by that.
        if !structure.follows || first.is_some() {
            let before = self.outline.firsts.insert(place.clone(), new);
            self.undo.firsts.push((place.clone(), before));
        }
        if !structure.follows {
            self.outline.members.entry(place.clone()).or_default().push(id);
            self.undo.members.push(place);
        }
    }

    /// Adds all that yrs may have to look at: what stands at a place, and what stands behind that.
    fn look(&mut self, place: &Place) {
        if self.most == u64::MAX {
            // Nobody asks.
            return;
        }
        let mut open = self.outline.members.get(place).cloned().unwrap_or_default();
        if let Place::Behind(origin) = place {
            open.extend(self.outline.follower(*origin));
        }
        let mut count = SEEN * open.len() as u64 + 1;
        let mut room = self.most.saturating_sub(self.price());
        while let Some(id) = open.pop().filter(|_| room > 0) {
            let end = self.run_end(id, &mut count);
            let from = Place::Behind(id);
            let to = Place::Behind(Id { clock: end, ..id });
            for (_, members) in self.outline.members.range(from..to) {
                open.extend_from_slice(members);
                count += SEEN * members.len() as u64;
            }
            room = room.saturating_sub(count);
            self.looked_at = self.looked_at.saturating_add(std::mem::take(&mut count));
        }
        self.looked_at = self.looked_at.saturating_add(count);
    }

    /// Where what goes on from an element ends; counts the blocks until there.
    fn run_end(&self, id: Id, count: &mut u64) -> u32 {
        let end = self.outline.ends.get(&id.client).copied().unwrap_or(0).max(id.clock + 1);
        let edges = self.outline.edges.get(&id.client).map_or(&[][..], Vec::as_slice);
        let from = edges.partition_point(|edge| edge.clock <= id.clock);
        let behind = edges.get(from..).unwrap_or_default();
        let run = behind.iter().take_while(|edge| edge.follows).count();
        let end = behind.get(run).map_or(end, |edge| edge.clock);
        let starts = self.fresh.get(&id.client).map_or(&[][..], |fresh| fresh.starts.as_slice());
        let fresh =
            starts.partition_point(|start| *start < end) - starts.partition_point(|start| *start <= id.clock);
        *count += SEEN * (run + fresh) as u64 + 1;
        end
    }

    /// Cuts a block in two, for good where something stands between both.
    fn cut(&mut self, client: u64, clock: u32, fixed: bool) {
        let end = self.outline.ends.get(&client).copied().unwrap_or(0);
        if clock == 0 || clock >= end {
            return;
        }
        let at = self
            .outline
            .edges
            .get(&client)
            .map_or(Err(0), |edges| edges.binary_search_by_key(&clock, |edge| edge.clock));
        match at {
            Ok(at) => {
                let is_loose = |edge: &Edge| fixed && !edge.fixed;
                if self.outline.edges.get(&client).and_then(|edges| edges.get(at)).is_some_and(is_loose) {
                    self.touch(client);
                    if let Some(edge) =
                        self.outline.edges.get_mut(&client).and_then(|edges| edges.get_mut(at))
                    {
                        edge.fixed = true;
                    }
                }
            }
            Err(at) => {
                self.touch(client);
                let fresh = self.fresh.get(&client);
                let is_fresh = fresh.is_some_and(|fresh| fresh.starts.binary_search(&clock).is_ok());
                let edges = self.outline.edges.entry(client).or_default();
                let before = at.checked_sub(1).and_then(|at| edges.get(at));
                let deleted = before.is_some_and(|edge| edge.deleted);
                if !is_fresh {
                    let from = before.map_or(0, |edge| edge.clock);
                    let to = edges.get(at).map_or(end, |edge| edge.clock);
                    self.copied += u64::from(to - from);
                    self.moved += (edges.len() - at + fresh.map_or(0, |fresh| fresh.starts.len())) as u64;
                    self.looked_at += 1;
                }
                edges.insert(at, Edge { clock, fixed, follows: true, deleted });
                self.outline.blocks += 1;
            }
        }
    }

    /// Deletes, after all structures.
    pub(crate) fn delete(&mut self, range: Run) -> Result<(), TooDear> {
        let end = self.outline.ends.get(&range.client).copied().unwrap_or(0).min(range.end);
        if range.start >= end || self.is_deleted(range.client, range.start, end) {
            return Ok(());
        }
        self.touch(range.client);
        for clock in [range.start, end] {
            if !self.deleted_at(range.client, clock) {
                self.cut(range.client, clock, false);
            }
        }
        let edges = self.outline.edges.entry(range.client).or_default();
        let from = edges.partition_point(|edge| edge.clock < range.start);
        let to = edges.partition_point(|edge| edge.clock < end);
        if edges.get(from).is_none_or(|edge| edge.clock != range.start) {
            edges.insert(from, Edge { clock: range.start, fixed: false, follows: true, deleted: true });
            self.outline.blocks += 1;
        }
        let to = to.max(from + 1);
        self.looked_at += (to - from) as u64;
        edges.iter_mut().take(to).skip(from).for_each(|edge| edge.deleted = true);
        // Of neighbours that are deleted one is left.
        let behind = (edges.len() - to) as u64;
        let last = (to + 1).min(edges.len());
        let mut was_deleted =
            from.checked_sub(1).and_then(|at| edges.get(at)).is_some_and(|edge| edge.deleted);
        let joined: Vec<bool> = edges
            .iter()
            .take(last)
            .skip(from)
            .map(|edge| std::mem::replace(&mut was_deleted, edge.deleted) && edge.deleted && !edge.fixed)
            .collect();
        let count = joined.iter().filter(|joins| **joins).count();
        self.moved = self.moved.saturating_add(count as u64 * (behind + 1));
        if count > 0 {
            let kept: Vec<Edge> = edges
                .drain(from..last)
                .zip(joined)
                .filter_map(|(edge, joins)| (!joins).then_some(edge))
                .collect();
            edges.splice(from..from, kept);
            self.outline.blocks = self.outline.blocks.saturating_sub(count as u64);
        }
        self.enough()
    }

    fn deleted_at(&self, client: u64, clock: u32) -> bool {
        let Some(edges) = self.outline.edges.get(&client) else { return false };
        let at = edges.partition_point(|edge| edge.clock <= clock);
        at.checked_sub(1).and_then(|at| edges.get(at)).is_some_and(|edge| edge.deleted)
    }

    fn is_deleted(&self, client: u64, start: u32, end: u32) -> bool {
        let Some(edges) = self.outline.edges.get(&client) else { return false };
        let from = edges.partition_point(|edge| edge.clock <= start).saturating_sub(1);
        let to = edges.partition_point(|edge| edge.clock < end);
        edges.get(from..to).is_some_and(|edges| edges.iter().all(|edge| edge.deleted))
            && edges.get(from).is_some_and(|edge| edge.clock <= start)
    }
}
