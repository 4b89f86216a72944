//! The tray against the true daemon, on a session bus of its own: the menu is read and clicked
//! as a desktop does it, and what was clicked happens.

#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a scenario fails where it stands")]

mod alone;
mod clicks;
mod hosts;
mod lives;
mod notices;
mod panel;
mod support;
