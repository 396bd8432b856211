//! A room with many clients of two doors, of whom some write and one means harm, on a server that is killed.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use futures_util::{SinkExt, StreamExt};
use rejoin_crdt::doors::y_websocket;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tokio_tungstenite::tungstenite::Message;

use super::caught;
use crate::dice::Dice;
use crate::limits;
use crate::load::within;
use crate::mortal::{End, Mortal};
use crate::plan::Plan;
use crate::report::{Report, mebibytes};
use crate::rest;
use crate::room::{Member, Typist, dial};
use crate::rounds::Victim;

const ROOM: &str = "crowd";

/// Clients that connect for the first time at a time.
const AT_ONCE: usize = 50;

/// How long who means harm reads before it comes again.
const HARM_PATIENCE: Duration = Duration::from_millis(200);

/// What all clients share.
struct Shared {
    address: SocketAddr,
    /// What was acknowledged: keys of members, and words of typists.
    keys: Mutex<BTreeSet<String>>,
    words: Mutex<BTreeSet<String>>,
    count: watch::Sender<u64>,
    times: Mutex<Vec<Duration>>,
    /// Nothing more is written.
    over: watch::Sender<bool>,
    /// The version that everybody is to be told; none while somebody writes.
    goal: watch::Sender<Option<u64>>,
    harms: AtomicU64,
}

impl Shared {
    fn note(&self, set: &Mutex<BTreeSet<String>>, what: String, since: Instant) {
        set.lock().unwrap_or_else(PoisonError::into_inner).insert(what);
        self.times.lock().unwrap_or_else(PoisonError::into_inner).push(since.elapsed());
        self.count.send_modify(|count| *count += 1);
    }
}

pub(super) async fn run(plan: Plan) -> Result<Report> {
    let (clients, writers) = (plan.pick(100, 1_000), plan.pick(8, 20));
    let (kills, lasts) = (plan.pick(2, 20), plan.pick(Duration::ZERO, Duration::from_secs(600)));
    let between = plan.pick(60, 100);
    ensure!(limits::open_files() > 2 * clients + 200, "{clients} clients need more files: raise `ulimit -n`");
    let mut dice = Dice::new(plan.seed);
    let mut server = Mortal::new(End::Killed)?;
    server.start().await?;
    let address = server.address();
    let shared = Arc::new(Shared {
        address,
        keys: Mutex::default(),
        words: Mutex::default(),
        count: watch::Sender::new(0),
        times: Mutex::default(),
        over: watch::Sender::new(false),
        goal: watch::Sender::new(None),
        harms: AtomicU64::new(0),
    });
    let joined = Instant::now();
    let mut readers = Vec::with_capacity(clients);
    while readers.len() < clients {
        let coming: Vec<_> = (0..AT_ONCE.min(clients - readers.len()))
            .map(|_| tokio::spawn(Member::join(address, ROOM)))
            .collect();
        for member in coming {
            readers.push(member.await??);
        }
    }
    let joined = joined.elapsed();
    let readers: Vec<_> =
        readers.into_iter().map(|member| tokio::spawn(read(member, Arc::clone(&shared)))).collect();
    let writing: Vec<_> = (0..writers)
        .map(|number| {
            let shared = Arc::clone(&shared);
            tokio::spawn(async move {
                match number % 2 {
                    0 => write(number, &shared).await,
                    _ => typewrite(number, &shared).await,
                }
            })
        })
        .collect();
    let harming = tokio::spawn(harm(Arc::clone(&shared), Dice::new(plan.seed)));

    let since = Instant::now();
    let mut serving = Vec::new();
    for kill in 1..=kills {
        acknowledged(&shared, kill * between).await?;
        // How long the crowd goes on; nothing is waited for.
        sleep((lasts * u32::try_from(kill)? / u32::try_from(kills)?).saturating_sub(since.elapsed())).await;
        sleep(dice.up_to(Duration::from_millis(50))).await;
        server.crash(&mut dice).await?;
        serving.push(server.start().await?);
    }
    let behind = *shared.count.borrow() + between;
    acknowledged(&shared, behind).await?;
    shared.over.send_replace(true);
    for writer in writing {
        writer.await??;
    }
    let lasted = since.elapsed();
    harming.await??;

    let storage = rest::get(address, &format!("/api/rooms/{ROOM}/storage")).await?;
    let version = storage["version"].as_u64().context("a storage without a version")?;
    check(&shared, &storage)?;
    shared.goal.send_replace(Some(version));
    let mut members = Vec::with_capacity(clients);
    for reader in readers {
        members.push(within("a reader", reader).await???);
    }
    let shown = &storage[CONTENT];
    for member in &members {
        let view: Value = serde_json::from_str(&member.view().to_string())?;
        ensure!(view == *shown, "a reader was told another storage than the server has");
    }
    present(address, clients).await?;
    members.truncate(clients / 2);
    present(address, clients / 2).await?;

    let mut report = Report::default();
    report.add("clients of the rooms door that read", clients);
    report.add("seconds until all were in the room", format!("{:.1}", joined.as_secs_f64()));
    report.add("clients that wrote, of the rooms door and of Yjs in equal parts", writers);
    report.add("kills", kills);
    report.add("seconds under load", format!("{:.1}", lasted.as_secs_f64()));
    report.add("connections that meant harm", shared.harms.load(Ordering::Relaxed));
    report.add("batches acknowledged, each there once", *shared.count.borrow());
    report.add("lost", 0);
    let times = shared.times.lock().unwrap_or_else(PoisonError::into_inner).clone();
    report.add_times("from a batch until it was acknowledged, outages included", &times);
    report.add_times("from a start until it served", &serving);
    report.add("memory of the server at the end", mebibytes(server.memory()?));
    shared.keys.lock().unwrap_or_else(PoisonError::into_inner).insert("never-written".to_owned());
    report.add("planted", caught("a batch that nobody has", check(&shared, &storage), &["lost: "])?);
    Ok(report)
}

