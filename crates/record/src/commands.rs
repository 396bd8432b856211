//! Commands of a replica, byte by byte.

use rejoin_core::{Base, Command, ConflictChoice, Origin, RequestKey, Seen, State, Token};
use rejoin_json::{ContentHash, Json, Patch};
use rejoin_wire::{
    Body, ChangeHash, ChangeId, ConflictId, DecodeErrorKind, DocumentId, Header, Reader, Revision, Sequence,
    Wire, Writer,
};

use crate::format::kind;
use crate::inputs::{read_grant, write_grant};
use crate::start::MAX_NAME_BYTES;

/// Writes what a command is called with, and gives its kind.
pub(crate) fn write(command: &Command, out: &mut Writer) -> u8 {
    match command {
        Command::Open { document } => about(document, kind::OPEN, out),
        Command::Close { document } => about(document, kind::CLOSE, out),
        Command::Create { document, header, content } => {
            document.write(out);
            header.write(out);
            content.write(out);
            kind::CREATE
        }
        Command::Edit { document, patch, seen } => {
            document.write(out);
            patch.write(out);
            seen.is_some().write(out);
            if let Some(Seen { revision, content }) = seen {
                revision.write(out);
                content.write(out);
            }
            kind::EDIT
        }
        Command::Merge { document, update } => {
            document.write(out);
            update.write(out);
            kind::MERGE
        }
        Command::SetHeader { document, header } => {
            document.write(out);
            header.write(out);
            kind::SET_HEADER
        }
        Command::Delete { document } => about(document, kind::DELETE, out),
        Command::Undelete { document } => about(document, kind::UNDELETE, out),
        Command::Settle { document, conflict, choice } => {
            document.write(out);
            conflict.write(out);
            write_choice(choice, out);
            kind::SETTLE
        }
        Command::DismissRejected { document, change } => {
            document.write(out);
            change.write(out);
            kind::DISMISS_REJECTED
        }
        Command::DismissRecovered { document, number } => {
            document.write(out);
            out.varint(*number);
            kind::DISMISS_RECOVERED
        }
        Command::SetPresence { part, document, state } => {
            out.varint(*part);
            document.write(out);
            state.write(out);
            kind::SET_PRESENCE
        }
        Command::Undo { document } => about(document, kind::UNDO, out),
        Command::Redo { document } => about(document, kind::REDO, out),
        Command::UndoChange { document, change } => {
            document.write(out);
            change.write(out);
            kind::UNDO_CHANGE
        }
        Command::SpeakFor { origin } => {
            out.varint(origin.part);
            out.varint(origin.number);
            kind::SPEAK_FOR
        }
        Command::History { token, document, before, limit } => {
            write_question(*token, document, *before, *limit, out);
            kind::HISTORY
        }
        Command::ShownHistory { token, document, before, limit } => {
            write_question(*token, document, *before, *limit, out);
            kind::SHOWN_HISTORY
        }
        Command::RemoteHistory { token, document, before, limit } => {
            write_question(*token, document, *before, *limit, out);
            kind::REMOTE_HISTORY
        }
        Command::Read { token, document } => {
            out.varint(token.0);
            about(document, kind::READ, out)
        }
        Command::ReadAt { token, document, revision } => {
            out.varint(token.0);
            document.write(out);
            revision.write(out);
            kind::READ_AT
        }
        Command::ReadConflict { token, document, conflict } => {
            out.varint(token.0);
            document.write(out);
            conflict.write(out);
            kind::READ_CONFLICT
        }
        Command::Heads { token, after, limit } => {
            out.varint(token.0);
            after.write(out);
            limit.write(out);
            kind::HEADS
        }
        Command::Repeat { token, grant, document, key } => {
            out.varint(token.0);
            write_grant(grant, out);
            document.write(out);
            write_key(key, out);
            kind::REPEAT
        }
        Command::Submit { token, grant, document, body, base, key } => {
            out.varint(token.0);
            write_grant(grant, out);
            document.write(out);
            body.write(out);
            write_base(base, out);
            key.is_some().write(out);
            if let Some(key) = key {
                write_key(key, out);
            }
            kind::SUBMIT
        }
    }
}

