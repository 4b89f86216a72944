//! `/proc/meminfo`, and the limits of the control groups this process is in.

use std::fs;
use std::path::PathBuf;

use airunner_core::hardware::MainMemory;

mod cgroup;
mod meminfo;
mod zones;

pub(crate) use cgroup::{Groups, Version};
use meminfo::Installed;

/// Main memory as this process may use it.
#[derive(Debug)]
pub(super) struct Main {
    process_files: PathBuf,
    groups: Groups,
}

impl Default for Main {
    fn default() -> Self {
        Self {
            process_files: PathBuf::from("/proc"),
            groups: Groups::default(),
        }
    }
}

impl Main {
    pub(super) fn read(&mut self) -> MainMemory {
        let text = fs::read_to_string(self.process_files.join("meminfo")).unwrap_or_default();
        self.groups.refresh(&self.process_files);
        let installed = Installed::parse(&text).with_free(self.bytes_at_hand());
        limited(installed, &self.groups.limits())
    }

    fn bytes_at_hand(&self) -> u64 {
        let zones = fs::read_to_string(self.process_files.join("zoneinfo")).unwrap_or_default();
        zones::pages_at_hand(&zones).saturating_mul(rustix::param::page_size() as u64)
    }
}

/// One group's limit and what its processes hold that cannot be dropped, bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Limit {
    bytes: u64,
    held_bytes: u64,
}

/// The tightest of everything applies.
fn limited(installed: Installed, limits: &[Limit]) -> MainMemory {
    let tightest = limits
        .iter()
        .map(|limit| limit.bytes)
        .filter(|bytes| *bytes < installed.total_bytes)
        .min();
    let total = tightest.unwrap_or(installed.total_bytes);
    let available = limits
        .iter()
        .map(|limit| limit.bytes.saturating_sub(limit.held_bytes))
        .fold(installed.available_bytes, u64::min);
    MainMemory {
        total_bytes: total,
        available_bytes: available.min(total),
        installed_bytes: installed.total_bytes,
        cgroup_limit_bytes: tightest,
        unified: false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tightest_limit_applies() {
        let installed = Installed {
            total_bytes: 1000,
            available_bytes: 600,
        };
        let limit = |bytes, held_bytes| Limit { bytes, held_bytes };
        for (limits, total, available, group) in [
            (vec![], 1000, 600, None),
            (vec![limit(500, 100)], 500, 400, Some(500)),
            (vec![limit(500, 600)], 500, 0, Some(500)),
            (vec![limit(800, 10), limit(900, 700)], 800, 200, Some(800)),
            (vec![limit(900, 0)], 900, 600, Some(900)),
            (vec![limit(5000, 4500)], 1000, 500, None),
            (vec![limit(u64::MAX, u64::MAX)], 1000, 0, None),
        ] {
            let memory = limited(installed, &limits);
            assert_eq!(
                (
                    memory.total_bytes,
                    memory.available_bytes,
                    memory.cgroup_limit_bytes
                ),
                (total, available, group),
                "{limits:?}"
            );
            assert_eq!(memory.installed_bytes, 1000);
        }
    }

    #[test]
    fn a_machine_that_says_nothing_has_nothing() {
        assert_eq!(limited(Installed::parse(""), &[]), MainMemory::default());
    }

    #[test]
    fn a_group_below_a_mount_point_is_found_and_limits() {
        let files = tempfile::tempdir().unwrap();
        let root = files.path();
        let group = root.join("unified/user.slice/app.scope");
        fs::create_dir_all(&group).unwrap();
        let write = |path: &str, text: &str| fs::write(root.join(path), text).unwrap();
        write("meminfo", "MemTotal: 4096 kB\nMemAvailable: 3072 kB\n");
        write("cgroup", "4:memory:/elsewhere\n0::/user.slice/app.scope\n");
        fs::create_dir_all(root.join("self")).unwrap();
        fs::rename(root.join("cgroup"), root.join("self/cgroup")).unwrap();
        let mount = root.join("unified").display().to_string();
        write(
            "self/mountinfo",
            &format!("41 31 0:38 / {mount} rw - cgroup2 cgroup2 rw\n"),
        );
        write("unified/user.slice/memory.max", "2097152\n");
        write("unified/user.slice/memory.current", "1048576\n");
        write(
            "unified/user.slice/memory.stat",
            "anon 1\ninactive_file 4096\nactive_file 4096\n",
        );
        write("unified/user.slice/app.scope/memory.max", "max\n");
        write("unified/user.slice/app.scope/memory.high", "max\n");
        let mut main = Main {
            process_files: root.to_path_buf(),
            groups: Groups::default(),
        };
        assert_eq!(main.read().available_bytes, (1 << 20) + 8192);
        write("unified/user.slice/memory.max", "max\n");
        write("zoneinfo", "  pagesets\n    cpu: 0\n              count: 2\n");
        let at_hand = 2 * rustix::param::page_size() as u64;
        assert_eq!(main.read().available_bytes, (3 << 20) + at_hand);
        write("zoneinfo", "");
        write("unified/user.slice/memory.max", "2097152\n");
        let memory = main.read();
        assert_eq!(memory.total_bytes, 2 << 20);
        assert_eq!(memory.available_bytes, (1 << 20) + 8192);
        assert_eq!(memory.cgroup_limit_bytes, Some(2 << 20));
        write("unified/user.slice/memory.max", "max\n");
        assert_eq!(main.read().total_bytes, 4 << 20);
    }
}
