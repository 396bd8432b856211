//! Patterns of paths.

use regex::Regex;

use crate::pattern::{PatternError, compiled};

/// A pattern of paths: `*` is any part of a segment, `**` any part of the path, `?` one character of a segment.
#[derive(Clone, Debug)]
pub(crate) struct Glob(Regex);

impl Glob {
    pub(crate) fn new(pattern: &str) -> Result<Self, PatternError> {
        let mut expression = String::from("^");
        let mut rest = pattern;
        // What the last stars match is what is left of the path for the upstream.
        let stars = pattern.len() - pattern.trim_end_matches('*').len();
        let tail = pattern.len() - stars;
        while let Some(first) = rest.chars().next() {
            let last = pattern.len() - rest.len() == tail && stars > 0;
            let (part, length) = match first {
                '*' if rest.starts_with("**") => (".*", 2),
                '*' => ("[^/]*", 1),
                '?' => ("[^/]", 1),
                _ => ("", first.len_utf8()),
            };
            let (literal, after) = rest.split_at(length);
            match (part, last) {
                ("", _) => expression.push_str(&regex::escape(literal)),
                (_, true) => {
                    expression.push('(');
                    expression.push_str(part);
                    expression.push(')');
                }
                (_, false) => expression.push_str(part),
            }
            rest = after;
        }
        expression.push('$');
        compiled(&expression).map(Self)
    }

    /// What the stars at its end match, empty without them; `None` where the path does not match.
    pub(crate) fn rest<'p>(&self, path: &'p str) -> Option<&'p str> {
        let found = self.0.captures(path)?;
        Some(found.get(1).map_or("", |rest| rest.as_str()))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn stars_stay_in_a_segment_unless_there_are_two() {
        for (pattern, path, rest) in [
            ("/ws", "/ws", Some("")),
            ("/ws", "/wss", None),
            ("/ws/*", "/ws/a", Some("a")),
            ("/ws/*", "/ws/a/b", None),
            ("/ws/**", "/ws/a/b", Some("a/b")),
            ("/ws/**", "/ws/", Some("")),
            ("/ws/**", "/ws", None),
            ("/**", "/", Some("")),
            ("/*/chat", "/v1/chat", Some("")),
            ("/*/chat/*", "/v1/chat/7", Some("7")),
            ("/**/chat", "/a/b/chat", Some("")),
            ("/a?", "/ab", Some("")),
            ("/a?", "/a/", None),
            ("/a.b(c)", "/a.b(c)", Some("")),
            ("/a.b(c)", "/axb(c)", None),
            ("/é/*", "/é/ü", Some("ü")),
        ] {
            assert_eq!(Glob::new(pattern).unwrap().rest(path), rest, "{pattern} {path}");
        }
    }
}
