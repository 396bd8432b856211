//! Times taken many times: medians and percentiles.

use std::time::{Duration, Instant};

/// The same thing measured several times.
#[derive(Debug, Clone, Default)]
pub(crate) struct Samples {
    /// Sorted.
    durations: Vec<Duration>,
}

impl Samples {
    /// Takes samples in any order.
    pub(crate) fn new(mut durations: Vec<Duration>) -> Self {
        durations.sort_unstable();
        Self { durations }
    }

    /// The middle sample; zero when there is none.
    pub(crate) fn median(&self) -> Duration {
        self.percentile(50)
    }

    /// The shortest sample that at least so many of a hundred do not exceed; zero when there is none.
    pub(crate) fn percentile(&self, percent: usize) -> Duration {
        self.permille(percent * 10)
    }

    /// Of a thousand.
    pub(crate) fn permille(&self, permille: usize) -> Duration {
        let rank = (self.durations.len() * permille.min(1_000)).div_ceil(1_000).max(1);
        self.durations.get(rank - 1).copied().unwrap_or_default()
    }
}

/// The same figure of several rounds.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Spread {
    pub(crate) least: f64,
    pub(crate) median: f64,
    pub(crate) most: f64,
}

impl Spread {
    /// Takes figures in any order; all zero when there are none.
    pub(crate) fn of(figures: impl IntoIterator<Item = f64>) -> Self {
        let mut figures: Vec<f64> = figures.into_iter().collect();
        figures.sort_by(f64::total_cmp);
        match figures[..] {
            [] => Self::default(),
            [least, .., most] => Self { least, median: figures[figures.len() / 2], most },
            [one] => Self { least: one, median: one, most: one },
        }
    }

    /// Whether some round of one lies among those of the other: then their medians may differ by chance.
    pub(crate) fn overlaps(&self, other: &Self) -> bool {
        self.least <= other.most && other.least <= self.most
    }

    /// The median, and from where to where the rounds lie, each as a cell shows it.
    pub(crate) fn cell(&self, show: impl Fn(f64) -> String) -> String {
        format!("{} ({}–{})", show(self.median), show(self.least), show(self.most))
    }
}

/// Seconds as [`duration`] shows them.
pub(crate) fn seconds(seconds: f64) -> String {
    duration(Duration::from_secs_f64(seconds.max(0.0)))
}

/// A figure to three digits, with thousands as k and M.
pub(crate) fn count(figure: f64) -> String {
    let (value, unit) = match figure {
        ..1e4 => (figure, ""),
        ..1e6 => (figure / 1e3, "k"),
        _ => (figure / 1e6, "M"),
    };
    let decimals = if unit.is_empty() || value >= 100.0 { 0 } else { 1 + usize::from(value < 10.0) };
    format!("{value:.decimals$}{unit}")
}

/// What one call takes: the median over `repetitions` of a loop that lasts `slice` or one call.
///
/// What the call returns is dropped within the time, as a garbage collector's work is within that of its program.
pub(crate) fn per_call<R>(repetitions: usize, slice: Duration, mut call: impl FnMut() -> R) -> Samples {
    let mut time = |calls: u32| {
        let started = Instant::now();
        for _ in 0..calls {
            std::hint::black_box(call());
        }
        started.elapsed()
    };
    let mut calls = 1;
    while time(calls) < slice {
        calls *= 2;
    }
    Samples::new((0..repetitions.max(1)).map(|_| time(calls) / calls).collect())
}

/// A time to three digits with the unit that suits it.
pub(crate) fn duration(duration: Duration) -> String {
    let nanoseconds = duration.as_secs_f64() * 1e9;
    let (value, unit) = match nanoseconds {
        ..1e3 => (nanoseconds, "ns"),
        ..1e6 => (nanoseconds / 1e3, "µs"),
        ..1e9 => (nanoseconds / 1e6, "ms"),
        _ => (nanoseconds / 1e9, "s"),
    };
    let decimals = if value < 10.0 { 2 } else { usize::from(value < 100.0) };
    format!("{value:.decimals$} {unit}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples(milliseconds: &[u64]) -> Samples {
        Samples::new(milliseconds.iter().copied().map(Duration::from_millis).collect())
    }

    #[test]
    fn percentiles_are_samples() {
        let samples = samples(&[40, 10, 30, 20]);
        assert_eq!(samples.median(), Duration::from_millis(20));
        assert_eq!(samples.percentile(0), Duration::from_millis(10));
        assert_eq!(samples.percentile(76), Duration::from_millis(40));
        assert_eq!(samples.percentile(100), Duration::from_millis(40));
        assert_eq!(samples.permille(999), Duration::from_millis(40));
        assert_eq!(Samples::default().median(), Duration::ZERO);
    }

    #[test]
    fn rounds_are_shown_with_their_spread() {
        let spread = Spread::of([3.0, 1.0, 2.0]);
        assert_eq!(spread.cell(|value| format!("{value}")), "2 (1–3)");
        assert_eq!(Spread::of([5.0]), Spread { least: 5.0, median: 5.0, most: 5.0 });
        assert_eq!(Spread::of([]), Spread::default());
    }

    #[test]
    fn spreads_overlap_up_to_their_ends() {
        let spread = |least, most| Spread::of([least, most]);
        assert!(spread(1.0, 3.0).overlaps(&spread(3.0, 5.0)) && spread(3.0, 5.0).overlaps(&spread(1.0, 3.0)));
        assert!(spread(1.0, 5.0).overlaps(&spread(2.0, 3.0)) && spread(2.0, 3.0).overlaps(&spread(1.0, 5.0)));
        assert!(
            !spread(1.0, 2.9).overlaps(&spread(3.0, 5.0)) && !spread(3.0, 5.0).overlaps(&spread(1.0, 2.9))
        );
    }

    #[test]
    fn counts_have_three_digits() {
        let cases =
            [(7.0, "7"), (9_999.0, "9999"), (54_321.0, "54.3k"), (543_210.0, "543k"), (5_432_100.0, "5.43M")];
        for (figure, text) in cases {
            assert_eq!(count(figure), text);
        }
    }

    #[test]
    fn durations_have_three_digits() {
        let cases = [(7, "7.00 ns"), (45_600, "45.6 µs"), (999_000_000, "999 ms"), (1_234_000_000, "1.23 s")];
        for (nanoseconds, text) in cases {
            assert_eq!(duration(Duration::from_nanos(nanoseconds)), text);
        }
    }
}
