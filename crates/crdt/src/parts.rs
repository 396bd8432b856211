//! A large state cut into updates that can be applied one after the other, each as it comes: nothing in one refers to something in a later one.

use bytes::Bytes;

use crate::malformed::Malformed;
use crate::parting::Parting;
use crate::reader::Reader;
use crate::structure::{self, Id, ORIGIN, RIGHT_ORIGIN, TEXT, VALUES};
use crate::update::{Clocks, Run, Update};
use crate::value;
use crate::writing::{Parts, write};

const CONTENT: u8 = 0x1f;

impl Update {
    /// The same in parts of about so many bytes; larger where one value alone is. All that this refers to is in it, or held by whoever gets it.
    pub fn in_parts(&self, held: &Clocks, max_bytes: usize) -> Vec<Bytes> {
        let mut cutter = Cutter { max_bytes, ..Cutter::default() };
        let Ok(mut parting) = Parting::of(self.bytes(), held) else { return vec![self.bytes().clone()] };
        let deleted = std::mem::take(&mut parting.deleted);
        parting.run(|id, _, bytes| cutter.push(id, bytes));
        cutter.flush();
        for range in deleted {
            cutter.delete(range);
        }
        cutter.flush();
        cutter.done
    }
}

/// What was cut so far.
#[derive(Default)]
struct Cutter {
    max_bytes: usize,
    /// In the part that is being made, the structures of one client behind one another.
    sections: std::collections::BTreeMap<u64, (u64, Id, Vec<u8>)>,
    deleted: Vec<Run>,
    bytes: usize,
    done: Vec<Bytes>,
}

/// What a range of deleted elements takes at most.
const RANGE_BYTES: usize = 10;

impl Cutter {
    fn push(&mut self, id: Id, structure: &[u8]) {
        if self.bytes > 0 && self.bytes + structure.len() > self.max_bytes {
            self.flush();
        }
        if structure.len() <= self.max_bytes {
            return self.append(id, structure);
        }
        match pieces(id, structure, self.max_bytes) {
            Ok(pieces) => {
                for (id, piece) in pieces {
                    self.append(id, &piece);
                    self.flush();
                }
            }
            Err(_) => self.append(id, structure),
        }
    }

    fn append(&mut self, id: Id, structure: &[u8]) {
        self.bytes += structure.len();
        let (count, _, bytes) = self.sections.entry(id.client).or_insert_with(|| (0, id, Vec::new()));
        *count += 1;
        bytes.extend_from_slice(structure);
    }

    fn delete(&mut self, range: Run) {
        if self.bytes + RANGE_BYTES > self.max_bytes {
            self.flush();
        }
        self.bytes += RANGE_BYTES;
        self.deleted.push(range);
    }

    fn flush(&mut self) {
        if std::mem::take(&mut self.bytes) == 0 {
            return;
        }
        let sections = std::mem::take(&mut self.sections);
        let mut parts = Parts::default();
        for (count, first, bytes) in sections.values().rev() {
            parts.push(*count, *first, Some(bytes));
        }
        std::mem::take(&mut self.deleted).into_iter().for_each(|range| parts.delete(range));
        self.done.push(parts.into_bytes().into());
    }
}

/// A long text, or a long list of values, as several structures, each of which stands behind the one before. Anything else stays whole.
fn pieces(id: Id, bytes: &[u8], max_bytes: usize) -> Result<Vec<(Id, Vec<u8>)>, Malformed> {
    let mut reader = Reader::new(bytes);
    let head = structure::head(&mut reader, id)?;
    let before = bytes.get(..reader.at()).unwrap_or_default();
    // What follows goes behind what is in front of it, before the same.
    let behind = |clock: u32| {
        let info = (head.info | ORIGIN) & !(if head.right.is_none() { RIGHT_ORIGIN } else { 0 });
        let mut out = vec![info];
        let right = head.right.map(|right| [right.client, u64::from(right.clock)]);
        let origin = [id.client, u64::from(clock - 1)];
        origin.into_iter().chain(right.into_iter().flatten()).for_each(|number| write(&mut out, number));
        out
    };
    let mut pieces: Vec<(Id, Vec<u8>)> = Vec::new();
    let mut clock = id.clock;
    let mut add = |length: usize, content: &dyn Fn(&mut Vec<u8>)| {
        let mut piece = if clock == id.clock { before.to_vec() } else { behind(clock) };
        content(&mut piece);
        pieces.push((Id { clock, ..id }, piece));
        clock = clock.saturating_add(u32::try_from(length).unwrap_or(u32::MAX));
    };
    match head.info & CONTENT {
        TEXT => {
            let mut text = reader.text()?;
            while !text.is_empty() {
                let (piece, rest) = text.split_at(text.floor_char_boundary(max_bytes.max(4)));
                add(piece.chars().map(char::len_utf16).sum(), &|out: &mut Vec<u8>| {
                    write(out, piece.len() as u64);
                    out.extend_from_slice(piece.as_bytes());
                });
                text = rest;
            }
        }
        VALUES => {
            let mut left = reader.count(1)?;
            while left > 0 {
                let (from, mut count) = (reader.at(), 0);
                while left > 0 && (count == 0 || reader.at() - from < max_bytes) {
                    value::values(&mut reader, 1)?;
                    count += 1;
                    left -= 1;
                }
                let values = bytes.get(from..reader.at()).unwrap_or_default();
                add(count, &|out: &mut Vec<u8>| {
                    write(out, count as u64);
                    out.extend_from_slice(values);
                });
            }
        }
        _ => pieces.push((id, bytes.to_vec())),
    }
    Ok(pieces)
}
