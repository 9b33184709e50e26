//! One trace a run: the spans of its stages share a trace, in whichever process each of them is done.
//!
//! There is nobody to hand a trace context on, as no stage calls the next. So the trace's id follows from the run's.
//! Attributes are those of <https://opentelemetry.io/docs/specs/semconv/registry/attributes/cicd/>.

use domain::ids::RunId;
use domain::stage::{Outcome, StageName};
use opentelemetry::Context;
use opentelemetry::trace::{
    SpanContext, SpanId, Status, TraceContextExt as _, TraceFlags, TraceId, TraceState,
};
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;
use uuid::Uuid;

/// The span of one attempt at a stage.
pub(crate) fn span(run: &RunId, stage: &StageName, attempt: u32) -> Span {
    let span = tracing::info_span!(
        "stage",
        otel.name = %stage,
        run.id = %run,
        stage.name = %stage,
        stage.attempt = attempt,
    );
    span.set_attribute("cicd.pipeline.run.id", run.to_string());
    span.set_attribute("cicd.pipeline.task.name", stage.to_string());
    // Refused only where no collector is named, and then nobody misses it.
    let _ = span.set_parent(Context::new().with_remote_span_context(context(run)));
    span
}

/// Marks the span of an attempt by how it ended.
pub(crate) fn end(span: &Span, outcome: &Outcome) {
    let (result, status) = match outcome {
        Outcome::Succeeded(_) => ("success", Status::Ok),
        Outcome::Skipped { .. } => ("skip", Status::Ok),
        Outcome::Failed(failure) => ("failure", Status::error(failure.reason.clone())),
        Outcome::Errored { failure, .. } => ("error", Status::error(failure.reason.clone())),
        Outcome::Cancelled { .. } => ("cancellation", Status::Unset),
    };
    span.set_attribute("cicd.pipeline.task.run.result", result);
    span.set_status(status);
}

/// What the spans of a run have in common.
fn context(run: &RunId) -> SpanContext {
    let bytes = Uuid::new_v5(&Uuid::NAMESPACE_OID, run.as_str().as_bytes()).into_bytes();
    let mut half = [0; 8];
    half.copy_from_slice(&bytes[8..]);
    SpanContext::new(
        TraceId::from_bytes(bytes),
        SpanId::from_bytes(half),
        TraceFlags::SAMPLED,
        true,
        TraceState::default(),
    )
}

#[cfg(test)]
mod tests {
    use domain::stage::Failure;
    use opentelemetry::trace::TracerProvider as _;
    use opentelemetry_sdk::trace::{InMemorySpanExporter, SdkTracerProvider, SpanData};
    use tracing_subscriber::layer::SubscriberExt as _;

    use super::*;

    fn exported(stages: &[(&str, StageName)]) -> Vec<SpanData> {
        let exporter = InMemorySpanExporter::default();
        let provider = SdkTracerProvider::builder()
            .with_simple_exporter(exporter.clone())
            .build();
        let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer("test"));
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
            for (run, stage) in stages {
                let span = span(&run.parse().expect("an id"), stage, 1);
                end(
                    &span,
                    &Outcome::Failed(Box::new(Failure::because("2 tests failed"))),
                );
            }
        });
        exporter.get_finished_spans().expect("spans")
    }

    #[test]
    fn the_stages_of_a_run_are_one_trace() {
        let (one, two) = ("4cdn0000000000000000000000", "5cdn0000000000000000000000");
        let spans = exported(&[
            (one, StageName::Build),
            (one, StageName::UnitTest),
            (two, StageName::Build),
        ]);
        let trace = |index: usize| spans[index].span_context.trace_id();
        assert_eq!(trace(0), trace(1));
        assert_ne!(trace(0), trace(2));
        assert_ne!(
            spans[0].span_context.span_id(),
            spans[1].span_context.span_id()
        );
        assert_eq!(spans[1].name, "unit-test");
    }

    #[test]
    fn a_red_stage_is_a_red_span() {
        let spans = exported(&[("4cdn0000000000000000000000", StageName::UnitTest)]);
        assert_eq!(spans[0].status, Status::error("2 tests failed"));
    }
}
