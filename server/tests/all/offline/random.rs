//! Three replicas, thirty random operations, one of them away twice: over the native door and over the text door.

use rejoin_client::{Client, ClientOptions, Document, Json, Operation, Patch, PointerBuf};
use serde_json::{Value, json};

use super::{everything, update_since};
use crate::support::{Process, Text, within};

const OPERATIONS: usize = 30;

/// Operations between which the third replica is away.
const AWAY: [std::ops::Range<usize>; 2] = [4..12, 17..26];

/// Fields that all replicas write, so that they meet.
const FIELDS: [&str; 3] = ["title", "color", "owner"];

/// A random number generator (xorshift) that gives the same walk for the same seed.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % sides as u64).unwrap()
    }

    /// An operation that types a value, as JSON Patch.
    fn operation(&mut self, token: &str) -> Value {
        match self.roll(4) {
            0 => json!({"op": "add", "path": "/list/-", "value": token}),
            1 => json!({"op": "add", "path": "/list/0", "value": token}),
            2 => json!({"op": "add", "path": "/cards/-", "value": {"id": token, "text": token}}),
            _ => {
                json!({"op": "add", "path": format!("/{}", FIELDS[self.roll(FIELDS.len())]), "value": token})
            }
        }
    }
}

fn start() -> Value {
    json!({"list": [], "cards": [], "title": "base"})
}

/// Each token of a list or card is in the document once; each of a field in the document, its conflicts or its history.
async fn nothing_is_lost(process: &Process, typed: &[(Value, String)], seed: u64) -> Value {
    let (document, known) = everything(process, "d").await;
    for (operation, token) in typed {
        let quoted = format!("\"{token}\"");
        assert!(known.contains(&quoted), "seed {seed}: {operation} is nowhere");
        let place = match operation["path"].as_str().unwrap() {
            path if path.starts_with("/list") => "list",
            path if path.starts_with("/cards") => "cards",
            _ => continue,
        };
        let found = document["content"][place].to_string().matches(&quoted).count();
        // A card has its token twice: as its id and in its text.
        let times = if place == "cards" { 2 } else { 1 };
        assert_eq!(found, times, "seed {seed}: {operation} in {document}");
    }
    document["content"].clone()
}

async fn native_walk(seed: u64) {
    let folder = tempfile::tempdir().unwrap();
    let process = Process::start(folder.path());
    let mut replicas: Vec<(Client, Document)> = Vec::new();
    for at in 0..3 {
        let client = Client::start(ClientOptions::new(process.socket_url())).unwrap();
        let document = within("opening", client.open("d")).await.unwrap();
        within("the first answer", document.synced()).await.unwrap();
        if at == 0 {
            document.create(Json::from_value(&start()).unwrap()).await.unwrap();
        }
        within("the creation", document.until(|content| content.get("list").is_some())).await.unwrap();
        replicas.push((client, document));
    }
    let mut dice = Dice(seed);
    let mut typed = Vec::new();
    for step in 0..OPERATIONS {
        for away in AWAY {
            if step == away.start {
                replicas[2].0.go_offline().await.unwrap();
            } else if step == away.end {
                replicas[2].0.go_online().await.unwrap();
            }
        }
        let token = format!("t{step}.");
        let operation = dice.operation(&token);
        let path = PointerBuf::parse(operation["path"].as_str().unwrap()).unwrap();
        let value = Json::from_value(&operation["value"]).unwrap();
        let (_, document) = &replicas[dice.roll(3)];
        document.edit(Patch(vec![Operation::Add { path, value }])).await.unwrap();
        typed.push((operation, token));
    }
    for (_, document) in &replicas {
        within("acknowledgement", document.acknowledged()).await.unwrap();
        assert!(document.rejected().await.unwrap().is_empty(), "seed {seed}");
    }
    let content = nothing_is_lost(&process, &typed, seed).await;
    let content = Json::from_value(&content).unwrap().canonical();
    for (_, document) in &replicas {
        let wanted = content.clone();
        within("agreement", document.until(move |seen| seen.canonical() == wanted)).await.unwrap();
    }
}

/// A text client with what it has to remember: the newest revision that it saw, and what it typed while it was away.
struct Plain {
    text: Option<Text>,
    seen: u64,
    typed: Vec<Value>,
}

impl Plain {
    async fn come(&mut self, process: &Process) {
        let mut text = Text::connect(process).await;
        if !self.typed.is_empty() {
            let patch = Value::Array(std::mem::take(&mut self.typed));
            let answer = text.ask(&update_since(self.seen, &patch), "document_updated_response").await;
            assert_eq!(answer["success"], true, "{answer}");
        }
        self.look(&mut text).await;
        self.text = Some(text);
    }

    async fn look(&mut self, text: &mut Text) -> Value {
        text.send(&json!({"type": "request_sync", "document_ids": ["d"], "request_id": "look"})).await;
        text.expect("sync_complete").await;
        // Merged edits are answered with the whole document too: the last one is the one that was asked for.
        let told = text.news.drain(..).rfind(|news| news["type"] == "sync_document").unwrap();
        assert_eq!(told["request_id"], "look");
        let document = told["document"].clone();
        self.seen = document["revision"].as_u64().unwrap();
        document["content"].clone()
    }

    /// Edits; returns what nobody but its author ever saw, and its author has replaced: an absence is sent as one patch.
    async fn edit(&mut self, operation: &Value) -> Option<Value> {
        let Some(text) = &mut self.text else {
            let is_field = |typed: &Value| {
                let path = typed["path"].as_str().unwrap();
                typed["path"] == operation["path"] && FIELDS.contains(&path.trim_start_matches('/'))
            };
            let replaced = self.typed.iter().position(is_field).map(|at| self.typed.remove(at));
            self.typed.push(operation.clone());
            return replaced;
        };
        let answer = text.update("d", &json!([operation])).await;
        assert_eq!(answer["success"], true, "{answer}");
        None
    }

    /// Leaves after a last look.
    async fn go(&mut self) {
        let mut text = self.text.take().unwrap();
        self.look(&mut text).await;
    }
}

async fn plain_walk(seed: u64) {
    let folder = tempfile::tempdir().unwrap();
    let process = Process::start(folder.path());
    Text::connect(&process).await.create("d", &start()).await;
    let mut replicas = Vec::new();
    for _ in 0..3 {
        let mut replica = Plain { text: None, seen: 0, typed: Vec::new() };
        replica.come(&process).await;
        replicas.push(replica);
    }
    let mut dice = Dice(seed);
    let mut typed = Vec::new();
    for step in 0..OPERATIONS {
        for away in AWAY {
            if step == away.start {
                replicas[2].go().await;
            } else if step == away.end {
                replicas[2].come(&process).await;
            }
        }
        let token = format!("t{step}.");
        let operation = dice.operation(&token);
        if let Some(replaced) = replicas[dice.roll(3)].edit(&operation).await {
            typed.retain(|(operation, _)| *operation != replaced);
        }
        typed.push((operation, token));
    }
    let content = nothing_is_lost(&process, &typed, seed).await;
    for mut replica in replicas {
        let mut text = replica.text.take().unwrap();
        assert_eq!(replica.look(&mut text).await, content, "seed {seed}");
    }
}

#[tokio::test]
async fn native_clients_lose_nothing_while_one_is_away_twice() {
    for seed in 1..=5 {
        native_walk(seed).await;
    }
}

#[tokio::test]
async fn text_clients_lose_nothing_while_one_is_away_twice() {
    for seed in 1..=5 {
        plain_walk(seed).await;
    }
}
