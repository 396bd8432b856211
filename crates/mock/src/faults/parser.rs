//! Reads the language of faults.

use std::time::Duration;

use super::error::{COPIES, FaultError, FaultErrorKind};
use super::rule::{Action, After, PathPattern, Rule, Selector};
use crate::glob::Glob;
use crate::kinds::Kind;
use crate::latency::{Distribution, LatencyProfile};
use crate::limits::{
    MAX_FAULT_COPIES, MAX_FAULT_PLAN_BYTES, MAX_FAULT_RULES, MAX_FAULT_SELECTORS, MAX_FAULT_TIME,
    MAX_MESSAGE_BYTES, MAX_OVERTAKING,
};
use crate::{CloseFrame, Direction, MessagePattern};

/// Reads one time as `delay` has it.
pub(crate) fn read_distribution(text: &str) -> Result<Distribution, FaultError> {
    let mut parser = Parser::new(text)?;
    parser.space();
    let distribution = parser.distribution()?;
    parser.space();
    if parser.rest().is_empty() {
        Ok(distribution)
    } else {
        Err(parser.fault(parser.at, FaultErrorKind::Expected("the end")))
    }
}

/// What faults are called.
const FAULTS: [&str; 11] = [
    "drop",
    "duplicate",
    "reorder",
    "corrupt",
    "truncate",
    "delay",
    "throttle",
    "bandwidth",
    "stall",
    "half-open",
    "close",
];

pub(super) struct Parser<'a> {
    text: &'a str,
    /// Bytes that have been read.
    at: usize,
}

type Read<T> = Result<T, FaultError>;

impl<'a> Parser<'a> {
    pub(super) fn new(text: &'a str) -> Read<Self> {
        let parser = Self { text, at: 0 };
        if text.len() > MAX_FAULT_PLAN_BYTES {
            return Err(parser.fault(0, FaultErrorKind::TooLong));
        }
        Ok(parser)
    }

    /// Rules between semicolons or on lines of their own, with comments from `#` to the end of a line.
    pub(super) fn plan(mut self) -> Read<Vec<Rule>> {
        let mut rules = Vec::new();
        loop {
            while self.take(';') || self.take('\n') {}
            if self.rest().is_empty() {
                return Ok(rules);
            }
            if rules.len() == MAX_FAULT_RULES {
                return Err(self.fault(self.at, FaultErrorKind::TooManyRules));
            }
            rules.push(self.rule()?);
        }
    }

    fn rule(&mut self) -> Read<Rule> {
        let start = self.at;
        let name = self.word();
        if name.is_empty() {
            return Err(self.fault(start, FaultErrorKind::Expected("the name of a fault")));
        }
        // Said before what stands behind it, which may be right for the fault that was meant.
        let unknown = |parser: &Self| Err(parser.fault(start, FaultErrorKind::UnknownFault(name.to_owned())));
        if !FAULTS.contains(&name) {
            return unknown(self);
        }
        let mut selectors = Vec::new();
        if name != "close" && self.take('(') {
            selectors = self.selectors()?;
            self.expect(')', "a closing parenthesis")?;
        }
        let action = match name {
            "drop" => Action::Drop,
            "duplicate" => Action::Duplicate(self.by(MAX_FAULT_COPIES, COPIES)?),
            "reorder" => {
                Action::Reorder(self.by(MAX_OVERTAKING, FaultErrorKind::Range(1, MAX_OVERTAKING as u64))?)
            }
            "corrupt" => Action::Corrupt(if self.digit() { self.bytes(1)? } else { 1 }),
            "truncate" => Action::Truncate(if self.keyword("to") { Some(self.bytes(0)?) } else { None }),
            "delay" => Action::Delay(self.distribution()?),
            "throttle" | "bandwidth" => Action::Throttle(self.rate()?),
            "stall" => Action::Stall(if self.digit() { Some(self.duration()?.0) } else { None }),
            "half-open" => Action::HalfOpen,
            "close" => {
                let frame = self.close()?;
                if self.keyword("on") {
                    selectors = self.selectors()?;
                }
                Action::Close(frame)
            }
            _ => return unknown(self),
        };
        let mut rule =
            Rule { action, selectors, direction: None, path: None, after: None, chance: None, times: None };
        while self.clause(&mut rule)? {}
        Ok(rule)
    }

