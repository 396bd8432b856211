//! New inputs out of old ones, by dice.

use crate::dictionary::words;

/// The generator SplitMix64.
#[derive(Clone, Debug)]
pub struct Dice(u64);

impl Dice {
    /// Dice that fall alike for equal seeds.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `end`; 0 where that is 0.
    pub fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % end.max(1) as u64).unwrap_or_default()
    }

    /// A byte.
    pub fn byte(&mut self) -> u8 {
        self.next().to_le_bytes()[0]
    }

    /// Up to so many bytes.
    pub fn bytes(&mut self, most: usize) -> Vec<u8> {
        (0..self.below(most + 1)).map(|_| self.byte()).collect()
    }
}

/// Largest input that is made, in bytes.
const MAX_BYTES: usize = 4 << 10;

/// Makes an input out of one of the seeds, or of two.
pub fn mutated(seeds: &[Vec<u8>], dice: &mut Dice) -> Vec<u8> {
    let one = |dice: &mut Dice| seeds.get(dice.below(seeds.len())).cloned().unwrap_or_default();
    let mut bytes = one(dice);
    for _ in 0..=dice.below(6) {
        let at = dice.below(bytes.len() + 1);
        let length = dice.below(16).min(bytes.len() - at);
        match dice.below(9) {
            0 | 1 => set(&mut bytes, at, |byte| byte ^ 1 << dice.below(8)),
            2 => set(&mut bytes, at, |_| dice.byte()),
            3 => drop(bytes.splice(at..at + length, [])),
            4 => drop(bytes.splice(at..at, dice.bytes(8))),
            5 => {
                let words = words();
                let over = if dice.below(2) == 0 { 0 } else { length };
                drop(bytes.splice(at..at + over, words[dice.below(words.len())].iter().copied()));
            }
            6 => {
                let again = bytes[at..at + length].to_vec();
                let to = dice.below(bytes.len() + 1);
                bytes.splice(to..to, again);
            }
            7 => {
                let other = one(dice);
                let from = dice.below(other.len() + 1);
                bytes.truncate(at);
                bytes.extend_from_slice(&other[from..]);
            }
            _ => bytes.truncate(at),
        }
    }
    bytes.truncate(MAX_BYTES);
    bytes
}

fn set(bytes: &mut [u8], at: usize, change: impl FnOnce(u8) -> u8) {
    if let Some(byte) = bytes.get_mut(at) {
        *byte = change(*byte);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_dice_make_equal_inputs_and_others_others() {
        let seeds = [b"{\"a\":1}".to_vec(), b"[1,2,3]".to_vec()];
        let made = |seed| {
            let mut dice = Dice::new(seed);
            (0..100).map(|_| mutated(&seeds, &mut dice)).collect::<Vec<_>>()
        };
        assert_eq!(made(1), made(1));
        assert_ne!(made(1), made(2));
        assert!(made(1).iter().filter(|input| !seeds.contains(input)).count() > 50);
        assert!(mutated(&[], &mut Dice::new(1)).len() <= MAX_BYTES);
    }
}
