//! An authority and a follower between which everything may happen to messages, disks and time.

mod node;
mod pair;

pub(crate) use node::{Node, Wish, workspace};
use pair::Pair;

use crate::input::Input;

/// Steps of one input.
const MAX_STEPS: usize = 400;

/// Whatever a peer says and a store answers, replicas go on, come to rest, and serve those who are correct.
pub(crate) fn replica(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let mut pair = Pair::new(&mut input);
    for _ in 0..MAX_STEPS {
        if input.is_empty() {
            break;
        }
        pair.step(&mut input);
    }
    pair.come_to_rest();
}

/// The bodies that both replicas have stored after a history drawn by dice, pending and rejected changes among them.
pub(crate) fn bodies_of_a_history() -> Vec<Vec<u8>> {
    let mut bodies = Vec::new();
    for seed in crate::samples::dice().iter().take(HISTORIES) {
        let mut input = Input::new(seed);
        let mut pair = Pair::new(&mut input);
        while !input.is_empty() {
            pair.step(&mut input);
        }
        bodies.extend(pair.bodies().into_iter().filter(|body| body.len() <= MAX_BODY_BYTES));
    }
    bodies.sort();
    bodies.dedup();
    bodies
}

/// Histories that bodies are taken from, and the longest of these.
const HISTORIES: usize = 8;
const MAX_BODY_BYTES: usize = 1_024;
