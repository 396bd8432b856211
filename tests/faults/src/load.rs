//! Clients that write: native ones with a replica, and plain ones of the text door. Every value is typed once.

mod native;
mod text;

use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rejoin_client::{Client, ClientOptions};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::database;
use crate::dice::Dice;
use crate::ledger::{Ledger, Token};
use crate::rest;
use native::Native;

/// Whatever is waited for comes within this time, or the wait has failed.
const PATIENCE: Duration = Duration::from_secs(300);

/// Waits for something that must happen.
pub(crate) async fn within<T>(what: &str, wait: impl Future<Output = T>) -> Result<T> {
    timeout(PATIENCE, wait).await.with_context(|| format!("waited too long for {what}"))
}

/// Who writes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Crowd {
    /// Clients with a replica: every other one keeps it in a SQLite file.
    pub(crate) natives: usize,
    /// Clients without; every third sends its values without a `request_id`, and never again.
    pub(crate) texts: usize,
    pub(crate) documents: usize,
    /// Planted: text clients send again under another `request_id`.
    pub(crate) doubles: bool,
}

/// Whether clients may connect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Gate {
    Open,
    Closed,
    /// What is typed is still sent, and nothing more is typed.
    Over,
}

/// What all clients share.
struct Shared {
    address: SocketAddr,
    ledger: Mutex<Ledger>,
    /// How many values were acknowledged.
    acknowledged: watch::Sender<u64>,
    gate: watch::Sender<Gate>,
}

impl Shared {
    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn acknowledge(&self, author: &str, until: usize) {
        let fresh = self.ledger().acknowledge(author, until) as u64;
        if fresh > 0 {
            self.acknowledged.send_modify(|count| *count += fresh);
        }
    }

    fn is_over(&self) -> bool {
        *self.gate.borrow() == Gate::Over
    }

    /// Waits until clients may connect; false when there is nothing more to type.
    async fn opened(&self) -> bool {
        let mut gate = self.gate.subscribe();
        gate.wait_for(|gate| *gate != Gate::Closed).await.is_ok_and(|gate| *gate == Gate::Open)
    }
}

/// The patch by which an author types a value: into its own log, and now and then where all write, too.
fn typing(token: &Token) -> Value {
    let add = json!({"op": "add", "path": format!("/logs/{}/-", token.author), "value": token.to_string()});
    match token.number % 8 {
        7 => json!([add, {"op": "replace", "path": "/last", "value": token.to_string()}]),
        _ => json!([add]),
    }
}

/// Clients that write until they are told to stop.
pub(crate) struct Load {
    shared: Arc<Shared>,
    natives: Vec<Native>,
    texts: Vec<JoinHandle<Result<()>>>,
    _folder: TempDir,
}

impl Load {
    /// Has a crowd write to a server.
    pub(crate) async fn start(address: SocketAddr, crowd: Crowd, dice: &mut Dice) -> Result<Self> {
        let run = dice.next();
        let folder = TempDir::new()?;
        let shared = Arc::new(Shared {
            address,
            ledger: Mutex::new(Ledger::new(run)),
            acknowledged: watch::Sender::new(0),
            gate: watch::Sender::new(Gate::Open),
        });
        let document = |at: usize| format!("d{}-{run:x}", at % crowd.documents);
        let natives: Vec<_> = (0..crowd.natives).map(|at| (format!("native{at}"), document(at))).collect();
        let texts: Vec<_> = (0..crowd.texts).map(|at| (format!("text{at}"), document(at))).collect();
        for (author, document) in natives.iter().chain(&texts) {
            shared.ledger().add_author(author, document);
        }
        let documents = shared.ledger().documents();
        for id in documents {
            let authors = shared.ledger().authors(&id);
            let logs: serde_json::Map<_, _> = authors.into_iter().map(|author| (author, json!([]))).collect();
            let document = json!({"id": id, "content": {"logs": logs, "last": ""}});
            rest::json(address, "POST /api/documents", &document).await?;
        }
        let mut load = Self { shared, natives: Vec::new(), texts: Vec::new(), _folder: folder };
        for (at, (author, document)) in natives.into_iter().enumerate() {
            let database = (at % 2 == 1).then(|| load._folder.path().join(format!("{author}.db")));
            let native = Native::start(Arc::clone(&load.shared), author, &document, database, dice).await?;
            load.natives.push(native);
        }
        for (at, (author, document)) in texts.into_iter().enumerate() {
            let again = match at % 3 {
                2 => text::Again::Never,
                _ if crowd.doubles => text::Again::UnderAnotherId,
                _ => text::Again::UnderItsId,
            };
            let client = text::Text::new(Arc::clone(&load.shared), author, document, again, at % 4 == 0);
            load.texts.push(tokio::spawn(client.write()));
        }
        Ok(load)
    }

