//! The engine of a page: what happened goes in, what is to be done comes out.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use rejoin_core::storage::{Operation, RequestId, StoreError};
use rejoin_core::{
    Config, Grant, Input, Instant, LinkId, Output, Payload, Peer, Replica, Role, Seed, Session,
    SessionConfig, SessionInput, SessionOutput,
};
use rejoin_json::Json;
use rejoin_wire::{CloseCode, Encoding, Frame, ReplicaId, Scope, UnixMillis, WorkspaceId, to_bytes};

use crate::commands::{self, Refused};
use crate::storage::{self, Asked};
use crate::telling::Teller;
use crate::value::Value;
use crate::values;

/// Kinds of effects, the first element of each effect's array. `npm/rejoin/src/host/effects.ts` has the same numbers. A value is a
/// `Uint8Array` of its compact encoding.
pub mod effect {
    /// `[0]`: open a socket to the server, then call `connected` or `closed`.
    pub const CONNECT: u32 = 0;
    /// `[1, frame]`: write a binary frame.
    pub const FRAME: u32 = 1;
    /// `[2, code, reason]`: close the socket, which is forgotten.
    pub const DISCONNECT: u32 = 2;
    /// `[3, request, operation]`: ask the store, then call `stored` or `store_failed`.
    pub const STORE: u32 = 3;
    /// `[4, token, value]`: the answer to a question.
    pub const REPLY: u32 = 4;
    /// `[5, value]`: something that the program may want to know.
    pub const EVENT: u32 = 5;
    /// `[6, document, number, patch | null, content | null, facts | null]`, and behind it `updates` of a CRDT document: a document looks different.
    pub const TOLD: u32 = 6;
    /// `[7, value]`: how safe all own changes are.
    pub const STATUS: u32 = 7;
    /// `[8, document, value]`: who is present on a document.
    pub const PRESENT: u32 = 8;
    /// `[9, document, part, number]`: this change of a tab needs no repeat any more.
    pub const KEPT: u32 = 9;
    /// `[10, value]`: which documents the workspace has.
    pub const LISTED: u32 = 10;
}

/// A replica and its session with the server. Nothing in it calls back: a page calls a method that says what happened, takes the effects with
/// [`poll`](Self::poll), and does them.
pub struct Engine {
    replica: Replica,
    session: Option<(LinkId, Session)>,
    session_config: Arc<SessionConfig>,
    /// The link that a socket is being opened for.
    connecting: Option<LinkId>,
    /// What the store was asked for and has not answered. Bounded by the requests that the replica has under way.
    asked: BTreeMap<RequestId, Asked>,
    teller: Teller,
}

impl Engine {
    /// Makes an engine. `options` is a value in the compact encoding: `{"workspace", "principal"?, "follow"?: "documents" | "list", "offline"?: true, "outboxBytes"?}`. `seed` are 16
    /// random bytes; what is missing of them is zero. Fails, with a code and a sentence, where an option makes no sense.
    pub fn new(options: &[u8], seed: &[u8], now: Instant, unix_now: UnixMillis) -> Result<Self, String> {
        let (config, is_offline) = config_of(options).map_err(|refused| refused.text())?;
        let mut bytes = [0; 16];
        for (byte, given) in bytes.iter_mut().zip(seed) {
            *byte = *given;
        }
        let seed = Seed(u128::from_le_bytes(bytes));
        let mut replica = Replica::new(config, seed, now, unix_now);
        if is_offline {
            replica.handle_input(now, Input::Online(false));
        }
        Ok(Self {
            replica,
            session: None,
            session_config: Arc::default(),
            connecting: None,
            asked: BTreeMap::new(),
            teller: Teller::default(),
        })
    }

    /// The replica within, for those who look at it.
    pub fn replica(&mut self) -> &mut Replica {
        &mut self.replica
    }

    /// When [`wake`](Self::wake) is due.
    pub fn timeout(&self) -> Option<Instant> {
        let session = self.session.as_ref().and_then(|(_, session)| session.poll_timeout());
        [self.replica.poll_timeout(), session].into_iter().flatten().min()
    }

    /// The time has come that [`timeout`](Self::timeout) said.
    pub fn wake(&mut self, now: Instant) {
        self.replica.handle_input(now, Input::Timeout);
        if let Some((_, session)) = &mut self.session {
            session.handle_input(now, SessionInput::Timeout);
        }
    }

    /// The wall clock was read.
    pub fn clock(&mut self, now: Instant, unix_now: UnixMillis) {
        self.replica.handle_input(now, Input::Clock(unix_now));
    }

    /// The host went online or offline, or its program wants it so.
    pub fn online(&mut self, now: Instant, online: bool) {
        self.replica.handle_input(now, Input::Online(online));
    }

