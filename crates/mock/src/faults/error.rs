//! What is wrong with a fault plan, and where.

use thiserror::Error;

use crate::PatternError;
use crate::limits::{
    MAX_FAULT_COPIES, MAX_FAULT_PLAN_BYTES, MAX_FAULT_RULES, MAX_FAULT_SELECTORS, MAX_FAULT_TIME,
};

/// An error in a fault plan, with its place.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("line {line}, column {column}: {kind}")]
pub struct FaultError {
    pub(super) line: usize,
    pub(super) column: usize,
    pub(super) text: String,
    pub(super) kind: FaultErrorKind,
}

impl FaultError {
    /// The line in which it is; the first is 1.
    pub fn line(&self) -> usize {
        self.line
    }

    /// The character of the line at which it begins; the first is 1.
    pub fn column(&self) -> usize {
        self.column
    }

    /// What is wrong.
    pub fn kind(&self) -> &FaultErrorKind {
        &self.kind
    }

    /// The line as it was written, a caret below the place, and what is wrong there.
    ///
    /// ```
    /// let error = "drop(yjs.step3)".parse::<rejoin_mock::FaultPlan>().unwrap_err();
    /// let shown = "drop(yjs.step3)\n     ^ no message is called \"yjs.step3\"; is it \"yjs.step1\"?";
    /// assert_eq!(error.rendered(), shown);
    /// ```
    pub fn rendered(&self) -> String {
        // A tab stays one, so that both lines are indented alike.
        let indent = self.text.chars().take(self.column.saturating_sub(1));
        let indent: String = indent.map(|it| if it == '\t' { it } else { ' ' }).collect();
        format!("{}\n{indent}^ {}", self.text, self.kind)
    }
}

/// What is wrong with a fault plan.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum FaultErrorKind {
    /// The plan is larger than [`MAX_FAULT_PLAN_BYTES`].
    #[error("a plan has at most {MAX_FAULT_PLAN_BYTES} bytes")]
    TooLong,
    /// There are more rules than [`MAX_FAULT_RULES`].
    #[error("a plan has at most {MAX_FAULT_RULES} rules")]
    TooManyRules,
    /// A rule names more kinds than [`MAX_FAULT_SELECTORS`].
    #[error("a rule names at most {MAX_FAULT_SELECTORS} kinds of messages")]
    TooManyKinds,
    /// Something else should stand here.
    #[error("here should be {0}")]
    Expected(&'static str),
    /// There is no such fault.
    #[error(
        "there is no fault {0:?}: take drop, duplicate, reorder, corrupt, truncate, delay, throttle, stall, half-open or close"
    )]
    UnknownFault(String),
    /// No message is called so.
    #[error("no message is called {name:?}{}", .near.as_ref().map(|near| format!("; is it {near:?}?")).unwrap_or_default())]
    UnknownKind {
        /// What was written.
        name: String,
        /// What may be meant.
        near: Option<String>,
    },
    /// A pattern cannot be used.
    #[error("{0}")]
    Pattern(#[from] PatternError),
    /// The rule says this twice.
    #[error("{0:?} stands twice in one rule")]
    Twice(&'static str),
    /// A chance is from 0 to 1.
    #[error("a chance is from 0 to 1")]
    Chance,
    /// A time is longer than [`MAX_FAULT_TIME`].
    #[error("a time is at most {} hours", MAX_FAULT_TIME.as_secs() / 3_600)]
    Time,
    /// A number is too large or too small for what it says.
    #[error("this is from {0} to {1}")]
    Range(u64, u64),
    /// A close code that no endpoint may send, or a reason that is too long.
    #[error("{0}")]
    Close(&'static str),
}

/// The range of how many copies are made.
pub(super) const COPIES: FaultErrorKind = FaultErrorKind::Range(1, MAX_FAULT_COPIES as u64);
