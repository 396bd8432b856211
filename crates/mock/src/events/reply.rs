//! What a provider streams: pieces of text between the lines of its API, and events as lines of that text.

use serde_json::Value;

use crate::limits::MAX_EVENT_BYTES;

/// Whose API it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Api {
    OpenAi,
    Anthropic,
    Ollama,
}

/// Cuts bytes into lines, however they come.
#[derive(Debug, Default)]
pub(super) struct Lines {
    begun: Vec<u8>,
    /// The line is too long, and is left out.
    skips: bool,
}

impl Lines {
    /// The lines that these bytes complete. One that is too long, or no text, is empty.
    pub(super) fn push(&mut self, bytes: &[u8]) -> Vec<String> {
        let mut lines = Vec::new();
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            let (content, ends) = match part.split_last() {
                Some((b'\n', content)) => (content, true),
                _ => (part, false),
            };
            // A line of an API has the text escaped within it.
            if self.begun.len() + content.len() > 8 * MAX_EVENT_BYTES {
                self.skips = true;
                self.begun.clear();
            }
            if !self.skips {
                self.begun.extend_from_slice(content);
            }
            if ends {
                lines.push(self.take());
            }
        }
        lines
    }

    /// What is left at the end.
    pub(super) fn take(&mut self) -> String {
        let skips = std::mem::take(&mut self.skips);
        let line = String::from_utf8(std::mem::take(&mut self.begun)).unwrap_or_default();
        if skips { String::new() } else { line.trim_end_matches('\r').to_owned() }
    }
}

/// What a line of the API says.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Said {
    Nothing,
    Text(String),
    /// It is done.
    End,
    /// It has failed in the middle.
    Failed(String),
}

impl Api {
    pub(super) fn read(self, line: &str) -> Said {
        let content = match self {
            // Of server-sent events only the data counts; the types stand in it too.
            Self::OpenAi | Self::Anthropic => match line.strip_prefix("data:") {
                Some(data) => data.trim(),
                None => return Said::Nothing,
            },
            Self::Ollama => line.trim(),
        };
        if content == "[DONE]" {
            return Said::End;
        }
        let Ok(value) = serde_json::from_str::<Value>(content) else { return Said::Nothing };
        if let Some(error) = value.get("error") {
            let message = error.get("message").unwrap_or(error);
            return Said::Failed(message.as_str().map_or_else(|| message.to_string(), str::to_owned));
        }
        let text = match self {
            Self::OpenAi => value.pointer("/choices/0/delta/content"),
            Self::Anthropic => value.pointer("/delta/text"),
            Self::Ollama => value.pointer("/message/content"),
        };
        let ended = match self {
            Self::OpenAi => false,
            Self::Anthropic => value.get("type").is_some_and(|kind| kind == "message_stop"),
            Self::Ollama => value.get("done") == Some(&Value::Bool(true)),
        };
        match text.and_then(Value::as_str).filter(|text| !text.is_empty()) {
            Some(text) => Said::Text(text.to_owned()),
            None if ended => Said::End,
            None => Said::Nothing,
        }
    }
}

/// An event in a line that a model wrote; `None` where the line is only decoration, an error where it should be one and is not.
pub(super) fn event(line: &str) -> Option<Result<(String, Value), ()>> {
    let line = line.trim().trim_end_matches(',');
    // What models put around a list of objects, asked or not.
    if line.is_empty() || line.starts_with("```") || matches!(line, "[" | "]") {
        return None;
    }
    let read = || {
        let Ok(Value::Object(mut object)) = serde_json::from_str(line) else { return Err(()) };
        let Some(Value::String(kind)) = object.remove("type") else { return Err(()) };
        let data = match object.remove("data") {
            Some(data) => data,
            None => Value::Object(object),
        };
        Ok((kind, data))
    };
    Some(read())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn lines_are_put_together_from_any_pieces() {
        let mut lines = Lines::default();
        let text = "a\r\nbü\n\nrest".as_bytes();
        let mut seen = Vec::new();
        for byte in text {
            seen.extend(lines.push(std::slice::from_ref(byte)));
        }
        assert_eq!(
            (seen, lines.take().as_str()),
            (vec!["a".to_owned(), "bü".to_owned(), String::new()], "rest")
        );
        assert_eq!(Lines::default().push(text).len(), 3);
    }

    #[test]
    fn a_line_that_is_too_long_is_left_out_and_the_next_is_not() {
        let mut lines = Lines::default();
        assert!(lines.push(&vec![b'x'; 8 * MAX_EVENT_BYTES]).is_empty());
        assert_eq!(lines.push(b"\n"), ["x".repeat(8 * MAX_EVENT_BYTES)]);
        assert!(lines.push(&vec![b'x'; 8 * MAX_EVENT_BYTES + 1]).is_empty());
        assert_eq!(lines.push(b"y\nz\n"), ["", "z"]);
    }

    #[test]
    fn each_api_says_text_in_its_own_way() {
        let text = || Said::Text("hi".to_owned());
        assert_eq!(Api::OpenAi.read(r#"data: {"choices":[{"delta":{"content":"hi"}}]}"#), text());
        assert_eq!(Api::OpenAi.read("data: [DONE]"), Said::End);
        assert_eq!(
            Api::OpenAi.read(r#"data: {"choices":[{"delta":{},"finish_reason":"stop"}]}"#),
            Said::Nothing
        );
        let delta = r#"data: {"type":"content_block_delta","delta":{"type":"text_delta","text":"hi"}}"#;
        assert_eq!(Api::Anthropic.read(delta), text());
        assert_eq!(Api::Anthropic.read(r#"data: {"type":"message_stop"}"#), Said::End);
        assert_eq!(Api::Anthropic.read("event: message_stop"), Said::Nothing);
        let error = r#"data: {"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}"#;
        assert_eq!(Api::Anthropic.read(error), Said::Failed("Overloaded".to_owned()));
        assert_eq!(Api::Ollama.read(r#"{"message":{"content":"hi"},"done":false}"#), text());
        assert_eq!(Api::Ollama.read(r#"{"message":{"content":""},"done":true}"#), Said::End);
        assert_eq!(Api::Ollama.read(r#"{"error":"no model"}"#), Said::Failed("no model".to_owned()));
        for api in [Api::OpenAi, Api::Anthropic, Api::Ollama] {
            for line in ["", ": ping", "data:", "data: {", "[]", "null"] {
                assert_eq!(api.read(line), Said::Nothing);
            }
        }
    }

    #[test]
    fn events_are_objects_with_a_type() {
        assert_eq!(event(r#"{"type":"a","data":1},"#), Some(Ok(("a".to_owned(), json!(1)))));
        assert_eq!(event(r#" {"type":"a","x":1}"#), Some(Ok(("a".to_owned(), json!({"x":1})))));
        for line in ["", "```json", "[", "]"] {
            assert_eq!(event(line), None);
        }
        for line in ["Sure!", "{", "[1]", r#"{"type":1}"#, r#"{"data":1}"#] {
            assert_eq!(event(line), Some(Err(())));
        }
    }
}
