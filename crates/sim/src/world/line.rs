//! What goes between a replica, its sessions and the network: the part of a driver's task.

use rejoin_core::{
    Disconnect, Input, Instant, LINK_LOW_WATER_BYTES, Opened, Payload, Peer, Sender, Session, SessionInput,
    SessionOutput,
};
use rejoin_wire::limits::MAX_FRAME_BYTES;
use rejoin_wire::{CloseCode, Encoding, ErrorCode, ErrorMessage, Frame, Message, decode_message};

use super::planting::Spoiled;
use super::wire::{Carried, Side, Wire};
use super::{Happening, LinkId, MAX_LINK_BYTES, ROOT, WIRES, World, shown};
use crate::checks::Standing;
use crate::dice::Dice;
use crate::plant::Plant;
use crate::violation::{Checked, Claim, Violation};

/// How long a person waits before asking for another attempt after the authority refused for good, in microseconds.
const ASKED_AGAIN_US: u64 = 2_000_000;

/// Bytes from which on a message is sent again and again where that is planted: shorter ones would take long to fill a link.
const REPEATED_BYTES: usize = 512;

impl World {
    pub(super) fn dial(&mut self, node: usize, link: LinkId) -> Checked {
        let above = self.choose_above(node);
        if self.nodes[above].replica.is_none() || self.nodes[node].partitioned {
            self.trace.note(self.now, 4, node, &[], || format!("cannot connect {link:?}"));
            return self.input(node, Input::LinkClosed { link, code: None });
        }
        let number = self.next_wire;
        self.next_wire += 1;
        let dials = self.nodes[node].dials;
        self.nodes[node].dials += 1;
        let mut dice = Dice::of(self.seed, WIRES, (node as u64) << 32 | dials);
        let encoding = if dice.chance(self.surroundings.binary) { Encoding::Binary } else { Encoding::Json };
        let now = Instant(self.now);
        let client = Session::client(self.sessions.clone(), encoding, now);
        let server = Session::server(self.sessions.clone(), encoding, now);
        let ends = [(link, client), (LinkId(number), server)];
        self.wires.insert(number, Wire::new([node, above], encoding, ends, dice));
        self.nodes[node].links.insert(link, number);
        self.trace
            .note(self.now, 4, node, &number.to_le_bytes(), || format!("connects {link:?} as {number}"));
        self.pump(number, Side::Above)?;
        let grant = self.nodes[node].grant();
        let peer = Peer { replica: rejoin_wire::ReplicaId(0), encoding, grant, token: None };
        self.input(node, Input::LinkOpened { link, peer })?;
        self.pump(number, Side::Below)
    }

