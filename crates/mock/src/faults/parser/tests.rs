#![allow(clippy::unwrap_used)]

use super::*;
use crate::{FaultPlan, random::Random};

fn plan(text: &str) -> Result<FaultPlan, FaultError> {
    text.parse()
}

/// Plans in their own words, which are also how they are shown.
const PLANS: &[&str] = &[
    "",
    "drop(yjs.step2) p=0.1",
    "drop",
    "drop(\"^HELLO\", presence) in path=\"/v1/*\" p=0.25 after 2s times=3",
    "duplicate(update) by 3",
    "duplicate",
    "reorder(message) by 2 out",
    "corrupt(yjs.update) 3 bytes",
    "truncate(text) to 10 bytes",
    "truncate",
    "delay(presence) 300ms..500ms",
    "delay 1500us",
    "delay 7ns",
    "delay normal(400ms, 100ms) p=0.5",
    "delay pareto(50ms, 1.5)",
    "throttle 65536B/s out",
    "stall 2s after 10 messages",
    "stall(rejoin.push) p=0.01",
    "half-open after 1 message",
    "half-open",
    "close(4401) after 3 updates",
    "close(4401 \"go \\\"away\\\" \\\\ now\") on json.bye, yjs.step2 times=1",
    "drop(\"\\\\d+\"); drop(\"$[?@.type=='auth']\")",
];

#[test]
fn plans_are_shown_as_they_are_written() {
    for text in PLANS {
        assert_eq!(
            plan(text).map_err(|error| error.rendered()).map(|it| it.to_string()),
            Ok((*text).to_owned())
        );
    }
    let all = PLANS.iter().filter(|it| !it.is_empty()).copied().collect::<Vec<_>>().join("; ");
    assert_eq!(plan(&all).unwrap().to_string(), all);
}

#[test]
fn the_same_can_be_said_in_other_words() {
    for (text, shown) in [
        (" ; drop ( yjs ) ;; stall ; ", "drop(yjs); stall"),
        ("drop # what comes\n# nothing\nstall", "drop; stall"),
        ("delay 400ms±100", "delay 300ms..500ms"),
        ("delay 400ms+-100ms", "delay 300ms..500ms"),
        ("delay 1s±2", "delay 0s..3s"),
        ("delay 0.25s", "delay 250ms"),
        ("delay slow", "delay 300ms..800ms"),
        ("delay normal in", "delay 50ms..200ms in"),
        ("bandwidth 1.5KiB/s", "throttle 1536B/s"),
        ("throttle 8kbit/s", "throttle 1000B/s"),
        ("close(4000) after 3", "close(4000) after 3 messages"),
        ("drop(presence) after 3 in", "drop(presence) in after 3 messages"),
        ("drop(updates)", "drop(update)"),
        ("drop(\"\\d\")", "drop(\"\\\\d\")"),
        ("drop path=/v1/**; stall", "drop path=\"/v1/**\"; stall"),
        ("stall 1m", "stall 60s"),
    ] {
        let read = plan(text).map_err(|error| error.rendered()).map(|it| it.to_string());
        assert_eq!(read, Ok(shown.to_owned()), "{text}");
        assert_eq!(plan(shown).unwrap().to_string(), shown);
    }
}

