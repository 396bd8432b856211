//! Bytes of the database change while the server is down.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rejoin_client::{Client, ClientOptions, Json, Operation, Patch, PointerBuf, Scope};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::time::{sleep, timeout};

use crate::database::doctor;
use crate::dice::Dice;
use crate::load::within;
use crate::plan::Plan;
use crate::process::{DAMAGED, Process, Settings, Starting};
use crate::report::Report;
use crate::rest;

const DOCUMENTS: usize = 16;

/// Revisions of each.
const REVISIONS: usize = 20;

const PAGE: u64 = 4_096;

/// Pages of which bytes change, at most.
const MOST_PAGES: u64 = 6;

/// Bytes that change on each, at most.
const MOST_BYTES: u64 = 24;

/// Time that clients have to give back what a document lacks; what is not mended by then counts as not mended.
const MENDING: Duration = Duration::from_secs(2);

/// How many times as many databases as are wanted are changed at most.
const MOST_ROUNDS: usize = 8;

#[derive(Default)]
struct Counts {
    unharmed: usize,
    refused: usize,
    served: usize,
    /// Documents that the doctor named, and what became of them.
    named: usize,
    whole_all_the_same: usize,
    mended: usize,
    /// Documents of files whose structure is damaged, as the doctor says: some may be missing without an error.
    unsure: usize,
    missing: usize,
    /// Documents that nobody harmed, in files that are in order but for others.
    others: usize,
}

pub(super) async fn run(plan: Plan) -> Result<Report> {
    let mut dice = Dice::new(plan.seed);
    let folder = TempDir::new()?;
    let contents = prepare(folder.path()).await?;
    let whole = std::fs::read(folder.path().join("server.db"))?;
    let times = plan.pick(8, 150);
    let mut counts = Counts::default();
    let mut rounds = 0;
    for time in 1..=MOST_ROUNDS * times {
        // What lies on which page differs from run to run: it goes on until something was met.
        let has_met = counts.named > 0 && counts.others > 0 && counts.mended > 0;
        if time > times && has_met {
            break;
        }
        rounds = time;
        let harmed = TempDir::new()?;
        std::fs::write(harmed.path().join("server.db"), damaged(&whole, &mut dice))?;
        std::fs::copy(folder.path().join("client.db"), harmed.path().join("client.db"))?;
        if let Err(error) = examine(harmed.path(), &contents, &mut counts).await {
            // For whoever wants to look at it.
            let path = harmed.keep();
            return Err(error.context(format!("damage {time}, kept in {}", path.display())));
        }
    }
    ensure!(counts.named > 0 && counts.others > 0, "no damage met a document");
    ensure!(counts.mended > 0, "nobody gave anything back");
    let mut report = Report::default();
    report.add("databases with changed bytes", rounds);
    report.add("of them with nothing that the doctor has to tell", counts.unharmed);
    report.add("the server refused with a sentence, or served no request for a document", counts.refused);
    report.add("the server started", counts.served);
    report.add("documents that the doctor named there", counts.named);
    report.add("of them served whole by the server", counts.whole_all_the_same);
    report.add(
        "documents beside them in files whose structure is damaged, which the doctor says",
        counts.unsure,
    );
    report.add("of them not found, or refused", counts.missing);
    report.add("documents of both kinds that a client which held them brought back", counts.mended);
    report.add("documents in files that are in order but for others, all served whole", counts.others);
    report.add("panics of the server", 0);
    Ok(report)
}

/// A database, and a client that holds all of it. Gives what is in it.
async fn prepare(folder: &Path) -> Result<BTreeMap<String, Value>> {
    let mut settings = Settings::in_folder(folder);
    let server = Process::start(&settings).await?;
    settings.bind = server.address().to_string();
    let options = ClientOptions::new(server.url()).sqlite(folder.join("client.db")).follow(Scope::Documents);
    let client = Client::start(options)?;
    for number in 0..DOCUMENTS {
        let document = client.open(&format!("d{number}")).await?;
        document.create(Json::from_value(&json!({"log": []})).context("a content")?).await?;
        for revision in 1..REVISIONS {
            let path = PointerBuf::parse("/log/-").ok().context("a pointer")?;
            let value = format!("d{number}, revision {revision}").as_str().into();
            document.edit(Patch(vec![Operation::Add { path, value }])).await?;
            // A push of its own, and so a row.
            within("acknowledgement", document.acknowledged()).await??;
        }
    }
    client.close().await?;
    let mut contents = BTreeMap::new();
    for number in 0..DOCUMENTS {
        let document = rest::get(server.address(), &format!("/api/documents/d{number}")).await?;
        contents.insert(format!("d{number}"), document["content"].clone());
    }
    server.terminate().await?;
    Ok(contents)
}

