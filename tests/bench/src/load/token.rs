//! Values by which an edit is known again wherever it arrives, in whatever encoding: receivers look for them in the bytes and
//! decode nothing else, so that they cost the same for every peer.

use std::fmt;

/// In front of each; stands nowhere else in what is measured.
const MARK: u8 = b'~';
/// Digits of each part.
const ROOM: usize = 4;
const WRITER: usize = 4;
const NUMBER: usize = 8;
/// Bytes of a token.
pub(crate) const TOKEN_BYTES: usize = 1 + ROOM + WRITER + NUMBER;

/// The value that one edit writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Token {
    pub(crate) room: usize,
    pub(crate) writer: usize,
    /// Counts a writer's edits from 1; 0 is what stands at first.
    pub(crate) number: u32,
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "~{:04x}{:04x}{:08x}", self.room, self.writer, self.number)
    }
}

/// All tokens of a frame, in their order.
pub(crate) fn tokens(bytes: &[u8]) -> impl Iterator<Item = Token> + '_ {
    memchr::memchr_iter(MARK, bytes).filter_map(|at| parse(bytes.get(at + 1..at + TOKEN_BYTES)?))
}

fn parse(digits: &[u8]) -> Option<Token> {
    let (room, rest) = digits.split_at_checked(ROOM)?;
    let (writer, number) = rest.split_at_checked(WRITER)?;
    let at = |digits| usize::try_from(hexadecimal(digits)?).ok();
    Some(Token { room: at(room)?, writer: at(writer)?, number: hexadecimal(number)? })
}

fn hexadecimal(digits: &[u8]) -> Option<u32> {
    digits.iter().try_fold(0, |value, digit| Some(value << 4 | (*digit as char).to_digit(16)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_found_among_other_bytes() {
        let one = Token { room: 7, writer: 999, number: 123_456 };
        let other = Token { room: 65_535, writer: 0, number: u32::MAX };
        let text = format!("{{\"a\":\"{one}\",\"~\":\"~0\",\"b\":\"{other}\"}}~00");
        assert_eq!(tokens(text.as_bytes()).collect::<Vec<_>>(), [one, other]);
        assert_eq!(one.to_string().len(), TOKEN_BYTES);
    }
}
