//! What the `rejoin` command says to whoever sets it up, and how it ends.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use std::process::{Command, Output};

use crate::support::{Process, Text};
use rejoin_core::storage::{Batch, Head, Operation, Write};
use rejoin_store::{SqliteConnection, SqliteOptions};
use rejoin_wire::{ChainHash, Revision, Sequence, UnixMillis};
use serde_json::json;

fn rejoin(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_rejoin")).args(arguments).output().unwrap()
}

fn said(output: &Output) -> String {
    [&output.stdout[..], &output.stderr[..]].concat().try_into().unwrap()
}

#[test]
fn the_doctor_says_that_a_database_is_missing_and_creates_none() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("missing.db");
    let url = |mode: &str| format!("sqlite:{}{mode}", path.display());
    let doctor = |url: &str| rejoin(&["doctor", "--bind", "127.0.0.1:0", "--database-url", url]);
    let looked = doctor(&url(""));
    assert!(looked.status.success());
    assert!(said(&looked).contains(&format!("there is no {} yet", path.display())), "{}", said(&looked));
    let never = doctor(&url("?mode=rw"));
    assert!(!never.status.success() && said(&never).contains("FAIL database"), "{}", said(&never));
    let nowhere = doctor("sqlite:/no/such/folder/x.db");
    assert!(
        !nowhere.status.success() && said(&nowhere).contains("no folder /no/such/folder"),
        "{}",
        said(&nowhere)
    );
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    drop(Process::start(folder.path()));
    let there = doctor(&format!("sqlite:{}", folder.path().join("server.db").display()));
    assert!(there.status.success() && said(&there).contains("opens and closes"), "{}", said(&there));
}

#[test]
fn the_doctor_wants_a_secret_of_sixteen_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}", folder.path().join("x.db").display());
    let doctor = |secret: &str| {
        rejoin(&["doctor", "--bind", "127.0.0.1:0", "--database-url", &url, "--secret", secret])
    };
    let (short, enough) = (doctor(&"x".repeat(15)), doctor(&"x".repeat(16)));
    assert!(!short.status.success() && said(&short).contains("only 15 characters"), "{}", said(&short));
    assert!(enough.status.success() && said(&enough).contains("ok   secret: set"), "{}", said(&enough));
}

#[test]
fn the_doctor_names_documents_that_cannot_be_read() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}", folder.path().join("server.db").display());
    let mut connection = SqliteConnection::open(&url, &SqliteOptions::default()).unwrap();
    let workspace = "default".parse().unwrap();
    let head = |id: &str, revision, sequence| Head {
        document: id.parse().unwrap(),
        revision: Revision(revision),
        sequence: Sequence(sequence),
        chain: ChainHash::default(),
        deleted: false,
        title: None,
        created_at: UnixMillis(0),
        updated_at: UnixMillis(0),
        author: "ada".into(),
    };
    let spoiled = Write::PutCheckpoint {
        document: "spoiled".parse().unwrap(),
        revision: Revision(1),
        body: bytes::Bytes::from_static(b"no record"),
    };
    let heads = [head("empty", 0, 1), head("spoiled", 1, 2), head("cut", 7, 3)];
    let mut writes: Vec<Write> = heads.into_iter().map(Write::PutHead).collect();
    writes.push(spoiled);
    let commit = Operation::Commit(Batch { expect: Vec::new(), feed: None, writes });
    connection.execute(&workspace, &commit).unwrap();
    connection.close().unwrap();
    let looked = rejoin(&["doctor", "--bind", "127.0.0.1:0", "--database-url", &url]);
    assert!(!looked.status.success());
    assert!(said(&looked).contains("2 of 3 documents cannot be read whole"), "{}", said(&looked));
    assert!(
        said(&looked).contains("default/spoiled (revisions 1 to 1), default/cut (revisions 1 to 7);"),
        "{}",
        said(&looked)
    );
}

#[test]
fn a_taken_port_and_a_useless_database_are_said_with_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let database = format!("sqlite:{}", folder.path().join("x.db").display());
    let serve = |bind: &str, url: &str| rejoin(&["serve", "--bind", bind, "--database-url", url]);
    let busy = serve(&taken.local_addr().unwrap().to_string(), &database);
    assert!(!busy.status.success() && said(&busy).contains("choose another with --bind"), "{}", said(&busy));
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "nothing is created in vain");
    let text = folder.path().join("text.db");
    std::fs::write(&text, "no database, but a text of some length").unwrap();
    let wrong = serve("127.0.0.1:0", &format!("sqlite:{}", text.display()));
    assert!(!wrong.status.success() && said(&wrong).contains("name another file"), "{}", said(&wrong));
    let folder_as_file = serve("127.0.0.1:0", &format!("sqlite:{}", folder.path().display()));
    assert!(
        !folder_as_file.status.success() && said(&folder_as_file).contains("may read and write"),
        "{}",
        said(&folder_as_file)
    );
}

