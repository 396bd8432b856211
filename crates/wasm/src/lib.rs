//! The Rejoin engine for browsers.
//!
//! It runs the state machine of `rejoin-core` in a page, as a follower, and performs no IO itself: sockets, timers and the database
//! belong to the npm package `rejoin`, in TypeScript, to which this crate speaks in plain JavaScript values.

pub mod storage;
