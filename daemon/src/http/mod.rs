//! The HTTP API: one server that speaks the languages of four families of clients.
//!
//! Handlers decode, call a handle of a domain and encode; they decide nothing. What goes wrong
//! is a `Failure`, which is written in the form of the family whose path was
//! asked for, in one place: `family`.

mod answer;
mod anthropic;
mod api;
mod docs;
mod failure;
mod family;
mod guard;
mod native;
mod ollama;
mod openai;
mod paths;
mod payload;
mod router;
mod server;
mod stream;
mod telemetry;

pub use api::{Api, Limits};
pub use server::{Handle, Setting};
