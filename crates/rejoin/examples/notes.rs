//! A note that is there at once, offline too, and shared when there is a link: the example of the README.
//!
//! `cargo run -p rejoin --example notes`, beside a server that `cargo xtask dev` has started.
#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use rejoin::json::{Json, Limits};
use rejoin::{Client, ClientOptions};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    take_note(ClientOptions::new("ws://127.0.0.1:8080/ws").sqlite("notes.db")).await
}

/// Writes into the note, which is created where there is none.
pub async fn take_note(options: ClientOptions) -> Result<(), Box<dyn std::error::Error>> {
    let client = Client::start(options)?;
    let note = client.open("note").await?; // offline too: what this device has is there at once
    note.synced().await?; // what the server has is here too
    if !note.exists().await? {
        note.create(Json::parse(r#"{"text": "Hello"}"#, &Limits::default())?).await?;
    }
    note.replace("/text", "Hello from Rust").await?; // shown at once, stored, sent when there is a link
    note.acknowledged().await?; // durable at the server
    for conflict in note.conflicts().await? {
        // what others wrote at the same place meanwhile
        println!("{}: {:?} or {:?}", conflict.path, conflict.current, conflict.incoming);
    }
    client.close().await;
    Ok(())
}
