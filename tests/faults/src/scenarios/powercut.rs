//! Power cuts under a server that is inside this process, on a disk that loses what it has not flushed.

use anyhow::{Result, ensure};

use super::caught;
use crate::dice::Dice;
use crate::load::Crowd;
use crate::plan::Plan;
use crate::power::Machine;
use crate::report::Report;
use crate::rounds::{self, Rounds};

/// Cuts of a run with a planted fault.
const PLANTED_CUTS: u32 = 12;

pub(super) async fn run(plan: Plan) -> Result<Report> {
    let mut dice = Dice::new(plan.seed);
    let crowd = Crowd { natives: plan.pick(6, 12), texts: plan.pick(6, 12), documents: 3, doubles: false };
    let crashes = plan.kills.unwrap_or(plan.pick(15, 200));
    let rounds =
        Rounds { crashes, crowd, crashes_a_crowd: plan.pick(15, 20), serves_within: Rounds::patience(&plan) };
    let mut report = Report::default();
    let mut machine = Machine::new(false).await?;
    let outcome = rounds::run(&mut machine, rounds, &mut dice).await?;
    ensure!(outcome.crashes_under_way() > 0 && machine.lost_writes > 0, "no cut took anything away");
    outcome.report(&mut report, "power cuts");
    report.add("writes that a cut took away", machine.lost_writes);
    report.add("writes that it tore", machine.torn_writes);

    let rounds = Rounds { crashes: PLANTED_CUTS, crashes_a_crowd: PLANTED_CUTS, ..rounds };
    let lying = rounds::run(&mut Machine::new(true).await?, rounds, &mut dice).await;
    // What is left of a database that was never flushed may be no database.
    let says = ["lost: ", "cannot be opened", "malformed", "is answered by", "does not become ready"];
    report.add("planted", caught("a disk that does not flush, as with synchronous=OFF", lying, &says)?);
    Ok(report)
}
