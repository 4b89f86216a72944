use std::io;

use rustix::process::{Signal, set_parent_process_death_signal};

/// The kernel acts when the *thread* that started this process ends, so the parent must start
/// its children from a thread that lives as long as it does.
pub(super) fn die_with_parent() -> io::Result<()> {
    Ok(set_parent_process_death_signal(Some(Signal::KILL))?)
}
