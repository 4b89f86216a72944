//! The user's agents on macOS.

mod manager;
mod plist;

pub(super) use manager::Launchd;
pub use plist::{LABEL, property_list};
pub(super) use plist::{TRAY_LABEL, tray_property_list};
