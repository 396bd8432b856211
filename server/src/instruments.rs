//! Every metric of the server: `docs/configuration.md` has the same table, and a test holds both together.

use metrics::{Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder};
use rejoin_core::Backlog;
use rejoin_store::SqliteStats;

/// What a metric is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// It only grows while the process lives.
    Counter,
    /// It goes up and down.
    Gauge,
    /// How often something took how long.
    Histogram,
}

/// One metric.
struct Instrument {
    name: &'static str,
    kind: Kind,
    unit: Unit,
    what: &'static str,
}

pub(crate) const CONNECTIONS: &str = "rejoin_connections";
pub(crate) const CONNECTIONS_REFUSED: &str = "rejoin_connections_refused_total";
pub(crate) const HANDSHAKES_FAILED: &str = "rejoin_handshakes_failed_total";
pub(crate) const LINKS: &str = "rejoin_links";
pub(crate) const WORKSPACES: &str = "rejoin_workspaces";
pub(crate) const FRAMES_RECEIVED: &str = "rejoin_frames_received_total";
pub(crate) const MESSAGES_SENT: &str = "rejoin_messages_sent_total";
pub(crate) const SLOW_READERS: &str = "rejoin_slow_readers_total";
pub(crate) const STORE_FAILURES: &str = "rejoin_store_failures_total";
pub(crate) const SHARD_PANICS: &str = "rejoin_shard_panics_total";
const TENTATIVE: &str = "rejoin_tentative_changes";
const TENTATIVE_AGE: &str = "rejoin_tentative_age_seconds";
const WAITING: &str = "rejoin_waiting_pushes";
const WAITING_AGE: &str = "rejoin_waiting_age_seconds";
pub(crate) const DURABLE: &str = "rejoin_durable_seconds";
pub(crate) const DAMAGED_DOCUMENTS: &str = "rejoin_damaged_documents_total";
pub(crate) const MENDED_DOCUMENTS: &str = "rejoin_mended_documents_total";
const STORE_QUEUED: &str = "rejoin_store_queued_requests";
const STORE_QUEUED_BYTES: &str = "rejoin_store_queued_bytes";
const STORE_TRANSACTIONS: &str = "rejoin_store_transactions_total";
const STORE_BATCHES: &str = "rejoin_store_batches_total";
const STORE_CHECKPOINT_FAILURES: &str = "rejoin_store_checkpoint_failures_total";

const INSTRUMENTS: [Instrument; 22] = [
    gauge(CONNECTIONS, Unit::Count, "WebSocket connections that are open"),
    counter(
        CONNECTIONS_REFUSED,
        Unit::Count,
        "WebSocket connections refused because as many were open as may be",
    ),
    counter(HANDSHAKES_FAILED, Unit::Count, "TLS handshakes that failed or took too long"),
    gauge(LINKS, Unit::Count, "connections whose sender is known"),
    gauge(WORKSPACES, Unit::Count, "workspaces in memory"),
    counter(FRAMES_RECEIVED, Unit::Count, "WebSocket frames that came, pings and closes among them"),
    counter(MESSAGES_SENT, Unit::Count, "messages handed to connections, each connection counted"),
    counter(SLOW_READERS, Unit::Count, "connections closed because their peer did not read"),
    counter(STORE_FAILURES, Unit::Count, "times that the store failed a replica"),
    counter(SHARD_PANICS, Unit::Count, "times that a shard met a bug, closed its links and started again"),
    gauge(WAITING, Unit::Count, "pushes and requests that came and are not decided yet"),
    gauge(WAITING_AGE, Unit::Seconds, "for how long the oldest of them has been here"),
    gauge(TENTATIVE, Unit::Count, "changes that are accepted and not durable yet"),
    gauge(TENTATIVE_AGE, Unit::Seconds, "for how long the oldest of them has been here"),
    Instrument {
        name: DURABLE,
        kind: Kind::Histogram,
        unit: Unit::Seconds,
        what: "of each commit, from the arrival of its oldest change until it was durable",
    },
    counter(
        DAMAGED_DOCUMENTS,
        Unit::Count,
        "times that a document was found whose newest revisions cannot be read",
    ),
    counter(
        MENDED_DOCUMENTS,
        Unit::Count,
        "times that what could not be read of a document was written again",
    ),
    gauge(STORE_QUEUED, Unit::Count, "requests that wait for a thread of the store"),
    gauge(STORE_QUEUED_BYTES, Unit::Bytes, "what the writes among them take"),
    counter(STORE_TRANSACTIONS, Unit::Count, "transactions, each with one flush to the disk"),
    counter(
        STORE_BATCHES,
        Unit::Count,
        "batches that were in them; by transactions, how well commits are grouped",
    ),
    counter(
        STORE_CHECKPOINT_FAILURES,
        Unit::Count,
        "failed attempts to copy SQLite's log into the database; while it grows, the log does",
    ),
];

