//! The servers that drive the machines: sockets, clocks and files.

mod admin;
mod bridge;
mod desk;
mod error;
mod events;
mod handlers;
mod messages;
mod observer;
mod options;
mod paths;
mod proxy;
mod recorder;
mod rooms;
mod router;
mod script_file;
mod socket;
mod tokens;

pub use error::Error;
pub use events::router_with_events;
pub use handlers::{HandlerError, Handlers, WsContext, WsHandler, router_with_handlers};
pub use messages::MessageRouter;
pub use observer::{Happening, Observed, Observer};
pub use options::MockOptions;
pub use paths::{Behaviour, router_with_paths};
pub use proxy::{WsProxyConfig, WsProxyHandler, router_with_proxy, try_router_with_proxy};
pub use recorder::RecordOptions;
pub use rooms::ConnectionId;
pub(crate) use rooms::Outbox;
pub use router::{bind, router, router_with_latency, router_with_options, serve, start_with_latency};
pub use script_file::read_script;
pub use tokens::expand_tokens;
