//! Scripts: what a mock says when, and what it expects. `docs/mock.md` has the rules.

mod line;
mod machine;
mod script;

pub use machine::{Note, Replay};
pub use script::{Script, ScriptError, ScriptErrorKind};
