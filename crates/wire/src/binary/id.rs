//! Ids, positions, hashes and codes.

use rejoin_json::ContentHash;

use super::derive::wire_structs;
use super::{Reader, Wire, Writer};
use crate::change::{ChangeId, ConflictId, Have};
use crate::code::ErrorCode;
use crate::error::DecodeErrorKind;
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

            fn read(input: &mut Reader<'_>) -> Self {
                let start = input.offset();
                Self::new(input.text($what, MAX_ID_BYTES)).unwrap_or_else(|error: IdError| {
                    let what = match error {
                        IdError::ControlCharacter => concat!($what, ": it contains a control character"),
                        _ => concat!($what, ": it is empty"),
                    };
                    input.fail_at(start, DecodeErrorKind::Invalid { what });
                    Self::unread()
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

    fn read(input: &mut Reader<'_>) -> Self {
        Self(u128::from_be_bytes(input.array()))
    }
}

macro_rules! positions {
    ($($name:ident),*) => {$(
        impl Wire for $name {
            fn write(&self, out: &mut Writer) {
                out.varint(self.0);
            }

            fn read(input: &mut Reader<'_>) -> Self {
                Self(input.integer())
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

            fn read(input: &mut Reader<'_>) -> Self {
                Self(input.array())
            }
        }
    )*};
}

hashes!(ChangeHash, ChainHash, ContentHash);

impl Wire for ErrorCode {
    fn write(&self, out: &mut Writer) {
        out.varint(u64::from(self.number()));
    }

    fn read(input: &mut Reader<'_>) -> Self {
        let start = input.offset();
        let tag = input.varint();
        u16::try_from(tag).ok().and_then(Self::from_number).unwrap_or_else(|| {
            input.fail_at(start, DecodeErrorKind::UnknownTag { what: "error code", tag });
            Self::BadMessage
        })
    }
}

wire_structs! {
    ChangeId { replica, counter };
    ConflictId { revision, index };
    Have { revision, chain };
}
