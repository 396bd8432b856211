//! JSON values, patches and places.

use std::sync::Arc;

use jsonptr::PointerBuf;
use rejoin_json::{Array, Entry, Json, Object, Operation, Patch, PlacePath, Step};

use super::derive::wire_enums;
use super::{Reader, Wire, Writer};
use crate::error::{DecodeError, DecodeErrorKind};
use crate::limits::{MAX_DEPTH, MAX_JSON_DEPTH, MAX_OPERATIONS_PER_PATCH};

/// The first byte of a value.
mod tag {
    pub(super) const NULL: u8 = 0x00;
    pub(super) const FALSE: u8 = 0x01;
    pub(super) const TRUE: u8 = 0x02;
    pub(super) const INTEGER: u8 = 0x03;
    pub(super) const DOUBLE: u8 = 0x04;
    pub(super) const STRING: u8 = 0x05;
    pub(super) const ARRAY: u8 = 0x06;
    pub(super) const OBJECT: u8 = 0x07;
    /// Plus the number of decimals, of which there are 1 to 6.
    pub(super) const DECIMAL: u8 = 0x10;
    pub(super) const FIRST_DECIMAL: u8 = 0x11;
    pub(super) const LAST_DECIMAL: u8 = 0x16;
    /// Plus the number of bytes.
    pub(super) const SHORT_STRING: u8 = 0x40;
    /// Plus the integer.
    pub(super) const SMALL_INTEGER: u8 = 0x80;
}

/// Strings below this length have it in their first byte.
const SHORT_STRING_END: usize = 0x40;

/// Integers below this one, and not below zero, are their first byte.
const SMALL_INTEGER_END: i64 = 0x80;

/// Up to this magnitude every integer is a double of its own.
const MAX_SAFE_INTEGER: f64 = 9_007_199_254_740_992.0;

/// Powers of ten that make decimals integers. Prices and coordinates take two to six bytes instead of nine.
const POWERS_OF_TEN: [f64; 6] = [1e1, 1e2, 1e3, 1e4, 1e5, 1e6];

impl Wire for Json {
    fn write(&self, out: &mut Writer) {
        match self {
            Self::Null => out.byte(tag::NULL),
            Self::Bool(false) => out.byte(tag::FALSE),
            Self::Bool(true) => out.byte(tag::TRUE),
            Self::Number(number) => NumberForm::of(*number).write(out),
            Self::String(text) => write_string(text, out),
            Self::Array(array) => {
                out.byte(tag::ARRAY);
                out.count(array.len());
                for item in array.iter() {
                    item.write(out);
                }
            }
            Self::Object(object) => {
                out.byte(tag::OBJECT);
                out.count(object.len());
                for (key, value) in object.iter() {
                    out.text(key);
                    value.write(out);
                }
            }
        }
    }

    fn read(input: &mut Reader<'_>) -> Self {
        ValueReader::new(input, MAX_DEPTH).value(MAX_DEPTH)
    }
}

/// Reads a JSON value that holds documents, and so nests deeper than one: at most
/// [`MAX_JSON_DEPTH`](crate::limits::MAX_JSON_DEPTH) levels.
///
/// # Errors
///
/// When the bytes are not exactly one value.
pub fn around_documents(bytes: &[u8]) -> Result<Json, DecodeError> {
    let mut input = Reader::new(bytes);
    let value = ValueReader::new(&mut input, MAX_JSON_DEPTH).value(MAX_JSON_DEPTH);
    input.finish()?;
    Ok(value)
}

fn write_string(text: &str, out: &mut Writer) {
    match u8::try_from(text.len()) {
        Ok(length) if text.len() < SHORT_STRING_END => {
            out.byte(tag::SHORT_STRING + length);
            out.raw(text.as_bytes());
        }
        _ => {
            out.byte(tag::STRING);
            out.text(text);
        }
    }
}

