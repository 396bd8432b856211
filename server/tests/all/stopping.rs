//! How long connections may hold a server up, and how it ends. Over real sockets and processes.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use std::net::SocketAddr;
use std::time::Duration;

use crate::support::{Process, within};
use rejoin_server::{Patience, Server, ServerOptions, router, serve};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// Longer than any test waits.
const NEVER: Duration = Duration::from_secs(3_600);

struct Running {
    address: SocketAddr,
    server: Server,
    stop: oneshot::Sender<()>,
    ended: JoinHandle<()>,
    _folder: tempfile::TempDir,
}

async fn start(patience: Patience, configure: impl FnOnce(&mut ServerOptions)) -> Running {
    let folder = tempfile::tempdir().unwrap();
    let mut options = ServerOptions::new(format!("sqlite:{}", folder.path().join("server.db").display()));
    configure(&mut options);
    let server = Server::start(options).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, asked) = oneshot::channel();
    let of_task = server.clone();
    let ended = tokio::spawn(async move {
        serve(listener, router(&of_task), &of_task, patience, async { asked.await.unwrap() }).await;
    });
    Running { address, server, stop, ended, _folder: folder }
}

/// A connection that the server has accepted.
async fn connect(address: SocketAddr) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(b"GET /health HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
    let answer = read_until(&mut stream, "\r\n\r\nok").await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    stream
}

/// Reads until what came ends so.
async fn read_until(stream: &mut TcpStream, end: &str) -> String {
    let mut answer = Vec::new();
    while !answer.ends_with(end.as_bytes()) {
        let mut byte = [0];
        let read = within("an answer", stream.read(&mut byte)).await.unwrap();
        assert!(read > 0, "the connection ended after {}", String::from_utf8_lossy(&answer));
        answer.push(byte[0]);
    }
    String::from_utf8(answer).unwrap()
}

/// Reads to the end of the connection.
async fn read_all(stream: &mut TcpStream) -> String {
    let mut answer = String::new();
    within("the end of the connection", stream.read_to_string(&mut answer)).await.unwrap();
    answer
}

const PUT: &str = "PUT /api/documents/d HTTP/1.1\r\nhost: localhost\r\ncontent-length: 2\r\n\r\n";

/// A connection on which the server waits for the two bytes of a body.
async fn held_body(address: SocketAddr) -> TcpStream {
    let mut stream = connect(address).await;
    let head = PUT.replace("content-length", "expect: 100-continue\r\ncontent-length");
    stream.write_all(head.as_bytes()).await.unwrap();
    assert_eq!(read_until(&mut stream, "\r\n\r\n").await, "HTTP/1.1 100 Continue\r\n\r\n");
    stream
}

#[tokio::test]
async fn a_connection_that_holds_half_a_request_does_not_hold_up_the_end() {
    let patience = Patience { handshake: NEVER, head: NEVER, stop: Duration::from_millis(200) };
    let running = start(patience, |_| {}).await;
    // Connections are accepted in their order.
    let mut held = TcpStream::connect(running.address).await.unwrap();
    held.write_all(b"GET /hea").await.unwrap();
    let mut without_body = held_body(running.address).await;
    running.stop.send(()).unwrap();
    within("the end", running.ended).await.unwrap();
    assert_eq!(read_all(&mut held).await, "");
    assert_eq!(read_all(&mut without_body).await, "");
}

#[tokio::test]
async fn a_head_that_does_not_arrive_in_time_ends_its_connection() {
    let patience = Patience { handshake: NEVER, head: Duration::from_millis(200), stop: NEVER };
    let running = start(patience, |_| {}).await;
    let mut held = connect(running.address).await;
    held.write_all(b"GET /health HTTP/1.1\r\nhost:").await.unwrap();
    let answer = read_all(&mut held).await;
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 408"), "{answer}");
    connect(running.address).await;
}

#[tokio::test]
async fn a_body_that_does_not_arrive_in_time_is_answered_so() {
    let configure = |options: &mut ServerOptions| options.body_patience = Duration::from_millis(200);
    let running = start(Patience::default(), configure).await;
    let mut held = held_body(running.address).await;
    held.write_all(b"1").await.unwrap();
    let answer = read_all(&mut held).await;
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
}

#[tokio::test]
async fn bodies_beyond_the_memory_for_them_are_refused_until_there_is_room() {
    let running = start(Patience::default(), |options| options.max_bodies_bytes = 3).await;
    let mut held = held_body(running.address).await;
    let mut other = connect(running.address).await;
    other.write_all(format!("{PUT}{{}}").as_bytes()).await.unwrap();
    let answer = read_until(&mut other, "}}").await.to_ascii_lowercase();
    assert!(answer.starts_with("http/1.1 503 "), "{answer}");
    assert!(
        answer.contains("\r\nretry-after: 1\r\n") && answer.contains(r#""code":"unavailable""#),
        "{answer}"
    );
    held.write_all(b"{}").await.unwrap();
    assert!(read_until(&mut held, "}}").await.starts_with("HTTP/1.1 404 "));
    let mut again = connect(running.address).await;
    again.write_all(format!("{PUT}{{}}").as_bytes()).await.unwrap();
    assert!(read_until(&mut again, "}}").await.starts_with("HTTP/1.1 404 "));
}

#[tokio::test]
async fn a_request_whose_body_comes_while_a_server_stops_is_refused() {
    let running = start(Patience { handshake: NEVER, head: NEVER, stop: NEVER }, |_| {}).await;
    let mut held = held_body(running.address).await;
    running.stop.send(()).unwrap();
    let stopping = async {
        while !running.server.hub().is_stopping() {
            tokio::task::yield_now().await;
        }
    };
    within("the stop", stopping).await;
    held.write_all(b"{}").await.unwrap();
    let answer = read_all(&mut held).await;
    assert!(answer.starts_with("HTTP/1.1 503 ") && answer.contains("stopping"), "{answer}");
    within("the end", running.ended).await.unwrap();
}

#[tokio::test]
async fn requests_that_come_to_a_stopped_server_are_refused() {
    let running = start(Patience::default(), |_| {}).await;
    // As an application does that accepts connections by itself, and goes on to.
    running.server.stop(Duration::ZERO).await;
    let mut stream = connect(running.address).await;
    for request in ["GET /api/documents", "GET /api/documents/d", "DELETE /api/documents/d"] {
        stream.write_all(format!("{request} HTTP/1.1\r\nhost: localhost\r\n\r\n").as_bytes()).await.unwrap();
        let answer = read_until(&mut stream, "}}").await;
        assert!(answer.starts_with("HTTP/1.1 503 ") && answer.contains("stopping"), "{request}: {answer}");
    }
}

#[tokio::test]
async fn a_second_signal_ends_the_process_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let process = Process::start(folder.path());
    let _held = held_body(process.address).await;
    process.signal("TERM");
    let deaf = async { while TcpStream::connect(process.address).await.is_ok() {} };
    within("the first signal", deaf).await;
    process.signal("TERM");
    // Not the end of its patience, after which it would have ended well.
    let status = tokio::task::spawn_blocking(move || process.wait()).await.unwrap();
    assert_eq!(status.code(), Some(1));
}
