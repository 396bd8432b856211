//! Storage adapters for Rejoin: memory and SQLite.
