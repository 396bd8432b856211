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

/// What a mock answers to test code.
fn asked(mock: &Mock, path: &str) -> String {
    let address = mock.url.strip_prefix("ws://").unwrap().trim_end_matches("/ws");
    let mut stream = std::net::TcpStream::connect(address).unwrap();
    let request = format!("GET /__mock/{path} HTTP/1.1\r\nhost: mock\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[tokio::test]
async fn the_command_shows_what_it_counts() {
    let mock = Mock::start(&["echo", "--admin"]);
    let (mut socket, _) = connect_async(&mock.url).await.unwrap();
    socket.send(Message::text("hello")).await.unwrap();
    assert_eq!(socket.next().await.unwrap().unwrap(), Message::text("hello"));
    let counted = asked(&mock, "metrics");
    for line in [
        "rejoin_mock_connections_total 1",
        "rejoin_mock_messages_total{direction=\"in\"} 1",
        "rejoin_mock_message_bytes_total{direction=\"in\"} 5",
    ] {
        assert!(counted.lines().any(|shown| shown == line), "{line} in {counted}");
    }
}

#[test]
fn test_code_may_ask_where_it_is_told_so() {
    let status = |arguments: &[&str]| {
        let answer = asked(&Mock::start(arguments), "connections");
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

#[cfg(unix)]
#[test]
fn a_mock_that_is_told_to_end_ends_its_command_too_and_does_not_look_well() {
    for (signal, expected) in [("-TERM", 143), ("-INT", 130)] {
        let folder = tempfile::tempdir().unwrap();
        let mark = folder.path().join("told");
        // The shell waits for another, which says that it listens and that it was told; a pipe of its own says when
        // both are gone.
        let command = format!(
            "sh -c 'trap \"touch {}; exit 3\" TERM; echo begun; while :; do sleep 0.05; done'; true",
            mark.display()
        );
        let mut mock = Command::new(env!("CARGO_BIN_EXE_rejoin"))
            .args(["mock", "echo", "--ci", "--cmd", &command])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(mock.stdout.take().unwrap()).lines().map(Result::unwrap);
        assert!(lines.any(|line| line == "begun"));
        let killed = std::process::Command::new("kill").args([signal, &mock.id().to_string()]).status();
        assert!(killed.unwrap().success());
        assert_eq!(mock.wait().unwrap().code(), Some(expected));
        // Nobody holds the output any more.
        assert_eq!(lines.next(), None);
        assert!(mark.exists());
    }
}

#[tokio::test]
async fn what_a_script_did_not_get_is_said_while_a_command_runs() {
    let folder = tempfile::tempdir().unwrap();
    let script = folder.path().join("script.jsonl");
    std::fs::write(&script, "{\"dir\":\"in\",\"text\":\"A\"}\n").unwrap();
    // The command runs as long as it is given something to read.
    let mut child = Command::new(env!("CARGO_BIN_EXE_rejoin"))
        .args(["mock", "replay", script.to_str().unwrap(), "--ci", "--cmd", "cat"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    let url = lines.find_map(|line| Some(line.split_once("connect to ")?.1.to_owned())).unwrap();
    let (mut socket, _) = connect_async(&url).await.unwrap();
    socket.send(Message::text("B")).await.unwrap();
    while let Some(Ok(_)) = socket.next().await {}
    drop(child.stdin.take());
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success() && said.contains("line 1") && said.contains("got"), "{said}");
}

#[test]
fn what_cannot_be_served_is_said() {
    for (arguments, expected) in [
        (&["proxy", "http://a", "--port", "0"][..], "it has to begin with ws:// or wss://"),
        (&["proxy", "ws://a", "--rule", "x", "--port", "0"], "take a pattern of paths, = and an address"),
        (
            &["echo", "--fault", "drop(yjs.step3)", "--port", "0"],
            "line 1, column 6\n\ndrop(yjs.step3)\n     ^ no message",
        ),
        (&["echo", "--latency", "5ms slow", "--port", "0"], "5ms slow\n    ^ here should be the end"),
        (&["chaos", "--profile", "odd", "--port", "0"], "take mild or wild"),
        (&["--port", "0"], "or a file with --config"),
        (&["events", "--rate", "0", "--port", "0"], "rejoin: "),
        (&["events", "--schema", "/nowhere.json", "--port", "0"], "/nowhere.json: "),
        (&["echo", "--fault", "drip", "--port", "0"], "column 1"),
        (&["echo", "--max-connections", "0", "--port", "0"], "--max-connections"),
        (&["echo", "--max-message-bytes", "0", "--port", "0"], "--max-message-bytes"),
        (&["echo", "--path", "here", "--port", "0"], "path cannot be \"here\": it has to begin with /"),
        (&["record", "x", "ws://a", "--redact", "(", "--port", "0"], "unclosed group"),
        (&["record", "/nowhere/x", "ws://a", "--port", "0"], "there is no folder /nowhere"),
    ] {
        let output = mock(arguments);
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success() && said.contains(expected), "{arguments:?}: {said}");
    }
}

/// The lines that a mock with `--log json` has written, until one of them fits.
fn lines_until(lines: &mut impl Iterator<Item = String>, event: &str) -> Vec<serde_json::Value> {
    let mut read: Vec<serde_json::Value> = Vec::new();
    while read.last().is_none_or(|line| line["event"] != event) {
        read.push(serde_json::from_str(&lines.next().unwrap()).unwrap());
    }
    read
}

/// What a mock says on standard output, line by line; it ends with the guard.
fn logged(arguments: &[&str]) -> (Mock, impl Iterator<Item = String> + use<>, Vec<serde_json::Value>) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_rejoin"))
        .arg("mock")
        .args(arguments)
        .args(["--port", "0", "--log", "json"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    let start = lines_until(&mut lines, "listening");
    let url = start.last().unwrap()["urls"][0].as_str().unwrap().to_owned();
    (Mock { child, url }, lines, start)
}

#[tokio::test]
async fn what_happens_is_written_as_json_a_line_each() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("replay.jsonl");
    std::fs::write(&file, PAGE).unwrap();
    let (mock, mut lines, _) = logged(&["replay", path(&file), "--fault", "duplicate(text) in times=1"]);
    mock.talk(&["CLIENT_READY", "ACK"]).await;
    let told = lines_until(&mut lines, "gone");
    for line in &told {
        assert!(line["unix_ms"].as_i64().unwrap() > 1_600_000_000_000, "{line}");
        assert_eq!((&line["connection"], &line["path"]), (&0.into(), &"/ws".into()));
    }
    let of = |event: &str, key: &str| -> Vec<serde_json::Value> {
        told.iter().filter(|line| line["event"] == event).map(|line| line[key].clone()).collect()
    };
    assert_eq!(told[0]["event"], "opened");
    let out = |dir: &&serde_json::Value| **dir == "out";
    assert_eq!(of("message", "dir").iter().filter(out).count(), 3);
    assert_eq!(of("message", "bytes")[..2].iter().filter(|it| **it == 12).count(), 1, "{told:?}");
    assert!(of("message", "kind").contains(&"json.welcome".into()), "{told:?}");
    assert!(of("note", "text")[0].as_str().unwrap().contains("wait"), "{told:?}");
    assert_eq!((of("fault", "fault"), of("fault", "kind")), (vec!["duplicate".into()], vec!["text".into()]));
    assert!(of("closing", "code").contains(&1_000.into()), "{told:?}");
}

#[tokio::test]
async fn chaos_says_its_seed_first_and_has_the_same_faults_with_it_again() {
    // Both with an echo of their own and in front of a server.
    let upstream = Mock::start(&["echo"]);
    for more in [&[][..], &["--upstream", &upstream.url]] {
        let run = |seed: &str| {
            let mut arguments =
                vec!["chaos", "--profile", "mild", "--seed", seed, "--fault", "close(4400) on \"^end$\" in"];
            arguments.extend(more);
            let (mock, mut lines, start) = logged(&arguments);
            async move {
                let said: Vec<String> = (0..60).map(|number| format!("message {number}")).collect();
                let mut said: Vec<&str> = said.iter().map(String::as_str).collect();
                said.push("end");
                mock.talk(&said).await;
                let told = lines_until(&mut lines, "gone");
                // How the directions meet is left to chance, and what the client is answered may be cut off by the end.
                let inward = told.iter().filter(|line| line["event"] == "fault" && line["dir"] == "in");
                (start[0].clone(), inward.map(|line| line["fault"].to_string()).collect::<Vec<_>>())
            }
        };
        let (first, again, other) = (run("3").await, run("3").await, run("4").await);
        assert_eq!((&first.0["event"], &first.0["seed"]), (&"chaos".into(), &"3".into()));
        assert!(!first.1.is_empty());
        assert_eq!(first, again);
        assert_ne!(first, other);
    }
    let (_mock, _lines, start) = logged(&["chaos"]);
    assert!(start[0]["seed"].as_str().unwrap().parse::<u64>().is_ok() && start[0]["profile"] == "mild");
}

/// The example of the documentation, with its files.
fn example(folder: &Path, upstream: &str) -> std::path::PathBuf {
    let text = include_str!("../../../docs/mock.md");
    let (_, example) = text.split_once("```toml\n").unwrap();
    let (example, _) = example.split_once("```").unwrap();
    let file = folder.join("mock.toml");
    std::fs::write(&file, example.replace("ws://localhost:9000/ws", upstream)).unwrap();
    std::fs::write(folder.join("session.jsonl"), PAGE).unwrap();
    file
}

#[tokio::test]
async fn each_path_of_a_configuration_does_what_it_says() {
    let folder = tempfile::tempdir().unwrap();
    let upstream = Mock::start(&["echo"]);
    let file = example(folder.path(), &upstream.url);
    let (mock, _lines, start) = logged(&["--config", path(&file)]);
    let urls: Vec<&str> =
        start[0]["urls"].as_array().unwrap().iter().map(|it| it.as_str().unwrap()).collect();
    let at = |path: &str| {
        let url = urls.iter().find(|url| url.ends_with(path)).unwrap();
        Mock { child: Command::new("true").spawn().unwrap(), url: (*url).to_owned() }
    };
    assert_eq!(urls.len(), 5);
    let (mut socket, _) = connect_async(&at("/echo").url).await.unwrap();
    socket.send(Message::text("a")).await.unwrap();
    assert_eq!(socket.next().await.unwrap().unwrap(), Message::text("a"));
    let heard = at("/session").talk(&["CLIENT_READY", "ACK"]).await;
    assert!(heard.len() == 4 && heard[0].to_text().unwrap().starts_with("HELLO "), "{heard:?}");
    let heard = at("/prices").talk(&[]).await;
    assert_eq!(heard.len(), 21, "20 events and a closing");
    // The fault of the example closes after 100 messages of the client.
    let said = vec!["x"; 100];
    let heard = at("/live").talk(&said).await;
    let Some(Message::Close(Some(close))) = heard.last() else { panic!("{heard:?}") };
    assert_eq!(u16::from(close.code), 4_401);
    assert!(connect_async(&at("/echo").url.replace("/echo", "/nowhere")).await.is_err());
    drop(mock);
    let output = mock_output_of(&["check", path(&file)]);
    assert_eq!(output, format!("ok   {}: 5 paths\n", file.display()));
}

fn mock_output_of(arguments: &[&str]) -> String {
    String::from_utf8(mock(arguments).stdout).unwrap()
}

#[test]
fn an_error_in_a_configuration_names_file_line_and_key() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("mock.toml");
    for (text, expected) in [
        ("port = 1\n", "missing field `paths`"),
        ("[paths]\n", "there are no paths"),
        ("prot = 1\n[paths.\"/a\"]\n", "unknown field `prot`"),
        ("[paths.\"/a\"]\n\nscrpt = \"x\"\n", "line 3, column 1"),
        (
            "[paths.\"/a\"]\nfault = \"drip\"\n",
            "mock.toml: line 2: paths.\"/a\".fault: line 1, column 1\n\ndrip\n^ there is no",
        ),
        ("[paths.\"/a\"]\nlatency = \"slowly\"\n", "line 2: paths.\"/a\".latency: "),
        ("[paths.\"/a\"]\n\nchaos = \"odd\"\n", "line 3: paths.\"/a\".chaos: take mild or wild"),
        ("[paths.\"/a\"]\nchaos = \"mild\"\n", "paths.\"/a\".chaos: name a seed"),
        ("[paths.\"/a\"]\n[paths.\"/b\"]\nscript = \"none.jsonl\"\n", "line 3: paths.\"/b\".script: "),
        (
            "[paths.\"/a\"]\nevents = \"\"\nupstream = \"ws://a\"\n",
            "line 2: paths.\"/a\".events: a path has one of",
        ),
        ("[paths.\"/a\"]\ncount = 3\n", "line 2: paths.\"/a\".count: it belongs to events"),
        ("[paths.\"/a\"]\nupstream = \"http://a\"\n", "it has to begin with ws:// or wss://"),
        ("[paths.\"/__mock/a\"]\n", "test code asks there"),
        ("[paths.\"a\"]\n", "it has to begin with /"),
        ("port = 1\nbind = \"127.0.0.1:1\"\n[paths.\"/a\"]\n", "take port or bind, not both"),
    ] {
        std::fs::write(&file, text).unwrap();
        let output = mock(&["check", path(&file)]);
        let said = String::from_utf8(output.stdout).unwrap();
        assert!(!output.status.success(), "{text}");
        assert!(
            said.starts_with("FAIL ") && said.contains("mock.toml") && said.contains(expected),
            "{text}: {said}"
        );
    }
}
