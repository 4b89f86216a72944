//! What is counted, by its name.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use super::labels::{Answered, Model, Outcome, Refused, Route, Unloaded};

pub(super) type Histograms<L> = Family<L, Histogram, fn() -> Histogram>;

/// Seconds: from an answer without a model to one of ten minutes.
const SECONDS: [f64; 14] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0, 120.0, 600.0,
];
/// Tokens in a second: from a large model on a slow machine to a small one on a fast machine.
const SPEEDS: [f64; 11] = [
    1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0, 5000.0,
];

fn seconds() -> Histogram {
    Histogram::new(SECONDS)
}

fn speeds() -> Histogram {
    Histogram::new(SPEEDS)
}

pub(super) struct Counters {
    pub(super) requests: Family<Answered, Counter>,
    pub(super) seconds: Histograms<Route>,
    pub(super) bytes: Family<Route, Counter>,
    pub(super) refusals: Family<Refused, Counter>,
    pub(super) open_requests: Gauge,
    pub(super) connections: Gauge,
    pub(super) refused_connections: Counter,
    pub(super) answers: Family<Outcome, Counter>,
    pub(super) prompt_tokens: Family<Model, Counter>,
    pub(super) completion_tokens: Family<Model, Counter>,
    pub(super) waits: Histograms<Model>,
    pub(super) first_tokens: Histograms<Model>,
    pub(super) speeds: Histograms<Model>,
    pub(super) loads: Histograms<Model>,
    pub(super) failed_loads: Family<Model, Counter>,
    pub(super) unloads: Family<Unloaded, Counter>,
}

impl Counters {
    /// The counters, and what writes them down.
    pub(super) fn registered() -> (Self, Registry) {
        let counters = Self {
            requests: Family::default(),
            seconds: Family::new_with_constructor(seconds),
            bytes: Family::default(),
            refusals: Family::default(),
            open_requests: Gauge::default(),
            connections: Gauge::default(),
            refused_connections: Counter::default(),
            answers: Family::default(),
            prompt_tokens: Family::default(),
            completion_tokens: Family::default(),
            waits: Family::new_with_constructor(seconds),
            first_tokens: Family::new_with_constructor(seconds),
            speeds: Family::new_with_constructor(speeds),
            loads: Family::new_with_constructor(seconds),
            failed_loads: Family::default(),
            unloads: Family::default(),
        };
        let mut registry = Registry::with_prefix("airunner");
        counters.register_http(&mut registry);
        counters.register_models(&mut registry);
        (counters, registry)
    }

    fn register_http(&self, registry: &mut Registry) {
        registry.register("http_requests", "Answered requests", self.requests.clone());
        registry.register_with_unit(
            "http_request",
            "From the head of a request to the end of its answer",
            Unit::Seconds,
            self.seconds.clone(),
        );
        registry.register_with_unit(
            "http_response",
            "Bodies of answers",
            Unit::Bytes,
            self.bytes.clone(),
        );
        registry.register(
            "http_refusals",
            "Requests that were answered with an error, by its reason",
            self.refusals.clone(),
        );
        registry.register(
            "http_open_requests",
            "Requests whose answer has not ended",
            self.open_requests.clone(),
        );
        registry.register(
            "http_connections",
            "Connections that are open",
            self.connections.clone(),
        );
        registry.register(
            "http_refused_connections",
            "Connections that were closed because there were too many",
            self.refused_connections.clone(),
        );
    }

    fn register_models(&self, registry: &mut Registry) {
        registry.register(
            "answers",
            "Answers of models, however they were asked for",
            self.answers.clone(),
        );
        registry.register("prompt_tokens", "Tokens read", self.prompt_tokens.clone());
        registry.register(
            "completion_tokens",
            "Tokens written",
            self.completion_tokens.clone(),
        );
        let mut timed = |name, help, histograms: &Histograms<Model>| {
            registry.register_with_unit(name, help, Unit::Seconds, histograms.clone());
        };
        timed("queue", "Waiting for a place, without loading", &self.waits);
        timed(
            "time_to_first_token",
            "From a request's arrival to its first token",
            &self.first_tokens,
        );
        timed("load", "Loads that succeeded", &self.loads);
        registry.register(
            "tokens_per_second",
            "Tokens written in a second, of each answer",
            self.speeds.clone(),
        );
        registry.register("failed_loads", "Loads that failed", self.failed_loads.clone());
        registry.register(
            "unloads",
            "Unloads and evictions, by their reason",
            self.unloads.clone(),
        );
    }
}
