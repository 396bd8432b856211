//! What the README shows is what runs.
#![cfg(all(feature = "client", feature = "sqlite"))]
#![allow(clippy::unwrap_used, missing_docs)]

use std::time::Duration;

use rejoin::{Client, ClientOptions};
use rejoin_server::{Server, ServerOptions, router};

#[allow(dead_code, unreachable_pub, reason = "the example has a main function")]
#[path = "../examples/notes.rs"]
mod notes;

const DEADLINE: Duration = Duration::from_secs(30);

#[tokio::test]
async fn the_example_writes_its_note_on_a_fresh_database_and_on_one_that_has_it() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(ServerOptions::new("sqlite::memory:")).unwrap();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}/ws", listener.local_addr().unwrap());
    let service = router(&server).into_make_service_with_connect_info::<std::net::SocketAddr>();
    tokio::spawn(async move { axum::serve(listener, service).await });
    for database in ["fresh.db", "fresh.db", "other.db"] {
        let options = ClientOptions::new(&url).sqlite(folder.path().join(database));
        tokio::time::timeout(DEADLINE, notes::take_note(options)).await.unwrap().unwrap();
    }
    let other = Client::start(ClientOptions::new(&url)).unwrap();
    let note = other.open("note").await.unwrap();
    let arrived = note.until(|content| content.canonical() == r#"{"text":"Hello from Rust"}"#);
    tokio::time::timeout(DEADLINE, arrived).await.unwrap().unwrap();
    assert_eq!(note.conflicts().await.unwrap(), []);
}

#[test]
fn the_readme_shows_the_example_line_by_line() {
    let readme = include_str!("../../../README.md");
    let block = readme.split("```rust\n").nth(1).unwrap().split("```").next().unwrap();
    let example: Vec<String> = include_str!("../examples/notes.rs").lines().map(code).collect();
    let started =
        r#"let client = Client::start(ClientOptions::new("ws://127.0.0.1:8080/ws").sqlite("notes.db"))?;"#;
    let shown: Vec<String> = block.lines().filter(|line| *line != started).map(code).collect();
    assert!(shown.len() > 10, "{shown:?}");
    for line in shown {
        assert!(example.contains(&line), "`{line}` is not in the example");
    }
}

/// A line without its comment.
fn code(line: &str) -> String {
    line.split(" //").next().unwrap_or_default().trim().to_owned()
}