#[tokio::test]
async fn what_was_answered_before_a_server_was_told_to_stop_is_there_when_it_starts_again() {
    let folder = tempfile::tempdir().unwrap();
    let process = Process::start(folder.path());
    let mut text = Text::connect(&process).await;
    text.create("d", &json!({"list": []})).await;
    for edit in 0..200 {
        text.send(&json!({"type": "update_document", "patch": {"document_id": "d",
            "patch": [{"op": "add", "path": "/list/-", "value": edit}]}}))
            .await;
    }
    for _ in 0..20 {
        text.expect("document_updated_response").await;
    }
    let stopping = tokio::task::spawn_blocking(move || process.terminate());
    let mut answered = 20;
    while let Some(message) = text.next().await {
        answered += u64::from(message["type"] == "document_updated_response" && message["success"] == true);
    }
    assert!(stopping.await.unwrap().success());
    let again = Process::start(folder.path());
    let document = Text::connect(&again).await.read("d").await;
    let list = document["document"]["content"]["list"].as_array().unwrap().clone();
    assert!(list.len() as u64 >= answered, "{answered} were answered, {} are there", list.len());
    let expected: Vec<_> = (0..list.len()).map(|edit| json!(edit)).collect();
    assert_eq!(list, expected, "each once, in order");
}

/// Runs the command in a folder with only these variables.
fn run(folder: &std::path::Path, arguments: &[&str], variables: &[(&str, &str)]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rejoin"));
    command.args(arguments).current_dir(folder).env_clear().envs(variables.iter().copied());
    command.output().unwrap()
}

#[test]
fn what_is_wrong_in_the_environment_is_refused_by_its_name() {
    let folder = tempfile::tempdir().unwrap();
    for command in ["serve", "dev", "doctor"] {
        let postgres = [("DATABASE_URL", "postgres://localhost/x")];
        let refused = run(folder.path(), &[command, "--bind", "127.0.0.1:0"], &postgres);
        assert!(
            !refused.status.success() && said(&refused).contains("(named by DATABASE_URL)"),
            "{}",
            said(&refused)
        );
        let refused = run(folder.path(), &[command], &[("REJOIN_LOG_FORMAT", "xml")]);
        assert!(!refused.status.success() && said(&refused).contains("json or text"), "{}", said(&refused));
        let refused = run(folder.path(), &[command, "--port", "9"], &[]);
        assert!(
            !refused.status.success() && said(&refused).contains("0.0.0.0:9 can be"),
            "{}",
            said(&refused)
        );
        let policy = [command, "--workspace-policy", "team=mine"];
        let refused = run(folder.path(), &policy, &[]);
        assert!(
            !refused.status.success() && said(&refused).contains("use theirs (client_wins, auto), ours"),
            "{}",
            said(&refused)
        );
        let refused = run(folder.path(), &[command, "--bind-address", "no.such.host.invalid:9"], &[]);
        assert!(!refused.status.success() && said(&refused).contains("HOST:PORT"), "{}", said(&refused));
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "nothing is created in vain");
}

#[test]
fn a_development_server_says_who_named_its_database_and_how_to_present_the_secret() {
    use std::io::{BufRead, BufReader};
    let folder = tempfile::tempdir().unwrap();
    let variables = [("DATABASE_URL", "sqlite:other.db"), ("REJOIN_SECRET", "a secret of some length")];
    let mut child = Command::new(env!("CARGO_BIN_EXE_rejoin"))
        .args(["dev", "--bind-address", "localhost:0"])
        .current_dir(folder.path())
        .env_clear()
        .envs(variables)
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = Vec::new();
    for line in BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok) {
        let is_last = line.contains("connect a WebSocket");
        lines.push(line);
        if is_last {
            break;
        }
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let said = lines.join("\n");
    assert!(said.contains("documents are kept in sqlite:other.db, which DATABASE_URL names"), "{said}");
    assert_eq!(said.matches("curl -H \"authorization: Bearer $REJOIN_SECRET\"").count(), 3, "{said}");
    assert_eq!(said.matches("curl").count(), 3, "{said}");
    assert!(!said.contains("a secret of some length"), "{said}");
}

#[tokio::test]
async fn the_messages_of_the_readme_reach_the_other_terminal() {
    let readme = include_str!("../../../README.md");
    let mut blocks =
        readme.split("```json\n").skip(1).map(|block| block.split("```").next().unwrap().lines());
    let (listens, types) = (blocks.next().unwrap(), blocks.next().unwrap());
    let folder = tempfile::tempdir().unwrap();
    let process = Process::start(folder.path());
    let (mut first, mut second) = (Text::connect(&process).await, Text::connect(&process).await);
    for line in listens {
        first.send_text(line).await;
    }
    first.expect("subscribed").await;
    first.expect("sync_complete").await;
    for line in types {
        second.send_text(line).await;
    }
    let created = first.expect("document_created").await;
    assert_eq!(created["document"]["content"], json!({"text": "Hello"}), "{created}");
    let updated = first.expect("document_updated").await;
    assert_eq!(updated["patch"]["patch"][0]["value"], "Hello, world", "{updated}");
}

#[test]
fn a_short_secret_is_refused_where_other_machines_reach_the_server() {
    let serve = |secret: &str| {
        rejoin(&[
            "serve",
            "--bind",
            "0.0.0.0:0",
            "--database-url",
            "sqlite::memory:?mode=x",
            "--secret",
            secret,
        ])
    };
    let refused = serve(&"x".repeat(15));
    assert!(!refused.status.success() && said(&refused).contains("only 15 bytes"), "{}", said(&refused));
    let taken = serve(&"x".repeat(16));
    assert!(!said(&taken).contains("bytes: set"), "{}", said(&taken));
}
