//! What a request passes before anything of it is looked at: rates, names, the credential, and for REST its body.
//!
//! Until a credential is checked nobody learns whether a document exists, and no body is read.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Uri, header};
use axum::middleware::Next;
use axum::response::Response;
use bytes::BytesMut;
use futures_util::StreamExt;
use rejoin_wire::ErrorCode;
use rejoin_wire::limits::MAX_MESSAGE_BYTES;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::error::ApiError;
use crate::hub::Stopped;
use crate::rates::{counted_address, take};
use crate::router::{Caller, Server};

/// Largest REST body: a document, with room for escapes.
pub(crate) const MAX_BODY_BYTES: usize = MAX_MESSAGE_BYTES;

/// Bytes of REST bodies that may be in memory at a time, from their announcement to the answer.
pub const MAX_BODIES_BYTES: usize = 8 * MAX_BODY_BYTES;

/// Time that a REST body may take to arrive.
pub const BODY_PATIENCE: Duration = Duration::from_secs(30);

/// Lets a REST request through: first its address is counted, then its names and its credential are checked, then its body is read.
pub(crate) async fn admit(
    State(server): State<Server>,
    Caller(peer): Caller,
    mut request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    let address = counted_address(request.headers(), peer, server.trusted_proxies());
    take(server.limiters().requests.as_ref(), address).map_err(ApiError::rate_limited)?;
    server.check_names(request.headers(), request.uri())?;
    let grant = server.grant(request.headers())?;
    if !grant.may_edit && !request.method().is_safe() {
        let message = "this token may read and not edit; use the one of those who may edit";
        return Err(ApiError::new(ErrorCode::Forbidden, message));
    }
    request.extensions_mut().insert(grant);
    is_running(&server)?;
    let (parts, body) = request.into_parts();
    let (body, _room) = server.bodies().read(body).await?;
    // The server may have been told to stop while the body came.
    is_running(&server)?;
    Ok(next.run(Request::from_parts(parts, Body::from(body))).await)
}

fn is_running(server: &Server) -> Result<(), Stopped> {
    if server.hub().is_stopping() { Err(Stopped) } else { Ok(()) }
}

/// Whom a request may come from and to which name: a browser lets any page connect anywhere.
pub(crate) struct Names {
    /// Origins of pages on other hosts that may connect.
    pub(crate) allowed_origins: Vec<String>,
    /// Whether pages of this machine may connect, from whatever port they come.
    pub(crate) allows_local_pages: bool,
    /// The names under which requests are answered besides those of this machine; `None` where every name is good.
    pub(crate) hosts: Option<Vec<String>>,
}

impl Names {
    pub(crate) fn check(&self, headers: &HeaderMap, uri: &Uri) -> Result<(), ApiError> {
        self.check_host(headers, uri)?;
        self.check_origin(headers)
    }

    /// A name of somebody else that was made to point at this machine is the way around the check of the origin: to the browser the page
    /// and this server are then one host. Without a secret nothing else would stop it.
    fn check_host(&self, headers: &HeaderMap, uri: &Uri) -> Result<(), ApiError> {
        let Some(hosts) = &self.hosts else { return Ok(()) };
        let named = headers.get(header::HOST).map(|host| host.to_str().unwrap_or_default());
        // Browsers always say where they send to.
        let Some(authority) = named.or_else(|| uri.authority().map(|authority| authority.as_str())) else {
            return Ok(());
        };
        let name = host_name(authority);
        if is_of_this_machine(name) || hosts.iter().any(|host| host.eq_ignore_ascii_case(name)) {
            return Ok(());
        }
        let message = format!(
            "this server has no secret and answers under names of its own machine only, not as `{authority}`; \
             call it as localhost, or set REJOIN_SECRET"
        );
        Err(ApiError::new(ErrorCode::Forbidden, message))
    }

    /// Whether pages of another host than the one that is called may come in.
    pub(crate) fn allows(&self, origin: &str) -> bool {
        let is_local = || {
            origin.split_once("://").is_some_and(|(_, authority)| is_of_this_machine(host_name(authority)))
        };
        self.allowed_origins.iter().any(|allowed| allowed == origin)
            || (self.allows_local_pages && is_local())
    }

