//! Lists of what keys can be.

#[cfg(any(feature = "conformance", feature = "sqlite", test))]
use rejoin_core::storage::MetaKey;
use rejoin_core::storage::RecordKind;

/// All kinds of records, in the order of their numbers.
pub(crate) const RECORD_KINDS: [RecordKind; 5] =
    [RecordKind::Pending, RecordKind::Rejected, RecordKind::Recovered, RecordKind::Runs, RecordKind::Mended];

/// All names of meta records, in the order of their numbers.
#[cfg(any(feature = "conformance", feature = "sqlite", test))]
pub(crate) const META_KEYS: [MetaKey; 3] = [MetaKey::Identity, MetaKey::Cursor, MetaKey::Epoch];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lists_are_complete_and_in_the_order_of_their_numbers() {
        // A new kind breaks the build here: it belongs into the list above, and into the count.
        let kinds = |kind| match kind {
            RecordKind::Pending
            | RecordKind::Rejected
            | RecordKind::Recovered
            | RecordKind::Runs
            | RecordKind::Mended => 5,
        };
        let keys = |key| match key {
            MetaKey::Identity | MetaKey::Cursor | MetaKey::Epoch => 3,
        };
        assert_eq!(RECORD_KINDS.len(), kinds(RecordKind::Pending));
        assert_eq!(META_KEYS.len(), keys(MetaKey::Identity));
        assert!(RECORD_KINDS.is_sorted_by(|one, next| one < next && (*one as u8) < *next as u8));
        assert!(META_KEYS.is_sorted_by(|one, next| (*one as u8) < *next as u8));
    }
}
