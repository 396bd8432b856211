//! Holds docs/protocol.md to the code: its examples, its tables and its numbers.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;

use rejoin_json::{ConflictKind, Json, Policy, Winner};
use serde::Serialize;
use serde_json::Value;
#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use crate::binary::{Wire, from_bytes, to_bytes};
use crate::testing::{CONFLICT_KINDS, WINNERS, hex, json};
use crate::{
    Assembler, Body, Change, CloseCode, Counter, DocumentId, Encoding, ErrorCode, Frame, Message,
    PROTOCOL_VERSION, ReplicaId, Revision, SUBPROTOCOL_BINARY, SUBPROTOCOL_JSON, Scope, TextMessage,
    TextRequest, TextResponse, UnixMillis, decode_message, decode_text, encode_message, limits,
};

const PROTOCOL: &str = include_str!("../../../docs/protocol.md");
const LIMITS: &str = include_str!("limits.rs");

/// A block of code: what it is, and its text.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Block {
    kind: &'static str,
    text: &'static str,
}

fn blocks() -> Vec<Block> {
    let fenced = PROTOCOL.split("\n```").collect::<Vec<_>>();
    let opened = fenced.iter().skip(1).step_by(2);
    opened.map(|block| block.split_once('\n').unwrap()).map(|(kind, text)| Block { kind, text }).collect()
}

fn blocks_of(kind: &str) -> Vec<&'static str> {
    blocks().into_iter().filter(|block| block.kind == kind).map(|block| block.text).collect()
}

/// The text from a heading to the next one of its level.
fn section(heading: &str) -> &'static str {
    let start = PROTOCOL.find(&format!("\n{heading}\n")).unwrap_or_else(|| panic!("no heading {heading}"));
    let body = &PROTOCOL[start + 1 + heading.len()..];
    let level = heading.split(' ').next().unwrap();
    body.split(&format!("\n{level} ")).next().unwrap()
}

/// The cells of all rows of the tables in a text, without their headings, without backticks.
fn rows(text: &'static str) -> Vec<Vec<String>> {
    let lines: Vec<&str> = text.lines().collect();
    let heads = |line: usize| lines.get(line + 1).is_some_and(|next| next.starts_with("|---"));
    let row =
        |line: &str| line.trim_matches('|').split('|').map(|cell| cell.trim().replace('`', "")).collect();
    let body = lines
        .iter()
        .enumerate()
        .filter(|(at, line)| line.starts_with('|') && !line.starts_with("|---") && !heads(*at));
    body.map(|(_, line)| row(line)).collect()
}

/// The bytes of a block of hexadecimal digits with comments.
fn bytes(text: &str) -> Vec<u8> {
    let digits: String =
        text.lines().flat_map(|line| line.split('#').next().unwrap().split_whitespace()).collect();
    let byte = |at: usize| u8::from_str_radix(&digits[at..at + 2], 16).unwrap();
    (0..digits.len()).step_by(2).map(byte).collect()
}

/// A message's JSON without the members that are null.
fn members(text: &str) -> Value {
    let mut value: Value = serde_json::from_str(text).unwrap();
    value.as_object_mut().unwrap().retain(|_, member| !member.is_null());
    value
}

