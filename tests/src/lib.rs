//! Starts the true daemon on a temporary home and talks to it as a user would.
//!
//! Owns nothing of the product: a [`Home`] is a private `AIRUNNER_HOME`, a [`Daemon`] is a
//! running `airunnerd` in it, [`Cli`] runs `airunner` against it, a [`Hub`] is where it downloads
//! from. Nothing here sleeps and hopes: [`eventually`] waits on a condition and fails with what it saw last.

pub mod bench;
mod binaries;
mod cli;
mod clients;
mod collector;
mod daemon;
pub mod desktop;
mod home;
pub mod http;
mod hub;
mod machine;
mod packages;
mod processes;
mod socket;
mod toasts;
mod wait;
mod wine;
mod wire;
mod xfce;

pub use binaries::{binary, onnxruntime_library, repository};
pub use cli::{Cli, CliOutput};
pub use clients::{Clients, client_daemon, client_models};
pub use collector::{Collector, Told};
pub use daemon::Daemon;
pub use home::Home;
pub use http::{Http, Reply};
pub use hub::{Hub, RemoteFile, Seen, Trouble, noise};
pub use machine::Machines;
pub use packages::{FakeModel, Gate, builtin_directory, parity_packages, testdata};
pub use processes::{children_of, helpers_of, is_alive, send_signal, workers_of};
pub use socket::Socket;
pub use toasts::{BY_THE_USER, FakeDesktop, TIMED_OUT, Toast};
pub use wait::{PATIENCE, eventually, eventually_ok};
pub use wine::Wine;
pub use wire::channel;
pub use xfce::XfceDesktop;
