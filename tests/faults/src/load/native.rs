//! A client with a replica of its own, in memory or in a file.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context, Result};
use rejoin_client::{Client, ClientOptions, Document, DocumentError, Json, Limits, Patch};
use serde_json::Value;
use tokio::task::JoinHandle;

use super::{Shared, typing, url, within};
use crate::dice::Dice;
use crate::ledger::Token;

/// Changes that a client may have without an outcome before it types on: some are always under way.
const MOST_PENDING: u64 = 8;

pub(super) struct Native {
    client: Client,
    document: Document,
    author: String,
    shared: Arc<Shared>,
    /// Edits that the replica has taken.
    edited: Arc<AtomicUsize>,
    writing: Option<JoinHandle<Result<()>>>,
}

impl Native {
    pub(super) async fn start(
        shared: Arc<Shared>,
        author: String,
        document: &str,
        database: Option<PathBuf>,
        dice: &mut Dice,
    ) -> Result<Self> {
        let mut options = ClientOptions::new(url(shared.address));
        if let Some(database) = database {
            options = options.sqlite(database);
        }
        let client = Client::start(options)?;
        let document = within("opening", client.open(document)).await??;
        within("a document's first content", document.until(|_| true)).await??;
        let edited = Arc::new(AtomicUsize::new(0));
        let window = usize::try_from(dice.between(1..=MOST_PENDING))?;
        let writer = Writer {
            client: client.clone(),
            document: document.clone(),
            author: author.clone(),
            shared: Arc::clone(&shared),
            edited: Arc::clone(&edited),
            window,
        };
        let writing = Some(tokio::spawn(writer.write()));
        Ok(Self { client, document, author, shared, edited, writing })
    }

    pub(super) fn is_finished(&self) -> bool {
        self.writing.as_ref().is_some_and(JoinHandle::is_finished)
    }

    pub(super) fn edits(&self, document: &str) -> bool {
        self.document.id().as_str() == document
    }

    /// How it stands, for whoever has to find out why nothing happens.
    pub(super) async fn stand(&self) -> Result<String> {
        let status = self.client.sync_status().await?;
        let document = self.document.status().await?;
        Ok(format!("{}: {:?}, {:?}, {document:?}", self.author, status.link, status.ladder))
    }

    /// Goes offline, and says what was acknowledged before.
    pub(super) async fn leave(&self) -> Result<()> {
        self.client.go_offline().await?;
        // Counted before the changes without an outcome: one that is made in between counts as pending only.
        let edited = self.edited.load(Ordering::SeqCst);
        let pending = self.document.status().await?.pending;
        note_rejected(&self.document, &self.shared, &self.author).await?;
        self.shared.acknowledge(&self.author, edited.saturating_sub(pending));
        Ok(())
    }

    pub(super) async fn come(&self) -> Result<()> {
        Ok(self.client.go_online().await?)
    }

    /// Waits until everything has an outcome.
    pub(super) async fn finish(&mut self) -> Result<()> {
        let Some(writing) = self.writing.take() else { return Ok(()) };
        let who = format!("the last outcomes of {}", self.author);
        match within(&who, writing).await {
            Ok(written) => written??,
            Err(error) => return Err(error.context(self.stand().await?)),
        }
        match within(&who, self.document.acknowledged()).await? {
            // Those stand with their author, who has all their values.
            Ok(()) | Err(DocumentError::Rejected(_)) => {}
            Err(error) => return Err(error.into()),
        }
        note_rejected(&self.document, &self.shared, &self.author).await?;
        self.shared.acknowledge(&self.author, self.edited.load(Ordering::SeqCst));
        Ok(())
    }

    /// Waits until the replica shows what the server has.
    pub(super) async fn shows(&self, document: &Value) -> Result<()> {
        let wait = shown(&self.document, &document["content"]);
        within(&format!("{} to show what the server has", self.author), wait).await?
    }
}

/// Notes what the server rejected, which is with its author.
async fn note_rejected(document: &Document, shared: &Shared, author: &str) -> Result<()> {
    for rejected in document.rejected().await? {
        let held = format!("{:?}", rejected.change);
        let token = Token::find_all(held.as_bytes()).into_iter().find(|token| token.author == author);
        let token = token.with_context(|| format!("a rejected change without its value: {held}"))?;
        shared.ledger().reject(author, token.number);
    }
    Ok(())
}

/// Waits until a document shows this content.
pub(super) async fn shown(document: &Document, content: &Value) -> Result<()> {
    let wanted = Json::from_value(content).context("a content that is none")?.canonical();
    document.until(move |content| content.canonical() == wanted).await?;
    Ok(())
}

/// The task of a client that types.
struct Writer {
    client: Client,
    document: Document,
    author: String,
    shared: Arc<Shared>,
    edited: Arc<AtomicUsize>,
    window: usize,
}

impl Writer {
    async fn write(self) -> Result<()> {
        while !self.shared.is_over() {
            let token = self.shared.ledger().next(&self.author);
            let patch = Patch::parse(&typing(&token).to_string(), &Limits::default())?;
            self.document.edit(patch).await?;
            let edited = self.edited.fetch_add(1, Ordering::SeqCst) + 1;
            let (id, window) = (self.document.id().clone(), self.window);
            let pending = self.client.until(move |replica| {
                let status = replica.status(&id)?;
                (status.pending < window).then_some((status.pending, status.rejected))
            });
            let (pending, rejected) = pending.await?;
            if rejected > 0 {
                note_rejected(&self.document, &self.shared, &self.author).await?;
            }
            self.shared.acknowledge(&self.author, edited - pending);
        }
        Ok(())
    }
}