    /// Reads what narrows a rule; false at its end.
    fn clause(&mut self, rule: &mut Rule) -> Read<bool> {
        self.space();
        let start = self.at;
        let rest = self.rest();
        if rest.is_empty() || rest.starts_with([';', '\n']) {
            return Ok(false);
        }
        let word = self.word();
        let twice = |name, there: bool, parser: &Self| {
            if there { Err(parser.fault(start, FaultErrorKind::Twice(name))) } else { Ok(()) }
        };
        match word {
            "in" | "out" => {
                twice("in or out", rule.direction.is_some(), self)?;
                rule.direction = Some(if word == "in" { Direction::In } else { Direction::Out });
            }
            "p" => {
                twice("p", rule.chance.is_some(), self)?;
                self.expect('=', "=")?;
                self.space();
                let place = self.at;
                let chance = self.number()?;
                if !(0.0..=1.0).contains(&chance) {
                    return Err(self.fault(place, FaultErrorKind::Chance));
                }
                rule.chance = Some(chance);
            }
            "path" => {
                twice("path", rule.path.is_some(), self)?;
                self.expect('=', "=")?;
                rule.path = Some(self.path()?);
            }
            "times" => {
                twice("times", rule.times.is_some(), self)?;
                self.expect('=', "=")?;
                rule.times = Some(self.whole(1, u64::from(u32::MAX))?);
            }
            "after" => {
                twice("after", rule.after.is_some(), self)?;
                rule.after = Some(self.after()?);
            }
            _ => {
                let what = "in, out, path=…, p=…, after …, times=… or ;";
                return Err(self.fault(start, FaultErrorKind::Expected(what)));
            }
        }
        Ok(true)
    }

    fn selectors(&mut self) -> Read<Vec<Selector>> {
        let mut selectors = Vec::new();
        loop {
            self.space();
            if selectors.len() == MAX_FAULT_SELECTORS {
                return Err(self.fault(self.at, FaultErrorKind::TooManyKinds));
            }
            let start = self.at;
            selectors.push(match self.quoted()? {
                Some(pattern) => Selector::Pattern(
                    MessagePattern::parse(&pattern).map_err(|error| self.fault(start, error.into()))?,
                ),
                None => Selector::Name(self.kind(start)?),
            });
            if !self.take(',') {
                return Ok(selectors);
            }
        }
    }

    /// The name of a kind, which may be in the plural.
    fn kind(&mut self, start: usize) -> Read<String> {
        let name = self.word();
        let singular = name.strip_suffix('s').filter(|name| Kind::is_name(name));
        if name.is_empty() {
            Err(self.fault(start, FaultErrorKind::Expected("a kind of message, or a pattern in quotes")))
        } else if Kind::is_name(name) {
            Ok(name.to_owned())
        } else if let Some(singular) = singular {
            Ok(singular.to_owned())
        } else {
            let near = Kind::names().min_by_key(|known| distance(known, name));
            let near = near.filter(|near| distance(near, name) <= 2).map(std::borrow::Cow::into_owned);
            Err(self.fault(start, FaultErrorKind::UnknownKind { name: name.to_owned(), near }))
        }
    }

