//! Three-way merge: what two people made of one document, as one document in which nothing that either wrote is lost.
//!
//! A merge takes three contents: `base`, from which both sides started; `current`, what stands now; `incoming`, what
//! arrives. It walks the three at once, place by place:
//!
//! | what happened at a place | what becomes of it |
//! |---|---|
//! | one side left it as it was | what the other side has |
//! | both have the same | that |
//! | both have an object | merged key by key; over nothing where the base has no object |
//! | both have an array | merged [element by element](self#arrays) |
//! | both edited a string | diff3: changes apart both survive, [`Text`](ConflictKind::Text) where they overlap |
//! | both changed a counter | the sum of both changes |
//! | one side deleted it, the other wrote into it | what was written stays, recorded as [`DeletedCurrent`](ConflictKind::DeletedCurrent) or [`DeletedIncoming`](ConflictKind::DeletedIncoming) |
//! | one side deleted it, the other deleted part of it | deleted |
//! | anything else | the [policy](Policy) names the winner; the other value is in the record |
//!
//! Every value that either side wrote is in the merged content or in a [`Conflict`]. The result depends on the three values and the options
//! alone, neither on what nodes are shared nor on the platform, so that every replica decides the same; but what is shared costs
//! nothing to look at.
//!
//! # Arrays
//!
//! Elements that are objects with a member `id` (or `key`; see [`MergeOptions::identity_keys`]) whose value is their own are
//! followed by it wherever they stand. Other elements, among them those that share an identity, are aligned by content. Membership and order are merged apart from
//! each other: an element stands where the side that moved it put it, and what both sides put between the same two neighbours
//! stands there side by side, current's first. Positions are nobody's values: where both moved one element, the
//! policy chooses one of two places and nothing is recorded. No element gets an identity twice.
//!
//! An array of nothing but numbers, booleans and nulls whose length nobody changed is a tuple (coordinates, a colour) and is
//! merged index by index, unless a side only put its elements in another order.

use std::{fmt, str::FromStr, sync::Arc};

use jsonptr::PointerBuf;
use serde::{Deserialize, Deserializer, Serialize};

use crate::{
    DiffOptions, Json, Limits, MAX_DEPTH, Object, Patch, PatchError, PlacePath, diff,
    identity::default_identity_keys, invert,
};

mod array;
mod counter;
mod ends;
mod label;
mod matching;
mod naming;
mod replay;
mod sequence;
mod touched;
mod walk;
mod written;

pub use replay::merge_patch;
pub use touched::touched;
use walk::{Deletions, Merger};

/// Who wins where both sides changed one place.
///
/// Text names, in JSON as in configuration: `theirs`, `ours`, `latest`, `manual`; also `client_wins` and `auto` for
/// `theirs` and `server_wins` for `ours`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Policy {
    /// What arrives wins.
    #[default]
    #[serde(alias = "client_wins", alias = "auto")]
    Theirs,
    /// What stands wins.
    #[serde(alias = "server_wins")]
    Ours,
    /// What was written last wins, by [`MergeOptions::newer`].
    Latest,
    /// What stands wins until somebody decides: as `Ours`, and the record is marked unresolved.
    Manual,
}

impl Policy {
    /// The name in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Theirs => "theirs",
            Self::Ours => "ours",
            Self::Latest => "latest",
            Self::Manual => "manual",
        }
    }
}

impl fmt::Display for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A name that is no policy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown merge policy {0:?}: use theirs (client_wins, auto), ours (server_wins), latest or manual")]
pub struct UnknownPolicy(pub Box<str>);

impl FromStr for Policy {
    type Err = UnknownPolicy;

    fn from_str(name: &str) -> Result<Self, UnknownPolicy> {
        match name {
            "theirs" | "client_wins" | "auto" => Ok(Self::Theirs),
            "ours" | "server_wins" => Ok(Self::Ours),
            "latest" => Ok(Self::Latest),
            "manual" => Ok(Self::Manual),
            _ => Err(UnknownPolicy(name.into())),
        }
    }
}

/// One of the two contents that are merged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// What stands.
    Current,
    /// What arrives.
    Incoming,
}

