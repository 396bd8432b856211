//! What clients typed, what they were told of it, and whether a server's documents say the same.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use anyhow::{Context, Result, bail};
use serde_json::Value;

/// One typed value: which author of which run, and the how manieth.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Token {
    pub(crate) run: u64,
    pub(crate) author: String,
    pub(crate) number: usize,
}

impl fmt::Display for Token {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "token-{:x}.{}.{}.", self.run, self.author, self.number)
    }
}

impl Token {
    fn parse(text: &str) -> Option<Self> {
        let mut parts = text.strip_prefix("token-")?.split('.');
        let run = u64::from_str_radix(parts.next()?, 16).ok()?;
        let (author, number) = (parts.next()?.to_owned(), parts.next()?.parse().ok()?);
        (parts.next() == Some("") && parts.next().is_none()).then_some(Self { run, author, number })
    }

    /// Every token in some bytes.
    pub(crate) fn find_all(bytes: &[u8]) -> Vec<Self> {
        let text = String::from_utf8_lossy(bytes);
        let ends = |text: &str| text.match_indices('.').nth(2).map(|(at, _)| at + 1);
        let at = text.match_indices("token-").filter_map(|(at, _)| {
            let rest = text.get(at..)?;
            Self::parse(rest.get(..ends(rest)?)?)
        });
        at.collect()
    }
}

/// What is known of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Known {
    /// It was typed, and no answer has come.
    Typed,
    /// It is there for good.
    Acknowledged,
    /// The server rejected it, and its author has it.
    Rejected,
    /// Its author was cut off before the answer, and does not ask again: it may be there.
    Unsure,
}

/// The values of one author.
#[derive(Debug)]
struct Sheet {
    document: String,
    values: Vec<Known>,
}

/// Everything that was typed in one run.
#[derive(Debug)]
pub(crate) struct Ledger {
    run: u64,
    sheets: BTreeMap<String, Sheet>,
}

impl Ledger {
    pub(crate) fn new(run: u64) -> Self {
        Self { run, sheets: BTreeMap::new() }
    }

    pub(crate) fn add_author(&mut self, author: &str, document: &str) {
        self.sheets.insert(author.into(), Sheet { document: document.into(), values: Vec::new() });
    }

    pub(crate) fn documents(&self) -> BTreeSet<String> {
        self.sheets.values().map(|sheet| sheet.document.clone()).collect()
    }

    /// The authors of a document.
    pub(crate) fn authors(&self, document: &str) -> Vec<String> {
        let own = self.sheets.iter().filter(|(_, sheet)| sheet.document == document);
        own.map(|(author, _)| author.clone()).collect()
    }

    /// The next value of an author, who is about to send it.
    pub(crate) fn next(&mut self, author: &str) -> Token {
        let values = self.values(author);
        values.push(Known::Typed);
        let number = values.len() - 1;
        Token { run: self.run, author: author.into(), number }
    }

    /// Values up to this number were acknowledged; gives how many of them were not before.
    pub(crate) fn acknowledge(&mut self, author: &str, until: usize) -> usize {
        let values = self.values(author).iter_mut().take(until);
        let mut fresh = 0;
        for value in values.filter(|value| **value == Known::Typed) {
            *value = Known::Acknowledged;
            fresh += 1;
        }
        fresh
    }

    /// Nobody will know what became of a value.
    pub(crate) fn give_up(&mut self, author: &str, number: usize) {
        self.set(author, number, Known::Unsure);
    }

    pub(crate) fn reject(&mut self, author: &str, number: usize) {
        self.set(author, number, Known::Rejected);
    }

    fn set(&mut self, author: &str, number: usize, known: Known) {
        if let Some(value) = self.values(author).get_mut(number) {
            *value = known;
        }
    }

    fn values(&mut self, author: &str) -> &mut Vec<Known> {
        let sheet = self.sheets.entry(author.into());
        &mut sheet.or_insert_with(|| Sheet { document: String::new(), values: Vec::new() }).values
    }

    pub(crate) fn typed(&self) -> usize {
        self.sheets.values().map(|sheet| sheet.values.len()).sum()
    }

    pub(crate) fn acknowledged(&self) -> usize {
        self.count(Known::Acknowledged)
    }

    pub(crate) fn rejected(&self) -> usize {
        self.count(Known::Rejected)
    }

    pub(crate) fn unsure(&self) -> usize {
        self.count(Known::Unsure)
    }

