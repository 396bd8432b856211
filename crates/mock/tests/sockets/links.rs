use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rejoin_mock::{
    FaultPlan, Handlers, Happening, LatencyInjector, LatencyProfile, MockOptions, Observer,
    ReplayAugmentationConfig, WsProxyConfig, WsProxyHandler, router_with_events, router_with_handlers,
    router_with_latency, router_with_options, router_with_proxy,
};
use tokio_tungstenite::tungstenite::Message;

use super::admin::Parrot;
use super::support::{Client, serve};

fn faulty(faults: &str) -> MockOptions {
    let mut options = MockOptions::default();
    let none = LatencyProfile::fixed(Duration::ZERO);
    options.latency = Some(LatencyInjector::new(none, faults.parse::<FaultPlan>().unwrap()));
    options.seed = Some(1);
    options
}

async fn echo() -> SocketAddr {
    serve(router_with_options(MockOptions::default()).unwrap()).await
}

async fn proxied(faults: &str) -> Client {
    let proxy = WsProxyHandler::new(WsProxyConfig::to(format!("ws://{}/ws", echo().await)));
    Client::connect(serve(router_with_proxy(proxy.with_options(faulty(faults)))).await).await
}

#[tokio::test]
async fn the_client_measures_the_latency_of_both_ways_and_messages_keep_their_order() {
    let latency = LatencyProfile::uniform(Duration::from_millis(5), Duration::from_millis(15));
    let address = serve(router_with_latency(LatencyInjector::new(latency, FaultPlan::default()))).await;
    let mut client = Client::connect(address).await;
    let mut taken = Vec::new();
    for number in 0..20 {
        let sent = Instant::now();
        client.say(&number.to_string()).await;
        assert_eq!(client.hear_text().await, number.to_string());
        taken.push(sent.elapsed());
    }
    taken.sort();
    assert!(taken[0] >= Duration::from_millis(10), "{taken:?}");
    // Twenty are not all at the bottom of the range; how far above its top they are is the machine's.
    assert!(taken[19] >= Duration::from_millis(15), "{taken:?}");
    for number in 0..20 {
        client.say(&number.to_string()).await;
    }
    for number in 0..20 {
        assert_eq!(client.hear_text().await, number.to_string());
    }
}

/// What messages take that clients send one after the other, each in turn, sorted.
async fn round_trips(address: SocketAddr, clients: usize, messages: usize) -> Vec<Duration> {
    let measure = async || {
        let mut client = Client::connect(address).await;
        let mut taken = Vec::new();
        for _ in 0..messages {
            let sent = Instant::now();
            client.say("a").await;
            client.hear_text().await;
            taken.push(sent.elapsed());
        }
        taken
    };
    let all = futures_util::future::join_all((0..clients).map(|_| measure())).await;
    let mut taken: Vec<Duration> = all.into_iter().flatten().collect();
    taken.sort();
    taken
}

#[tokio::test]
async fn clients_measure_the_percentiles_of_a_latency() {
    // What the machine takes besides can only be more, so that bounds from above are for the quickest.
    let ms = Duration::from_millis;
    let mut options = MockOptions::default();
    options.seed = Some(1);
    let law = LatencyProfile::normal_distribution(ms(40), ms(10)).min(ms(20)).max(ms(60));
    options.latency = Some(LatencyInjector::new(law, FaultPlan::default()));
    let taken = round_trips(serve(router_with_options(options).unwrap()).await, 10, 8).await;
    let percentile = |percent: usize| taken[(taken.len() - 1) * percent / 100];
    assert!(taken[0] >= ms(40), "both ways have their least: {taken:?}");
    assert!(taken[0] < ms(75), "some are quicker than the mean: {taken:?}");
    // The sum of two has the mean 80 and the deviation 14.
    for (percent, least) in [(10, 55), (50, 73), (90, 90)] {
        assert!(percentile(percent) >= ms(least), "{percent} %: {taken:?}");
    }

    let address =
        serve(router_with_latency(LatencyInjector::new(LatencyProfile::fixed(ms(25)), FaultPlan::default())));
    let taken = round_trips(address.await, 10, 4).await;
    assert!(taken[0] >= ms(50) && taken[0] < ms(100), "it is there once each way: {taken:?}");
}

