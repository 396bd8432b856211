use std::net::SocketAddr;

use rejoin_mock::{
    Frame, HandlerError, Handlers, MockOptions, WsContext, WsHandler, WsProxyConfig, WsProxyHandler,
    router_with_handlers, router_with_options, router_with_proxy,
};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;

use super::support::{Client, serve};

/// The status and the body of an answer.
async fn ask(address: SocketAddr, request: &str, body: &str) -> (u16, Value) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let (first, headers) = request.split_once('\n').unwrap_or((request, ""));
    let length = body.len();
    let text = format!(
        "{first} HTTP/1.1\r\nhost: mock\r\nconnection: close\r\ncontent-length: {length}\r\n{headers}\r\n{body}"
    );
    stream.write_all(text.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
    let (_, body) = answer.split_once("\r\n\r\n").unwrap();
    (status, serde_json::from_str(body).unwrap_or_default())
}

fn options() -> MockOptions {
    let mut options = MockOptions::default();
    options.admin = true;
    options
}

/// An echo that is written as code.
pub struct Parrot;

impl WsHandler for Parrot {
    async fn on_message(&self, context: &mut WsContext, message: Frame) -> Result<(), HandlerError> {
        Ok(context.send(message).await?)
    }
}

/// An echo, a proxy to another echo, and one that is written as code: all have a desk.
async fn mocks() -> [SocketAddr; 3] {
    let upstream = serve(router_with_options(MockOptions::default()).unwrap()).await;
    let proxy = WsProxyHandler::new(WsProxyConfig::to(format!("ws://{upstream}/ws"))).with_options(options());
    let handlers = Handlers::new().with_options(options()).on("/ws", Parrot);
    [
        serve(router_with_options(options()).unwrap()).await,
        serve(router_with_proxy(proxy)).await,
        serve(router_with_handlers(handlers).unwrap()).await,
    ]
}

#[tokio::test]
async fn test_code_sees_who_is_connected_and_what_was_said() {
    for address in mocks().await {
        let mut client = Client::connect(address).await;
        client.say("a").await;
        client.hear().await;
        client.send(Message::binary(vec![0, 1])).await;
        client.hear().await;
        let (status, said) = ask(address, "GET /__mock/connections", "").await;
        assert_eq!(
            (status, &said["connections"][0]["id"], &said["connections"][0]["path"]),
            (200, &json!(0), &json!("/ws"))
        );
        let (_, said) = ask(address, "GET /__mock/messages", "").await;
        let plain =
            |message: &Value| (message["dir"].clone(), message["text"].clone(), message["binary"].clone());
        let messages: Vec<_> = said["messages"].as_array().unwrap().iter().map(plain).collect();
        assert_eq!(
            messages,
            [
                (json!("in"), json!("a"), json!(null)),
                (json!("out"), json!("a"), json!(null)),
                (json!("in"), json!(null), json!("AAE=")),
                (json!("out"), json!(null), json!("AAE=")),
            ]
        );
        assert_eq!(said["next"], 4);
        let (_, said) = ask(address, "GET /__mock/messages?since=3&connection=0", "").await;
        assert_eq!(said["messages"].as_array().unwrap().len(), 1);
        client.close(4_001, "").await;
        client.rest().await;
        while ask(address, "GET /__mock/connections", "").await.1["connections"] != json!([]) {
            tokio::task::yield_now().await;
        }
    }
}

#[tokio::test]
async fn test_code_says_something_and_closes() {
    for address in mocks().await {
        let mut client = Client::connect(address).await;
        client.say("here").await;
        client.hear().await;
        let send = "POST /__mock/connections/0/messages";
        assert_eq!(ask(address, send, r#"{"text":"from the test"}"#).await.0, 204);
        assert_eq!(client.hear_text().await, "from the test");
        assert_eq!(ask(address, send, r#"{"binary":"AAE="}"#).await.0, 204);
        assert_eq!(client.hear().await, Message::binary(vec![0, 1]));
        let close = "DELETE /__mock/connections/0?code=4321&reason=enough";
        assert_eq!(ask(address, close, "").await.0, 204);
        assert_eq!(client.closing().await, (4_321, "enough".to_owned()));
        let mut second = Client::connect(address).await;
        second.say("here").await;
        second.hear().await;
        assert_eq!(ask(address, "POST /__mock/reset", "").await.0, 204);
        assert_eq!(second.closing().await.0, 1_012);
    }
}

#[tokio::test]
async fn what_cannot_be_done_is_said() {
    let [address, ..] = mocks().await;
    for (request, body, status) in [
        ("POST /__mock/connections/7/messages", r#"{"text":"a"}"#, 404),
        ("POST /__mock/connections/7/messages", r#"{"txt":"a"}"#, 400),
        ("POST /__mock/connections/7/messages", r#"{"binary":"?"}"#, 400),
        ("DELETE /__mock/connections/7?code=1005", "", 400),
        ("DELETE /__mock/connections/7?cod=1000", "", 400),
        ("GET /__mock/messages?sinc=1", "", 400),
        ("POST /__mock/reset\norigin: https://page.example\r\n", "", 403),
    ] {
        assert_eq!(ask(address, request, body).await.0, status, "{request} {body}");
    }
    let without = serve(router_with_options(MockOptions::default()).unwrap()).await;
    assert_eq!(ask(without, "GET /__mock/connections", "").await.0, 404);
}

#[tokio::test]
async fn the_journal_is_told_in_pages() {
    let [address, ..] = mocks().await;
    let mut client = Client::connect(address).await;
    for _ in 0..501 {
        client.say("a").await;
        client.hear().await;
    }
    let mut pages = Vec::new();
    for since in [0, 1_000] {
        let (_, said) = ask(address, &format!("GET /__mock/messages?since={since}"), "").await;
        pages.push((said["messages"].as_array().unwrap().len(), said["next"].clone()));
    }
    assert_eq!(pages, [(1_000, json!(1_000)), (2, json!(1_002))]);
}
