//! What a program asks of the engine: a value `{"do": NAME, "document": ID, …}` in the compact encoding.
//!
//! | name | besides | answer |
//! |---|---|---|
//! | `open`, `close` | | |
//! | `whole` | | `{"number", "content", "facts", "updates"}`, or null until it has been read |
//! | `create` | `content`, `header`? | the change's name |
//! | `edit` | `patch` | the change's name |
//! | `merge` | `update`, see [`values::text_of`] | the change's name |
//! | `header` | `header` | the change's name |
//! | `delete`, `undelete` | | the change's name |
//! | `settle` | `conflict`, `choice` (`keep`, `current`, `incoming`, `base`) or `value` | the change's name |
//! | `undo` | `change`, which may be an undo | `{"change", "places"}`: places that others have changed since |
//! | `dismissRejected` | `change` | |
//! | `dismissRecovered` | `number` | |
//! | `presence` | `part`, `state`? | |
//! | `history` | `token`, `before`?, `limit`, `remote` | answered by a reply |
//!
//! Those that make a change also take `part` and `number`, by which the engine knows a repeat: that makes no second change, and is answered with
//! `{"kept"}`, which says whether the first one is safe.
//!
//! An `edit` says with `seen` what its tab showed: the number of a telling, `"after"` for what the tab's change before left, or
//! `{"revision", "content"}`. What is not known any more is answered with `unknown_telling`, and nothing has changed.
//!
//! `create` with `unlessExists` is answered with null where the document exists.

use rejoin_core::{ConflictChoice, EditError, Life, Origin, Replica, Seen, Token, Undone};
use rejoin_json::{Json, Patch, PatchError, PatchErrorKind, Policy};
use rejoin_wire::{ChangeId, ConflictId, Counter, DocumentId, Header, ReplicaId, Revision};

use crate::telling::Teller;
use crate::values::{self, change_name, object};

/// Why a command was refused: a code for programs and a sentence for people.
pub(crate) struct Refused {
    code: &'static str,
    message: String,
}

impl Refused {
    pub(crate) fn new(code: &'static str, message: &str) -> Self {
        Self { code, message: message.to_owned() }
    }

    pub(crate) fn to_json(&self) -> Json {
        object([("code", Json::from(self.code)), ("message", Json::from(self.message.as_str()))])
    }

    pub(crate) fn text(&self) -> String {
        format!("{}: {}", self.code, self.message)
    }
}

impl From<EditError> for Refused {
    fn from(error: EditError) -> Self {
        let code = match &error {
            EditError::NotOpen => "not_open",
            EditError::NotFound => "document_not_found",
            EditError::Exists => "document_exists",
            EditError::Deleted => "document_deleted",
            EditError::NotDeleted => "document_not_deleted",
            EditError::Patch(PatchError { kind: PatchErrorKind::TooLarge { .. }, .. }) => "too_large",
            EditError::Patch(_) => "invalid_patch",
            EditError::Refused { code, .. } => code.name(),
            EditError::TooLarge => "too_large",
            EditError::OutboxFull { .. } => "outbox_full",
            EditError::TooManyRejected => "too_many_rejected",
            EditError::Header(_) => "invalid_header",
            EditError::NothingToUndo => "nothing_to_undo",
            EditError::HistoryNotHeld => "history_not_held",
            EditError::NoSuchConflict => "no_such_conflict",
            EditError::PlaceGone => "place_gone",
            EditError::Presence(error) => error.code().name(),
            _ => "refused",
        };
        Self { code, message: error.to_string() }
    }
}

fn invalid(message: &str) -> Refused {
    Refused::new("invalid_command", message)
}

