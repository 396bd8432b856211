//! A link from below, from its opening to its welcome.

use super::*;

/// How far a link is on its way to being served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::replica) enum Greeting {
    /// It waits until this replica is ready.
    Waiting,
    /// At a relay: the authority was asked how far the feed is.
    Asked,
    /// At a relay: it is welcomed once everything up to here is held.
    Until(Sequence),
    /// At an authority with others over the same store: it is welcomed once what they wrote before it opened is taken in.
    After(Stamp),
    /// It is served.
    Welcomed,
}

/// What a link has said before its welcome.
#[derive(Default)]
pub(in crate::replica) struct Early {
    messages: Vec<Message>,
    bytes: usize,
}

impl Replica {
    pub(in crate::replica) fn handle_downstream_opened(&mut self, link: LinkId, peer: Peer) {
        let member = MemberId(self.next_member);
        let relayed_members = if peer.grant.may_relay { MAX_RELAYED_MEMBERS } else { MAX_PRESENCE_PARTS };
        self.next_member += 1 + u64::from(relayed_members);
        self.links.insert(
            link,
            Downstream {
                peer,
                member,
                relayed_members,
                greeting: Greeting::Waiting,
                early: Early::default(),
                unread: 0,
                stale_presence: BTreeSet::new(),
                has_closed: false,
                behind: VecDeque::new(),
                subscribed: BTreeSet::new(),
                following: None,
                inquiries: VecDeque::new(),
            },
        );
        if !self.config.role.decides() {
            self.turn_away_if_hopeless();
        } else if self.ready {
            self.welcome_informed(link);
        }
    }

    /// Welcomes a link once everything is known that it may have been told by others over the same store: an authority that lacks some of it
    /// would look as if it had gone back.
    fn welcome_informed(&mut self, link: LinkId) {
        let stamp = self.news_of_others();
        if self.has_news(stamp) {
            self.welcome(link);
        } else {
            self.set_greeting(link, Greeting::After(stamp));
        }
    }

    /// Welcomes those who have waited for what others wrote, and hears what they have said meanwhile.
    pub(in crate::replica) fn welcome_those_who_wait(&mut self) {
        let done: Vec<LinkId> = self
            .links
            .iter()
            .filter(|(_, link)| matches!(link.greeting, Greeting::After(stamp) if self.has_news(stamp)))
            .map(|(link, _)| *link)
            .collect();
        for link in done {
            self.welcome(link);
            for message in self.take_early(link) {
                self.handle_from_downstream(link, message);
            }
        }
    }

    /// Greets links that opened before the store had said who this replica is.
    pub(in crate::replica) fn welcome_all(&mut self) {
        for link in self.greeting_links(|greeting| greeting == Greeting::Waiting) {
            self.welcome_informed(link);
        }
    }

    pub(in crate::replica) fn welcome(&mut self, link: LinkId) {
        let head = self.root.durable;
        let (time, epoch, policy) = (self.unix_now(), self.epoch, self.config.policy);
        let workspace = self.config.workspace.clone();
        let heartbeat_timeout_ms =
            u32::try_from(self.config.heartbeat_timeout.as_millis()).unwrap_or(u32::MAX);
        // Nobody may do more below a relay than it may itself.
        let may_edit_above = self.upstream.may_edit();
        let Some(downstream) = self.links.get_mut(&link) else { return };
        downstream.greeting = Greeting::Welcomed;
        let welcome = Welcome {
            version: PROTOCOL_VERSION,
            workspace,
            epoch,
            head,
            member: downstream.member,
            principal: Arc::clone(&downstream.peer.grant.principal),
            may_edit: downstream.peer.grant.may_edit && may_edit_above,
            policy,
            time,
            heartbeat_timeout_ms,
            max_message_bytes: u32::try_from(MAX_MESSAGE_BYTES).unwrap_or(u32::MAX),
        };
        self.send(link, &Message::Welcome(welcome));
    }

    /// Links that are as far as this on their way.
    pub(in crate::replica) fn greeting_links(&self, at: impl Fn(Greeting) -> bool) -> Vec<LinkId> {
        self.links.iter().filter(|(_, link)| at(link.greeting)).map(|(id, _)| *id).collect()
    }

    pub(in crate::replica) fn set_greeting(&mut self, link: LinkId, greeting: Greeting) {
        if let Some(downstream) = self.links.get_mut(&link) {
            downstream.greeting = greeting;
        }
    }

    pub(in crate::replica) fn is_welcomed(&self, link: LinkId) -> bool {
        self.links.get(&link).is_some_and(|downstream| downstream.greeting == Greeting::Welcomed)
    }

    /// Keeps what a link says before its welcome, as far as that goes.
    pub(in crate::replica) fn hold_early(&mut self, link: LinkId, message: Message) {
        let Some(downstream) = self.links.get_mut(&link) else { return };
        let bytes = rejoin_wire::encode_message(&message, Encoding::Binary).len() + MESSAGE_OVERHEAD_BYTES;
        if downstream.early.bytes + bytes > MAX_EARLY_BYTES {
            let reason = "too much was said before the welcome; connect again and wait for it";
            self.disconnect(link, CloseCode::Unavailable, reason);
            return;
        }
        downstream.early.bytes += bytes;
        downstream.early.messages.push(message);
    }

    /// What a link has said before its welcome, in order.
    pub(in crate::replica) fn take_early(&mut self, link: LinkId) -> Vec<Message> {
        let early = self.links.get_mut(&link).map(|downstream| std::mem::take(&mut downstream.early));
        early.unwrap_or_default().messages
    }
}

/// Bytes that a message takes in memory besides its own.
const MESSAGE_OVERHEAD_BYTES: usize = 256;
