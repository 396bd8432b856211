//! How long an edit takes to everybody else, at a rate that each server can bear.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::cores;
use crate::family::{Figures, Goal};
use crate::load::{Crowd, Shape};
use crate::measure::{Samples, Spread, seconds};
use crate::peers::{self, Peer, Role};
use crate::plot::{Kind, Panel, Plot};
use crate::table::Table;

const ROUNDS: usize = 3;
const SHAPE: Shape = Shape { rooms: 100, readers: 9, all_write: false };
/// Edits that reach one other member, a second, over all rooms, on a machine where each server can bear them.
const DELIVERIES: f64 = 54_000.0;
/// What is asked of the slowest server elsewhere, as a part of what it does at most: beyond that it is queues that are measured.
const LOAD: f64 = 0.5;
const WARM: Duration = Duration::from_secs(1);
const TIME: Duration = Duration::from_secs(4);
/// One group commit: by so much the slowest of a hundred may be later than at the ceiling.
const COMMIT: f64 = 5e-3;
/// What storing may cost, as a part of what the server does without.
const STORING: f64 = 0.15;

/// One peer's rounds.
#[derive(Clone, Default)]
struct Runs {
    median: Vec<f64>,
    late: Vec<f64>,
    latest: Vec<f64>,
    /// Time of the server's processor for a delivery, in seconds.
    cost: Vec<f64>,
}

pub(crate) fn run() -> Result<Figures> {
    cores::pin_generator()?;
    let mut peers = peers::servers()?;
    peers.push(peers::in_memory());
    let mut rate = DELIVERIES;
    for peer in &peers {
        rate = rate.min(LOAD * most(peer).with_context(|| peer.name.clone())?);
    }
    // In whole thousands: it stands in a title.
    let rate = (rate / 1e3).floor().max(1.0) * 1e3;
    let mut runs = vec![Runs::default(); peers.len()];
    for round in 1..=ROUNDS {
        for (peer, runs) in peers.iter().zip(&mut runs) {
            eprintln!("latency, round {round}: {}", peer.name);
            measure(peer, rate, runs).with_context(|| peer.name.clone())?;
        }
    }
    Ok(figures(&peers, &runs, rate))
}

/// Deliveries a second where each writer edits as soon as everybody has its last edit.
fn most(peer: &Peer) -> Result<f64> {
    let server = peer.start()?;
    let mut crowd = Crowd::gather(peer.door, server.address, SHAPE)?;
    crowd.start()?;
    crowd.run(WARM)?;
    let (deliveries, started) = (crowd.deliveries(), Instant::now());
    crowd.run(WARM)?;
    let most = (crowd.deliveries() - deliveries) as f64 / started.elapsed().as_secs_f64();
    crowd.settle()?;
    eprintln!("latency: {}: {most:.0} a second at most", peer.name);
    Ok(most)
}

fn measure(peer: &Peer, rate: f64, runs: &mut Runs) -> Result<()> {
    let server = peer.start()?;
    let mut crowd = Crowd::gather(peer.door, server.address, SHAPE)?;
    let edits = rate / SHAPE.readers as f64;
    crowd.pace(edits, WARM)?;
    let (deliveries, processor) = (crowd.deliveries(), server.processor_time()?);
    let started = Instant::now();
    let times = Samples::new(crowd.pace(edits, TIME)?);
    let processor = server.processor_time()?.saturating_sub(processor);
    let deliveries = (crowd.deliveries() - deliveries) as f64;
    eprintln!(
        "  {:.0} a second; {:?} {:?} {:?}; {:.2} µs",
        deliveries / started.elapsed().as_secs_f64(),
        times.permille(500),
        times.permille(990),
        times.permille(999),
        processor.as_secs_f64() * 1e6 / deliveries
    );
    runs.median.push(times.permille(500).as_secs_f64());
    runs.late.push(times.permille(990).as_secs_f64());
    runs.latest.push(times.permille(999).as_secs_f64());
    runs.cost.push(processor.as_secs_f64() / deliveries);
    Ok(())
}

