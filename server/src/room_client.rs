//! `rejoin client`: a client of rooms in a terminal, for trying them out.

use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use futures_util::{SinkExt, StreamExt};
use rejoin_json::{Json, Limits, Object};
use rejoin_rooms::{ClientMessage, Form, ServerMessage, decode_server_message};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;

use crate::Failure;

/// How long answers are waited for when there is nothing more to say.
const ANSWER_PATIENCE: Duration = Duration::from_secs(5);

const HELP: &str = "\
/set PATH VALUE    puts a value, as JSON or plain text, into the storage: /set /title Draft
/remove PATH       removes one
/show VALUE        shows something to the others: /show {\"name\":\"Ada\"}
/join ROOM         moves to another room
/leave             leaves the room
/quit              ends; so does the end of the input
{…} or \"…\"         any message, as docs/rooms.md has them";

#[derive(Args)]
pub(crate) struct ClientFlags {
    /// The room, or workspace/room
    #[arg(default_value = "default_room")]
    room: String,
    /// The server
    #[arg(long, value_name = "URL", default_value = "ws://127.0.0.1:8080")]
    url: String,
    /// The server's secret, or that of readers
    #[arg(long, env = "REJOIN_SECRET", hide_env_values = true)]
    token: Option<String>,
    /// Who this client was before, as a UUID: it takes the place of its old connection
    #[arg(long, value_name = "UUID")]
    client_id: Option<String>,
    /// Writes each message as it came, one a line
    #[arg(long)]
    json: bool,
}

/// What a line says.
#[derive(Debug, PartialEq)]
enum Line {
    Send(String),
    Help,
    Quit,
    Nothing,
    Wrong(String),
}

/// Is a client until the input or the connection ends.
pub(crate) fn run(flags: ClientFlags) -> Result<ExitCode, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let done = runtime.block_on(join(flags));
    // A thread may still read the terminal, which nobody waits for.
    runtime.shutdown_background();
    done
}

async fn join(flags: ClientFlags) -> Result<ExitCode, Failure> {
    let address = address(&flags)?;
    let mut request = address.as_str().into_client_request()?;
    if let Some(token) = flags.token.filter(|token| !token.is_empty()) {
        request.headers_mut().insert("authorization", format!("Bearer {token}").parse()?);
    }
    let (mut socket, _) = tokio_tungstenite::connect_async(request).await.map_err(|error| {
        format!(
            "{address} cannot be connected to ({error}); start `rejoin dev`, or name the server with --url"
        )
    })?;
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    let (mut is_input_open, mut unanswered) = (true, 0_usize);
    if !flags.json {
        say("connected; /help says what can be typed");
    }
    loop {
        let waits = !is_input_open && unanswered > 0;
        tokio::select! {
            line = lines.next_line(), if is_input_open => match line?.as_deref().map(read_line) {
                Some(Line::Send(text)) => {
                    unanswered += usize::from(text.contains("UpdateStorage"));
                    socket.send(Message::text(text)).await?;
                }
                Some(Line::Help) => say(HELP),
                Some(Line::Wrong(why)) => say(&why),
                Some(Line::Nothing) => {}
                Some(Line::Quit) | None => {
                    is_input_open = false;
                    if unanswered == 0 {
                        socket.send(Message::Close(None)).await?;
                    }
                }
            },
            message = socket.next() => match message {
                Some(Ok(Message::Text(text))) => {
                    let told = decode_server_message(&text).message;
                    if matches!(told, Ok(ServerMessage::Ping)) {
                        socket.send(Message::text(ClientMessage::Pong.encode(Form::Page).as_ref())).await?;
                    }
                    if flags.json {
                        say(&text);
                    } else if let Some(told) = told.ok().and_then(|told| in_words(&told)) {
                        say(&told);
                    }
                    if is_answer(&text) {
                        unanswered = unanswered.saturating_sub(1);
                    }
                    if waits && unanswered == 0 {
                        socket.send(Message::Close(None)).await?;
                    }
                }
                Some(Ok(Message::Close(frame))) => match frame.filter(|frame| u16::from(frame.code) > 1001) {
                    None => return Ok(ExitCode::SUCCESS),
                    Some(frame) => {
                        return Err(format!("the server closed with {}: {}", frame.code, frame.reason).into());
                    }
                },
                Some(Ok(_)) => {}
                Some(Err(_)) | None if !is_input_open => return Ok(ExitCode::SUCCESS),
                Some(Err(error)) => return Err(format!("the connection broke off: {error}").into()),
                None => return Err("the connection broke off".into()),
            },
            () = tokio::time::sleep(ANSWER_PATIENCE), if waits => {
                return Err("the server did not answer all that was sent".into());
            }
        }
    }
}

/// Where the room is.
fn address(flags: &ClientFlags) -> Result<String, Failure> {
    let base = flags.url.trim_end_matches('/');
    let base = match base.split_once("://") {
        Some(("http", rest)) => format!("ws://{rest}"),
        Some(("https", rest)) => format!("wss://{rest}"),
        Some(("ws" | "wss", _)) => base.to_owned(),
        _ => return Err(format!("--url is {base:?}: write it as ws://127.0.0.1:8080").into()),
    };
    let room = percent_encoding::utf8_percent_encode(&flags.room, percent_encoding::NON_ALPHANUMERIC);
    let client = flags.client_id.as_ref().map(|id| format!("?client_id={id}")).unwrap_or_default();
    Ok(format!("{base}/ws/room/{room}{client}"))
}

