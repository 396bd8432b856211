//! Everybody is cut off at once, and comes back.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use rejoin_client::{Client, ClientOptions, Document, Json, Operation, Patch, PointerBuf};
use serde_json::json;
use tempfile::TempDir;
use tokio::time::sleep;

use crate::limits;
use crate::load::within;
use crate::network::Network;
use crate::plan::Plan;
use crate::process::{Process, Settings};
use crate::report::Report;
use crate::rest;

const DOCUMENTS: usize = 20;

/// Clients that connect for the first time at a time.
const AT_ONCE: usize = 50;

/// Attempts to connect that a client makes on the average, at most. It waits longer after each, up to 30 s: in an outage of ten seconds
/// about seven. One that hammered would make hundreds.
const MOST_ATTEMPTS: f64 = 15.0;

struct Person {
    client: Client,
    document: Document,
    /// What it types while it is away, and where.
    name: String,
}

pub(super) async fn run(plan: Plan) -> Result<Report> {
    let people = plan.pick(200, 2_000);
    let outage = plan.pick(Duration::from_secs(2), Duration::from_secs(10));
    ensure!(limits::open_files() > 3 * people + 200, "{people} clients need more files: raise `ulimit -n`");
    let folder = TempDir::new()?;
    let server = Process::start(&Settings::in_folder(folder.path())).await?;
    for number in 0..DOCUMENTS {
        let document = json!({"id": format!("d{number}"), "content": {"round": 0}});
        rest::json(server.address(), "POST /api/documents", &document).await?;
    }
    let network = Network::to(server.address()).await?;
    let everybody = connect(&network, people).await?;
    let connected = network.connected();
    ensure!(connected >= people as u64, "{connected} of {people} are connected");

    let since = Instant::now();
    network.cut();
    for person in &everybody {
        let path = PointerBuf::from_tokens([person.name.as_str()]);
        let edit = Operation::Add { path, value: person.name.as_str().into() };
        person.document.edit(Patch(vec![edit])).await?;
    }
    for number in 0..DOCUMENTS {
        let edit = json!([{"op": "replace", "path": "/round", "value": 1}]);
        rest::json(server.address(), &format!("PATCH /api/documents/d{number}"), &edit).await?;
    }
    // How long the network is down; nothing is waited for.
    sleep(outage.saturating_sub(since.elapsed())).await;
    let down = since.elapsed();
    let without = network.attempts().len();
    network.mend();
    let back = Instant::now();
    for person in &everybody {
        within("acknowledgements", person.document.acknowledged()).await??;
    }
    let acknowledged = back.elapsed();
    let mut contents = BTreeMap::new();
    for number in 0..DOCUMENTS {
        let document = rest::get(server.address(), &format!("/api/documents/d{number}")).await?;
        contents.insert(format!("d{number}"), document["content"].clone());
    }
    for person in &everybody {
        let content = contents.get(person.document.id().as_str()).context("a document of nobody")?;
        ensure!(content[&person.name] == person.name.as_str(), "lost: what {} typed", person.name);
        let wanted = Json::from_value(content).context("a content that is none")?;
        within("what the server has", person.document.until(move |shown| *shown == wanted)).await??;
    }
    let in_sync = back.elapsed();
    let typed: usize =
        contents.values().map(|content| content.as_object().map_or(0, |all| all.len() - 1)).sum();
    ensure!(typed == people, "{typed} values of {people} are there");
    ensure!(contents.values().all(|content| content["round"] == 1), "what others typed is gone");

    let attempts = network.attempts();
    let each = attempts.len() as f64 / people as f64;
    ensure!(attempts.len() >= people, "{} attempts of {people} clients: nobody was cut off", attempts.len());
    ensure!(each <= MOST_ATTEMPTS, "a client tried {each:.1} times to connect");
    let mut seconds: BTreeMap<u64, usize> = BTreeMap::new();
    for attempt in &attempts {
        *seconds.entry(attempt.saturating_duration_since(since).as_secs()).or_default() += 1;
    }
    let mut report = Report::default();
    report.add("clients that were cut off at once", people);
    report.add("seconds until they could connect again", format!("{:.1}", down.as_secs_f64()));
    report.add("attempts to connect meanwhile, a client", format!("{:.1}", without as f64 / people as f64));
    report.add("attempts in all, a client", format!("{each:.1}"));
    report.add("attempts in the busiest second", seconds.values().max().copied().unwrap_or(0));
    report.add(
        "in the last second of the outage",
        seconds.get(&(down.as_secs().max(1) - 1)).copied().unwrap_or(0),
    );
    report.add("seconds until all they typed was acknowledged", format!("{:.1}", acknowledged.as_secs_f64()));
    report.add("seconds until all were in sync", format!("{:.1}", in_sync.as_secs_f64()));
    report.add("values lost", 0);
    for person in everybody {
        // Each ends in its own time.
        drop(person.client);
    }
    Ok(report)
}

async fn connect(network: &Network, people: usize) -> Result<Vec<Person>> {
    let mut everybody = Vec::with_capacity(people);
    while everybody.len() < people {
        let opening: Vec<_> = (0..AT_ONCE.min(people - everybody.len()))
            .map(|at| {
                let (url, number) = (network.url(), everybody.len() + at);
                tokio::spawn(async move {
                    let client = Client::start(ClientOptions::new(url))?;
                    let document = client.open(&format!("d{}", number % DOCUMENTS)).await?;
                    within("a document", document.until(|_| true)).await??;
                    anyhow::Ok(Person { client, document, name: format!("person{number}") })
                })
            })
            .collect();
        for person in opening {
            everybody.push(person.await??);
        }
    }
    Ok(everybody)
}
