//! The engine of a page behind wasm-bindgen: times are numbers of microseconds here, and values JavaScript's own.

use std::sync::Arc;

use bytes::Bytes;
use js_sys::Array;
use rejoin_core::Instant;
use rejoin_core::storage::RequestId;
use rejoin_engine::integer;
use rejoin_wire::UnixMillis;
use wasm_bindgen::prelude::*;

use crate::storage;
use crate::value::Js;

/// See [`rejoin_engine::Engine`], of which this is the page's side.
#[wasm_bindgen]
pub struct Engine(rejoin_engine::Engine);

#[wasm_bindgen]
impl Engine {
    /// Makes an engine. `now` are microseconds of a clock that never goes back, `unix_now` milliseconds since 1970. Throws where an option
    /// makes no sense.
    #[wasm_bindgen(constructor)]
    pub fn new(options: &[u8], seed: &[u8], now: f64, unix_now: f64) -> Result<Engine, JsValue> {
        let engine = rejoin_engine::Engine::new(options, seed, instant(now), UnixMillis(integer(unix_now)));
        engine.map(Self).map_err(|why| JsValue::from_str(&why))
    }

    /// When [`wake`](Self::wake) is due, in microseconds.
    pub fn timeout(&self) -> Option<f64> {
        self.0.timeout().map(|at| at.0 as f64)
    }

    /// The time has come that [`timeout`](Self::timeout) said.
    pub fn wake(&mut self, now: f64) {
        self.0.wake(instant(now));
    }

    /// The wall clock was read.
    pub fn clock(&mut self, now: f64, unix_now: f64) {
        self.0.clock(instant(now), UnixMillis(integer(unix_now)));
    }

    /// The host went online or offline, or its program wants it so.
    pub fn online(&mut self, now: f64, online: bool) {
        self.0.online(instant(now), online);
    }

    /// The socket is open; `token` says who this is.
    pub fn connected(&mut self, now: f64, token: Option<String>) {
        self.0.connected(instant(now), token.map(Arc::from));
    }

    /// A binary frame came.
    pub fn frame(&mut self, now: f64, frame: Vec<u8>) {
        self.0.frame(instant(now), Bytes::from(frame));
    }

    /// The socket is gone, or could not be opened.
    pub fn closed(&mut self, now: f64, code: Option<u16>, reason: &str) {
        self.0.closed(instant(now), code, reason);
    }

    /// The store did what was asked.
    pub fn stored(&mut self, now: f64, request: f64, answer: JsValue) {
        self.0.stored(instant(now), RequestId(integer(request)), &Js(answer));
    }

    /// The store could not do what was asked; `error` is its `StoreError`.
    pub fn store_failed(&mut self, now: f64, request: f64, error: &JsValue) {
        self.0.store_failed(instant(now), RequestId(integer(request)), storage::error(error));
    }

    /// The database is empty, because it was evicted or cleared, or may have room again: all that is in memory is written anew.
    pub fn store_replaced(&mut self, now: f64) {
        self.0.store_replaced(instant(now));
    }

    /// Does what a program asks for. Command and answer are values in the compact encoding; the answer is `{"ok": …}`, or
    /// `{"error": {"code", "message"}}` and nothing has changed.
    pub fn command(&mut self, now: f64, command: &[u8]) -> Vec<u8> {
        self.0.command(instant(now), command)
    }

    /// What is to be done now, in this order; empty when all is done until the next input.
    pub fn poll(&mut self, now: f64) -> Array {
        let effects = Array::new();
        for Js(effect) in self.0.poll(instant(now)) {
            effects.push(&effect);
        }
        effects
    }
}

fn instant(microseconds: f64) -> Instant {
    Instant(integer(microseconds))
}
