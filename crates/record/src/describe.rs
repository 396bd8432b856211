//! One line for whatever goes in or comes out, for people.

use std::fmt::{self, Write};

use rejoin_core::storage::{Answer, Answered, Operation, Write as StoreWrite};
use rejoin_core::{Command, Event, Input, LinkId, Output, Reply};
use rejoin_engine::{Plain, Value, effect};
use rejoin_json::Json;
use rejoin_wire::{Body, ConflictId, DocumentId, Encoding, Message, around_documents, decode_message};

use crate::format::kind;
use crate::inputs::Recorded;
use crate::page::PageInput;

/// Characters of a value that a line shows.
const MAX_SHOWN: usize = 120;

/// A name and what there is to say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// What it is, in a word or two.
    pub name: &'static str,
    /// The rest, on one line.
    pub detail: String,
}

impl Line {
    pub(crate) fn new(name: &'static str, detail: String) -> Self {
        Self { name, detail }
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)?;
        if self.detail.is_empty() { Ok(()) } else { write!(f, " {}", self.detail) }
    }
}

pub(crate) fn input(input: &Recorded) -> Line {
    let input = match input {
        Recorded::Input(input) => input,
        Recorded::Computed { request, has_failed } => {
            let outcome = if *has_failed { "failed" } else { "done" };
            return Line::new("computed", format!("job {}: {outcome}", request.0));
        }
    };
    match input {
        Input::Timeout => Line::new("timeout", String::new()),
        Input::LinkOpened { link: id, peer } => {
            let rights = if peer.grant.may_edit { "may edit" } else { "may read" };
            let whose = format!("{}, as {:?}, {rights}", link(*id), peer.grant.principal);
            Line::new("link opened", whose)
        }
        Input::Received { link: id, message } => {
            Line::new("received", format!("{}: {}", link(*id), message_line(message)))
        }
        Input::Writable { link: id } => Line::new("writable", link(*id)),
        Input::Granted { link: id, grant } => {
            Line::new("granted", format!("{}: {}", link(*id), cut(&format_args!("{grant:?}"))))
        }
        Input::LinkClosed { link: id, code: None } => Line::new("link closed", link(*id)),
        Input::LinkClosed { link: id, code: Some(code) } => {
            Line::new("link closed", format!("{}, code {code}", link(*id)))
        }
        Input::Stored { request, answer: said } => {
            Line::new("stored", format!("answer {}: {}", request.0, answer(said)))
        }
        Input::StoreReplaced => Line::new("store replaced", String::new()),
        Input::StoreMoved => Line::new("store moved", String::new()),
        Input::Online(true) => Line::new("online", String::new()),
        Input::Online(false) => Line::new("offline", String::new()),
        Input::Clock(unix) => Line::new("clock", format!("{} ms", unix.0)),
        Input::Computed { request, .. } => Line::new("computed", format!("job {}", request.0)),
    }
}

pub(crate) fn command(command: &Command) -> Line {
    let about = |name, document: &DocumentId| Line::new(name, quoted(document));
    let shows = |name, document: &DocumentId, value: &dyn fmt::Debug| {
        Line::new(name, format!("{} {}", quoted(document), cut(&format_args!("{value:?}"))))
    };
    match command {
        Command::Open { document } => about("open", document),
        Command::Close { document } => about("close", document),
        Command::Create { document, content, .. } => shows("create", document, content),
        Command::Edit { document, patch, .. } => shows("edit", document, &patch.to_json()),
        Command::Merge { document, update } => {
            Line::new("merge", format!("{} with {} bytes", quoted(document), update.0.len()))
        }
        Command::SetHeader { document, header } => shows("set header", document, header),
        Command::Delete { document } => about("delete", document),
        Command::Undelete { document } => about("undelete", document),
        Command::Settle { document, choice, .. } => shows("settle", document, choice),
        Command::DismissRejected { document, .. } => about("dismiss rejected", document),
        Command::DismissRecovered { document, .. } => about("dismiss recovered", document),
        Command::SetPresence { document, state, .. } => {
            shows("presence", document, state.as_ref().unwrap_or(&Json::Null))
        }
        Command::Undo { document } => about("undo", document),
        Command::Redo { document } => about("redo", document),
        Command::UndoChange { document, change } => shows("undo change", document, change),
        Command::SpeakFor { origin } => {
            Line::new("speak for", format!("part {}, number {}", origin.part, origin.number))
        }
        Command::History { document, .. } => about("history", document),
        Command::ShownHistory { document, .. } => about("shown history", document),
        Command::RemoteHistory { document, .. } => about("remote history", document),
        Command::Read { document, .. } => about("read", document),
        Command::ReadAt { document, revision, .. } => {
            Line::new("read at", format!("{} revision {}", quoted(document), revision.0))
        }
        Command::ReadConflict { document, conflict, .. } => {
            let ConflictId { revision, index } = conflict;
            Line::new("read conflict", format!("{} conflict {revision}-{index}", quoted(document)))
        }
        Command::Heads { after, limit, .. } => Line::new("heads", format!("{limit} after {}", after.0)),
        Command::Repeat { document, .. } => about("repeat", document),
        Command::Submit { document, body, .. } => match body {
            Body::Create { content, .. } => shows("submit", document, &format_args!("create {content:?}")),
            Body::Edit { patch, .. } => {
                shows("submit", document, &format_args!("edit {:?}", patch.to_json()))
            }
            body => shows("submit", document, body),
        },
    }
}

