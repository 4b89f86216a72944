//! One file per command: its arguments and what it does.

pub(crate) mod bench;
pub(crate) mod chat;
pub(crate) mod completions;
pub(crate) mod doctor;
pub(crate) mod downloads;
pub(crate) mod first_run;
pub(crate) mod free;
pub(crate) mod hardware;
pub(crate) mod keys;
pub(crate) mod load;
pub(crate) mod logs;
pub(crate) mod man;
pub(crate) mod memory;
pub(crate) mod models;
pub(crate) mod notify;
mod outdated;
pub(crate) mod pause;
pub(crate) mod ps;
pub(crate) mod restart;
pub(crate) mod resume;
pub(crate) mod service;
pub(crate) mod settings;
pub(crate) mod start;
pub(crate) mod stats;
pub(crate) mod status;
pub(crate) mod stop;
pub(crate) mod unload;
