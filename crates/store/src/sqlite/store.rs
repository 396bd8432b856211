//! Threads and queues around connections: one that writes, some that read.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use rejoin_core::storage::{Answer, Batch, Operation, StoreError, Write};
use rejoin_wire::WorkspaceId;

use super::queue::{Queue, Weight};
use super::{Location, OpenError, SqliteConnection, SqliteOptions};
use crate::limits::{MAX_GROUP_BYTES, MAX_GROUP_WRITES, MAX_QUEUED_BYTES, MAX_QUEUED_REQUESTS};
use crate::{Refused, Reply, Store};

/// A SQLite database that many replicas share.
///
/// One thread writes: whatever commits wait when the last ones are durable go into one transaction, so that
/// many replicas share a flush and none waits for a timer. Other threads read, and see each commit from its
/// answer on. Answers come on these threads.
///
/// [`close`](Self::close) finishes what is queued; dropping the store does the same, without saying how it
/// went.
#[derive(Debug)]
pub struct SqliteStore {
    writes: Arc<Queue<Request>>,
    /// The same queue as `writes` when nothing but the writer can read.
    reads: Arc<Queue<Request>>,
    counts: Arc<Counts>,
    threads: Mutex<Threads>,
}

/// What a store has done and has to do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SqliteStats {
    /// Requests that wait for a thread.
    pub queued_requests: usize,
    /// Bytes of the writes that wait.
    pub queued_bytes: usize,
    /// Transactions, each with one flush.
    pub groups: u64,
    /// Batches in them.
    pub batches: u64,
    /// Failed attempts to copy the log into the database: while they go on the log grows.
    pub failed_checkpoints: u64,
}

#[derive(Debug, Default)]
struct Counts {
    groups: AtomicU64,
    batches: AtomicU64,
    failed_checkpoints: AtomicU64,
}

#[derive(Debug, Default)]
struct Threads {
    readers: Vec<JoinHandle<()>>,
    writer: Option<JoinHandle<Result<(), StoreError>>>,
}

impl SqliteStore {
    /// Opens the database at a `sqlite:` URL, creates or migrates it where needed, and starts the threads.
    pub fn open(url: &str, options: &SqliteOptions) -> Result<Self, OpenError> {
        Self::open_at(url.parse()?, options)
    }

    /// Opens the database at a location, whose path is taken as it is, creates or migrates it where needed, and starts the threads.
    pub fn open_at(location: Location, options: &SqliteOptions) -> Result<Self, OpenError> {
        let writer = SqliteConnection::open_at(location, options)?;
        let readers = (0..options.readers).filter_map(|_| writer.reader()).collect::<Result<_, _>>()?;
        Self::start(writer, readers)
    }

    /// Waits until everything queued is answered, copies the log into the database and closes it. Later
    /// requests are refused.
    ///
    /// An error concerns only the copy: all that was answered as committed is durable in the log. A second
    /// call finds nothing left to do. Called from a [`Reply`], it closes the store without waiting for the
    /// thread that it is on.
    pub fn close(&self) -> Result<(), StoreError> {
        let Threads { readers, writer } =
            std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
        self.reads.close();
        // A reader that is still there would keep the log from being copied to its end.
        for reader in readers {
            join(reader);
        }
        self.writes.close();
        writer.and_then(join).unwrap_or(Ok(()))
    }

    /// What the store has done and has to do.
    #[must_use]
    pub fn stats(&self) -> SqliteStats {
        let (mut queued_requests, queued_bytes) = self.writes.waiting();
        if !Arc::ptr_eq(&self.writes, &self.reads) {
            queued_requests += self.reads.waiting().0;
        }
        SqliteStats {
            queued_requests,
            queued_bytes,
            groups: self.counts.groups.load(Ordering::Relaxed),
            batches: self.counts.batches.load(Ordering::Relaxed),
            failed_checkpoints: self.counts.failed_checkpoints.load(Ordering::Relaxed),
        }
    }

