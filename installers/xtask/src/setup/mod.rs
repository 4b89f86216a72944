//! Everything a fresh machine needs before the programs can run; nothing the second time.

mod benchmarks;
mod clients;
mod desktop;
mod environment;
mod machines;
mod models;
mod onnxruntime;
mod system;

pub(crate) use benchmarks::{kept, llama_cpp, package};
pub(crate) use models::files_below;
pub(crate) use onnxruntime::{Shipped, shipped as shipped_onnxruntime};
pub(crate) use system::{Tool, python_with_pip, require_tools, require_windows_compiler};

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

/// What only the tests of the tray need, where it can be had.
pub(crate) fn desktop() -> anyhow::Result<()> {
    desktop::stage()
}

/// What only the tests of packages and of booted machines need, where it can be had.
pub(crate) fn machines() -> anyhow::Result<()> {
    machines::stage()
}
