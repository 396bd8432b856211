//! What the tests share: chance, documents of plain yrs to compare with, and updates by hand.

use rejoin_crdt::{Document, StateVector, Update};
use rejoin_json::Json;
use yrs::updates::decoder::Decode as _;
use yrs::{ClientID, Doc, OffsetKind, Options, ReadTxn as _, Transact as _};

/// Numbers that look drawn, the same in each run.
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// A number below another.
    pub(crate) fn below(&mut self, most: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        ((self.0 >> 16) % most as u64) as usize
    }

    pub(crate) fn pick<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        &all[self.below(all.len())]
    }

    pub(crate) fn shuffle<T>(&mut self, all: &mut [T]) {
        for at in (1..all.len()).rev() {
            all.swap(at, self.below(at + 1));
        }
    }
}

/// A document of plain yrs, as somebody else has it.
pub(crate) fn peer(client: u64) -> Doc {
    let mut options = Options::with_guid_and_client_id("peer".into(), ClientID::new(client));
    options.offset_kind = OffsetKind::Utf16;
    Doc::with_options(options)
}

/// Has plain yrs apply bytes that nobody has checked.
pub(crate) fn take(doc: &Doc, update: &[u8]) {
    doc.transact_mut().apply_update(yrs::Update::decode_v1(update).unwrap()).unwrap();
}

/// All that a plain document holds.
pub(crate) fn whole(doc: &Doc) -> Vec<u8> {
    doc.transact().encode_state_as_update_v1(&yrs::StateVector::default())
}

pub(crate) fn check(bytes: impl Into<bytes::Bytes>) -> Update {
    Update::check(bytes.into(), 1 << 26).unwrap()
}

pub(crate) fn document() -> Document {
    Document::new("here", 1)
}

/// A document that is made of updates, of which none waits.
pub(crate) fn of<'a>(updates: impl IntoIterator<Item = &'a Update>) -> Document {
    let mut document = document();
    for update in updates {
        document.apply(update.clone()).unwrap();
    }
    assert_eq!(document.waiting().len(), 0);
    document
}

/// All that a document holds, with clients in order.
pub(crate) fn sorted(document: &Document) -> bytes::Bytes {
    let nothing = StateVector::check(&[0]).unwrap();
    check(document.since(&nothing).unwrap()).sorted()
}

pub(crate) fn json(text: &str) -> Json {
    Json::parse(text, &rejoin_json::Limits::default()).unwrap()
}

/// Bytes that stand in JSON as base64.
pub(crate) fn base64(text: &str) -> Vec<u8> {
    const DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let digits = text.bytes().filter_map(|byte| DIGITS.iter().position(|digit| *digit == byte));
    let digits: Vec<usize> = digits.collect();
    let groups = digits.chunks(4).flat_map(|digits| {
        let bits = digits.iter().fold(0, |bits, digit| bits << 6 | digit) << (6 * (4 - digits.len()));
        [bits >> 16, bits >> 8, bits].into_iter().take(digits.len() - 1).map(|byte| byte & 0xff)
    });
    groups.map(|byte| u8::try_from(byte).unwrap()).collect()
}

/// An unsigned integer as Yjs writes it.
pub(crate) fn var(mut number: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while number >= 0x80 {
        bytes.push(u8::try_from(number & 0x7f).unwrap() | 0x80);
        number >>= 7;
    }
    bytes.push(u8::try_from(number).unwrap());
    bytes
}
