use std::net::SocketAddr;
use std::path::Path;

use rejoin_mock::{
    MockOptions, RecordOptions, Redactions, WsProxyConfig, WsProxyHandler, router_with_options,
    router_with_proxy,
};
use tokio_tungstenite::tungstenite::Message;

use super::support::{Client, serve};

/// A server that is recorded: it says, expects, and closes with a code of its own.
const UPSTREAM: &str = r#"{"text":"welcome {{no token}}"}
{"ts":5,"binary":"AAEC"}
{"dir":"in","binary":"/w=="}
{"text":"got it"}
{"text":"token t0ps3cret","waitFor":"^who\\?$"}
{"close":{"code":4321,"reason":"that is all"}}"#;

async fn replay(script: &Path) -> SocketAddr {
    let mut options = MockOptions::default();
    options.script = Some(script.to_owned());
    serve(router_with_options(options).unwrap()).await
}

/// What the client hears when it always says the same.
async fn talk(address: SocketAddr) -> Vec<Message> {
    let mut client = Client::connect(address).await;
    let mut heard = vec![client.hear().await, client.hear().await];
    client.send(Message::binary(vec![255])).await;
    heard.push(client.hear().await);
    client.say("who?").await;
    let (rest, close) = client.rest().await;
    heard.extend(rest);
    assert_eq!(close, Some((4_321, "that is all".to_owned())));
    heard
}

/// The lines of a recording without their times.
fn lines(path: &Path) -> Vec<serde_json::Value> {
    let text = std::fs::read_to_string(path).unwrap();
    let line = |line| {
        let mut line: serde_json::Value = serde_json::from_str(line).unwrap();
        assert!(line["ts"].take().is_u64());
        line
    };
    text.lines().map(line).collect()
}

#[tokio::test]
async fn a_recording_plays_the_same_conversation_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    std::fs::write(path("upstream.jsonl"), UPSTREAM).unwrap();
    let mut upstream = replay(&path("upstream.jsonl")).await;
    let mut transcripts = Vec::new();
    for name in ["first.jsonl", "second.jsonl"] {
        let proxy = WsProxyHandler::new(WsProxyConfig::to(format!("ws://{upstream}/ws")))
            .record(RecordOptions::to(path(name)));
        transcripts.push(talk(serve(router_with_proxy(proxy)).await).await);
        // The recording is whole once its last line, the closing, is in the file.
        while !std::fs::read_to_string(path(name)).unwrap().contains("that is all") {
            tokio::task::yield_now().await;
        }
        upstream = replay(&path(name)).await;
    }
    transcripts.push(talk(upstream).await);
    assert_eq!(transcripts[0], transcripts[1]);
    assert_eq!(transcripts[0], transcripts[2]);
    assert_eq!(transcripts[0].len(), 4);
    assert_eq!(lines(&path("first.jsonl")), lines(&path("second.jsonl")));
    assert_eq!(lines(&path("first.jsonl")).len(), 7);
}

#[tokio::test]
async fn secrets_are_not_in_the_recording() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    std::fs::write(path("upstream.jsonl"), UPSTREAM).unwrap();
    let upstream = replay(&path("upstream.jsonl")).await;
    let redactions = Redactions::new().pattern("t0p\\w+", "…").unwrap();
    let proxy = WsProxyHandler::new(WsProxyConfig::to(format!("ws://{upstream}/ws")))
        .record(RecordOptions::to(path("recorded.jsonl")).redacted(redactions));
    let heard = talk(serve(router_with_proxy(proxy)).await).await;
    assert_eq!(heard.last(), Some(&Message::text("token t0ps3cret")));
    while !std::fs::read_to_string(path("recorded.jsonl")).unwrap().contains("that is all") {
        tokio::task::yield_now().await;
    }
    let text = std::fs::read_to_string(path("recorded.jsonl")).unwrap();
    assert!(text.contains("token …") && !text.contains("t0p"), "{text}");
}

#[tokio::test]
async fn a_client_that_closes_is_recorded_and_expected_to() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("recorded.jsonl");
    let echo = serve(router_with_options(MockOptions::default()).unwrap()).await;
    let proxy =
        WsProxyHandler::new(WsProxyConfig::to(format!("ws://{echo}/ws"))).record(RecordOptions::to(&path));
    let mut client = Client::connect(serve(router_with_proxy(proxy)).await).await;
    client.say("a").await;
    assert_eq!(client.hear_text().await, "a");
    client.close(4_007, "").await;
    client.rest().await;
    while !std::fs::read_to_string(&path).unwrap().contains("4007") {
        tokio::task::yield_now().await;
    }
    let expected = [
        serde_json::json!({"ts": null, "dir": "in", "text": "a"}),
        serde_json::json!({"ts": null, "dir": "out", "text": "a"}),
        serde_json::json!({"ts": null, "dir": "in", "close": {"code": 4007, "reason": ""}}),
    ];
    assert_eq!(lines(&path), expected);
}
