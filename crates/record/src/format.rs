//! The bytes of a recording. `docs/recording.md` defines them; `npm/rejoin/src/record` writes them too.

use rejoin_wire::{DecodeErrorKind, Reader, UnixMillis, Wire, WorkspaceId, Writer};

use crate::digest::xxh32;

/// The first bytes of each segment. Some are not text, and one is a line break, so that a transfer that changes either is noticed.
pub const MAGIC: [u8; 8] = *b"\x8frejoin\n";

/// The version of the format that this release writes and reads.
pub const FORMAT: u64 = 1;

/// Bytes of a segment's header, without magic, format and length: two short texts and a few numbers.
pub const MAX_HEADER_BYTES: usize = 1_024;

/// Bytes of one record: the largest message twice over, which the largest answer of a store that a page takes is as well.
pub const MAX_RECORD_BYTES: usize = 64 << 20;

/// Bytes of the checksum behind each record.
pub(crate) const CHECKSUM_BYTES: usize = 4;

/// The seed of checksums, so that a run of zeros is no record.
const CHECKSUM_SEED: u32 = 0x5243_5244;

/// Longest engine version in a header.
const MAX_VERSION_BYTES: usize = 64;

/// What a record is. Numbers are stored and never change.
pub(crate) mod kind {
    /// The recording ended here, for a reason.
    pub(crate) const END: u8 = 0;
    /// The replica was made.
    pub(crate) const START: u8 = 1;
    /// Outputs were taken.
    pub(crate) const DRAIN: u8 = 2;
    /// Steps are missing here.
    pub(crate) const GAP: u8 = 3;
    /// Up to here records are no steps.
    pub(crate) const FIRST_STEP: u8 = 16;

    pub(crate) const TIMEOUT: u8 = 16;
    pub(crate) const LINK_OPENED: u8 = 17;
    pub(crate) const RECEIVED: u8 = 18;
    pub(crate) const WRITABLE: u8 = 19;
    pub(crate) const GRANTED: u8 = 20;
    pub(crate) const LINK_CLOSED: u8 = 21;
    pub(crate) const STORED: u8 = 22;
    pub(crate) const STORE_REPLACED: u8 = 23;
    pub(crate) const COMPUTED: u8 = 24;
    pub(crate) const ONLINE: u8 = 25;
    pub(crate) const CLOCK: u8 = 26;
    pub(crate) const STORE_MOVED: u8 = 27;

    pub(crate) const OPEN: u8 = 32;
    pub(crate) const CLOSE: u8 = 33;
    pub(crate) const CREATE: u8 = 34;
    pub(crate) const EDIT: u8 = 35;
    pub(crate) const SET_HEADER: u8 = 36;
    pub(crate) const DELETE: u8 = 37;
    pub(crate) const UNDELETE: u8 = 38;
    pub(crate) const SETTLE: u8 = 39;
    pub(crate) const DISMISS_REJECTED: u8 = 40;
    pub(crate) const DISMISS_RECOVERED: u8 = 41;
    pub(crate) const SET_PRESENCE: u8 = 42;
    pub(crate) const UNDO: u8 = 43;
    pub(crate) const REDO: u8 = 44;
    pub(crate) const UNDO_CHANGE: u8 = 45;
    pub(crate) const SPEAK_FOR: u8 = 46;
    pub(crate) const HISTORY: u8 = 47;
    pub(crate) const REMOTE_HISTORY: u8 = 48;
    pub(crate) const READ: u8 = 49;
    pub(crate) const READ_AT: u8 = 50;
    pub(crate) const HEADS: u8 = 51;
    pub(crate) const REPEAT: u8 = 52;
    pub(crate) const SUBMIT: u8 = 53;
    pub(crate) const READ_CONFLICT: u8 = 54;
    pub(crate) const MERGE: u8 = 55;
    pub(crate) const SHOWN_HISTORY: u8 = 56;

    // Of a page's engine: `npm/rejoin/src/record/recorder.ts` has the same numbers.
    pub(crate) const WAKE: u8 = 64;
    pub(crate) const PAGE_CLOCK: u8 = 65;
    pub(crate) const PAGE_ONLINE: u8 = 66;
    pub(crate) const CONNECTED: u8 = 67;
    pub(crate) const FRAME: u8 = 68;
    pub(crate) const CLOSED: u8 = 69;
    pub(crate) const PAGE_STORED: u8 = 70;
    pub(crate) const STORE_FAILED: u8 = 71;
    pub(crate) const PAGE_STORE_REPLACED: u8 = 72;
    pub(crate) const COMMAND: u8 = 73;
}

