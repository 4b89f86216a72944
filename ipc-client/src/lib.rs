//! Talks to the AI Runner daemon of the same user, in the domain types of `airunner-core`.
//!
//! ```no_run
//! # async fn example() -> Result<(), airunner_core::Fault> {
//! use airunner_core::generate::{GenerateEvent, GenerateRequest, Input};
//! use airunner_core::ModelName;
//! use airunner_ipc_client::Client;
//!
//! let client = Client::connect_or_start().await?;
//! let prompt = Input::Raw("Once upon a time".to_owned());
//! let mut events = client.llm().generate(GenerateRequest::new(ModelName::new("tiny")?, prompt)).await?;
//! while let Some(event) = events.next().await {
//!     if let GenerateEvent::Text(delta) = event? {
//!         println!("{}", delta.text);
//!     }
//! }
//! # Ok(())
//! # }
//! ```
//!
//! Owns the connection, finding and starting the daemon ([`Starter`]), and following its state
//! ([`Watch`]). No wire type leaves this crate: every method takes and returns domain types and
//! every error is a [`Fault`](airunner_core::Fault). Dropping a stream cancels what it belongs to.

#![warn(missing_docs)]

mod answer;
mod catalog;
mod channel;
mod client;
mod comeback;
mod control;
mod downloads;
mod end;
mod events;
mod hardware;
mod keys;
mod llm;
pub mod log_line;
mod models;
mod notifications;
mod present;
mod reservation;
mod settings;
mod start;
mod watch;

pub use airunner_platform::{Endpoint, Places};
pub use answer::{Answer, AnswerBuilder, CalledTool};
pub use catalog::Catalog;
pub use client::Client;
pub use control::Control;
pub use downloads::Downloads;
pub use end::wait_for_end;
pub use events::Events;
pub use hardware::Hardware;
pub use keys::Keys;
pub use llm::Llm;
pub use models::Models;
pub use notifications::Notifications;
pub use present::present;
pub use reservation::Reservation;
pub use settings::{OfflineSettings, Settings};
pub use start::{DaemonWas, Starter};
pub use watch::{Update, Watch};
