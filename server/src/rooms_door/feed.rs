//! One follower of a document for all clients of a room.

use std::collections::{BTreeMap, VecDeque};
use std::convert::Infallible;
use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};

use rejoin_core::{Grant, LINK_LOW_WATER_BYTES, Payload, Peer, Present};
use rejoin_json::Json;
use rejoin_rooms::limits::{
    MAX_HISTORY_BATCHES, MAX_MEMBERS, MAX_QUEUED_BYTES, MAX_QUEUED_MESSAGES, MAX_ROOMS,
};
use rejoin_rooms::{ClientId, Form, Refusal, RoomId, ServerMessage};
use rejoin_wire::{
    CloseCode, Encoding, ErrorCode, Have, MemberId, Message, OpenDocument, Revision, UnixMillis,
};
use tokio::sync::{Notify, oneshot, watch};

use super::Ending;
use super::content::{Content, Kind, News, whole};
use super::people::{NOBODY, client_of, unwrapped};
use crate::hub::{Closing, Hub, Link, Outgoing, Stopped, Urgency, unix_now};
use crate::text_door::Told;
use crate::yjs_door::{MAX_INLINE_BYTES, random_replica};

const _: () = assert!(MAX_QUEUED_MESSAGES <= MAX_HISTORY_BATCHES);

/// The rooms that somebody is in.
pub(crate) struct Rooms {
    hub: Hub,
    feeds: Mutex<BTreeMap<RoomId, Weak<Feed>>>,
}

/// A room in memory: what its document shows, what its newest revisions changed, and who is there. It ends with the last who holds it.
pub(crate) struct Feed {
    room: RoomId,
    rooms: Arc<Rooms>,
    content: Arc<tokio::sync::Mutex<Content>>,
    state: Mutex<State>,
    /// Says that there is news.
    changed: watch::Sender<()>,
    /// Dropped with the feed, which its task notices.
    _end: oneshot::Sender<Infallible>,
}

#[derive(Default)]
struct State {
    have: Have,
    kind: Option<Kind>,
    view: Json,
    /// The newest batches, without a hole.
    batches: VecDeque<Arc<Batch>>,
    bytes: usize,
    /// The newest revision whose way from the one before is not known.
    whole_since: Revision,
    whole: Option<Arc<Batch>>,
    deleted_at: Revision,
    present: Present,
    /// Since when each shows what it shows.
    since: BTreeMap<MemberId, UnixMillis>,
    seats: BTreeMap<ClientId, Seat>,
    next_seat: u64,
    ending: Option<Ending>,
}

/// Who is in the room through the rooms door.
struct Seat {
    number: u64,
    principal: Arc<str>,
    replaced: Arc<Notify>,
}

/// A client's place in a room, until it is dropped.
pub(super) struct Taken {
    feed: Arc<Feed>,
    client: ClientId,
    number: u64,
    /// Told when the client has come again.
    pub(super) replaced: Arc<Notify>,
}

/// What made a version, encoded once for all.
#[derive(Debug)]
pub(crate) struct Batch {
    version: Revision,
    operations: Json,
    texts: [OnceLock<Payload>; 2],
}

/// What a client is told next.
pub(super) enum Next {
    Nothing,
    Batches(Vec<Arc<Batch>>),
    Whole(Arc<Batch>),
    /// The room was deleted.
    Gone,
    /// What it lacks is not remembered any more.
    TooSlow,
    End(Ending),
}

/// How who has a version gets to the newest.
pub(crate) enum Since {
    Batches(Vec<(Revision, Json)>),
    Whole,
}

/// A room, as it is shown to programs.
pub(crate) struct Shown {
    pub(crate) version: Revision,
    pub(crate) kind: Kind,
    pub(crate) view: Json,
}

impl Batch {
    fn new(version: Revision, operations: Json) -> Self {
        Self { version, operations, texts: Default::default() }
    }

    pub(super) fn version(&self) -> Revision {
        self.version
    }

    pub(super) fn payload(&self, form: Form) -> Payload {
        let at = usize::from(form == Form::Typed);
        let encode = || {
            let (version, operations) = (self.version.0, self.operations.clone());
            let message = ServerMessage::StorageUpdated { version, operations };
            Payload::text(message.encode(form).as_ref().to_owned())
        };
        self.texts[at].get_or_init(encode).clone()
    }
}

impl Rooms {
    pub(crate) fn new(hub: Hub) -> Arc<Self> {
        Arc::new(Self { hub, feeds: Mutex::default() })
    }

    pub(crate) fn hub(&self) -> &Hub {
        &self.hub
    }

