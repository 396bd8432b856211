//! Edits that go to everybody who has the document: how many reach others in a second, and what each costs the server.

use std::time::{Duration, Instant};

use anyhow::Result;

use crate::cores;
use crate::family::{Figures, Goal};
use crate::load::{Crowd, Shape};
use crate::measure::{Spread, count, seconds};
use crate::peers::{self, Peer, Role};
use crate::plot::{Kind, Panel, Plot};
use crate::process::processor_time;
use crate::table::Table;

/// Rounds, in each of which every peer has its turn in every shape.
const ROUNDS: usize = 3;
/// What is left out of each, until queues and compilers are warm.
const WARM: Duration = Duration::from_millis(500);
/// What is measured of each.
const TIME: Duration = Duration::from_millis(1_000);

/// Rooms and readers: about a thousand links each.
const SHAPES: [Shape; 9] = [
    Shape { rooms: 300, readers: 2, all_write: false },
    Shape { rooms: 100, readers: 9, all_write: false },
    Shape { rooms: 50, readers: 20, all_write: false },
    Shape { rooms: 5, readers: 200, all_write: false },
    Shape { rooms: 1, readers: 1_000, all_write: false },
    Shape { rooms: 300, readers: 2, all_write: true },
    Shape { rooms: 50, readers: 20, all_write: true },
    Shape { rooms: 5, readers: 200, all_write: true },
    Shape { rooms: 1, readers: 1_000, all_write: true },
];

/// What automerge-repo is asked for: its clients take a core long before its server does, so there are fewer.
const AUTOMERGE: [Shape; 2] =
    [Shape { rooms: 20, readers: 9, all_write: false }, Shape { rooms: 10, readers: 20, all_write: false }];
/// A few of its rounds.
const AUTOMERGE_TIME: Duration = Duration::from_secs(3);

/// What one peer did in one shape, a round at a time.
#[derive(Clone, Default)]
struct Runs {
    /// Edits that reached one other member, a second.
    rate: Vec<f64>,
    /// Time of the server's processor for one of them, in seconds.
    cost: Vec<f64>,
    /// Part of the time in which the server's core worked for it.
    busy: Vec<f64>,
    /// And the generator's.
    generator: Vec<f64>,
}

pub(crate) fn run() -> Result<Figures> {
    cores::pin_generator()?;
    let peers = peers::servers()?;
    let mut runs = vec![vec![Runs::default(); peers.len()]; SHAPES.len()];
    for round in 1..=ROUNDS {
        for (shape, runs) in SHAPES.iter().zip(&mut runs) {
            for (peer, runs) in peers.iter().zip(runs) {
                eprintln!("fan-out, round {round}: {}: {}", name(shape), peer.name);
                // One that does not get through a shape has no figure there, and the others have theirs.
                if let Err(error) = measure(peer, *shape, runs) {
                    eprintln!("  failed: {error:#}");
                }
            }
        }
    }
    Ok(figures(&peers, &runs, automerge()?))
}

/// automerge-repo, whose clients and server each wait a tenth of a second before they send: what counts is the time of its processor.
fn automerge() -> Result<Table> {
    let mut table = Table::of(
        format!("{}, its own clients", peers::automerge::name()?),
        ["documents", "server's processor time a delivery", "deliveries a second"]
            .map(str::to_owned)
            .to_vec(),
    );
    for shape in AUTOMERGE {
        let mut runs = Runs::default();
        for round in 1..=ROUNDS {
            eprintln!("fan-out, round {round}: {}: automerge-repo", name(&shape));
            let run = peers::automerge::run(shape, WARM, AUTOMERGE_TIME)?;
            runs.rate.push(run.deliveries / run.elapsed.as_secs_f64());
            runs.cost.push(run.processor.as_secs_f64() / run.deliveries);
        }
        let spread =
            |figures: &[f64], show: fn(f64) -> String| Spread::of(figures.iter().copied()).cell(show);
        table.row([name(&shape), spread(&runs.cost, seconds), spread(&runs.rate, count)]);
    }
    Ok(table)
}

fn name(shape: &Shape) -> String {
    let Shape { rooms, readers, all_write } = shape;
    let writers = if *all_write { "all write" } else { "1 writes" };
    format!("{rooms} × {readers} readers, {writers}")
}

