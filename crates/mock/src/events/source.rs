//! Where events come from, one after the other: the built-in generator, or a provider that is asked until there are enough.

use std::collections::VecDeque;
use std::time::Duration;

use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER};
use hyper::{Response, Uri};
use serde_json::{Value, json};

use super::config::{ApiKey, ReplayAugmentationConfig};
use super::error::EventError;
use super::http::post;
use super::reply::{Api, Lines, Said, event};
use super::scenario::{BuiltInEvents, Scenario};
use super::schema::EventSchema;
use crate::limits::{EVENTS_PER_REQUEST, MAX_BACKOFF, MAX_BAD_EVENTS, MAX_EVENT_BYTES};
use crate::random::Random;

/// Bytes of what a provider says about a failure.
const MAX_REASON_BYTES: usize = 300;
/// Events that a model is reminded of when it is asked for more.
const REMINDED: usize = 5;

/// Somebody who makes events.
#[derive(Clone, Debug)]
pub(super) enum Provider {
    BuiltIn(Option<Scenario>),
    Model(Model),
}

/// A language model behind an API.
#[derive(Clone, Debug)]
pub(super) struct Model {
    api: Api,
    uri: Uri,
    name: String,
    key: Option<ApiKey>,
}

impl Provider {
    /// The provider of a configuration, and what is missing.
    pub(super) fn new(
        config: &ReplayAugmentationConfig,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, EventError> {
        let (api, base, path, name, key) = match config.provider.as_str() {
            "" | "builtin" => return Ok(Self::BuiltIn(config.scenario)),
            "openai" => {
                let key = Some(("openai", "OPENAI_API_KEY"));
                (Api::OpenAi, "https://api.openai.com", "/v1/chat/completions", "gpt-4o-mini", key)
            }
            "anthropic" => {
                let key = Some(("anthropic", "ANTHROPIC_API_KEY"));
                (Api::Anthropic, "https://api.anthropic.com", "/v1/messages", "claude-3-5-haiku-latest", key)
            }
            "ollama" => (Api::Ollama, "http://localhost:11434", "/api/chat", "llama3.2", None),
            other => return Err(EventError::Provider(other.to_owned())),
        };
        let base = if config.endpoint.is_empty() { base } else { config.endpoint.trim_end_matches('/') };
        let wrong = || EventError::Endpoint(config.endpoint.clone());
        let uri: Uri = format!("{base}{path}").parse().map_err(|_| wrong())?;
        if uri.host().is_none() || !matches!(uri.scheme_str(), Some("http" | "https")) {
            return Err(wrong());
        }
        let found = |name| {
            config.api_key.clone().or_else(|| variable(name).filter(|it| !it.is_empty()).map(ApiKey::new))
        };
        let key = match key {
            None => config.api_key.clone(),
            Some((provider, variable)) => {
                Some(found(variable).ok_or(EventError::NoKey { provider, variable })?)
            }
        };
        let name = if config.model.is_empty() { name.to_owned() } else { config.model.clone() };
        Ok(Self::Model(Model { api, uri, name, key }))
    }
}

/// The events of one connection.
pub(super) enum Source {
    BuiltIn(BuiltInEvents),
    Model(Box<Asking>),
}

impl Source {
    pub(super) fn new(
        provider: &Provider,
        config: &ReplayAugmentationConfig,
        schema: Option<&EventSchema>,
        seed: u64,
    ) -> Self {
        match provider {
            Provider::BuiltIn(scenario) => Self::BuiltIn(match (schema, scenario) {
                (Some(schema), _) => BuiltInEvents::of_schema(schema.clone(), seed),
                (None, Some(scenario)) => BuiltInEvents::new(*scenario, seed),
                (None, None) => BuiltInEvents::new(Scenario::of_narrative(&config.narrative), seed),
            }),
            Provider::Model(model) => Self::Model(Box::new(Asking {
                model: model.clone(),
                narrative: config.narrative.clone(),
                schema: schema.cloned().zip(config.schema.clone()),
                patience: config.timeout,
                retries: config.max_retries,
                backoff: config.backoff,
                random: Random::new(seed),
                answer: None,
                ready: VecDeque::new(),
                recent: VecDeque::new(),
                failures: 0,
                bad: 0,
            })),
        }
    }

