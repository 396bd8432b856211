//! Sends spans to a collector, by OTLP over HTTP.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use axum::http::HeaderMap;
use http_body_util::BodyExt;
use opentelemetry::propagation::TextMapPropagator;
use opentelemetry::trace::{TraceContextExt, TracerProvider};
use opentelemetry_http::{Bytes, HeaderExtractor, HeaderInjector, HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::{SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tokio::runtime::Handle;
use tracing::{Span, Subscriber};
use tracing_opentelemetry::OpenTelemetrySpanExt;
use tracing_subscriber::Layer;
use tracing_subscriber::registry::LookupSpan;

use crate::events::post;
use crate::server::Error;

/// How long a collector has to answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// The way to a collector of OpenTelemetry.
#[derive(Debug)]
pub struct Otlp(SdkTracerProvider);

impl Otlp {
    /// Sends spans to the collector at this address, such as `http://localhost:4318/v1/traces`, under the name of this service. To be called
    /// within a runtime of tokio, which does the sending.
    pub fn new(endpoint: &str, service: impl Into<String>) -> Result<Self, Error> {
        let runtime =
            Handle::try_current().map_err(|_| Error::Protocol("there is no runtime of tokio".to_owned()))?;
        let exporter = SpanExporter::builder()
            .with_http()
            .with_http_client(Client(runtime))
            .with_endpoint(endpoint)
            .with_timeout(PATIENCE)
            .build()
            .map_err(|error| Error::Protocol(format!("{endpoint} is no collector: {error}")))?;
        let resource = Resource::builder().with_service_name(service.into()).build();
        Ok(Self(SdkTracerProvider::builder().with_batch_exporter(exporter).with_resource(resource).build()))
    }

    /// What a subscriber needs for it.
    pub fn layer<S>(&self) -> impl Layer<S>
    where
        S: Subscriber + for<'span> LookupSpan<'span>,
    {
        tracing_opentelemetry::layer().with_tracer(self.0.tracer("rejoin-mock"))
    }

    /// Sends what has not been sent yet; nothing is sent afterwards.
    pub async fn shutdown(self) -> Result<(), Error> {
        // It waits for a thread of its own, which waits for this runtime.
        let done = tokio::task::spawn_blocking(move || self.0.shutdown()).await;
        let failed = |text: String| Error::Protocol(format!("spans are lost: {text}"));
        done.map_err(|error| failed(error.to_string()))?.map_err(|error| failed(error.to_string()))
    }
}

/// Makes a span a part of the trace that the headers name.
pub(super) fn adopt(span: &Span, headers: &HeaderMap) {
    // The error says that nobody collects spans.
    let _ = span.set_parent(TraceContextPropagator::new().extract(&HeaderExtractor(headers)));
}

/// Names the trace of a span in headers, if it is collected.
pub(super) fn inject(span: &Span, headers: &mut HeaderMap) {
    let context = span.context();
    if context.span().span_context().is_valid() {
        TraceContextPropagator::new().inject_context(&context, &mut HeaderInjector(headers));
    }
}

/// The client for HTTP that the providers of events are asked with; exporters have threads without a runtime.
struct Client(Handle);

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Client")
    }
}

impl HttpClient for Client {
    fn send_bytes<'client, 'answer>(
        &'client self,
        request: Request<Bytes>,
    ) -> Pin<Box<dyn Future<Output = Result<Response<Bytes>, HttpError>> + Send + 'answer>>
    where
        'client: 'answer,
        Self: 'answer,
    {
        let sending = self.0.spawn(async move {
            let (parts, body) = request.into_parts();
            let headers: Vec<_> =
                parts.headers.into_iter().filter_map(|(name, value)| Some((name?, value))).collect();
            let answer = post(&parts.uri, &headers, body.to_vec(), PATIENCE).await?;
            let (parts, body) = answer.into_parts();
            let body =
                tokio::time::timeout(PATIENCE, body.collect()).await.map_err(|error| error.to_string())?;
            let body = body.map_err(|error| error.to_string())?.to_bytes();
            Ok::<_, String>(Response::from_parts(parts, body))
        });
        Box::pin(async move { Ok(sending.await??) })
    }
}
