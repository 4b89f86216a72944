//! What changed, in the forms that package managers show.

use std::fs;

use anyhow::Context;

use super::metadata::{MAINTAINER, Release};
use crate::workspace::Workspace;

/// The change log of the program.
pub(super) fn of_workspace(workspace: &Workspace) -> anyhow::Result<String> {
    fs::read_to_string(workspace.root.join("CHANGELOG.md")).context("cannot read CHANGELOG.md")
}

/// That of the Debian package, which has nothing to say for itself.
pub(super) fn debian(release: &Release) -> anyhow::Result<String> {
    Ok(format!(
        "airunner ({}) unstable; urgency=medium\n\n  \
         * AI Runner {}. What changed is in changelog.gz beside this file.\n\n \
         -- {MAINTAINER}  {}\n",
        release.full(),
        release.upstream(),
        release.date("%a, %d %b %Y %H:%M:%S +0000")?
    ))
}

#[cfg(test)]
mod tests {
    use super::super::materials::sample;
    use super::*;

    #[test]
    fn the_debian_change_log_has_its_fixed_form() {
        let text = debian(&sample().release).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "airunner (1.2.3-1) unstable; urgency=medium");
        assert!(lines[2].starts_with("  * AI Runner 1.2.3."), "{text}");
        assert!(lines[4].starts_with(" -- The AI Runner developers <"), "{text}");
        assert!(lines[4].ends_with("+0000"), "{text}");
    }
}
