//! What many worlds came to, for people.

use std::fmt::Write;
use std::time::Duration;

use crate::coverage::Coverage;
use crate::judged::Judged;
use crate::world::Report;

/// Kinds of lines that go in one row.
const KINDS_IN_A_ROW: usize = 4;

/// Sums over worlds.
#[derive(Debug, Default)]
pub(crate) struct Totals {
    worlds: u64,
    replicas: u64,
    /// The fewest replicas of a world.
    least_replicas: u64,
    coverage: Coverage,
    judged: Judged,
    sums: [u64; 10],
}

const SUMMED: [&str; 10] = [
    "revisions",
    "conflicts",
    "rejected",
    "messages",
    "frames",
    "late frames",
    "bad frames",
    "silences",
    "effects",
    "events",
];

impl Totals {
    pub(crate) fn add(&mut self, report: &Report) {
        self.least_replicas =
            if self.worlds == 0 { report.replicas } else { self.least_replicas.min(report.replicas) };
        self.worlds += 1;
        self.replicas += report.replicas;
        self.coverage.add(&report.coverage);
        self.judged.add(&report.judged);
        let of = [
            report.revisions,
            report.conflicts,
            report.rejected,
            report.messages,
            report.frames,
            report.late_frames,
            report.bad_frames,
            report.silences,
            report.effects,
            report.events,
        ];
        self.sums.iter_mut().zip(of).for_each(|(sum, of)| *sum += of);
    }

    /// The report that is printed.
    pub(crate) fn shown(&self, steps: Option<u32>, twice: bool, took: Duration) -> String {
        let mut text = String::new();
        let mut line = |said: std::fmt::Arguments<'_>| {
            writeln!(text, "{said}").expect("invariant: text can be written to a string");
        };
        let seconds = took.as_secs_f64();
        let worlds = self.worlds.max(1) as f64;
        line(format_args!(
            "{} worlds{}, {}, in {seconds:.1} s: {:.1} a second",
            self.worlds,
            steps.map(|steps| format!(" of {steps} lines")).unwrap_or_default(),
            if twice { "each twice with equal traces" } else { "each once" },
            self.worlds as f64 / seconds.max(0.001),
        ));
        line(format_args!(
            "{:.1} replicas in a world, {} at least",
            self.replicas as f64 / worlds,
            self.least_replicas
        ));
        let shown = SUMMED.iter().zip(self.sums).map(|(name, sum)| format!("{sum} {name}"));
        line(format_args!("{}", shown.collect::<Vec<_>>().join(", ")));
        for (title, faults) in [("what was done", false), ("what went wrong", true)] {
            line(format_args!("{title}, and how often it found nobody to happen to"));
            let kinds: Vec<_> =
                self.coverage.kinds().filter(|(kind, ..)| kind.is_fault() == faults).collect();
            for row in kinds.chunks(KINDS_IN_A_ROW) {
                let cells = row.iter().map(|(kind, done, skipped)| {
                    format!("{:<16} {:<16}", kind.name(), format!("{done} ({skipped})"))
                });
                line(format_args!("  {}", cells.collect::<String>().trim_end()));
            }
        }
        line(format_args!("what was judged, and how often"));
        let judged: Vec<_> = self.judged.claims().collect();
        for row in judged.chunks(KINDS_IN_A_ROW) {
            let cells = row.iter().map(|(claim, times)| format!("{:<18} {times:<14}", format!("{claim:?}")));
            line(format_args!("  {}", cells.collect::<String>().trim_end()));
        }
        text
    }
}
