//! Reads the compact encoding. Everything is foreign here: lengths are believed only as far as there is input.

use std::str;

use super::Wire;
use crate::error::{DecodeError, DecodeErrorKind};
use crate::limits::{MAX_INTEGER, MAX_ITEMS_PER_MESSAGE, MAX_MESSAGE_BYTES};

/// Bytes of a list that are reserved before its elements have been seen. A list that says it is longer grows as it is read.
const RESERVED_BYTES: usize = 4 * 1024;

/// Takes values in the compact encoding from the front of its input.
///
/// What is wrong with the input is kept until the end, where [`finish`](Self::finish) tells it. Whatever is read from there on is zero or
/// empty: so a value is read to its end without asking after each of its parts, and is dropped then.
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    /// Empty once it has failed.
    input: &'a [u8],
    position: usize,
    /// List elements that may still be read. An element costs more memory than input, so that their number is bounded.
    items: usize,
    /// Bytes of canonical text that the JSON values may still stand for. A byte of binary stands for up to five of text,
    /// and a value takes memory in proportion to its text.
    json_bytes: usize,
    /// What was wrong first.
    error: Option<DecodeError>,
}

impl<'a> Reader<'a> {
    /// Reads what this side wrote itself: a stored record, bounded by its own length.
    pub fn new(input: &'a [u8]) -> Self {
        Self { input, position: 0, items: usize::MAX, json_bytes: usize::MAX, error: None }
    }

    /// Reads what a peer wrote, within the limits of one message.
    pub fn of_message(input: &'a [u8]) -> Self {
        Self { items: MAX_ITEMS_PER_MESSAGE, json_bytes: MAX_MESSAGE_BYTES, ..Self::new(input) }
    }

    /// Number of bytes read so far.
    pub fn offset(&self) -> usize {
        self.position
    }

    /// Number of bytes that are left.
    pub fn remaining(&self) -> usize {
        self.rest().len()
    }

    /// Whether something was wrong with what was read so far.
    pub fn has_failed(&self) -> bool {
        self.error.is_some()
    }

    /// Notes what is wrong at the place that is read next.
    pub fn fail(&mut self, kind: DecodeErrorKind) {
        self.fail_at(self.position, kind);
    }

    /// Notes what is wrong at an earlier place. What is wrong behind the first fault is its consequence.
    #[cold]
    pub fn fail_at(&mut self, offset: usize, kind: DecodeErrorKind) {
        if self.error.is_none() {
            self.error = Some(DecodeError::new(offset, kind));
            self.input = &[];
        }
    }

    /// Ends reading. What was read before counts only when this succeeds.
    ///
    /// # Errors
    ///
    /// When the input was cut off, malformed or beyond a limit, and when some of it is left.
    pub fn finish(mut self) -> Result<(), DecodeError> {
        match self.remaining() {
            0 => {}
            bytes => self.fail(DecodeErrorKind::Trailing { bytes }),
        }
        self.error.map_or(Ok(()), Err)
    }

    /// Reads one byte. Fails when none is left.
    pub fn byte(&mut self) -> u8 {
        let [byte] = self.array();
        byte
    }

