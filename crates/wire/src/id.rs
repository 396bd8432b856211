//! Identifiers and positions. Each is a newtype, so that a revision is never taken for a sequence.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::limits::MAX_INTEGER;

/// Longest document or workspace id in bytes: an id is an index key in every store, and travels in every message.
pub const MAX_ID_BYTES: usize = 128;

/// Says why a text is not an id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// The id is empty.
    #[error("an id must not be empty")]
    Empty,
    /// The id is longer than [`MAX_ID_BYTES`].
    #[error("an id has at most {MAX_ID_BYTES} bytes")]
    TooLong,
    /// The id contains a control character.
    #[error("an id must not contain control characters")]
    ControlCharacter,
    /// A replica id is not 32 hexadecimal digits.
    #[error("a replica id is 32 hexadecimal digits")]
    NotHexadecimal,
}

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(Arc<str>);

        impl Clone for $name {
            // It is cloned in many places, and a page loads each of them.
            #[cfg_attr(target_family = "wasm", inline(never))]
            fn clone(&self) -> Self {
                Self(Arc::clone(&self.0))
            }
        }

        impl $name {
            /// Checks a text and makes it an id: 1 to [`MAX_ID_BYTES`] bytes, no control characters.
            pub fn new(text: &str) -> Result<Self, IdError> {
                if text.is_empty() {
                    Err(IdError::Empty)
                } else if text.len() > MAX_ID_BYTES {
                    Err(IdError::TooLong)
                } else if text.chars().any(char::is_control) {
                    Err(IdError::ControlCharacter)
                } else {
                    Ok(Self(Arc::from(text)))
                }
            }

            /// What stands where none could be read; it names nothing.
            pub(crate) fn unread() -> Self {
                Self(Arc::default())
            }

            /// The id as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&*self.0, formatter)
            }
        }

        impl FromStr for $name {
            type Err = IdError;
            fn from_str(text: &str) -> Result<Self, IdError> {
                Self::new(text)
            }
        }

        impl TryFrom<String> for $name {
            type Error = IdError;
            fn try_from(text: String) -> Result<Self, IdError> {
                Self::new(&text)
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> String {
                id.0.as_ref().to_owned()
            }
        }
    };
}

text_id! {
    /// Names a document inside its workspace.
    DocumentId
}
text_id! {
    /// Names a workspace.
    WorkspaceId
}

/// Names a replica: 128 random bits, drawn when the replica is first created, shown as 32 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ReplicaId(pub u128);

impl fmt::Display for ReplicaId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:032x}", self.0)
    }
}

impl fmt::Debug for ReplicaId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

impl FromStr for ReplicaId {
    type Err = IdError;
    fn from_str(text: &str) -> Result<Self, IdError> {
        if text.len() != 32 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(IdError::NotHexadecimal);
        }
        u128::from_str_radix(text, 16).map(Self).map_err(|_| IdError::NotHexadecimal)
    }
}

impl TryFrom<String> for ReplicaId {
    type Error = IdError;
    fn try_from(text: String) -> Result<Self, IdError> {
        text.parse()
    }
}

impl From<ReplicaId> for String {
    fn from(id: ReplicaId) -> String {
        id.to_string()
    }
}

// Messages carry positions up to `MAX_INTEGER`, so that readers of JSON hold them exactly; larger ones are refused.
macro_rules! position {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub u64);

        impl $name {
            /// The one after this; stays at the largest number, which no real history reaches.
            #[must_use]
            pub const fn next(self) -> Self {
                Self(self.0.saturating_add(1))
            }

            /// The one before this; stays at zero.
            #[must_use]
            pub const fn previous(self) -> Self {
                Self(self.0.saturating_sub(1))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, formatter)
            }
        }
    };
}

