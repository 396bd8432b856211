#![allow(clippy::unwrap_used)]

use super::*;
use crate::TemplateErrorKind;

const PAGE: &str = r#"{"ts":0,"dir":"out","text":"HELLO {{uuid}}","waitFor":"^CLIENT_READY$"}
{"ts":10,"dir":"out","text":"{\"type\":\"welcome\",\"sessionId\":\"{{uuid}}\"}"}
{"ts":20,"dir":"out","text":"{\"data\":{{randInt 1 100}}}","waitFor":"^ACK$"}
"#;

fn parsed(text: &str) -> Script {
    Script::parse(text.as_bytes(), true).unwrap()
}

fn refused(text: &str) -> String {
    Script::parse(text.as_bytes(), true).unwrap_err().to_string()
}

#[test]
fn the_example_of_the_page_is_read() {
    let script = parsed(PAGE);
    let lines: Vec<(u32, u128)> = script.steps.iter().map(|step| (step.line, step.at.as_millis())).collect();
    assert_eq!(lines, [(1, 0), (2, 10), (3, 20)]);
}

#[test]
fn empty_lines_carriage_returns_and_a_byte_order_mark_do_no_harm() {
    let script = parsed("\u{feff}\r\n{\"text\":\"a\"}\r\n\n  \n{\"text\":\"b\"}");
    assert_eq!(script.steps.iter().map(|step| step.line).collect::<Vec<_>>(), [2, 5]);
}

