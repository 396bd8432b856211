//! Clients of rooms: every message of the rooms door and of its REST, over real sockets.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use std::time::Duration;

use crate::support::room::RoomClient;
use crate::support::{Process, Text, http, within};
use rejoin_server::{Server, ServerOptions, router};
use serde_json::{Value, json};

const SECRET: &str = "the secret of this server, which is long";
const READERS: &str = "the secret of its readers, as long";

fn whole(storage: &Value) -> &Value {
    let operation = &storage["operations"][0];
    assert_eq!((&operation["op"], &operation["path"]), (&json!("replace"), &json!("")), "{storage}");
    &operation["value"]
}

#[tokio::test]
async fn two_clients_see_each_other_and_edit_together() {
    let folder = tempfile::tempdir().unwrap();
    let process = Process::start(folder.path());
    let (mut one, others, storage) = RoomClient::join(&process, "my-room").await;
    assert!(others.is_empty(), "{others:?}");
    assert_eq!((&storage["version"], whole(&storage)), (&json!(0), &json!({})));
    one.send(&json!({"UpdatePresence": {"cursor": {"x": 1, "y": 2}}})).await;
    one.update(json!([{"op": "add", "path": "/title", "value": "Draft"}])).await;
    let updated = one.expect("StorageUpdated").await;
    assert_eq!(
        updated,
        json!({"version": 1, "operations": [{"op": "add", "path": "/title", "value": "Draft"}]})
    );
    // Who comes late is told who is there and what they have made, before anything else.
    let (mut other, others, storage) = RoomClient::join(&process, "my-room").await;
    assert_eq!(others.len(), 1, "{others:?}");
    let presence = &others[0]["PresenceUpdated"];
    assert_eq!(
        (&presence["client_id"], &presence["presence"]),
        (&json!(one.id), &json!({"cursor": {"x": 1, "y": 2}}))
    );
    assert!(presence["timestamp"].as_u64().unwrap() > 1_700_000_000_000, "{presence}");
    assert_eq!((&storage["version"], whole(&storage)), (&json!(1), &json!({"title": "Draft"})));
    let joined = one.next().await.unwrap();
    assert_eq!(joined, json!({"RoomJoined": {"room_id": "my-room", "client_id": other.id}}));
    assert_eq!(one.expect("PresenceUpdated").await["presence"], json!({}));
    other.update(json!({"op": "replace", "path": "/title", "value": "Ready"})).await;
    let expected =
        json!({"version": 2, "operations": [{"op": "replace", "path": "/title", "value": "Ready"}]});
    assert_eq!(
        (one.expect("StorageUpdated").await, other.expect("StorageUpdated").await),
        (expected.clone(), expected)
    );
    // Who leaves is still connected; who is cut off is gone for the others too.
    other.send(&json!("LeaveRoom")).await;
    let left = json!({"room_id": "my-room", "client_id": other.id});
    assert_eq!((other.expect("RoomLeft").await, one.expect("RoomLeft").await), (left.clone(), left));
    other.update(json!([])).await;
    assert_eq!(other.expect("Error").await["code"], "unexpected_message");
    other.send(&json!({"JoinRoom": "my-room"})).await;
    other.joined().await;
    assert_eq!(one.expect("RoomJoined").await["client_id"], json!(other.id));
    let gone = other.id.clone();
    drop(other);
    assert_eq!(one.expect("RoomLeft").await["client_id"], json!(gone));
}

#[tokio::test]
async fn what_was_told_is_there_after_the_server_is_killed() {
    let folder = tempfile::tempdir().unwrap();
    let mut process = Process::start(folder.path());
    let (mut one, ..) = RoomClient::join(&process, "kept").await;
    for number in 1..=20 {
        one.update(json!({"op": "add", "path": format!("/{number}"), "value": number})).await;
    }
    while one.expect("StorageUpdated").await["version"] != 20 {}
    process.kill_and_restart();
    let (_, _, storage) = RoomClient::join(&process, "kept").await;
    assert_eq!(storage["version"], 20);
    assert_eq!(whole(&storage).as_object().unwrap().len(), 20, "{storage}");
}

