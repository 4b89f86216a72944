use tokio::process::Command;

const CREATE_NEW_PROCESS_GROUP: u32 = 0x0000_0200;
const CREATE_NO_WINDOW: u32 = 0x0800_0000;

pub(super) fn shield_from_terminal(command: &mut Command) {
    command.creation_flags(CREATE_NEW_PROCESS_GROUP | CREATE_NO_WINDOW);
}

/// Children are started with the standard streams alone.
pub(super) const fn close_inherited() {}

pub(super) const fn volunteer_when_memory_runs_out() {}

pub(super) const fn yield_to_others() {}

pub(super) fn end_at_once() -> ! {
    std::process::abort()
}
