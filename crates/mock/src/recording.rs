//! Conversations as scripts.

use std::collections::BTreeSet;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use regex::{NoExpand, Regex};
use serde_json::{Map, Value};

use crate::pattern::{PatternError, compiled};
use crate::{CloseFrame, Direction, Frame};

/// What stands for what was left out.
const REDACTED: &str = "[redacted]";

/// What is left out of a recording. Binary messages are recorded as they are.
///
/// ```
/// use rejoin_mock::Redactions;
///
/// let redactions = Redactions::new().key("password").pattern("Bearer [^\"]+", "Bearer …")?;
/// # let _: Redactions = redactions;
/// # Ok::<(), rejoin_mock::PatternError>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Redactions {
    keys: BTreeSet<String>,
    patterns: Vec<(Regex, String)>,
}

impl Redactions {
    /// Nothing is left out.
    pub fn new() -> Self {
        Self::default()
    }

    /// Leaves out the value of this key, at whatever depth of a JSON message.
    #[must_use]
    pub fn key(mut self, key: &str) -> Self {
        self.keys.insert(key.to_owned());
        self
    }

    /// Replaces what a regular expression matches in texts.
    pub fn pattern(mut self, pattern: &str, replacement: &str) -> Result<Self, PatternError> {
        self.patterns.push((compiled(pattern)?, replacement.to_owned()));
        Ok(self)
    }

    /// The text without what is left out, if there is anything of that in it.
    fn redacted(&self, text: &str) -> Option<String> {
        let mut redacted = None;
        if !self.keys.is_empty()
            && let Ok(mut value) = serde_json::from_str::<Value>(text)
            && self.clear(&mut value)
        {
            redacted = Some(value.to_string());
        }
        for (pattern, replacement) in &self.patterns {
            let before = redacted.as_deref().unwrap_or(text);
            if pattern.is_match(before) {
                redacted = Some(pattern.replace_all(before, NoExpand(replacement)).into_owned());
            }
        }
        redacted
    }

    /// Whether anything was left out of the value.
    fn clear(&self, value: &mut Value) -> bool {
        match value {
            Value::Array(elements) => {
                let mut cleared = false;
                for element in elements {
                    cleared |= self.clear(element);
                }
                cleared
            }
            Value::Object(members) => {
                let mut cleared = false;
                for (key, member) in members {
                    if self.keys.contains(key) {
                        *member = REDACTED.into();
                        cleared = true;
                    } else {
                        cleared |= self.clear(member);
                    }
                }
                cleared
            }
            _ => false,
        }
    }
}

/// The line of a script that plays a frame again, as the client saw it; `None` for pings, which are answered anyway.
///
/// What is left out of a message of the client cannot be expected of it later: such a line takes any message.
pub fn recorded(
    elapsed: Duration,
    direction: Direction,
    frame: &Frame,
    redactions: &Redactions,
) -> Option<String> {
    let mut line = Map::new();
    line.insert("ts".to_owned(), u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX).into());
    let name = if direction == Direction::In { "in" } else { "out" };
    line.insert("dir".to_owned(), name.into());
    match frame {
        Frame::Text(text) => {
            let redacted = redactions.redacted(text);
            if redacted.is_none() || direction == Direction::Out {
                let text = redacted.as_deref().unwrap_or(text);
                line.insert("text".to_owned(), text.into());
                if text.contains("{{") {
                    line.insert("expand".to_owned(), false.into());
                }
            }
        }
        Frame::Binary(bytes) => {
            line.insert("binary".to_owned(), STANDARD.encode(bytes).into());
        }
        Frame::Close(close) => {
            // Codes that no endpoint may send were not sent either.
            let close = match close.as_ref().filter(|close| close.check().is_ok()) {
                None => true.into(),
                Some(close) => {
                    let reason = redactions.redacted(&close.reason).unwrap_or_else(|| close.reason.clone());
                    let close = CloseFrame { code: close.code, reason };
                    // What stands for a secret can be longer than it.
                    let reason = if close.check().is_ok() { close.reason } else { String::new() };
                    serde_json::json!({"code": close.code, "reason": reason})
                }
            };
            line.insert("close".to_owned(), close);
        }
        Frame::Ping(_) | Frame::Pong(_) => return None,
    }
    Some(Value::Object(line).to_string())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::Script;

    fn line(direction: Direction, frame: &Frame, redactions: &Redactions) -> String {
        recorded(Duration::from_millis(7), direction, frame, redactions).unwrap()
    }

    fn text(text: &str) -> Frame {
        Frame::Text(text.to_owned())
    }

    #[test]
    fn every_frame_has_a_line_that_a_script_takes() {
        let none = Redactions::new();
        let close = |code| Frame::Close(Some(CloseFrame { code, reason: "é\"".to_owned() }));
        let mut script = Vec::new();
        for (direction, frame, expected) in [
            (Direction::In, text("a\n\"b\""), r#"{"dir":"in","text":"a\n\"b\"","ts":7}"#),
            (Direction::Out, text("{{uid}}"), r#"{"dir":"out","expand":false,"text":"{{uid}}","ts":7}"#),
            (Direction::Out, Frame::Binary("ab".into()), r#"{"binary":"YWI=","dir":"out","ts":7}"#),
            (Direction::In, close(4_001), r#"{"close":{"code":4001,"reason":"é\""},"dir":"in","ts":7}"#),
            (Direction::Out, Frame::Close(None), r#"{"close":true,"dir":"out","ts":7}"#),
            (Direction::In, close(1_006), r#"{"close":true,"dir":"in","ts":7}"#),
        ] {
            let line = line(direction, &frame, &none);
            assert_eq!(line, expected);
            script.push(line);
        }
        Script::parse(script.join("\n").as_bytes(), true).unwrap();
        assert_eq!(recorded(Duration::ZERO, Direction::In, &Frame::Ping("p".into()), &none), None);
    }

    #[test]
    fn secrets_are_left_out_at_any_depth() {
        let redactions = Redactions::new().key("password").pattern("Bearer \\w+", "Bearer $1").unwrap();
        let secret = text(r#"{"b":[{"password":{"x":1}}],"a":"Bearer abc"}"#);
        assert_eq!(
            line(Direction::Out, &secret, &redactions),
            r#"{"dir":"out","text":"{\"a\":\"Bearer $1\",\"b\":[{\"password\":\"[redacted]\"}]}","ts":7}"#
        );
        assert_eq!(line(Direction::In, &secret, &redactions), r#"{"dir":"in","ts":7}"#);
        let plain = text(r#"{"b": 1, "a": 2}"#);
        assert_eq!(
            line(Direction::In, &plain, &redactions),
            r#"{"dir":"in","text":"{\"b\": 1, \"a\": 2}","ts":7}"#
        );
        let close = Frame::Close(Some(CloseFrame { code: 4_001, reason: "Bearer abc".to_owned() }));
        assert!(line(Direction::Out, &close, &redactions).contains("Bearer $1"));
        let longer = Redactions::new().pattern("x", "xx").unwrap();
        let close = Frame::Close(Some(CloseFrame { code: 4_001, reason: "x".repeat(100) }));
        assert!(line(Direction::Out, &close, &longer).contains(r#""reason":"""#));
    }
}