    /// Reads that many bytes, without copying them. Fails when fewer are left.
    pub fn raw(&mut self, count: usize) -> &'a [u8] {
        if let Some(bytes) = self.rest().get(..count) {
            self.position += count;
            return bytes;
        }
        self.fail(DecodeErrorKind::Truncated);
        &[]
    }

    /// Reads a form of known length. Fails when fewer bytes are left.
    pub fn array<const N: usize>(&mut self) -> [u8; N] {
        if let Some(bytes) = self.rest().first_chunk() {
            self.position += N;
            return *bytes;
        }
        self.fail(DecodeErrorKind::Truncated);
        [0; N]
    }

    /// Reads a LEB128 integer of up to 64 bits. Fails when it is cut off, longer than it needs to be, or larger than 64 bits.
    pub fn varint(&mut self) -> u64 {
        let start = self.position;
        let mut value = 0_u64;
        for shift in (0..u64::BITS).step_by(7) {
            let byte = self.byte();
            let bits = u64::from(byte & 0x7f);
            // The tenth byte has room for one bit.
            if bits > u64::MAX >> shift {
                break;
            }
            value |= bits << shift;
            if byte < 0x80 {
                let shortest = byte != 0 || shift == 0;
                if shortest {
                    return value;
                }
                break;
            }
        }
        self.fail_at(start, DecodeErrorKind::Overlong);
        0
    }

    /// Reads an integer that also every reader of JSON can hold. Fails as [`varint`](Self::varint) does, and above [`MAX_INTEGER`].
    pub fn integer(&mut self) -> u64 {
        let start = self.position;
        let integer = self.varint();
        if integer <= MAX_INTEGER {
            return integer;
        }
        self.fail_at(start, DecodeErrorKind::IntegerOutOfRange);
        0
    }

    /// Reads a number of things that take at least one byte each. Fails as [`varint`](Self::varint) does, above the limit, and when there is
    /// not as much input as that.
    pub fn count(&mut self, what: &'static str, limit: usize) -> usize {
        let start = self.position;
        let count = usize::try_from(self.varint()).unwrap_or(usize::MAX);
        if count <= limit && count <= self.remaining() {
            return count;
        }
        let kind =
            if count > limit { DecodeErrorKind::Limit { what, limit } } else { DecodeErrorKind::Truncated };
        self.fail_at(start, kind);
        0
    }

    /// Reads bytes behind their number, without copying them. Fails as [`count`](Self::count) does.
    pub fn bytes(&mut self, what: &'static str, limit: usize) -> &'a [u8] {
        let count = self.count(what, limit);
        self.raw(count)
    }

    /// Reads a text of at most `limit` bytes, without copying it. Fails as [`count`](Self::count) does, and when it is not UTF-8.
    pub fn text(&mut self, what: &'static str, limit: usize) -> &'a str {
        let count = self.count(what, limit);
        self.utf8(count)
    }

    /// Reads that many bytes of UTF-8.
    pub(crate) fn utf8(&mut self, count: usize) -> &'a str {
        let start = self.position;
        str::from_utf8(self.raw(count)).unwrap_or_else(|error| {
            self.fail_at(start + error.valid_up_to(), DecodeErrorKind::BadUtf8);
            ""
        })
    }

    /// Reads a list of at most `limit` elements. Fails as [`count`](Self::count) does, and for more elements than a message may have in all
    /// its lists together.
    pub fn list<T: Wire>(&mut self, what: &'static str, limit: usize) -> Vec<T> {
        let count = self.list_count(what, limit);
        let mut items = Self::reserve(count);
        for _ in 0..count {
            items.push(T::read(self));
            if self.has_failed() {
                break;
            }
        }
        items
    }

    fn list_count(&mut self, what: &'static str, limit: usize) -> usize {
        let start = self.position;
        let count = self.count(what, limit);
        match self.items.checked_sub(count) {
            Some(items) => {
                self.items = items;
                count
            }
            None => {
                let what = "the number of elements in all lists";
                self.fail_at(start, DecodeErrorKind::Limit { what, limit: MAX_ITEMS_PER_MESSAGE });
                0
            }
        }
    }

    /// Skips an extension block. Fails when it is cut off.
    pub fn extension(&mut self) {
        self.bytes("an extension block", usize::MAX);
    }

    /// Makes a list with room for its first elements.
    pub(crate) fn reserve<T>(count: usize) -> Vec<T> {
        Vec::with_capacity(count.min(RESERVED_BYTES / size_of::<T>().max(1)))
    }

    /// Counts text that a JSON value is about to stand for.
    pub(crate) fn charge_json(&mut self, bytes: usize) {
        match self.json_bytes.checked_sub(bytes) {
            Some(left) => self.json_bytes = left,
            None => {
                let what = "the canonical text of the values";
                self.fail(DecodeErrorKind::Limit { what, limit: MAX_MESSAGE_BYTES });
            }
        }
    }

    /// What is left to read.
    fn rest(&self) -> &'a [u8] {
        self.input.get(self.position..).unwrap_or_default()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;
    use crate::binary::{Writer, from_bytes, to_bytes};

    /// What is wrong with the input of a reader, when it has failed.
    fn error(input: Reader<'_>) -> DecodeError {
        assert!(input.has_failed());
        input.finish().unwrap_err()
    }

    fn varint(bytes: &[u8]) -> Result<u64, DecodeErrorKind> {
        let mut input = Reader::new(bytes);
        let integer = input.varint();
        input.finish().map(|()| integer).map_err(|error| error.kind().clone())
    }

    #[test]
    fn varints_are_read_back_at_their_edges() {
        for (integer, bytes) in [
            (0, &[0][..]),
            (0x7f, &[0x7f]),
            (0x80, &[0x80, 1]),
            (300, &[0xac, 2]),
            (u64::MAX, &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1]),
        ] {
            let mut out = Writer::new();
            out.varint(integer);
            assert_eq!(out.into_bytes(), bytes);
            assert_eq!(varint(bytes), Ok(integer));
        }
        for shift in 0..64 {
            for integer in [(1_u64 << shift) - 1, 1 << shift] {
                let mut out = Writer::new();
                out.varint(integer);
                assert_eq!(varint(&out.into_bytes()), Ok(integer));
            }
        }
    }

    #[test]
    fn varints_have_one_form() {
        for overlong in [&[0x80, 0][..], &[0xff, 0x80, 0], &[0x80; 11], &[0xff; 10]] {
            assert_eq!(varint(overlong), Err(DecodeErrorKind::Overlong), "{overlong:?}");
        }
        // The tenth byte holds one bit.
        let mut large = [0xff; 10];
        large[9] = 2;
        assert_eq!(varint(&large), Err(DecodeErrorKind::Overlong));
        for cut in [&[][..], &[0x80], &[0xff; 9]] {
            assert_eq!(varint(cut), Err(DecodeErrorKind::Truncated), "{cut:?}");
        }
        assert_eq!(varint(&[1, 1]), Err(DecodeErrorKind::Trailing { bytes: 1 }));
    }

    #[test]
    fn integers_stay_below_2_to_the_53() {
        assert_eq!(from_bytes::<u64>(&to_bytes(&MAX_INTEGER)).unwrap(), MAX_INTEGER);
        let beyond = from_bytes::<u64>(&to_bytes(&(MAX_INTEGER + 1))).unwrap_err();
        assert_eq!(beyond, DecodeError::new(0, DecodeErrorKind::IntegerOutOfRange));
        assert!(from_bytes::<u16>(&to_bytes(&65_536_u32)).is_err());
    }

    #[test]
    fn a_length_is_not_believed_beyond_the_input() {
        let mut out = Writer::new();
        out.varint(1_000_000);
        out.raw(b"abc");
        let bytes = out.into_bytes();
        let truncated = DecodeError::new(0, DecodeErrorKind::Truncated);
        let mut input = Reader::new(&bytes);
        assert_eq!(input.bytes("x", usize::MAX), b"");
        assert_eq!(error(input), truncated);
        let mut input = Reader::new(&bytes);
        assert!(input.list::<bool>("x", usize::MAX).is_empty());
        assert_eq!(error(input), truncated);
        let limit = DecodeErrorKind::Limit { what: "x", limit: 999_999 };
        let mut input = Reader::new(&bytes);
        input.bytes("x", 999_999);
        assert_eq!(error(input).kind(), &limit);
    }

    #[test]
    fn all_lists_of_a_message_share_one_limit() {
        let mut out = Writer::new();
        let half = vec![false; MAX_ITEMS_PER_MESSAGE / 2];
        out.list(&half);
        out.list(&half);
        out.list(&[false]);
        let bytes = out.into_bytes();
        let lists = |mut input: Reader<'_>| {
            for _ in 0..3 {
                input.list::<bool>("x", usize::MAX);
            }
            input.finish().map_err(|error| error.kind().clone())
        };
        let what = "the number of elements in all lists";
        assert_eq!(
            lists(Reader::of_message(&bytes)),
            Err(DecodeErrorKind::Limit { what, limit: MAX_ITEMS_PER_MESSAGE })
        );
        assert_eq!(lists(Reader::new(&bytes)), Ok(()));
    }

    #[test]
    fn an_extension_block_is_skipped() {
        let mut input = Reader::new(&[3, 9, 9, 9, 7]);
        input.extension();
        assert_eq!(input.byte(), 7);
        input.finish().unwrap();
        let mut input = Reader::new(&[2, 9]);
        input.extension();
        assert_eq!(error(input).kind(), &DecodeErrorKind::Truncated);
    }

    #[test]
    fn a_text_says_where_it_stops_being_utf_8() {
        let mut input = Reader::new(&[3, b'a', 0xff, b'b']);
        assert_eq!(input.text("x", 9), "");
        assert_eq!(error(input), DecodeError::new(2, DecodeErrorKind::BadUtf8));
    }

    #[test]
    fn behind_the_first_fault_everything_is_zero_or_empty_and_no_fault() {
        let mut input = Reader::new(&[0x80, 0, 7, 7]);
        assert_eq!(input.varint(), 0);
        assert_eq!((input.byte(), input.integer(), input.array(), input.raw(1)), (0, 0, [0; 2], &[][..]));
        assert_eq!((input.text("x", 9), input.list::<u64>("x", 9)), ("", Vec::new()));
        assert_eq!(error(input), DecodeError::new(0, DecodeErrorKind::Overlong));
    }
}
