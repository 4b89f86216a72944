//! The HTTP API, through true daemons.

#![expect(clippy::unwrap_used, reason = "a scenario fails where it stands")]

mod anthropic;
mod fair_queue;
mod health;
mod live;
mod native_chat;
mod native_conversations;
mod native_jobs;
mod native_machine;
mod native_socket;
mod ollama;
mod openai;
mod openapi;
mod security_abuse;
mod security_keys;
mod security_network;
mod security_origin;
mod security_owners;
mod security_revocation;
mod telemetry;
mod traces;