#[tokio::test]
async fn whoever_says_a_type_is_answered_so() {
    let folder = tempfile::tempdir().unwrap();
    let process = Process::start(folder.path());
    let (mut client, ..) = RoomClient::join(&process, "typed").await;
    client.send(&json!({"type": "UpdateStorage", "data": {"op": "add", "path": "/a", "value": 1}})).await;
    let told = client.next().await.unwrap();
    assert_eq!((&told["type"], &told["data"]["version"]), (&json!("StorageUpdated"), &json!(1)), "{told}");
    client.send(&json!({"type": "JoinRoom", "data": "elsewhere"})).await;
    let left = client.next().await.unwrap();
    assert_eq!((&left["type"], &left["data"]["room_id"]), (&json!("RoomLeft"), &json!("typed")));
    assert_eq!(client.next().await.unwrap()["data"]["room_id"], "elsewhere");
}

#[tokio::test]
async fn what_cannot_be_done_is_said_and_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let process = Process::start(folder.path());
    let (mut client, ..) = RoomClient::join(&process, "refused").await;
    client.update(json!({"op": "add", "path": "/list", "value": [1]})).await;
    assert_eq!(client.expect("StorageUpdated").await["version"], 1);
    let half = json!([{"op": "add", "path": "/list/-", "value": 2}, {"op": "remove", "path": "/nothing"}]);
    let cases = [
        (json!({"UpdateStorage": half}), "invalid_patch"),
        (json!({"UpdateStorage": [{"op": "test", "path": "/list/0", "value": 2}]}), "test_failed"),
        (json!({"UpdateStorage": []}), "invalid_patch"),
        (json!({"UpdateStorage": "no update"}), "invalid_value"),
        (json!({"UpdateStorage": "AQEBBYQBAAF4AA=="}), "unknown_base"),
        (json!({"JoinRoom": "a/b/c"}), "invalid_value"),
        (json!({"Dance": 1}), "unknown_type"),
        (json!(1), "bad_message"),
        (json!({"type": "Dance"}), "unknown_type"),
    ];
    for (message, code) in cases {
        client.send(&message).await;
        let told = client.next().await.unwrap();
        let error = if told["Error"].is_object() { &told["Error"] } else { &told["data"] };
        assert_eq!(error["code"], code, "{message}: {told}");
    }
    let (_, _, storage) = RoomClient::join(&process, "refused").await;
    assert_eq!((&storage["version"], whole(&storage)), (&json!(1), &json!({"list": [1]})));
}

#[tokio::test]
async fn whoever_sends_nonsense_only_is_sent_away() {
    let folder = tempfile::tempdir().unwrap();
    let process = Process::start(folder.path());
    let (mut client, ..) = RoomClient::join(&process, "nonsense").await;
    for _ in 0..rejoin_rooms::limits::MAX_BAD_MESSAGES {
        client.send(&json!(17)).await;
    }
    let (code, told) = client.closed().await;
    assert_eq!((code, told.len()), (Some(4400), rejoin_rooms::limits::MAX_BAD_MESSAGES as usize));
}

#[tokio::test]
async fn operations_behind_the_first_do_not_wait_for_it() {
    let folder = tempfile::tempdir().unwrap();
    let process = Process::start(folder.path());
    let (mut writer, ..) = RoomClient::join(&process, "burst").await;
    let (mut slow, ..) = RoomClient::join(&process, "burst").await;
    // Each is about what the one before has made.
    writer.update(json!({"op": "add", "path": "/list", "value": []})).await;
    for number in 0..1_000 {
        writer.update(json!({"op": "add", "path": format!("/list/{number}"), "value": number})).await;
    }
    // Who reads only now has lost nothing, and hears it in order.
    for client in [&mut writer, &mut slow] {
        for version in 1..=1_001 {
            assert_eq!(client.expect("StorageUpdated").await["version"], version);
        }
    }
    let expected: Vec<u64> = (0..1_000).collect();
    let (_, _, storage) = RoomClient::join(&process, "burst").await;
    assert_eq!(whole(&storage)["list"], json!(expected));
}

