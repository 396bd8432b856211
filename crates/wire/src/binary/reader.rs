//! Reads the compact encoding. Everything is foreign here: lengths are believed only as far as there is input.

use std::str;

use super::Wire;
use crate::error::{DecodeError, DecodeErrorKind};
use crate::limits::{MAX_INTEGER, MAX_ITEMS_PER_MESSAGE, MAX_MESSAGE_BYTES};

/// Bytes of a list that are reserved before its elements have been seen. A list that says it is longer grows as it is read.
const RESERVED_BYTES: usize = 4 * 1024;

/// Takes values in the compact encoding from the front of its input.
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    input: &'a [u8],
    position: usize,
    /// List elements that may still be read. An element costs more memory than input, so that their number is bounded.
    items: usize,
    /// Bytes of canonical text that the JSON values may still stand for. A byte of binary stands for up to five of text,
    /// and a value takes memory in proportion to its text.
    json_bytes: usize,
}

impl<'a> Reader<'a> {
    /// Reads what this side wrote itself: a stored record, bounded by its own length.
    pub fn new(input: &'a [u8]) -> Self {
        Self { input, position: 0, items: usize::MAX, json_bytes: usize::MAX }
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

    /// An error at the place that is read next.
    pub fn error(&self, kind: DecodeErrorKind) -> DecodeError {
        DecodeError::new(self.position, kind)
    }

    /// An error at an earlier place.
    pub(crate) fn error_at(&self, offset: usize, kind: DecodeErrorKind) -> DecodeError {
        DecodeError::new(offset, kind)
    }

    /// Ends reading.
    ///
    /// # Errors
    ///
    /// When input is left.
    pub fn finish(self) -> Result<(), DecodeError> {
        match self.remaining() {
            0 => Ok(()),
            bytes => Err(self.error(DecodeErrorKind::Trailing { bytes })),
        }
    }

    /// Reads one byte.
    ///
    /// # Errors
    ///
    /// When none is left.
    pub fn byte(&mut self) -> Result<u8, DecodeError> {
        let byte = self.rest().first().copied().ok_or_else(|| self.error(DecodeErrorKind::Truncated))?;
        self.position += 1;
        Ok(byte)
    }

    /// Reads that many bytes, without copying them.
    ///
    /// # Errors
    ///
    /// When fewer are left.
    pub fn raw(&mut self, count: usize) -> Result<&'a [u8], DecodeError> {
        let bytes = self.rest().get(..count).ok_or_else(|| self.error(DecodeErrorKind::Truncated))?;
        self.position += count;
        Ok(bytes)
    }

