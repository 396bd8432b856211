//! The text door: plain clients that send one JSON object a message and know nothing of this protocol.
//!
//! What such a client does wrong is answered and the link goes on, so that a person can try. A link ends only where a
//! limit is passed that guards the server, or where the sender is refused.

use std::sync::Arc;

use rejoin_wire::limits::MAX_TEXT_BYTES;
use rejoin_wire::{
    CloseCode, ErrorCode, Frame, RequestId, TextError, TextMessage, TextRequest, TextResponse, decode_text,
};

use super::exchange::{Credentials, Opened, Sender, SessionOutput};
use super::payload::Payload;
use super::{Asking, Door, Phase, Session, clip};
use crate::time::Instant;

impl Session {
    /// Tells a plain client that it is known.
    pub(super) fn welcome_plain(&mut self, client_id: Arc<str>, request_id: Option<RequestId>) -> Sender {
        if let Door::Text { name } = &self.door {
            let success = TextResponse::AuthSuccess { session_id: name.clone(), client_id };
            self.queue(payload(request_id, success));
        }
        Sender::Plain
    }

    pub(super) fn read_text(&mut self, now: Instant, frame: &Frame) {
        let most = self.config.max_message_bytes;
        let bytes = frame.payload().len();
        let text = match frame {
            Frame::Text(text) if text.len() <= most => std::str::from_utf8(text),
            Frame::Text(_) => {
                let reason = format!("a message has more than {most} bytes: split the document");
                return self.refuse(ErrorCode::TooLarge, &reason);
            }
            Frame::Binary(_) => {
                let reason =
                    "this connection speaks JSON in text frames: send those, or negotiate a subprotocol";
                return self.refuse(ErrorCode::BadMessage, reason);
            }
        };
        match text.map(decode_text) {
            Ok(Ok(request)) => self.handle_request(now, request, bytes),
            Ok(Err(error)) => self.queue(refusal(&error)),
            Err(_) => self.refuse(ErrorCode::BadMessage, "a text frame is not UTF-8: encode it as that"),
        }
    }

    /// Hands on a frame that the driver reads.
    pub(super) fn read_foreign(&mut self, frame: Frame) {
        let cost = frame.payload().len();
        self.deliver(SessionOutput::Foreign(frame), cost);
    }

    fn handle_request(&mut self, now: Instant, request: TextMessage<TextRequest>, bytes: usize) {
        let TextMessage { request_id, message } = request;
        match (message, &self.phase) {
            (TextRequest::Ping, _) => self.queue(payload(request_id, TextResponse::Pong)),
            (
                TextRequest::Authenticate { email, client_id, api_key, signature, timestamp, nonce },
                Phase::Greeting { .. },
            ) => {
                let asking = Asking::Plain { client_id: client_id.clone(), request_id };
                let credentials =
                    Credentials::Signature { email, client_id, api_key, signature, timestamp, nonce };
                self.ask(now, credentials, asking, bytes);
            }
            (TextRequest::Authenticate { .. }, _) => {
                let reason = "this connection acts for somebody already: open another to authenticate";
                self.refuse_request(request_id, ErrorCode::UnexpectedMessage, reason);
            }
            (message, Phase::Greeting { .. }) => match self.config.local.clone() {
                Some(grant) => {
                    self.phase = Phase::Open;
                    self.deliver(SessionOutput::Opened(Opened { grant, sender: Sender::Plain }), 0);
                    self.deliver_request(request_id, message, bytes);
                }
                None => {
                    self.refuse_request(
                        request_id,
                        ErrorCode::Unauthorized,
                        "authenticate before anything else",
                    );
                }
            },
            (message, _) => self.deliver_request(request_id, message, bytes),
        }
    }

    fn deliver_request(&mut self, request_id: Option<RequestId>, message: TextRequest, bytes: usize) {
        self.deliver(SessionOutput::Text(TextMessage { request_id, message }), bytes);
    }

    fn refuse_request(&mut self, request_id: Option<RequestId>, code: ErrorCode, reason: &str) {
        self.queue(refusal(&TextError { request_id, code, field: None, message: reason.to_owned() }));
    }
}

/// What a plain client is told when it may not come in.
pub(super) fn refused(request_id: Option<RequestId>, code: CloseCode, reason: &str) -> Payload {
    let code = match code {
        CloseCode::Forbidden => ErrorCode::Forbidden,
        CloseCode::RateLimited => ErrorCode::RateLimited,
        CloseCode::Unavailable | CloseCode::Internal | CloseCode::Restart => ErrorCode::Unavailable,
        _ => ErrorCode::Unauthorized,
    };
    payload(request_id, TextResponse::AuthError { code, reason: clip(reason, MAX_TEXT_BYTES) })
}

/// The message that tells a plain client what was wrong.
pub(super) fn error(code: ErrorCode, reason: &str) -> Payload {
    refusal(&TextError { request_id: None, code, field: None, message: reason.to_owned() })
}

fn refusal(error: &TextError) -> Payload {
    Payload::text(error.response().to_text())
}

fn payload(request_id: Option<RequestId>, message: TextResponse) -> Payload {
    Payload::text(TextMessage { request_id, message }.to_text())
}
