use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::extract::ws::{CloseFrame, Message as AxumMessage, WebSocket, WebSocketUpgrade};
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::IntoResponse;
use axum::routing::any;
use rejoin_mock::{
    Direction, MessagePattern, MessageTransform, MockOptions, Observer, WsProxyConfig, WsProxyHandler,
    router_with_proxy, try_router_with_proxy,
};
use rustls::ServerConfig;
use rustls::crypto::ring::default_provider;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{accept_async, connect_async};

use super::support::{Client, serve};

/// What an upstream was asked, and by which code it was left.
#[derive(Debug)]
enum Seen {
    Request(Uri, HeaderMap),
    Left(Option<u16>),
}

/// Numbers its connections, says each number first, echoes, and closes when it is told to.
async fn upstream() -> (SocketAddr, mpsc::UnboundedReceiver<Seen>) {
    let (seen, sees) = mpsc::unbounded_channel();
    let count = Arc::new(AtomicUsize::new(0));
    let handler = move |upgrade: WebSocketUpgrade, uri: Uri, headers: HeaderMap| async move {
        if headers.get("authorization").is_some_and(|it| it == "wrong") {
            return (StatusCode::UNAUTHORIZED, [("www-authenticate", "Bearer")], "who are you?")
                .into_response();
        }
        seen.send(Seen::Request(uri, headers)).unwrap();
        let number = count.fetch_add(1, Ordering::Relaxed);
        let upgrade = upgrade.protocols(["chat.v2", "chat.v1"]);
        let mut response = upgrade.on_upgrade(move |socket| talk(socket, number, seen));
        response.headers_mut().insert("set-cookie", "session=7".parse().unwrap());
        response
    };
    (serve(Router::new().fallback(any(handler))).await, sees)
}

async fn talk(mut socket: WebSocket, number: usize, seen: mpsc::UnboundedSender<Seen>) {
    socket.send(AxumMessage::text(format!("you are {number}"))).await.unwrap();
    while let Some(Ok(message)) = socket.recv().await {
        match message {
            AxumMessage::Text(text) if text == "close" => {
                let close = CloseFrame { code: 4_123, reason: "as told".into() };
                socket.send(AxumMessage::Close(Some(close))).await.unwrap();
            }
            AxumMessage::Text(text) if text == "vanish" => return,
            AxumMessage::Close(close) => seen.send(Seen::Left(close.map(|it| it.code))).unwrap(),
            AxumMessage::Text(_) | AxumMessage::Binary(_) => socket.send(message).await.unwrap(),
            _ => {}
        }
    }
}

fn to(address: SocketAddr, path: &str) -> WsProxyHandler {
    WsProxyHandler::new(WsProxyConfig::to(format!("ws://{address}{path}")))
}

async fn left(sees: &mut mpsc::UnboundedReceiver<Seen>) -> Option<u16> {
    loop {
        if let Seen::Left(code) = sees.recv().await.unwrap() {
            return code;
        }
    }
}

#[tokio::test]
async fn each_client_has_an_upstream_of_its_own_and_both_kinds_of_messages_pass() {
    let (upstream, _sees) = upstream().await;
    let address = serve(router_with_proxy(to(upstream, "/ws"))).await;
    let mut clients = Vec::new();
    for number in 0..2 {
        let mut client = Client::connect(address).await;
        assert_eq!(client.hear_text().await, format!("you are {number}"));
        clients.push(client);
    }
    clients[0].say("a").await;
    clients[1].send(Message::binary(vec![0, 255])).await;
    assert_eq!(clients[0].hear_text().await, "a");
    assert_eq!(clients[1].hear().await, Message::binary(vec![0, 255]));
    clients[0].send(Message::Ping("p".into())).await;
    assert_eq!(clients[0].hear().await, Message::Pong("p".into()));
}

#[tokio::test]
async fn headers_query_path_and_subprotocol_pass_both_ways() {
    let (upstream, mut sees) = upstream().await;
    let address = serve(router_with_proxy(to(upstream, "/base?fixed=1"))).await;
    let mut request = format!("ws://{address}/ws/a/b?token=x%20y").into_client_request().unwrap();
    let headers = request.headers_mut();
    for (name, value) in [
        ("authorization", "Bearer secret"),
        ("cookie", "a=1"),
        ("x-custom", "é"),
        ("origin", "https://page.example"),
        ("sec-websocket-protocol", "chat.v1, other"),
    ] {
        headers.insert(name, axum::http::HeaderValue::from_bytes(value.as_bytes()).unwrap());
    }
    let (_client, response) = connect_async(request).await.unwrap();
    assert_eq!(response.headers()["sec-websocket-protocol"], "chat.v1");
    assert_eq!(response.headers()["set-cookie"], "session=7");
    let Seen::Request(uri, headers) = sees.recv().await.unwrap() else { panic!("no request") };
    assert_eq!(uri, "/base/a/b?fixed=1&token=x%20y");
    assert_eq!(headers["authorization"], "Bearer secret");
    assert_eq!(headers["cookie"], "a=1");
    assert_eq!(headers["x-custom"].as_bytes(), "é".as_bytes());
    assert_eq!(headers["origin"], "https://page.example");
    assert_eq!(headers["sec-websocket-protocol"], "chat.v1, other");
    assert_eq!(headers["host"], upstream.to_string());
}

