//! Who is in a room: presence as the replica has it, and as clients of rooms are told it.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::sync::Arc;

use rejoin_core::{Present, PresentChange};
use rejoin_json::{Json, Object};
use rejoin_rooms::{ClientId, ServerMessage};
use rejoin_wire::limits::MAX_PRESENCE_PARTS;
use rejoin_wire::{Member, MemberId, UnixMillis};

use crate::presence::shared;

/// Until the replica has said which numbers a link has: no member has this one.
pub(super) const NOBODY: RangeInclusive<MemberId> = MemberId(0)..=MemberId(0);

/// Begins the ids of members that came through other doors, which have none of their own: version 8 of a UUID, which is nobody's by chance.
const MADE_CLIENTS: u128 = 0x7265_6a6f_696e_8000_8000_0000_0000_0000;

/// Everybody else in a room, from where one of its clients stands.
pub(super) struct People {
    room: String,
    client: ClientId,
    principal: Arc<str>,
    /// The numbers of the client's own link.
    members: RangeInclusive<MemberId>,
    present: Present,
    /// As which client each member was told.
    shown: BTreeMap<MemberId, ClientId>,
    /// Members that show a client: usually one, and for a while two where one is back before its old link has ended.
    holders: BTreeMap<ClientId, Vec<MemberId>>,
}

impl People {
    pub(super) fn new(room: String, client: ClientId, principal: Arc<str>) -> Self {
        Self {
            room,
            client,
            principal,
            members: NOBODY,
            present: Present::new(),
            shown: BTreeMap::new(),
            holders: BTreeMap::new(),
        }
    }

    /// The replica has said which member the link is.
    pub(super) fn welcome(&mut self, member: MemberId) {
        self.members = own_numbers(member);
    }

    /// Takes what the replica tells of the others; returns what the client is told. Who is there when it comes is not told to have come.
    pub(super) fn tell(
        &mut self,
        keyframe: bool,
        members: &[Member],
        left: &[MemberId],
        now: UnixMillis,
        is_new: bool,
    ) -> Vec<ServerMessage> {
        let changes = self.present.apply(&self.members, keyframe, members.to_vec(), left);
        let mut told = Vec::with_capacity(changes.len());
        for change in changes {
            match change {
                PresentChange::Joined(member) | PresentChange::Changed(member) => {
                    self.show(member, now, is_new, &mut told);
                }
                PresentChange::Left(member) => self.forget(member, &mut told),
            }
        }
        told
    }

    fn show(&mut self, member: MemberId, now: UnixMillis, is_new: bool, told: &mut Vec<ServerMessage>) {
        self.present.share(member, |presence| shared(member, presence, &presence.state.canonical()));
        let Some(presence) = self.present.presence(member) else { return };
        let client = client_of(member, &presence.state);
        let state = unwrapped(&presence.state).clone();
        let principal = Arc::clone(&presence.principal);
        if self.shown.get(&member).is_some_and(|before| *before != client) {
            self.forget(member, told);
        }
        // Its own old link, or somebody who says to be another.
        if client == self.client && principal == self.principal
            || self.is_of_another(client, &principal, member)
        {
            return;
        }
        self.shown.insert(member, client);
        let holders = self.holders.entry(client).or_default();
        if holders.is_empty() && !is_new {
            told.push(ServerMessage::RoomJoined {
                room_id: self.room.clone(),
                client_id: client.to_string(),
            });
        }
        if !holders.contains(&member) {
            holders.push(member);
        }
        told.push(presence_of(client, now, state));
    }

    /// What everybody else shows, as a newcomer is told it.
    pub(super) fn everybody(&self, now: UnixMillis) -> Vec<ServerMessage> {
        let present = self.shown.iter().filter_map(|(member, client)| {
            let state = unwrapped(&self.present.presence(*member)?.state).clone();
            Some(presence_of(*client, now, state))
        });
        present.collect()
    }

    /// Whether a client is of somebody else, as far as others show it.
    fn is_of_another(&self, client: ClientId, principal: &str, but: MemberId) -> bool {
        let mut holders = self.holders.get(&client).into_iter().flatten().filter(|member| **member != but);
        client == self.client
            || holders.any(|member| {
                self.present.presence(*member).is_some_and(|presence| *presence.principal != *principal)
            })
    }

    /// Nobody hears of a member that is gone whose client is still there, on another link.
    fn forget(&mut self, member: MemberId, told: &mut Vec<ServerMessage>) {
        let Some(client) = self.shown.remove(&member) else { return };
        let Some(holders) = self.holders.get_mut(&client) else { return };
        holders.retain(|holder| *holder != member);
        if holders.is_empty() {
            self.holders.remove(&client);
            told.push(ServerMessage::RoomLeft { room_id: self.room.clone(), client_id: client.to_string() });
        }
    }
}

fn presence_of(client: ClientId, now: UnixMillis, presence: Json) -> ServerMessage {
    ServerMessage::PresenceUpdated { client_id: client.to_string(), timestamp: now.0, presence }
}

pub(super) fn own_numbers(member: MemberId) -> RangeInclusive<MemberId> {
    member..=MemberId(member.0 + u64::from(MAX_PRESENCE_PARTS))
}

/// What a client of rooms shows, as presence of its link: beside its id.
pub(super) fn wrapped(client: ClientId, state: Json) -> Json {
    let mut room = Object::new();
    room.insert("client", Json::from(client.to_string().as_str()));
    let mut wrapped = Object::new();
    wrapped.insert("room", room.into());
    wrapped.insert("state", state);
    wrapped.into()
}

/// What somebody shows, without what its door has put beside it.
pub(crate) fn unwrapped(presence: &Json) -> &Json {
    let is_wrapped = presence.get("room").is_some_and(|room| room.get("client").is_some())
        || presence.get("yjs").is_some_and(|yjs| yjs.get("client").is_some());
    presence.get("state").filter(|_| is_wrapped).unwrap_or(presence)
}

/// The client that a member is.
pub(super) fn client_of(member: MemberId, presence: &Json) -> ClientId {
    let said = presence.get("room").and_then(|room| room.get("client")?.as_str()?.parse().ok());
    said.unwrap_or(ClientId(MADE_CLIENTS | u128::from(member.0) & 0x3fff_ffff_ffff_ffff))
}
