//! The suite that every store is held to.
//!
//! Each case is an async function over a fresh, empty [`TestStore`], and panics where the store is wrong. The
//! cases are async because some stores are; those that are not run them with [`block_on`].
//! [`conformance_cases!`](crate::conformance_cases) names all of them, so that each becomes a test of its own
//! and a new case reaches every adapter:
//!
//! ```ignore
//! macro_rules! cases {
//!     ($($name:ident),* $(,)?) => {
//!         $(#[test]
//!         fn $name() {
//!             rejoin_store::conformance::block_on(rejoin_store::conformance::$name(open_empty_store()));
//!         })*
//!     };
//! }
//! rejoin_store::conformance_cases!(cases);
//! ```

// The suite is test code: a store that answers an error where none is due fails the case.
#![allow(clippy::unwrap_used)]

mod durability;
mod model;
mod reads;
mod removal;
pub mod sample;
mod values;
mod writes;

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use rejoin_core::storage::{
    Answer, Answered, Batch, ChangeRow, Head, Loaded, Operation, RecordKey, StoreError, Write,
};
use rejoin_wire::{DocumentId, Revision, WorkspaceId};

use crate::limits;

pub use self::durability::*;
pub use self::model::*;
pub use self::reads::*;
pub use self::removal::*;
pub use self::values::*;
pub use self::writes::*;

/// A store under test.
pub trait TestStore {
    /// The largest revision, feed number, counter or record number that it takes.
    const MAX_POSITION: u64 = limits::MAX_POSITION;

    /// Performs one operation and waits for its answer.
    fn execute(&mut self, workspace: &WorkspaceId, operation: Operation) -> impl Future<Output = Answer>;

    /// Closes the store in order, and opens it again.
    fn reopen(&mut self) -> impl Future<Output = ()>;

    /// Ends the store without closing it, as a killed process does, and opens what it left.
    fn kill(&mut self) -> impl Future<Output = ()>;

    /// Puts something into the head of a document, in all workspaces, that nobody can read. False where heads cannot be spoiled.
    fn spoil_head(&mut self, document: &DocumentId) -> impl Future<Output = bool>;

    /// Lets the store hold about so many bytes, or as many as it likes.
    fn limit(&mut self, max_bytes: Option<u64>) -> impl Future<Output = ()>;
}

/// Calls a macro with the names of all cases.
#[macro_export]
macro_rules! conformance_cases {
    ($callback:ident) => {
        $callback!(
            a_batch_takes_effect_as_a_whole,
            a_batch_that_fails_in_the_middle_leaves_nothing,
            a_batch_fails_when_a_document_is_not_at_the_expected_revision,
            every_expectation_of_a_batch_must_hold,
            a_batch_fails_when_the_feed_has_gone_on,
            writes_of_a_batch_happen_in_order,
            an_empty_batch_commits,
            a_row_of_changes_is_written_once,
            a_counter_of_a_replica_begins_one_row,
            rows_of_the_authority_share_counters,
            a_store_without_anything_answers_with_nothing,
            a_document_loads_from_its_newest_checkpoint,
            a_document_loads_from_an_older_checkpoint,
            rows_are_read_page_by_page_with_those_of_rejections,
            a_row_is_written_in_the_place_of_one_that_is_spoiled,
            heads_are_listed_in_feed_order_page_by_page,
            a_head_that_cannot_be_read_is_passed_over,
            rows_are_found_by_their_revisions,
            rows_that_hold_only_rejections_are_found_by_counter,
            rows_are_found_by_their_counters,
            records_are_listed_by_kind_page_by_page,
            meta_records_are_replaced_one_by_one,
            a_meta_record_is_added_once,
            workspaces_do_not_see_each_other,
            trimming_removes_rows_up_to_a_revision,
            dropping_checkpoints_keeps_the_newer_ones,
            dropping_what_is_not_there_is_no_error,
            purging_removes_everything_of_one_document,
            large_bodies_come_back_whole,
            bodies_are_bytes_whatever_they_say,
            awkward_ids_stay_apart,
            texts_keep_every_character,
            numbers_up_to_the_largest_keep_their_order,
            numbers_beyond_the_largest_are_refused,
            what_was_committed_survives_closing,
            what_was_committed_survives_a_kill,
            a_failed_batch_is_not_there_after_a_kill,
            a_full_store_refuses_the_batch_and_goes_on,
            random_operations_are_answered_as_by_the_model,
        );
    };
}