    /// A replica hands a message over. Who looks into it reads it once for all links: `read` is what was read of it so far.
    pub(super) fn transmit(
        &mut self,
        node: usize,
        link: LinkId,
        payload: &bytes::Bytes,
        read: &mut Option<Message>,
    ) -> Checked {
        self.messages += 1;
        let Some(number) = self.nodes[node].links.get(&link).copied() else { return Ok(()) };
        let Some(wire) = self.wires.get_mut(&number) else { return Ok(()) };
        let encoding = wire.encoding;
        let mut payload = payload.clone();
        let serves = wire.above == node;
        if (serves && self.observed) || self.plant.is_some() || (!serves && self.listens) {
            let message = match read {
                Some(message) => &*message,
                None => read.insert(decode_message(&payload, encoding).map_err(|error| {
                    let what = format!("node {node} sends what cannot be read: {error}");
                    Violation::new(Claim::Hospitality, what)
                })?),
            };
            if !serves && self.listens {
                self.overhear(node, message.clone());
            }
            if self.observed && serves {
                // What the authority lost a relay may hold still.
                self.model.judging.note(Claim::DurableOnly);
                let lost = |document: &_| self.model.newest_lost(document).filter(|_| !self.is_root(node));
                Standing::check_told(message, self.nodes[ROOT].disk.durable(), lost)?;
                let is_late =
                    |error: &ErrorMessage| error.code == ErrorCode::RateLimited && error.change.is_some();
                self.refusals += u64::from(matches!(message, Message::Error(error) if is_late(error)));
            }
            if self.plant.is_some() {
                let mut message = message.clone();
                match self.spoil(node, &mut message) {
                    Spoiled::Not => {}
                    Spoiled::Altered => payload = rejoin_wire::encode_message(&message, encoding),
                    Spoiled::Lost => return Ok(()),
                }
            }
        }
        self.trace.note(self.now, 1, node, &payload, || {
            let message = decode_message(&payload, encoding);
            format!("sends on {number}: {}", message.map_or_else(|error| error.to_string(), |it| shown(&it)))
        });
        let Some(wire) = self.wires.get_mut(&number) else { return Ok(()) };
        let side = wire.side(node);
        let end = wire.end_mut(side);
        let Some(session) = &mut end.session else { return Ok(()) };
        end.handed += payload.len();
        let repeats = serves && self.plant == Some(Plant::SendForever) && payload.len() >= REPEATED_BYTES;
        let payload = Payload::cut(payload, encoding, self.surroundings.frame_bytes);
        if repeats {
            while session.queued_bytes() <= MAX_LINK_BYTES {
                session.handle_input(Instant(self.now), SessionInput::Send(payload.clone()));
            }
        }
        session.handle_input(Instant(self.now), SessionInput::Send(payload));
        let waiting = session.queued_bytes() + end.pipe.bytes();
        self.model.judging.note(Claim::Bounded);
        if waiting > MAX_LINK_BYTES {
            return Err(Violation::new(Claim::Bounded, format!("{waiting} bytes wait on a link")));
        }
        self.touched.push((number, side));
        Ok(())
    }

    /// A replica closes a link.
    pub(super) fn close(&mut self, node: usize, link: LinkId, code: CloseCode, reason: &str) -> Checked {
        let Some(number) = self.nodes[node].links.remove(&link) else { return Ok(()) };
        let Some(side) = self.wires.get(&number).map(|wire| wire.side(node)) else { return Ok(()) };
        self.tell(number, side, SessionInput::Close { code, reason: reason.into() })
    }

    /// What is due of a session, as of a certain moment.
    pub(super) fn beat(&mut self, number: u64, side: Side) -> Checked {
        let Some(wire) = self.wires.get_mut(&number) else { return Ok(()) };
        let end = wire.end_mut(side);
        if end.wake_at != Some(self.now) {
            return Ok(());
        }
        end.wake_at = None;
        self.tell(number, side, SessionInput::Timeout)
    }

    /// The authority has decided who is at the other end of a wire.
    pub(super) fn authenticate(&mut self, number: u64) -> Checked {
        let Some(wire) = self.wires.get(&number) else { return Ok(()) };
        let grant = if wire.hostile {
            Self::grant_of_nobody(wire.vandal.is_some())
        } else {
            self.nodes[wire.follower].grant()
        };
        self.tell(number, Side::Above, SessionInput::Authenticated(grant))
    }

    /// The socket says that it is closed.
    pub(super) fn hang_up(&mut self, number: u64, side: Side) -> Checked {
        self.tell(number, side, SessionInput::Closed { code: None, reason: "".into() })
    }

    fn tell(&mut self, number: u64, side: Side, input: SessionInput) -> Checked {
        let Some(wire) = self.wires.get_mut(&number) else { return Ok(()) };
        let Some(session) = &mut wire.end_mut(side).session else { return Ok(()) };
        session.handle_input(Instant(self.now), input);
        self.pump(number, side)
    }

