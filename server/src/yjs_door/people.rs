//! Who is in a room: presence as the replica has it, and awareness as Yjs clients say it.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::sync::Arc;

use crate::presence::shared;
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

/// Clients whose clocks are remembered though nobody shows them any more, or not at that clock. Beyond that only the latter are.
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
    /// As which clients the others were told, by client. There is such a list for each connection: it is as small as can be.
    shown: Vec<Shown>,
    /// The newest clocks of clients that were told, where they are not those in [`shown`](Self::shown): of who has left. A `y-websocket` client sends
    /// on what it hears: that is not about itself.
    told: BTreeMap<u64, u32>,
    /// The clients that this connection speaks for: which part of its link each is, and its clock.
    own: BTreeMap<u64, (u32, u32)>,
}

/// One of the others, as it was told. Usually one member shows a client, and for a while two where one is back before its old connection has ended.
struct Shown {
    client: u64,
    member: MemberId,
    clock: u32,
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
            shown: Vec::new(),
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
        entry.clock > 0
            && !entry.is_gone()
            && entry.clock > self.newest(entry.client)
            && !self.is_of_another(entry.client, &self.principal, None)
    }

    /// Whether a client is of somebody else, as far as others show it.
    fn is_of_another(&self, client: u64, principal: &str, but: Option<MemberId>) -> bool {
        let mut holders = self.holders(client).iter().filter(|holder| Some(holder.member) != but);
        holders.any(|holder| {
            self.present.presence(holder.member).is_some_and(|presence| *presence.principal != *principal)
        })
    }

    /// Who shows a client.
    fn holders(&self, client: u64) -> &[Shown] {
        let first = self.shown.partition_point(|shown| shown.client < client);
        let behind = self.shown.get(first..).unwrap_or_default();
        behind.get(..behind.partition_point(|shown| shown.client == client)).unwrap_or_default()
    }

    /// The newest clock of a client that was told; 0 where none was.
    fn newest(&self, client: u64) -> u32 {
        let shown = self.holders(client).iter().map(|holder| holder.clock);
        shown.chain(self.told.get(&client).copied()).max().unwrap_or(0)
    }

    /// Remembers a clock that nobody shows.
    fn remember(&mut self, client: u64, clock: u32) {
        self.told.insert(client, clock);
        if self.told.len() > MAX_TOLD_CLIENTS {
            let shown = &self.shown;
            self.told.retain(|client, _| shown.binary_search_by_key(client, |shown| shown.client).is_ok());
        }
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
        let principal = Arc::clone(&presence.principal);
        let before = self.shown.iter().find(|shown| shown.member == member);
        let before = before.map(|shown| (shown.client, shown.clock));
        let (client, clock, state) = yjs_of(&presence.state).unwrap_or_else(|| {
            let clock = before.map_or(1, |(_, clock)| clock.saturating_add(1));
            (self.made | (member.0 % MADE_CLIENTS), clock, unwrapped(&presence.state).canonical())
        });
        self.present.share(member, |presence| shared(member, presence, &state));
        if before.is_some_and(|(before, _)| before != client) {
            said.extend(self.forget(member));
        }
        if self.is_of_another(client, &principal, Some(member)) {
            return;
        }
        let newest = self.newest(client);
        match self.shown.binary_search_by_key(&(client, member), |shown| (shown.client, shown.member)) {
            Ok(at) => self.shown.iter_mut().skip(at).take(1).for_each(|shown| shown.clock = clock),
            Err(at) => {
                if self.shown.len() == self.shown.capacity() {
                    self.shown.reserve_exact((self.shown.len() / 4).max(4));
                }
                self.shown.insert(at, Shown { client, member, clock });
            }
        }
        if clock < newest {
            self.remember(client, newest);
        }
        said.push((client, clock, state));
    }

    /// What is said of somebody who is gone; nothing where the client is still there, on another connection.
    fn forget(&mut self, member: MemberId) -> Option<(u64, u32, String)> {
        let at = self.shown.iter().position(|shown| shown.member == member)?;
        let newest = self.shown.get(at).map(|shown| self.newest(shown.client))?;
        let Shown { client, clock, .. } = self.shown.remove(at);
        self.remember(client, newest);
        self.holders(client).is_empty().then(|| (client, clock, "null".to_owned()))
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

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn member(id: u64, client: u64, clock: u32) -> Member {
        let state = format!(r#"{{"yjs":{{"client":{client},"clock":{clock}}},"state":{{"n":{id}}}}}"#);
        let change = PresenceChange::Set(Json::parse(&state, &Limits::default()).unwrap());
        Member { member: MemberId(id), principal: "ada".into(), change }
    }

    fn people() -> People {
        let mut people = People::new("ada".into(), 1);
        people.welcome(MemberId(1));
        people
    }

    /// Whether the connection takes what a client says for something new about itself.
    fn takes(people: &mut People, client: u64, clock: u32) -> bool {
        let entry = awareness::Entry { client, clock, state: "{}" };
        let said = awareness::encode(&[entry]);
        !people.take(&Awareness::check(said.into()).unwrap()).is_empty()
    }

    #[test]
    fn what_connections_are_told_of_somebody_is_held_once() {
        let (mut one, mut other) = (people(), people());
        for people in [&mut one, &mut other] {
            people.tell(true, &[member(100, 7, 1)], &[]).unwrap();
        }
        let presence = |people: &People| std::ptr::from_ref(people.present.presence(MemberId(100)).unwrap());
        assert_eq!(presence(&one), presence(&other));
        one.tell(false, &[member(100, 7, 2)], &[]).unwrap();
        assert_ne!(presence(&one), presence(&other));
    }

    #[test]
    fn a_client_that_somebody_shows_at_two_clocks_is_known_by_the_newest() {
        let mut people = people();
        people.tell(true, &[member(100, 7, 5), member(200, 7, 3)], &[]).unwrap();
        assert!(!takes(&mut people, 7, 5));
        assert_eq!(people.tell(false, &[], &[MemberId(100)]), None, "it is there on another connection");
        assert!(!takes(&mut people, 7, 5));
        assert!(people.tell(false, &[], &[MemberId(200)]).is_some());
        assert!(!takes(&mut people, 7, 5));
        assert!(takes(&mut people, 7, 6));
    }

    #[test]
    fn clocks_of_who_has_left_are_remembered_up_to_the_limit() {
        let mut people = people();
        people.tell(true, &[member(100, 7, 5), member(200, 7, 3)], &[]).unwrap();
        people.tell(false, &[], &[MemberId(100)]);
        let most = MAX_TOLD_CLIENTS as u64;
        for id in 1..most {
            people.tell(false, &[member(1_000 * id, id + 10, 1)], &[]).unwrap();
            people.tell(false, &[], &[MemberId(1_000 * id)]);
        }
        assert_eq!(people.told.len(), MAX_TOLD_CLIENTS);
        assert!(!takes(&mut people, 11, 1));
        people.tell(false, &[member(300, 9, 1)], &[MemberId(300)]);
        people.tell(false, &[member(300, 9, 1)], &[]);
        people.tell(false, &[], &[MemberId(300)]);
        assert_eq!(people.told.len(), 1, "only of who is there");
        assert!(!takes(&mut people, 7, 5));
        assert!(takes(&mut people, 11, 1));
    }
}
