//! Digests by which outputs are compared.

use std::fmt;

const PRIMES: [u32; 5] = [0x9E37_79B1, 0x85EB_CA77, 0xC2B2_AE3D, 0x27D4_EB2F, 0x1656_67B1];

/// xxHash, 32 bits. It tells accidents from what was meant, in a page too, where SHA-256 is either slow or asynchronous.
pub(crate) fn xxh32(bytes: &[u8], seed: u32) -> u32 {
    let round = |lane: u32, word: u32| {
        lane.wrapping_add(word.wrapping_mul(PRIMES[1])).rotate_left(13).wrapping_mul(PRIMES[0])
    };
    let (stripes, rest) = bytes.as_chunks::<16>();
    let mut hash = if stripes.is_empty() {
        seed.wrapping_add(PRIMES[4])
    } else {
        let mut lanes = [
            seed.wrapping_add(PRIMES[0]).wrapping_add(PRIMES[1]),
            seed.wrapping_add(PRIMES[1]),
            seed,
            seed.wrapping_sub(PRIMES[0]),
        ];
        for stripe in stripes {
            for (lane, word) in lanes.iter_mut().zip(stripe.as_chunks::<4>().0) {
                *lane = round(*lane, u32::from_le_bytes(*word));
            }
        }
        let [a, b, c, d] = lanes;
        let ab = a.rotate_left(1).wrapping_add(b.rotate_left(7));
        ab.wrapping_add(c.rotate_left(12)).wrapping_add(d.rotate_left(18))
    };
    // The length counts modulo 2^32.
    #[expect(clippy::cast_possible_truncation, reason = "as the algorithm has it")]
    let length = bytes.len() as u32;
    hash = hash.wrapping_add(length);
    let (words, last) = rest.as_chunks::<4>();
    for word in words {
        let word = u32::from_le_bytes(*word).wrapping_mul(PRIMES[2]);
        hash = hash.wrapping_add(word).rotate_left(17).wrapping_mul(PRIMES[3]);
    }
    for byte in last {
        let byte = u32::from(*byte).wrapping_mul(PRIMES[4]);
        hash = hash.wrapping_add(byte).rotate_left(11).wrapping_mul(PRIMES[0]);
    }
    hash = (hash ^ (hash >> 15)).wrapping_mul(PRIMES[1]);
    hash = (hash ^ (hash >> 13)).wrapping_mul(PRIMES[2]);
    hash ^ (hash >> 16)
}

/// A digest of everything that came out up to here: two xxHashes of 32 bits, each seeded by itself as it was before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Digest([u32; 2]);

impl Default for Digest {
    fn default() -> Self {
        Self([1, 2])
    }
}

impl Digest {
    /// Takes in the next bytes, which are told from the ones before.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0 = self.0.map(|seed| xxh32(bytes, seed));
    }

    /// Its bytes: each half, the lowest byte first.
    pub fn to_bytes(self) -> [u8; 8] {
        let [low, high] = self.0.map(u32::to_le_bytes);
        let mut bytes = [0; 8];
        bytes[..4].copy_from_slice(&low);
        bytes[4..].copy_from_slice(&high);
        bytes
    }

    /// The digest of these [`to_bytes`](Self::to_bytes).
    pub fn from_bytes([a, b, c, d, e, f, g, h]: [u8; 8]) -> Self {
        Self([u32::from_le_bytes([a, b, c, d]), u32::from_le_bytes([e, f, g, h])])
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|half| write!(f, "{half:08x}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_that_of_its_specification() {
        assert_eq!(xxh32(b"", 0), 0x02CC_5D05);
        assert_eq!(xxh32(b"", PRIMES[0]), 0x36B7_8AE7);
        assert_eq!(xxh32(b"a", 0), 0x550D_7456);
        assert_eq!(xxh32(b"abc", 0), 0x32D1_53FF);
        assert_eq!(xxh32(b"Nobody inspects the spammish repetition", 0), 0xE229_3B2F);
    }

    #[test]
    fn a_digest_covers_everything_before_it_and_where_each_part_ends() {
        let of = |parts: &[&[u8]]| {
            let mut digest = Digest::default();
            parts.iter().for_each(|part| digest.update(part));
            digest
        };
        assert_eq!(of(&[b"ab", b"c"]), of(&[b"ab", b"c"]));
        assert_ne!(of(&[b"ab", b"c"]), of(&[b"a", b"bc"]));
        assert_ne!(of(&[b"ab", b"c"]), of(&[b"aB", b"c"]));
        let digest = of(&[b"abc"]);
        assert_eq!(Digest::from_bytes(digest.to_bytes()), digest);
        assert_eq!(digest.to_string().len(), 16);
    }
}
