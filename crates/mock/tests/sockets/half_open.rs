//! Links that stand still: whose other end is gone without a word, or takes nothing.

use std::net::SocketAddr;
use std::pin::pin;
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::ws::{Message as AxumMessage, WebSocketUpgrade};
use axum::routing::any;
use futures_util::{SinkExt, StreamExt};
use rejoin_mock::{
    FaultPlan, LatencyInjector, LatencyProfile, MockOptions, WsProxyConfig, WsProxyHandler,
    router_with_options, router_with_proxy,
};
use tokio::sync::mpsc;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{accept_async, connect_async};

use super::support::{Client, serve};

const PATIENCE: Duration = Duration::from_millis(300);

/// Far more than anything here takes.
const FAR: Duration = Duration::from_secs(60);

/// One place, and little patience.
fn options(faults: &str) -> MockOptions {
    let mut options = MockOptions::default();
    options.max_connections = 1;
    options.write_patience = PATIENCE;
    options.close_patience = PATIENCE;
    options.stall_patience = PATIENCE;
    if !faults.is_empty() {
        let none = LatencyProfile::fixed(Duration::ZERO);
        options.latency = Some(LatencyInjector::new(none, faults.parse::<FaultPlan>().unwrap()));
    }
    options
}

fn to(upstream: SocketAddr, options: MockOptions) -> Router {
    let proxy = WsProxyHandler::new(WsProxyConfig::to(format!("ws://{upstream}/ws")));
    router_with_proxy(proxy.with_options(options))
}

/// Waits until the only place is free.
async fn has_room(address: SocketAddr) -> Client {
    loop {
        match connect_async(format!("ws://{address}/ws")).await {
            Ok((socket, _)) => return Client(socket),
            Err(Error::Http(response)) if response.status() == 503 => tokio::task::yield_now().await,
            Err(error) => panic!("{error}"),
        }
    }
}

/// An upstream that takes connections, says so, and never reads: as one that is gone without a word.
async fn silent() -> (SocketAddr, mpsc::UnboundedReceiver<()>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (opened, opens) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        let mut kept = Vec::new();
        loop {
            kept.push(accept_async(listener.accept().await.unwrap().0).await.unwrap());
            opened.send(()).unwrap();
        }
    });
    (address, opens)
}

#[tokio::test]
async fn a_client_whose_upstream_takes_nothing_is_told_so_once_nothing_more_fits() {
    let (upstream, mut opens) = silent().await;
    let address = serve(to(upstream, options(""))).await;
    let started = Instant::now();
    let mut client = Client::connect(address).await;
    opens.recv().await.unwrap();
    // The proxy answers by itself, whatever has become of the upstream.
    client.send(Message::Ping("p".into())).await;
    assert_eq!(client.hear().await, Message::Pong("p".into()));
    let (mut says, hears) = client.0.split();
    let fills = tokio::spawn(async move {
        let message = Message::binary(vec![0; 1 << 20]);
        let mut sent = 0;
        while sent < 1_000 && says.send(message.clone()).await.is_ok() {
            sent += 1;
        }
        sent
    });
    let closes = hears.filter_map(async |heard| match heard {
        Ok(Message::Close(close)) => close.map(|it| (u16::from(it.code), it.reason.to_string())),
        _ => None,
    });
    let close = tokio::time::timeout(FAR, pin!(closes).next()).await.unwrap();
    assert_eq!(close, Some((4_504, "the upstream takes nothing".to_owned())));
    assert!(started.elapsed() >= PATIENCE, "no sooner than that");
    assert!(fills.await.unwrap() < 1_000, "what is not taken is not held without end");
    has_room(address).await;
}

#[tokio::test]
async fn an_upstream_whose_client_takes_nothing_is_left_and_the_place_is_free() {
    let (left, mut leaves) = mpsc::unbounded_channel();
    let talks = move |upgrade: WebSocketUpgrade| async move {
        upgrade.on_upgrade(async move |socket| {
            let (mut says, mut hears) = socket.split();
            let fills = tokio::spawn(async move {
                while says.send(AxumMessage::Binary(vec![0; 1 << 20].into())).await.is_ok() {}
            });
            while let Some(Ok(message)) = hears.next().await {
                if let AxumMessage::Close(close) = message {
                    left.send(close.map(|it| (it.code, it.reason.to_string()))).unwrap();
                }
            }
            fills.abort();
        })
    };
    let upstream = serve(Router::new().route("/ws", any(talks))).await;
    let address = serve(to(upstream, options(""))).await;
    let started = Instant::now();
    let client = Client::connect(address).await;
    let left = tokio::time::timeout(FAR, leaves.recv()).await.unwrap().unwrap();
    assert_eq!(left, Some((1_001, "the client is gone".to_owned())));
    assert!(started.elapsed() >= PATIENCE, "no sooner than that");
    has_room(address).await;
    drop(client);
}

/// An echo, and a proxy to one, each with a link that has faults.
async fn both(faults: &str) -> [SocketAddr; 2] {
    let upstream = serve(router_with_options(MockOptions::default()).unwrap()).await;
    let echo = serve(router_with_options(options(faults)).unwrap()).await;
    [echo, serve(to(upstream, options(faults))).await]
}

#[tokio::test]
async fn a_client_that_leaves_a_half_open_link_is_forgotten_when_patience_is_over() {
    for faults in ["half-open", "half-open in"] {
        for address in both(faults).await {
            let started = Instant::now();
            let mut client = Client::connect(address).await;
            client.say("nobody hears it").await;
            client.close(1_000, "").await;
            // Nothing is answered, so the client is the one that goes.
            drop(client);
            let refused = connect_async(format!("ws://{address}/ws")).await;
            let late = started.elapsed() >= PATIENCE;
            assert!(late || matches!(refused, Err(Error::Http(_))), "{faults}: its place is kept");
            has_room(address).await;
            assert!(started.elapsed() >= PATIENCE, "{faults}: no sooner than that");
        }
    }
}

#[tokio::test]
async fn whoever_stays_on_a_half_open_link_hears_nothing_and_is_dropped_when_patience_is_over() {
    for faults in ["half-open", "half-open in"] {
        for address in both(faults).await {
            let started = Instant::now();
            let mut client = Client::connect(address).await;
            client.say("nobody hears it").await;
            client.send(Message::Ping("p".into())).await;
            let heard = client.next().await;
            assert!(!matches!(heard, Some(Ok(_))), "{faults}: {heard:?}");
            assert!(started.elapsed() >= PATIENCE, "{faults}: no sooner than that");
        }
    }
}

#[tokio::test]
async fn a_client_that_closes_while_its_link_stands_still_is_let_go() {
    for faults in ["stall", "stall in", "stall out"] {
        for address in both(faults).await {
            let mut client = Client::connect(address).await;
            client.say("kept").await;
            client.close(1_000, "").await;
            drop(client);
            has_room(address).await;
        }
    }
}

#[tokio::test]
async fn pings_are_answered_where_only_the_way_out_is_half_open() {
    for address in both("half-open out").await {
        let mut client = Client::connect(address).await;
        client.say("heard, and not answered").await;
        client.send(Message::Ping("p".into())).await;
        assert_eq!(client.hear().await, Message::Pong("p".into()));
    }
}