#[tokio::test]
async fn faults_of_a_proxy_hit_messages_both_ways() {
    let mut client = proxied(r#"drop("^lost$") in; duplicate("^twice$") out; delay("^late$") 30ms"#).await;
    let sent = Instant::now();
    for text in ["lost", "twice", "late", "end"] {
        client.say(text).await;
    }
    let mut heard = Vec::new();
    for _ in 0..4 {
        heard.push(client.hear_text().await);
    }
    assert_eq!(heard, ["twice", "twice", "late", "end"]);
    assert!(sent.elapsed() >= Duration::from_millis(60));
    client.close(4_009, "bye").await;
    assert_eq!(client.rest().await.1, Some((4_009, "bye".to_owned())));
}

#[tokio::test]
async fn a_fault_closes_both_sides_with_its_code() {
    let mut client = proxied(r#"close(4401 "enough") after 2 messages in"#).await;
    client.say("a").await;
    client.say("b").await;
    let (_, close) = client.rest().await;
    assert_eq!(close, Some((4_401, "enough".to_owned())));
}

#[tokio::test]
async fn what_is_delayed_is_sent_before_the_closing_of_the_upstream() {
    let folder = tempfile::tempdir().unwrap();
    let script = folder.path().join("script.jsonl");
    std::fs::write(&script, "{\"text\":\"a\"}\n{\"text\":\"b\",\"close\":4010}").unwrap();
    let mut options = MockOptions::default();
    options.script = Some(script);
    let upstream = serve(router_with_options(options).unwrap()).await;
    let proxy = WsProxyHandler::new(WsProxyConfig::to(format!("ws://{upstream}/ws")));
    let proxy = proxy.with_options(faulty("delay 30ms out"));
    let mut client = Client::connect(serve(router_with_proxy(proxy)).await).await;
    let (before, close) = client.rest().await;
    assert_eq!(before, [Message::text("a"), Message::text("b")]);
    assert_eq!(close.unwrap().0, 4_010);
}

#[tokio::test]
async fn handlers_and_generated_events_have_latency_and_faults_too() {
    let faults =
        r#"drop("^lost$") in; duplicate("^twice$") out; delay("^late$") 30ms; close(4401) on "^end$" out"#;
    let handlers = Handlers::new().with_options(faulty(faults)).on("/ws", Parrot);
    let mut client = Client::connect(serve(router_with_handlers(handlers).unwrap()).await).await;
    let sent = Instant::now();
    for text in ["lost", "twice", "late", "end"] {
        client.say(text).await;
    }
    let (heard, close) = client.rest().await;
    assert_eq!(heard, ["twice", "twice", "late", "end"].map(Message::text));
    assert_eq!(close.unwrap().0, 4_401);
    assert!(sent.elapsed() >= Duration::from_millis(60));

    let config = ReplayAugmentationConfig { event_count: 5, ..Default::default() };
    let told = Arc::new(Mutex::new(Vec::new()));
    let mut options = faulty("drop times=2 out; delay 10ms out");
    options.observer = Some(Observer::new({
        let told = told.clone();
        move |observed| told.lock().unwrap().push(observed.what.clone())
    }));
    let mut client = Client::connect(serve(router_with_events(config, options).unwrap()).await).await;
    let (heard, close) = client.rest().await;
    let number = |message: &Message| {
        let event: serde_json::Value = serde_json::from_str(message.to_text().unwrap()).unwrap();
        event["sequence"].as_u64().unwrap()
    };
    assert_eq!(heard.iter().map(number).collect::<Vec<_>>(), [3, 4, 5]);
    assert_eq!(close.unwrap().0, 1_000);
    while told.lock().unwrap().last() != Some(&Happening::Gone) {
        tokio::task::yield_now().await;
    }
    let told = told.lock().unwrap();
    assert_eq!(told[0], Happening::Opened);
    let faults = told.iter().filter_map(|it| match it {
        Happening::Fault(made) => Some(made.fault),
        _ => None,
    });
    assert_eq!(faults.collect::<Vec<_>>(), ["drop", "delay", "drop", "delay", "delay", "delay", "delay"]);
    let passed = told.iter().filter(|it| matches!(it, Happening::Message { .. })).count();
    assert_eq!(passed, 3);
}
