//! Everybody loses the connection at once, and comes back at once to documents that have changed meanwhile.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::cores;
use crate::family::Figures;
use crate::load::{Held, Room, edit, join_all};
use crate::measure::{Spread, seconds};
use crate::peers::{self, Peer};
use crate::plot::{Kind, Panel, Plot};
use crate::table::Table;

const ROUNDS: usize = 3;
const ROOMS: usize = 100;
const MEMBERS: usize = 20;
/// Threads that connect, each one link after the other: so many are on their way at a time.
const THREADS: usize = 64;
/// Until a server has noticed that somebody is gone.
const REST: Duration = Duration::from_secs(1);

pub(crate) fn run() -> Result<Figures> {
    cores::pin_generator()?;
    let peers = peers::servers()?;
    let mut runs = vec![(Vec::new(), Vec::new()); peers.len()];
    for round in 1..=ROUNDS {
        for (peer, runs) in peers.iter().zip(&mut runs) {
            let (all, each) = measure(peer).with_context(|| peer.name.clone())?;
            eprintln!("reconnect, round {round}: {}: {all:?}, {:.1} µs", peer.name, each * 1e6);
            runs.0.push(all.as_secs_f64());
            runs.1.push(each);
        }
    }
    let links = ROOMS * MEMBERS;
    let title = format!("{links} clients come back at once, each to a document that has changed");
    let columns = ["server", "until all have what is newest", "server's processor time a client"];
    let mut table = Table::new(title.clone(), columns);
    let spread = |figures: &[f64]| Spread::of(figures.iter().copied());
    for (peer, (all, each)) in peers.iter().zip(&runs) {
        table.row([peer.name.clone(), spread(all).cell(seconds), spread(each).cell(seconds)]);
    }
    let bar = |figures: &[f64]| Some((spread(figures).median, seconds(spread(figures).median)));
    let plot = Plot {
        name: "reconnect",
        title,
        series: peers.iter().map(|peer| peer.name.clone()).collect(),
        panels: vec![
            Panel {
                title: columns[1].into(),
                kind: Kind::Bars(runs.iter().map(|(all, _)| bar(all)).collect()),
            },
            Panel {
                title: columns[2].into(),
                kind: Kind::Bars(runs.iter().map(|(_, each)| bar(each)).collect()),
            },
        ],
    };
    Ok(Figures { tables: vec![table], plots: vec![plot], goals: Vec::new() })
}

fn measure(peer: &Peer) -> Result<(Duration, f64)> {
    let server = peer.start()?;
    let door = peer.door;
    let mut links = join_all(door, server.address, 0..ROOMS, MEMBERS)?;
    let gone: Vec<(Room, usize, Held)> =
        links.iter().map(|link| (link.room, link.number, link.held)).collect();
    for link in links.iter_mut().filter(|link| link.number == 0) {
        edit(door, link)?;
    }
    drop(links);
    std::thread::sleep(REST);
    let processor = server.processor_time()?;
    let started = Instant::now();
    let back = std::thread::scope(|scope| {
        let threads: Vec<_> = gone
            .chunks(gone.len().div_ceil(THREADS))
            .map(|share| {
                let address = server.address;
                scope.spawn(move || {
                    let back = share.iter().map(|(room, number, held)| {
                        let mut socket = door.connect(address, room, *number)?;
                        door.join(&mut socket, room, Some(*held), 1)?;
                        anyhow::Ok(socket)
                    });
                    back.collect::<Result<Vec<_>>>()
                })
            })
            .collect();
        let mut back = Vec::new();
        for thread in threads {
            match thread.join() {
                Ok(sockets) => back.extend(sockets?),
                Err(_) => bail!("a thread failed"),
            }
        }
        Ok(back)
    })?;
    let elapsed = started.elapsed();
    let processor = server.processor_time()?.saturating_sub(processor);
    Ok((elapsed, processor.as_secs_f64() / back.len() as f64))
}
