//! Shards and what they own.
#![allow(clippy::unwrap_used)]

use futures_util::future::poll_fn;
use rejoin_core::storage::StoreError;
use rejoin_core::{Grant, Role};
use rejoin_store::{SqliteOptions, SqliteStore};
use rejoin_wire::{Encoding, Sequence};

use super::shard::{IDLE_PATIENCE, MAX_COMMANDS, SHARD_BATCH, SWEEP_INTERVAL};
use super::*;
use crate::faulty::{Fault, Faulty};

#[tokio::test]
async fn a_shard_that_panics_closes_its_links_and_starts_again() {
    let store: Arc<dyn Store> =
        Arc::new(SqliteStore::open("sqlite::memory:", &SqliteOptions::default()).unwrap());
    let hub = Hub::start(&store, 1, |workspace| Config::new(workspace, Role::Root));
    let workspace = WorkspaceId::new("w").unwrap();
    let mut link = hub.open(&workspace, peer(1)).await.unwrap();
    assert!(matches!(link.queue.recv().await, Some(Outgoing::Told(_))), "it is welcomed");
    let answer = hub.command(&workspace, |_, _| panic!("on purpose")).await;
    assert!(answer.is_err());
    assert!(link.queue.recv().await.is_none());
    let answer = hub.command(&workspace, |replica, token| replica.heads(token, Sequence(0), 1)).await;
    assert!(matches!(answer, Ok(Reply::Heads { .. })), "{answer:?}");
}

fn peer(replica: u128) -> Peer {
    let replica = rejoin_wire::ReplicaId(replica);
    Peer { replica, encoding: Encoding::Binary, grant: Grant::new("ada", true), token: None }
}

/// The gauge of workspaces in memory.
fn in_memory(metrics: &metrics_exporter_prometheus::PrometheusHandle) -> Option<u32> {
    let text = metrics.render();
    text.lines().find_map(|line| line.strip_prefix("rejoin_workspaces ")?.parse().ok())
}

/// Adds to a document that is created when it is missing.
fn add(number: u32) -> impl FnOnce(&mut Replica, Token) + Send + 'static {
    use rejoin_wire::Body;
    let content = rejoin_json::Json::from(format!("{number}"));
    move |replica, token| {
        let body = Body::Create { header: rejoin_wire::Header::default(), content };
        let document = format!("d{number}").parse().unwrap();
        replica.submit(token, Grant::new("ada", true), &document, body, rejoin_core::Base::Current, None);
    }
}

#[tokio::test(start_paused = true)]
async fn a_command_has_the_time_at_which_it_comes_however_long_nothing_came() {
    let store: Arc<dyn Store> = Arc::new(rejoin_store::SharedMemoryStore::default());
    let hub = Hub::start(&store, 1, |workspace| Config::new(workspace, Role::Root));
    let workspace = WorkspaceId::new("w").unwrap();
    // Keeps the workspace in memory.
    let _link = hub.open(&workspace, peer(1)).await.unwrap();
    let Ok(Reply::Accepted(first)) = hub.command(&workspace, add(1)).await else { panic!("refused") };
    let hour = Duration::from_secs(3_600);
    tokio::time::sleep(hour).await;
    let Ok(Reply::Accepted(second)) = hub.command(&workspace, add(2)).await else { panic!("refused") };
    let passed = second.view.created_at.0 - first.view.created_at.0;
    assert!(u128::from(passed) >= hour.as_millis(), "{passed} ms have passed");
}

