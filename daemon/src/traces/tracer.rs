//! Begins what is told.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use airunner_core::{Fault, ModelName};
use opentelemetry::trace::{SpanKind, TraceContextExt as _, Tracer as _, TracerProvider as _};
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{Sampler, SdkTracer, SdkTracerProvider, Span, SpanData, SpanProcessor};
use tokio::sync::{mpsc, oneshot};

use super::export::{Exporter, Message};
use super::place::{Place, current};
use super::spans::{Answering, Asking};

/// Spans that may wait for being told; more are left out.
const WAITING: usize = 2048;

/// Begins spans. The default one begins none.
#[derive(Clone, Default)]
pub struct Tracer(Option<Arc<Inner>>);

struct Inner {
    tracer: SdkTracer,
    sender: mpsc::Sender<Message>,
}

impl fmt::Debug for Tracer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Tracer").field(&self.0.is_some()).finish()
    }
}

/// The tracer, and the actor that tells a collector at this address what was traced.
pub fn start(endpoint: &str) -> Result<(Tracer, Exporter), Fault> {
    let (sender, messages) = mpsc::channel(WAITING);
    let missed = Arc::new(AtomicU64::new(0));
    let queue = Queue {
        sender: sender.clone(),
        missed: Arc::clone(&missed),
    };
    let provider = SdkTracerProvider::builder()
        .with_span_processor(queue)
        // Said explicitly: the environment must not switch it.
        .with_sampler(Sampler::ParentBased(Box::new(Sampler::AlwaysOn)))
        .build();
    let tracer = provider.tracer("airunner");
    let exporter = Exporter::new(endpoint, messages, missed)?;
    Ok((Tracer(Some(Arc::new(Inner { tracer, sender }))), exporter))
}

impl Tracer {
    /// A request over HTTP, which a caller may have begun elsewhere.
    #[must_use]
    pub fn asking(&self, parent: Option<Place>, method: &'static str, route: &str) -> Option<Asking> {
        let attributes = vec![
            KeyValue::new("http.request.method", method),
            KeyValue::new("http.route", route.to_owned()),
        ];
        let span = self.begin(parent, format!("{method} {route}"), SpanKind::Server, attributes)?;
        Some(Asking::new(span))
    }

    /// An answer of a model, for the request that is being worked on.
    #[must_use]
    pub fn answering(&self, model: &ModelName) -> Option<Answering> {
        let attributes = vec![
            KeyValue::new("gen_ai.provider.name", "airunner"),
            KeyValue::new("gen_ai.request.model", model.to_string()),
        ];
        let name = format!("generate {model}");
        let span = self.begin(current(), name, SpanKind::Internal, attributes)?;
        Some(Answering::new(span))
    }

    /// What was traced is told, unless that takes longer than this.
    pub async fn end(&self, patience: Duration) {
        let Some(inner) = &self.0 else { return };
        let (reply, told) = oneshot::channel();
        let tell = async {
            if inner.sender.send(Message::End(reply)).await.is_ok() {
                drop(told.await);
            }
        };
        if tokio::time::timeout(patience, tell).await.is_err() {
            tracing::debug!("the last traces could not be told in time");
        }
    }

    fn begin(
        &self,
        parent: Option<Place>,
        name: String,
        kind: SpanKind,
        attributes: Vec<KeyValue>,
    ) -> Option<Span> {
        let tracer = &self.0.as_ref()?.tracer;
        let context = match parent {
            Some(place) => Context::new().with_remote_span_context(place.context()),
            None => Context::new(),
        };
        let builder = tracer
            .span_builder(name)
            .with_kind(kind)
            .with_attributes(attributes);
        Some(builder.start_with_context(tracer, &context))
    }
}

/// Passes on what has ended, without waiting.
#[derive(Debug)]
struct Queue {
    sender: mpsc::Sender<Message>,
    missed: Arc<AtomicU64>,
}

impl SpanProcessor for Queue {
    fn on_start(&self, _span: &mut Span, _context: &Context) {}

    fn on_end(&self, span: SpanData) {
        if self.sender.try_send(Message::Span(Box::new(span))).is_err() {
            self.missed.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _timeout: Duration) -> OTelSdkResult {
        Ok(())
    }
}
