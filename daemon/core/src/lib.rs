//! The vocabulary and the decisions of AI Runner.
//!
//! Everything here is a value or a pure function: same input, same answer. No file, socket,
//! clock, environment or thread is touched; time is an argument ([`Moment`]).

pub mod access;
pub mod activity;
pub mod amount;
pub mod breaker;
pub mod catalog;
pub mod chat;
pub mod conversation;
pub mod cores;
pub mod defaults;
pub mod download;
pub mod error;
pub mod event;
pub mod fairness;
pub mod generate;
pub mod hardware;
pub mod job;
pub mod keep_alive;
pub mod lifecycle;
pub mod memory;
pub mod model;
pub mod name;
pub mod notification;
pub mod pause;
pub mod pickle;
pub mod power;
pub mod priority;
pub mod quantize;
pub mod residency;
pub mod settings;
pub mod status;
pub mod time;
pub mod tokenize;
pub mod usage;

pub use breaker::CrashBreaker;
pub use error::{ErrorKind, Fault, chain};
pub use keep_alive::KeepAlive;
pub use name::ModelName;
pub use priority::Priority;
pub use time::Moment;

/// Version of the wire language; raised when an old client can no longer talk to a new daemon.
pub const PROTOCOL_VERSION: u32 = 1;
