//! One change met with one state: the rules by which both sides decide, over the pure merge of `rejoin-json`.

use std::sync::Arc;

use rejoin_json::{
    Conflict, ConflictKind, Json, Limits, MergeError, MergeOptions, Merged, Operation, Patch, PatchErrorKind,
    PlacePath, Policy, Side, Winner, apply, merge, merge_create, merge_patch, touched,
};
use rejoin_wire::limits::{MAX_CRDT_BYTES, short_text};
use rejoin_wire::{Body, CrdtUpdate, Effect, ErrorCode, Header};

use crate::crdt::Crdt;
use crate::state::{Life, Reverse, State, apply_effect};

/// Why a change cannot take effect.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Refusal {
    /// For programs.
    pub code: ErrorCode,
    /// For people: what is wrong and what to do.
    pub message: Arc<str>,
}

impl Refusal {
    pub(crate) fn new(code: ErrorCode, message: impl Into<Arc<str>>) -> Self {
        // It may quote a path of any length, and is stored and sent as a short text.
        Self { code, message: short_text(&message.into()) }
    }

    fn not_found() -> Self {
        Self::new(ErrorCode::DocumentNotFound, "there is no such document; create it first")
    }

    fn deleted() -> Self {
        Self::new(ErrorCode::DocumentDeleted, "the document is deleted; undelete it first")
    }

    pub(crate) fn too_large() -> Self {
        Self::new(ErrorCode::TooLarge, "the document would be larger than it may be")
    }

    pub(crate) fn depends_on_rejected() -> Self {
        Self::new(
            ErrorCode::DependsOnRejected,
            "the change edits what exists only through an own change that was rejected; make it again on the document as it is",
        )
    }
}

/// What a change does to a state.
#[derive(Clone, Debug)]
pub(crate) struct Outcome {
    pub(crate) effect: Effect,
    pub(crate) state: State,
    pub(crate) reverse: Reverse,
    pub(crate) conflicts: Vec<Conflict>,
    /// True when the effect is just what was submitted.
    pub(crate) exact: bool,
}

/// A change, what its author saw, and the state that it meets.
pub(crate) struct Meeting<'a> {
    pub(crate) body: &'a Body,
    pub(crate) seen: &'a State,
    /// What the author would have seen without own changes that were rejected; absent when there were none.
    pub(crate) clean: Option<&'a State>,
    pub(crate) current: &'a State,
    /// What a patch of a CRDT document says as an update, where somebody has looked into that.
    #[cfg(feature = "crdt")]
    pub(crate) update: Option<&'a CrdtUpdate>,
    /// Whether somebody has looked into how large updates make the document together: here only the bytes are known in which they are told.
    #[cfg(feature = "crdt")]
    pub(crate) is_measured: bool,
    /// Who wrote a place last; asked under the policy `latest` only.
    pub(crate) newer: &'a dyn Fn(&PlacePath) -> Side,
    pub(crate) limits: &'a Limits,
}

/// Decides by the current header's policy; used when the decision binds.
pub(crate) fn decide(meeting: &Meeting<'_>) -> Result<Outcome, Refusal> {
    if let Body::Create { header, .. } | Body::Header { header } = meeting.body {
        header.check().map_err(|error| Refusal::new(ErrorCode::TooLarge, error.to_string()))?;
    }
    if let (Body::Create { .. } | Body::Edit { .. }, Some(_)) = (meeting.body, &meeting.current.crdt) {
        #[cfg(feature = "crdt")]
        if let Body::Edit { .. } = meeting.body {
            return edit_by_update(meeting);
        }
        return Err(updates_only());
    }
    match meeting.body {
        // A revision would make it a document, and everybody would be shown one.
        Body::Void if meeting.current.life == Life::Absent => Err(Refusal::not_found()),
        Body::Void => Ok(unchanged(meeting.current, Effect::Void)),
        Body::Create { header, content } => create(meeting, header, content),
        Body::Edit { patch, .. } => edit(meeting, patch),
        Body::Header { header } => replace_header(meeting, header),
        Body::Delete => delete(meeting),
        Body::Undelete => undelete(meeting),
        Body::Merge { update } => add_update(meeting, update),
    }
}