/// Runs a case of a store that answers at once.
///
/// # Panics
///
/// When the case waits: an asynchronous store needs its own runtime.
pub fn block_on(case: impl Future<Output = ()>) {
    let mut case = pin!(case);
    match case.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(()) => (),
        Poll::Pending => panic!("this store does not answer at once; run the case on its runtime"),
    }
}

/// The shorthands of the cases: each performs one operation that must succeed, and unwraps its answer.
trait Shorthand: TestStore {
    async fn try_commit(&mut self, workspace: &WorkspaceId, writes: Vec<Write>) -> Result<(), StoreError> {
        self.try_commit_expecting(workspace, vec![], writes).await
    }

    async fn try_commit_expecting(
        &mut self,
        workspace: &WorkspaceId,
        expect: Vec<(DocumentId, Revision)>,
        writes: Vec<Write>,
    ) -> Result<(), StoreError> {
        let answer = self.execute(workspace, Operation::Commit(Batch { expect, feed: None, writes })).await?;
        assert_eq!(answer, Answered::Committed);
        Ok(())
    }

    async fn commit(&mut self, workspace: &WorkspaceId, writes: Vec<Write>) {
        self.try_commit(workspace, writes).await.expect("the batch commits");
    }

    async fn document(&mut self, workspace: &WorkspaceId, document: &DocumentId) -> Loaded {
        match self.execute(workspace, sample::load(document.as_str())).await {
            Ok(Answered::Document(loaded)) => *loaded,
            other => panic!("LoadDocument was answered by {other:?}"),
        }
    }

    async fn changes(&mut self, workspace: &WorkspaceId, operation: Operation) -> Vec<ChangeRow> {
        match self.execute(workspace, operation).await {
            Ok(Answered::Changes(rows)) => rows,
            other => panic!("a load of changes was answered by {other:?}"),
        }
    }

    async fn heads(&mut self, workspace: &WorkspaceId, after: u64, limit: u32) -> Vec<Head> {
        self.heads_past(workspace, after, None, limit).await
    }

    async fn heads_past(
        &mut self,
        workspace: &WorkspaceId,
        after: u64,
        past: Option<DocumentId>,
        limit: u32,
    ) -> Vec<Head> {
        let after = rejoin_wire::Sequence(after);
        match self.execute(workspace, Operation::ScanHeads { after, past, limit }).await {
            Ok(Answered::Heads(heads)) => heads,
            other => panic!("ScanHeads was answered by {other:?}"),
        }
    }

    async fn records(
        &mut self,
        workspace: &WorkspaceId,
        kind: rejoin_core::storage::RecordKind,
        after: Option<RecordKey>,
        limit: u32,
    ) -> Vec<(RecordKey, Bytes)> {
        match self.execute(workspace, Operation::ScanRecords { kind, after, limit }).await {
            Ok(Answered::Records(records)) => records,
            other => panic!("ScanRecords was answered by {other:?}"),
        }
    }

    async fn meta(
        &mut self,
        workspace: &WorkspaceId,
    ) -> (Vec<(rejoin_core::storage::MetaKey, Bytes)>, rejoin_wire::Sequence) {
        match self.execute(workspace, Operation::LoadMeta).await {
            Ok(Answered::Meta { records, sequence }) => (records, sequence),
            other => panic!("LoadMeta was answered by {other:?}"),
        }
    }
}

impl<S: TestStore> Shorthand for S {}

#[track_caller]
fn assert_conflict(outcome: &Result<(), StoreError>) {
    assert!(matches!(outcome, Err(StoreError::Conflict(_))), "expected a conflict, got {outcome:?}");
}
