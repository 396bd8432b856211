//! What a mock can be told.

use std::path::PathBuf;
use std::time::Duration;

use super::error::Error;
use super::observer::Observer;
use crate::LatencyInjector;
use crate::limits::{CLOSE_PATIENCE, MAX_CONNECTIONS, MAX_MESSAGE_BYTES, STALL_PATIENCE, WRITE_PATIENCE};

/// The variable that names the script.
const REPLAY_FILE: &str = "REJOIN_WS_REPLAY_FILE";
/// The variable that switches templates on.
const EXPAND: &str = "REJOIN_RESPONSE_TEMPLATE_EXPAND";

/// What a mock is and how much it takes.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct MockOptions {
    /// Where it is served; `/ws` by default.
    pub path: String,
    /// The script that it plays; without one it is an echo. It is read again for a new connection when the file has changed.
    pub script: Option<PathBuf>,
    /// Whether tokens in the texts of the script are made anew, or are texts.
    pub expands: bool,
    /// What everything is drawn from that is left to chance. Each connection has a seed of its own, which follows from this one and the connection's number.
    pub seed: Option<u64>,
    /// How long messages take, and what goes wrong with them.
    pub latency: Option<LatencyInjector>,
    /// Whether test code may ask `/__mock` who is connected and what was said, and have a hand in it. Whoever reaches the mock may then.
    pub admin: bool,
    /// Who is told what happens, as it happens.
    pub observer: Option<Observer>,
    /// Connections at a time; more are answered 503.
    pub max_connections: usize,
    /// Bytes of a message; more close the connection with 1009.
    pub max_message_bytes: usize,
    /// A client that takes nothing for so long is dropped.
    pub write_patience: Duration,
    /// How long a client has to answer a closing.
    pub close_patience: Duration,
    /// How long a connection is kept whose link is full or half open for ever: its socket is not read, so that nobody sees its client leave.
    pub stall_patience: Duration,
}

impl Default for MockOptions {
    fn default() -> Self {
        Self {
            path: "/ws".to_owned(),
            script: None,
            expands: false,
            seed: None,
            latency: None,
            admin: false,
            observer: None,
            max_connections: MAX_CONNECTIONS,
            max_message_bytes: MAX_MESSAGE_BYTES,
            write_patience: WRITE_PATIENCE,
            close_patience: CLOSE_PATIENCE,
            stall_patience: STALL_PATIENCE,
        }
    }
}

impl MockOptions {
    /// Those that the environment names: `REJOIN_WS_REPLAY_FILE` and `REJOIN_RESPONSE_TEMPLATE_EXPAND`. An empty value is none.
    pub fn from_environment() -> Result<Self, Error> {
        Self::from_variables(|name| std::env::var_os(name))
    }

    /// Whether the path is one that a router takes.
    pub(super) fn check(&self) -> Result<(), Error> {
        let wrong = |reason| Err(Error::Setting { name: "path", value: self.path.clone(), reason });
        if !self.path.starts_with('/') {
            wrong("it has to begin with /")
        } else if self.path.contains(['{', '}', '*', ':']) {
            wrong("it is one path; patterns are for handlers and for rules of proxies")
        } else if self.path.starts_with("/__mock") {
            wrong("test code asks there")
        } else {
            Ok(())
        }
    }

    fn from_variables(variable: impl Fn(&str) -> Option<std::ffi::OsString>) -> Result<Self, Error> {
        let set = |name| variable(name).filter(|value| !value.is_empty());
        let expands = match set(EXPAND) {
            None => false,
            Some(value) => switch(&value.to_string_lossy())?,
        };
        Ok(Self { script: set(REPLAY_FILE).map(PathBuf::from), expands, ..Self::default() })
    }
}

fn switch(value: &str) -> Result<bool, Error> {
    match value {
        "1" | "true" => Ok(true),
        "0" | "false" => Ok(false),
        _ => Err(Error::Setting { name: EXPAND, value: value.to_owned(), reason: "take 1 or 0" }),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn read(variables: &[(&str, &str)]) -> Result<MockOptions, Error> {
        MockOptions::from_variables(|name| {
            variables.iter().find(|(key, _)| *key == name).map(|(_, value)| value.into())
        })
    }

    #[test]
    fn the_environment_names_a_script_and_switches_templates_on() {
        let options = read(&[(REPLAY_FILE, "./replay.jsonl"), (EXPAND, "1")]).unwrap();
        assert_eq!((options.script, options.expands), (Some("./replay.jsonl".into()), true));
        assert!(read(&[(EXPAND, "true")]).unwrap().expands);
        for off in ["", "0", "false"] {
            assert!(!read(&[(EXPAND, off)]).unwrap().expands);
        }
        assert_eq!(read(&[(REPLAY_FILE, "")]).unwrap().script, None);
    }

    #[test]
    fn a_path_is_one_that_a_router_takes() {
        let check = |path: &str| MockOptions { path: path.to_owned(), ..MockOptions::default() }.check();
        assert!(check("/").is_ok() && check("/a/b").is_ok());
        for path in ["", "ws", "/{a", "/*", "/:a"] {
            assert!(check(path).unwrap_err().to_string().starts_with("path cannot be"), "{path}");
        }
    }

    #[test]
    fn a_switch_that_is_neither_on_nor_off_is_refused() {
        let error = read(&[(EXPAND, "yes")]).unwrap_err();
        assert_eq!(error.to_string(), "REJOIN_RESPONSE_TEMPLATE_EXPAND cannot be \"yes\": take 1 or 0");
    }
}