#[test]
fn every_message_has_an_example_that_is_true() {
    let mut kinds = BTreeSet::new();
    let blocks = blocks();
    let mut wrong = Vec::new();
    for (at, block) in blocks.iter().enumerate().filter(|(_, block)| block.kind == "json message") {
        let message = decode_message(block.text.as_bytes(), Encoding::Json)
            .unwrap_or_else(|error| panic!("{error}: {}", block.text));
        let written = encode_message(&message, Encoding::Json);
        assert_eq!(members(std::str::from_utf8(&written).unwrap()), members(block.text));
        kinds.insert(message.kind());
        let expected = to_bytes(&message);
        let shown = blocks.get(at + 1).filter(|next| next.kind == "hex").map(|next| bytes(next.text));
        if shown.as_ref() != Some(&expected) {
            wrong.push(format!("{}: {}", message.kind(), hex(&expected)));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(kinds, Message::KINDS.iter().map(|(_, name)| *name).collect());
}

#[test]
fn the_table_of_messages_is_the_list_of_kinds() {
    let listed: Vec<(String, String)> = rows(section("## Messages").split("\n### ").next().unwrap())
        .into_iter()
        .map(|row| (row[0].clone(), row[1].clone()))
        .collect();
    let mut kinds = Message::KINDS.to_vec();
    kinds.sort_unstable();
    let kinds: Vec<(String, String)> =
        kinds.into_iter().map(|(number, name)| (number.to_string(), name.to_owned())).collect();
    assert_eq!(listed, kinds);
    let way = |number: &str| match number.parse::<u8>().unwrap() {
        1 => "up",
        2 => "down",
        3..16 => "both",
        16..64 => "up",
        _ => "down",
    };
    for row in rows(section("## Messages").split("\n### ").next().unwrap()) {
        assert_eq!(row[2], way(&row[0]), "{row:?}");
    }
}

#[test]
fn the_table_of_limits_is_complete_and_true() {
    let listed: BTreeSet<(String, u64)> =
        rows(section("## Limits")).into_iter().map(|row| (row[0].clone(), row[1].parse().unwrap())).collect();
    macro_rules! values {
        ($($name:ident),* $(,)?) => {
            [("MAX_ID_BYTES", crate::MAX_ID_BYTES as u64), $((stringify!($name), u64::try_from(limits::$name).unwrap())),*]
        };
    }
    let values = values![
        MAX_FRAME_BYTES,
        MAX_MESSAGE_BYTES,
        MAX_BYTES_BEFORE_AUTHENTICATION,
        MAX_CHANGES_PER_PUSH,
        MAX_DOCUMENTS_PER_MESSAGE,
        MAX_ENTRIES_PER_MESSAGE,
        MAX_MEMBERS_PER_MESSAGE,
        MAX_RELAYED_MEMBERS,
        MAX_PRESENCE_PARTS,
        MAX_CONFLICTS_PER_CHANGE,
        MAX_OPEN_CONFLICT_BYTES,
        MAX_PRESENCE_BYTES,
        MAX_TEXT_BYTES,
        MAX_HEADER_ITEMS,
        MAX_CRDT_BYTES,
        MAX_UPDATES_PER_SNAPSHOT,
        MAX_DEPTH,
        MAX_JSON_DEPTH,
        MAX_ITEMS_PER_MESSAGE,
        MAX_OPERATIONS_PER_PATCH,
        MAX_ANCESTORS,
        MAX_RUNS,
        MAX_VERSIONS,
        MAX_INTEGER,
        HEARTBEAT_INTERVAL_MS,
        HEARTBEAT_TIMEOUT_MS,
        HELLO_TIMEOUT_MS,
    ];
    assert_eq!(listed, values.into_iter().map(|(name, value)| (name.to_owned(), value)).collect());
    let declared = LIMITS.lines().filter_map(|line| line.strip_prefix("pub const ")?.split(':').next());
    for name in declared {
        assert!(values.iter().any(|(known, _)| *known == name), "{name} is not in the table");
    }
}

#[test]
fn numbers_in_the_text_are_those_of_the_limits() {
    for (value, words) in [
        (limits::MAX_FRAME_BYTES as u64, "a frame of 262,144 bytes"),
        (limits::MAX_BYTES_BEFORE_AUTHENTICATION as u64, "takes 65,536 bytes"),
        (u64::from(limits::HELLO_TIMEOUT_MS) / 1_000, "and 5 seconds"),
        (limits::MAX_PRESENCE_BYTES as u64, "at most 4,096 bytes of canonical text"),
        (u64::from(limits::HEARTBEAT_INTERVAL_MS), "After 30,000 ms"),
        (u64::from(limits::HEARTBEAT_TIMEOUT_MS), "After 60,000 ms"),
        (u64::from(PROTOCOL_VERSION), "This is version **1**"),
    ] {
        let unwrapped = PROTOCOL.replace('\n', " ");
        assert!(unwrapped.contains(words), "{words}");
        let number: String = words.chars().filter(char::is_ascii_digit).collect();
        assert_eq!(number, value.to_string());
    }
    for subprotocol in [SUBPROTOCOL_BINARY, SUBPROTOCOL_JSON] {
        assert!(PROTOCOL.contains(&format!("| `{subprotocol}` |")));
    }
}

#[test]
fn the_tables_of_codes_are_complete_and_true() {
    let yes_or_no = |yes: bool| if yes { "yes" } else { "no" }.to_owned();
    let errors = section("## Errors").split("\n### ").next().unwrap();
    let listed: Vec<Vec<String>> = rows(errors).into_iter().map(|row| row[..3].to_vec()).collect();
    let codes = ErrorCode::ALL.iter();
    let codes: Vec<Vec<String>> = codes
        .map(|code| vec![code.number().to_string(), code.name().to_owned(), yes_or_no(code.retry())])
        .collect();
    assert_eq!(listed, codes);
    for code in ErrorCode::ALL {
        assert_eq!(ErrorCode::from_number(code.number()), Some(*code));
        assert_eq!(code.retry(), code.number() >= 500, "the band says whether to retry");
    }

    let listed: Vec<Vec<String>> =
        rows(section("## Close codes")).into_iter().map(|row| row[..2].to_vec()).collect();
    let mut numbers: Vec<u16> = CloseCode::ALL.iter().map(|code| code.number()).collect();
    numbers.sort_unstable();
    let codes: Vec<Vec<String>> = numbers
        .into_iter()
        .map(|number| vec![number.to_string(), yes_or_no(CloseCode::retry(number))])
        .collect();
    assert_eq!(listed, codes);
}

#[test]
fn the_table_of_values_is_true() {
    let examples = rows(section("## The compact encoding").split("| value | bytes |").nth(1).unwrap());
    assert!(examples.len() > 12);
    for row in examples {
        let value = json(&row[0]);
        assert_eq!(hex(&to_bytes(&value)), hex(&bytes(&row[1])), "{}", row[0]);
        assert_eq!(from_bytes::<Json>(&bytes(&row[1])).as_ref(), Ok(&value));
    }
}

/// `0 documents, 1 list`, as the table has it.
fn choices<T: Wire + Serialize>(values: &[T]) -> String {
    let choice = |value| {
        let [number] = to_bytes(value)[..] else { panic!("a choice is one byte") };
        format!("{number} {}", serde_json::to_value(value).unwrap().as_str().unwrap())
    };
    values.iter().map(choice).collect::<Vec<_>>().join(", ")
}

#[test]
fn the_table_of_choices_is_true() {
    let listed = rows(section("### Choices"));
    let listed = |name: &str| listed.iter().find(|row| row[0] == name).unwrap()[1].clone();
    assert_eq!(listed("scope"), choices(&[Scope::Documents, Scope::List]));
    assert_eq!(listed("policy"), choices(&[Policy::Theirs, Policy::Ours, Policy::Latest, Policy::Manual]));
    assert_eq!(listed("winner"), choices::<Winner>(WINNERS));
    assert_eq!(listed("conflict kind"), choices::<ConflictKind>(CONFLICT_KINDS));
}

#[test]
fn the_tables_of_forms_are_true() {
    /// Number and name of each form that occurs in the samples.
    fn forms<T: Wire + Serialize>(values: &[T], name: &str) -> BTreeSet<(String, String)> {
        let form = |value| {
            let json = serde_json::to_value(value).unwrap();
            (to_bytes(value)[0].to_string(), json[name].as_str().unwrap().to_owned())
        };
        values.iter().map(form).collect()
    }
    let listed = |text: &'static str, heading: &str| {
        let table = text.split(heading).nth(1).unwrap().split("\n\n").next().unwrap();
        rows(table).into_iter().map(|row| (row[0].clone(), row[1].clone())).collect::<BTreeSet<_>>()
    };
    let (mut bodies, mut effects, mut operations) = (Vec::new(), Vec::new(), Vec::new());
    for message in crate::testing::samples() {
        match message {
            Message::Push { pushes } => {
                for pushed in pushes.into_iter().flat_map(|push| push.changes) {
                    if let Body::Edit { patch, .. } = &pushed.change.body {
                        operations.extend(patch.clone());
                    }
                    bodies.push(pushed.change.body);
                }
            }
            Message::Update(update) => effects.extend(update.entries.into_iter().map(|entry| entry.effect)),
            _ => {}
        }
    }
    let (changes, entries) = (section("### Changes"), section("### Entries"));
    assert_eq!(forms(&bodies, "type"), listed(changes, "| number | body | fields |\n|---|---|---|\n"));
    assert_eq!(forms(&operations, "op"), listed(changes, "| number | operation | fields |\n|---|---|---|\n"));
    assert_eq!(forms(&effects, "type"), listed(entries, "| number | effect | fields |\n|---|---|---|\n"));
}

#[test]
fn the_example_of_hashes_is_true() {
    let change = Change {
        replica: ReplicaId(1),
        counter: Counter(2),
        base: Revision(3),
        over: Counter(2),
        time: UnixMillis(5),
        body: Body::Delete,
    };
    let document: DocumentId = "notes".parse().unwrap();
    let [hashed] = blocks_of("hex change")[..] else { panic!("one example") };
    let expected = [&b"rejoin change 1\0"[..], &to_bytes(&document), &to_bytes(&change)].concat();
    assert_eq!(hex(&bytes(hashed)), hex(&expected));
    assert!(PROTOCOL.contains(&format!("are these {} bytes", expected.len())));
    let hash = change.hash(&document);
    let section = section("### Hashes");
    assert!(section.contains(&hash.to_string()));
    assert!(section.contains(&crate::ChainHash::default().then(hash).to_string()));
}

#[test]
fn the_example_of_fragments_is_a_message() {
    let mut assembler = Assembler::new(Encoding::Json, limits::MAX_MESSAGE_BYTES);
    let mut messages = Vec::new();
    for fragment in blocks_of("json fragment") {
        let frame = Frame::Text(bytes::Bytes::from_static(fragment.as_bytes()));
        messages.extend(assembler.push(frame).unwrap());
    }
    let [message] = &messages[..] else { panic!("one message") };
    assert_eq!(decode_message(message, Encoding::Json), Ok(Message::Ping { nonce: 300 }));
}

#[test]
fn every_request_and_answer_of_the_text_door_has_an_example_that_is_true() {
    let name = |value: &Value| value["type"].as_str().unwrap().to_owned();
    let mut requests = BTreeSet::new();
    for text in blocks_of("json request") {
        let request = decode_text(text).unwrap_or_else(|error| panic!("{error}: {text}"));
        let written: Value = serde_json::from_str(&request.to_text()).unwrap();
        assert_eq!(written, serde_json::from_str::<Value>(text).unwrap());
        requests.insert(name(&written));
    }
    assert_eq!(requests, TextRequest::TYPES.iter().map(|name| (*name).to_owned()).collect());
    let mut answers = BTreeSet::new();
    for text in blocks_of("json response") {
        let answer: TextMessage<TextResponse> =
            serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"));
        let written: Value = serde_json::from_str(&answer.to_text()).unwrap();
        assert_eq!(written, serde_json::from_str::<Value>(text).unwrap());
        answers.insert(name(&written));
    }
    assert_eq!(answers, TextResponse::TYPES.iter().map(|name| (*name).to_owned()).collect());
}

#[test]
fn the_example_of_a_refused_request_is_true() {
    let blocks = blocks();
    let at = blocks.iter().position(|block| block.kind == "json request-error").unwrap();
    let error = decode_text(blocks[at].text).unwrap_err();
    let answer: Value = serde_json::from_str(&error.response().to_text()).unwrap();
    assert_eq!(answer, serde_json::from_str::<Value>(blocks[at + 1].text).unwrap());
}
