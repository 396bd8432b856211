//! Values that cross between an engine and whoever drives it.

/// A value as JavaScript has it, so far as it crosses.
pub trait Value: Clone {
    /// What is absent.
    fn null() -> Self;

    /// A truth value.
    fn boolean(boolean: bool) -> Self;

    /// A number.
    fn number(number: f64) -> Self;

    /// A text.
    fn text(text: &str) -> Self;

    /// Bytes in memory of their own.
    fn bytes(bytes: &[u8]) -> Self;

    /// A list.
    fn list(items: &[Self]) -> Self;

    /// Whether it is absent.
    fn is_null(&self) -> bool;

    /// The truth value that it is; `None` where it is something else, as below.
    fn as_boolean(&self) -> Option<bool>;

    /// The number that it is.
    fn as_number(&self) -> Option<f64>;

    /// The text that it is.
    fn to_text(&self) -> Option<String>;

    /// The bytes that it is.
    fn to_bytes(&self) -> Option<Vec<u8>>;

    /// The items of the list that it is.
    fn to_list(&self) -> Option<Vec<Self>>;
}
