//! Where in a trace something happens.

use opentelemetry::trace::{SpanContext, TraceFlags, TraceState};

/// A place in a trace, as <https://www.w3.org/TR/trace-context/> describes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    pub trace: u128,
    pub span: u64,
    pub flags: u8,
}

impl Place {
    pub(super) fn of(context: &SpanContext) -> Self {
        Self {
            trace: u128::from_be_bytes(context.trace_id().to_bytes()),
            span: u64::from_be_bytes(context.span_id().to_bytes()),
            flags: context.trace_flags().to_u8(),
        }
    }

    pub(super) fn context(self) -> SpanContext {
        let flags = TraceFlags::new(self.flags);
        SpanContext::new(self.trace.into(), self.span.into(), flags, true, TraceState::NONE)
    }
}

tokio::task_local! {
    static PLACE: Place;
}

/// Does the work in that place, so that what it asks for belongs to the same trace. Tasks it
/// begins are told themselves.
pub async fn within<T>(place: Option<Place>, work: impl Future<Output = T>) -> T {
    match place {
        Some(place) => PLACE.scope(place, work).await,
        None => work.await,
    }
}

/// The place of the work that asks.
#[must_use]
pub fn current() -> Option<Place> {
    PLACE.try_with(|place| *place).ok()
}
