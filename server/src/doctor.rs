//! Says what is wrong with a set-up, before or while it hurts.

use std::net::TcpListener;

use rejoin_store::{SqliteOptions, SqliteStore};

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

fn database(resolved: &Resolved) -> Finding {
    match SqliteStore::open(&resolved.database_url, &SqliteOptions::default()) {
        Ok(store) => match store.close() {
            Ok(()) => good(format!("database: {} opens and closes", resolved.database_url)),
            Err(error) => bad(format!("database: {} does not close: {error}", resolved.database_url)),
        },
        Err(error) => bad(format!("database: {error}")),
    }
}