    /// The next event; `None` in the place of one that could not be made. At most `left` are wanted, this one included.
    pub(super) async fn next(&mut self, left: usize) -> Result<Option<(String, Value)>, EventError> {
        match self {
            Self::BuiltIn(events) => Ok(Some(events.next_event())),
            Self::Model(asking) => asking.next(left).await,
        }
    }
}

/// A model that is asked for events, and what it has said so far.
pub(super) struct Asking {
    model: Model,
    narrative: String,
    schema: Option<(EventSchema, Value)>,
    patience: Duration,
    retries: u32,
    backoff: Duration,
    random: Random,
    answer: Option<Answer>,
    /// Lines that have been read and not yet looked at.
    ready: VecDeque<String>,
    /// The last events, so that what follows fits.
    recent: VecDeque<String>,
    /// Requests in a row that failed.
    failures: u32,
    /// Lines in a row that are no event.
    bad: u32,
}

/// An answer that is coming in.
struct Answer {
    body: Incoming,
    api: Lines,
    text: Lines,
    /// Whether it has had an event.
    useful: bool,
    ended: bool,
}

/// Why a request has failed.
struct Failure {
    reason: String,
    /// What the provider asks to be waited.
    wait: Option<Duration>,
}

impl Asking {
    async fn next(&mut self, left: usize) -> Result<Option<(String, Value)>, EventError> {
        loop {
            while let Some(line) = self.ready.pop_front() {
                match event(&line).map(|read| read.ok().filter(|(_, data)| self.fits(data))) {
                    None => {}
                    Some(Some(event)) => {
                        self.remember(&line);
                        return Ok(Some(event));
                    }
                    Some(None) => {
                        self.bad += 1;
                        tracing::debug!(bad = self.bad, "a model wrote a line that is no event");
                        if self.bad >= MAX_BAD_EVENTS {
                            self.bad = 0;
                            return Ok(None);
                        }
                    }
                }
            }
            match &mut self.answer {
                None => match self.ask(left).await? {
                    Ok(body) => {
                        let (api, text) = (Lines::default(), Lines::default());
                        self.answer = Some(Answer { body, api, text, useful: false, ended: false });
                    }
                    Err(failure) => self.back_off(failure).await?,
                },
                // All of it has been looked at.
                Some(answer) if answer.ended => {
                    let useful = answer.useful;
                    self.answer = None;
                    if !useful {
                        let reason = "its answer has no event".to_owned();
                        self.back_off(Failure { reason, wait: None }).await?;
                    }
                }
                Some(answer) => {
                    if let Err(reason) = answer.read(self.model.api, self.patience, &mut self.ready).await {
                        self.answer = None;
                        self.back_off(Failure { reason, wait: None }).await?;
                    }
                }
            }
        }
    }

    fn fits(&self, data: &Value) -> bool {
        self.schema.as_ref().is_none_or(|(schema, _)| schema.fits(data))
    }

    fn remember(&mut self, line: &str) {
        (self.failures, self.bad) = (0, 0);
        if let Some(answer) = &mut self.answer {
            answer.useful = true;
        }
        self.recent.push_back(line.trim().to_owned());
        if self.recent.len() > REMINDED {
            self.recent.pop_front();
        }
    }

    /// Waits before the provider is asked again, unless it has failed too often.
    async fn back_off(&mut self, failure: Failure) -> Result<(), EventError> {
        self.failures += 1;
        if self.failures > self.retries {
            return Err(EventError::Unavailable(failure.reason, self.failures));
        }
        let doubled = self.backoff.saturating_mul(1 << (self.failures - 1).min(16));
        let wait = doubled.mul_f64(0.5 + self.random.fraction()).min(MAX_BACKOFF);
        let wait = failure.wait.map_or(wait, |asked| asked.min(MAX_BACKOFF).max(wait));
        tracing::debug!(reason = %failure.reason, wait_ms = wait.as_millis(), "a provider failed and is asked again");
        tokio::time::sleep(wait).await;
        Ok(())
    }

    /// Asks for as many as are wanted. The outer error is one that asking again would not mend.
    async fn ask(&mut self, left: usize) -> Result<Result<Incoming, Failure>, EventError> {
        let headers = self.model.headers()?;
        let body = self.model.body(&self.system(), &self.wish(left.min(EVENTS_PER_REQUEST)));
        let answer = match post(&self.model.uri, &headers, body, self.patience).await {
            Ok(answer) => answer,
            Err(reason) => return Ok(Err(Failure { reason, wait: None })),
        };
        let status = answer.status();
        if status.is_success() {
            return Ok(Ok(answer.into_body()));
        }
        let wait = answer.headers().get(RETRY_AFTER).and_then(|it| it.to_str().ok()?.parse().ok());
        let text = self.model.reason(answer, self.patience).await;
        if status.is_server_error() || matches!(status.as_u16(), 408 | 409 | 429) {
            let reason = format!("it answers {}: {text}", status.as_u16());
            return Ok(Err(Failure { reason, wait: wait.map(Duration::from_secs) }));
        }
        Err(EventError::Refused { status: status.as_u16(), text })
    }

    fn system(&self) -> String {
        let mut text = "You generate the events of a WebSocket server for tests. Write JSON Lines and nothing else: on each line one \
             object with the members \"type\" (a short string in snake_case) and \"data\" (what happened). No \
             explanations, no code fences, no list around the lines."
            .to_owned();
        if let Some((_, schema)) = &self.schema {
            text.push_str(" The member \"data\" has to fit this JSON Schema: ");
            text.push_str(&schema.to_string());
        }
        text
    }