    /// The next of what is on its way to one end arrives.
    pub(super) fn deliver(&mut self, number: u64, to: Side) -> Checked {
        let Some(wire) = self.wires.get_mut(&number) else { return Ok(()) };
        let Some(carried) = wire.end_mut(to.other()).pipe.pop() else { return Ok(()) };
        self.late_frames += u64::from(wire.cut);
        // There is room for more.
        self.pump(number, to.other())?;
        match carried {
            Carried::Frame(frame) => self.tell(number, to, SessionInput::Frame(frame)),
            Carried::Garbage(frame) => self.deliver_garbage(number, to, frame),
            Carried::Close { code, reason } => {
                self.tell(number, to, SessionInput::Closed { code: Some(code), reason })
            }
        }
    }

    fn deliver_garbage(&mut self, number: u64, to: Side, frame: Frame) -> Checked {
        let Some(wire) = self.wires.get_mut(&number) else { return Ok(()) };
        (wire.spoiled, wire.is_troubled) = (true, true);
        self.model.judging.note(Claim::BadFrames);
        let skips = self.plant == Some(Plant::SkipBadFrames);
        let Some(session) = &mut wire.end_mut(to).session else { return Ok(()) };
        session.handle_input(
            Instant(self.now),
            if skips { SessionInput::Alive } else { SessionInput::Frame(frame) },
        );
        // Of somebody who is not known yet nothing is read.
        if session.poll_timeout().is_some() && !session.is_authenticating() {
            return Err(Violation::new(Claim::BadFrames, format!("wire {number} goes on after a bad frame")));
        }
        self.bad_frames += 1;
        self.pump(number, to)
    }

    /// Does what a session asks for, as far as the network takes it.
    pub(super) fn pump(&mut self, number: u64, side: Side) -> Checked {
        loop {
            let Some(wire) = self.wires.get_mut(&number) else { return Ok(()) };
            let end = wire.end_mut(side);
            let Some(session) = &mut end.session else { return Ok(()) };
            let has_room = end.pipe.bytes() < self.surroundings.socket_bytes;
            let output = if has_room { session.poll_output() } else { session.poll_received() };
            match output {
                None => break,
                Some(SessionOutput::Frame(frame)) => self.write(number, side, frame),
                Some(SessionOutput::Authenticate(_)) => {
                    let after = wire.dice.between(0, self.surroundings.delay_us);
                    self.plan_at(after, Happening::Authenticate { wire: number });
                }
                Some(SessionOutput::Opened(opened)) => self.open_link(number, opened)?,
                Some(SessionOutput::Message(message)) => self.receive(number, side, message)?,
                Some(SessionOutput::Disconnect(disconnect)) => {
                    return self.end_line(number, side, disconnect);
                }
                Some(other @ (SessionOutput::Ping | SessionOutput::Text(_) | SessionOutput::Foreign(_))) => {
                    let what = format!("a session of the native door asks for {other:?}");
                    return Err(Violation::new(Claim::Hospitality, what));
                }
            }
        }
        self.plan_beat(number, side);
        Ok(())
    }

    /// Plans what is due next of a session, and has the authority go on where the network has taken what it gave.
    fn plan_beat(&mut self, number: u64, side: Side) {
        let now = self.now;
        let Some(wire) = self.wires.get_mut(&number) else { return };
        let end = wire.end_mut(side);
        let Some(session) = &end.session else { return };
        let waiting = session.queued_bytes() + end.pipe.bytes();
        let writable =
            side == Side::Above && end.handed >= LINK_LOW_WATER_BYTES && waiting < LINK_LOW_WATER_BYTES;
        if writable {
            end.handed = 0;
        }
        let writable_after = if writable { wire.dice.between(0, self.surroundings.delay_us) } else { 0 };
        let end = wire.end_mut(side);
        let Some(session) = &end.session else { return };
        let due = session.poll_timeout().map(|due| due.0.max(now + 1));
        let wakes = due.filter(|due| end.wake_at.replace(*due) != Some(*due));
        if let Some(at) = wakes {
            self.plan_at(at - now, Happening::Beat { wire: number, side });
        }
        if writable {
            let after = writable_after;
            self.plan_at(after, Happening::Writable { wire: number });
        }
    }