/// How a number is written. Each number has exactly one form.
#[derive(Clone, Copy, Debug, PartialEq)]
enum NumberForm {
    /// An integer within ±2^53.
    Integer(i64),
    /// `mantissa` / 10^`decimals`, with as few decimals as possible.
    Decimal { decimals: u8, mantissa: i64 },
    /// Anything else.
    Double(f64),
}

impl NumberForm {
    fn of(number: f64) -> Self {
        if let Some(integer) = safe_integer(number) {
            return Self::Integer(integer);
        }
        for (power, decimals) in POWERS_OF_TEN.into_iter().zip(1..) {
            // Both operands of the division are exact, so that every IEEE machine rounds the quotient alike.
            if let Some(mantissa) = safe_integer((number * power).round())
                && quotient(mantissa, power) == number
            {
                return Self::Decimal { decimals, mantissa };
            }
        }
        Self::Double(number)
    }

    fn write(self, out: &mut Writer) {
        match self {
            Self::Integer(integer @ 0..SMALL_INTEGER_END) => {
                out.byte(tag::SMALL_INTEGER | integer.to_le_bytes()[0]);
            }
            Self::Integer(integer) => {
                out.byte(tag::INTEGER);
                out.varint(zigzag(integer));
            }
            Self::Decimal { decimals, mantissa } => {
                out.byte(tag::DECIMAL + decimals);
                out.varint(zigzag(mantissa));
            }
            Self::Double(number) => {
                out.byte(tag::DOUBLE);
                out.raw(&number.to_le_bytes());
            }
        }
    }
}

/// The integer that a number is, within ±2^53.
#[allow(clippy::cast_possible_truncation)]
fn safe_integer(number: f64) -> Option<i64> {
    (number.abs() <= MAX_SAFE_INTEGER && number.trunc() == number).then_some(number as i64)
}

#[allow(clippy::cast_precision_loss)]
fn quotient(mantissa: i64, power: f64) -> f64 {
    mantissa as f64 / power
}

/// Maps 0, -1, 1, -2, … to 0, 1, 2, 3, …, so that small magnitudes are short varints.
fn zigzag(integer: i64) -> u64 {
    ((integer << 1) ^ (integer >> (i64::BITS - 1))).cast_unsigned()
}

fn unzigzag(number: u64) -> i64 {
    (number >> 1).cast_signed() ^ -(number & 1).cast_signed()
}

/// Reads one value with all that is in it.
struct ValueReader<'r, 'a> {
    input: &'r mut Reader<'a>,
    keys: KeyCache,
    /// For the sentence about a value that nests deeper.
    max_depth: usize,
}

impl<'r, 'a> ValueReader<'r, 'a> {
    fn new(input: &'r mut Reader<'a>, max_depth: usize) -> Self {
        Self { input, keys: KeyCache::default(), max_depth }
    }

    /// Reads a value of at most so many levels.
    fn value(&mut self, levels: usize) -> Json {
        let start = self.input.offset();
        match self.input.byte() {
            tag::NULL => self.scalar(4, Json::Null),
            tag::FALSE => self.scalar(5, Json::Bool(false)),
            tag::TRUE => self.scalar(4, Json::Bool(true)),
            tag @ (tag::INTEGER | tag::DOUBLE | tag::FIRST_DECIMAL..=tag::LAST_DECIMAL) => {
                self.number(start, tag)
            }
            tag @ tag::SMALL_INTEGER.. => self.scalar(1, Json::from(u32::from(tag & 0x7f))),
            tag @ tag::SHORT_STRING..tag::SMALL_INTEGER => self.string(usize::from(tag - tag::SHORT_STRING)),
            tag::STRING => {
                let length = self.input.count("a string", usize::MAX);
                if length < SHORT_STRING_END {
                    self.not(start, "the shortest form of a string");
                }
                self.string(length)
            }
            tag @ (tag::ARRAY | tag::OBJECT) => match levels.checked_sub(1) {
                Some(levels) if tag == tag::ARRAY => self.array(levels),
                Some(levels) => self.object(start, levels),
                None => {
                    self.input.fail_at(start, DecodeErrorKind::Depth { limit: self.max_depth });
                    Json::Null
                }
            },
            tag => {
                let kind = DecodeErrorKind::UnknownTag { what: "form of a JSON value", tag: u64::from(tag) };
                self.input.fail_at(start, kind);
                Json::Null
            }
        }
    }

