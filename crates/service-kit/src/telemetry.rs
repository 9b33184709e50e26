//! Logs on standard error, traces to an OpenTelemetry collector where one is named.
//!
//! `RUST_LOG` filters (default `info`), `SLIPWAY_LOG_FORMAT=json` writes one JSON object a line, and
//! `OTEL_EXPORTER_OTLP_ENDPOINT` names a collector (gRPC).

use std::io::IsTerminal as _;

use opentelemetry::trace::TracerProvider as _;
use opentelemetry_otlp::WithExportConfig as _;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::Layer as _;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

/// Keeps telemetry running; see [`Telemetry::flush`].
#[must_use]
pub struct Telemetry {
    traces: Option<SdkTracerProvider>,
}

impl Telemetry {
    /// Sends what is still buffered.
    pub fn flush(self) {
        if let Some(traces) = self.traces
            && let Err(error) = traces.shutdown()
        {
            eprintln!("the last traces were not sent: {error}");
        }
    }
}

/// Starts logging, and tracing if a collector is named. Only the first call in a process has an effect on logs.
pub fn start(service: &'static str) -> Telemetry {
    opentelemetry::global::set_text_map_propagator(TraceContextPropagator::new());
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| {
        EnvFilter::new("info,h2=warn,hyper=warn,tonic=warn,async_nats=warn,opentelemetry=warn")
    });
    let json = std::env::var("SLIPWAY_LOG_FORMAT").is_ok_and(|format| format == "json");
    let colours = std::io::stderr().is_terminal()
        && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty());
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        .with_ansi(colours);
    let lines = if json {
        lines.json().flatten_event(true).boxed()
    } else {
        lines.compact().boxed()
    };
    let traces = exporter(service);
    let spans = traces
        .as_ref()
        .map(|t| tracing_opentelemetry::layer().with_tracer(t.tracer("slipway")));
    let started = tracing_subscriber::registry()
        .with(filter)
        .with(lines)
        .with(spans)
        .try_init();
    if started.is_err() {
        tracing::debug!("logging was set up before");
    }
    Telemetry { traces }
}

fn exporter(service: &'static str) -> Option<SdkTracerProvider> {
    let endpoint = std::env::var("OTEL_EXPORTER_OTLP_ENDPOINT")
        .ok()
        .filter(|e| !e.is_empty())?;
    let built = opentelemetry_otlp::SpanExporter::builder()
        .with_tonic()
        .with_endpoint(&endpoint)
        .build();
    match built {
        Ok(exporter) => {
            let resource = Resource::builder()
                .with_service_name(format!("slipway-{service}"))
                .build();
            Some(
                SdkTracerProvider::builder()
                    .with_batch_exporter(exporter)
                    .with_resource(resource)
                    .build(),
            )
        }
        Err(error) => {
            eprintln!("no traces: the collector address {endpoint} can't be used: {error}");
            None
        }
    }
}