#[tokio::test]
async fn an_upstream_may_take_none_of_the_subprotocols() {
    let (upstream, _sees) = upstream().await;
    let address = serve(router_with_proxy(to(upstream, "/"))).await;
    let mut request = format!("ws://{address}/ws").into_client_request().unwrap();
    request.headers_mut().insert("sec-websocket-protocol", "unknown".parse().unwrap());
    // Our client takes it for a fault, as RFC 6455 leaves to it; that it is told so shows that the upgrade was passed on.
    let error = connect_async(request).await.unwrap_err();
    assert!(error.to_string().contains("Server sent no subprotocol"), "{error}");
}

#[tokio::test]
async fn close_codes_pass_both_ways() {
    let (upstream, mut sees) = upstream().await;
    let address = serve(router_with_proxy(to(upstream, "/"))).await;
    let mut client = Client::connect(address).await;
    client.hear_text().await;
    client.say("close").await;
    assert_eq!(client.closing().await, (4_123, "as told".to_owned()));
    let mut client = Client::connect(address).await;
    client.hear_text().await;
    client.say("last words").await;
    client.close(4_005, "bye").await;
    assert_eq!(client.rest().await.1, Some((4_005, "bye".to_owned())));
    assert_eq!(left(&mut sees).await, Some(4_123));
    assert_eq!(left(&mut sees).await, Some(4_005));
    let mut client = Client::connect(address).await;
    client.hear_text().await;
    client.0.close(None).await.unwrap();
    assert_eq!(client.rest().await.1, None);
    assert_eq!(left(&mut sees).await, None);
    drop(Client::connect(address).await);
    assert_eq!(left(&mut sees).await, Some(1_001));
}

#[tokio::test]
async fn a_refusal_of_the_upstream_is_the_answer() {
    let (upstream, _sees) = upstream().await;
    let address = serve(router_with_proxy(to(upstream, "/"))).await;
    let mut request = format!("ws://{address}/ws").into_client_request().unwrap();
    request.headers_mut().insert("authorization", "wrong".parse().unwrap());
    let Error::Http(response) = connect_async(request).await.unwrap_err() else { panic!("no answer") };
    assert_eq!(
        (response.status().as_u16(), &response.headers()["www-authenticate"]),
        (401, &"Bearer".parse().unwrap())
    );
}

#[tokio::test]
async fn an_upstream_that_is_down_silent_or_gone_has_its_code() {
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let (tell, told) = std::sync::mpsc::channel();
    let observer = Observer::new(move |observed| {
        let _ = tell.send(format!("{:?}", observed.what));
    });
    let mut options = MockOptions::default();
    options.observer = Some(observer);
    let address = serve(router_with_proxy(to(closed, "/").with_options(options))).await;
    let closing = Client::connect(address).await.closing().await;
    assert_eq!(closing, (4_502, "the upstream cannot be reached".to_owned()));
    let seen = [(); 3].map(|()| told.recv().unwrap());
    assert_eq!(seen, ["Opened", "Closing { direction: Out, code: Some(4502) }", "Gone"]);

    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let proxy = to(silent.local_addr().unwrap(), "/").connect_patience(Duration::from_millis(50));
    let address = serve(router_with_proxy(proxy)).await;
    assert_eq!(Client::connect(address).await.closing().await.0, 4_504);

    let (upstream, _sees) = upstream().await;
    let address = serve(router_with_proxy(to(upstream, "/"))).await;
    let mut client = Client::connect(address).await;
    client.hear_text().await;
    client.say("vanish").await;
    assert_eq!(client.closing().await, (4_502, "the upstream broke off".to_owned()));
}

