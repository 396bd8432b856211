//! A mock of WebSockets mounted beside an application's own routes, as `rejoin::mock`.

use axum::Router;
use axum::routing::get;
use futures_util::{SinkExt, StreamExt};
use rejoin::mock::latency::LatencyInjector;
use rejoin::mock::{LatencyProfile, router_with_latency};
use tokio::net::TcpListener;
use tokio_tungstenite::connect_async;
use tokio_tungstenite::tungstenite::Message;

#[tokio::test]
async fn a_mock_answers_below_a_path_of_the_application() {
    let mock = router_with_latency(LatencyInjector::new(LatencyProfile::fast(), Default::default()));
    let application = Router::new().route("/health", get(|| async { "well" })).nest("/mock", mock);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { rejoin::mock::serve(listener, application).await });

    let (mut socket, _) = connect_async(format!("ws://{address}/mock/ws")).await.unwrap();
    socket.send(Message::text("are you there?")).await.unwrap();
    assert_eq!(socket.next().await.unwrap().unwrap(), Message::text("are you there?"));
}
