//! Tagged unions as they are read from JSON: one struct with the members of all forms.
//!
//! Serde's own reader of tagged unions keeps everything in a buffer until it has seen the tag, in several times the memory
//! of the text; documents are too large for that.

use rejoin_json::{Json, Patch};
use serde::Deserialize;

use super::present;
use crate::change::{Body, ChangeId, ConflictId, Effect, Header};
use crate::crdt::CrdtUpdate;

/// Any form of [`Body`].
#[derive(Deserialize)]
pub(crate) struct FlatBody {
    #[serde(rename = "type")]
    form: BodyForm,
    header: Option<Header>,
    #[serde(default, deserialize_with = "present")]
    content: Option<Json>,
    patch: Option<Patch>,
    #[serde(default)]
    settles: Vec<ConflictId>,
    undoes: Option<ChangeId>,
    update: Option<CrdtUpdate>,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum BodyForm {
    Create,
    Edit,
    Header,
    Delete,
    Undelete,
    Void,
    Merge,
}

impl TryFrom<FlatBody> for Body {
    type Error = Missing;

    fn try_from(flat: FlatBody) -> Result<Self, Missing> {
        Ok(match flat.form {
            BodyForm::Create => Self::Create {
                header: flat.header.ok_or(Missing("header"))?,
                content: flat.content.ok_or(Missing("content"))?,
            },
            BodyForm::Edit => Self::Edit {
                patch: flat.patch.ok_or(Missing("patch"))?,
                settles: flat.settles,
                undoes: flat.undoes,
            },
            BodyForm::Header => Self::Header { header: flat.header.ok_or(Missing("header"))? },
            BodyForm::Delete => Self::Delete,
            BodyForm::Undelete => Self::Undelete,
            BodyForm::Void => Self::Void,
            BodyForm::Merge => Self::Merge { update: flat.update.ok_or(Missing("update"))? },
        })
    }
}

/// Any form of [`Effect`].
#[derive(Deserialize)]
pub(crate) struct FlatEffect {
    #[serde(rename = "type")]
    form: EffectForm,
    header: Option<Header>,
    #[serde(default, deserialize_with = "present")]
    content: Option<Json>,
    patch: Option<Patch>,
    update: Option<CrdtUpdate>,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum EffectForm {
    Own,
    Created,
    Patched,
    Header,
    Deleted,
    Undeleted,
    Void,
    Merged,
}

impl TryFrom<FlatEffect> for Effect {
    type Error = Missing;

    fn try_from(flat: FlatEffect) -> Result<Self, Missing> {
        Ok(match flat.form {
            EffectForm::Own => Self::Own,
            EffectForm::Created => Self::Created {
                header: flat.header.ok_or(Missing("header"))?,
                content: flat.content.ok_or(Missing("content"))?,
            },
            EffectForm::Patched => Self::Patched { patch: flat.patch.ok_or(Missing("patch"))? },
            EffectForm::Header => Self::Header { header: flat.header.ok_or(Missing("header"))? },
            EffectForm::Deleted => Self::Deleted,
            EffectForm::Undeleted => Self::Undeleted,
            EffectForm::Void => Self::Void,
            EffectForm::Merged => Self::Merged { update: flat.update.ok_or(Missing("update"))? },
        })
    }
}

/// A form lacks a member that it needs.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("missing field `{0}`")]
pub(crate) struct Missing(&'static str);
