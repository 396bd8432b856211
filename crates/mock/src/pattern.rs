//! What a message is compared with.

use std::fmt;

use regex::{Regex, RegexBuilder};
use serde_json::Value;
use serde_json_path::JsonPath;
use thiserror::Error;

use crate::limits::{MAX_PATH_DEPTH, MAX_PATTERN_BYTES, MAX_PATTERN_MEMORY_BYTES};

/// A pattern of text messages. Regular expressions take time that grows with the message alone, never faster.
#[derive(Clone, Debug)]
pub struct MessagePattern(Kind);

#[derive(Clone, Debug)]
enum Kind {
    Any,
    Exact(Box<str>),
    Regex(Regex),
    JsonPath { text: Box<str>, path: Box<JsonPath> },
}

/// Why a pattern cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum PatternError {
    /// The regular expression has an error, or would take too much memory.
    #[error("the regular expression cannot be used: {0}")]
    Regex(String),
    /// The JSONPath has an error.
    #[error("the JSONPath has an error at character {column}: {reason}")]
    JsonPath {
        /// The first character is 1.
        column: usize,
        /// What is wrong there.
        reason: String,
    },
    /// The pattern is longer than [`MAX_PATTERN_BYTES`].
    #[error("the pattern has {0} bytes: at most {MAX_PATTERN_BYTES} are taken")]
    TooLong(usize),
    /// The JSONPath has more than [`MAX_PATH_DEPTH`] brackets within each other.
    #[error("the JSONPath has more than {MAX_PATH_DEPTH} brackets within each other")]
    TooDeep,
}

impl MessagePattern {
    /// Matches every message, binary ones too.
    pub const fn any() -> Self {
        Self(Kind::Any)
    }

    /// Matches the messages of exactly this text.
    pub fn exact(text: impl Into<String>) -> Self {
        Self(Kind::Exact(text.into().into_boxed_str()))
    }

    /// Matches the texts in which the regular expression is found; `^` and `$` tie it to their ends.
    pub fn regex(pattern: &str) -> Result<Self, PatternError> {
        compiled(pattern).map(|regex| Self(Kind::Regex(regex)))
    }

    /// Matches the JSON texts in which the JSONPath (RFC 9535) finds something.
    ///
    /// `$.type` asks whether there is such a member. `$[?$.type=='auth']` asks for its value.
    pub fn jsonpath(path: &str) -> Result<Self, PatternError> {
        bounded(path)?;
        let brackets = Brackets::of(path);
        // Its parser takes twice the time for each filter within a filter, and room on the stack for each bracket.
        if brackets.depth > MAX_PATH_DEPTH {
            return Err(PatternError::TooDeep);
        }
        // And it panics where the path ends within an escape.
        if brackets.open_quote {
            let reason = "a text in quotes has no end".to_owned();
            return Err(PatternError::JsonPath { column: path.chars().count() + 1, reason });
        }
        let parsed = JsonPath::parse(path).map_err(|error| PatternError::JsonPath {
            column: error.position() + 1,
            reason: error.message().to_owned(),
        })?;
        Ok(Self(Kind::JsonPath { text: path.into(), path: Box::new(parsed) }))
    }

    /// Reads a pattern as `waitFor` has it: a JSONPath where it starts with `$`, else a regular expression.
    ///
    /// A regular expression that is `$` alone would match every text; no path is as short either, and `$` finds the root of every JSON text.
    pub fn parse(pattern: &str) -> Result<Self, PatternError> {
        if pattern.starts_with('$') { Self::jsonpath(pattern) } else { Self::regex(pattern) }
    }

    /// Whether a text message matches.
    pub fn matches(&self, text: &str) -> bool {
        match &self.0 {
            Kind::Any => true,
            Kind::Exact(expected) => **expected == *text,
            Kind::Regex(regex) => regex.is_match(text),
            Kind::JsonPath { path, .. } => {
                serde_json::from_str::<Value>(text).is_ok_and(|value| !path.query(&value).is_empty())
            }
        }
    }

    /// Whether a binary message matches: only [`MessagePattern::any`] does.
    pub fn matches_binary(&self) -> bool {
        matches!(self.0, Kind::Any)
    }

