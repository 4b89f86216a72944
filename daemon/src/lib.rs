//! The AI Runner daemon and its workers.
//!
//! `app` puts everything together. Clients come in through `ipc`, which calls the handles of
//! `inference` and `models`; these use `workers`, the daemon's view of its child processes.
//! `worker` is the body of such a child. Settings are read in `config` and passed down.

pub mod activities;
pub mod app;
pub mod catalog;
pub mod config;
pub mod conversations;
pub mod downloads;
pub mod events;
pub mod hardware;
pub mod heart;
pub mod http;
pub mod inference;
pub mod ipc;
pub mod jobs;
pub mod keys;
pub mod logging;
pub mod metrics;
pub mod models;
pub mod notifications;
pub mod pause;
pub mod power;
pub mod prepack;
pub mod quantize;
pub mod responses;
pub mod settings;
pub mod shutdown;
pub mod spilled;
pub mod storage;
pub mod traces;
pub mod usage;
pub mod worker;
pub mod workers;