/// The file with some bytes changed, on a few of its pages. The first page says what all others are.
fn damaged(whole: &[u8], dice: &mut Dice) -> Vec<u8> {
    let mut bytes = whole.to_vec();
    let pages = bytes.len() as u64 / PAGE;
    for _ in 0..dice.between(1..=MOST_PAGES) {
        let page = dice.between(1..=pages - 1) * PAGE;
        for _ in 0..dice.between(1..=MOST_BYTES) {
            let at = usize::try_from(page + dice.between(0..=PAGE - 1)).unwrap_or(0);
            if let Some(byte) = bytes.get_mut(at) {
                *byte ^= 1 << dice.between(0..=7);
            }
        }
    }
    bytes
}

async fn examine(folder: &Path, contents: &BTreeMap<String, Value>, counts: &mut Counts) -> Result<()> {
    let settings = Settings::in_folder(folder);
    let (is_good, said) = doctor(&settings.database)?;
    ensure!(!said.contains("panicked"), "the doctor panicked: {said}");
    counts.unharmed += usize::from(is_good);
    let server = match Starting::begin(&settings)?.ready().await {
        Ok((server, _)) => server,
        Err(error) => {
            let error = format!("{error:#}");
            let is_said = error.contains("rejoin: ") || error.contains(DAMAGED);
            ensure!(is_said && !error.contains("panicked"), "it ended with {error}");
            ensure!(!is_good, "the doctor found nothing, and the server does not start: {error}");
            counts.refused += 1;
            return Ok(());
        }
    };
    let names = |id: &str| said.contains(&format!("/{id} ")) || said.contains(&format!("/{id},"));
    let unreadable = said.contains("cannot be read:") && !said.contains("cannot be read whole");
    let is_unsure = said.contains("SQLite finds the file damaged");
    let mut damaged = Vec::new();
    for (id, content) in contents {
        let (status, answer) = rest::ask(server.address(), &format!("GET /api/documents/{id}"), "").await?;
        let shown: Value = serde_json::from_str(&answer).unwrap_or_default();
        let is_whole = status == 200 && shown["content"] == *content;
        if names(id) || unreadable {
            counts.named += 1;
            counts.whole_all_the_same += usize::from(is_whole);
            let is_honest = is_whole || status >= 400 || is_beginning(&shown["content"], content);
            ensure!(is_honest, "{id} is shown as {status} {answer}, and is {content}");
            if !is_whole {
                damaged.push((id, content));
            }
        } else if is_unsure {
            counts.unsure += 1;
            // A column beside the rows, which no checksum covers, can say that an earlier revision is the newest.
            let is_honest = is_whole || status >= 400 || is_beginning(&shown["content"], content);
            ensure!(is_honest, "{id} is shown as {status} {answer}, and is {content}");
            if !is_whole {
                counts.missing += 1;
                damaged.push((id, content));
            }
        } else {
            ensure!(is_whole, "{id} is {status} {answer}, and the doctor does not name it: {said}");
            counts.others += 1;
        }
    }
    counts.served += 1;
    counts.mended += mended(&server, folder, &damaged).await?;
    let panics = rest::metric(server.address(), "rejoin_shard_panics_total").await?;
    ensure!(
        panics == 0.0 && !server.logged().contains("panicked"),
        "the server panicked: {}",
        server.logged()
    );
    server.terminate().await?;
    Ok(())
}

/// Whether a content is that of an earlier revision.
fn is_beginning(shown: &Value, content: &Value) -> bool {
    let (Some(shown), Some(all)) = (shown["log"].as_array(), content["log"].as_array()) else { return false };
    all.starts_with(shown)
}

/// Has a client connect that holds everything; gives how many of the documents it brought back.
async fn mended(server: &Process, folder: &Path, damaged: &[(&String, &Value)]) -> Result<usize> {
    if damaged.is_empty() {
        return Ok(0);
    }
    let options = ClientOptions::new(server.url()).sqlite(folder.join("client.db"));
    let client = Client::start(options.follow(Scope::Documents))?;
    let mut opened = Vec::new();
    for (id, _) in damaged {
        opened.push(client.open(id).await?);
    }
    let mut left = damaged.to_vec();
    let mending = async {
        while !left.is_empty() {
            let mut still = Vec::new();
            for (id, content) in left.drain(..) {
                let path = format!("GET /api/documents/{id}");
                let (status, answer) = rest::ask(server.address(), &path, "").await?;
                let shown: Value = serde_json::from_str(&answer).unwrap_or_default();
                if status != 200 || shown["content"] != *content {
                    still.push((id, content));
                }
            }
            left = still;
            sleep(Duration::from_millis(20)).await;
        }
        anyhow::Ok(())
    };
    // What takes longer is counted, not failed: the documentation says what cannot be mended.
    if let Ok(done) = timeout(MENDING, mending).await {
        done?;
    }
    client.close().await?;
    Ok(damaged.len() - left.len())
}
