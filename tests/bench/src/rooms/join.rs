//! Whoever joins a large room: alone, with others, and first after the server has started.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::{ROUNDS, bars, cell, median, names};
use crate::cores;
use crate::family::{Figures, Goal};
use crate::load::Room;
use crate::measure::{Samples, seconds};
use crate::peers::{Peer, Role, yjs_servers};
use crate::plot::Plot;
use crate::process::Process;
use crate::table::Table;

/// A document of a megabyte, in five thousand pieces.
const ROOM: Room = Room { number: 0, writers: 1, filler: 1_000_000 };
/// Who join one after the other, after some that are not timed.
const ALONE: usize = 20;
const WARM: usize = 5;
/// Who join at a time.
const AT_ONCE: usize = 50;
/// What part of others' time it should take.
const OF_BARE: f64 = 1.5;
const OF_PEERS: f64 = 5.0;

/// One peer's rounds.
#[derive(Clone, Default)]
struct Runs {
    alone: Vec<f64>,
    cost: Vec<f64>,
    together: Vec<f64>,
    /// The first after a start, of those that store.
    cold: Vec<f64>,
}

pub(crate) fn run() -> Result<Figures> {
    cores::pin_generator()?;
    let peers = yjs_servers()?;
    let mut runs = vec![Runs::default(); peers.len()];
    for round in 1..=ROUNDS {
        for (peer, runs) in peers.iter().zip(&mut runs) {
            eprintln!("rooms, join, round {round}: {}", peer.name);
            measure(peer, runs).with_context(|| peer.name.clone())?;
        }
    }
    let title = "A room of 1 MB, from connecting until its last byte".to_owned();
    let all = format!("{AT_ONCE} at once, until all have it");
    let columns = [
        "server",
        "one alone",
        "server's processor time",
        all.as_str(),
        "the first after a start, from SQLite",
    ];
    let mut table = Table::new(title.clone(), columns);
    for (peer, runs) in peers.iter().zip(&runs) {
        let columns = [&runs.alone, &runs.cost, &runs.together, &runs.cold];
        let cells = columns.map(|figures| cell(figures, seconds));
        table.row([peer.name.clone()].into_iter().chain(cells));
    }
    let plot = Plot {
        name: "rooms-join",
        title,
        series: names(&peers),
        panels: vec![
            bars("one alone", runs.iter().map(|runs| &runs.alone), seconds),
            bars(&all, runs.iter().map(|runs| &runs.together), seconds),
        ],
    };
    Ok(Figures { tables: vec![table], plots: vec![plot], goals: goals(&peers, &runs) })
}

fn measure(peer: &Peer, runs: &mut Runs) -> Result<()> {
    let mut server = peer.start()?;
    let mut creator = peer.door.connect(server.address, &ROOM, AT_ONCE)?;
    peer.door.create(&mut creator, &ROOM)?;
    let mut times = Vec::new();
    let mut processor = server.processor_time()?;
    for number in 0..WARM + ALONE {
        if number == WARM {
            processor = server.processor_time()?;
        }
        times.push(join(peer, &server)?);
    }
    let processor = server.processor_time()?.saturating_sub(processor);
    let alone = Samples::new(times.split_off(WARM)).median();
    let together = at_once(peer, &server)?;
    eprintln!("  {alone:?}, {:?}, {together:?}", processor / u32::try_from(ALONE)?);
    runs.alone.push(alone.as_secs_f64());
    runs.cost.push(processor.as_secs_f64() / ALONE as f64);
    runs.together.push(together.as_secs_f64());
    if peer.role.stores() {
        drop(creator);
        server = server.restarted()?;
        let cold = join(peer, &server)?;
        eprintln!("  after a start: {cold:?}");
        runs.cold.push(cold.as_secs_f64());
    }
    Ok(())
}

fn join(peer: &Peer, server: &Process) -> Result<Duration> {
    let started = Instant::now();
    let mut socket = peer.door.connect(server.address, &ROOM, 0)?;
    peer.door.join(&mut socket, &ROOM, None, 0)?;
    Ok(started.elapsed())
}

fn at_once(peer: &Peer, server: &Process) -> Result<Duration> {
    let started = Instant::now();
    std::thread::scope(|scope| {
        let joining: Vec<_> = (0..AT_ONCE).map(|_| scope.spawn(|| join(peer, server))).collect();
        joining.into_iter().try_for_each(|each| match each.join() {
            Ok(joined) => joined.map(drop),
            Err(_) => bail!("a thread failed"),
        })
    })?;
    Ok(started.elapsed())
}

fn goals(peers: &[Peer], runs: &[Runs]) -> Vec<Goal> {
    let alone = |role: Role| {
        let peer = peers.iter().position(|peer| peer.role == role)?;
        Some(median(&runs[peer].alone))
    };
    let Some(own) = alone(Role::YWebsocketDoor) else { return Vec::new() };
    let mut goals = Vec::new();
    if let Some(bare) = alone(Role::Ceiling) {
        goals.push(Goal::at_most("joining 1 MB, of the bare broadcast's time", own / bare, OF_BARE, "×"));
    }
    let others = [("y-websocket's", Role::YWebsocketServer), ("Hocuspocus 4's", Role::Hocuspocus)];
    for (whose, role) in others {
        if let Some(other) = alone(role) {
            let what = format!("joining 1 MB, how many times faster than {whose}");
            goals.push(Goal::at_least(what, other / own, OF_PEERS, "×"));
        }
    }
    goals
}
