//! The samples of the page that people come from, which compile here as they stand there but for the crate's name. `docs/mock.md` lists
//! what of them no compiler takes.
//!
//! Routers:
//!
//! ```
//! use rejoin_mock::router;
//!
//! let app = router();
//! // Routes WebSocket connections to /ws
//! # let _: axum::Router = app;
//! ```
//!
//! ```
//! use rejoin_mock::router_with_latency;
//! use rejoin_mock::{LatencyProfile, latency::LatencyInjector};
//!
//! let latency = LatencyProfile::slow(); // 300-800ms
//! let injector = LatencyInjector::new(latency, Default::default());
//! let app = router_with_latency(injector);
//! # let _: axum::Router = app;
//! ```
//!
//! ```no_run
//! use rejoin_mock::router_with_proxy;
//! use rejoin_mock::{WsProxyConfig, WsProxyHandler};
//!
//! let proxy_config = WsProxyConfig {
//!     upstream_url: "wss://api.example.com/ws".to_string(),
//!     should_proxy: true,
//!     ..Default::default()
//! };
//! let proxy = WsProxyHandler::new(proxy_config);
//! let app = router_with_proxy(proxy);
//! # let _: axum::Router = app;
//! ```
//!
//! A server with latency:
//!
//! ```no_run
//! use rejoin_mock::start_with_latency;
//! use rejoin_mock::LatencyProfile;
//!
//! #[tokio::main]
//! async fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     // Add 50-200ms latency to all messages
//!     start_with_latency(3001, Some(LatencyProfile::normal())).await?;
//!     Ok(())
//! }
//! ```
//!
//! Generated events, in a function that returns what `?` needs:
//!
//! ```
//! use rejoin_mock::AiEventGenerator;
//! use rejoin_mock::ReplayAugmentationConfig;
//! use axum::extract::ws::WebSocket;
//!
//! # async fn example(socket: WebSocket) -> Result<(), Box<dyn std::error::Error>> {
//! let config = ReplayAugmentationConfig {
//!     narrative: "Simulate stock market trading".to_string(),
//!     ..Default::default()
//! };
//!
//! let generator = AiEventGenerator::new(config)?;
//! generator.stream_events(socket, Some(100)).await?;
//! # Ok(())
//! # }
//!
//! async fn handle_ai_events(mut socket: WebSocket) -> Result<(), Box<dyn std::error::Error>> {
//!     let config = ReplayAugmentationConfig {
//!         narrative: "Simulate a live chat conversation with multiple users".to_string(),
//!         event_count: 50,
//!         provider: "openai".to_string(),
//!         ..Default::default()
//!     };
//!
//!     let generator = AiEventGenerator::new(config)?;
//!     generator.stream_events_with_rate(socket, None, 2.0).await?; // 2 events/sec
//!     Ok(())
//! }
//! # let _ = rejoin_mock::WebSocketAiConfig { enabled: true, replay: None, max_events: Some(100) };
//! ```
//!
//! Spans, with that of the connection around the future instead of entered in it:
//!
//! ```
//! # use axum::{extract::ws::WebSocket, response::IntoResponse};
//! # use tracing::Instrument;
//! # use rejoin_mock::{create_ws_message_span, record_ws_message_success};
//! use rejoin_mock::{create_ws_connection_span, record_ws_connection_success};
//! use axum::extract::ws::WebSocketUpgrade;
//!
//! async fn traced_ws_handler(
//!     ws: WebSocketUpgrade,
//!     request: axum::http::Request<axum::body::Body>,
//! ) -> impl IntoResponse {
//!     // Create connection span
//!     let span = create_ws_connection_span(&request);
//!
//!     // Record successful connection
//!     record_ws_connection_success(&span);
//!
//!     ws.on_upgrade(|socket| handle_socket_with_tracing(socket).instrument(span))
//! }
//!
//! async fn handle_socket_with_tracing(mut socket: WebSocket) {
//!     while let Some(msg) = socket.recv().await {
//!         match msg {
//!             Ok(axum::extract::ws::Message::Text(text)) => {
//!                 let message_span = create_ws_message_span(text.len(), "in");
//!                 let _msg_guard = message_span.enter();
//!
//!                 // Process message...
//!
//!                 record_ws_message_success(&message_span, text.len());
//!             }
//!             // ... other message types
//!             # _ => {}
//!         }
//!     }
//! }
//! # let _: axum::Router = axum::Router::new().route("/ws", axum::routing::any(traced_ws_handler));
//! ```
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
//! // `REJOIN_WS_REPLAY_FILE` and `REJOIN_RESPONSE_TEMPLATE_EXPAND` in the shell have `router()` do the same.
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
