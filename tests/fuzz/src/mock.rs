//! What whoever writes scripts for a mock gives it: scripts, texts with tokens, patterns, and clients that say anything while a script is played.

use std::sync::Arc;
use std::time::Duration;

use rejoin_mock::{
    Captures, Expander, Frame, KnownCaptures, Machine, MessagePattern, Output, Replay, Script, Template, Time,
};

use crate::input::Input;

/// Outputs that are looked at between two inputs of the machine: a script that is all due has no more lines than its bytes.
const MOST_OUTPUTS: usize = 20_000;

/// A text with tokens, which is the same each time that it is expanded from the same seed; and the same text as a pattern.
pub fn texts(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok(template) = Template::parse(text, &KnownCaptures::default()) {
        let expanded = || Expander::new(7).expand(&template, 1_705_314_600_000, &Captures::default());
        assert_eq!(expanded(), expanded());
    }
    if let Ok(pattern) = MessagePattern::parse(text) {
        for message in [text, "", "{}", r#"{"type":"auth","users":[{"name":"ada"}]}"#] {
            assert_eq!(pattern.captures(message).is_some(), pattern.matches(message));
        }
    }
}

/// A script behind its length, and what a client says while it is played.
pub fn replay(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let length = usize::from(input.pair());
    let Ok(script) = Script::parse(input.take(length), true) else { return };
    let mut replay = Replay::new(Arc::new(script), 7);
    let mut now = Time { elapsed: Duration::ZERO, unix_ms: 0 };
    replay.opened(now);
    let mut over = drain(&mut replay, now);
    while !input.is_empty() && !over {
        now.elapsed += Duration::from_millis(input.byte().into());
        match input.below(4) {
            0 => replay.woken(now),
            1 => replay.received(now, Frame::Close(None)),
            2 => {
                let length = input.byte().into();
                replay.received(now, Frame::Binary(bytes::Bytes::copy_from_slice(input.take(length))));
            }
            _ => {
                let length = input.byte().into();
                let text = String::from_utf8_lossy(input.take(length)).into_owned();
                replay.received(now, Frame::Text(text));
            }
        }
        over = drain(&mut replay, now);
    }
}

/// Takes the outputs, and says whether the machine has closed: then it says nothing more and wants nothing.
fn drain(replay: &mut Replay, now: Time) -> bool {
    let mut over = false;
    for _ in 0..MOST_OUTPUTS {
        match replay.poll_output() {
            Some(Output::Send(_)) => assert!(!over, "something is sent behind a closing"),
            Some(Output::Close(close)) => {
                assert!(!over && close.check().is_ok(), "{close:?}");
                over = true;
            }
            Some(Output::Note(_)) => {}
            None => {
                let deadline = replay.deadline();
                assert!(
                    deadline.is_none_or(|deadline| deadline > now.elapsed),
                    "it is late for {deadline:?}"
                );
                assert!(!over || deadline.is_none());
                return over;
            }
        }
    }
    // A loop that has fallen behind catches up.
    true
}

const TEXTS: &[&str] = &[
    "HELLO {{uuid}} at {{now}}, {{now+1h}} or {{now-90s}}",
    r#"{"data":{{randInt 1 100}},"b":{"c":{{randInt -5 5}}}}"#,
    r"\{{uuid}} {{{uuid}}}",
    "^LOGIN (?<user>\\w+)$",
    "$.users[?@.name=='ada'].name",
    "$[?$.type=='auth']",
    "$..*",
];

pub(crate) fn text_seeds() -> Vec<Vec<u8>> {
    TEXTS.iter().map(|text| text.as_bytes().to_vec()).collect()
}

const SCRIPTS: &[&str] = &[
    r#"{"ts":0,"dir":"out","text":"HELLO {{uuid}}","waitFor":"^CLIENT_READY$"}
{"ts":10,"dir":"out","text":"{\"type\":\"welcome\",\"sessionId\":\"{{uuid}}\"}"}
{"ts":20,"dir":"out","text":"{\"data\":{{randInt 1 100}}}","waitFor":"^ACK$"}"#,
    r#"{"step_id":"ask","text":"A or B?"}
{"dir":"in","timeout":50,"on_match":[{"pattern":"^(A)$","goto_step":"a"}],"assertions":[{"pattern":"x","expected":false}]}
{"ts":10,"binary":"AAEC","goto_step":"ask"}
{"step_id":"a","text":"a {{1}}","close":{"code":4001,"reason":"bye"}}"#,
    "{\"text\":\"x\"}\n{\"dir\":\"in\",\"close\":true}",
    r#"{"ts":5,"text":"again","loop":true}"#,
];

/// What a client says behind a script: both words of the first one, at once and later.
const SAID: &[u8] = b"\x01\x03\x0cCLIENT_READY\x20\x03\x03ACK\x20\x03\x01A\x20\x02\x01x\x20\x00\x00\x01";

pub(crate) fn replay_seeds() -> Vec<Vec<u8>> {
    let framed = |script: &&str| {
        let length = u16::try_from(script.len()).expect("the seeds are short").to_le_bytes();
        [&length[..], script.as_bytes(), SAID].concat()
    };
    SCRIPTS.iter().map(framed).collect()
}
