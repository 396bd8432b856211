//! A server's database, looked at from outside.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use rusqlite::{Connection, OpenFlags};
use tempfile::TempDir;

use crate::process::{own_host, program};

fn open(path: &Path) -> Result<Connection> {
    // Reading the log of a database that nobody has open takes writing its index.
    Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE)
        .with_context(|| format!("{} cannot be opened", path.display()))
}

/// The bodies of all rows of changes. The database is copied first, so that it may be where SQLite cannot open it; nobody may write meanwhile.
pub(crate) fn bodies(path: &Path) -> Result<Vec<Vec<u8>>> {
    let folder = TempDir::new()?;
    let own = folder.path().join("copy.db");
    copy(path, &own)?;
    let database = open(&own)?;
    let mut statement = database.prepare("SELECT body FROM change")?;
    let bodies = statement.query_map([], |row| row.get(0))?;
    Ok(bodies.collect::<Result<_, _>>()?)
}

/// Fails when SQLite finds anything wrong with the file.
pub(crate) fn check_integrity(path: &Path) -> Result<()> {
    let said: String = open(path)?.query_row("PRAGMA integrity_check", [], |row| row.get(0))?;
    if said != "ok" {
        bail!("the database is damaged: {said}");
    }
    Ok(())
}

/// Whether `rejoin doctor` finds everything in order, and what it says.
pub(crate) fn doctor(path: &Path) -> Result<(bool, String)> {
    let url = format!("sqlite:{}", path.display());
    let bind = format!("{}:0", own_host());
    let output =
        Command::new(program()?).args(["doctor", "--bind", &bind, "--database-url", &url]).output()?;
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    Ok((output.status.success(), said))
}

/// Copies a database, and takes away those of its files that the other did not have.
pub(crate) fn copy(from: &Path, to: &Path) -> Result<()> {
    for suffix in ["", "-wal"] {
        let of = |path: &Path| PathBuf::from(format!("{}{suffix}", path.display()));
        let (from, to) = (of(from), of(to));
        if from.exists() {
            std::fs::copy(from, to)?;
        } else if to.exists() {
            std::fs::remove_file(to)?;
        }
    }
    Ok(())
}
