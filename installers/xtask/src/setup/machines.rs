//! What the tests of packages and of whole systems use. They are left out where it is missing, so
//! nobody has to be root to run the others.

use super::system::{self, Tool};
use crate::say;

const TOOLS: [Tool; 9] = [
    ("debootstrap", "debootstrap"),
    ("systemd-nspawn", "systemd-container"),
    ("dpkg-shlibdeps", "dpkg-dev"),
    ("lintian", "lintian"),
    ("rpmbuild", "rpm"),
    ("mksquashfs", "squashfs-tools"),
    ("xz", "xz-utils"),
    ("wixl", "wixl"),
    ("desktop-file-validate", "desktop-file-utils"),
];

pub(super) fn stage() -> anyhow::Result<()> {
    match system::missing(&TOOLS) {
        missing if missing.is_empty() => Ok(()),
        missing if system::can_install() => system::install("what tests packages", &missing),
        missing => {
            say::note(&format!(
                "tests of packages and of booted machines are left out: they take root and {}",
                missing.join(", ")
            ));
            Ok(())
        }
    }
}
