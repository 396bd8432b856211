//! Changes, revisions and snapshots.

use rejoin_json::{ConflictKind, Policy, Winner};

use super::derive::{wire_choices, wire_enums, wire_structs};
use crate::change::{
    Author, Body, Change, ConflictRecord, DocumentPush, Effect, Entry, Fate, Header, Outcome, PendingRun,
    PushedChange, Snapshot, Update,
};
use crate::limits::{
    MAX_ANCESTORS, MAX_CHANGES_PER_PUSH, MAX_CONFLICTS_PER_CHANGE, MAX_ENTRIES_PER_MESSAGE, MAX_HEADER_ITEMS,
    MAX_ITEMS_PER_MESSAGE, MAX_RUNS,
};

wire_structs! {
    Change { replica, counter, base, over, time, body };
    Header { title, policy, counters[MAX_HEADER_ITEMS], identity[MAX_HEADER_ITEMS] };
    ConflictRecord {
        id, change, against, path, kind, base, current, incoming, winner, unresolved, author, time
    } + extension;
    Entry {
        sequence, change, hash, author, time, effect, conflicts[MAX_CONFLICTS_PER_CHANGE],
        settled[MAX_ITEMS_PER_MESSAGE]
    } + extension;
    Update { document, first, previous, entries[MAX_ENTRIES_PER_MESSAGE], position };
    Snapshot {
        document, revision, chain, sequence, version, header, deleted, content,
        conflicts[MAX_ITEMS_PER_MESSAGE], created_at, updated_at, author, ancestors[MAX_ANCESTORS],
        continues, covers[MAX_RUNS], outcomes[MAX_ITEMS_PER_MESSAGE], updates
    };
    PendingRun { replica, first, last };
    Outcome { change, hash, fate };
    DocumentPush { document, changes[MAX_CHANGES_PER_PUSH], author };
    Author { principal, may_edit };
    PushedChange { change, seen } + extension;
}

wire_choices! {
    Policy "policy" { Theirs = 0, Ours = 1, Latest = 2, Manual = 3 }
    Winner "winner" { Current = 0, Incoming = 1, Merged = 2 }
    ConflictKind "kind of conflict" {
        Edited = 0, Inserted = 1, Text = 2, Counter = 3, DeletedCurrent = 4, DeletedIncoming = 5,
        DeletedDocument = 6
    }
}

wire_enums! {
    Body "kind of change" {
        Create { header, content } = 0,
        Edit { patch, settles[MAX_ITEMS_PER_MESSAGE], undoes } = 1,
        Header { header } = 2,
        Delete = 3,
        Undelete = 4,
        Void = 5,
        Merge { update } = 6,
    }
    Effect "effect" {
        Own = 0,
        Created { header, content } = 1,
        Patched { patch } = 2,
        Header { header } = 3,
        Deleted = 4,
        Undeleted = 5,
        Void = 6,
        Merged { update } = 7,
    }
    Fate "fate" {
        Accepted { revision } = 0,
        Rejected { code, message } = 1,
    }
}
