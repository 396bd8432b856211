//! Events that are made: by chance from a scenario or a schema, or by a language model from a narrative.

mod condition;
mod config;
mod error;
#[cfg(feature = "server")]
mod generator;
#[cfg(feature = "server")]
mod http;
#[cfg(feature = "server")]
mod reply;
mod scenario;
mod schema;
#[cfg(feature = "server")]
mod source;

pub use condition::{EventAction, EventCondition};
pub use config::{ApiKey, ReplayAugmentationConfig, WebSocketAiConfig};
pub use error::EventError;
#[cfg(feature = "server")]
pub use generator::{AiEventGenerator, EventSummary};
#[cfg(feature = "otlp")]
pub(crate) use http::post;
pub use scenario::{BuiltInEvents, Event, Scenario};
pub use schema::{EventSchema, SchemaError};
