//! A pointer, and on the next line a document: it finds there what another implementation finds.

#![no_main]

use libfuzzer_sys::fuzz_target;
use rejoin_json::{Json, Limits, Pointer};

fuzz_target!(|text: &str| {
    let Some((pointer, document)) = text.split_once('\n') else { return };
    let (Ok(pointer), Ok(document)) = (Pointer::parse(pointer), Json::parse(document, &Limits::default()))
    else {
        return;
    };
    let ours = document.pointer(pointer).map(Json::to_value);
    assert_eq!(ours.as_ref(), document.to_value().pointer(pointer.as_str()));
});