#[test]
fn what_is_wrong_is_named_with_its_line() {
    for (text, expected) in [
        ("", "line 1: there is nothing to play"),
        ("{\"text\":\"a\"}\n\n{\"text\":", "line 3: column 8: EOF while parsing a value"),
        (r#"{"text":"a","waitfor":"b"}"#, "line 1: column 21: unknown field `waitfor`, expected one of"),
        (r#"{"text":"a","text":"b"}"#, "line 1: column 18: duplicate field `text`"),
        (r#"{"ts":-1,"text":"a"}"#, "line 1: column 8: invalid value: integer `-1`"),
        (r#"{"dir":"up","text":"a"}"#, "line 1: column 11: unknown variant `up`, expected `in` or `out`"),
        (
            r#"{"text":"a","waitFor":"("}"#,
            "line 1: waitFor: the regular expression cannot be used: unclosed group",
        ),
        (r#"{"text":"a","waitFor":"$["}"#, "line 1: waitFor: the JSONPath has an error at character"),
        (r#"{"text":"a {{uid}}"}"#, "line 1: text: at character 3 of the text: {{uid}} is no token"),
        (r#"{"text":"{{1}}"}"#, "line 1: text: at character 1 of the text: no pattern has a group 1"),
        (r#"{"binary":"?"}"#, "line 1: binary is no base64: Invalid symbol 63, offset 0."),
        (r#"{"text":"a","binary":"AA=="}"#, "line 1: a line has a text or is binary, not both"),
        (r#"{"close":1005}"#, "line 1: close: no endpoint may send this code"),
        (r#"{"close":false}"#, "line 1: close: false means nothing"),
        (r#"{"close":"bye"}"#, "line 1: column 15: close is true, a code, or"),
        (r#"{"close":{"reason":"bye"}}"#, "line 1: close: a reason needs a code"),
        (r#"{"text":"a","goto_step":"x"}"#, "line 1: goto_step \"x\" is the step_id of no line"),
        ("{\"step_id\":\"x\"}\n{\"step_id\":\"x\"}", "line 2: step_id \"x\" is that of line 1 too"),
        (
            r#"{"text":"a","on_match":[{"pattern":"a","goto_step":"x"}]}"#,
            "line 1: on_match and assertions are for",
        ),
        (r#"{"text":"a","timeout":5}"#, "line 1: a timeout is for a line that waits"),
        (r#"{"dir":"in","text":"a","close":true}"#, "line 1: a closing has no text"),
        (r#"{"step_id":"x","close":true,"goto_step":"x"}"#, "line 1: nothing comes after close"),
        ("{\"loop\":true}\n{\"text\":\"a\"}", "line 1: loop is for the last line"),
        (r#"{"step_id":"x","loop":true,"goto_step":"x"}"#, "line 1: a line has loop or goto_step"),
    ] {
        let error = refused(text);
        assert!(error.starts_with(expected), "{text}: {error}");
    }
}

#[test]
fn bytes_that_are_no_text_are_refused_with_their_line() {
    let error = Script::parse(b"{\"text\":\"a\"}\n{\"text\":\"\xff\"}", true).unwrap_err();
    assert_eq!(error, ScriptError { line: 2, kind: ScriptErrorKind::NotText });
}

#[test]
fn times_do_not_go_back_but_may_begin_anew_where_a_branch_does() {
    let error = refused("{\"ts\":500,\"text\":\"a\"}\n{\"ts\":100,\"text\":\"b\"}");
    assert!(error.starts_with("line 2: ts goes back from 500 to 100"), "{error}");
    parsed("{\"ts\":500,\"text\":\"a\"}\n{\"step_id\":\"x\",\"ts\":100,\"text\":\"b\"}");
    parsed("{\"ts\":500,\"text\":\"a\",\"goto_step\":\"x\"}\n{\"ts\":0}\n{\"ts\":0,\"step_id\":\"x\"}");
}

#[test]
fn a_line_without_a_time_has_that_of_the_line_before() {
    let script = parsed("{\"text\":\"a\"}\n{\"ts\":7,\"text\":\"b\"}\n{\"text\":\"c\"}");
    assert_eq!(script.steps.iter().map(|step| step.at.as_millis()).collect::<Vec<_>>(), [0, 7, 7]);
}

#[test]
fn without_expansion_braces_are_braces() {
    let script = Script::parse(br#"{"text":"{{nothing}}"}"#, false).unwrap();
    let Some(Content::Text(text)) = &script.steps[0].send else { panic!("a text") };
    assert_eq!(*text, Template::literal("{{nothing}}"));
}

#[test]
fn a_line_can_say_for_itself_whether_it_is_expanded() {
    let script = parsed("{\"text\":\"{{nothing}}\",\"expand\":false}");
    let Some(Content::Text(text)) = &script.steps[0].send else { panic!("a text") };
    assert_eq!(*text, Template::literal("{{nothing}}"));
    assert!(Script::parse(br#"{"text":"{{nothing}}","expand":true}"#, false).is_err());
}

#[test]
fn a_capture_may_be_named_in_a_line_further_up() {
    parsed(
        "{\"step_id\":\"again\",\"text\":\"{{user}}\"}\n\
         {\"text\":\"b\",\"waitFor\":\"(?<user>.*)\",\"goto_step\":\"again\"}",
    );
    let error = Script::parse(br#"{"text":"{{user}}"}"#, true).unwrap_err();
    let ScriptErrorKind::Template(error) = error.kind else { panic!("{error}") };
    assert_eq!(error.kind, TemplateErrorKind::Unknown("user".to_owned()));
}

#[test]
fn a_time_is_at_most_a_year() {
    let year = MAX_SCRIPT_TIME.as_millis();
    parsed(&format!("{{\"ts\":{year},\"text\":\"a\"}}"));
    let error = refused(&format!("{{\"ts\":{},\"text\":\"a\"}}", year + 1));
    assert!(error.ends_with("a script takes at most a year"), "{error}");
}

#[test]
fn lines_are_bounded_in_number() {
    let line = "{\"ts\":1}\n";
    let most = line.repeat(MAX_SCRIPT_LINES);
    assert_eq!(parsed(&most).lines(), MAX_SCRIPT_LINES);
    let error = Script::parse(format!("{most}{line}").as_bytes(), true).unwrap_err();
    assert_eq!(error, ScriptError { line: MAX_SCRIPT_LINES + 1, kind: ScriptErrorKind::TooManyLines });
}

#[test]
fn lines_and_scripts_are_bounded_in_bytes() {
    let line = |bytes: usize| format!("{{\"text\":\"{}\"}}\n", "x".repeat(bytes - 11));
    let longest = line(MAX_LINE_BYTES);
    parsed(&longest);
    let error = Script::parse(line(MAX_LINE_BYTES + 1).as_bytes(), true).unwrap_err();
    assert_eq!(error, ScriptError { line: 1, kind: ScriptErrorKind::LineTooLong });
    let mut script = longest + &line(MAX_SCRIPT_BYTES - MAX_LINE_BYTES - 2);
    assert_eq!(script.len(), MAX_SCRIPT_BYTES);
    parsed(&script);
    script.push('\n');
    let error = Script::parse(script.as_bytes(), true).unwrap_err();
    assert_eq!(error.kind, ScriptErrorKind::ScriptTooLarge);
}

#[test]
fn patterns_are_bounded_in_number_and_shared() {
    let line = |number: usize| format!("{{\"text\":\"a\",\"waitFor\":\"^{number}$\"}}\n");
    let most: String = (0..MAX_SCRIPT_PATTERNS).map(line).collect();
    parsed(&format!("{most}{}", line(0)));
    let error = Script::parse(format!("{most}{}", line(MAX_SCRIPT_PATTERNS)).as_bytes(), true).unwrap_err();
    assert_eq!(error, ScriptError { line: MAX_SCRIPT_PATTERNS + 1, kind: ScriptErrorKind::TooManyPatterns });
}
