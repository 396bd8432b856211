//! Tests of the crate from outside, one module for each of its parts.
#![allow(clippy::unwrap_used, clippy::cast_possible_truncation)]

mod support;

mod awareness;
mod datasets;
mod documents;
mod doors;
mod editing;
mod patches;
mod positions;
mod prices;
mod typing;
mod updates;
