//! Numbers: IEEE 754 doubles, written as RFC 8785 says.

/// Largest magnitude up to which doubles hold every integer: 2^53.
pub(crate) const MAX_SAFE_INTEGER: u64 = 1 << 53;

/// The same as a double.
const MAX_SAFE: f64 = 9_007_199_254_740_992.0;

/// From here on canonical text uses an exponent (ECMA-262, Number::toString); below it, down to 2^53, it has the form of
/// an integer of which only the first digits are true.
const MIN_EXPONENT_FORM: f64 = 1e21;

/// Whether a document may hold this number.
///
/// Not finite numbers have no JSON text. Numbers between 2^53 and 1e21 are written as integers that no longer say which
/// integer was meant, so that they are refused in every spelling, as integers beyond 2^53 are.
pub(crate) fn is_allowed(number: f64) -> bool {
    let magnitude = number.abs();
    number.is_finite() && (magnitude <= MAX_SAFE || magnitude >= MIN_EXPONENT_FORM)
}

/// The integer that `number` is, when it is one that doubles hold exactly.
#[allow(clippy::cast_possible_truncation)]
pub(crate) fn as_safe_integer(number: f64) -> Option<i64> {
    (number.abs() <= MAX_SAFE && number.trunc() == number).then_some(number as i64)
}

/// Room for the canonical text of any number.
pub(crate) struct NumberText {
    integer: [u8; INTEGER_DIGITS],
    decimal: ryu_js::Buffer,
}

/// Length of -9007199254740992.
const INTEGER_DIGITS: usize = 17;

impl NumberText {
    pub(crate) fn new() -> Self {
        Self { integer: [0; INTEGER_DIGITS], decimal: ryu_js::Buffer::new() }
    }

    /// Formats the number as ECMA-262 does; what is not finite, which no document holds, as `null`.
    pub(crate) fn format(&mut self, number: f64) -> &str {
        match as_safe_integer(number) {
            Some(integer) => self.format_integer(integer),
            None if number.is_finite() => self.decimal.format_finite(number),
            None => "null",
        }
    }

    fn format_integer(&mut self, integer: i64) -> &str {
        let mut rest = integer.unsigned_abs();
        let mut start = INTEGER_DIGITS;
        loop {
            start -= 1;
            self.integer[start] = b'0' + u8::try_from(rest % 10).unwrap_or(0);
            rest /= 10;
            if rest == 0 {
                break;
            }
        }
        if integer < 0 {
            start -= 1;
            self.integer[start] = b'-';
        }
        std::str::from_utf8(&self.integer[start..])
            .unwrap_or_else(|_| unreachable!("invariant: digits are ASCII"))
    }
}

/// Length of the canonical text in bytes.
pub(crate) fn encoded_len(number: f64) -> usize {
    match as_safe_integer(number) {
        Some(integer) => {
            let digits = integer.unsigned_abs().checked_ilog10().map_or(1, |log| log as usize + 1);
            digits + usize::from(integer < 0)
        }
        None => NumberText::new().format(number).len(),
    }
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    fn text(number: f64) -> String {
        let text = NumberText::new().format(number).to_owned();
        assert_eq!(encoded_len(number), text.len(), "{text}");
        text
    }

    #[test]
    fn numbers_are_written_as_ecmascript_writes_them() {
        // RFC 8785, appendix B.
        for (bits, expected) in [
            (0x0000_0000_0000_0000, "0"),
            (0x8000_0000_0000_0000, "0"),
            (0x0000_0000_0000_0001, "5e-324"),
            (0x8000_0000_0000_0001, "-5e-324"),
            (0x7fef_ffff_ffff_ffff, "1.7976931348623157e+308"),
            (0xffef_ffff_ffff_ffff, "-1.7976931348623157e+308"),
            (0x4340_0000_0000_0000, "9007199254740992"),
            (0xc340_0000_0000_0000, "-9007199254740992"),
            (0x4430_0000_0000_0000, "295147905179352830000"),
            (0x44b5_2d02_c7e1_4af5, "9.999999999999997e+22"),
            (0x44b5_2d02_c7e1_4af6, "1e+23"),
            (0x44b5_2d02_c7e1_4af7, "1.0000000000000001e+23"),
            (0x444b_1ae4_d6e2_ef4e, "999999999999999700000"),
            (0x444b_1ae4_d6e2_ef4f, "999999999999999900000"),
            (0x444b_1ae4_d6e2_ef50, "1e+21"),
            (0x3eb0_c6f7_a0b5_ed8c, "9.999999999999997e-7"),
            (0x3eb0_c6f7_a0b5_ed8d, "0.000001"),
            (0x41b3_de43_5555_5553, "333333333.3333332"),
            (0x41b3_de43_5555_5554, "333333333.33333325"),
            (0x41b3_de43_5555_5555, "333333333.3333333"),
            (0x41b3_de43_5555_5556, "333333333.3333334"),
            (0x41b3_de43_5555_5557, "333333333.33333343"),
            (0xbecb_f647_612f_3696, "-0.0000033333333333333333"),
            (0x4314_3ff3_c1cb_0959, "1424953923781206.2"),
        ] {
            assert_eq!(text(f64::from_bits(bits)), expected);
        }
    }

    #[test]
    fn integers_are_written_at_their_edges() {
        for (number, expected) in [
            (9.0, "9"),
            (10.0, "10"),
            (-1.0, "-1"),
            (99.0, "99"),
            (-100.0, "-100"),
            (1e15, "1000000000000000"),
        ] {
            assert_eq!(text(number), expected);
        }
    }

    #[test]
    fn a_document_holds_no_integer_that_doubles_blur() {
        assert!(is_allowed(MAX_SAFE) && is_allowed(-MAX_SAFE));
        assert!(!is_allowed(MAX_SAFE + 2.0) && !is_allowed(-MAX_SAFE - 2.0));
        assert!(!is_allowed(999_999_999_999_999_900_000.0) && is_allowed(1e21));
        assert!(!is_allowed(f64::NAN) && !is_allowed(f64::INFINITY));
    }
}