/// Where REST shows what a storage holds.
const CONTENT: &str = "storage";

/// Waits until so many batches are acknowledged.
async fn acknowledged(shared: &Shared, count: u64) -> Result<()> {
    within("acknowledgements", shared.count.subscribe().wait_for(|so_far| *so_far >= count)).await??;
    Ok(())
}

/// All that was acknowledged is there, and what was typed is there once.
fn check(shared: &Shared, storage: &Value) -> Result<()> {
    let body = storage[CONTENT]["body"].as_str().context("no text")?;
    for key in shared.keys.lock().unwrap_or_else(PoisonError::into_inner).iter() {
        ensure!(storage[CONTENT][key] == json!(key), "lost: {key}");
    }
    for word in shared.words.lock().unwrap_or_else(PoisonError::into_inner).iter() {
        match body.matches(word).count() {
            0 => anyhow::bail!("lost: {word}"),
            1 => {}
            times => anyhow::bail!("{word} is there {times} times"),
        }
    }
    Ok(())
}

/// Waits until just so many are said to be in the room.
async fn present(address: SocketAddr, count: usize) -> Result<()> {
    within(&format!("{count} in the room"), async {
        loop {
            let presence = rest::get(address, &format!("/api/rooms/{ROOM}/presence")).await?;
            let there = presence["presence"].as_array().map_or(0, Vec::len);
            if there == count {
                return Ok(());
            }
            sleep(Duration::from_millis(100)).await;
        }
    })
    .await?
}

async fn read(mut member: Member, shared: Arc<Shared>) -> Result<Member> {
    let mut goal = shared.goal.subscribe();
    loop {
        if goal.borrow_and_update().is_some_and(|goal| member.version() >= goal) {
            return Ok(member);
        }
        tokio::select! {
            told = member.next() => {
                told?;
            }
            changed = goal.changed() => changed?,
        }
    }
}

