//! What is checked, each claim by itself.

mod revisions;
mod standing;

pub(crate) use revisions::Revisions;
pub(crate) use standing::Standing;
