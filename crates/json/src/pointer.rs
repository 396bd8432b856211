//! Reading pointers (RFC 6901); their type is that of `jsonptr`, which has checked them.
//!
//! Patches are short and their paths are most of the work of applying them, so that these few functions look at bytes,
//! where a search in general would take longer than the edit.

use std::borrow::Cow;

use jsonptr::Pointer;

/// The tokens of a pointer, from the root down.
#[derive(Clone, Copy)]
pub(crate) struct Tokens<'a> {
    /// Empty, or begins with the slash before the next token.
    rest: &'a str,
}

/// A token of a pointer as it is written.
#[derive(Clone, Copy)]
pub(crate) struct Token<'a>(&'a str);

impl<'a> Tokens<'a> {
    pub(crate) fn of(pointer: &'a Pointer) -> Self {
        Self { rest: pointer.as_str() }
    }

    /// All but the last token, and the last; `None` for the pointer to the whole document.
    pub(crate) fn split_back(self) -> Option<(Self, Token<'a>)> {
        let slash = self.rest.bytes().rposition(|byte| byte == b'/')?;
        Some((Self { rest: &self.rest[..slash] }, Token(&self.rest[slash + 1..])))
    }

    /// How many tokens there are.
    pub(crate) fn len(self) -> usize {
        self.rest.bytes().filter(|byte| *byte == b'/').count()
    }

    /// Whether both are the same tokens.
    pub(crate) fn are(self, other: Self) -> bool {
        self.rest == other.rest
    }
}

impl<'a> Iterator for Tokens<'a> {
    type Item = Token<'a>;

    fn next(&mut self) -> Option<Token<'a>> {
        let token = self.rest.get(1..)?;
        let end = token.bytes().position(|byte| byte == b'/').unwrap_or(token.len());
        self.rest = &token[end..];
        Some(Token(&token[..end]))
    }
}

impl<'a> Token<'a> {
    /// The key that it names in an object.
    pub(crate) fn key(self) -> Cow<'a, str> {
        if self.0.bytes().all(|byte| byte != b'~') {
            return Cow::Borrowed(self.0);
        }
        // In this order: `~01` is the key `~1`.
        Cow::Owned(self.0.replace("~1", "/").replace("~0", "~"))
    }

    /// The index that it names in an array; see [`array_index`].
    pub(crate) fn index(self) -> Option<usize> {
        array_index(self.0)
    }

    /// Whether it names the place behind the last element of an array.
    pub(crate) fn is_end_of_array(self) -> bool {
        self.0 == END_OF_ARRAY
    }
}

/// The token that names the place behind the last element of an array (RFC 6901, section 4).
pub(crate) const END_OF_ARRAY: &str = "-";

/// The index that a token of a pointer means in an array: decimal digits without leading zeros.
///
/// `None` for anything else, among it `-`, and for what no array can be as long as.
pub(crate) fn array_index(token: &str) -> Option<usize> {
    let digits = token.as_bytes();
    match digits {
        [b'0'] => Some(0),
        [b'1'..=b'9', ..] => digits.iter().try_fold(0_usize, |index, digit| {
            let digit = digit.is_ascii_digit().then(|| usize::from(digit - b'0'))?;
            index.checked_mul(10)?.checked_add(digit)
        }),
        _ => None,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    fn keys(pointer: &str) -> Vec<Cow<'_, str>> {
        Tokens::of(Pointer::parse(pointer).unwrap()).map(Token::key).collect()
    }

    #[test]
    fn tokens_are_those_that_the_pointer_has() {
        for pointer in ["", "/", "//", "/a", "/a/", "/a~1b/m~0n/~01/~10/é", "/0/10/-"] {
            let expected: Vec<_> =
                Pointer::parse(pointer).unwrap().tokens().map(|token| token.decoded().into_owned()).collect();
            assert_eq!(keys(pointer), expected, "{pointer:?}");
            assert_eq!(Tokens::of(Pointer::parse(pointer).unwrap()).len(), expected.len());
        }
    }

    #[test]
    fn the_last_token_is_split_off() {
        let split = |pointer| {
            let (parent, last) = Tokens::of(Pointer::parse(pointer).unwrap()).split_back()?;
            Some((parent.rest, last.0))
        };
        assert_eq!(split(""), None);
        assert_eq!(split("/a"), Some(("", "a")));
        assert_eq!(split("/a/b~1"), Some(("/a", "b~1")));
        assert_eq!(split("/a/"), Some(("/a", "")));
    }

    #[test]
    fn an_index_is_digits_without_leading_zeros() {
        assert_eq!(array_index("0"), Some(0));
        assert_eq!(array_index("10"), Some(10));
        assert_eq!(array_index("4294967295"), Some(4_294_967_295));
        for refused in
            ["", "-", "00", "01", "+1", "-1", "1.0", "1e2", " 1", "1 ", "٣", "99999999999999999999"]
        {
            assert_eq!(array_index(refused), None, "{refused:?}");
        }
    }
}
