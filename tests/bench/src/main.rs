//! The benchmarks of Rejoin: `cargo xtask bench [GROUP…] [--write]`.
//!
//! A group measures one thing beside its peers, in one run, and answers with tables. Nothing here fails because of a
//! time: what a test has to hold is counted in operations and bytes, beside the code that it is about.

#![allow(clippy::print_stdout, reason = "this program reports to people")]

mod cores;
mod family;
mod fanout;
mod idle;
mod join;
mod json;
mod latency;
mod load;
mod lock;
mod machine;
mod measure;
mod mock;
mod npm;
mod page;
mod peers;
mod plot;
mod process;
mod random;
mod rooms;
mod storm;
mod sync;
mod table;

use anyhow::{Result, bail};
use clap::Parser;

use family::Figures;

/// One set of benchmarks: its name, what it measures, and what runs it.
struct Group {
    name: &'static str,
    what: &'static str,
    run: fn() -> Result<Figures>,
}

/// Every group, in the order in which they run.
const GROUPS: &[Group] = &[
    Group { name: "json", what: "patches applied and found, beside other libraries", run: json::run },
    Group {
        name: "fanout",
        what: "edits to everybody who has the document, beside other servers",
        run: fanout::run,
    },
    Group { name: "latency", what: "from an edit to everybody else, at a fixed rate", run: latency::run },
    Group { name: "idle", what: "memory of links on which nothing happens", run: idle::run },
    Group { name: "join", what: "joining a document of a megabyte", run: join::run },
    Group { name: "reconnect", what: "two thousand clients that come back at once", run: storm::run },
    Group { name: "merge", what: "edits made apart, merged", run: json::merge::run },
    Group { name: "mock", what: "the mock beside other echoes and proxies", run: mock::run },
    Group { name: "sync", what: "edits, reconnects and links through a real server", run: sync::run },
    Group {
        name: "rooms-fanout",
        what: "updates of Yjs clients to everybody in a room, beside Yjs servers",
        run: rooms::fanout::run,
    },
    Group {
        name: "rooms-latency",
        what: "from such an update to everybody else, at a fixed rate",
        run: rooms::latency::run,
    },
    Group { name: "rooms-idle", what: "memory of Yjs clients that do nothing", run: rooms::idle::run },
    Group { name: "rooms-join", what: "joining a room of a megabyte", run: rooms::join::run },
    Group { name: "rooms-traces", what: "CRDT documents, beside Yjs", run: rooms::traces::run },
];

/// Measures Rejoin.
#[derive(Parser)]
#[command(name = "cargo xtask bench", bin_name = "cargo xtask bench")]
struct Arguments {
    /// Names of groups, or what several begin with, as `rooms`; all when none is given.
    groups: Vec<String>,
    /// Puts the tables into docs/benchmarks.md.
    #[arg(long)]
    write: bool,
    /// Prints the groups and stops.
    #[arg(long)]
    list: bool,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    if arguments.list {
        for group in GROUPS {
            println!("{:<13} {}", group.name, group.what);
        }
        return Ok(());
    }
    for group in chosen(&arguments.groups)? {
        let figures = (group.run)()?;
        let section = page::section(group.name, &machine::describe(), &figures);
        println!("{section}");
        if arguments.write {
            page::write(group.name, &section, &figures.plots)?;
        }
    }
    Ok(())
}

fn chosen(names: &[String]) -> Result<Vec<&'static Group>> {
    if names.is_empty() {
        return Ok(GROUPS.iter().collect());
    }
    let is_meant = |name: &String, group: &Group| {
        group.name.strip_prefix(name.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
    };
    if let Some(unknown) = names.iter().find(|name| !GROUPS.iter().any(|group| is_meant(name, group))) {
        bail!("there is no group {unknown}; --list names those that there are");
    }
    Ok(GROUPS.iter().filter(|group| names.iter().any(|name| is_meant(name, group))).collect())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn groups_are_chosen_by_name_and_an_unknown_one_is_refused() {
        assert_eq!(chosen(&[]).unwrap().len(), GROUPS.len());
        assert_eq!(chosen(&["json".to_owned()]).unwrap()[0].name, "json");
        assert!(chosen(&["jsno".to_owned()]).is_err());
        assert!(chosen(&["room".to_owned()]).is_err());
        let rooms = chosen(&["rooms".to_owned()]).unwrap();
        assert!(rooms.len() > 1 && rooms.iter().all(|group| group.name.starts_with("rooms-")));
    }
}
