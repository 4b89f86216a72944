//! Everything a fresh machine needs before the programs can run; nothing the second time.

mod models;
mod onnxruntime;
mod system;

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
