//! A file that says what a mock does at each of its paths.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use axum::Router;
use rejoin_mock::{
    Behaviour, ChaosProfile, FaultPlan, LatencyInjector, LatencyProfile, MockOptions, Observer,
    ReplayAugmentationConfig, WsProxyConfig, WsProxyHandler, router_with_paths,
};
use serde::Deserialize;
use toml::Spanned;

use crate::Failure;

/// What the file says, with what is needed to name the place of an error.
pub(super) struct Config {
    file: PathBuf,
    text: String,
    tables: Tables,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Tables {
    port: Option<u16>,
    bind: Option<SocketAddr>,
    seed: Option<u64>,
    #[serde(default)]
    admin: bool,
    max_connections: Option<NonZeroUsize>,
    paths: BTreeMap<String, Spanned<PathTable>>,
}

/// One path. It is an echo without `script`, `upstream` and `events`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PathTable {
    script: Option<Spanned<PathBuf>>,
    expand: Option<Spanned<bool>>,
    upstream: Option<Spanned<String>>,
    trust: Option<Spanned<Vec<PathBuf>>>,
    events: Option<Spanned<String>>,
    provider: Option<Spanned<String>>,
    model: Option<Spanned<String>>,
    endpoint: Option<Spanned<String>>,
    count: Option<Spanned<usize>>,
    rate: Option<Spanned<f64>>,
    schema: Option<Spanned<PathBuf>>,
    latency: Option<Spanned<String>>,
    fault: Option<Spanned<String>>,
    chaos: Option<Spanned<String>>,
    max_message_bytes: Option<NonZeroUsize>,
}

impl Config {
    /// Reads a file. What the keys of a path mean is only seen by [`Config::router`].
    pub(super) fn read(file: &Path) -> Result<Self, Failure> {
        let named = |error: &dyn std::fmt::Display| format!("{}: {error}", file.display());
        let text = std::fs::read_to_string(file).map_err(|error| named(&error))?;
        let tables = toml::from_str(&text).map_err(|error| named(&error))?;
        Ok(Self { file: file.to_owned(), text, tables })
    }

    /// The paths, in their order.
    pub(super) fn paths(&self) -> Vec<String> {
        self.tables.paths.keys().cloned().collect()
    }

    /// Whether test code may ask.
    pub(super) fn is_open(&self) -> bool {
        self.tables.admin
    }

    /// Where the mock listens, if the file says so.
    pub(super) fn address(&self) -> Option<SocketAddr> {
        let port = self.tables.port.map(|port| SocketAddr::from(([127, 0, 0, 1], port)));
        self.tables.bind.or(port)
    }

    /// What serves all of it.
    pub(super) fn router(&self, observer: Option<Observer>) -> Result<Router, Failure> {
        let mut common = MockOptions::default();
        let tables = &self.tables;
        if tables.port.is_some() && tables.bind.is_some() {
            return Err(format!("{}: take port or bind, not both", self.file.display()).into());
        }
        if tables.paths.is_empty() {
            return Err(format!("{}: there are no paths", self.file.display()).into());
        }
        common.seed = tables.seed;
        common.admin = tables.admin;
        common.observer = observer;
        common.max_connections = tables.max_connections.map_or(common.max_connections, NonZeroUsize::get);
        let mut all = Vec::new();
        for (path, table) in &tables.paths {
            let place = Place { config: self, path, offset: table.span().start };
            let one = place.mock(table.get_ref())?;
            // Each alone, so that the error of one is told with its place.
            let alone = router_with_paths(&common, vec![one.clone()]);
            drop(alone.map_err(|error| place.of_mock(table.get_ref(), &error))?);
            all.push(one);
        }
        Ok(router_with_paths(&common, all)?)
    }

    /// The line of a byte; the first is 1.
    fn line(&self, offset: usize) -> usize {
        1 + self.text.bytes().take(offset).filter(|byte| *byte == b'\n').count()
    }
}

/// One path of the file.
struct Place<'a> {
    config: &'a Config,
    path: &'a str,
    offset: usize,
}

