//! Everything about the machine at once.

use airunner_core::hardware::{Hardware, MainMemory};

use crate::{cpu, gpu, memory};

/// Asks the system and every driver anew. Blocks: usually for milliseconds, for some seconds if a
/// driver hangs.
#[must_use]
pub fn probe() -> Hardware {
    let found = gpu::Gpus::default().list();
    let main = memory::Monitor::new().main();
    Hardware {
        platform: std::env::consts::OS.to_owned(),
        cpu: cpu::processor(),
        memory: MainMemory {
            unified: main.unified || found.unified,
            ..main
        },
        gpus: found.gpus,
        notes: found.notes,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_is_described() {
        let hardware = probe();
        assert_eq!(hardware.platform, std::env::consts::OS);
        assert!(hardware.memory.total_bytes > 0);
        assert!(hardware.memory.total_bytes <= hardware.memory.installed_bytes);
        assert!(hardware.memory.available_bytes <= hardware.memory.total_bytes);
        assert!(hardware.cpu.usable_threads > 0);
    }
}