pub(crate) fn page_input(input: &PageInput) -> Line {
    match input {
        PageInput::Wake => Line::new("wake", String::new()),
        PageInput::Clock(unix) => Line::new("clock", format!("{} ms", unix.0)),
        PageInput::Online(true) => Line::new("online", String::new()),
        PageInput::Online(false) => Line::new("offline", String::new()),
        PageInput::Connected(token) => {
            let token = if token.is_some() { "with a token" } else { "without a token" };
            Line::new("connected", token.to_owned())
        }
        PageInput::Frame(bytes) => Line::new("frame", frame(bytes)),
        PageInput::Closed { code, reason } => {
            let code = code.map_or_else(|| "no code".to_owned(), |code| format!("code {code}"));
            Line::new("closed", format!("{code} {}", cut(reason)))
        }
        PageInput::Stored { request, answer } => {
            let bytes = rejoin_wire::to_bytes(answer).len();
            Line::new("stored", format!("answer {}: {bytes} bytes", request.0))
        }
        PageInput::StoreFailed { request, error } => {
            Line::new("stored", format!("answer {}: {}", request.0, cut(error)))
        }
        PageInput::StoreReplaced => Line::new("store replaced", String::new()),
        PageInput::Command(bytes) => Line::new("command", value(bytes)),
    }
}

pub(crate) fn output(output: &Output) -> Line {
    match output {
        Output::Connect { link: id } => Line::new("connect", link(*id)),
        Output::Transmit { to, payload } => {
            let links: Vec<String> = to.iter().take(8).map(|id| link(*id)).collect();
            let more = if to.len() > 8 { format!(" and {} more", to.len() - 8) } else { String::new() };
            let message = [Encoding::Binary, Encoding::Json]
                .into_iter()
                .find_map(|encoding| decode_message(payload, encoding).ok())
                .map_or_else(String::new, |message| message_line(&message));
            let bytes = payload.len();
            Line::new("transmit", format!("{}{more}: {message} ({bytes} bytes)", links.join(", ")))
        }
        Output::Disconnect { link: id, code, reason } => {
            Line::new("disconnect", format!("{}, {code:?}: {}", link(*id), cut(reason)))
        }
        Output::Store { request, operation: asked } => {
            Line::new("store", format!("request {}: {}", request.0, operation(asked)))
        }
        Output::Compute { request, .. } => Line::new("compute", format!("job {}", request.0)),
        Output::Reply { token, reply } => Line::new("reply", format!("{}: {}", token.0, reply_line(reply))),
        Output::Event(event) => Line::new("event", event_line(event)),
        other => Line::new("output", cut(&format_args!("{other:?}"))),
    }
}

/// Of a page's engine.
pub(crate) fn effect(effect: &Plain) -> Line {
    let parts = effect.to_list().unwrap_or_default();
    let part = |at: usize| parts.get(at).cloned().unwrap_or_default();
    let text = |at: usize| part(at).to_text().unwrap_or_default();
    let number = |at: usize| part(at).as_number().unwrap_or_default();
    let bytes = |at: usize| part(at).to_bytes().unwrap_or_default();
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is a small number")]
    let kind = number(0) as u32;
    match kind {
        effect::CONNECT => Line::new("connect", String::new()),
        effect::FRAME => Line::new("frame", frame(&bytes(1))),
        effect::DISCONNECT => Line::new("disconnect", format!("code {} {}", number(1), cut(&text(2)))),
        effect::STORE => Line::new("store", format!("request {}: {}", number(1), page_operation(&part(2)))),
        effect::REPLY => Line::new("reply", format!("{}: {}", number(1), value(&bytes(2)))),
        effect::EVENT => Line::new("event", value(&bytes(1))),
        effect::TOLD => {
            let said = if part(4).is_null() { bytes(3) } else { bytes(4) };
            let said = if said.is_empty() { bytes(5) } else { said };
            Line::new("told", format!("`{}` number {}: {}", text(1), number(2), value(&said)))
        }
        effect::STATUS => Line::new("status", value(&bytes(1))),
        effect::PRESENT => Line::new("present", format!("`{}` {}", text(1), value(&bytes(2)))),
        effect::KEPT => Line::new("kept", format!("`{}` tab {} change {}", text(1), number(2), number(3))),
        effect::LISTED => Line::new("listed", value(&bytes(1))),
        _ => Line::new("effect", format!("kind {kind}")),
    }
}

