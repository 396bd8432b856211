//! The documents: boards with many cards and one long text, and long arrays.

use serde_json::{Value, json};

use crate::random::Random;

/// Share of a board that its description takes.
const DESCRIPTION_SHARE: usize = 10;

/// A description is what a person writes: at least a paragraph, at most a long article.
const DESCRIPTION_BYTES: std::ops::Range<usize> = 256..50_000;

const WORDS: [&str; 16] = [
    "offline", "garden", "meeting", "budget", "the", "of", "draft", "river", "review", "and", "plan",
    "letter", "to", "station", "a", "colour",
];

/// A board of about so many bytes as compact text.
pub(super) fn board(bytes: usize, random: &mut Random) -> Value {
    let description = (bytes / DESCRIPTION_SHARE).clamp(DESCRIPTION_BYTES.start, DESCRIPTION_BYTES.end);
    let mut board = json!({
        "title": "Board",
        "description": text(description, random),
        "settings": {"theme": "dark", "language": "en", "notifications": {"mail": true, "push": false}},
        "cards": [],
    });
    let mut length = board.to_string().len();
    let mut cards = Vec::new();
    while length < bytes {
        let card = card(cards.len(), random);
        length += card.to_string().len() + 1;
        cards.push(card);
    }
    board["cards"] = Value::Array(cards);
    board
}

/// A card of about 200 bytes.
pub(super) fn card(number: usize, random: &mut Random) -> Value {
    json!({
        "id": format!("card-{number}-{:08x}", random.next() >> 32),
        "title": text(24, random),
        "done": random.below(2) == 0,
        "votes": random.below(100),
        "labels": [text(6, random), text(6, random)],
        "position": {"x": random.below(10_000), "y": random.below(10_000)},
        "assignee": {"name": text(10, random), "mail": null},
    })
}

/// Small objects with an identity.
pub(super) fn records(count: usize, random: &mut Random) -> Vec<Value> {
    (0..count).map(|id| json!({"id": id, "value": random.below(1_000_000)})).collect()
}

/// Words of about so many bytes.
pub(super) fn text(bytes: usize, random: &mut Random) -> String {
    let mut text = String::with_capacity(bytes + 8);
    while text.len() < bytes {
        if !text.is_empty() {
            text.push(' ');
        }
        text.push_str(WORDS[random.below(WORDS.len())]);
    }
    text
}
