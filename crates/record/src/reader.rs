//! Reads a recording record by record. Everything in it is foreign: lengths are believed only as far as there are bytes.

use rejoin_wire::{DecodeError, Reader as WireReader};

use crate::digest::Digest;
use crate::format::{
    CHECKSUM_BYTES, FORMAT, Header, MAGIC, MAX_HEADER_BYTES, MAX_RECORD_BYTES, checksum, from_zigzag, kind,
};

/// Outputs that one drain of a recording without content lists. A turn of a replica has fewer.
const MAX_LISTED: usize = 1 << 20;

/// Why a recording cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// It does not begin as one does.
    #[error("this is no recording of Rejoin")]
    NoRecording,
    /// A later release wrote it.
    #[error("the recording has format {0}, and this release reads {FORMAT}: replay it with a newer one")]
    Newer(u64),
    /// Its head cannot be read.
    #[error("the head of the recording cannot be read: {0}")]
    Header(DecodeError),
    /// A record is longer than any is.
    #[error(
        "what follows step {step} says that it has {bytes} bytes, and a record has at most {MAX_RECORD_BYTES}"
    )]
    TooLarge {
        /// The step before.
        step: u64,
        /// What it says.
        bytes: u64,
    },
    /// A record's checksum does not match.
    #[error("the recording is damaged behind step {step}, at byte {offset}")]
    Damaged {
        /// The step before.
        step: u64,
        /// Where the record begins.
        offset: usize,
    },
    /// A record's bytes are not what its kind has.
    #[error("step {step} cannot be read: {error}")]
    Malformed {
        /// The step.
        step: u64,
        /// Why.
        error: DecodeError,
    },
}

/// What a recording is made of.
#[derive(Clone, Debug, PartialEq)]
pub enum Item<'a> {
    /// A segment begins.
    Segment(Header),
    /// A record of it.
    Record(Record<'a>),
}

/// One record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    pub(crate) kind: u8,
    /// When it was, on the clock of the segment, in microseconds.
    pub(crate) at: u64,
    pub(crate) payload: &'a [u8],
    /// The step that it is, or belongs to.
    pub(crate) step: u64,
}

/// Outputs that were taken between two steps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Drained {
    /// How often the replica was asked for one.
    pub calls: u64,
    /// How many it gave.
    pub outputs: u64,
    /// Of all outputs of the segment up to the last of these.
    pub digest: Digest,
    /// In a recording without content, the kind and the bytes of each.
    pub listed: Vec<(u8, u64)>,
}

/// Steps that the ring had no room for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gap {
    /// How many.
    pub steps: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// What a recording without content has in the place of what went in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sealed {
    /// Its bytes.
    pub bytes: u64,
    /// Their digest.
    pub digest: Digest,
}

impl<'a> Record<'a> {
    /// The number of the step that it is, or belongs to.
    pub fn step(&self) -> u64 {
        self.step
    }

    /// Whether it is a step: an input or a command.
    pub fn is_step(&self) -> bool {
        self.kind >= kind::FIRST_STEP
    }

    /// Reads the whole payload.
    pub(crate) fn read<T>(&self, read: impl FnOnce(&mut WireReader<'a>) -> T) -> Result<T, ReadError> {
        let mut input = WireReader::new(self.payload);
        let value = read(&mut input);
        input.finish().map_err(|error| ReadError::Malformed { step: self.step, error })?;
        Ok(value)
    }

    pub(crate) fn drained(&self, content: bool) -> Result<Drained, ReadError> {
        self.read(|input| {
            let (calls, outputs) = (input.varint(), input.varint());
            let digest = Digest::from_bytes(input.array());
            let mut listed = Vec::new();
            if !content {
                for _ in 0..input.count("the outputs of a step", MAX_LISTED) {
                    listed.push((input.byte(), input.varint()));
                }
            }
            Drained { calls, outputs, digest, listed }
        })
    }

    pub(crate) fn gap(&self) -> Result<Gap, ReadError> {
        self.read(|input| Gap { steps: input.varint(), bytes: input.varint() })
    }

    pub(crate) fn sealed(&self) -> Result<Sealed, ReadError> {
        self.read(|input| Sealed { bytes: input.varint(), digest: Digest::from_bytes(input.array()) })
    }
}

/// Goes through a recording from its beginning.
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    bytes: &'a [u8],
    offset: usize,
    in_segment: bool,
    at: u64,
    step: u64,
    is_cut: bool,
}

