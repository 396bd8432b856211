//! The demo: pages that are part of the command, and how they are answered.

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};

#[cfg(test)]
mod tests;

/// The pages that were there when the command was built, by their paths; the build script writes the list.
pub(crate) const ALL: &[Page] = include!(concat!(env!("OUT_DIR"), "/pages.rs"));

/// What `/` says where there are none.
const NONE: Page = Page {
    path: "/index.html",
    content_type: "text/html; charset=utf-8",
    digest: "none",
    body: b"<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n<title>Rejoin</title>\n<h1>Rejoin</h1>\n\
        <p>This server was built without its demo. Run <code>cargo xtask www</code> and build the server again, or start both with \
        <code>cargo xtask dev</code>.</p>\n<p>What it serves is described in <a href=\"/api/openapi.json\">/api/openapi.json</a>.</p>\n",
    gzip: None,
};

/// Pages run scripts and WebAssembly of this server only, talk to it or to another one, and stand in no frame of another page.
const CONTENT_SECURITY_POLICY: &str = "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'; \
    connect-src 'self' ws: wss:; style-src 'self' 'unsafe-inline'; img-src 'self' data:; base-uri 'none'; frame-ancestors 'none'";

/// Below it are files whose names change with what is in them.
const HASHED: &str = "/assets/";

/// One file.
pub(crate) struct Page {
    /// What it is asked for by, from `/` on.
    pub(crate) path: &'static str,
    pub(crate) content_type: &'static str,
    /// Hash of the body, in hex.
    pub(crate) digest: &'static str,
    pub(crate) body: &'static [u8],
    /// The body through gzip, where that is smaller.
    pub(crate) gzip: Option<&'static [u8]>,
}

/// Answers a request for a page; `None` where the path is none's.
pub(crate) fn answer(pages: &[Page], method: &Method, path: &str, headers: &HeaderMap) -> Option<Response> {
    let page = find(pages, path).or_else(|| (pages.is_empty() && path == "/").then_some(&NONE))?;
    if method != Method::GET && method != Method::HEAD {
        return Some((StatusCode::METHOD_NOT_ALLOWED, [(header::ALLOW, "GET, HEAD")]).into_response());
    }
    let gzip = page.gzip.filter(|_| takes_gzip(headers));
    let etag = match gzip {
        Some(_) => format!("\"{}-gzip\"", page.digest),
        None => format!("\"{}\"", page.digest),
    };
    let mut response = Response::new(Body::empty());
    let fixed = [
        (header::CONTENT_TYPE, page.content_type),
        (header::CACHE_CONTROL, caching(page.path)),
        (header::VARY, "accept-encoding"),
        (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    response.headers_mut().extend(fixed.map(|(name, value)| (name, HeaderValue::from_static(value))));
    let is_known = knows(headers, &etag);
    if let Ok(etag) = HeaderValue::from_str(&etag) {
        response.headers_mut().insert(header::ETAG, etag);
    }
    if is_known {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        return Some(response);
    }
    let body = gzip.unwrap_or(page.body);
    if gzip.is_some() {
        response.headers_mut().insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    response.headers_mut().insert(header::CONTENT_LENGTH, body.len().into());
    if method == Method::GET {
        *response.body_mut() = Body::from(Bytes::from_static(body));
    }
    Some(response)
}

/// The page of a path: a document goes without its `.html`, and that of a folder without its name.
fn find<'a>(pages: &'a [Page], path: &str) -> Option<&'a Page> {
    let named = |path: &str| pages.iter().find(|page| page.path == path);
    match path.ends_with('/') {
        true => named(&format!("{path}index.html")),
        false => named(path).or_else(|| named(&format!("{path}.html"))),
    }
}

fn caching(path: &str) -> &'static str {
    match path.starts_with(HASHED) {
        true => "public, max-age=31536000, immutable",
        false => "no-cache",
    }
}

/// Whether the client has it already: ETags are compared weakly, as RFC 9110, 13.1.2 says.
fn knows(headers: &HeaderMap, etag: &str) -> bool {
    listed(headers, header::IF_NONE_MATCH)
        .any(|known| known == "*" || known.strip_prefix("W/").unwrap_or(known) == etag)
}

/// Whether the client unpacks gzip: RFC 9110, 12.5.3.
fn takes_gzip(headers: &HeaderMap) -> bool {
    let mut any = false;
    for coding in listed(headers, header::ACCEPT_ENCODING) {
        let mut parts = coding.split(';').map(str::trim);
        let name = parts.next().unwrap_or_default();
        let weight = parts.find_map(|part| part.strip_prefix("q=")).map_or(Ok(1.0), str::parse::<f32>);
        let is_wanted = weight.is_ok_and(|weight| weight > 0.0);
        if name.eq_ignore_ascii_case("gzip") {
            return is_wanted;
        }
        any |= name == "*" && is_wanted;
    }
    any
}

/// The members of a header that is a list.
fn listed(headers: &HeaderMap, name: header::HeaderName) -> impl Iterator<Item = &str> {
    let values = headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).map(str::trim)
}
