//! What a server reads that is neither message nor document: requests with their paths, queries, headers and bodies, and its settings.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderName, HeaderValue, Method, Request, StatusCode, Uri};
use rejoin_server::config::Settings;
use rejoin_server::{Server, ServerOptions, router};
use rejoin_store::{SharedMemoryStore, Store};
use tower::ServiceExt;

/// Requests of one input.
const MAX_REQUESTS: usize = 16;

/// Largest answer that is looked at: there is no document here that is larger.
const MAX_ANSWER_BYTES: usize = 4 << 20;

const METHODS: [Method; 6] =
    [Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE, Method::OPTIONS];

/// Requests to a server that has one document, one after the other: `METHOD /path?query`, headers line by line, an empty line, a body, and
/// a line of three hyphens before the next. Names of methods may be numbers.
///
/// Each is answered: what is wrong with it with a code and a sentence, and never as a fault of the server's own.
pub(crate) fn requests(bytes: &[u8]) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    runtime.block_on(async {
        let store: Arc<dyn Store> = Arc::new(SharedMemoryStore::default());
        let mut options = ServerOptions::new("");
        (options.shards, options.trusted_proxies) = (1, 1);
        let server = Server::over_store(&store, options);
        let router = router(&server);
        let begun = answered(&router, created()).await;
        assert_eq!(begun.0, StatusCode::CREATED);
        for request in split(bytes, b"\n---\n").take(MAX_REQUESTS) {
            let Some(request) = request_of(request) else { continue };
            let (status, answer) = answered(&router, request).await;
            // The store answers all that it is asked: nothing is unavailable here unless a shard has panicked.
            assert!(!status.is_server_error(), "{status}: {}", String::from_utf8_lossy(&answer));
        }
    });
}

fn created() -> Request<Body> {
    let body = r#"{"id":"d","content":{"a":1,"cards":[{"id":"x","t":"one"}],"n":0,"text":"one two"},"counters":["/n"]}"#;
    Request::post("/api/documents").body(Body::from(body)).expect("a request")
}

async fn answered(router: &Router, request: Request<Body>) -> (StatusCode, Vec<u8>) {
    let is_head = request.method() == Method::HEAD;
    let response = router.clone().oneshot(request).await.expect("routers do not fail");
    let status = response.status();
    let is_json = response.headers().get("content-type").is_some_and(|kind| kind == "application/json");
    let body = axum::body::to_bytes(response.into_body(), MAX_ANSWER_BYTES).await.expect("a short answer");
    if is_json && !is_head {
        let answer: serde_json::Value = serde_json::from_slice(&body).expect("what says it is JSON is");
        let refused = status.is_client_error() || status.is_server_error();
        assert!(
            !refused || answer["error"]["message"].as_str().is_some_and(|why| !why.is_empty()),
            "{answer}"
        );
    }
    (status, body.to_vec())
}

/// A request as it would be read from the network; `None` where it would not come so far.
fn request_of(bytes: &[u8]) -> Option<Request<Body>> {
    let (head, body) = halves(bytes, b"\n\n");
    let mut lines = head.split(|byte| *byte == b'\n');
    let (method, target) = halves(lines.next()?, b" ");
    let method = match method {
        [number] => METHODS[usize::from(*number) % METHODS.len()].clone(),
        name => Method::from_bytes(name).ok()?,
    };
    let uri = Uri::try_from(target).ok()?;
    let mut request = Request::builder().method(method).uri(uri);
    for line in lines {
        let (name, value) = halves(line, b": ");
        request = request.header(HeaderName::from_bytes(name).ok()?, HeaderValue::from_bytes(value).ok()?);
    }
    request.body(Body::from(body.to_vec())).ok()
}

fn halves<'a>(bytes: &'a [u8], between: &[u8]) -> (&'a [u8], &'a [u8]) {
    match bytes.windows(between.len()).position(|part| part == between) {
        Some(at) => (&bytes[..at], &bytes[at + between.len()..]),
        None => (bytes, &[]),
    }
}

fn split<'a>(mut bytes: &'a [u8], between: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
    std::iter::from_fn(move || {
        let (first, rest) = halves(bytes, between);
        bytes = rest;
        (!first.is_empty()).then_some(first)
    })
}

