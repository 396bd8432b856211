//! Names of rooms and of clients.

use std::fmt;

use rejoin_wire::{DocumentId, ErrorCode, IdError, MAX_ID_BYTES, WorkspaceId};
use thiserror::Error;

use crate::traits::{ClientIdLike, Refusal, RoomIdLike};

/// The workspace of rooms whose id names none.
pub const DEFAULT_WORKSPACE: &str = "default";

/// Names a room: a document of a workspace.
///
/// Its text is the name of the document, or `workspace/document` where the workspace is not [`DEFAULT_WORKSPACE`]. Each of both has 1 to
/// [`MAX_ID_BYTES`] bytes, no control characters, no `/`, and is neither `.` nor `..`, which browsers take out of addresses. In a path
/// everything that has a meaning there is percent-encoded, the `/` too.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RoomId {
    workspace: WorkspaceId,
    document: DocumentId,
}

/// Says why a text names no room.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum RoomIdError {
    /// The name of the workspace or of the document.
    #[error("the room's name cannot be used: {0}")]
    Name(#[from] IdError),
    /// More than one slash.
    #[error("a room's name has one \"/\" at most, behind its workspace: use another character")]
    Slashes,
    /// A name that stands for a folder.
    #[error("\".\" and \"..\" name no room: use another name")]
    Dots,
    /// A percent sign without two hexadecimal digits.
    #[error("a \"%\" without two hexadecimal digits behind it: write a percent sign itself as %25")]
    Escape,
    /// What the escapes stand for.
    #[error("the room's name is not UTF-8: encode it as that, then percent-encode it")]
    NotUtf8,
}

impl RoomId {
    /// The room that is this document of this workspace.
    ///
    /// # Errors
    ///
    /// [`RoomIdError::Slashes`] and [`RoomIdError::Dots`]: documents may have names that no room has.
    pub fn new(workspace: WorkspaceId, document: DocumentId) -> Result<Self, RoomIdError> {
        for name in [workspace.as_str(), document.as_str()] {
            if name.contains('/') {
                return Err(RoomIdError::Slashes);
            }
            if matches!(name, "." | "..") {
                return Err(RoomIdError::Dots);
            }
        }
        Ok(Self { workspace, document })
    }

    /// Takes a room's name from a segment of a path as it was sent, percent-encoded. A `+` is a plus.
    ///
    /// # Errors
    ///
    /// [`RoomIdError`].
    pub fn from_path(segment: &str) -> Result<Self, RoomIdError> {
        // Three bytes for each of two names and the slash.
        if segment.len() > 3 * (2 * MAX_ID_BYTES + 1) {
            return Err(IdError::TooLong.into());
        }
        let mut bytes = Vec::with_capacity(segment.len());
        let mut rest = segment.as_bytes();
        while let Some((first, behind)) = rest.split_first() {
            rest = behind;
            if *first != b'%' {
                bytes.push(*first);
                continue;
            }
            let digit = |at: usize| behind.get(at).and_then(|digit| char::from(*digit).to_digit(16));
            let (Some(high), Some(low)) = (digit(0), digit(1)) else { return Err(RoomIdError::Escape) };
            bytes.push(u8::try_from(high << 4 | low).map_err(|_| RoomIdError::Escape)?);
            rest = behind.get(2..).unwrap_or_default();
        }
        String::from_utf8(bytes).map_err(|_| RoomIdError::NotUtf8)?.parse()
    }

    /// The workspace to which it belongs: who may join is decided there.
    pub fn workspace(&self) -> &WorkspaceId {
        &self.workspace
    }

    /// The document in it.
    pub fn document(&self) -> &DocumentId {
        &self.document
    }
}

impl std::str::FromStr for RoomId {
    type Err = RoomIdError;

    fn from_str(text: &str) -> Result<Self, RoomIdError> {
        let (workspace, document) = text.split_once('/').unwrap_or((DEFAULT_WORKSPACE, text));
        Self::new(WorkspaceId::new(workspace)?, DocumentId::new(document)?)
    }
}

impl fmt::Display for RoomId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.workspace.as_str() != DEFAULT_WORKSPACE {
            write!(formatter, "{}/", self.workspace)?;
        }
        fmt::Display::fmt(&self.document, formatter)
    }
}

impl RoomIdLike for RoomId {
    fn read(text: &str) -> Result<Self, Refusal> {
        text.parse().map_err(|error: RoomIdError| Refusal::new(ErrorCode::InvalidValue, error.to_string()))
    }
}

