//! What of a file is on the platter, and what is on its way.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::path::Path;

/// Bytes that reach the platter together or not at all.
const SECTOR: usize = 512;

/// One file.
#[derive(Debug, Default)]
pub(crate) struct Platter {
    /// What was flushed; nothing where the file is not on the platter.
    flushed: Option<Vec<u8>>,
    /// What happened since, in its order.
    since: Vec<Step>,
    /// Its length as its users see it.
    length: u64,
    /// Whether it is there for its users.
    is_there: bool,
}

#[derive(Debug)]
enum Step {
    Write { offset: usize, bytes: Vec<u8> },
    Truncate(usize),
    Remove,
}

impl Platter {
    /// A file as it lies in its folder before anybody opens it.
    pub(crate) fn found(path: &Path) -> Self {
        match std::fs::read(path) {
            Ok(bytes) => {
                Self { length: bytes.len() as u64, flushed: Some(bytes), since: Vec::new(), is_there: true }
            }
            Err(_) => Self::default(),
        }
    }

    pub(crate) fn open(&mut self) {
        self.is_there = true;
    }

    pub(crate) fn length(&self) -> u64 {
        if self.is_there { self.length } else { 0 }
    }

    pub(crate) fn write(&mut self, offset: u64, bytes: &[u8]) {
        self.length = self.length.max(offset + bytes.len() as u64);
        self.since.push(Step::Write { offset: index(offset), bytes: bytes.to_owned() });
    }

    pub(crate) fn truncate(&mut self, length: u64) {
        self.length = self.length.min(length);
        self.since.push(Step::Truncate(index(length)));
    }

    /// Tells whether the file was not on the platter before.
    pub(crate) fn flush(&mut self) -> bool {
        let is_new = self.flushed.is_none();
        let content = self.flushed.get_or_insert_default();
        for step in self.since.drain(..) {
            match step {
                Step::Write { offset, bytes } => put(content, offset, &bytes),
                Step::Truncate(length) => content.truncate(length),
                Step::Remove => content.clear(),
            }
        }
        is_new
    }

    /// The folder was flushed: whether the file is there is on the platter, whatever of its content is.
    pub(crate) fn flush_name(&mut self) {
        if self.is_there {
            self.flushed.get_or_insert_default();
        } else {
            (self.flushed, self.since) = (None, Vec::new());
        }
    }

    pub(crate) fn remove(&mut self, is_flushed: bool) {
        (self.is_there, self.length) = (false, 0);
        if is_flushed {
            (self.flushed, self.since) = (None, Vec::new());
        } else {
            self.since.push(Step::Remove);
        }
    }

    /// Adds to what is left what a power cut leaves of this file: what was flushed, and any sectors of what was not.
    pub(crate) fn leave(&self, dice: &mut Dice, path: &Path, left: &mut Left) {
        // Each cut keeps another share, so that all and nothing come up too.
        let share = dice.below(5);
        let mut content = self.flushed.clone();
        for step in &self.since {
            match step {
                Step::Write { offset, bytes } => {
                    let mut kept = 0;
                    let mut at = 0;
                    while at < bytes.len() {
                        let sector = (SECTOR - (offset + at) % SECTOR).min(bytes.len() - at);
                        if dice.below(4) < share {
                            let piece = bytes.get(at..at + sector).unwrap_or_default();
                            put(content.get_or_insert_default(), offset + at, piece);
                            kept += sector;
                        }
                        at += sector;
                    }
                    left.lost += usize::from(kept == 0);
                    left.torn += usize::from(kept > 0 && kept < bytes.len());
                }
                Step::Truncate(length) if dice.below(4) < share => {
                    if let Some(content) = &mut content {
                        content.truncate(*length);
                    }
                }
                Step::Remove if dice.below(4) < share => content = None,
                Step::Truncate(_) | Step::Remove => left.lost += 1,
            }
        }
        if let (Some(content), Some(name)) = (content, path.file_name()) {
            left.files.insert(name.to_owned(), content);
        }
    }
}

fn index(offset: u64) -> usize {
    usize::try_from(offset).unwrap_or(usize::MAX)
}

fn put(content: &mut Vec<u8>, offset: usize, bytes: &[u8]) {
    let end = offset + bytes.len();
    if content.len() < end {
        content.resize(end, 0);
    }
    if let Some(place) = content.get_mut(offset..end) {
        place.copy_from_slice(bytes);
    }
}

/// What a power cut has left.
#[derive(Debug, Default)]
pub struct Left {
    files: BTreeMap<OsString, Vec<u8>>,
    /// Writes, truncations and removals of which nothing is left.
    pub lost: usize,
    /// Writes of which some sectors are left and some are not.
    pub torn: usize,
}

impl Left {
    /// Puts the files into a folder, as the next start finds them.
    pub fn write_to(&self, folder: &Path) -> io::Result<()> {
        self.files.iter().try_for_each(|(name, content)| std::fs::write(folder.join(name), content))
    }
}

/// Random numbers that a seed determines (Steele, Lea, Flood: SplitMix64).
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % end
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn left(platter: &Platter, seed: u64) -> Left {
        let mut left = Left::default();
        platter.leave(&mut Dice::new(seed), Path::new("x"), &mut left);
        left
    }

    fn content(left: &Left) -> &[u8] {
        left.files.values().next().unwrap()
    }

    #[test]
    fn what_was_flushed_is_left_by_every_cut() {
        let mut platter = Platter::default();
        platter.write(0, &[1; 700]);
        platter.write(100, &[2; 100]);
        platter.truncate(650);
        platter.flush();
        let expected = [vec![1; 100], vec![2; 100], vec![1; 450]].concat();
        for seed in 0..50 {
            assert_eq!(content(&left(&platter, seed)), expected);
        }
    }

    #[test]
    fn of_what_was_not_flushed_a_cut_leaves_all_nothing_or_some_sectors() {
        let mut platter = Platter::default();
        platter.write(0, &[1; 2_048]);
        platter.flush();
        platter.write(256, &[2; 1_024]);
        let (mut all, mut nothing, mut torn) = (0, 0, 0);
        for seed in 0..100 {
            let left = left(&platter, seed);
            let content = content(&left);
            assert_eq!(
                (content.len(), &content[..256], &content[1_280..]),
                (2_048, &[1; 256][..], &[1; 768][..])
            );
            for sector in [256..512, 512..1_024, 1_024..1_280] {
                let sector = &content[sector];
                assert!(sector.iter().all(|byte| *byte == sector[0]), "a sector is one");
            }
            match content.iter().filter(|byte| **byte == 2).count() {
                1_024 => all += 1,
                0 => nothing += 1,
                _ => torn += 1,
            }
            assert_eq!(
                (left.lost, left.torn),
                (
                    usize::from(!content.contains(&2)),
                    usize::from(content[256..1_280].contains(&1) && content.contains(&2))
                )
            );
        }
        assert!(all > 5 && nothing > 5 && torn > 5, "{all} {nothing} {torn}");
    }

    #[test]
    fn a_file_that_was_never_flushed_may_be_gone_and_a_removed_one_may_be_back() {
        let mut created = Platter::default();
        created.open();
        created.write(0, &[1; 10]);
        let mut removed = Platter::default();
        removed.write(0, &[1; 10]);
        removed.flush();
        removed.remove(false);
        for platter in [&created, &removed] {
            let there = (0..100).filter(|seed| !left(platter, *seed).files.is_empty()).count();
            assert!((10..90).contains(&there), "{there}");
        }
        removed.remove(true);
        assert!((0..100).all(|seed| left(&removed, seed).files.is_empty()));
    }
}
