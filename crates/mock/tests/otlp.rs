//! The spans of real connections, as a collector gets them. Alone in its process: what collects them is for all of it.
#![allow(clippy::unwrap_used)]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::extract::ws::WebSocketUpgrade;
use axum::http::HeaderMap;
use axum::routing::{any, post};
use futures_util::{SinkExt, StreamExt};
use rejoin_mock::{MockOptions, Otlp, WsProxyConfig, WsProxyHandler, router_with_options, router_with_proxy};
use tokio_tungstenite::connect_async;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tracing_subscriber::layer::SubscriberExt;

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const PARENT: &str = "b7ad6b7169203331";

type Collected = Arc<Mutex<Vec<u8>>>;

async fn serve(router: Router) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(rejoin_mock::serve(listener, router));
    address.to_string()
}

/// What the upstream is told of the trace, and an echo of one message.
async fn upstream() -> (Arc<Mutex<Option<String>>>, String) {
    let told = Arc::new(Mutex::new(None));
    let keeps = told.clone();
    let upgrade = move |headers: HeaderMap, upgrade: WebSocketUpgrade| async move {
        *keeps.lock().unwrap() = headers.get("traceparent").map(|it| it.to_str().unwrap().to_owned());
        upgrade.on_upgrade(|mut socket| async move {
            if let Some(Ok(message)) = socket.recv().await {
                let _ = socket.send(message).await;
            }
            while let Some(Ok(_)) = socket.recv().await {}
        })
    };
    let address = serve(Router::new().route("/ws", any(upgrade))).await;
    (told, address)
}

async fn talk(address: &str) {
    let mut request = format!("ws://{address}/ws?token=secret").into_client_request().unwrap();
    request.headers_mut().insert("traceparent", format!("00-{TRACE}-{PARENT}-01").parse().unwrap());
    let (mut client, _) = connect_async(request).await.unwrap();
    client.send(Message::text("hello")).await.unwrap();
    assert_eq!(client.next().await.unwrap().unwrap(), Message::text("hello"));
    client.close(None).await.unwrap();
    while let Some(Ok(_)) = client.next().await {}
}

fn has(bytes: &[u8], part: &[u8]) -> usize {
    bytes.windows(part.len()).filter(|window| *window == part).count()
}

fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len() / 2).map(|at| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_gets_the_spans_and_an_upstream_the_trace() {
    let collected = Collected::default();
    let collect = |State(collected): State<Collected>, body: Bytes| async move {
        collected.lock().unwrap().extend_from_slice(&body);
    };
    let collector =
        serve(Router::new().route("/v1/traces", post(collect)).with_state(collected.clone())).await;
    let otlp = Otlp::new(&format!("http://{collector}/v1/traces"), "mock-under-test").unwrap();
    tracing::subscriber::set_global_default(tracing_subscriber::registry().with(otlp.layer())).unwrap();

    let echo = serve(router_with_options(MockOptions::default()).unwrap()).await;
    talk(&echo).await;
    let (told, upstream) = upstream().await;
    let upstream_url = format!("ws://{upstream}/ws");
    let config = WsProxyConfig { upstream_url, should_proxy: true, message_transform: None };
    let proxy = serve(router_with_proxy(WsProxyHandler::new(config))).await;
    talk(&proxy).await;

    let told = told.lock().unwrap().clone().unwrap();
    assert!(
        told.starts_with(&format!("00-{TRACE}-")) && !told.contains(PARENT),
        "the proxy's own span: {told}"
    );
    tokio::time::timeout(Duration::from_secs(60), otlp.shutdown()).await.unwrap().unwrap();
    let collected = collected.lock().unwrap();
    for part in [
        "WS Connect /ws",
        "WS Message in",
        "WS Message out",
        "mock-under-test",
        "ws.message.size",
        "url.path",
    ] {
        assert!(has(&collected, part.as_bytes()) >= 1, "{part}");
    }
    assert_eq!(has(&collected, b"WS Message in"), 2, "one of the echo, one of the proxy");
    assert!(has(&collected, &bytes(TRACE)) >= 5, "connections and messages are of the client's trace");
    assert!(has(&collected, &bytes(PARENT)) >= 1, "and below its span");
    assert_eq!(has(&collected, b"secret"), 0);
}