    fn scalar(&mut self, text_bytes: usize, value: Json) -> Json {
        self.input.charge_json(text_bytes);
        value
    }

    fn number(&mut self, start: usize, tag: u8) -> Json {
        self.input.charge_json(1);
        let form = match tag {
            tag::DOUBLE => NumberForm::Double(f64::from_le_bytes(self.input.array())),
            tag::INTEGER => NumberForm::Integer(unzigzag(self.input.varint())),
            _ => {
                NumberForm::Decimal { decimals: tag - tag::DECIMAL, mantissa: unzigzag(self.input.varint()) }
            }
        };
        let number = match form {
            NumberForm::Double(number) => number,
            #[allow(clippy::cast_precision_loss)]
            NumberForm::Integer(integer) => integer as f64,
            NumberForm::Decimal { decimals, mantissa } => {
                let power = POWERS_OF_TEN.get(usize::from(decimals).wrapping_sub(1)).copied();
                quotient(mantissa, power.unwrap_or(f64::NAN))
            }
        };
        let Some(value) = Json::number(number) else {
            self.input.fail_at(start, DecodeErrorKind::Number);
            return Json::Null;
        };
        let shortest = match form {
            NumberForm::Integer(0..SMALL_INTEGER_END) => false,
            form => NumberForm::of(number) == form,
        };
        if !shortest {
            self.not(start, "the one form of a number");
        }
        value
    }

    fn string(&mut self, length: usize) -> Json {
        self.input.charge_json(length.saturating_add(2));
        Json::from(self.input.utf8(length))
    }

    fn array(&mut self, levels: usize) -> Json {
        let count = self.input.count("an array", usize::MAX);
        self.input.charge_json(count.saturating_add(1));
        let mut items = Reader::reserve(count);
        for _ in 0..count {
            items.push(self.value(levels));
            if self.input.has_failed() {
                return Json::Null;
            }
        }
        Json::Array(Array::from(items))
    }

    fn object(&mut self, start: usize, levels: usize) -> Json {
        let count = self.input.count("an object", usize::MAX);
        self.input.charge_json(count.saturating_add(1));
        let mut entries: Vec<Entry> = Reader::reserve(count);
        for _ in 0..count {
            let key = self.input.text("a key", usize::MAX);
            self.input.charge_json(key.len().saturating_add(3));
            let key = self.keys.share(key);
            entries.push((key, self.value(levels)));
            if self.input.has_failed() {
                return Json::Null;
            }
        }
        Object::from_sorted(entries).map(Json::Object).unwrap_or_else(|_| {
            self.not(start, "an object with its keys in ascending order, each once");
            Json::Null
        })
    }

    fn not(&mut self, start: usize, what: &'static str) {
        self.input.fail_at(start, DecodeErrorKind::Invalid { what });
    }
}

/// Remembers recent keys, so that a list of like objects has each key in memory once.
struct KeyCache {
    slots: [Option<Arc<str>>; Self::SLOTS],
}

impl KeyCache {
    const SLOTS: usize = 32;
    /// Longer keys are rarely repeated.
    const MAX_KEY_BYTES: usize = 32;

    fn share(&mut self, key: &str) -> Arc<str> {
        match self.slot(key) {
            Some(Some(known)) if **known == *key => known.clone(),
            Some(slot) => slot.insert(Arc::from(key)).clone(),
            None => Arc::from(key),
        }
    }

    fn slot(&mut self, key: &str) -> Option<&mut Option<Arc<str>>> {
        if key.len() > Self::MAX_KEY_BYTES {
            return None;
        }
        let hash =
            key.bytes().fold(0_usize, |hash, byte| hash.wrapping_mul(31).wrapping_add(usize::from(byte)));
        self.slots.get_mut(hash % Self::SLOTS)
    }
}

