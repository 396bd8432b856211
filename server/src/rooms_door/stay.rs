//! A client's stay in one room.

use std::future::poll_fn;
use std::sync::Arc;

use rejoin_core::{Grant, LINK_LOW_WATER_BYTES, Payload, Peer};
use rejoin_json::Json;
use rejoin_rooms::limits::{MAX_IN_FLIGHT, MAX_PRESENCE_BYTES};
use rejoin_rooms::{ClientId, Form, Refusal, RoomId, ServerMessage};
use rejoin_wire::{
    CloseCode, Encoding, ErrorCode, ErrorMessage, Message, OpenDocument, PresenceChange, Revision,
};
use tokio::sync::watch;

use super::Ending;
use super::feed::{Next, Rooms, Taken};
use super::people::{People, wrapped};
use crate::hub::{Closing, Link, Outgoing, Stopped, Urgency, unix_now};
use crate::instruments;
use crate::yjs_door::random_replica;

/// Messages of a link that are taken before something else is looked at.
const TURN: usize = 256;

/// A client in a room.
pub(super) struct Stay {
    taken: Taken,
    client: ClientId,
    link: Link,
    messages: Vec<Message>,
    people: People,
    /// The version that the client was told; none until it was told who is there.
    told: Option<Revision>,
    changed: watch::Receiver<()>,
    /// Whether more is there than was told at once.
    is_behind: bool,
    /// Bytes told over the link since the replica was last told that there is room.
    unread: usize,
}

/// Why a client is not in the room that it asked for.
pub(super) enum NotEntered {
    Refused(Refusal),
    Stopped,
}

impl From<Stopped> for NotEntered {
    fn from(_: Stopped) -> Self {
        Self::Stopped
    }
}

impl From<Refusal> for NotEntered {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

/// Something for a stay.
pub(super) enum Arrived {
    Outgoing(Option<Outgoing>),
    Urgent(Urgency),
    News,
    Replaced,
}

/// What comes of it.
#[derive(Default)]
pub(super) struct Told {
    pub(super) said: Vec<ServerMessage>,
    pub(super) batches: Vec<Payload>,
    /// The client is not in the room any more.
    pub(super) is_gone: bool,
    pub(super) ending: Option<Ending>,
}

impl Stay {
    pub(super) async fn enter(
        rooms: &Arc<Rooms>,
        room: &RoomId,
        client: ClientId,
        grant: Grant,
    ) -> Result<Self, NotEntered> {
        let feed = rooms.open(room).await?;
        let taken = feed.enter(client, &grant.principal)?;
        let principal = Arc::clone(&grant.principal);
        let peer = Peer { replica: random_replica(), encoding: Encoding::Binary, grant, token: None };
        let link = rooms.hub().open(room.workspace(), peer).await?;
        // What the document shows is told by the feed: the link is there for who is in it.
        let document = room.document().clone();
        let open = OpenDocument { document: document.clone(), have: feed.have(), pending: Vec::new() };
        let shown = wrapped(client, rejoin_json::Object::new().into());
        let messages = vec![
            Message::Open { documents: vec![open] },
            Message::Presence { document, change: PresenceChange::Set(shown), member: None },
        ];
        let mut changed = feed.changed();
        changed.mark_changed();
        Ok(Self {
            people: People::new(room.to_string(), client, principal),
            taken,
            client,
            link,
            messages,
            told: None,
            changed,
            is_behind: false,
            unread: 0,
        })
    }

    pub(super) fn feed(&self) -> &Arc<super::Feed> {
        self.taken.feed()
    }

    pub(super) fn joined(&self) -> ServerMessage {
        let room_id = self.feed().room().to_string();
        ServerMessage::RoomJoined { room_id, client_id: self.client.to_string() }
    }

    pub(super) fn left(&self) -> ServerMessage {
        let room_id = self.feed().room().to_string();
        ServerMessage::RoomLeft { room_id, client_id: self.client.to_string() }
    }

    /// Tells a client that asks for its room again what a newcomer is told: who is there, and the storage. It is told that once anyway where it
    /// was not yet.
    pub(super) fn again(&mut self, form: Form) -> Told {
        let mut told = Told::default();
        if self.told.is_some() {
            told.said = self.people.everybody(unix_now());
            self.begin(form, &mut told);
        }
        told
    }

    /// Shows others a presence.
    ///
    /// # Errors
    ///
    /// [`Refusal`] where it is too large with the id of the client.
    pub(super) fn show(&mut self, state: Json) -> Result<(), Refusal> {
        let shown = wrapped(self.client, state);
        if shown.encoded_len() > MAX_PRESENCE_BYTES {
            let message =
                format!("a presence has at most {MAX_PRESENCE_BYTES} bytes with the client's id: show less");
            return Err(Refusal::new(ErrorCode::TooLarge, message));
        }
        let document = self.feed().room().document().clone();
        self.messages.push(Message::Presence { document, change: PresenceChange::Set(shown), member: None });
        Ok(())
    }

