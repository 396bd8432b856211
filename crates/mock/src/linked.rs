//! A machine at the end of a link with latency and faults.

use std::time::Duration;

use crate::{
    CloseFrame, Direction, Faults, Frame, LatencyInjector, Machine, MadeFault, NORMAL_CLOSE, Output, Passed,
    Time,
};

/// A machine whose client is at the other end of a link that takes time and has faults, each way.
///
/// Its driver has to ask [`Machine::wants_more`]: what a link has no room for waits at the client.
#[derive(Debug)]
pub struct Linked<M> {
    machine: M,
    inward: Faults,
    outward: Faults,
    now: Option<Time>,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Open,
    /// The machine has closed: what it said before is still on its way.
    Closing,
    Closed,
}

impl<M: Machine> Linked<M> {
    /// Puts a machine behind a link. The same seed does the same to the same messages.
    pub fn new(machine: M, link: &LatencyInjector, path: &str, seed: u64) -> Self {
        let (inward, outward) =
            (link.machine(Direction::In, path, seed), link.machine(Direction::Out, path, seed));
        Self { machine, inward, outward, now: None, state: State::Open }
    }

    fn close(&mut self, close: CloseFrame) -> Output<M::Note> {
        self.state = State::Closed;
        Output::Close(close)
    }

    /// What has come through the link by now, one way or the other.
    fn poll_link(&mut self, now: Time) -> Option<Output<M::Note>> {
        while self.state == State::Open {
            match self.inward.poll(now) {
                None => break,
                Some(Passed::Frame(frame)) => self.machine.received(now, frame),
                Some(Passed::Close(close)) => return Some(self.close(close)),
            }
        }
        match self.outward.poll(now)? {
            Passed::Frame(Frame::Close(close)) => Some(self.close(close.unwrap_or(NORMAL_CLOSE))),
            Passed::Frame(frame) => Some(Output::Send(frame)),
            Passed::Close(close) => Some(self.close(close)),
        }
    }
}

impl<M: Machine> Machine for Linked<M> {
    type Note = M::Note;

    fn opened(&mut self, now: Time) {
        self.now = Some(now);
        self.machine.opened(now);
    }

    fn received(&mut self, now: Time, frame: Frame) {
        self.now = Some(now);
        match frame {
            // Whoever has closed takes nothing more, so nothing is left that it could overtake.
            Frame::Close(_) => self.machine.received(now, frame),
            frame => self.inward.push(now, frame),
        }
    }

    fn woken(&mut self, now: Time) {
        self.now = Some(now);
        self.machine.woken(now);
    }

    fn poll_output(&mut self) -> Option<Output<M::Note>> {
        let now = self.now?;
        while self.state != State::Closed {
            if let Some(output) = self.poll_link(now) {
                return Some(output);
            }
            // What is made when it is asked for is not asked for in advance.
            if self.state == State::Closing || !self.outward.wants_more() {
                return None;
            }
            match self.machine.poll_output()? {
                Output::Note(note) => return Some(Output::Note(note)),
                Output::Send(frame) => self.outward.push(now, frame),
                Output::Close(close) => {
                    self.state = State::Closing;
                    self.outward.push(now, Frame::Close(Some(close)));
                }
            }
        }
        None
    }

    fn deadline(&self) -> Option<Duration> {
        let inward = if self.state == State::Open { self.inward.deadline() } else { None };
        let machine = match self.state {
            State::Open if self.outward.wants_more() => self.machine.deadline(),
            State::Closed => return None,
            _ => None,
        };
        [inward, self.outward.deadline(), machine].into_iter().flatten().min()
    }

    fn wants_more(&self) -> bool {
        // A socket that is read answers pings and closings, which no half-open link does.
        self.inward.wants_more() && !self.inward.is_half_open() && self.machine.wants_more()
    }