    fn after(&mut self) -> Read<After> {
        self.space();
        let digits = self.rest().bytes().take_while(u8::is_ascii_digit).count();
        let unit = self.rest().get(digits..).and_then(|rest| rest.chars().next());
        if unit.is_some_and(|unit| unit.is_alphabetic() || unit == '.') {
            return Ok(After::Time(self.duration()?.0));
        }
        let count = self.whole(1, u64::from(u32::MAX))?;
        self.space();
        let before = self.at;
        let word = self.word();
        self.at = before;
        if word.is_empty() || matches!(word, "in" | "out" | "p" | "path" | "times") {
            return Ok(After::Count(count, "message".to_owned()));
        }
        Ok(After::Count(count, self.kind(before)?))
    }

    fn by(&mut self, most: usize, wrong: FaultErrorKind) -> Read<usize> {
        if !self.keyword("by") {
            return Ok(1);
        }
        self.space();
        let start = self.at;
        let number = self.whole(0, u64::MAX)?;
        let number = usize::try_from(number).unwrap_or(usize::MAX);
        if (1..=most).contains(&number) { Ok(number) } else { Err(self.fault(start, wrong)) }
    }

    fn bytes(&mut self, least: u64) -> Read<usize> {
        let number = self.whole(least, MAX_MESSAGE_BYTES as u64)?;
        if !self.keyword("bytes") && !self.keyword("byte") {
            return Err(self.fault(self.at, FaultErrorKind::Expected("\"bytes\"")));
        }
        Ok(usize::try_from(number).unwrap_or(usize::MAX))
    }

    fn close(&mut self) -> Read<CloseFrame> {
        self.expect('(', "a close code in parentheses")?;
        self.space();
        let start = self.at;
        let code = u16::try_from(self.whole(0, u64::from(u16::MAX))?).unwrap_or(u16::MAX);
        self.space();
        let reason = self.quoted()?.unwrap_or_default();
        self.expect(')', "a closing parenthesis")?;
        let frame = CloseFrame { code, reason };
        frame.check().map_err(|wrong| self.fault(start, FaultErrorKind::Close(wrong)))?;
        Ok(frame)
    }

    fn path(&mut self) -> Read<PathPattern> {
        self.space();
        let start = self.at;
        let pattern = if let Some(quoted) = self.quoted()? {
            quoted
        } else {
            let end = self.rest().find([' ', '\t', ';', '\r', '\n']).unwrap_or(self.rest().len());
            self.skip(end).to_owned()
        };
        if !pattern.starts_with('/') {
            return Err(self.fault(start, FaultErrorKind::Expected("a path, which begins with /")));
        }
        let glob = Glob::new(&pattern).map_err(|error| self.fault(start, error.into()))?;
        Ok(PathPattern { pattern, glob })
    }

    fn rate(&mut self) -> Read<u64> {
        self.space();
        let start = self.at;
        let wrong = FaultErrorKind::Expected("a rate such as 64KiB/s");
        let number = self.number()?;
        let (unit, per) = (self.word(), self.rest().strip_prefix("/s").is_some());
        let unit = match unit {
            "B" => 1.0,
            "kB" | "KB" => 1e3,
            "KiB" => 1_024.0,
            "MB" => 1e6,
            "MiB" => 1_048_576.0,
            "kbit" => 125.0,
            "Mbit" => 125_000.0,
            _ => return Err(self.fault(start, wrong)),
        };
        if !per {
            return Err(self.fault(start, wrong));
        }
        self.skip(2);
        let rate = (number * unit).round();
        if !(1.0..=MAX_RATE as f64).contains(&rate) {
            return Err(self.fault(start, FaultErrorKind::Range(1, MAX_RATE)));
        }
        // Whole and in range.
        Duration::try_from_secs_f64(rate)
            .map(|it| it.as_secs())
            .map_err(|_| self.fault(start, FaultErrorKind::Range(1, MAX_RATE)))
    }