/// How to merge; the default follows the policy `theirs`.
#[derive(Clone)]
pub struct MergeOptions<'a> {
    /// Who wins where both sides changed one place.
    pub policy: Policy,
    /// Members that identify the elements of an array, the first that an element has; see
    /// [`DEFAULT_IDENTITY_KEYS`](crate::DEFAULT_IDENTITY_KEYS).
    pub identity_keys: Arc<[Arc<str>]>,
    /// Places that hold counters. A token `*` matches any key and any element; another token matches a key, or the index of
    /// an element that has it in all three contents.
    pub counters: &'a [PointerBuf],
    /// Bounds on the patch that [`merge_patch`] applies to what was seen. The merged content has no bound of its own: it
    /// is no larger than both sides together, and the caller decides about [`Merged::content`].
    pub limits: Limits,
    /// Says who wrote a place last; asked under [`Policy::Latest`] only.
    pub newer: &'a dyn Fn(&PlacePath) -> Side,
}

impl Default for MergeOptions<'_> {
    fn default() -> Self {
        Self {
            policy: Policy::default(),
            identity_keys: default_identity_keys(),
            counters: &[],
            limits: Limits::default(),
            newer: &incoming_is_newer,
        }
    }
}

fn incoming_is_newer(_: &PlacePath) -> Side {
    Side::Incoming
}

impl fmt::Debug for MergeOptions<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MergeOptions")
            .field("policy", &self.policy)
            .field("identity_keys", &self.identity_keys)
            .field("counters", &self.counters)
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

/// A place that both sides touched, with what either had for it.
///
/// In JSON a value that was not there is left out, and one that was `null` is `null`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Conflict {
    /// The place, in the merged content.
    pub path: PlacePath,
    /// What both started from; `None` where there was nothing.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    pub base: Option<Json>,
    /// What stood; `None` where it had been deleted.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    pub current: Option<Json>,
    /// What arrived; `None` where it was deleted.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    pub incoming: Option<Json>,
    /// Which of them the merged content has.
    pub winner: Winner,
    /// What kind of meeting it was.
    pub kind: ConflictKind,
    /// True under the policy `manual`: somebody has to decide yet.
    pub unresolved: bool,
}

/// A member that is there has a value, even if that is `null`.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Json>, D::Error> {
    Json::deserialize(deserializer).map(Some)
}

/// Whose value a merged content has where the sides met.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Winner {
    /// What stood, also where that is nothing.
    Current,
    /// What arrived, also where that is nothing.
    Incoming,
    /// A text with parts of both; where they overlapped, the policy chose.
    Merged,
}

impl From<Side> for Winner {
    fn from(side: Side) -> Self {
        match side {
            Side::Current => Self::Current,
            Side::Incoming => Self::Incoming,
        }
    }
}

/// How two sides met at a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ConflictKind {
    /// Both changed the value.
    Edited,
    /// Both added something, not the same, where there was nothing.
    Inserted,
    /// Both edited a string, and their changes overlap.
    Text,
    /// Both changed a counter, and the sum is no integer within ±2^53.
    Counter,
    /// Current had deleted what incoming wrote into. What was written stands, except when it is an [`undo`].
    DeletedCurrent,
    /// Incoming deleted what had been written into. What was written stands.
    DeletedIncoming,
    /// The document was deleted while somebody edited it. No merge makes this; it is for whoever keeps documents.
    DeletedDocument,
}

/// The outcome of a merge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Merged {
    /// The merged content. Shares with current what it did not change.
    pub content: Json,
    /// Takes current to the content.
    pub forward: Patch,
    /// Takes the content back to current.
    pub reverse: Patch,
    /// Where both sides touched one place, in the order of the content.
    pub conflicts: Vec<Conflict>,
    /// Whether [`merge_patch`] applied the patch as it is: `forward` equals it, and nothing was in its way.
    pub unmerged: bool,
}

/// Why nothing was merged.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MergeError {
    /// The patch does not apply to what its author saw, or goes beyond the limits.
    #[error("the patch does not apply to the content it was made on: {0}")]
    Patch(#[from] PatchError),
    /// A content nests deeper than any document may.
    #[error("a content is nested {depth} levels deep; at most {MAX_DEPTH} can be merged")]
    TooDeep {
        /// Its depth.
        depth: usize,
    },
}

