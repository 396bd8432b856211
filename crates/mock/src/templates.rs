//! Texts with tokens in them, each occurrence made anew: `{{uuid}}`, `{{now+1h}}`, `{{randInt 1 6}}`, captures, and fakes.

use std::fmt::Write as _;

use thiserror::Error;

use crate::limits::MAX_TEXT_TOKENS;
use crate::pattern::Captures;
use crate::random::Random;

#[cfg(feature = "data-faker")]
mod fakes;
mod timestamp;

pub(crate) use timestamp::rfc3339;

/// What `{{now}}` can be moved by at most: 100 years.
const MAX_OFFSET_MS: i64 = 36_525 * 86_400_000;

/// A text, read once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template(Source);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Source {
    Literal(Box<str>),
    Pieces(Box<[Piece]>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Text(Box<str>),
    Uuid,
    Now {
        offset_ms: i64,
    },
    RandInt {
        low: i64,
        high: i64,
    },
    Number(usize),
    Name(Box<str>),
    #[cfg(feature = "data-faker")]
    Fake(fakes::Fake),
}

/// Why a text is no template.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("at character {column} of the text: {kind}")]
pub struct TemplateError {
    /// Where the token begins; the first character is 1.
    pub column: usize,
    /// What is wrong with it.
    pub kind: TemplateErrorKind,
}

/// What is wrong with a token.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum TemplateErrorKind {
    /// There is no such token, nor a capture of this name.
    #[error("{{{{{0}}}}} is no token, nor the name of a capture; write \\{{{{ for braces that are none")]
    Unknown(String),
    /// `{{` has no `}}`.
    #[error("the token has no end; write }}}} behind it, or \\{{{{ for braces that are none")]
    Unclosed,
    /// `{{randInt}}` wants two whole numbers in their order.
    #[error("randInt takes two whole numbers, the smaller first, as in {{{{randInt 1 100}}}}")]
    RandInt,
    /// `{{now}}` can be moved by a number of seconds, minutes, hours or days.
    #[error("now can be moved by up to 100 years in s, m, h or d, as in {{{{now+90s}}}}")]
    Now,
    /// No pattern of the script has so many groups.
    #[error("no pattern has a group {0}")]
    Number(usize),
    /// The text has more than [`MAX_TEXT_TOKENS`] tokens.
    #[error("a text has at most {MAX_TEXT_TOKENS} tokens")]
    TooMany,
    /// A token for fakes, in a build without them.
    #[error("fakes need the feature data-faker")]
    NoFakes,
}

/// Which captures there can be.
#[derive(Clone, Debug, Default)]
pub struct KnownCaptures {
    groups: Option<usize>,
    names: Vec<String>,
}

impl KnownCaptures {
    /// Adds those of a pattern.
    pub(crate) fn add(&mut self, pattern: &crate::MessagePattern) {
        self.groups = self.groups.max(Some(pattern.groups()));
        self.names.extend(pattern.names().map(str::to_owned));
    }
}

impl Template {
    /// A text without tokens: braces are braces.
    pub fn literal(text: impl Into<String>) -> Self {
        Self(Source::Literal(text.into().into_boxed_str()))
    }

    /// Reads a text. A token is the first `{{` and the next `}}`; of more than two braces those at the token's name count, so that
    /// `{"n":{{randInt 1 6}}}` means what it seems to.
    pub fn parse(text: &str, known: &KnownCaptures) -> Result<Self, TemplateError> {
        let mut pieces = Vec::new();
        let mut plain = String::new();
        let mut rest = text;
        let mut tokens = 0;
        while let Some(start) = rest.find("{{") {
            let (before, at) = rest.split_at(start);
            if let Some(before) = before.strip_suffix('\\') {
                plain.push_str(before);
                plain.push_str("{{");
                rest = at.trim_start_matches('{');
                plain.extend(std::iter::repeat_n('{', at.len() - rest.len() - 2));
                continue;
            }
            plain.push_str(before);
            let inner = at.trim_start_matches('{');
            plain.extend(std::iter::repeat_n('{', at.len() - inner.len() - 2));
            let error = |kind| TemplateError { column: column(text, text.len() - inner.len() - 2), kind };
            let end = inner.find("}}").ok_or_else(|| error(TemplateErrorKind::Unclosed))?;
            let (token, after) = inner.split_at(end);
            if !plain.is_empty() {
                pieces.push(Piece::Text(std::mem::take(&mut plain).into_boxed_str()));
            }
            tokens += 1;
            if tokens > MAX_TEXT_TOKENS {
                return Err(error(TemplateErrorKind::TooMany));
            }
            pieces.push(read(token.trim(), known).map_err(error)?);
            rest = after.get(2..).unwrap_or_default();
        }
        plain.push_str(rest);
        if pieces.is_empty() {
            return Ok(Self::literal(plain));
        }
        if !plain.is_empty() {
            pieces.push(Piece::Text(plain.into_boxed_str()));
        }
        Ok(Self(Source::Pieces(pieces.into_boxed_slice())))
    }
}

