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

pub(crate) fn text_requests() -> Vec<Vec<u8>> {
    assert!(requests().len() > 10, "the page shows every request");
    requests().to_vec()
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