#[tokio::test]
async fn who_lets_too_much_wait_is_sent_away_and_is_whole_when_it_is_back() {
    let folder = tempfile::tempdir().unwrap();
    let process = Process::start(folder.path());
    let (mut writer, ..) = RoomClient::join(&process, "slow").await;
    let mut slow = RoomClient::join_slowly(&process, "slow").await;
    // More than the sockets hold and the room remembers.
    let text = "x".repeat(128 * 1024);
    for version in 1..=80 {
        writer.update(json!({"op": "add", "path": "/text", "value": format!("{version} {text}")})).await;
        assert_eq!(writer.expect("StorageUpdated").await["version"], version);
    }
    let (code, told) = slow.closed().await;
    assert_eq!(code, Some(4513));
    let versions = told.iter().filter_map(|message| message["StorageUpdated"]["version"].as_u64());
    assert!(versions.eq(1..=versions_of(&told)), "nothing is left out before the end");
    let (_, _, storage) = RoomClient::join(&process, &format!("slow?client_id={}", slow.id)).await;
    assert_eq!(storage["version"], 80);
    assert!(whole(&storage)["text"].as_str().unwrap().starts_with("80 "));
}

/// The newest version that messages tell of.
fn versions_of(told: &[Value]) -> u64 {
    told.iter().filter_map(|message| message["StorageUpdated"]["version"].as_u64()).max().unwrap_or(0)
}

#[tokio::test]
async fn who_joins_the_room_that_it_is_in_is_told_all_of_it_again() {
    let folder = tempfile::tempdir().unwrap();
    let process = Process::start(folder.path());
    let (mut one, ..) = RoomClient::join(&process, "again").await;
    let (mut other, ..) = RoomClient::join(&process, "again").await;
    one.send(&json!({"UpdatePresence": {"here": true}})).await;
    while other.expect("PresenceUpdated").await["presence"] != json!({"here": true}) {}
    for _ in 0..20 {
        other.send(&json!({"JoinRoom": "again"})).await;
        let (others, storage) = other.joined().await;
        assert_eq!((others.len(), &others[0]["PresenceUpdated"]["presence"]), (1, &json!({"here": true})));
        assert_eq!(storage["version"], 0);
    }
    // Nobody else hears of that.
    other.send(&json!({"UpdatePresence": {"there": true}})).await;
    one.expect("RoomJoined").await;
    let heard = [one.next().await.unwrap(), one.next().await.unwrap()];
    assert_eq!(
        heard.map(|message| message["PresenceUpdated"]["presence"].clone()),
        [json!({}), json!({"there": true})]
    );
}

#[tokio::test]
async fn a_client_that_comes_back_under_its_id_is_not_declared_dead_by_its_old_socket() {
    let folder = tempfile::tempdir().unwrap();
    let process = Process::start(folder.path());
    let (mut other, ..) = RoomClient::join(&process, "back").await;
    let (mut old, ..) = RoomClient::join(&process, "back").await;
    assert_eq!(other.expect("RoomJoined").await["client_id"], json!(old.id));
    let (mut new, others, _) = RoomClient::join(&process, &format!("back?client_id={}", old.id)).await;
    assert_eq!((&new.id, others.len()), (&old.id, 1), "{others:?}");
    assert_eq!(old.closed().await.0, Some(1000));
    // The others hear of what it shows, and never that it had gone.
    new.send(&json!({"UpdatePresence": {"here": true}})).await;
    loop {
        let message = other.next().await.unwrap();
        assert!(message["RoomLeft"].is_null(), "{message}");
        if message["PresenceUpdated"]["presence"] == json!({"here": true}) {
            break;
        }
    }
    assert!(new_is_alone(&mut new, &mut other).await);
}

/// Whether nothing of an old connection is told between two of its messages.
async fn new_is_alone(new: &mut RoomClient, other: &mut RoomClient) -> bool {
    new.send(&json!({"UpdatePresence": {"here": "still"}})).await;
    loop {
        let message = other.next().await.unwrap();
        if !message["RoomLeft"].is_null() {
            return false;
        }
        if message["PresenceUpdated"]["presence"] == json!({"here": "still"}) {
            return true;
        }
    }
}

