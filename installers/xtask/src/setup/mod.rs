//! Everything a fresh machine needs before the programs can run; nothing the second time.

mod benchmarks;
mod clients;
mod environment;
mod models;
mod onnxruntime;
mod system;

pub(crate) use benchmarks::{kept, llama_cpp, package};
pub(crate) use system::{python_with_pip, require_windows_compiler};

use crate::say;
use crate::workspace::Workspace;

/// Does what is missing and says so.
pub(crate) fn all(workspace: &Workspace) -> anyhow::Result<()> {
    say::step("set-up");
    system::require_compiler()?;
    onnxruntime::stage(workspace)?;
    models::stage(workspace)?;
    Ok(())
}

/// What only the tests of the HTTP API need: client libraries, and a browser.
pub(crate) fn clients(workspace: &Workspace) -> anyhow::Result<()> {
    clients::stage(workspace)
}
