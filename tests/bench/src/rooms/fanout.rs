//! Updates that go to everybody in a room, from clients that write more than any server can do.

use std::time::{Duration, Instant};

use anyhow::Result;

use super::{ROUNDS, cell, median, names};
use crate::cores;
use crate::family::{Figures, Goal};
use crate::load::{Crowd, Shape};
use crate::measure::{count, seconds};
use crate::peers::{Peer, Role, yjs_servers};
use crate::plot::{Kind, Panel, Plot};
use crate::process::processor_time;
use crate::table::Table;

/// What is left out of each run, until queues and compilers are warm.
const WARM: Duration = Duration::from_millis(700);
/// What is measured of each.
const TIME: Duration = Duration::from_millis(1_500);

/// Rooms, what each writer has under way at a time, and what part of the bare broadcast's deliveries a core should make, how many times those of
/// `y-websocket` and how many times those of Hocuspocus.
struct Case {
    name: &'static str,
    shape: Shape,
    window: usize,
    of_bare: f64,
    of_y_websocket: f64,
    of_hocuspocus: f64,
}

const CASES: [Case; 4] = [
    Case {
        name: "100 rooms × 10, 1 writes",
        shape: Shape { rooms: 100, readers: 9, all_write: false },
        window: 32,
        of_bare: 0.8,
        of_y_websocket: 3.5,
        of_hocuspocus: 2.5,
    },
    Case {
        name: "1 room × 100, 1 writes",
        shape: Shape { rooms: 1, readers: 99, all_write: false },
        window: 128,
        of_bare: 0.8,
        of_y_websocket: 8.0,
        of_hocuspocus: 1.0,
    },
    Case {
        name: "10 rooms × 20, all write",
        shape: Shape { rooms: 10, readers: 19, all_write: true },
        window: 8,
        of_bare: 0.8,
        of_y_websocket: 4.0,
        of_hocuspocus: 4.0,
    },
    Case {
        name: "200 pairs, both write",
        shape: Shape { rooms: 200, readers: 1, all_write: true },
        window: 16,
        of_bare: 0.6,
        of_y_websocket: 8.0,
        of_hocuspocus: 3.5,
    },
];

/// What one peer did in one case, a round at a time.
#[derive(Clone, Default)]
struct Runs {
    /// Updates that reached one other client, a second.
    rate: Vec<f64>,
    /// The same for each second of the server's processor.
    per_core: Vec<f64>,
    /// Time of the server's processor for one of them, in seconds.
    cost: Vec<f64>,
    /// Part of the time in which the server's core worked for it.
    busy: Vec<f64>,
    /// And the generator's.
    generator: Vec<f64>,
}

pub(crate) fn run() -> Result<Figures> {
    cores::pin_generator()?;
    let peers = yjs_servers()?;
    let mut runs = vec![vec![Runs::default(); peers.len()]; CASES.len()];
    for round in 1..=ROUNDS {
        for (case, runs) in CASES.iter().zip(&mut runs) {
            for (peer, runs) in peers.iter().zip(runs) {
                eprintln!("rooms, fan-out, round {round}: {}: {}", case.name, peer.name);
                // One that does not get through has no figure there, and the others have theirs.
                if let Err(error) = measure(peer, case, runs) {
                    eprintln!("  failed: {error:#}");
                }
            }
        }
    }
    Ok(figures(&peers, &runs))
}

fn measure(peer: &Peer, case: &Case, runs: &mut Runs) -> Result<()> {
    let server = peer.start()?;
    let mut crowd = Crowd::gather(peer.door, server.address, case.shape)?;
    crowd.start_ahead(case.window)?;
    crowd.run(WARM)?;
    let (deliveries, processor) = (crowd.deliveries(), server.processor_time()?);
    let (own, started) = (processor_time("self")?, Instant::now());
    crowd.run(TIME)?;
    let elapsed = started.elapsed().as_secs_f64();
    let deliveries = (crowd.deliveries() - deliveries) as f64;
    let processor = server.processor_time()?.saturating_sub(processor).as_secs_f64();
    let own = processor_time("self")?.saturating_sub(own).as_secs_f64();
    // Whatever was sent has to arrive.
    crowd.settle()?;
    runs.rate.push(deliveries / elapsed);
    runs.per_core.push(deliveries / processor);
    runs.cost.push(processor / deliveries);
    runs.busy.push(processor / elapsed);
    runs.generator.push(own / elapsed);
    eprintln!(
        "  {} a second, {} each, server {:.0} % busy, generator {:.0} %",
        count(deliveries / elapsed),
        seconds(processor / deliveries),
        processor / elapsed * 1e2,
        own / elapsed * 1e2
    );
    Ok(())
}

fn figures(peers: &[Peer], runs: &[Vec<Runs>]) -> Figures {
    let columns: Vec<String> = [String::from("rooms")].into_iter().chain(names(peers)).collect();
    let table = |title: &str, show: &dyn Fn(&Runs) -> String| {
        let mut table = Table::of(title, columns.clone());
        for (case, runs) in CASES.iter().zip(runs) {
            table.row([case.name.to_owned()].into_iter().chain(runs.iter().map(show)));
        }
        table
    };
    let tables = vec![
        table("Deliveries for each second of the server's processor", &|runs| cell(&runs.per_core, count)),
        table("Time of the server's processor for one delivery", &|runs| cell(&runs.cost, seconds)),
        table("Deliveries a second, the server on one core", &|runs| cell(&runs.rate, count)),
        table("How busy the cores were: the server's, the generator's", &|runs| {
            format!("{:.0} %, {:.0} %", median(&runs.busy) * 1e2, median(&runs.generator) * 1e2)
        }),
    ];
    let panels = CASES.iter().zip(runs).map(|(case, runs)| {
        let bar = |runs: &Runs| {
            let cost = median(&runs.cost);
            (cost > 0.0).then(|| (cost, seconds(cost)))
        };
        Panel { title: case.name.into(), kind: Kind::Bars(runs.iter().map(bar).collect()) }
    });
    let plot = Plot {
        name: "rooms-fanout",
        title: "Time of the server's processor for one delivery".into(),
        series: names(peers),
        panels: panels.collect(),
    };
    Figures { tables, plots: vec![plot], goals: goals(peers, runs) }
}

fn goals(peers: &[Peer], runs: &[Vec<Runs>]) -> Vec<Goal> {
    let mut goals = Vec::new();
    for (case, runs) in CASES.iter().zip(runs) {
        let per_core = |role: Role| {
            let peer = peers.iter().position(|peer| peer.role == role)?;
            Some(median(&runs[peer].per_core)).filter(|rate| *rate > 0.0)
        };
        let Some(own) = per_core(Role::YWebsocketDoor) else { continue };
        let mut hold = |whose: &str, role: Role, bound: f64| {
            if let Some(other) = per_core(role) {
                let what = format!("deliveries per core, {}, of {whose}", case.name);
                goals.push(Goal::at_least(what, own / other, bound, "×"));
            }
        };
        hold("the bare broadcast's", Role::Ceiling, case.of_bare);
        hold("y-websocket's", Role::YWebsocketServer, case.of_y_websocket);
        hold("Hocuspocus 4's", Role::Hocuspocus, case.of_hocuspocus);
    }
    goals
}
