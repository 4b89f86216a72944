//! `airunner-tray`: the icon that shows what the daemon is doing. A thin client of it.

#![cfg_attr(all(windows, not(debug_assertions)), windows_subsystem = "windows")]

use std::ffi::OsString;
use std::io::Write as _;
use std::process::ExitCode;

mod app;
mod arguments;
mod commands;
mod controller;
mod desktop;
mod display;
mod icon;
mod log;
mod question;
mod state;
mod view;

use arguments::{Arguments, HELP};

const USAGE: u8 = 2;

fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    match Arguments::parse(&arguments) {
        Ok(Arguments::Help) => print(HELP),
        Ok(Arguments::Version) => print(concat!("airunner-tray ", env!("CARGO_PKG_VERSION"), "\n")),
        Ok(Arguments::Run(options)) => match display::run(move |stage| app::run(stage, options)) {
            Ok(Ok(())) => ExitCode::SUCCESS,
            Ok(Err(fault)) | Err(fault) => complain(&format!("airunner-tray: {fault}\n"), ExitCode::FAILURE),
        },
        Err(argument) => complain(
            &format!("airunner-tray: {argument} is not understood\n\n{HELP}"),
            ExitCode::from(USAGE),
        ),
    }
}

fn print(text: &str) -> ExitCode {
    let printed = std::io::stdout().write_all(text.as_bytes());
    printed.map_or(ExitCode::FAILURE, |()| ExitCode::SUCCESS)
}

/// Whoever closed standard error does not want to know.
fn complain(text: &str, code: ExitCode) -> ExitCode {
    drop(std::io::stderr().write_all(text.as_bytes()));
    code
}