    fn feeds(&self) -> MutexGuard<'_, BTreeMap<RoomId, Weak<Feed>>> {
        self.feeds.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Rooms in memory, with how many of their clients came through this door.
    pub(crate) fn occupied(&self) -> BTreeMap<RoomId, usize> {
        let feeds: Vec<Arc<Feed>> = self.feeds().values().filter_map(Weak::upgrade).collect();
        let rooms = feeds.iter().map(|feed| (feed.room.clone(), feed.state().seats.len()));
        rooms.filter(|(_, clients)| *clients > 0).collect()
    }

    pub(crate) fn is_occupied(&self, room: &RoomId) -> bool {
        let feed = self.feeds().get(room).and_then(Weak::upgrade);
        feed.is_some_and(|feed| !feed.state().seats.is_empty())
    }

    /// A room, with what its document shows now.
    ///
    /// # Errors
    ///
    /// [`Refusal`] where there are too many, or the document cannot be read.
    pub(crate) async fn open(self: &Arc<Self>, room: &RoomId) -> Result<Arc<Feed>, Refusal> {
        let feed = self.feed(room)?;
        let mut changed = feed.changed.subscribe();
        loop {
            {
                let state = feed.state();
                if let Some((code, reason)) = &state.ending {
                    let code = match code {
                        CloseCode::Internal => ErrorCode::Corrupted,
                        _ => ErrorCode::Unavailable,
                    };
                    return Err(Refusal::new(code, reason.as_ref()));
                }
                if state.kind.is_some() {
                    drop(state);
                    return Ok(feed);
                }
            }
            let _ = changed.changed().await;
        }
    }

    fn feed(self: &Arc<Self>, room: &RoomId) -> Result<Arc<Feed>, Refusal> {
        // Dropped behind the lock, which the last holder of a feed takes.
        let there;
        let mut feeds = self.feeds();
        there = feeds.get(room).and_then(Weak::upgrade);
        if let Some(feed) = there.as_ref().filter(|feed| feed.state().ending.is_none()) {
            return Ok(Arc::clone(feed));
        }
        if feeds.len() >= MAX_ROOMS && !feeds.contains_key(room) {
            let message =
                format!("{MAX_ROOMS} rooms are in use: try again when everybody has left one of them");
            return Err(Refusal::new(ErrorCode::RateLimited, message));
        }
        let (end, gone) = oneshot::channel();
        let feed = Arc::new(Feed {
            room: room.clone(),
            rooms: Arc::clone(self),
            content: Arc::new(tokio::sync::Mutex::new(Content::new())),
            state: Mutex::default(),
            changed: watch::Sender::new(()),
            _end: end,
        });
        feeds.insert(room.clone(), Arc::downgrade(&feed));
        tokio::spawn(follow(self.hub.clone(), room.clone(), Arc::downgrade(&feed), gone));
        Ok(feed)
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        let mut feeds = self.rooms.feeds();
        // Another may have taken its place.
        if feeds.get(&self.room).is_some_and(|feed| feed.strong_count() == 0) {
            feeds.remove(&self.room);
        }
    }
}

impl Feed {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn room(&self) -> &RoomId {
        &self.room
    }

    pub(super) fn hub(&self) -> &Hub {
        &self.rooms.hub
    }

    pub(super) fn content(&self) -> &tokio::sync::Mutex<Content> {
        &self.content
    }

