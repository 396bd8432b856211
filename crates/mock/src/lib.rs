//! WebSocket mocking: echo, replay, record, proxy, latency, faults and generated events.
//!
//! What a mock does is said by machines without IO: they get frames and the time, and say what is to be sent and when they want to be asked
//! again. So each of them is tested in virtual time, and the same seed gives the same run.
//! `docs/mock.md` has the rules of scripts.

mod chaos;
mod events;
mod faults;
mod frame;
mod glob;
mod kinds;
pub mod latency;
pub mod limits;
mod linked;
mod machine;
#[cfg(all(doctest, feature = "server"))]
mod page;
mod pattern;
mod random;
mod recording;
mod replay;
#[cfg(feature = "server")]
mod server;
#[cfg(feature = "server")]
mod spans;
mod templates;
mod transform;

pub use chaos::ChaosProfile;
#[cfg(feature = "server")]
pub use events::{AiEventGenerator, EventSummary};
pub use events::{
    ApiKey, BuiltInEvents, Event, EventAction, EventCondition, EventError, EventSchema,
    ReplayAugmentationConfig, Scenario, SchemaError, WebSocketAiConfig,
};
pub use faults::{FaultError, FaultErrorKind, FaultPlan, Faults, MadeFault, Passed};
pub use frame::{CloseFrame, Direction, Frame, NORMAL_CLOSE, Time, close_code};
pub use kinds::{Dialect, Kind, Recogniser};
pub use latency::{Distribution, LatencyInjector, LatencyProfile};
pub use linked::Linked;
pub use machine::{Echo, Machine, Output};
pub use pattern::{Captures, MessagePattern, PatternError};
pub use recording::{Redactions, recorded};
pub use replay::{Note, Replay, Script, ScriptError, ScriptErrorKind};
#[cfg(feature = "server")]
pub use server::{
    Behaviour, ConnectionId, Error, HandlerError, Handlers, Happening, MessageRouter, MockOptions, Observed,
    Observer, RecordOptions, WsContext, WsHandler, WsProxyConfig, WsProxyHandler, bind, expand_tokens,
    read_script, router, router_with_events, router_with_handlers, router_with_latency, router_with_options,
    router_with_paths, router_with_proxy, serve, start_with_latency, try_router_with_proxy,
};
#[cfg(feature = "otlp")]
pub use spans::Otlp;
#[cfg(feature = "server")]
pub use spans::{
    TraceContext, create_ws_connection_span, create_ws_message_span, inject_trace_context,
    record_ws_connection_success, record_ws_error, record_ws_message_success,
};
pub use templates::{Expander, KnownCaptures, Template, TemplateError, TemplateErrorKind};
pub use transform::{MessageTransform, TransformError, Transformed};