    /// Waits until so many more values are acknowledged than were when this was called.
    pub(crate) async fn acknowledges(&self, more: u64) -> Result<()> {
        let mut acknowledged = self.shared.acknowledged.subscribe();
        let wanted = *acknowledged.borrow() + more;
        let wait = acknowledged.wait_for(|count| *count >= wanted);
        match within("acknowledgements", wait).await {
            Ok(_) => Ok(()),
            Err(error) => {
                self.check_tasks()?;
                let mut stand = String::new();
                for native in &self.natives {
                    stand.push_str(&format!("\n{}", native.stand().await?));
                }
                Err(error
                    .context(format!("{} values wait; native clients stand so:{stand}", self.under_way())))
            }
        }
    }

    /// A client that ended has a reason.
    fn check_tasks(&self) -> Result<()> {
        let ended = self.texts.iter().filter(|task| task.is_finished()).count()
            + self.natives.iter().filter(|native| native.is_finished()).count();
        if ended > 0 {
            bail!("{ended} clients ended by themselves");
        }
        Ok(())
    }

    /// Values that were typed and have no outcome yet.
    pub(crate) fn under_way(&self) -> usize {
        let ledger = self.shared.ledger();
        ledger.typed() - ledger.acknowledged() - ledger.rejected() - ledger.unsure()
    }

    /// Nobody connects any more, and native clients say what they were told so far. The server is down, or goes on without them.
    pub(crate) async fn leave(&self) -> Result<()> {
        self.shared.gate.send_replace(Gate::Closed);
        for native in &self.natives {
            native.leave().await?;
        }
        Ok(())
    }

    /// Everybody connects again, at once.
    pub(crate) async fn come(&self) -> Result<()> {
        self.shared.gate.send_replace(Gate::Open);
        for native in &self.natives {
            native.come().await?;
        }
        Ok(())
    }

    /// Holds the contents of all documents to what was acknowledged so far.
    pub(crate) async fn check(&self) -> Result<()> {
        let documents = self.shared.ledger().documents();
        for id in documents {
            let document = rest::get(self.shared.address, &format!("/api/documents/{id}")).await?;
            self.shared.ledger().check_content(&id, &document["content"])?;
        }
        Ok(())
    }

    /// Has everybody stop typing, waits until all of it has an outcome, and holds everything to it: contents, conflicts and histories over
    /// REST, what each replica shows, what a new one is given, and the rows of the database.
    pub(crate) async fn finish(mut self, database: &Path) -> Result<Finished> {
        self.shared.gate.send_replace(Gate::Over);
        for native in &mut self.natives {
            native.come().await?;
            native.finish().await?;
        }
        for text in self.texts.drain(..) {
            within("the last answers of a text client", text).await???;
        }
        self.shared.ledger().check_all_answered()?;
        self.check().await?;
        let mut revisions = 0;
        let documents = self.shared.ledger().documents();
        let fresh = Client::start(ClientOptions::new(url(self.shared.address)))?;
        for id in documents {
            let document = rest::get(self.shared.address, &format!("/api/documents/{id}")).await?;
            for native in self.natives.iter().filter(|native| native.edits(&id)) {
                native.shows(&document).await?;
            }
            let opened = fresh.open(&id).await?;
            within("a new client", native::shown(&opened, &document["content"])).await??;
            let events = history(self.shared.address, &id).await?;
            revisions += events.len();
            self.shared.ledger().check_history(&id, &events)?;
            let conflicts = rest::get(self.shared.address, &format!("/api/documents/{id}/conflicts")).await?;
            let found = Token::find_all(conflicts.to_string().as_bytes());
            self.shared.ledger().check_all_typed(&id, &found)?;
        }
        fresh.close().await?;
        let ledger = self.shared.ledger();
        let bodies = database::bodies(database)?;
        ledger.check_rows(bodies.iter().map(Vec::as_slice))?;
        Ok(Finished {
            acknowledged: ledger.acknowledged(),
            rejected: ledger.rejected(),
            unsure: ledger.unsure(),
            revisions,
        })
    }
}

/// What came of a load.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Finished {
    pub(crate) acknowledged: usize,
    pub(crate) rejected: usize,
    pub(crate) unsure: usize,
    pub(crate) revisions: usize,
}

impl std::ops::AddAssign for Finished {
    fn add_assign(&mut self, other: Self) {
        self.acknowledged += other.acknowledged;
        self.rejected += other.rejected;
        self.unsure += other.unsure;
        self.revisions += other.revisions;
    }
}

pub(crate) fn url(address: SocketAddr) -> String {
    format!("ws://{address}/ws")
}

/// All revisions of a document, oldest first.
async fn history(address: SocketAddr, id: &str) -> Result<Vec<Value>> {
    let mut events = Vec::new();
    let mut before = String::new();
    loop {
        let path = format!("/api/documents/{id}/changes?limit=1000{before}");
        let mut page = rest::get(address, &path).await?;
        let items = page["items"].as_array_mut().context("a history without items")?;
        events.splice(0..0, items.drain(..));
        match page["next"].as_u64() {
            Some(next) => before = format!("&before={next}"),
            None => return Ok(events),
        }
    }
}