/// Whether a message says what became of a batch, of whoever it was.
fn is_answer(text: &str) -> bool {
    let message = decode_server_message(text).message;
    match message {
        Ok(ServerMessage::StorageUpdated { operations, .. }) => {
            // The storage as it was when the client came is none.
            let mut operations = operations.as_array().into_iter().flat_map(|operations| operations.iter());
            operations.all(|operation| operation.get("path").and_then(Json::as_str) != Some(""))
        }
        Ok(ServerMessage::Error { .. }) => true,
        _ => false,
    }
}

fn read_line(line: &str) -> Line {
    let line = line.trim();
    let (command, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
    let rest = rest.trim();
    let send = |message: ClientMessage| Line::Send(message.encode(Form::Page).as_ref().to_owned());
    match command {
        "" => Line::Nothing,
        _ if line.starts_with(['{', '"']) => Line::Send(line.to_owned()),
        "/help" => Line::Help,
        "/quit" => Line::Quit,
        "/leave" => send(ClientMessage::LeaveRoom),
        "/join" if !rest.is_empty() => send(ClientMessage::JoinRoom(rest.to_owned())),
        "/show" if !rest.is_empty() => send(ClientMessage::UpdatePresence(value(rest))),
        "/remove" if rest.starts_with('/') => send(operation("remove", rest, None)),
        "/set" => match rest.split_once(char::is_whitespace) {
            Some((path, text)) if path.starts_with('/') => {
                send(operation("add", path, Some(value(text.trim()))))
            }
            _ => Line::Wrong("write /set PATH VALUE, as /set /title Draft".to_owned()),
        },
        _ => Line::Wrong(format!("{command} is no command, or lacks something; /help has them")),
    }
}

/// JSON, or a text as it is.
fn value(text: &str) -> Json {
    Json::parse(text, &Limits::default()).unwrap_or_else(|_| text.into())
}

fn operation(op: &str, path: &str, value: Option<Json>) -> ClientMessage {
    let mut operation = Object::new();
    operation.insert("op", op.into());
    operation.insert("path", path.into());
    if let Some(value) = value {
        operation.insert("value", value);
    }
    ClientMessage::UpdateStorage(operation.into())
}

fn in_words(message: &ServerMessage) -> Option<String> {
    Some(match message {
        ServerMessage::RoomJoined { room_id, client_id } => format!("{client_id} is in {room_id}"),
        ServerMessage::RoomLeft { room_id, client_id } => format!("{client_id} left {room_id}"),
        ServerMessage::PresenceUpdated { client_id, presence, .. } => format!("{client_id} shows {presence}"),
        ServerMessage::StorageUpdated { version, operations } => format!("version {version}: {operations}"),
        ServerMessage::Ping => return None,
        ServerMessage::Error { code, message, .. } => format!("refused ({code}): {message}"),
    })
}

#[allow(clippy::print_stdout, reason = "this is what the command is for")]
fn say(text: &str) {
    println!("{text}");
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_a_message() {
        let cases = [
            ("/set /title Draft", r#"{"UpdateStorage":{"op":"add","path":"/title","value":"Draft"}}"#),
            ("  /set /a/b  {\"c\": 1} ", r#"{"UpdateStorage":{"op":"add","path":"/a/b","value":{"c":1}}}"#),
            ("/remove /a", r#"{"UpdateStorage":{"op":"remove","path":"/a"}}"#),
            ("/show {\"name\":\"Ada\"}", r#"{"UpdatePresence":{"name":"Ada"}}"#),
            ("/join team/board", r#"{"JoinRoom":"team/board"}"#),
            ("/leave", r#""LeaveRoom""#),
            (r#"{"type":"Pong"}"#, r#"{"type":"Pong"}"#),
        ];
        for (line, message) in cases {
            assert_eq!(read_line(line), Line::Send(message.to_owned()), "{line}");
        }
        assert_eq!(
            (read_line(""), read_line("/help"), read_line("/quit")),
            (Line::Nothing, Line::Help, Line::Quit)
        );
        for wrong in ["/set", "/set title Draft", "/set /title", "/remove title", "/join", "hello"] {
            assert!(matches!(read_line(wrong), Line::Wrong(_)), "{wrong}");
        }
    }

    #[test]
    fn a_server_is_named_by_its_address_with_or_without_a_socket_in_it() {
        let at = |url: &str, room: &str, id: Option<&str>| {
            let flags = ClientFlags {
                room: room.to_owned(),
                url: url.to_owned(),
                token: None,
                client_id: id.map(str::to_owned),
                json: false,
            };
            address(&flags).map_err(|error| error.to_string())
        };
        assert_eq!(at("http://h:1/", "a", None).unwrap(), "ws://h:1/ws/room/a");
        assert_eq!(
            at("wss://h/base", "team/a b", Some("x")).unwrap(),
            "wss://h/base/ws/room/team%2Fa%20b?client_id=x"
        );
        assert!(at("h:1", "a", None).unwrap_err().contains("ws://127.0.0.1:8080"));
    }
}
