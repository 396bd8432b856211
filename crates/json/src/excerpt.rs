use std::fmt;

/// Enough of a foreign text to recognise it in a message, in quotes.
pub(crate) struct Excerpt<'a>(pub(crate) &'a str);

/// Texts up to this length are shown whole.
const MAX_CHARACTERS: usize = 64;

impl fmt::Display for Excerpt<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.char_indices().nth(MAX_CHARACTERS) {
            Some((end, _)) => write!(f, "{:?}…", self.0.get(..end).unwrap_or_default()),
            None => write!(f, "{:?}", self.0),
        }
    }
}
