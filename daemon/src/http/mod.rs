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

use airunner_core::status::HttpStatus;
use tokio::task::JoinHandle;

use crate::config::Auth;
use server::Server;
pub use server::{Changer, Setting};

/// What came of starting it.
#[derive(Default)]
pub struct Started {
    /// Serves, until the end is asked for.
    pub task: Option<JoinHandle<()>>,
    pub status: HttpStatus,
    pub changer: Option<Changer>,
}

/// Serves what the settings ask for. Without the HTTP API everything else still works, so what
/// prevents it is told and not fatal.
pub async fn start(setting: Setting<'_>, api: Api) -> Started {
    let Some(address) = setting.settings.listen else {
        return Started::default();
    };
    match Server::bind(address, setting, api).await {
        Ok((server, changer)) => {
            let open = setting.settings.auth == Auth::LoopbackOpen;
            if open {
                tracing::warn!("every program on this machine may call the HTTP API without a key");
            }
            let status = HttpStatus {
                urls: server.urls(),
                open,
                problem: None,
            };
            Started {
                task: Some(tokio::spawn(server.serve())),
                status,
                changer: Some(changer),
            }
        }
        Err(fault) => {
            tracing::error!(reason = %fault.kind, "the HTTP API is not served: {fault}");
            let status = HttpStatus {
                problem: Some(fault.message),
                ..HttpStatus::default()
            };
            Started {
                status,
                ..Started::default()
            }
        }
    }
}
