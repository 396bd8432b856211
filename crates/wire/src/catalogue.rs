//! The list of messages: number, name and fields of each. Both encodings are made from it.
//!
//! Numbers and names are the protocol: they are never given to another message. 1 to 15 travel both ways, 16 to 63 up, 64 to
//! 127 down.

use std::sync::Arc;

use rejoin_json::Json;
#[cfg(feature = "json")]
use serde::Deserialize;

use crate::binary::derive::{read_field, write_field};
use crate::binary::{Reader, Wire, Writer};
use crate::change::{DocumentPush, Entry, Header, Outcome};
use crate::error::DecodeErrorKind;
use crate::id::{Counter, DocumentId, MemberId, ReplicaId, Revision, Sequence};
#[cfg(feature = "json")]
use crate::json::present;
use crate::limits::{
    MAX_DOCUMENTS_PER_MESSAGE, MAX_ENTRIES_PER_MESSAGE, MAX_ITEMS_PER_MESSAGE, MAX_MEMBERS_PER_MESSAGE,
};
use crate::message::{Cursor, ListItem, Member, Message, OpenDocument, PresenceChange, RelayedMember, Scope};

/// Number and name of the messages that may come between the fragments of another one.
pub(crate) const CONTROL: &[(u8, &str)] = &[(3, "ping"), (4, "pong"), (6, "goodbye")];

/// Whether this build writes the messages of that number: all, or where it only follows, those that do not go down.
const fn travels_up(number: u8) -> bool {
    cfg!(feature = "authority") || number < 64
}

/// Whether this build reads the messages of that number: all, or where it only follows, those that do not go up.
const fn travels_down(number: u8) -> bool {
    cfg!(feature = "authority") || number < 16 || number >= 64
}