    /// The network takes a frame, and perhaps spoils it.
    fn write(&mut self, number: u64, side: Side, frame: Frame) {
        self.frames += 1;
        let Some(wire) = self.wires.get_mut(&number) else { return };
        let (node, encoding) = (wire.node(side), wire.encoding);
        self.trace.note(self.now, 10, node, frame.payload(), || {
            format!("writes {} bytes on {number}", frame.payload().len())
        });
        if wire.cut {
            return;
        }
        let chance = if self.healed { 0 } else { self.surroundings.rates.garbage };
        if wire.dice.chance(chance) {
            let garbage = garbage(&mut wire.dice, frame, encoding);
            self.trace.note(self.now, 9, node, garbage.payload(), || format!("writes garbage on {number}"));
            self.carry(number, side, Carried::Garbage(garbage));
        } else {
            self.carry(number, side, Carried::Frame(frame));
        }
    }

    fn carry(&mut self, number: u64, side: Side, carried: Carried) {
        let now = self.now;
        let Some(wire) = self.wires.get_mut(&number) else { return };
        let delay = wire.dice.between(1, self.surroundings.delay_us);
        let Some(at) = wire.end_mut(side).pipe.push(carried, now, delay) else { return };
        self.plan_at(at - now, Happening::Deliver { wire: number, to: side.other() });
    }

    fn open_link(&mut self, number: u64, opened: Opened) -> Checked {
        let Some(wire) = self.wires.get(&number) else { return Ok(()) };
        let (link, encoding, above) = (wire.end(Side::Above).link, wire.encoding, wire.above);
        let Sender::Replica { hello, .. } = opened.sender else {
            return Err(Violation::new(Claim::Hospitality, "a replica is taken for a plain client"));
        };
        self.nodes[above].links.insert(link, number);
        let peer = Peer { replica: hello.replica, encoding, grant: opened.grant, token: None };
        self.input(above, Input::LinkOpened { link, peer })
    }

    fn receive(&mut self, number: u64, side: Side, message: Message) -> Checked {
        let Some(wire) = self.wires.get(&number) else { return Ok(()) };
        let link = wire.end(side).link;
        let node = wire.node(side);
        if wire.hostile && side == Side::Below {
            return Ok(());
        }
        let peer_at_fault = matches!(&message, Message::Error(error) if matches!(
            error.code,
            rejoin_wire::ErrorCode::BadMessage
                | rejoin_wire::ErrorCode::UnknownType
                | rejoin_wire::ErrorCode::UnexpectedMessage
        ));
        if peer_at_fault && !wire.spoiled {
            return Err(Violation::new(
                Claim::Hospitality,
                format!("node {node} is told {}", shown(&message)),
            ));
        }
        self.input(node, Input::Received { link, message })
    }

    /// A session has ended: its socket is closed, and its replica is told.
    fn end_line(&mut self, number: u64, side: Side, end: Disconnect) -> Checked {
        let Some(wire) = self.wires.get_mut(&number) else { return Ok(()) };
        let (node, link) = (wire.node(side), wire.end(side).link);
        let (spoiled, cut, hostile) = (wire.spoiled, wire.cut, wire.hostile);
        let is_troubled = wire.is_troubled;
        wire.end_mut(side).session = None;
        if wire.is_over() {
            self.wires.remove(&number);
        }
        let Disconnect { code, reason, by_peer } = end;
        self.model.judging.note(Claim::Hospitality);
        if node == super::hostile::NOBODY {
            return Ok(());
        }
        self.trace.note(self.now, 6, node, &code.to_le_bytes(), || {
            format!("{link:?} ended with {code}: {reason}{}", if by_peer { ", by the peer" } else { "" })
        });
        self.silences += u64::from(!by_peer && code == CloseCode::HeartbeatTimeout.number());
        if !by_peer && !hostile && !is_expected(code, spoiled, is_troubled) {
            let what = format!("node {node} ends a link with {code}: {reason}");
            let claim = if spoiled { Claim::BadFrames } else { Claim::Hospitality };
            return Err(Violation::new(claim, what));
        }
        if !by_peer && !cut {
            self.carry(number, side, Carried::Close { code, reason });
        }
        if side == Side::Below && !CloseCode::retry(code) {
            let life = self.nodes[node].life;
            self.plan_at(ASKED_AGAIN_US, Happening::Reconnect { node, life });
        }
        if self.nodes[node].links.remove(&link).is_none() {
            return Ok(());
        }
        let code = (side == Side::Below).then_some(code);
        self.input(node, Input::LinkClosed { link, code })
    }

