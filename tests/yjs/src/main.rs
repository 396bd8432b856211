//! Compares CRDT documents with Yjs: random histories that Yjs makes are applied in another order, doubled, merged and with the document made again
//! in between; then Yjs reads what was written here, and takes an edit that was made here.
#![allow(clippy::print_stdout, reason = "this program reports to people")]

use std::collections::BTreeMap;
use std::error::Error;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use clap::Parser;
use rejoin_crdt::{Document, StateVector, Update};
use rejoin_json::{Json, Limits, Patch};
use serde_json::{Value, json};

/// Compares CRDT documents with Yjs, over random histories.
#[derive(Parser)]
struct Arguments {
    /// Histories.
    #[arg(long, default_value_t = 500)]
    histories: u32,
    /// What they are drawn from.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

type Outcome<T> = Result<T, Box<dyn Error>>;

/// Bytes of an update, more than any of these histories makes.
const MAX_BYTES: usize = 1 << 24;

fn main() -> Outcome<()> {
    let arguments = Arguments::parse();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("histories.mjs");
    let mut yjs = Command::new("node")
        .arg(script)
        .args([arguments.histories.to_string(), arguments.seed.to_string()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let compared = compare(&arguments, &mut yjs);
    // It has ended, but where something differs.
    let _ = yjs.kill();
    yjs.wait()?;
    let waited = compared?;
    println!(
        "test result: ok. {} passed; updates waited for others in {waited} of them",
        arguments.histories
    );
    Ok(())
}

/// Goes through all histories; gives in how many of them an update waited for another.
fn compare(arguments: &Arguments, yjs: &mut Child) -> Outcome<u32> {
    let Arguments { histories, seed } = *arguments;
    let (Some(mut down), Some(up)) = (yjs.stdin.take(), yjs.stdout.take()) else {
        return Err("no pipe".into());
    };
    let mut lines = BufReader::new(up).lines();
    let mut hear =
        || -> Outcome<Value> { Ok(serde_json::from_str(&lines.next().ok_or("Yjs ended early")??)?) };
    let mut waited = 0;
    for number in 0..histories {
        let history = hear()?;
        let mut dice = Dice::new(seed ^ u64::from(number) << 20);
        let (document, most) = made_of(&history, &mut dice)?;
        waited += u32::from(most > 0);
        let at = |what: &str| format!("history {number} of seed {seed}: {what}");
        same(&at("the view"), &document.json()?, &history["json"])?;
        same_clocks(&at("the clocks"), &document, &history["clocks"])?;
        let (state, update, after) = edited(document)?;
        writeln!(down, "{}", json!({ "state": hex(&state), "update": hex(update.bytes()) }))?;
        let answer = hear()?;
        same(&at("what Yjs reads"), &Json::try_from(&history["json"])?, &answer["whole"]["json"])?;
        if answer["whole"]["clocks"] != history["clocks"] {
            return Err(at("Yjs reads other clocks").into());
        }
        same(&at("what Yjs makes of an edit"), &after, &answer["json"])?;
    }
    if histories > 0 && waited == 0 {
        return Err("no update ever waited for another".into());
    }
    Ok(waited)
}

/// The document that a history makes in any order, and how many updates waited in it at most.
fn made_of(history: &Value, dice: &mut Dice) -> Outcome<(Document, usize)> {
    let updates = history["updates"].as_array().ok_or("a history has updates")?;
    let updates = updates.iter().map(|update| bytes(update.as_str().unwrap_or_default()));
    let updates: Vec<Update> =
        updates.map(|bytes| Update::check(bytes.into(), MAX_BYTES)).collect::<Result<_, _>>()?;
    let mut order: Vec<usize> =
        (0..updates.len()).chain((0..updates.len()).filter(|_| dice.below(8) == 0)).collect();
    // Mostly as they came, or anyhow.
    let reach = if dice.below(2) == 0 { 8 } else { order.len() };
    for at in (1..order.len()).rev() {
        order.swap(at, at - dice.below(reach.min(at + 1)));
    }
    let mut document = Document::new("here", 1);
    let mut most = 0;
    for at in order {
        if let Some(update) = updates.get(at) {
            document.apply(update.clone())?;
        }
        most = most.max(document.waiting().len());
        if dice.below(20) == 0 {
            document = made_again(&document)?;
        }
    }
    if document.waiting().len() > 0 {
        return Err("something waits for ever".into());
    }
    Ok((document, most))
}

/// The same document from what a store would keep of it: what it holds, and what waits.
fn made_again(document: &Document) -> Outcome<Document> {
    let state = Update::check(document.since(&StateVector::default())?, MAX_BYTES)?;
    let mut again = Document::new("again", 2);
    for part in state.in_parts(&Default::default(), 200) {
        again.apply(Update::check(part, MAX_BYTES)?)?;
    }
    for waiting in document.waiting() {
        again.apply(waiting.clone())?;
    }
    Ok(again)
}

/// What is written of a document, an edit of it, and what it is after that.
fn edited(mut document: Document) -> Outcome<(bytes::Bytes, Update, Json)> {
    let state = document.since(&StateVector::default())?;
    let view = document.json()?;
    let mut operations = vec![json!({ "op": "add", "path": "/slide", "value": { "n": 3, "l": [1, "two"] } })];
    if let Some(text) = view.get("text").and_then(Json::as_str) {
        operations.push(json!({ "op": "replace", "path": "/text", "value": format!("<{text}>") }));
    }
    if let Some(array) = view.get("array").and_then(Json::as_array) {
        operations.push(json!({ "op": "remove", "path": format!("/array/{}", array.len() - 1) }));
        operations.push(json!({ "op": "add", "path": "/list", "value": [array.len() as f64] }));
    }
    if view.get("map").is_some() {
        operations.push(json!({ "op": "add", "path": "/map/more", "value": [{ "deep": true }] }));
    }
    let patch = Patch::parse(&Value::from(operations).to_string(), &Limits::default())?;
    let update = document.patch(&patch, &Limits::default())?.ok_or("the patch changes something")?;
    let after = document.json()?;
    Ok((state, update, after))
}

fn same(what: &str, here: &Json, yjs: &Value) -> Outcome<()> {
    let yjs = Json::try_from(yjs)?;
    if *here == yjs {
        return Ok(());
    }
    Err(format!("{what} differs\n  here {}\n  Yjs  {}", here.canonical(), yjs.canonical()).into())
}

fn same_clocks(what: &str, document: &Document, yjs: &Value) -> Outcome<()> {
    let here: BTreeMap<String, u64> =
        document.clocks().iter().map(|(client, clock)| (client.to_string(), u64::from(*clock))).collect();
    if json!(here) == *yjs {
        Ok(())
    } else {
        Err(format!("{what} differ\n  here {here:?}\n  Yjs  {yjs}").into())
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn bytes(hex: &str) -> Vec<u8> {
    let pairs = hex.as_bytes().chunks(2).filter_map(|pair| std::str::from_utf8(pair).ok());
    pairs.filter_map(|pair| u8::from_str_radix(pair, 16).ok()).collect()
}

/// Numbers that look drawn, the same in each run.
struct Dice(u64);

impl Dice {
    fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    fn below(&mut self, most: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from((self.0 >> 16) % most.max(1) as u64).unwrap_or_default()
    }
}
