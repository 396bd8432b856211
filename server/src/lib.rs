//! The Rejoin server.
