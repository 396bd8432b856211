//! Makes a plan that breaks a claim as small as it gets.

use std::mem;

use crate::plan::{Line, Plan, Rates};
use crate::violation::{Claim, Violation};
use crate::world::World;

/// The shortest pauses and the plainest network that is tried.
const PLAIN: fn() -> Plan = || Plan::still(1, 1);

/// What is left of a plan.
#[derive(Clone, Debug)]
pub struct Shrunk {
    /// The smallest plan that was found.
    pub plan: Plan,
    /// What it breaks.
    pub violation: Violation,
    /// Worlds that were tried.
    pub runs: u32,
}

/// Takes out of a plan that breaks a claim whatever it breaks it without, in at most so many worlds.
///
/// A smaller plan counts where it breaks the same claim and says so in the same words, numbers and names apart: two faults can break one
/// claim. `seen` is told after each world how many lines are left, and how many worlds were tried.
pub fn shrink(plan: &Plan, violation: &Violation, max_runs: u32, seen: impl FnMut(usize, u32)) -> Shrunk {
    let best = Shrunk { plan: plan.clone(), violation: violation.clone(), runs: 0 };
    let mut search = Search { wanted: (violation.claim, words(&violation.what)), best, max_runs, seen };
    loop {
        let before = search.best.plan.clone();
        search.lines();
        search.surroundings();
        search.times();
        if search.best.plan == before || search.is_over() {
            return search.best;
        }
    }
}

/// The first words of what was said, without names and numbers.
fn words(what: &str) -> Vec<String> {
    let plain = |word: &&str| !word.is_empty() && word.chars().all(|letter| letter.is_ascii_lowercase());
    let first = what.lines().next().unwrap_or_default();
    first.split(' ').filter(plain).take(8).map(str::to_owned).collect()
}

struct Search<F> {
    wanted: (Claim, Vec<String>),
    best: Shrunk,
    max_runs: u32,
    seen: F,
}

impl<F: FnMut(usize, u32)> Search<F> {
    fn is_over(&self) -> bool {
        self.best.runs >= self.max_runs
    }

    /// Tries a plan; true when it breaks the same, and is the best one from now on.
    fn takes(&mut self, plan: Plan) -> bool {
        if self.is_over() || plan == self.best.plan {
            return false;
        }
        self.best.runs += 1;
        let broken = World::new(plan.clone()).run().err();
        let same = broken.filter(|violation| (violation.claim, words(&violation.what)) == self.wanted);
        let takes = match same {
            Some(violation) => {
                self.best.plan = plan;
                self.best.violation = violation;
                true
            }
            None => false,
        };
        (self.seen)(self.best.plan.lines.len(), self.best.runs);
        takes
    }

    /// Takes lines out: halves, quarters, and so on to single ones.
    fn lines(&mut self) {
        let mut chunk = self.best.plan.lines.len().div_ceil(2);
        while chunk > 0 {
            let mut at = 0;
            while at < self.best.plan.lines.len() && !self.is_over() {
                if !self.takes(without(&self.best.plan, at, chunk)) {
                    at += chunk;
                }
            }
            chunk /= 2;
        }
    }

    /// Makes the world smaller and plainer, one thing after the other.
    fn surroundings(&mut self) {
        let plain = PLAIN().surroundings;
        let changes: [fn(&mut Plan, &crate::plan::Surroundings); 20] = [
            |plan, plain| plan.surroundings.roots = plain.roots,
            |plan, plain| plan.surroundings.root_document_bytes = plain.root_document_bytes,
            |plan, _| plan.surroundings.rates = Rates::default(),
            |plan, _| plan.surroundings.rates.garbage = 0,
            |plan, _| plan.surroundings.rates.disk = 0,
            |plan, _| plan.surroundings.rates.conflict = 0,
            |plan, _| {
                plan.surroundings.relays = 0;
                plan.surroundings.relayed.fill(0);
            },
            |plan, _| {
                if plan.surroundings.followers.len() > 1 {
                    plan.surroundings.followers.pop();
                    plan.surroundings.relayed.pop();
                }
            },
            |plan, _| {
                plan.surroundings.documents = if plan.contents.is_empty() { 1 } else { plan.contents.len() };
                plan.surroundings.crdt = plan.surroundings.crdt.min(1);
            },
            |plan, _| plan.surroundings.crdt = 0,
            |plan, _| plan.surroundings.unsummed = usize::MAX,
            |plan, plain| plan.surroundings.delay_us = plain.delay_us,
            |plan, plain| plan.surroundings.binary = plain.binary,
            |plan, plain| plan.surroundings.frame_bytes = plain.frame_bytes,
            |plan, plain| plan.surroundings.socket_bytes = plain.socket_bytes,
            |plan, plain| plan.surroundings.heartbeat_us = plain.heartbeat_us,
            |plan, plain| plan.surroundings.disk_us = plain.disk_us,
            |plan, plain| plan.surroundings.idle_documents = plain.idle_documents,
            |plan, plain| plan.surroundings.inline_bytes = plain.inline_bytes,
            |plan, plain| plan.surroundings.compute_us = plain.compute_us,
        ];
        for change in changes {
            loop {
                let mut plan = self.best.plan.clone();
                change(&mut plan, &plain);
                if !self.takes(plan) {
                    break;
                }
            }
        }
    }

    /// Shortens pauses and faults.
    fn times(&mut self) {
        let shorter: [fn(&mut Line); 3] =
            [|line| line.after = 1_000, |line| line.after /= 2, |line| line.lasts /= 2];
        for shorten in shorter {
            let mut plan = self.best.plan.clone();
            plan.lines.iter_mut().for_each(shorten);
            self.takes(plan);
        }
    }
}

/// A plan without some lines; what comes later keeps its time.
fn without(plan: &Plan, at: usize, count: usize) -> Plan {
    let mut plan = plan.clone();
    let end = (at + count).min(plan.lines.len());
    let lines = mem::take(&mut plan.lines);
    let pause: u64 = lines[at..end].iter().map(|line| line.after).sum();
    plan.lines = [&lines[..at], &lines[end..]].concat();
    if let Some(next) = plan.lines.get_mut(at) {
        next.after += pause;
    }
    plan
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plant::Plant;

    #[test]
    fn a_plan_is_shrunk_to_what_it_takes_and_breaks_the_same() {
        let found = (1..=20).find_map(|seed| {
            let plan = Plant::AddValue.plan(seed, 60);
            World::new(plan.clone()).run().err().map(|violation| (plan, violation))
        });
        let (plan, violation) = found.expect("a planted fault is found");
        let shrunk = shrink(&plan, &violation, 400, |_, _| {});
        assert_eq!(shrunk.violation.claim, violation.claim);
        assert!(shrunk.plan.lines.len() <= 5, "{} lines are left", shrunk.plan.lines.len());
        let again = World::new(shrunk.plan).run().expect_err("it breaks the claim again");
        assert_eq!(again, shrunk.violation);
    }

    #[test]
    fn what_comes_later_keeps_its_time() {
        let plan = Plan::of_seed(3, 20);
        let time = |plan: &Plan| plan.lines.iter().map(|line| line.after).sum::<u64>();
        let shorter = without(&plan, 4, 7);
        assert_eq!((shorter.lines.len(), time(&shorter)), (13, time(&plan)));
    }
}
