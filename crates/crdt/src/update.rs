//! Updates, format V1: walked whole before yrs sees a byte. Iterative, linear in the bytes, with memory only for the list of clients.

use std::cell::LazyCell;
use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

use crate::malformed::{Fault, Malformed};
use crate::parting::Parting;
use crate::reader::{MAX_SAFE_INTEGER, Reader};
use crate::structure::{self, Id, Kind, Structure, clock, length, small};

/// Clocks end here: near 2^32 yrs applies, and fails at every later edit.
pub const MAX_CLOCK: u64 = 1 << 31;

/// How deep values may stand within values.
pub const MAX_DEPTH: usize = 64;

/// Clients in one update.
pub const MAX_CLIENTS: usize = 16_384;

/// Structures in one update: each takes up to some 200 bytes of memory, however few it has here.
pub const MAX_STRUCTURES: u64 = 1 << 20;

/// How far what each client wrote is held without a gap: the clock behind the last, by client.
pub type Clocks = BTreeMap<u64, u32>;

/// An update that yrs may see, once what it refers to is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Update {
    bytes: Bytes,
    facts: Facts,
}

/// What an update says it holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// What each client wrote, in the order in which the update lists them.
    pub inserted: Vec<Run>,
    /// The clock behind the last element of each other client that something here stands beside or in.
    pub refers: Clocks,
    /// The clock behind the last deleted element of each client.
    pub deleted: Clocks,
    /// Structures: pieces of text, elements, marks, and what is left of deleted ones.
    pub structures: u64,
    /// Those that do not go on where the one before them ends: yrs looks for the place of each.
    pub placed: u64,
    /// Those that hold others: arrays, maps, texts, XML.
    pub types: u64,
    /// Those that are left out.
    pub skipped: u64,
    /// Ranges of what is deleted.
    pub deletions: u64,
}

/// Consecutive clocks of one client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    /// The client.
    pub client: u64,
    /// The first clock.
    pub start: u32,
    /// The clock after the last.
    pub end: u32,
}

/// An update in two: what can be applied, and what waits for something else.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Split {
    /// All that this refers to is held, or in it.
    pub ready: Option<Update>,
    /// What this refers to is missing.
    pub waiting: Option<Waiting>,
}

/// An update, or what is left of one, that waits for others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// As it came, without what was applied of it.
    pub update: Update,
    /// Elements that are missing. Before any of them is there, nothing of it can be applied.
    wants: Vec<Id>,
}

impl Waiting {
    pub(crate) fn bytes(&self) -> usize {
        self.update.bytes.len()
    }

    /// Whether something of it may be applied by now.
    pub(crate) fn may_go_on(&self, held: &Clocks) -> bool {
        self.wants.iter().any(|id| held.get(&id.client).is_some_and(|held| *held > id.clock))
    }
}

impl Update {
    /// Takes bytes of somebody else, if they are an update.
    ///
    /// # Errors
    ///
    /// [`Malformed`] where they are not one, or one beyond the limits of this crate.
    pub fn check(bytes: Bytes, max_bytes: usize) -> Result<Self, Malformed> {
        if bytes.len() > max_bytes {
            return Err(Malformed { at: max_bytes, fault: Fault::Bytes });
        }
        let mut reader = Reader::new(&bytes);
        let mut facts = Facts::default();
        structures(&mut reader, &mut facts)?;
        deletions(&mut reader, |range| {
            let deleted = facts.deleted.entry(range.client).or_default();
            *deleted = range.end.max(*deleted);
            facts.deletions += 1;
        })?;
        reader.end()?;
        Ok(Self { bytes, facts })
    }

    /// Several updates of one client, in their order, as one; `None` where yrs cannot read them.
    pub fn merged(updates: &[Self]) -> Option<Self> {
        let merged = yrs::merge_updates_v1(updates.iter().map(|update| &update.bytes[..])).ok()?;
        let most = merged.len();
        Self::check(merged.into(), most).ok()
    }

    /// Its bytes.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// What it says it holds.
    pub fn facts(&self) -> &Facts {
        &self.facts
    }

    /// Whether it says nothing: that is what a client sends who has nothing.
    pub fn is_empty(&self) -> bool {
        self.facts.inserted.is_empty() && self.facts.deletions == 0
    }

    /// Whether all that it refers to is held already.
    fn is_ready(&self, held: &Clocks) -> bool {
        let facts = &self.facts;
        let reaches = |client: &u64, end: u32| held.get(client).is_some_and(|held| *held >= end);
        let follows = |run: &Run| run.start == 0 || reaches(&run.client, run.start);
        let inserted =
            LazyCell::new(|| facts.inserted.iter().map(|run| (run.client, run.end)).collect::<Clocks>());
        let inserts = |client: &u64, end: u32| inserted.get(client).is_some_and(|inserted| *inserted >= end);
        facts.skipped == 0
            && facts.inserted.iter().all(follows)
            && facts.refers.iter().all(|(client, end)| reaches(client, *end))
            && facts.deleted.iter().all(|(client, end)| reaches(client, *end) || inserts(client, *end))
    }

    /// The same, with clients in the order in which Yjs writes them: yrs has none.
    pub fn sorted(&self) -> Bytes {
        match Parting::of(&self.bytes, &Clocks::new()) {
            Ok(parting) => parting.into_bytes().1.into(),
            Err(_) => self.bytes.clone(),
        }
    }

