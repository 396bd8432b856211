//! The conformance suite of stores, as a module that a page runs against its database.
//!
//! `conformance.mjs` builds it, loads it into a page and calls [`run`] with each of [`names`].

use js_sys::Array;
use rejoin_core::storage::{Answer, Operation};
use rejoin_store::conformance::{self, TestStore};
use rejoin_wasm::storage::{self, Asked};
use rejoin_wire::{DocumentId, WorkspaceId};
use wasm_bindgen::JsValue;
use wasm_bindgen::prelude::wasm_bindgen;

#[wasm_bindgen]
extern "C" {
    /// Databases of one case, one for each workspace: `databases.js`.
    pub type Databases;

    #[wasm_bindgen(method, catch)]
    async fn execute(this: &Databases, workspace: &str, operation: JsValue) -> Result<JsValue, JsValue>;

    #[wasm_bindgen(method)]
    async fn reopen(this: &Databases);

    #[wasm_bindgen(method)]
    async fn kill(this: &Databases);

    #[wasm_bindgen(method, js_name = spoilHead)]
    async fn spoil_head(this: &Databases, document: &str);

    #[wasm_bindgen(method)]
    async fn limit(this: &Databases, max_bytes: Option<f64>);

    /// Takes why a case failed, since a promise whose code has trapped never settles.
    #[wasm_bindgen(js_name = caseFailed)]
    fn case_failed(message: &str);
}

struct BrowserStore(Databases);

impl TestStore for BrowserStore {
    const MAX_POSITION: u64 = storage::MAX_POSITION;

    async fn execute(&mut self, workspace: &WorkspaceId, operation: Operation) -> Answer {
        let asked = Asked::by(&operation);
        let value = storage::to_value(&operation)?;
        match self.0.execute(workspace.as_str(), value).await {
            Ok(answer) => storage::answered(asked, &answer),
            Err(error) => Err(storage::error(&error)),
        }
    }

    async fn reopen(&mut self) {
        self.0.reopen().await;
    }

    async fn kill(&mut self) {
        self.0.kill().await;
    }

    async fn spoil_head(&mut self, document: &DocumentId) -> bool {
        self.0.spoil_head(document.as_str()).await;
        true
    }

    async fn limit(&mut self, max_bytes: Option<u64>) {
        self.0.limit(max_bytes.map(|max_bytes| max_bytes as f64)).await;
    }
}

/// Has panics reported before they trap.
#[wasm_bindgen(start)]
pub fn start() {
    std::panic::set_hook(Box::new(|panic| case_failed(&panic.to_string())));
}

macro_rules! cases {
    ($($name:ident),* $(,)?) => {
        /// The names of all cases.
        #[wasm_bindgen]
        pub fn names() -> Array {
            [$(stringify!($name)),*].into_iter().map(JsValue::from_str).collect()
        }

        /// Runs a case on databases that nobody has used. Where it fails, it reports why and never ends.
        #[wasm_bindgen]
        pub async fn run(name: String, databases: Databases) {
            let store = BrowserStore(databases);
            match name.as_str() {
                $(stringify!($name) => conformance::$name(store).await,)*
                _ => case_failed("there is no such case"),
            }
        }
    };
}

rejoin_store::conformance_cases!(cases);
