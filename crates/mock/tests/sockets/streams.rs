use rejoin_mock::{MockOptions, ReplayAugmentationConfig, router_with_events};
use tokio_tungstenite::tungstenite::Message;

use super::support::{Client, serve};

fn config(seed: Option<u64>) -> ReplayAugmentationConfig {
    ReplayAugmentationConfig {
        narrative: "Simulate stock market trading".to_owned(),
        event_count: 3,
        seed,
        ..Default::default()
    }
}

/// What of the events is made by chance, without their times.
async fn data(address: std::net::SocketAddr) -> Vec<serde_json::Value> {
    let (events, close) = Client::connect(address).await.rest().await;
    assert_eq!(close.map(|(code, _)| code), Some(1_000));
    let data = |event: &Message| {
        let mut event: serde_json::Value = serde_json::from_str(event.to_text().unwrap()).unwrap();
        event["data"].take()
    };
    assert_eq!(events.len(), 3);
    events.iter().map(data).collect()
}

#[tokio::test]
async fn each_connection_has_events_and_a_seed_repeats_them() {
    let mut options = MockOptions::default();
    options.seed = Some(7);
    let first = serve(router_with_events(config(None), options.clone()).unwrap()).await;
    let second = serve(router_with_events(config(None), options.clone()).unwrap()).await;
    let (one, two) = (data(first).await, data(first).await);
    assert_ne!(one, two);
    assert_eq!([one, two], [data(second).await, data(second).await]);
    let same = serve(router_with_events(config(Some(1)), options).unwrap()).await;
    assert_eq!(data(same).await, data(same).await);
}

#[test]
fn what_cannot_be_made_stops_the_start() {
    let wrong = ReplayAugmentationConfig { provider: "nobody".to_owned(), ..config(None) };
    assert!(router_with_events(wrong, MockOptions::default()).is_err());
}