    /// What a text message that matches has at the places that the pattern names; `None` where it does not match.
    pub fn captures(&self, text: &str) -> Option<Captures> {
        match &self.0 {
            Kind::Any => Some(Captures::of_whole(text)),
            Kind::Exact(expected) => (**expected == *text).then(|| Captures::of_whole(text)),
            Kind::Regex(regex) => regex.captures(text).map(|found| Captures::of_regex(regex, &found)),
            Kind::JsonPath { path, .. } => {
                let value = serde_json::from_str::<Value>(text).ok()?;
                let found = path.query(&value).first().map(plain)?;
                Some(Captures { numbered: vec![text.to_owned(), found], named: Vec::new() })
            }
        }
    }

    /// How many numbered captures a match has, without that of the whole.
    pub(crate) fn groups(&self) -> usize {
        match &self.0 {
            Kind::Any | Kind::Exact(_) => 0,
            Kind::Regex(regex) => regex.captures_len() - 1,
            Kind::JsonPath { .. } => 1,
        }
    }

    /// The names of its captures.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        let regex = if let Kind::Regex(regex) = &self.0 { Some(regex) } else { None };
        regex.into_iter().flat_map(|regex| regex.capture_names().flatten())
    }
}

impl fmt::Display for MessagePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Any => f.write_str("any message"),
            Kind::Exact(text) | Kind::JsonPath { text, .. } => f.write_str(text),
            Kind::Regex(regex) => f.write_str(regex.as_str()),
        }
    }
}

/// What a pattern found in a message: by number, with the whole as 0, and by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Captures {
    numbered: Vec<String>,
    named: Vec<(String, String)>,
}

impl Captures {
    /// The capture of this number; 0 is all that matched. A group that took no part is empty.
    pub fn number(&self, index: usize) -> Option<&str> {
        self.numbered.get(index).map(String::as_str)
    }

