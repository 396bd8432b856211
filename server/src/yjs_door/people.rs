//! Who is in a room: presence as the replica has it, and awareness as Yjs clients say it.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::sync::Arc;

use crate::rooms_door::unwrapped;
use rejoin_core::{Present, PresentChange};
use rejoin_crdt::awareness;
use rejoin_crdt::doors::Awareness;
use rejoin_json::{Json, Limits};
use rejoin_wire::limits::{MAX_PRESENCE_BYTES, MAX_PRESENCE_PARTS};
use rejoin_wire::{Member, MemberId, PresenceChange};

/// Members of other doors have made client ids, above those that Yjs draws.
pub(super) const MADE_CLIENTS: u64 = 1 << 32;

/// How many kinds of such ids there are: client ids have 53 bits.
const MADE_KINDS: u128 = (1 << 21) - 1;

/// Clients whose clocks are remembered, of those who are there and of those who have left. Beyond that only the former are.
pub(super) const MAX_TOLD_CLIENTS: usize = 8_192;

/// Until the replica has said which numbers this link has: no member has this one.
const NOBODY: RangeInclusive<MemberId> = MemberId(0)..=MemberId(0);

/// Everybody in a room, from where one connection stands.
pub(super) struct People {
    principal: Arc<str>,
    /// The connection's own numbers.
    members: RangeInclusive<MemberId>,
    /// What the made client ids of this connection have in common. JavaScript remembers the clocks of those who are gone: on the next connection, where
    /// they begin anew, they have to be others.
    made: u64,
    present: Present,
    /// As which client each of the others was told, and its clock.
    shown: BTreeMap<MemberId, (u64, u32)>,
    /// Who of them shows a client: usually one, and for a while two where one is back before its old connection has ended.
    holders: BTreeMap<u64, Vec<MemberId>>,
    /// The newest clock of each client that was told. A `y-websocket` client sends on what it hears: that is not about itself.
    told: BTreeMap<u64, u32>,
    /// The clients that this connection speaks for: which part of its link each is, and its clock.
    own: BTreeMap<u64, (u32, u32)>,
}

impl People {
    /// The seed is another one on each connection.
    pub(super) fn new(principal: Arc<str>, seed: u128) -> Self {
        let kind = u64::try_from(1 + seed % MADE_KINDS).unwrap_or(1);
        Self {
            principal,
            members: NOBODY,
            made: kind * MADE_CLIENTS,
            present: Present::new(),
            shown: BTreeMap::new(),
            holders: BTreeMap::new(),
            told: BTreeMap::new(),
            own: BTreeMap::new(),
        }
    }

    /// The replica has said which member this link is.
    pub(super) fn welcome(&mut self, member: MemberId) {
        self.members = member..=MemberId(member.0 + u64::from(MAX_PRESENCE_PARTS));
    }

    /// Takes what the client says: what each part of its link shows from now on. Each client id is a part; the first is the link itself. What does not
    /// fit into a presence is not shown to others.
    pub(super) fn take(&mut self, said: &Awareness) -> Vec<(u32, PresenceChange)> {
        // Whatever one frame says of a client, others see the last of it.
        let mut changes = BTreeMap::new();
        for entry in said.entries() {
            let part = match self.own.get(&entry.client).copied() {
                Some((part, clock)) if clock < entry.clock || clock == entry.clock && entry.is_gone() => part,
                None if self.may_begin(&entry) => {
                    let used = |part: &u32| self.own.values().any(|(other, _)| other == part);
                    let Some(part) = (0..=MAX_PRESENCE_PARTS).find(|part| !used(part)) else { continue };
                    part
                }
                _ => continue,
            };
            if entry.is_gone() {
                self.own.remove(&entry.client);
                changes.insert(part, PresenceChange::Leave);
            } else if let Some(state) = presence_of(&entry) {
                self.own.insert(entry.client, (part, entry.clock));
                changes.insert(part, PresenceChange::Set(state));
            }
        }
        changes.into_iter().collect()
    }

    /// Whether the connection speaks for a client from now on. Clock 0 says nothing, as in JavaScript.
    fn may_begin(&self, entry: &awareness::Entry<'_>) -> bool {
        let is_heard = self.told.get(&entry.client).is_some_and(|clock| *clock >= entry.clock);
        entry.clock > 0
            && !entry.is_gone()
            && !is_heard
            && !self.is_of_another(entry.client, &self.principal, None)
    }

