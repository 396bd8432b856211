//! Whoever joins a large document, alone and with others.

use std::time::Instant;

use anyhow::{Context, Result};

use crate::cores;
use crate::family::Figures;
use crate::load::Room;
use crate::measure::{Samples, Spread, seconds};
use crate::peers::{self, Peer};
use crate::plot::{Kind, Panel, Plot};
use crate::process::Process;
use crate::table::Table;

const ROUNDS: usize = 3;
/// A document of a megabyte.
const ROOM: Room = Room { number: 0, writers: 1, filler: 1_000_000 };
/// Who join one after the other, after some that are not timed.
const ALONE: usize = 30;
const WARM: usize = 5;
/// Who join at a time.
const AT_ONCE: usize = 50;

/// One peer's rounds.
#[derive(Clone, Default)]
struct Runs {
    alone: Vec<f64>,
    cost: Vec<f64>,
    together: Vec<f64>,
}

pub(crate) fn run() -> Result<Figures> {
    cores::pin_generator()?;
    let peers = peers::servers()?;
    let mut runs = vec![Runs::default(); peers.len()];
    for round in 1..=ROUNDS {
        for (peer, runs) in peers.iter().zip(&mut runs) {
            eprintln!("join, round {round}: {}", peer.name);
            measure(peer, runs).with_context(|| peer.name.clone())?;
        }
    }
    let title = "A document of 1 MB, from connecting until its last byte".to_owned();
    let all = format!("{AT_ONCE} at once, until all have it");
    let mut table =
        Table::new(title.clone(), ["server", "one alone", "server's processor time", all.as_str()]);
    let median = |figures: &[f64]| Spread::of(figures.iter().copied()).median;
    for (peer, runs) in peers.iter().zip(&runs) {
        let columns = [&runs.alone, &runs.cost, &runs.together];
        let cells = columns.map(|figures| Spread::of(figures.iter().copied()).cell(seconds));
        table.row([peer.name.clone()].into_iter().chain(cells));
    }
    let bars = |of: fn(&Runs) -> &Vec<f64>| {
        Kind::Bars(runs.iter().map(|runs| Some((median(of(runs)), seconds(median(of(runs)))))).collect())
    };
    let plot = Plot {
        name: "join",
        title,
        series: peers.iter().map(|peer| peer.name.clone()).collect(),
        panels: vec![
            Panel { title: "one alone".into(), kind: bars(|runs| &runs.alone) },
            Panel { title: all, kind: bars(|runs| &runs.together) },
        ],
    };
    Ok(Figures { tables: vec![table], plots: vec![plot], goals: Vec::new() })
}

fn measure(peer: &Peer, runs: &mut Runs) -> Result<()> {
    let server = peer.start()?;
    let mut creator = peer.door.connect(server.address, &ROOM, AT_ONCE)?;
    peer.door.create(&mut creator, &ROOM)?;
    let mut times = Vec::new();
    let mut processor = server.processor_time()?;
    for number in 0..WARM + ALONE {
        if number == WARM {
            processor = server.processor_time()?;
        }
        let started = Instant::now();
        join(peer, &server, 0)?;
        times.push(started.elapsed());
    }
    let processor = server.processor_time()?.saturating_sub(processor);
    let alone = Samples::new(times.split_off(WARM)).median();
    let started = Instant::now();
    std::thread::scope(|scope| {
        let joining: Vec<_> = (0..AT_ONCE)
            .map(|member| {
                scope.spawn({
                    let server = &server;
                    move || join(peer, server, member)
                })
            })
            .collect();
        joining
            .into_iter()
            .try_for_each(|each| each.join().unwrap_or_else(|_| anyhow::bail!("a thread failed")))
    })?;
    let together = started.elapsed();
    eprintln!("  {alone:?}, {:?}, {together:?}", processor / u32::try_from(ALONE)?);
    runs.alone.push(alone.as_secs_f64());
    runs.cost.push(processor.as_secs_f64() / ALONE as f64);
    runs.together.push(together.as_secs_f64());
    Ok(())
}

fn join(peer: &Peer, server: &Process, member: usize) -> Result<()> {
    let mut socket = peer.door.connect(server.address, &ROOM, member)?;
    peer.door.join(&mut socket, &ROOM, None, 0)?;
    Ok(())
}