    /// The capture of this name.
    pub fn name(&self, name: &str) -> Option<&str> {
        self.named.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// Takes over what a later match found: its numbers replace all, its names those that it has.
    pub(crate) fn take(&mut self, later: Captures) {
        self.numbered = later.numbered;
        for (name, value) in later.named {
            match self.named.iter_mut().find(|(key, _)| *key == name) {
                Some(known) => known.1 = value,
                None => self.named.push((name, value)),
            }
        }
    }

    fn of_whole(text: &str) -> Self {
        Self { numbered: vec![text.to_owned()], named: Vec::new() }
    }

    fn of_regex(regex: &Regex, found: &regex::Captures<'_>) -> Self {
        let text = |index| found.get(index).map_or_else(String::new, |it| it.as_str().to_owned());
        let named = regex.capture_names().enumerate().filter_map(|(index, name)| {
            let name = name?;
            Some((name.to_owned(), text(index)))
        });
        Self { numbered: (0..found.len()).map(text).collect(), named: named.collect() }
    }
}

/// Strings without their quotes, all else as JSON.
fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// A regular expression within the limits of patterns.
pub(crate) fn compiled(pattern: &str) -> Result<Regex, PatternError> {
    bounded(pattern)?;
    let built = RegexBuilder::new(pattern)
        .size_limit(MAX_PATTERN_MEMORY_BYTES)
        .dfa_size_limit(MAX_PATTERN_MEMORY_BYTES)
        .build();
    built.map_err(|error| PatternError::Regex(brief(&error)))
}

fn bounded(pattern: &str) -> Result<(), PatternError> {
    if pattern.len() > MAX_PATTERN_BYTES { Err(PatternError::TooLong(pattern.len())) } else { Ok(()) }
}

/// What has to be known of a path before it is parsed.
struct Brackets {
    /// How many are open at a time at most, where those in quotes are none.
    depth: usize,
    /// Whether the path ends within quotes.
    open_quote: bool,
}

impl Brackets {
    fn of(path: &str) -> Self {
        let (mut open, mut depth, mut quote, mut escaped) = (0_usize, 0, None, false);
        for byte in path.bytes() {
            match (byte, quote) {
                _ if escaped => escaped = false,
                (b'\\', Some(_)) => escaped = true,
                (_, Some(end)) => quote = Some(end).filter(|&end| end != byte),
                (b'"' | b'\'', None) => quote = Some(byte),
                (b'(' | b'[', None) => open += 1,
                (b')' | b']', None) => open = open.saturating_sub(1),
                _ => {}
            }
            depth = depth.max(open);
        }
        Self { depth, open_quote: quote.is_some() }
    }
}

/// The last line of what the crate says, which has the reason; those before it draw the pattern.
fn brief(error: &regex::Error) -> String {
    let text = error.to_string();
    text.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_regular_expression_is_one_and_no_substring() {
        let pattern = MessagePattern::parse("^CLIENT_READY$").unwrap();
        assert!(pattern.matches("CLIENT_READY"));
        assert!(!pattern.matches("NOT CLIENT_READY"));
        assert!(!pattern.matches("^CLIENT_READY$"));
    }

    #[test]
    fn a_pattern_that_starts_with_a_dollar_is_a_path() {
        let pattern = MessagePattern::parse("$.user.name").unwrap();
        assert!(pattern.matches(r#"{"user":{"name":"ada"}}"#));
        assert!(!pattern.matches(r#"{"user":{}}"#));
        assert!(!pattern.matches("no json: user.name"));
        assert_eq!(pattern.captures(r#"{"user":{"name":"ada"}}"#).unwrap().number(1), Some("ada"));
        assert_eq!(pattern.captures(r#"{"user":{"name":[1, 2]}}"#).unwrap().number(1), Some("[1,2]"));
    }

    #[test]
    fn a_path_can_ask_for_a_value_at_the_root() {
        let pattern = MessagePattern::parse("$[?$.type=='auth']").unwrap();
        assert!(pattern.matches(r#"{"type":"auth"}"#));
        assert!(!pattern.matches(r#"{"type":"other"}"#));
    }

    #[test]
    fn captures_have_numbers_and_names() {
        let pattern = MessagePattern::parse("^LOGIN (?<user>\\w+)( (\\d+))?$").unwrap();
        let captures = pattern.captures("LOGIN ada").unwrap();
        assert_eq!(captures.number(0), Some("LOGIN ada"));
        assert_eq!(captures.name("user"), Some("ada"));
        assert_eq!(captures.number(3), Some(""));
        assert_eq!((captures.number(4), pattern.groups()), (None, 3));
    }

    #[test]
    fn names_outlive_the_next_match_and_numbers_do_not() {
        let mut captures = MessagePattern::parse("(?<a>x)").unwrap().captures("x").unwrap();
        captures.take(MessagePattern::parse("y").unwrap().captures("y").unwrap());
        assert_eq!(
            (captures.name("a"), captures.number(0), captures.number(1)),
            (Some("x"), Some("y"), None)
        );
    }

    #[test]
    fn only_any_takes_binary_messages() {
        assert!(MessagePattern::any().matches_binary());
        assert!(!MessagePattern::parse(".*").unwrap().matches_binary());
    }

    #[test]
    fn what_is_wrong_with_a_pattern_is_said() {
        assert_eq!(MessagePattern::parse("(").unwrap_err(), PatternError::Regex("unclosed group".to_owned()));
        let PatternError::JsonPath { column, .. } = MessagePattern::parse("$.a[").unwrap_err() else {
            panic!("a path")
        };
        assert!(column > 1, "{column}");
    }

    #[test]
    fn patterns_are_bounded_in_length_and_in_memory() {
        let longest = "a".repeat(MAX_PATTERN_BYTES);
        assert!(MessagePattern::parse(&longest).is_ok());
        let longer = format!("{longest}a");
        assert_eq!(MessagePattern::parse(&longer).unwrap_err(), PatternError::TooLong(MAX_PATTERN_BYTES + 1));
        let PatternError::Regex(reason) = MessagePattern::parse(r"(\w{100}){100}").unwrap_err() else {
            panic!("an expression")
        };
        assert!(reason.contains("size limit"), "{reason}");
    }

    #[test]
    fn brackets_of_paths_are_bounded_in_depth() {
        let path = |depth: usize| format!("$[?{}@.a=='[[['{}]", "(".repeat(depth - 1), ")".repeat(depth - 1));
        assert!(MessagePattern::parse(&path(MAX_PATH_DEPTH)).is_ok());
        assert_eq!(MessagePattern::parse(&path(MAX_PATH_DEPTH + 1)).unwrap_err(), PatternError::TooDeep);
        let filters = format!("$[?{}", "@[?".repeat(1_300));
        assert_eq!(MessagePattern::parse(&filters).unwrap_err(), PatternError::TooDeep);
        assert!(MessagePattern::parse(r#"$[?@.a=="\"[[[[[[[[["]"#).is_ok());
    }

    #[test]
    fn a_path_that_ends_in_a_text_is_an_error() {
        for path in [r"$[?$.t=='\u", r#"$["a\"#, "$['a", r"$['a\ud83d", r"$['\ud83d\u"] {
            assert!(matches!(MessagePattern::parse(path), Err(PatternError::JsonPath { .. })), "{path}");
        }
    }
}