    fn start(writer: SqliteConnection, readers: Vec<SqliteConnection>) -> Result<Self, OpenError> {
        let queue = || Arc::new(Queue::new(MAX_QUEUED_REQUESTS, MAX_QUEUED_BYTES));
        let writes = queue();
        let reads = if readers.is_empty() { Arc::clone(&writes) } else { queue() };
        let store = Self { writes, reads, counts: Arc::default(), threads: Mutex::default() };
        // Where a thread can't be started, dropping the store ends those that were.
        for reader in readers {
            let reads = Arc::clone(&store.reads);
            let thread = spawn("rejoin-store-reader", move || read_all(reader, &reads))?;
            store.threads.lock().unwrap_or_else(PoisonError::into_inner).readers.push(thread);
        }
        let (writes, counts) = (Arc::clone(&store.writes), Arc::clone(&store.counts));
        let thread = spawn("rejoin-store-writer", move || write_all(writer, &writes, &counts))?;
        store.threads.lock().unwrap_or_else(PoisonError::into_inner).writer = Some(thread);
        Ok(store)
    }
}

impl Store for SqliteStore {
    fn submit(&self, workspace: &WorkspaceId, operation: Operation, reply: Reply) -> Result<(), Refused> {
        let (queue, weight) = match &operation {
            Operation::Commit(batch) => (&self.writes, weight(batch)),
            _ => (&self.reads, Weight { writes: 0, bytes: 0 }),
        };
        let request = Request { workspace: workspace.clone(), operation, reply: Some(reply) };
        queue.push(weight, request).map_err(|(refused, request)| {
            request.forget();
            refused
        })
    }
}

impl Drop for SqliteStore {
    fn drop(&mut self) {
        self.close().ok();
    }
}

/// A request that is answered whatever happens to it.
struct Request {
    workspace: WorkspaceId,
    operation: Operation,
    reply: Option<Reply>,
}

impl std::fmt::Debug for Request {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Request").field("workspace", &self.workspace).finish_non_exhaustive()
    }
}

impl Request {
    fn commit(&self) -> Option<(&WorkspaceId, &Batch)> {
        match &self.operation {
            Operation::Commit(batch) => Some((&self.workspace, batch)),
            _ => None,
        }
    }

    /// Passes the answer on. A reply that panics does so in vain: the other replicas still need this thread.
    fn answer(mut self, answer: Answer) {
        if let Some(reply) = self.reply.take() {
            catch_unwind(AssertUnwindSafe(|| reply(answer))).ok();
        }
    }

    /// Drops the request unanswered.
    fn forget(mut self) {
        self.reply = None;
    }
}

impl Drop for Request {
    fn drop(&mut self) {
        if let Some(reply) = self.reply.take() {
            let ended =
                StoreError::Unavailable("a thread of the store has ended; open the store again".into());
            catch_unwind(AssertUnwindSafe(|| reply(Err(ended)))).ok();
        }
    }
}

fn weight(batch: &Batch) -> Weight {
    Weight { writes: batch.writes.len(), bytes: batch.writes.iter().map(bytes_of).sum() }
}

/// What a write takes up in memory and in the log: its body, and about as much as its row and index entries.
fn bytes_of(write: &Write) -> usize {
    const ROW_BYTES: usize = 256;
    let body = match write {
        Write::PutCheckpoint { body, .. }
        | Write::PutRecord { body, .. }
        | Write::AddMeta { body, .. }
        | Write::PutMeta { body, .. } => body.len(),
        Write::AppendChanges(row) | Write::PutChanges(row) => row.body.len(),
        Write::PutHead(head) => head.title.as_deref().map_or(0, str::len),
        Write::DropCheckpoints { .. }
        | Write::TrimChanges { .. }
        | Write::DropRecord { .. }
        | Write::Purge { .. } => 0,
    };
    ROW_BYTES + body
}

/// Closes a queue when its thread ends, whatever ended it, so that no request waits for a thread that is
/// gone.
struct Attending<'a>(&'a Queue<Request>);

