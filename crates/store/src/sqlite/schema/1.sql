-- A document has a number, which stands for its workspace and id in the rows that are written most. It is found only by
-- both, so no row is reached but through its workspace. The head is part of this table, and null for a document that has rows
-- or a checkpoint but no head.

CREATE TABLE document (
    number INTEGER PRIMARY KEY,
    workspace TEXT NOT NULL,
    id TEXT NOT NULL,
    revision INTEGER,
    sequence INTEGER,
    deleted INTEGER,
    title TEXT,
    created_at INTEGER,
    updated_at INTEGER,
    author TEXT,
    UNIQUE (workspace, id)
) STRICT;

CREATE INDEX document_by_sequence ON document (workspace, sequence, id);

-- Tables with bodies keep them in the order of writing, beside a rowid, so that a commit touches few pages; keys are indexes.

CREATE TABLE change (
    document INTEGER NOT NULL,
    first_revision INTEGER NOT NULL,
    last_revision INTEGER NOT NULL,
    sequence INTEGER NOT NULL,
    replica BLOB NOT NULL,
    first_counter INTEGER NOT NULL,
    last_counter INTEGER NOT NULL,
    body BLOB NOT NULL,
    UNIQUE (document, first_revision, replica, first_counter)
) STRICT;

-- One outcome per change of a replica. Rows from the authority have the replica zero and no counters.
CREATE UNIQUE INDEX change_by_counter ON change (document, replica, first_counter)
WHERE replica <> x'00000000000000000000000000000000';

CREATE TABLE checkpoint (
    document INTEGER NOT NULL,
    revision INTEGER NOT NULL,
    body BLOB NOT NULL,
    UNIQUE (document, revision)
) STRICT;

-- Records are listed over all documents in the order of their ids, so they carry the ids themselves.
CREATE TABLE record (
    workspace TEXT NOT NULL,
    kind INTEGER NOT NULL,
    document TEXT NOT NULL,
    replica BLOB NOT NULL,
    number INTEGER NOT NULL,
    body BLOB NOT NULL,
    UNIQUE (workspace, kind, document, replica, number)
) STRICT;

CREATE TABLE meta (
    workspace TEXT NOT NULL,
    key INTEGER NOT NULL,
    body BLOB NOT NULL,
    PRIMARY KEY (workspace, key)
) STRICT, WITHOUT ROWID;