fn figures(peers: &[Peer], runs: &[Runs], rate: f64) -> Figures {
    let Shape { rooms, readers, .. } = SHAPE;
    let title =
        format!("From an edit to each of {readers} others, {rooms} documents, {rate:.0} deliveries a second");
    let mut table =
        Table::new(title.clone(), ["server", "p50", "p99", "p99.9", "server's processor time a delivery"]);
    for (peer, runs) in peers.iter().zip(runs) {
        let columns = [&runs.median, &runs.late, &runs.latest, &runs.cost];
        let cells = columns.map(|figures| Spread::of(figures.iter().copied()).cell(seconds));
        table.row([peer.name.clone()].into_iter().chain(cells));
    }
    let median = |figures: &[f64]| Spread::of(figures.iter().copied()).median;
    let bars = |of: fn(&Runs) -> &Vec<f64>| {
        Kind::Bars(runs.iter().map(|runs| Some((median(of(runs)), seconds(median(of(runs)))))).collect())
    };
    let plot = Plot {
        name: "latency",
        title,
        series: peers.iter().map(|peer| peer.name.clone()).collect(),
        panels: vec![
            Panel { title: "p50".into(), kind: bars(|runs| &runs.median) },
            Panel { title: "p99".into(), kind: bars(|runs| &runs.late) },
            Panel { title: "p99.9".into(), kind: bars(|runs| &runs.latest) },
        ],
    };
    let of = |role| peers.iter().position(|peer| peer.role == role).map(|at| &runs[at]);
    let goals = match (of(Role::Ceiling), of(Role::Native), of(Role::InMemory)) {
        (Some(ceiling), Some(native), Some(memory)) => goals(ceiling, native, memory, rate).into(),
        _ => Vec::new(),
    };
    Figures { tables: vec![table], plots: vec![plot], goals }
}

/// What was to be reached at [`DELIVERIES`] a second, judged at the rate that was run.
fn goals(ceiling: &Runs, native: &Runs, memory: &Runs, rate: f64) -> [Goal; 2] {
    let wanted = match rate {
        rate if rate < DELIVERIES => format!("; {DELIVERIES:.0} was wanted"),
        _ => String::new(),
    };
    let what = |what: &str| format!("{what}, at {rate:.0} deliveries a second{wanted}");
    let provided = |one: Spread, other: Spread| {
        let overlap = if one.overlaps(&other) { "; the spreads overlap" } else { "" };
        format!("at {rate:.0} a second{overlap}")
    };
    let spread = |figures: &[f64]| Spread::of(figures.iter().copied());
    let (late, broadcast) = (spread(&native.late), spread(&ceiling.late));
    let (stored, unstored) = (spread(&native.cost), spread(&memory.cost));
    [
        Goal::at_most(
            what("p99 of the native door behind that of the bare broadcast"),
            (late.median - broadcast.median) * 1e3,
            COMMIT * 1e3,
            "ms",
        )
        .provided(provided(late, broadcast)),
        Goal::at_most(
            what("what storing costs the server's processor"),
            (stored.median / unstored.median - 1.0) * 1e2,
            STORING * 1e2,
            "%",
        )
        .provided(provided(stored, unstored)),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_goal_names_the_rate_that_was_run_and_says_where_the_spreads_overlap() {
        let runs =
            |late: [f64; 3], cost: [f64; 3]| Runs { late: late.into(), cost: cost.into(), ..Runs::default() };
        let ceiling = runs([0.001, 0.019, 0.035], [12e-6; 3]);
        let native = runs([0.003, 0.005, 0.027], [39e-6, 42e-6, 48e-6]);
        let memory = runs([0.001; 3], [23e-6, 24e-6, 25e-6]);
        let [late, cost] = goals(&ceiling, &native, &memory, 16e3).map(|goal| goal.cells());
        assert_eq!(
            late[0],
            "p99 of the native door behind that of the bare broadcast, at 16000 deliveries a second; 54000 was wanted"
        );
        assert_eq!(late[3], "met at 16000 a second; the spreads overlap");
        assert_eq!(cost[3], "not met at 16000 a second");
        let [late, _] = goals(&native, &ceiling, &memory, DELIVERIES).map(|goal| goal.cells());
        assert!(late[0].ends_with(", at 54000 deliveries a second"), "{}", late[0]);
    }
}
