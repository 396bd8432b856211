//! What SQLite's errors mean to a replica.

use std::path::PathBuf;

use rejoin_core::storage::StoreError;
use rusqlite::{Error, ErrorCode, ffi};

use super::{Location, LocationError};

/// Says why a database could not be opened.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// The URL names no location.
    #[error(transparent)]
    Location(#[from] LocationError),
    /// The file's folder is missing.
    #[error("the folder {0} does not exist; create it, mount it, or name another file")]
    NoFolder(PathBuf),
    /// The file is missing and was not to be created.
    #[error("{0} does not exist; without mode=rw it would be created")]
    NoFile(PathBuf),
    /// The file is something else.
    #[error("{0} is not a SQLite database, or is encrypted; name another file")]
    NotADatabase(PathBuf),
    /// The file holds tables of another application; it was not touched.
    #[error("{0} is a database of another application; name another file")]
    Foreign(PathBuf),
    /// The file was written by a newer release; it was not touched.
    #[error(
        "{path} was written by a newer release (schema {found}, this one knows {known}); upgrade this one"
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// The version of its schema.
        found: i32,
        /// The newest version that this release knows.
        known: i32,
    },
    /// SQLite could not open or prepare the file.
    #[error(
        "{path} could not be opened ({error}); see that this user may read and write the file and its folder"
    )]
    Failed {
        /// The file.
        path: PathBuf,
        /// Why.
        error: StoreError,
    },
    /// A thread could not be started.
    #[error("the store's threads could not be started: {0}")]
    Threads(String),
}

impl OpenError {
    pub(super) fn failed(location: &Location, error: &Error) -> Self {
        let path = location.path().to_owned();
        match error.sqlite_error_code() {
            Some(ErrorCode::NotADatabase) => Self::NotADatabase(path),
            _ => Self::Failed { path, error: meaning(error) },
        }
    }
}

/// Says what an error means for the request that met it.
pub(super) fn meaning(error: &Error) -> StoreError {
    let text = || error.to_string().into();
    let Some(code) = error.sqlite_error() else {
        // A column of the wrong type or range: the row was damaged, since tables are strict.
        return StoreError::Corrupted(misfit(error).into());
    };
    match code.code {
        ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => {
            StoreError::Unavailable("another process is writing to the database".into())
        }
        ErrorCode::SystemIoFailure if !is_damage(code.extended_code) => {
            StoreError::Unavailable(format!("{error} (code {})", code.extended_code).into())
        }
        ErrorCode::CannotOpen
        | ErrorCode::FileLockingProtocolFailed
        | ErrorCode::OperationInterrupted
        | ErrorCode::OutOfMemory
        | ErrorCode::PermissionDenied
        | ErrorCode::ReadOnly
        | ErrorCode::SchemaChanged => StoreError::Unavailable(text()),
        ErrorCode::DiskFull | ErrorCode::TooBig => StoreError::QuotaExceeded(text()),
        ErrorCode::ConstraintViolation => StoreError::Conflict(text()),
        // Our statements fit our tables, so also a missing table or column is damage to the file.
        _ => StoreError::Corrupted(text()),
    }
}

fn misfit(error: &Error) -> String {
    match error {
        Error::FromSqlConversionFailure(column, ..)
        | Error::IntegralValueOutOfRange(column, _)
        | Error::InvalidColumnType(column, ..)
        | Error::Utf8Error(column, _) => {
            format!("a row holds in column {column} what no release wrote there")
        }
        _ => "a row holds what no release wrote there".into(),
    }
}

/// True when the file can't be trusted through this connection any more.
///
/// After a failed flush the kernel may drop the pages that it could not write and report the next flush as a
/// success, so nothing is tried again on the same descriptors: the connection is closed, and a new one reads
/// what the disk really has.
pub(super) fn needs_reopening(error: &Error) -> bool {
    let code = error.sqlite_error_code();
    matches!(
        code,
        Some(ErrorCode::SystemIoFailure | ErrorCode::CannotOpen | ErrorCode::FileLockingProtocolFailed)
    )
}

fn is_damage(extended_code: i32) -> bool {
    [ffi::SQLITE_IOERR_CORRUPTFS, ffi::SQLITE_IOERR_DATA].contains(&extended_code)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(code: i32) -> Error {
        Error::SqliteFailure(ffi::Error::new(code), None)
    }

    #[test]
    fn errors_that_may_pass_are_unavailable() {
        let codes = [
            ffi::SQLITE_BUSY,
            ffi::SQLITE_BUSY_SNAPSHOT,
            ffi::SQLITE_LOCKED,
            ffi::SQLITE_IOERR,
            ffi::SQLITE_IOERR_FSYNC,
            ffi::SQLITE_IOERR_WRITE,
            ffi::SQLITE_CANTOPEN,
            ffi::SQLITE_NOMEM,
            ffi::SQLITE_READONLY_DBMOVED,
        ];
        for code in codes {
            assert!(matches!(meaning(&failure(code)), StoreError::Unavailable(_)), "{code}");
        }
    }

    #[test]
    fn errors_that_stay_say_what_is_wrong() {
        for code in [ffi::SQLITE_FULL, ffi::SQLITE_TOOBIG] {
            assert!(matches!(meaning(&failure(code)), StoreError::QuotaExceeded(_)), "{code}");
        }
        for code in [ffi::SQLITE_CORRUPT, ffi::SQLITE_NOTADB, ffi::SQLITE_IOERR_CORRUPTFS, ffi::SQLITE_ERROR]
        {
            assert!(matches!(meaning(&failure(code)), StoreError::Corrupted(_)), "{code}");
        }
        let constraint = failure(ffi::SQLITE_CONSTRAINT_UNIQUE);
        assert!(matches!(meaning(&constraint), StoreError::Conflict(_)));
        let decoding = Error::IntegralValueOutOfRange(1, -7);
        let misfit = "a row holds in column 1 what no release wrote there";
        assert_eq!(meaning(&decoding), StoreError::Corrupted(misfit.into()));
    }

    #[test]
    fn only_failures_of_the_file_reopen_it() {
        assert!(needs_reopening(&failure(ffi::SQLITE_IOERR_FSYNC)));
        assert!(!needs_reopening(&failure(ffi::SQLITE_BUSY)));
        assert!(!needs_reopening(&failure(ffi::SQLITE_FULL)));
    }
}
