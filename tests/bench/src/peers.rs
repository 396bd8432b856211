//! Who is measured: one entry in [`servers`] is one row of every table and one line of every plot.
//!
//! A peer is a server to start and a [`Door`] through which the generator speaks to it. A new one, as a Yjs server, is a file in this
//! folder with its door, and an entry here.

pub(crate) mod automerge;
mod broadcast;
mod native;
mod sharedb;
mod text;
mod yjs;

use anyhow::Result;

use crate::load::Door;
use crate::process::{Kept, Process, program, script};
use crate::{lock, npm};

/// A server and how it is spoken to.
pub(crate) struct Peer {
    pub(crate) name: String,
    pub(crate) role: Role,
    pub(crate) door: &'static dyn Door,
    start: fn() -> Result<Process>,
}

/// What a peer is in a comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// What a server cannot be faster than that sends each edit to everybody.
    Ceiling,
    /// Rejoin, as it is run.
    Native,
    /// Rejoin's door for clients that keep nothing.
    Text,
    /// Rejoin without a disk, where what storing costs is asked.
    InMemory,
    /// ShareDB.
    ShareDb,
    /// Rejoin's door of `y-websocket` clients.
    YWebsocketDoor,
    /// Rejoin's door of Hocuspocus clients.
    HocuspocusDoor,
    /// The server of `y-websocket`.
    YWebsocketServer,
    /// Hocuspocus, as it is now.
    Hocuspocus,
    /// Hocuspocus, as it was before.
    OlderHocuspocus,
}

impl Role {
    /// Whether it keeps documents on the disk.
    pub(crate) fn stores(self) -> bool {
        matches!(self, Self::Native | Self::Text | Self::YWebsocketDoor | Self::HocuspocusDoor)
    }
}

impl Peer {
    /// Starts its server.
    pub(crate) fn start(&self) -> Result<Process> {
        (self.start)()
    }
}

fn rejoin() -> Result<Process> {
    Process::rejoin(Kept::OnDisk)
}

/// Everybody that serves many clients.
pub(crate) fn servers() -> Result<Vec<Peer>> {
    npm::install()?;
    Ok(vec![
        Peer {
            name: format!("bare broadcast ({})", lock::named("axum")?),
            role: Role::Ceiling,
            door: &broadcast::Broadcast,
            start: || Process::start(program("broadcast")?),
        },
        Peer { name: "Rejoin, native".into(), role: Role::Native, door: &native::Native, start: rejoin },
        Peer { name: "Rejoin, text".into(), role: Role::Text, door: &text::Text, start: rejoin },
        Peer {
            name: format!("ShareDB {}", npm::version("sharedb")?),
            role: Role::ShareDb,
            door: &sharedb::ShareDb,
            start: || Process::start(script("sharedb.mjs")),
        },
    ])
}

/// Under which names the versions of Hocuspocus are installed.
const HOCUSPOCUS: &str = "@hocuspocus/server";
const OLDER_HOCUSPOCUS: &str = "hocuspocus-server-3";

/// Everybody that serves clients of Yjs.
pub(crate) fn yjs_servers() -> Result<Vec<Peer>> {
    npm::install()?;
    Ok(vec![
        Peer {
            name: format!("bare broadcast ({}, {})", lock::named("axum")?, lock::named("yrs")?),
            role: Role::Ceiling,
            door: &yjs::Yjs { path: "/", names: false },
            start: || Process::start(program("bare-yjs")?),
        },
        Peer {
            name: "Rejoin, y-websocket".into(),
            role: Role::YWebsocketDoor,
            door: &yjs::Yjs { path: "/yjs/", names: false },
            start: rejoin,
        },
        Peer {
            name: "Rejoin, Hocuspocus".into(),
            role: Role::HocuspocusDoor,
            door: &yjs::Yjs { path: "/hocuspocus", names: true },
            start: rejoin,
        },
        Peer {
            name: npm::named("@y/websocket-server")?,
            role: Role::YWebsocketServer,
            door: &yjs::Yjs { path: "/", names: false },
            start: || Process::start(script("y-websocket.mjs")),
        },
        Peer {
            name: format!("Hocuspocus {}", npm::version(HOCUSPOCUS)?),
            role: Role::Hocuspocus,
            door: &yjs::Yjs { path: "/", names: true },
            start: || hocuspocus(HOCUSPOCUS),
        },
        Peer {
            name: format!("Hocuspocus {}", npm::version(OLDER_HOCUSPOCUS)?),
            role: Role::OlderHocuspocus,
            door: &yjs::Yjs { path: "/", names: true },
            start: || hocuspocus(OLDER_HOCUSPOCUS),
        },
    ])
}

fn hocuspocus(package: &str) -> Result<Process> {
    let mut command = script("hocuspocus.mjs");
    command.arg(package);
    Process::start(command)
}

/// Rejoin over a store that keeps nothing.
pub(crate) fn in_memory() -> Peer {
    Peer {
        name: "Rejoin, native, nothing stored".into(),
        role: Role::InMemory,
        door: &native::Native,
        start: || Process::rejoin(Kept::InMemory),
    }
}
