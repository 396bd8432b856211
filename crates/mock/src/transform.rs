//! Changes to messages on their way through a proxy.

use std::sync::Arc;

use rejoin_json::{Json, Limits, Patch};
use thiserror::Error;

use crate::templates::KnownCaptures;
use crate::{Direction, Expander, Frame, MessagePattern, Template, TemplateError, Time};

/// What is done to which messages. The first rule counts whose direction and pattern fit; a message that none fits goes through as it is.
///
/// ```
/// use rejoin_mock::{Direction, MessagePattern, MessageTransform};
///
/// let transform = MessageTransform::new()
///     .patch(
///         Direction::Out,
///         MessagePattern::jsonpath("$.price")?,
///         r#"[{"op":"replace","path":"/price","value":0}]"#,
///     )?
///     .template(Direction::In, MessagePattern::regex("^LOGIN (\\w+)$")?, "LOGIN {{1}} {{uuid}}")?
///     .drop(Direction::Out, MessagePattern::exact("heartbeat"));
/// # let _: MessageTransform = transform;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct MessageTransform(Arc<[Rule]>);

#[derive(Clone, Debug)]
struct Rule {
    direction: Direction,
    pattern: MessagePattern,
    action: Action,
}

#[derive(Clone, Debug)]
enum Action {
    Patch(Patch),
    Template(Template),
    Drop,
}

/// Why a rule cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum TransformError {
    /// The patch has an error.
    #[error("the JSON Patch cannot be used: {0}")]
    Patch(String),
    /// The template has an error.
    #[error(transparent)]
    Template(#[from] TemplateError),
}

/// What became of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Transformed {
    /// It goes on, changed or not.
    Sent(Frame),
    /// It does not go on.
    Dropped,
    /// It goes on as it was, as its patch did not fit; and why not.
    Unfit(Frame, String),
}

impl MessageTransform {
    /// No rules yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Applies a JSON Patch (RFC 6902). What comes out is in canonical form (RFC 8785), whose numbers are doubles.
    pub fn patch(
        self,
        direction: Direction,
        pattern: MessagePattern,
        patch: &str,
    ) -> Result<Self, TransformError> {
        let patch = Patch::parse(patch, &Limits::default());
        let patch = patch.map_err(|error| TransformError::Patch(error.to_string()))?;
        Ok(self.with(direction, pattern, Action::Patch(patch)))
    }

    /// Sends another text instead, with the captures of the pattern.
    pub fn template(
        self,
        direction: Direction,
        pattern: MessagePattern,
        text: &str,
    ) -> Result<Self, TransformError> {
        let mut known = KnownCaptures::default();
        known.add(&pattern);
        let template = Template::parse(text, &known)?;
        Ok(self.with(direction, pattern, Action::Template(template)))
    }

    /// Sends nothing.
    #[must_use]
    pub fn drop(self, direction: Direction, pattern: MessagePattern) -> Self {
        self.with(direction, pattern, Action::Drop)
    }

    /// What becomes of a message.
    pub fn apply(
        &self,
        now: Time,
        direction: Direction,
        frame: Frame,
        expander: &mut Expander,
    ) -> Transformed {
        let rule = self.0.iter().find(|rule| {
            rule.direction == direction
                && match &frame {
                    Frame::Text(text) => rule.pattern.matches(text),
                    Frame::Binary(_) => rule.pattern.matches_binary(),
                    _ => false,
                }
        });
        let Some(rule) = rule else { return Transformed::Sent(frame) };
        match (&rule.action, &frame) {
            (Action::Drop, _) => Transformed::Dropped,
            (Action::Template(template), _) => {
                let text = if let Frame::Text(text) = &frame { text.as_str() } else { "" };
                let captures = rule.pattern.captures(text).unwrap_or_default();
                Transformed::Sent(Frame::Text(expander.expand(template, now.unix_ms, &captures)))
            }
            (Action::Patch(patch), Frame::Text(text)) => match patched(text, patch) {
                Ok(text) => Transformed::Sent(Frame::Text(text)),
                Err(reason) => Transformed::Unfit(frame, reason),
            },
            (Action::Patch(_), _) => Transformed::Unfit(frame, "a binary message takes no patch".to_owned()),
        }
    }

    fn with(self, direction: Direction, pattern: MessagePattern, action: Action) -> Self {
        let rule = Rule { direction, pattern, action };
        Self(self.0.iter().cloned().chain([rule]).collect())
    }
}

fn patched(text: &str, patch: &Patch) -> Result<String, String> {
    let limits = Limits::default();
    let mut document = Json::parse(text, &limits).map_err(|error| error.to_string())?;
    rejoin_json::apply(&mut document, patch, &limits).map_err(|error| error.to_string())?;
    Ok(document.to_string())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::time::Duration;

    use super::*;

    const NOW: Time = Time { elapsed: Duration::ZERO, unix_ms: 0 };

    fn transform() -> MessageTransform {
        let path = |path| MessagePattern::jsonpath(path).unwrap();
        let patch = r#"[{"op":"test","path":"/price","value":5},{"op":"replace","path":"/price","value":0}]"#;
        MessageTransform::new()
            .patch(Direction::Out, path("$.price"), patch)
            .unwrap()
            .template(
                Direction::In,
                MessagePattern::regex("^LOGIN (?<user>.*)$").unwrap(),
                "USER {{user}} {{now}}",
            )
            .unwrap()
            .drop(Direction::Out, MessagePattern::exact("beat"))
    }

    fn applied(direction: Direction, text: &str) -> Transformed {
        transform().apply(NOW, direction, Frame::Text(text.to_owned()), &mut Expander::new(1))
    }

    fn sent(text: &str) -> Transformed {
        Transformed::Sent(Frame::Text(text.to_owned()))
    }

    #[test]
    fn messages_are_patched_rewritten_and_dropped_in_their_direction() {
        assert_eq!(applied(Direction::Out, r#"{"price":5,"b":[1]}"#), sent(r#"{"b":[1],"price":0}"#));
        assert_eq!(applied(Direction::In, r#"{"price":5}"#), sent(r#"{"price":5}"#));
        assert_eq!(applied(Direction::In, "LOGIN ada"), sent("USER ada 1970-01-01T00:00:00Z"));
        assert_eq!(applied(Direction::Out, "beat"), Transformed::Dropped);
        assert_eq!(applied(Direction::In, "beat"), sent("beat"));
    }

    #[test]
    fn a_patch_that_does_not_fit_leaves_the_message_and_says_why() {
        let text = r#"{"price":6}"#;
        let Transformed::Unfit(frame, reason) = applied(Direction::Out, text) else { panic!("it fits") };
        assert_eq!(frame, Frame::Text(text.to_owned()));
        assert!(reason.contains("/price"), "{reason}");
    }

    #[test]
    fn binary_messages_and_control_frames_go_through() {
        let all = MessageTransform::new().drop(Direction::In, MessagePattern::regex("").unwrap());
        for frame in [Frame::Binary("a".into()), Frame::Close(None)] {
            let done = all.apply(NOW, Direction::In, frame.clone(), &mut Expander::new(1));
            assert_eq!(done, Transformed::Sent(frame));
        }
    }

    #[test]
    fn bad_rules_are_refused() {
        let any = MessagePattern::any;
        assert!(matches!(
            MessageTransform::new().patch(Direction::In, any(), "[{}]"),
            Err(TransformError::Patch(_))
        ));
        assert!(matches!(
            MessageTransform::new().template(Direction::In, any(), "{{1}}"),
            Err(TransformError::Template(_))
        ));
    }
}
