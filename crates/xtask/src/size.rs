//! How large what a page loads is, and whether that is within its budget.

use std::io::Write;

use anyhow::{Result, bail};
use flate2::Compression;
use flate2::write::GzEncoder;

/// The size of a file or of several, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Size {
    pub(crate) raw: usize,
    /// What a page loads is compressed, by gzip unless said otherwise: this is what counts.
    pub(crate) compressed: usize,
}

/// Compresses for good, in the format that browsers call `deflate-raw`: it takes seconds, and saves a twenty-fifth of what gzip leaves.
pub(crate) fn packed(bytes: &[u8]) -> Result<Vec<u8>> {
    let mut packed = Vec::new();
    zopfli::compress(zopfli::Options::default(), zopfli::Format::Deflate, bytes, &mut packed)?;
    Ok(packed)
}

impl Size {
    pub(crate) fn of(bytes: &[u8]) -> Result<Self> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(bytes)?;
        Ok(Self { raw: bytes.len(), compressed: encoder.finish()?.len() })
    }

    pub(crate) fn and(self, other: Self) -> Self {
        Self { raw: self.raw + other.raw, compressed: self.compressed + other.compressed }
    }

    /// Fails above the budget, and says by how much.
    pub(crate) fn within(self, what: &str, budget: usize) -> Result<()> {
        if self.compressed > budget {
            bail!(
                "{what} is {} bytes over its budget: {} compressed bytes, {budget} are allowed",
                self.compressed - budget,
                self.compressed
            );
        }
        Ok(())
    }
}

/// A number of bytes for people.
pub(crate) fn kib(bytes: usize) -> String {
    format!("{:.1} KiB", bytes as f64 / 1024.0)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::io::Read;

    use super::*;

    #[test]
    fn a_size_at_the_budget_is_fine_and_one_byte_more_is_said() {
        let size = Size { raw: 4096, compressed: 1024 };
        assert!(size.within("rejoin", 1024).is_ok());
        let said = size.within("rejoin", 1023).unwrap_err().to_string();
        assert_eq!(said, "rejoin is 1 bytes over its budget: 1024 compressed bytes, 1023 are allowed");
    }

    #[test]
    fn what_is_packed_is_smaller_than_gzip_makes_it_and_can_be_unpacked() {
        let bytes: Vec<u8> = (0..20_000_u32).flat_map(|number| (number * number / 7).to_le_bytes()).collect();
        let packed = packed(&bytes).unwrap();
        assert!(packed.len() < Size::of(&bytes).unwrap().compressed);
        let mut unpacked = Vec::new();
        flate2::read::DeflateDecoder::new(&packed[..]).read_to_end(&mut unpacked).unwrap();
        assert_eq!(unpacked, bytes);
    }

    #[test]
    fn sizes_are_those_of_compressed_bytes_and_add_up() {
        let one = Size::of(&[7; 10_000]).unwrap();
        assert!(one.raw == 10_000 && one.compressed < 100, "{one:?}");
        assert_eq!(one.and(one), Size { raw: 20_000, compressed: 2 * one.compressed });
    }
}
