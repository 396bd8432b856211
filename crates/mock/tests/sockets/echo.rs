use std::time::Duration;

use futures_util::SinkExt;
use rejoin_mock::{MockOptions, router, router_with_options};
use tokio_tungstenite::connect_async;
use tokio_tungstenite::tungstenite::{Error, Message};

use super::support::{Client, serve};

#[tokio::test]
async fn texts_and_binary_messages_come_back_and_pings_are_answered() {
    let mut client = Client::connect(serve(router()).await).await;
    for message in
        [Message::text("héllo"), Message::binary(vec![0, 255]), Message::text(""), Message::binary(vec![])]
    {
        client.send(message.clone()).await;
        assert_eq!(client.hear().await, message);
    }
    client.send(Message::Ping("p".into())).await;
    assert_eq!(client.hear().await, Message::Pong("p".into()));
}

#[tokio::test]
async fn a_closing_is_answered_with_its_code() {
    let mut client = Client::connect(serve(router()).await).await;
    client.say("a").await;
    client.close(4_001, "bye").await;
    assert_eq!(client.rest().await, (vec![Message::text("a")], Some((4_001, "bye".to_owned()))));
}

#[tokio::test]
async fn a_message_may_be_as_large_as_the_limit_and_no_larger() {
    let mut options = MockOptions::default();
    options.max_message_bytes = 1_000;
    let address = serve(router_with_options(options).unwrap()).await;
    let mut client = Client::connect(address).await;
    client.say(&"x".repeat(1_000)).await;
    assert_eq!(client.hear_text().await.len(), 1_000);
    client.say(&"x".repeat(1_001)).await;
    assert_eq!(client.closing().await, (1_009, "a message has more than 1000 bytes".to_owned()));
}

#[tokio::test]
async fn one_connection_too_many_is_told_to_come_again() {
    let mut options = MockOptions::default();
    options.max_connections = 1;
    let address = serve(router_with_options(options).unwrap()).await;
    let mut first = Client::connect(address).await;
    let refused = connect_async(format!("ws://{address}/ws")).await.unwrap_err();
    let Error::Http(response) = refused else { panic!("{refused}") };
    assert_eq!(
        (response.status().as_u16(), &response.headers()["retry-after"]),
        (503, &"1".parse().unwrap())
    );
    first.close(1_000, "").await;
    first.rest().await;
    // The place is free once the server has seen the end, which it may do later than the client.
    while connect_async(format!("ws://{address}/ws")).await.is_err() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_client_that_reads_nothing_is_dropped_and_holds_little() {
    let mut options = MockOptions::default();
    options.write_patience = Duration::from_millis(200);
    let address = serve(router_with_options(options).unwrap()).await;
    let mut client = Client::connect(address).await;
    let message = Message::binary(vec![0; 1 << 20]);
    let mut sent = 0;
    // What neither side's buffers hold waits at the client, until the server gives up.
    while client.0.send(message.clone()).await.is_ok() {
        sent += 1;
        assert!(sent < 1_000, "the server takes without end");
    }
}