    /// Pages of other hosts may come in only when they are allowed by name.
    fn check_origin(&self, headers: &HeaderMap) -> Result<(), ApiError> {
        let Some(origin) = headers.get(header::ORIGIN) else { return Ok(()) };
        // What is no text is no origin that could be allowed.
        let origin = origin.to_str().unwrap_or("?");
        let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
        let own = origin.split_once("://").is_some_and(|(_, authority)| authority == host);
        if own || self.allows(origin) {
            return Ok(());
        }
        let message =
            format!("the page's origin `{origin}` is not allowed here; add it to REJOIN_ALLOWED_ORIGINS");
        Err(ApiError::new(ErrorCode::Forbidden, message))
    }
}

/// The name in `name:port`, and the address in `[address]:port`.
fn host_name(authority: &str) -> &str {
    match authority.strip_prefix('[') {
        Some(bracketed) => bracketed.split(']').next().unwrap_or_default(),
        None => authority.rsplit_once(':').map_or(authority, |(name, _)| name),
    }
}

fn is_of_this_machine(name: &str) -> bool {
    name.eq_ignore_ascii_case("localhost")
        || name.parse().is_ok_and(|address: std::net::IpAddr| address.is_loopback())
}

/// The bodies that are in memory.
pub(crate) struct Bodies {
    room: Arc<Semaphore>,
    patience: Duration,
}

impl Bodies {
    /// No more than so many bytes at a time, each body within this time.
    pub(crate) fn new(most: usize, patience: Duration) -> Self {
        Self { room: Arc::new(Semaphore::new(most.min(Semaphore::MAX_PERMITS))), patience }
    }

    /// Reads a body. Its room is taken for as long as the permit is held.
    async fn read(&self, body: Body) -> Result<(Bytes, OwnedSemaphorePermit), ApiError> {
        tokio::time::timeout(self.patience, self.collect(body))
            .await
            .unwrap_or_else(|_| Err(ApiError::too_slow(self.patience)))
    }

    async fn collect(&self, body: Body) -> Result<(Bytes, OwnedSemaphorePermit), ApiError> {
        let announced = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
        let mut room = self.reserve(announced)?;
        let mut reserved = announced;
        let mut read = BytesMut::with_capacity(announced);
        let mut chunks = body.into_data_stream();
        while let Some(chunk) = chunks.next().await {
            let chunk = chunk.map_err(|error| {
                ApiError::new(ErrorCode::BadMessage, format!("the body cannot be read: {error}"))
            })?;
            let size = read.len().saturating_add(chunk.len());
            // A body in chunks does not say how large it is.
            if size > reserved {
                check_size(size)?;
                room.merge(self.reserve(size - reserved)?);
                reserved = size;
            }
            read.extend_from_slice(&chunk);
        }
        Ok((read.freeze(), room))
    }

    fn reserve(&self, bytes: usize) -> Result<OwnedSemaphorePermit, ApiError> {
        check_size(bytes)?;
        let wanted = u32::try_from(bytes).unwrap_or(u32::MAX);
        Arc::clone(&self.room).try_acquire_many_owned(wanted).map_err(|_| {
            ApiError::new(
                ErrorCode::Unavailable,
                "the bodies of other requests take all the memory there is for them; send it again",
            )
        })
    }
}