    /// Goes through what is not held yet of an update that is ready, everything after what it refers to.
    pub(crate) fn walk<E>(
        &self,
        held: &Clocks,
        mut each: impl FnMut(Id, &Structure, &[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        let Ok(mut parting) = Parting::of(&self.bytes, held) else { return Ok(()) };
        let mut failed = None;
        parting.run(|id, structure, bytes| {
            if failed.is_none() {
                failed = each(id, structure, bytes).err();
            }
        });
        failed.map_or(Ok(()), Err)
    }

    /// Between which elements one was put, left and right, with which a structure begins.
    pub(crate) fn between(&self, id: Id) -> Option<[Option<Id>; 2]> {
        let mut reader = Reader::new(&self.bytes);
        let mut seen = Clients::default();
        for _ in 0..clients(&mut reader, 5).ok()? {
            let (count, mut next) = section(&mut reader, &mut seen).ok()?;
            for _ in 0..count {
                let read = structure::read(&mut reader, next).ok()?;
                if next == id {
                    let [left, right, _] = read.refers;
                    return Some([left, right]);
                }
                next.clock += read.length;
            }
        }
        None
    }

    /// What it deletes.
    pub(crate) fn each_deleted<E>(&self, mut each: impl FnMut(Run) -> Result<(), E>) -> Result<(), E> {
        let mut failed = None;
        let mut reader = Reader::new(&self.bytes);
        if structures(&mut reader, &mut Facts::default()).is_ok() {
            let _ = deletions(&mut reader, |range| {
                if failed.is_none() {
                    failed = each(range).err();
                }
            });
        }
        failed.map_or(Ok(()), Err)
    }

    /// Parts what can be applied from what waits. yrs never sees what waits: past a gap it would apply what Yjs holds back, and leave it out
    /// of what it encodes.
    pub fn split(self, held: &Clocks) -> Split {
        if self.is_ready(held) {
            return Split { ready: Some(self), waiting: None };
        }
        // Parts of what was read once can be read again.
        let Ok(mut parting) = Parting::of(&self.bytes, held) else {
            return Split { ready: None, waiting: Some(Waiting { update: self, wants: Vec::new() }) };
        };
        parting.run(|_, _, _| {});
        let wants = parting.wants();
        let (ready, waiting) = parting.into_bytes();
        let part = |bytes: Vec<u8>| {
            let most = bytes.len();
            Self::check(bytes.into(), most).ok().filter(|part| !part.is_empty())
        };
        Split { ready: part(ready), waiting: part(waiting).map(|update| Waiting { update, wants }) }
    }
}

fn structures(reader: &mut Reader<'_>, facts: &mut Facts) -> Result<(), Malformed> {
    // A count, a client, a clock and a structure of two bytes.
    let clients = clients(reader, 5)?;
    let mut seen = Clients::default();
    for _ in 0..clients {
        let (count, first) = section(reader, &mut seen)?;
        facts.structures += count;
        if facts.structures > MAX_STRUCTURES {
            return Err(reader.fault(Fault::Structures));
        }
        let mut next = first;
        for _ in 0..count {
            let read = structure::read(reader, next)?;
            for other in read.refers.into_iter().flatten().filter(|other| other.client != next.client) {
                let end = facts.refers.entry(other.client).or_default();
                *end = (*end).max(other.clock.saturating_add(1));
            }
            facts.placed += u64::from(!read.follows);
            facts.types += u64::from(read.kind == Kind::Type);
            facts.skipped += u64::from(read.kind == Kind::Skipped);
            next.clock += read.length;
        }
        facts.inserted.push(Run { client: first.client, start: first.clock, end: next.clock });
    }
    Ok(())
}

/// The head of what one client wrote: how many structures, and where they begin.
pub(crate) fn section(reader: &mut Reader<'_>, seen: &mut Clients) -> Result<(u64, Id), Malformed> {
    let start = *reader;
    let count = reader.count(2)?;
    if count == 0 {
        return Err(start.fault(Fault::Empty));
    }
    let client = seen.next(reader)?;
    Ok((count, Id { client, clock: small(clock(reader)?) }))
}

pub(crate) fn deletions(reader: &mut Reader<'_>, mut each: impl FnMut(Run)) -> Result<(), Malformed> {
    let clients = clients(reader, 4)?;
    let mut seen = Clients::default();
    for _ in 0..clients {
        let client = seen.next(reader)?;
        let ranges = reader.count(2)?;
        for _ in 0..ranges {
            let start = *reader;
            let first = clock(reader)?;
            let end = first + length(reader)?;
            if end > MAX_CLOCK {
                return Err(start.fault(Fault::Clock));
            }
            each(Run { client, start: small(first), end: small(end) });
        }
    }
    Ok(())
}

pub(crate) fn clients(reader: &mut Reader<'_>, least: usize) -> Result<u64, Malformed> {
    let start = *reader;
    let clients = reader.count(least)?;
    if usize::try_from(clients).is_ok_and(|clients| clients <= MAX_CLIENTS) {
        Ok(clients)
    } else {
        Err(start.fault(Fault::Clients))
    }
}

/// Which clients were listed. Whoever writes an update begins with the highest, so that usually there is little to remember.
#[derive(Default)]
pub(crate) struct Clients {
    lowest: Option<u64>,
    /// Once one came out of order, all of them.
    others: BTreeSet<u64>,
    descending: Vec<u64>,
}

impl Clients {
    pub(crate) fn next(&mut self, reader: &mut Reader<'_>) -> Result<u64, Malformed> {
        let start = *reader;
        let client = reader.unsigned(MAX_SAFE_INTEGER)?;
        let descends = self.lowest.is_none_or(|lowest| client < lowest);
        let is_new = if descends {
            self.lowest = Some(client);
            self.descending.push(client);
            !self.others.contains(&client)
        } else {
            let listed = self.descending.binary_search_by(|other| client.cmp(other)).is_ok();
            !listed && self.others.insert(client)
        };
        if is_new { Ok(client) } else { Err(start.fault(Fault::Twice)) }
    }
}
