//! The generator that needs nobody: scenarios and schemas, drawn from a seed.

use serde::Serialize;
use serde_json::{Value, json};

use super::schema::EventSchema;
use crate::random::Random;
use crate::templates::rfc3339;

/// A generated event, as it is sent.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Event {
    /// What kind of event it is.
    #[serde(rename = "type")]
    pub kind: String,
    /// When it was made, as RFC 3339 in UTC.
    pub timestamp: String,
    /// The first of a connection is 1.
    pub sequence: u64,
    /// What happened.
    pub data: Value,
}

impl Event {
    /// One that was made at that time, in milliseconds since 1970.
    pub fn new(kind: String, data: Value, sequence: u64, unix_ms: i64) -> Self {
        Self { kind, timestamp: rfc3339(unix_ms), sequence, data }
    }

    /// The event as JSON.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// What the built-in generator plays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scenario {
    /// Trades and quotes whose prices walk.
    StockMarket,
    /// People who come, type, write and go.
    Chat,
    /// Sensors that report, and raise alarms.
    Iot,
}

/// Words of a narrative that mean a scenario.
const WORDS: &[(Scenario, &[&str])] = &[
    (Scenario::StockMarket, &["stock", "trading", "trade", "market", "price", "finance"]),
    (Scenario::Chat, &["chat", "message", "conversation", "users", "talk"]),
    (Scenario::Iot, &["iot", "sensor", "device", "temperature", "telemetry", "factory"]),
];

impl Scenario {
    /// The scenario of that name: `stock-market`, `chat` or `iot`.
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "stock-market" => Some(Self::StockMarket),
            "chat" => Some(Self::Chat),
            "iot" => Some(Self::Iot),
            _ => None,
        }
    }

    /// The scenario that most of a narrative's words are about; the chat where none is.
    pub fn of_narrative(narrative: &str) -> Self {
        let narrative = narrative.to_lowercase();
        let words: Vec<_> = narrative.split(|it: char| !it.is_alphanumeric()).collect();
        let about = |known: &[&str]| {
            let is =
                |word: &&&str| known.iter().any(|it| *it == **word || word.strip_suffix('s') == Some(it));
            words.iter().filter(is).count()
        };
        let best = WORDS.iter().rev().max_by_key(|(_, known)| about(known));
        best.filter(|(_, known)| about(known) > 0).map_or(Self::Chat, |(scenario, _)| *scenario)
    }
}

/// Events from a seed, without end: the same ones each time.
#[derive(Clone, Debug)]
pub struct BuiltInEvents {
    random: Random,
    script: Play,
}

#[derive(Clone, Debug)]
enum Play {
    Schema(EventSchema),
    /// The prices in cents.
    StockMarket([i64; 5]),
    /// Who is there.
    Chat([bool; 5]),
    /// The temperatures in tenths of a degree.
    Iot([i64; 4]),
}

const SYMBOLS: [&str; 5] = ["ACME", "GLOB", "INIT", "UMBR", "WAYN"];
const PEOPLE: [&str; 5] = ["ada", "bela", "chloe", "dinesh", "emre"];
const SENSORS: [&str; 4] = ["hall-1", "hall-2", "cold-store", "roof"];
const SENTENCES: [&str; 8] = [
    "hello everybody",
    "did you see the new board?",
    "I am on it",
    "that works for me",
    "lunch in ten minutes?",
    "who has the notes of yesterday?",
    "brb",
    "thanks, that was it",
];

impl BuiltInEvents {
    /// A scenario.
    pub fn new(scenario: Scenario, seed: u64) -> Self {
        let script = match scenario {
            Scenario::StockMarket => Play::StockMarket([18_250, 9_400, 4_310, 61_700, 12_005]),
            Scenario::Chat => Play::Chat([false; 5]),
            Scenario::Iot => Play::Iot([213, 208, 38, 121]),
        };
        Self { random: Random::new(seed), script }
    }

    /// Data of a schema, in events of the type that its `title` says, or `event`.
    pub fn of_schema(schema: EventSchema, seed: u64) -> Self {
        Self { random: Random::new(seed), script: Play::Schema(schema) }
    }

    /// The type and the data of the next one.
    pub fn next_event(&mut self) -> (String, Value) {
        let random = &mut self.random;
        let (kind, data) = match &mut self.script {
            Play::Schema(schema) => return (schema.title().to_owned(), schema.draw(random)),
            Play::StockMarket(prices) => trade(prices, random),
            Play::Chat(present) => chat(present, random),
            Play::Iot(temperatures) => measure(temperatures, random),
        };
        (kind.to_owned(), data)
    }
}

fn trade(prices: &mut [i64; 5], random: &mut Random) -> (&'static str, Value) {
    let at = random.below(prices.len());
    let (Some(price), Some(symbol)) = (prices.get_mut(at), SYMBOLS.get(at)) else {
        return ("quote", json!({}));
    };
    let before = *price;
    // At most two in a hundred at once, and never for nothing.
    let step = (before / 50).max(1);
    *price = (before + random.between(-step, step)).max(1);
    let change = cents(*price - before);
    if random.below(3) == 0 {
        let spread = random.between(1, 5);
        let data = json!({ "symbol": symbol, "bid": cents(*price - spread), "ask": cents(*price + spread) });
        return ("quote", data);
    }
    let side = if random.below(2) == 0 { "buy" } else { "sell" };
    let volume = 10 * random.between(1, 500);
    (
        "trade",
        json!({ "symbol": symbol, "price": cents(*price), "change": change, "volume": volume, "side": side }),
    )
}

