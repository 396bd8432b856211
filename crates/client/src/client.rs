//! The handle of a running client.

use std::sync::Arc;

use rejoin_core::{Event, Replica, Reply, SyncStatus, Token};
use rejoin_store::{SharedMemoryStore, Store};
use rejoin_wire::{DocumentId, ListItem};
use tokio::sync::{broadcast, mpsc, oneshot, watch};

use crate::connect::Route;
use crate::document::{Document, DocumentError};
use crate::driver::{Command, Driver};
use crate::options::{ClientOptions, StartError};

/// Commands that wait for the client's task.
const COMMAND_QUEUE: usize = 1_024;

/// Events that a receiver may lag behind before it misses the oldest, and is told so.
const EVENT_QUEUE: usize = 4_096;

/// The client's task has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the client is closed; start another one")]
pub struct Closed;

/// A running client. Clones share it; it ends when the last one is dropped or [`close`](Self::close) is called.
#[derive(Clone)]
pub struct Client {
    commands: mpsc::Sender<Command>,
    events: broadcast::Sender<Event>,
    turns: watch::Receiver<u64>,
}

impl Client {
    /// Starts a client. Must be called inside a tokio runtime.
    pub fn start(options: ClientOptions) -> Result<Self, StartError> {
        let route = Route::new(&options)?;
        let store = open_store(&options)?;
        let (commands, receiver) = mpsc::channel(COMMAND_QUEUE);
        let (events, _) = broadcast::channel(EVENT_QUEUE);
        let (turn, turns) = watch::channel(0);
        let driver = Driver::new(options, route, store, events.clone(), turn);
        tokio::spawn(driver.run(receiver));
        Ok(Self { commands, events, turns })
    }

    /// Runs something on the replica, between its turns.
    pub async fn with<R: Send + 'static>(
        &self,
        run: impl FnOnce(&mut Replica) -> R + Send + 'static,
    ) -> Result<R, Closed> {
        let (sender, result) = oneshot::channel();
        let run = Box::new(move |replica: &mut Replica| {
            // Whoever asked may have gone.
            let _ = sender.send(run(replica));
        });
        self.commands.send(Command::Run(run)).await.map_err(|_| Closed)?;
        result.await.map_err(|_| Closed)
    }

    /// Asks the replica something that it answers by a reply under the token given to it.
    pub(crate) async fn ask(
        &self,
        ask: impl FnOnce(&mut Replica, Token) + Send + 'static,
    ) -> Result<Reply, Closed> {
        let (sender, reply) = oneshot::channel();
        self.commands.send(Command::Ask(Box::new(ask), sender)).await.map_err(|_| Closed)?;
        reply.await.map_err(|_| Closed)
    }

    /// Waits until something is true of the replica; it is looked at after each of its turns.
    pub async fn until<R: Send + 'static>(
        &self,
        look: impl FnMut(&mut Replica) -> Option<R> + Clone + Send + 'static,
    ) -> Result<R, Closed> {
        let mut turns = self.turns.clone();
        loop {
            turns.mark_unchanged();
            let mut again = look.clone();
            if let Some(found) = self.with(move |replica| again(replica)).await? {
                return Ok(found);
            }
            turns.changed().await.map_err(|_| Closed)?;
        }
    }

    /// Opens a document and waits until it has been read from the device. It need not exist.
    pub async fn open(&self, id: &str) -> Result<Document, DocumentError> {
        let id = DocumentId::new(id)?;
        let opened = id.clone();
        self.with(move |replica| replica.open(&opened)).await?;
        let read = id.clone();
        self.until(move |replica| replica.confirmed(&read).map(|_| ())).await?;
        Ok(Document::new(self.clone(), id))
    }

    /// What happens to documents and link from now on.
    pub fn events(&self) -> broadcast::Receiver<Event> {
        self.events.subscribe()
    }

    /// How safe all own changes are.
    pub async fn sync_status(&self) -> Result<SyncStatus, Closed> {
        self.with(|replica| replica.sync_status()).await
    }

    /// Documents of the workspace, for a client that follows the list.
    pub async fn list(&self) -> Result<Vec<ListItem>, Closed> {
        self.with(|replica| replica.list()).await
    }

    /// Waits until nothing waits to be acknowledged.
    pub async fn settled(&self) -> Result<(), Closed> {
        self.until(|replica| (replica.is_ready() && replica.sync_status().pending == 0).then_some(())).await
    }

    /// Ends the link and makes no other.
    pub async fn go_offline(&self) -> Result<(), Closed> {
        self.commands.send(Command::Online(false)).await.map_err(|_| Closed)
    }

    /// Connects at once, and again whenever the link is lost.
    pub async fn go_online(&self) -> Result<(), Closed> {
        self.commands.send(Command::Online(true)).await.map_err(|_| Closed)
    }

    /// Ends the client after what was written so far is stored.
    pub async fn close(self) {
        let (sender, closed) = oneshot::channel();
        if self.commands.send(Command::Close(sender)).await.is_ok() {
            let _ = closed.await;
        }
    }
}

#[cfg(feature = "sqlite")]
fn open_store(options: &ClientOptions) -> Result<Arc<dyn Store>, StartError> {
    use rejoin_store::{Location, SqliteOptions, SqliteStore};
    match &options.database {
        None => Ok(Arc::new(SharedMemoryStore::default())),
        Some(path) => {
            let file = Location::File { path: path.clone(), create: true };
            Ok(Arc::new(SqliteStore::open_at(file, &SqliteOptions::default())?))
        }
    }
}

#[cfg(not(feature = "sqlite"))]
fn open_store(options: &ClientOptions) -> Result<Arc<dyn Store>, StartError> {
    match &options.database {
        None => Ok(Arc::new(SharedMemoryStore::default())),
        Some(_) => Err(StartError::NoSqlite),
    }
}
