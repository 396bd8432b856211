//! Calls every public entry point of the engine that a browser's driver calls, so that the module built from it holds
//! what a page has to load, and nothing else. It is measured and never run.

use std::hint::black_box;

use rejoin_core::{Replica, Session};
use rejoin_wire::Encoding;

/// The allocator of a page, which has one thread.
#[cfg(all(target_family = "wasm", not(target_feature = "atomics")))]
#[global_allocator]
static ALLOCATOR: talc::wasm::WasmDynamicTalc = talc::wasm::new_wasm_dynamic_allocator();

fn main() {
    for step in [replica, edits, questions, session] {
        if let Some(Err(Sentence(sentence))) = step() {
            black_box(sentence);
        }
    }
}

/// `None` where something foreign was missing.
type Step = Option<Result<(), Sentence>>;

/// What a driver shows of an error.
struct Sentence(String);

impl<E: std::error::Error> From<E> for Sentence {
    fn from(error: E) -> Self {
        Self(error.to_string())
    }
}

/// What a driver does with a replica.
fn replica() -> Step {
    let (config, seed, now, unix_now) = foreign()?;
    let mut replica = Replica::new(config, seed, now, unix_now);
    while let Some(input) = foreign() {
        replica.handle_input(now, input);
        while let Some(output) = replica.poll_output() {
            black_box(output);
        }
        black_box(replica.poll_timeout());
    }
    None
}

/// What a page asks a replica to do.
fn edits() -> Step {
    let mut replica: Replica = foreign()?;
    let id = foreign()?;
    let (content, patch, header, conflict, choice, change) = foreign()?;
    Some((|| {
        black_box(replica.create_with(&id, header, content)?);
        black_box(replica.edit(&id, patch)?);
        black_box(replica.delete(&id)?);
        black_box(replica.undelete(&id)?);
        black_box(replica.settle(&id, conflict, choice)?);
        black_box(replica.undo(&id)?);
        black_box(replica.redo(&id)?);
        black_box(replica.undo_change(&id, change)?);
        replica.dismiss_rejected(&id, change);
        replica.set_presence(&id, black_box(None))?;
        Ok(())
    })())
}

/// What a page asks a replica to tell.
fn questions() -> Step {
    let mut replica: Replica = foreign()?;
    let (id, token, before, limit, number) = foreign()?;
    replica.open(&id);
    black_box(replica.view(&id));
    black_box(replica.confirmed(&id));
    black_box(replica.status(&id));
    black_box(replica.sync_status());
    black_box(replica.pending(&id));
    black_box(replica.rejected(&id));
    black_box(replica.recovered(&id));
    black_box(replica.list());
    black_box(replica.present(&id));
    replica.history(token, &id, before, limit);
    replica.dismiss_recovered(&id, number);
    replica.close(&id);
    None
}

/// What a driver does with a socket; a browser needs one encoding.
fn session() -> Step {
    let (config, now) = foreign()?;
    let mut session = Session::client(config, Encoding::Binary, now);
    while let Some(input) = foreign() {
        session.handle_input(now, input);
        while let Some(output) = session.poll_output() {
            black_box(output);
        }
        black_box(session.poll_timeout());
    }
    None
}

/// A value of which the compiler knows nothing, not even that there never is one.
fn foreign<T>() -> Option<T> {
    black_box(None)
}
