//! SQLite stores as the world treats them: killed processes, other processes, failing and damaged disks.

#![cfg(feature = "sqlite")]
#![allow(clippy::unwrap_used)]

mod common;
mod damage;
#[cfg(unix)]
mod disk;
mod kill;
mod sharing;