    fn count(&self, known: Known) -> usize {
        let all = self.sheets.values().flat_map(|sheet| &sheet.values);
        all.filter(|value| **value == known).count()
    }

    /// Holds the content of a document to what is known: all that was acknowledged is there, once, in its author's order, and nothing that
    /// nobody typed.
    pub(crate) fn check_content(&self, document: &str, content: &Value) -> Result<()> {
        let logs =
            content["logs"].as_object().with_context(|| format!("{document} has no logs: {content}"))?;
        for author in logs.keys() {
            if self.sheets.get(author).is_none_or(|sheet| sheet.document != document) {
                bail!("{document} has values of {author}, who typed nothing there");
            }
        }
        if let Some(last) = content["last"].as_str().filter(|last| !last.is_empty()) {
            self.check_typed(document, last)?;
        }
        for (author, sheet) in self.sheets.iter().filter(|(_, sheet)| sheet.document == document) {
            let log = logs.get(author).and_then(Value::as_array);
            let log = log.with_context(|| format!("{document} lost the log of {author}"))?;
            let mut there = BTreeSet::new();
            let mut before: Option<usize> = None;
            for value in log {
                let token = self.check_typed(document, value.as_str().unwrap_or_default())?;
                if token.author != *author {
                    bail!("{token} is in the log of {author} of {document}");
                }
                if !there.insert(token.number) {
                    bail!("doubled: {token} is in {document} twice");
                }
                if before.is_some_and(|before| before > token.number) {
                    bail!("out of order: {token} of {document} stands behind a later one of its author");
                }
                before = Some(token.number);
            }
            for (number, known) in sheet.values.iter().enumerate() {
                let token = Token { run: self.run, author: author.clone(), number };
                match known {
                    Known::Acknowledged if !there.contains(&number) => {
                        bail!("lost: {token} was acknowledged and is not in {document}")
                    }
                    Known::Rejected if there.contains(&number) => {
                        bail!("{token} was rejected and is in {document}")
                    }
                    _ => {}
                }
            }
        }
        Ok(())
    }

    /// Holds the history of a document to it: what is in it was typed, and each value that is there for good was brought by one revision.
    pub(crate) fn check_history(&self, document: &str, events: &[Value]) -> Result<()> {
        let mut brought: BTreeMap<Token, usize> = BTreeMap::new();
        let mut expected = events.len() as u64;
        for event in events.iter().rev() {
            if event["revision"] != expected {
                bail!("{document} has {} where revision {expected} was to come", event["revision"]);
            }
            expected -= 1;
            for token in Token::find_all(event.to_string().as_bytes()) {
                self.check_typed(document, &token.to_string())?;
            }
            for operation in event["forward_patch"].as_array().into_iter().flatten() {
                let path = operation["path"].as_str().unwrap_or_default();
                if let Some(value) = operation["value"].as_str().filter(|_| path.starts_with("/logs/")) {
                    *brought.entry(self.check_typed(document, value)?).or_default() += 1;
                }
            }
        }
        for (author, sheet) in self.sheets.iter().filter(|(_, sheet)| sheet.document == document) {
            for (number, known) in sheet.values.iter().enumerate() {
                let token = Token { run: self.run, author: author.clone(), number };
                let times = brought.get(&token).copied().unwrap_or(0);
                match known {
                    Known::Acknowledged if times == 0 => {
                        bail!("lost: {token} was acknowledged and no revision of {document} brought it")
                    }
                    _ if times > 1 => bail!("doubled: {times} revisions of {document} brought {token}"),
                    _ => {}
                }
            }
        }
        Ok(())
    }

