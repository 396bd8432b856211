#![allow(clippy::unwrap_used)]

use super::*;

/// A replay in virtual time: what it says, and when in milliseconds.
struct Stage {
    replay: Replay,
    now_ms: u64,
    said: Vec<(u64, String)>,
    notes: Vec<Note>,
}

impl Stage {
    fn open(lines: &[&str]) -> Self {
        let script = Script::parse(lines.join("\n").as_bytes(), true).unwrap();
        let mut stage =
            Self { replay: Replay::new(Arc::new(script), 1), now_ms: 0, said: Vec::new(), notes: Vec::new() };
        stage.replay.opened(stage.now());
        stage.drain();
        stage
    }

    fn now(&self) -> Time {
        let elapsed = Duration::from_millis(self.now_ms);
        Time { elapsed, unix_ms: 1_705_314_600_000 + i64::try_from(self.now_ms).unwrap() }
    }

    fn drain(&mut self) {
        while let Some(output) = self.replay.poll_output() {
            let said = match output {
                Output::Send(Frame::Text(text)) => text,
                Output::Send(frame) => quoted(&frame),
                Output::Close(close) => format!("closed {} {}", close.code, close.reason),
                Output::Note(note) => {
                    self.notes.push(note);
                    continue;
                }
            };
            self.said.push((self.now_ms, said));
        }
    }

    /// Lets time pass, waking the machine when it wants to be.
    fn until(&mut self, ms: u64) -> &mut Self {
        while let Some(deadline) = self.replay.deadline().filter(|it| it.as_millis() <= u128::from(ms)) {
            self.now_ms = self.now_ms.max(u64::try_from(deadline.as_millis()).unwrap());
            self.replay.woken(self.now());
            self.drain();
        }
        self.now_ms = ms;
        self
    }

    fn hear(&mut self, frame: Frame) -> &mut Self {
        self.replay.received(self.now(), frame);
        self.drain();
        self
    }

    fn say(&mut self, text: &str) -> &mut Self {
        self.hear(Frame::Text(text.to_owned()))
    }

    #[track_caller]
    fn said(&self, expected: &[(u64, &str)]) {
        let said: Vec<(u64, &str)> = self.said.iter().map(|(at, text)| (*at, text.as_str())).collect();
        assert_eq!(said, expected);
    }
}

const PAGE: &[&str] = &[
    r#"{"ts":0,"dir":"out","text":"HELLO {{randInt 5 5}}","waitFor":"^CLIENT_READY$"}"#,
    r#"{"ts":10,"dir":"out","text":"{\"type\":\"welcome\",\"sessionId\":\"{{randInt 6 6}}\"}"}"#,
    r#"{"ts":20,"dir":"out","text":"{\"data\":{{randInt 7 7}}}","waitFor":"^ACK$"}"#,
];
const WELCOME: &str = r#"{"type":"welcome","sessionId":"6"}"#;
const DATA: &str = r#"{"data":7}"#;

#[test]
fn the_example_of_the_page_plays_as_a_reader_expects() {
    let mut stage = Stage::open(PAGE);
    stage.until(100).say("CLIENT_READY").until(300).say("ACK").until(1_000);
    stage.said(&[(100, "HELLO 5"), (110, WELCOME), (300, DATA), (300, "closed 1000 ")]);
}

#[test]
fn a_match_before_the_time_of_its_line_waits_for_the_time() {
    let mut stage = Stage::open(PAGE);
    stage.until(100).say("CLIENT_READY").until(105).say("ACK").until(1_000);
    stage.said(&[(100, "HELLO 5"), (110, WELCOME), (120, DATA), (120, "closed 1000 ")]);
}

#[test]
fn messages_that_come_before_their_lines_are_not_lost() {
    let mut stage = Stage::open(PAGE);
    stage.say("ACK").say("CLIENT_READY").until(1_000);
    stage.said(&[(0, "HELLO 5"), (10, WELCOME), (20, DATA), (20, "closed 1000 ")]);
}

