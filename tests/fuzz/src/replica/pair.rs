//! Two replicas and what lies between them.

use std::collections::VecDeque;
use std::time::Duration;

use rejoin_core::{
    Base, ConflictChoice, Grant, Input as Given, Instant, LinkId, Peer, Replica, RequestKey, Role, Token,
};
use rejoin_json::{Json, Limits, Patch, Policy};
use rejoin_wire::{
    Body, DocumentId, Encoding, Header, Message, ReplicaId, Revision, Scope, Sequence, decode_message,
    encode_message,
};

use super::node::{Node, Wish};
use crate::input::Input;
use crate::samples;

/// Messages that are remembered, to be said again.
const MAX_HEARD: usize = 64;

/// Once nothing goes wrong any more, two replicas have no more to say or to ask than this before time must pass.
const MAX_TALK: usize = 5_000;

const CONTENTS: [&str; 3] = [
    r#"{"a":1,"cards":[{"id":"x","t":"one"},{"id":"y"}],"n":0,"text":"one two three"}"#,
    r#"{"a":{"b":[1,2,3]},"n":5}"#,
    "[1,2,3]",
];

const PATCHES: [&str; 10] = [
    r#"[{"op":"add","path":"/a","value":2}]"#,
    r#"[{"op":"remove","path":"/a"}]"#,
    r#"[{"op":"add","path":"/cards/0","value":{"id":"z"}}]"#,
    r#"[{"op":"move","from":"/cards/0","path":"/cards/1"}]"#,
    r#"[{"op":"remove","path":"/cards/0"}]"#,
    r#"[{"op":"replace","path":"/text","value":"one zwei three"}]"#,
    r#"[{"op":"replace","path":"/text","value":"two three four"}]"#,
    r#"[{"op":"replace","path":"/n","value":7}]"#,
    r#"[{"op":"add","path":"/1","value":[{}]}]"#,
    r#"[{"op":"replace","path":"","value":{"n":1}}]"#,
];

/// An authority and a follower.
pub(super) struct Pair {
    now: Instant,
    root: Node,
    follower: Node,
    encoding: Encoding,
    /// The follower's name for the link, while it has one.
    link: Option<LinkId>,
    /// The authority's name for it; it knows of it once a hello came.
    root_link: LinkId,
    up: VecDeque<Message>,
    down: VecDeque<Message>,
    heard: Vec<Message>,
    documents: [DocumentId; 3],
    tokens: u64,
}

fn json(text: &str) -> Json {
    Json::parse(text, &Limits::default()).unwrap()
}

fn grant(may_edit: bool) -> Grant {
    Grant { principal: "ada".into(), may_edit, may_relay: true }
}

impl Pair {
    pub(super) fn new(input: &mut Input<'_>) -> Self {
        let now = Instant(1_000_000);
        let scope = *input.pick(&[Some(Scope::Documents), None, Some(Scope::List)]);
        let (idle, shares) = *input.pick(&[(1, false), (1_024, false), (1, true), (1_024, true)]);
        let mut pair = Self {
            now,
            root: Node::new(Role::Root, idle, shares, now),
            follower: Node::new(Role::Follower { scope }, idle, false, now),
            encoding: *input.pick(&[Encoding::Binary, Encoding::Json]),
            link: None,
            root_link: LinkId(1),
            up: VecDeque::new(),
            down: VecDeque::new(),
            heard: samples::messages().to_vec(),
            documents: ["notes", "d", "e"].map(|name| DocumentId::new(name).unwrap()),
            tokens: 0,
        };
        if input.chance(192) {
            pair.begin();
        }
        pair
    }

    /// The follower has made a document, and the authority has it.
    fn begin(&mut self) {
        self.talk();
        let document = self.documents[1].clone();
        self.follower.replica.open(&document);
        self.talk();
        let header = Header { counters: vec!["/n".try_into().unwrap()], ..Header::default() };
        let created = self.follower.replica.create_with(&document, header, json(CONTENTS[0]));
        assert!(created.is_ok(), "{created:?}");
        self.talk();
    }

    pub(super) fn step(&mut self, input: &mut Input<'_>) {
        match input.below(24) {
            0..3 => drop(self.deliver_up(None)),
            3..6 => drop(self.deliver_down(None)),
            6 => drop(self.deliver_up(Some(input))),
            7 => drop(self.deliver_down(Some(input))),
            8 => self.lose_or_swap(input),
            9 | 10 => self.say_something(input),
            11..14 => {
                let node = if input.chance(128) { &mut self.root } else { &mut self.follower };
                node.answer(self.now);
            }
            14 => {
                let node = if input.chance(128) { &mut self.root } else { &mut self.follower };
                node.answer_badly(input, self.now);
            }
            15 => {
                let milliseconds = if input.chance(64) { 40_000 } else { u64::from(input.byte()) * 8 };
                self.pass(milliseconds);
            }
            16 => self.change_link(input),
            17..21 => self.command(input),
            21 => self.request(input),
            22 => {
                let root = input.chance(128);
                self.cut();
                let node = if root { &mut self.root } else { &mut self.follower };
                node.restart(self.now);
            }
            _ => self.talk(),
        }
        self.drain();
    }

