//! Where a client connects to, and where it keeps what it has.
#![allow(clippy::unwrap_used, missing_docs)]

use rejoin_client::{Client, ClientOptions, StartError};

fn refused(url: &str) -> StartError {
    Client::start(ClientOptions::new(url)).err().unwrap_or_else(|| panic!("`{url}` was taken"))
}

#[tokio::test]
async fn an_address_that_reaches_no_websocket_is_refused_before_anything_starts() {
    for url in [
        "",
        "127.0.0.1:8080",
        "http://127.0.0.1:8080/ws",
        "ftp://host",
        "ws://",
        "ws://host:port/ws",
        "ws:/x",
        "ws://a b/",
    ] {
        let error = refused(url);
        assert!(matches!(&error, StartError::Url(said) if said == url), "{url}: {error:?}");
    }
}

#[cfg(not(feature = "tls"))]
#[tokio::test]
async fn a_build_without_tls_says_so_instead_of_connecting() {
    let error = refused("wss://example.org/ws");
    assert!(matches!(error, StartError::NoTls(_)), "{error:?}");
    assert!(error.to_string().contains("feature `tls`"), "{error}");
}

#[cfg(feature = "sqlite")]
#[tokio::test]
async fn the_path_of_a_database_is_taken_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["a%20b.db", "what?.db", "#1 & more.db", ":memory:", "file:x.db"] {
        let path = folder.path().join(name);
        let options = ClientOptions::new("ws://127.0.0.1:9/ws").sqlite(&path).offline();
        let client = Client::start(options).unwrap();
        assert!(path.is_file(), "{name}");
        client.close().await.unwrap();
    }
    let nameless = Client::start(ClientOptions::new("ws://127.0.0.1:9/ws").sqlite("").offline());
    assert!(matches!(nameless.err().unwrap(), StartError::Store(_)));
}
