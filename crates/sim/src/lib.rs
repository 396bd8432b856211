//! Deterministic simulation: many replicas, the network between them and their disks in one process and in virtual time.
//!
//! A [`World`] is made from a [`Plan`], which a seed draws and a file can hold: one authority, relays and followers, the network between
//! them and their disks, and a line for each thing that people do or that goes wrong. Then everything is mended and must settle, and
//! then be quiet. All along, checks compare what replicas hold and tell with a model that knows from outside what was typed and seen, and never
//! merges: [`Claim`] lists what is checked. The same plan makes the same world, event for event; [`shrink`] makes one that breaks a claim as
//! small as it gets.
//!
//! ```
//! use rejoin_sim::{Plan, World};
//!
//! let report = World::new(Plan::of_seed(1, 30)).run().expect("every claim holds");
//! assert_eq!(report, World::new(Plan::of_seed(1, 30)).run().expect("every claim holds"));
//! ```

mod checks;
#[cfg(feature = "command")]
pub mod command;
mod coverage;
mod crdt;
mod dice;
mod judged;
mod model;
mod plan;
mod plant;
mod recording;
mod shrink;
mod tokens;
#[cfg(feature = "command")]
mod totals;
mod trace;
mod typing;
mod violation;
mod world;

pub use coverage::Coverage;
pub use judged::Judged;
pub use plan::{
    Action, Content, FORMAT, Follows, Line, MAX_PLAN_BYTES, Plan, PlanError, Rates, Surroundings,
};
pub use plant::Plant;
pub use recording::{INPUTS_BETWEEN_DIGESTS, Recording};
pub use shrink::{Shrunk, shrink};
pub use violation::{Claim, Violation};
pub use world::{ROOT, Report, World};
