//! What goes wrong on a connection: a language for it, and the machine that does it to one direction.

mod error;
mod machine;
mod parser;
mod plan;
mod rule;

pub use error::{FaultError, FaultErrorKind};
pub use machine::{Faults, MadeFault, Passed};
pub(crate) use parser::read_distribution;
pub use plan::FaultPlan;
pub(crate) use plan::write_duration;
