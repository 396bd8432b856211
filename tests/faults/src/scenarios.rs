//! The scenarios. A new one is a file here, with a function like those of its neighbours, and a line of [`SCENARIOS`].

mod damage;
mod full;
mod idle;
mod kills;
mod powercut;
mod returning;
mod room;
mod slow;
mod stops;

use std::pin::Pin;

use anyhow::{Result, bail};

use crate::plan::Plan;
use crate::report::Report;

/// One thing that goes wrong.
pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    pub(crate) what: &'static str,
    /// Whether `--kills` says how often.
    pub(crate) counts_kills: bool,
    pub(crate) run: fn(Plan) -> Running,
}

pub(crate) type Running = Pin<Box<dyn Future<Output = Result<Report>>>>;

/// Every scenario, in the order in which they run.
pub(crate) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "kills",
        what: "a server is killed again and again while clients write",
        counts_kills: true,
        run: |plan| Box::pin(kills::run(plan)),
    },
    Scenario {
        name: "powercut",
        what: "the power fails, and what the disk had not flushed is lost or torn",
        counts_kills: true,
        run: |plan| Box::pin(powercut::run(plan)),
    },
    Scenario {
        name: "stops",
        what: "a server is asked to stop again and again while clients write",
        counts_kills: false,
        run: |plan| Box::pin(stops::run(plan)),
    },
    Scenario {
        name: "full",
        what: "the disk is full for a while",
        counts_kills: false,
        run: |plan| Box::pin(full::run(plan)),
    },
    Scenario {
        name: "damage",
        what: "bytes of the database change while the server is down",
        counts_kills: false,
        run: |plan| Box::pin(damage::run(plan)),
    },
    Scenario {
        name: "slow",
        what: "many links that do not read, beside some that do",
        counts_kills: false,
        run: |plan| Box::pin(slow::run(plan)),
    },
    Scenario {
        name: "idle",
        what: "links on which nothing happens",
        counts_kills: false,
        run: |plan| Box::pin(idle::run(plan)),
    },
    Scenario {
        name: "returning",
        what: "everybody is cut off at once, and comes back",
        counts_kills: false,
        run: |plan| Box::pin(returning::run(plan)),
    },
    Scenario {
        name: "room",
        what: "many in one room, of whom some write and one means harm, on a server that is killed",
        counts_kills: false,
        run: |plan| Box::pin(room::run(plan)),
    },
];

/// Holds a planted fault to being found: what `outcome` came to must be an error that says this.
fn caught<T>(fault: &str, outcome: Result<T>, says: &[&str]) -> Result<String> {
    match outcome {
        Ok(_) => bail!("planted, and not found: {fault}"),
        Err(error) => {
            let error = format!("{error:#}");
            if !says.iter().any(|words| error.contains(words)) {
                bail!("planted: {fault}; found instead: {error}");
            }
            Ok(format!("{fault}: found ({error})"))
        }
    }
}