    fn distribution(&mut self) -> Read<Distribution> {
        self.space();
        let start = self.at;
        if !self.digit() {
            return self.named_distribution(start);
        }
        let (low, unit) = self.duration()?;
        if self.skip_prefix("..") {
            let place = self.at;
            let (high, _) = self.duration()?;
            if high < low {
                let what = "a time that is not below the first";
                return Err(self.fault(place, FaultErrorKind::Expected(what)));
            }
            return Ok(Distribution::Uniform { low, high });
        }
        if !(self.skip_prefix("±") || self.skip_prefix("+-")) {
            return Ok(Distribution::Fixed(low));
        }
        let around = low;
        let (jitter, _) = self.duration_in(Some(unit))?;
        let high = around.saturating_add(jitter).min(MAX_FAULT_TIME);
        Ok(Distribution::Uniform { low: around.saturating_sub(jitter), high })
    }

    fn named_distribution(&mut self, start: usize) -> Read<Distribution> {
        let name = self.word();
        let with_numbers = self.take('(');
        let distribution = match (name, with_numbers) {
            ("normal", true) => {
                let mean = self.duration()?.0;
                self.expect(',', "a comma and the standard deviation")?;
                Distribution::Normal { mean, deviation: self.duration()?.0 }
            }
            ("pareto", true) => {
                let scale = self.duration()?.0;
                self.expect(',', "a comma and the shape")?;
                self.space();
                let place = self.at;
                let shape = self.number()?;
                if shape <= 0.0 {
                    return Err(self.fault(place, FaultErrorKind::Expected("a number above 0")));
                }
                Distribution::Pareto { scale, shape }
            }
            (name, false) if LatencyProfile::named(name).is_some() => {
                return LatencyProfile::named(name)
                    .map(|profile| profile.distribution)
                    .ok_or_else(|| self.fault(start, FaultErrorKind::Expected("a time")));
            }
            _ => {
                let what =
                    "a time: 400ms, 400ms±100, 50ms..200ms, normal(…, …), pareto(…, …), fast, normal or slow";
                return Err(self.fault(start, FaultErrorKind::Expected(what)));
            }
        };
        self.expect(')', "a closing parenthesis")?;
        Ok(distribution)
    }

    fn duration(&mut self) -> Read<(Duration, f64)> {
        self.duration_in(None)
    }

    /// A time, and its unit in seconds. Where it has none, it is in that of the time before it.
    fn duration_in(&mut self, default: Option<f64>) -> Read<(Duration, f64)> {
        self.space();
        let start = self.at;
        let number = self.number()?;
        let letters = self.rest().find(|it: char| !it.is_alphabetic()).unwrap_or(self.rest().len());
        let unit = match (self.skip(letters), default) {
            ("ns", _) => 1e-9,
            ("us" | "µs" | "μs", _) => 1e-6,
            ("ms", _) => 1e-3,
            ("s", _) => 1.0,
            ("m", _) => 60.0,
            ("h", _) => 3_600.0,
            ("", Some(default)) => default,
            _ => return Err(self.fault(start, FaultErrorKind::Expected("a time such as 400ms or 2s"))),
        };
        match Duration::try_from_secs_f64(number * unit) {
            Ok(duration) if duration <= MAX_FAULT_TIME => Ok((duration, unit)),
            _ => Err(self.fault(start, FaultErrorKind::Time)),
        }
    }

    fn whole(&mut self, least: u64, most: u64) -> Read<u64> {
        self.space();
        let start = self.at;
        let digits = self.rest().bytes().take_while(u8::is_ascii_digit).count();
        if digits == 0 {
            return Err(self.fault(start, FaultErrorKind::Expected("a whole number")));
        }
        let number = self.skip(digits).parse::<u64>().ok().filter(|it| (least..=most).contains(it));
        number.ok_or_else(|| self.fault(start, FaultErrorKind::Range(least, most)))
    }

    /// Digits, and a point with digits behind it. Two points in a row belong to what follows.
    fn number(&mut self) -> Read<f64> {
        let start = self.at;
        let count = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
        let mut length = count(self.rest());
        if let Some(fraction) = self.rest().get(length..).and_then(|rest| rest.strip_prefix('.')) {
            let digits = count(fraction);
            length += if digits > 0 { digits + 1 } else { 0 };
        }
        self.skip(length).parse().map_err(|_| self.fault(start, FaultErrorKind::Expected("a number")))
    }

