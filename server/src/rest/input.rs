//! What a request holds, read so that what cannot be read is answered as every other error.

use axum::extract::FromRequestParts;
use axum::http::StatusCode;
use axum::http::request::Parts;
use rejoin_wire::ErrorCode;
use rejoin_wire::limits::MAX_DEPTH;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::error::ApiError;

/// The parts of a request's path.
pub(super) struct Path<T>(pub(super) T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Path<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let path = axum::extract::Path::from_request_parts(parts, state).await;
        path.map(|axum::extract::Path(path)| Self(path)).map_err(|error| bad(&error.body_text()))
    }
}

/// What stands behind the question mark.
pub(super) struct Query<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Query<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let query = axum::extract::Query::from_request_parts(parts, state).await;
        query.map(|axum::extract::Query(query)| Self(query)).map_err(|error| {
            let why =
                std::error::Error::source(&error).map_or_else(|| error.body_text(), ToString::to_string);
            bad(&format!("the query cannot be read: {why}; see /api/openapi.json"))
        })
    }
}

fn bad(message: &str) -> ApiError {
    ApiError::new(ErrorCode::BadMessage, message)
}

/// Answers a path that there is none of.
pub(super) async fn no_such_path() -> ApiError {
    bad("there is no such path; see /api/openapi.json").with_status(StatusCode::NOT_FOUND)
}

/// Answers a method that a path does not have.
pub(super) async fn no_such_method() -> ApiError {
    bad("this path does not have this method; see /api/openapi.json")
        .with_status(StatusCode::METHOD_NOT_ALLOWED)
}

pub(super) fn from_json<T: for<'de> Deserialize<'de>>(body: &[u8]) -> Result<T, ApiError> {
    serde_json::from_slice(body).map_err(|error| bad_body(body, &error))
}

pub(super) fn bad_body(body: &[u8], error: &dyn std::fmt::Display) -> ApiError {
    let code = if is_too_deep(body) { ErrorCode::TooDeep } else { ErrorCode::BadMessage };
    ApiError::new(code, format!("the body cannot be read: {error}"))
}

/// Whether a text nests deeper than any value may, whatever else is wrong with it.
fn is_too_deep(body: &[u8]) -> bool {
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    for byte in body {
        match (in_string, byte) {
            (true, _) if escaped => escaped = false,
            (true, b'\\') => escaped = true,
            (_, b'"') => in_string = !in_string,
            (false, b'[' | b'{') => depth += 1,
            (false, b']' | b'}') => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > MAX_DEPTH + ENVELOPE {
            return true;
        }
    }
    false
}

/// Levels around a value: a list of operations or a member of an object.
const ENVELOPE: usize = 1;
