//! What continuous integration runs.

use crate::workspace::Workspace;
use crate::{lint, test};

/// Lint, then test: the same two steps as `.ci/run`.
pub(crate) fn ci(workspace: &Workspace) -> anyhow::Result<()> {
    lint::lint(workspace, &[])?;
    test::test(workspace, &[])
}
