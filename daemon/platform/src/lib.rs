//! What AI Runner asks of the operating system.
//!
//! One facade per topic, with a file per operating system behind it where they differ; callers
//! never see a `cfg`. Decides nothing about models and knows no wire language.

pub mod bandwidth;
pub mod child;
pub mod cpu;
pub mod detached;
pub mod disk;
pub mod endpoint;
pub mod exit;
pub mod files;
pub mod gpu;
pub mod hardware;
pub mod host;
pub mod installation;
pub mod instance;
pub mod io_error;
pub mod limits;
pub mod memory;
pub mod notify;
pub mod open;
pub mod parent;
pub mod places;
pub mod portable_executable;
pub mod power;
pub mod pressure;
pub mod private;
pub mod process;
pub mod service;
pub mod signals;
pub mod supervision;
pub mod suspend;
mod text;
pub mod visual_cpp;

pub use detached::Detached;
pub use endpoint::{Arrivals, Connection, Endpoint, Listener, Peer, connect};
pub use host::host_name;
pub use installation::Installation;
pub use instance::{InstanceLock, LockError};
pub use limits::ChildLimits;
pub use places::{HOME_VARIABLE, Places, PlacesError};
pub use signals::{Signal, Signals};
pub use visual_cpp::VisualCpp;
