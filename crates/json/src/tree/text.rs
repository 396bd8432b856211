use std::{borrow::Borrow, cmp::Ordering, fmt, ops::Deref, ops::Range, sync::Arc};

/// A shared string that knows the length of its JSON text.
///
/// A clone costs O(1). Compares, hashes and derefs as `str`; order is that of Unicode code points.
#[derive(Clone)]
pub struct Text {
    text: Arc<str>,
    /// Bytes that escaping adds, without the quotes. Saturates, at a text of 700 MB of control characters.
    escapes: u32,
    #[expect(dead_code, reason = "it is there for its layout")]
    niche: Niche,
}

/// A byte with a single valid value. The compiler keeps the tag of [`Json`](crate::Json) in the others, which makes a
/// value three words instead of four.
#[derive(Clone, Copy)]
#[repr(u8)]
enum Niche {
    Zero = 0,
}

impl Text {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The shared text.
    pub fn as_arc(&self) -> &Arc<str> {
        &self.text
    }

    /// Whether both share one allocation.
    pub fn ptr_eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.text, &other.text)
    }

    /// Length of the canonical JSON text in bytes, with its quotes. Costs O(1).
    pub fn encoded_len(&self) -> usize {
        self.text.len() + self.escapes as usize + QUOTES
    }

    /// A text with the bytes in `range` replaced.
    ///
    /// `None` when the range does not lie within the text or does not begin and end between two characters.
    pub fn spliced(&self, range: Range<usize>, insert: &str) -> Option<Self> {
        let (before, removed, after) =
            (self.text.get(..range.start)?, self.text.get(range.clone())?, self.text.get(range.end..)?);
        let escapes = self.escapes.saturating_sub(escapes_of(removed)).saturating_add(escapes_of(insert));
        let mut text = String::with_capacity(before.len() + insert.len() + after.len());
        text.push_str(before);
        text.push_str(insert);
        text.push_str(after);
        Some(Self::with_escapes(text.into(), escapes))
    }

    /// A text of which the caller knows how many bytes escaping adds.
    pub(crate) fn with_escapes(text: Arc<str>, escapes: u32) -> Self {
        debug_assert_eq!(escapes, escapes_of(&text));
        Self { text, escapes, niche: Niche::Zero }
    }
}

const QUOTES: usize = 2;

/// Length of the canonical JSON text of a string, with its quotes.
pub(crate) fn encoded_len(text: &str) -> usize {
    text.len() + escapes_of(text) as usize + QUOTES
}

/// Bytes that escaping adds to a text.
pub(crate) fn escapes_of(text: &str) -> u32 {
    text.bytes().map(|byte| u32::from(escape_length(byte))).fold(0, u32::saturating_add)
}

/// Bytes that escaping adds for one byte of UTF-8: one for a two-character escape, five for `\u00xx` (RFC 8785, 3.2.2.2).
pub(crate) fn escape_length(byte: u8) -> u8 {
    match byte {
        0x08 | b'\t' | b'\n' | 0x0c | b'\r' | b'"' | b'\\' => 1,
        0x00..0x20 => 5,
        _ => 0,
    }
}

impl From<Arc<str>> for Text {
    fn from(text: Arc<str>) -> Self {
        let escapes = escapes_of(&text);
        Self { text, escapes, niche: Niche::Zero }
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        Self::from(Arc::from(text))
    }
}

impl From<String> for Text {
    fn from(text: String) -> Self {
        Self::from(Arc::from(text))
    }
}

impl Deref for Text {
    type Target = str;

    fn deref(&self) -> &str {
        &self.text
    }
}

impl AsRef<str> for Text {
    fn as_ref(&self) -> &str {
        &self.text
    }
}

impl Borrow<str> for Text {
    fn borrow(&self) -> &str {
        &self.text
    }
}

impl PartialEq for Text {
    fn eq(&self, other: &Self) -> bool {
        self.ptr_eq(other) || self.text == other.text
    }
}

impl Eq for Text {}

impl PartialEq<str> for Text {
    fn eq(&self, other: &str) -> bool {
        self.as_str() == other
    }
}

impl PartialEq<&str> for Text {
    fn eq(&self, other: &&str) -> bool {
        self.as_str() == *other
    }
}

impl PartialOrd for Text {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Text {
    fn cmp(&self, other: &Self) -> Ordering {
        self.text.cmp(&other.text)
    }
}

impl std::hash::Hash for Text {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.text.hash(state);
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

impl serde::Serialize for Text {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

impl<'de> serde::Deserialize<'de> for Text {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self::from)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    #[test]
    fn the_length_counts_escapes() {
        for (text, length) in
            [("", 2), ("a", 3), ("\"\\", 6), ("\u{8}\t\n\u{c}\r", 12), ("\0\u{1f}", 14), ("\u{7f}é😀", 9)]
        {
            assert_eq!(Text::from(text).encoded_len(), length, "{text:?}");
        }
    }

    #[test]
    fn a_splice_keeps_the_length() {
        let text = Text::from("a\n😀\"b");
        let spliced = text.spliced(1..6, "\t\\").unwrap();
        assert_eq!(spliced, "a\t\\\"b");
        assert_eq!(spliced.encoded_len(), Text::from(spliced.as_str()).encoded_len());
    }

    #[test]
    fn a_splice_inside_a_character_or_out_of_range_is_refused() {
        let text = Text::from("a😀");
        assert!(text.spliced(2..5, "").is_none());
        assert!(text.spliced(1..3, "").is_none());
        assert!(text.spliced(5..6, "").is_none());
        #[allow(clippy::reversed_empty_ranges)]
        let reversed = 5..1;
        assert!(text.spliced(reversed, "").is_none());
        assert_eq!(text.spliced(5..5, "!").unwrap(), "a😀!");
    }
}
