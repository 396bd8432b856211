//! Updates of CRDT documents: bytes to everybody but the authority, which checks them, and the program that shows them.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::binary::{Reader, Wire, Writer};
use crate::limits::{MAX_CRDT_BYTES, MAX_UPDATES_PER_SNAPSHOT};

/// An update of a CRDT document, in the first format of Yjs. Base64 in JSON.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct CrdtUpdate(pub Bytes);

impl CrdtUpdate {
    /// Says nothing: what creates an empty document.
    pub const fn empty() -> Self {
        Self(Bytes::from_static(&[0, 0]))
    }
}

impl fmt::Debug for CrdtUpdate {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "CrdtUpdate({} bytes)", self.0.len())
    }
}

/// Its length, then the bytes; at most [`MAX_CRDT_BYTES`].
impl Wire for CrdtUpdate {
    fn write(&self, out: &mut Writer) {
        out.bytes(&self.0);
    }

    fn read(input: &mut Reader<'_>) -> Self {
        Self(Bytes::copy_from_slice(input.bytes("an update", MAX_CRDT_BYTES)))
    }
}

impl Serialize for CrdtUpdate {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(&self.0))
    }
}

impl<'de> Deserialize<'de> for CrdtUpdate {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        STANDARD.decode(text.as_bytes()).map(|bytes| Self(bytes.into())).map_err(serde::de::Error::custom)
    }
}

/// What a CRDT document is made of, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Updates(pub Vec<CrdtUpdate>);

/// At most [`MAX_UPDATES_PER_SNAPSHOT`].
impl Wire for Updates {
    fn write(&self, out: &mut Writer) {
        out.list(&self.0);
    }

    fn read(input: &mut Reader<'_>) -> Self {
        Self(input.list("the list `updates`", MAX_UPDATES_PER_SNAPSHOT))
    }
}
