//! What the clients of Yjs' two doors say, as far as its kind is concerned.

use super::Kind;

/// A message of `y-websocket`, if the bytes are exactly one.
pub(super) fn y_websocket(bytes: &[u8]) -> Option<Kind> {
    let mut input = Input(bytes);
    let kind = match input.number()? {
        0 => sync(&mut input)?,
        1 => {
            input.bytes()?;
            "awareness"
        }
        2 => {
            (input.number()? == 0).then_some(())?;
            input.text()?;
            "auth"
        }
        3 => "query",
        _ => return None,
    };
    input.end().then_some(Kind::Yjs(kind))
}

/// A message of `@hocuspocus/provider`, if the bytes are exactly one.
pub(super) fn hocuspocus(bytes: &[u8]) -> Option<Kind> {
    match bytes {
        [9] => return Some(Kind::Hocuspocus("ping")),
        [10] => return Some(Kind::Hocuspocus("pong")),
        _ => {}
    }
    let mut input = Input(bytes);
    input.text()?;
    let kind = match input.number()? {
        0 | 4 => Kind::Yjs(sync(&mut input)?),
        1 => {
            input.bytes()?;
            Kind::Yjs("awareness")
        }
        2 => {
            // A token, a refusal or a grant, and behind a token the version of the client.
            (input.number()? <= 2).then_some(())?;
            while !input.end() {
                input.text()?;
            }
            Kind::Hocuspocus("auth")
        }
        3 => Kind::Yjs("query"),
        5 => {
            input.text()?;
            Kind::Hocuspocus("stateless")
        }
        7 => {
            if !input.end() {
                input.text()?;
            }
            Kind::Hocuspocus("close")
        }
        8 => {
            (input.number()? <= 1).then_some(())?;
            Kind::Hocuspocus("status")
        }
        _ => return None,
    };
    input.end().then_some(kind)
}

fn sync(input: &mut Input<'_>) -> Option<&'static str> {
    let kind = match input.number()? {
        0 => "step1",
        1 => "step2",
        2 => "update",
        _ => return None,
    };
    input.bytes()?;
    Some(kind)
}

/// What is left to read.
struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    fn number(&mut self) -> Option<u64> {
        let mut number = 0_u64;
        // Nine groups of 7 bits are 63 bits; what Yjs writes has 53 at most.
        for shift in (0..63).step_by(7) {
            let (&byte, rest) = self.0.split_first()?;
            self.0 = rest;
            number |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(number);
            }
        }
        None
    }

    fn bytes(&mut self) -> Option<&'a [u8]> {
        let length = usize::try_from(self.number()?).ok()?;
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    fn text(&mut self) -> Option<&'a str> {
        std::str::from_utf8(self.bytes()?).ok()
    }

    fn end(&self) -> bool {
        self.0.is_empty()
    }
}
