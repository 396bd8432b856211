//! How much one socket may still send: its part of what its address and its credential may.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use rejoin_wire::{ErrorCode, ErrorMessage, Message};

use crate::rates::{Bucket, Limiters, take};

/// Frames in a row that are refused before a link that sends on is closed.
const MAX_REFUSALS: u32 = 256;

/// Too many came; how long to wait for the next.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wait(Duration);

impl Wait {
    pub(super) const fn duration(self) -> Duration {
        self.0
    }
}

impl fmt::Display for Wait {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let milliseconds = self.0.as_millis().max(1);
        write!(formatter, "too many messages came; send the next in {milliseconds} ms or later")
    }
}

/// The buckets that a socket takes from.
pub(super) struct Quota {
    address: Option<Arc<Bucket>>,
    credential: Option<Arc<Bucket>>,
    /// Refusals since the last frame that was taken.
    refused: u32,
}

impl Quota {
    pub(super) fn new(limiters: &Limiters, address: Option<IpAddr>) -> Self {
        let bucket = limiters.messages.as_ref().zip(address).map(|(limit, address)| limit.bucket(address));
        Self { address: bucket, credential: None, refused: 0 }
    }

    /// Counts a link that a credential opens.
    pub(super) fn open(&mut self, limiters: &Limiters, principal: &Arc<str>) -> Result<(), Wait> {
        take(limiters.credential_requests.as_ref(), Some(Arc::clone(principal))).map_err(Wait)
    }

    /// From now on messages are counted under this credential too.
    pub(super) fn count(&mut self, limiters: &Limiters, principal: &Arc<str>) {
        self.credential =
            limiters.credential_messages.as_ref().map(|limit| limit.bucket(Arc::clone(principal)));
    }

    /// Counts a frame.
    pub(super) fn take(&mut self) -> Result<(), Wait> {
        for bucket in self.address.iter().chain(&self.credential) {
            if let Err(wait) = bucket.take() {
                self.refused += 1;
                return Err(Wait(wait));
            }
        }
        self.refused = 0;
        Ok(())
    }

    /// Whether the peer sends on without minding what it is told.
    pub(super) const fn is_ignored(&self) -> bool {
        self.refused > MAX_REFUSALS
    }
}

/// The errors that refuse a message, so that its sender sends it again; `None` for one that can't be refused by itself: its sender would not
/// know that it is missing.
pub(super) fn refusals(message: &Message, wait: &Wait) -> Option<Vec<ErrorMessage>> {
    let refusal = |document, request, change| ErrorMessage {
        code: ErrorCode::RateLimited,
        message: wait.to_string().into(),
        document,
        request,
        change,
    };
    match message {
        Message::Push { pushes } => {
            let refused = pushes.iter().map(|push| {
                let first = push.changes.first().map(|pushed| pushed.change.id());
                refusal(Some(push.document.clone()), None, first)
            });
            Some(refused.collect())
        }
        Message::Presence { document, .. } => Some(vec![refusal(Some(document.clone()), None, None)]),
        Message::HistoryRequest { request, .. } | Message::Inquiry { request, .. } => {
            Some(vec![refusal(None, Some(*request), None)])
        }
        _ => None,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::rates::Rates;

    #[test]
    fn whoever_is_refused_once_more_than_is_borne_does_not_mind_it() {
        let limiters = Limiters::new(Rates { messages: 1, ..Rates::NONE });
        let mut quota = Quota::new(&limiters, Some(IpAddr::from([127, 0, 0, 1])));
        // A frame in time begins anew.
        let mut in_a_row = 0;
        while in_a_row < MAX_REFUSALS {
            in_a_row = if quota.take().is_err() { in_a_row + 1 } else { 0 };
        }
        assert!(!quota.is_ignored(), "just borne");
        quota.take().unwrap_err();
        assert!(quota.is_ignored());
    }
}
