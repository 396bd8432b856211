//! What an engine of a page heard. `npm/rejoin/src/record/recorder.ts` writes it.

use std::sync::Arc;

use bytes::Bytes;
use rejoin_core::storage::{RequestId, StoreError};
use rejoin_engine::Plain;
use rejoin_wire::{DecodeErrorKind, Reader, UnixMillis, Wire};

use crate::answers::read_error;
use crate::format::kind;
use crate::start::MAX_NAME_BYTES;

/// Most bytes of options, which name a workspace and a few settings.
const MAX_OPTION_BYTES: usize = 64 << 10;

/// What a page's engine was made of.
#[derive(Debug)]
pub(crate) struct PageStart<'a> {
    pub(crate) options: &'a [u8],
    pub(crate) seed: &'a [u8],
    pub(crate) unix_now: UnixMillis,
}

impl<'a> PageStart<'a> {
    pub(crate) fn read(input: &mut Reader<'a>) -> Self {
        Self {
            options: input.bytes("the options of an engine", MAX_OPTION_BYTES),
            seed: input.bytes("a seed", 16),
            unix_now: UnixMillis(input.varint()),
        }
    }
}

/// What happened to it.
#[derive(Debug)]
pub(crate) enum PageInput {
    Wake,
    Clock(UnixMillis),
    Online(bool),
    Connected(Option<Arc<str>>),
    Frame(Bytes),
    Closed { code: Option<u16>, reason: Arc<str> },
    Stored { request: RequestId, answer: Plain },
    StoreFailed { request: RequestId, error: StoreError },
    StoreReplaced,
    Command(Bytes),
}

impl PageInput {
    pub(crate) fn read(kind: u8, input: &mut Reader<'_>) -> Self {
        match kind {
            kind::WAKE => Self::Wake,
            kind::PAGE_CLOCK => Self::Clock(UnixMillis(input.varint())),
            kind::PAGE_ONLINE => Self::Online(bool::read(input)),
            kind::CONNECTED => {
                Self::Connected(bool::read(input).then(|| input.text("a token", MAX_NAME_BYTES).into()))
            }
            kind::FRAME => Self::Frame(rest(input)),
            kind::CLOSED => Self::Closed {
                code: Option::<u16>::read(input),
                reason: input.text("a reason", MAX_NAME_BYTES).into(),
            },
            kind::PAGE_STORED => {
                Self::Stored { request: RequestId(input.varint()), answer: Plain::read(input) }
            }
            kind::STORE_FAILED => {
                Self::StoreFailed { request: RequestId(input.varint()), error: read_error(input) }
            }
            kind::PAGE_STORE_REPLACED => Self::StoreReplaced,
            kind::COMMAND => Self::Command(rest(input)),
            tag => {
                let what = "what happens to an engine";
                input.fail(DecodeErrorKind::UnknownTag { what, tag: tag.into() });
                Self::Wake
            }
        }
    }
}

fn rest(input: &mut Reader<'_>) -> Bytes {
    Bytes::copy_from_slice(input.raw(input.remaining()))
}
