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
        let rank = (self.durations.len() * percent.min(100)).div_ceil(100).max(1);
        self.durations.get(rank - 1).copied().unwrap_or_default()
    }
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
        assert_eq!(Samples::default().median(), Duration::ZERO);
    }

    #[test]
    fn durations_have_three_digits() {
        let cases = [(7, "7.00 ns"), (45_600, "45.6 µs"), (999_000_000, "999 ms"), (1_234_000_000, "1.23 s")];
        for (nanoseconds, text) in cases {
            assert_eq!(duration(Duration::from_nanos(nanoseconds)), text);
        }
    }
}
