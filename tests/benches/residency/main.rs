//! How well it is decided which models are in memory, and how fast: the decisions of the daemon
//! alone, with a clock of their own, so that days pass in seconds and no model is needed.
//! `cargo xtask bench` runs it before everything else.
//!
//!     cargo bench -p airunner-tests --bench residency
//!
//! Prints tables in Markdown, and says if a bar is missed.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a benchmark prints")]

mod bound;
mod decisions;
mod optimum;
mod random;
mod simulator;
mod swapping;

fn main() {
    let swapping = swapping::measure();
    let decisions = decisions::measure();
    if !(swapping && decisions) {
        eprintln!("a bar is missed");
    }
}
