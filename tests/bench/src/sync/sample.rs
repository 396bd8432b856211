//! Documents of known sizes.

use anyhow::Result;
use rejoin_json::{Json, Limits};

/// Records in a document of 100 KB.
pub(super) const RECORDS: usize = 500;

/// About 100 KB: an array of records with ids and a few fields each.
pub(super) fn records() -> Result<Json> {
    let record = |number: usize| {
        format!(
            r#"{{"id":"r{number:04}","title":"Record number {number}","done":false,"amount":{},"note":"{}"}}"#,
            number * 17,
            "What there is to say about it. ".repeat(4)
        )
    };
    let records: Vec<String> = (0..RECORDS).map(record).collect();
    parse(&format!(r#"{{"name":"Records","records":[{}]}}"#, records.join(",")))
}

/// A document whose member `text` is a string of 50 KB.
pub(super) fn text() -> Result<Json> {
    let line = "Of everything that is written here, one letter at a time is changed.\\n";
    parse(&format!(r#"{{"text":"{}"}}"#, line.repeat(50 * 1024 / (line.len() - 1))))
}

/// A small document.
pub(super) fn note(number: usize) -> Result<Json> {
    parse(&format!(r#"{{"title":"Note {number}","text":"{}"}}"#, "Some words of a note. ".repeat(20)))
}

/// A document of one counter.
pub(super) fn count() -> Result<Json> {
    parse(r#"{"count":0}"#)
}

fn parse(text: &str) -> Result<Json> {
    Ok(Json::parse(text, &Limits::default())?)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_as_named() {
        assert!((95_000..110_000).contains(&records().unwrap().encoded_len()));
        assert!((49_000..52_000).contains(&text().unwrap().get("text").unwrap().as_str().unwrap().len()));
    }
}
