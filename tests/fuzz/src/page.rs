//! The commands of a page, natively.

use rejoin_core::storage::{Answered, Operation};
use rejoin_core::{Config, Input as Given, Instant, Output, Replica, Role, Seed};
use rejoin_engine::native::Commanded;
use rejoin_json::{Json, Limits};
use rejoin_store::MemoryStore;
use rejoin_wire::{UnixMillis, to_bytes};

use crate::input::Input;
use crate::replica::workspace;

/// Outputs of one command, beyond which the engine is drawn into a loop.
const MAX_OUTPUTS: usize = 10_000;

/// A page with its engine and its database.
struct Page {
    engine: Commanded,
    store: MemoryStore,
}

/// Commands, each behind its length, read as the engine reads them from a page: whatever they say, they are done or refused.
pub(crate) fn commands(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let config = Config::new(workspace(), Role::Follower { scope: None });
    let replica = Replica::new(config, Seed(1), Instant(0), UnixMillis(1_700_000_000_000));
    let mut page = Page { engine: Commanded::new(replica), store: MemoryStore::new() };
    page.drain();
    while !input.is_empty() {
        let length = usize::from(input.pair() & 0x1fff);
        let command = input.take(length);
        if let Err(refused) = page.engine.obey(command) {
            assert!(!refused.is_empty());
        }
        if input.chance(192) {
            page.drain();
        }
        page.engine.tell();
    }
    page.drain();
}

impl Page {
    fn drain(&mut self) {
        for _ in 0..MAX_OUTPUTS {
            match self.engine.replica.poll_output() {
                None => return,
                Some(Output::Store { request, operation }) => {
                    let answer = self.store.execute(&workspace(), &operation);
                    if matches!((&operation, &answer), (Operation::Commit(_), Ok(Answered::Committed))) {
                        self.store.sync();
                    }
                    self.engine.replica.handle_input(Instant(1), Given::Stored { request, answer });
                }
                Some(Output::Event(event)) => self.engine.note(&event),
                Some(_) => {}
            }
        }
        panic!("the engine does not come to an end");
    }
}

/// What a page says in the course of things, one command after the other.
const COMMANDS: [&str; 20] = [
    r#"{"do":"open","document":"d"}"#,
    r#"{"do":"create","document":"d","content":{"a":1,"n":0},"part":1,"number":1,"header":{"title":"T","policy":"ours","counters":["/n"],"identity":["id"]}}"#,
    r#"{"do":"create","document":"d","content":{},"unlessExists":true,"part":1,"number":2}"#,
    r#"{"do":"edit","document":"d","part":1,"number":3,"patch":[{"op":"add","path":"/b","value":[1]}]}"#,
    r#"{"do":"edit","document":"d","part":2,"number":1,"seen":{"revision":0,"content":{"a":1,"n":0}},"patch":[{"op":"replace","path":"/a","value":2}]}"#,
    r#"{"do":"edit","document":"d","part":2,"number":2,"seen":"after","patch":[{"op":"remove","path":"/a"}]}"#,
    r#"{"do":"edit","document":"d","part":1,"number":4,"seen":1,"patch":[{"op":"splice","path":"/t","at":0,"remove":0,"insert":"x"}]}"#,
    r#"{"do":"header","document":"d","part":1,"number":5,"header":{"title":null}}"#,
    r#"{"do":"undo","document":"d","part":1,"number":6,"change":"0123456789abcdef0011223344556677/1"}"#,
    r#"{"do":"settle","document":"d","part":1,"number":7,"conflict":"1/0","choice":"keep"}"#,
    r#"{"do":"presence","document":"d","part":1,"state":{"cursor":[1,2]}}"#,
    r#"{"do":"history","document":"d","token":1,"before":3,"limit":10,"remote":false}"#,
    r#"{"do":"delete","document":"d","part":1,"number":8}"#,
    r#"{"do":"undelete","document":"d","part":1,"number":9}"#,
    r#"{"do":"whole","document":"d"}"#,
    r#"{"do":"close","document":"d"}"#,
    r#"{"do":"open","document":"c"}"#,
    r#"{"do":"merge","document":"c","part":1,"number":10,"update":"\u0001\u0001ü\u0000\u0004\u0001\u0001t\u0001x\u0000"}"#,
    r#"{"do":"merge","document":"c","part":1,"number":11,"update":"\u0000\u0000"}"#,
    r#"{"do":"whole","document":"c"}"#,
];

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let framed = |text: &str| {
        let command = to_bytes(&Json::parse(text, &Limits::default()).expect("a command is JSON"));
        let length = u16::try_from(command.len()).expect("a command is short");
        [&length.to_le_bytes(), command.as_slice(), &[0]].concat()
    };
    let all: Vec<Vec<u8>> = COMMANDS.iter().map(|text| framed(text)).collect();
    let one = |last: &Vec<u8>| [all[0].as_slice(), &all[1], last].concat();
    all.iter().map(one).chain([all.concat()]).collect()
}
