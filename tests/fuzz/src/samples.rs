//! Inputs to begin with. Those of the protocol are the examples of its page.

use std::sync::LazyLock;

use rejoin_wire::{Encoding, Message, decode_message, encode_message};

const PROTOCOL: &str = include_str!("../../../docs/protocol.md");

const TEXTS: [&str; 14] = [
    "null",
    r#"[true,false,1,-0.5,1e-7,9007199254740991,""]"#,
    r#"{"a":{"b":[1,2,{"id":"x","t":"one"},{"id":"y"}]},"c":"text é 𝄞"}"#,
    r#"{"":{"/":1,"~":2,"a b":[]},"__proto__":{"x":1}}"#,
    r#"[[[[[[[[]]]]]]]]"#,
    r#"{"cards":[{"id":1,"t":"a"},{"id":2,"t":"b"},{"id":3}],"n":3}"#,
    r#""\u0000\u001f\"\\\/\b\f\n\r\t\ud834\udd1e""#,
    r#"[1.0,1,10e2,123456789012,0.1,-1.5e-300]"#,
    r#"{"a":1,"b":2,"c":3,"d":4}"#,
    r#"{"text":"one two three four five six seven"}"#,
    "[]",
    "{}",
    "-0",
    r#"  [ 1 , { "a" : "b" } ]  "#,
];

const PATCHES: [&str; 6] = [
    r#"[{"op":"add","path":"/a","value":{"x":[1]}},{"op":"test","path":"/a/x/0","value":1}]"#,
    r#"[{"op":"move","from":"/cards/0","path":"/cards/2"},{"op":"remove","path":"/cards/1"}]"#,
    r#"[{"op":"copy","from":"/a","path":"/b"},{"op":"replace","path":"","value":[1,2]}]"#,
    r#"[{"op":"splice","path":"/text","at":4,"remove":3,"insert":"zwei"}]"#,
    r#"[{"op":"add","path":"/cards/-","value":{"id":9}},{"op":"replace","path":"/n","value":4}]"#,
    r#"[{"op":"remove","path":"/a~1b/~0"},{"op":"add","path":"/0","value":null}]"#,
];

/// The blocks of the page with this label.
fn examples(label: &str) -> impl Iterator<Item = &'static str> {
    let fence = format!("```{label}\n");
    PROTOCOL.split("\n```\n").filter_map(move |part| part.rsplit_once(&*fence).map(|(_, example)| example))
}

/// Every example of the page that is JSON.
#[cfg(test)]
pub(crate) fn every_example() -> impl Iterator<Item = &'static str> {
    ["json message", "json request", "json response", "json request-error", "json fragment"]
        .into_iter()
        .flat_map(examples)
}

/// Every message that the page shows, read once.
pub(crate) fn messages() -> &'static [Message] {
    static MESSAGES: LazyLock<Vec<Message>> = LazyLock::new(|| {
        examples("json message")
            .map(|text| decode_message(text.as_bytes(), Encoding::Json).unwrap())
            .collect()
    });
    &MESSAGES
}

pub(crate) fn json_messages() -> Vec<Vec<u8>> {
    let all = messages();
    assert!(all.len() > 20, "the page shows every message");
    all.iter().map(|message| encode_message(message, Encoding::Json).to_vec()).collect()
}

pub(crate) fn binary_messages() -> Vec<Vec<u8>> {
    messages().iter().map(|message| encode_message(message, Encoding::Binary).to_vec()).collect()
}

/// Every request of plain clients that the page shows.
pub(crate) fn requests() -> &'static [Vec<u8>] {
    static REQUESTS: LazyLock<Vec<Vec<u8>>> =
        LazyLock::new(|| examples("json request").map(|text| text.as_bytes().to_vec()).collect());
    &REQUESTS
}

/// What plain clients say and are told.
pub(crate) fn texts() -> Vec<Vec<u8>> {
    assert!(requests().len() > 10, "the page shows every request");
    let answers = examples("json response").map(|text| text.as_bytes().to_vec());
    requests().iter().cloned().chain(answers).collect()
}

/// The parts of the page's messages that are values of the compact encoding by themselves, behind the number of their kind.
pub(crate) fn values() -> Vec<Vec<u8>> {
    let whole =
        binary_messages().into_iter().flat_map(|message| (0..32).map(move |kind| (kind, message.clone())));
    let documents = TEXTS.iter().map(|text| {
        let value = rejoin_json::Json::parse(text, &rejoin_json::Limits::default()).unwrap();
        (0, rejoin_wire::to_bytes(&value))
    });
    let parts = messages().iter().flat_map(crate::wire::parts);
    let seeds = documents.chain(parts).chain(whole.filter(|(kind, _)| *kind == 31));
    seeds.map(|(kind, bytes)| [&[kind], bytes.as_slice()].concat()).collect()
}

/// Names behind the number of their kind.
pub(crate) fn names() -> Vec<Vec<u8>> {
    let texts = [
        "0123456789abcdef0011223344556677",
        "4236006c15f293c53042778c3d6af8c7ff0bd3682933725f39c8f06e52a2df35",
        "notes",
        "2025-01-10T16:10:32.000Z",
        "theirs",
        "/a~1b/~0/*/-",
        r#"["cards", {"id": 7}, "tags", 2]"#,
        r#"{"0123456789abcdef0011223344556677":3}"#,
        "sha256:4236006c15f293c53042778c3d6af8c7ff0bd3682933725f39c8f06e52a2df35",
        r#"[{"op":"splice","path":"/text","at":4,"remove":3,"insert":"zwei"}]"#,
    ];
    let seed = |kind: u8| texts.map(|text| [&[kind], text.as_bytes()].concat());
    (0..16).flat_map(seed).collect()
}

pub(crate) fn json_texts() -> Vec<Vec<u8>> {
    TEXTS.iter().map(|text| text.as_bytes().to_vec()).collect()
}

pub(crate) fn pairs_of_texts() -> Vec<Vec<u8>> {
    let pair = |one: &str| TEXTS.map(|other| format!("{one}\n{other}").into_bytes());
    TEXTS.iter().flat_map(|one| pair(one)).collect()
}

pub(crate) fn patched_texts() -> Vec<Vec<u8>> {
    let pair = |text: &str| PATCHES.map(|patch| format!("{text}\n{patch}").into_bytes());
    TEXTS.iter().flat_map(|text| pair(text)).collect()
}

pub(crate) fn pointed_texts() -> Vec<Vec<u8>> {
    let pointers = ["", "/a/b/2/t", "/~1", "/~01/x", "/cards/0/id", "/0", "/-"];
    let pair = |text: &str| pointers.map(|pointer| format!("{pointer}\n{text}").into_bytes());
    TEXTS.iter().flat_map(|text| pair(text)).collect()
}

/// Bytes that are read as choices.
pub(crate) fn dice() -> Vec<Vec<u8>> {
    (0_u64..64).map(|seed| crate::mutation::Dice::new(seed).bytes(768)).collect()
}
