//! Tokens in texts that belong to no script.

use super::socket::Clock;
use crate::{Captures, Expander, KnownCaptures, Template};

/// The text with its tokens made anew, from this machine's clock and randomness; a text with an error in a token stays as it is.
///
/// [`Template`] says what the error is, and with [`Expander`] the same seed gives the same text.
pub fn expand_tokens(text: &str) -> String {
    let (Ok(template), Ok(seed)) = (Template::parse(text, &KnownCaptures::default()), getrandom::u64())
    else {
        return text.to_owned();
    };
    Expander::new(seed).expand(&template, Clock::start().now().unix_ms, &Captures::default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_text_is_made_anew_and_what_is_no_token_stays() {
        assert_ne!(expand_tokens("{{uuid}}"), expand_tokens("{{uuid}}"));
        assert_eq!(expand_tokens("{{randInt 3 3}}"), "3");
        assert_eq!(expand_tokens("{{uuid}} {{uid}}"), "{{uuid}} {{uid}}");
    }
}