    /// Tells the replica what there is to tell; `has_room` where the client takes more.
    pub(super) async fn settle(&mut self, has_room: bool) -> Result<(), Stopped> {
        for message in self.messages.drain(..) {
            self.link.received(message).await?;
        }
        if has_room && self.unread >= LINK_LOW_WATER_BYTES {
            self.unread = 0;
            self.link.writable().await?;
        }
        Ok(())
    }

    /// Resolves when there is something for the client.
    pub(super) async fn progress(&mut self) -> Arrived {
        let Self { link, taken, changed, .. } = self;
        let is_behind = self.is_behind;
        let is_told = self.told.is_some();
        let (Some(queue), Some(urgent)) = link.ends() else { return Arrived::Outgoing(None) };
        let news = async {
            if !is_behind {
                let _ = changed.changed().await;
            }
        };
        // Neither of the last two keeps the other waiting for ever.
        tokio::select! {
            urgency = poll_fn(|context| urgent.poll(context)) => Arrived::Urgent(urgency),
            () = taken.replaced.notified() => Arrived::Replaced,
            outgoing = queue.recv() => Arrived::Outgoing(outgoing),
            () = news, if is_told => Arrived::News,
        }
    }

    /// Takes in what came.
    pub(super) fn take(&mut self, arrived: Arrived, form: Form) -> Told {
        let mut told = Told::default();
        match arrived {
            Arrived::Outgoing(first) => self.take_outgoing(first, form, &mut told),
            Arrived::Urgent(Urgency::Stop) => {
                told.ending = Some((CloseCode::Restart, Stopped.to_string().into()));
            }
            Arrived::Urgent(Urgency::Overflow) => {
                told.ending = Some(too_slow());
            }
            Arrived::News => self.tell_news(form, &mut told),
            Arrived::Replaced => {
                told.ending = Some((CloseCode::Normal, "the client has connected again".into()));
            }
        }
        told
    }

    fn take_outgoing(&mut self, first: Option<Outgoing>, form: Form, told: &mut Told) {
        let mut next = first;
        let mut taken = 0;
        loop {
            match next {
                Some(Outgoing::Told(message)) => {
                    self.unread += message.payload().len();
                    if let Some(message) = message.message() {
                        self.take_message(message, form, told);
                    }
                }
                Some(Outgoing::Close(closing)) => {
                    let Closing { code, reason } = *closing;
                    told.ending = Some((code, reason));
                    return;
                }
                None => {
                    told.ending = Some((CloseCode::Restart, "the workspace is gone; connect again".into()));
                    return;
                }
            }
            taken += 1;
            let more = if taken < TURN { self.link.queue.try_recv().ok() } else { None };
            let Some(more) = more else { return };
            next = Some(more);
        }
    }

    fn take_message(&mut self, message: &Message, form: Form, told: &mut Told) {
        match message {
            Message::Welcome(welcome) => self.people.welcome(welcome.member),
            Message::Members { document, keyframe, members, left }
                if document == self.taken.feed().room().document() =>
            {
                let is_new = self.told.is_none();
                told.said.extend(self.people.tell(*keyframe, members, left, unix_now(), is_new));
            }
            // The replica answers that the document is open behind who is in it.
            Message::Update(rejoin_wire::Update { document, .. })
                if self.told.is_none() && document == self.taken.feed().room().document() =>
            {
                self.begin(form, told);
            }
            Message::Snapshot(snapshot)
                if self.told.is_none() && snapshot.document == *self.taken.feed().room().document() =>
            {
                self.begin(form, told);
            }
            // What it shows was not taken, or the document cannot be read, of which the feed hears too.
            Message::Error(ErrorMessage { code, message, change: None, .. }) => {
                told.said.push(ServerMessage::refusal(&Refusal::new(*code, message.as_ref())));
            }
            _ => {}
        }
    }

    /// The client knows who is there, and is told the storage.
    fn begin(&mut self, form: Form, told: &mut Told) {
        let whole = self.feed().whole();
        self.told = Some(whole.version());
        told.batches.push(whole.payload(form));
    }

    /// As much as may be on its way to a client; the rest waits in the feed.
    fn tell_news(&mut self, form: Form, told: &mut Told) {
        let Some(version) = self.told else { return };
        let next = self.feed().next(version, MAX_IN_FLIGHT);
        self.is_behind = false;
        match next {
            Next::Nothing => {}
            Next::Batches(batches) => {
                self.is_behind = batches.len() == MAX_IN_FLIGHT;
                self.told = batches.last().map(|batch| batch.version()).or(self.told);
                told.batches.extend(batches.iter().map(|batch| batch.payload(form)));
            }
            Next::Whole(whole) => {
                self.told = Some(whole.version());
                told.batches.push(whole.payload(form));
            }
            Next::Gone => told.is_gone = true,
            Next::TooSlow => told.ending = Some(too_slow()),
            Next::End(ending) => told.ending = Some(ending),
        }
    }
}

fn too_slow() -> Ending {
    metrics::counter!(instruments::SLOW_READERS).increment(1);
    (CloseCode::SlowReader, "this client reads too slowly; connect again for the newest state".into())
}