#[tokio::test(start_paused = true)]
async fn what_waits_for_the_store_is_counted_with_its_age() {
    let recorder = crate::recorder().build_recorder();
    let metrics = recorder.handle();
    // Of this thread only, on which all tasks of the test run.
    let _recorder = metrics::set_default_local_recorder(Box::leak(Box::new(recorder)));
    let faulty = Arc::new(Faulty::default());
    let store: Arc<dyn Store> = Arc::clone(&faulty) as Arc<dyn Store>;
    let hub = Hub::start(&store, 3, |workspace| Config::new(workspace, Role::Root));
    let workspaces = ["v", "w"].map(|name| WorkspaceId::new(name).unwrap());
    for workspace in &workspaces {
        let ready = hub.command(workspace, |replica, token| replica.heads(token, Sequence(0), 1)).await;
        assert!(matches!(ready, Ok(Reply::Heads { .. })));
    }
    assert_eq!(hub.backlog().await, Backlog::default());
    faulty.set(Fault::Slow);
    let mut answers = Vec::new();
    for number in 0..4 {
        let (hub, workspace) = (hub.clone(), workspaces[number as usize % 2].clone());
        answers.push(tokio::spawn(async move { hub.command(&workspace, add(number)).await }));
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    let backlog = hub.backlog().await;
    assert_eq!((backlog.tentative, backlog.waiting), (2, 2), "the first of each workspace is being stored");
    assert_eq!((backlog.tentative_age.as_secs(), backlog.waiting_age.as_secs()), (4, 2));
    assert!(!metrics.render().contains("rejoin_durable_seconds_count 1"));
    faulty.set(Fault::None);
    for answer in answers {
        assert!(matches!(answer.await.unwrap(), Ok(Reply::Accepted(_))));
    }
    assert_eq!(hub.backlog().await, Backlog::default());
    let text = metrics.render();
    for (bound, count) in [("0.5", 0), ("1", 1), ("2", 2), ("5", 4)] {
        let line = format!("rejoin_durable_seconds_bucket{{le=\"{bound}\"}} {count}\n");
        assert!(text.contains(&line), "{text}");
    }
}

#[tokio::test(start_paused = true)]
async fn workspaces_that_nobody_uses_leave_memory_and_come_back_as_they_were() {
    let recorder = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder();
    let metrics = recorder.handle();
    // Of this thread only, on which all tasks of the test run.
    let _recorder = metrics::set_default_local_recorder(Box::leak(Box::new(recorder)));
    let store: Arc<dyn Store> = Arc::new(rejoin_store::SharedMemoryStore::default());
    let hub = Hub::start(&store, 2, |workspace| Config::new(workspace, Role::Root));
    let mut links = Vec::new();
    let many = 200;
    for number in 0..many {
        let workspace = WorkspaceId::new(&format!("w{number}")).unwrap();
        let mut link = hub.open(&workspace, peer(number)).await.unwrap();
        assert!(matches!(link.queue.recv().await, Some(Outgoing::Told(_))), "it is welcomed");
        links.push((workspace, link));
    }
    let document: rejoin_wire::DocumentId = "d".parse().unwrap();
    let (first, of_first) = (links[0].0.clone(), document.clone());
    let create = move |replica: &mut Replica, token| {
        let body = rejoin_wire::Body::Create {
            header: rejoin_wire::Header::default(),
            content: rejoin_json::Json::from("kept"),
        };
        let base = rejoin_core::Base::Current;
        replica.submit(token, Grant::new("ada", true), &of_first, body, base, None);
    };
    assert!(matches!(hub.command(&first, create).await, Ok(Reply::Accepted(_))));
    let (_, kept) = links.pop().unwrap();
    tokio::time::sleep(2 * IDLE_PATIENCE).await;
    assert_eq!(in_memory(&metrics), Some(u32::try_from(many).unwrap()), "all have links");
    drop(links);
    tokio::time::sleep(IDLE_PATIENCE - SWEEP_INTERVAL).await;
    assert_eq!(in_memory(&metrics), Some(u32::try_from(many).unwrap()), "not long enough");
    tokio::time::sleep(2 * SWEEP_INTERVAL).await;
    assert_eq!(in_memory(&metrics), Some(1), "one has a link");
    let answer = hub.command(&first, move |replica, token| replica.read(token, &document)).await;
    let Ok(Reply::Document(view)) = answer else { panic!("{answer:?}") };
    assert_eq!(view.content, rejoin_json::Json::from("kept"));
    assert_eq!(in_memory(&metrics), Some(2));
    drop(kept);
    tokio::time::sleep(IDLE_PATIENCE + 2 * SWEEP_INTERVAL).await;
    assert_eq!(in_memory(&metrics), Some(0));
}

#[tokio::test(start_paused = true)]
async fn a_command_that_the_store_keeps_waiting_is_refused_in_time() {
    let faulty = Arc::new(Faulty::default());
    let store: Arc<dyn Store> = Arc::clone(&faulty) as Arc<dyn Store>;
    let hub = Hub::start(&store, 1, |workspace| Config::new(workspace, Role::Root));
    let workspace = WorkspaceId::new("w").unwrap();
    assert!(matches!(hub.command(&workspace, add(1)).await, Ok(Reply::Accepted(_))));
    faulty.set(Fault::Slow);
    let asked = tokio::time::Instant::now();
    let Ok(Reply::Refused { code, message }) = hub.command(&workspace, add(2)).await else {
        panic!("it was answered")
    };
    assert_eq!((code, asked.elapsed()), (ErrorCode::Unavailable, ANSWER_PATIENCE));
    assert!(message.contains("may still take effect"), "{message}");
    faulty.set(Fault::None);
    let read = |replica: &mut Replica, token| replica.read(token, &"d2".parse().unwrap());
    let Ok(Reply::Document(view)) = hub.command(&workspace, read).await else { panic!("it was refused") };
    assert_eq!(view.content, rejoin_json::Json::from("2"), "it took effect");
}

#[tokio::test(start_paused = true)]
async fn commands_that_wait_for_the_store_are_bounded_and_count_until_they_are_answered() {
    let faulty = Arc::new(Faulty::default());
    let store: Arc<dyn Store> = Arc::clone(&faulty) as Arc<dyn Store>;
    let hub = Hub::start(&store, 1, |workspace| Config::new(workspace, Role::Root));
    let workspace = WorkspaceId::new("w").unwrap();
    assert!(matches!(hub.command(&workspace, add(1)).await, Ok(Reply::Accepted(_))));
    faulty.set(Fault::Reads(StoreError::Unavailable("busy".into())));
    let read = || {
        let (hub, workspace) = (hub.clone(), workspace.clone());
        let read = |replica: &mut Replica, token| replica.read(token, &"other".parse().unwrap());
        async move { hub.command(&workspace, read).await }
    };
    let waiting: Vec<_> = (0..MAX_COMMANDS).map(|_| tokio::spawn(read())).collect();
    let second = Duration::from_secs(1);
    tokio::time::sleep(second).await;
    let is_refused_at_once = async |what: &str| {
        let asked = tokio::time::Instant::now();
        let Ok(Reply::Refused { code, message }) = read().await else { panic!("{what}: it was answered") };
        assert_eq!(code, ErrorCode::Unavailable, "{what}");
        assert!(message.contains("too many requests"), "{what}: {message}");
        assert!(asked.elapsed() < second, "{what}");
    };
    is_refused_at_once("one too many").await;
    for waiting in waiting {
        let Ok(Reply::Refused { message, .. }) = waiting.await.unwrap() else { panic!("it was answered") };
        assert!(message.contains("does not answer"), "just full: {message}");
    }
    is_refused_at_once("nobody waits any more").await;
    faulty.set(Fault::None);
    tokio::time::sleep(60 * second).await;
    assert!(matches!(read().await, Ok(Reply::Document(_))), "there is room again");
}

/// A hub whose only shard never comes to its queue, and that queue.
fn stuck() -> (Hub, mpsc::Receiver<ShardInput>) {
    let (sender, queue) = mpsc::channel(SHARD_QUEUE);
    let shared = Shared {
        shards: vec![sender],
        next_link: AtomicU64::new(1),
        links: Mutex::default(),
        stopping: AtomicBool::new(false),
        stop: Notify::new(),
    };
    (Hub { shared: Arc::new(shared), patience: ANSWER_PATIENCE }, queue)
}

#[tokio::test(start_paused = true)]
async fn whoever_has_something_for_a_shard_whose_queue_is_full_waits_until_there_is_room() {
    let (hub, mut queue) = stuck();
    let workspace = WorkspaceId::new("w").unwrap();
    let link = hub.open(&workspace, peer(1)).await.unwrap();
    for _ in 1..SHARD_QUEUE {
        let taken = tokio::time::timeout(SURVEY_PATIENCE, link.writable()).await;
        assert_eq!(taken, Ok(Ok(())), "there is room");
    }
    let mut waiting = Box::pin(tokio::task::unconstrained(link.writable()));
    assert_eq!((&mut waiting).now_or_never(), None, "just full: its socket is not read meanwhile");
    let asked = tokio::time::Instant::now();
    let read = |replica: &mut Replica, token| replica.read(token, &"d".parse().unwrap());
    let refused = hub.command(&workspace, read).await;
    assert!(matches!(refused, Ok(Reply::Refused { code: ErrorCode::Unavailable, .. })), "{refused:?}");
    assert_eq!(asked.elapsed(), ANSWER_PATIENCE);
    assert_eq!((&mut waiting).now_or_never(), None);
    assert!(queue.recv().await.is_some());
    assert_eq!(waiting.await, Ok(()), "one was taken");
}

#[tokio::test(start_paused = true)]
async fn a_shard_that_does_not_say_in_time_what_waits_there_is_left_out() {
    let (hub, mut queue) = stuck();
    let survey = tokio::spawn({
        let hub = hub.clone();
        async move { (hub.backlog().await, tokio::time::Instant::now()) }
    });
    let asked = tokio::time::Instant::now();
    let Some(ShardInput::Survey { reply }) = queue.recv().await else { panic!("nobody asked") };
    let (backlog, told) = survey.await.unwrap();
    assert_eq!((backlog, told - asked), (Backlog::default(), SURVEY_PATIENCE));
    let waits = Backlog { waiting: 7, ..Backlog::default() };
    assert!(reply.send(waits).is_err(), "nobody waits for it any more");
    let survey = tokio::spawn(async move { hub.backlog().await });
    let Some(ShardInput::Survey { reply }) = queue.recv().await else { panic!("nobody asked") };
    tokio::time::sleep(SURVEY_PATIENCE - Duration::from_millis(1)).await;
    reply.send(waits).unwrap();
    assert_eq!(survey.await.unwrap(), waits, "just in time");
}

#[tokio::test]
async fn a_link_that_takes_nothing_is_let_go_at_one_message_too_many() {
    let store: Arc<dyn Store> = Arc::new(rejoin_store::SharedMemoryStore::default());
    let hub = Hub::start(&store, 1, |workspace| Config::new(workspace, Role::Root));
    let workspace = WorkspaceId::new("w").unwrap();
    let mut link = hub.open(&workspace, peer(1)).await.unwrap();
    let page =
        |request| Message::HistoryRequest { request, document: "d".parse().unwrap(), before: None, limit: 1 };
    let answered = async || {
        let read = |replica: &mut Replica, token| replica.read(token, &"d".parse().unwrap());
        assert!(matches!(hub.command(&workspace, read).await, Ok(Reply::Document(_))));
    };
    // The first message welcomes it, and each question has one answer.
    for request in 1..LINK_QUEUE as u64 {
        link.received(page(request)).await.unwrap();
    }
    answered().await;
    assert_eq!(link.queue.len(), LINK_QUEUE, "just full");
    assert_eq!(poll_fn(|context| link.urgent.poll(context)).now_or_never(), None);
    link.received(page(0)).await.unwrap();
    answered().await;
    assert_eq!(
        poll_fn(|context| link.urgent.poll(context)).now_or_never(),
        Some(Urgency::Overflow),
        "its socket is told"
    );
    for _ in 0..LINK_QUEUE {
        assert!(link.queue.recv().await.is_some());
    }
    assert!(link.queue.recv().await.is_none(), "the shard has let it go");
}

#[tokio::test]
async fn a_shard_does_what_it_was_asked_for_after_so_many_inputs() {
    let store: Arc<dyn Store> = Arc::new(rejoin_store::SharedMemoryStore::default());
    let hub = Hub::start(&store, 1, |workspace| Config::new(workspace, Role::Root));
    let workspace = WorkspaceId::new("w").unwrap();
    let read = |replica: &mut Replica, token| replica.read(token, &"d".parse().unwrap());
    // In memory from now on, so that reading it is answered by the next turn.
    assert!(matches!(hub.command(&workspace, read).await, Ok(Reply::Document(_))));
    let (reply, first) = oneshot::channel();
    let first = Arc::new(Mutex::new(first));
    let mut reply = Some(reply);
    let (told, mut is_answered) = mpsc::unbounded_channel();
    for _ in 0..=SHARD_BATCH {
        let (first, told) = (Arc::clone(&first), told.clone());
        let run: Run = Box::new(move |replica, token| {
            read(replica, token);
            told.send(first.lock().unwrap().try_recv().is_ok()).unwrap();
        });
        let reply = reply.take().unwrap_or_else(|| oneshot::channel().0);
        let input = ShardInput::Command { workspace: workspace.clone(), run, reply };
        // All of them before the shard has its turn.
        assert!(hub.shard(&workspace).try_send(input).is_ok());
    }
    for at in 0..SHARD_BATCH {
        assert_eq!(is_answered.recv().await, Some(false), "{at} are of one turn");
    }
    assert_eq!(is_answered.recv().await, Some(true), "one more is of the next");
}
