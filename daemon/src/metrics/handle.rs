//! The way to the numbers.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use airunner_core::generate::Timings;
use airunner_core::usage::UsageEvent;
use airunner_core::{ErrorKind, ModelName};
use prometheus_client::encoding::text;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::counters::Counters;
use super::labels::{Answered, Model, Outcome, Refused, Route, Unloaded};
use super::picture::Picture;

/// Counts, without waiting, from anywhere.
#[derive(Clone)]
pub struct Metrics {
    inner: Arc<Inner>,
}

struct Inner {
    counters: Counters,
    registry: Registry,
}

/// A request over HTTP that has been answered.
#[derive(Clone, Debug, PartialEq)]
pub struct Request<'a> {
    pub family: &'static str,
    pub method: &'a str,
    /// As it is written in the description, with names in place of what the caller put there.
    pub route: &'a str,
    pub status: u16,
    pub took: Duration,
    /// Of the answer's body.
    pub bytes: u64,
}

/// Counts something as open until dropped.
pub struct Open(Gauge);

impl Open {
    fn new(gauge: &Gauge) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.dec();
    }
}

impl Default for Metrics {
    fn default() -> Self {
        let (counters, registry) = Counters::registered();
        Self {
            inner: Arc::new(Inner { counters, registry }),
        }
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

impl Metrics {
    /// A connection, until the guard is dropped.
    #[must_use]
    pub fn connection(&self) -> Open {
        Open::new(&self.inner.counters.connections)
    }

    /// A connection that was closed at once.
    pub fn refused_connection(&self) {
        self.inner.counters.refused_connections.inc();
    }

    /// A request, until the guard is dropped.
    #[must_use]
    pub fn open_request(&self) -> Open {
        Open::new(&self.inner.counters.open_requests)
    }

    pub fn answered(&self, request: &Request<'_>) {
        let counters = &self.inner.counters;
        let (method, route) = (request.method.to_owned(), request.route.to_owned());
        let answered = Answered {
            family: request.family,
            method: method.clone(),
            route: route.clone(),
            status: request.status,
        };
        let route = Route {
            family: request.family,
            method,
            route,
        };
        counters.requests.get_or_create(&answered).inc();
        counters.bytes.get_or_create(&route).inc_by(request.bytes);
        counters
            .seconds
            .get_or_create(&route)
            .observe(request.took.as_secs_f64());
    }

    /// A request that was answered with an error.
    pub fn refused(&self, family: &'static str, kind: ErrorKind) {
        let refused = Refused {
            family,
            reason: kind.reason(),
        };
        self.inner.counters.refusals.get_or_create(&refused).inc();
    }

    /// Something that happened to a model.
    pub fn count(&self, event: &UsageEvent) {
        let counters = &self.inner.counters;
        match event {
            UsageEvent::Loaded { model, took } => {
                let loads = counters.loads.get_or_create(&of(model));
                loads.observe(took.as_secs_f64());
            }
            UsageEvent::LoadFailed { model } => {
                counters.failed_loads.get_or_create(&of(model)).inc();
            }
            UsageEvent::Unloaded { model, reason, .. } => {
                // Which model it made room for is in the log.
                let reason = reason.split(':').next().unwrap_or_default().to_owned();
                let model = model.to_string();
                counters.unloads.get_or_create(&Unloaded { model, reason }).inc();
            }
            UsageEvent::Answered {
                model,
                prompt_tokens,
                completion_tokens,
                failed,
                ..
            } => {
                let tokens = (*prompt_tokens, *completion_tokens);
                self.count_answer(model, tokens, *failed);
            }
        }
    }

    fn count_answer(&self, model: &ModelName, (prompt, completion): (u64, u64), failed: bool) {
        let counters = &self.inner.counters;
        let outcome = match (failed, prompt, completion) {
            (true, ..) => "failed",
            // Whoever left did not hear how long it was.
            (false, 0, 0) => "abandoned",
            (false, ..) => "done",
        };
        let of_model = of(model);
        let model = of_model.model.clone();
        counters.answers.get_or_create(&Outcome { model, outcome }).inc();
        counters.prompt_tokens.get_or_create(&of_model).inc_by(prompt);
        counters
            .completion_tokens
            .get_or_create(&of_model)
            .inc_by(completion);
    }

    /// Where the time of an answer went.
    pub fn time(&self, model: &ModelName, timings: &Timings) {
        let counters = &self.inner.counters;
        let model = of(model);
        let observe = |histogram: &super::counters::Histograms<Model>, value| {
            histogram.get_or_create(&model).observe(value);
        };
        observe(&counters.waits, timings.queue.as_secs_f64());
        observe(&counters.first_tokens, timings.first_token.as_secs_f64());
        if timings.tokens_per_second > 0.0 {
            observe(&counters.speeds, timings.tokens_per_second);
        }
    }

    /// Everything counted, and how things are, as text.
    #[must_use]
    pub fn text(&self, picture: &Picture) -> String {
        let mut written = String::new();
        // Writing to a text cannot fail.
        let _ = text::encode_registry(&mut written, &self.inner.registry);
        let _ = text::encode_registry(&mut written, &picture.registry());
        let _ = text::encode_eof(&mut written);
        written
    }
}

fn of(model: &ModelName) -> Model {
    Model {
        model: model.to_string(),
    }
}