/// Applies a change to just what its author saw. A change that does not apply there contributes nothing, on every side alike.
pub(crate) fn apply_to_seen(seen: &mut State, body: &Body, limits: &Limits) {
    match body {
        Body::Void => {}
        Body::Create { .. } | Body::Edit { .. } if seen.crdt.is_some() => {}
        Body::Merge { update } => {
            if seen.life != Life::Deleted {
                // A JSON document takes none, for which the authority refuses the change.
                let _ = apply_effect(seen, &Effect::Merged { update: update.clone() }, limits);
            }
        }
        Body::Create { header, content } => {
            if seen.is_alive() {
                let merged = merged_create(seen, content, &|_| Side::Incoming, limits);
                if let Ok(merged) = merged {
                    seen.content = merged.content;
                }
            } else {
                *seen = State::alive(Arc::new(header.clone()), content.clone());
            }
        }
        Body::Edit { patch, .. } => {
            if seen.is_alive() {
                // A refused patch leaves the content as it was; the authority refuses the change for the same reason.
                let _ = apply(&mut seen.content, patch, limits);
            }
        }
        Body::Header { header } => {
            if seen.is_alive() {
                seen.header = Arc::new(header.clone());
            }
        }
        Body::Delete => {
            if seen.is_alive() {
                seen.life = Life::Deleted;
            }
        }
        Body::Undelete => {
            if seen.life == Life::Deleted {
                seen.life = Life::Alive;
            }
        }
    }
}

fn unchanged(current: &State, effect: Effect) -> Outcome {
    let exact = effect == Effect::Void;
    Outcome { effect, state: current.clone(), reverse: Reverse::Nothing, conflicts: Vec::new(), exact }
}

fn effected(meeting: &Meeting<'_>, effect: Effect, exact: bool) -> Result<Outcome, Refusal> {
    let mut state = meeting.current.clone();
    let reverse = apply_effect(&mut state, &effect, meeting.limits)
        .map_err(|error| Refusal::new(ErrorCode::InvalidPatch, error.to_string()))?;
    Ok(Outcome { effect, state, reverse, conflicts: Vec::new(), exact })
}

fn options<'a>(
    header: &'a Header,
    newer: &'a dyn Fn(&PlacePath) -> Side,
    limits: &'a Limits,
) -> MergeOptions<'a> {
    MergeOptions {
        policy: header.policy,
        identity_keys: header.identity.as_slice().into(),
        counters: &header.counters,
        limits: *limits,
        newer,
    }
}

fn merged_create(
    current: &State,
    content: &Json,
    newer: &dyn Fn(&PlacePath) -> Side,
    limits: &Limits,
) -> Result<Merged, Refusal> {
    merge_create(&current.content, content, &options(&current.header, newer, limits)).map_err(refused_merge)
}

fn create(meeting: &Meeting<'_>, header: &Header, content: &Json) -> Result<Outcome, Refusal> {
    if content.encoded_len() > meeting.limits.max_document_bytes {
        return Err(Refusal::new(ErrorCode::TooLarge, "the content is larger than a document may be"));
    }
    if content.depth() > meeting.limits.depth() {
        return Err(Refusal::new(ErrorCode::TooDeep, "the content is nested deeper than a document may be"));
    }
    if !meeting.current.is_alive() {
        return effected(meeting, Effect::Created { header: header.clone(), content: content.clone() }, true);
    }
    let merged = merged_create(meeting.current, content, meeting.newer, meeting.limits)?;
    merged_outcome(meeting, merged, false)
}

fn edit(meeting: &Meeting<'_>, patch: &Patch) -> Result<Outcome, Refusal> {
    match (meeting.seen.life, meeting.current.life) {
        (Life::Absent, _) => return Err(Refusal::not_found()),
        (Life::Deleted, _) => return Err(Refusal::deleted()),
        (Life::Alive, Life::Absent) => return Err(Refusal::depends_on_rejected()),
        (Life::Alive, Life::Alive | Life::Deleted) => {}
    }
    let header = &meeting.current.header;
    let options = options(header, meeting.newer, meeting.limits);
    let merged = match meeting.clean {
        None => merge_patch(&meeting.seen.content, patch, &meeting.current.content, &options)
            .map_err(refused_merge)?,
        Some(clean) => {
            if !clean.is_alive() {
                return Err(Refusal::depends_on_rejected());
            }
            let incoming = transposed(meeting.seen, patch, clean, header, meeting.limits)?;
            merge(&clean.content, &meeting.current.content, &incoming, &options).map_err(refused_merge)?
        }
    };
    let exact = merged.unmerged && meeting.clean.is_none();
    let mut outcome = merged_outcome(meeting, merged, exact)?;
    if meeting.current.life == Life::Deleted {
        outcome.conflicts.push(deleted_document(Winner::Current));
        outcome.exact = false;
    }
    Ok(outcome)
}

