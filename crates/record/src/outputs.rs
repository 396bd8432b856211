//! What the digest of a replica's outputs is made of.

use std::fmt::Write as _;

use rejoin_core::{Input, LinkId, Output};
use rejoin_engine::Plain;
use rejoin_engine::storage::to_value;
use rejoin_wire::{Encoding, Message, Wire, Writer, decode_message, encode_message};

use crate::inputs::hidden;

/// Kinds of outputs, in recordings without content too.
pub(crate) mod kind {
    pub(crate) const CONNECT: u8 = 0;
    pub(crate) const TRANSMIT: u8 = 1;
    pub(crate) const DISCONNECT: u8 = 2;
    pub(crate) const STORE: u8 = 3;
    pub(crate) const COMPUTE: u8 = 4;
    pub(crate) const REPLY: u8 = 5;
    pub(crate) const EVENT: u8 = 6;
    pub(crate) const OTHER: u8 = 7;
}

/// Writes an output with all of its bytes, and gives its kind. Where it sends a hello, the token in it is hidden if it is asked for.
pub(crate) fn write(output: &Output, hides_token: bool, out: &mut Writer) -> u8 {
    let kind = kind_of(output);
    out.byte(kind);
    match output {
        Output::Connect { link } => out.varint(link.0),
        Output::Transmit { to, payload } => {
            out.count(to.len());
            to.iter().for_each(|link| out.varint(link.0));
            match hides_token.then(|| hello(payload)).flatten() {
                Some(hello) => out.raw(&encode_message(&hello, Encoding::Binary)),
                None => out.raw(payload),
            }
        }
        Output::Disconnect { link, code, reason } => {
            out.varint(link.0);
            out.varint(u64::from(*code as u16));
            out.text(reason);
        }
        Output::Store { request, operation } => {
            out.varint(request.0);
            match to_value::<Plain>(operation) {
                Ok(operation) => operation.write(out),
                // It is beyond what a page could store.
                Err(_) => write_debug(operation, out),
            }
        }
        // What a job is made of shows in what it comes to.
        Output::Compute { request, .. } => out.varint(request.0),
        Output::Reply { token, reply } => {
            out.varint(token.0);
            write_debug(reply, out);
        }
        Output::Event(event) => write_debug(event, out),
        other => write_debug(other, out),
    }
    kind
}

pub(crate) fn kind_of(output: &Output) -> u8 {
    match output {
        Output::Connect { .. } => kind::CONNECT,
        Output::Transmit { .. } => kind::TRANSMIT,
        Output::Disconnect { .. } => kind::DISCONNECT,
        Output::Store { .. } => kind::STORE,
        Output::Compute { .. } => kind::COMPUTE,
        Output::Reply { .. } => kind::REPLY,
        Output::Event(_) => kind::EVENT,
        _ => kind::OTHER,
    }
}

/// A hello without its token.
fn hello(payload: &[u8]) -> Option<Message> {
    let Ok(Message::Hello(mut hello)) = decode_message(payload, Encoding::Binary) else { return None };
    hello.token = hello.token.map(|token| hidden(&token));
    Some(Message::Hello(hello))
}

/// What a value shows of itself for debugging is all that it is made of: documents and patches whole.
fn write_debug(value: &dyn std::fmt::Debug, out: &mut Writer) {
    struct Text<'a>(&'a mut Writer);
    impl std::fmt::Write for Text<'_> {
        fn write_str(&mut self, text: &str) -> std::fmt::Result {
            self.0.raw(text.as_bytes());
            Ok(())
        }
    }
    // A writer of bytes takes everything.
    let _ = write!(Text(out), "{value:?}");
}

/// On which link a hello with a token is to come: the first message on a link that was opened with one.
#[derive(Clone, Debug, Default)]
pub(crate) struct Greeting(Option<LinkId>);

impl Greeting {
    pub(crate) fn note(&mut self, input: &Input) {
        if let Input::LinkOpened { link, peer } = input
            && peer.token.is_some()
        {
            self.0 = Some(*link);
        }
    }

    /// Whether an output is it. It is once.
    pub(crate) fn is_in(&mut self, output: &Output) -> bool {
        let Output::Transmit { to, .. } = output else { return false };
        let is_it = self.0.is_some_and(|link| to.contains(&link));
        if is_it {
            self.0 = None;
        }
        is_it
    }
}