const REQUESTS: [&str; 18] = [
    "GET /api/documents?after=0&limit=10",
    "GET /api/documents?filter={\"a\":1,\"/cards/0/id\":\"x\"}",
    "GET /api/documents?filter=%7B%22a%22%3A1%7D\nAuthorization: Bearer x",
    "POST /api/documents\nIdempotency-Key: k\n\n{\"id\":\"e\",\"content\":{\"a\":[]},\"policy\":\"ours\",\"identity\":[\"id\"],\"title\":\"T\"}",
    "GET /api/documents/d\nIf-None-Match: \"1\"",
    "PATCH /api/documents/d?base=1\nContent-Type: application/json-patch+json\nIdempotency-Key: k1\n\n[{\"op\":\"replace\",\"path\":\"/a\",\"value\":2}]",
    "PATCH /api/documents/d?base=1\nContent-Type: application/merge-patch+json; charset=utf-8\n\n{\"a\":null,\"b\":{\"c\":1}}",
    "PATCH /api/documents/d\nContent-Type: application/json-patch+json\nIf-Match: \"1\"\n\n[{\"op\":\"splice\",\"path\":\"/text\",\"at\":4,\"remove\":3,\"insert\":\"zwei\"}]",
    "PUT /api/documents/d?base=1\nIf-Match: *\n\n{\"a\":3,\"cards\":[]}",
    "DELETE /api/documents/d\nX-Forwarded-For: 10.0.0.1, [::1]:80\nHost: localhost:8080\nOrigin: http://localhost:3000",
    "POST /api/documents/d/undelete",
    "GET /api/documents/d/changes?before=3&limit=2",
    "GET /api/documents/d/conflicts",
    "POST /api/documents/d/conflicts/2-0/settle\n\n{\"choice\":\"incoming\"}",
    "POST /api/documents/d/conflicts/2-0/settle\n\n{\"value\":{\"x\":1}}",
    "GET /api/changes?after=0&limit=5",
    "GET /ws\nUpgrade: websocket\nConnection: Upgrade\nSec-WebSocket-Version: 13\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\nSec-WebSocket-Protocol: rejoin.v1.json, rejoin.v1",
    "GET /api/openapi.json\nAccept-Encoding: gzip;q=0.5, *;q=0",
];

pub(crate) fn request_seeds() -> Vec<Vec<u8>> {
    let conflict = [REQUESTS[5], REQUESTS[8], REQUESTS[13]].join("\n---\n");
    let life = [REQUESTS[9], REQUESTS[10], REQUESTS[7]].join("\n---\n");
    REQUESTS.iter().map(|text| (*text).to_owned()).chain([conflict, life]).map(String::into_bytes).collect()
}

/// Settings, `NAME=value` line by line, as the environment has them, and as a file has them: either is refused in words, or both are read.
pub(crate) fn settings(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let variables: BTreeMap<&str, &str> = text.lines().filter_map(|line| line.split_once('=')).collect();
    let owned = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    let environment = Settings::from_environment(owned);
    let file = toml::from_str::<Settings>(text);
    if let (Ok((environment, _)), Ok(file)) = (environment, file) {
        assert_eq!(file.clone().or(environment.clone()).or(environment.clone()), file.or(environment));
    }
}

pub(crate) fn setting_seeds() -> Vec<Vec<u8>> {
    [
        "REJOIN_BIND_ADDRESS=127.0.0.1:8080\nREJOIN_DATABASE_URL=sqlite:a.db?mode=rwc\nREJOIN_SHARDS=4\nREJOIN_POLICY=ours",
        "REJOIN_WORKSPACE_POLICIES=team=manual,other=latest\nREJOIN_ALLOWED_ORIGINS=https://a.b, https://c.d\nPORT=80\nDATABASE_URL=x",
        "REJOIN_SECRET=0123456789abcdef\nREJOIN_WWW=true\nREJOIN_MAX_CONNECTIONS=0\nREJOIN_TRUSTED_PROXIES=1\nREJOIN_REQUESTS_PER_SECOND=5",
        "bind_address = \"127.0.0.1:8080\"\nshards = 4\npolicy = \"theirs\"\nallowed_origins = [\"https://a.b\"]\n[workspace_policies]\nteam = \"manual\"\n",
        "database_url=\"sqlite:a.db\"\nsecret=\"s\"\nmax_connections=1\nwww=false\ntls_cert=\"c\"\ntls_key=\"k\"\n",
    ]
    .map(|text| text.as_bytes().to_vec())
    .to_vec()
}