/// What expands the templates of one connection: its chance, so that the same seed gives the same texts.
#[derive(Clone, Debug)]
pub struct Expander(Random);

impl Expander {
    /// One that draws from a seed.
    pub fn new(seed: u64) -> Self {
        Self(Random::new(seed))
    }

    /// The text with each token made anew, at this time of the wall clock. A capture that nothing has made yet is empty.
    pub fn expand(&mut self, template: &Template, unix_ms: i64, captures: &Captures) -> String {
        let pieces = match &template.0 {
            Source::Literal(text) => return text.to_string(),
            Source::Pieces(pieces) => pieces,
        };
        let mut text = String::new();
        for piece in pieces {
            match piece {
                Piece::Text(plain) => text.push_str(plain),
                Piece::Uuid => self.push_uuid(&mut text),
                Piece::Now { offset_ms } => text.push_str(&rfc3339(unix_ms.saturating_add(*offset_ms))),
                Piece::RandInt { low, high } => {
                    // Writing to a string cannot fail.
                    let _ = write!(text, "{}", self.0.between(*low, *high));
                }
                Piece::Number(number) => text.push_str(captures.number(*number).unwrap_or_default()),
                Piece::Name(name) => text.push_str(captures.name(name).unwrap_or_default()),
                #[cfg(feature = "data-faker")]
                Piece::Fake(fake) => text.push_str(&fake.make(self.0.next())),
            }
        }
        text
    }

    /// RFC 9562, version 4.
    fn push_uuid(&mut self, text: &mut String) {
        let high = (self.0.next() & !0xf000) | 0x4000;
        let low = (self.0.next() & !(0b11 << 62)) | (0b10 << 62);
        let (a, b, c) = (high >> 32, (high >> 16) & 0xffff, high & 0xffff);
        let _ = write!(text, "{a:08x}-{b:04x}-{c:04x}-{:04x}-{:012x}", low >> 48, low & 0xffff_ffff_ffff);
    }
}

fn read(token: &str, known: &KnownCaptures) -> Result<Piece, TemplateErrorKind> {
    let mut words = token.split_whitespace();
    let unknown = || TemplateErrorKind::Unknown(token.chars().take(64).collect());
    match words.next().unwrap_or_default() {
        "uuid" if words.next().is_none() => Ok(Piece::Uuid),
        "randInt" => {
            let mut number = || words.next()?.parse::<i64>().ok();
            match (number(), number(), words.next()) {
                (Some(low), Some(high), None) if low <= high => Ok(Piece::RandInt { low, high }),
                _ => Err(TemplateErrorKind::RandInt),
            }
        }
        word if word.starts_with("now") && !known.names.iter().any(|name| name == token) => {
            let shift: String = token.chars().skip(3).filter(|it| !it.is_whitespace()).collect();
            match shift.chars().next() {
                None => Ok(Piece::Now { offset_ms: 0 }),
                Some('+' | '-') => offset(&shift).map(|offset_ms| Piece::Now { offset_ms }),
                Some(_) => Err(unknown()),
            }
        }
        _ if token.starts_with("faker.") => fake(token).ok_or_else(unknown)?,
        _ if !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_digit()) => {
            let number = token.parse().map_err(|_| unknown())?;
            match known.groups {
                Some(groups) if number <= groups => Ok(Piece::Number(number)),
                _ => Err(TemplateErrorKind::Number(number)),
            }
        }
        _ if known.names.iter().any(|name| name == token) => Ok(Piece::Name(token.into())),
        _ => Err(unknown()),
    }
}

#[cfg(feature = "data-faker")]
fn fake(token: &str) -> Option<Result<Piece, TemplateErrorKind>> {
    fakes::Fake::named(token.strip_prefix("faker.")?).map(|fake| Ok(Piece::Fake(fake)))
}

#[cfg(not(feature = "data-faker"))]
fn fake(_: &str) -> Option<Result<Piece, TemplateErrorKind>> {
    Some(Err(TemplateErrorKind::NoFakes))
}

/// A sign, a number and a unit.
fn offset(shift: &str) -> Result<i64, TemplateErrorKind> {
    let read = || {
        let unit = shift.chars().last()?;
        let unit_ms: i64 = match unit {
            's' => 1_000,
            'm' => 60_000,
            'h' => 3_600_000,
            'd' => 86_400_000,
            _ => return None,
        };
        let number = shift.strip_suffix(unit)?;
        // A second sign would be read as part of the number.
        if !number.get(1..)?.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let offset = number.parse::<i64>().ok()?.checked_mul(unit_ms)?;
        (-MAX_OFFSET_MS..=MAX_OFFSET_MS).contains(&offset).then_some(offset)
    };
    read().ok_or(TemplateErrorKind::Now)
}

/// The number of the character at this byte, from 1.
fn column(text: &str, byte: usize) -> usize {
    text.get(..byte).unwrap_or(text).chars().count() + 1
}

#[cfg(test)]
mod tests;