impl Drop for Attending<'_> {
    fn drop(&mut self) {
        self.0.close();
        while !self.0.take(Weight { writes: usize::MAX, bytes: usize::MAX }).is_empty() {}
    }
}

fn read_all(mut connection: SqliteConnection, queue: &Queue<Request>) {
    let _attending = Attending(queue);
    loop {
        // One at a time, so that a long load holds up no other that a second reader could do.
        let taken = queue.take(Weight { writes: 0, bytes: 0 });
        if taken.is_empty() {
            return;
        }
        for request in taken {
            let answer = connection.execute(&request.workspace, &request.operation);
            request.answer(answer);
        }
    }
}

fn write_all(
    mut connection: SqliteConnection,
    queue: &Queue<Request>,
    counts: &Counts,
) -> Result<(), StoreError> {
    let _attending = Attending(queue);
    loop {
        let mut waiting = queue.take(Weight { writes: MAX_GROUP_WRITES, bytes: MAX_GROUP_BYTES });
        if waiting.is_empty() {
            return connection.close();
        }
        while !waiting.is_empty() {
            let commits = waiting.iter().take_while(|request| request.commit().is_some()).count();
            // A database in memory is read here too, between the commits that come before and after.
            let group: Vec<_> = waiting.drain(..commits.max(1)).collect();
            if commits == 0 {
                for request in group {
                    let answer = connection.execute(&request.workspace, &request.operation);
                    request.answer(answer);
                }
            } else {
                commit(&mut connection, group, counts);
            }
        }
        if connection.checkpoint_when_due().is_err() {
            counts.failed_checkpoints.fetch_add(1, Ordering::Relaxed);
        }
    }
}

fn commit(connection: &mut SqliteConnection, group: Vec<Request>, counts: &Counts) {
    let batches: Vec<_> = group.iter().filter_map(Request::commit).collect();
    let answers = connection.commit_group(&batches);
    counts.groups.fetch_add(1, Ordering::Relaxed);
    counts.batches.fetch_add(batches.len() as u64, Ordering::Relaxed);
    for (request, answer) in group.into_iter().zip(answers) {
        request.answer(answer);
    }
}

fn spawn<T: Send + 'static>(
    name: &str,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<JoinHandle<T>, OpenError> {
    let thread = thread::Builder::new().name(name.to_owned()).spawn(work);
    thread.map_err(|error| OpenError::Threads(error.to_string()))
}

