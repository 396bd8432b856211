//! One replica among peers of which none keeps the rules, in every role: authority, relay and follower.

use std::collections::BTreeSet;
use std::time::Duration;

use rejoin_core::{Grant, Input as Given, Instant, LinkId, Peer, Role, Token};
use rejoin_wire::{
    DocumentId, Encoding, ReplicaId, Revision, Scope, Sequence, UnixMillis, decode_message, encode_message,
};

use crate::input::Input;
use crate::replica::{Node, Wish};
use crate::samples;

/// Steps of one input.
const MAX_STEPS: usize = 300;

/// Links that peers open by themselves.
const LINKS: usize = 4;

/// The replica whose changes the examples of the protocol's page are.
const EXAMPLE: ReplicaId = ReplicaId(0x0123_4567_89ab_cdef_0011_2233_4455_6677);

/// Questions to the store once nothing else happens.
const MAX_ANSWERS: usize = 20_000;

/// Whatever is said to it, on links that exist or do not, a replica writes what can be read, does what is due, and comes to an end.
pub(crate) fn replica_alone(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let role =
        input.pick(&[Role::Root, Role::Relay, Role::Follower { scope: Some(Scope::Documents) }]).clone();
    let now = Instant(1_000_000);
    let (idle, shares) = *input.pick(&[(1, false), (1_024, false), (1, true), (1_024, true)]);
    let mut alone = Alone {
        node: Node::new(role, idle, shares, now),
        now,
        encoding: *input.pick(&[Encoding::Binary, Encoding::Json]),
        upstream: None,
        open: BTreeSet::new(),
        tokens: 0,
    };
    alone.drain();
    for _ in 0..MAX_STEPS {
        if input.is_empty() {
            break;
        }
        alone.step(&mut input);
        alone.drain();
    }
    alone.settle();
}

struct Alone {
    node: Node,
    now: Instant,
    encoding: Encoding,
    upstream: Option<LinkId>,
    open: BTreeSet<LinkId>,
    tokens: u64,
}

impl Alone {
    fn link(&self, input: &mut Input<'_>) -> LinkId {
        match (input.below(LINKS + 1), self.upstream) {
            (0, Some(upstream)) => upstream,
            (at, _) => LinkId(1_000_000 + at as u64),
        }
    }

    fn give(&mut self, given: Given) {
        self.node.replica.handle_input(self.now, given);
    }

    fn step(&mut self, input: &mut Input<'_>) {
        match input.below(16) {
            0..7 => self.receive(input),
            7 | 8 => drop(self.node.answer(self.now)),
            9 => self.node.answer_badly(input, self.now),
            10 => {
                let link = self.link(input);
                self.open_link(link, input);
            }
            11 => {
                let link = self.link(input);
                let code = input.chance(128).then(|| 4_000 + u16::from(input.byte()) * 4);
                self.close_link(link, code);
            }
            12 => {
                let link = self.link(input);
                self.give(Given::Writable { link });
            }
            13 => {
                self.now = self.now + Duration::from_millis(u64::from(input.pair()));
                self.give(Given::Timeout);
                self.drain();
                let due = self.node.replica.poll_timeout();
                assert!(
                    due.is_none_or(|due| due > self.now),
                    "what is due was done: {due:?} at {:?}",
                    self.now
                );
            }
            14 => self.host(input),
            _ => self.ask(input),
        }
    }

    /// A message: one that the page of the protocol shows, as it is or spoiled, or bytes that happen to be one.
    fn receive(&mut self, input: &mut Input<'_>) {
        let link = self.link(input);
        if !self.open.contains(&link) && input.chance(224) {
            self.open_link(link, input);
        }
        let mut bytes = encode_message(input.pick(samples::messages()), Encoding::Binary).to_vec();
        match input.below(4) {
            0 => {}
            1 | 2 => input.spoil(&mut bytes),
            _ => {
                let length = usize::from(input.byte());
                bytes = input.take(length).to_vec();
            }
        }
        if let Ok(message) = decode_message(&bytes, Encoding::Binary) {
            self.give(Given::Received { link, message });
        }
    }

    fn open_link(&mut self, link: LinkId, input: &mut Input<'_>) {
        let grant =
            Grant { principal: "ada".into(), may_edit: input.chance(192), may_relay: input.chance(128) };
        let replica = *input.pick(&[EXAMPLE, ReplicaId(0), ReplicaId(1)]);
        let peer = Peer { replica, encoding: self.encoding, grant, token: None };
        self.open.insert(link);
        self.give(Given::LinkOpened { link, peer });
    }

    fn close_link(&mut self, link: LinkId, code: Option<u16>) {
        self.upstream = self.upstream.filter(|upstream| *upstream != link);
        self.open.remove(&link);
        self.give(Given::LinkClosed { link, code });
    }

    fn host(&mut self, input: &mut Input<'_>) {
        match input.below(5) {
            // An authority passes over the one, and whoever is below one over the other.
            0 => {
                self.give(Given::Online(input.chance(160)));
                self.give(Given::StoreMoved);
            }
            1 => self.give(Given::Clock(UnixMillis(u64::from(input.pair()) << input.below(40)))),
            2 => self.node.restart(self.now),
            3 => {
                let link = self.link(input);
                let grant = Grant::new("ada", input.chance(128));
                self.give(Given::Granted { link, grant });
            }
            _ => {
                self.node.asked.clear();
                self.give(Given::StoreReplaced);
            }
        }
    }

    fn ask(&mut self, input: &mut Input<'_>) {
        self.tokens += 1;
        let token = Token(self.tokens);
        let document = DocumentId::new(input.pick::<&str>(&["notes", "d", "tasks"])).expect("an id");
        let replica = &mut self.node.replica;
        match input.below(6) {
            0 => replica.open(&document),
            1 => replica.close(&document),
            2 => replica.history(token, &document, None, u32::from(input.byte())),
            3 => replica.heads(token, Sequence(u64::from(input.byte())), u32::from(input.byte())),
            4 => replica.read_at(token, &document, Revision(u64::from(input.byte()))),
            _ => drop(replica.view(&document)),
        }
    }

    fn drain(&mut self) {
        loop {
            let wishes = self.node.drain();
            if wishes.is_empty() {
                return;
            }
            for wish in wishes {
                match wish {
                    Wish::Connect(link) => self.upstream = Some(link),
                    Wish::Transmit(_, payload) => {
                        if let Err(error) = decode_message(&payload, self.encoding) {
                            panic!(
                                "what is sent can be read: {error}: {}",
                                String::from_utf8_lossy(&payload)
                            );
                        }
                    }
                    Wish::Disconnect(link) => self.close_link(link, None),
                }
            }
        }
    }

    /// The store answers all that it was asked, and then there is no more to ask.
    fn settle(&mut self) {
        for _ in 0..MAX_ANSWERS {
            self.drain();
            if !self.node.answer(self.now) {
                return;
            }
        }
        panic!("the replica asks its store without end");
    }
}
