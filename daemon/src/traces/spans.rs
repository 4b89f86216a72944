//! What is told of a request and of an answer.

use airunner_core::generate::Done;
use airunner_core::{ErrorKind, Fault};
use opentelemetry::trace::{Span as _, Status};
use opentelemetry::{Array, KeyValue, StringValue, Value};
use opentelemetry_sdk::trace::Span;

use super::place::Place;

/// A request over HTTP. It is told when it is dropped.
#[derive(Debug)]
pub struct Asking(Span);

impl Asking {
    pub(super) const fn new(span: Span) -> Self {
        Self(span)
    }

    /// Where it is, for what is done for it.
    #[must_use]
    pub fn place(&self) -> Place {
        Place::of(self.0.span_context())
    }

    /// It has been answered.
    pub fn end(mut self, family: &'static str, status: u16, bytes: u64, id: String) {
        self.0.set_attributes([
            KeyValue::new("http.response.status_code", i64::from(status)),
            KeyValue::new("http.response.body.size", number(bytes)),
            KeyValue::new("airunner.family", family),
            KeyValue::new("airunner.request_id", id),
        ]);
        if status >= 500 {
            self.0.set_status(Status::error(""));
        }
    }
}

/// An answer of a model. It is told when it is dropped; one that was not said to be done was
/// given up by its caller.
#[derive(Debug)]
pub struct Answering {
    span: Span,
    is_over: bool,
}

impl Answering {
    pub(super) const fn new(span: Span) -> Self {
        Self { span, is_over: false }
    }

    /// It is complete.
    pub fn done(&mut self, done: &Done) {
        self.is_over = true;
        let reason = Value::Array(Array::String(vec![StringValue::from(
            done.finish_reason.as_str(),
        )]));
        let (usage, timings) = (done.usage, &done.timings);
        let seconds = |name: &'static str, time: std::time::Duration| KeyValue::new(name, time.as_secs_f64());
        self.span.set_attributes([
            KeyValue::new("gen_ai.response.finish_reasons", reason),
            KeyValue::new("gen_ai.usage.input_tokens", i64::from(usage.prompt_tokens)),
            KeyValue::new("gen_ai.usage.output_tokens", i64::from(usage.completion_tokens)),
            KeyValue::new("airunner.usage.cached_tokens", i64::from(usage.cached_tokens)),
            seconds("airunner.time.queue", timings.queue),
            seconds("airunner.time.load", timings.load),
            seconds("airunner.time.prompt", timings.prompt),
            seconds("airunner.time.first_token", timings.first_token),
            seconds("airunner.time.decode", timings.decode),
        ]);
    }

    /// It failed. The reason is told, the words are not: they may quote the request.
    pub fn failed(&mut self, fault: &Fault) {
        self.is_over = true;
        self.fail(fault.kind);
    }

    fn fail(&mut self, kind: ErrorKind) {
        self.span
            .set_attribute(KeyValue::new("error.type", kind.reason()));
        self.span.set_status(Status::error(kind.reason()));
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        if !self.is_over {
            self.fail(ErrorKind::Cancelled);
        }
    }
}

fn number(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
