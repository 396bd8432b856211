//! Answers to messages by what they look like.

use super::handlers::{HandlerError, WsContext, WsHandler};
use crate::{Captures, Frame, MessagePattern};

type Answer = Box<dyn Fn(&str, &Captures) -> Option<String> + Send + Sync>;

/// A handler that answers each text message by the first pattern that matches it. Nothing is said to the others.
///
/// ```
/// use rejoin_mock::{Handlers, MessagePattern, MessageRouter, router_with_handlers};
///
/// let messages = MessageRouter::new()
///     .on(MessagePattern::exact("PING"), |_, _| Some("PONG".to_owned()))
///     .on(MessagePattern::regex("^LOGIN (\\w+)$")?, |_, found| Some(format!("hello {}", found.number(1)?)))
///     .on(MessagePattern::jsonpath("$.subscribe")?, |_, _| None)
///     .on(MessagePattern::any(), |text, _| Some(format!("what is {text}?")));
/// let app = router_with_handlers(Handlers::new().on("/ws", messages))?;
/// # let _: axum::Router = app;
/// # Ok::<(), rejoin_mock::Error>(())
/// ```
#[derive(Default)]
pub struct MessageRouter {
    routes: Vec<(MessagePattern, Answer)>,
}

impl MessageRouter {
    /// One without patterns.
    pub fn new() -> Self {
        Self::default()
    }

    /// Answers the messages that match, if the function has an answer.
    pub fn on(
        mut self,
        pattern: MessagePattern,
        answer: impl Fn(&str, &Captures) -> Option<String> + Send + Sync + 'static,
    ) -> Self {
        self.routes.push((pattern, Box::new(answer)));
        self
    }

    /// The answer to a text.
    pub fn answer(&self, text: &str) -> Option<String> {
        let found = self.routes.iter().find_map(|(pattern, answer)| Some((answer, pattern.captures(text)?)));
        found.and_then(|(answer, captures)| answer(text, &captures))
    }
}

impl WsHandler for MessageRouter {
    async fn on_message(&self, context: &mut WsContext, message: Frame) -> Result<(), HandlerError> {
        if let Frame::Text(text) = &message
            && let Some(answer) = self.answer(text)
        {
            context.send_text(answer).await?;
        }
        Ok(())
    }
}
