//! A server's database, looked at from outside.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};
use rusqlite::{Connection, OpenFlags};

use crate::process::{own_host, program};

fn open(path: &Path) -> Result<Connection> {
    Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY)
        .with_context(|| format!("{} cannot be opened", path.display()))
}

/// The bodies of all rows of changes.
pub(crate) fn bodies(path: &Path) -> Result<Vec<Vec<u8>>> {
    let database = open(path)?;
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
