//! Going through an update so that everything comes after what it refers to, whatever order it has.

use std::collections::{BTreeMap, BTreeSet};

use crate::malformed::Malformed;
use crate::reader::Reader;
use crate::structure::{self, Id, Kind, Structure};
use crate::update::{Clients, Clocks, Run, clients, deletions, section};
use crate::writing::Parts;

/// Goes through an update in an order in which everything comes after what it refers to, as far as that goes. Each structure is read once, and
/// once more for each other client that it waited for.
pub(crate) struct Parting<'a> {
    bytes: &'a [u8],
    /// How far each client is held, with what went before.
    held: Clocks,
    sections: BTreeMap<u64, Section<'a>>,
    pub(crate) deleted: Vec<Run>,
}

/// What one client wrote.
struct Section<'a> {
    /// In front of the next structure.
    reader: Reader<'a>,
    next: Id,
    left: u64,
    /// Where it began.
    first: Id,
    from: usize,
    taken: u64,
    /// What its next structure refers to, where that is not in this update.
    wants: Option<Id>,
    end: usize,
}

/// What became of a structure.
enum Step {
    Taken,
    /// It waits for another client, up to this clock.
    Waits(Id),
    /// It waits for this, which is not in the update; `None` where it is at its end.
    Stuck(Option<Id>),
}

impl<'a> Parting<'a> {
    pub(crate) fn of(bytes: &'a [u8], held: &Clocks) -> Result<Self, Malformed> {
        let mut reader = Reader::new(bytes);
        let mut sections = BTreeMap::new();
        let mut seen = Clients::default();
        for _ in 0..clients(&mut reader, 5)? {
            let (count, first) = section(&mut reader, &mut seen)?;
            let (begin, from) = (reader, reader.at());
            let mut next = first;
            for _ in 0..count {
                next.clock += structure::read(&mut reader, next)?.length;
            }
            let section = Section {
                reader: begin,
                next: first,
                left: count,
                first,
                from,
                taken: 0,
                wants: None,
                end: reader.at(),
            };
            sections.insert(first.client, section);
        }
        let mut deleted = Vec::new();
        deletions(&mut reader, |range| deleted.push(range))?;
        Ok(Self { bytes, held: held.clone(), sections, deleted })
    }

    /// Calls `each` with what is not held yet, and its bytes.
    pub(crate) fn run(&mut self, mut each: impl FnMut(Id, &Structure, &[u8])) {
        let clients: Vec<u64> = self.sections.keys().copied().collect();
        for client in clients {
            // Who waits for whom, and until when.
            let mut waiting = vec![Id { client, clock: u32::MAX }];
            let mut on_way = BTreeSet::from([client]);
            while let Some(goal) = waiting.last().copied() {
                if self.holds(goal) {
                    waiting.pop();
                    on_way.remove(&goal.client);
                    continue;
                }
                match self.step(goal.client, &mut each) {
                    Step::Taken => {}
                    Step::Waits(other) if self.can_go_on(other.client) && on_way.insert(other.client) => {
                        waiting.push(other);
                    }
                    Step::Waits(other) => self.get_stuck(Some(other), &mut waiting, &mut on_way),
                    Step::Stuck(wants) => self.get_stuck(wants, &mut waiting, &mut on_way),
                }
            }
        }
    }

    /// Nobody goes on for whom the last one waits.
    fn get_stuck(&mut self, wants: Option<Id>, waiting: &mut Vec<Id>, on_way: &mut BTreeSet<u64>) {
        let Some(goal) = waiting.pop() else { return };
        on_way.remove(&goal.client);
        if let Some(section) = self.sections.get_mut(&goal.client).filter(|section| section.left > 0) {
            section.wants = wants;
        }
    }

    /// What has to come before more of this can be applied: any of these.
    pub(crate) fn wants(&self) -> Vec<Id> {
        let mut wants: BTreeSet<Id> = self.sections.values().filter_map(|section| section.wants).collect();
        let mut deleted = Clocks::new();
        for range in &self.deleted {
            let held = self.held.get(&range.client).copied().unwrap_or(0);
            if held < range.end {
                let first = deleted.entry(range.client).or_insert(u32::MAX);
                *first = (*first).min(range.start.max(held));
            }
        }
        wants.extend(deleted.into_iter().map(|(client, clock)| Id { client, clock }));
        wants.into_iter().collect()
    }

    fn holds(&self, id: Id) -> bool {
        self.held.get(&id.client).is_some_and(|held| *held > id.clock)
    }

    fn can_go_on(&self, client: u64) -> bool {
        self.sections.get(&client).is_some_and(|section| section.wants.is_none() && section.left > 0)
    }

    /// Takes the next structure of a client, if all that it refers to is there.
    fn step(&mut self, client: u64, each: &mut impl FnMut(Id, &Structure, &[u8])) -> Step {
        let held = self.held.get(&client).copied().unwrap_or(0);
        let Some(section) = self.sections.get(&client).filter(|section| section.left > 0) else {
            return Step::Stuck(None);
        };
        let (mut reader, next) = (section.reader, section.next);
        let Ok(read) = structure::read(&mut reader, next) else { return Step::Stuck(None) };
        let end = next.clock + read.length;
        let reaches = match read.kind {
            Kind::Skipped => end,
            _ => next.clock,
        };
        if held < reaches {
            return Step::Stuck(Some(Id { clock: reaches - 1, ..next }));
        }
        let others = read.refers.into_iter().flatten().filter(|other| other.client != client);
        if let Some(other) = others.into_iter().find(|other| !self.holds(*other)) {
            return Step::Waits(other);
        }
        if held < end {
            let bytes = self.bytes.get(section.reader.at()..reader.at()).unwrap_or_default();
            each(Id { client, clock: next.clock }, &read, bytes);
            self.held.insert(client, end);
        }
        if let Some(section) = self.sections.get_mut(&client) {
            section.reader = reader;
            section.next.clock = end;
            section.left -= 1;
            section.taken += 1;
        }
        Step::Taken
    }

    /// Both parts, as updates.
    pub(crate) fn into_bytes(self) -> (Vec<u8>, Vec<u8>) {
        let Self { bytes, held, sections, deleted } = self;
        let (mut ready, mut waiting) = (Parts::default(), Parts::default());
        for section in sections.into_values().rev() {
            let cut = section.reader.at();
            ready.push(section.taken, section.first, bytes.get(section.from..cut));
            waiting.push(section.left, section.next, bytes.get(cut..section.end));
        }
        for range in deleted {
            let end = held.get(&range.client).copied().unwrap_or(0).clamp(range.start, range.end);
            ready.delete(Run { end, ..range });
            waiting.delete(Run { start: end, ..range });
        }
        (ready.into_bytes(), waiting.into_bytes())
    }
}
