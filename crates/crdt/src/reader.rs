//! Reading lib0's encoding without taking memory: <https://github.com/dmonad/lib0>, the integers and strings of Yjs.

use crate::malformed::{Fault, Malformed};

/// The largest integer that JavaScript holds exactly. Client ids go up to there.
pub(crate) const MAX_SAFE_INTEGER: u64 = (1 << 53) - 1;

/// Bytes of somebody else, from the front.
#[derive(Clone, Copy)]
pub(crate) struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    pub(crate) const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// How many bytes were read.
    pub(crate) const fn at(&self) -> usize {
        self.at
    }

    /// How many there are still.
    pub(crate) const fn left(&self) -> usize {
        self.bytes.len().saturating_sub(self.at)
    }

    pub(crate) const fn fault(&self, fault: Fault) -> Malformed {
        Malformed { at: self.at, fault }
    }

    pub(crate) fn end(&self) -> Result<(), Malformed> {
        if self.left() == 0 { Ok(()) } else { Err(self.fault(Fault::Trailing)) }
    }

    pub(crate) fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    pub(crate) fn byte(&mut self) -> Result<u8, Malformed> {
        let byte = *self.bytes.get(self.at).ok_or(self.fault(Fault::Ends))?;
        self.at += 1;
        Ok(byte)
    }

    pub(crate) fn take(&mut self, length: u64) -> Result<&'a [u8], Malformed> {
        let end = usize::try_from(length).ok().and_then(|length| self.at.checked_add(length));
        let bytes = end.and_then(|end| self.bytes.get(self.at..end)).ok_or(self.fault(Fault::Ends))?;
        self.at += bytes.len();
        Ok(bytes)
    }

    /// An unsigned integer up to `most`. The decoders of JavaScript and Rust part ways beyond 53 bits and on needless zeros, which no encoder
    /// writes.
    pub(crate) fn unsigned(&mut self, most: u64) -> Result<u64, Malformed> {
        let start = *self;
        let mut number = 0;
        for shift in (0..56).step_by(7) {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                let is_short = shift == 0 || byte != 0;
                return if is_short && number <= most {
                    Ok(number)
                } else {
                    Err(start.fault(Fault::Integer))
                };
            }
        }
        Err(start.fault(Fault::Integer))
    }

    /// Passes over a signed integer: a sign and six bits, then seven bits a byte.
    pub(crate) fn signed(&mut self) -> Result<(), Malformed> {
        let start = *self;
        let first = self.byte()?;
        let mut number = u64::from(first & 0x3f);
        let mut byte = first;
        let mut shift = 6;
        while byte >= 0x80 {
            byte = self.byte()?;
            if shift > 48 {
                return Err(start.fault(Fault::Integer));
            }
            number |= u64::from(byte & 0x7f) << shift;
            shift += 7;
        }
        let is_short = shift == 6 || byte != 0;
        if is_short && number <= MAX_SAFE_INTEGER { Ok(()) } else { Err(start.fault(Fault::Integer)) }
    }

    /// Bytes behind their length.
    pub(crate) fn buffer(&mut self) -> Result<&'a [u8], Malformed> {
        let length = self.unsigned(u64::from(u32::MAX))?;
        self.take(length)
    }

    /// A text behind its length in bytes.
    pub(crate) fn text(&mut self) -> Result<&'a str, Malformed> {
        let start = *self;
        std::str::from_utf8(self.buffer()?).map_err(|_| start.fault(Fault::Utf8))
    }

    /// How many of something come, of which each takes so many bytes at least.
    pub(crate) fn count(&mut self, least: usize) -> Result<u64, Malformed> {
        let start = *self;
        let count = self.unsigned(u64::from(u32::MAX))?;
        let room = u64::try_from(self.left() / least).unwrap_or(u64::MAX);
        if count <= room { Ok(count) } else { Err(start.fault(Fault::Count)) }
    }
}
