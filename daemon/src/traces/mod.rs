//! Traces of requests, for whoever collects them with OpenTelemetry; off unless an address is set.
//!
//! Owns what is told of a request: its route, its outcome, which model answered it, how many
//! tokens and how long each part took. Nothing of what was asked or answered, no key, no address
//! of a caller. Telling it never holds a request up: what there is no room for is left out.

mod export;
mod place;
mod spans;
mod tracer;

#[cfg(test)]
mod tests;

pub use export::Exporter;
pub use place::{Place, current, within};
pub use spans::{Answering, Asking};
pub use tracer::{Tracer, start};