const fn counter(name: &'static str, unit: Unit, what: &'static str) -> Instrument {
    Instrument { name, kind: Kind::Counter, unit, what }
}

const fn gauge(name: &'static str, unit: Unit, what: &'static str) -> Instrument {
    Instrument { name, kind: Kind::Gauge, unit, what }
}

/// Tells the recorder of every metric, so that each is there from the start and one that stays at zero is not taken for a missing one.
pub(crate) fn describe() {
    for Instrument { name, kind, unit, what } in INSTRUMENTS {
        match kind {
            Kind::Counter => {
                describe_counter!(name, unit, what);
                counter!(name).increment(0);
            }
            Kind::Gauge => {
                describe_gauge!(name, unit, what);
                gauge!(name).increment(0.0);
            }
            Kind::Histogram => {
                describe_histogram!(name, unit, what);
                // Known from the start, with nothing in it.
                drop(histogram!(name));
            }
        }
    }
}

/// Bounds of the buckets of a histogram, in seconds.
const SECONDS: [f64; 13] = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0];

/// Begins a recorder of metrics for [`ServerOptions::metrics`](crate::ServerOptions::metrics), with buckets that suit the server's histograms.
pub fn recorder() -> PrometheusBuilder {
    PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Full(DURABLE.to_owned()), &SECONDS)
        .unwrap_or_else(|_| unreachable!("there are bounds"))
}

/// Takes over what waits in the workspaces.
pub(crate) fn record_backlog(backlog: &Backlog) {
    gauge!(WAITING).set(backlog.waiting as f64);
    gauge!(WAITING_AGE).set(backlog.waiting_age.as_secs_f64());
    gauge!(TENTATIVE).set(backlog.tentative as f64);
    gauge!(TENTATIVE_AGE).set(backlog.tentative_age.as_secs_f64());
}

/// Takes over what the store counts by itself.
pub(crate) fn record_store(stats: SqliteStats) {
    gauge!(STORE_QUEUED).set(stats.queued_requests as f64);
    gauge!(STORE_QUEUED_BYTES).set(stats.queued_bytes as f64);
    counter!(STORE_TRANSACTIONS).absolute(stats.groups);
    counter!(STORE_BATCHES).absolute(stats.batches);
    counter!(STORE_CHECKPOINT_FAILURES).absolute(stats.failed_checkpoints);
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::Duration;

    use super::*;

    /// The table under `## Metrics`: name to kind, unit and description.
    fn documented() -> BTreeMap<String, [String; 3]> {
        let page = include_str!("../../docs/configuration.md");
        let (_, section) = page.split_once("\n## Metrics\n").unwrap();
        let section = section.split_once("\n## ").map_or(section, |(section, _)| section);
        let rows = section.lines().filter(|line| line.starts_with("| `"));
        rows.map(|row| {
            let cells: Vec<_> = row.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect();
            let [name, kind, unit, what] = cells.try_into().unwrap();
            (name.trim_matches('`').to_owned(), [kind, unit, what])
        })
        .collect()
    }

    fn described() -> BTreeMap<String, [String; 3]> {
        let row = |Instrument { name, kind, unit, what }: Instrument| {
            let unit = unit.as_str();
            (name.to_owned(), [format!("{kind:?}").to_lowercase(), unit.to_owned(), what.to_owned()])
        };
        INSTRUMENTS.into_iter().map(row).collect()
    }

    #[test]
    fn the_documentation_has_every_metric_with_its_type_unit_and_meaning() {
        assert_eq!(documented(), described());
    }

    #[test]
    fn every_metric_is_exported_from_the_start_and_no_other() {
        let recorder = recorder().build_recorder();
        metrics::with_local_recorder(&recorder, || {
            describe();
            record_store(SqliteStats { groups: 7, ..SqliteStats::default() });
            let age = Duration::from_millis(1_500);
            record_backlog(&Backlog { tentative: 3, tentative_age: age, ..Backlog::default() });
            histogram!(DURABLE).record(Duration::from_millis(10));
        });
        let text = recorder.handle().render();
        let exported: BTreeMap<&str, &str> =
            text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' ')).collect();
        let described = described();
        let expected: BTreeMap<&str, &str> =
            described.iter().map(|(name, [kind, ..])| (name.as_str(), kind.as_str())).collect();
        assert_eq!(exported, expected);
        assert!(text.contains("\nrejoin_store_transactions_total 7\n"), "{text}");
        assert!(text.contains("\nrejoin_links 0\n"), "{text}");
        for line in
            ["rejoin_tentative_changes 3", "rejoin_tentative_age_seconds 1.5", "rejoin_waiting_pushes 0"]
        {
            assert!(text.contains(&format!("\n{line}\n")), "{text}");
        }
        for (bound, count) in [("0.005", 0), ("0.01", 1), ("+Inf", 1)] {
            let line = format!("rejoin_durable_seconds_bucket{{le=\"{bound}\"}} {count}");
            assert!(text.contains(&line), "{text}");
        }
    }
}