/// One thing for each of the contents that are merged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Versions<T> {
    base: T,
    current: T,
    incoming: T,
}

impl<T> Versions<T> {
    fn map<U>(self, mut each: impl FnMut(T) -> U) -> Versions<U> {
        Versions { base: each(self.base), current: each(self.current), incoming: each(self.incoming) }
    }

    fn each_ref(&self) -> Versions<&T> {
        Versions { base: &self.base, current: &self.current, incoming: &self.incoming }
    }

    fn into_array(self) -> [T; 3] {
        [self.base, self.current, self.incoming]
    }
}

/// Merges what two sides made of `base`.
///
/// Takes time in proportion to what the three do not share, plus n log n for arrays of n elements that both sides
/// changed otherwise than element by element.
///
/// # Errors
///
/// [`MergeError::TooDeep`] only.
pub fn merge(
    base: &Json,
    current: &Json,
    incoming: &Json,
    options: &MergeOptions<'_>,
) -> Result<Merged, MergeError> {
    merge_with(base, current, incoming, options, Deletions::Yield)
}

/// Merges two contents that were created apart under one name: as [`merge`] over an empty object, so that what differs by
/// key stays side by side. What a counter begins with is a value like any other, not something to be added.
///
/// # Errors
///
/// As [`merge`].
pub fn merge_create(
    current: &Json,
    incoming: &Json,
    options: &MergeOptions<'_>,
) -> Result<Merged, MergeError> {
    let options = MergeOptions { counters: &[], ..options.clone() };
    merge(&Json::Object(Object::new()), current, incoming, &options)
}

/// Takes back a change that made `after` of `before`, in a `current` that others may have edited since.
///
/// This is [`merge`] with `after` as base and `before` as incoming, under the policy `ours` whatever the options say:
/// what others did since stands, and where that is in the way of the undo it is recorded. Deletions differ, since an undo
/// writes nothing new. An element that the change added and others wrote into stays, as in any merge. What the change
/// edited and others deleted stays deleted: nobody expects their own undo to bring back what somebody else threw away.
/// The record, of kind [`DeletedCurrent`](ConflictKind::DeletedCurrent) with current as its winner, has what
/// the undo would have put there.
///
/// # Errors
///
/// As [`merge`].
pub fn undo(
    before: &Json,
    after: &Json,
    current: &Json,
    options: &MergeOptions<'_>,
) -> Result<Merged, MergeError> {
    let options = MergeOptions { policy: Policy::Ours, ..options.clone() };
    merge_with(after, current, before, &options, Deletions::Stand)
}

fn merge_with(
    base: &Json,
    current: &Json,
    incoming: &Json,
    options: &MergeOptions<'_>,
    deletions: Deletions,
) -> Result<Merged, MergeError> {
    let depth = [base, current, incoming].into_iter().map(Json::depth).max().unwrap_or(0);
    if depth > MAX_DEPTH {
        return Err(MergeError::TooDeep { depth });
    }
    let mut merger = Merger::new(options, deletions);
    let content = merger.documents(base, current, incoming);
    let differences = DiffOptions {
        identity_keys: options.identity_keys.clone(),
        align_arrays: options.limits.align_arrays,
        ..DiffOptions::default()
    };
    let forward = diff(current, &content, &differences);
    let reverse =
        invert(current, &forward, &UNLIMITED).unwrap_or_else(|_| diff(&content, current, &differences));
    Ok(Merged { content, forward, reverse, conflicts: merger.into_conflicts(), unmerged: false })
}

