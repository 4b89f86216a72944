use airunner_core::hardware::MainMemory;
use sysinfo::System;

/// The system's own figures; it has no control groups.
#[derive(Debug, Default)]
pub(super) struct Main {
    system: Option<System>,
}

impl Main {
    pub(super) fn read(&mut self) -> MainMemory {
        if self.system.is_none() {
            self.system = System::new().ok();
        }
        let Some(system) = &mut self.system else {
            return MainMemory::default();
        };
        system.refresh_memory();
        let total = system.total_memory();
        MainMemory {
            total_bytes: total,
            available_bytes: system.available_memory().min(total),
            installed_bytes: total,
            cgroup_limit_bytes: None,
            unified: cfg!(all(target_os = "macos", target_arch = "aarch64")),
        }
    }
}
