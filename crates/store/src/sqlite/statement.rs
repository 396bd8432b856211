//! All statements. What they find is bound by the workspace, and each is answered by an index: tests read
//! them and their plans.

pub(super) const META: &str = "SELECT key, body FROM meta WHERE workspace = ?1 ORDER BY key";

pub(super) const NEWEST_SEQUENCE: &str = "SELECT sequence FROM document
    WHERE workspace = ?1 AND sequence IS NOT NULL ORDER BY sequence DESC LIMIT 1";

/// The number is found with the revision that a batch expects, and serves its writes.
pub(super) const NUMBER_AND_REVISION: &str =
    "SELECT number, revision FROM document WHERE workspace = ?1 AND id = ?2";

pub(super) const HEAD: &str =
    "SELECT id, revision, sequence, deleted, title, created_at, updated_at, author, chain
    FROM document WHERE workspace = ?1 AND id = ?2 AND revision IS NOT NULL";

pub(super) const HEADS: &str =
    "SELECT id, revision, sequence, deleted, title, created_at, updated_at, author, chain
    FROM document WHERE workspace = ?1 AND (sequence, id) > (?2, ?3) ORDER BY sequence, id";

pub(super) const WORKSPACES: &str = "SELECT DISTINCT workspace FROM document ORDER BY workspace";

/// Five findings are enough to know that there are some.
pub(super) const DAMAGE: &str = "PRAGMA integrity_check(5)";

pub(super) const NEWEST_CHECKPOINT: &str = "SELECT revision, body FROM checkpoint
    WHERE document = (SELECT number FROM document WHERE workspace = ?1 AND id = ?2) AND revision <= ?3
    ORDER BY revision DESC LIMIT 1";

pub(super) const CHANGES_AFTER_CHECKPOINT: &str =
    "SELECT first_revision, last_revision, sequence, replica, first_counter, last_counter, body FROM change
    WHERE document = (SELECT number FROM document WHERE workspace = ?1 AND id = ?2) AND first_revision > ?3
    ORDER BY first_revision, replica, first_counter LIMIT ?4";

pub(super) const CHANGES_PAST: &str =
    "SELECT first_revision, last_revision, sequence, replica, first_counter, last_counter, body FROM change
    WHERE document = (SELECT number FROM document WHERE workspace = ?1 AND id = ?2)
    AND (first_revision, replica, first_counter) > (?3, ?4, ?5)
    ORDER BY first_revision, replica, first_counter LIMIT ?6";

/// Rows of a document don't overlap, so the last one to begin at `?3 + 1` or before is the first that can
/// hold a revision of the range. Rows of rejections only, `last_revision = first_revision - 1`, hold none.
pub(super) const CHANGES_BY_REVISION: &str =
    "SELECT first_revision, last_revision, sequence, replica, first_counter, last_counter, body FROM change
    WHERE document = (SELECT number FROM document WHERE workspace = ?1 AND id = ?2)
    AND first_revision >= coalesce((
        SELECT first_revision FROM change
        WHERE document = (SELECT number FROM document WHERE workspace = ?1 AND id = ?2)
        AND first_revision <= ?3 + 1 AND last_revision >= first_revision ORDER BY first_revision DESC LIMIT 1), 0)
    AND first_revision <= ?4 AND last_revision > ?3 AND last_revision >= first_revision
    ORDER BY first_revision, replica, first_counter LIMIT ?5";

/// Nor do the rows of a replica overlap in counters. The comparison with zero is the condition of the index.
pub(super) const CHANGES_BY_COUNTER: &str =
    "SELECT first_revision, last_revision, sequence, replica, first_counter, last_counter, body FROM change
    WHERE document = (SELECT number FROM document WHERE workspace = ?1 AND id = ?2)
    AND replica = ?3 AND replica <> x'00000000000000000000000000000000'
    AND first_counter >= coalesce((
        SELECT first_counter FROM change
        WHERE document = (SELECT number FROM document WHERE workspace = ?1 AND id = ?2)
        AND replica = ?3 AND replica <> x'00000000000000000000000000000000'
        AND first_counter <= ?4 ORDER BY first_counter DESC LIMIT 1), 0)
    AND first_counter <= ?5 AND last_counter >= ?4
    ORDER BY first_counter";

pub(super) const RECORDS_OF_DOCUMENT: &str = "SELECT document, replica, number, body FROM record
    WHERE workspace = ?1 AND kind = ?2 AND document = ?3 ORDER BY replica, number";

pub(super) const RECORDS_OF_KIND: &str = "SELECT document, replica, number, body FROM record
    WHERE workspace = ?1 AND kind = ?2 AND (document, replica, number) > (?3, ?4, ?5)
    ORDER BY document, replica, number LIMIT ?6";

pub(super) const ADD_DOCUMENT: &str = "INSERT INTO document (workspace, id) VALUES (?1, ?2)";

pub(super) const PUT_HEAD: &str =
    "UPDATE document SET revision = ?3, sequence = ?4, deleted = ?5, title = ?6,
    created_at = ?7, updated_at = ?8, author = ?9, chain = ?10 WHERE number = ?2 AND workspace = ?1";

