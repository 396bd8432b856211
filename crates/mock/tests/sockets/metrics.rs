use std::collections::{BTreeMap, BTreeSet};

use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use rejoin_mock::{
    MockOptions, ReplayAugmentationConfig, WsProxyConfig, WsProxyHandler, router_with_events,
    router_with_options, router_with_proxy,
};
use tokio_tungstenite::tungstenite::Message;

use super::support::{Client, serve};

/// Every figure, by its name with its labels, as a collector of Prometheus reads it.
fn figures(handle: &PrometheusHandle) -> BTreeMap<String, f64> {
    let text = handle.render();
    let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    let figure = |line: &str| {
        let (name, value) = line.rsplit_once(' ').unwrap();
        (name.to_owned(), value.parse().unwrap())
    };
    lines.map(figure).collect()
}

/// What is counted while this goes on. The servers run on the thread of the test, where the recorder is.
async fn counted(traffic: impl Future<Output = ()>) -> BTreeMap<String, f64> {
    let recorder = PrometheusBuilder::new().build_recorder();
    let _installed = metrics::set_default_local_recorder(&recorder);
    traffic.await;
    figures(&recorder.handle())
}

fn expected(figures: &[(&str, f64)]) -> BTreeMap<String, f64> {
    figures.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect()
}

#[tokio::test]
async fn every_documented_metric_counts_what_it_says() {
    let counted = counted(async {
        let mut options = MockOptions::default();
        options.max_message_bytes = 100;
        let address = serve(router_with_options(options).unwrap()).await;
        let mut client = Client::connect(address).await;
        // Bytes count and not characters; pings and closings are no messages.
        for message in [Message::text("hé"), Message::binary(vec![7; 100]), Message::text("")] {
            client.send(message.clone()).await;
            assert_eq!(client.hear().await, message);
        }
        client.send(Message::Ping("p".into())).await;
        client.hear().await;
        client.close(1_000, "").await;
        client.rest().await;
        let mut second = Client::connect(address).await;
        second.say(&"x".repeat(101)).await;
        assert_eq!(second.closing().await.0, 1_009);
    });
    let counted = counted.await;
    let expected = expected(&[
        ("rejoin_mock_connections_total", 2.0),
        ("rejoin_mock_errors_total", 1.0),
        ("rejoin_mock_message_bytes_total{direction=\"in\"}", 103.0),
        ("rejoin_mock_message_bytes_total{direction=\"out\"}", 103.0),
        ("rejoin_mock_messages_total{direction=\"in\"}", 3.0),
        ("rejoin_mock_messages_total{direction=\"out\"}", 3.0),
    ]);
    assert_eq!(counted, expected);
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/mock-tracing.md");
    let page = std::fs::read_to_string(path).unwrap();
    let documented = page.lines().filter_map(|line| line.strip_prefix("| `rejoin_mock_")?.split('`').next());
    let counted = counted.keys().filter_map(|name| name.strip_prefix("rejoin_mock_")?.split('{').next());
    assert_eq!(documented.collect::<BTreeSet<_>>(), counted.collect());
}

#[tokio::test]
async fn a_message_through_a_proxy_counts_once_each_way_and_generated_events_count() {
    let counted = counted(async {
        let upstream = serve(router_with_options(MockOptions::default()).unwrap()).await;
        let proxy = WsProxyHandler::new(WsProxyConfig::to(format!("ws://{upstream}/ws")));
        let mut client = Client::connect(serve(router_with_proxy(proxy)).await).await;
        client.say("four").await;
        client.hear().await;
        client.close(1_000, "").await;
        client.rest().await;
        let config = ReplayAugmentationConfig { event_count: 5, seed: Some(1), ..Default::default() };
        let events = serve(router_with_events(config, MockOptions::default()).unwrap()).await;
        assert_eq!(Client::connect(events).await.rest().await.0.len(), 5);
    });
    let counted = counted.await;
    // The proxy's upstream is a mock too: each message passes both.
    let of = |name: &str| counted.get(name).copied();
    assert_eq!(of("rejoin_mock_connections_total"), Some(3.0));
    assert_eq!(of("rejoin_mock_messages_total{direction=\"in\"}"), Some(2.0));
    assert_eq!(of("rejoin_mock_messages_total{direction=\"out\"}"), Some(2.0 + 5.0));
    assert_eq!(of("rejoin_mock_message_bytes_total{direction=\"in\"}"), Some(8.0));
    assert_eq!(of("rejoin_mock_errors_total"), None);
}
