//! Writing updates.

use std::collections::BTreeMap;

use crate::structure::Id;
use crate::update::Run;

/// An update that is being written.
#[derive(Default)]
pub(crate) struct Parts<'a> {
    sections: Vec<(u64, Id, &'a [u8])>,
    deleted: BTreeMap<u64, Vec<Run>>,
}

impl<'a> Parts<'a> {
    pub(crate) fn push(&mut self, count: u64, first: Id, structures: Option<&'a [u8]>) {
        if let Some(structures) = structures.filter(|_| count > 0) {
            self.sections.push((count, first, structures));
        }
    }

    pub(crate) fn delete(&mut self, range: Run) {
        if range.start < range.end {
            self.deleted.entry(range.client).or_default().push(range);
        }
    }

    pub(crate) fn into_bytes(self) -> Vec<u8> {
        let mut out = Vec::new();
        write(&mut out, self.sections.len() as u64);
        for (count, first, structures) in self.sections {
            write(&mut out, count);
            write(&mut out, first.client);
            write(&mut out, u64::from(first.clock));
            out.extend_from_slice(structures);
        }
        write(&mut out, self.deleted.len() as u64);
        for (client, ranges) in self.deleted.into_iter().rev() {
            write(&mut out, client);
            write(&mut out, ranges.len() as u64);
            for range in ranges {
                write(&mut out, u64::from(range.start));
                write(&mut out, u64::from(range.end - range.start));
            }
        }
        out
    }
}

/// An unsigned integer: seven bits a byte, the low ones first.
pub(crate) fn write(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        bytes.push(number.to_le_bytes()[0] | 0x80);
        number >>= 7;
    }
    bytes.push(number.to_le_bytes()[0]);
}
