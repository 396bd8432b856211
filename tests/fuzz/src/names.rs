//! What stands in one text: ids, hashes, times, pointers, places, policies, clocks, and single values of the JSON encoding.

use std::fmt::{Debug, Display};
use std::str::FromStr;

use rejoin_core::{Causality, VectorClock};
use rejoin_json::{ContentHash, Json, Operation, Patch, PlacePath, Pointer, PointerBuf, Policy};
use rejoin_wire::{
    ChainHash, Change, ConflictRecord, DocumentId, Entry, Header, ReplicaId, RequestId, Rfc3339, Snapshot,
    WorkspaceId,
};
use serde::Serialize;
use serde::de::DeserializeOwned;

const NAMES: &[fn(&str)] = &[
    is_spoken_again::<DocumentId>,
    is_spoken_again::<WorkspaceId>,
    is_spoken_again::<ReplicaId>,
    is_spoken_again::<ContentHash>,
    is_spoken_again::<Rfc3339>,
    is_spoken_again::<Policy>,
    chain_hash,
    pointer,
    is_written_again::<PlacePath>,
    is_written_again::<Patch>,
    is_written_again::<Operation>,
    is_written_again::<RequestId>,
    is_written_again::<Change>,
    is_written_again::<ConflictRecord>,
    is_written_again::<Entry>,
    is_written_again::<Header>,
    is_written_again::<Snapshot>,
    is_written_again::<Json>,
    clocks,
];

/// A text behind the number of its kind.
pub(crate) fn names(bytes: &[u8]) {
    let Some((kind, bytes)) = bytes.split_first() else { return };
    if let (Some(check), Ok(text)) = (NAMES.get(usize::from(*kind) % NAMES.len()), std::str::from_utf8(bytes))
    {
        check(text);
    }
}

fn is_spoken_again<T: FromStr + Display + PartialEq + Debug>(text: &str) {
    if let Ok(name) = text.parse::<T>() {
        assert_eq!(name.to_string().parse().ok(), Some(name));
    }
}

fn is_written_again<T: DeserializeOwned + Serialize + PartialEq + Debug>(text: &str) {
    if let Ok(value) = serde_json::from_str::<T>(text) {
        let again = serde_json::to_string(&value).expect("what was read can be written");
        assert_eq!(serde_json::from_str(&again).ok(), Some(value));
    }
}

fn chain_hash(text: &str) {
    if let Ok(hash) = ChainHash::try_from(text.to_owned()) {
        assert_eq!(ChainHash::try_from(hash.to_string()), Ok(hash));
    }
}

/// A pointer is the list of its tokens.
fn pointer(text: &str) {
    let Ok(pointer) = PointerBuf::parse(text) else { return };
    let tokens: Vec<String> = pointer.tokens().map(|token| token.decoded().into_owned()).collect();
    assert_eq!(PointerBuf::from_tokens(&tokens), pointer);
    assert_eq!(Pointer::parse(pointer.as_str()).map(Pointer::to_buf), Ok(pointer));
}

/// Two clocks, line by line: merged they have seen what both have, in either order.
fn clocks(text: &str) {
    let (one, other) = text.split_once('\n').unwrap_or((text, "{}"));
    let read = |text| serde_json::from_str::<VectorClock>(text).ok();
    let (Some(one), Some(other)) = (read(one), read(other)) else { return };
    is_written_again::<VectorClock>(text.split_once('\n').map_or(text, |(one, _)| one));
    let (mut merged, mut turned) = (one.clone(), other.clone());
    merged.merge(&other);
    turned.merge(&one);
    assert_eq!(merged, turned);
    assert!(one.iter().chain(other.iter()).all(|change| merged.has_seen(change)));
    assert!(matches!(merged.compare(&one), Causality::Equal | Causality::After));
    assert_eq!(one.compare(&other) == Causality::Concurrent, one.is_concurrent_with(&other));
}
