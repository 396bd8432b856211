//! What a server and its clients record, and what `rejoin replay` says of it.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use rejoin_client::{Client, ClientOptions, Json, Limits, RecordingOptions};
use serde_json::json;

use crate::support::{Process, Text, http, within};

fn replay(file: &Path, flags: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_rejoin")).arg("replay").arg(file).args(flags).output().unwrap()
}

fn said(output: &Output) -> String {
    [&output.stdout[..], &output.stderr[..]].concat().try_into().unwrap()
}

fn recordings(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

/// A native client that creates and edits, a text client and REST beside it; gives the native client's recording.
async fn use_all_doors(server: &Process, folder: &Path) -> PathBuf {
    let options = ClientOptions::new(server.socket_url()).token("nobody else's");
    let client = Client::start(options.record(RecordingOptions::default())).unwrap();
    let note = client.open("note").await.unwrap();
    note.create(Json::parse(r#"{"text":"Hello","votes":1}"#, &Limits::default()).unwrap()).await.unwrap();
    within("the creation", note.acknowledged()).await.unwrap();
    let mut text = Text::connect(server).await;
    text.update("note", &json!([{"op": "replace", "path": "/votes", "value": 2}])).await;
    for number in 0..5 {
        note.replace("/text", format!("Hello {number}").as_str()).await.unwrap();
    }
    within("the edits", note.acknowledged()).await.unwrap();
    let patch = r#"[{"op":"replace","path":"/text","value":"over REST"}]"#;
    let head = "PATCH /api/documents/note";
    let headers = [("content-type", "application/json-patch+json"), ("idempotency-key", "once")];
    for _ in 0..2 {
        assert_eq!(http(server.address, head, &headers, patch).await.0, 200);
    }
    assert_eq!(http(server.address, "GET /api/documents/note/changes", &[], "").await.0, 200);
    let file = folder.join("client.recording");
    assert!(client.save_recording(&file).unwrap());
    client.close().await.unwrap();
    file
}

#[tokio::test]
async fn what_a_server_and_a_native_client_record_replays_to_the_same_outputs() {
    let folder = tempfile::tempdir().unwrap();
    let to = folder.path().join("recordings");
    let server = Process::start_with(folder.path(), &["--record", to.to_str().unwrap()]);
    let of_client = use_all_doors(&server, folder.path()).await;
    assert!(server.terminate().success());

    let of_server = recordings(&to);
    assert_eq!(of_server.len(), 1);
    let replayed = replay(&of_server[0], &[]);
    assert!(replayed.status.success(), "{}", said(&replayed));
    let told = said(&replayed);
    assert!(
        told.contains("recorded by a server of release") && told.contains("byte for byte as recorded"),
        "{told}"
    );
    assert!(told.contains("`note` Alive, revision 8, pending 0"), "{told}");
    let shown = said(&replay(&of_server[0], &["--show"]));
    for line in ["link opened", "push, 1 change to `note`", "→ store", "committed", "submit", "→ reply"] {
        assert!(shown.contains(line), "{line}: {shown}");
    }

    let replayed = replay(&of_client, &["--show", "--until", "12"]);
    let told = said(&replayed);
    assert!(replayed.status.success() && told.contains("stopped behind step 12"), "{told}");
    assert!(told.contains("create             `note` {\"text\":\"Hello\",\"votes\":1}"), "{told}");
    assert!(said(&replay(&of_client, &[])).contains("byte for byte as recorded"));
    let bytes = std::fs::read(&of_client).unwrap();
    // A length of 0 ends a segment before another.
    let twice = folder.path().join("twice.recording");
    std::fs::write(&twice, [&bytes[..], &[0], &bytes].concat()).unwrap();
    let told = said(&replay(&twice, &["--until", "2:12"]));
    assert!(told.contains("segment 2:") && told.contains("stopped behind step 12"), "{told}");
    assert!(!said(&replay(&twice, &["--until", "12"])).contains("segment 2:"));
    for (step, says) in [("3:12", "there is no step 12 in segment 3"), ("99999", "there is no step 99999")] {
        let beyond = replay(&twice, &["--until", step]);
        assert_eq!(beyond.status.code(), Some(1), "{step}");
        assert!(said(&beyond).contains(says), "{}", said(&beyond));
    }
    assert!(!bytes.windows(13).any(|part| part == b"nobody else's"));
    #[cfg(unix)]
    for file in [&of_client, &of_server[0]] {
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(std::fs::metadata(file).unwrap().permissions().mode() & 0o777, 0o600);
    }
}

#[tokio::test]
async fn a_recording_of_a_server_that_was_killed_replays_up_to_where_it_ends() {
    let folder = tempfile::tempdir().unwrap();
    let to = folder.path().join("recordings");
    let mut server = Process::start_with(folder.path(), &["--record", to.to_str().unwrap()]);
    use_all_doors(&server, folder.path()).await;
    server.kill_and_restart();
    let mut text = Text::connect(&server).await;
    text.read("note").await;
    assert!(server.terminate().success());
    let files = recordings(&to);
    assert_eq!(files.len(), 2, "each start has a recording of its own");
    for file in files {
        let replayed = replay(&file, &[]);
        assert!(replayed.status.success(), "{}", said(&replayed));
    }
}

#[tokio::test]
async fn a_server_records_without_content_when_it_is_told_to() {
    let folder = tempfile::tempdir().unwrap();
    let to = folder.path().join("recordings");
    let flags = ["--record", to.to_str().unwrap(), "--record-without-content"];
    let server = Process::start_with(folder.path(), &flags);
    use_all_doors(&server, folder.path()).await;
    assert!(server.terminate().success());
    let file = recordings(&to).remove(0);
    let bytes = std::fs::read(&file).unwrap();
    for typed in ["Hello", "over REST", "note"] {
        assert!(!bytes.windows(typed.len()).any(|part| part == typed.as_bytes()), "{typed}");
    }
    let shown = replay(&file, &["--show"]);
    let told = said(&shown);
    assert!(told.contains("made without content, so that it can be shown and not replayed"), "{told}");
    assert!(told.contains("bytes, digest "), "{told}");
    assert_eq!(shown.status.code(), Some(1), "nothing was replayed");
    assert_eq!(replay(&file, &["--until", "1"]).status.code(), Some(1), "nothing was replayed up to there");
}

#[test]
fn what_is_no_recording_and_what_is_damaged_ends_with_a_status_of_1() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "no recording").unwrap();
    let refused = replay(&file, &[]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(said(&refused).contains("this is no recording of Rejoin"), "{}", said(&refused));
    let missing = replay(&folder.path().join("missing"), &[]);
    assert_eq!(missing.status.code(), Some(1));
    assert!(said(&missing).contains("missing cannot be read"), "{}", said(&missing));
}

#[test]
fn a_server_that_cannot_record_says_so_and_does_not_start() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    let url = format!("sqlite:{}", folder.path().join("x.db").display());
    let arguments = ["serve", "--bind", "127.0.0.1:0", "--database-url", &url, "--record"];
    let output = Command::new(env!("CARGO_BIN_EXE_rejoin")).args(arguments).arg(&file).output().unwrap();
    assert!(!output.status.success());
    assert!(said(&output).contains("recordings cannot be written to"), "{}", said(&output));
}
