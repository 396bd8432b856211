//! What can go wrong with generated events.

use thiserror::Error;

use super::schema::SchemaError;
use crate::limits::{MAX_EVENT_RATE, MAX_EVENTS, MAX_NARRATIVE_BYTES};

/// Why there are no events, or no more of them. No key is ever in it.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum EventError {
    /// Nobody is called so.
    #[error("there is no provider {0:?}: take builtin, openai, anthropic or ollama")]
    Provider(String),
    /// The provider wants a key, and there is none.
    #[error("{provider} wants a key: set {variable}, or take the provider \"builtin\", which needs none")]
    NoKey {
        /// Who wants it.
        provider: &'static str,
        /// Where it is looked for.
        variable: &'static str,
    },
    /// The schema says something that is not understood here.
    #[error("the schema cannot be used: {0}")]
    Schema(#[from] SchemaError),
    /// A rate that is none.
    #[error("a rate is above 0 and at most {MAX_EVENT_RATE} events a second")]
    Rate,
    /// More events than there may be.
    #[error("at most {MAX_EVENTS} events are made for one connection")]
    Count,
    /// The narrative is too long.
    #[error("a narrative has at most {MAX_NARRATIVE_BYTES} bytes")]
    Narrative,
    /// The address of the provider is none.
    #[error("{0:?} is no address: take one such as https://api.example.com")]
    Endpoint(String),
    /// The provider refuses.
    #[error("the provider answers {status}: {text}")]
    Refused {
        /// The status of HTTP.
        status: u16,
        /// The beginning of what it says.
        text: String,
    },
    /// The provider cannot be reached, breaks off or says nothing, however often it is asked.
    #[error("the provider fails: {0}; it was asked {1} times")]
    Unavailable(String, u32),
    /// The client is gone.
    #[error("the connection is closed")]
    Closed,
    /// The operating system gives no random numbers.
    #[error("there is no randomness: {0}; name a seed")]
    Randomness(String),
}
