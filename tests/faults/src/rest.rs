//! Requests to a server, each over a connection of its own.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// A server answers within half of that, or refuses.
const PATIENCE: Duration = Duration::from_secs(60);

/// Status and body.
pub(crate) async fn ask(address: SocketAddr, request: &str, body: &str) -> Result<(u16, String)> {
    let exchange = async {
        let mut stream = TcpStream::connect(address).await?;
        let kind = if request.starts_with("PATCH") { "json-patch+json" } else { "json" };
        let head = format!(
            "{request} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\ncontent-type: application/{kind}\r\n\
             content-length: {}\r\n\r\n",
            body.len()
        );
        stream.write_all(head.as_bytes()).await?;
        stream.write_all(body.as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        anyhow::Ok(answer)
    };
    let answer =
        timeout(PATIENCE, exchange).await.with_context(|| format!("{request} was not answered"))??;
    let (head, body) = answer.split_once("\r\n\r\n").context("an answer without an end of its head")?;
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).context("no status")?;
    Ok((status, body.to_owned()))
}

/// What a request that succeeds is answered by.
pub(crate) async fn json(address: SocketAddr, request: &str, body: &Value) -> Result<Value> {
    let text = if body.is_null() { String::new() } else { body.to_string() };
    match ask(address, request, &text).await? {
        (200..=299, body) => serde_json::from_str(&body).with_context(|| format!("{request}: {body}")),
        (status, body) => bail!("{request} is answered by {status}: {body}"),
    }
}

pub(crate) async fn get(address: SocketAddr, path: &str) -> Result<Value> {
    json(address, &format!("GET {path}"), &Value::Null).await
}

/// One figure of `/metrics`.
pub(crate) async fn metric(address: SocketAddr, name: &str) -> Result<f64> {
    let (status, text) = ask(address, "GET /metrics", "").await?;
    if status != 200 {
        bail!("/metrics is answered by {status}");
    }
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.and_then(|figure| figure.parse().ok()).with_context(|| format!("there is no metric {name}"))
}
