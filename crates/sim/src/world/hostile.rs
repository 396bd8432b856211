//! Somebody who says to the authority, or to a relay, what no correct client says: what others said, as it was or with parts of it
//! changed, in the name of others, and bytes that are no message. Nothing may come of it for anybody else. Half of them may only read;
//! what the others push stands in `vandal`.

use std::collections::BTreeMap;

use rejoin_core::{Grant, Input, Instant, LinkId, Payload, Session, SessionInput};
use rejoin_wire::{
    Body, Counter, DocumentPush, Encoding, Hello, Message, PROTOCOL_VERSION, ReplicaId, Revision,
    encode_message,
};

use super::vandal::Vandal;
use super::wire::{Side, Wire};
use super::{Happening, ROOT, WIRES, World};
use crate::dice::Dice;
use crate::violation::{Checked, Violation};

/// Messages of correct clients that are remembered to be said again.
const OVERHEARD: usize = 24;

/// What a hostile client says, at most.
const SAYINGS: u64 = 16;

/// From one to the next, at most, in microseconds.
const PAUSE_US: u64 = 300_000;

/// Those who may edit, in ten thousand.
const VANDALS: u32 = 5_000;

/// Those who are below a relay where there is one, in ten thousand.
const AT_RELAYS: u32 = 5_000;

/// What they say that is a push of theirs, in ten thousand.
const PUSHES: u32 = 7_000;

/// No node; the same number on machines of every width, for it is in traces.
pub(crate) const NOBODY: usize = u32::MAX as usize;

/// The dice of wires to nobody begin here.
const HOSTILE_WIRES: u64 = 1 << 48;

impl World {
    /// Remembers what a client said.
    pub(super) fn overhear(&mut self, node: usize, message: Message) {
        if self.overheard.len() == OVERHEARD {
            self.overheard.pop_front();
        }
        self.overheard.push_back((node, message));
    }

    /// A hostile client connects to the authority or to a relay; false where that is down.
    pub(super) fn attack(&mut self) -> Result<bool, Violation> {
        let number = self.next_wire;
        let mut dice = Dice::of(self.seed, WIRES, HOSTILE_WIRES + number);
        let relays: Vec<usize> = (0..self.nodes.len()).filter(|node| self.nodes[*node].is_relay()).collect();
        let at_relay = !relays.is_empty() && dice.chance(AT_RELAYS);
        let attacked = if at_relay { *dice.pick(&relays) } else { self.any_root() };
        if self.nodes[attacked].replica.is_none() {
            return Ok(false);
        }
        self.next_wire += 1;
        self.relay_attacked |= at_relay;
        let encoding = if dice.chance(self.surroundings.binary) { Encoding::Binary } else { Encoding::Json };
        let now = Instant(self.now);
        let mut client = Session::client(self.sessions.clone(), encoding, now);
        // Under the name of somebody else, half of the time.
        let stolen = self.overheard.iter().find_map(|(_, message)| match message {
            Message::Hello(hello) => Some(hello.replica),
            _ => None,
        });
        let own = ReplicaId(self.dice.seed().0);
        let replica = stolen.filter(|_| dice.chance(5_000)).unwrap_or(own);
        let hello = Message::Hello(Hello {
            versions: vec![PROTOCOL_VERSION],
            replica,
            workspace: Some(self.workspace.clone()),
            token: None,
            agent: None,
        });
        client.handle_input(
            now,
            SessionInput::Send(Payload::of_encoded(encode_message(&hello, encoding), encoding)),
        );
        let server = Session::server(self.sessions.clone(), encoding, now);
        let ends = [(LinkId(0), client), (LinkId(number), server)];
        let vandal = dice.chance(VANDALS).then(|| Vandal { replica, counters: BTreeMap::new() });
        let mut wire = Wire::new([NOBODY, attacked], encoding, ends, dice);
        (wire.hostile, wire.spoiled, wire.vandal) = (true, true, vandal);
        self.wires.insert(number, wire);
        self.trace
            .note(self.now, 9, attacked, &number.to_le_bytes(), || format!("is attacked on wire {number}"));
        self.pump(number, Side::Above)?;
        self.pump(number, Side::Below)?;
        let sayings = self.dice.between(1, SAYINGS);
        self.plan_at(PAUSE_US, Happening::Say { wire: number, left: sayings });
        Ok(true)
    }

