//! Keys of requests: by what a write is known when it is sent again.

use rejoin_core::RequestKey;
use rejoin_json::{Json, Limits};
use rejoin_wire::limits::MAX_MESSAGE_BYTES;

/// The key of a request: `kind` in as many parts as say what is done to what, and the body as it was sent.
pub(crate) fn request_key(key: &str, kind: &[&[u8]], body: &[u8]) -> RequestKey {
    let body = canonical(body);
    let parts: Vec<&[u8]> = kind.iter().copied().chain([body.as_bytes()]).collect();
    RequestKey::new(key, &parts)
}

/// A body so that spaces and the order of members do not make it another one; as it is where it is no JSON.
fn canonical(body: &[u8]) -> Canonical<'_> {
    let limits = Limits {
        max_document_bytes: MAX_MESSAGE_BYTES,
        max_text_bytes: MAX_MESSAGE_BYTES,
        ..Limits::default()
    };
    let parsed = std::str::from_utf8(body).ok().and_then(|text| Json::parse(text, &limits).ok());
    parsed.map_or(Canonical::Raw(body), |json| Canonical::Hash(json.content_hash().0))
}

enum Canonical<'a> {
    Hash([u8; 32]),
    Raw(&'a [u8]),
}

impl Canonical<'_> {
    fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Hash(hash) => hash,
            Self::Raw(body) => body,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_the_same_however_it_is_written() {
        let key = |kind: &str, body: &str| request_key("k", &[kind.as_bytes()], body.as_bytes());
        assert_eq!(key("put", r#"{"a":1,"b":[2]}"#), key("put", r#" { "b" : [ 2.0 ], "a" : 1 } "#));
        assert_ne!(key("put", r#"{"a":1}"#), key("put", r#"{"a":2}"#));
        assert_ne!(key("put", "{}"), key("patch", "{}"));
        assert_ne!(key("put", "{"), key("put", "{{"));
        assert_eq!(key("delete", ""), key("delete", ""));
    }
}