/// Does what a command says.
pub(crate) fn run(replica: &mut Replica, teller: &mut Teller, command: &[u8]) -> Result<Json, Refused> {
    let command = Command(values::read(command)?);
    let name = command.text("do")?;
    let id = DocumentId::new(command.text("document")?)
        .map_err(|error| Refused::new("invalid_document_id", &error.to_string()))?;
    let id = &id;
    match name {
        "open" => {
            teller.open(id);
            replica.open(id);
        }
        "close" => {
            if teller.close(id) {
                replica.close(id);
            }
        }
        "whole" => {
            return Ok(teller.whole(id).unwrap_or_default());
        }
        "dismissRejected" => {
            replica.dismiss_rejected(id, command.change()?);
            teller.look_again(id);
        }
        "dismissRecovered" => {
            replica.dismiss_recovered(id, command.count("number")?);
            teller.look_again(id);
        }
        "presence" => replica.set_presence_of(command.count("part")?, id, command.get("state").cloned())?,
        "history" => {
            let (token, limit) = (Token(command.count("token")?), command.count("limit")?);
            let limit = u32::try_from(limit).unwrap_or(u32::MAX);
            let before = command.get("before").and(command.count("before").ok()).map(Revision);
            if command.get("remote").and_then(Json::as_bool).unwrap_or(false) {
                replica.remote_history(token, id, before, limit);
            } else {
                replica.history(token, id, before, limit);
            }
        }
        _ => return change(replica, teller, id, name, &command),
    }
    Ok(Json::Null)
}

/// Makes a change, unless its tab has made it before.
fn change(
    replica: &mut Replica,
    teller: &mut Teller,
    id: &DocumentId,
    name: &str,
    command: &Command,
) -> Result<Json, Refused> {
    let part = command.count("part")?;
    let origin = Origin { part, number: command.count("number")? };
    let seen = command.seen(teller, id, part)?;
    if let Some(seen) = &seen {
        teller.note_left(id, part, seen.clone(), &command.patch()?);
    }
    match made(replica.speak_for(origin), id, name, command, seen) {
        Err(Unmade::Engine(EditError::MadeBefore { kept })) => Ok(object([("kept", Json::from(kept))])),
        Err(Unmade::Engine(error)) => Err(error.into()),
        Err(Unmade::Command(refused)) => Err(refused),
        Ok(answer) => Ok(answer),
    }
}

enum Unmade {
    Command(Refused),
    Engine(EditError),
}

impl From<Refused> for Unmade {
    fn from(refused: Refused) -> Self {
        Self::Command(refused)
    }
}

impl From<EditError> for Unmade {
    fn from(error: EditError) -> Self {
        Self::Engine(error)
    }
}

fn made(
    replica: &mut Replica,
    id: &DocumentId,
    name: &str,
    command: &Command,
    seen: Option<Seen>,
) -> Result<Json, Unmade> {
    let change = match name {
        "create" => {
            if command.get("unlessExists").is_some()
                && replica.view(id).is_some_and(|view| view.life == Life::Alive)
            {
                return Ok(Json::Null);
            }
            let content = command.get("content").cloned().unwrap_or_default();
            match command.get("header") {
                Some(header) => replica.create_with(id, header_of(header, Header::default())?, content)?,
                None => replica.create(id, content)?,
            }
        }
        "edit" => match seen {
            Some(seen) => replica.edit_on(id, command.patch()?, seen)?,
            None => replica.edit(id, command.patch()?)?,
        },
        "merge" => replica.merge(id, values::update_of(command.text("update")?))?,
        "header" => {
            // Of what there is now, and not of what the tab showed: another tab may have changed another member.
            let header = replica.view(id).map(|view| (*view.header).clone()).unwrap_or_default();
            replica.set_header(id, header_of(command.get("header").unwrap_or(&Json::Null), header)?)?
        }
        "delete" => replica.delete(id)?,
        "undelete" => replica.undelete(id)?,
        "settle" => replica.settle(id, command.conflict()?, command.choice()?)?,
        "undo" => return Ok(undone(&replica.undo_change(id, command.change()?)?)),
        _ => return Err(invalid("there is no command of that name").into()),
    };
    Ok(Json::from(change_name(change)))
}

fn undone(undone: &Undone) -> Json {
    let kept = undone.kept.iter().map(|place| Json::from(place.to_string())).collect();
    object([("change", Json::from(change_name(undone.change))), ("places", kept)])
}