/// Updates commute, so that it does not matter what their author saw, but for a deletion.
fn add_update(meeting: &Meeting<'_>, update: &CrdtUpdate) -> Result<Outcome, Refusal> {
    let current = meeting.current;
    if current.crdt.is_none() && current.life != Life::Absent {
        let message = "the document is a JSON document: it is edited by patches, not by updates";
        return Err(Refusal::new(ErrorCode::WrongKind, message));
    }
    if meeting.seen.life == Life::Deleted {
        return Err(Refusal::deleted());
    }
    #[cfg(feature = "crdt")]
    let is_measured = meeting.is_measured;
    #[cfg(not(feature = "crdt"))]
    let is_measured = false;
    let bytes = current.crdt.as_ref().map_or(0, Crdt::bytes) + update.0.len();
    if !is_measured && bytes > meeting.limits.max_document_bytes.min(MAX_CRDT_BYTES) {
        return Err(Refusal::too_large());
    }
    let mut outcome = effected(meeting, Effect::Merged { update: update.clone() }, true)?;
    if current.life == Life::Deleted {
        outcome.conflicts.push(deleted_document(Winner::Current));
        outcome.exact = false;
    }
    Ok(outcome)
}

fn updates_only() -> Refusal {
    let message = "the document is a CRDT document: it is edited by updates, not by patches";
    Refusal::new(ErrorCode::WrongKind, message)
}

/// A patch of what a CRDT document shows.
#[cfg(feature = "crdt")]
fn edit_by_update(meeting: &Meeting<'_>) -> Result<Outcome, Refusal> {
    if meeting.seen.life == Life::Absent {
        return Err(Refusal::not_found());
    }
    let outcome = add_update(meeting, meeting.update.ok_or_else(updates_only)?)?;
    Ok(Outcome { exact: false, ..outcome })
}

/// Carries a patch from what its author saw over to the same without the author's rejected changes.
pub(crate) fn transposed(
    seen: &State,
    patch: &Patch,
    clean: &State,
    header: &Header,
    limits: &Limits,
) -> Result<Json, Refusal> {
    let side = |_: &PlacePath| Side::Incoming;
    let header = Header { policy: Policy::Theirs, ..header.clone() };
    let options = options(&header, &side, limits);
    let carried = merge_patch(&seen.content, patch, &clean.content, &options).map_err(refused_merge)?;
    let places = touched(&seen.content, patch, &header.identity);
    let inside = |conflict: &Conflict| {
        places
            .iter()
            .any(|place| place.overlaps(&conflict.path) && place.steps().len() > conflict.path.steps().len())
    };
    // What was written within a passage that goes with the rejected changes would bring that back.
    let splices = patch.0.iter().any(|operation| matches!(operation, Operation::Splice { .. }));
    let depends = |conflict: &Conflict| match conflict.kind {
        ConflictKind::DeletedCurrent => true,
        ConflictKind::Text if splices => true,
        _ => inside(conflict),
    };
    if carried.conflicts.iter().any(depends) {
        return Err(Refusal::depends_on_rejected());
    }
    Ok(carried.content)
}

fn merged_outcome(meeting: &Meeting<'_>, merged: Merged, exact: bool) -> Result<Outcome, Refusal> {
    if merged.content.encoded_len() > meeting.limits.max_document_bytes {
        return Err(Refusal::new(
            ErrorCode::TooLarge,
            "the document would be larger than it may be; remove something first",
        ));
    }
    if merged.content.depth() > meeting.limits.depth() {
        return Err(Refusal::new(ErrorCode::TooDeep, "the document would be nested deeper than it may be"));
    }
    // Whatever it leaves behind, it is told whole in one message.
    if patch_bytes(&merged.forward) > meeting.limits.max_document_bytes {
        return Err(Refusal::new(
            ErrorCode::TooLarge,
            "the change is larger than a document may be; make it in parts",
        ));
    }
    let state = State { content: merged.content, ..meeting.current.clone() };
    let reverse = if merged.reverse.0.is_empty() { Reverse::Nothing } else { Reverse::Patch(merged.reverse) };
    Ok(Outcome {
        effect: Effect::Patched { patch: merged.forward },
        state,
        reverse,
        conflicts: merged.conflicts,
        exact,
    })
}

/// Bytes of the values of a patch, as JSON.
fn patch_bytes(patch: &Patch) -> usize {
    let bytes = |operation: &Operation| match operation {
        Operation::Add { value, .. } | Operation::Replace { value, .. } | Operation::Test { value, .. } => {
            value.encoded_len()
        }
        Operation::Splice { insert, .. } => insert.len(),
        Operation::Remove { .. } | Operation::Move { .. } | Operation::Copy { .. } => 0,
    };
    patch.0.iter().map(bytes).sum()
}

