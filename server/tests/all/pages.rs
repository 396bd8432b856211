//! The demo beside everything else that the command serves. Over real sockets.
#![allow(clippy::unwrap_used, missing_docs)]

use crate::support::{Process, http};

#[tokio::test]
async fn the_command_serves_its_pages_and_the_interface_beside_them() {
    let folder = tempfile::tempdir().unwrap();
    let process = Process::start(folder.path());
    let at = process.address;
    let (status, head, page) = http(at, "GET /", &[], "").await;
    assert_eq!(status, 200);
    assert!(head.contains("content-type: text/html"), "{head}");
    assert!(head.contains("content-security-policy: default-src 'self';"), "{head}");
    assert!(page.as_str().unwrap().starts_with("<!"), "{page}");

    let (etag, length) = (value(&head, "etag"), value(&head, "content-length"));
    let (status, _, body) = http(at, "GET /", &[("if-none-match", etag)], "").await;
    assert_eq!((status, body.as_str()), (304, Some("")));
    let (status, head, body) = http(at, "HEAD /", &[], "").await;
    assert_eq!((status, value(&head, "content-length"), body.as_str()), (200, length, Some("")));

    for (request, expected) in [
        ("GET /nowhere", 404),
        ("GET /api/nowhere", 404),
        ("POST /", 405),
        ("GET /api/documents", 200),
        ("GET /health", 200),
        ("GET /ws", 426),
    ] {
        assert_eq!(http(at, request, &[], "").await.0, expected, "{request}");
    }
    let (_, _, missing) = http(at, "GET /nowhere", &[], "").await;
    assert_eq!(missing["error"]["code"], "bad_message", "{missing}");
}

#[tokio::test]
async fn a_command_that_shall_show_no_page_shows_none() {
    let folder = tempfile::tempdir().unwrap();
    let process = Process::start_with(folder.path(), &["--no-www"]);
    let (status, head, start) = http(process.address, "GET /", &[], "").await;
    assert_eq!((status, start["socket"].as_str()), (200, Some("/ws")));
    assert!(!head.contains("content-security-policy"), "{head}");
    assert_eq!(http(process.address, "GET /index.html", &[], "").await.0, 404);
}

/// The value of a header.
fn value<'a>(head: &'a str, name: &str) -> &'a str {
    head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": ")).unwrap()
}