/// What a record of a recording without content was.
pub(crate) fn kind_name(kind: u8) -> &'static str {
    match kind {
        kind::START => "start",
        kind::TIMEOUT => "timeout",
        kind::LINK_OPENED => "link opened",
        kind::RECEIVED => "received",
        kind::WRITABLE => "writable",
        kind::GRANTED => "granted",
        kind::LINK_CLOSED => "link closed",
        kind::STORED | kind::PAGE_STORED => "stored",
        kind::STORE_FAILED => "store failed",
        kind::STORE_REPLACED | kind::PAGE_STORE_REPLACED => "store replaced",
        kind::COMPUTED => "computed",
        kind::ONLINE | kind::PAGE_ONLINE => "online or offline",
        kind::CLOCK | kind::PAGE_CLOCK => "clock",
        kind::OPEN => "open",
        kind::CLOSE => "close",
        kind::CREATE => "create",
        kind::EDIT => "edit",
        kind::SET_HEADER => "set header",
        kind::DELETE => "delete",
        kind::UNDELETE => "undelete",
        kind::SETTLE => "settle",
        kind::DISMISS_REJECTED => "dismiss rejected",
        kind::DISMISS_RECOVERED => "dismiss recovered",
        kind::SET_PRESENCE => "presence",
        kind::UNDO => "undo",
        kind::REDO => "redo",
        kind::UNDO_CHANGE => "undo change",
        kind::SPEAK_FOR => "speak for",
        kind::HISTORY => "history",
        kind::SHOWN_HISTORY => "shown history",
        kind::REMOTE_HISTORY => "remote history",
        kind::READ => "read",
        kind::READ_AT => "read at",
        kind::READ_CONFLICT => "read conflict",
        kind::HEADS => "heads",
        kind::REPEAT => "repeat",
        kind::SUBMIT => "submit",
        kind::MERGE => "merge",
        kind::WAKE => "wake",
        kind::CONNECTED => "connected",
        kind::FRAME => "frame",
        kind::CLOSED => "closed",
        kind::COMMAND => "command",
        _ => "unknown",
    }
}

/// What an output of a recording without content was.
pub(crate) fn output_name(is_page: bool, kind: u8) -> &'static str {
    const OUTPUTS: [&str; 8] =
        ["connect", "transmit", "disconnect", "store", "compute", "reply", "event", "output"];
    const EFFECTS: [&str; 11] = [
        "connect",
        "frame",
        "disconnect",
        "store",
        "reply",
        "event",
        "told",
        "status",
        "present",
        "kept",
        "listed",
    ];
    let names: &[&'static str] = if is_page { &EFFECTS } else { &OUTPUTS };
    names.get(usize::from(kind)).copied().unwrap_or("output")
}

fn link(link: LinkId) -> String {
    const UPSTREAM: u64 = 1 << 63;
    if link.0 >= UPSTREAM { format!("link up {}", link.0 - UPSTREAM) } else { format!("link {}", link.0) }
}

fn quoted(document: &DocumentId) -> String {
    format!("`{document}`")
}

