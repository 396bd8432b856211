//! Tickets: what lets somebody into one room for a while, without the server's secret.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use rejoin_core::Grant;
use rejoin_rooms::RoomId;
use rejoin_wire::{CloseCode, MAX_ID_BYTES, UnixMillis};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

/// How a ticket begins, by which it is told from a secret.
const PREFIX: &str = "rjt1.";

/// Begins what is signed, so that the signature is never one of something else.
const DOMAIN: &[u8] = b"rejoin ticket 1\0";

/// Longest ticket that is looked at.
pub(crate) const MAX_TICKET_BYTES: usize = 2_048;

/// Seconds for which a ticket lasts that says nothing else.
pub(crate) const DEFAULT_SECONDS: u64 = 3_600;

/// Seconds for which a ticket may last.
pub(crate) const MAX_SECONDS: u64 = 30 * 24 * 3_600;

/// Longest name of whom a ticket is for, in bytes.
pub(crate) const MAX_NAME_BYTES: usize = MAX_ID_BYTES;

/// What a ticket says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Ticket {
    pub(crate) room: String,
    /// As whom its holder is known.
    pub(crate) name: Arc<str>,
    pub(crate) may_edit: bool,
    /// Until when it is good, in milliseconds since 1970.
    pub(crate) until: UnixMillis,
}

/// Makes and reads tickets. They are good for as long as the server's secret is.
#[derive(Clone)]
pub(crate) struct Tickets {
    mac: Hmac<Sha256>,
}

impl Tickets {
    /// Signs with the secret; on an open server, where everybody may do everything, with none.
    pub(crate) fn new(secret: Option<&str>) -> Self {
        let mut mac = Hmac::<Sha256>::new_from_slice(secret.unwrap_or_default().as_bytes())
            .unwrap_or_else(|_| unreachable!("a key may have any length"));
        mac.update(DOMAIN);
        Self { mac }
    }

    pub(crate) fn issue(&self, ticket: &Ticket) -> String {
        let said = URL_SAFE_NO_PAD.encode(serde_json::to_vec(ticket).unwrap_or_default());
        let signature = self.mac.clone().chain_update(said.as_bytes()).finalize().into_bytes();
        format!("{PREFIX}{said}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    /// Whether a token is meant as a ticket.
    pub(crate) fn is_ticket(token: &str) -> bool {
        token.starts_with(PREFIX)
    }

    /// What a ticket allows in a room, or why nothing; `None` where the token is no ticket.
    pub(crate) fn admit(
        &self,
        token: &str,
        room: Option<&RoomId>,
        now: UnixMillis,
    ) -> Option<Result<Grant, (CloseCode, Arc<str>)>> {
        let signed = token.strip_prefix(PREFIX)?;
        Some(self.read(signed, room, now).map_err(|(code, reason)| (code, reason.into())))
    }

    fn read(
        &self,
        signed: &str,
        room: Option<&RoomId>,
        now: UnixMillis,
    ) -> Result<Grant, (CloseCode, &'static str)> {
        let wrong = (CloseCode::Unauthorized, "this is no ticket of this server: ask for another");
        if signed.len() > MAX_TICKET_BYTES {
            return Err(wrong);
        }
        let (said, signature) = signed.split_once('.').ok_or(wrong)?;
        let signature = URL_SAFE_NO_PAD.decode(signature).map_err(|_| wrong)?;
        self.mac.clone().chain_update(said.as_bytes()).verify_slice(&signature).map_err(|_| wrong)?;
        let said = URL_SAFE_NO_PAD.decode(said).map_err(|_| wrong)?;
        let ticket: Ticket = serde_json::from_slice(&said).map_err(|_| wrong)?;
        if now >= ticket.until {
            return Err((CloseCode::Unauthorized, "the ticket has expired: ask for another"));
        }
        if room.is_none_or(|room| room.to_string() != ticket.room) {
            return Err((CloseCode::Forbidden, "the ticket is for another room: ask for one for this"));
        }
        Ok(Grant::new(ticket.name, ticket.may_edit))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const NOW: UnixMillis = UnixMillis(1_000_000);

    fn ticket() -> Ticket {
        Ticket {
            room: "team/board".to_owned(),
            name: "ada".into(),
            may_edit: false,
            until: UnixMillis(NOW.0 + 1),
        }
    }

    fn admitted(tickets: &Tickets, token: &str, room: &str, now: UnixMillis) -> Result<Grant, CloseCode> {
        let room = room.parse().unwrap();
        tickets.admit(token, Some(&room), now).unwrap().map_err(|(code, _)| code)
    }

    #[test]
    fn a_ticket_lets_into_its_room_until_its_time_is_over() {
        let tickets = Tickets::new(Some("secret"));
        let token = tickets.issue(&ticket());
        assert_eq!(admitted(&tickets, &token, "team/board", NOW), Ok(Grant::new("ada", false)));
        assert_eq!(admitted(&tickets, &token, "board", NOW), Err(CloseCode::Forbidden));
        assert_eq!(
            admitted(&tickets, &token, "team/board", UnixMillis(NOW.0 + 1)),
            Err(CloseCode::Unauthorized)
        );
        // It is as good after a restart, and worth nothing under another secret.
        assert!(admitted(&Tickets::new(Some("secret")), &token, "team/board", NOW).is_ok());
        for other in [Tickets::new(Some("other")), Tickets::new(None)] {
            assert_eq!(admitted(&other, &token, "team/board", NOW), Err(CloseCode::Unauthorized));
        }
        assert!(tickets.admit("secret", None, NOW).is_none());
        // A document that has no name of a room has no tickets.
        assert!(matches!(tickets.admit(&token, None, NOW), Some(Err((CloseCode::Forbidden, _)))));
    }

    #[test]
    fn what_was_altered_is_no_ticket() {
        let tickets = Tickets::new(Some("secret"));
        let token = tickets.issue(&ticket());
        for at in PREFIX.len()..token.len() {
            let mut altered = token.clone().into_bytes();
            altered[at] ^= 1;
            let altered = String::from_utf8(altered).unwrap();
            assert_eq!(admitted(&tickets, &altered, "team/board", NOW), Err(CloseCode::Unauthorized), "{at}");
        }
        let more = Ticket { may_edit: true, ..ticket() };
        let (_, signature) = token.rsplit_once('.').unwrap();
        let said = URL_SAFE_NO_PAD.encode(serde_json::to_vec(&more).unwrap());
        assert_eq!(
            admitted(&tickets, &format!("{PREFIX}{said}.{signature}"), "team/board", NOW),
            Err(CloseCode::Unauthorized)
        );
        let long = format!("{PREFIX}{}.x", "a".repeat(MAX_TICKET_BYTES));
        assert_eq!(admitted(&tickets, &long, "team/board", NOW), Err(CloseCode::Unauthorized));
    }
}
