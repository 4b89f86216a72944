//! Putting the icon and its menu on the screen, in the way of each desktop.
//!
//! `run` gives the main thread to whoever the system wants to have it and calls the tray's own
//! work; `Display` is what that work shows itself with.

#[cfg(target_os = "linux")]
mod linux;
#[cfg(target_os = "linux")]
use linux as os;

#[cfg(target_os = "macos")]
mod macos;
#[cfg(target_os = "macos")]
use macos as os;
#[cfg(windows)]
mod windows;
#[cfg(windows)]
use windows as os;
#[cfg(any(target_os = "macos", windows))]
mod window_system;

pub(crate) use os::{Display, Stage, run};