/// Waits for a thread, unless it is this one. A thread that panicked has nothing to tell.
fn join<T>(thread: JoinHandle<T>) -> Option<T> {
    if thread.thread().id() == thread::current().id() { None } else { thread.join().ok() }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::fs;
    use std::future::{Future, ready};
    use std::sync::mpsc::{self, Receiver};
    use std::time::Duration;

    use bytes::Bytes;
    use rejoin_core::storage::{Answered, MetaKey};
    use rejoin_wire::{DocumentId, Revision, Sequence};
    use rusqlite::Connection;
    use tempfile::TempDir;

    use super::*;
    use crate::conformance::{self, TestStore, sample};
    use crate::sqlite::spoil_head;

    struct Threaded {
        folder: TempDir,
        store: SqliteStore,
        options: SqliteOptions,
    }

    impl Threaded {
        fn new() -> Self {
            // As long as a busy machine may keep a test from ending what it began.
            let busy_timeout = Duration::from_secs(60);
            Self::open(TempDir::new().unwrap(), SqliteOptions { busy_timeout, ..SqliteOptions::default() })
        }

        fn open(folder: TempDir, options: SqliteOptions) -> Self {
            let store = SqliteStore::open(&url(&folder), &options).unwrap();
            Self { folder, store, options }
        }
    }

    fn url(folder: &TempDir) -> String {
        format!("sqlite:{}", folder.path().join("x.db").display())
    }

    impl TestStore for Threaded {
        fn execute(&mut self, workspace: &WorkspaceId, operation: Operation) -> impl Future<Output = Answer> {
            ready(ask(&self.store, workspace, operation).recv().unwrap())
        }

        fn reopen(&mut self) -> impl Future<Output = ()> {
            self.store.close().unwrap();
            assert!(!self.folder.path().join("x.db-wal").exists(), "a closed database is one file");
            self.store = SqliteStore::open(&url(&self.folder), &self.options).unwrap();
            ready(())
        }

        fn kill(&mut self) -> impl Future<Output = ()> {
            let left = TempDir::new().unwrap();
            for name in ["x.db", "x.db-wal"] {
                let file = self.folder.path().join(name);
                if file.exists() {
                    fs::copy(file, left.path().join(name)).unwrap();
                }
            }
            *self = Self::open(left, self.options.clone());
            ready(())
        }

        fn spoil_head(&mut self, id: &DocumentId) -> impl Future<Output = bool> {
            ready(spoil_head(&self.folder.path().join("x.db"), id))
        }

        fn limit(&mut self, max_bytes: Option<u64>) -> impl Future<Output = ()> {
            self.store.close().unwrap();
            self.options.max_bytes = max_bytes;
            self.store = SqliteStore::open(&url(&self.folder), &self.options).unwrap();
            ready(())
        }
    }

    macro_rules! cases {
        ($($name:ident),* $(,)?) => {
            $(#[test]
            fn $name() {
                conformance::block_on(conformance::$name(Threaded::new()));
            })*
        };
    }
    crate::conformance_cases!(cases);

    /// Submits a request whose answer can be waited for.
    fn ask(store: &SqliteStore, workspace: &WorkspaceId, operation: Operation) -> Receiver<Answer> {
        let (sender, answer) = mpsc::channel();
        store.submit(workspace, operation, Box::new(move |answer| drop(sender.send(answer)))).unwrap();
        answer
    }

    fn append(id: &str, revision: u64) -> Operation {
        Operation::Commit(Batch {
            expect: vec![(sample::document(id), Revision(revision - 1))],
            feed: None,
            writes: vec![
                Write::PutHead(sample::head(id, revision, revision)),
                Write::AppendChanges(sample::row(id, revision, revision, 7, revision)),
            ],
        })
    }

    fn put_meta(length: usize) -> Operation {
        let body = Bytes::from(vec![7; length]);
        let writes = vec![Write::PutMeta { key: MetaKey::Cursor, body }];
        Operation::Commit(Batch { expect: vec![], feed: None, writes })
    }

    /// Another process that is in the middle of a write.
    fn hold_file(folder: &TempDir) -> Connection {
        let other = Connection::open(folder.path().join("x.db")).unwrap();
        other.execute_batch("BEGIN IMMEDIATE").unwrap();
        other
    }

    #[test]
    fn what_waits_for_the_disk_shares_the_next_flush() {
        let Threaded { folder, store, .. } = Threaded::new();
        let other = hold_file(&folder);
        let first = ask(&store, &sample::workspace("first"), append("a", 1));
        while store.stats().queued_requests > 0 {
            thread::yield_now();
        }
        // The writer now waits with the first commit in its hands; the others wait behind it.
        let workspaces: Vec<_> = (0..100).map(|number| sample::workspace(&format!("w{number}"))).collect();
        let rest: Vec<_> =
            workspaces.iter().map(|workspace| ask(&store, workspace, append("a", 1))).collect();
        let stats = store.stats();
        assert_eq!((stats.queued_requests, stats.groups, stats.batches), (100, 0, 0));
        assert!(stats.queued_bytes > 0);
        other.execute_batch("COMMIT").unwrap();
        assert_eq!(first.recv().unwrap(), Ok(Answered::Committed));
        for answer in rest {
            assert_eq!(answer.recv().unwrap(), Ok(Answered::Committed));
        }
        let stats = store.stats();
        assert_eq!((stats.queued_requests, stats.groups, stats.batches), (0, 2, 101));
    }

    #[test]
    fn a_load_after_the_answer_to_a_commit_sees_it() {
        let Threaded { store, .. } = &Threaded::new();
        thread::scope(|scope| {
            for number in 0..4 {
                scope.spawn(move || {
                    let workspace = sample::workspace(&format!("w{number}"));
                    for revision in 1..100 {
                        let answer = ask(store, &workspace, append("a", revision)).recv().unwrap();
                        assert_eq!(answer, Ok(Answered::Committed));
                        match ask(store, &workspace, Operation::LoadMeta).recv().unwrap() {
                            Ok(Answered::Meta { sequence, .. }) => assert_eq!(sequence, Sequence(revision)),
                            other => panic!("LoadMeta was answered by {other:?}"),
                        }
                    }
                });
            }
        });
    }

    #[test]
    fn reads_go_on_while_a_commit_waits() {
        let Threaded { folder, store, .. } = Threaded::new();
        let workspace = sample::workspace("w");
        ask(&store, &workspace, append("a", 1)).recv().unwrap().unwrap();
        let other = hold_file(&folder);
        let commit = ask(&store, &workspace, append("a", 2));
        let load = ask(&store, &workspace, Operation::LoadMeta).recv().unwrap();
        assert_eq!(load, Ok(Answered::Meta { records: vec![], sequence: Sequence(1) }));
        assert!(commit.try_recv().is_err(), "the commit still waits");
        other.execute_batch("COMMIT").unwrap();
        assert_eq!(commit.recv().unwrap(), Ok(Answered::Committed));
    }

    #[test]
    fn closing_answers_what_is_queued_and_refuses_the_rest() {
        let Threaded { folder, store, .. } = Threaded::new();
        let workspace = sample::workspace("w");
        let other = hold_file(&folder);
        let commits: Vec<_> =
            (1..=50).map(|revision| ask(&store, &workspace, append("a", revision))).collect();
        let load = ask(&store, &workspace, Operation::LoadMeta);
        thread::scope(|scope| {
            let closing = scope.spawn(|| store.close());
            assert!(load.recv().unwrap().is_ok());
            other.execute_batch("COMMIT").unwrap();
            drop(other);
            assert_eq!(closing.join().unwrap(), Ok(()));
        });
        for commit in commits {
            assert_eq!(commit.recv().unwrap(), Ok(Answered::Committed));
        }
        for operation in [Operation::LoadMeta, append("a", 51)] {
            let refused = store.submit(&workspace, operation, Box::new(|_| panic!("it was refused")));
            assert_eq!(refused, Err(Refused::Closed));
        }
        assert_eq!(store.close(), Ok(()), "again");
        assert!(!folder.path().join("x.db-wal").exists(), "the one file holds everything");
    }

    #[test]
    fn dropping_the_store_finishes_what_is_queued() {
        let Threaded { folder, store, .. } = Threaded::new();
        let workspace = sample::workspace("w");
        let commits: Vec<_> =
            (1..=50).map(|revision| ask(&store, &workspace, append("a", revision))).collect();
        drop(store);
        assert!(commits.iter().all(|commit| commit.recv().unwrap() == Ok(Answered::Committed)));
        drop(folder);
    }

    #[test]
    fn a_full_queue_refuses_and_drops_the_reply() {
        let Threaded { folder, store, .. } = Threaded::new();
        let workspace = sample::workspace("w");
        let other = hold_file(&folder);
        let mut taken = Vec::new();
        let refused = loop {
            let (sender, answer) = mpsc::channel();
            let reply = Box::new(move |answer| drop(sender.send(answer)));
            match store.submit(&workspace, put_meta(8 << 20), reply) {
                Ok(()) => taken.push(answer),
                Err(refused) => {
                    assert!(answer.recv().is_err(), "a refused request is never answered");
                    break refused;
                }
            }
        };
        assert_eq!(refused, Refused::Busy);
        let most = MAX_QUEUED_BYTES / (8 << 20) + 1;
        assert!((2..=most).contains(&taken.len()), "{} were taken", taken.len());
        other.execute_batch("COMMIT").unwrap();
        assert!(taken.iter().all(|answer| answer.recv().unwrap() == Ok(Answered::Committed)));
    }

    #[test]
    fn a_request_that_nobody_performs_is_answered_when_it_is_dropped() {
        let (sender, answer) = mpsc::channel();
        let reply: Reply = Box::new(move |answer| sender.send(answer).unwrap());
        let operation = Operation::LoadMeta;
        drop(Request { workspace: sample::workspace("w"), operation, reply: Some(reply) });
        assert!(matches!(answer.recv().unwrap(), Err(StoreError::Unavailable(_))));
        assert!(answer.recv().is_err(), "once");
    }

    #[test]
    fn a_thread_that_ends_leaves_no_request_waiting() {
        let (sender, answers) = mpsc::channel();
        let queue = Queue::new(9, 9);
        let request = || {
            let sender = sender.clone();
            let reply: Reply = Box::new(move |answer| sender.send(answer).unwrap());
            Request { workspace: sample::workspace("w"), operation: Operation::LoadMeta, reply: Some(reply) }
        };
        queue.push(Weight::default(), request()).unwrap();
        queue.push(Weight::default(), request()).unwrap();
        let attend = || {
            let _attending = Attending(&queue);
            panic!("a fault of the store");
        };
        assert!(catch_unwind(AssertUnwindSafe(attend)).is_err());
        for _ in 0..2 {
            assert!(matches!(answers.recv().unwrap(), Err(StoreError::Unavailable(_))));
        }
        let (refused, request) = queue.push(Weight::default(), request()).unwrap_err();
        assert_eq!(refused, Refused::Closed);
        request.forget();
    }

    #[test]
    fn a_reply_that_panics_takes_nothing_along() {
        let Threaded { store, .. } = Threaded::new();
        let workspace = sample::workspace("w");
        for operation in [append("a", 1), Operation::LoadMeta, Operation::LoadMeta, Operation::LoadMeta] {
            store.submit(&workspace, operation, Box::new(|_| panic!("a fault of the driver"))).unwrap();
        }
        assert_eq!(ask(&store, &workspace, append("a", 2)).recv().unwrap(), Ok(Answered::Committed));
        assert!(ask(&store, &workspace, Operation::LoadMeta).recv().unwrap().is_ok());
    }

    #[test]
    fn a_reply_may_hold_the_last_handle_to_the_store() {
        let Threaded { folder, store, .. } = Threaded::new();
        let store = Arc::new(store);
        let (sender, answer) = mpsc::channel();
        let last = Arc::clone(&store);
        let reply = Box::new(move |answer| {
            drop(last);
            sender.send(answer).unwrap();
        });
        let other = hold_file(&folder);
        store.submit(&sample::workspace("w"), append("a", 1), reply).unwrap();
        drop(store);
        other.execute_batch("COMMIT").unwrap();
        assert_eq!(answer.recv_timeout(Duration::from_secs(20)).unwrap(), Ok(Answered::Committed));
    }

    #[test]
    fn a_database_in_memory_does_everything_in_order() {
        let store = SqliteStore::open("sqlite::memory:", &SqliteOptions::default()).unwrap();
        let workspace = sample::workspace("w");
        let mut answers = Vec::new();
        for revision in 1..=20 {
            answers.push((revision, ask(&store, &workspace, append("a", revision))));
            answers.push((revision, ask(&store, &workspace, Operation::LoadMeta)));
        }
        for (revision, answer) in answers {
            match answer.recv().unwrap().unwrap() {
                Answered::Committed => (),
                Answered::Meta { sequence, .. } => assert_eq!(sequence, Sequence(revision)),
                other => panic!("unexpected {other:?}"),
            }
        }
        assert_eq!(store.close(), Ok(()));
    }
}