fn count(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

fn message_line(message: &Message) -> String {
    match message {
        Message::Push { pushes } => {
            let each = pushes
                .iter()
                .map(|push| format!("{} to {}", count(push.changes.len(), "change"), quoted(&push.document)));
            format!("push, {}", each.collect::<Vec<_>>().join(", "))
        }
        Message::Hello(hello) => format!("hello of replica {}", hello.replica),
        other => cut(&format_args!("{other:?}")),
    }
}

fn answer(answer: &Answer) -> String {
    match answer {
        Err(error) => cut(error),
        Ok(Answered::Meta { records, sequence }) => {
            format!("{}, feed at {}", count(records.len(), "meta record"), sequence.0)
        }
        Ok(Answered::Document(loaded)) => match &loaded.head {
            Some(head) => format!(
                "{} at revision {}, {}, {}",
                quoted(&head.document),
                head.revision.0,
                count(loaded.rows.len(), "row"),
                count(loaded.records.len(), "record")
            ),
            None => format!("no such document, {}", count(loaded.records.len(), "record")),
        },
        Ok(Answered::Changes(rows)) => count(rows.len(), "row"),
        Ok(Answered::Heads(heads)) => count(heads.len(), "head"),
        Ok(Answered::Records(records)) => count(records.len(), "record"),
        Ok(Answered::Committed) => "committed".to_owned(),
    }
}

fn operation(operation: &Operation) -> String {
    match operation {
        Operation::Commit(batch) => {
            let mut documents: Vec<&DocumentId> =
                batch.writes.iter().filter_map(StoreWrite::document).collect();
            documents.dedup();
            let named: Vec<String> = documents.iter().take(4).map(|id| quoted(id)).collect();
            let writes = count(batch.writes.len(), "write");
            if named.is_empty() {
                format!("commit {writes}")
            } else {
                format!("commit {writes}, {}", named.join(", "))
            }
        }
        Operation::LoadMeta => "load meta".to_owned(),
        Operation::LoadDocument { document, .. } => format!("load {}", quoted(document)),
        other => cut(&format_args!("{other:?}")),
    }
}

fn page_operation(operation: &Plain) -> String {
    const NAMES: [&str; 8] = [
        "load meta",
        "load document",
        "load rows",
        "load changes",
        "load outcomes",
        "scan heads",
        "scan records",
        "commit",
    ];
    let parts = operation.to_list().unwrap_or_default();
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is a small number")]
    let kind = parts.first().and_then(Value::as_number).map_or(usize::MAX, |kind| kind as usize);
    let name = NAMES.get(kind).copied().unwrap_or("?");
    match parts.get(1) {
        Some(Plain::Text(document)) => format!("{name} `{document}`"),
        _ if kind == 7 => {
            let writes = parts.get(2).and_then(Value::to_list).map_or(0, |writes| writes.len());
            format!("{name} {}", count(writes, "write"))
        }
        _ => name.to_owned(),
    }
}

fn reply_line(reply: &Reply) -> String {
    match reply {
        Reply::Document(view) => format!("{} at revision {}", quoted(&view.document), view.revision.0),
        Reply::Conflict(read) => {
            format!("{} at revision {}, and a conflict", quoted(&read.view.document), read.view.revision.0)
        }
        Reply::Accepted(accepted) => {
            format!("accepted as revision {} of {}", accepted.revision.0, quoted(&accepted.view.document))
        }
        Reply::Refused { code, message } => format!("refused, {}: {}", code.name(), cut(message)),
        Reply::History(page) => format!("history of {}, {}", quoted(&page.document), page.entries.len()),
        Reply::Heads { heads, .. } => count(heads.len(), "head"),
        other => cut(&format_args!("{other:?}")),
    }
}

fn event_line(event: &Event) -> String {
    cut(&format_args!("{event:?}"))
}

/// What a frame holds, when it holds a whole message.
fn frame(bytes: &[u8]) -> String {
    let whole = match bytes.split_first() {
        Some((0, message)) => decode_message(message, Encoding::Binary).ok(),
        _ => None,
    };
    let size = count(bytes.len(), "byte");
    whole.map_or_else(|| size.clone(), |message| format!("{} ({size})", message_line(&message)))
}

/// A value in the compact encoding.
fn value(bytes: &[u8]) -> String {
    if bytes.is_empty() {
        return String::new();
    }
    around_documents(bytes)
        .map_or_else(|_| count(bytes.len(), "byte"), |value: Json| cut(&format_args!("{value:?}")))
}

/// The beginning of a text, on one line. The rest of a long one is not made.
pub(crate) fn cut(text: &dyn fmt::Display) -> String {
    struct Cut {
        text: String,
        room: usize,
    }
    impl Write for Cut {
        fn write_str(&mut self, text: &str) -> fmt::Result {
            for character in text.chars() {
                if self.room == 0 {
                    return Err(fmt::Error);
                }
                self.room -= 1;
                self.text.push(if character.is_control() { ' ' } else { character });
            }
            Ok(())
        }
    }
    let mut cut = Cut { text: String::new(), room: MAX_SHOWN };
    if write!(cut, "{text}").is_err() {
        cut.text.push('…');
    }
    cut.text
}
