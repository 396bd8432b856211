//! Plans as files of JSON Lines: the surroundings first, then a line for each thing that happens.

use std::fmt::Write;

use rejoin_wire::DocumentId;
use serde::{Deserialize, Serialize};

use super::{Content, Line, Plan, Surroundings};
use crate::plant::Plant;

/// The version of the format, which the first line names.
pub const FORMAT: u32 = 1;

/// The largest plan that is read, in bytes.
pub const MAX_PLAN_BYTES: usize = 16 << 20;

/// The most nodes, documents and the like that a plan may ask for.
const MAX_COUNT: usize = 64;

/// The first line.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct First {
    #[serde(rename = "rejoin-sim")]
    format: u32,
    seed: u64,
    /// What this world showed, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    why: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    plant: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ends_at: Option<u64>,
    surroundings: Surroundings,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    contents: Vec<Content>,
}

/// Why a file is no plan.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// It is larger than [`MAX_PLAN_BYTES`].
    #[error("the plan has {0} bytes, more than {MAX_PLAN_BYTES}")]
    TooLarge(usize),
    /// A document contains characters from U+F0000 on, by which simulated edits are followed.
    #[error("{0} contains characters from U+F0000 on, by which simulated edits are followed; leave them out")]
    Followed(DocumentId),
    /// A line is not what it should be.
    #[error("line {line} of the plan: {problem}")]
    Line {
        /// Its number, from 1.
        line: usize,
        /// What is wrong with it.
        problem: String,
    },
}

impl Plan {
    /// Reads a plan; and why it was kept, where it says so.
    ///
    /// # Errors
    ///
    /// The first line that makes no sense.
    pub fn read(text: &str) -> Result<(Self, Option<String>), PlanError> {
        if text.len() > MAX_PLAN_BYTES {
            return Err(PlanError::TooLarge(text.len()));
        }
        let wrong = |line: usize, problem: String| PlanError::Line { line, problem };
        let mut lines = text.lines().enumerate();
        let first = lines.next().map_or("", |(_, line)| line);
        let first: First = serde_json::from_str(first).map_err(|error| wrong(1, error.to_string()))?;
        if first.format != FORMAT {
            return Err(wrong(1, format!("this program reads format {FORMAT}, not {}", first.format)));
        }
        first.surroundings.check().map_err(|problem| wrong(1, problem))?;
        let plant = first.plant.map(|name| {
            Plant::named(&name).ok_or_else(|| wrong(1, format!("{name:?} is no fault to plant")))
        });
        let rest = lines.filter(|(_, line)| !line.trim().is_empty());
        let rest = rest.map(|(at, line)| {
            serde_json::from_str::<Line>(line).map_err(|error| wrong(at + 1, error.to_string()))
        });
        let plan = Self {
            contents: Vec::new(),
            seed: first.seed,
            surroundings: first.surroundings,
            lines: rest.collect::<Result<_, _>>()?,
            plant: plant.transpose()?,
            ends_at: first.ends_at,
        };
        let plan = if first.contents.is_empty() { plan } else { plan.with_contents(first.contents)? };
        Ok((plan, first.why))
    }

    /// The plan as a file.
    pub fn to_text(&self, why: Option<&str>) -> String {
        let plant = self.plant.map(|plant| plant.name().to_owned());
        let first = First {
            format: FORMAT,
            seed: self.seed,
            why: why.map(str::to_owned),
            plant,
            ends_at: self.ends_at,
            surroundings: self.surroundings.clone(),
            contents: self.contents.clone(),
        };
        let mut text = serde_json::to_string(&first).expect("invariant: a plan is plain data");
        for line in &self.lines {
            let line = serde_json::to_string(line).expect("invariant: a line is plain data");
            write!(text, "\n{line}").expect("invariant: text can be written to a string");
        }
        text.push('\n');
        text
    }
}

impl Surroundings {
    fn check(&self) -> Result<(), String> {
        let counts = [
            ("followers", self.followers.len(), 1),
            ("relays", self.relays, 0),
            ("authorities", self.roots, 1),
            ("documents", self.documents, 1),
        ];
        for (name, count, least) in counts {
            if !(least..=MAX_COUNT).contains(&count) {
                return Err(format!("{name} are {count}, not {least} to {MAX_COUNT}"));
            }
        }
        if self.relayed.len() != self.followers.len() {
            return Err("`relayed` has a number for each follower".into());
        }
        if self.relayed.iter().any(|relays| *relays > self.relays) {
            return Err("`relayed` names more relays than there are".into());
        }
        let times = [self.delay_us, self.disk_us, self.compute_us, self.heartbeat_us];
        if times.contains(&0) {
            return Err("no delay may be 0".into());
        }
        if self.frame_bytes < rejoin_wire::MIN_FRAME_BYTES {
            return Err(format!("frames have at least {} bytes", rejoin_wire::MIN_FRAME_BYTES));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_is_read_as_it_was_written() {
        for seed in 1..=50 {
            let plan = Plan::of_seed(seed, 60);
            let (read, why) = Plan::read(&plan.to_text(Some("because"))).expect("a plan can be read");
            assert_eq!((read, why.as_deref()), (plan, Some("because")));
        }
    }

    #[test]
    fn what_is_no_plan_is_refused_with_its_line() {
        let text = Plan::of_seed(1, 3).to_text(None);
        let problem = |text: &str| Plan::read(text).map(|_| ()).expect_err("it is no plan").to_string();
        assert!(problem("").starts_with("line 1"));
        assert!(problem(&text.replace("\"rejoin-sim\":1", "\"rejoin-sim\":2")).contains("format"));
        assert!(problem(&text.replace("\"documents\":", "\"documents\":9")).contains("documents are 9"));
        let roots = |roots| text.replacen("\"documents\":", &format!("\"roots\":{roots},\"documents\":"), 1);
        assert!(
            problem(&roots(0)).contains("authorities are 0")
                && problem(&roots(65)).contains("authorities are 65")
        );
        let spoiled =
            text.lines().next().expect("a plan has a first line").to_owned() + "\n{\"do\":\"dance\"}";
        assert!(problem(&spoiled).starts_with("line 2"), "{}", problem(&spoiled));
        let large = " ".repeat(MAX_PLAN_BYTES + 1);
        assert_eq!(Plan::read(&large), Err(PlanError::TooLarge(large.len())));
    }
}
