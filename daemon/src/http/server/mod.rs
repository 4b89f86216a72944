//! The listeners, and what every connection is held to.

mod bind;
mod candidate;
mod certificate;
mod connection;
mod door;
mod handle;
mod io;
mod moved;
mod owner;
mod progress;
mod rooms;
mod shared;
mod tls;
mod upgraded;

pub use handle::{Handle, Setting};
pub(super) use moved::Moved;
pub(super) use upgraded::Upgraded;