fn check_size(bytes: usize) -> Result<(), ApiError> {
    if bytes <= MAX_BODY_BYTES {
        return Ok(());
    }
    let message = format!("a body has at most {MAX_BODY_BYTES} bytes");
    Err(ApiError::new(ErrorCode::TooLarge, message))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use axum::http::{HeaderValue, StatusCode};
    use futures_util::stream;

    use super::*;

    fn chunks(sizes: &'static [usize]) -> Body {
        Body::from_stream(stream::iter(sizes).map(|size| Ok::<_, std::io::Error>(vec![b'x'; *size])))
    }

    #[tokio::test]
    async fn bodies_take_room_until_they_are_dropped_and_one_too_many_is_refused() {
        let bodies = Bodies::new(10, BODY_PATIENCE);
        let (announced, first) = bodies.read(Body::from("123456")).await.unwrap();
        assert_eq!(announced, "123456");
        let (_, second) = bodies.read(chunks(&[3, 1])).await.unwrap();
        for one_more in [Body::from("1"), chunks(&[1])] {
            let refused = bodies.read(one_more).await.unwrap_err();
            assert_eq!(refused.code, ErrorCode::Unavailable);
        }
        assert!(bodies.read(Body::empty()).await.is_ok());
        drop(second);
        assert!(bodies.read(chunks(&[2, 2])).await.is_ok());
        assert!(bodies.read(chunks(&[2, 2, 1])).await.is_err());
        drop(first);
        assert!(bodies.read(chunks(&[5, 5])).await.is_ok(), "what was refused left its room");
    }

    #[tokio::test]
    async fn a_body_that_is_too_large_is_refused_announced_or_not() {
        let bodies = Bodies::new(MAX_BODIES_BYTES, BODY_PATIENCE);
        assert!(bodies.read(Body::from(vec![0; MAX_BODY_BYTES])).await.is_ok());
        for too_large in [Body::from(vec![0; MAX_BODY_BYTES + 1]), chunks(&[MAX_BODY_BYTES, 1])] {
            assert_eq!(bodies.read(too_large).await.unwrap_err().code, ErrorCode::TooLarge);
        }
        assert_eq!(bodies.room.available_permits(), MAX_BODIES_BYTES);
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_never_ends_is_given_up() {
        let bodies = Bodies::new(10, BODY_PATIENCE);
        let start =
            Body::from_stream(stream::once(async { Ok::<_, std::io::Error>("1") }).chain(stream::pending()));
        let started = tokio::time::Instant::now();
        let refused = bodies.read(start).await.unwrap_err();
        assert_eq!(started.elapsed(), BODY_PATIENCE);
        assert_eq!(refused.status(), StatusCode::REQUEST_TIMEOUT);
        assert_eq!(bodies.room.available_permits(), 10);
    }

    #[test]
    fn only_names_of_this_machine_are_answered_where_there_is_no_secret() {
        let check = |names: &Names, host: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::HOST, HeaderValue::from_str(host).unwrap());
            names.check(&headers, &Uri::from_static("/ws")).is_ok()
        };
        let names = Names {
            allowed_origins: Vec::new(),
            allows_local_pages: false,
            hosts: Some(vec!["docs.internal".into()]),
        };
        for good in [
            "localhost",
            "LocalHost:8080",
            "127.0.0.1:1",
            "127.9.9.9",
            "[::1]:8080",
            "[::1]",
            "docs.internal:80",
        ] {
            assert!(check(&names, good), "{good}");
        }
        for bad in
            ["evil.example:8080", "localhost.evil.example", "10.0.0.1:8080", "[::2]:1", "", "127.0.0.1.evil"]
        {
            assert!(!check(&names, bad), "{bad}");
        }
        let everywhere = Names { allowed_origins: Vec::new(), allows_local_pages: false, hosts: None };
        assert!(check(&everywhere, "evil.example"));
        assert!(names.check(&HeaderMap::new(), &Uri::from_static("/ws")).is_ok(), "nobody names a host");
        assert!(names.check(&HeaderMap::new(), &Uri::from_static("http://evil.example/ws")).is_err());
    }

    #[test]
    fn pages_of_this_machine_come_from_every_port_where_that_is_wanted_and_others_from_none() {
        let local = Names { allowed_origins: Vec::new(), allows_local_pages: true, hosts: None };
        for origin in
            ["http://localhost:5173", "http://127.0.0.1:3000", "http://[::1]:1", "https://localhost"]
        {
            assert!(local.allows(origin), "{origin}");
            assert!(!Names { allows_local_pages: false, ..names() }.allows(origin), "{origin}");
        }
        for origin in
            ["http://evil.example", "http://localhost.evil.example:80", "null", "", "http://10.0.0.1"]
        {
            assert!(!local.allows(origin), "{origin}");
        }
    }

    fn names() -> Names {
        Names { allowed_origins: Vec::new(), allows_local_pages: false, hosts: None }
    }
}