    fn made(&mut self) -> Option<MadeFault> {
        self.inward.made().or_else(|| self.outward.made())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::sync::Arc;

    use super::*;
    use crate::{Echo, FaultPlan, LatencyProfile, Replay, Script};

    /// What a client hears, and when in ms, that says this at these times.
    fn heard<M: Machine>(
        machine: M,
        latency_ms: u64,
        faults: &str,
        said: &[(u64, &str)],
    ) -> Vec<(u64, String)> {
        let latency = LatencyProfile::fixed(Duration::from_millis(latency_ms));
        let link = LatencyInjector::new(latency, faults.parse::<FaultPlan>().unwrap());
        let mut linked = Linked::new(machine, &link, "/ws", 1);
        let time = |ms| Time { elapsed: Duration::from_millis(ms), unix_ms: 0 };
        let mut heard = Vec::new();
        let mut said = said.iter().peekable();
        let mut now = 0;
        linked.opened(time(0));
        loop {
            while let Some(output) = linked.poll_output() {
                match output {
                    Output::Send(Frame::Text(text)) => heard.push((now, text)),
                    Output::Close(close) => heard.push((now, format!("closed {}", close.code))),
                    _ => {}
                }
            }
            let deadline = linked.deadline().map(|it| u64::try_from(it.as_millis()).unwrap());
            match (said.peek().map(|(at, _)| *at), deadline) {
                (Some(at), deadline) if deadline.is_none_or(|deadline| at <= deadline) => {
                    now = at;
                    let (_, text) = said.next().unwrap();
                    linked.received(time(now), Frame::Text((*text).to_owned()));
                }
                (_, Some(deadline)) => {
                    assert!(deadline > now, "a deadline that is over is not waited for");
                    now = deadline;
                    linked.woken(time(now));
                }
                _ => return heard,
            }
        }
    }

    fn at(heard: &[(u64, &str)]) -> Vec<(u64, String)> {
        heard.iter().map(|(at, text)| (*at, (*text).to_owned())).collect()
    }

    #[test]
    fn a_message_takes_the_time_of_both_ways() {
        let heard = heard(Echo::new(), 50, "", &[(0, "a"), (10, "b")]);
        assert_eq!(heard, at(&[(100, "a"), (110, "b")]));
    }

    #[test]
    fn a_script_goes_by_when_messages_arrive_and_closes_behind_what_it_said() {
        let script = r#"{"text":"hello"}
{"ts":10,"text":"got it","waitFor":"^go$"}"#;
        let script = Arc::new(Script::parse(script.as_bytes(), true).unwrap());
        let heard = heard(Replay::new(script, 1), 50, "", &[(100, "go")]);
        assert_eq!(heard, at(&[(50, "hello"), (200, "got it"), (200, "closed 1000")]));
    }

    #[test]
    fn faults_hit_their_direction() {
        let faults = r#"drop("^lost$") in; duplicate("^twice$") out; close(4401) after 3 messages in"#;
        let heard = heard(Echo::new(), 0, faults, &[(0, "lost"), (1, "twice"), (2, "last"), (3, "never")]);
        assert_eq!(heard.last(), Some(&(2, "closed 4401".to_owned())));
        assert_eq!(heard[..2], at(&[(1, "twice"), (1, "twice")]));
    }

    #[test]
    fn a_link_that_is_full_is_not_read_on_and_asks_a_script_for_no_more() {
        let script = Script::parse(br#"{"text":"x","loop":true}"#, true).unwrap();
        let link = LatencyInjector::new(LatencyProfile::slow(), "stall".parse().unwrap());
        let mut linked = Linked::new(Replay::new(Arc::new(script), 1), &link, "/ws", 1);
        let time = |ms| Time { elapsed: Duration::from_millis(ms), unix_ms: 0 };
        linked.opened(time(0));
        let message = Frame::Binary(vec![0; 1 << 20].into());
        let mut taken = 0;
        while linked.wants_more() {
            linked.received(time(0), message.clone());
            taken += 1;
            assert!(taken < 1_000, "everything is taken");
        }
        // A day of a script that says something each millisecond: as much as the link holds.
        let mut polled = 0;
        for ms in [1, 1_000, 86_400_000] {
            linked.woken(time(ms));
            while linked.poll_output().is_some() {
                polled += 1;
            }
        }
        assert_eq!(polled, 0);
        assert_eq!((linked.outward.wants_more(), linked.deadline()), (false, None));
    }

    #[test]
    fn a_half_open_link_is_not_read_on_so_that_nothing_is_answered() {
        let link = LatencyInjector::new(
            LatencyProfile::fixed(Duration::ZERO),
            "half-open in after 2 messages".parse().unwrap(),
        );
        let mut linked = Linked::new(Echo::new(), &link, "/ws", 1);
        let now = Time { elapsed: Duration::ZERO, unix_ms: 0 };
        linked.opened(now);
        let mut answers = Vec::new();
        for text in ["a", "b", "c"] {
            assert_eq!(linked.wants_more(), text != "c");
            linked.received(now, Frame::Text(text.to_owned()));
            answers.extend(std::iter::from_fn(|| linked.poll_output()));
        }
        let sent = |text: &str| Output::Send(Frame::Text(text.to_owned()));
        assert_eq!(answers, [sent("a"), sent("b")]);
        assert_eq!(linked.deadline(), None);
    }
}
