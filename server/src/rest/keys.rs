//! `Idempotency-Key`: a write that is sent again takes effect once, and is answered as the first time.

use axum::http::{HeaderMap, HeaderName};
use rejoin_core::RequestKey;
use rejoin_wire::{DocumentId, ErrorCode};

use crate::error::ApiError;
use crate::keys::request_key;

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// Most characters of a key.
const MAX_KEY_BYTES: usize = 255;

/// What a write asks for, as it was sent: another one under the same key is refused.
pub(super) struct Asked<'a> {
    /// The kind of write, with what else of it is not in the body.
    pub(super) kind: &'a [&'a [u8]],
    pub(super) document: &'a DocumentId,
    pub(super) body: &'a [u8],
}

/// The key of a write, if it has one.
pub(super) fn key_of(headers: &HeaderMap, asked: &Asked<'_>) -> Result<Option<RequestKey>, ApiError> {
    let mut keys = headers.get_all(IDEMPOTENCY_KEY).iter();
    let Some(key) = keys.next() else { return Ok(None) };
    let visible = |key: &&str| {
        (1..=MAX_KEY_BYTES).contains(&key.len()) && key.bytes().all(|byte| byte.is_ascii_graphic())
    };
    let (Some(key), None) = (key.to_str().ok().filter(visible), keys.next()) else {
        let message = format!(
            "Idempotency-Key is one text of 1 to {MAX_KEY_BYTES} visible ASCII characters; send one, or none"
        );
        return Err(ApiError::new(ErrorCode::BadMessage, message));
    };
    let kind: Vec<&[u8]> = asked.kind.iter().copied().chain([asked.document.as_str().as_bytes()]).collect();
    Ok(Some(request_key(key, &kind, asked.body)))
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn key(values: &[&[u8]]) -> Result<Option<RequestKey>, ApiError> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(IDEMPOTENCY_KEY, HeaderValue::from_bytes(value).expect("a header's value"));
        }
        let document = DocumentId::new("d").expect("an id");
        key_of(&headers, &Asked { kind: &[b"put"], document: &document, body: b"{}" })
    }

    #[test]
    fn a_key_is_visible_ascii_of_1_to_255_characters() {
        assert!(matches!(key(&[]), Ok(None)));
        for good in [b"k".as_slice(), b"~!", &[b'k'; MAX_KEY_BYTES]] {
            assert!(matches!(key(&[good]), Ok(Some(_))), "{good:?}");
        }
        for bad in
            [b"".as_slice(), b"a b", b"a\tb", "k\u{e9}y".as_bytes(), &[0xff], &[b'k'; MAX_KEY_BYTES + 1]]
        {
            let error = key(&[bad]).expect_err("no key");
            assert_eq!(error.code, ErrorCode::BadMessage, "{bad:?}");
        }
        assert!(key(&[b"a", b"b"]).is_err(), "which of both counts?");
    }
}
