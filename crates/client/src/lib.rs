//! The native Rejoin client.
