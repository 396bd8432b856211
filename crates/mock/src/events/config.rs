//! What is wanted of generated events.

use std::fmt;
use std::time::Duration;

use serde_json::Value;

use super::condition::EventCondition;
use super::scenario::Scenario;

/// What events are made from, by whom and how many.
///
/// ```
/// use rejoin_mock::ReplayAugmentationConfig;
///
/// let config = ReplayAugmentationConfig {
///     narrative: "Simulate stock market trading".to_string(),
///     ..Default::default()
/// };
/// assert_eq!(config.provider, "builtin");
/// ```
#[derive(Clone, Debug)]
pub struct ReplayAugmentationConfig {
    /// What happens, in words. The built-in generator finds its scenario in them.
    pub narrative: String,
    /// How many events are made for a connection, where nobody says otherwise.
    pub event_count: usize,
    /// `builtin`, which needs no network; `openai`, or anything that speaks its API; `anthropic`; `ollama`.
    pub provider: String,
    /// The provider's model; empty is a small one of its own.
    pub model: String,
    /// Where the provider is, without the path of its API; empty is its own place.
    pub endpoint: String,
    /// The provider's key. Without one it is read from `OPENAI_API_KEY` or `ANTHROPIC_API_KEY`.
    pub api_key: Option<ApiKey>,
    /// What the built-in generator plays, whatever the narrative says.
    pub scenario: Option<Scenario>,
    /// A JSON Schema of the events' `data`. The built-in generator makes them by it, and what a model makes is held to it.
    pub schema: Option<Value>,
    /// Events in a second; as fast as they are made without it.
    pub events_per_second: Option<f64>,
    /// No event is sent later than that.
    pub duration: Option<Duration>,
    /// What follows from events.
    pub conditions: Vec<EventCondition>,
    /// What the built-in generator draws from.
    pub seed: Option<u64>,
    /// How long a provider may say nothing.
    pub timeout: Duration,
    /// How often in a row a provider that fails is asked again.
    pub max_retries: u32,
    /// How long the first of these waits; each further one about twice as long.
    pub backoff: Duration,
}

impl Default for ReplayAugmentationConfig {
    fn default() -> Self {
        Self {
            narrative: String::new(),
            event_count: 10,
            provider: "builtin".to_owned(),
            model: String::new(),
            endpoint: String::new(),
            api_key: None,
            scenario: None,
            schema: None,
            events_per_second: None,
            duration: None,
            conditions: Vec::new(),
            seed: None,
            timeout: Duration::from_secs(30),
            max_retries: 3,
            backoff: Duration::from_millis(500),
        }
    }
}

/// Whether connections get generated events, and which.
#[derive(Clone, Debug, Default)]
pub struct WebSocketAiConfig {
    /// Whether they do.
    pub enabled: bool,
    /// What is made.
    pub replay: Option<ReplayAugmentationConfig>,
    /// At most so many events on a connection.
    pub max_events: Option<usize>,
}

/// A secret of a provider, which nothing shows.
#[derive(Clone, PartialEq, Eq)]
pub struct ApiKey(String);

impl ApiKey {
    /// Keeps a key.
    pub fn new(key: impl Into<String>) -> Self {
        Self(key.into())
    }

    #[cfg(feature = "server")]
    pub(super) fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ApiKey(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_key_is_shown() {
        let api_key = Some(ApiKey::new("sk-secret"));
        let replay = Some(ReplayAugmentationConfig { api_key, ..Default::default() });
        let shown = format!("{:?}", WebSocketAiConfig { enabled: true, replay, max_events: None });
        assert!(shown.contains("ApiKey(…)") && !shown.contains("secret"), "{shown}");
    }
}
