//! Several mocks beside each other, each at a path of its own.

use std::sync::Arc;

use axum::Router;

use super::error::Error;
use super::events::events_routes;
use super::options::MockOptions;
use super::proxy::{WsProxyHandler, proxy_routes};
use super::router::{Hall, mock_routes};
use crate::ReplayAugmentationConfig;

/// What a mock does at one path.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Behaviour {
    /// It plays the script of its options, or is an echo.
    Script,
    /// It passes connections on, those below its path too. The options of the handler give way to those of the path.
    Proxy(Box<WsProxyHandler>),
    /// It streams generated events.
    Events(Box<ReplayAugmentationConfig>),
}

/// The router of several mocks, each at the path of its options, with its own latency, faults, script and sizes.
///
/// How many connections there may be at a time, the seed, `/__mock` and the observer are common to all, and taken from `common`.
///
/// ```
/// use rejoin_mock::{Behaviour, MockOptions, ReplayAugmentationConfig, router_with_paths};
///
/// let at = |path: &str| {
///     let mut options = MockOptions::default();
///     options.path = path.to_owned();
///     options
/// };
/// let events = Behaviour::Events(Box::new(ReplayAugmentationConfig::default()));
/// let app = router_with_paths(
///     &MockOptions::default(),
///     vec![(at("/echo"), Behaviour::Script), (at("/prices"), events)],
/// )?;
/// # let _: axum::Router = app;
/// # Ok::<(), rejoin_mock::Error>(())
/// ```
pub fn router_with_paths(
    common: &MockOptions,
    paths: Vec<(MockOptions, Behaviour)>,
) -> Result<Router, Error> {
    let hall = Arc::new(Hall::new(common)?);
    let mut router = hall.admin();
    let mut taken = std::collections::BTreeSet::new();
    for (options, behaviour) in paths {
        options.check()?;
        let wrong = |reason| Error::Setting { name: "path", value: options.path.clone(), reason };
        if !taken.insert(options.path.clone()) {
            return Err(wrong("there is a mock already"));
        }
        let hall = hall.clone();
        router = router.merge(match behaviour {
            Behaviour::Script => mock_routes(options, hall)?,
            Behaviour::Proxy(handler) => proxy_routes(handler.with_options(options), hall)?,
            Behaviour::Events(config) => events_routes(*config, options, hall)?,
        });
    }
    Ok(router)
}
