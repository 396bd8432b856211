//! Generated events, and a stub that speaks the APIs of the providers.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::ws::WebSocketUpgrade;
use axum::extract::{Request, State};
use axum::http::HeaderMap;
use axum::response::Response;
use axum::routing::{any, post};
use futures_util::stream;
use rejoin_mock::{
    AiEventGenerator, ApiKey, EventAction, EventCondition, EventError, EventSummary, MessagePattern,
    ReplayAugmentationConfig, Scenario, WebSocketAiConfig,
};
use serde_json::{Value, json};
use tokio::sync::{Notify, mpsc};
use tokio_tungstenite::tungstenite::Message;

use super::support::{Client, serve};

const KEY: &str = "sk-very-secret";

/// A part of what the stub answers.
#[derive(Clone)]
enum Piece {
    /// What the model writes.
    Text(String),
    /// Nothing until somebody says so.
    Wait(Arc<Notify>),
    /// Nothing ever.
    Silence,
    /// The connection breaks.
    Cut,
    Raw(&'static str),
}

#[derive(Clone)]
enum Reply {
    Status(u16, &'static str),
    Stream(Vec<Piece>),
}

#[derive(Default)]
struct Stub {
    replies: Mutex<VecDeque<Reply>>,
    heard: Mutex<Vec<(String, HeaderMap, Value)>>,
}

impl Stub {
    async fn serve(replies: Vec<Reply>) -> (Arc<Self>, SocketAddr) {
        let stub = Arc::new(Self { replies: Mutex::new(replies.into()), heard: Mutex::default() });
        let router = Router::new().route("/{*path}", post(answer)).with_state(stub.clone());
        let address = serve(router).await;
        (stub, address)
    }

