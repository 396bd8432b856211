//! What recording costs: `cargo run --release -p rejoin-record --example cost`.
//!
//! An authority takes edits of one document, one after the other, over a store that answers at once: an edit is two inputs, a command and
//! about five outputs.
#![allow(clippy::print_stdout, reason = "this program reports to people")]

use std::time::{Duration, Instant as Clock};

use rejoin_core::storage::{Answered, Operation};
use rejoin_core::{Base, Config, Grant, Input, Instant, Output, Replica, Role, Seed, Token};
use rejoin_json::{Limits, Patch};
use rejoin_record::{Recorded, Recorder, RecordingOptions, Start};
use rejoin_wire::{Body, DocumentId, Header, Sequence, UnixMillis, WorkspaceId};

const EDITS: u32 = 500;

/// Rounds, of which the fastest counts: others use the machine, too.
const ROUNDS: u32 = 300;

fn drain(replica: &mut Replica, now: Instant) {
    while let Some(output) = replica.poll_output() {
        let Output::Store { request, operation } = output else { continue };
        let answer = match operation {
            Operation::LoadMeta => Answered::Meta { records: Vec::new(), sequence: Sequence(0) },
            Operation::LoadDocument { .. } => Answered::Document(Box::default()),
            Operation::ScanHeads { .. } => Answered::Heads(Vec::new()),
            Operation::ScanRecords { .. } => Answered::Records(Vec::new()),
            Operation::Commit(_) => Answered::Committed,
            _ => Answered::Changes(Vec::new()),
        };
        replica.handle_input(now, Input::Stored { request, answer: Ok(answer) });
    }
}

fn run(options: Option<RecordingOptions>) -> Result<(Duration, usize), Box<dyn std::error::Error>> {
    let config = Config::new(WorkspaceId::new("w")?, Role::Root);
    let start = Start { config: &config, seed: Seed(1), now: Instant(0), unix_now: UnixMillis(0) };
    let recorder = options.map(|options| Recorder::begin(Recorded::Server, &options, &start));
    let mut replica = Replica::new(config.clone(), Seed(1), Instant(0), UnixMillis(0));
    if let Some(recorder) = &recorder {
        replica.record(recorder.tape());
    }
    let (id, grant) = (DocumentId::new("note")?, Grant::new("ada", true));
    let content = rejoin_json::Json::parse(r#"{"x":0}"#, &Limits::default())?;
    let create = Body::Create { header: Header::default(), content };
    replica.submit(Token(0), grant.clone(), &id, create, Base::Current, None);
    drain(&mut replica, Instant(0));
    let before = recorder.as_ref().map_or(0, |recorder| recorder.save().len());
    let began = Clock::now();
    for number in 1..=EDITS {
        let now = Instant(u64::from(number) * 1_000);
        let patch = format!(r#"[{{"op":"replace","path":"/x","value":{number}}}]"#);
        let patch = Patch::parse(&patch, &Limits::default())?;
        replica.handle_input(now, Input::Timeout);
        let edit = Body::Edit { patch, settles: Vec::new(), undoes: None };
        replica.submit(Token(number.into()), grant.clone(), &id, edit, Base::Current, None);
        drain(&mut replica, now);
    }
    let took = began.elapsed();
    Ok((took, recorder.map_or(0, |recorder| recorder.save().len() - before)))
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let whole = RecordingOptions { max_bytes: 1 << 30, ..RecordingOptions::default() };
    let sealed = RecordingOptions { content: false, ..whole };
    for (name, options) in [("off", None), ("without content", Some(sealed)), ("with content", Some(whole))] {
        let mut fastest = (Duration::MAX, 0);
        for _ in 0..ROUNDS {
            fastest = fastest.min(run(options)?);
        }
        let (took, bytes) = fastest;
        let each = took.as_nanos() / u128::from(EDITS);
        println!("{name:<16} {each:>6} ns an edit, {:>4} bytes an edit", bytes / EDITS as usize);
    }
    Ok(())
}
