use tokio::process::Command;

pub(super) fn shield_from_terminal(command: &mut Command) {
    command.process_group(0);
}

pub(super) fn volunteer_when_memory_runs_out() {
    /// Half of the scale, added to what the process really uses.
    const ADJUSTMENT: &str = "500";
    if cfg!(target_os = "linux")
        && let Err(error) = std::fs::write("/proc/self/oom_score_adj", ADJUSTMENT)
    {
        tracing::debug!(%error, "cannot volunteer for the out-of-memory killer");
    }
}

pub(super) fn yield_to_others() {
    /// The least of all.
    const NICENESS: i32 = 19;
    if let Err(error) = rustix::process::nice(NICENESS) {
        tracing::debug!(%error, "the priority stays as it is");
    }
}

/// `exit` would run the destructors of native libraries while their threads still use them.
pub(super) fn end_at_once() -> ! {
    let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
    std::process::abort()
}
