use std::io;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

pub(super) fn detach(command: &mut Command) {
    command.current_dir("/");
    #[expect(
        unsafe_code,
        reason = "the standard library has no safe way to start a session in a child"
    )]
    // SAFETY: the closure runs between fork and exec, where only async-signal-safe calls are
    // allowed: setsid is one, and neither it nor the conversion of its error allocates.
    unsafe {
        command.pre_exec(|| rustix::process::setsid().map(drop).map_err(io::Error::from));
    }
}