fn measure(peer: &Peer, shape: Shape, runs: &mut Runs) -> Result<()> {
    let server = peer.start()?;
    let mut crowd = Crowd::gather(peer.door, server.address, shape)?;
    crowd.start()?;
    crowd.run(WARM)?;
    let (deliveries, processor) = (crowd.deliveries(), server.processor_time()?);
    let (own, started) = (processor_time("self")?, Instant::now());
    crowd.run(TIME)?;
    let elapsed = started.elapsed();
    let deliveries = (crowd.deliveries() - deliveries) as f64;
    let processor = server.processor_time()?.saturating_sub(processor);
    let own = processor_time("self")?.saturating_sub(own);
    crowd.settle()?;
    runs.rate.push(deliveries / elapsed.as_secs_f64());
    runs.cost.push(processor.as_secs_f64() / deliveries);
    runs.busy.push(processor.as_secs_f64() / elapsed.as_secs_f64());
    runs.generator.push(own.as_secs_f64() / elapsed.as_secs_f64());
    let newest = |figures: &[f64]| figures.last().copied().unwrap_or_default();
    eprintln!(
        "  {} a second, {} each, server {:.0} % busy, generator {:.0} %",
        count(newest(&runs.rate)),
        seconds(newest(&runs.cost)),
        newest(&runs.busy) * 1e2,
        newest(&runs.generator) * 1e2
    );
    Ok(())
}

fn median(figures: &[f64]) -> f64 {
    Spread::of(figures.iter().copied()).median
}

fn figures(peers: &[Peer], runs: &[Vec<Runs>], automerge: Table) -> Figures {
    let columns: Vec<String> = ["documents"]
        .into_iter()
        .map(str::to_owned)
        .chain(peers.iter().map(|peer| peer.name.clone()))
        .collect();
    let table = |title: &str, cell: &dyn Fn(&Runs) -> String| {
        let mut table = Table::of(title, columns.clone());
        for (shape, runs) in SHAPES.iter().zip(runs) {
            table.row([name(shape)].into_iter().chain(runs.iter().map(cell)));
        }
        table
    };
    let spread = |figures: &[f64], show: fn(f64) -> String| match figures {
        [] => "failed".to_owned(),
        _ => Spread::of(figures.iter().copied()).cell(show),
    };
    let tables = vec![
        table("Time of the server's processor for one delivery", &|runs| spread(&runs.cost, seconds)),
        table("Deliveries a second, the server on one core", &|runs| spread(&runs.rate, count)),
        table("How busy the cores were: the server's, the generator's", &|runs| {
            format!("{:.0} %, {:.0} %", median(&runs.busy) * 1e2, median(&runs.generator) * 1e2)
        }),
        automerge,
    ];
    Figures { tables, plots: vec![plot(peers, runs)], goals: goals(peers, runs) }
}

fn plot(peers: &[Peer], runs: &[Vec<Runs>]) -> Plot {
    let panel = |title: &str, all_write: bool| {
        let shapes = || SHAPES.iter().zip(runs).filter(move |(shape, _)| shape.all_write == all_write);
        let points = (0..peers.len()).map(|peer| {
            let measured = shapes().filter(|(_, runs)| !runs[peer].cost.is_empty());
            measured.map(|(shape, runs)| (shape.readers as f64, median(&runs[peer].cost) * 1e6)).collect()
        });
        Panel {
            title: title.into(),
            kind: Kind::Lines { x: "readers of a document", points: points.collect() },
        }
    };
    Plot {
        name: "fanout",
        title: "Microseconds of the server's processor for one delivery".into(),
        series: peers.iter().map(|peer| peer.name.clone()).collect(),
        panels: vec![panel("one writes in each document", false), panel("everybody writes", true)],
    }
}

fn goals(peers: &[Peer], runs: &[Vec<Runs>]) -> Vec<Goal> {
    let cost = |readers: usize, role: Role| {
        let shape = SHAPES.iter().position(|shape| shape.readers == readers && !shape.all_write)?;
        let peer = peers.iter().position(|peer| peer.role == role)?;
        Some(median(&runs[shape][peer].cost)).filter(|cost| *cost > 0.0)
    };
    let ratio = |readers, of, by| Some(cost(readers, of)? / cost(readers, by)?);
    let ceiling = |role| ratio(20, role, Role::Ceiling);
    let share_db = |role| ratio(9, Role::ShareDb, role);
    [
        ceiling(Role::Native).map(|is| {
            Goal::at_most(
                "processor's time a delivery at 20 readers, of the bare broadcast's: native door",
                is,
                1.5,
                "×",
            )
        }),
        ceiling(Role::Text).map(|is| {
            Goal::at_most(
                "processor's time a delivery at 20 readers, of the bare broadcast's: text door",
                is,
                1.5,
                "×",
            )
        }),
        share_db(Role::Native).map(|is| {
            Goal::at_least(
                "deliveries per core at 100 documents of 10, of ShareDB's: native door",
                is,
                4.0,
                "×",
            )
        }),
        share_db(Role::Text).map(|is| {
            Goal::at_least(
                "deliveries per core at 100 documents of 10, of ShareDB's: text door",
                is,
                4.0,
                "×",
            )
        }),
    ]
    .into_iter()
    .flatten()
    .collect()
}