    /// The socket is open; `token` says who this is.
    pub fn connected(&mut self, now: Instant, token: Option<Arc<str>>) {
        let Some(link) = self.connecting.take() else { return };
        let session = Session::client(Arc::clone(&self.session_config), Encoding::Binary, now);
        self.session = Some((link, session));
        let grant = Grant::new("authority", true);
        let peer = Peer { replica: ReplicaId(0), encoding: Encoding::Binary, grant, token };
        self.replica.handle_input(now, Input::LinkOpened { link, peer });
    }

    /// A binary frame came.
    pub fn frame(&mut self, now: Instant, frame: Bytes) {
        if let Some((_, session)) = &mut self.session {
            session.handle_input(now, SessionInput::Frame(Frame::Binary(frame)));
        }
    }

    /// The socket is gone, or could not be opened.
    pub fn closed(&mut self, now: Instant, code: Option<u16>, reason: &str) {
        if let Some((_, session)) = &mut self.session {
            session.handle_input(now, SessionInput::Closed { code, reason: reason.into() });
        } else if let Some(link) = self.connecting.take() {
            self.replica.handle_input(now, Input::LinkClosed { link, code });
        }
    }

    /// The store did what was asked.
    pub fn stored<V: Value>(&mut self, now: Instant, request: RequestId, answer: &V) {
        let Some(asked) = self.asked.remove(&request) else { return };
        let answer = storage::answered(asked, answer);
        self.replica.handle_input(now, Input::Stored { request, answer });
    }

    /// The store could not do what was asked.
    pub fn store_failed(&mut self, now: Instant, request: RequestId, error: StoreError) {
        if self.asked.remove(&request).is_some() {
            let answer = Err(error);
            self.replica.handle_input(now, Input::Stored { request, answer });
        }
    }

    /// The database is empty, because it was evicted or cleared, or may have room again: all that is in memory is written anew.
    pub fn store_replaced(&mut self, now: Instant) {
        self.asked.clear();
        self.replica.handle_input(now, Input::StoreReplaced);
    }

    /// Does what a program asks for; see `commands.rs`. Command and answer are values in the compact encoding; the answer is
    /// `{"ok": …}`, or `{"error": {"code", "message"}}` and nothing has changed.
    pub fn command(&mut self, now: Instant, command: &[u8]) -> Vec<u8> {
        self.replica.handle_input(now, Input::Timeout);
        let answer = match commands::run(&mut self.replica, &mut self.teller, command) {
            Ok(answer) => values::object([("ok", answer)]),
            Err(refused) => values::object([("error", refused.to_json())]),
        };
        to_bytes(&answer)
    }

    /// What is to be done now, in this order; empty when all is done until the next input. Each is a list that begins with its kind: see
    /// [`effect`].
    pub fn poll<V: Value>(&mut self, now: Instant) -> Vec<V> {
        let mut effects = Vec::new();
        loop {
            let mut moved = false;
            while let Some(output) = self.replica.poll_output() {
                moved = true;
                self.perform(now, output, &mut effects);
            }
            moved |= self.drain_session(now, &mut effects);
            if !moved {
                break;
            }
        }
        self.tell(&mut effects);
        effects
    }
}

impl Engine {
    fn perform<V: Value>(&mut self, now: Instant, output: Output, effects: &mut Vec<V>) {
        match output {
            Output::Connect { link } => {
                self.connecting = Some(link);
                push(effects, effect::CONNECT, &[]);
            }
            Output::Transmit { payload, .. } => {
                if let Some((_, session)) = &mut self.session {
                    let payload = Payload::of_encoded(payload, Encoding::Binary);
                    session.handle_input(now, SessionInput::Send(payload));
                }
            }
            Output::Disconnect { code, reason, .. } => match &mut self.session {
                Some((_, session)) => session.handle_input(now, SessionInput::Close { code, reason }),
                None => {
                    self.connecting = None;
                    push(
                        effects,
                        effect::DISCONNECT,
                        &[V::number(f64::from(CloseCode::Normal as u16)), text(&reason)],
                    );
                }
            },
            Output::Store { request, operation } => {
                self.ask_store(now, request, &operation, effects);
            }
            Output::Reply { token, reply } => {
                push(
                    effects,
                    effect::REPLY,
                    &[number(token.0), to_page(&values::reply(&reply, self.replica.id()))],
                );
            }
            Output::Event(event) => {
                if let Some(kept) = self.teller.note(&event) {
                    push(
                        effects,
                        effect::KEPT,
                        &[text(kept.document.as_str()), number(kept.part), number(kept.number)],
                    );
                }
                if let Some(event) = values::event(&event) {
                    push(effects, effect::EVENT, &[to_page(&event)]);
                }
            }
            // For those who serve others.
            _ => {}
        }
    }

