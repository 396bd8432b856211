//! Values without JavaScript, and their bytes, which `npm/rejoin/src/record/plain.ts` writes too.

use std::sync::Arc;

use bytes::Bytes;
use rejoin_wire::{DecodeErrorKind, Reader, Wire, Writer};

use crate::value::Value;

/// Lists within lists that are read. Operations and effects have six.
pub const MAX_PLAIN_DEPTH: u8 = 16;

/// A value of a kind that crosses.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Plain {
    /// What is absent.
    #[default]
    Null,
    /// A truth value.
    Boolean(bool),
    /// A number.
    Number(f64),
    /// A text.
    Text(Arc<str>),
    /// Bytes.
    Bytes(Bytes),
    /// A list.
    List(Arc<[Plain]>),
}

impl Value for Plain {
    fn null() -> Self {
        Self::Null
    }

    fn boolean(boolean: bool) -> Self {
        Self::Boolean(boolean)
    }

    fn number(number: f64) -> Self {
        Self::Number(number)
    }

    fn text(text: &str) -> Self {
        Self::Text(text.into())
    }

    fn bytes(bytes: &[u8]) -> Self {
        Self::Bytes(Bytes::copy_from_slice(bytes))
    }

    fn list(items: &[Self]) -> Self {
        Self::List(items.into())
    }

    fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }

    fn as_boolean(&self) -> Option<bool> {
        if let Self::Boolean(boolean) = self { Some(*boolean) } else { None }
    }

    fn as_number(&self) -> Option<f64> {
        if let Self::Number(number) = self { Some(*number) } else { None }
    }

    fn to_text(&self) -> Option<String> {
        if let Self::Text(text) = self { Some(text.as_ref().to_owned()) } else { None }
    }

    fn to_bytes(&self) -> Option<Vec<u8>> {
        if let Self::Bytes(bytes) = self { Some(bytes.to_vec()) } else { None }
    }

    fn to_list(&self) -> Option<Vec<Self>> {
        if let Self::List(items) = self { Some(items.to_vec()) } else { None }
    }
}

mod tag {
    pub(super) const NULL: u8 = 0;
    pub(super) const FALSE: u8 = 1;
    pub(super) const TRUE: u8 = 2;
    /// A whole number that is not negative, as a varint.
    pub(super) const COUNT: u8 = 3;
    /// Any other number: eight bytes, the lowest first.
    pub(super) const NUMBER: u8 = 4;
    pub(super) const TEXT: u8 = 5;
    pub(super) const BYTES: u8 = 6;
    pub(super) const LIST: u8 = 7;
}

/// Up to here every whole number is a double of its own.
const MAX_COUNT: f64 = 9_007_199_254_740_991.0;

impl Wire for Plain {
    fn write(&self, out: &mut Writer) {
        match self {
            Self::Null => out.byte(tag::NULL),
            Self::Boolean(false) => out.byte(tag::FALSE),
            Self::Boolean(true) => out.byte(tag::TRUE),
            Self::Number(number) => write_number(*number, out),
            Self::Text(text) => {
                out.byte(tag::TEXT);
                out.text(text);
            }
            Self::Bytes(bytes) => {
                out.byte(tag::BYTES);
                out.bytes(bytes);
            }
            Self::List(items) => {
                out.byte(tag::LIST);
                out.list(items);
            }
        }
    }

    fn read(input: &mut Reader<'_>) -> Self {
        read(input, MAX_PLAIN_DEPTH)
    }
}

fn write_number(number: f64, out: &mut Writer) {
    let is_count = (0.0..=MAX_COUNT).contains(&number) && number.fract() == 0.0 && number.is_sign_positive();
    if is_count {
        out.byte(tag::COUNT);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "it is whole and in range"
        )]
        out.varint(number as u64);
    } else {
        out.byte(tag::NUMBER);
        out.raw(&number.to_le_bytes());
    }
}

fn read(input: &mut Reader<'_>, depth: u8) -> Plain {
    let start = input.offset();
    match input.byte() {
        tag::NULL => Plain::Null,
        tag::FALSE => Plain::Boolean(false),
        tag::TRUE => Plain::Boolean(true),
        #[expect(clippy::cast_precision_loss, reason = "integers of the encoding are below 2^53")]
        tag::COUNT => Plain::Number(input.integer() as f64),
        tag::NUMBER => Plain::Number(f64::from_le_bytes(input.array())),
        tag::TEXT => Plain::Text(input.text("a text", usize::MAX).into()),
        tag::BYTES => Plain::Bytes(Bytes::copy_from_slice(input.bytes("bytes", usize::MAX))),
        tag::LIST if depth == 0 => {
            let what = "the depth of lists";
            input.fail_at(start, DecodeErrorKind::Limit { what, limit: MAX_PLAIN_DEPTH.into() });
            Plain::Null
        }
        tag::LIST => {
            // An item takes 24 bytes of memory and one of input at least: a list grows as it is read.
            let count = input.count("a list", usize::MAX);
            let mut items = Vec::new();
            for _ in 0..count {
                items.push(read(input, depth - 1));
                if input.has_failed() {
                    break;
                }
            }
            Plain::List(items.into())
        }
        tag => {
            input.fail_at(start, DecodeErrorKind::UnknownTag { what: "a value", tag: tag.into() });
            Plain::Null
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use rejoin_wire::{from_bytes, to_bytes};

    use super::*;

    #[test]
    fn every_kind_of_value_is_read_back() {
        let values = [
            Plain::Null,
            Plain::Boolean(true),
            Plain::Number(0.0),
            Plain::Number(MAX_COUNT),
            Plain::Number(-1.0),
            Plain::Number(0.5),
            Plain::Number(f64::INFINITY),
            Plain::text("ä"),
            Plain::bytes(&[0, 255]),
        ];
        let list = Plain::list(&values);
        assert_eq!(from_bytes::<Plain>(&to_bytes(&list)).unwrap(), list);
    }

    #[test]
    fn lists_are_read_to_their_greatest_depth_and_no_deeper() {
        let nested = |depth: u8| (0..depth).fold(Plain::Null, |inner, _| Plain::list(&[inner]));
        assert!(from_bytes::<Plain>(&to_bytes(&nested(MAX_PLAIN_DEPTH))).is_ok());
        assert!(from_bytes::<Plain>(&to_bytes(&nested(MAX_PLAIN_DEPTH + 1))).is_err());
    }

    #[test]
    fn a_length_is_not_believed_beyond_the_input() {
        for bytes in [&[tag::LIST, 0xff, 0xff, 0x7f][..], &[tag::BYTES, 0xff, 0xff, 0x7f, 1], &[9], &[]] {
            assert!(from_bytes::<Plain>(bytes).is_err(), "{bytes:?}");
        }
    }
}
