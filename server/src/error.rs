//! REST errors: the engine's codes as HTTP statuses.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use rejoin_wire::ErrorCode;
use serde::Serialize;

use crate::answers::Refused;
use crate::hub::Stopped;

/// Time after which a request that may be repeated should be, unless a longer one is known.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// A refused request.
#[derive(Debug, Clone)]
pub(crate) struct ApiError {
    pub(crate) code: ErrorCode,
    pub(crate) message: Arc<str>,
    retry_after: Duration,
    /// Where the code alone does not say it.
    status: Option<StatusCode>,
}

#[derive(Serialize)]
struct Body<'a> {
    error: Inner<'a>,
}

#[derive(Serialize)]
struct Inner<'a> {
    code: ErrorCode,
    message: &'a str,
    retry: bool,
}

impl ApiError {
    pub(crate) fn new(code: ErrorCode, message: impl Into<Arc<str>>) -> Self {
        Self { code, message: message.into(), retry_after: RETRY_AFTER, status: None }
    }

    /// Too much was asked for; the next is answered after so long.
    pub(crate) fn rate_limited(wait: Duration) -> Self {
        let retry_after = wait.max(RETRY_AFTER);
        let message =
            format!("too many requests; send the next in {} s or later", whole_seconds(retry_after));
        Self { code: ErrorCode::RateLimited, message: message.into(), retry_after, status: None }
    }

    /// The body did not arrive in time.
    pub(crate) fn too_slow(patience: Duration) -> Self {
        let message = format!("the body did not arrive within {} s; send it again", whole_seconds(patience));
        Self { status: Some(StatusCode::REQUEST_TIMEOUT), ..Self::new(ErrorCode::Unavailable, message) }
    }

    /// The same with a status that the code alone does not say.
    pub(crate) fn with_status(self, status: StatusCode) -> Self {
        Self { status: Some(status), ..self }
    }

    pub(crate) fn status(&self) -> StatusCode {
        if let Some(status) = self.status {
            return status;
        }
        match self.code {
            ErrorCode::Unauthorized => StatusCode::UNAUTHORIZED,
            ErrorCode::Forbidden => StatusCode::FORBIDDEN,
            ErrorCode::DocumentNotFound => StatusCode::NOT_FOUND,
            ErrorCode::DocumentDeleted => StatusCode::GONE,
            ErrorCode::DocumentNotDeleted
            | ErrorCode::UnknownBase
            | ErrorCode::IdempotencyMismatch
            | ErrorCode::TestFailed
            | ErrorCode::ReplicaForked
            | ErrorCode::TooManyConflicts
            | ErrorCode::DependsOnRejected => StatusCode::CONFLICT,
            ErrorCode::PreconditionFailed => StatusCode::PRECONDITION_FAILED,
            ErrorCode::TooLarge | ErrorCode::TooDeep => StatusCode::PAYLOAD_TOO_LARGE,
            ErrorCode::InvalidPatch | ErrorCode::InvalidValue => StatusCode::UNPROCESSABLE_ENTITY,
            ErrorCode::RateLimited => StatusCode::TOO_MANY_REQUESTS,
            ErrorCode::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            ErrorCode::Corrupted => StatusCode::INTERNAL_SERVER_ERROR,
            _ => StatusCode::BAD_REQUEST,
        }
    }
}

impl From<Stopped> for ApiError {
    fn from(stopped: Stopped) -> Self {
        Self::new(ErrorCode::Unavailable, stopped.to_string())
    }
}

impl From<Refused> for ApiError {
    fn from(Refused { code, message }: Refused) -> Self {
        Self::new(code, message)
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let retry = self.code.retry();
        let body = Body { error: Inner { code: self.code, message: &self.message, retry } };
        let mut response = (self.status(), Json(body)).into_response();
        if retry {
            response.headers_mut().insert(header::RETRY_AFTER, whole_seconds(self.retry_after).into());
        }
        if self.code == ErrorCode::Unauthorized {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

/// `Retry-After` has no fractions: the next whole second.
fn whole_seconds(time: Duration) -> u64 {
    time.as_secs() + u64::from(time.subsec_nanos() > 0)
}
