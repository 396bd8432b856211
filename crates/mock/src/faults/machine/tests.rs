#![allow(clippy::unwrap_used)]

use super::*;
use crate::LatencyInjector;
use crate::limits::MAX_MESSAGE_BYTES;

fn at(ms: u64) -> Time {
    Time { elapsed: Duration::from_millis(ms), unix_ms: 0 }
}

fn text(text: impl Into<String>) -> Frame {
    Frame::Text(text.into())
}

fn machine(plan: &str) -> Faults {
    seeded(plan, 1)
}

fn seeded(plan: &str, seed: u64) -> Faults {
    plan.parse::<FaultPlan>().unwrap().machine(Direction::In, "/ws", seed)
}

fn shown(passed: Passed) -> String {
    match passed {
        Passed::Frame(Frame::Text(text)) => text,
        Passed::Frame(Frame::Binary(bytes)) => format!("{bytes:?}"),
        Passed::Frame(frame) => format!("{frame:?}"),
        Passed::Close(close) => format!("close {} {}", close.code, close.reason),
    }
}

/// What passes at that time.
fn passing(faults: &mut Faults, ms: u64) -> Vec<String> {
    std::iter::from_fn(|| faults.poll(at(ms))).map(shown).collect()
}

/// Pushes messages, one each ms, and follows the deadlines until there is none: when what passes.
fn run(faults: &mut Faults, frames: impl IntoIterator<Item = Frame>) -> Vec<(u64, String)> {
    let mut seen = Vec::new();
    let mut frames = frames.into_iter().enumerate().peekable();
    loop {
        let next = frames.peek().map(|(index, _)| at(*index as u64).elapsed);
        let Some(now) = [next, faults.deadline()].into_iter().flatten().min() else { return seen };
        let now = Time { elapsed: now, unix_ms: 0 };
        if let Some((_, frame)) = frames.next_if(|(index, _)| at(*index as u64) <= now) {
            faults.push(now, frame);
        }
        while let Some(passed) = faults.poll(now) {
            seen.push((u64::try_from(now.elapsed.as_millis()).unwrap(), shown(passed)));
        }
        assert!(faults.deadline().is_none_or(|it| it > now.elapsed), "a deadline that is over");
    }
}

fn numbers(count: usize) -> impl Iterator<Item = Frame> {
    (0..count).map(|number| text(number.to_string()))
}

fn texts(seen: &[(u64, String)]) -> Vec<&str> {
    seen.iter().map(|(_, text)| text.as_str()).collect()
}

#[test]
fn without_faults_everything_passes_at_once_and_in_order() {
    let seen = run(&mut machine(""), numbers(5));
    assert_eq!(seen, (0..5).map(|it| (it, it.to_string())).collect::<Vec<_>>());
}

#[test]
fn a_share_is_dropped_and_the_same_seed_drops_the_same() {
    let seen = |seed| run(&mut seeded("drop p=0.1", seed), numbers(5_000));
    let first = seen(1);
    assert!((4_400..4_600).contains(&first.len()), "{}", first.len());
    assert_eq!(first, seen(1));
    assert_ne!(first, seen(2));
    assert!(run(&mut machine("drop p=0"), numbers(9)).len() == 9);
    assert!(run(&mut machine("drop p=1"), numbers(9)).is_empty());
}

#[test]
fn a_fault_of_one_kind_leaves_the_others_alone() {
    let step1 = Frame::Binary(Bytes::from_static(&[0, 0, 1, 0]));
    let step2 = Frame::Binary(Bytes::from_static(&[0, 1, 2, 0, 0]));
    let all = [step1.clone(), step2.clone(), step2.clone(), step1.clone(), step2.clone()];
    let kept = |plan| run(&mut machine(plan), all.clone()).into_iter().map(|(at, _)| at).collect::<Vec<_>>();
    assert_eq!(kept("drop(yjs.step2)"), [0, 3]);
    assert_eq!(kept("drop(yjs.step2) times=1"), [0, 2, 3, 4]);
    assert_eq!(kept("drop(yjs.step2) after 1 yjs.step2 times=1"), [0, 1, 3, 4], "the second sync step 2");
    assert_eq!(kept("drop(binary)"), [0, 1, 2, 3, 4], "they are known better");
    assert_eq!(kept("drop(yjs) after 3ms"), [0, 1, 2]);
}

