//! Times as people read them. An own calendar of forty lines, since the browser's artifact has no room for a crate.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::id::UnixMillis;

const MILLIS_PER_DAY: u64 = 86_400_000;

/// The last moment of the year 9999, after which RFC 3339 has no text.
const LAST: u64 = 253_402_300_799_999;

/// A time that is written as RFC 3339 says, in UTC with milliseconds: `2025-01-10T16:10:32.000Z`.
///
/// Times after the year 9999 are written as its last moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Rfc3339(pub UnixMillis);

/// A text that is not a time as [`Rfc3339`] writes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a time is written as 2025-01-10T16:10:32.000Z")]
pub struct NotRfc3339;

impl fmt::Display for Rfc3339 {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = self.0.0.min(LAST);
        let (year, month, day) = civil_from_days(millis / MILLIS_PER_DAY);
        let in_day = millis % MILLIS_PER_DAY;
        let (hour, minute) = (in_day / 3_600_000, in_day / 60_000 % 60);
        let (second, milli) = (in_day / 1_000 % 60, in_day % 1_000);
        write!(formatter, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{milli:03}Z")
    }
}

impl FromStr for Rfc3339 {
    type Err = NotRfc3339;

    fn from_str(text: &str) -> Result<Self, NotRfc3339> {
        let part = |start: usize, end: usize| {
            let digits = text.get(start..end).filter(|part| part.bytes().all(|byte| byte.is_ascii_digit()));
            digits.and_then(|digits| digits.parse::<u64>().ok()).ok_or(NotRfc3339)
        };
        let days = days_from_civil(part(0, 4)?, part(5, 7)?, part(8, 10)?).ok_or(NotRfc3339)?;
        let in_day = ((part(11, 13)? * 60 + part(14, 16)?) * 60 + part(17, 19)?) * 1_000 + part(20, 23)?;
        let time = Self(UnixMillis(days * MILLIS_PER_DAY + in_day));
        // Separators and ranges are right when the text is the one that stands for the result.
        if time.to_string() == text { Ok(time) } else { Err(NotRfc3339) }
    }
}

impl TryFrom<String> for Rfc3339 {
    type Error = NotRfc3339;

    fn try_from(text: String) -> Result<Self, NotRfc3339> {
        text.parse()
    }
}

impl From<Rfc3339> for String {
    fn from(time: Rfc3339) -> Self {
        time.to_string()
    }
}

impl From<UnixMillis> for Rfc3339 {
    fn from(time: UnixMillis) -> Self {
        Self(time)
    }
}

/// Days from 0000-03-01 to 1970-01-01 in the Gregorian calendar.
const DAYS_BEFORE_1970: u64 = 719_468;

/// Days in 400 years.
const DAYS_PER_ERA: u64 = 146_097;

/// Year, month and day of a number of days since 1970-01-01.
///
/// Years begin in March, so that the leap day is the last of its year. Source: Howard Hinnant, "chrono-Compatible
/// Low-Level Date Algorithms", `civil_from_days`.
fn civil_from_days(days: u64) -> (u64, u64, u64) {
    let days = days + DAYS_BEFORE_1970;
    let (era, day_of_era) = (days / DAYS_PER_ERA, days % DAYS_PER_ERA);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let (month, next_year) =
        if month_from_march < 10 { (month_from_march + 3, 0) } else { (month_from_march - 9, 1) };
    (400 * era + year_of_era + next_year, month, day)
}

/// The reverse, for dates from 1970 on; `None` for others. Days and months beyond their ranges give some later day.
fn days_from_civil(year: u64, month: u64, day: u64) -> Option<u64> {
    let (year, month_from_march) =
        if month > 2 { (year, month - 3) } else { (year.checked_sub(1)?, month + 9) };
    let (era, year_of_era) = (year / 400, year % 400);
    let day_of_year = (153 * month_from_march + 2) / 5 + day.checked_sub(1)?;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    (era * DAYS_PER_ERA + day_of_era).checked_sub(DAYS_BEFORE_1970)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn times_are_written_in_utc() {
        // date -u -d @1736525432
        for (millis, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (1, "1970-01-01T00:00:00.001Z"),
            (951_782_399_999, "2000-02-28T23:59:59.999Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (1_736_525_432_000, "2025-01-10T16:10:32.000Z"),
            (4_107_542_399_999, "2100-02-28T23:59:59.999Z"),
            (4_107_542_400_000, "2100-03-01T00:00:00.000Z"),
            (LAST, "9999-12-31T23:59:59.999Z"),
        ] {
            assert_eq!(Rfc3339(UnixMillis(millis)).to_string(), text);
            assert_eq!(text.parse(), Ok(Rfc3339(UnixMillis(millis))));
        }
        assert_eq!(Rfc3339(UnixMillis(u64::MAX)).to_string(), "9999-12-31T23:59:59.999Z");
    }

    #[test]
    fn every_day_follows_the_one_before() {
        let mut expected = (1970, 1, 1);
        for days in 0..200_000 {
            assert_eq!(civil_from_days(days), expected);
            assert_eq!(days_from_civil(expected.0, expected.1, expected.2), Some(days));
            expected = day_after(expected);
        }
    }

    fn day_after((year, month, day): (u64, u64, u64)) -> (u64, u64, u64) {
        let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
        let last = match month {
            2 => 28 + u64::from(leap),
            4 | 6 | 9 | 11 => 30,
            _ => 31,
        };
        match (month, day) {
            (12, 31) => (year + 1, 1, 1),
            (_, day) if day == last => (year, month + 1, 1),
            _ => (year, month, day + 1),
        }
    }

    #[test]
    fn other_texts_are_refused() {
        for text in [
            "",
            "2025-01-10",
            "2025-01-10T16:10:32Z",
            "2025-01-10T16:10:32.000+00:00",
            "2025-02-29T00:00:00.000Z",
            "2025-00-10T00:00:00.000Z",
            "2025-13-10T00:00:00.000Z",
            "2025-01-00T00:00:00.000Z",
            "2025-01-10T24:00:00.000Z",
            "2025-01-10T00:60:00.000Z",
            "2025-01-10T00:00:60.000Z",
            "1969-12-31T23:59:59.999Z",
            "+025-01-10T16:10:32.000Z",
            "2025-01-10T16:10:32.000é",
        ] {
            assert_eq!(text.parse::<Rfc3339>(), Err(NotRfc3339), "{text}");
        }
    }

    proptest! {
        #![proptest_config(rejoin_properties::default_cases())]

        #[test]
        fn times_are_read_back(millis in 0..=LAST) {
            let time = Rfc3339(UnixMillis(millis));
            prop_assert_eq!(time.to_string().parse(), Ok(time));
        }
    }
}
