use rejoin_mock::limits::MAX_ROOMS_PER_CONNECTION;
use rejoin_mock::{
    CloseFrame, Frame, HandlerError, Handlers, MessagePattern, MessageRouter, WsContext, WsHandler,
    router_with_handlers,
};
use serde_json::json;
use tokio::sync::mpsc;
use tokio_tungstenite::tungstenite::Message;

use super::support::{Client, serve};

/// Joins the room of its query, counts its messages and does what they say.
struct Chat {
    gone: mpsc::UnboundedSender<String>,
}

impl WsHandler for Chat {
    async fn on_connect(&self, context: &mut WsContext) -> Result<(), HandlerError> {
        let room = context.uri().query().unwrap_or("none").to_owned();
        context.join(&room)?;
        context.set_metadata("room", room.as_str().into())?;
        context.set_metadata("count", 0.into())?;
        Ok(context.send_json(&json!({"room": room})).await?)
    }

    async fn on_message(&self, context: &mut WsContext, message: Frame) -> Result<(), HandlerError> {
        let count = context.metadata("count").and_then(serde_json::Value::as_i64).unwrap_or_default() + 1;
        context.set_metadata("count", count.into())?;
        let room = context.metadata("room").and_then(|it| it.as_str()).unwrap_or_default().to_owned();
        match &message {
            Frame::Text(text) if text == "fail" => return Err("as told".into()),
            Frame::Text(text) if text == "panic" => panic!("as told"),
            Frame::Text(text) if text == "close" => {
                context.close(CloseFrame { code: 4_100, reason: "as told".to_owned() });
            }
            Frame::Text(text) if text == "fill" => {
                let kept =
                    (0..).take_while(|at| context.set_metadata(&format!("{at}"), json!(at)).is_ok()).count();
                let replaced = context.set_metadata("room", room.as_str().into()).is_ok();
                context.send_text(format!("{kept} {replaced}")).await?;
            }
            _ => {
                let reached = context.broadcast(&room, &message);
                context.send_text(format!("{count}: {reached}")).await?;
            }
        }
        Ok(())
    }

    async fn on_disconnect(&self, context: &mut WsContext) -> Result<(), HandlerError> {
        Ok(self.gone.send(context.uri().to_string())?)
    }
}

async fn chat() -> (std::net::SocketAddr, mpsc::UnboundedReceiver<String>) {
    let (gone, left) = mpsc::unbounded_channel();
    (serve(router_with_handlers(Handlers::new().on("/ws", Chat { gone })).unwrap()).await, left)
}

#[tokio::test]
async fn a_broadcast_reaches_the_other_client_of_the_room_and_not_a_third() {
    let (address, _left) = chat().await;
    let mut clients = Vec::new();
    for room in ["a", "a", "b"] {
        let mut client = Client::open(&format!("ws://{address}/ws?{room}")).await;
        assert_eq!(client.hear_text().await, format!("{{\"room\":\"{room}\"}}"));
        clients.push(client);
    }
    clients[0].say("hello").await;
    assert_eq!(clients[0].hear_text().await, "1: 1");
    assert_eq!(clients[1].hear_text().await, "hello");
    clients[0].send(Message::binary(vec![1])).await;
    assert_eq!(clients[0].hear_text().await, "2: 1");
    assert_eq!(clients[1].hear().await, Message::binary(vec![1]));
    // The third hears its own answer first: nothing else was sent to it.
    clients[2].say("alone").await;
    assert_eq!(clients[2].hear_text().await, "1: 0");
}

#[tokio::test]
async fn a_connection_keeps_as_many_values_as_the_limit() {
    let (address, _left) = chat().await;
    let mut client = Client::connect(address).await;
    client.hear_text().await;
    client.say("fill").await;
    // Two are there before, and one that is there may be another.
    assert_eq!(client.hear_text().await, format!("{} true", MAX_ROOMS_PER_CONNECTION - 2));
}

#[tokio::test]
async fn a_handler_hears_of_every_end() {
    let (address, mut left) = chat().await;
    for (room, said, code) in [("close", "close", 4_100), ("fail", "fail", 1_011), ("panic", "panic", 1_011)]
    {
        let mut client = Client::open(&format!("ws://{address}/ws?{room}")).await;
        client.hear_text().await;
        client.say(said).await;
        assert_eq!(client.closing().await.0, code);
        assert_eq!(left.recv().await.unwrap(), format!("/ws?{room}"));
    }
    let mut client = Client::open(&format!("ws://{address}/ws?closes")).await;
    client.hear_text().await;
    client.close(4_003, "").await;
    assert_eq!(client.rest().await.1.unwrap().0, 4_003);
    assert_eq!(left.recv().await.unwrap(), "/ws?closes");
    drop(Client::open(&format!("ws://{address}/ws?vanishes")).await);
    assert_eq!(left.recv().await.unwrap(), "/ws?vanishes");
}

#[tokio::test]
async fn messages_are_answered_by_the_first_pattern_that_matches() {
    let messages = MessageRouter::new()
        .on(MessagePattern::exact("PING"), |_, _| Some("PONG".to_owned()))
        .on(MessagePattern::regex("^LOGIN (?<user>\\w+)$").unwrap(), |_, found| {
            Some(format!("hello {}", found.name("user")?))
        })
        .on(MessagePattern::jsonpath("$.subscribe").unwrap(), |_, found| Some(found.number(1)?.to_owned()))
        .on(MessagePattern::regex("^silent$").unwrap(), |_, _| None)
        .on(MessagePattern::any(), |text, _| Some(format!("what is {text}?")));
    let address = serve(router_with_handlers(Handlers::new().on("/ws", messages)).unwrap()).await;
    let mut client = Client::connect(address).await;
    for (said, heard) in [
        ("PING", "PONG"),
        ("LOGIN ada", "hello ada"),
        (r#"{"subscribe":"news"}"#, "news"),
        ("else", "what is else?"),
    ] {
        client.say(said).await;
        assert_eq!(client.hear_text().await, heard);
    }
    client.say("silent").await;
    client.say("PING").await;
    assert_eq!(client.hear_text().await, "PONG");
}
