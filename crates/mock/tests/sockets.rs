//! The servers of the mock, over real sockets.
#![allow(clippy::unwrap_used, unreachable_pub)]

mod sockets {
    mod admin;
    mod echo;
    mod events;
    mod half_open;
    mod handlers;
    mod links;
    mod metrics;
    mod proxy;
    mod record;
    mod replay;
    mod streams;
    mod support;
}
