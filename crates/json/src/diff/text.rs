//! Long strings: the parts in which they differ.
//!
//! Equal ends are cut off. What is left is cut into words, the words are aligned, and the runs of words that differ
//! become splices, two of them one where the words between are shorter than an operation.

use std::ops::Range;

use super::{Action, Differ, Exceeded, digits};
use crate::{
    Text,
    align::{Likeness, Match, align_by},
    fingerprint,
};

/// Length of a splice without path, numbers and text.
const SPLICE_BYTES: usize = r#"{"op":"splice","path":"","at":,"remove":,"insert":""},"#.len();

/// Bytes of both strings together, without their equal ends, that are cut into words; the words of more would take
/// more memory than a document.
const MAX_ALIGNED_BYTES: usize = 4 << 20;

/// Bytes of words that are hashed and compared in the time of about one step of an alignment.
const BYTES_PER_STEP: usize = 2;

/// One part of a string that is replaced.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Hunk {
    old: Range<usize>,
    new: Range<usize>,
}

impl<'a> Differ<'a> {
    /// Makes the string at the path into `to`.
    pub(super) fn text(&mut self, from: &'a Text, to: &'a Text, ceiling: usize) -> Result<(), Exceeded> {
        let splice_bytes = SPLICE_BYTES + self.path_bytes + 2 * digits(to.len());
        let middle = differing(from, to, Hunk { old: 0..from.len(), new: 0..to.len() });
        let hunks = if middle.new.len() > splice_bytes && !middle.old.is_empty() {
            self.hunks(from, to, middle, splice_bytes)
        } else {
            vec![middle]
        };
        for hunk in hunks {
            let insert = &to[hunk.new.clone()];
            let escapes: usize = insert.bytes().map(escape_bytes).sum();
            // What is left of the hunk is new already, so that its place is the one in the new string.
            let splice = Action::Splice { at: hunk.new.start, remove: hunk.old.len(), insert };
            self.emit(splice, splice_bytes - self.path_bytes + insert.len() + escapes, ceiling)?;
        }
        Ok(())
    }

    /// The hunks inside of one.
    fn hunks(&mut self, from: &str, to: &str, whole: Hunk, splice_bytes: usize) -> Vec<Hunk> {
        let bytes = whole.old.len() + whole.new.len();
        if bytes > MAX_ALIGNED_BYTES || !self.work.spend((bytes / BYTES_PER_STEP) as u64) {
            return vec![whole];
        }
        let (old, new) = (words(&from[whole.old.clone()]), words(&to[whole.new.clone()]));
        let matches = align_by(&old, &new, &mut self.work, &ByText);

        let length = |words: &[&str]| words.iter().map(|word| word.len()).sum::<usize>();
        let end = Match { a: old.len(), b: new.len(), len: 0 };
        let mut hunks: Vec<Hunk> = Vec::new();
        // Words and bytes of both sides that are done.
        let (mut a, mut b) = (0, 0);
        let (mut old_start, mut new_start) = (whole.old.start, whole.new.start);
        for run in matches.into_iter().chain([end]) {
            let old_end = old_start + length(&old[a..run.a]);
            let new_end = new_start + length(&new[b..run.b]);
            match hunks.last_mut() {
                Some(last) if new_start - last.new.end < splice_bytes => {
                    (last.old.end, last.new.end) = (old_end, new_end);
                }
                _ => hunks.push(Hunk { old: old_start..old_end, new: new_start..new_end }),
            }
            let matched = length(&old[run.a..run.a + run.len]);
            (old_start, new_start) = (old_end + matched, new_end + matched);
            (a, b) = (run.a + run.len, run.b + run.len);
        }
        hunks.into_iter().map(|hunk| differing(from, to, hunk)).filter(|hunk| !hunk.is_empty()).collect()
    }
}

/// Bytes that a byte takes in JSON beside its own.
fn escape_bytes(byte: u8) -> usize {
    match byte {
        b'"' | b'\\' | b'\x08' | b'\t' | b'\n' | b'\x0c' | b'\r' => 1,
        0..0x20 => 5,
        _ => 0,
    }
}

/// Words that are told apart by all of their bytes.
struct ByText;

impl Likeness<&str> for ByText {
    fn look(&self, word: &&str) -> u64 {
        fingerprint::of_bytes(word.as_bytes())
    }

    fn fingerprint(&self, word: &&str) -> u64 {
        self.look(word)
    }

    fn same(&self, a: &&str, b: &&str) -> bool {
        a == b
    }
}

impl Hunk {
    fn is_empty(&self) -> bool {
        self.old.is_empty() && self.new.is_empty()
    }
}

