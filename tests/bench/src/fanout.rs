//! Edits that go to everybody who has the document: how many reach others in a second, and what each costs the server.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::family::Figures;
use crate::load::{Crowd, Shape};
use crate::peers::{self, Peer};
use crate::process::processor_time;
use crate::{cores, process};

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

/// What one peer did in one shape, a round at a time.
#[derive(Clone, Default)]
struct Runs {
    /// Edits that reached one other member, a second.
    rate: Vec<f64>,
    /// Time of the server's processor for one of them, in microseconds.
    cost: Vec<f64>,
    /// Part of the time in which the server's core worked for it.
    busy: Vec<f64>,
    /// And the generator's.
    generator: Vec<f64>,
}

pub(crate) fn run() -> Result<Figures> {
    process::build()?;
    cores::pin_generator()?;
    let peers = peers::servers()?;
    let mut runs = vec![vec![Runs::default(); peers.len()]; SHAPES.len()];
    let chosen = std::env::var("FANOUT").ok();
    for round in 0..ROUNDS {
        for (shape, runs) in SHAPES.iter().zip(&mut runs) {
            if chosen.as_ref().is_some_and(|chosen| *chosen != format!("{}{}", shape.readers, if shape.all_write { "a" } else { "" })) {
                continue;
            }
            for (peer, runs) in peers.iter().zip(runs) {
                eprintln!("round {round}: {}: {}", name(shape), peer.name);
                measure(peer, *shape, runs).with_context(|| format!("{}, {}", peer.name, name(shape)))?;
                eprintln!("  {:.0}/s, {:.2} µs, busy {:.2}, generator {:.2}", runs.rate.last().unwrap_or(&0.0), runs.cost.last().unwrap_or(&0.0), runs.busy.last().unwrap_or(&0.0), runs.generator.last().unwrap_or(&0.0));
            }
        }
    }
    Ok(Figures::default())
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
    runs.cost.push(processor.as_secs_f64() * 1e6 / deliveries);
    runs.busy.push(processor.as_secs_f64() / elapsed.as_secs_f64());
    runs.generator.push(own.as_secs_f64() / elapsed.as_secs_f64());
    Ok(())
}