    /// What stands in quotes: `\"` is a quote, `\\` a backslash, `\n` a new line; before anything else a backslash is one.
    fn quoted(&mut self) -> Read<Option<String>> {
        if !self.rest().starts_with('"') {
            return Ok(None);
        }
        let start = self.at;
        let mut text = String::new();
        let mut characters = self.rest().char_indices().skip(1).peekable();
        while let Some((place, character)) = characters.next() {
            match (character, characters.peek().map(|(_, next)| *next)) {
                ('"', _) => {
                    self.at += place + 1;
                    return Ok(Some(text));
                }
                ('\\', Some(next @ ('"' | '\\'))) => {
                    text.push(next);
                    characters.next();
                }
                ('\\', Some('n')) => {
                    text.push('\n');
                    characters.next();
                }
                _ => text.push(character),
            }
        }
        Err(self.fault(start, FaultErrorKind::Expected("text between two quotes")))
    }

    /// The letters, digits and signs of names that come next.
    fn word(&mut self) -> &'a str {
        let part = |it: char| it.is_alphanumeric() || matches!(it, '.' | '-' | '_');
        let end = self.rest().find(|it| !part(it)).unwrap_or(self.rest().len());
        self.skip(end)
    }

    fn keyword(&mut self, keyword: &str) -> bool {
        self.space();
        let before = self.at;
        let there = self.word() == keyword;
        if !there {
            self.at = before;
        }
        there
    }

    fn digit(&mut self) -> bool {
        self.space();
        self.rest().starts_with(|it: char| it.is_ascii_digit())
    }

    fn take(&mut self, character: char) -> bool {
        self.space();
        let there = self.rest().starts_with(character);
        if there {
            self.at += character.len_utf8();
        }
        there
    }

    fn expect(&mut self, character: char, what: &'static str) -> Read<()> {
        if self.take(character) { Ok(()) } else { Err(self.fault(self.at, FaultErrorKind::Expected(what))) }
    }

    fn skip_prefix(&mut self, prefix: &str) -> bool {
        let there = self.rest().starts_with(prefix);
        if there {
            self.at += prefix.len();
        }
        there
    }

    fn space(&mut self) {
        let blank = |it: char| !matches!(it, ' ' | '\t' | '\r');
        let end = self.rest().find(blank).unwrap_or(self.rest().len());
        self.at += end;
        if self.rest().starts_with('#') {
            self.at += self.rest().find('\n').unwrap_or(self.rest().len());
        }
    }

    fn skip(&mut self, length: usize) -> &'a str {
        let (skipped, _) = self.rest().split_at_checked(length).unwrap_or((self.rest(), ""));
        self.at += skipped.len();
        skipped
    }

    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn fault(&self, at: usize, kind: FaultErrorKind) -> FaultError {
        let before = self.text.get(..at).unwrap_or(self.text);
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let line = self.text.get(line_start..).and_then(|rest| rest.lines().next()).unwrap_or_default();
        FaultError {
            line: before.matches('\n').count() + 1,
            column: before.get(line_start..).unwrap_or_default().chars().count() + 1,
            text: line.to_owned(),
            kind,
        }
    }
}

/// More is no limit: a TiB a second.
const MAX_RATE: u64 = 1 << 40;

/// How many characters are to be changed, left out or put in (Levenshtein). Names are short.
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<_> = other.chars().take(64).collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (line, character) in one.chars().enumerate() {
        let mut diagonal = line;
        let mut left = line + 1;
        let mut next = vec![left];
        for (above, there) in row.iter().skip(1).zip(&other) {
            let cost = (diagonal + usize::from(character != *there)).min(left + 1).min(above + 1);
            next.push(cost);
            (diagonal, left) = (*above, cost);
        }
        row = next;
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests;
