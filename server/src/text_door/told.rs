//! What goes to many links at once: as it is to replicas, and in words, which are made once, to text clients; likewise in frames to Yjs clients.

use std::sync::{Arc, OnceLock};

use rejoin_core::Payload;
use rejoin_wire::limits::MAX_MESSAGE_BYTES;
use rejoin_wire::{Assembler, Effect, Encoding, Message, Update, decode_message};

use super::words::{has_splice, news_of};
use crate::yjs_door::News;

/// A message of a replica on its way to links.
#[derive(Debug)]
pub(crate) struct Told {
    payload: Payload,
    words: OnceLock<Words>,
    updates: OnceLock<Option<Arc<News>>>,
}

/// What text clients make of it.
#[derive(Debug, Default)]
struct Words {
    message: Option<Message>,
    /// Of an update that says everything by itself: one text for each revision.
    news: Option<Vec<Payload>>,
}

impl Told {
    pub(crate) const fn new(payload: Payload) -> Self {
        Self { payload, words: OnceLock::new(), updates: OnceLock::new() }
    }

    pub(crate) const fn payload(&self) -> &Payload {
        &self.payload
    }

    pub(crate) fn into_payload(self) -> Payload {
        self.payload
    }

    /// The message; none where it cannot be read, which would be a fault of this side.
    pub(crate) fn message(&self) -> Option<&Message> {
        self.words().message.as_ref()
    }

    /// The updates of a CRDT document, where it says nothing else.
    pub(crate) fn updates(&self) -> Option<(&Update, &Arc<News>)> {
        let Some(Message::Update(update)) = self.message() else { return None };
        let updates = self.updates.get_or_init(|| News::of(update));
        updates.as_ref().map(|updates| (update, updates))
    }

    /// An update of which nothing has to be looked up, and what each of its revisions is in words.
    pub(super) fn news(&self) -> Option<(&Update, &[Payload])> {
        match self.words() {
            Words { message: Some(Message::Update(update)), news: Some(news) } => Some((update, news)),
            _ => None,
        }
    }

    fn words(&self) -> &Words {
        self.words.get_or_init(|| {
            let message = read(&self.payload);
            let news = match &message {
                Some(Message::Update(update)) => in_words(update),
                _ => None,
            };
            Words { message, news }
        })
    }
}

fn read(payload: &Payload) -> Option<Message> {
    let mut assembler = Assembler::new(Encoding::Binary, MAX_MESSAGE_BYTES);
    let mut frames = payload.frames().iter();
    frames.find_map(|frame| {
        let message = assembler.push(frame.clone()).ok()??;
        decode_message(&message, Encoding::Binary).ok()
    })
}

fn in_words(update: &Update) -> Option<Vec<Payload>> {
    let mut revision = update.first;
    let mut news = Vec::with_capacity(update.entries.len());
    for entry in &update.entries {
        let says_all = matches!(&entry.effect, Effect::Patched { .. })
            && !has_splice(&entry.effect)
            && entry.conflicts.is_empty();
        if !says_all {
            return None;
        }
        news.extend(
            news_of(&update.document, revision, entry).iter().map(|news| Payload::text(news.to_text())),
        );
        revision = revision.next();
    }
    Some(news)
}