impl Default for KeyCache {
    fn default() -> Self {
        Self { slots: [const { None }; Self::SLOTS] }
    }
}

/// The text of the pointer (RFC 6901).
impl Wire for PointerBuf {
    fn write(&self, out: &mut Writer) {
        out.text(self.as_str());
    }

    fn read(input: &mut Reader<'_>) -> Self {
        let start = input.offset();
        Self::parse(input.text("a pointer", usize::MAX)).unwrap_or_else(|_| {
            let what = "a JSON pointer: it begins with `/`, and `~` is written `~0`";
            input.fail_at(start, DecodeErrorKind::Invalid { what });
            Self::new()
        })
    }
}

impl Wire for PlacePath {
    fn write(&self, out: &mut Writer) {
        out.list(self.steps());
    }

    fn read(input: &mut Reader<'_>) -> Self {
        Self::from(input.list("a place", MAX_DEPTH))
    }
}

/// Forms of a step.
mod step {
    pub(super) const KEY: u8 = 0;
    pub(super) const ID: u8 = 1;
    pub(super) const INDEX: u8 = 2;
}

impl Wire for Step {
    fn write(&self, out: &mut Writer) {
        match self {
            Self::Key(key) => {
                out.byte(step::KEY);
                out.text(key);
            }
            Self::Id { member, value } => {
                out.byte(step::ID);
                out.text(member);
                value.write(out);
            }
            Self::Index(index) => {
                out.byte(step::INDEX);
                index.write(out);
            }
        }
    }

    fn read(input: &mut Reader<'_>) -> Self {
        let start = input.offset();
        match input.byte() {
            step::KEY => Self::Key(input.text("a key", usize::MAX).into()),
            step::ID => {
                let member = input.text("a key", usize::MAX).into();
                let at = input.offset();
                let value = Json::read(input);
                if !matches!(value, Json::String(_) | Json::Number(_)) {
                    let what = "an identity: a string or a number";
                    input.fail_at(at, DecodeErrorKind::Invalid { what });
                }
                Self::Id { member, value }
            }
            step::INDEX => Self::Index(usize::read(input)),
            tag => {
                let what = "form of a step";
                input.fail_at(start, DecodeErrorKind::UnknownTag { what, tag: u64::from(tag) });
                Self::Index(0)
            }
        }
    }
}

/// A text of any length that fits into the message.
impl Wire for String {
    fn write(&self, out: &mut Writer) {
        out.text(self);
    }

    fn read(input: &mut Reader<'_>) -> Self {
        input.text("a text", usize::MAX).to_owned()
    }
}

/// A number of bytes.
impl Wire for usize {
    fn write(&self, out: &mut Writer) {
        out.count(*self);
    }

    fn read(input: &mut Reader<'_>) -> Self {
        let start = input.offset();
        Self::try_from(input.integer()).unwrap_or_else(|_| {
            let what = "a number of bytes that fits into memory";
            input.fail_at(start, DecodeErrorKind::Invalid { what });
            0
        })
    }
}

impl Wire for Patch {
    fn write(&self, out: &mut Writer) {
        out.list(&self.0);
    }

    fn read(input: &mut Reader<'_>) -> Self {
        Self(input.list("a patch", MAX_OPERATIONS_PER_PATCH))
    }
}

