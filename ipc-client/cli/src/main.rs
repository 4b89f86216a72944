//! The `airunner` command: a thin client of the daemon.

use std::process::ExitCode;

mod arguments;
mod commands;
mod connection;
mod control_characters;
mod environment;
mod failure;
mod interrupt;
mod output;
mod progress;
mod run;
mod system;
mod table;
mod units;
mod value;
mod views;

fn main() -> ExitCode {
    run::run(std::env::args_os().collect())
}
