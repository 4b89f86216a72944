use std::path::{Path, PathBuf};

use airunner_core::{ErrorKind, Fault};
use clap::{Args, CommandFactory as _};
use clap_mangen::Man as Page;
use serde_json::json;

use crate::arguments::Cli;
use crate::failure::Failure;
use crate::run::Context;

#[derive(Debug, Args)]
pub(crate) struct Man {
    /// Write the page of every command to this directory.
    #[arg(long)]
    dir: Option<PathBuf>,
}

impl Man {
    pub(crate) fn run(self, context: &Context) -> Result<(), Failure> {
        match self.dir {
            Some(directory) => write_all(&directory, context),
            None => print(context),
        }
    }
}

fn print(context: &Context) -> Result<(), Failure> {
    let mut page = Vec::new();
    Page::new(Cli::command())
        .render(&mut page)
        .map_err(Failure::internal)?;
    let page = String::from_utf8(page).map_err(Failure::internal)?;
    if context.output.is_json() {
        return context.output.value(&json!({ "page": page }));
    }
    context.output.answer(&page)
}

fn write_all(directory: &Path, context: &Context) -> Result<(), Failure> {
    let failed = |error: std::io::Error| {
        Fault::new(
            ErrorKind::NotFound,
            format!("cannot write to {}: {error}", directory.display()),
        )
    };
    std::fs::create_dir_all(directory).map_err(failed)?;
    clap_mangen::generate_to(Cli::command(), directory).map_err(failed)?;
    if context.output.is_json() {
        return context.output.value(&json!({ "directory": directory }));
    }
    context
        .output
        .line(&format!("The manual pages are in {}", directory.display()))
}
