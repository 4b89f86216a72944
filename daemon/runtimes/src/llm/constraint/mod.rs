//! Answers that keep to a format: which tokens may come next.
//!
//! Owns the vocabulary as llguidance wants it, the grammars of requests and the state of each
//! answer. A grammar is compiled on a thread of its own, the masks of the next tokens are computed
//! on others while the model runs; what costs too much ends its own request and no other.
//!
//! ```ignore
//! let constraints = Constraints::new(&text);                              // once per model; costs nothing yet
//! let constraint = constraints.for_request(&text, &request, &prompt)?;    // once per request; may take seconds
//!
//! let allowed = constraint.allowed()?;                         // before each token
//! let ended = constraint.accept(token)?;                       // after it
//! ```

mod answer;
mod compiled;
mod error;
mod grammar;
mod masks;
mod parameters;
mod request;
#[cfg(test)]
mod tests;
mod tools;
mod vocabulary;

pub(crate) use answer::{Allowed, Constraint};
pub(crate) use vocabulary::Constraints;
