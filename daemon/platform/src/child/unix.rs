use std::os::fd::{BorrowedFd, FromRawFd as _, OwnedFd, RawFd};

use tokio::process::Command;

pub(super) fn shield_from_terminal(command: &mut Command) {
    command.process_group(0);
}

pub(super) fn close_inherited() {
    /// Standard input, output and error are 0 to 2.
    const LAST_STREAM: RawFd = 2;
    const OPEN: &str = if cfg!(target_os = "linux") {
        "/proc/self/fd"
    } else {
        "/dev/fd"
    };
    let Ok(entries) = std::fs::read_dir(OPEN) else {
        return;
    };
    let names = entries.flatten().map(|entry| entry.file_name());
    // The list is complete, and its own descriptor closed, before the first of them is.
    let descriptors: Vec<RawFd> = names
        .filter_map(|name| name.to_str()?.parse().ok())
        .filter(|descriptor| *descriptor > LAST_STREAM)
        .collect();
    for descriptor in descriptors {
        #[expect(unsafe_code, reason = "the system lists descriptors as numbers")]
        // SAFETY: it is only asked whether it is open; nothing else runs in this process yet.
        let borrowed = unsafe { BorrowedFd::borrow_raw(descriptor) };
        if rustix::io::fcntl_getfd(borrowed).is_ok() {
            #[expect(unsafe_code, reason = "the system lists descriptors as numbers")]
            // SAFETY: it is open, and nobody in this process knows of it: the caller has opened
            // nothing yet.
            drop(unsafe { OwnedFd::from_raw_fd(descriptor) });
        }
    }
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