#[tokio::test]
async fn paths_go_where_their_rules_say() {
    let (first, mut first_sees) = upstream().await;
    let (second, mut second_sees) = upstream().await;
    let config = WsProxyConfig { should_proxy: false, ..WsProxyConfig::to("ws://nowhere.invalid") };
    let proxy = WsProxyHandler::new(config)
        .local("/v1/echo")
        .rule("/v1/*", &format!("ws://{first}/one"))
        .rule("/v2/**", &format!("ws://{second}/two"));
    let address = serve(router_with_proxy(proxy)).await;
    let open = async |path: &str| Client::open(&format!("ws://{address}{path}")).await;
    open("/v1/chat").await.hear_text().await;
    let Seen::Request(uri, _) = first_sees.recv().await.unwrap() else { panic!("no request") };
    assert_eq!(uri, "/one/chat");
    open("/v2/a/b").await.hear_text().await;
    let Seen::Request(uri, _) = second_sees.recv().await.unwrap() else { panic!("no request") };
    assert_eq!(uri, "/two/a/b");
    for path in ["/v1/echo", "/ws"] {
        let mut client = open(path).await;
        client.say("here").await;
        assert_eq!(client.hear_text().await, "here");
    }
    let error = connect_async(format!("ws://{address}/v1/a/b")).await.unwrap_err();
    assert!(matches!(error, Error::Http(response) if response.status() == 404));
}

#[tokio::test]
async fn messages_are_transformed_by_rule() {
    let (upstream, _sees) = upstream().await;
    let transform = MessageTransform::new()
        .template(Direction::In, MessagePattern::regex("^LOGIN (\\w+)$").unwrap(), "{\"user\":\"{{1}}\"}")
        .unwrap()
        .patch(
            Direction::Out,
            MessagePattern::jsonpath("$.user").unwrap(),
            r#"[{"op":"add","path":"/role","value":"admin"}]"#,
        )
        .unwrap()
        .drop(Direction::Out, MessagePattern::regex("^you are").unwrap());
    let config = WsProxyConfig::to(format!("ws://{upstream}")).with_transform(transform);
    let address = serve(router_with_proxy(WsProxyHandler::new(config))).await;
    let mut client = Client::connect(address).await;
    client.say("LOGIN ada").await;
    assert_eq!(client.hear_text().await, r#"{"role":"admin","user":"ada"}"#);
}

#[tokio::test]
async fn an_upstream_may_be_behind_tls_and_is_checked() {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
    let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("localhost:0").await.unwrap();
    let url = format!("wss://localhost:{}/", listener.local_addr().unwrap().port());
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            if let Ok(stream) = acceptor.accept(stream).await {
                let mut socket = accept_async(stream).await.unwrap();
                futures_util::SinkExt::send(&mut socket, Message::text("secured")).await.unwrap();
            }
        }
    });
    let proxy = WsProxyHandler::new(WsProxyConfig::to(&url));
    let address = serve(router_with_proxy(proxy.clone())).await;
    assert_eq!(Client::connect(address).await.closing().await.0, 4_502);
    let address = serve(router_with_proxy(proxy.trust(made.cert.pem()))).await;
    assert_eq!(Client::connect(address).await.hear_text().await, "secured");
}

#[tokio::test]
async fn what_cannot_be_used_stops_the_start() {
    let refused = |proxy: WsProxyHandler| try_router_with_proxy(proxy).unwrap_err().to_string();
    let error = refused(WsProxyHandler::new(WsProxyConfig::to("http://a")));
    assert_eq!(error, "upstream_url cannot be \"http://a\": it has to begin with ws:// or wss://");
    let proxy = WsProxyHandler::new(WsProxyConfig::to("ws://a"));
    assert!(refused(proxy.clone().rule("/a", "b")).starts_with("upstream_url cannot be \"b\""));
    assert!(refused(proxy.trust("no certificate")).starts_with("authority cannot be"));
}

#[tokio::test]
async fn messages_through_a_proxy_are_as_large_as_the_limit_and_no_larger_and_places_are_counted() {
    let (upstream, mut sees) = upstream().await;
    let mut options = MockOptions::default();
    options.max_message_bytes = 1_000;
    options.max_connections = 1;
    let address = serve(router_with_proxy(to(upstream, "/").with_options(options))).await;
    let mut client = Client::connect(address).await;
    client.hear_text().await;
    let refused = connect_async(format!("ws://{address}/ws")).await.unwrap_err();
    assert!(matches!(refused, Error::Http(response) if response.status() == 503));
    client.say(&"x".repeat(1_000)).await;
    assert_eq!(client.hear_text().await.len(), 1_000);
    client.say(&"x".repeat(1_001)).await;
    assert_eq!(client.closing().await, (1_009, "a message has more than 1000 bytes".to_owned()));
    assert_eq!(left(&mut sees).await, Some(1_001));
}
