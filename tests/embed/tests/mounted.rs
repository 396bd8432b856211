//! The mounted server and the application around it, over real sockets, by a native and by a text client.

use std::net::SocketAddr;
use std::time::Duration;

use embed::{Failure, serve};
use futures_util::{SinkExt, StreamExt};
use rejoin::json::Json;
use rejoin::{Client, ClientOptions};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

/// Nothing here takes so long.
const DEADLINE: Duration = Duration::from_secs(30);

struct Running {
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    ended: JoinHandle<Result<(), Failure>>,
    folder: tempfile::TempDir,
}

async fn start() -> Running {
    start_in(tempfile::tempdir().unwrap()).await
}

async fn start_in(folder: tempfile::TempDir) -> Running {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, asked) = oneshot::channel();
    let url = format!("sqlite:{}", folder.path().join("guest-book.db").display());
    let ended = tokio::spawn(async move { serve(listener, &url, async { asked.await.unwrap() }).await });
    Running { address, stop, ended, folder }
}

/// Stops the application and returns the folder of its database.
async fn stop(running: Running) -> tempfile::TempDir {
    running.stop.send(()).unwrap();
    timeout(DEADLINE, running.ended).await.expect("the application ends").unwrap().unwrap();
    running.folder
}

async fn http(address: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let head =
        format!("{request} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = String::new();
    timeout(DEADLINE, stream.read_to_string(&mut answer)).await.expect("an answer").unwrap();
    answer
}

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

async fn text_client(address: SocketAddr) -> Socket {
    connect_async(format!("ws://{address}/sync/ws")).await.unwrap().0
}

/// The next message of a type.
async fn expect(socket: &mut Socket, kind: &str) -> Value {
    let next = async {
        loop {
            if let Message::Text(text) = socket.next().await.unwrap().unwrap() {
                let message: Value = serde_json::from_str(&text).unwrap();
                if message["type"] == kind {
                    return message;
                }
            }
        }
    };
    timeout(DEADLINE, next).await.unwrap_or_else(|_| panic!("waited too long for {kind}"))
}

async fn ask(socket: &mut Socket, request: Value, answer: &str) -> Value {
    socket.send(Message::text(request.to_string())).await.unwrap();
    expect(socket, answer).await
}

fn native_client(address: SocketAddr) -> Client {
    Client::start(ClientOptions::new(format!("ws://{address}/sync/ws"))).unwrap()
}

#[tokio::test]
async fn a_native_and_a_text_client_edit_one_document_of_the_mounted_server() {
    let running = start().await;
    let native = native_client(running.address);
    let document = native.open("entry").await.unwrap();
    let content = Json::from_value(&json!({"name": "Ada"})).unwrap();
    document.create(content).await.unwrap();
    timeout(DEADLINE, document.acknowledged()).await.expect("the creation").unwrap();
    let mut text = text_client(running.address).await;
    let update = json!({"type": "update_document", "patch": {"document_id": "entry",
        "patch": [{"op": "add", "path": "/text", "value": "I was here"}]}});
    assert_eq!(ask(&mut text, update, "document_updated_response").await["success"], true);
    let arrived = document.until(|content| content.get("text").is_some());
    let content = timeout(DEADLINE, arrived).await.expect("the other's edit").unwrap();
    assert_eq!(content.canonical(), r#"{"name":"Ada","text":"I was here"}"#);
    document.replace("/name", "Grace").await.unwrap();
    let news = expect(&mut text, "document_updated").await;
    assert_eq!(news["patch"]["patch"], json!([{"op": "replace", "path": "/name", "value": "Grace"}]));
    stop(running).await;
}

#[tokio::test]
async fn the_application_keeps_its_own_routes_and_state() {
    let running = start().await;
    assert!(http(running.address, "GET /").await.ends_with("a guest book"));
    assert!(http(running.address, "POST /visits").await.ends_with("\r\n\r\n1"));
    assert!(http(running.address, "POST /visits").await.ends_with("\r\n\r\n2"));
    assert!(http(running.address, "GET /health").await.ends_with("the guest book is well"));
    assert!(http(running.address, "GET /sync/ready").await.ends_with("ready"));
    assert!(http(running.address, "GET /sync/api/documents").await.contains(r#""items":[]"#));
    assert!(http(running.address, "GET /ws").await.starts_with("HTTP/1.1 404"));
    stop(running).await;
}

#[tokio::test]
async fn when_the_application_stops_links_are_told_and_documents_are_there_afterwards() {
    let running = start().await;
    let mut text = text_client(running.address).await;
    let create = json!({"type": "create_document", "document": {"id": "entry", "content": {"n": 1}}});
    assert_eq!(ask(&mut text, create, "document_created_response").await["success"], true);
    let told = tokio::spawn(async move {
        loop {
            if let Message::Close(frame) = text.next().await.unwrap().unwrap() {
                return u16::from(frame.unwrap().code);
            }
        }
    });
    let folder = stop(running).await;
    assert_eq!(timeout(DEADLINE, told).await.expect("the link is told").unwrap(), 1012);
    let again = start_in(folder).await;
    let document = http(again.address, "GET /sync/api/documents/entry").await;
    assert!(document.contains(r#""content":{"n":1}"#), "{document}");
    stop(again).await;
}
