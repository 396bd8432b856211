//! Limits of the wire. Each bounds memory that a peer could make this side take.

use std::sync::Arc;

/// Largest WebSocket frame in bytes; larger messages travel in fragments, so that a heartbeat never waits behind megabytes.
pub const MAX_FRAME_BYTES: usize = 256 * 1024;

/// Largest message in bytes over all its fragments: a document of 8 MiB with room for its envelope and binary overhead.
pub const MAX_MESSAGE_BYTES: usize = 16 * 1024 * 1024;

/// Bytes that a link may send before it is authenticated.
pub const MAX_BYTES_BEFORE_AUTHENTICATION: usize = 64 * 1024;

/// Changes in one document's push: what the authority accepts in one turn.
pub const MAX_CHANGES_PER_PUSH: usize = 256;

/// Documents in one message that names several.
pub const MAX_DOCUMENTS_PER_MESSAGE: usize = 1_024;

/// Entries in one update or page of history.
pub const MAX_ENTRIES_PER_MESSAGE: usize = 4_096;

/// Members in one presence message.
pub const MAX_MEMBERS_PER_MESSAGE: usize = 4_096;

/// Members below one relay that are present at the same time. The numbers after a relay's own member number are theirs.
pub const MAX_RELAYED_MEMBERS: u32 = 65_535;

/// Members besides its own that a link may show which does not relay: parts of one program, as the tabs of a browser.
pub const MAX_PRESENCE_PARTS: u32 = 16;

/// Conflict records that one change may make, and that may be open in one document: a change that would leave more open is rejected.
pub const MAX_CONFLICTS_PER_CHANGE: usize = 1_000;

/// Bytes of the values and places of all open conflict records of one document, with 512 for each: a change that would leave more is
/// rejected. With the largest document they fit into one message.
pub const MAX_OPEN_CONFLICT_BYTES: usize = 4 * 1024 * 1024;

/// Bytes of one presence state in its canonical form.
pub const MAX_PRESENCE_BYTES: usize = 4 * 1024;

/// Bytes of short texts: principals, agents, tokens, reasons, titles.
pub const MAX_TEXT_BYTES: usize = 4 * 1024;

/// Counters and identity keys that a header may name.
pub const MAX_HEADER_ITEMS: usize = 64;

/// Most bytes of an update of a CRDT document, and of all that a CRDT document holds.
pub const MAX_CRDT_BYTES: usize = 8 * 1024 * 1024;

/// Most updates in which a snapshot tells a CRDT document.
pub const MAX_UPDATES_PER_SNAPSHOT: usize = 16_384;

/// Depth of a JSON value inside a message.
pub const MAX_DEPTH: usize = 64;

/// Depth of a message in its JSON encoding: a value of [`MAX_DEPTH`] and the at most seven levels of objects and lists
/// around it, with room for those that later versions add.
pub const MAX_JSON_DEPTH: usize = MAX_DEPTH + 16;

/// Elements of all lists of one message together. An element takes up to 512 bytes of memory, and as little as two on the
/// wire. A sender that keeps messages of many elements below one MiB never reaches it.
pub const MAX_ITEMS_PER_MESSAGE: usize = 262_144;

/// Operations in one patch: what the authority applies in one go.
pub const MAX_OPERATIONS_PER_PATCH: usize = 10_000;

/// Earlier revisions that a snapshot names, so that a replica finds the last one that both sides have.
pub const MAX_ANCESTORS: usize = 1_024;

/// Runs of own changes that an opened document or a snapshot names: one for each replica id that the sender has had and that
/// still has changes without an outcome.
pub const MAX_RUNS: usize = 64;

/// Protocol versions that a hello names.
pub const MAX_VERSIONS: usize = 16;

/// Largest integer in any message: 2^53 − 1, so that readers of JSON that know only doubles hold it exactly.
pub const MAX_INTEGER: u64 = (1 << 53) - 1;

/// Milliseconds of silence after which the server sends a ping.
pub const HEARTBEAT_INTERVAL_MS: u32 = 30_000;

/// Milliseconds of silence after which a link is dead.
pub const HEARTBEAT_TIMEOUT_MS: u32 = 60_000;

/// Milliseconds in which the first message must have come, and the sender be known.
pub const HELLO_TIMEOUT_MS: u32 = 5_000;

/// Makes a text for a message, cut to [`MAX_TEXT_BYTES`] where it is longer: a reason that quotes foreign text must not make
/// the message one that its receiver refuses.
pub fn short_text(text: &str) -> Arc<str> {
    const MARK: &str = "…";
    if text.len() <= MAX_TEXT_BYTES {
        return Arc::from(text);
    }
    let end = text.floor_char_boundary(MAX_TEXT_BYTES - MARK.len());
    let kept = text.get(..end).unwrap_or_default();
    Arc::from([kept, MARK].concat())
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    #[test]
    fn a_long_text_is_cut_between_characters() {
        let fits = "é".repeat(MAX_TEXT_BYTES / 2);
        assert_eq!(*short_text(&fits), *fits);
        for longer in ["é".repeat(MAX_TEXT_BYTES), format!("x{fits}"), "x".repeat(MAX_TEXT_BYTES + 1)] {
            let cut = short_text(&longer);
            assert!(cut.len() <= MAX_TEXT_BYTES && cut.len() > MAX_TEXT_BYTES - 3);
            assert!(cut.ends_with('…') && longer.starts_with(cut.trim_end_matches('…')));
        }
    }
}
