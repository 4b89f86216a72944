//! Packages as `cargo xtask package` makes them of the programs of this build: what is in them, who
//! owns it, and that two of the same commit are the same. `tests/boot` installs and runs them.
#![expect(clippy::unwrap_used, reason = "a scenario fails where it stands")]
#![expect(clippy::print_stderr, reason = "what is left out says so")]

mod bill;
mod debian;
mod portable;
mod snap;
mod support;
