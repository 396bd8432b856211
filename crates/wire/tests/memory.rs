//! What decoding a message costs in memory, measured.

#![cfg(not(target_arch = "wasm32"))]
#![allow(clippy::unwrap_used, missing_docs)]

use peak_alloc::PeakAlloc;
use rejoin_json::{Json, Operation, Patch, PointerBuf};
use rejoin_wire::limits::{MAX_ITEMS_PER_MESSAGE, MAX_MESSAGE_BYTES, MAX_OPERATIONS_PER_PATCH};
use rejoin_wire::{
    Body, Change, ConflictId, Counter, DocumentId, DocumentPush, Encoding, Message, PushedChange, ReplicaId,
    Revision, UnixMillis, decode_message, encode_message,
};

#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;

const MIB: usize = 1 << 20;

/// Bytes that a list element may cost, with what belongs to it.
const ELEMENT_BYTES: usize = 512;

/// Bytes that a part of a JSON value may cost.
const PART_BYTES: usize = 128;

/// Most bytes that decoding held at once, beyond those of its input.
fn peak(bytes: &[u8], encoding: Encoding) -> usize {
    ALLOCATOR.reset_peak_usage();
    let before = ALLOCATOR.current_usage();
    let outcome = decode_message(bytes, encoding);
    let peak = ALLOCATOR.peak_usage() - before;
    drop(outcome);
    peak
}

fn seen(content: Json) -> Message {
    Message::SeenContent {
        document: DocumentId::new("a").unwrap(),
        replica: ReplicaId(1),
        counter: Counter(1),
        content: Some(content),
        header: None,
    }
}

fn push(changes: usize, body: &Body) -> Message {
    let change = Change {
        replica: ReplicaId(1),
        counter: Counter(1),
        base: Revision(1),
        over: Counter(1),
        time: UnixMillis(1),
        body: body.clone(),
    };
    let changes = vec![PushedChange { change, seen: None }; changes];
    Message::Push {
        pushes: vec![DocumentPush { document: DocumentId::new("a").unwrap(), changes, author: None }],
    }
}

/// Bytes that say each list is a million long, cut off before its elements.
fn lies() -> Vec<Vec<u8>> {
    let million = [0xc0, 0x84, 0x3d];
    let mut lies = Vec::new();
    for kind in 1..=127_u8 {
        lies.push([&[kind][..], &million, &[0; 64]].concat());
        lies.push([&[kind, 1, b'a'][..], &million, &[1; 64]].concat());
    }
    lies
}

#[test]
fn memory_is_bounded_by_what_is_sent() {
    // One test, since the allocator counts for the whole process.
    for lie in lies() {
        assert!(peak(&lie, Encoding::Binary) <= 4 * lie.len() + MIB);
    }

    let ordinary = [
        seen(Json::from("x".repeat(8 * MIB))),
        seen(["a", "b"].map(|text| Json::from(text.repeat(MIB))).into_iter().collect()),
        push(256, &Body::Void),
    ];
    for message in ordinary {
        let bytes = encode_message(&message, Encoding::Binary);
        let peak = peak(&bytes, Encoding::Binary);
        assert!(peak <= 4 * bytes.len() + MIB, "{}: {peak} for {}", message.kind(), bytes.len());
    }

    let remove = || Operation::Remove { path: PointerBuf::new() };
    let patch = Body::Edit {
        patch: Patch((0..MAX_OPERATIONS_PER_PATCH).map(|_| remove()).collect()),
        settles: Vec::new(),
        undoes: None,
    };
    let settle = Body::Edit {
        patch: Patch::new(),
        settles: vec![ConflictId { revision: Revision(0), index: 0 }; MAX_ITEMS_PER_MESSAGE / 2],
        undoes: None,
    };
    for (message, elements) in [
        (push(20, &patch), 20 * MAX_OPERATIONS_PER_PATCH),
        (push(256, &patch), MAX_ITEMS_PER_MESSAGE),
        (push(1, &settle), MAX_ITEMS_PER_MESSAGE / 2),
        (push(4, &settle), MAX_ITEMS_PER_MESSAGE),
    ] {
        let bytes = encode_message(&message, Encoding::Binary);
        let peak = peak(&bytes, Encoding::Binary);
        assert!(peak <= 4 * bytes.len() + MIB + ELEMENT_BYTES * elements, "{peak} for {}", bytes.len());
    }

    let wide = |item: Json, count: usize| seen(Json::from(vec![item; count]));
    for item in [Json::Null, Json::from(0), Json::number(0.5).unwrap(), Json::from(""), Json::from(vec![])] {
        let message = wide(item, MIB);
        // What came as JSON is held a second time while its limits are checked.
        for (encoding, times) in [(Encoding::Binary, 1), (Encoding::Json, 2)] {
            let bytes = encode_message(&message, encoding);
            let peak = peak(&bytes, encoding);
            let bound = 4 * bytes.len() + MIB + times * PART_BYTES * MIB;
            assert!(peak <= bound, "{peak} of {bound} for {}", bytes.len());
        }
    }
    // A byte for each of 16 million parts is refused before the first of them takes memory.
    let bytes = encode_message(&wide(Json::Null, MAX_MESSAGE_BYTES - 64), Encoding::Binary);
    assert!(peak(&bytes, Encoding::Binary) <= MIB);
}
