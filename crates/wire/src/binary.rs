//! The compact encoding: of messages, and of what a replica stores.
//!
//! Integers are LEB128 varints in their shortest form, texts and lists stand behind their length, a value that may have
//! one of several forms begins with the number of its form. Equal values have equal bytes, so that bytes can be hashed.
//! `docs/protocol.md` defines it bit by bit.
//!
//! A length is checked against its limit and against the remaining input before memory is taken. Apart from JSON values,
//! decoding a message of n bytes takes at most 4 n bytes and one MiB, and 512 bytes for each list element, of which there
//! are at most [`MAX_ITEMS_PER_MESSAGE`](crate::limits::MAX_ITEMS_PER_MESSAGE); JSON values take up to 128 bytes for each
//! of their parts, whose canonical text has at most [`MAX_MESSAGE_BYTES`](crate::limits::MAX_MESSAGE_BYTES) in sum.

use std::sync::Arc;

use crate::error::{DecodeError, DecodeErrorKind};
use crate::limits::MAX_TEXT_BYTES;

mod change;
pub(crate) mod derive;
mod document;
mod id;
mod message;
mod reader;
mod writer;

pub use document::around_documents;
pub use reader::Reader;
pub use writer::Writer;

/// Has a compact encoding.
pub trait Wire: Sized {
    /// Writes the value.
    fn write(&self, out: &mut Writer);

    /// Reads a value. Where the input is cut off, malformed or beyond a limit, the reader is told so, and the value means nothing.
    fn read(input: &mut Reader<'_>) -> Self;
}

/// The compact encoding of a value.
pub fn to_bytes<T: Wire>(value: &T) -> Vec<u8> {
    let mut out = Writer::new();
    value.write(&mut out);
    out.into_bytes()
}

/// Reads a value that this side wrote, as a stored record. What a peer sends goes through
/// [`decode_message`](crate::decode_message), which bounds it further.
///
/// # Errors
///
/// When the bytes are not exactly one value.
pub fn from_bytes<T: Wire>(bytes: &[u8]) -> Result<T, DecodeError> {
    let mut input = Reader::new(bytes);
    let value = T::read(&mut input);
    input.finish()?;
    Ok(value)
}

impl Wire for bool {
    fn write(&self, out: &mut Writer) {
        out.byte(u8::from(*self));
    }

    fn read(input: &mut Reader<'_>) -> Self {
        let start = input.offset();
        match input.varint() {
            tag @ 2.. => {
                input.fail_at(start, DecodeErrorKind::UnknownTag { what: "boolean", tag });
                false
            }
            tag => tag == 1,
        }
    }
}

/// At most [`MAX_INTEGER`](crate::limits::MAX_INTEGER).
impl Wire for u64 {
    fn write(&self, out: &mut Writer) {
        out.varint(*self);
    }

    fn read(input: &mut Reader<'_>) -> Self {
        input.integer()
    }
}

macro_rules! narrow_integers {
    ($($name:ty),*) => {$(
        impl Wire for $name {
            fn write(&self, out: &mut Writer) {
                out.varint(u64::from(*self));
            }

            fn read(input: &mut Reader<'_>) -> Self {
                let start = input.offset();
                let what = concat!("an integer of ", stringify!($name));
                <$name>::try_from(input.varint()).unwrap_or_else(|_| {
                    input.fail_at(start, DecodeErrorKind::Invalid { what });
                    0
                })
            }
        }
    )*};
}

narrow_integers!(u16, u32);

impl<T: Wire> Wire for Option<T> {
    fn write(&self, out: &mut Writer) {
        out.byte(u8::from(self.is_some()));
        if let Some(value) = self {
            value.write(out);
        }
    }

    fn read(input: &mut Reader<'_>) -> Self {
        bool::read(input).then(|| T::read(input))
    }
}

impl<T: Wire> Wire for Box<T> {
    fn write(&self, out: &mut Writer) {
        T::write(self, out);
    }

    fn read(input: &mut Reader<'_>) -> Self {
        Box::new(T::read(input))
    }
}

/// A short text: at most [`MAX_TEXT_BYTES`].
impl Wire for Arc<str> {
    fn write(&self, out: &mut Writer) {
        out.text(self);
    }

    fn read(input: &mut Reader<'_>) -> Self {
        input.text("a text", MAX_TEXT_BYTES).into()
    }
}
