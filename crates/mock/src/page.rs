//! The samples of the page that people come from, which compile here as they stand there but for the crate's name. `docs/mock.md` lists
//! what of them no compiler takes.
//!
//! A server:
//!
//! ```no_run
//! use rejoin_mock::router;
//!
//! #[tokio::main]
//! async fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let app = router();
//!
//!     let addr: std::net::SocketAddr = "0.0.0.0:3001".parse()?;
//!     let listener = tokio::net::TcpListener::bind(addr).await?;
//!     axum::serve(listener, app).await?;
//!     Ok(())
//! }
//! ```
//!
//! A proxy:
//!
//! ```no_run
//! use rejoin_mock::router_with_proxy;
//! use rejoin_mock::{WsProxyConfig, WsProxyHandler};
//!
//! #[tokio::main]
//! async fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let proxy_config = WsProxyConfig {
//!         upstream_url: "wss://echo.websocket.org".to_string(),
//!         should_proxy: true,
//!         message_transform: None,
//!     };
//!
//!     let proxy = WsProxyHandler::new(proxy_config);
//!     let app = router_with_proxy(proxy);
//!
//!     let addr: std::net::SocketAddr = "0.0.0.0:3001".parse()?;
//!     let listener = tokio::net::TcpListener::bind(addr).await?;
//!     axum::serve(listener, app).await?;
//!     Ok(())
//! }
//! ```
//!
//! A replay:
//!
//! ```no_run
//! use rejoin_mock::{MockOptions, router_with_options};
//!
//! #[tokio::main]
//! async fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let mut options = MockOptions::default();
//!     options.script = Some("./replay.jsonl".into());
//!     options.expands = true;
//!     let app = router_with_options(options)?;
//!
//!     let addr: std::net::SocketAddr = "0.0.0.0:3001".parse()?;
//!     let listener = tokio::net::TcpListener::bind(addr).await?;
//!     axum::serve(listener, app).await?;
//!     Ok(())
//! }
//! ```
//!
//! Tokens:
//!
//! ```
//! use rejoin_mock::expand_tokens;
//!
//! let text = "Hello {{uuid}} at {{now}}";
//! let expanded = expand_tokens(text);
//! // Result: "Hello 550e8400-e29b-41d4-a716-446655440000 at 2024-01-15T10:30:00Z"
//! # assert_eq!(expanded.len(), "Hello 550e8400-e29b-41d4-a716-446655440000 at 2024-01-15T10:30:00Z".len());
//! # assert!(!expanded.contains("{{"));
//! ```
//!
//! A handler on axum alone:
//!
//! ```
//! use axum::{
//!     extract::ws::{WebSocket, WebSocketUpgrade},
//!     response::IntoResponse,
//! };
//!
//! async fn custom_ws_handler(ws: WebSocketUpgrade) -> impl IntoResponse {
//!     ws.on_upgrade(|socket| handle_custom_socket(socket))
//! }
//!
//! async fn handle_custom_socket(mut socket: WebSocket) {
//!     while let Some(msg) = socket.recv().await {
//!         match msg {
//!             Ok(axum::extract::ws::Message::Text(text)) => {
//!                 // Process text message
//!                 let response = format!("Echo: {}", text);
//!                 if socket.send(axum::extract::ws::Message::Text(response.into())).await.is_err() {
//!                     break;
//!                 }
//!             }
//!             Ok(axum::extract::ws::Message::Close(_)) => {
//!                 break;
//!             }
//!             Err(e) => {
//!                 eprintln!("WebSocket error: {}", e);
//!                 break;
//!             }
//!             _ => {}
//!         }
//!     }
//! }
//! # let _: axum::Router = axum::Router::new().route("/ws", axum::routing::any(custom_ws_handler));
//! ```