    /// Holds the rows of the database to it.
    pub(crate) fn check_rows<'a>(&self, bodies: impl Iterator<Item = &'a [u8]>) -> Result<()> {
        let mut there = BTreeSet::new();
        for token in bodies.flat_map(Token::find_all).filter(|token| token.run == self.run) {
            self.check_typed("the database", &token.to_string())?;
            there.insert(token);
        }
        for (author, sheet) in &self.sheets {
            for (number, known) in sheet.values.iter().enumerate() {
                let token = Token { run: self.run, author: author.clone(), number };
                if *known == Known::Acknowledged && !there.contains(&token) {
                    bail!("lost: {token} was acknowledged and is in no row of the database");
                }
            }
        }
        Ok(())
    }

    pub(crate) fn check_all_typed(&self, document: &str, tokens: &[Token]) -> Result<()> {
        tokens.iter().try_for_each(|token| self.check_typed(document, &token.to_string()).map(drop))
    }

    /// In the end nothing waits: every value has an outcome, but for those whose authors do not ask.
    pub(crate) fn check_all_answered(&self) -> Result<()> {
        match self.count(Known::Typed) {
            0 => Ok(()),
            waiting => bail!("{waiting} values have no outcome"),
        }
    }

    fn check_typed(&self, document: &str, text: &str) -> Result<Token> {
        let token = Token::parse(text).filter(|token| token.run == self.run);
        let typed = token.filter(|token| {
            self.sheets.get(&token.author).is_some_and(|sheet| token.number < sheet.values.len())
        });
        typed.with_context(|| format!("{document} holds {text:?}, which nobody typed"))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::json;

    use super::*;

    /// Three values of `ada`, two of them acknowledged.
    fn ledger() -> Ledger {
        let mut ledger = Ledger::new(0xab);
        ledger.add_author("ada", "d");
        for _ in 0..3 {
            ledger.next("ada");
        }
        assert_eq!((ledger.acknowledge("ada", 2), ledger.acknowledge("ada", 2)), (2, 0));
        ledger
    }

    fn content(numbers: &[usize]) -> Value {
        let log: Vec<_> = numbers.iter().map(|number| format!("token-ab.ada.{number}.")).collect();
        json!({"logs": {"ada": log}, "last": ""})
    }

    fn complaint(numbers: &[usize]) -> String {
        ledger().check_content("d", &content(numbers)).unwrap_err().to_string()
    }

    #[test]
    fn what_was_acknowledged_must_be_there_and_what_was_typed_may() {
        ledger().check_content("d", &content(&[0, 1])).unwrap();
        ledger().check_content("d", &content(&[0, 1, 2])).unwrap();
        assert!(complaint(&[0, 2]).starts_with("lost: token-ab.ada.1. "));
    }

    #[test]
    fn nothing_may_be_there_twice_out_of_order_or_untyped() {
        assert!(complaint(&[0, 1, 1]).starts_with("doubled"));
        assert!(complaint(&[1, 0]).starts_with("out of order"));
        assert!(complaint(&[0, 1, 2, 3]).contains("nobody typed"));
        let last =
            json!({"logs": {"ada": ["token-ab.ada.0.", "token-ab.ada.1."]}, "last": "token-ab.eve.0."});
        assert!(ledger().check_content("d", &last).unwrap_err().to_string().contains("nobody typed"));
    }

    #[test]
    fn one_revision_must_have_brought_each() {
        let event = |revision: u64, number: usize| {
            let value = format!("token-ab.ada.{number}.");
            json!({"revision": revision, "forward_patch": [{"op": "add", "path": "/logs/ada/-", "value": value}]})
        };
        let check = |events: &[Value]| ledger().check_history("d", events).map_err(|error| error.to_string());
        assert_eq!(check(&[event(1, 0), event(2, 1)]), Ok(()));
        assert!(check(&[event(1, 0)]).unwrap_err().starts_with("lost"));
        assert!(check(&[event(1, 0), event(2, 1), event(3, 1)]).unwrap_err().starts_with("doubled"));
        assert!(check(&[event(1, 0), event(3, 1)]).unwrap_err().contains("revision"));
    }

    #[test]
    fn rows_are_looked_through_for_tokens() {
        let check = |rows: &[&[u8]]| ledger().check_rows(rows.iter().copied());
        check(&[b"\x01token-ab.ada.0.\xfftoken-cd.eve.9.", b"token-ab.ada.1.token-"]).unwrap();
        assert!(check(&[b"token-ab.ada.0."]).unwrap_err().to_string().starts_with("lost"));
        assert!(check(&[b"token-ab.ada.0. token-ab.ada.1. token-ab.ada.7."]).is_err());
    }

    #[test]
    fn values_without_an_outcome_are_counted() {
        let mut ledger = ledger();
        assert!(ledger.check_all_answered().is_err());
        ledger.give_up("ada", 2);
        ledger.check_all_answered().unwrap();
        ledger.check_content("d", &content(&[0, 1])).unwrap();
        ledger.reject("ada", 2);
        assert!(
            ledger.check_content("d", &content(&[0, 1, 2])).unwrap_err().to_string().contains("rejected")
        );
    }
}
