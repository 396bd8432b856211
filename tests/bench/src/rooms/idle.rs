//! Clients that are in a room, are shown to the others, and do nothing.

use std::time::Duration;

use anyhow::{Context, Result};

use super::{ROUNDS, bars, cell, median, names};
use crate::cores;
use crate::family::{Figures, Goal};
use crate::load::join_all;
use crate::peers::{Peer, Role, yjs_servers};
use crate::plot::Plot;
use crate::table::Table;

/// Rooms that are there before, so that what the first ones cost is not counted.
const WARM_ROOMS: usize = 10;
const ROOMS: usize = 100;
const MEMBERS: usize = 20;
/// Until whoever collects garbage has done so.
const REST: Duration = Duration::from_secs(2);
/// KiB that a link may take.
const BOUND: f64 = 12.0;

pub(crate) fn run() -> Result<Figures> {
    cores::pin_generator()?;
    let peers = yjs_servers()?;
    let mut runs = vec![Vec::new(); peers.len()];
    for round in 1..=ROUNDS {
        for (peer, runs) in peers.iter().zip(&mut runs) {
            let each = measure(peer).with_context(|| peer.name.clone())?;
            eprintln!("rooms, idle, round {round}: {}: {each:.1} KiB", peer.name);
            runs.push(each);
        }
    }
    let title = format!("Memory of the server for each of {} idle links with presence", ROOMS * MEMBERS);
    let mut table = Table::new(format!("{title}, {MEMBERS} to a room"), ["server", "KiB a link"]);
    for (peer, runs) in peers.iter().zip(&runs) {
        table.row([peer.name.clone(), cell(runs, |kib| format!("{kib:.1}"))]);
    }
    let panel = bars("KiB a link", runs.iter(), |kib| format!("{kib:.1} KiB"));
    let plot = Plot { name: "rooms-idle", title, series: names(&peers), panels: vec![panel] };
    let goals = peers.iter().zip(&runs).filter_map(|(peer, runs)| {
        let what = match peer.role {
            Role::YWebsocketDoor => "an idle link of the door of y-websocket clients, with presence",
            Role::HocuspocusDoor => "an idle link of the door of Hocuspocus clients, with presence",
            _ => return None,
        };
        Some(Goal::at_most(what, median(runs), BOUND, "KiB"))
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
