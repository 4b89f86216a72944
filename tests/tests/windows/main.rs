//! The programs for Windows as their `.msi` installs them, run by Wine.
#![expect(clippy::unwrap_used, reason = "a scenario fails where it stands")]

mod installed;
mod installer;
mod notification_area;
mod upgrade;
