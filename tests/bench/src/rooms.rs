//! Rooms beside servers of Yjs clients, and CRDT documents beside Yjs.

pub(crate) mod fanout;
pub(crate) mod idle;
pub(crate) mod join;
pub(crate) mod latency;
pub(crate) mod traces;

use crate::measure::Spread;
use crate::peers::Peer;
use crate::plot::{Kind, Panel};

/// Rounds, in each of which every peer has its turn.
const ROUNDS: usize = 3;

fn median(figures: &[f64]) -> f64 {
    Spread::of(figures.iter().copied()).median
}

/// The median with its spread, or that there is none.
fn cell(figures: &[f64], show: fn(f64) -> String) -> String {
    match figures {
        [] => "–".to_owned(),
        _ => Spread::of(figures.iter().copied()).cell(show),
    }
}

/// A bar for each that has figures.
fn bars<'a>(title: &str, figures: impl Iterator<Item = &'a Vec<f64>>, show: fn(f64) -> String) -> Panel {
    let bar = |figures: &Vec<f64>| (!figures.is_empty()).then(|| (median(figures), show(median(figures))));
    Panel { title: title.into(), kind: Kind::Bars(figures.map(bar).collect()) }
}

fn names(peers: &[Peer]) -> Vec<String> {
    peers.iter().map(|peer| peer.name.clone()).collect()
}
