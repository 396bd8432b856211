//! Says what is wrong with a set-up, before or while it hurts.

use std::io::ErrorKind;
use std::net::TcpListener;
use std::path::Path;

use rejoin_core::storage::{Answered, Operation, StoreError};
use rejoin_core::{Config, Event, Input, Instant, Output, Replica, Role, Seed};
use rejoin_store::{Location, SqliteConnection, SqliteOptions};
use rejoin_wire::{Revision, Sequence, UnixMillis, WorkspaceId};

use crate::config::{GOOD_SECRET_BYTES, Resolved, Settings};
use crate::hub::unix_now;
use crate::tls::Tls;
use health::{Healthy, healthy};

mod health;

/// A certificate that ends sooner is warned about, in milliseconds: a week.
const EXPIRY_NOTICE_MS: u64 = 7 * 24 * 60 * 60 * 1_000;

/// One that lives for days only is warned about in the last tenth of its time.
const EXPIRY_NOTICE_SHARE: u64 = 10;

/// Documents whose heads are read at a time.
const HEADS_PER_PAGE: u32 = 1_000;

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

/// Looks at configuration, address, TLS, secret and database.
pub fn examine(settings: Settings) -> Vec<Finding> {
    let resolved = match settings.resolve() {
        Ok(resolved) => resolved,
        Err(error) => return vec![bad(format!("configuration: {error}"))],
    };
    vec![address(&resolved), tls(&resolved), secret(&resolved), database(&resolved)]
}

fn address(resolved: &Resolved) -> Finding {
    match TcpListener::bind(resolved.address) {
        Ok(_) => good(format!("address: {} is free", resolved.address)),
        Err(error) if error.kind() == ErrorKind::AddrInUse => match healthy(resolved.address) {
            Some(Healthy::Plainly) => {
                good(format!("address: a Rejoin server answers at {}", resolved.address))
            }
            Some(Healthy::Securely) => {
                good(format!("address: a Rejoin server answers at {} through TLS", resolved.address))
            }
            None => bad(format!(
                "address: {} is taken, and something else listens there; stop it, or choose another with --bind",
                resolved.address
            )),
        },
        Err(error) => bad(format!(
            "address: {} cannot be listened on ({error}); choose another with --bind",
            resolved.address
        )),
    }
}

fn tls(resolved: &Resolved) -> Finding {
    let Some(files) = &resolved.tls else {
        return good("TLS: none; connections are plain unless a proxy in front makes them secure");
    };
    let path = files.certificate.display();
    let validity = match Tls::load(files.clone()) {
        Ok(tls) => tls.validity(),
        Err(error) => return bad(format!("TLS: {error}")),
    };
    let left = validity.ends.0.saturating_sub(unix_now().0);
    let notice =
        EXPIRY_NOTICE_MS.min(validity.ends.0.saturating_sub(validity.begins.0) / EXPIRY_NOTICE_SHARE);
    if !validity.is_now() {
        bad(format!("TLS: clients refuse the certificate in {path}: it is {validity}; renew it"))
    } else if left < notice {
        bad(format!("TLS: the certificate in {path} ends soon: it is {validity}; renew it and send SIGHUP"))
    } else {
        good(format!("TLS: certificate and key belong together, and {path} is {validity}"))
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
    let mut connection = match SqliteConnection::open(url, &SqliteOptions::default()) {
        Ok(connection) => connection,
        Err(error) => return bad(format!("database: {error}")),
    };
    let looked = look_at_documents(&mut connection);
    let damage = match connection.damage() {
        Err(StoreError::Corrupted(error)) => vec![error.to_string()],
        damage => damage.unwrap_or_default(),
    };
    if let Err(error) = connection.close() {
        return bad(format!("database: {path} does not close: {error}"));
    }
    let mut finding = documents(&path.to_string(), looked);
    if let Some(first) = damage.first() {
        finding.good = false;
        finding.text.push_str(&format!(
            "; SQLite finds the file damaged ({first}), so documents may be missing without an error: restore it from a backup, or have `sqlite3 FILE .recover` write what is left into a new one"
        ));
    }
    finding
}

/// Says which documents cannot be read.
fn documents(path: &str, looked: Result<Looked, StoreError>) -> Finding {
    match looked {
        Err(error) => bad(format!("database: {path} cannot be read: {error}; restore it from a backup")),
        Ok(Looked { documents, damaged, healing }) if damaged.is_empty() && healing.is_empty() => good(
            format!("database: {path} opens and closes, and all of its {documents} documents can be read"),
        ),
        Ok(Looked { documents, damaged, healing }) if damaged.is_empty() => good(format!(
            "database: {path}: all of its {documents} documents can be read, but not all records of {}: {}; the server does without them, or makes them again; look at the disk",
            healing.len(),
            healing.join(", ")
        )),
        Ok(Looked { documents, damaged, .. }) => bad(format!(
            "database: {path}: {} of {documents} documents cannot be read whole, and are read-only: {}; each is mended when somebody connects who holds what is missing, else restore it from a backup",
            damaged.len(),
            damaged.join(", ")
        )),
    }
}

/// What a look at all documents came to.
struct Looked {
    documents: usize,
    /// Workspace and document, and which revisions cannot be read.
    damaged: Vec<String>,
    /// Workspace and document, where nothing is missing but what can be done without.
    healing: Vec<String>,
}

/// What of a document could not be read.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Health {
    Whole,
    Healing,
    Damaged { readable: Revision, newest: Revision },
}