#[expect(clippy::needless_pass_by_value, reason = "`map_err` gives errors away")]
pub(crate) fn refused_merge(error: MergeError) -> Refusal {
    let code = match &error {
        MergeError::Patch(patch) => match patch.kind {
            PatchErrorKind::TestFailed => ErrorCode::TestFailed,
            _ => ErrorCode::InvalidPatch,
        },
        MergeError::TooDeep { .. } => ErrorCode::TooDeep,
    };
    Refusal::new(code, error.to_string())
}

fn replace_header(meeting: &Meeting<'_>, header: &Header) -> Result<Outcome, Refusal> {
    match (meeting.seen.life, meeting.current.life) {
        (Life::Absent, _) => return Err(Refusal::not_found()),
        (_, Life::Absent) => return Err(Refusal::depends_on_rejected()),
        _ => {}
    }
    let (seen, current) = (&meeting.seen.header, &meeting.current.header);
    let next = Header {
        title: pick(&header.title, &seen.title, &current.title),
        policy: pick(&header.policy, &seen.policy, &current.policy),
        counters: pick(&header.counters, &seen.counters, &current.counters),
        identity: pick(&header.identity, &seen.identity, &current.identity),
    };
    let exact = next == *header;
    effected(meeting, Effect::Header { header: next }, exact)
}

/// The incoming member where the change touched it, else the current one.
fn pick<T: Clone + PartialEq>(incoming: &T, seen: &T, current: &T) -> T {
    if incoming == seen { current.clone() } else { incoming.clone() }
}

fn delete(meeting: &Meeting<'_>) -> Result<Outcome, Refusal> {
    match meeting.current.life {
        Life::Absent if meeting.seen.life == Life::Absent => Err(Refusal::not_found()),
        Life::Absent => Err(Refusal::depends_on_rejected()),
        Life::Deleted => Ok(Outcome { exact: false, ..unchanged(meeting.current, Effect::Void) }),
        Life::Alive => {
            let mut outcome = effected(meeting, Effect::Deleted, true)?;
            let known = meeting.clean.unwrap_or(meeting.seen);
            if known.content != meeting.current.content {
                outcome.conflicts.push(deleted_document(Winner::Incoming));
            }
            Ok(outcome)
        }
    }
}

fn undelete(meeting: &Meeting<'_>) -> Result<Outcome, Refusal> {
    match meeting.current.life {
        Life::Absent if meeting.seen.life == Life::Absent => Err(Refusal::not_found()),
        Life::Absent => Err(Refusal::depends_on_rejected()),
        Life::Alive => Ok(Outcome { exact: false, ..unchanged(meeting.current, Effect::Void) }),
        Life::Deleted => effected(meeting, Effect::Undeleted, true),
    }
}

/// The record of an edit and a deletion that did not see each other. The tombstone has the content, so the record has none.
fn deleted_document(winner: Winner) -> Conflict {
    Conflict {
        path: PlacePath::root(),
        kind: ConflictKind::DeletedDocument,
        base: None,
        current: None,
        incoming: None,
        winner,
        unresolved: false,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::sync::Arc;

    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    fn state(text: &str) -> State {
        let content = Json::parse(&format!(r#"{{"t":"{text}"}}"#), &Limits::default()).unwrap();
        State::alive(Arc::new(Header::default()), content)
    }

    /// Has somebody insert into a text behind so many bytes, who saw a passage in it that was rejected.
    fn carried(seen: &str, at: usize, clean: &str) -> Result<String, ErrorCode> {
        let patch = format!(r#"[{{"op":"splice","path":"/t","at":{at},"remove":0,"insert":"NEW "}}]"#);
        let patch = Patch::parse(&patch, &Limits::default()).unwrap();
        let carried = transposed(&state(seen), &patch, &state(clean), &Header::default(), &Limits::default());
        carried
            .map(|content| content.get("t").unwrap().as_str().unwrap().into())
            .map_err(|refusal| refusal.code)
    }

    #[test]
    fn what_was_written_beside_a_rejected_passage_stays_and_what_was_written_within_it_does_not() {
        let (seen, clean) = ("one two rejected passage three four", "one two three four");
        assert_eq!(carried(seen, 4, clean).unwrap(), "one NEW two three four");
        assert_eq!(carried(seen, 31, clean).unwrap(), "one two three NEW four");
        assert!(carried(seen, 17, clean).is_err());
    }
}
