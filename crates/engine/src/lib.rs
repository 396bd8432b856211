//! The Rejoin engine of pages, without the page.
//!
//! An [`Engine`] is a replica that follows, its session with the server, and what was told of it to the tabs. It performs no IO and never
//! calls back: whoever drives it says what happened, takes the effects, and does them. What crosses are [`Value`]s: JavaScript's own in
//! `rejoin-wasm`, which is this crate behind wasm-bindgen, and [`Plain`] ones everywhere else, as where a recording of a page is replayed.

mod commands;
mod engine;
#[doc(hidden)]
pub mod native;
mod plain;
pub mod storage;
mod telling;
mod value;
mod values;

pub use engine::{Engine, effect, integer};
pub use plain::{MAX_PLAIN_DEPTH, Plain};
pub use value::Value;
