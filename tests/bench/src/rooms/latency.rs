//! How long an update takes to everybody else, at a rate that each server can bear, and at the rate that is wanted where it can.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use super::{ROUNDS, bars, cell, median, names};
use crate::cores;
use crate::family::{Figures, Goal};
use crate::load::{Crowd, Shape};
use crate::measure::{Samples, seconds};
use crate::peers::{Peer, Role, yjs_servers};
use crate::plot::Plot;
use crate::table::Table;

const SHAPE: Shape = Shape { rooms: 100, readers: 9, all_write: false };
/// Updates that reach one other client, a second, over all rooms, where each server can bear them.
const DELIVERIES: f64 = 54_000.0;
/// What is asked of a server, as a part of what it does where each writer waits for its last update: beyond that it is queues that are measured.
const LOAD: f64 = 0.6;
const WARM: Duration = Duration::from_secs(1);
const TIME: Duration = Duration::from_secs(3);
/// Of the bare broadcast's median.
const OF_BARE: f64 = 1.3;

/// One peer's rounds at one rate.
#[derive(Clone, Default)]
struct Runs {
    median: Vec<f64>,
    late: Vec<f64>,
    /// Time of the server's processor for a delivery, in seconds.
    cost: Vec<f64>,
}

pub(crate) fn run() -> Result<Figures> {
    cores::pin_generator()?;
    let peers = yjs_servers()?;
    let mut bearable = Vec::new();
    for peer in &peers {
        bearable.push(LOAD * most(peer).with_context(|| peer.name.clone())?);
    }
    // In whole thousands: it stands in a title.
    let common = bearable.iter().copied().fold(DELIVERIES, f64::min);
    let common = (common / 1e3).floor().max(1.0) * 1e3;
    let mut figures = Figures::default();
    for rate in [common, DELIVERIES] {
        let runs = at(&peers, &bearable, rate)?;
        // Where nobody bears a rate there is nothing to show.
        if runs.iter().any(|runs| !runs.median.is_empty()) {
            show(&peers, &runs, rate, rate == common, &mut figures);
        }
        if common >= DELIVERIES {
            break;
        }
    }
    Ok(figures)
}

/// Updates a second that reach others where each writer waits until everybody has its last one.
fn most(peer: &Peer) -> Result<f64> {
    let server = peer.start()?;
    let mut crowd = Crowd::gather(peer.door, server.address, SHAPE)?;
    crowd.start()?;
    crowd.run(WARM)?;
    let (deliveries, started) = (crowd.deliveries(), Instant::now());
    crowd.run(WARM)?;
    let most = (crowd.deliveries() - deliveries) as f64 / started.elapsed().as_secs_f64();
    crowd.settle()?;
    eprintln!("rooms, latency: {}: {most:.0} a second at most", peer.name);
    Ok(most)
}

fn at(peers: &[Peer], bearable: &[f64], rate: f64) -> Result<Vec<Runs>> {
    let mut runs = vec![Runs::default(); peers.len()];
    for round in 1..=ROUNDS {
        for ((peer, bearable), runs) in peers.iter().zip(bearable).zip(&mut runs) {
            if *bearable >= rate {
                eprintln!("rooms, latency, round {round}, {rate:.0} a second: {}", peer.name);
                measure(peer, rate, runs).with_context(|| peer.name.clone())?;
            }
        }
    }
    Ok(runs)
}

fn measure(peer: &Peer, rate: f64, runs: &mut Runs) -> Result<()> {
    let server = peer.start()?;
    let mut crowd = Crowd::gather(peer.door, server.address, SHAPE)?;
    let edits = rate / SHAPE.readers as f64;
    crowd.pace(edits, WARM)?;
    let (deliveries, processor) = (crowd.deliveries(), server.processor_time()?);
    let times = Samples::new(crowd.pace(edits, TIME)?);
    let processor = server.processor_time()?.saturating_sub(processor);
    let cost = processor.as_secs_f64() / (crowd.deliveries() - deliveries) as f64;
    eprintln!("  {:?} {:?}; {}", times.permille(500), times.permille(990), seconds(cost));
    runs.median.push(times.permille(500).as_secs_f64());
    runs.late.push(times.permille(990).as_secs_f64());
    runs.cost.push(cost);
    Ok(())
}

fn show(peers: &[Peer], runs: &[Runs], rate: f64, is_common: bool, figures: &mut Figures) {
    let Shape { rooms, readers, .. } = SHAPE;
    let title =
        format!("From an update to each of {readers} others, {rooms} rooms, {rate:.0} deliveries a second");
    let mut table = Table::new(title.clone(), ["server", "p50", "p99", "server's processor time a delivery"]);
    for (peer, runs) in peers.iter().zip(runs) {
        let cells = [&runs.median, &runs.late, &runs.cost].map(|figures| cell(figures, seconds));
        table.row([peer.name.clone()].into_iter().chain(cells));
    }
    figures.tables.push(table);
    if is_common {
        let panels = vec![
            bars("p50", runs.iter().map(|runs| &runs.median), seconds),
            bars("p99", runs.iter().map(|runs| &runs.late), seconds),
        ];
        figures.plots.push(Plot { name: "rooms-latency", title, series: names(peers), panels });
    }
    let of = |role: Role| peers.iter().position(|peer| peer.role == role).map(|at| &runs[at].median);
    if let (Some(bare @ [_, ..]), Some(own @ [_, ..])) =
        (of(Role::Ceiling).map(Vec::as_slice), of(Role::YWebsocketDoor).map(Vec::as_slice))
    {
        let wanted = if rate < DELIVERIES { format!("; {DELIVERIES:.0} was wanted") } else { String::new() };
        let what = format!("p50 of the bare broadcast's, at {rate:.0} deliveries a second{wanted}");
        figures.goals.push(Goal::at_most(what, median(own) / median(bare), OF_BARE, "×"));
    }
}