wire_enums! {
    Operation "operation" {
        Add { path, value } = 0,
        Remove { path } = 1,
        Replace { path, value } = 2,
        Move { from, path } = 3,
        Copy { from, path } = 4,
        Test { path, value } = 5,
        Splice { path, at, remove, insert } = 6,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use proptest::prelude::*;

    use super::*;
    use crate::binary::{from_bytes, to_bytes};
    use crate::testing::{hex, json, numbers, patches, places, values};

    fn kind(bytes: &[u8]) -> DecodeErrorKind {
        from_bytes::<Json>(bytes).unwrap_err().kind().clone()
    }

    #[test]
    fn values_have_the_bytes_of_the_table() {
        for (text, bytes) in [
            ("null", "00"),
            ("false", "01"),
            ("true", "02"),
            ("0", "80"),
            ("-0", "80"),
            ("127", "ff"),
            ("128", "038002"),
            ("-1", "0301"),
            ("9007199254740992", "038080808080808020"),
            ("0.5", "110a"),
            ("-0.5", "1109"),
            ("9.99", "12ce0f"),
            ("0.000001", "1602"),
            ("0.0000001", "0448afbc9af2d77a3e"),
            ("1e300", "049c7500883ce4377e"),
            (r#""""#, "40"),
            (r#""é""#, "42c3a9"),
            ("[]", "0600"),
            ("[[],1]", "0602060081"),
            ("{}", "0700"),
            (r#"{"b":1,"a":{"":null}}"#, "0702016107010000016281"),
        ] {
            assert_eq!(hex(&to_bytes(&json(text))), bytes, "{text}");
        }
        let long = "x".repeat(64);
        assert_eq!(hex(&to_bytes(&Json::from(long.as_str()))[..3]), "054078");
        assert_eq!(hex(&to_bytes(&Json::from(&long[1..]))[..2]), "7f78");
    }

    #[test]
    fn a_value_has_one_form() {
        let not = |what| DecodeErrorKind::Invalid { what };
        let number = not("the one form of a number");
        assert_eq!(kind(&[tag::INTEGER, 0]), number);
        assert_eq!(kind(&[tag::INTEGER, 0xfe, 1]), number, "127");
        assert_eq!(kind(&[tag::DECIMAL + 2, 100]), number, "0.50");
        assert_eq!(kind(&[tag::DECIMAL + 1, 20]), number, "1.0");
        for double in [1.0, 0.5, -0.0, 9_007_199_254_740_992.0] {
            let mut bytes = vec![tag::DOUBLE];
            bytes.extend_from_slice(&f64::to_le_bytes(double));
            assert_eq!(kind(&bytes), number, "{double}");
        }
        assert_eq!(kind(&[tag::STRING, 1, b'x']), not("the shortest form of a string"));
        let keys = not("an object with its keys in ascending order, each once");
        assert_eq!(kind(&[tag::OBJECT, 2, 1, b'b', 0, 1, b'a', 0]), keys);
        assert_eq!(kind(&[tag::OBJECT, 2, 1, b'a', 0, 1, b'a', 0]), keys);
    }

    #[test]
    fn numbers_that_documents_do_not_hold_are_refused() {
        for double in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 9_007_199_254_740_994.0, 1e20] {
            let mut bytes = vec![tag::DOUBLE];
            bytes.extend_from_slice(&double.to_le_bytes());
            assert_eq!(kind(&bytes), DecodeErrorKind::Number, "{double}");
        }
        let mut out = Writer::new();
        out.byte(tag::INTEGER);
        out.varint(zigzag((1 << 53) + 1));
        assert_eq!(kind(&out.into_bytes()), DecodeErrorKind::Invalid { what: "the one form of a number" });
        let mut out = Writer::new();
        out.byte(tag::INTEGER);
        out.varint(u64::MAX);
        assert_eq!(kind(&out.into_bytes()), DecodeErrorKind::Number);
    }

    #[test]
    fn bytes_without_meaning_are_refused() {
        for tag in (0x08..=0x10).chain(0x17..=0x3f) {
            let what = "form of a JSON value";
            assert_eq!(kind(&[tag]), DecodeErrorKind::UnknownTag { what, tag: u64::from(tag) });
        }
        assert!(from_bytes::<PointerBuf>(&[1, b'a']).is_err());
        assert!(from_bytes::<PointerBuf>(&[2, b'/', b'~']).is_err());
        assert!(from_bytes::<Step>(&[step::ID, 1, b'a', tag::NULL]).is_err());
        assert!(from_bytes::<Operation>(&[7]).is_err());
    }

    #[test]
    fn nesting_ends_at_the_limit() {
        let nested = |levels: usize| {
            let mut bytes = [tag::ARRAY, 1].repeat(levels);
            bytes.push(tag::NULL);
            bytes
        };
        assert_eq!(from_bytes::<Json>(&nested(MAX_DEPTH)).unwrap().depth(), MAX_DEPTH);
        assert_eq!(kind(&nested(MAX_DEPTH + 1)), DecodeErrorKind::Depth { limit: MAX_DEPTH });
        assert_eq!(kind(&nested(1_000_000)), DecodeErrorKind::Depth { limit: MAX_DEPTH });
        assert_eq!(around_documents(&nested(MAX_JSON_DEPTH)).unwrap().depth(), MAX_JSON_DEPTH);
        let beyond = around_documents(&nested(MAX_JSON_DEPTH + 1)).unwrap_err();
        assert_eq!(beyond.kind(), &DecodeErrorKind::Depth { limit: MAX_JSON_DEPTH });
    }

    #[test]
    fn a_patch_ends_at_the_limit() {
        let patch = |count| Patch(vec![Operation::Remove { path: PointerBuf::new() }; count]);
        let full = patch(MAX_OPERATIONS_PER_PATCH);
        assert_eq!(from_bytes::<Patch>(&to_bytes(&full)).unwrap(), full);
        let kind =
            from_bytes::<Patch>(&to_bytes(&patch(MAX_OPERATIONS_PER_PATCH + 1))).unwrap_err().kind().clone();
        assert_eq!(kind, DecodeErrorKind::Limit { what: "a patch", limit: MAX_OPERATIONS_PER_PATCH });
    }

    #[test]
    fn like_objects_share_their_keys() {
        let bytes = to_bytes(&json(r#"[{"title":1},{"title":2}]"#));
        let value = from_bytes::<Json>(&bytes).unwrap();
        let key = |index: usize| {
            let object = value.as_array().unwrap().get(index).unwrap().as_object().unwrap();
            object.get_entry("title").unwrap().0.clone()
        };
        assert!(Arc::ptr_eq(&key(0), &key(1)));
    }

    #[test]
    fn the_largest_document_fits_into_a_message() {
        // The worst ratios of binary to canonical text with its separator, over all forms of scalars.
        for text in ["0", "-9", "0.5", "1e21", "1e-7", "1.5e-9", "128", r#""""#, "[]", "{}", "null"] {
            let bytes = to_bytes(&json(text)).len();
            assert!(bytes * 8 < (text.len() + 1) * 16, "{text}: {bytes} bytes");
        }
    }

    proptest! {
        #![proptest_config(rejoin_properties::default_cases())]

        #[test]
        fn values_are_read_back(value in values()) {
            let bytes = to_bytes(&value);
            prop_assert_eq!(from_bytes::<Json>(&bytes).unwrap(), value.clone());
            // With the separator that follows it among others, as above: 1e-7 alone takes more than twice its text.
            prop_assert!(bytes.len() < 2 * (value.encoded_len() + 1));
        }

        #[test]
        fn numbers_are_read_back_to_the_bit(number in numbers()) {
            let number = Json::number(number).unwrap();
            let read = from_bytes::<Json>(&to_bytes(&number)).unwrap();
            let bits = |value: &Json| value.as_f64().unwrap().to_bits();
            prop_assert_eq!(bits(&read), bits(&number));
        }

        #[test]
        fn patches_are_read_back(patch in patches()) {
            prop_assert_eq!(from_bytes::<Patch>(&to_bytes(&patch)).unwrap(), patch);
        }

        #[test]
        fn places_are_read_back(place in places()) {
            prop_assert_eq!(from_bytes::<PlacePath>(&to_bytes(&place)).unwrap(), place);
        }

        #[test]
        fn what_is_read_is_written_the_same(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
            if let Ok(value) = from_bytes::<Json>(&bytes) {
                prop_assert_eq!(to_bytes(&value), bytes);
            }
        }
    }
}
