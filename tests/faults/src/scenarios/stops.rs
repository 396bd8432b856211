//! SIGTERM under load.

use anyhow::Result;

use crate::dice::Dice;
use crate::load::Crowd;
use crate::mortal::{End, Mortal};
use crate::plan::Plan;
use crate::report::Report;
use crate::rounds::{self, Rounds};

pub(super) async fn run(plan: Plan) -> Result<Report> {
    let mut dice = Dice::new(plan.seed);
    let crowd = Crowd { natives: plan.pick(8, 24), texts: plan.pick(8, 24), documents: 4, doubles: false };
    let rounds = Rounds {
        crashes: plan.pick(5, 50),
        crowd,
        crashes_a_crowd: 25,
        serves_within: Rounds::patience(&plan),
    };
    let mut server = Mortal::new(End::Asked)?;
    let outcome = rounds::run(&mut server, rounds, &mut dice).await?;
    let mut report = Report::default();
    outcome.report(&mut report, "SIGTERMs, each with exit status 0");
    report.add_times("until it has stopped", &server.stops);
    Ok(report)
}
