//! The description of the REST interface.

use axum::http::header;
use axum::response::{IntoResponse, Response};

/// The OpenAPI 3.1 description.
pub(crate) const OPENAPI: &str = include_str!("openapi.json");

pub(crate) async fn document() -> Response {
    ([(header::CONTENT_TYPE, "application/json")], OPENAPI).into_response()
}
