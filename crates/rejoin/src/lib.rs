//! Offline-first collaboration: client and server in one crate.
