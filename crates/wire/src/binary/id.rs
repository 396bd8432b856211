//! Ids, positions, hashes and codes.

use rejoin_json::ContentHash;

use super::derive::wire_structs;
use super::{Reader, Wire, Writer};
use crate::change::{ChangeId, ConflictId, Have};
use crate::code::ErrorCode;
use crate::error::{DecodeError, DecodeErrorKind};
use crate::id::{
    ChainHash, ChangeHash, Counter, DocumentId, Epoch, IdError, MAX_ID_BYTES, MemberId, ReplicaId, Revision,
    Sequence, UnixMillis, WorkspaceId,
};

macro_rules! text_ids {
    ($($name:ident $what:literal)*) => {$(
        impl Wire for $name {
            fn write(&self, out: &mut Writer) {
                out.text(self.as_str());
            }

            fn read(input: &mut Reader<'_>) -> Result<Self, DecodeError> {
                let start = input.offset();
                let text = input.text($what, MAX_ID_BYTES)?;
                Self::new(text).map_err(|error: IdError| {
                    let what = match error {
                        IdError::ControlCharacter => concat!($what, ": it contains a control character"),
                        _ => concat!($what, ": it is empty"),
                    };
                    input.error_at(start, DecodeErrorKind::Invalid { what })
                })
            }
        }
    )*};
}

text_ids! {
    DocumentId "a document id"
    WorkspaceId "a workspace id"
}

/// Sixteen bytes, highest first: the order of the hexadecimal digits.
impl Wire for ReplicaId {
    fn write(&self, out: &mut Writer) {
        out.raw(&self.0.to_be_bytes());
    }

    fn read(input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        input.array().map(u128::from_be_bytes).map(Self)
    }
}

macro_rules! positions {
    ($($name:ident),*) => {$(
        impl Wire for $name {
            fn write(&self, out: &mut Writer) {
                out.varint(self.0);
            }

            fn read(input: &mut Reader<'_>) -> Result<Self, DecodeError> {
                input.integer().map(Self)
            }
        }
    )*};
}

positions!(Revision, Sequence, Counter, UnixMillis, Epoch, MemberId);

macro_rules! hashes {
    ($($name:ident),*) => {$(
        impl Wire for $name {
            fn write(&self, out: &mut Writer) {
                out.raw(&self.0);
            }

            fn read(input: &mut Reader<'_>) -> Result<Self, DecodeError> {
                input.array().map(Self)
            }
        }
    )*};
}

hashes!(ChangeHash, ChainHash, ContentHash);

impl Wire for ErrorCode {
    fn write(&self, out: &mut Writer) {
        out.varint(u64::from(self.number()));
    }

    fn read(input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        super::choice(input, "error code", |number| u16::try_from(number).ok().and_then(Self::from_number))
    }
}

wire_structs! {
    ChangeId { replica, counter };
    ConflictId { revision, index };
    Have { revision, chain };
}