/// Writes one key after the other through the rooms door, each until it is told.
async fn write(number: usize, shared: &Shared) -> Result<()> {
    let mut member = Member::join(shared.address, ROOM).await?;
    let mut round = 0;
    while !*shared.over.borrow() {
        let key = format!("w{number}-{round}");
        let since = Instant::now();
        let batch = json!([{"op": "add", "path": format!("/{key}"), "value": key}]);
        member.update(&batch).await?;
        loop {
            let told = member.next().await?;
            if member.view().get(&key).is_some() {
                break;
            }
            // It may have been lost with the connection, or refused for now: the same again changes nothing more.
            if told.is_none_or(|message| message["Error"].is_object()) {
                member.update(&batch).await?;
            }
        }
        shared.note(&shared.keys, key, since);
        round += 1;
    }
    Ok(())
}

/// Types one word after the other as a Yjs client does.
async fn typewrite(number: usize, shared: &Shared) -> Result<()> {
    let mut typist = Typist::join(shared.address, ROOM, 1_000 + number as u64).await?;
    let mut round = 0;
    while !*shared.over.borrow() {
        let word = format!("<{number}:{round}>");
        let since = Instant::now();
        typist.type_in(&word).await?;
        shared.note(&shared.words, word, since);
        round += 1;
    }
    Ok(())
}

/// Connects again and again, and says what does harm where it is believed.
async fn harm(shared: Arc<Shared>, mut dice: Dice) -> Result<()> {
    while !*shared.over.borrow() {
        let path = match dice.between(0..=2) {
            0 => format!("/ws/room/{ROOM}"),
            1 => format!("/yjs/{ROOM}"),
            _ => "/hocuspocus".to_owned(),
        };
        let Ok(mut socket) = dial(shared.address, &path).await else {
            // The server is down.
            sleep(HARM_PATIENCE).await;
            continue;
        };
        for _ in 0..dice.between(1..=40) {
            if socket.send(poison(&mut dice)).await.is_err() {
                break;
            }
        }
        // Some are read, and others are left with what they are told.
        if dice.once_in(2) {
            let _ = timeout(HARM_PATIENCE, async { while let Some(Ok(_)) = socket.next().await {} }).await;
        }
        shared.harms.fetch_add(1, Ordering::Relaxed);
    }
    Ok(())
}

/// Something that no client says.
fn poison(dice: &mut Dice) -> Message {
    let random =
        |dice: &mut Dice, bytes: u64| (0..bytes).map(|_| dice.next().to_le_bytes()[0]).collect::<Vec<u8>>();
    match dice.between(0..=9) {
        // A string of two billion bytes, by what its update says of it: yrs takes the memory before it looks.
        0 => Message::Binary(y_websocket::update(&[1, 1, 1, 0, 4, 1, 1, 97, 0xff, 0xff, 0xff, 0xff, 7])),
        // So many clients, structs and deletions.
        1 => Message::Binary(y_websocket::update(&[0xff, 0xff, 0xff, 0xff, 15, 1, 1, 0])),
        2 => Message::Binary(y_websocket::update(&[0, 1, 1, 1, 0, 0xff, 0xff, 0xff, 0xff, 15])),
        3 => {
            let bytes = dice.between(1..=2_000);
            Message::Binary(y_websocket::update(&random(dice, bytes)))
        }
        4 => Message::Binary(y_websocket::step1(&[0xff, 0xff, 0xff, 0xff, 15])),
        5 => Message::Binary(y_websocket::awareness(&[1, 0xff, 0xff, 0xff, 0xff, 15, 1, 2, 123, 125])),
        6 => {
            let bytes = dice.between(1..=200);
            Message::Binary(random(dice, bytes).into())
        }
        7 => Message::text(format!("{{\"UpdateStorage\":{}1", "[".repeat(5_000))),
        8 => Message::text(json!({"UpdatePresence": "x".repeat(70_000)}).to_string()),
        _ => Message::text(json!({"UpdateStorage": ["AAEC", "//8=", "not base64!"]}).to_string()),
    }
}
