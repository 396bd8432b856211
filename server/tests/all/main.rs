//! What clients meet, over real sockets and processes. One program: building each file by itself takes longer than running all.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

#[path = "../support/mod.rs"]
mod support;

mod bad_input;
mod bases;
mod command;
mod damage;
mod feed;
mod gate;
mod keys;
mod mocking;
mod native_client;
mod offline;
mod pages;
mod policies;
mod protocol;
mod rates;
mod recording;
mod rest;
mod rooms;
mod scenarios;
mod simulating;
mod slow_readers;
mod stalled;
mod stopping;
mod text_door;
mod tls;
