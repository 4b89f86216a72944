use airunner_core::hardware::ProcessMemory;
use sysinfo::{Pid, ProcessRefreshKind, ProcessesToUpdate, System};

/// These systems do not say cheaply what of it is mapped files, so all of it counts as private.
pub(super) fn memory(pid: u32) -> Option<ProcessMemory> {
    let pid = Pid::from_u32(pid);
    let mut system = System::new().ok()?;
    let memory = ProcessRefreshKind::nothing().with_memory();
    system.refresh_processes_specifics(ProcessesToUpdate::Some(&[pid]), true, memory);
    let resident = system.process(pid)?.memory();
    Some(ProcessMemory {
        resident_bytes: resident,
        private_bytes: resident,
        peak_bytes: resident,
    })
}

pub(super) const fn program_was_replaced(_pid: u32) -> bool {
    false
}
