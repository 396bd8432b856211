//! What a plan does to one direction of a connection.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;

use super::plan::FaultPlan;
use super::rule::{Action, After, Rule, Trigger};
use crate::kinds::{Dialect, Kind, Recogniser};
use crate::latency::LatencyProfile;
use crate::limits::{FRAME_COST_BYTES, MAX_HELD_BYTES, MAX_MADE_FAULTS, MAX_OVERTAKING, OVERTAKING_PATIENCE};
use crate::random::Random;
use crate::{CloseFrame, Direction, Frame, Time};

/// One direction of a connection with faults, without IO.
///
/// Its driver pushes each frame that its source sends, as long as [`Faults::wants_more`], and after each push and at each deadline polls until there
/// is nothing more. What it polls goes to the target. Times never go back.
///
/// Frames keep their order, but for those that a rule has others overtake: one that is held back holds back those behind it, as a connection does.
#[derive(Debug)]
pub struct Faults {
    recogniser: Recogniser,
    latency: Option<(LatencyProfile, Random)>,
    rules: Vec<Active>,
    /// In the order in which they pass; the times never fall.
    queue: VecDeque<Held>,
    /// What is to be overtaken.
    aside: Option<Aside>,
    /// Of all that is held, aside too.
    held_bytes: usize,
    /// Nothing that comes now passes before that.
    last_due: Duration,
    /// What would pass in one of these times passes at its end.
    stalls: Vec<Stall>,
    /// From then on everything is taken and nothing passes.
    dead_from: Option<Duration>,
    close_at: Option<(Duration, CloseFrame)>,
    state: State,
    direction: Direction,
    /// At most [`MAX_MADE_FAULTS`]; nobody may ask.
    made: VecDeque<MadeFault>,
}

/// A fault that has happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MadeFault {
    /// Its name in a plan.
    pub fault: &'static str,
    /// Which way the message went that it happened to.
    pub direction: Direction,
    /// The kind of that message; none where it happened to the connection at a time.
    pub kind: Option<Kind>,
}

impl std::fmt::Display for MadeFault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.fault)?;
        if let Some(kind) = &self.kind {
            write!(f, "({kind})")?;
        }
        write!(f, " {}", self.direction)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Open,
    /// Half open: it takes everything, and nothing passes.
    Dead,
    Closed,
}

/// What comes out of a direction with faults.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Passed {
    /// Send this on.
    Frame(Frame),
    /// Close the connection, to both sides; nothing follows.
    Close(CloseFrame),
}

#[derive(Debug)]
struct Active {
    rule: Rule,
    trigger: Trigger,
    random: Random,
    /// Messages that it has counted.
    counted: u64,
    /// How often it has done something.
    done: u64,
}

#[derive(Debug)]
struct Stall {
    from: Duration,
    end: Duration,
    /// Whether something has been held back by it.
    felt: bool,
}

#[derive(Debug)]
struct Held {
    /// `Duration::MAX` is never.
    due: Duration,
    item: Item,
}

#[derive(Debug)]
enum Item {
    Frame(Frame),
    /// Nothing passes from here on.
    Dead,
    Close(CloseFrame),
}

#[derive(Debug)]
struct Aside {
    frames: Vec<Frame>,
    ready: Duration,
    transmission: Duration,
    /// So many have yet to overtake it.
    left: usize,
    until: Duration,
}

/// What the rules say of one message.
struct Fate {
    frames: Vec<Frame>,
    delay: Duration,
    /// What it takes on a narrow link.
    transmission: Duration,
    stall: Duration,
    overtaken_by: usize,
    /// It and all that follows are lost.
    dead: bool,
    /// What happens behind it.
    behind: Vec<Action>,
}

impl Faults {
    pub(crate) fn new(
        plan: &FaultPlan,
        latency: Option<LatencyProfile>,
        direction: Direction,
        path: &str,
        seed: u64,
    ) -> Self {
        // Each direction draws by itself, as how they meet is left to chance; and each rule, so that another one changes nothing for it.
        let mut seeds = Random::new(if direction == Direction::In { seed } else { !seed });
        let latency = latency.map(|profile| (profile, Random::new(seeds.next())));
        let mut seeds = Random::new(seeds.next() ^ seed);
        let mut faults = Self {
            recogniser: Recogniser::default(),
            latency,
            rules: Vec::new(),
            queue: VecDeque::new(),
            aside: None,
            held_bytes: 0,
            last_due: Duration::ZERO,
            stalls: Vec::new(),
            dead_from: None,
            close_at: None,
            state: State::Open,
            direction,
            made: VecDeque::new(),
        };
        for rule in &plan.rules {
            let random = Random::new(seeds.next());
            if !rule.applies(direction, path) {
                continue;
            }
            match rule.trigger() {
                Trigger::Time(at) => faults.schedule(&rule.action, at),
                trigger => {
                    let rule = rule.clone();
                    faults.rules.push(Active { rule, trigger, random, counted: 0, done: 0 });
                }
            }
        }
        faults
    }

