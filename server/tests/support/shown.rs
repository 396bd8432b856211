//! A plain client that takes what it is told at its word.

use rejoin_json::{Json, Limits, Patch, apply};
use serde_json::{Value, json};

use super::Text;

/// A document as such a client shows it: each message that leads on from what is shown is applied, in the order in which it came.
pub struct Shown {
    id: String,
    pub revision: u64,
    content: Json,
    /// True after an answer that lies further on than what is shown: the whole document must come next.
    owed: bool,
    /// How often it was told whole.
    pub wholes: usize,
}

impl Shown {
    /// Shows a document as it was just read.
    pub async fn read(text: &mut Text, id: &str) -> Self {
        let mut shown = Self { id: id.to_owned(), revision: 0, content: Json::Null, owed: false, wholes: 0 };
        text.send(&json!({"type": "request_sync", "document_ids": [id]})).await;
        while shown.revision == 0 {
            shown.take(&text.next().await.unwrap());
        }
        shown
    }

    pub fn content(&self) -> Value {
        self.content.to_value()
    }

    /// Makes an edit, and takes what comes until it is answered.
    pub async fn edit(&mut self, text: &mut Text, patch: &Value) {
        let request = json!({"type": "update_document", "patch": {"document_id": self.id, "patch": patch}});
        text.send(&request).await;
        loop {
            let message = text.next().await.unwrap();
            if message["type"] == "document_updated_response" {
                assert_eq!(message["success"], true, "{message}");
                return self.answered(message["sync_revision"].as_u64().unwrap(), patch);
            }
            self.take(&message);
        }
    }

    /// Takes what comes until a revision is shown.
    pub async fn until(&mut self, text: &mut Text, revision: u64) {
        while self.revision < revision {
            self.take(&text.next().await.unwrap());
        }
    }

    fn answered(&mut self, revision: u64, patch: &Value) {
        assert!(!self.owed, "an answer came where the whole document should have");
        if revision == self.revision + 1 {
            self.apply(patch);
        } else {
            self.owed = revision > self.revision;
        }
    }

    /// Takes a message that is no answer to an edit.
    fn take(&mut self, message: &Value) {
        match message["type"].as_str().unwrap() {
            "document_updated" if message["patch"]["document_id"] == self.id.as_str() => {
                let revision = message["patch"]["revision"].as_u64().unwrap();
                assert!(!self.owed, "news came where the whole document should have: {message}");
                assert_eq!(revision, self.revision + 1, "news that do not lead on: {message}");
                self.apply(&message["patch"]["patch"]);
            }
            "sync_document" | "document_created" if message["document"]["id"] == self.id.as_str() => {
                let revision = message["document"]["revision"].as_u64().unwrap();
                assert!(revision >= self.revision, "an older document came: {message}");
                (self.revision, self.owed) = (revision, false);
                self.wholes += 1;
                self.content = Json::from_value(&message["document"]["content"]).unwrap();
            }
            "error" => panic!("{message}"),
            _ => {}
        }
    }

    fn apply(&mut self, patch: &Value) {
        let patch = Patch::from_json(&Json::from_value(patch).unwrap()).unwrap();
        apply(&mut self.content, &patch, &Limits::default()).unwrap();
        self.revision += 1;
    }
}