#[tokio::test]
async fn a_room_of_another_workspace_has_both_in_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let process = Process::start(folder.path());
    let (mut client, ..) = RoomClient::join(&process, "team%2Fboard").await;
    client.update(json!({"op": "add", "path": "/a", "value": 1})).await;
    assert_eq!(client.expect("StorageUpdated").await["version"], 1);
    let (_, _, storage) = RoomClient::join(&process, "board").await;
    assert_eq!(storage["version"], 0);
    client.send(&json!({"JoinRoom": "team/board"})).await;
    let (_, storage) = client.joined().await;
    assert_eq!(storage["version"], 1);
}

#[tokio::test]
async fn readers_see_and_show_themselves_and_edit_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let process = Process::start_with(folder.path(), &["--secret", SECRET, "--reader-secret", READERS]);
    let mut stranger = RoomClient::connect(&process, "guarded").await;
    assert_eq!(stranger.closed().await.0, Some(4401));
    let mut member = RoomClient::connect_with(&process, "guarded", Some(SECRET)).await;
    member.joined().await;
    let mut reader = RoomClient::connect_with(&process, "guarded", Some(READERS)).await;
    reader.joined().await;
    reader.send(&json!({"UpdatePresence": {"reads": true}})).await;
    reader.update(json!({"op": "add", "path": "/a", "value": 1})).await;
    assert_eq!(reader.expect("Error").await["code"], "forbidden");
    while member.expect("PresenceUpdated").await["presence"] != json!({"reads": true}) {}
    member.update(json!({"op": "add", "path": "/a", "value": 1})).await;
    assert_eq!(reader.expect("StorageUpdated").await["version"], 1);
    // Nobody takes the place of somebody else.
    let mut thief =
        RoomClient::connect_with(&process, &format!("guarded?client_id={}", member.id), Some(READERS)).await;
    assert_eq!(thief.expect("Error").await["code"], "forbidden");
    let headers = [("authorization", format!("Bearer {READERS}"))];
    let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let (status, ..) = http(process.address, "GET /api/rooms/guarded/storage", &headers, "").await;
    assert_eq!(status, 200);
    for request in ["POST /api/rooms/guarded/storage", "DELETE /api/rooms/guarded", "POST /api/rooms/new"] {
        assert_eq!(http(process.address, request, &headers, "").await.0, 403, "{request}");
    }
}

#[tokio::test]
async fn all_doors_lead_into_the_same_room() {
    let folder = tempfile::tempdir().unwrap();
    let process = Process::start(folder.path());
    let (mut client, ..) = RoomClient::join(&process, "shared").await;
    // A map `m` with `a: 1`, by a client of Yjs.
    client.update(json!("AQEBACgBAW0BYQF9AQA=")).await;
    let told = client.expect("StorageUpdated").await;
    assert_eq!(told["operations"], json!([{"op": "add", "path": "/m", "value": {"a": 1}}]), "{told}");
    let patch = r#"[{"op":"add","path":"/m/b","value":2}]"#;
    let headers = [("content-type", "application/json-patch+json")];
    let (status, _, body) = http(process.address, "PATCH /api/documents/shared", &headers, patch).await;
    assert_eq!(status, 200, "{body}");
    let told = client.expect("StorageUpdated").await;
    assert_eq!(told, json!({"version": 2, "operations": [{"op": "add", "path": "/m/b", "value": 2}]}));
    // A JSON document is a storage too, which takes operations only.
    let mut text = Text::connect(&process).await;
    text.create("plain", &json!({"list": [1]})).await;
    let (mut plain, _, storage) = RoomClient::join(&process, "plain").await;
    assert_eq!((&storage["version"], whole(&storage)), (&json!(1), &json!({"list": [1]})));
    plain.update(json!("AQEBACgBAW0BYQF9AQA=")).await;
    assert_eq!(plain.expect("Error").await["code"], "wrong_kind");
    text.update("plain", &json!([{"op": "add", "path": "/list/-", "value": 2}])).await;
    assert_eq!(plain.expect("StorageUpdated").await["version"], 2);
    plain.update(json!([{"op": "add", "path": "/list/-", "value": 3}])).await;
    assert_eq!(plain.expect("StorageUpdated").await["version"], 3);
    assert_eq!(text.read("plain").await["document"]["content"], json!({"list": [1, 2, 3]}));
    // What is shown on a document through another door is presence of the room.
    text.ask(
        &json!({"type": "presence", "document_id": "plain", "state": {"name": "Ada"}, "request_id": 1}),
        "presence",
    )
    .await;
    assert_eq!(plain.expect("PresenceUpdated").await["presence"], json!({"name": "Ada"}));
}

