//! Reading JSON text (RFC 8259) within limits.
//!
//! An own reader, since it counts depth and size while it reads instead of afterwards, refuses numbers that doubles blur
//! by their spelling, shares repeated keys, and fills the lengths of the tree as it goes.

use std::{fmt, str, sync::Arc};

use crate::{
    Limits,
    number::MAX_SAFE_INTEGER,
    tree::{Array, Entry, Json, Object, Text, escape_length, escapes_of},
};

impl Json {
    /// Reads a JSON text.
    ///
    /// Of repeated keys the last stays. Numbers become doubles, exactly rounded.
    ///
    /// # Errors
    ///
    /// Refuses what is not JSON, and what is but cannot be a document: integers beyond ±2^53 and other numbers between
    /// that and 10^21, numbers too large for a double, lone surrogates, and what exceeds the limits on text, depth and
    /// document size. The error says where and what to do.
    pub fn parse(text: &str, limits: &Limits) -> Result<Self, ParseError> {
        if text.len() > limits.max_text_bytes {
            let (length, limit) = (text.len(), limits.max_text_bytes);
            return Err(ParseError::without_position(ParseErrorKind::TextTooLong { length, limit }));
        }
        let mut parser = Parser::new(text, limits);
        parser.document().map_err(|kind| ParseError { kind, position: Some(Position::of(text, parser.at)) })
    }

    /// Reads a JSON text from bytes, which must be UTF-8; otherwise as [`parse`](Self::parse).
    ///
    /// # Errors
    ///
    /// As [`parse`](Self::parse), and for bytes that are not UTF-8.
    pub fn parse_bytes(bytes: &[u8], limits: &Limits) -> Result<Self, ParseError> {
        match str::from_utf8(bytes) {
            Ok(text) => Self::parse(text, limits),
            Err(error) => {
                let valid = bytes.get(..error.valid_up_to()).and_then(|valid| str::from_utf8(valid).ok());
                let position = valid.map(|valid| Position::of(valid, valid.len()));
                Err(ParseError { kind: ParseErrorKind::NotUtf8, position })
            }
        }
    }
}

/// Why a text or value is no document, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseError {
    /// What is wrong.
    pub kind: ParseErrorKind,
    /// Where in the text; absent when there was none, or when it was refused as a whole.
    pub position: Option<Position>,
}

/// A place in a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// Bytes before it.
    pub offset: usize,
    /// Line, from 1.
    pub line: usize,
    /// Characters before it on its line, plus 1.
    pub column: usize,
}

/// What is wrong with a text or value; the sentences say what to do about it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseErrorKind {
    /// The text ends inside a value.
    #[error("the text ends too early: expected {expected}")]
    UnexpectedEnd {
        /// What should have come.
        expected: &'static str,
    },
    /// A character that cannot stand there.
    #[error("unexpected {found:?}: expected {expected}")]
    Unexpected {
        /// The character.
        found: char,
        /// What should have come.
        expected: &'static str,
    },
    /// A raw control character inside a string.
    #[error("a control character in a string: write it as \\u{0:04x}")]
    ControlCharacter(u8),
    /// A surrogate that is not half of a pair.
    #[error("a surrogate without its other half: write the character as two \\u escapes or as itself")]
    LoneSurrogate,
    /// Bytes that are not UTF-8.
    #[error("the text is not UTF-8: encode it as that")]
    NotUtf8,
    /// An integer beyond ±2^53.
    #[error(
        "an integer beyond ±9007199254740992, which not every reader of JSON can hold: send it as a string"
    )]
    IntegerOutOfRange,
    /// A number that is too large for a double, or whose canonical text would be an integer beyond ±2^53.
    #[error(
        "a number that is too large for a double, or between 2^53 and 1e21 and so no exact integer: send it as a string"
    )]
    NumberOutOfRange,
    /// Containers nest too deeply.
    #[error("nested deeper than {limit} levels: flatten the value")]
    TooDeep {
        /// The deepest that is accepted.
        limit: usize,
    },
    /// The document is too large.
    #[error("the document has more than {limit} bytes: split it, or raise the limit on document size")]
    TooLarge {
        /// The largest that is accepted, in bytes of canonical text.
        limit: usize,
    },
    /// The text is too long to be read at all.
    #[error("the text has {length} bytes, more than {limit}: remove white space, or split the document")]
    TextTooLong {
        /// Its length in bytes.
        length: usize,
        /// The longest that is accepted.
        limit: usize,
    },
}

