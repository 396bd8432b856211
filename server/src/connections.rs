//! How many WebSocket connections may be open at a time.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rejoin_wire::ErrorCode;

use crate::error::ApiError;
use crate::instruments;

/// The connections of a server.
pub(crate) struct Connections {
    open: Arc<AtomicUsize>,
    most: Option<usize>,
}

/// One connection, which counts until it is dropped.
pub(crate) struct Connection {
    open: Arc<AtomicUsize>,
}

impl Connections {
    /// No more than so many; 0 is no limit.
    pub(crate) fn at_most(most: usize) -> Self {
        Self { open: Arc::default(), most: (most > 0).then_some(most) }
    }

    /// Counts a further connection, unless there are as many as may be.
    pub(crate) fn open(&self) -> Result<Connection, ApiError> {
        let most = self.most.unwrap_or(usize::MAX);
        let counted = self
            .open
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |open| (open < most).then_some(open + 1));
        if counted.is_err() {
            metrics::counter!(instruments::CONNECTIONS_REFUSED).increment(1);
            let message = format!(
                "this server has {most} connections open, as many as it takes; connect again later, or raise --max-connections"
            );
            return Err(ApiError::new(ErrorCode::Unavailable, message));
        }
        metrics::gauge!(instruments::CONNECTIONS).increment(1.0);
        Ok(Connection { open: Arc::clone(&self.open) })
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.open.fetch_sub(1, Ordering::Relaxed);
        metrics::gauge!(instruments::CONNECTIONS).decrement(1.0);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_makes_room_when_it_goes() {
        let connections = Connections::at_most(2);
        let (first, _second) = (connections.open().unwrap(), connections.open().unwrap());
        let refused = connections.open().err().unwrap();
        assert_eq!(refused.code, ErrorCode::Unavailable);
        assert!(refused.message.contains("2 connections") && refused.message.contains("--max-connections"));
        drop(first);
        let _third = connections.open().unwrap();
        assert!(connections.open().is_err());
    }

    #[test]
    fn without_a_limit_there_is_room() {
        let connections = Connections::at_most(0);
        let open: Vec<_> = (0..100).map(|_| connections.open().unwrap()).collect();
        assert_eq!(connections.open.load(Ordering::Relaxed), open.len());
    }
}
