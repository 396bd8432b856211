//! The Rejoin engine for browsers.
//!
//! It is `rejoin-engine` behind wasm-bindgen, and performs no IO itself: sockets, timers and the database
//! belong to the npm package `rejoin`, in TypeScript, to which this crate speaks in plain JavaScript values. [`Engine`] never calls into
//! JavaScript: a page says what happened, takes the effects, and does them. Documents stay here; what crosses are patches and
//! what changed, as values in the compact encoding, and the bytes of frames and of stored records.

mod engine;
pub mod storage;
mod value;

pub use engine::Engine;

/// The allocator of a page, which has one thread. It is a third of the size of the standard library's.
#[cfg(all(target_family = "wasm", not(target_feature = "atomics")))]
#[global_allocator]
static ALLOCATOR: talc::wasm::WasmDynamicTalc = talc::wasm::new_wasm_dynamic_allocator();
