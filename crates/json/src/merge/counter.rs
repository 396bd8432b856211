//! Counters: places whose changes add up.

use jsonptr::PointerBuf;

use crate::{Json, Step};

/// Which counters lie at or below a place: what is left of their pointers from there on.
///
/// Empty at most places, where it costs nothing.
#[derive(Debug, Clone, Default)]
pub(super) struct Counters<'a>(Vec<&'a [Token]>);

/// One step of a pointer to counters.
#[derive(Debug)]
pub(super) enum Token {
    /// `*`.
    Any,
    /// A key, or an index in decimal digits.
    Named(String),
}

impl Token {
    /// The tokens of the pointers to counters.
    pub(super) fn of(pointers: &[PointerBuf]) -> Vec<Vec<Self>> {
        let token = |token: jsonptr::Token<'_>| match token.decoded() {
            any if any == "*" => Self::Any,
            name => Self::Named(name.into_owned()),
        };
        pointers.iter().map(|pointer| pointer.tokens().map(token).collect()).collect()
    }

    fn matches(&self, step: &Step) -> bool {
        match (self, step) {
            (Self::Any, _) => true,
            (Self::Named(name), Step::Key(key)) => **name == **key,
            (Self::Named(name), Step::Index(index)) => crate::pointer::array_index(name) == Some(*index),
            (Self::Named(_), Step::Id { .. }) => false,
        }
    }
}

impl<'a> Counters<'a> {
    /// All counters, as they lie below the root.
    pub(super) fn all(tokens: &'a [Vec<Token>]) -> Self {
        Self(tokens.iter().map(Vec::as_slice).collect())
    }

    /// Whether there is none at or below the place.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether the place is one.
    pub(super) fn here(&self) -> bool {
        self.0.iter().any(|tokens| tokens.is_empty())
    }

    /// Whether a member or an element of the place may be one.
    pub(super) fn one_step_down(&self) -> bool {
        self.0.iter().any(|tokens| tokens.len() == 1)
    }

    /// Those at or below the place one step down.
    pub(super) fn below(&self, step: &Step) -> Self {
        let below = self.0.iter().filter_map(|tokens| match tokens.split_first() {
            Some((first, rest)) if first.matches(step) => Some(rest),
            _ => None,
        });
        Self(below.collect())
    }
}

/// What a counter comes to.
#[derive(Debug, PartialEq)]
pub(super) enum Sum {
    /// Both changes added.
    Exact(Json),
    /// No integer that a document can hold.
    Overflow,
}

/// Adds what both sides counted; `None` unless all are integers. Nothing counts as 0 where both began to count.
pub(super) fn sum(base: Option<&Json>, current: &Json, incoming: &Json) -> Option<Sum> {
    let base = base.map_or(Some(0), Json::as_i64)?;
    // Each is at most 2^53, so that this stays far below 2^63.
    let sum = current.as_i64()? + incoming.as_i64()? - base;
    Some(exact(sum).map_or(Sum::Overflow, Sum::Exact))
}

/// The integer as a number of a document.
fn exact(sum: i64) -> Option<Json> {
    #[allow(
        clippy::cast_precision_loss,
        reason = "what is not exact comes back as another integer, or as none"
    )]
    let number = Json::number(sum as f64)?;
    (number.as_i64() == Some(sum)).then_some(number)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    const LIMIT: f64 = 9_007_199_254_740_992.0;

    fn exact_sum(base: Option<f64>, current: f64, incoming: f64) -> Option<Sum> {
        sum(base.map(Json::Number).as_ref(), &Json::Number(current), &Json::Number(incoming))
    }

    #[test]
    fn both_changes_are_added() {
        assert_eq!(exact_sum(Some(5.0), 7.0, 4.0), Some(Sum::Exact(Json::from(6))));
        assert_eq!(exact_sum(None, 2.0, 3.0), Some(Sum::Exact(Json::from(5))));
        assert_eq!(exact_sum(Some(1.0), 0.0, 0.0), Some(Sum::Exact(Json::from(-1))));
    }

    #[test]
    fn a_sum_beyond_two_to_the_53_is_none() {
        assert_eq!(exact_sum(Some(0.0), LIMIT, 0.0), Some(Sum::Exact(Json::Number(LIMIT))));
        assert_eq!(exact_sum(Some(0.0), LIMIT, 1.0), Some(Sum::Overflow));
        assert_eq!(exact_sum(Some(LIMIT), -LIMIT, -LIMIT), Some(Sum::Overflow));
        assert_eq!(exact_sum(Some(-LIMIT), LIMIT, LIMIT), Some(Sum::Overflow));
    }

    #[test]
    fn only_integers_are_counted() {
        assert_eq!(exact_sum(Some(0.5), 1.0, 2.0), None);
        assert_eq!(exact_sum(Some(0.0), 1.5, 2.0), None);
        assert_eq!(sum(Some(&Json::Null), &Json::from(1), &Json::from(2)), None);
        assert_eq!(sum(None, &Json::from("1"), &Json::from(2)), None);
    }

    #[test]
    fn a_star_matches_keys_and_elements() {
        let tokens =
            Token::of(&[PointerBuf::parse("/cards/*/votes").unwrap(), PointerBuf::parse("/a~1b/1").unwrap()]);
        let all = Counters::all(&tokens);
        let key = |key: &str| Step::Key(key.into());
        let id = Step::Id { member: "id".into(), value: Json::from(1) };
        assert!(all.below(&key("cards")).below(&id).below(&key("votes")).here());
        assert!(all.below(&key("cards")).below(&key("x")).below(&key("votes")).here());
        assert!(all.below(&key("cards")).below(&id).below(&key("title")).is_empty());
        assert!(all.below(&key("a/b")).below(&Step::Index(1)).here());
        assert!(all.below(&key("a/b")).one_step_down());
        assert!(all.below(&key("a/b")).below(&Step::Index(0)).is_empty());
        assert!(all.below(&key("a/b")).below(&id).is_empty());
    }
}
