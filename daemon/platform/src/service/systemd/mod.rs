//! The user's own systemd.

mod manager;
mod quote;
mod show;
mod units;

pub(super) use manager::Systemd;
pub use units::{SERVICE_UNIT, SOCKET_UNIT, service_unit, socket_unit};

#[cfg(test)]
mod manager_tests;
#[cfg(test)]
mod unit_tests;