    /// Says which protocol the connection speaks, where its subprotocol tells.
    #[must_use]
    pub fn dialect(mut self, dialect: Dialect) -> Self {
        self.recogniser = Recogniser::new(dialect);
        self
    }

    /// Takes what the source has sent.
    pub fn push(&mut self, now: Time, frame: Frame) {
        let now = now.elapsed;
        self.settle(now);
        if self.state != State::Open || self.dead_from.is_some_and(|from| from <= now) {
            return;
        }
        let kind = self.recogniser.kind(&frame);
        if kind == Kind::Control {
            self.release();
            return self.enqueue(Item::Frame(frame), now, Duration::ZERO);
        }
        let fate = self.fate(now, &kind, frame);
        self.last_due = self.last_due.max(if fate.stall.is_zero() { self.last_due } else { now });
        self.last_due = self.last_due.saturating_add(fate.stall);
        if fate.dead {
            self.release();
            return self.enqueue(Item::Dead, now, Duration::ZERO);
        }
        let ready = now.saturating_add(fate.delay);
        let passes = !fate.frames.is_empty();
        if fate.overtaken_by > 0 && self.aside.is_none() && passes {
            self.held_bytes += fate.frames.iter().map(cost).sum::<usize>();
            let (left, until) = (fate.overtaken_by, now.saturating_add(OVERTAKING_PATIENCE));
            let (frames, transmission) = (fate.frames, fate.transmission);
            self.aside = Some(Aside { frames, ready, transmission, left, until });
        } else {
            for frame in fate.frames {
                self.enqueue(Item::Frame(frame), ready, fate.transmission);
            }
            self.overtake(passes);
        }
        for action in fate.behind {
            self.happen(&action, now);
        }
    }

    /// What passes now.
    pub fn poll(&mut self, now: Time) -> Option<Passed> {
        let now = now.elapsed;
        self.settle(now);
        if self.state != State::Open {
            return None;
        }
        let closes = self.close_at.as_ref().map(|(at, _)| *at).filter(|at| *at <= now);
        let dies = self.dead_from.filter(|from| *from <= now);
        let due = self.queue.front().map(|held| held.due).filter(|due| *due <= now);
        // What was to pass before the end passes still, however late it is polled.
        if let Some(due) = due
            && closes.is_none_or(|at| due < at)
            && dies.is_none_or(|from| due < from)
        {
            let held = self.queue.pop_front()?;
            return match held.item {
                Item::Frame(frame) => {
                    self.held_bytes = self.held_bytes.saturating_sub(cost(&frame));
                    Some(Passed::Frame(frame))
                }
                Item::Dead => self.end(State::Dead),
                Item::Close(frame) => {
                    self.end(State::Closed);
                    Some(Passed::Close(frame))
                }
            };
        }
        match (closes, dies) {
            (Some(at), dies) if dies.is_none_or(|from| at <= from) => {
                let (_, frame) = self.close_at.take()?;
                self.make("close");
                self.end(State::Closed);
                Some(Passed::Close(frame))
            }
            (_, Some(_)) => {
                if self.state == State::Open {
                    self.make("half-open");
                }
                self.end(State::Dead)
            }
            _ => None,
        }
    }

    /// The next fault that has happened and was not told yet. Of those that nobody asks for the oldest are forgotten.
    pub fn made(&mut self) -> Option<MadeFault> {
        self.made.pop_front()
    }

    /// When it wants to be polled without a frame, counted from the opening; `None` if never.
    pub fn deadline(&self) -> Option<Duration> {
        if self.state != State::Open {
            return None;
        }
        let due = self.queue.front().map(|held| held.due);
        let until = self.aside.as_ref().map(|aside| aside.until);
        let closes = self.close_at.as_ref().map(|(at, _)| *at);
        let all = [due, until, closes, self.dead_from];
        all.into_iter().flatten().filter(|it| *it < Duration::MAX).min()
    }