    fn asked(&self) -> usize {
        self.heard.lock().unwrap().len()
    }
}

async fn answer(State(stub): State<Arc<Stub>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let path = parts.uri.path().to_owned();
    let body = axum::body::to_bytes(body, 1 << 20).await.unwrap();
    stub.heard.lock().unwrap().push((path.clone(), parts.headers, serde_json::from_slice(&body).unwrap()));
    let reply = stub.replies.lock().unwrap().pop_front();
    match reply.unwrap_or(Reply::Status(503, "nothing is left")) {
        Reply::Status(status, text) => {
            Response::builder().status(status).header("retry-after", "0").body(text.into()).unwrap()
        }
        Reply::Stream(mut pieces) => {
            pieces.push(Piece::Raw(match path.as_str() {
                "/v1/chat/completions" => "data: [DONE]\n\n",
                "/v1/messages" => "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n",
                _ => "{\"message\":{\"content\":\"\"},\"done\":true}\n",
            }));
            let pieces = stream::unfold((pieces.into_iter(), path), |(mut pieces, path)| async move {
                let bytes: Result<Bytes, std::io::Error> = match pieces.next()? {
                    Piece::Text(text) => Ok(said(&path, &text).into()),
                    Piece::Raw(text) => Ok(text.into()),
                    Piece::Wait(notify) => {
                        notify.notified().await;
                        Ok("\n".into())
                    }
                    Piece::Silence => {
                        std::future::pending::<Result<Bytes, Infallible>>().await.map_err(|it| match it {})
                    }
                    Piece::Cut => Err(std::io::Error::other("cut")),
                };
                Some((bytes, (pieces, path)))
            });
            Response::new(Body::from_stream(pieces))
        }
    }
}

/// A piece of text, as the API of that path has it.
fn said(path: &str, text: &str) -> String {
    match path {
        "/v1/chat/completions" => {
            format!("data: {}\n\n", json!({ "choices": [{ "delta": { "content": text } }] }))
        }
        "/v1/messages" => {
            let delta =
                json!({ "type": "content_block_delta", "delta": { "type": "text_delta", "text": text } });
            format!("event: content_block_delta\ndata: {delta}\n\n")
        }
        "/api/chat" => format!("{}\n", json!({ "message": { "content": text }, "done": false })),
        other => panic!("no API has {other}"),
    }
}

fn line(number: u32) -> Piece {
    Piece::Text(format!("{{\"type\":\"tick\",\"data\":{{\"n\":{number}}}}}\n"))
}

fn config(provider: &str, address: SocketAddr) -> ReplayAugmentationConfig {
    ReplayAugmentationConfig {
        narrative: "A clock ticks".to_owned(),
        event_count: 2,
        provider: provider.to_owned(),
        endpoint: format!("http://{address}"),
        api_key: Some(ApiKey::new(KEY)),
        timeout: Duration::from_secs(20),
        backoff: Duration::from_millis(1),
        ..Default::default()
    }
}

type Ends = mpsc::UnboundedReceiver<Result<EventSummary, EventError>>;

/// A client of a server that streams events to it, and how the stream ends.
async fn stream_of(config: ReplayAugmentationConfig) -> (Client, Ends) {
    let generator = AiEventGenerator::new(config).unwrap();
    let (sender, ends) = mpsc::unbounded_channel();
    let upgrade = move |upgrade: WebSocketUpgrade| async move {
        upgrade.on_upgrade(move |socket| async move {
            let _ = sender.send(generator.stream_events(socket, None).await);
        })
    };
    let address = serve(Router::new().route("/ws", any(upgrade))).await;
    (Client::connect(address).await, ends)
}

/// All events, the code of the closing, and what the server says of it.
async fn all(config: ReplayAugmentationConfig) -> (Vec<Value>, u16, Result<EventSummary, EventError>) {
    let (mut client, mut ends) = stream_of(config).await;
    let (messages, close) = client.rest().await;
    let events = messages.iter().map(|it| serde_json::from_str(it.to_text().unwrap()).unwrap()).collect();
    (events, close.unwrap().0, ends.recv().await.unwrap())
}

fn numbers(events: &[Value]) -> Vec<(u64, u64)> {
    let number = |event: &Value, path: &str| event.pointer(path).and_then(Value::as_u64).unwrap();
    events.iter().map(|event| (number(event, "/sequence"), number(event, "/data/n"))).collect()
}

fn sent(sent: u64, skipped: u64) -> EventSummary {
    EventSummary { sent, skipped, ..Default::default() }
}

#[tokio::test]
async fn the_built_in_generator_needs_nobody_and_a_seed_repeats_it() {
    let config = || ReplayAugmentationConfig {
        narrative: "Simulate stock market trading".to_owned(),
        event_count: 30,
        seed: Some(7),
        ..Default::default()
    };
    let (events, code, end) = all(config()).await;
    assert_eq!((events.len(), code, end.unwrap()), (30, 1_000, sent(30, 0)));
    for (index, event) in events.iter().enumerate() {
        let keys: Vec<_> = event.as_object().unwrap().keys().collect();
        assert_eq!(keys.len(), 4);
        assert_eq!(event["sequence"], index + 1);
        assert!(matches!(event["type"].as_str().unwrap(), "trade" | "quote"));
        assert!(event["timestamp"].as_str().unwrap().ends_with('Z'));
    }
    let data = |events: &[Value]| events.iter().map(|it| it["data"].clone()).collect::<Vec<_>>();
    assert_eq!(data(&all(config()).await.0), data(&events));
}

#[tokio::test]
async fn a_schema_is_what_the_built_in_generator_follows() {
    let schema =
        json!({"title": "order", "type": "object", "required": ["n"], "properties": {"n": {"const": 4}}});
    let config = ReplayAugmentationConfig { schema: Some(schema), event_count: 3, ..Default::default() };
    let (events, ..) = all(config).await;
    assert_eq!(numbers(&events), [(1, 4), (2, 4), (3, 4)]);
    assert!(events.iter().all(|it| it["type"] == "order"));
}

#[tokio::test]
async fn each_api_is_asked_in_its_own_way() {
    for (provider, path, key) in [
        ("openai", "/v1/chat/completions", Some(("authorization", format!("Bearer {KEY}")))),
        ("anthropic", "/v1/messages", Some(("x-api-key", KEY.to_owned()))),
        ("ollama", "/api/chat", None),
    ] {
        // The text comes in pieces that are no lines, and the last has no end.
        let Piece::Text(text) = line(1) else { panic!("no text") };
        let (head, tail) = text.split_at(9);
        let pieces =
            [head.to_owned(), format!("{tail}{{\"type\":\"tick\","), "\"data\":{\"n\":2}}".to_owned()];
        let (stub, address) = Stub::serve(vec![Reply::Stream(pieces.map(Piece::Text).into())]).await;
        let (events, code, end) = all(config(provider, address)).await;
        assert_eq!((numbers(&events), code, end.unwrap()), (vec![(1, 1), (2, 2)], 1_000, sent(2, 0)));
        let heard = stub.heard.lock().unwrap();
        let (asked, headers, body) = &heard[0];
        assert_eq!((heard.len(), asked.as_str(), &body["stream"]), (1, path, &json!(true)));
        assert!(body.to_string().contains("A clock ticks") && body.to_string().contains("Write 2 events"));
        assert!(!body["model"].as_str().unwrap().is_empty());
        if let Some((name, value)) = key {
            assert_eq!(headers[name], value);
        }
        assert_eq!(headers.contains_key("anthropic-version"), provider == "anthropic");
    }
}

#[tokio::test]
async fn the_first_event_is_on_the_wire_before_the_second_is_made() {
    for provider in ["openai", "anthropic", "ollama"] {
        let second = Arc::new(Notify::new());
        let pieces = vec![line(1), Piece::Wait(second.clone()), line(2)];
        let (_stub, address) = Stub::serve(vec![Reply::Stream(pieces)]).await;
        let (mut client, _ends) = stream_of(config(provider, address)).await;
        assert!(client.hear_text().await.contains("\"sequence\":1"));
        second.notify_one();
        assert!(client.hear_text().await.contains("\"sequence\":2"));
    }
}

#[tokio::test]
async fn a_provider_that_is_busy_or_broken_is_asked_again() {
    let replies = vec![
        Reply::Status(429, "slow down"),
        Reply::Status(500, "oops"),
        Reply::Stream(vec![Piece::Raw("data: {\"error\":{\"message\":\"overloaded\"}}\n\n")]),
        Reply::Stream(vec![line(1), line(2)]),
    ];
    let (stub, address) = Stub::serve(replies).await;
    let (events, _, end) = all(config("openai", address)).await;
    assert_eq!((numbers(&events), end.unwrap(), stub.asked()), (vec![(1, 1), (2, 2)], sent(2, 0), 4));
}

#[tokio::test]
async fn one_that_stays_broken_ends_the_stream() {
    let (stub, address) = Stub::serve(Vec::new()).await;
    let (events, code, end) = all(config("openai", address)).await;
    assert_eq!((events.len(), code, stub.asked()), (0, 1_011, 4));
    assert_eq!(
        end.unwrap_err().to_string(),
        "the provider fails: it answers 503: nothing is left; it was asked 4 times"
    );
}

#[tokio::test]
async fn what_a_cut_stream_lacks_is_asked_for_again() {
    let seen = Arc::new(Notify::new());
    let first = vec![line(1), Piece::Wait(seen.clone()), Piece::Cut];
    let (stub, address) = Stub::serve(vec![Reply::Stream(first), Reply::Stream(vec![line(2)])]).await;
    let (mut client, mut ends) = stream_of(config("anthropic", address)).await;
    assert!(client.hear_text().await.contains("\"sequence\":1"));
    seen.notify_one();
    assert!(client.hear_text().await.contains("\"sequence\":2"));
    assert_eq!(client.closing().await.0, 1_000);
    assert_eq!(ends.recv().await.unwrap().unwrap(), sent(2, 0));
    let heard = stub.heard.lock().unwrap();
    let wish = heard[1].2.to_string();
    assert!(wish.contains("Write 1 events") && wish.contains("follow on these"), "{wish}");
}

#[tokio::test]
async fn one_that_says_nothing_is_given_up() {
    let replies = vec![Reply::Stream(vec![line(1), Piece::Silence]), Reply::Stream(vec![line(2)])];
    let (_stub, address) = Stub::serve(replies).await;
    let patience = Duration::from_millis(300);
    let (events, ..) = all(ReplayAugmentationConfig { timeout: patience, ..config("ollama", address) }).await;
    assert_eq!(numbers(&events), [(1, 1), (2, 2)]);
    let (_stub, address) = Stub::serve(vec![Reply::Stream(vec![Piece::Silence])]).await;
    let silent = ReplayAugmentationConfig { timeout: patience, max_retries: 0, ..config("ollama", address) };
    let (_, code, end) = all(silent).await;
    assert_eq!(code, 1_011);
    assert!(end.unwrap_err().to_string().contains("nothing for 300 ms"));
}

#[tokio::test]
async fn bad_json_is_retried_and_then_skipped_and_counted() {
    let bad = |text: &str| Piece::Text(format!("{text}\n"));
    let pieces =
        vec![bad("```json"), bad("Sure!"), bad("{\"type\""), line(1), bad("x"), bad("y"), bad("z"), line(2)];
    let (_stub, address) = Stub::serve(vec![Reply::Stream(pieces)]).await;
    let wanted = ReplayAugmentationConfig { event_count: 3, ..config("openai", address) };
    let (events, _, end) = all(wanted).await;
    assert_eq!((numbers(&events), end.unwrap()), (vec![(1, 1), (2, 2)], sent(2, 1)));
}

#[tokio::test]
async fn a_model_that_never_writes_an_event_is_not_asked_for_ever() {
    let chatter = Reply::Stream(vec![Piece::Text("I am sorry\n".to_owned())]);
    let (stub, address) = Stub::serve(vec![chatter; 100]).await;
    let (events, code, end) =
        all(ReplayAugmentationConfig { event_count: 1_000, ..config("openai", address) }).await;
    assert_eq!((events.len(), code, stub.asked()), (0, 1_011, 4));
    assert!(end.unwrap_err().to_string().contains("no event"));
}

#[tokio::test]
async fn data_that_does_not_fit_the_schema_is_no_event() {
    let (stub, address) = Stub::serve(vec![Reply::Stream(vec![line(9), line(1), line(8), line(2)])]).await;
    let schema = json!({"type": "object", "properties": {"n": {"type": "integer", "maximum": 5}}});
    let (events, ..) =
        all(ReplayAugmentationConfig { schema: Some(schema), ..config("openai", address) }).await;
    assert_eq!(numbers(&events), [(1, 1), (2, 2)]);
    assert!(stub.heard.lock().unwrap()[0].2.to_string().contains("maximum"));
}

#[tokio::test]
async fn a_refusal_is_final_and_does_not_show_the_key() {
    let (stub, address) =
        Stub::serve(vec![Reply::Status(401, "{\"error\":{\"message\":\"bad key sk-very-secret\"}}")]).await;
    let (_, code, end) = all(config("openai", address)).await;
    assert_eq!((code, stub.asked()), (1_011, 1));
    assert_eq!(end.unwrap_err().to_string(), "the provider answers 401: bad key …");
    let generator = AiEventGenerator::new(config("openai", address)).unwrap();
    assert!(!format!("{generator:?}").contains("secret"));
}

#[tokio::test]
async fn a_provider_that_is_not_there_is_named() {
    let address = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let (_, _, end) = all(ReplayAugmentationConfig { max_retries: 1, ..config("openai", address) }).await;
    let text = end.unwrap_err().to_string();
    assert!(text.contains(&address.to_string()) && text.contains("asked 2 times"), "{text}");
}

#[test]
fn what_is_wrong_with_a_configuration_is_said_at_once() {
    let nowhere = "127.0.0.1:1".parse().unwrap();
    let error = |config| AiEventGenerator::new(config).unwrap_err().to_string();
    assert!(error(config("watson", nowhere)).contains("no provider \"watson\""));
    let endpoint = "ftp://x".to_owned();
    assert!(error(ReplayAugmentationConfig { endpoint, ..config("openai", nowhere) }).contains("no address"));
    for rate in [0.0, -1.0, f64::NAN, 10_001.0] {
        let config = ReplayAugmentationConfig { events_per_second: Some(rate), ..Default::default() };
        assert!(error(config).contains("a rate is"));
    }
    let schema = Some(json!({"pattern": "x"}));
    assert!(error(ReplayAugmentationConfig { schema, ..Default::default() }).contains("\"pattern\""));
    assert!(
        error(ReplayAugmentationConfig { event_count: 1_000_001, ..Default::default() }).contains("1000000")
    );
    let narrative = "x".repeat((64 << 10) + 1);
    assert!(error(ReplayAugmentationConfig { narrative, ..Default::default() }).contains("65536"));
    let off = WebSocketAiConfig { replay: Some(ReplayAugmentationConfig::default()), ..Default::default() };
    assert!(AiEventGenerator::of(&off).unwrap().is_none());
    assert!(AiEventGenerator::of(&WebSocketAiConfig { enabled: true, ..off }).unwrap().is_some());
}

#[tokio::test]
async fn conditions_hold_back_add_and_end() {
    let when = |pattern: &str| MessagePattern::parse(pattern).unwrap();
    let conditions = vec![
        EventCondition { when: when("$[?$.data.n==2]"), then: EventAction::Skip },
        EventCondition {
            when: when("$[?$.data.n==3]"),
            then: EventAction::Send { kind: "alarm".to_owned(), data: json!({"n": 33}) },
        },
        EventCondition { when: when("$[?$.data.n==4]"), then: EventAction::Stop },
    ];
    let (_stub, address) = Stub::serve(vec![Reply::Stream((1..9).map(line).collect())]).await;
    let config = ReplayAugmentationConfig { conditions, event_count: 8, ..config("openai", address) };
    let (events, code, end) = all(config).await;
    assert_eq!(numbers(&events), [(1, 1), (2, 3), (3, 33), (4, 4)]);
    assert_eq!((code, end.unwrap()), (1_000, EventSummary { sent: 4, skipped: 0, held_back: 1 }));
}

#[tokio::test]
async fn a_rate_spreads_events_and_a_duration_ends_them() {
    let start = Instant::now();
    let rate = ReplayAugmentationConfig { events_per_second: Some(100.0), ..Default::default() };
    let (events, ..) = all(ReplayAugmentationConfig { event_count: 6, ..rate.clone() }).await;
    assert!(events.len() == 6 && start.elapsed() >= Duration::from_millis(50), "five pauses of 10 ms");
    let duration = Some(Duration::from_millis(100));
    let (events, code, _) = all(ReplayAugmentationConfig { event_count: 1_000, duration, ..rate }).await;
    assert!((1..=11).contains(&events.len()) && code == 1_000, "{}", events.len());
}

#[tokio::test]
async fn a_client_that_leaves_has_had_enough() {
    let scenario = Some(Scenario::Iot);
    let slow = ReplayAugmentationConfig { scenario, events_per_second: Some(0.001), ..Default::default() };
    let (mut client, mut ends) = stream_of(slow).await;
    client.hear_text().await;
    client.send(Message::Close(None)).await;
    assert_eq!(ends.recv().await.unwrap().unwrap(), sent(1, 0));
}
