//! Links on which nothing happens: what each takes of the server's memory.

use std::time::Duration;

use anyhow::{Context, Result};

use crate::cores;
use crate::family::{Figures, Goal};
use crate::load::join_all;
use crate::measure::Spread;
use crate::peers::{self, Peer, Role};
use crate::plot::{Kind, Panel, Plot};
use crate::table::Table;

const ROUNDS: usize = 3;
/// Links that are there before, so that what the first ones cost is not counted.
const WARM_ROOMS: usize = 10;
const ROOMS: usize = 100;
const MEMBERS: usize = 20;
/// Until whoever collects garbage has done so.
const REST: Duration = Duration::from_secs(2);
/// KiB that a link may take.
const BOUND: f64 = 12.0;

pub(crate) fn run() -> Result<Figures> {
    cores::pin_generator()?;
    let peers = peers::servers()?;
    let mut runs = vec![Vec::new(); peers.len()];
    for _ in 0..ROUNDS {
        for (peer, runs) in peers.iter().zip(&mut runs) {
            let each = measure(peer).with_context(|| peer.name.clone())?;
            eprintln!("idle: {}: {each:.1} KiB", peer.name);
            runs.push(each);
        }
    }
    let links = ROOMS * MEMBERS;
    let title = format!("Memory of the server for each of {links} idle links, {MEMBERS} to a document");
    let mut table = Table::new(title.clone(), ["server", "KiB a link"]);
    let spreads: Vec<Spread> = runs.iter().map(|runs| Spread::of(runs.iter().copied())).collect();
    for (peer, spread) in peers.iter().zip(&spreads) {
        table.row([peer.name.clone(), spread.cell(|value| format!("{value:.1}"))]);
    }
    let bars = spreads.iter().map(|spread| Some((spread.median, format!("{:.1} KiB", spread.median))));
    let plot = Plot {
        name: "idle",
        title,
        series: peers.iter().map(|peer| peer.name.clone()).collect(),
        panels: vec![Panel { title: "KiB a link".into(), kind: Kind::Bars(bars.collect()) }],
    };
    let goals = peers.iter().zip(&spreads).filter_map(|(peer, spread)| {
        let what = match peer.role {
            Role::Native => "an idle link of the native door",
            Role::Text => "an idle link of the text door",
            _ => return None,
        };
        Some(Goal::at_most(what, spread.median, BOUND, "KiB"))
    });
    Ok(Figures { tables: vec![table], plots: vec![plot], goals: goals.collect() })
}

fn measure(peer: &Peer) -> Result<f64> {
    let server = peer.start()?;
    let _warm = join_all(peer.door, server.address, 0..WARM_ROOMS, MEMBERS)?;
    std::thread::sleep(REST);
    let before = server.resident_bytes()?;
    let links = join_all(peer.door, server.address, WARM_ROOMS..WARM_ROOMS + ROOMS, MEMBERS)?;
    std::thread::sleep(REST);
    let after = server.resident_bytes()?;
    Ok(after.saturating_sub(before) as f64 / links.len() as f64 / 1024.0)
}
