//! How large what a page loads is, and whether that is within its budget.

use std::io::Write;

use anyhow::{Result, bail};
use flate2::Compression;
use flate2::write::GzEncoder;

/// The size of a file or of several, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Size {
    pub(crate) raw: usize,
    /// What a page loads is compressed: this is what counts.
    pub(crate) gzip: usize,
}

impl Size {
    pub(crate) fn of(bytes: &[u8]) -> Result<Self> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(bytes)?;
        Ok(Self { raw: bytes.len(), gzip: encoder.finish()?.len() })
    }

    pub(crate) fn and(self, other: Self) -> Self {
        Self { raw: self.raw + other.raw, gzip: self.gzip + other.gzip }
    }

    /// Fails above the budget, and says by how much.
    pub(crate) fn within(self, what: &str, budget: usize) -> Result<()> {
        if self.gzip > budget {
            bail!(
                "{what} is {} bytes over its budget: {} bytes of gzip, {budget} are allowed",
                self.gzip - budget,
                self.gzip
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

    use super::*;

    #[test]
    fn a_size_at_the_budget_is_fine_and_one_byte_more_is_said() {
        let size = Size { raw: 4096, gzip: 1024 };
        assert!(size.within("rejoin", 1024).is_ok());
        let said = size.within("rejoin", 1023).unwrap_err().to_string();
        assert_eq!(said, "rejoin is 1 bytes over its budget: 1024 bytes of gzip, 1023 are allowed");
    }

    #[test]
    fn sizes_are_those_of_compressed_bytes_and_add_up() {
        let one = Size::of(&[7; 10_000]).unwrap();
        assert!(one.raw == 10_000 && one.gzip < 100, "{one:?}");
        assert_eq!(one.and(one), Size { raw: 20_000, gzip: 2 * one.gzip });
    }
}