impl ParseError {
    pub(crate) fn without_position(kind: ParseErrorKind) -> Self {
        Self { kind, position: None }
    }
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.position {
            Some(Position { line, column, .. }) => {
                write!(f, "line {line}, column {column}: {}", self.kind)
            }
            None => self.kind.fmt(f),
        }
    }
}

impl std::error::Error for ParseError {}

impl Position {
    fn of(text: &str, offset: usize) -> Self {
        let before = text.get(..offset).unwrap_or(text);
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let column = before.get(line_start..).map_or(0, |line| line.chars().count()) + 1;
        let line = before.bytes().filter(|byte| *byte == b'\n').count() + 1;
        Self { offset, line, column }
    }
}

struct Parser<'t> {
    text: &'t str,
    bytes: &'t [u8],
    /// Bytes read; always between two characters when an error is made.
    at: usize,
    /// Levels of containers that may still open.
    levels: usize,
    max_depth: usize,
    /// Length of the canonical text of what was read; containers are told theirs as the difference.
    encoded_len: usize,
    max_encoded_len: usize,
    empty_array: Array,
    empty_object: Object,
    keys: KeyCache,
}

type Step<T> = Result<T, ParseErrorKind>;

const A_VALUE: &str = "a value";
const A_KEY: &str = "a key in double quotes";
const A_DIGIT: &str = "a digit";
const AFTER_ITEM: &str = "\",\" or \"]\"";
const AFTER_MEMBER: &str = "\",\" or \"}\"";
const END_OF_STRING: &str = "the closing quote";

impl<'t> Parser<'t> {
    fn new(text: &'t str, limits: &Limits) -> Self {
        Self {
            text,
            bytes: text.as_bytes(),
            at: 0,
            levels: limits.depth(),
            max_depth: limits.depth(),
            encoded_len: 0,
            max_encoded_len: limits.max_document_bytes,
            empty_array: Array::new(),
            empty_object: Object::new(),
            keys: KeyCache::default(),
        }
    }

    fn document(&mut self) -> Step<Json> {
        let value = self.value()?;
        match self.next_token() {
            None => Ok(value),
            Some(_) => self.unexpected("the end of the text"),
        }
    }

    fn value(&mut self) -> Step<Json> {
        match self.next_token() {
            Some(b'{') => self.object(),
            Some(b'[') => self.array(),
            Some(b'"') => {
                let text = self.string()?;
                self.count(text.encoded_len())?;
                Ok(Json::String(text))
            }
            Some(b'-' | b'0'..=b'9') => {
                let number = self.number()?;
                self.count(number.encoded_len())?;
                Ok(number)
            }
            Some(b'n') => self.literal("null", Json::Null),
            Some(b't') => self.literal("true", Json::Bool(true)),
            Some(b'f') => self.literal("false", Json::Bool(false)),
            _ => self.unexpected(A_VALUE),
        }
    }

    fn literal(&mut self, word: &'static str, value: Json) -> Step<Json> {
        for expected in word.bytes() {
            if self.peek() != Some(expected) {
                return self.unexpected(word);
            }
            self.at += 1;
        }
        self.count(word.len())?;
        Ok(value)
    }

    fn array(&mut self) -> Step<Json> {
        let start = self.open()?;
        if self.next_token() == Some(b']') {
            self.close();
            return Ok(Json::Array(self.empty_array.clone()));
        }
        let mut items = Vec::new();
        loop {
            items.push(self.value()?);
            match self.next_token() {
                Some(b',') => self.comma()?,
                Some(b']') => break,
                _ => return self.unexpected(AFTER_ITEM),
            }
        }
        self.close();
        items.shrink_to_fit();
        Ok(Json::Array(Array::from_measured(items, self.encoded_len - start)))
    }

    fn object(&mut self) -> Step<Json> {
        let start = self.open()?;
        if self.next_token() == Some(b'}') {
            self.close();
            return Ok(Json::Object(self.empty_object.clone()));
        }
        let mut entries = Vec::new();
        loop {
            entries.push(self.member()?);
            match self.next_token() {
                Some(b',') => self.comma()?,
                Some(b'}') => break,
                _ => return self.unexpected(AFTER_MEMBER),
            }
        }
        self.close();
        entries.shrink_to_fit();
        let object = Object::from_measured(entries, self.encoded_len - start);
        // Less than what was read when keys were repeated.
        self.encoded_len = start + object.encoded_len();
        Ok(Json::Object(object))
    }

