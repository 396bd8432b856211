use super::*;
use rejoin_wire::ErrorCode;

fn json(text: &str) -> Json {
    Json::parse(text, &Limits::default()).unwrap()
}

fn code(text: &str) -> ErrorCode {
    decode_client_message(text).message.unwrap_err().code()
}

fn client_messages() -> Vec<ClientMessage> {
    vec![
        ClientMessage::UpdatePresence(json("{}")),
        ClientMessage::UpdatePresence(json("null")),
        ClientMessage::UpdatePresence(json(r#"{"cursor":{"x":1,"y":2.5},"type":"a"}"#)),
        ClientMessage::UpdateStorage(json(r#"[{"op":"add","path":"/a","value":1}]"#)),
        ClientMessage::JoinRoom("team/board".into()),
        ClientMessage::LeaveRoom,
        ClientMessage::Pong,
    ]
}

fn server_messages() -> Vec<ServerMessage> {
    let (room_id, client_id) = ("a".to_owned(), "b".to_owned());
    vec![
        ServerMessage::RoomJoined { room_id: room_id.clone(), client_id: client_id.clone() },
        ServerMessage::RoomLeft { room_id, client_id: client_id.clone() },
        ServerMessage::PresenceUpdated { client_id, timestamp: 1_700_000_000_123, presence: json("[1]") },
        ServerMessage::StorageUpdated { version: 7, operations: json("[]") },
        ServerMessage::Ping,
        ServerMessage::Error { code: "too_deep".into(), message: "flatten it".into(), retry: false },
    ]
}

#[test]
fn every_message_is_read_as_it_is_written_in_both_forms() {
    for form in [Form::Page, Form::Typed] {
        for message in client_messages() {
            let decoded = decode_client_message(&message.encode(form));
            assert_eq!(decoded, Decoded { form, message: Ok(message) });
        }
        for message in server_messages() {
            let decoded = decode_server_message(&message.encode(form));
            assert_eq!(decoded, Decoded { form, message: Ok(message) });
        }
    }
}

#[test]
fn the_forms_are_those_of_the_page_and_of_type_and_data() {
    let page: Vec<_> = server_messages().iter().map(|message| message.encode(Form::Page)).collect();
    assert_eq!(&*page[0], r#"{"RoomJoined":{"client_id":"b","room_id":"a"}}"#);
    assert_eq!(
        &*page[2],
        r#"{"PresenceUpdated":{"client_id":"b","presence":[1],"timestamp":1700000000123}}"#
    );
    assert_eq!(&*page[4], r#""Ping""#);
    let typed: Vec<_> = server_messages().iter().map(|message| message.encode(Form::Typed)).collect();
    assert_eq!(&*typed[3], r#"{"data":{"operations":[],"version":7},"type":"StorageUpdated"}"#);
    assert_eq!(&*typed[4], r#"{"type":"Ping"}"#);
}

#[test]
fn what_others_add_is_ignored_and_units_may_be_written_as_members() {
    let cases = [
        (r#"{"LeaveRoom":null}"#, ClientMessage::LeaveRoom),
        (r#"{"Pong":{}}"#, ClientMessage::Pong),
        (r#"{"type":"Pong","data":null,"id":7}"#, ClientMessage::Pong),
        (r#"{"JoinRoom":{"room_id":"a","x":1},"id":7}"#, ClientMessage::JoinRoom("a".into())),
        (r#" {"UpdatePresence" : {} } "#, ClientMessage::UpdatePresence(json("{}"))),
    ];
    for (text, expected) in cases {
        assert_eq!(decode_client_message(text).message, Ok(expected), "{text}");
    }
}

#[test]
fn what_is_no_message_is_refused_by_its_reason() {
    let cases = [
        ("", ErrorCode::BadMessage),
        ("{", ErrorCode::BadMessage),
        ("7", ErrorCode::BadMessage),
        ("{}", ErrorCode::BadMessage),
        ("[]", ErrorCode::BadMessage),
        (r#""Ping""#, ErrorCode::UnknownType),
        (r#"{"updatePresence":{}}"#, ErrorCode::UnknownType),
        (r#"{"type":"RoomJoined"}"#, ErrorCode::UnknownType),
        (r#"{"type":7}"#, ErrorCode::BadMessage),
        (r#"{"type":"JoinRoom","data":7}"#, ErrorCode::BadMessage),
        (r#"{"type":"UpdatePresence"}"#, ErrorCode::BadMessage),
        (r#""UpdateStorage""#, ErrorCode::BadMessage),
        (r#"{"LeaveRoom":null,"Pong":null}"#, ErrorCode::BadMessage),
        (r#"{"UpdatePresence":9007199254740993}"#, ErrorCode::InvalidValue),
        (r#"{"UpdatePresence":"\ud800"}"#, ErrorCode::InvalidValue),
    ];
    for (text, expected) in cases {
        assert_eq!(code(text), expected, "{text}");
    }
    assert_eq!(decode_client_message(r#"{"type":"x"}"#).form, Form::Typed);
}

#[test]
fn the_errors_say_what_to_do() {
    let says = |text| decode_client_message(text).message.unwrap_err().to_string();
    assert_eq!(
        says(r#"{"type":"Leave"}"#),
        "there is no message \"Leave\" to this side: send one of UpdatePresence, UpdateStorage, JoinRoom, LeaveRoom, Pong"
    );
    assert!(says("{}").contains(r#"send {"type": …, "data": …}"#));
    assert!(says(r#"{"JoinRoom":{}}"#).contains("the name of the room"));
    assert!(says(&format!(r#"{{"type":"{}"}}"#, "é".repeat(100_000))).len() < 400);
}

#[test]
fn depth_and_size_are_taken_up_to_their_limits_and_refused_beyond() {
    let deep = |levels: usize| format!("{{\"UpdatePresence\":{}{}}}", "[".repeat(levels), "]".repeat(levels));
    assert!(decode_client_message(&deep(MAX_DEPTH + 3)).message.is_ok());
    assert_eq!(code(&deep(MAX_DEPTH + 4)), ErrorCode::TooDeep);
    assert_eq!(code(&"[".repeat(MAX_MESSAGE_BYTES)), ErrorCode::TooDeep);
    let around = r#"{"UpdatePresence":""}"#.len();
    let long = |bytes: usize| format!("{{\"UpdatePresence\":\"{}\"}}", "x".repeat(bytes - around));
    assert!(decode_client_message(&long(MAX_MESSAGE_BYTES)).message.is_ok());
    assert_eq!(code(&long(MAX_MESSAGE_BYTES + 1)), ErrorCode::TooLarge);
}
