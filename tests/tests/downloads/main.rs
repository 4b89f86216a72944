//! Fetching models from a hub, as users do it, with everything that can go wrong.

#![expect(clippy::unwrap_used, reason = "a scenario fails where it stands")]

mod crashes;
mod disk;
mod faults;
mod packages;
mod requests;
mod support;