    fn member(&mut self) -> Step<Entry> {
        if self.next_token() != Some(b'"') {
            return self.unexpected(A_KEY);
        }
        let key = self.key()?;
        if self.next_token() != Some(b':') {
            return self.unexpected("\":\"");
        }
        self.at += 1;
        self.count(1)?;
        Ok((key, self.value()?))
    }

    /// Enters a container; returns the length of the text before it.
    fn open(&mut self) -> Step<usize> {
        self.levels = self.levels.checked_sub(1).ok_or(ParseErrorKind::TooDeep { limit: self.max_depth })?;
        let start = self.encoded_len;
        self.count(2)?;
        self.at += 1;
        Ok(start)
    }

    fn close(&mut self) {
        self.at += 1;
        self.levels += 1;
    }

    fn comma(&mut self) -> Step<()> {
        self.at += 1;
        self.count(1)
    }

    fn count(&mut self, bytes: usize) -> Step<()> {
        self.encoded_len += bytes;
        if self.encoded_len > self.max_encoded_len {
            return Err(ParseErrorKind::TooLarge { limit: self.max_encoded_len });
        }
        Ok(())
    }

    fn key(&mut self) -> Step<Arc<str>> {
        match self.plain_string()? {
            Some(plain) => {
                self.count(plain.len() + 2)?;
                Ok(self.keys.share(plain))
            }
            None => {
                let text = self.escaped_string()?;
                self.count(text.encoded_len())?;
                Ok(text.as_arc().clone())
            }
        }
    }

    fn string(&mut self) -> Step<Text> {
        match self.plain_string()? {
            // What needs an escape in canonical text needs one in any.
            Some(plain) => Ok(Text::with_escapes(Arc::from(plain), 0)),
            None => self.escaped_string(),
        }
    }

