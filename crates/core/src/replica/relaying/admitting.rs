//! When links below are served, and when they are not any more.

use super::*;

impl Replica {
    /// Welcomes links below as far as that is possible: each once all is here that the authority had when the link opened. Then whatever the
    /// link was told before, here or elsewhere, is here too, or is no longer the authority's.
    pub(in crate::replica) fn admit_links(&mut self) {
        if !self.relay.open && !self.holds_everything() {
            return;
        }
        self.relay.open = true;
        let asking = self.relay.asked.values().any(|asked| matches!(asked, Asked::Head(_)));
        let waiting = self.greeting_links(|greeting| greeting == Greeting::Waiting);
        if !asking && !waiting.is_empty() {
            for link in &waiting {
                self.set_greeting(*link, Greeting::Asked);
            }
            self.ask(Asked::Head(waiting), None);
        }
        let held = self.root.durable;
        for link in self.greeting_links(|greeting| matches!(greeting, Greeting::Until(head) if head <= held))
        {
            self.welcome(link);
            for message in self.take_early(link) {
                self.handle_from_downstream(link, message);
            }
        }
    }

    /// Whether everything that the authority had when the link upstream opened is here and stored.
    fn holds_everything(&self) -> bool {
        let held = self.upstream.cursor();
        self.upstream.is_complete() && held.is_some() && self.relay.stored == held
    }

    /// Takes note of how far the store holds the feed: that much is told of it.
    pub(in crate::replica) fn note_stored(&mut self, cursor: Option<Cursor>) {
        self.relay.stored = cursor;
        self.start_feed(cursor.map(|cursor| cursor.sequence).unwrap_or_default());
    }

    /// Closes all links below: what they would be told is not certain. Those that are not welcomed yet go on waiting.
    pub(in crate::replica) fn close_below(&mut self, reason: &str) {
        self.relay.open = false;
        let links: Vec<LinkId> = self.links.keys().copied().collect();
        for link in links {
            if self.is_welcomed(link) {
                self.disconnect(link, CloseCode::Unavailable, reason);
            } else {
                self.set_greeting(link, Greeting::Waiting);
            }
        }
        self.hide_everybody();
        let relay = &mut self.relay;
        relay.in_flight.clear();
        relay.bytes = 0;
        relay.bytes_of.clear();
        relay.authors.clear();
        relay.unsettled.clear();
        relay.asked.clear();
    }

    /// Turns away whoever waits for what cannot come: the authority refuses this replica, or there is no store.
    pub(in crate::replica) fn turn_away_if_hopeless(&mut self) {
        if !self.storing.is_memory_only() && !self.upstream.is_refused() {
            return;
        }
        self.close_below("this relay does not work; connect again, or elsewhere");
        for link in self.greeting_links(|_| true) {
            self.disconnect(
                link,
                CloseCode::Unavailable,
                "this relay does not work; connect again, or elsewhere",
            );
        }
    }
}