impl Place<'_> {
    fn mock(&self, table: &PathTable) -> Result<(MockOptions, Behaviour), Failure> {
        let mut options = MockOptions::default();
        self.path.clone_into(&mut options.path);
        options.max_message_bytes =
            table.max_message_bytes.map_or(options.max_message_bytes, NonZeroUsize::get);
        options.script = table.script.as_ref().map(|file| self.beside(file.get_ref()));
        options.expands = table.expand.as_ref().is_none_or(|expand| *expand.get_ref());
        options.latency = self.link(table)?;
        self.belongs(table)?;
        let behaviour = match (&table.upstream, &table.events) {
            (Some(url), _) => {
                let mut handler = WsProxyHandler::new(WsProxyConfig::to(url.get_ref()));
                for file in table.trust.iter().flat_map(Spanned::get_ref) {
                    let pem = std::fs::read(self.beside(file));
                    handler = handler.trust(pem.map_err(|error| self.at("trust", &table.trust, &error))?);
                }
                Behaviour::Proxy(Box::new(handler))
            }
            (None, Some(narrative)) => Behaviour::Events(Box::new(self.events(table, narrative.get_ref())?)),
            (None, None) => Behaviour::Script,
        };
        Ok((options, behaviour))
    }

    /// Refuses keys that say nothing beside the others.
    fn belongs(&self, table: &PathTable) -> Result<(), Failure> {
        let both = "a path has one of script, upstream and events";
        if table.script.is_some() && table.upstream.is_some() {
            return Err(self.at("upstream", &table.upstream, &both));
        }
        if table.events.is_some() && (table.script.is_some() || table.upstream.is_some()) {
            return Err(self.at("events", &table.events, &both));
        }
        if table.script.is_none() && table.expand.is_some() {
            return Err(self.at("expand", &table.expand, &"it belongs to script"));
        }
        if table.upstream.is_none() && table.trust.is_some() {
            return Err(self.at("trust", &table.trust, &"it belongs to upstream"));
        }
        let start = |span: std::ops::Range<usize>| span.start;
        let of_events = [
            ("provider", table.provider.as_ref().map(|it| start(it.span()))),
            ("model", table.model.as_ref().map(|it| start(it.span()))),
            ("endpoint", table.endpoint.as_ref().map(|it| start(it.span()))),
            ("count", table.count.as_ref().map(|it| start(it.span()))),
            ("rate", table.rate.as_ref().map(|it| start(it.span()))),
            ("schema", table.schema.as_ref().map(|it| start(it.span()))),
        ];
        match of_events.into_iter().find_map(|(key, at)| Some((key, at?))) {
            Some((key, at)) if table.events.is_none() => {
                Err(self.wrong(Some((key, at)), &"it belongs to events"))
            }
            _ => Ok(()),
        }
    }

    /// How long messages take, and what goes wrong.
    fn link(&self, table: &PathTable) -> Result<Option<LatencyInjector>, Failure> {
        let mut rules = Vec::new();
        if let Some(profile) = &table.chaos {
            let drawn = profile
                .get_ref()
                .parse::<ChaosProfile>()
                .map_err(|error| self.at("chaos", &table.chaos, &error))?;
            let Some(seed) = self.config.tables.seed else {
                return Err(self.at(
                    "chaos",
                    &table.chaos,
                    &"name a seed at the top of the file: what is drawn follows from it",
                ));
            };
            rules.push(drawn.plan(seed)?.to_string());
        }
        if let Some(fault) = &table.fault {
            let plan =
                super::plan(fault.get_ref()).map_err(|error| self.at("fault", &table.fault, &error))?;
            rules.push(plan.to_string());
        }
        let latency = match &table.latency {
            None if rules.is_empty() => return Ok(None),
            None => LatencyProfile::fixed(std::time::Duration::ZERO),
            Some(latency) => super::latency(latency.get_ref())
                .map_err(|error| self.at("latency", &table.latency, &error))?,
        };
        let faults =
            rules.join("; ").parse::<FaultPlan>().map_err(|error| self.at("fault", &table.fault, &error))?;
        Ok(Some(LatencyInjector::new(latency, faults)))
    }

    fn events(&self, table: &PathTable, narrative: &str) -> Result<ReplayAugmentationConfig, Failure> {
        let text = |value: &Option<Spanned<String>>, usual: &str| {
            value.as_ref().map_or_else(|| usual.to_owned(), |value| value.get_ref().clone())
        };
        let mut config = ReplayAugmentationConfig {
            narrative: narrative.to_owned(),
            provider: text(&table.provider, "builtin"),
            model: text(&table.model, ""),
            endpoint: text(&table.endpoint, ""),
            events_per_second: table.rate.as_ref().map(|rate| *rate.get_ref()),
            ..ReplayAugmentationConfig::default()
        };
        config.event_count = table.count.as_ref().map_or(config.event_count, |count| *count.get_ref());
        if let Some(file) = &table.schema {
            let wrong = |error: &dyn std::fmt::Display| self.at("schema", &table.schema, &error);
            let text = std::fs::read_to_string(self.beside(file.get_ref())).map_err(|error| wrong(&error))?;
            config.schema = Some(serde_json::from_str(&text).map_err(|error| wrong(&error))?);
        }
        Ok(config)
    }

    /// A file that is named as it is seen from the configuration.
    fn beside(&self, file: &Path) -> PathBuf {
        self.config.file.parent().map_or_else(|| file.to_owned(), |folder| folder.join(file))
    }

    /// What a mock says of its options, at the key that says most of it.
    fn of_mock(&self, table: &PathTable, error: &rejoin_mock::Error) -> Failure {
        let script = table.script.as_ref().map(|it| ("script", it.span().start));
        let upstream = table.upstream.as_ref().map(|it| ("upstream", it.span().start));
        let events = table.events.as_ref().map(|it| ("events", it.span().start));
        match error {
            rejoin_mock::Error::Setting { name: "path", .. } => self.wrong(None, error),
            _ => self.wrong(script.or(upstream).or(events), error),
        }
    }

    fn at<T>(&self, key: &str, value: &Option<Spanned<T>>, error: &dyn std::fmt::Display) -> Failure {
        self.wrong(value.as_ref().map(|value| (key, value.span().start)), error)
    }

    fn wrong(&self, key: Option<(&str, usize)>, error: &dyn std::fmt::Display) -> Failure {
        let (file, path) = (self.config.file.display(), self.path);
        match key {
            Some((key, at)) => {
                format!("{file}: line {}: paths.{path:?}.{key}: {error}", self.config.line(at))
            }
            None => format!("{file}: line {}: paths.{path:?}: {error}", self.config.line(self.offset)),
        }
        .into()
    }
}