pub(super) const PUT_CHECKPOINT: &str =
    "INSERT INTO checkpoint (document, revision, body) VALUES (?1, ?2, ?3)
    ON CONFLICT (document, revision) DO UPDATE SET body = excluded.body";

pub(super) const DROP_CHECKPOINTS: &str = "DELETE FROM checkpoint
    WHERE document = (SELECT number FROM document WHERE workspace = ?1 AND id = ?2) AND revision <= ?3";

pub(super) const APPEND_CHANGES: &str = "INSERT INTO change
    (document, first_revision, last_revision, sequence, replica, first_counter, last_counter, body)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";

/// A row in the place of one with its key; what else is unique must be so still.
pub(super) const PUT_CHANGES: &str = "INSERT INTO change
    (document, first_revision, last_revision, sequence, replica, first_counter, last_counter, body)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
    ON CONFLICT (document, first_revision, replica, first_counter) DO UPDATE SET
    last_revision = excluded.last_revision, sequence = excluded.sequence,
    last_counter = excluded.last_counter, body = excluded.body";

/// A row begins at most one after its last revision, which bounds the search.
pub(super) const TRIM_CHANGES: &str = "DELETE FROM change
    WHERE document = (SELECT number FROM document WHERE workspace = ?1 AND id = ?2)
    AND first_revision <= ?4 AND last_revision <= ?3";

pub(super) const PUT_RECORD: &str = "INSERT INTO record (workspace, kind, document, replica, number, body)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6)
    ON CONFLICT (workspace, kind, document, replica, number) DO UPDATE SET body = excluded.body";

pub(super) const DROP_RECORD: &str = "DELETE FROM record
    WHERE workspace = ?1 AND kind = ?2 AND document = ?3 AND replica = ?4 AND number = ?5";

pub(super) const ADD_META: &str = "INSERT INTO meta (workspace, key, body) VALUES (?1, ?2, ?3)";

pub(super) const PUT_META: &str = "INSERT INTO meta (workspace, key, body) VALUES (?1, ?2, ?3)
    ON CONFLICT (workspace, key) DO UPDATE SET body = excluded.body";

pub(super) const PURGE_CHECKPOINTS: &str = "DELETE FROM checkpoint
    WHERE document = (SELECT number FROM document WHERE workspace = ?1 AND id = ?2)";

pub(super) const PURGE_CHANGES: &str = "DELETE FROM change
    WHERE document = (SELECT number FROM document WHERE workspace = ?1 AND id = ?2)";

pub(super) const PURGE_RECORDS: &str =
    "DELETE FROM record WHERE workspace = ?1 AND kind = ?3 AND document = ?2";

/// Comes last: the number may be given to another document from now on.
pub(super) const PURGE_DOCUMENT: &str = "DELETE FROM document WHERE workspace = ?1 AND id = ?2";

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::schema;
    use super::*;

    const READS: [&str; 12] = [
        META,
        NEWEST_SEQUENCE,
        NUMBER_AND_REVISION,
        HEAD,
        HEADS,
        NEWEST_CHECKPOINT,
        CHANGES_AFTER_CHECKPOINT,
        CHANGES_PAST,
        CHANGES_BY_REVISION,
        CHANGES_BY_COUNTER,
        RECORDS_OF_DOCUMENT,
        RECORDS_OF_KIND,
    ];
    const REMOVALS: [&str; 7] = [
        DROP_CHECKPOINTS,
        TRIM_CHANGES,
        DROP_RECORD,
        PURGE_CHECKPOINTS,
        PURGE_CHANGES,
        PURGE_RECORDS,
        PURGE_DOCUMENT,
    ];
    const WRITES: [&str; 8] =
        [ADD_DOCUMENT, PUT_HEAD, PUT_CHECKPOINT, APPEND_CHANGES, PUT_CHANGES, PUT_RECORD, ADD_META, PUT_META];

    #[test]
    fn no_statement_reads_a_whole_table_or_sorts() {
        let mut connection = rusqlite::Connection::open_in_memory().unwrap();
        schema::migrate(&mut connection).unwrap();
        for sql in READS.iter().chain(&REMOVALS).chain(&WRITES) {
            let explain = format!("EXPLAIN QUERY PLAN {sql}");
            let mut statement = connection.prepare(&explain).unwrap();
            let parameters = rusqlite::params_from_iter(vec![0; statement.parameter_count()]);
            let plan = statement.query_map(parameters, |row| row.get::<_, String>(3)).unwrap();
            for step in plan.map(Result::unwrap) {
                let is_search = step.starts_with("SEARCH");
                let is_nesting = step.starts_with("SCALAR SUBQUERY");
                assert!(is_search || is_nesting, "{step}\nin {sql}");
            }
        }
    }

    #[test]
    fn nothing_is_found_but_in_its_workspace() {
        for sql in READS.iter().chain(&REMOVALS) {
            let tables = sql.matches("FROM ").count() - sql.matches("(SELECT number FROM document").count();
            let conditions = sql.matches("WHERE workspace = ?1").count();
            assert_eq!(conditions, tables.max(1), "{sql}");
        }
        for sql in WRITES {
            let by_workspace = sql.contains("(workspace, ") || sql.contains("AND workspace = ?1");
            let by_number = sql.contains("(document, ");
            assert!(by_workspace || by_number, "{sql}");
        }
    }
}
