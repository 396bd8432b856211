//! A note that is there at once, offline too, and shared when there is a link: the example of the README.
//!
//! `cargo run -p rejoin --example notes`, beside a server that `cargo xtask dev` has started.
#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::time::Duration;

use rejoin::json::{Json, Limits};
use rejoin::{Client, ClientOptions};
use tokio::time::timeout;

/// Time that the server has to answer, before the note is written without it.
const PATIENCE: Duration = Duration::from_secs(5);

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    take_note(ClientOptions::new("ws://127.0.0.1:8080/ws").sqlite("notes.db")).await
}

/// Writes into the note, which is created where there is none.
pub async fn take_note(options: ClientOptions) -> Result<(), Box<dyn std::error::Error>> {
    let client = Client::start(options)?;
    let note = client.open("note").await?; // offline too: what this device has is there at once
    let synced = timeout(PATIENCE, note.synced()).await; // what the server has is here too
    let online = synced.is_ok();
    match synced {
        Ok(done) => done?,
        Err(_) => println!("no server answers: the note is kept here, and sent the next time that one does"),
    }
    if !note.exists().await? {
        note.create(Json::parse(r#"{"text": "Hello"}"#, &Limits::default())?).await?;
    }
    note.replace("/text", "Hello from Rust").await?; // shown at once, stored, sent when there is a link
    println!("the note says {}", note.value().await?.canonical());
    if online {
        note.acknowledged().await?; // durable at the server, or the error holds what it rejected
        println!("the server has it");
    }
    for conflict in note.conflicts().await? {
        // what others wrote at the same place meanwhile
        println!("{}: {:?} or {:?}", conflict.path, conflict.current, conflict.incoming);
    }
    client.close().await?;
    Ok(())
}