#[test]
fn patterns_select_texts() {
    let all = [text("a1"), text("b"), text(r#"{"n":1}"#), Frame::Binary("a1".into())];
    let seen = run(&mut machine(r#"drop("^a\d$", "$.n")"#), all);
    assert_eq!(texts(&seen), ["b", "b\"a1\""]);
}

#[test]
fn rules_are_for_directions_and_paths() {
    let plan: FaultPlan = "drop in path=/v1/*".parse().unwrap();
    let passes = |direction, path| run(&mut plan.machine(direction, path, 1), [text("a")]).len() == 1;
    assert!(!passes(Direction::In, "/v1/a"));
    assert!(
        passes(Direction::Out, "/v1/a") && passes(Direction::In, "/v2/a") && passes(Direction::In, "/v1/a/b")
    );
}

#[test]
fn copies_follow_their_message() {
    assert_eq!(texts(&run(&mut machine("duplicate by 2 times=1"), numbers(2))), ["0", "0", "0", "1"]);
    let many = run(&mut machine("duplicate by 16; duplicate by 16"), numbers(1));
    assert_eq!(many.len(), MAX_OVERTAKING);
}

#[test]
fn the_next_messages_overtake_one_that_is_reordered() {
    assert_eq!(texts(&run(&mut machine("reorder"), numbers(4))), ["1", "0", "3", "2"]);
    assert_eq!(texts(&run(&mut machine("reorder by 2 times=1"), numbers(4))), ["1", "2", "0", "3"]);
    let alone = run(&mut machine("reorder by 5 times=1"), numbers(2));
    assert_eq!(alone, [(1, "1".to_owned()), (1_000, "0".to_owned())], "it does not wait for ever");
    let closed = run(&mut machine("reorder by 5"), [text("a"), Frame::Close(None)]);
    assert_eq!(texts(&closed), ["a", "Close(None)"], "a closing overtakes nothing");
}

#[test]
fn corrupt_messages_differ_and_texts_stay_texts() {
    let mut faults = machine("corrupt 2 bytes");
    for content in [&b"x"[..], b"0123456789"] {
        faults.push(at(0), Frame::Binary(Bytes::from_static(content)));
        let Some(Passed::Frame(Frame::Binary(bytes))) = faults.poll(at(0)) else { panic!("no bytes") };
        assert_eq!(bytes.len(), content.len());
        if content.len() == 10 {
            assert!((1..=2).contains(&bytes.iter().zip(content).filter(|(a, b)| a != b).count()));
        }
    }
    for _ in 0..200 {
        let mut faults = seeded("corrupt", 7);
        faults.push(at(0), text("äöü€"));
        assert_ne!(passing(&mut faults, 0), ["äöü€"]);
    }
    assert_eq!(texts(&run(&mut machine("corrupt"), [text("")])), [""]);
}

#[test]
fn truncated_messages_keep_their_beginning() {
    assert_eq!(texts(&run(&mut machine("truncate to 4 bytes"), [text("a€€"), text("ab")])), ["a€", "ab"]);
    assert_eq!(texts(&run(&mut machine("truncate to 0 bytes"), [text("ab")])), [""]);
    for seed in 0..50 {
        let seen = run(&mut seeded("truncate", seed), [text("abcdef")]);
        assert!("abcde".starts_with(texts(&seen)[0]), "by one at least: {seen:?}");
    }
}

#[test]
fn what_is_delayed_holds_back_what_follows() {
    let all = [text(r#"{"type":"slow"}"#), text("b")];
    let seen = run(&mut machine("delay(json.slow) 400ms"), all);
    assert_eq!(seen.iter().map(|(at, _)| *at).collect::<Vec<_>>(), [400, 400]);
    assert_eq!(seen[1].1, "b", "in order");
    assert_eq!(run(&mut machine("delay 10ms; delay 5ms"), [text("a")])[0].0, 15);
}

#[test]
fn delays_and_latencies_have_the_percentiles_of_their_laws() {
    // Each message waits until the one before has passed, so that only its own time is seen.
    let measure = |mut faults: Faults| {
        let mut now = Duration::ZERO;
        let mut taken: Vec<_> = (0..5_000)
            .map(|_| {
                let start = now;
                faults.push(Time { elapsed: now, unix_ms: 0 }, text("a"));
                assert_eq!(faults.poll(Time { elapsed: now, unix_ms: 0 }), None, "not yet");
                now = faults.deadline().unwrap();
                assert!(faults.poll(Time { elapsed: now, unix_ms: 0 }).is_some());
                (now - start).as_secs_f64() * 1_000.0
            })
            .collect();
        taken.sort_by(f64::total_cmp);
        [taken[2_500], taken[4_950]]
    };
    let near = |measured: [f64; 2], expected: [f64; 2]| {
        for (measured, expected) in measured.into_iter().zip(expected) {
            assert!((measured - expected).abs() < expected * 0.04, "{measured} is not {expected}");
        }
    };
    near(measure(machine("delay 400ms±100")), [400.0, 498.0]);
    near(measure(machine("delay normal(400ms, 100ms)")), [400.0, 632.6]);
    let slow = LatencyInjector::new(LatencyProfile::slow(), FaultPlan::default());
    near(measure(slow.machine(Direction::Out, "/ws", 1)), [550.0, 795.0]);
    let both =
        LatencyInjector::new(LatencyProfile::fixed(Duration::from_millis(5)), "delay 7ms".parse().unwrap());
    near(measure(both.machine(Direction::Out, "/ws", 1)), [12.0, 12.0]);
}

#[test]
fn a_narrow_link_takes_its_time_for_each_byte() {
    let frames = [text("x".repeat(500)), text("y".repeat(1_000)), text("")];
    let seen = run(&mut machine("throttle 1kB/s"), frames);
    assert_eq!(seen.iter().map(|(at, _)| *at).collect::<Vec<_>>(), [500, 1_500, 1_500]);
}

#[test]
fn a_stall_holds_back_all_that_comes_in_it() {
    let times = |plan| run(&mut machine(plan), numbers(4)).iter().map(|(at, _)| *at).collect::<Vec<_>>();
    assert_eq!(times("stall 100ms"), [100; 4]);
    assert_eq!(times("stall 100ms after 2ms"), [0, 1, 102, 102]);
    assert_eq!(times("stall 100ms after 2 messages"), [0, 1, 101, 101]);
    assert_eq!(times("stall(\"2\") 100ms"), [0, 1, 102, 102]);
    assert_eq!(times("stall after 1 message"), [0]);
    assert_eq!(times("stall 5ms; stall 10ms after 4ms"), [14; 4]);
    assert!(times("stall").is_empty());
}

#[test]
fn half_of_a_link_swallows_everything() {
    let seen = |plan| texts(&run(&mut machine(plan), numbers(4))).len();
    assert_eq!(seen("half-open"), 0);
    assert_eq!(seen("half-open after 2ms"), 2);
    assert_eq!(seen("half-open after 3 messages"), 3);
    assert_eq!(seen("half-open(\"1\")"), 1);
    assert_eq!(seen("delay 10ms; half-open after 5ms"), 0, "what is on its way is lost too");
    let mut faults = machine("half-open");
    for _ in 0..5 {
        faults.push(at(0), text("x".repeat(MAX_MESSAGE_BYTES)));
        assert!(faults.wants_more(), "it is not known from outside");
    }
    faults.push(at(1), Frame::Close(None));
    assert_eq!((faults.poll(at(9)), faults.deadline()), (None, None));
}

#[test]
fn a_closing_comes_behind_what_sets_it_off() {
    let seen = |plan| run(&mut machine(plan), numbers(4));
    assert_eq!(texts(&seen("close(4401 \"no\") after 3 messages")), ["0", "1", "2", "close 4401 no"]);
    assert_eq!(seen("close(4000)"), [(0, "close 4000 ".to_owned())]);
    assert_eq!(texts(&seen("close(4000) after 2ms")), ["0", "1", "close 4000 "]);
    assert_eq!(texts(&seen("close(4000) on \"1\"")), ["0", "1", "close 4000 "]);
    assert_eq!(texts(&seen("delay 10ms; close(4000) after 5ms")), ["close 4000 "]);
    assert_eq!(texts(&seen("close(4001) after 3ms; close(4000) after 2ms")), ["0", "1", "close 4000 "]);
    let updates = (0..9).map(|_| Frame::Binary(Bytes::from_static(&[0, 2, 2, 0, 0])));
    assert_eq!(run(&mut machine("close(4401) after 3 updates"), updates).len(), 4);
    let mut late = machine("close(4000) after 5ms");
    late.push(at(1), text("a"));
    assert_eq!(passing(&mut late, 900), ["a", "close 4000 "], "what came before it passes before it");
    assert!(!late.wants_more());
}

#[test]
fn a_full_queue_asks_its_source_to_wait() {
    let mut faults = machine("delay 10ms");
    let message = text("x".repeat(MAX_MESSAGE_BYTES));
    faults.push(at(0), message.clone());
    assert!(faults.wants_more());
    faults.push(at(0), message.clone());
    assert!(!faults.wants_more(), "two of the largest");
    assert_eq!(passing(&mut faults, 10).len(), 2);
    assert!(faults.wants_more());
    let mut small = machine("stall");
    let most = MAX_HELD_BYTES / FRAME_COST_BYTES;
    for index in 0..most {
        assert!(small.wants_more(), "{index}");
        small.push(at(0), text(""));
    }
    assert!(!small.wants_more(), "empty messages count too");
    let mut aside = machine("reorder by 64");
    aside.push(at(0), message.clone());
    aside.push(at(0), message);
    assert_eq!(passing(&mut aside, 0).len(), 1);
    assert_eq!(passing(&mut aside, 1_000).len(), 1);
    assert_eq!(aside.held_bytes, 0);
}

#[test]
fn another_rule_changes_nothing_for_those_before_it() {
    let dropped = |plan| {
        let kept = run(&mut seeded(plan, 5), numbers(300));
        kept.into_iter().map(|(_, text)| text).collect::<Vec<_>>()
    };
    assert_eq!(dropped("drop p=0.3"), dropped("drop p=0.3; delay 1ms p=0.5"));
}

#[test]
fn directions_draw_by_themselves() {
    let plan: FaultPlan = "drop p=0.5".parse().unwrap();
    let seen = |direction| run(&mut plan.machine(direction, "/ws", 1), numbers(64));
    assert_ne!(seen(Direction::In), seen(Direction::Out));
}

#[test]
fn of_the_faults_that_nobody_asks_for_the_newest_are_kept() {
    let mut faults = machine("drop");
    let told = |faults: &mut Faults| std::iter::from_fn(|| faults.made()).count();
    run(&mut faults, numbers(MAX_MADE_FAULTS));
    assert_eq!(told(&mut faults), MAX_MADE_FAULTS);
    run(&mut faults, numbers(MAX_MADE_FAULTS + 1));
    assert_eq!(told(&mut faults), MAX_MADE_FAULTS);
}
