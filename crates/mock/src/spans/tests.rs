#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::{Context, SubscriberExt};

use super::*;

const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

type Fields = BTreeMap<String, String>;

/// Keeps what spans say.
#[derive(Clone, Default)]
struct Kept(Arc<Mutex<BTreeMap<u64, Fields>>>);

struct Into<'a>(&'a mut Fields);

impl Visit for Into<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0.insert(field.name().to_owned(), format!("{value:?}").trim_matches('"').to_owned());
    }
}

impl<S: tracing::Subscriber> Layer<S> for Kept {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, _: Context<'_, S>) {
        let mut spans = self.0.lock().unwrap();
        attributes.record(&mut Into(spans.entry(id.into_u64()).or_default()));
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, _: Context<'_, S>) {
        values.record(&mut Into(self.0.lock().unwrap().entry(id.into_u64()).or_default()));
    }
}

/// What the span says that is made by this.
fn fields(make: impl FnOnce() -> Span) -> Fields {
    let kept = Kept::default();
    tracing::subscriber::with_default(tracing_subscriber::registry().with(kept.clone()), || {
        let span = make();
        kept.0.lock().unwrap()[&span.id().unwrap().into_u64()].clone()
    })
}

fn some(pairs: &[(&str, &str)], fields: &Fields) {
    for (name, value) in pairs {
        assert_eq!(fields.get(*name).map(String::as_str), Some(*value), "{name} of {fields:?}");
    }
}

#[test]
fn a_connection_says_where_it_goes_and_to_which_trace_it_belongs() {
    let request =
        Request::get("/ws/a?token=secret").header("traceparent", PARENT).header("host", "example.com");
    let request = request.header("user-agent", "test/1").body(()).unwrap();
    let seen = fields(|| {
        let span = create_ws_connection_span(&request);
        record_ws_connection_success(&span);
        span
    });
    some(
        &[
            ("otel.name", "WS Connect /ws/a"),
            ("otel.kind", "server"),
            ("otel.status_code", "ok"),
            ("http.request.method", "GET"),
            ("http.response.status_code", "101"),
            ("url.path", "/ws/a"),
            ("network.protocol.name", "websocket"),
            ("server.address", "example.com"),
            ("user_agent.original", "test/1"),
            ("trace_id", "0af7651916cd43dd8448eb211c80319c"),
            ("parent_id", "b7ad6b7169203331"),
        ],
        &seen,
    );
    assert!(!format!("{seen:?}").contains("secret"));
}

#[test]
fn a_message_says_its_size_and_its_way() {
    for (direction, kind) in [("in", "consumer"), ("out", "producer")] {
        let seen = fields(|| {
            let span = create_ws_message_span(5, direction);
            record_ws_message_success(&span, 7);
            span
        });
        let name = format!("WS Message {direction}");
        some(&[("otel.name", &name), ("otel.kind", kind), ("ws.message.direction", direction)], &seen);
        some(&[("ws.message.size", "7"), ("otel.status_code", "ok")], &seen);
    }
}

#[test]
fn an_error_is_the_status_of_its_span() {
    let seen = fields(|| {
        let span = create_ws_message_span(1, "in");
        record_ws_error(&span, "no UTF-8");
        span
    });
    some(
        &[
            ("otel.status_code", "error"),
            ("otel.status_description", "no UTF-8"),
            ("error.type", "websocket"),
        ],
        &seen,
    );
}

#[test]
fn a_trace_context_is_read_as_w3c_has_it() {
    let context = TraceContext::parse(PARENT).unwrap();
    assert_eq!(
        (context.to_string().as_str(), context.header().unwrap()),
        (PARENT, HeaderValue::from_static(PARENT))
    );
    let later = TraceContext::parse("cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more").unwrap();
    assert_eq!(later, context);
    for wrong in [
        "",
        "00",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more",
        "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "00-00000000000000000000000000000000-b7ad6b7169203331-01",
        "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
        "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
        "00-é-b7ad6b7169203331-01",
    ] {
        assert_eq!(TraceContext::parse(wrong), None, "{wrong}");
    }
    let mut twice = HeaderMap::new();
    twice.append("traceparent", HeaderValue::from_static(PARENT));
    assert!(TraceContext::of(&twice).is_some());
    twice.append("traceparent", HeaderValue::from_static(PARENT));
    assert_eq!(TraceContext::of(&twice), None);
}