/// Names a client: 128 random bits that its driver draws, or that a client that comes back has kept. Shown as a UUID.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ClientId(pub u128);

/// Says that a text is not the id of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("a client id is 32 hexadecimal digits, in groups of 8, 4, 4, 4 and 12 or in one")]
pub struct ClientIdError;

impl fmt::Display for ClientId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = format!("{:032x}", self.0);
        let group = |from, to| digits.get(from..to).unwrap_or_default();
        let groups = [group(0, 8), group(8, 12), group(12, 16), group(16, 20), group(20, 32)];
        formatter.write_str(&groups.join("-"))
    }
}

impl std::str::FromStr for ClientId {
    type Err = ClientIdError;

    fn from_str(text: &str) -> Result<Self, ClientIdError> {
        let lengths: Vec<usize> = text.split('-').map(str::len).take(6).collect();
        if lengths != [32] && lengths != [8, 4, 4, 4, 12] {
            return Err(ClientIdError);
        }
        let digits: String = text.split('-').collect();
        if !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return Err(ClientIdError);
        }
        u128::from_str_radix(&digits, 16).map(Self).map_err(|_| ClientIdError)
    }
}

impl ClientIdLike for ClientId {}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn room(segment: &str) -> Result<String, RoomIdError> {
        let id = RoomId::from_path(segment)?;
        assert_eq!(id.to_string().parse(), Ok(id.clone()));
        Ok(id.to_string())
    }

    #[test]
    fn a_name_is_a_document_of_the_default_workspace_or_of_the_one_before_the_slash() {
        assert_eq!(room("my-room"), Ok("my-room".into()));
        assert_eq!(room("default%2Fmy-room"), Ok("my-room".into()));
        let id = RoomId::from_path("team%2fboard").unwrap();
        assert_eq!((id.workspace().as_str(), id.document().as_str()), ("team", "board"));
        assert_eq!(id.to_string(), "team/board");
    }

    #[test]
    fn what_is_percent_encoded_is_decoded_once() {
        assert_eq!(room("caf%C3%A9%20a+b%3F%23"), Ok("café a+b?#".into()));
        assert_eq!(room("100%2525"), Ok("100%25".into()));
        assert_eq!(room("%5Cx:y@z~"), Ok("\\x:y@z~".into()));
    }

    #[test]
    fn what_names_no_room_is_refused_by_its_reason() {
        let cases = [
            ("", RoomIdError::Name(IdError::Empty)),
            ("%2Froom", RoomIdError::Name(IdError::Empty)),
            ("room%2F", RoomIdError::Name(IdError::Empty)),
            ("a%00b", RoomIdError::Name(IdError::ControlCharacter)),
            ("a%2Fb%2Fc", RoomIdError::Slashes),
            ("%2e%2E", RoomIdError::Dots),
            (".%2Fa", RoomIdError::Dots),
            ("100%", RoomIdError::Escape),
            ("%4", RoomIdError::Escape),
            ("%+1", RoomIdError::Escape),
            ("%zz", RoomIdError::Escape),
            ("%FF", RoomIdError::NotUtf8),
        ];
        for (segment, expected) in cases {
            assert_eq!(room(segment), Err(expected), "{segment}");
        }
    }

    #[test]
    fn a_name_has_as_many_bytes_as_any_id() {
        let longest = "é".repeat(MAX_ID_BYTES / 2);
        let encoded = "%C3%A9".repeat(MAX_ID_BYTES / 2);
        assert_eq!(room(&encoded), Ok(longest));
        let too_long = Err(RoomIdError::Name(IdError::TooLong));
        assert_eq!(room(&"x".repeat(MAX_ID_BYTES + 1)), too_long);
        assert_eq!(room(&"%41".repeat(1_000_000)), too_long);
    }

    #[test]
    fn a_client_id_is_shown_and_read_as_a_uuid() {
        let id = ClientId(0x0011_2233_4455_6677_8899_aabb_ccdd_eeff);
        assert_eq!(id.to_string(), "00112233-4455-6677-8899-aabbccddeeff");
        assert_eq!(id.to_string().parse(), Ok(id));
        assert_eq!("00112233445566778899AABBCCDDEEFF".parse(), Ok(id));
        for text in
            ["", "1", "0011-2233", "+0112233-4455-6677-8899-aabbccddeeff", "é0112233445566778899aabbccddeef"]
        {
            assert_eq!(text.parse::<ClientId>(), Err(ClientIdError), "{text}");
        }
    }
}
