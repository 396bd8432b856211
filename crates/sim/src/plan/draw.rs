//! Which world a seed makes.

use rejoin_wire::MIN_FRAME_BYTES;
use rejoin_wire::limits::MAX_FRAME_BYTES;

use super::{Action, Follows, Line, Plan, Rates, Surroundings};
use crate::dice::Dice;

/// What people do, by weight. Everything but edits is left out of some worlds.
const PEOPLE: [(u32, Action); 13] = [
    (64, Action::Edit),
    (6, Action::Burst),
    (2, Action::Delete),
    (5, Action::Undelete),
    (6, Action::Undo),
    (3, Action::Redo),
    (7, Action::Settle),
    (2, Action::Header),
    (3, Action::Close),
    (3, Action::Presence),
    (2, Action::History),
    (7, Action::Submit),
    (2, Action::Repeat),
];

/// What goes wrong: by weight, and in how many of a hundred worlds.
const FAULTS: [(u32, u32, Action); 20] = [
    (10, 50, Action::Cut),
    (4, 30, Action::HalfOpen),
    (6, 40, Action::Stall),
    (2, 25, Action::Clog),
    (4, 30, Action::SlowReader),
    (8, 40, Action::Partition),
    (10, 50, Action::Crash),
    (10, 40, Action::CrashAtEffect),
    (3, 20, Action::Rot),
    (4, 30, Action::DiskFails),
    (3, 30, Action::SlowDisk),
    (1, 8, Action::DiskFull),
    (3, 20, Action::FlipBit),
    (3, 25, Action::Clear),
    (6, 30, Action::Forbid),
    (3, 12, Action::Copy),
    (3, 12, Action::Restore),
    (4, 30, Action::Clock),
    (4, 30, Action::Redeliver),
    (4, 20, Action::Hostile),
];

/// No fault lasts longer, in microseconds.
const LONGEST_US: u64 = 5_000_000;

/// Purposes of dice, each with a stream of its own.
const PLAN: u64 = 1;
const LINES: u64 = 2;
const ROOTS: u64 = 8;
const LOST_ANSWERS: u64 = 11;
const CRDT: u64 = 12;

impl Plan {
    /// The world of a seed, with this many lines.
    pub fn of_seed(seed: u64, steps: u32) -> Self {
        let mut dice = Dice::of(seed, PLAN, 0);
        let mut surroundings = Surroundings::drawn(&mut dice);
        surroundings.roots = Dice::of(seed, ROOTS, 0).weighted(&[(80, 1), (14, 2), (6, 3)]);
        let mut crdt = Dice::of(seed, CRDT, 0);
        if crdt.chance(3_000) {
            surroundings.crdt = 1 + crdt.below(surroundings.documents);
            surroundings.unsummed = *crdt.pick(&[1, 4, 20, usize::MAX]);
            surroundings.maps = crdt.chance(5_000);
        }
        let pace_us = *dice.pick(&[2_000, 40_000, 400_000]);
        let swarm = Swarm::drawn(&mut dice);
        if swarm.faults.is_empty() {
            surroundings.rates = Rates::default();
        } else {
            surroundings.rates.lost_answer = often(&mut Dice::of(seed, LOST_ANSWERS, 0), 1_000, 200);
        }
        let lines = swarm.lines(seed, &surroundings, steps, pace_us);
        Self { seed, surroundings, lines, contents: Vec::new(), plant: None, ends_at: None }
    }
}

/// A rate of up to so many of ten thousand, in so many of ten thousand worlds.
fn often(dice: &mut Dice, worlds: u32, most: u64) -> u32 {
    if dice.chance(worlds) { u32::try_from(dice.between(0, most)).unwrap_or(0) } else { 0 }
}

