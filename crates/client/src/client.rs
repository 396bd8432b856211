//! The handle of a running client.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;

use rejoin_core::{Event, Replica, Reply, SyncStatus, Token};
use rejoin_record::Recorder;
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

/// Why a client did not end with everything stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CloseError {
    /// It had ended before; whoever ended it was told how.
    #[error(transparent)]
    Closed(#[from] Closed),
    /// The store did not take everything in [`SAVE_PATIENCE`](crate::SAVE_PATIENCE), or failed for good.
    #[error(
        "{changes} changes are lost: neither this device nor the server has stored them; make them again"
    )]
    Unsaved {
        /// Own changes that are neither stored here, nor durable at the authority.
        changes: usize,
    },
}

/// A running client. Clones share it; it ends when the last one is dropped or [`close`](Self::close) is called.
#[derive(Clone)]
pub struct Client {
    commands: mpsc::Sender<Command>,
    events: broadcast::Sender<Event>,
    turns: watch::Receiver<u64>,
    recorder: Option<Recorder>,
}

impl Client {
    /// Starts a client. Must be called inside a tokio runtime.
    pub fn start(options: ClientOptions) -> Result<Self, StartError> {
        let route = Route::new(&options)?;
        let store = open_store(&options)?;
        Ok(Self::run(options, route, store))
    }

    fn run(options: ClientOptions, route: Route, store: Arc<dyn Store>) -> Self {
        let (commands, receiver) = mpsc::channel(COMMAND_QUEUE);
        let (events, _) = broadcast::channel(EVENT_QUEUE);
        let (turn, turns) = watch::channel(0);
        let driver = Driver::new(options, route, store, events.clone(), turn);
        let recorder = driver.recorder.clone();
        tokio::spawn(driver.run(receiver));
        Self { commands, events, turns, recorder }
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

    /// What was recorded up to now, as a file for `rejoin replay`; `None` where nothing is: see [`ClientOptions::record`]. Clones of a client
    /// that is closed have it still.
    pub fn recording(&self) -> Option<Vec<u8>> {
        self.recorder.as_ref().map(Recorder::save)
    }

    /// Writes the [`recording`](Self::recording) to a file that only its owner may read, in the place of what stood there. False where nothing
    /// is recorded.
    pub fn save_recording(&self, path: impl AsRef<Path>) -> io::Result<bool> {
        let Some(bytes) = self.recording() else { return Ok(false) };
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        options.open(path)?.write_all(&bytes)?;
        Ok(true)
    }

    /// Ends the client after what was written so far is stored. A store that is out of order for a while is given
    /// [`SAVE_PATIENCE`](crate::SAVE_PATIENCE).
    pub async fn close(self) -> Result<(), CloseError> {
        let (sender, closed) = oneshot::channel();
        self.commands.send(Command::Close(sender)).await.map_err(|_| Closed)?;
        closed.await.map_err(|_| Closed)?.map_err(|changes| CloseError::Unsaved { changes })
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

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::time::Duration;

    use rejoin_core::storage::StoreError;
    use rejoin_json::{Json, Limits};
    use tokio::time::Instant;

    use super::*;
    use crate::SAVE_PATIENCE;

    /// A client that is offline, with two changes that its store does not take.
    async fn client(error: fn(Arc<str>) -> StoreError) -> (Client, SharedMemoryStore) {
        let options = ClientOptions::new("ws://127.0.0.1:9/ws").offline();
        let (route, store) = (Route::new(&options).unwrap(), SharedMemoryStore::default());
        let client = Client::run(options, route, Arc::new(store.clone()));
        let note = client.open("note").await.unwrap();
        let refused = (note.id().clone(), error("test".into()));
        store.with(|store| store.refuse(Some(refused)));
        note.create(Json::parse("{}", &Limits::default()).unwrap()).await.unwrap();
        note.edit(
            rejoin_json::Patch::parse(r#"[{"op":"add","path":"/x","value":1}]"#, &Limits::default()).unwrap(),
        )
        .await
        .unwrap();
        (client, store)
    }

    #[tokio::test(start_paused = true)]
    async fn the_end_waits_for_a_store_that_is_out_of_order_for_a_while() {
        let (client, store) = client(StoreError::Unavailable).await;
        let healed = store.clone();
        tokio::spawn(async move {
            tokio::time::sleep(SAVE_PATIENCE - Duration::from_secs(1)).await;
            healed.with(|store| store.refuse(None));
        });
        assert_eq!(client.close().await, Ok(()));
        // Who starts from the same store has both.
        let options = ClientOptions::new("ws://127.0.0.1:9/ws").offline();
        let route = Route::new(&options).unwrap();
        let client = Client::run(options, route, Arc::new(store));
        let note = client.open("note").await.unwrap();
        assert_eq!(note.value().await.unwrap().canonical(), r#"{"x":1}"#);
    }

    #[tokio::test]
    async fn what_is_recorded_replays_and_its_file_is_its_owners_alone() {
        let options = ClientOptions::new("ws://127.0.0.1:9/ws").offline();
        let route = Route::new(&options).unwrap();
        let options = options.record(crate::RecordingOptions::default());
        let client = Client::run(options, route, Arc::new(SharedMemoryStore::default()));
        let note = client.open("note").await.unwrap();
        note.create(Json::parse(r#"{"x":1}"#, &Limits::default()).unwrap()).await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("recording");
        client.clone().close().await.unwrap();
        assert!(client.save_recording(&file).unwrap());
        let bytes = std::fs::read(&file).unwrap();
        let mut replay = rejoin_record::Replay::new(&bytes);
        while replay.advance().unwrap().is_some() {}
        assert!(replay.progress().replayed > 4);
        let state = replay.state().unwrap();
        assert_eq!((state.documents.len(), state.pending), (1, 1));
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        }
    }

    #[tokio::test]
    async fn a_client_that_is_not_told_to_records_nothing() {
        let (client, _store) = client(StoreError::Unavailable).await;
        assert!(client.recording().is_none());
        let folder = tempfile::tempdir().unwrap();
        assert!(!client.save_recording(folder.path().join("recording")).unwrap());
    }

    #[tokio::test(start_paused = true)]
    async fn the_end_says_how_many_changes_a_store_did_not_take_in_time() {
        let (client, _store) = client(StoreError::Unavailable).await;
        let (other, began) = (client.clone(), Instant::now());
        assert_eq!(client.close().await, Err(CloseError::Unsaved { changes: 2 }));
        let waited = began.elapsed();
        assert!((SAVE_PATIENCE..SAVE_PATIENCE + Duration::from_millis(10)).contains(&waited), "{waited:?}");
        assert_eq!(other.close().await, Err(CloseError::Closed(Closed)));
    }

    #[tokio::test(start_paused = true)]
    async fn the_end_does_not_wait_for_a_store_that_failed_for_good() {
        let (client, _store) = client(StoreError::Corrupted).await;
        let began = Instant::now();
        assert_eq!(client.close().await, Err(CloseError::Unsaved { changes: 2 }));
        assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
    }
}
