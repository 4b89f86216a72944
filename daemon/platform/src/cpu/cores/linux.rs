//! Intel's hybrid processors name their two kinds of cores, the device trees of ARM a capacity of
//! each. The highest frequency is not asked: it differs between cores that are otherwise alike.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use airunner_core::cores::HardwareThread;

/// Numbers of processors above this are not believed.
const MOST: u32 = 1 << 16;
/// Where nothing is said.
const USUAL_SPEED: u32 = 1024;
/// Of a core that is no performance core.
const SLOW: u32 = USUAL_SPEED / 2;

pub(super) fn threads() -> Vec<HardwareThread> {
    read(Path::new("/sys/devices"), Path::new("/proc/self/status"))
}

/// Those of the machine that this process may run on. What cannot be read is as if all were alike.
fn read(devices: &Path, status: &Path) -> Vec<HardwareThread> {
    let allowed = fs::read_to_string(status).ok();
    let allowed = allowed.as_deref().and_then(allowed_list).map(numbers);
    let fast = fs::read_to_string(devices.join("cpu_core/cpus")).ok();
    let fast = fast.as_deref().map(numbers).filter(|fast| !fast.is_empty());
    let mut cores = BTreeMap::new();
    let mut threads = Vec::new();
    for number in present(devices) {
        if allowed.as_ref().is_some_and(|allowed| !allowed.contains(&number)) {
            continue;
        }
        let directory = devices.join(format!("system/cpu/cpu{number}"));
        let Ok(siblings) = fs::read_to_string(directory.join("topology/thread_siblings_list")) else {
            // Switched off, or not told.
            continue;
        };
        let next = u32::try_from(cores.len()).unwrap_or(u32::MAX);
        let core = *cores.entry(siblings).or_insert(next);
        let speed = match &fast {
            Some(fast) if fast.contains(&number) => USUAL_SPEED,
            Some(_) => SLOW,
            None => capacity(&directory).unwrap_or(USUAL_SPEED),
        };
        threads.push(HardwareThread { core, speed });
    }
    threads
}

fn present(devices: &Path) -> Vec<u32> {
    let text = fs::read_to_string(devices.join("system/cpu/present")).unwrap_or_default();
    numbers(&text)
}

fn capacity(directory: &Path) -> Option<u32> {
    let text = fs::read_to_string(directory.join("cpu_capacity")).ok()?;
    text.trim().parse().ok()
}

fn allowed_list(status: &str) -> Option<&str> {
    let mut lines = status.lines();
    lines.find_map(|line| line.strip_prefix("Cpus_allowed_list:"))
}

/// Of a list such as `0-3,8`; what is none is left out.
fn numbers(list: &str) -> Vec<u32> {
    let range = |part: &str| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last): (u32, u32) = (first.parse().ok()?, last.parse().ok()?);
        Some(first..=last.min(MOST))
    };
    let parts = list.trim().split(',');
    parts.filter_map(|part| range(part.trim())).flatten().collect()
}

#[cfg(test)]
mod tests {
    use airunner_core::cores::fast_cores;

    use super::*;

    /// A tree as the kernel shows it: pairs of a path and what is in that file.
    struct Tree(tempfile::TempDir);

    impl Tree {
        fn new(files: &[(&str, &str)]) -> Self {
            let tree = Self(tempfile::tempdir().unwrap());
            for (path, text) in files {
                tree.write(path, text);
            }
            tree
        }

        fn write(&self, path: &str, text: &str) {
            let path = self.0.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }

        /// Threads with these siblings, from the first number on, and a capacity if there is one.
        fn with(self, siblings: &[&str], capacity: Option<u32>) -> Self {
            for list in siblings {
                for number in numbers(list) {
                    let directory = format!("devices/system/cpu/cpu{number}");
                    self.write(
                        &format!("{directory}/topology/thread_siblings_list"),
                        &format!("{list}\n"),
                    );
                    if let Some(capacity) = capacity {
                        self.write(&format!("{directory}/cpu_capacity"), &format!("{capacity}\n"));
                    }
                }
            }
            self
        }

        fn read(&self) -> Vec<HardwareThread> {
            read(&self.0.path().join("devices"), &self.0.path().join("status"))
        }
    }

    const PRESENT: &str = "devices/system/cpu/present";

    #[test]
    fn intel_names_both_kinds() {
        let files = [
            (PRESENT, "0-7\n"),
            ("devices/cpu_core/cpus", "0-3\n"),
            ("devices/cpu_atom/cpus", "4-7\n"),
        ];
        let tree = Tree::new(&files).with(&["0-1", "2-3", "4", "5", "6", "7"], None);
        let threads = tree.read();
        assert_eq!(threads.len(), 8);
        assert_eq!((threads[0].core, threads[1].core, threads[2].core), (0, 0, 1));
        assert_eq!(fast_cores(&threads), Some(2));
        tree.write(
            "status",
            "Name:\tx\nCpus_allowed:\tf0\nCpus_allowed_list:\t4-7\nMems_allowed:\t1\n",
        );
        assert_eq!(tree.read().len(), 4);
        assert_eq!(fast_cores(&tree.read()), None, "only slow ones may be used");
    }

    #[test]
    fn arm_has_capacities() {
        let tree = Tree::new(&[(PRESENT, "0-7\n")])
            .with(&["0", "1", "2", "3"], Some(530))
            .with(&["4", "5", "6", "7"], Some(1024));
        assert_eq!(fast_cores(&tree.read()), Some(4));
        tree.write("status", "Cpus_allowed_list:\t0-4\n");
        assert_eq!(fast_cores(&tree.read()), Some(5), "one fast one is too few");
    }

    #[test]
    fn where_nothing_is_told_all_are_alike() {
        assert_eq!(Tree::new(&[]).read(), []);
        let tree = Tree::new(&[(PRESENT, "0-3\n")]).with(&["0-1", "2-3"], None);
        assert_eq!(tree.read().len(), 4);
        assert_eq!(fast_cores(&tree.read()), None);
        tree.write("devices/cpu_core/cpus", "\n");
        tree.write("devices/system/cpu/cpu0/cpu_capacity", "many");
        assert_eq!(fast_cores(&tree.read()), None, "an empty list and no number");
    }

    #[test]
    fn lists_of_processors() {
        for (list, expected) in [
            ("0-3,8\n", vec![0, 1, 2, 3, 8]),
            (" 5 , 7-6, x, 1-y,-2", vec![5]),
            ("", vec![]),
        ] {
            assert_eq!(numbers(list), expected, "{list:?}");
        }
        assert_eq!(numbers("0-4294967295").len(), MOST as usize + 1);
    }
}
