//! Which crate may use which, and which module of the daemon may use which: the table of
//! `docs/architecture.md`, held by a check and by a test.

mod crates;
mod modules;
mod paths;

use anyhow::bail;

use super::Outcome;
use crate::workspace::Workspace;

pub(super) fn check(workspace: &Workspace) -> anyhow::Result<Outcome> {
    let complaints = complaints(workspace)?;
    if complaints.is_empty() {
        return Ok(Outcome::Passed);
    }
    bail!("{}", complaints.join("\n"));
}

fn complaints(workspace: &Workspace) -> anyhow::Result<Vec<String>> {
    let mut complaints = crates::complaints(&workspace.metadata()?.packages);
    complaints.extend(modules::complaints(&workspace.root.join("daemon/src"))?);
    Ok(complaints)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_workspace_keeps_to_its_architecture() {
        let workspace = Workspace::find().unwrap();
        assert_eq!(complaints(&workspace).unwrap(), Vec::<String>::new());
    }
}
