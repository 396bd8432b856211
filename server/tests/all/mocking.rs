//! `rejoin mock`, as whoever types it has it.
#![allow(clippy::unwrap_used, missing_docs)]

use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use futures_util::{SinkExt, StreamExt};
use tokio_tungstenite::connect_async;
use tokio_tungstenite::tungstenite::Message;

const PAGE: &str = r#"{"ts":0,"dir":"out","text":"HELLO {{uuid}}","waitFor":"^CLIENT_READY$"}
{"ts":10,"dir":"out","text":"{\"type\":\"welcome\",\"sessionId\":\"{{uuid}}\"}"}
{"ts":20,"dir":"out","text":"{\"data\":{{randInt 1 100}}}","waitFor":"^ACK$"}
"#;

/// A mock on a port of its own; it ends with the test.
struct Mock {
    child: Child,
    url: String,
}

impl Mock {
    fn start(arguments: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_rejoin"))
            .arg("mock")
            .args(arguments)
            .args(["--port", "0"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut urls = lines.filter_map(|line| Some(line.unwrap().split_once("connect to ")?.1.to_owned()));
        let url = urls.next().unwrap();
        Self { child, url }
    }

    /// What a client hears that says all of this at once, until it is closed.
    async fn talk(&self, said: &[&str]) -> Vec<Message> {
        let (mut socket, _) = connect_async(&self.url).await.unwrap();
        for text in said {
            socket.send(Message::text(*text)).await.unwrap();
        }
        let mut heard = Vec::new();
        while let Some(Ok(message)) = socket.next().await {
            heard.push(message);
        }
        heard
    }
}

impl Drop for Mock {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn mock(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_rejoin")).arg("mock").args(arguments).output().unwrap()
}

#[tokio::test]
async fn an_echo_answers_at_its_path() {
    let mock = Mock::start(&["echo", "--path", "/here"]);
    assert!(mock.url.ends_with("/here"), "{}", mock.url);
    let (mut socket, _) = connect_async(&mock.url).await.unwrap();
    socket.send(Message::text("a")).await.unwrap();
    assert_eq!(socket.next().await.unwrap().unwrap(), Message::text("a"));
}

#[tokio::test]
async fn events_are_streamed_as_many_as_are_wanted() {
    let mock = Mock::start(&["events", "IoT sensors in a greenhouse", "--count", "4", "--seed", "1"]);
    let heard = mock.talk(&[]).await;
    assert_eq!(heard.len(), 5, "{heard:?}");
    for (number, event) in heard[..4].iter().enumerate() {
        let event: serde_json::Value = serde_json::from_str(event.to_text().unwrap()).unwrap();
        assert!(event["type"].is_string() && event["timestamp"].is_string() && event["data"].is_object());
        let first = event["sequence"].as_u64().unwrap() - number as u64;
        assert!(first <= 1, "{event}");
    }
}

#[test]
fn test_code_may_ask_where_it_is_told_so() {
    let status = |arguments: &[&str]| {
        let mock = Mock::start(arguments);
        let address = mock.url.strip_prefix("ws://").unwrap().trim_end_matches("/ws");
        let mut stream = std::net::TcpStream::connect(address).unwrap();
        stream
            .write_all(b"GET /__mock/connections HTTP/1.1\r\nhost: mock\r\nconnection: close\r\n\r\n")
            .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer.split(' ').nth(1).unwrap().to_owned()
    };
    assert_eq!(status(&["echo", "--admin"]), "200");
    assert_eq!(status(&["echo"]), "404");
}

#[tokio::test]
async fn a_script_plays_the_same_with_the_same_seed() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("replay.jsonl");
    std::fs::write(&file, PAGE).unwrap();
    let mut runs = Vec::new();
    for _ in 0..2 {
        let mock = Mock::start(&["replay", path(&file), "--seed", "7"]);
        runs.push(mock.talk(&["CLIENT_READY", "ACK"]).await);
    }
    assert_eq!(runs[0], runs[1]);
    assert_eq!(runs[0].len(), 4);
    assert!(!runs[0][0].to_text().unwrap().contains("{{"));
    let mock = Mock::start(&["replay", path(&file), "--expand", "0"]);
    assert_eq!(mock.talk(&["CLIENT_READY", "ACK"]).await[0], Message::text("HELLO {{uuid}}"));
}

#[tokio::test]
async fn what_is_recorded_through_the_mock_plays_again() {
    let folder = tempfile::tempdir().unwrap();
    let (file, recorded) = (folder.path().join("replay.jsonl"), folder.path().join("recorded.jsonl"));
    std::fs::write(&file, PAGE).unwrap();
    let upstream = Mock::start(&["replay", path(&file)]);
    let proxy = Mock::start(&["record", path(&recorded), &upstream.url, "--redact-key", "sessionId"]);
    let heard = proxy.talk(&["CLIENT_READY", "ACK"]).await;
    while !std::fs::read_to_string(&recorded).unwrap().contains("close") {
        tokio::task::yield_now().await;
    }
    let again = Mock::start(&["replay", path(&recorded)]).talk(&["CLIENT_READY", "ACK"]).await;
    assert_eq!((&heard[0], &heard[2..]), (&again[0], &again[2..]));
    assert_eq!(again[1], Message::text(r#"{"sessionId":"[redacted]","type":"welcome"}"#));
}

#[tokio::test]
async fn messages_take_time_and_go_wrong_as_told() {
    let faults = "drop(\"^lost$\") in; close(4401 \"enough\") after 3 messages in";
    let mock = Mock::start(&["echo", "--latency", "20ms", "--fault", faults]);
    let started = std::time::Instant::now();
    let heard = mock.talk(&["lost", "a", "last"]).await;
    assert!(started.elapsed() >= std::time::Duration::from_millis(20), "{:?}", started.elapsed());
    let Some(Message::Close(Some(close))) = heard.last() else { panic!("{heard:?}") };
    assert_eq!((u16::from(close.code), close.reason.as_str()), (4_401, "enough"));
    assert!(!heard.contains(&Message::text("lost")), "{heard:?}");
}

#[test]
fn scripts_are_checked_before_they_are_played() {
    let folder = tempfile::tempdir().unwrap();
    let (good, bad) = (folder.path().join("good.jsonl"), folder.path().join("bad.jsonl"));
    std::fs::write(&good, PAGE).unwrap();
    std::fs::write(&bad, "{\"text\":\"a\"}\n{\"text\":\"{{uid}}\"}\n").unwrap();
    let output = mock(&["check", path(&good), path(&bad)]);
    let said = String::from_utf8(output.stdout).unwrap();
    let expected = format!(
        "ok   {}: 3 lines\nFAIL {}: line 2: text: at character 1 of the text: {{{{uid}}}} is no token",
        good.display(),
        bad.display()
    );
    assert!(!output.status.success() && said.starts_with(&expected), "{said}");
    assert!(mock(&["check", path(&good)]).status.success());
    let output = mock(&["replay", path(&bad), "--port", "0"]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success() && said.contains("bad.jsonl: line 2: text: "), "{said}");
}

#[test]
fn a_command_is_run_against_a_fresh_mock_and_its_status_is_the_mocks() {
    let run = |command: &str| mock(&["echo", "--ci", "--cmd", command]);
    let output = run("echo heard $REJOIN_MOCK_URL; exit 7");
    let said = String::from_utf8(output.stdout).unwrap();
    let url = said.lines().find_map(|line| line.strip_prefix("WebSockets connect to ")).unwrap();
    assert!(said.contains(&format!("heard {url}")), "{said}");
    assert_eq!(output.status.code(), Some(7));
    assert_eq!(run("true").status.code(), Some(0));
    assert_eq!(run("kill -9 $$").status.code(), Some(1));
}

#[test]
fn what_cannot_be_served_is_said() {
    for (arguments, expected) in [
        (&["proxy", "http://a", "--port", "0"][..], "it has to begin with ws:// or wss://"),
        (&["proxy", "ws://a", "--rule", "x", "--port", "0"], "take a pattern of paths, = and an address"),
        (&["events", "--rate", "0", "--port", "0"], "rejoin: "),
        (&["events", "--schema", "/nowhere.json", "--port", "0"], "/nowhere.json: "),
        (&["echo", "--fault", "drip", "--port", "0"], "column 1"),
        (&["echo", "--path", "here", "--port", "0"], "path cannot be \"here\": it has to begin with /"),
        (&["record", "x", "ws://a", "--redact", "(", "--port", "0"], "unclosed group"),
    ] {
        let output = mock(arguments);
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success() && said.contains(expected), "{arguments:?}: {said}");
    }
}