/// For a patch of our own making between two contents that are there already.
const UNLIMITED: Limits = Limits {
    max_operations: usize::MAX,
    max_depth: MAX_DEPTH,
    max_copied_bytes: usize::MAX,
    max_spliced_bytes: u64::MAX,
    align_arrays: true,
    max_document_bytes: usize::MAX,
    max_text_bytes: usize::MAX,
};

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    fn json(text: &str) -> Json {
        Json::parse(text, &Limits { max_depth: MAX_DEPTH, ..Limits::default() }).unwrap()
    }

    #[test]
    fn the_patches_of_a_merge_compare_arrays_as_the_limits_say() {
        let text = "x".repeat(1_000);
        let (base, incoming) = (json(&format!("[{text:?},1,2,3,4]")), json(&format!("[{text:?},4,1,2,3]")));
        let current = base.clone();
        let forward = |align_arrays| {
            let options = MergeOptions {
                limits: Limits { align_arrays, ..Limits::default() },
                ..MergeOptions::default()
            };
            let merged = merge(&base, &current, &incoming, &options).unwrap();
            assert_eq!(merged.content, incoming);
            merged.forward.len()
        };
        let place_by_place = forward(false);
        assert_eq!(place_by_place, 4);
        assert!(forward(true) <= place_by_place);
    }

    #[test]
    fn a_policy_is_read_by_all_its_names() {
        let names = [
            ("theirs", Policy::Theirs),
            ("client_wins", Policy::Theirs),
            ("auto", Policy::Theirs),
            ("ours", Policy::Ours),
            ("server_wins", Policy::Ours),
            ("latest", Policy::Latest),
            ("manual", Policy::Manual),
        ];
        for (name, policy) in names {
            assert_eq!(name.parse(), Ok(policy));
            assert_eq!(serde_json::from_value::<Policy>(name.into()).unwrap(), policy);
            assert_eq!(policy.to_string().parse(), Ok(policy));
            assert_eq!(serde_json::to_value(policy).unwrap(), policy.name());
        }
        assert!("Theirs".parse::<Policy>().is_err());
        assert!(serde_json::from_value::<Policy>("last".into()).is_err());
    }

    #[test]
    fn the_deepest_documents_merge() {
        for (open, close) in [("[", "]"), (r#"{"a":"#, "}"), (r#"[{"id":1,"a":"#, "}]")] {
            let levels = open.matches(['[', '{']).count();
            let count = (MAX_DEPTH - 1) / levels;
            let nested = |leaf: &str| json(&format!("{}{leaf}{}", open.repeat(count), close.repeat(count)));
            let (base, current, incoming) = (nested("[1]"), nested("[2]"), nested("[3]"));
            let merged = merge(&base, &current, &incoming, &MergeOptions::default()).unwrap();
            assert!(merged.content == incoming);
            assert_eq!(merged.conflicts.len(), 1);
            assert_eq!(merged.conflicts[0].path.steps().len(), count * levels + 1);
        }
    }

    #[test]
    fn what_nests_too_deep_is_refused() {
        let deep = (0..MAX_DEPTH).fold(json("[]"), |inner, _| Json::from(vec![inner]));
        let error = merge(&deep, &json("[]"), &json("[]"), &MergeOptions::default()).unwrap_err();
        assert_eq!(error, MergeError::TooDeep { depth: MAX_DEPTH + 1 });
    }

    #[test]
    fn a_record_tells_null_from_nothing() {
        let (base, current, incoming) = (json(r#"{"a":null}"#), json(r#"{"a":1}"#), json(r#"{"a":2}"#));
        let merged = merge(&base, &current, &incoming, &MergeOptions::default()).unwrap();
        assert_eq!(merged.conflicts[0].base, Some(Json::Null));
        let text = serde_json::to_string(&merged.conflicts).unwrap();
        assert_eq!(serde_json::from_str::<Vec<Conflict>>(&text).unwrap(), merged.conflicts);
        let created = merge_create(&current, &incoming, &MergeOptions::default()).unwrap();
        assert_eq!(created.conflicts[0].base, None);
        let text = serde_json::to_string(&created.conflicts).unwrap();
        assert_eq!(serde_json::from_str::<Vec<Conflict>>(&text).unwrap(), created.conflicts);
    }

    #[test]
    fn current_stays_the_same_node_where_nothing_changes() {
        let base = json(r#"{"a":[{"id":1,"t":{"x":1}},{"id":2}],"b":{"c":1}}"#);
        let current = json(r#"{"a":[{"id":1,"t":{"x":2}},{"id":2},{"id":3}],"b":{"c":2}}"#);
        let merged = merge(&base, &current, &json(&base.canonical()), &MergeOptions::default()).unwrap();
        assert!(merged.content.ptr_eq(&current));
        assert!(merged.forward.is_empty() && merged.reverse.is_empty());
    }
}