fn cents(amount: i64) -> f64 {
    // Prices are far below 2^53.
    amount as f64 / 100.0
}

fn chat(present: &mut [bool; 5], random: &mut Random) -> (&'static str, Value) {
    let at = random.below(present.len());
    let (Some(there), Some(user)) = (present.get_mut(at), PEOPLE.get(at)) else {
        return ("user_joined", json!({}));
    };
    if !*there {
        *there = true;
        return ("user_joined", json!({ "user": user }));
    }
    match random.below(10) {
        0 => {
            *there = false;
            ("user_left", json!({ "user": user }))
        }
        1 | 2 => ("typing", json!({ "user": user })),
        _ => {
            let text = SENTENCES.get(random.below(SENTENCES.len())).copied().unwrap_or_default();
            ("message", json!({ "user": user, "text": text, "room": "general" }))
        }
    }
}

fn measure(temperatures: &mut [i64; 4], random: &mut Random) -> (&'static str, Value) {
    let at = random.below(temperatures.len());
    let (Some(temperature), Some(sensor)) = (temperatures.get_mut(at), SENSORS.get(at)) else {
        return ("reading", json!({}));
    };
    *temperature = (*temperature + random.between(-4, 4)).clamp(-200, 600);
    let degrees = *temperature as f64 / 10.0;
    match random.below(20) {
        0 => (
            "alarm",
            json!({ "device": sensor, "code": "temperature", "value": degrees, "severity": "warning" }),
        ),
        1 => (
            "status",
            json!({ "device": sensor, "battery": random.between(5, 100), "online": random.below(8) != 0 }),
        ),
        _ => {
            let humidity = random.between(300, 600) as f64 / 10.0;
            ("reading", json!({ "device": sensor, "temperature": degrees, "humidity": humidity }))
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::collections::BTreeSet;

    use super::*;

    fn events(scenario: Scenario, seed: u64) -> Vec<(String, Value)> {
        let mut events = BuiltInEvents::new(scenario, seed);
        (0..300).map(|_| events.next_event()).collect()
    }

    #[test]
    fn each_scenario_has_its_events_and_a_seed_repeats_them() {
        for (scenario, kinds) in [
            (Scenario::StockMarket, &["quote", "trade"][..]),
            (Scenario::Chat, &["message", "typing", "user_joined", "user_left"]),
            (Scenario::Iot, &["alarm", "reading", "status"]),
        ] {
            let first = events(scenario, 1);
            let seen: BTreeSet<_> = first.iter().map(|(kind, _)| kind.as_str()).collect();
            assert_eq!(seen.into_iter().collect::<Vec<_>>(), kinds);
            assert_eq!(first, events(scenario, 1));
            assert_ne!(first, events(scenario, 2));
        }
    }

    #[test]
    fn nobody_writes_who_is_not_there() {
        let mut there = BTreeSet::new();
        for (kind, data) in events(Scenario::Chat, 4) {
            let user = data["user"].as_str().unwrap().to_owned();
            match kind.as_str() {
                "user_joined" => assert!(there.insert(user)),
                "user_left" => assert!(there.remove(&user)),
                _ => assert!(there.contains(&user)),
            }
        }
    }

    #[test]
    fn prices_walk_and_do_not_jump() {
        let mut last = std::collections::BTreeMap::new();
        for (_, data) in events(Scenario::StockMarket, 3).into_iter().filter(|(kind, _)| kind == "trade") {
            let (price, change) = (data["price"].as_f64().unwrap(), data["change"].as_f64().unwrap());
            assert!(price > 0.0 && change.abs() <= price * 0.021);
            last.insert(data["symbol"].as_str().unwrap().to_owned(), price);
        }
        assert_eq!(last.len(), SYMBOLS.len());
    }

    #[test]
    fn a_narrative_names_its_scenario() {
        for (narrative, scenario) in [
            ("Simulate stock market trading", Scenario::StockMarket),
            ("Simulate a live chat conversation with multiple users", Scenario::Chat),
            ("Temperature sensors of a factory report", Scenario::Iot),
            ("Something else", Scenario::Chat),
            ("", Scenario::Chat),
        ] {
            assert_eq!(Scenario::of_narrative(narrative), scenario, "{narrative}");
        }
        assert_eq!(Scenario::named("iot"), Some(Scenario::Iot));
    }

    #[test]
    fn an_event_has_the_documented_form() {
        let event = Event::new("a".to_owned(), json!({"x": 1}), 7, 1_705_314_600_000);
        let shown = r#"{"type":"a","timestamp":"2024-01-15T10:30:00Z","sequence":7,"data":{"x":1}}"#;
        assert_eq!(event.to_json(), shown);
    }
}