impl<'a> Reader<'a> {
    /// Begins with the bytes of a file.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, offset: 0, in_segment: false, at: 0, step: 0, is_cut: false }
    }

    /// How many bytes were read.
    pub fn offset(&self) -> usize {
        self.offset
    }

    /// Whether the file ended in the middle of something: what came before it stands.
    pub fn is_cut(&self) -> bool {
        self.is_cut
    }

    /// The next segment or record; `None` at the end.
    ///
    /// # Errors
    ///
    /// Where the bytes are no recording, or damaged. Then nothing more can be read.
    pub fn advance(&mut self) -> Result<Option<Item<'a>>, ReadError> {
        let rest = self.bytes.get(self.offset..).unwrap_or_default();
        if !self.in_segment {
            return self.segment(rest);
        }
        if rest.is_empty() {
            return Ok(None);
        }
        let mut input = WireReader::new(rest);
        let bytes = input.varint();
        if input.has_failed() {
            return self.cut_or_damaged(rest.len() < 10);
        }
        if bytes == 0 {
            // The segment ends; another one may follow.
            self.offset += input.offset();
            self.in_segment = false;
            return self.advance();
        }
        if bytes > MAX_RECORD_BYTES as u64 {
            return Err(ReadError::TooLarge { step: self.step, bytes });
        }
        let body = input.raw(usize::try_from(bytes).unwrap_or(usize::MAX));
        let sum: [u8; CHECKSUM_BYTES] = input.array();
        if input.has_failed() {
            return self.cut_or_damaged(true);
        }
        if checksum(body) != u32::from_le_bytes(sum) {
            return self.cut_or_damaged(false);
        }
        let mut fields = WireReader::new(body);
        let (kind, since) = (fields.byte(), from_zigzag(fields.varint()));
        let Some(payload) = body.get(fields.offset()..).filter(|_| !fields.has_failed()) else {
            return self.cut_or_damaged(false);
        };
        self.offset += input.offset();
        self.at = self.at.saturating_add_signed(since);
        self.step += u64::from(kind >= kind::FIRST_STEP);
        Ok(Some(Item::Record(Record { kind, at: self.at, payload, step: self.step })))
    }

    fn segment(&mut self, rest: &[u8]) -> Result<Option<Item<'a>>, ReadError> {
        let is_first = self.offset == 0;
        if rest.is_empty() && !is_first {
            return Ok(None);
        }
        if !rest.starts_with(&MAGIC) {
            let is_cut = !rest.is_empty() && MAGIC.starts_with(rest) && !is_first;
            return if is_cut { self.cut_or_damaged(true) } else { Err(ReadError::NoRecording) };
        }
        let mut input = WireReader::new(rest);
        input.raw(MAGIC.len());
        match input.varint() {
            FORMAT => {}
            newer if !input.has_failed() => return Err(ReadError::Newer(newer)),
            _ => {}
        }
        let mut body = WireReader::new(input.bytes("the head of a recording", MAX_HEADER_BYTES));
        let end = input.offset();
        let has_failed = input.has_failed();
        if let Err(error) = input.clone().finish()
            && has_failed
        {
            return Err(ReadError::Header(error));
        }
        let header = Header::read(&mut body);
        body.finish().map_err(ReadError::Header)?;
        self.offset += end;
        (self.in_segment, self.at, self.step) = (true, 0, 0);
        Ok(Some(Item::Segment(header)))
    }

    fn cut_or_damaged(&mut self, is_cut: bool) -> Result<Option<Item<'a>>, ReadError> {
        if !is_cut {
            return Err(ReadError::Damaged { step: self.step, offset: self.offset });
        }
        self.is_cut = true;
        self.offset = self.bytes.len();
        Ok(None)
    }
}