/// Who recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recorded {
    /// A server: one of its workspaces.
    Server,
    /// A native client.
    Native,
    /// A page: its engine, session and all.
    Browser,
}

impl Recorded {
    /// How people call it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Server => "server",
            Self::Native => "native client",
            Self::Browser => "browser",
        }
    }
}

impl Wire for Recorded {
    fn write(&self, out: &mut Writer) {
        out.byte(match self {
            Self::Server => 0,
            Self::Native => 1,
            Self::Browser => 2,
        });
    }

    fn read(input: &mut Reader<'_>) -> Self {
        let start = input.offset();
        match input.byte() {
            0 => Self::Server,
            1 => Self::Native,
            2 => Self::Browser,
            tag => {
                input.fail_at(start, DecodeErrorKind::UnknownTag { what: "a recorder", tag: tag.into() });
                Self::Server
            }
        }
    }
}

/// What stands at the head of a segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// The release that recorded. Another one may well do otherwise, which a replay then shows.
    pub engine_version: Box<str>,
    /// Who recorded.
    pub by: Recorded,
    /// Whether what people typed is in it. Without it a recording can be shown and not replayed.
    pub content: bool,
    /// The workspace.
    pub workspace: WorkspaceId,
    /// When the segment began, by the wall clock.
    pub begun: UnixMillis,
}

impl Header {
    /// The head of a segment that this release records.
    pub fn new(by: Recorded, content: bool, workspace: WorkspaceId, begun: UnixMillis) -> Self {
        Self { engine_version: env!("CARGO_PKG_VERSION").into(), by, content, workspace, begun }
    }

    /// Its bytes, from the magic on.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut body = Writer::new();
        body.text(&self.engine_version);
        self.by.write(&mut body);
        self.content.write(&mut body);
        self.workspace.write(&mut body);
        body.varint(self.begun.0);
        let mut out = Writer::new();
        out.raw(&MAGIC);
        out.varint(FORMAT);
        out.bytes(&body.into_bytes());
        out.into_bytes()
    }

    pub(crate) fn read(input: &mut Reader<'_>) -> Self {
        Self {
            engine_version: input.text("an engine version", MAX_VERSION_BYTES).into(),
            by: Recorded::read(input),
            content: bool::read(input),
            workspace: WorkspaceId::read(input),
            begun: UnixMillis(input.varint()),
        }
    }
}

/// The bytes of a record: length, kind, time since the record before, payload, checksum.
pub(crate) fn record(kind: u8, since: i64, payload: &[u8]) -> Vec<u8> {
    let mut body = Writer::with_capacity(payload.len() + 16);
    body.byte(kind);
    body.varint(zigzag(since));
    body.raw(payload);
    let body = body.into_bytes();
    let mut out = Writer::with_capacity(body.len() + 16);
    out.bytes(&body);
    out.raw(&checksum(&body).to_le_bytes());
    out.into_bytes()
}

/// A record that says why whoever recorded ended here.
pub fn ending(why: &str) -> Vec<u8> {
    let mut payload = Writer::new();
    payload.text(short(why));
    record(kind::END, 0, &payload.into_bytes())
}

/// Longest reason, in bytes.
pub(crate) const MAX_REASON_BYTES: usize = 4_096;

fn short(why: &str) -> &str {
    &why[..why.floor_char_boundary(MAX_REASON_BYTES)]
}

/// What stands behind a record, of its bytes behind their number: xxHash, 32 bits, the lowest byte first.
pub fn checksum(body: &[u8]) -> u32 {
    xxh32(body, CHECKSUM_SEED)
}

/// A signed number whose small values are short: a driver's clock never goes back, and one that did is recorded all the same.
pub(crate) fn zigzag(number: i64) -> u64 {
    ((number << 1) ^ (number >> 63)).cast_unsigned()
}

pub(crate) fn from_zigzag(number: u64) -> i64 {
    (number >> 1).cast_signed() ^ -(number & 1).cast_signed()
}
