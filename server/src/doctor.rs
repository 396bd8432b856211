//! Says what is wrong with a set-up, before or while it hurts.

use std::net::TcpListener;
use std::path::Path;

use rejoin_store::{Location, SqliteOptions, SqliteStore};

use crate::config::{Resolved, Settings};

/// Shortest secret that is not warned about, in bytes.
const GOOD_SECRET_BYTES: usize = 16;

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// True when it is in order.
    pub good: bool,
    /// What was found, and what to do.
    pub text: String,
}

fn good(text: impl Into<String>) -> Finding {
    Finding { good: true, text: text.into() }
}

fn bad(text: impl Into<String>) -> Finding {
    Finding { good: false, text: text.into() }
}

/// Looks at configuration, address, secret and database.
pub fn examine(settings: Settings) -> Vec<Finding> {
    let resolved = match settings.resolve() {
        Ok(resolved) => resolved,
        Err(error) => return vec![bad(format!("configuration: {error}"))],
    };
    vec![address(&resolved), secret(&resolved), database(&resolved)]
}

fn address(resolved: &Resolved) -> Finding {
    match TcpListener::bind(resolved.address) {
        Ok(_) => good(format!("address: {} is free", resolved.address)),
        Err(error) => bad(format!(
            "address: {} cannot be listened on ({error}); stop what uses it, or choose another with --bind",
            resolved.address
        )),
    }
}

fn secret(resolved: &Resolved) -> Finding {
    match &resolved.secret {
        None => good("secret: none; the server is open to this machine only"),
        Some(secret) if secret.len() < GOOD_SECRET_BYTES => bad(format!(
            "secret: only {} characters; take at least {GOOD_SECRET_BYTES} random ones",
            secret.len()
        )),
        Some(_) => good("secret: set"),
    }
}

/// Opens the database if there is one. Looking must not create it.
fn database(resolved: &Resolved) -> Finding {
    let url = &resolved.database_url;
    let path = match url.parse() {
        Err(error) => {
            let named_by =
                resolved.database_named_by.map_or_else(String::new, |by| format!(" (named by {by})"));
            return bad(format!("database: `{url}`{named_by}: {error}"));
        }
        Ok(Location::Memory) => return good("database: in memory; all is gone when the server stops"),
        Ok(Location::File { path, create }) if !path.exists() => return missing(&path, create),
        Ok(Location::File { path, .. }) => path,
    };
    let path = path.display();
    match SqliteStore::open(url, &SqliteOptions::default()) {
        Ok(store) => match store.close() {
            Ok(()) => good(format!("database: {path} opens and closes")),
            Err(error) => bad(format!("database: {path} does not close: {error}")),
        },
        Err(error) => bad(format!("database: {error}")),
    }
}

fn missing(path: &Path, create: bool) -> Finding {
    let shown = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let shown = shown.display();
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    match folder {
        Some(folder) if !folder.is_dir() => bad(format!(
            "database: there is no {shown}, and no folder {}; create it, mount it, or name another file",
            folder.display()
        )),
        _ if create => good(format!(
            "database: there is no {shown} yet; `rejoin serve` creates it. If there should be one, this is the wrong path"
        )),
        _ => bad(format!("database: there is no {shown}, and mode=rw does not create it")),
    }
}
