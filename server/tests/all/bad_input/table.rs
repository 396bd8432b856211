//! What each field gets that is spoiled in every way, beside the list of what it may get.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

/// Characters of a value that are shown of one that was taken.
const SHOWN: usize = 24;

/// Fields, and the errors that came when they were spoiled.
#[derive(Default)]
pub(crate) struct Table(BTreeMap<String, BTreeSet<String>>);

impl Table {
    /// Notes what was said of a message with one field spoiled, or as what it was taken where nothing was. Elements of a list count as one
    /// field.
    pub(crate) fn note(&mut self, sample: &Value, wrong: &Value, path: &str, said: &[String]) {
        let value = wrong.pointer(path).map_or("left out".to_owned(), Value::to_string);
        let is_index = |key: &&str| key.parse::<usize>().is_ok();
        let path: Vec<&str> = path.split('/').map(|key| if is_index(&key) { "*" } else { key }).collect();
        let field = format!("{} {}", sample["type"].as_str().unwrap(), path.join("/"));
        let codes = self.0.entry(field).or_default();
        if said.is_empty() {
            codes.insert(format!("taken as {}", value.chars().take(SHOWN).collect::<String>()));
        }
        codes.extend(said.iter().cloned());
    }

    /// Notes what was said of a message in the compact encoding that ended before each byte, or had it changed in each way. Bytes
    /// of one field that got the same are one line.
    pub(crate) fn note_bytes(&mut self, kind: &str, fields: &[String], answers: &[Vec<Vec<String>>]) {
        let mut first = 0;
        for last in 0..fields.len() {
            if fields.get(last + 1) == Some(&fields[first]) && answers.get(last + 1) == Some(&answers[first])
            {
                continue;
            }
            let shown = answers[first].iter().map(|said| match &said[..] {
                [] => "taken".to_owned(),
                said => said.join(" and "),
            });
            let line = shown.collect::<Vec<_>>().join(" | ");
            self.0.entry(format!("{kind} {first}..={last} {}", fields[first])).or_default().insert(line);
            first = last + 1;
        }
    }

    /// Fails unless the fields got what the list says, line by line.
    pub(crate) fn assert_is(&self, list: &str) {
        let line = |(field, codes): (&String, &BTreeSet<String>)| {
            let codes: Vec<&str> = codes.iter().map(String::as_str).collect();
            format!("{field}: {}", codes.join(", "))
        };
        let (found, wanted): (BTreeSet<String>, BTreeSet<String>) =
            (self.0.iter().map(line).collect(), list.lines().map(str::to_owned).collect());
        let listed = |lines: &BTreeSet<String>, others: &BTreeSet<String>| {
            lines.difference(others).cloned().collect::<Vec<_>>().join("\n")
        };
        let (more, less) = (listed(&found, &wanted), listed(&wanted, &found));
        assert!(
            more.is_empty() && less.is_empty(),
            "came, and is not listed:\n{more}\nlisted, and did not come:\n{less}"
        );
    }
}