#[test]
fn wait_for_is_no_substring() {
    let mut stage = Stage::open(PAGE);
    stage.say("NOT CLIENT_READY").say("CLIENT_READY?").until(60_000);
    stage.said(&[]);
    assert_eq!(stage.replay.line(), Some(1));
}

#[test]
fn what_follows_a_match_counts_from_it() {
    let mut stage = Stage::open(&[
        r#"{"ts":1000,"text":"a","waitFor":"^go$"}"#,
        r#"{"ts":1500,"text":"b"}"#,
        r#"{"ts":1500,"text":"c","waitFor":"^go$"}"#,
        r#"{"ts":1700,"text":"d"}"#,
    ]);
    stage.until(5_000).say("go").until(6_000).say("go").until(9_000);
    stage.said(&[(5_000, "a"), (5_500, "b"), (6_000, "c"), (6_200, "d"), (6_200, "closed 1000 ")]);
}

#[test]
fn a_late_wake_shifts_nothing_that_follows() {
    let mut stage = Stage::open(&[r#"{"ts":100,"text":"a"}"#, r#"{"ts":200,"text":"b"}"#]);
    stage.now_ms = 150;
    stage.replay.woken(stage.now());
    stage.drain();
    stage.until(1_000);
    stage.said(&[(150, "a"), (200, "b"), (200, "closed 1000 ")]);
}

#[test]
fn a_path_waits_for_json_and_its_find_is_a_capture() {
    let mut stage = Stage::open(&[r#"{"text":"hello {{1}}","waitFor":"$.user.name"}"#]);
    stage.say("ada").say(r#"{"user":"ada"}"#);
    stage.said(&[]);
    stage.say(r#"{"user":{"name":"ada"}}"#);
    stage.said(&[(0, "hello ada"), (0, "closed 1000 ")]);
}

#[test]
fn named_captures_stay_for_later_lines() {
    let mut stage = Stage::open(&[
        r#"{"text":"1 {{user}}","waitFor":"^LOGIN (?<user>\\w+)$"}"#,
        r#"{"text":"2 {{user}} {{0}}{{1}}","waitFor":"^more$"}"#,
    ]);
    stage.say("LOGIN ada").say("more");
    stage.said(&[(0, "1 ada"), (0, "2 ada more"), (0, "closed 1000 ")]);
}

#[test]
fn a_wait_ends_after_its_timeout_with_the_documented_code() {
    let mut stage = Stage::open(&[r#"{"ts":50,"text":"a","waitFor":"^go$","timeout":100}"#]);
    stage.until(149);
    stage.said(&[]);
    stage.until(150);
    stage.said(&[(150, "closed 4408 line 1 has waited too long")]);
    assert_eq!(stage.notes, [Note::Waits { line: 1 }, Note::TimedOut { line: 1 }]);
    assert_eq!(stage.replay.deadline(), None);
}

#[test]
fn a_message_at_the_last_moment_is_in_time_and_one_later_is_not() {
    let lines = &[r#"{"text":"a","waitFor":"^go$","timeout":100}"#];
    let mut stage = Stage::open(lines);
    stage.now_ms = 100;
    stage.say("go");
    stage.said(&[(100, "a"), (100, "closed 1000 ")]);
    // Nobody woke the machine in between.
    let mut stage = Stage::open(lines);
    stage.now_ms = 101;
    stage.say("go");
    stage.said(&[(101, "closed 4408 line 1 has waited too long")]);
}

#[test]
fn binary_messages_are_sent_and_expected() {
    let lines = &[r#"{"dir":"in","binary":"AAEC"}"#, r#"{"binary":"AwQ="}"#];
    let mut stage = Stage::open(lines);
    stage.hear(Frame::Binary(vec![0, 1, 2].into()));
    stage.said(&[(0, "2 binary bytes"), (0, "closed 1000 ")]);
    let mut stage = Stage::open(lines);
    stage.hear(Frame::Text("AAEC".to_owned()));
    stage.said(&[(0, "closed 4417 line 1 expects something else")]);
}

#[test]
fn an_expected_message_is_the_next_one_and_exactly_it() {
    let lines = &[r#"{"dir":"in","text":"a"}"#, r#"{"dir":"in","text":"b"}"#, r#"{"text":"ok"}"#];
    Stage::open(lines).say("a").say("b").said(&[(0, "ok"), (0, "closed 1000 ")]);
    let mut stage = Stage::open(lines);
    stage.say("a").say("x").say("b");
    stage.said(&[(0, "closed 4417 line 2 expects something else")]);
    let reason = r#"expects "b", got "x""#.to_owned();
    assert_eq!(stage.notes.last(), Some(&Note::Unexpected { line: 2, reason }));
}

#[test]
fn an_expected_message_comes_behind_the_last_that_was_taken() {
    let mut stage = Stage::open(&[
        r#"{"text":"hello","waitFor":"^ready$"}"#,
        r#"{"dir":"in","text":"a"}"#,
        r#"{"text":"late","waitFor":"^early$"}"#,
    ]);
    stage.say("early").say("ready").say("a");
    stage.said(&[(0, "hello"), (0, "late"), (0, "closed 1000 ")]);
}

#[test]
fn assertions_hold_messages_to_patterns() {
    let line = r#"{"dir":"in","assertions":[{"pattern":"$.type"},{"pattern":"$.password","expected":false,"description":"no secrets"}]}"#;
    Stage::open(&[line]).say(r#"{"type":"a"}"#).said(&[(0, "closed 1000 ")]);
    for (message, reason) in [
        ("{}", r#""{}" does not match $.type"#),
        (r#"{"type":1,"password":2}"#, r#"no secrets: "{\"type\":1,\"password\":2}" matches $.password"#),
    ] {
        let mut stage = Stage::open(&[line]);
        stage.say(message).said(&[(0, "closed 4417 line 1 expects something else")]);
        assert_eq!(stage.notes.last(), Some(&Note::Unexpected { line: 1, reason: reason.to_owned() }));
    }
}

#[test]
fn branches_go_where_the_first_pattern_says() {
    let lines = &[
        r#"{"step_id":"ask","text":"A or B?"}"#,
        r#"{"dir":"in","on_match":[{"pattern":"^(A)$","goto_step":"a"},{"pattern":"^B$","goto_step":"b"}]}"#,
        r#"{"text":"neither","goto_step":"ask"}"#,
        r#"{"step_id":"a","ts":5000,"text":"a {{1}}","close":4001}"#,
        r#"{"step_id":"b","ts":0,"text":"b"}"#,
        r#"{"ts":100,"text":"bb","close":{"code":4002,"reason":"bye"}}"#,
    ];
    let mut stage = Stage::open(lines);
    stage.until(10).say("C").until(20).say("A").until(9_000);
    stage.said(&[(0, "A or B?"), (10, "neither"), (10, "A or B?"), (20, "a A"), (20, "closed 4001 ")]);
    let mut stage = Stage::open(lines);
    stage.until(10).say("B").until(9_000);
    stage.said(&[(0, "A or B?"), (10, "b"), (110, "bb"), (110, "closed 4002 bye")]);
}

#[test]
fn a_loop_begins_anew_with_the_times_of_its_pass() {
    let mut stage = Stage::open(&[r#"{"ts":100,"text":"a"}"#, r#"{"ts":250,"text":"b","loop":true}"#]);
    stage.until(700);
    stage.said(&[(100, "a"), (250, "b"), (350, "a"), (500, "b"), (600, "a")]);
}

#[test]
fn a_loop_that_takes_no_time_is_no_flood() {
    for lines in [&[r#"{"text":"a","loop":true}"#], &[r#"{"step_id":"x","text":"a","goto_step":"x"}"#]] {
        let mut stage = Stage::open(lines);
        stage.until(50);
        assert_eq!(stage.said.len(), 52, "{:?}", stage.said);
    }
    let mut stage = Stage::open(&[r#"{"step_id":"x","goto_step":"x"}"#]);
    stage.until(50);
    stage.said(&[]);
}

#[test]
fn lines_that_are_all_due_are_made_one_by_one() {
    let lines: Vec<String> = (0..1_000).map(|line| format!("{{\"text\":\"{line}\"}}")).collect();
    let script = Script::parse(lines.join("\n").as_bytes(), true).unwrap();
    let mut replay = Replay::new(Arc::new(script), 1);
    replay.opened(Time { elapsed: Duration::ZERO, unix_ms: 0 });
    for line in 0..1_000 {
        assert_eq!(replay.poll_output(), Some(Output::Send(Frame::Text(line.to_string()))));
        assert!(replay.outputs.len() <= 2);
    }
}

#[test]
fn a_client_that_closes_where_that_is_expected_has_done_well() {
    let lines = &[r#"{"text":"a"}"#, r#"{"dir":"in","close":4001}"#];
    let closed = |code| Frame::Close(Some(CloseFrame { code, reason: String::new() }));
    let mut stage = Stage::open(lines);
    stage.hear(closed(4_001));
    assert_eq!(stage.notes.last(), Some(&Note::Finished));
    stage.said(&[(0, "a")]);
    let mut stage = Stage::open(lines);
    stage.hear(closed(1_000));
    let reason = "expects to be closed with 4001, got 1000".to_owned();
    assert!(stage.notes.contains(&Note::Unexpected { line: 2, reason }));
    let mut stage = Stage::open(&[r#"{"dir":"in"}"#]);
    stage.hear(Frame::Close(None));
    assert_eq!(stage.notes.last(), Some(&Note::LeftAt { line: 1 }));
    assert_eq!((stage.replay.line(), stage.replay.deadline()), (None, None));
}

#[test]
fn of_too_many_messages_the_oldest_are_forgotten_and_that_is_said() {
    let lines = &[r#"{"text":"hello","waitFor":"^ready$"}"#, r#"{"text":"first","waitFor":"^first$"}"#];
    let mut stage = Stage::open(lines);
    stage.say("first");
    for _ in 1..MAX_BACKLOG_MESSAGES {
        stage.say("x");
    }
    stage.say("ready");
    assert!(stage.notes.contains(&Note::Forgotten { messages: 1 }));
    stage.said(&[(0, "hello")]);
    // One fewer, and it is still there.
    let mut stage = Stage::open(lines);
    stage.say("first");
    for _ in 2..MAX_BACKLOG_MESSAGES {
        stage.say("x");
    }
    stage.say("ready");
    stage.said(&[(0, "hello"), (0, "first"), (0, "closed 1000 ")]);
}

#[test]
fn of_too_large_messages_the_oldest_are_forgotten_and_the_newest_is_kept() {
    let mut stage =
        Stage::open(&[r#"{"text":"hello","waitFor":"^x+$"}"#, r#"{"dir":"in"}"#, r#"{"text":"end"}"#]);
    let half = "y".repeat(MAX_BACKLOG_BYTES / 2);
    stage.say(&half).say(&half);
    assert_eq!(stage.replay.backlog.messages.len(), 2);
    stage.say("y");
    assert_eq!((stage.replay.backlog.messages.len(), stage.replay.backlog.bytes), (2, half.len() + 1));
    stage.say(&"x".repeat(MAX_BACKLOG_BYTES + 1));
    stage.said(&[(0, "hello")]);
    assert_eq!((stage.replay.backlog.messages.len(), stage.replay.backlog.bytes), (0, 0));
}