    fn ask_store<V: Value>(
        &mut self,
        now: Instant,
        request: RequestId,
        operation: &Operation,
        effects: &mut Vec<V>,
    ) {
        match storage::to_value(operation) {
            Ok(value) => {
                self.asked.insert(request, Asked::by(operation));
                push(effects, effect::STORE, &[number(request.0), value]);
            }
            Err(error) => self.replica.handle_input(now, Input::Stored { request, answer: Err(error) }),
        }
    }

    /// Writes what the session has, and hands on what came; true when anything moved.
    fn drain_session<V: Value>(&mut self, now: Instant, effects: &mut Vec<V>) -> bool {
        let Some((link, session)) = &mut self.session else { return false };
        let link = *link;
        let mut moved = false;
        while let Some(output) = session.poll_output() {
            moved = true;
            match output {
                SessionOutput::Frame(frame) => {
                    push(effects, effect::FRAME, &[V::bytes(frame.payload())]);
                }
                SessionOutput::Message(message) => {
                    self.replica.handle_input(now, Input::Received { link, message });
                }
                SessionOutput::Disconnect(end) => {
                    self.session = None;
                    push(effects, effect::DISCONNECT, &[V::number(f64::from(end.code)), text(&end.reason)]);
                    self.replica.handle_input(now, Input::LinkClosed { link, code: Some(end.code) });
                    break;
                }
                // Of those who are connected to.
                _ => {}
            }
        }
        moved
    }

    /// Tells what looks different since the last time.
    fn tell<V: Value>(&mut self, effects: &mut Vec<V>) {
        for told in self.teller.tell(&mut self.replica) {
            let or_null = |part: Option<Json>| part.map_or_else(V::null, |part| to_page(&part));
            let is_crdt = told.updates.is_some();
            let parts = [
                text(told.document.as_str()),
                number(told.number),
                or_null(told.patch),
                or_null(told.content),
                or_null(told.facts),
                or_null(told.updates),
            ];
            push(effects, effect::TOLD, if is_crdt { &parts } else { &parts[..5] });
        }
        for (document, present) in self.teller.present(&self.replica) {
            push(effects, effect::PRESENT, &[text(document.as_str()), to_page(&present)]);
        }
        if let Some(list) = self.teller.list(&self.replica) {
            push(effects, effect::LISTED, &[to_page(&list)]);
        }
        if let Some(status) = self.teller.status(&self.replica) {
            push(effects, effect::STATUS, &[to_page(&status)]);
        }
    }
}

/// What a page says when it makes an engine, and whether it begins offline.
fn config_of(options: &[u8]) -> Result<(Config, bool), Refused> {
    let options = values::read(options)?;
    let workspace = options.get("workspace").and_then(Json::as_str).unwrap_or("default");
    let workspace = WorkspaceId::new(workspace)
        .map_err(|error| Refused::new("invalid_option", &format!("workspace: {error}")))?;
    let scope = match options.get("follow").and_then(Json::as_str) {
        None => None,
        Some("documents") => Some(Scope::Documents),
        Some("list") => Some(Scope::List),
        Some(_) => return Err(Refused::new("invalid_option", "follow is \"documents\", \"list\" or absent")),
    };
    let mut config = Config::new(workspace, Role::Follower { scope });
    // Pages do without the code that finds them; where a page is replayed, its patches must be found again.
    config.limits.align_arrays = false;
    if let Some(principal) = options.get("principal").and_then(Json::as_str) {
        config.principal = principal.into();
    }
    if let Some(bytes) = options.get("outboxBytes").and_then(Json::as_f64) {
        config.max_outbox_bytes = usize::try_from(integer(bytes)).unwrap_or(usize::MAX);
    }
    Ok((config, options.get("offline").and_then(Json::as_bool).unwrap_or(false)))
}

fn push<V: Value>(effects: &mut Vec<V>, kind: u32, parts: &[V]) {
    let mut effect = vec![V::number(f64::from(kind))];
    effect.extend_from_slice(parts);
    effects.push(V::list(&effect));
}

/// A document's part for a page.
fn to_page<V: Value>(value: &Json) -> V {
    V::bytes(&to_bytes(value))
}

fn text<V: Value>(text: &str) -> V {
    V::text(text)
}

/// All numbers that cross are positions and counters below 2^53.
fn number<V: Value>(number: u64) -> V {
    V::number(number as f64)
}

/// A number as it crosses, as the position, counter or time that it is; saturates.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "it saturates, and that is meant"
)]
pub fn integer(number: f64) -> u64 {
    number as u64
}
