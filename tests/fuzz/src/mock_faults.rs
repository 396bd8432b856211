//! Plans of faults, as whoever tests writes them, and what goes over a link that has them.

use std::time::Duration;

use bytes::Bytes;
use rejoin_mock::{Direction, FaultPlan, Faults, Frame, Passed, Time};

use crate::input::Input;

/// Frames that one push makes at most: 64 of its own, and 64 that were aside.
const MOST_PASSED: usize = 100_000;

/// A plan behind its length, which reads back as it is shown; and frames on a link that has these faults.
pub fn faults(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let length = usize::from(input.pair());
    let Ok(text) = std::str::from_utf8(input.take(length)) else { return };
    let plan: FaultPlan = match text.parse() {
        Ok(plan) => plan,
        Err(error) => {
            assert!(error.rendered().contains('^') && error.column() >= 1 && error.line() >= 1);
            return;
        }
    };
    let shown = plan.to_string();
    let again = shown.parse::<FaultPlan>().map(|plan| plan.to_string()).map_err(|error| error.rendered());
    assert_eq!(again.as_ref(), Ok(&shown), "{text:?}");
    let mut faults = plan.machine(Direction::In, "/ws", 7);
    let mut now = Time { elapsed: Duration::ZERO, unix_ms: 0 };
    while !input.is_empty() {
        now.elapsed += Duration::from_millis(input.byte().into());
        let kind = input.below(4);
        let length = input.byte().into();
        let content = input.take(length);
        let frame = match kind {
            0 => Frame::Text(String::from_utf8_lossy(content).into_owned()),
            1 => Frame::Ping(Bytes::new()),
            2 if length == 0 => Frame::Close(None),
            _ => Frame::Binary(Bytes::copy_from_slice(content)),
        };
        faults.push(now, frame);
        drain(&mut faults, now);
    }
    // What is held back comes when its time has come, and then there is nothing more to wait for.
    for _ in 0..MOST_PASSED {
        let Some(deadline) = faults.deadline() else { return };
        now.elapsed = now.elapsed.max(deadline);
        drain(&mut faults, now);
    }
    panic!("its deadlines have no end");
}

fn drain(faults: &mut Faults, now: Time) {
    let mut closed = false;
    for _ in 0..MOST_PASSED {
        match faults.poll(now) {
            Some(passed) => {
                assert!(!closed, "something passes behind a closing");
                closed = matches!(passed, Passed::Close(_));
            }
            None => {
                assert!(faults.deadline().is_none_or(|deadline| deadline > now.elapsed), "it is late");
                assert!(!closed || (faults.deadline().is_none() && !faults.wants_more()));
                return;
            }
        }
    }
    panic!("what passes has no end");
}

const PLANS: &[&str] = &[
    "drop(yjs.step2) p=0.1; delay(presence) 400ms±100; close(4401) after 3 updates",
    "duplicate by 16; reorder(\"^a\", $.x) by 2 in path=/v1/*",
    "corrupt 3 bytes p=0.5; truncate(text) to 4 bytes times=2\nthrottle 1.5KiB/s # narrow",
    "stall 2s after 10 messages; half-open(binary) after 1m",
    "delay normal(40ms, 10ms) out; delay pareto(5ms, 1.5) in; stall 5ms after 40ms",
    "reorder; duplicate(yjs) by 2; close(4000 \"go \\\"away\\\"\") on json.bye",
];

/// Two steps of `y-websocket`, a text and a closing.
const SAID: &[u8] = b"\x01\x03\x04\x00\x00\x01\x00\x02\x03\x05\x00\x02\x02\x00\x00\x09\x00\x02ab\x00\x02\x00";

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let framed = |plan: &&str| {
        let length = u16::try_from(plan.len()).expect("the seeds are short").to_le_bytes();
        [&length[..], plan.as_bytes(), SAID].concat()
    };
    PLANS.iter().map(framed).collect()
}