    /// Whether the source is to be read on. While it is not, what the source sends waits there. A frame that is pushed all the same is
    /// taken.
    pub fn wants_more(&self) -> bool {
        match self.state {
            State::Open => self.held_bytes < MAX_HELD_BYTES,
            State::Dead => true,
            State::Closed => false,
        }
    }

    /// Whether nothing passes any more and nobody says so. What would be answered without being passed, as pings are, is not to be then.
    pub fn is_half_open(&self) -> bool {
        self.state == State::Dead
    }

    /// Asks each rule about a message, in the order of the plan.
    fn fate(&mut self, now: Duration, kind: &Kind, frame: Frame) -> Fate {
        let delay = match &mut self.latency {
            Some((profile, random)) => profile.draw(random, kind),
            None => Duration::ZERO,
        };
        let mut fate = Fate {
            frames: Vec::new(),
            delay,
            transmission: Duration::ZERO,
            stall: Duration::ZERO,
            overtaken_by: 0,
            dead: false,
            behind: Vec::new(),
        };
        if !self.rules.is_empty() {
            // Rules change copies, and select by what came.
            fate.frames.push(frame.clone());
            for active in &mut self.rules {
                if active.judge(now, kind, &frame, &mut fate) {
                    let (fault, direction) = (active.rule.action.name(), self.direction);
                    told(&mut self.made, MadeFault { fault, direction, kind: Some(kind.clone()) });
                }
            }
        } else {
            fate.frames.push(frame);
        }
        fate
    }

    fn enqueue(&mut self, item: Item, ready: Duration, transmission: Duration) {
        let mut due = ready.max(self.last_due).saturating_add(transmission);
        // One stall may end within another.
        for _ in 0..self.stalls.len() {
            if let Some(stall) = self.stalls.iter_mut().find(|it| (it.from..it.end).contains(&due)) {
                due = stall.end;
                let felt = std::mem::replace(&mut stall.felt, true);
                if !felt {
                    self.make("stall");
                }
            }
        }
        self.last_due = due;
        if let Item::Frame(frame) = &item {
            self.held_bytes += cost(frame);
        }
        self.queue.push_back(Held { due, item });
    }

    /// Counts one more that has overtaken what is aside.
    fn overtake(&mut self, passes: bool) {
        let done = self.aside.as_mut().is_some_and(|aside| {
            aside.left = aside.left.saturating_sub(usize::from(passes));
            aside.left == 0
        });
        if done {
            self.release();
        }
    }

    /// Queues what is aside behind all that has come.
    fn release(&mut self) {
        if let Some(aside) = self.aside.take() {
            for frame in aside.frames {
                self.held_bytes = self.held_bytes.saturating_sub(cost(&frame));
                self.enqueue(Item::Frame(frame), aside.ready, aside.transmission);
            }
        }
    }

    fn settle(&mut self, now: Duration) {
        if let Some(until) = self.aside.as_ref().map(|aside| aside.until).filter(|until| *until <= now) {
            if let Some(aside) = &mut self.aside {
                aside.ready = aside.ready.max(until);
            }
            self.release();
        }
    }

    /// Does what a rule says of the connection, behind all that is queued.
    fn happen(&mut self, action: &Action, now: Duration) {
        match action {
            Action::Stall(time) => {
                let start = self.last_due.max(now);
                self.last_due = start.saturating_add(time.unwrap_or(Duration::MAX));
            }
            Action::HalfOpen => {
                self.release();
                self.enqueue(Item::Dead, now, Duration::ZERO);
            }
            Action::Close(frame) => {
                self.release();
                self.enqueue(Item::Close(frame.clone()), now, Duration::ZERO);
            }
            _ => {}
        }
    }

    /// The same at a moment that is known beforehand.
    fn schedule(&mut self, action: &Action, at: Duration) {
        match action {
            Action::Stall(time) => {
                let end = at.saturating_add(time.unwrap_or(Duration::MAX));
                self.stalls.push(Stall { from: at, end, felt: false });
            }
            Action::HalfOpen => self.dead_from = Some(self.dead_from.map_or(at, |from| from.min(at))),
            Action::Close(frame) if self.close_at.as_ref().is_none_or(|(earlier, _)| at < *earlier) => {
                self.close_at = Some((at, frame.clone()));
            }
            _ => {}
        }
    }

    /// Tells of a fault that no message has set off.
    fn make(&mut self, fault: &'static str) {
        told(&mut self.made, MadeFault { fault, direction: self.direction, kind: None });
    }

    fn end(&mut self, state: State) -> Option<Passed> {
        self.state = state;
        self.queue = VecDeque::new();
        self.aside = None;
        self.held_bytes = 0;
        None
    }
}

