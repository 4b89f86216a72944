//! The snap, as far as it can be looked at without snapd.

use std::process::Command;

use crate::support::{EVERYWHERE, has_programs, listing, package_made_twice, successful};

#[test]
fn a_snap_holds_its_declaration_and_everything_that_it_names() {
    if !has_programs(&["mksquashfs", "unsquashfs"]) {
        return;
    }
    let one = package_made_twice("snap");

    let root = one.output.join("root");
    successful(
        Command::new("unsquashfs")
            .args(["-no-progress", "-dest"])
            .arg(&root)
            .arg(&one.path),
    );
    let found = listing(&root);
    for wanted in EVERYWHERE.into_iter().chain(["644 f meta/snap.yaml"]) {
        assert!(found.iter().any(|line| line == wanted), "{wanted} in {found:#?}");
    }
    let declaration = std::fs::read_to_string(root.join("meta/snap.yaml")).unwrap();
    assert!(declaration.contains("\nconfinement: strict\n"), "{declaration}");
    for line in declaration.lines() {
        let named = ["command: ", "completer: ", "desktop: "]
            .iter()
            .find_map(|key| line.trim().strip_prefix(key));
        if let Some(path) = named {
            assert!(root.join(path).is_file(), "{path} of {declaration}");
        }
    }
}