#[test]
fn errors_name_their_place() {
    for (text, line, column, says) in [
        ("dorp", 1, 1, "there is no fault \"dorp\""),
        ("(yjs)", 1, 1, "here should be the name of a fault"),
        ("drop(yjs.step3)", 1, 6, "is it \"yjs.step1\"?"),
        ("drop(quux)", 1, 6, "no message is called \"quux\""),
        ("drop()", 1, 6, "a kind of message"),
        ("drop(yjs", 1, 9, "closing parenthesis"),
        ("drop(\"(\")", 1, 6, "the regular expression cannot be used"),
        ("drop(\"$[\")", 1, 6, "the JSONPath has an error"),
        ("drop(\"abc", 1, 6, "between two quotes"),
        ("drop p=1.1", 1, 8, "from 0 to 1"),
        ("drop p=x", 1, 8, "a number"),
        ("drop p=0.1 p=0.2", 1, 12, "stands twice"),
        ("drop in out", 1, 9, "stands twice"),
        ("drip(foo)", 1, 1, "drip"),
        ("in", 1, 1, "in"),
        ("drop foo", 1, 6, "in, out"),
        ("drop 5", 1, 6, "in, out"),
        ("delay(yjs)", 1, 11, "a time"),
        ("delay 5", 1, 7, "a time such as"),
        ("delay 5parsecs", 1, 7, "a time such as"),
        ("delay 25h", 1, 7, "24 hours"),
        ("delay 9ms..5ms", 1, 12, "not below the first"),
        ("delay pareto(1s, 0)", 1, 18, "above 0"),
        ("throttle 5", 1, 10, "a rate"),
        ("throttle 0B/s", 1, 10, "from 1 to"),
        ("duplicate by 17", 1, 14, "from 1 to 16"),
        ("reorder by 0", 1, 12, "from 1 to 64"),
        ("corrupt 3", 1, 10, "bytes"),
        ("close", 1, 6, "a close code"),
        ("close(1005)", 1, 7, "no endpoint may send"),
        ("close(70000)", 1, 7, "from 0 to 65535"),
        ("drop after", 1, 11, "a whole number"),
        ("drop after 0", 1, 12, "from 1 to"),
        ("drop path=v1", 1, 11, "begins with /"),
        ("stall\n  drop(yös)", 2, 8, "no message is called"),
        ("delay(\"ü\") 5", 1, 12, "a time such as"),
    ] {
        let error = plan(text).unwrap_err();
        assert!(error.to_string().contains(says), "{text}: {error}");
        assert_eq!((error.line(), error.column()), (line, column), "{text}: {error}");
    }
}

#[test]
fn the_caret_stands_below_what_is_wrong() {
    let error = plan("stall\ndelay(\"ü\") 5 in").unwrap_err();
    let shown = "delay(\"ü\") 5 in\n           ^ here should be a time such as 400ms or 2s";
    assert_eq!(error.rendered(), shown);
    assert_eq!(plan("\tdorp").unwrap_err().rendered().lines().nth(1).unwrap()[..2], *"\t^");
}

#[test]
fn plans_have_limits() {
    let rules = |count: usize| vec!["drop"; count].join(";");
    assert!(plan(&rules(MAX_FAULT_RULES)).is_ok());
    assert_eq!(*plan(&rules(MAX_FAULT_RULES + 1)).unwrap_err().kind(), FaultErrorKind::TooManyRules);
    let kinds = |count: usize| format!("drop({})", vec!["yjs"; count].join(","));
    assert!(plan(&kinds(MAX_FAULT_SELECTORS)).is_ok());
    assert_eq!(*plan(&kinds(MAX_FAULT_SELECTORS + 1)).unwrap_err().kind(), FaultErrorKind::TooManyKinds);
    assert!(plan(&" ".repeat(MAX_FAULT_PLAN_BYTES)).is_ok());
    assert_eq!(*plan(&" ".repeat(MAX_FAULT_PLAN_BYTES + 1)).unwrap_err().kind(), FaultErrorKind::TooLong);
    assert!(plan("delay 24h; duplicate by 16; reorder by 64").is_ok());
}

#[test]
fn any_text_is_a_plan_or_an_error_and_what_is_shown_reads_back() {
    let mut random = Random::new(3);
    let mut read = 0;
    for _ in 0..20_000 {
        let mut text: Vec<char> = PLANS[random.below(PLANS.len())].chars().collect();
        for _ in 0..random.below(4) {
            let other: Vec<char> =
                PLANS[random.below(PLANS.len())].chars().chain("±\"\\\n;#é".chars()).collect();
            let at = random.below(text.len() + 1);
            match random.below(3) {
                0 => text.insert(at, other[random.below(other.len())]),
                1 if at < text.len() => drop(text.remove(at)),
                _ => text.splice(at.., other).for_each(drop),
            }
        }
        let text: String = text.into_iter().collect();
        match plan(&text) {
            Ok(plan) => {
                let shown = plan.to_string();
                let again = shown.parse::<FaultPlan>().map_err(|error| error.rendered());
                assert_eq!(again.map(|it| it.to_string()), Ok(shown));
                read += 1;
            }
            Err(error) => assert!(error.rendered().contains('^')),
        }
    }
    assert!(read > 1_000, "{read}");
}