/// Has a replica read each document as a server would. Nothing is written.
fn look_at_documents(connection: &mut SqliteConnection) -> Result<Looked, StoreError> {
    let mut looked = Looked { documents: 0, damaged: Vec::new(), healing: Vec::new() };
    for workspace in connection.workspaces()? {
        let mut config = Config::new(workspace.clone(), Role::Root);
        config.max_idle_documents = 1;
        let mut replica = Replica::new(config, Seed(0), Instant(0), UnixMillis(0));
        serve(&mut replica, connection, &workspace)?;
        let mut after = (Sequence(0), None);
        loop {
            let operation = Operation::ScanHeads { after: after.0, past: after.1, limit: HEADS_PER_PAGE };
            let Answered::Heads(heads) = connection.execute(&workspace, &operation)? else { break };
            let Some(last) = heads.last() else { break };
            after = (last.sequence, Some(last.document.clone()));
            for head in &heads {
                replica.open(&head.document);
                let name = format!("{workspace}/{}", head.document);
                match serve(&mut replica, connection, &workspace)? {
                    Health::Whole => {}
                    Health::Healing => looked.healing.push(name),
                    Health::Damaged { readable, newest } if readable >= newest => {
                        looked.damaged.push(format!("{name} (all of it)"));
                    }
                    Health::Damaged { readable, newest } => {
                        looked.damaged.push(format!("{name} (revisions {} to {newest})", readable.next()));
                    }
                }
                replica.close(&head.document);
                looked.documents += 1;
            }
        }
        for document in connection.unreadable_heads(&workspace)? {
            looked.damaged.push(format!("{workspace}/{} (all of it)", document.escape_debug()));
            looked.documents += 1;
        }
    }
    Ok(looked)
}

/// Answers what a replica asks of its store, without writing; gives the worst that it found.
fn serve(
    replica: &mut Replica,
    connection: &mut SqliteConnection,
    workspace: &WorkspaceId,
) -> Result<Health, StoreError> {
    let mut health = Health::Whole;
    while let Some(output) = replica.poll_output() {
        match output {
            Output::Store { request, operation } => {
                let answer = match operation {
                    Operation::Commit(_) => Ok(Answered::Committed),
                    operation => match connection.execute(workspace, &operation) {
                        Err(error @ StoreError::Unavailable(_)) => return Err(error),
                        answer => answer,
                    },
                };
                replica.handle_input(Instant(0), Input::Stored { request, answer });
            }
            Output::Event(Event::Quarantined { .. }) => health = health.max(Health::Healing),
            Output::Event(Event::Damaged { readable, newest, .. }) => {
                health = Health::Damaged { readable, newest };
            }
            _ => {}
        }
    }
    Ok(health)
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
