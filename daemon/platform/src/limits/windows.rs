use std::io;

use super::ChildLimits;

/// Windows has no per-process limits of this kind and writes no core files.
pub(super) const fn apply(_limits: &ChildLimits) -> io::Result<()> {
    Ok(())
}
