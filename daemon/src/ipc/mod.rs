//! The local socket: gRPC in, one handle call, gRPC out.
//!
//! Owns the server, its limits and its end. Handlers decode, call and encode; they decide nothing.

mod catalog;
mod connection;
mod control;
mod downloads;
mod echo;
mod hardware;
mod keys;
mod llm;
mod models;
mod notifications;
mod server;
mod settings;
mod stream;

pub use connection::incoming;
pub use control::About;
pub use echo::Echo;
pub use server::{Server, Services};
pub use settings::answer_offline;
