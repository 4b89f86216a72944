//! Tells a collector what was traced.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use airunner_core::{Fault, chain};
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{SpanData, SpanExporter as _};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, timeout, timeout_at};

/// Spans told at once.
const BATCH: usize = 512;
/// From the first span to the telling.
const PAUSE: Duration = Duration::from_secs(1);
/// How long the collector may take.
const PATIENCE: Duration = Duration::from_secs(10);

pub(super) enum Message {
    Span(Box<SpanData>),
    /// Answered when everything before it was told, or could not be.
    End(oneshot::Sender<()>),
}

/// Tells, batch by batch. Nobody waits for it.
#[derive(Debug)]
pub struct Exporter {
    exporter: SpanExporter,
    messages: mpsc::Receiver<Message>,
    /// Spans there was no room for.
    pub(super) missed: Arc<AtomicU64>,
    /// The last batch could not be told.
    is_failing: bool,
}

impl Exporter {
    pub(super) fn new(
        endpoint: &str,
        messages: mpsc::Receiver<Message>,
        missed: Arc<AtomicU64>,
    ) -> Result<Self, Fault> {
        let mut exporter = SpanExporter::builder()
            .with_http()
            .with_protocol(Protocol::HttpBinary)
            .with_http_client(client()?)
            .with_endpoint(endpoint)
            .with_timeout(PATIENCE)
            .build()
            .map_err(|error| Fault::internal(format!("traces cannot be told: {}", chain(&error))))?;
        let service = Resource::builder_empty()
            .with_service_name("airunner")
            .with_attribute(opentelemetry::KeyValue::new(
                "service.version",
                env!("CARGO_PKG_VERSION"),
            ));
        exporter.set_resource(&service.build());
        Ok(Self {
            exporter,
            messages,
            missed,
            is_failing: false,
        })
    }

    /// Until it is told to end, or every tracer is gone.
    pub async fn run(mut self) {
        let (mut messages, mut is_over) = (Vec::new(), false);
        while !is_over {
            is_over = self.gather(&mut messages).await;
            let (mut spans, mut ends) = (Vec::new(), Vec::new());
            for message in messages.drain(..) {
                match message {
                    Message::Span(span) => spans.push(*span),
                    Message::End(reply) => ends.push(reply),
                }
            }
            is_over |= !ends.is_empty();
            if !spans.is_empty() {
                self.tell(spans).await;
            }
            for reply in ends {
                // Whoever waited may have given up.
                let _ = reply.send(());
            }
        }
    }

    /// A batch; true if none comes after it.
    async fn gather(&mut self, messages: &mut Vec<Message>) -> bool {
        if self.messages.recv_many(messages, BATCH).await == 0 {
            return true;
        }
        let deadline = Instant::now() + PAUSE;
        let ends = |message: &Message| matches!(message, Message::End(_));
        while messages.len() < BATCH && !messages.iter().any(ends) {
            let room = BATCH - messages.len();
            match timeout_at(deadline, self.messages.recv_many(messages, room)).await {
                Ok(0) => return true,
                Ok(_) => {}
                Err(_) => break,
            }
        }
        false
    }

    async fn tell(&mut self, spans: Vec<SpanData>) {
        let missed = self.missed.swap(0, Ordering::Relaxed);
        if missed > 0 {
            tracing::warn!(missed, "traces were left out: the collector is too slow or away");
        }
        let count = spans.len();
        let told = timeout(PATIENCE, self.exporter.export(spans)).await;
        let problem = match told {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(chain(&error)),
            Err(_) => Some(format!("it took longer than {} s", PATIENCE.as_secs())),
        };
        match (&problem, self.is_failing) {
            (Some(problem), false) => {
                tracing::warn!(count, problem, "traces cannot be told to the collector")
            }
            (Some(problem), true) => {
                tracing::debug!(count, problem, "traces cannot be told to the collector")
            }
            (None, true) => tracing::info!("traces are told to the collector again"),
            (None, false) => tracing::trace!(count, "traces were told"),
        }
        self.is_failing = problem.is_some();
    }
}

fn client() -> Result<reqwest::Client, Fault> {
    // Whoever was first has installed the same.
    drop(rustls::crypto::ring::default_provider().install_default());
    reqwest::Client::builder()
        .user_agent(concat!("airunner/", env!("CARGO_PKG_VERSION")))
        .redirect(reqwest::redirect::Policy::none())
        .referer(false)
        .no_proxy()
        .timeout(PATIENCE)
        .build()
        .map_err(|error| Fault::internal(format!("traces cannot be told: {}", chain(&error))))
}