fn told(made: &mut VecDeque<MadeFault>, fault: MadeFault) {
    if made.len() == MAX_MADE_FAULTS {
        made.pop_front();
    }
    made.push_back(fault);
}

impl Active {
    /// Whether the rule does something, and what.
    fn judge(&mut self, now: Duration, kind: &Kind, frame: &Frame, fate: &mut Fate) -> bool {
        let mut does = false;
        let active = match &self.rule.after {
            None => true,
            Some(After::Time(time)) => now >= *time,
            Some(After::Count(count, name)) => {
                let active = self.counted >= *count;
                self.counted = self.counted.saturating_add(u64::from(kind.is(name)));
                if self.trigger == Trigger::Count && !active && self.counted >= *count {
                    fate.behind.push(self.rule.action.clone());
                    does = true;
                }
                active
            }
        };
        let spent = self.rule.times.is_some_and(|times| self.done >= times);
        if self.trigger != Trigger::Messages || !active || spent || !self.rule.selects(kind, frame) {
            return does;
        }
        if self.rule.chance.is_none_or(|chance| self.random.fraction() < chance) {
            self.done += 1;
            self.apply(fate);
            does = true;
        }
        does
    }

    fn apply(&mut self, fate: &mut Fate) {
        match &self.rule.action {
            Action::Drop => fate.frames.clear(),
            Action::Duplicate(more) => {
                let each = std::mem::take(&mut fate.frames);
                for frame in each {
                    let room = MAX_OVERTAKING.saturating_sub(fate.frames.len());
                    fate.frames.extend(std::iter::repeat_n(frame, (1 + more).min(room)));
                }
            }
            Action::Reorder(count) => fate.overtaken_by = fate.overtaken_by.max(*count),
            Action::Corrupt(bytes) => {
                for frame in &mut fate.frames {
                    corrupt(frame, *bytes, &mut self.random);
                }
            }
            Action::Truncate(bytes) => {
                for frame in &mut fate.frames {
                    let left = bytes.unwrap_or_else(|| self.random.below(frame.size()));
                    truncate(frame, left);
                }
            }
            Action::Delay(distribution) => {
                fate.delay = fate.delay.saturating_add(distribution.draw(&mut self.random));
            }
            Action::Throttle(rate) => {
                let size = fate.frames.first().map_or(0, Frame::size);
                let seconds = size as f64 / *rate as f64;
                let time = Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX);
                fate.transmission = fate.transmission.saturating_add(time);
            }
            Action::Stall(time) => {
                fate.stall = fate.stall.saturating_add(time.unwrap_or(Duration::MAX));
            }
            Action::HalfOpen => fate.dead = true,
            Action::Close(_) => fate.behind.push(self.rule.action.clone()),
        }
    }
}

fn cost(frame: &Frame) -> usize {
    frame.size() + FRAME_COST_BYTES
}

/// Changes so many bytes to others; in texts characters, so that they stay texts.
fn corrupt(frame: &mut Frame, bytes: usize, random: &mut Random) {
    match frame {
        Frame::Binary(content) => {
            let mut changed = content.to_vec();
            for _ in 0..bytes.min(content.len()) {
                let at = random.below(changed.len());
                if let Some(byte) = changed.get_mut(at) {
                    // Never what was there: by 1 to 255 more.
                    *byte = byte.wrapping_add(u8::try_from(1 + random.below(255)).unwrap_or(1));
                }
            }
            *content = Bytes::from(changed);
        }
        Frame::Text(text) => {
            let mut characters: Vec<char> = text.chars().collect();
            for _ in 0..bytes.min(characters.len()) {
                let at = random.below(characters.len());
                if let Some(character) = characters.get_mut(at) {
                    let other = char::from(b'!' + u8::try_from(random.below(93)).unwrap_or_default());
                    *character = if other == *character { '~' } else { other };
                }
            }
            *text = characters.into_iter().collect();
        }
        Frame::Ping(_) | Frame::Pong(_) | Frame::Close(_) => {}
    }
}

/// Leaves so many bytes; of texts as many whole characters as fit into them.
fn truncate(frame: &mut Frame, bytes: usize) {
    match frame {
        Frame::Binary(content) => content.truncate(bytes),
        Frame::Text(text) => text.truncate(text.floor_char_boundary(bytes)),
        Frame::Ping(_) | Frame::Pong(_) | Frame::Close(_) => {}
    }
}

#[cfg(test)]
mod tests;
