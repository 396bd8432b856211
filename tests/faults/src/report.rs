//! What a scenario counted.

use std::fmt;
use std::time::Duration;

/// Figures, in the order in which they are told.
#[derive(Debug, Default)]
pub(crate) struct Report {
    figures: Vec<(String, String)>,
}

impl Report {
    pub(crate) fn add(&mut self, what: impl Into<String>, figure: impl fmt::Display) {
        self.figures.push((what.into(), figure.to_string()));
    }

    /// Median, 99th percentile and greatest of times.
    pub(crate) fn add_times(&mut self, what: &str, times: &[Duration]) {
        let mut times = times.to_vec();
        times.sort_unstable();
        let at = |part: usize| times.get((times.len() * part / 100).min(times.len().saturating_sub(1)));
        let text = |time: Option<&Duration>| {
            time.map_or("none".to_owned(), |time| format!("{:.0} ms", time.as_secs_f64() * 1_000.0))
        };
        self.add(
            what,
            format!("median {}, 99 % {}, greatest {}", text(at(50)), text(at(99)), text(times.last())),
        );
    }
}

impl fmt::Display for Report {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.figures.iter().try_for_each(|(what, figure)| writeln!(formatter, "    {what}: {figure}"))
    }
}

/// All figures as a table in Markdown.
pub(crate) fn table(reports: &[(&str, Report)]) -> String {
    let mut text = String::from("| scenario | what | figure |\n|---|---|---|\n");
    for (name, report) in reports {
        for (at, (what, figure)) in report.figures.iter().enumerate() {
            let name = if at == 0 { format!("`{name}`") } else { String::new() };
            text.push_str(&format!("| {name} | {what} | {figure} |\n"));
        }
    }
    text
}

/// Bytes for people.
pub(crate) fn mebibytes(bytes: u64) -> String {
    format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_told_by_median_and_greatest() {
        let mut report = Report::default();
        let times: Vec<_> = (1..=200).rev().map(Duration::from_millis).collect();
        report.add_times("back", &times);
        report.add_times("never", &[]);
        assert_eq!(
            table(&[("kills", report)]),
            "| scenario | what | figure |\n|---|---|---|\n\
             | `kills` | back | median 101 ms, 99 % 199 ms, greatest 200 ms |\n\
             |  | never | median none, 99 % none, greatest none |\n"
        );
    }
}