    pub(super) fn changed(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    pub(super) fn have(&self) -> Have {
        self.state().have
    }

    pub(crate) fn kind(&self) -> Kind {
        self.state().kind.unwrap_or(Kind::Absent)
    }

    pub(crate) fn shown(&self) -> Shown {
        let state = self.state();
        let kind = state.kind.unwrap_or(Kind::Absent);
        Shown { version: state.have.revision, kind, view: state.view.clone() }
    }

    /// Waits until a revision is told, or nothing is told any more.
    pub(crate) async fn reach(&self, revision: Revision) {
        let mut changed = self.changed();
        let is_there = || {
            let state = self.state();
            state.have.revision >= revision || state.ending.is_some()
        };
        while !is_there() && changed.changed().await.is_ok() {}
    }

    /// What changed since a version.
    pub(crate) fn since(&self, version: Revision) -> Since {
        let state = self.state();
        if version == state.have.revision {
            return Since::Batches(Vec::new());
        }
        let is_known = version >= state.whole_since
            && version < state.have.revision
            && state.batches.front().is_some_and(|first| first.version <= version.next());
        if !is_known {
            return Since::Whole;
        }
        let newer = state.batches.iter().filter(|batch| batch.version > version);
        Since::Batches(newer.map(|batch| (batch.version, batch.operations.clone())).collect())
    }

    /// Who is there, through whatever door, and what they show. The replica says so before it tells the document.
    pub(crate) fn present(&self) -> Vec<(ClientId, UnixMillis, Json)> {
        let state = self.state();
        let mut shown = BTreeMap::new();
        for (member, presence) in state.present.iter() {
            let since = state.since.get(&member).copied().unwrap_or(UnixMillis(0));
            shown.insert(client_of(member, &presence.state), (since, unwrapped(&presence.state).clone()));
        }
        shown.into_iter().map(|(client, (since, state))| (client, since, state)).collect()
    }

    /// Takes a place for a client. One that is there already has come back: its old connection ends.
    ///
    /// # Errors
    ///
    /// [`Refusal`] where the room is full, or the client is somebody else.
    pub(super) fn enter(self: &Arc<Self>, client: ClientId, principal: &Arc<str>) -> Result<Taken, Refusal> {
        let mut state = self.state();
        match state.seats.get(&client) {
            Some(seat) if seat.principal != *principal => {
                let message = "this client id is that of somebody else in the room: take another";
                return Err(Refusal::new(ErrorCode::Forbidden, message));
            }
            Some(seat) => seat.replaced.notify_one(),
            None if state.seats.len() >= MAX_MEMBERS => {
                let message = format!("the room has {MAX_MEMBERS} members: try again when somebody has left");
                return Err(Refusal::new(ErrorCode::RateLimited, message));
            }
            None => {}
        }
        let (number, replaced) = (state.next_seat, Arc::new(Notify::new()));
        state.next_seat += 1;
        let seat = Seat { number, principal: Arc::clone(principal), replaced: Arc::clone(&replaced) };
        state.seats.insert(client, seat);
        drop(state);
        Ok(Taken { feed: Arc::clone(self), client, number, replaced })
    }

    /// All of the storage.
    pub(super) fn whole(&self) -> Arc<Batch> {
        let mut state = self.state();
        let State { have, view, whole: kept, .. } = &mut *state;
        let batch = kept.get_or_insert_with(|| Arc::new(Batch::new(have.revision, whole(view))));
        Arc::clone(batch)
    }

    /// What a client is told that was told a version, at most so many batches.
    pub(super) fn next(&self, told: Revision, limit: usize) -> Next {
        let state = self.state();
        if let Some(ending) = &state.ending {
            return Next::End(ending.clone());
        }
        if state.deleted_at > told {
            return Next::Gone;
        }
        if state.have.revision == told {
            return Next::Nothing;
        }
        if state.whole_since > told || state.have.revision < told {
            drop(state);
            return Next::Whole(self.whole());
        }
        let first = state.batches.front().map_or(state.have.revision.next(), |first| first.version);
        if told.next() < first {
            return Next::TooSlow;
        }
        let known = usize::try_from(told.next().0 - first.0).unwrap_or(usize::MAX);
        Next::Batches(state.batches.iter().skip(known).take(limit).cloned().collect())
    }

    /// Waits until nothing is told any more.
    #[cfg(test)]
    pub(super) async fn ended(&self) {
        let mut changed = self.changed();
        while self.state().ending.is_none() && changed.changed().await.is_ok() {}
    }

    fn end(&self, ending: Ending) {
        self.state().ending.get_or_insert(ending);
        self.changed.send_replace(());
    }

    /// Takes what the replica tells; false where the document has to be asked for whole.
    async fn take(&self, told: Arc<Told>) -> bool {
        match told.message() {
            Some(Message::Members { document, keyframe, members, left })
                if document == self.room.document() =>
            {
                let mut state = self.state();
                let changes = state.present.apply(&NOBODY, *keyframe, members.clone(), left);
                for change in changes {
                    use rejoin_core::PresentChange as Change;
                    match change {
                        Change::Joined(member) | Change::Changed(member) => {
                            state.since.insert(member, unix_now());
                        }
                        Change::Left(member) => {
                            state.since.remove(&member);
                        }
                    }
                }
                true
            }
            Some(Message::Error(error)) if error.document.as_ref() == Some(self.room.document()) => {
                let code = match error.code {
                    ErrorCode::Corrupted => CloseCode::Internal,
                    _ => CloseCode::Unavailable,
                };
                self.end((code, Arc::clone(&error.message)));
                true
            }
            Some(Message::Snapshot(snapshot)) if snapshot.document == *self.room.document() => {
                let bytes = told.payload().len();
                self.take_content(told, bytes).await
            }
            Some(Message::Update(update)) if update.document == *self.room.document() => {
                self.take_content(told, 0).await
            }
            _ => true,
        }
    }

    /// What takes long is done on a thread where it holds up nobody.
    async fn take_content(&self, told: Arc<Told>, bytes: usize) -> bool {
        let mut content = Arc::clone(&self.content).lock_owned().await;
        let take = move || {
            let news = told.message().map(|message| content.take(message)).unwrap_or_default();
            (content, news)
        };
        let (content, news) = if bytes.max(self.state().view.encoded_len()) <= MAX_INLINE_BYTES {
            take()
        } else {
            match tokio::task::spawn_blocking(take).await {
                Ok(taken) => taken,
                Err(error) => {
                    self.end((CloseCode::Internal, error.to_string().into()));
                    return true;
                }
            }
        };
        let mut is_whole = true;
        let mut state = self.state();
        for news in news {
            match news {
                News::Batch(version, operations) => state.push(Batch::new(version, operations)),
                News::Whole => state.forget(content.have().revision),
                News::Deleted(version) => {
                    state.forget(version);
                    state.deleted_at = version;
                }
                News::Lost => is_whole = false,
            }
        }
        if is_whole {
            state.have = content.have();
            state.kind = Some(content.kind());
            state.view = content.view().clone();
            state.whole = None;
        }
        drop(state);
        self.changed.send_replace(());
        is_whole
    }
}

impl State {
    fn push(&mut self, batch: Batch) {
        let bytes = batch.operations.encoded_len();
        if bytes > MAX_QUEUED_BYTES {
            // Whoever is there has room for the storage itself, as it had when it came.
            return self.forget(batch.version);
        }
        self.bytes += bytes;
        self.batches.push_back(Arc::new(batch));
        while self.batches.len() > MAX_QUEUED_MESSAGES || self.bytes > MAX_QUEUED_BYTES {
            let Some(oldest) = self.batches.pop_front() else { break };
            self.bytes -= oldest.operations.encoded_len();
        }
    }