struct Command(Json);

impl Command {
    fn get(&self, name: &str) -> Option<&Json> {
        self.0.get(name)
    }

    fn text(&self, name: &str) -> Result<&str, Refused> {
        self.get(name).and_then(Json::as_str).ok_or_else(|| invalid(name))
    }

    fn count(&self, name: &str) -> Result<u64, Refused> {
        let number = self.get(name).and_then(Json::as_i64).and_then(|number| u64::try_from(number).ok());
        number.ok_or_else(|| invalid(name))
    }

    /// What the tab showed where it made an edit.
    fn seen(&self, teller: &Teller, id: &DocumentId, part: u64) -> Result<Option<Seen>, Refused> {
        let Some(seen) = self.get("seen") else { return Ok(None) };
        let known = match seen {
            Json::String(_) => teller.left(id, part),
            Json::Number(_) => teller.seen(id, self.count("seen")?),
            said => {
                let said = Command(said.clone());
                let content = said.get("content").cloned().unwrap_or_default();
                Some(Seen { revision: Revision(said.count("revision")?), content })
            }
        };
        let unknown = || Refused::new("unknown_telling", "say what was seen");
        known.map(Some).ok_or_else(unknown)
    }

    fn patch(&self) -> Result<Patch, Refused> {
        Patch::from_json(self.get("patch").unwrap_or(&Json::Null))
            .map_err(|error| Refused::new("invalid_patch", &error.to_string()))
    }

    /// A change, by the name that it was told under.
    fn change(&self) -> Result<ChangeId, Refused> {
        let named = || {
            let (replica, counter) = self.get("change")?.as_str()?.split_once('/')?;
            let replica: ReplicaId = replica.parse().ok()?;
            Some(ChangeId { replica, counter: Counter(counter.parse().ok()?) })
        };
        named().ok_or_else(|| invalid("change"))
    }

    /// A conflict, by the name that it was told under.
    fn conflict(&self) -> Result<ConflictId, Refused> {
        let named = || {
            let (revision, index) = self.get("conflict")?.as_str()?.split_once('/')?;
            Some(ConflictId { revision: Revision(revision.parse().ok()?), index: index.parse().ok()? })
        };
        named().ok_or_else(|| invalid("conflict"))
    }

    fn choice(&self) -> Result<ConflictChoice, Refused> {
        if let Some(value) = self.get("value") {
            return Ok(ConflictChoice::Value(value.clone()));
        }
        Ok(match self.text("choice")? {
            "keep" => ConflictChoice::Keep,
            "current" => ConflictChoice::Current,
            "incoming" => ConflictChoice::Incoming,
            "base" => ConflictChoice::Base,
            _ => return Err(invalid("choice")),
        })
    }
}

/// A header; what is not named stays as it is in `header`.
fn header_of(json: &Json, mut header: Header) -> Result<Header, Refused> {
    let invalid = |message: &str| Refused::new("invalid_header", message);
    if let Some(title) = json.get("title") {
        header.title = title.as_str().map(Into::into);
    }
    if let Some(policy) = json.get("policy").and_then(Json::as_str) {
        header.policy = policy.parse::<Policy>().map_err(|_| invalid("there is no policy of that name"))?;
    }
    let texts = |name: &str| json.get(name).and_then(Json::as_array);
    if let Some(counters) = texts("counters") {
        let pointer = |json: &Json| json.as_str()?.to_owned().try_into().ok();
        let pointers = counters.iter().map(pointer).collect::<Option<_>>();
        header.counters = pointers.ok_or_else(|| invalid("counters are pointers such as \"/votes\""))?;
    }
    if let Some(identity) = texts("identity") {
        let keys = identity.iter().map(|key| key.as_str().map(Into::into)).collect::<Option<_>>();
        header.identity = keys.ok_or_else(|| invalid("identity is a list of member names"))?;
    }
    Ok(header)
}