    /// Whether a client is of somebody else, as far as others show it.
    fn is_of_another(&self, client: u64, principal: &str, but: Option<MemberId>) -> bool {
        let mut holders =
            self.holders.get(&client).into_iter().flatten().filter(|member| Some(**member) != but);
        holders.any(|member| {
            self.present.presence(*member).is_some_and(|presence| *presence.principal != *principal)
        })
    }

    /// Takes what the replica tells of the others; returns an awareness update for the client.
    pub(super) fn tell(&mut self, keyframe: bool, members: &[Member], left: &[MemberId]) -> Option<Vec<u8>> {
        let changes = self.present.apply(&self.members, keyframe, members.to_vec(), left);
        self.tell_changes(&changes)
    }

    /// An awareness update with everybody.
    pub(super) fn everybody(&mut self) -> Option<Vec<u8>> {
        let everybody: Vec<PresentChange> =
            self.present.iter().map(|(member, _)| PresentChange::Changed(member)).collect();
        self.tell_changes(&everybody)
    }

    /// Those of Yjs doors have said their client id and clock; others are given some.
    fn tell_changes(&mut self, changes: &[PresentChange]) -> Option<Vec<u8>> {
        let mut said = Vec::with_capacity(changes.len());
        for change in changes {
            match change {
                PresentChange::Joined(member) | PresentChange::Changed(member) => {
                    self.show(*member, &mut said);
                }
                PresentChange::Left(member) => said.extend(self.forget(*member)),
            }
        }
        if said.is_empty() {
            return None;
        }
        let entries: Vec<awareness::Entry<'_>> = said
            .iter()
            .map(|(client, clock, state)| awareness::Entry { client: *client, clock: *clock, state })
            .collect();
        Some(awareness::encode(&entries))
    }

    fn show(&mut self, member: MemberId, said: &mut Vec<(u64, u32, String)>) {
        let Some(presence) = self.present.presence(member) else { return };
        let (principal, before) = (Arc::clone(&presence.principal), self.shown.get(&member).copied());
        let (client, clock, state) = yjs_of(&presence.state).unwrap_or_else(|| {
            let clock = before.map_or(1, |(_, clock)| clock.saturating_add(1));
            (self.made | (member.0 % MADE_CLIENTS), clock, unwrapped(&presence.state).canonical())
        });
        if before.is_some_and(|(before, _)| before != client) {
            said.extend(self.forget(member));
        }
        if self.is_of_another(client, &principal, Some(member)) {
            return;
        }
        self.shown.insert(member, (client, clock));
        let holders = self.holders.entry(client).or_default();
        if !holders.contains(&member) {
            holders.push(member);
        }
        let told = self.told.entry(client).or_default();
        *told = clock.max(*told);
        if self.told.len() > MAX_TOLD_CLIENTS {
            self.told.retain(|client, _| self.holders.contains_key(client));
        }
        said.push((client, clock, state));
    }

    /// What is said of somebody who is gone; nothing where the client is still there, on another connection.
    fn forget(&mut self, member: MemberId) -> Option<(u64, u32, String)> {
        let (client, clock) = self.shown.remove(&member)?;
        let holders = self.holders.get_mut(&client)?;
        holders.retain(|holder| *holder != member);
        if !holders.is_empty() {
            return None;
        }
        self.holders.remove(&client);
        Some((client, clock, "null".to_owned()))
    }
}

/// What a client says of itself, as presence: its state beside its id and clock.
fn presence_of(entry: &awareness::Entry<'_>) -> Option<Json> {
    let awareness::Entry { client, clock, state } = entry;
    let text = format!(r#"{{"yjs":{{"client":{client},"clock":{clock}}},"state":{state}}}"#);
    let limits = Limits { max_document_bytes: MAX_PRESENCE_BYTES, ..Limits::default() };
    Json::parse(&text, &limits).ok().filter(|state| state.encoded_len() <= MAX_PRESENCE_BYTES)
}

/// The client, its clock and its state, where a presence is that of a Yjs client.
fn yjs_of(presence: &Json) -> Option<(u64, u32, String)> {
    let yjs = presence.get("yjs")?;
    let client = u64::try_from(yjs.get("client")?.as_i64()?).ok()?;
    let clock = u32::try_from(yjs.get("clock")?.as_i64()?).ok()?;
    Some((client, clock, presence.get("state")?.canonical()))
}
