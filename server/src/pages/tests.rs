//! What is answered for a table of pages.
#![allow(clippy::unwrap_used)]

use super::*;

const PAGES: &[Page] = &[
    Page {
        path: "/index.html",
        content_type: "text/html; charset=utf-8",
        digest: "aa",
        body: b"<p>start, start, start</p>",
        gzip: Some(b"packed"),
    },
    Page {
        path: "/board.html",
        content_type: "text/html; charset=utf-8",
        digest: "bb",
        body: b"b",
        gzip: None,
    },
    Page {
        path: "/assets/a-1.js",
        content_type: "text/javascript; charset=utf-8",
        digest: "cc",
        body: b"script",
        gzip: Some(b"s"),
    },
    Page {
        path: "/sw.js",
        content_type: "text/javascript; charset=utf-8",
        digest: "dd",
        body: b"w",
        gzip: None,
    },
];

/// What is answered to a GET with these headers.
fn get(path: &str, headers: &[(header::HeaderName, &'static str)]) -> Option<Response> {
    ask(&Method::GET, path, headers)
}

fn ask(method: &Method, path: &str, headers: &[(header::HeaderName, &'static str)]) -> Option<Response> {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        map.append(name, HeaderValue::from_static(value));
    }
    answer(PAGES, method, path, &map)
}

fn header_of(response: &Response, name: header::HeaderName) -> &str {
    response.headers().get(name).map_or("", |value| value.to_str().unwrap())
}

async fn body(response: Response) -> Bytes {
    axum::body::to_bytes(response.into_body(), 1_000).await.unwrap()
}

#[tokio::test]
async fn a_page_comes_with_what_browsers_may_do_with_it() {
    let page = get("/", &[]).unwrap();
    assert_eq!(page.status(), StatusCode::OK);
    assert_eq!(header_of(&page, header::CONTENT_TYPE), "text/html; charset=utf-8");
    assert_eq!(header_of(&page, header::X_CONTENT_TYPE_OPTIONS), "nosniff");
    let policy = header_of(&page, header::CONTENT_SECURITY_POLICY);
    assert!(policy.contains("script-src 'self' 'wasm-unsafe-eval';"), "{policy}");
    assert!(policy.contains("frame-ancestors 'none'") && !policy.contains("  "), "{policy}");
    assert_eq!(header_of(&page, header::CONTENT_ENCODING), "");
    assert_eq!(body(page).await, PAGES[0].body);
}

#[test]
fn only_names_that_change_with_their_content_are_kept_without_asking() {
    let caching = |path| header_of(&get(path, &[]).unwrap(), header::CACHE_CONTROL).to_owned();
    assert_eq!(caching("/assets/a-1.js"), "public, max-age=31536000, immutable");
    for path in ["/", "/index.html", "/sw.js", "/board"] {
        assert_eq!(caching(path), "no-cache", "{path}");
    }
}

#[test]
fn known_pages_have_short_names_and_nothing_else_has_any() {
    for path in ["/index.html", "/index", "/board", "/board.html"] {
        assert!(get(path, &[]).is_some(), "{path}");
    }
    for path in
        ["", "/board/", "/nowhere", "/assets", "/assets/", "/assets/../sw.js", "/api/documents/x", "//"]
    {
        assert!(get(path, &[]).is_none(), "{path}");
    }
}

#[tokio::test]
async fn who_takes_gzip_has_it_under_an_etag_of_its_own() {
    for accepted in ["gzip", "br, gzip;q=0.5", "*", "GZIP", "identity, *;q=0.1"] {
        let page = get("/", &[(header::ACCEPT_ENCODING, accepted)]).unwrap();
        assert_eq!(header_of(&page, header::CONTENT_ENCODING), "gzip", "{accepted}");
        assert_eq!(header_of(&page, header::ETAG), "\"aa-gzip\"");
        assert_eq!(header_of(&page, header::CONTENT_LENGTH), "6");
        assert_eq!(body(page).await, "packed");
    }
    for refused in ["", "br", "gzip;q=0", "*, gzip;q=0", "*;q=0", "gzip;q=x", "xgzip"] {
        let page = get("/", &[(header::ACCEPT_ENCODING, refused)]).unwrap();
        assert_eq!(header_of(&page, header::CONTENT_ENCODING), "", "{refused}");
        assert_eq!(header_of(&page, header::ETAG), "\"aa\"");
        assert_eq!(header_of(&page, header::VARY), "accept-encoding");
    }
    let small = get("/sw.js", &[(header::ACCEPT_ENCODING, "gzip")]).unwrap();
    assert_eq!(header_of(&small, header::CONTENT_ENCODING), "", "what is not smaller so is not packed");
}

#[tokio::test]
async fn who_has_a_page_is_not_given_it_again() {
    for known in ["\"aa\"", "W/\"aa\"", "\"x\", \"aa\"", "*"] {
        let page = get("/", &[(header::IF_NONE_MATCH, known)]).unwrap();
        assert_eq!(page.status(), StatusCode::NOT_MODIFIED, "{known}");
        assert_eq!(header_of(&page, header::ETAG), "\"aa\"");
        assert!(body(page).await.is_empty());
    }
    for other in ["\"aa-gzip\"", "\"bb\"", "aa", ""] {
        let page = get("/", &[(header::IF_NONE_MATCH, other)]).unwrap();
        assert_eq!(page.status(), StatusCode::OK, "{other}");
    }
    let two = [(header::IF_NONE_MATCH, "\"x\""), (header::IF_NONE_MATCH, "\"aa\"")];
    assert_eq!(get("/", &two).unwrap().status(), StatusCode::NOT_MODIFIED);
}

#[tokio::test]
async fn a_page_is_read_and_not_written() {
    let page = ask(&Method::HEAD, "/", &[]).unwrap();
    let length = PAGES[0].body.len().to_string();
    assert_eq!((page.status(), header_of(&page, header::CONTENT_LENGTH)), (StatusCode::OK, &length[..]));
    assert!(body(page).await.is_empty());
    let refused = ask(&Method::POST, "/", &[]).unwrap();
    assert_eq!(refused.status(), StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(header_of(&refused, header::ALLOW), "GET, HEAD");
    assert!(ask(&Method::POST, "/nowhere", &[]).is_none());
}

#[tokio::test]
async fn a_command_without_pages_says_how_to_have_them() {
    let headers = HeaderMap::new();
    let page = answer(&[], &Method::GET, "/", &headers).unwrap();
    assert!(String::from_utf8(body(page).await.to_vec()).unwrap().contains("cargo xtask www"));
    assert!(answer(&[], &Method::GET, "/board", &headers).is_none());
}
