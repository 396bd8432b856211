//! Milliseconds since 1970 as people read them.

const DAY_MS: i64 = 86_400_000;

/// RFC 3339 in UTC, to the second, as in `2024-01-15T10:30:00Z`. Beyond the years 0 to 9999 the year is the nearest of them.
pub(crate) fn rfc3339(unix_ms: i64) -> String {
    let (days, within) = (unix_ms.div_euclid(DAY_MS), unix_ms.rem_euclid(DAY_MS) / 1_000);
    let (year, month, day) = civil(days);
    let year = year.clamp(0, 9_999);
    format!("{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z", within / 3_600, within / 60 % 60, within % 60)
}

/// Year, month and day of a day since 1970, by eras of 400 years that begin in March (Hinnant, "chrono-compatible low-level date algorithms").
fn civil(days: i64) -> (i64, i64, i64) {
    let since_march = days + 719_468;
    let (era, day_of_era) = (since_march.div_euclid(146_097), since_march.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_moments_are_written_as_other_programs_write_them() {
        for (unix_ms, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (-1, "1969-12-31T23:59:59Z"),
            (951_827_696_789, "2000-02-29T12:34:56Z"),
            (1_705_314_600_000, "2024-01-15T10:30:00Z"),
            (4_107_542_399_999, "2100-02-28T23:59:59Z"),
            (4_107_542_400_000, "2100-03-01T00:00:00Z"),
        ] {
            assert_eq!(rfc3339(unix_ms), text);
        }
    }

    #[test]
    fn every_day_follows_the_one_before() {
        let mut before = civil(-800_000);
        for days in -799_999..800_000 {
            let day = civil(days);
            let follows = day == (before.0, before.1, before.2 + 1)
                || (day.2 == 1 && day.1 == before.1 + 1 && before.2 >= 28)
                || (day == (before.0 + 1, 1, 1) && (before.1, before.2) == (12, 31));
            assert!(follows, "{before:?} {day:?}");
            before = day;
        }
    }

    #[test]
    fn no_time_is_beyond_it() {
        assert!(rfc3339(i64::MAX).starts_with("9999-"));
        assert!(rfc3339(i64::MIN).starts_with("0000-"));
    }
}