    /// Reads a string without escapes, at its opening quote; reads nothing and returns `None` when it has some.
    fn plain_string(&mut self) -> Step<Option<&'t str>> {
        let start = self.at + 1;
        let rest = self.bytes.get(start..).unwrap_or_default();
        let Some(length) = rest.iter().position(|byte| escape_length(*byte) > 0) else {
            return self.end_of_text(END_OF_STRING);
        };
        match rest.get(length) {
            Some(b'"') => {
                self.at = start + length + 1;
                Ok(Some(self.slice(start, start + length)))
            }
            Some(b'\\') => Ok(None),
            byte => {
                self.at = start + length;
                Err(ParseErrorKind::ControlCharacter(byte.copied().unwrap_or_default()))
            }
        }
    }

    fn escaped_string(&mut self) -> Step<Text> {
        self.at += 1;
        let mut text = String::new();
        loop {
            let start = self.at;
            let rest = self.bytes.get(start..).unwrap_or_default();
            let Some(length) = rest.iter().position(|byte| escape_length(*byte) > 0) else {
                return self.end_of_text(END_OF_STRING);
            };
            self.at += length;
            text.push_str(self.slice(start, self.at));
            match self.peek() {
                Some(b'"') => break,
                Some(b'\\') => text.push(self.escape()?),
                byte => return Err(ParseErrorKind::ControlCharacter(byte.unwrap_or_default())),
            }
        }
        self.at += 1;
        let escapes = escapes_of(&text);
        Ok(Text::with_escapes(text.into(), escapes))
    }

    fn escape(&mut self) -> Step<char> {
        self.at += 1;
        let character = match self.peek() {
            Some(b'"') => '"',
            Some(b'\\') => '\\',
            Some(b'/') => '/',
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => return self.unicode_escape(),
            _ => return self.unexpected("one of \" \\ / b f n r t u after the backslash"),
        };
        self.at += 1;
        Ok(character)
    }

    fn unicode_escape(&mut self) -> Step<char> {
        let start = self.at - 1;
        let unit = self.code_unit()?;
        let lone = |parser: &mut Self| {
            parser.at = start;
            ParseErrorKind::LoneSurrogate
        };
        match unit {
            0xd800..=0xdbff => {
                if !self.bytes.get(self.at..).is_some_and(|rest| rest.starts_with(b"\\u")) {
                    return Err(lone(self));
                }
                self.at += 1;
                let low = self.code_unit()?;
                char::decode_utf16([unit, low]).next().and_then(Result::ok).ok_or_else(|| lone(self))
            }
            _ => char::from_u32(u32::from(unit)).ok_or_else(|| lone(self)),
        }
    }

    /// Reads four hexadecimal digits behind the `u` at this place.
    fn code_unit(&mut self) -> Step<u16> {
        self.at += 1;
        let mut unit = 0;
        for _ in 0..4 {
            let digit = match self.peek() {
                Some(digit @ b'0'..=b'9') => digit - b'0',
                Some(digit @ b'a'..=b'f') => digit - b'a' + 10,
                Some(digit @ b'A'..=b'F') => digit - b'A' + 10,
                _ => return self.unexpected("four hexadecimal digits"),
            };
            unit = unit << 4 | u16::from(digit);
            self.at += 1;
        }
        Ok(unit)
    }

    fn number(&mut self) -> Step<Json> {
        let start = self.at;
        let negative = self.peek() == Some(b'-');
        self.at += usize::from(negative);
        let integer_start = self.at;
        let integer = match self.peek() {
            Some(b'0') => {
                self.at += 1;
                if let Some(b'0'..=b'9') = self.peek() {
                    return self.unexpected("no digit after a leading zero");
                }
                0
            }
            _ => self.digits()?,
        };
        let digits = self.at - integer_start;
        let mut integral = true;
        if self.peek() == Some(b'.') {
            integral = false;
            self.at += 1;
            self.digits()?;
        }
        if let Some(b'e' | b'E') = self.peek() {
            integral = false;
            self.at += 1;
            self.at += usize::from(matches!(self.peek(), Some(b'+' | b'-')));
            self.digits()?;
        }
        let number = if integral {
            exact_integer(integer, digits, negative)
        } else {
            let spelling = self.slice(start, self.at);
            spelling.parse().ok().and_then(Json::number).ok_or(ParseErrorKind::NumberOutOfRange)
        };
        if number.is_err() {
            self.at = start;
        }
        number
    }

    /// Reads digits, at least one; their value wraps around when there are too many.
    fn digits(&mut self) -> Step<u64> {
        let start = self.at;
        let mut value = 0_u64;
        while let Some(digit @ b'0'..=b'9') = self.peek() {
            value = value.wrapping_mul(10).wrapping_add(u64::from(digit - b'0'));
            self.at += 1;
        }
        if self.at == start { self.unexpected(A_DIGIT) } else { Ok(value) }
    }

    /// Skips white space and returns the byte behind it.
    fn next_token(&mut self) -> Option<u8> {
        loop {
            match self.peek() {
                Some(b' ' | b'\n' | b'\t' | b'\r') => self.at += 1,
                byte => return byte,
            }
        }
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn slice(&self, start: usize, end: usize) -> &'t str {
        self.text.get(start..end).expect("invariant: the reader cuts only beside ASCII characters")
    }

    fn unexpected<T>(&mut self, expected: &'static str) -> Step<T> {
        match self.text.get(self.at..).and_then(|rest| rest.chars().next()) {
            Some(found) => Err(ParseErrorKind::Unexpected { found, expected }),
            None => self.end_of_text(expected),
        }
    }

    fn end_of_text<T>(&mut self, expected: &'static str) -> Step<T> {
        self.at = self.text.len();
        Err(ParseErrorKind::UnexpectedEnd { expected })
    }
}

#[allow(clippy::cast_precision_loss)]
fn exact_integer(magnitude: u64, digits: usize, negative: bool) -> Step<Json> {
    // Sixteen digits are all that 2^53 has, and cannot have wrapped around.
    const MAX_DIGITS: usize = 16;
    if digits > MAX_DIGITS || magnitude > MAX_SAFE_INTEGER {
        return Err(ParseErrorKind::IntegerOutOfRange);
    }
    // Zero minus, so that -0 becomes 0.
    Ok(Json::Number(if negative { 0.0 - magnitude as f64 } else { magnitude as f64 }))
}

/// Remembers recent keys, so that a list of like objects has each key in memory once.
struct KeyCache {
    slots: [Option<Arc<str>>; Self::SLOTS],
}

impl KeyCache {
    const SLOTS: usize = 64;
    /// Longer keys are rarely repeated.
    const MAX_KEY_BYTES: usize = 32;

    fn share(&mut self, key: &str) -> Arc<str> {
        let slot = self.slot(key);
        match slot {
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