#[tokio::test]
async fn rooms_are_made_read_edited_and_deleted_over_rest() {
    let folder = tempfile::tempdir().unwrap();
    let process = Process::start(folder.path());
    let ask = async |request: &str, body: &str| http(process.address, request, &[], body).await;
    assert_eq!(ask("GET /api/rooms/my-room", "").await.0, 404);
    // As they are printed: create, read, initialise, presence.
    let (status, _, room) = ask("POST /api/rooms/my-room", "").await;
    assert_eq!((status, &room["room_id"], &room["kind"]), (201, &json!("my-room"), &json!("crdt")), "{room}");
    assert_eq!(ask("POST /api/rooms/my-room", "").await.0, 200);
    assert_eq!(ask("GET /api/rooms/my-room", "").await.2, room);
    assert_eq!(ask("POST /api/rooms/my-room/storage", "").await.0, 200);
    let (_, _, presence) = ask("GET /api/rooms/my-room/presence", "").await;
    assert_eq!(presence, json!({"room_id": "my-room", "presence": []}));
    let (mut client, ..) = RoomClient::join(&process, "my-room").await;
    client.send(&json!({"UpdatePresence": {"x": 1}})).await;
    let shown = async {
        loop {
            let presence = ask("GET /api/rooms/my-room/presence", "").await.2["presence"].clone();
            if presence[0]["presence"] == json!({"x": 1}) {
                return presence[0]["client_id"].clone();
            }
        }
    };
    assert_eq!(within("the presence", shown).await, json!(client.id));
    // Content first, then operations, which everybody in the room hears.
    let long = "of which the difference says nothing, so that it is shorter than all of it";
    let first = json!({"list": [1], "long": long});
    let (status, _, written) = ask("POST /api/rooms/my-room/storage", &first.to_string()).await;
    assert_eq!(status, 200, "{written}");
    assert_eq!(client.expect("StorageUpdated").await["version"], written["version"]);
    let known = written["version"].as_u64().unwrap();
    assert_eq!(ask("POST /api/rooms/my-room/storage", r#"{"list":[2]}"#).await.0, 412);
    let add = r#"{"op":"add","path":"/list/-","value":2}"#;
    let (status, _, written) = ask("PATCH /api/rooms/my-room/storage", add).await;
    assert_eq!((status, &written["version"]), (200, &json!(known + 1)), "{written}");
    assert_eq!(
        client.expect("StorageUpdated").await["operations"],
        json!([{"op": "add", "path": "/list/1", "value": 2}])
    );
    let merge = [("content-type", "application/merge-patch+json")];
    let (status, ..) =
        http(process.address, "PATCH /api/rooms/my-room/storage", &merge, r#"{"title":"T"}"#).await;
    assert_eq!(status, 200);
    let (_, _, storage) = ask("GET /api/rooms/my-room/storage", "").await;
    assert_eq!(storage["storage"], json!({"list": [1, 2], "long": long, "title": "T"}), "{storage}");
    let (_, _, since) = ask(&format!("GET /api/rooms/my-room/storage?since={known}"), "").await;
    let told: Vec<&Value> =
        since["changes"].as_array().unwrap().iter().map(|change| &change["version"]).collect();
    assert_eq!(told, [&json!(known + 1), &json!(known + 2)], "{since}");
    // Of a room in which nobody is the difference is told at once.
    client.close().await;
    let single = async {
        loop {
            let since = ask(&format!("GET /api/rooms/my-room/storage?since={known}"), "").await.2;
            if since["changes"].as_array().unwrap().len() == 1 {
                return since;
            }
        }
    };
    let since = within("the room to leave the memory", single).await;
    let operations = since["changes"][0]["operations"].as_array().unwrap();
    assert_eq!((operations.len(), &since["changes"][0]["version"]), (2, &json!(known + 2)), "{since}");
    let (_, _, page) = ask("GET /api/rooms", "").await;
    assert_eq!(page["rooms"][0]["room_id"], "my-room", "{page}");
    // Its storage can be emptied, and the room deleted: its members leave, and who comes again finds a new one.
    let (mut client, ..) = RoomClient::join(&process, "my-room").await;
    assert_eq!(ask("DELETE /api/rooms/my-room/storage", "").await.0, 204);
    client.expect("StorageUpdated").await;
    assert_eq!(ask("GET /api/rooms/my-room/storage", "").await.2["storage"], json!({}));
    client.update(json!({"op": "add", "path": "/old", "value": 1})).await;
    client.expect("StorageUpdated").await;
    assert_eq!(ask("DELETE /api/rooms/my-room", "").await.0, 204);
    assert_eq!(client.expect("RoomLeft").await["client_id"], json!(client.id));
    assert_eq!(ask("GET /api/rooms/my-room", "").await.0, 404);
    assert_eq!(ask("DELETE /api/rooms/my-room", "").await.0, 404);
    client.send(&json!({"JoinRoom": "my-room"})).await;
    let (_, storage) = client.joined().await;
    assert_eq!(whole(&storage), &json!({}));
    client.update(json!({"op": "add", "path": "/new", "value": 1})).await;
    let told = async { while client.expect("StorageUpdated").await["operations"][0]["path"] != "/new" {} };
    within("the new content", told).await;
    assert_eq!(ask("GET /api/rooms/my-room/storage", "").await.2["storage"], json!({"new": 1}));
}

#[tokio::test]
async fn a_room_without_storage_is_listed_while_somebody_is_in_it() {
    let folder = tempfile::tempdir().unwrap();
    let process = Process::start(folder.path());
    let (client, ..) = RoomClient::join(&process, "empty").await;
    let (_, _, page) = http(process.address, "GET /api/rooms", &[], "").await;
    assert_eq!(page["rooms"], json!([{"room_id": "empty", "version": 0, "clients": 1}]));
    client.close().await;
    let gone =
        async { while http(process.address, "GET /api/rooms", &[], "").await.2["rooms"] != json!([]) {} };
    within("the room to be gone", gone).await;
}

#[tokio::test]
async fn a_silent_client_is_asked_and_then_gone() {
    let folder = tempfile::tempdir().unwrap();
    let mut options = ServerOptions::new(format!("sqlite:{}", folder.path().join("server.db").display()));
    options.room_ping_interval = Duration::from_millis(50);
    options.room_client_timeout = Duration::from_millis(400);
    let server = Server::start(options).unwrap();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}/ws/room/quiet", listener.local_addr().unwrap());
    let app = router(&server);
    let serving = tokio::spawn(async move { axum::serve(listener, app).await });
    let mut watcher = RoomClient::connect_to(&url, None).await;
    watcher.joined().await;
    // One that reads nothing answers no ping either.
    let mut silent = RoomClient::connect_to(&url, None).await;
    silent.joined().await;
    let mut pings = 0;
    loop {
        let message = watcher.next().await.unwrap();
        if message == json!("Ping") {
            pings += 1;
            watcher.send(&json!("Pong")).await;
        } else if message["RoomLeft"]["client_id"] == json!(silent.id) {
            break;
        }
    }
    assert!(pings > 0);
    assert_eq!(silent.closed().await.0, Some(4508));
    serving.abort();
    server.stop(Duration::from_secs(5)).await;
}

#[tokio::test]
async fn the_client_in_a_terminal_edits_and_hears_what_comes_of_it() {
    use std::io::Write as _;
    use std::process::{Command, Stdio};
    let folder = tempfile::tempdir().unwrap();
    let process = Process::start(folder.path());
    let (mut other, ..) = RoomClient::join(&process, "default_room").await;
    let url = format!("http://{}", process.address);
    let mut command = Command::new(env!("CARGO_BIN_EXE_rejoin"))
        .args(["client", "--url", &url])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = command.stdin.take().unwrap();
    input.write_all(b"/show {\"name\":\"Ada\"}\n/set /title Draft\n/remove /nothing\n/dance\n").unwrap();
    drop(input);
    assert_eq!(other.expect("StorageUpdated").await["operations"][0]["value"], "Draft");
    let output = tokio::task::spawn_blocking(move || command.wait_with_output()).await.unwrap().unwrap();
    let told = String::from_utf8(output.stdout).unwrap();
    for part in [
        "is in default_room",
        "version 0: ",
        "version 1: [{\"op\":\"add\",\"path\":\"/title\",\"value\":\"Draft\"}]",
        "refused (invalid_patch): ",
        "/dance is no command",
    ] {
        assert!(told.contains(part), "{part}: {told}");
    }
    assert!(output.status.success(), "{told}");
}

#[tokio::test]
async fn a_ticket_lets_into_its_room_as_often_as_its_holder_likes() {
    let folder = tempfile::tempdir().unwrap();
    let process = Process::start_with(folder.path(), &["--secret", SECRET, "--reader-secret", READERS]);
    let ask = async |secret: &str, request: &str, body: &str| {
        let bearer = format!("Bearer {secret}");
        http(process.address, request, &[("authorization", &bearer)], body).await
    };
    let request = "POST /api/rooms/open-house/tickets";
    let (status, _, issued) = ask(SECRET, request, "").await;
    assert_eq!(status, 201, "{issued}");
    let editor = issued["ticket"].as_str().unwrap();
    let (_, _, issued) = ask(SECRET, request, r#"{"name":"Guest","may_edit":false,"expires_in":60}"#).await;
    let guest = issued["ticket"].as_str().unwrap();
    for (body, status) in [
        (r#"{"expires_in":0}"#, 422),
        (r#"{"expires_in":2592001}"#, 422),
        (r#"{"name":""}"#, 422),
        (r#"{"for":1}"#, 400),
    ] {
        assert_eq!(ask(SECRET, request, body).await.0, status, "{body}");
    }
    assert_eq!(ask(READERS, request, "").await.0, 403);
    for version in 1..=2 {
        let (mut client, ..) = RoomClient::join(&process, &format!("open-house?ticket={editor}")).await;
        client.update(json!({"op": "add", "path": "/a", "value": version})).await;
        assert_eq!(client.expect("StorageUpdated").await["version"], version);
    }
    let (mut reader, ..) = RoomClient::join(&process, &format!("open-house?ticket={guest}")).await;
    reader.update(json!({"op": "add", "path": "/a", "value": 3})).await;
    assert_eq!(reader.expect("Error").await["code"], "forbidden");
    // It is for this room: its holder moves to no other.
    reader.send(&json!({"JoinRoom": "closed-house"})).await;
    assert_eq!(reader.expect("Error").await["code"], "forbidden");
    let mut elsewhere = RoomClient::connect(&process, &format!("closed-house?ticket={editor}")).await;
    assert_eq!(elsewhere.closed().await.0, Some(4403));
    let mut altered = RoomClient::connect(&process, &format!("open-house?ticket={editor}x")).await;
    assert_eq!(altered.closed().await.0, Some(4401));
    // The same ticket is a parameter of `y-websocket`.
    let yjs = |room: &str| format!("ws://{}/yjs/{room}?ticket={editor}", process.address);
    assert_eq!(RoomClient::connect_to(&yjs("closed-house"), None).await.closed().await.0, Some(4403));
    assert!(!RoomClient::connect_to(&yjs("open-house"), None).await.next_bytes().await.is_empty());
}

#[tokio::test]
async fn history_says_what_each_batch_changed() {
    let folder = tempfile::tempdir().unwrap();
    let process = Process::start(folder.path());
    let (mut client, ..) = RoomClient::join(&process, "told").await;
    for (version, value) in [(1, "Draft"), (2, "Ready")] {
        client.update(json!([{"op": "add", "path": "/title", "value": value}])).await;
        assert_eq!(client.expect("StorageUpdated").await["version"], version);
    }
    let (_, _, history) = http(process.address, "GET /api/documents/told/changes", &[], "").await;
    let patches =
        |at: usize| (&history["items"][at]["forward_patch"], &history["items"][at]["reverse_patch"]);
    let replaced = |value: &str| json!([{"op": "replace", "path": "/title", "value": value}]);
    assert_eq!(patches(1), (&replaced("Ready"), &replaced("Draft")), "{history}");
    let first = (
        json!([{"op": "add", "path": "/title", "value": "Draft"}]),
        json!([{"op": "remove", "path": "/title"}]),
    );
    assert_eq!(patches(0), (&first.0, &first.1), "{history}");
}