    /// A hostile client says the next thing, and ends by not reading any more.
    pub(super) fn say(&mut self, number: u64, left: u64) -> Checked {
        if self.healed {
            return Ok(());
        }
        let Some(wire) = self.wires.get_mut(&number) else { return Ok(()) };
        let encoding = wire.encoding;
        if left == 0 {
            wire.end_mut(Side::Above).pipe.stalled_until = u64::MAX >> 1;
            return Ok(());
        }
        let mut dice = wire.dice.clone();
        let mut vandal = wire.vandal.take();
        let message = self.hostile_message(vandal.as_mut(), &mut dice, left);
        let mut payload = encode_message(&message, encoding);
        // What a push that was hit by chance would write, nobody would know of.
        let is_vandalism = vandal.is_some() && matches!(message, Message::Push { .. });
        if !is_vandalism && dice.chance(1_500) {
            let mut bytes = payload.to_vec();
            let at = dice.below(bytes.len());
            bytes[at] ^= 1 << dice.below(8);
            payload = bytes.into();
        }
        self.trace
            .note(self.now, 9, ROOT, &payload, || format!("is told on {number}: {}", super::shown(&message)));
        let Some(wire) = self.wires.get_mut(&number) else { return Ok(()) };
        (wire.dice, wire.vandal) = (dice, vandal);
        let pause = wire.dice.between(1, PAUSE_US);
        if let Some(session) = &mut wire.end_mut(Side::Below).session {
            let payload = Payload::cut(payload, encoding, self.surroundings.frame_bytes);
            session.handle_input(Instant(self.now), SessionInput::Send(payload));
        }
        self.plan_at(pause, Happening::Say { wire: number, left: left - 1 });
        self.pump(number, Side::Below)
    }

    fn hostile_message(&mut self, vandal: Option<&mut Vandal>, dice: &mut Dice, left: u64) -> Message {
        let said = match self.overheard.len() {
            0 => Message::Ping { nonce: left },
            many => self.overheard[dice.below(many)].1.clone(),
        };
        match vandal {
            Some(vandal) if dice.chance(PUSHES) || matches!(said, Message::Push { .. }) => {
                self.vandalism(dice, vandal)
            }
            _ => altered(dice, said),
        }
    }

    /// Whoever is hostile leaves.
    pub(super) fn end_attacks(&mut self) {
        let hostile: Vec<u64> =
            self.wires.iter().filter(|(_, wire)| wire.hostile).map(|(number, _)| *number).collect();
        for number in hostile {
            if let Some(wire) = self.wires.get_mut(&number) {
                // What it never read is gone with its socket, or the authority would wait for room there for ever.
                wire.end_mut(Side::Above).pipe.lose();
            }
            self.cut(number, Some(0), Some(0));
        }
    }

    /// What a follower pushed, and was accepted, arrives once more on its newest link; false where there is no such push.
    pub(super) fn redeliver(&mut self) -> Result<bool, Violation> {
        let known = |push: &DocumentPush| {
            push.changes.iter().all(|pushed| {
                let made = self.model.named(pushed.change.hash(&push.document));
                made.is_some_and(|made| self.model.is_logged(made) && !self.model.was_lost(made))
            })
        };
        let old: Vec<(usize, Message)> = self
            .overheard
            .iter()
            .filter(|(_, message)| matches!(message, Message::Push { pushes } if pushes.iter().all(known)))
            .cloned()
            .collect();
        if old.is_empty() {
            return Ok(false);
        }
        let (node, message) = self.dice.pick(&old).clone();
        let wires = self
            .wires
            .values()
            .filter(|wire| wire.follower == node && wire.end(Side::Above).session.is_some());
        let Some((above, link)) = wires.last().map(|wire| (wire.above, wire.end(Side::Above).link)) else {
            return Ok(false);
        };
        if !self.nodes[above].links.contains_key(&link) {
            return Ok(false);
        }
        self.trace.note(self.now, 9, above, &[10], || format!("is told again: {}", super::shown(&message)));
        self.input(above, Input::Received { link, message })?;
        Ok(true)
    }

    /// What a hostile client may do.
    pub(super) fn grant_of_nobody(may_edit: bool) -> Grant {
        Grant::new("nobody", may_edit)
    }
}

/// A message as it was, or with a part of it changed.
fn altered(dice: &mut Dice, mut message: Message) -> Message {
    if dice.chance(3_000) {
        return message;
    }
    match &mut message {
        Message::Push { pushes } => {
            for push in pushes {
                for pushed in &mut push.changes {
                    let change = &mut pushed.change;
                    match dice.below(7) {
                        0 => change.counter = Counter(change.counter.0 + 1),
                        1 => change.counter = Counter(dice.between(0, u64::MAX >> 11)),
                        2 => change.base = Revision(change.base.0 + dice.between(1, 1 << 40)),
                        3 => change.over = Counter(dice.between(0, u64::MAX >> 11)),
                        4 => change.replica = ReplicaId(dice.seed().0),
                        5 => change.body = Body::Delete,
                        _ => change.body = Body::Void,
                    }
                }
            }
        }
        Message::SeenContent { counter, content, .. } => {
            *counter = Counter(counter.0 + dice.between(0, 2));
            *content = None;
        }
        Message::HistoryRequest { limit, before, .. } => {
            *limit = u32::MAX;
            *before = Some(Revision(dice.between(0, u64::MAX >> 11)));
        }
        Message::Entries { first, entries, .. } => {
            *first = Revision(first.0 + 1);
            entries.reverse();
        }
        Message::Hello(hello) => hello.replica = ReplicaId(dice.seed().0),
        _ => {}
    }
    message
}