macro_rules! messages {
    (
        whole { $($whole_number:literal $whole_name:literal $whole:ident)* }
        fields { $(
            $number:literal $name:literal $variant:ident
            { $($(#[$attribute:meta])* $field:ident: $type:ty $([$limit:expr])?),* $(,)? }
        )* }
    ) => {
        impl Message {
            /// Number, in the binary encoding, and name, in the JSON one, of each type of message.
            pub const KINDS: &'static [(u8, &'static str)] =
                &[$(($whole_number, $whole_name),)* $(($number, $name),)*];

            /// The name of the message's type.
            pub const fn kind(&self) -> &'static str {
                match self {
                    $(Self::$whole(_) => $whole_name,)*
                    $(Self::$variant { .. } => $name,)*
                }
            }
        }

        /// The number of the type, the fields in order, an extension block.
        impl Wire for Message {
            fn write(&self, out: &mut Writer) {
                match self {
                    $(Self::$whole(body) if travels_up($whole_number) => {
                        out.byte($whole_number);
                        body.write(out);
                    })*
                    $(Self::$variant { $($field),* } if travels_up($number) => {
                        out.byte($number);
                        $(write_field!(out, $field $(, $limit)?);)*
                    })*
                    _ => unreachable!("invariant: a build that only follows says nothing that goes down"),
                }
                out.extension();
            }

            fn read(input: &mut Reader<'_>) -> Self {
                let start = input.offset();
                let message = match input.varint() {
                    $($whole_number if travels_down($whole_number) => Self::$whole(Wire::read(input)),)*
                    $($number if travels_down($number) => {
                        $(let $field: $type = read_field!(input, $field $(, $limit)?);)*
                        Self::$variant { $($field),* }
                    })*
                    number => {
                        let name = number.to_string().into_boxed_str();
                        input.fail_at(start, DecodeErrorKind::UnknownType { name });
                        Self::Ping { nonce: 0 }
                    }
                };
                input.extension();
                message
            }
        }

        /// Reads the message of that name from its JSON text; `None` when there is no such message.
        ///
        /// The name is known before the fields are read, so that nothing has to be kept until it turns up.
        #[cfg(feature = "json")]
        pub(crate) fn read_json(name: &str, text: &str) -> Option<Result<Message, serde_json::Error>> {
            Some(match name {
                $($whole_name => serde_json::from_str(text).map(Message::$whole),)*
                $($name => {
                    #[derive(Deserialize)]
                    struct Fields { $($(#[$attribute])* $field: $type),* }
                    serde_json::from_str(text)
                        .map(|Fields { $($field),* }| Message::$variant { $($field),* })
                })*
                _ => return None,
            })
        }
    };
}

messages! {
    whole {
        1 "hello" Hello
        2 "welcome" Welcome
        5 "error" Error
        64 "update" Update
        65 "snapshot" Snapshot
        74 "finding" Finding
    }
    fields {
        3 "ping" Ping { nonce: u64 }
        4 "pong" Pong { nonce: u64 }
        6 "goodbye" Goodbye { code: u16, reason: Arc<str> }

        16 "follow" Follow { scope: Scope, cursor: Option<Cursor> }
        17 "open" Open { documents: Vec<OpenDocument> [MAX_DOCUMENTS_PER_MESSAGE] }
        18 "close" Close { documents: Vec<DocumentId> [MAX_DOCUMENTS_PER_MESSAGE] }
        19 "push" Push { pushes: Vec<DocumentPush> [MAX_DOCUMENTS_PER_MESSAGE] }
        20 "seen_content" SeenContent {
            document: DocumentId,
            replica: ReplicaId,
            counter: Counter,
            #[serde(default, deserialize_with = "present")]
            content: Option<Json>,
            header: Option<Header>,
        }
        21 "presence" Presence {
            document: DocumentId,
            change: PresenceChange,
            member: Option<RelayedMember>,
        }
        22 "history_request" HistoryRequest {
            request: u64,
            document: DocumentId,
            before: Option<Revision>,
            limit: u32,
        }
        23 "inquiry" Inquiry { request: u64, about: Option<OpenDocument> }
        24 "entries" Entries {
            document: DocumentId,
            first: Revision,
            entries: Vec<Entry> [MAX_ENTRIES_PER_MESSAGE],
        }

        66 "outcomes" Outcomes { document: DocumentId, outcomes: Vec<Outcome> [MAX_ITEMS_PER_MESSAGE] }
        67 "need_seen" NeedSeen { document: DocumentId, replica: ReplicaId, counter: Counter }
        68 "forked" Forked { document: DocumentId, replica: ReplicaId, counter: Counter }
        69 "position" Position { sequence: Sequence }
        70 "listing" Listing {
            items: Vec<ListItem> [MAX_DOCUMENTS_PER_MESSAGE],
            position: Sequence,
        }
        72 "members" Members {
            document: DocumentId,
            keyframe: bool,
            members: Vec<Member> [MAX_MEMBERS_PER_MESSAGE],
            left: Vec<MemberId> [MAX_MEMBERS_PER_MESSAGE],
        }
        73 "history_page" HistoryPage {
            request: u64,
            document: DocumentId,
            first: Revision,
            entries: Vec<Entry> [MAX_ENTRIES_PER_MESSAGE],
            more: bool,
        }
        75 "need_entries" NeedEntries { document: DocumentId, after: Revision, until: Revision }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;
    use crate::binary::{from_bytes, to_bytes};
    use crate::testing::samples;

    #[test]
    fn numbers_and_names_are_given_once() {
        let mut numbers: Vec<u8> = Message::KINDS.iter().map(|(number, _)| *number).collect();
        let mut names: Vec<&str> = Message::KINDS.iter().map(|(_, name)| *name).collect();
        numbers.sort_unstable();
        names.sort_unstable();
        assert!(numbers.is_sorted_by(|a, b| a < b) && names.is_sorted_by(|a, b| a < b));
        assert!(numbers.iter().all(|number| (1..128).contains(number)));
        assert!(CONTROL.iter().all(|kind| Message::KINDS.contains(kind)));
    }

    #[test]
    fn the_samples_hold_every_kind() {
        let kinds: Vec<&str> = samples().iter().map(Message::kind).collect();
        assert!(Message::KINDS.iter().all(|(_, name)| kinds.contains(name)), "{kinds:?}");
    }

    #[test]
    fn a_message_begins_with_its_number_and_ends_with_an_extension_block() {
        for message in samples() {
            let bytes = to_bytes(&message);
            let kind = (bytes[0], message.kind());
            assert!(Message::KINDS.contains(&kind), "{kind:?}");
            assert_eq!(bytes.last(), Some(&0));
        }
    }

    #[test]
    fn what_a_later_version_adds_is_skipped() {
        for message in samples() {
            let mut bytes = to_bytes(&message);
            bytes.pop();
            bytes.extend_from_slice(&[4, 1, 2, 7, 7]);
            assert_eq!(from_bytes::<Message>(&bytes).unwrap(), message);
        }
    }

    #[test]
    fn the_name_in_json_is_the_one_of_the_kind() {
        for message in samples() {
            let json = serde_json::to_value(&message).unwrap();
            assert_eq!(json["type"], message.kind());
        }
    }
}