    /// Reads a form of known length.
    ///
    /// # Errors
    ///
    /// When fewer bytes are left.
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let bytes = self.rest().first_chunk::<N>().ok_or_else(|| self.error(DecodeErrorKind::Truncated))?;
        self.position += N;
        Ok(*bytes)
    }

    /// Reads a LEB128 integer of up to 64 bits.
    ///
    /// # Errors
    ///
    /// When it is cut off, longer than it needs to be, or larger than 64 bits.
    pub fn varint(&mut self) -> Result<u64, DecodeError> {
        let start = self.position;
        let mut value = 0_u64;
        for shift in (0..u64::BITS).step_by(7) {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            // The tenth byte has room for one bit.
            if bits > u64::MAX >> shift {
                break;
            }
            value |= bits << shift;
            if byte < 0x80 {
                let shortest = byte != 0 || shift == 0;
                return if shortest {
                    Ok(value)
                } else {
                    Err(self.error_at(start, DecodeErrorKind::Overlong))
                };
            }
        }
        Err(self.error_at(start, DecodeErrorKind::Overlong))
    }

    /// Reads an integer that also every reader of JSON can hold.
    ///
    /// # Errors
    ///
    /// As [`varint`](Self::varint), and above [`MAX_INTEGER`].
    pub fn integer(&mut self) -> Result<u64, DecodeError> {
        let start = self.position;
        match self.varint()? {
            integer if integer <= MAX_INTEGER => Ok(integer),
            _ => Err(self.error_at(start, DecodeErrorKind::IntegerOutOfRange)),
        }
    }

    /// Reads a number of things that take at least one byte each.
    ///
    /// # Errors
    ///
    /// As [`varint`](Self::varint), above the limit, and when there is not as much input as that.
    pub fn count(&mut self, what: &'static str, limit: usize) -> Result<usize, DecodeError> {
        let start = self.position;
        let count = usize::try_from(self.varint()?).unwrap_or(usize::MAX);
        if count > limit {
            Err(self.error_at(start, DecodeErrorKind::Limit { what, limit }))
        } else if count > self.remaining() {
            Err(self.error_at(start, DecodeErrorKind::Truncated))
        } else {
            Ok(count)
        }
    }

    /// Reads bytes behind their number, without copying them.
    ///
    /// # Errors
    ///
    /// As [`count`](Self::count).
    pub fn bytes(&mut self, what: &'static str, limit: usize) -> Result<&'a [u8], DecodeError> {
        let count = self.count(what, limit)?;
        self.raw(count)
    }

    /// Reads a text of at most `limit` bytes, without copying it.
    ///
    /// # Errors
    ///
    /// As [`count`](Self::count), and when it is not UTF-8.
    pub fn text(&mut self, what: &'static str, limit: usize) -> Result<&'a str, DecodeError> {
        let count = self.count(what, limit)?;
        self.utf8(count)
    }

    /// Reads that many bytes of UTF-8.
    pub(crate) fn utf8(&mut self, count: usize) -> Result<&'a str, DecodeError> {
        let start = self.position;
        let bytes = self.raw(count)?;
        str::from_utf8(bytes)
            .map_err(|error| self.error_at(start + error.valid_up_to(), DecodeErrorKind::BadUtf8))
    }

    /// Reads a list of at most `limit` elements.
    ///
    /// # Errors
    ///
    /// As [`count`](Self::count), for more elements than a message may have in all its lists together, and what reading
    /// an element returns.
    pub fn list<T: Wire>(&mut self, what: &'static str, limit: usize) -> Result<Vec<T>, DecodeError> {
        let start = self.position;
        let count = self.count(what, limit)?;
        self.items = self.items.checked_sub(count).ok_or_else(|| {
            let what = "the number of elements in all lists";
            self.error_at(start, DecodeErrorKind::Limit { what, limit: MAX_ITEMS_PER_MESSAGE })
        })?;
        let mut items = Self::reserve(count);
        for _ in 0..count {
            items.push(T::read(self)?);
        }
        Ok(items)
    }

    /// Skips an extension block.
    ///
    /// # Errors
    ///
    /// When it is cut off.
    pub fn extension(&mut self) -> Result<(), DecodeError> {
        self.bytes("an extension block", usize::MAX).map(drop)
    }

    /// Makes a list with room for its first elements.
    pub(crate) fn reserve<T>(count: usize) -> Vec<T> {
        Vec::with_capacity(count.min(RESERVED_BYTES / size_of::<T>().max(1)))
    }

    /// Counts text that a JSON value is about to stand for.
    pub(crate) fn charge_json(&mut self, bytes: usize) -> Result<(), DecodeError> {
        self.json_bytes = self.json_bytes.checked_sub(bytes).ok_or_else(|| {
            let what = "the canonical text of the values";
            self.error(DecodeErrorKind::Limit { what, limit: MAX_MESSAGE_BYTES })
        })?;
        Ok(())
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

    fn varint(bytes: &[u8]) -> Result<u64, DecodeErrorKind> {
        let mut input = Reader::new(bytes);
        let integer = input.varint().map_err(|error| error.kind().clone())?;
        input.finish().map_err(|error| error.kind().clone())?;
        Ok(integer)
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
        assert_eq!(Reader::new(&bytes).bytes("x", usize::MAX).unwrap_err(), truncated);
        assert_eq!(Reader::new(&bytes).list::<bool>("x", usize::MAX).unwrap_err(), truncated);
        let limit = DecodeErrorKind::Limit { what: "x", limit: 999_999 };
        assert_eq!(Reader::new(&bytes).bytes("x", 999_999).unwrap_err().kind(), &limit);
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
            (0..3)
                .map(|_| input.list::<bool>("x", usize::MAX))
                .find_map(Result::err)
                .map(|error| error.kind().clone())
        };
        let what = "the number of elements in all lists";
        assert_eq!(
            lists(Reader::of_message(&bytes)),
            Some(DecodeErrorKind::Limit { what, limit: MAX_ITEMS_PER_MESSAGE })
        );
        assert_eq!(lists(Reader::new(&bytes)), None);
    }

    #[test]
    fn an_extension_block_is_skipped() {
        let mut input = Reader::new(&[3, 9, 9, 9, 7]);
        input.extension().unwrap();
        assert_eq!(input.byte().unwrap(), 7);
        assert_eq!(Reader::new(&[2, 9]).extension().unwrap_err().kind(), &DecodeErrorKind::Truncated);
    }

    #[test]
    fn a_text_says_where_it_stops_being_utf_8() {
        let error = Reader::new(&[3, b'a', 0xff, b'b']).text("x", 9).unwrap_err();
        assert_eq!(error, DecodeError::new(2, DecodeErrorKind::BadUtf8));
    }
}
