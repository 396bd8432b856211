//! A plain client of the text door, which sends one value after the other.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::time::sleep;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use super::{Gate, Shared, typing, url};
use crate::ledger::Token;

/// Pause before it connects again, and before it sends again what was refused for the moment.
const PAUSE: Duration = Duration::from_millis(20);

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// What a client does with a value whose answer it did not get.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Again {
    UnderItsId,
    Never,
    /// Planted: a client that doubles.
    UnderAnotherId,
}

pub(super) struct Text {
    shared: Arc<Shared>,
    author: String,
    document: String,
    again: Again,
    hears_news: bool,
    /// The value that has no answer yet, and how often it was sent.
    unanswered: Option<(Token, u32)>,
}

/// How a connection ended.
enum End {
    Lost,
    /// Nothing more is typed, and all is answered.
    Over,
}

impl Text {
    pub(super) fn new(
        shared: Arc<Shared>,
        author: String,
        document: String,
        again: Again,
        hears_news: bool,
    ) -> Self {
        Self { shared, author, document, again, hears_news, unanswered: None }
    }

    pub(super) async fn write(mut self) -> Result<()> {
        loop {
            if !self.shared.opened().await && self.unanswered.is_none() {
                return Ok(());
            }
            match connect_async(url(self.shared.address)).await {
                Err(_) => sleep(PAUSE).await,
                Ok((socket, _)) => match self.converse(socket).await? {
                    End::Over => return Ok(()),
                    End::Lost => self.note_loss(),
                },
            }
        }
    }

    /// Gives up a value whose fate is unknown, where its author does not ask again.
    fn note_loss(&mut self) {
        if self.again == Again::Never
            && let Some((token, _)) = self.unanswered.take()
        {
            self.shared.ledger().give_up(&self.author, token.number);
        }
    }

    async fn converse(&mut self, mut socket: Socket) -> Result<End> {
        let mut gate = self.shared.gate.subscribe();
        if !self.hears_news && send(&mut socket, &json!({"type": "unsubscribe"})).await.is_err() {
            return Ok(End::Lost);
        }
        loop {
            if self.unanswered.is_none() {
                if self.shared.is_over() {
                    return Ok(End::Over);
                }
                self.unanswered = Some((self.shared.ledger().next(&self.author), 0));
            }
            let Some(request) = self.request() else { return Ok(End::Lost) };
            if send(&mut socket, &request).await.is_err() {
                return Ok(End::Lost);
            }
            let answer = tokio::select! {
                answer = answer(&mut socket, &request["request_id"]) => answer,
                closed = gate.wait_for(|gate| *gate == Gate::Closed) => {
                    closed.context("the load is gone")?;
                    None
                }
            };
            let Some(answer) = answer else { return Ok(End::Lost) };
            if answer["success"] == true {
                if let Some((token, _)) = self.unanswered.take() {
                    self.shared.acknowledge(&self.author, token.number + 1);
                }
            } else if answer["retry"] == true {
                // It may have been taken all the same.
                self.note_loss();
                sleep(PAUSE).await;
            } else {
                bail!("{request} was answered by {answer}");
            }
        }
    }

    /// The value that waits for an answer, as a request.
    fn request(&mut self) -> Option<Value> {
        let again = self.again;
        let (token, times) = self.unanswered.as_mut()?;
        let patch = json!({"document_id": self.document, "patch": typing(token)});
        let mut request = json!({"type": "update_document", "patch": patch});
        request["request_id"] = match again {
            Again::UnderItsId => json!(token.to_string()),
            Again::UnderAnotherId => json!(format!("{token}{times}")),
            // A number ties the answer to the request, and is forgotten.
            Again::Never => json!(token.number),
        };
        *times += 1;
        Some(request)
    }
}

async fn send(socket: &mut Socket, message: &Value) -> Result<()> {
    Ok(socket.send(Message::text(message.to_string())).await?)
}

/// The answer to a request; nothing when the connection ends before.
async fn answer(socket: &mut Socket, request_id: &Value) -> Option<Value> {
    loop {
        match socket.next().await? {
            Ok(Message::Text(text)) => {
                let message: Value = serde_json::from_str(&text).ok()?;
                let is_answer = message["type"] == "document_updated_response" || message["type"] == "error";
                if is_answer && message["request_id"] == *request_id {
                    return Some(message);
                }
            }
            Ok(Message::Close(_)) | Err(_) => return None,
            Ok(_) => {}
        }
    }
}
