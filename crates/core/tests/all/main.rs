//! What replicas and sessions do that are joined without a network. One program: building each file by itself takes longer than running all.

#[path = "../support/mod.rs"]
mod support;

mod clocks;
mod compute;
mod cost;
mod crdt;
mod crdt_patches;
mod damage;
mod determinism;
mod failing_commits;
mod forbidden;
mod forks;
mod grants;
mod history;
mod hostile;
mod ladder;
mod late;
mod limits;
mod listing;
mod parked;
mod parts;
mod queues;
mod relay;
mod relay_limits;
mod relaying;
mod repeats;
mod replaced;
mod requests;
mod seen;
mod settling;
mod several_roots;
mod several_roots_by_chance;
mod several_roots_requests;
mod starting;
mod storable;
mod sync;
mod tombstones;
mod undo;
