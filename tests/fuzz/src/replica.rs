//! An authority and a follower between which everything may happen to messages, disks and time.

mod node;
mod pair;

use pair::Pair;

use crate::input::Input;

/// Steps of one input.
const MAX_STEPS: usize = 400;

/// Whatever a peer says and a store answers, replicas go on, come to rest, and serve those who are correct.
pub fn replica(bytes: &[u8]) {
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
