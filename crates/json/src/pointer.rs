//! Array indexes in pointers (RFC 6901); the pointers themselves are those of `jsonptr`.

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
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

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
