//! The Rejoin state machine: replicas and sessions without IO.

pub mod storage;
