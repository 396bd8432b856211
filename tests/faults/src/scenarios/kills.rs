//! `kill -9` of the real server at random moments.

use anyhow::Result;

use super::caught;
use crate::dice::Dice;
use crate::load::Crowd;
use crate::mortal::{End, Mortal};
use crate::plan::Plan;
use crate::report::Report;
use crate::rounds::{self, Rounds};

/// Crashes of a run with a planted fault.
const PLANTED_CRASHES: u32 = 12;

pub(super) async fn run(plan: Plan) -> Result<Report> {
    let mut dice = Dice::new(plan.seed);
    let crowd = Crowd { natives: plan.pick(12, 24), texts: plan.pick(12, 24), documents: 4, doubles: false };
    let crashes = plan.kills.unwrap_or(plan.pick(20, 500));
    let rounds =
        Rounds { crashes, crowd, crashes_a_crowd: plan.pick(10, 25), serves_within: Rounds::patience(&plan) };
    let mut report = Report::default();
    let outcome = rounds::run(&mut Mortal::new(End::Killed)?, rounds, &mut dice).await?;
    outcome.report(&mut report, "kills");

    let rounds = Rounds { crashes: PLANTED_CRASHES, crashes_a_crowd: PLANTED_CRASHES, ..rounds };
    let forgetful = rounds::run(&mut Mortal::new(End::KilledAndSetBack)?, rounds, &mut dice).await;
    report
        .add("planted", caught("a server that comes back without its last commits", forgetful, &["lost: "])?);
    let crowd = Crowd { doubles: true, ..crowd };
    let doubling = rounds::run(&mut Mortal::new(End::Killed)?, Rounds { crowd, ..rounds }, &mut dice).await;
    report.add(
        "planted",
        caught("clients that send again under another request_id", doubling, &["doubled: "])?,
    );
    Ok(report)
}