    fn wish(&self, count: usize) -> String {
        let mut text = format!("{}\n\nWrite {count} events.", self.narrative);
        if !self.recent.is_empty() {
            text.push_str(" They follow on these:\n");
            for line in &self.recent {
                text.push_str(line);
                text.push('\n');
            }
        }
        text
    }
}

impl Answer {
    /// Reads some more.
    async fn read(
        &mut self,
        api: Api,
        patience: Duration,
        ready: &mut VecDeque<String>,
    ) -> Result<(), String> {
        match tokio::time::timeout(patience, self.body.frame()).await {
            Err(_) => Err(format!("it said nothing for {} ms", patience.as_millis())),
            Ok(Some(Err(error))) => Err(format!("it broke off: {error}")),
            Ok(None) => {
                let last = self.api.take();
                self.take(api, &last, ready)?;
                self.end(ready);
                Ok(())
            }
            Ok(Some(Ok(frame))) => {
                let bytes = frame.into_data().unwrap_or_default();
                for line in self.api.push(&bytes) {
                    if !self.take(api, &line, ready)? {
                        self.end(ready);
                        break;
                    }
                }
                Ok(())
            }
        }
    }

    fn end(&mut self, ready: &mut VecDeque<String>) {
        self.ended = true;
        ready.push_back(self.text.take());
    }

    fn take(&mut self, api: Api, line: &str, ready: &mut VecDeque<String>) -> Result<bool, String> {
        match api.read(line) {
            Said::Nothing => Ok(true),
            Said::Text(text) => {
                let lines = self.text.push(text.as_bytes());
                // A line that is too long is no event; it must not pass for an empty one.
                ready.extend(
                    lines.into_iter().map(|it| if it.len() > MAX_EVENT_BYTES { "?".to_owned() } else { it }),
                );
                Ok(true)
            }
            Said::End => Ok(false),
            Said::Failed(reason) => Err(format!("it failed: {}", brief(&reason))),
        }
    }
}

impl Model {
    fn headers(&self) -> Result<Vec<(HeaderName, HeaderValue)>, EventError> {
        let mut headers = vec![(CONTENT_TYPE, HeaderValue::from_static("application/json"))];
        if let Some(key) = &self.key {
            let (name, value) = match self.api {
                Api::Anthropic => (HeaderName::from_static("x-api-key"), key.reveal().to_owned()),
                Api::OpenAi | Api::Ollama => (AUTHORIZATION, format!("Bearer {}", key.reveal())),
            };
            let unusable = || EventError::Refused {
                status: 0,
                text: "the key has characters that no header may have".to_owned(),
            };
            let mut value = HeaderValue::from_str(&value).map_err(|_| unusable())?;
            value.set_sensitive(true);
            headers.push((name, value));
        }
        if self.api == Api::Anthropic {
            headers
                .push((HeaderName::from_static("anthropic-version"), HeaderValue::from_static("2023-06-01")));
        }
        Ok(headers)
    }

    fn body(&self, system: &str, wish: &str) -> Vec<u8> {
        let user = json!({ "role": "user", "content": wish });
        let told = json!({ "role": "system", "content": system });
        let body = match self.api {
            Api::OpenAi | Api::Ollama => {
                json!({ "model": self.name, "stream": true, "messages": [told, user] })
            }
            Api::Anthropic => json!({
                "model": self.name, "stream": true, "max_tokens": 8_192, "system": system, "messages": [user],
            }),
        };
        body.to_string().into_bytes()
    }

    /// The beginning of what a refusal says, without the key, which some repeat.
    async fn reason(&self, answer: Response<Incoming>, patience: Duration) -> String {
        let mut body = answer.into_body();
        let mut bytes = Vec::new();
        let reading = async {
            while let Some(Ok(frame)) = body.frame().await {
                bytes.extend(frame.into_data().unwrap_or_default());
                if bytes.len() > 16 * MAX_REASON_BYTES {
                    break;
                }
            }
        };
        let _ = tokio::time::timeout(patience, reading).await;
        let text = String::from_utf8_lossy(&bytes);
        let said = serde_json::from_slice::<Value>(&bytes).ok();
        let message = said.as_ref().and_then(|it| it.pointer("/error/message").or(it.get("error"))?.as_str());
        let text = message.unwrap_or(&text).trim();
        match &self.key {
            Some(key) if !key.reveal().is_empty() => brief(&text.replace(key.reveal(), "…")),
            _ => brief(text),
        }
    }
}

fn brief(text: &str) -> String {
    let end = text.floor_char_boundary(MAX_REASON_BYTES);
    text.get(..end).unwrap_or_default().to_owned()
}