    /// How a revision was come to is not known.
    fn forget(&mut self, revision: Revision) {
        (self.batches, self.bytes) = (VecDeque::new(), 0);
        self.whole_since = revision;
    }
}

impl Taken {
    pub(super) fn feed(&self) -> &Arc<Feed> {
        &self.feed
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        let mut state = self.feed.state();
        if state.seats.get(&self.client).is_some_and(|seat| seat.number == self.number) {
            state.seats.remove(&self.client);
        }
    }
}

/// Follows a document until nobody is in its room.
async fn follow(hub: Hub, room: RoomId, feed: Weak<Feed>, mut gone: oneshot::Receiver<Infallible>) {
    let ending = match try_follow(&hub, &room, &feed, &mut gone).await {
        Ok(Some(ending)) => ending,
        Ok(None) => return,
        Err(stopped) => (CloseCode::Restart, stopped.to_string().into()),
    };
    if let Some(feed) = feed.upgrade() {
        feed.end(ending);
    }
}

async fn try_follow(
    hub: &Hub,
    room: &RoomId,
    feed: &Weak<Feed>,
    gone: &mut oneshot::Receiver<Infallible>,
) -> Result<Option<Ending>, Stopped> {
    let grant = Grant::new("rooms", false);
    let peer = Peer { replica: random_replica(), encoding: Encoding::Binary, grant, token: None };
    let mut link = hub.open(room.workspace(), peer).await?;
    ask(&link, room).await?;
    let mut unread = 0;
    loop {
        let (Some(queue), Some(urgent)) = link.ends() else { return Ok(None) };
        let outgoing = tokio::select! {
            biased;
            _ = &mut *gone => return Ok(None),
            urgency = poll_fn(|context| urgent.poll(context)) => return Ok(Some(match urgency {
                Urgency::Stop => (CloseCode::Restart, Stopped.to_string().into()),
                Urgency::Overflow => {
                    (CloseCode::Unavailable, "the server does not keep up with the room; connect again".into())
                }
            })),
            outgoing = queue.recv() => outgoing,
        };
        let told = match outgoing {
            Some(Outgoing::Told(told)) => told,
            Some(Outgoing::Close(closing)) => {
                let Closing { code, reason } = *closing;
                return Ok(Some((code, reason)));
            }
            None => {
                return Ok(Some((CloseCode::Restart, "the workspace is gone; connect again".into())));
            }
        };
        unread += told.payload().len();
        let Some(feed) = feed.upgrade() else { return Ok(None) };
        if !feed.take(told).await {
            ask(&link, room).await?;
        }
        drop(feed);
        if unread >= LINK_LOW_WATER_BYTES {
            unread = 0;
            link.writable().await?;
        }
    }
}

/// Asks for the document whole.
async fn ask(link: &Link, room: &RoomId) -> Result<(), Stopped> {
    let document = room.document().clone();
    let open = OpenDocument { document, have: Have::default(), pending: Vec::new() };
    link.received(Message::Open { documents: vec![open] }).await
}
