//! One line of a script, as its JSON has it.

use serde::Deserialize;

/// The keys of a line. One that is not among them is an error: a misspelt one would change what the script does without a word.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawLine {
    pub(super) ts: Option<u64>,
    #[serde(default)]
    pub(super) dir: RawDirection,
    pub(super) text: Option<String>,
    pub(super) binary: Option<String>,
    pub(super) close: Option<RawClose>,
    #[serde(rename = "waitFor", alias = "wait_for")]
    pub(super) wait_for: Option<String>,
    #[serde(alias = "timeout_ms")]
    pub(super) timeout: Option<u64>,
    pub(super) step_id: Option<String>,
    #[serde(alias = "next_step")]
    pub(super) goto_step: Option<String>,
    #[serde(default)]
    pub(super) on_match: Vec<RawBranch>,
    #[serde(default)]
    pub(super) assertions: Vec<RawAssertion>,
    pub(super) expand: Option<bool>,
    #[serde(rename = "loop", default)]
    pub(super) loops: bool,
}

#[derive(Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum RawDirection {
    In,
    #[default]
    Out,
}

/// `true`, a code, or a code with its reason.
#[derive(Deserialize)]
#[serde(untagged, expecting = "close is true, a code, or {\"code\":…,\"reason\":…}")]
pub(super) enum RawClose {
    Plain(bool),
    Code(u16),
    Whole(RawCloseFrame),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawCloseFrame {
    pub(super) code: Option<u16>,
    #[serde(default)]
    pub(super) reason: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawBranch {
    pub(super) pattern: String,
    pub(super) goto_step: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawAssertion {
    pub(super) pattern: String,
    #[serde(default = "yes")]
    pub(super) expected: bool,
    pub(super) description: Option<String>,
}

fn yes() -> bool {
    true
}