impl Surroundings {
    fn drawn(dice: &mut Dice) -> Self {
        let followers = dice.weighted(&[(40, 2), (30, 3), (14, 4), (7, 5), (4, 6), (3, 7), (2, 8)]);
        let follows = [(60, Follows::Documents), (15, Follows::List), (25, Follows::Opened)];
        let followers: Vec<_> = (0..followers).map(|_| dice.weighted(&follows)).collect();
        let relays = dice.weighted(&[(65, 0), (25, 1), (10, 2)]);
        let relayed = followers.iter().map(|_| dice.below(relays + 1)).collect();
        let rates = Rates {
            garbage: often(dice, 2_500, 60),
            disk: often(dice, 3_500, 500),
            conflict: often(dice, 1_700, 100),
            // Drawn by itself, so that the seeds without it stay what they were.
            lost_answer: 0,
        };
        Self {
            followers,
            relays,
            relayed,
            roots: 1,
            documents: usize::try_from(dice.between(1, 3)).unwrap_or(1),
            // Drawn by themselves, so that the seeds without them stay what they were.
            crdt: 0,
            unsummed: usize::MAX,
            maps: false,
            delay_us: *dice.pick(&[500, 20_000, 200_000]),
            binary: dice.weighted(&[(70, 10_000), (20, 5_000), (10, 0)]),
            frame_bytes: dice.weighted(&[(20, MIN_FRAME_BYTES), (30, 1_500), (50, MAX_FRAME_BYTES)]),
            socket_bytes: *dice.pick(&[2_000, 64 << 10]),
            heartbeat_us: *dice.pick(&[4_000_000, 30_000_000]),
            disk_us: *dice.pick(&[100, 3_000, 50_000]),
            idle_documents: if dice.chance(2_500) { 1 } else { 1_024 },
            root_document_bytes: if dice.chance(1_000) { 1_200 } else { 8 << 20 },
            inline_bytes: *dice.pick(&[1 << 20, 1 << 20, 500, 0]),
            compute_us: *dice.pick(&[100, 20_000, 500_000]),
            rates,
        }
    }
}

/// Which kinds of lines a world has, and how often.
struct Swarm {
    people: Vec<(u32, Action)>,
    faults: Vec<(u32, Action)>,
    /// Lines that are faults, in ten thousand.
    share: u32,
}

impl Swarm {
    fn drawn(dice: &mut Dice) -> Self {
        let mut people = Vec::new();
        for (weight, action) in PEOPLE {
            let (on, times) = (dice.chance(7_500), dice.between(1, 3));
            if on || action == Action::Edit {
                people.push((weight * u32::try_from(times).unwrap_or(1), action));
            }
        }
        let calm = dice.chance(1_500);
        let share = dice.weighted(&[(40, 300), (40, 800), (20, 1_600)]);
        let mut faults = Vec::new();
        for (weight, worlds, action) in FAULTS {
            let (on, times) = (dice.chance(worlds * 100), dice.between(1, 3));
            if on && !calm {
                faults.push((weight * u32::try_from(times).unwrap_or(1), action));
            }
        }
        // Where the authority goes back as well, or what others hold is lost, nobody may hold what goes bad.
        let has = |wanted: Action| faults.iter().any(|(_, action)| *action == wanted);
        let unmendable =
            [Action::Restore, Action::DiskFull, Action::Clear, Action::FlipBit].into_iter().any(has);
        faults.retain(|(_, action)| !(unmendable && *action == Action::Rot));
        Self { people, faults, share }
    }

    fn lines(&self, seed: u64, surroundings: &Surroundings, steps: u32, pace_us: u64) -> Vec<Line> {
        let mut lines = Vec::new();
        let mut once = Vec::new();
        let goes_back = self.faults.iter().any(|(_, action)| *action == Action::Restore);
        let image = goes_back.then(|| Dice::of(seed, LINES, u64::MAX).between(0, u64::from(steps)));
        for step in 0..steps {
            let mut line = Dice::of(seed, LINES, u64::from(step));
            let is_fault = !self.faults.is_empty() && line.chance(self.share);
            let mut action = line.weighted(if is_fault { &self.faults } else { &self.people });
            if image == Some(u64::from(step)) {
                action = Action::Image;
            }
            // One of each is enough to make a world strange.
            if matches!(action, Action::Copy | Action::Restore) {
                if once.contains(&action) || (action == Action::Restore && image > Some(u64::from(step))) {
                    action = Action::Edit;
                } else {
                    once.push(action);
                }
            }
            let clients = surroundings.followers.len();
            let node = match action {
                Action::Crash | Action::CrashAtEffect | Action::DiskFails | Action::SlowDisk => {
                    line.below(surroundings.nodes())
                }
                Action::DiskFull => {
                    if line.chance(7_000) {
                        super::ROOT
                    } else {
                        1 + line.below(clients)
                    }
                }
                Action::Clock => line.below(surroundings.nodes()),
                Action::Partition | Action::SlowReader => 1 + line.below(surroundings.nodes() - 1),
                Action::Submit | Action::Repeat | Action::Image | Action::Restore | Action::Rot => {
                    super::ROOT
                }
                // One more: a copy, where there is one.
                _ => 1 + line.below(clients + usize::from(once.contains(&Action::Copy))),
            };
            lines.push(Line {
                after: line.between(1, pace_us),
                dice: u32::try_from(line.between(0, u64::from(u32::MAX))).unwrap_or(0),
                action,
                node,
                document: line.below(surroundings.documents),
                lasts: if is_fault { line.between(1_000, LONGEST_US) } else { 0 },
            });
        }
        lines
    }
}
