//! A paper that was written in an editor which kept every key: typed, imported, received and loaded, here and in Yjs.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use bytes::Bytes;
use rejoin_crdt::{Document, Edit, RootKind, Target, Update};
use rejoin_json::Json;
use serde::Deserialize;

use super::{ROUNDS, bars, cell, median};
use crate::cores;
use crate::family::{Figures, Goal};
use crate::measure::seconds;
use crate::npm;
use crate::plot::Plot;
use crate::process::script;
use crate::table::Table;

/// Where the traces lie, beside the workspace: they are not part of it.
const TRACES: &str = "../../../shared/data/editing-traces";
const TRACE: &str = "automerge-paper.json.gz";
/// Operations that go into one transaction, and the time that they may take.
const AT_ONCE: usize = 50_000;
const AT_ONCE_SECONDS: f64 = 1.0;
/// The text's name.
const TEXT: &str = "text";

/// What is measured, as the program in Node.js calls it.
const MEASURES: [(&str, &str); 4] = [
    ("typing", "each operation as a transaction of its own"),
    ("at-once", "50,000 operations in one transaction"),
    ("remote", "each transaction received from somebody else"),
    ("load", "the document loaded as it is stored"),
];
/// How many times faster than Yjs each should be, where that is said.
const GOALS: [Option<f64>; 4] = [Some(1.0), None, Some(2.0), Some(5.0)];

#[derive(Deserialize)]
struct Trace {
    #[serde(rename = "endContent")]
    end: String,
    txns: Vec<Transaction>,
}

#[derive(Deserialize)]
struct Transaction {
    /// Where, how many letters go, and what comes.
    patches: Vec<(u32, u32, String)>,
}

#[derive(Deserialize)]
struct Line {
    measure: String,
    nanoseconds: f64,
}

pub(crate) fn run() -> Result<Figures> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(TRACES);
    if !folder.join(TRACE).is_file() {
        eprintln!("rooms, traces: {} is not there", folder.join(TRACE).display());
        return Ok(Figures::default());
    }
    npm::install()?;
    cores::pin_generator()?;
    let mut own = vec![Vec::new(); MEASURES.len()];
    let mut yjs = own.clone();
    let trace = read(&folder.join(TRACE))?;
    let made = tempfile::tempdir()?;
    for round in 1..=ROUNDS {
        eprintln!("rooms, traces, round {round}");
        in_yjs(&folder.join(TRACE), made.path(), &mut yjs)?;
        for (figures, time) in own.iter_mut().zip(here(&trace, made.path())?) {
            figures.push(time.as_secs_f64());
        }
    }
    figures(&own, &yjs)
}

fn read(path: &Path) -> Result<Trace> {
    let mut text = Vec::new();
    flate2::read::GzDecoder::new(std::fs::File::open(path)?).read_to_end(&mut text)?;
    Ok(serde_json::from_slice(&text)?)
}

/// Yjs in a process of its own, which leaves its updates in a folder.
fn in_yjs(trace: &Path, folder: &Path, figures: &mut [Vec<f64>]) -> Result<()> {
    let output = script("traces.mjs").arg(trace).arg(folder).output().context("node did not start")?;
    if !output.status.success() {
        bail!("traces.mjs failed: {}", String::from_utf8_lossy(&output.stderr));
    }
    let text = String::from_utf8(output.stdout)?;
    for ((name, _), figures) in MEASURES.iter().zip(figures) {
        let lines = text.lines().map(serde_json::from_str).collect::<Result<Vec<Line>, _>>()?;
        let line = lines.iter().find(|line| line.measure == *name).context("a measure is missing")?;
        eprintln!("  Yjs, {name}: {}", seconds(line.nanoseconds / 1e9));
        figures.push(line.nanoseconds / 1e9);
    }
    Ok(())
}

fn target() -> Target {
    Target { root: TEXT.into(), kind: RootKind::Text, path: Vec::new() }
}

fn edits(patch: &(u32, u32, String)) -> impl Iterator<Item = (Target, Edit)> {
    let (index, length, text) = (patch.0, patch.1, &patch.2);
    let delete = (length > 0).then(|| (target(), Edit::Delete { index, length }));
    let text = (!text.is_empty()).then(|| text.clone());
    let insert = text.map(|text| (target(), Edit::InsertText { index, text, attributes: None }));
    delete.into_iter().chain(insert)
}

