//! Child processes that belong to this one.

use tokio::process::Command;

#[cfg(unix)]
mod unix;
#[cfg(unix)]
use unix as os;
#[cfg(windows)]
mod windows;
#[cfg(windows)]
use windows as os;

/// Keeps keys such as Ctrl-C, which the terminal sends to a whole group of processes, away from
/// the child: its parent ends it in good order.
pub fn shield_from_terminal(command: &mut Command) {
    os::shield_from_terminal(command);
}

/// Closes what this process has of its parent beside the standard streams. The parent's files are
/// closed to children, but for those that came over a socket a moment before one was started: a
/// child that kept such a one, as that which forbids the machine to sleep, would hold it for life.
///
/// To be called before anything else is opened.
pub fn close_inherited() {
    os::close_inherited();
}

/// Makes this process the one the system should end first when memory runs out.
pub fn volunteer_when_memory_runs_out() {
    os::volunteer_when_memory_runs_out();
}

/// Lets every other process go first, for work that nobody waits for.
pub fn yield_to_others() {
    os::yield_to_others();
}

/// Ends this process without running anything: for when orderly ways have failed.
pub fn end_at_once() -> ! {
    os::end_at_once()
}
