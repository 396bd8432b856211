//! A server that crashes again and again while clients write to it.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tokio::time::sleep;

use crate::database;
use crate::dice::Dice;
use crate::load::{Crowd, Finished, Load};
use crate::plan::Plan;
use crate::report::Report;

/// Values that are acknowledged before a crash, at most.
const MOST_VALUES: u64 = 200;

/// Time until the crash after the last of them, at most: it falls anywhere between an acknowledgement and the next.
const MOST_PAUSE: Duration = Duration::from_millis(5);

/// One crash in so many hits a server that is just starting.
const STARTING: u64 = 6;

/// One crash in so many leaves clients alone: they run up against the server as it comes back, and nothing is looked at in between.
const UNATTENDED: u64 = 4;

/// A server that was down serves again by then; in a short run later, where the machine has other tests to run.
const SERVES_WITHIN: Duration = Duration::from_secs(2);
const SERVES_WITHIN_SHORT: Duration = Duration::from_secs(30);

/// A server that can crash.
pub(crate) trait Victim {
    fn address(&self) -> SocketAddr;

    fn database(&self) -> PathBuf;

    /// Starts it and waits until it is ready; gives the time that it took.
    async fn start(&mut self) -> Result<Duration>;

    /// Starts it and crashes it before it is ready.
    async fn crash_starting(&mut self, dice: &mut Dice) -> Result<()> {
        self.start().await?;
        self.crash(dice).await
    }

    async fn crash(&mut self, dice: &mut Dice) -> Result<()>;

    /// Ends it in good order.
    async fn stop(&mut self) -> Result<()>;
}

/// How often, and under which load.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rounds {
    pub(crate) crashes: u32,
    pub(crate) crowd: Crowd,
    /// After so many crashes all is held to what was typed, and other clients begin with other documents.
    pub(crate) crashes_a_crowd: u32,
    /// A server that was down serves again by then.
    pub(crate) serves_within: Duration,
}

impl Rounds {
    /// What a run of this length expects of a server that starts.
    pub(crate) fn patience(plan: &Plan) -> Duration {
        plan.pick(SERVES_WITHIN_SHORT, SERVES_WITHIN)
    }
}

/// What came of it.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    crashes: u32,
    crashes_under_way: u32,
    crashes_starting: u32,
    under_way: usize,
    starts: Vec<Duration>,
    finished: Finished,
}

impl Outcome {
    pub(crate) fn crashes_under_way(&self) -> u32 {
        self.crashes_under_way
    }

    pub(crate) fn report(&self, report: &mut Report, crash: &str) {
        report.add(crash, self.crashes);
        report.add(
            "of them while values were under way",
            format!("{} ({} values in all)", self.crashes_under_way, self.under_way),
        );
        report.add("of them while the server was starting", self.crashes_starting);
        report.add("values acknowledged", self.finished.acknowledged);
        report.add("of them lost, doubled or out of order", 0);
        report.add("revisions read back", self.finished.revisions);
        report.add(
            "values rejected, and kept by their authors; cut off from clients that do not ask again",
            format!("{}; {}", self.finished.rejected, self.finished.unsure),
        );
        report.add_times("until it serves again", &self.starts);
    }
}

/// Runs the rounds; fails at the first value that is not as it should be.
pub(crate) async fn run(victim: &mut impl Victim, rounds: Rounds, dice: &mut Dice) -> Result<Outcome> {
    let mut outcome = Outcome::default();
    victim.start().await?;
    while outcome.crashes < rounds.crashes {
        let load = Load::start(victim.address(), rounds.crowd, dice).await?;
        let until = (outcome.crashes + rounds.crashes_a_crowd).min(rounds.crashes);
        while outcome.crashes < until {
            let crash = outcome.crashes + 1;
            round(victim, &load, rounds, &mut outcome, dice)
                .await
                .with_context(|| format!("at crash {crash}"))?;
        }
        outcome.finished += load.finish(&victim.database()).await?;
    }
    victim.stop().await?;
    database::check_integrity(&victim.database())?;
    let (is_good, said) = database::doctor(&victim.database())?;
    ensure!(is_good, "the doctor says: {said}");
    ensure!(
        outcome.crashes_under_way * 2 > outcome.crashes,
        "too few crashes hit anybody who wrote: {outcome:?}"
    );
    Ok(outcome)
}

async fn round(
    victim: &mut impl Victim,
    load: &Load,
    rounds: Rounds,
    outcome: &mut Outcome,
    dice: &mut Dice,
) -> Result<()> {
    load.acknowledges(dice.between(0..=MOST_VALUES)).await?;
    // No condition is waited for: the moment itself is drawn.
    sleep(dice.up_to(MOST_PAUSE)).await;
    let is_attended = !dice.once_in(UNATTENDED);
    victim.crash(dice).await?;
    outcome.crashes += 1;
    let under_way = load.under_way();
    outcome.under_way += under_way;
    outcome.crashes_under_way += u32::from(under_way > 0);
    if is_attended {
        load.leave().await?;
    }
    while dice.once_in(STARTING) {
        victim.crash_starting(dice).await?;
        outcome.crashes_starting += 1;
    }
    let took = victim.start().await?;
    ensure!(took < rounds.serves_within, "it served again only after {took:?}");
    outcome.starts.push(took);
    if is_attended {
        // What is read now comes from the server's disk: nobody else is there who could have brought it back.
        load.check().await?;
    }
    load.come().await
}