pub(crate) fn read(kind: u8, input: &mut Reader<'_>) -> Command {
    match kind {
        kind::OPEN => Command::Open { document: Wire::read(input) },
        kind::CLOSE => Command::Close { document: Wire::read(input) },
        kind::CREATE => Command::Create {
            document: Wire::read(input),
            header: Header::read(input),
            content: Json::read(input),
        },
        kind::EDIT => {
            let (document, patch) = (DocumentId::read(input), Patch::read(input));
            let seen = bool::read(input)
                .then(|| Seen { revision: Revision::read(input), content: Json::read(input) });
            Command::Edit { document, patch, seen }
        }
        kind::MERGE => Command::Merge { document: Wire::read(input), update: Wire::read(input) },
        kind::SET_HEADER => Command::SetHeader { document: Wire::read(input), header: Header::read(input) },
        kind::DELETE => Command::Delete { document: Wire::read(input) },
        kind::UNDELETE => Command::Undelete { document: Wire::read(input) },
        kind::SETTLE => Command::Settle {
            document: Wire::read(input),
            conflict: ConflictId::read(input),
            choice: read_choice(input),
        },
        kind::DISMISS_REJECTED => {
            Command::DismissRejected { document: Wire::read(input), change: ChangeId::read(input) }
        }
        kind::DISMISS_RECOVERED => {
            Command::DismissRecovered { document: Wire::read(input), number: input.varint() }
        }
        kind::SET_PRESENCE => Command::SetPresence {
            part: input.varint(),
            document: Wire::read(input),
            state: Option::<Json>::read(input),
        },
        kind::UNDO => Command::Undo { document: Wire::read(input) },
        kind::REDO => Command::Redo { document: Wire::read(input) },
        kind::UNDO_CHANGE => {
            Command::UndoChange { document: Wire::read(input), change: ChangeId::read(input) }
        }
        kind::SPEAK_FOR => {
            Command::SpeakFor { origin: Origin { part: input.varint(), number: input.varint() } }
        }
        kind::HISTORY => {
            let (token, document, before, limit) = read_question(input);
            Command::History { token, document, before, limit }
        }
        kind::SHOWN_HISTORY => {
            let (token, document, before, limit) = read_question(input);
            Command::ShownHistory { token, document, before, limit }
        }
        kind::REMOTE_HISTORY => {
            let (token, document, before, limit) = read_question(input);
            Command::RemoteHistory { token, document, before, limit }
        }
        kind::READ => Command::Read { token: Token(input.varint()), document: Wire::read(input) },
        kind::READ_AT => Command::ReadAt {
            token: Token(input.varint()),
            document: Wire::read(input),
            revision: Revision::read(input),
        },
        kind::READ_CONFLICT => Command::ReadConflict {
            token: Token(input.varint()),
            document: Wire::read(input),
            conflict: ConflictId::read(input),
        },
        kind::HEADS => Command::Heads {
            token: Token(input.varint()),
            after: Sequence::read(input),
            limit: u32::read(input),
        },
        kind::REPEAT => Command::Repeat {
            token: Token(input.varint()),
            grant: read_grant(input),
            document: Wire::read(input),
            key: read_key(input),
        },
        kind::SUBMIT => Command::Submit {
            token: Token(input.varint()),
            grant: read_grant(input),
            document: Wire::read(input),
            body: Body::read(input),
            base: read_base(input),
            key: bool::read(input).then(|| read_key(input)),
        },
        tag => {
            input.fail(DecodeErrorKind::UnknownTag { what: "a command", tag: tag.into() });
            Command::SpeakFor { origin: Origin::default() }
        }
    }
}

fn about(document: &DocumentId, kind: u8, out: &mut Writer) -> u8 {
    document.write(out);
    kind
}

fn write_question(
    token: Token,
    document: &DocumentId,
    before: Option<Revision>,
    limit: u32,
    out: &mut Writer,
) {
    out.varint(token.0);
    document.write(out);
    before.write(out);
    limit.write(out);
}

fn read_question(input: &mut Reader<'_>) -> (Token, DocumentId, Option<Revision>, u32) {
    (Token(input.varint()), Wire::read(input), Wire::read(input), Wire::read(input))
}

fn write_choice(choice: &ConflictChoice, out: &mut Writer) {
    match choice {
        ConflictChoice::Keep => out.byte(0),
        ConflictChoice::Current => out.byte(1),
        ConflictChoice::Incoming => out.byte(2),
        ConflictChoice::Base => out.byte(3),
        ConflictChoice::Value(value) => {
            out.byte(4);
            value.write(out);
        }
    }
}

fn read_choice(input: &mut Reader<'_>) -> ConflictChoice {
    let start = input.offset();
    match input.byte() {
        0 => ConflictChoice::Keep,
        1 => ConflictChoice::Current,
        2 => ConflictChoice::Incoming,
        3 => ConflictChoice::Base,
        4 => ConflictChoice::Value(Json::read(input)),
        tag => {
            input.fail_at(start, DecodeErrorKind::UnknownTag { what: "a choice", tag: tag.into() });
            ConflictChoice::Keep
        }
    }
}

fn write_key(key: &RequestKey, out: &mut Writer) {
    let (key, asked) = key.parts();
    out.text(key);
    asked.write(out);
}

fn read_key(input: &mut Reader<'_>) -> RequestKey {
    let key = input.text("the key of a request", MAX_NAME_BYTES);
    RequestKey::from_parts(key, ChangeHash::read(input))
}

fn write_base(base: &Base, out: &mut Writer) {
    match base {
        Base::Current => out.byte(0),
        Base::Exactly(revision) => {
            out.byte(1);
            revision.write(out);
        }
        Base::Revision(revision) => {
            out.byte(2);
            revision.write(out);
        }
        Base::Hash(hash) => {
            out.byte(3);
            hash.write(out);
        }
        Base::Both(revision, hash) => {
            out.byte(4);
            revision.write(out);
            hash.write(out);
        }
        Base::Seen(revision, state) => {
            out.byte(5);
            revision.write(out);
            state.write(out);
        }
    }
}

fn read_base(input: &mut Reader<'_>) -> Base {
    let start = input.offset();
    match input.byte() {
        0 => Base::Current,
        1 => Base::Exactly(Revision::read(input)),
        2 => Base::Revision(Revision::read(input)),
        3 => Base::Hash(ContentHash::read(input)),
        4 => Base::Both(Revision::read(input), ContentHash::read(input)),
        5 => Base::Seen(Revision::read(input), Box::new(State::read(input))),
        tag => {
            input.fail_at(start, DecodeErrorKind::UnknownTag { what: "a base", tag: tag.into() });
            Base::Current
        }
    }
}
