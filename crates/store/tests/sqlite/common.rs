//! What the tests have in common: a batch that touches every table, and processes that run a test of this
//! binary.

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use bytes::Bytes;
use rejoin_core::storage::{
    Answered, Batch, ChangeRow, Head, Loaded, MetaKey, Operation, RecordKey, RecordKind, Write,
};
use rejoin_store::{SqliteConnection, SqliteOptions};
use rejoin_wire::{ChainHash, Counter, DocumentId, ReplicaId, Revision, Sequence, UnixMillis, WorkspaceId};

/// The database that a process started by a test works on.
const DATABASE: &str = "REJOIN_STORE_TEST_DATABASE";

/// The documents that each batch of [`step`] takes one revision on.
pub(crate) const PAIR: [&str; 2] = ["left", "right"];

pub(crate) fn workspace(id: &str) -> WorkspaceId {
    WorkspaceId::new(id).unwrap()
}

pub(crate) fn document(id: &str) -> DocumentId {
    DocumentId::new(id).unwrap()
}

pub(crate) fn url(path: &Path) -> String {
    format!("sqlite:{}", path.display())
}

pub(crate) fn open(path: &Path) -> SqliteConnection {
    SqliteConnection::open(&url(path), &SqliteOptions::default()).unwrap()
}

/// A push of a replica that takes both documents of the pair from one revision to the next, with a record and
/// a meta record.
pub(crate) fn step(replica: u128, revision: u64, body: &Bytes) -> Batch {
    let mut batch = Batch::default();
    for id in PAIR {
        batch.expect.push((document(id), Revision(revision - 1)));
        batch.writes.push(Write::AppendChanges(ChangeRow {
            document: document(id),
            first_revision: Revision(revision),
            last_revision: Revision(revision),
            sequence: Sequence(revision),
            replica: ReplicaId(replica),
            first_counter: Counter(revision),
            last_counter: Counter(revision),
            body: body.clone(),
        }));
        batch.writes.push(Write::PutHead(Head {
            document: document(id),
            revision: Revision(revision),
            sequence: Sequence(revision),
            chain: ChainHash::default(),
            deleted: false,
            title: None,
            created_at: UnixMillis(1),
            updated_at: UnixMillis(revision),
            author: "ada@example.com".into(),
        }));
    }
    let key = RecordKey {
        kind: RecordKind::Pending,
        document: document(PAIR[0]),
        replica: ReplicaId(7),
        number: revision,
    };
    batch.writes.push(Write::PutRecord { key, body: body.clone() });
    let cursor = Bytes::from(revision.to_string());
    batch.writes.push(Write::PutMeta { key: MetaKey::Cursor, body: cursor });
    batch
}

pub(crate) fn load(connection: &mut SqliteConnection, workspace: &WorkspaceId, id: &str) -> Loaded {
    match connection
        .execute(
            workspace,
            &Operation::LoadDocument { document: document(id), before: None, limit: u32::MAX },
        )
        .unwrap()
    {
        Answered::Document(loaded) => *loaded,
        other => panic!("LoadDocument was answered by {other:?}"),
    }
}

/// How many steps a workspace has taken; panics where a part of one is missing.
pub(crate) fn steps(connection: &mut SqliteConnection, workspace: &WorkspaceId) -> u64 {
    let [left, right] = PAIR.map(|id| load(connection, workspace, id));
    let revision = left.head.map_or(0, |head| head.revision.0);
    assert_eq!(revision, right.head.map_or(0, |head| head.revision.0), "both heads of {workspace}");
    let numbers: Vec<u64> = (1..=revision).collect();
    for rows in [&left.rows, &right.rows] {
        assert!(
            rows.iter().map(|row| row.first_revision.0).eq(numbers.iter().copied()),
            "rows of {workspace}"
        );
    }
    assert!(left.records.iter().map(|(key, _)| key.number).eq(numbers), "records of {workspace}");
    let cursor = match connection.execute(workspace, &Operation::LoadMeta).unwrap() {
        Answered::Meta { records, .. } => records.into_iter().map(|(_, body)| body).next(),
        other => panic!("LoadMeta was answered by {other:?}"),
    };
    assert_eq!(cursor.map_or(0, |body| String::from_utf8(body.to_vec()).unwrap().parse().unwrap()), revision);
    revision
}

/// A process that runs one test of this binary on a database; the test is ignored unless it is asked for like
/// this.
pub(crate) fn process(test: &str, database: &Path) -> Command {
    let mut command = Command::new(env::current_exe().unwrap());
    command.args([test, "--exact", "--ignored", "--nocapture", "--test-threads=1"]);
    command.env(DATABASE, database).stdout(Stdio::piped());
    command
}

/// The database that this process was started for.
pub(crate) fn given_database() -> PathBuf {
    env::var_os(DATABASE).expect("only another test starts this one").into()
}