    /// What both have stored.
    pub(super) fn bodies(&mut self) -> Vec<Vec<u8>> {
        [self.root.bodies(), self.follower.bodies()].concat()
    }

    /// Nothing goes wrong any more: everything is answered and delivered, and then there is no more to say.
    pub(super) fn come_to_rest(&mut self) {
        self.root.replica.handle_input(self.now, Given::Granted { link: self.root_link, grant: grant(true) });
        self.follower.replica.handle_input(self.now, Given::Online(true));
        self.talk();
        for _ in 0..8 {
            self.pass(10_000);
            self.talk();
        }
    }

    /// Everything that can happen without time passing happens.
    fn talk(&mut self) {
        for _ in 0..MAX_TALK {
            self.drain();
            let moved = self.root.answer(self.now)
                | self.follower.answer(self.now)
                | self.deliver_up(None)
                | self.deliver_down(None);
            if !moved {
                return;
            }
        }
        panic!("the replicas talk without end");
    }

    fn pass(&mut self, milliseconds: u64) {
        self.now = self.now + Duration::from_millis(milliseconds);
        self.root.replica.handle_input(self.now, Given::Timeout);
        self.follower.replica.handle_input(self.now, Given::Timeout);
        self.drain();
        for node in [&self.root, &self.follower] {
            let due = node.replica.poll_timeout();
            assert!(due.is_none_or(|due| due > self.now), "what is due was done: {due:?} at {:?}", self.now);
        }
    }

    fn drain(&mut self) {
        loop {
            let (up, down) = (self.follower.drain(), self.root.drain());
            if up.is_empty() && down.is_empty() {
                return;
            }
            up.into_iter().for_each(|wish| self.obey_follower(wish));
            down.into_iter().for_each(|wish| self.obey_root(wish));
        }
    }

    fn obey_follower(&mut self, wish: Wish) {
        match wish {
            Wish::Connect(link) => {
                self.cut();
                self.link = Some(link);
                let grant = Grant { principal: "authority".into(), may_edit: true, may_relay: true };
                let peer = Peer { replica: ReplicaId(0), encoding: self.encoding, grant, token: None };
                self.follower.replica.handle_input(self.now, Given::LinkOpened { link, peer });
            }
            Wish::Transmit(_, payload) => {
                let message = decode_message(&payload, self.encoding).expect("what is sent can be read");
                self.note(&message);
                if self.link.is_some() {
                    self.up.push_back(message);
                }
            }
            Wish::Disconnect(_) => self.cut(),
        }
    }

    fn obey_root(&mut self, wish: Wish) {
        match wish {
            Wish::Connect(_) => panic!("an authority connects to nobody"),
            Wish::Transmit(to, payload) => {
                let message = decode_message(&payload, self.encoding).expect("what is sent can be read");
                self.note(&message);
                if to.contains(&self.root_link) {
                    self.down.push_back(message);
                }
            }
            Wish::Disconnect(link) if link == self.root_link => self.cut(),
            Wish::Disconnect(_) => {}
        }
    }

    fn note(&mut self, message: &Message) {
        if self.heard.len() >= MAX_HEARD {
            self.heard.remove(0);
        }
        self.heard.push(message.clone());
    }

    /// The link is gone, with what was on its way.
    fn cut(&mut self) {
        self.up.clear();
        self.down.clear();
        let gone = self.root_link;
        self.root_link = LinkId(gone.0 + 1);
        self.root.replica.handle_input(self.now, Given::LinkClosed { link: gone, code: None });
        if let Some(link) = self.link.take() {
            self.follower.replica.handle_input(self.now, Given::LinkClosed { link, code: None });
        }
    }

    fn deliver_up(&mut self, spoil: Option<&mut Input<'_>>) -> bool {
        let Some(message) = self.up.pop_front() else { return false };
        if let Some(message) = spoiled(message, spoil) {
            self.give_root(message);
        }
        true
    }

    fn give_root(&mut self, message: Message) {
        let link = self.root_link;
        let given = match message {
            Message::Hello(hello) => {
                let peer =
                    Peer { replica: hello.replica, encoding: self.encoding, grant: grant(true), token: None };
                Given::LinkOpened { link, peer }
            }
            message => Given::Received { link, message },
        };
        self.root.replica.handle_input(self.now, given);
    }

    fn deliver_down(&mut self, spoil: Option<&mut Input<'_>>) -> bool {
        let Some(message) = self.down.pop_front() else { return false };
        self.root.replica.handle_input(self.now, Given::Writable { link: self.root_link });
        if let (Some(message), Some(link)) = (spoiled(message, spoil), self.link) {
            self.follower.replica.handle_input(self.now, Given::Received { link, message });
        }
        true
    }

    /// As no link does, but a hostile peer may.
    fn lose_or_swap(&mut self, input: &mut Input<'_>) {
        let queue = if input.chance(128) { &mut self.up } else { &mut self.down };
        if input.chance(128) {
            queue.pop_front();
        } else if queue.len() > 1 {
            let at = 1 + input.below((queue.len() - 1).min(255));
            queue.swap(0, at);
        }
    }

