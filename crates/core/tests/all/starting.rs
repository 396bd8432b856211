//! A replica starts, with a store whose answers come in any order.
#![allow(clippy::unwrap_used)]

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use crate::support::{id, json, patch, workspace};
use rejoin_core::{Config, Input, Instant, Output, Replica, Role, Rung, Seed};
use rejoin_store::MemoryStore;
use rejoin_wire::UnixMillis;

/// A follower without a link, whose store answers what it was asked last first.
struct Life<'a> {
    replica: Replica,
    store: &'a mut MemoryStore,
}

impl<'a> Life<'a> {
    fn start(seed: u128, store: &'a mut MemoryStore) -> Self {
        let config = Config::new(workspace(), Role::Follower { scope: None });
        let mut replica = Replica::new(config, Seed(seed), Instant(0), UnixMillis(1_700_000_000_000));
        replica.handle_input(Instant(0), Input::Online(false));
        replica.open(&id("d"));
        Self { replica, store }
    }

    /// Answers everything, and lets the program act after each answer.
    fn run(&mut self, mut act: impl FnMut(&mut Replica)) {
        let mut asked = Vec::new();
        loop {
            while let Some(output) = self.replica.poll_output() {
                if let Output::Store { request, operation } = output {
                    asked.push((request, operation));
                }
            }
            let Some((request, operation)) = asked.pop() else { break };
            let answer = self.store.execute(&workspace(), &operation);
            self.store.sync();
            self.replica.handle_input(Instant(0), Input::Stored { request, answer });
            act(&mut self.replica);
        }
    }
}

#[test]
fn what_is_edited_as_soon_as_a_document_is_there_is_saved_under_names_of_its_own() {
    let mut store = MemoryStore::new();
    for seed in 1..=3 {
        let mut left = 3;
        let mut life = Life::start(seed, &mut store);
        life.run(|replica| {
            if replica.view(&id("d")).is_none() || left == 0 {
                return;
            }
            left -= 1;
            if replica.edit(&id("d"), patch(r#"[{"op":"add","path":"/list/-","value":1}]"#)).is_err() {
                replica.create(&id("d"), json(r#"{"list":[1]}"#)).unwrap();
            }
        });
        let status = life.replica.status(&id("d")).unwrap();
        let made = usize::try_from(3 * seed).unwrap();
        assert_eq!((left, status.rung, status.pending), (0, Rung::Saved, made));
        let view = life.replica.view(&id("d")).unwrap();
        assert_eq!(view.content.get("list").and_then(|list| list.as_array()).unwrap().len(), made);
    }
}