fn must(document: &Document, content: &str) -> Result<()> {
    let shown = document.read(&target())?;
    ensure!(shown.as_str() == Some(content), "the document is another one: {} letters", letters(&shown));
    Ok(())
}

fn letters(shown: &Json) -> usize {
    shown.as_str().map_or(0, str::len)
}

/// The measures in their order.
fn here(trace: &Trace, folder: &Path) -> Result<[Duration; 4]> {
    let patches = || trace.txns.iter().flat_map(|transaction| &transaction.patches);
    let each: Vec<Vec<(Target, Edit)>> = patches().map(|patch| edits(patch).collect()).collect();
    let typing = timed(|| {
        let mut document = Document::new("", 1);
        for edits in &each {
            document.perform(edits)?;
        }
        Ok(document)
    })?;
    must(&typing.1, &trace.end)?;
    let all: Vec<(Target, Edit)> = patches().take(AT_ONCE).flat_map(edits).collect();
    let at_once = timed(|| {
        let mut document = Document::new("", 1);
        document.perform(&all)?;
        Ok(document)
    })?;
    let updates = updates(&folder.join("updates.bin"))?;
    let remote = timed(|| {
        let mut document = Document::new("", 1);
        for update in &updates {
            document.admit(Update::check(update.clone(), update.len())?)?;
        }
        Ok(document)
    })?;
    must(&remote.1, &trace.end)?;
    let state: Bytes = std::fs::read(folder.join("state.bin"))?.into();
    let load = timed(|| {
        let mut document = Document::new("", 1);
        document.apply(Update::check(state.clone(), state.len())?)?;
        Ok(document)
    })?;
    must(&load.1, &trace.end)?;
    let times = [typing.0, at_once.0, remote.0, load.0];
    for ((name, _), time) in MEASURES.iter().zip(&times) {
        eprintln!("  here, {name}: {time:?}");
    }
    Ok(times)
}

fn timed(run: impl FnOnce() -> Result<Document>) -> Result<(Duration, Document)> {
    let started = Instant::now();
    let document = run()?;
    Ok((started.elapsed(), document))
}

/// Updates, each behind its length as four bytes, low ones first.
fn updates(path: &PathBuf) -> Result<Vec<Bytes>> {
    let mut bytes = Bytes::from(std::fs::read(path)?);
    let mut updates = Vec::new();
    while let Some((length, _)) = bytes.split_first_chunk() {
        let length = usize::try_from(u32::from_le_bytes(*length))?;
        let mut update = bytes.split_off(4);
        ensure!(update.len() >= length, "an update is cut off");
        bytes = update.split_off(length);
        updates.push(update);
    }
    Ok(updates)
}

fn figures(own: &[Vec<f64>], yjs: &[Vec<f64>]) -> Result<Figures> {
    let yjs_name = npm::named("yjs")?;
    let mut table =
        Table::new("automerge-paper, 259,778 operations", ["what", "rejoin-crdt, native", yjs_name.as_str()]);
    let mut goals = Vec::new();
    for (((name, what), goal), (own, yjs)) in MEASURES.iter().zip(GOALS).zip(own.iter().zip(yjs)) {
        table.row([(*what).to_owned(), cell(own, seconds), cell(yjs, seconds)]);
        if let Some(bound) = goal {
            let what = format!("how many times faster than Yjs: {what}");
            goals.push(Goal::at_least(what, median(yjs) / median(own), bound, "×"));
        }
        if *name == "at-once" {
            goals.push(Goal::at_most(*what, median(own), AT_ONCE_SECONDS, "s"));
        }
    }
    let panels = MEASURES
        .iter()
        .zip(own.iter().zip(yjs))
        .map(|((_, what), (own, yjs))| bars(what, [own, yjs].into_iter(), seconds));
    let plot = Plot {
        name: "rooms-traces",
        title: "The trace automerge-paper, natively and in Yjs".into(),
        series: vec!["rejoin-crdt, native".into(), yjs_name],
        panels: panels.collect(),
    };
    Ok(Figures { tables: vec![table], plots: vec![plot], goals })
}