position! {
    /// Position in a document's authoritative history: the content after so many accepted changes. 0 is before its creation.
    Revision
}
position! {
    /// Position in a workspace's feed: one number per accepted change, over all its documents.
    Sequence
}
position! {
    /// Number of a change among those that one replica made on one document. The first is 1.
    Counter
}
position! {
    /// Wall-clock time in milliseconds since 1970-01-01 UTC. Only shown, and compared under the policy `latest`.
    UnixMillis
}
position! {
    /// Names one line of history of an authority; a restore from a backup starts another.
    Epoch
}
position! {
    /// Names one connection among the present of a document, as long as it lasts.
    MemberId
}

impl Epoch {
    /// Makes an epoch of random bits, of which it takes as many as a message carries.
    #[must_use]
    pub const fn of_random(bits: u64) -> Self {
        Self(bits & MAX_INTEGER)
    }
}

impl MemberId {
    /// Makes a member id of random bits, of which it takes as many as a message carries.
    #[must_use]
    pub const fn of_random(bits: u64) -> Self {
        Self(bits & MAX_INTEGER)
    }
}

macro_rules! hash {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(pub [u8; 32]);

        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.iter().try_for_each(|byte| write!(formatter, "{byte:02x}"))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.iter().take(4).try_for_each(|byte| write!(formatter, "{byte:02x}"))
            }
        }

        impl TryFrom<String> for $name {
            type Error = &'static str;
            fn try_from(text: String) -> Result<Self, Self::Error> {
                let digit = |at: usize| text.as_bytes().get(at).and_then(|byte| (*byte as char).to_digit(16));
                let mut bytes = [0; 32];
                for (at, byte) in bytes.iter_mut().enumerate() {
                    match (digit(2 * at), digit(2 * at + 1)) {
                        (Some(high), Some(low)) => *byte = u8::try_from(16 * high + low).unwrap_or_default(),
                        _ => return Err("a hash is 64 hexadecimal digits"),
                    }
                }
                if text.len() == 64 { Ok(Self(bytes)) } else { Err("a hash is 64 hexadecimal digits") }
            }
        }

        impl From<$name> for String {
            fn from(hash: $name) -> String {
                hash.to_string()
            }
        }
    };
}

hash! {
    /// SHA-256 of a change's binary form: tells a repeated change from another one under the same counter.
    ChangeHash
}
hash! {
    /// SHA-256 over the previous chain hash and a change hash: equal chains mean equal histories. All zeros before the first revision.
    ChainHash
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    #[test]
    fn an_id_is_short_and_visible() {
        assert_eq!(DocumentId::new(""), Err(IdError::Empty));
        assert_eq!(DocumentId::new("a\nb"), Err(IdError::ControlCharacter));
        let longest = "é".repeat(MAX_ID_BYTES / 2);
        assert_eq!(DocumentId::new(&longest).unwrap().as_str(), longest);
        assert_eq!(DocumentId::new(&format!("{longest}x")), Err(IdError::TooLong));
    }

    #[test]
    fn a_replica_id_is_32_hexadecimal_digits() {
        let id = ReplicaId(0xab);
        assert_eq!(id.to_string(), "000000000000000000000000000000ab");
        assert_eq!(id.to_string().to_uppercase().parse(), Ok(id));
        for text in ["", "ab", "+00000000000000000000000000000ab", "g00000000000000000000000000000ab"] {
            assert_eq!(text.parse::<ReplicaId>(), Err(IdError::NotHexadecimal), "{text}");
        }
    }

    #[test]
    fn a_hash_is_64_hexadecimal_digits() {
        let hash = ChainHash([0xab; 32]);
        assert_eq!(ChainHash::try_from(String::from(hash)), Ok(hash));
        for text in ["", "ab", &"ab".repeat(33), &"xy".repeat(32), &format!("{}é", "a".repeat(62))] {
            assert!(ChainHash::try_from(text.to_owned()).is_err(), "{text}");
        }
    }

    #[test]
    fn random_positions_fit_into_a_message() {
        assert_eq!(Epoch::of_random(u64::MAX).0, MAX_INTEGER);
        assert_eq!(MemberId::of_random(u64::MAX).0, MAX_INTEGER);
        assert_eq!(Epoch::of_random(7), Epoch(7));
    }
}