    /// A message that was said before, or that the page of the protocol shows, perhaps changed.
    fn say_something(&mut self, input: &mut Input<'_>) {
        let message = input.pick(&self.heard).clone();
        let up = input.chance(128);
        let Some(message) = spoiled(message, input.chance(160).then_some(input)) else { return };
        if up {
            self.give_root(message);
        } else if let Some(link) = self.link {
            self.follower.replica.handle_input(self.now, Given::Received { link, message });
        }
    }

    fn change_link(&mut self, input: &mut Input<'_>) {
        match input.below(7) {
            0 | 1 => self.cut(),
            2 => {
                let may_edit = input.chance(128);
                let grant = grant(may_edit);
                self.root.replica.handle_input(self.now, Given::Granted { link: self.root_link, grant });
            }
            3 => {
                self.follower.replica.handle_input(self.now, Given::Online(input.chance(128)));
                self.root.replica.handle_input(self.now, Given::StoreMoved);
            }
            4 => {
                if let Some(link) = self.link.take() {
                    let code = Some(4_000 + u16::from(input.byte()) * 4);
                    self.follower.replica.handle_input(self.now, Given::LinkClosed { link, code });
                    self.cut();
                }
            }
            _ => {
                let link = LinkId(u64::from(input.byte()));
                self.root.replica.handle_input(self.now, Given::Writable { link });
            }
        }
    }

    /// What a program may want of the follower; what it refuses, it refuses.
    fn command(&mut self, input: &mut Input<'_>) {
        let document = input.pick(&self.documents).clone();
        let replica: &mut Replica = &mut self.follower.replica;
        match input.below(20) {
            0..3 => replica.open(&document),
            3 => replica.close(&document),
            4 | 5 => {
                let policy = *input.pick(&[Policy::Theirs, Policy::Ours, Policy::Latest, Policy::Manual]);
                let header = Header { policy, ..Header::default() };
                let _ = replica.create_with(&document, header, json(input.pick::<&str>(&CONTENTS)));
            }
            6..12 => {
                let patch = Patch::parse(input.pick::<&str>(&PATCHES), &Limits::default()).unwrap();
                let _ = replica.edit(&document, patch);
            }
            12 => drop(replica.delete(&document)),
            13 => drop(replica.undelete(&document)),
            14 => drop(replica.undo(&document)),
            15 => drop(replica.redo(&document)),
            16 => {
                let open = replica.view(&document).map(|view| view.conflicts).unwrap_or_default();
                let choices = [ConflictChoice::Keep, ConflictChoice::Incoming, ConflictChoice::Base];
                if let Some(id) = open.keys().next() {
                    let _ = replica.settle(&document, *id, input.pick(&choices).clone());
                }
            }
            17 => {
                let header = Header { title: Some("title".into()), ..Header::default() };
                let _ = replica.set_header(&document, header);
            }
            18 => drop(replica.set_presence(&document, input.chance(192).then(|| json(CONTENTS[1])))),
            _ => {
                self.tokens += 1;
                replica.remote_history(Token(self.tokens), &document, None, u32::from(input.byte()));
            }
        }
        let _ = replica.view(&document);
    }

    /// What a door of the server may want of the authority.
    fn request(&mut self, input: &mut Input<'_>) {
        self.tokens += 1;
        let (token, document) = (Token(self.tokens), input.pick(&self.documents).clone());
        let replica = &mut self.root.replica;
        match input.below(6) {
            0 => replica.read(token, &document),
            1 => replica.history(token, &document, None, u32::from(input.byte())),
            2 => replica.heads(token, Sequence(0), u32::from(input.byte())),
            3 => replica.open(&document),
            4 => {
                let key = RequestKey::new("key", &[&[input.byte() % 2]]);
                replica.repeat(token, &grant(true), &document, &key);
            }
            _ => {
                let patch = Patch::parse(input.pick::<&str>(&PATCHES), &Limits::default()).unwrap();
                let body = match input.below(4) {
                    0 => Body::Create { header: Header::default(), content: json(CONTENTS[1]) },
                    1 => Body::Delete,
                    _ => Body::Edit { patch, settles: Vec::new(), undoes: None },
                };
                let base = if input.chance(128) {
                    Base::Current
                } else {
                    Base::Revision(Revision(u64::from(input.byte())))
                };
                let key = input.chance(64).then(|| RequestKey::new("key", &[&[input.byte() % 2]]));
                replica.submit(token, grant(true), &document, body, base, key.as_ref());
            }
        }
    }
}

/// A message with some bytes changed; `None` where a session would have refused it.
fn spoiled(message: Message, spoil: Option<&mut Input<'_>>) -> Option<Message> {
    let Some(input) = spoil else { return Some(message) };
    let mut bytes = encode_message(&message, Encoding::Binary).to_vec();
    input.spoil(&mut bytes);
    decode_message(&bytes, Encoding::Binary).ok()
}