/// What is left of a hunk without its equal ends; like these it begins and ends between characters.
fn differing(from: &str, to: &str, Hunk { old, new }: Hunk) -> Hunk {
    let (a, b) = (&from.as_bytes()[old.clone()], &to.as_bytes()[new.clone()]);
    let mut prefix = common_prefix(a, b);
    // Up to there the bytes are the same, so that a character ends in both strings or in neither.
    while !from.is_char_boundary(old.start + prefix) {
        prefix -= 1;
    }
    let mut suffix = common_suffix(&a[prefix..], &b[prefix..]);
    while !from.is_char_boundary(old.end - suffix) {
        suffix -= 1;
    }
    Hunk { old: old.start + prefix..old.end - suffix, new: new.start + prefix..new.end - suffix }
}

/// Bytes that are compared at once.
const BLOCK: usize = 32;

fn common_prefix(a: &[u8], b: &[u8]) -> usize {
    let blocks = a.as_chunks::<BLOCK>().0.iter().zip(b.as_chunks::<BLOCK>().0);
    let start = BLOCK * blocks.take_while(|(a, b)| a == b).count();
    start + crate::align::common_prefix(&a[start..], &b[start..], u8::eq)
}

fn common_suffix(a: &[u8], b: &[u8]) -> usize {
    let blocks = a.as_rchunks::<BLOCK>().1.iter().rev().zip(b.as_rchunks::<BLOCK>().1.iter().rev());
    let end = BLOCK * blocks.take_while(|(a, b)| a == b).count();
    end + crate::align::common_suffix(&a[..a.len() - end], &b[..b.len() - end], u8::eq)
}

/// Longest run of letters and digits in one word.
const MAX_WORD_BYTES: usize = 16;

/// Shortest word that a text without spaces is cut into.
const MIN_WORD_BYTES: usize = 4;

/// Cuts a text into words: letters and digits of ASCII with what follows up to the next, or one other character.
///
/// Long runs of letters are cut where their content says so, so that in text without spaces too the words are the same
/// again behind an insertion.
fn words(text: &str) -> Vec<&str> {
    let bytes = text.as_bytes();
    let mut words = Vec::with_capacity(bytes.len() / 6);
    let mut start = 0;
    while start < bytes.len() {
        let end = start + word_len(&bytes[start..]);
        words.extend(text.get(start..end));
        start = end;
    }
    words
}

/// Length of the first word of a text that is not empty; ends between two characters.
fn word_len(text: &[u8]) -> usize {
    let mut length = 0;
    let mut before = 0;
    while let Some(byte) = text.get(length).filter(|byte| byte.is_ascii_alphanumeric()) {
        length += 1;
        let cut = length >= MIN_WORD_BYTES
            && u32::from(before).wrapping_mul(31).wrapping_add(u32::from(*byte)) % 8 == 0;
        if cut || length == MAX_WORD_BYTES {
            return length;
        }
        before = *byte;
    }
    if length == 0 && text.first().is_some_and(|byte| !byte.is_ascii()) {
        return 1 + text.iter().skip(1).take_while(|byte| **byte & 0xc0 == 0x80).count();
    }
    let other = |byte: &&u8| byte.is_ascii() && !byte.is_ascii_alphanumeric();
    length + text[length..].iter().take(MAX_WORD_BYTES).take_while(other).count()
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn words_join_to_the_text_they_were_cut_from() {
        for text in
            ["", "a", "the quick, brown fox!", "été 😀😀 naïve", "x = y + 1;\n\n\n", &"abcdefgh".repeat(40)]
        {
            assert_eq!(words(text).concat(), text);
            assert!(words(text).iter().all(|word| !word.is_empty()));
        }
        assert_eq!(words("the fox, été"), ["the ", "fox, ", "é", "t", "é"]);
    }

    #[test]
    fn words_of_unbroken_text_are_the_same_again_behind_an_insertion() {
        let mut state = 1_u32;
        let text: String = std::iter::repeat_with(|| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            char::from(b'a' + u8::try_from(state >> 28).unwrap_or(0))
        })
        .take(2_000)
        .collect();
        let edited = format!("{}inserted{}", &text[..700], &text[700..]);
        let (old, new) = (words(&text), words(&edited));
        assert!(common_suffix_of(&old, &new) > old.len() / 2);
    }

    fn common_suffix_of(old: &[&str], new: &[&str]) -> usize {
        crate::align::common_suffix(old, new, |a, b| a == b)
    }

    #[test]
    fn what_differs_ends_between_characters() {
        // Both pairs share a byte of two characters: é is c3 a9, è is c3 a8, ũ is c5 a9.
        let whole = |a: &str, b: &str| differing(a, b, Hunk { old: 0..a.len(), new: 0..b.len() });
        assert_eq!(whole("aéb", "aèb"), Hunk { old: 1..3, new: 1..3 });
        assert_eq!(whole("aéb", "aũb"), Hunk { old: 1..3, new: 1..3 });
        assert_eq!(whole("aa", "aaa"), Hunk { old: 2..2, new: 2..3 });
        let long = "é".repeat(50);
        assert_eq!(whole(&long, &format!("{long}x{long}")), Hunk { old: 100..100, new: 100..201 });
    }
}