    /// Nothing arrives on a wire any more but what is on its way, half of the time; each end notices after a time of its own, or
    /// by the silence.
    pub(super) fn cut(&mut self, number: u64, follower_after: Option<u64>, root_after: Option<u64>) {
        let Some(wire) = self.wires.get_mut(&number).filter(|wire| !wire.cut) else { return };
        (wire.cut, wire.is_troubled) = (true, true);
        for side in [Side::Below, Side::Above] {
            if wire.dice.chance(5_000) {
                wire.end_mut(side).pipe.lose();
            }
        }
        for (side, after) in [(Side::Below, follower_after), (Side::Above, root_after)] {
            if let Some(after) = after {
                self.plan_at(after, Happening::Hangup { wire: number, side });
            }
        }
    }

    /// The sessions of a process end with it.
    pub(super) fn drop_sessions(&mut self, node: usize) {
        let mut over = Vec::new();
        for (number, wire) in &mut self.wires {
            if wire.above == node || wire.follower == node {
                let side = wire.side(node);
                wire.end_mut(side).session = None;
                over.push(*number);
            }
        }
        for number in over {
            let after = self.nodes[node].dice.between(0, 2_000_000);
            self.cut(number, Some(after), Some(after));
            if self.wires.get(&number).is_some_and(Wire::is_over) {
                self.wires.remove(&number);
            }
        }
    }
}

/// Whether a session may end a link with this code by itself, between correct peers: by silence on a link to which something happened, and
/// for a bad frame on one that spoiled a frame.
fn is_expected(code: u16, spoiled: bool, is_troubled: bool) -> bool {
    // Whoever is above may not be able to welcome anybody yet.
    let ended = [CloseCode::Normal, CloseCode::HelloTimeout, CloseCode::Unavailable];
    let silent = [CloseCode::HeartbeatTimeout];
    let bad = [CloseCode::BadMessage, CloseCode::TooLarge];
    let is = |codes: &[CloseCode]| codes.iter().any(|known| known.number() == code);
    is(&ended) || (is_troubled && is(&silent)) || (spoiled && is(&bad))
}

/// A frame that no correct peer sends, made of one that a correct peer sent.
fn garbage(dice: &mut Dice, frame: Frame, encoding: Encoding) -> Frame {
    let payload = frame.into_payload();
    let wrap = |bytes: Vec<u8>| match encoding {
        Encoding::Binary => Frame::Binary(bytes.into()),
        Encoding::Json => Frame::Text(bytes.into()),
    };
    match dice.below(5) {
        0 => wrap(Vec::new()),
        1 => wrap(vec![b' '; MAX_FRAME_BYTES + 1]),
        // Of the kind that the other encoding uses.
        2 => match encoding {
            Encoding::Binary => Frame::Text(payload),
            Encoding::Json => Frame::Binary(payload),
        },
        // A whole message of a type that is known and of which nothing follows; in text not even UTF-8.
        3 if encoding == Encoding::Binary => wrap(vec![0, 16]),
        3 => wrap(vec![b'"', 0xff]),
        // Neither a whole message nor a part of one.
        _ => wrap([&[0xfe], payload.as_ref()].concat()),
    }
}
