//! Intel's hybrid processors name their two kinds of cores, the device trees of ARM a capacity of
//! each. What AMD tells is not asked: the highest performance (`acpi_cppc`) ranks cores that are
//! alike up to a third apart, and the compact cores (Zen 4c and 5c) do the same as the others at a
//! lower frequency, most often in larger numbers; leaving them alone would cost more than waiting
//! for them. Nor is the highest frequency.

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
    use airunner_core::cores::cores_to_use;

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

    /// A machine, what this process may run on, and how many cores it is to compute with.
    struct Machine {
        name: &'static str,
        files: &'static [(&'static str, &'static str)],
        /// Siblings, and the capacity of each.
        threads: &'static [(&'static [&'static str], Option<u32>)],
        allowed: &'static str,
        expected: Option<usize>,
    }

    const EIGHT: (&str, &str) = (PRESENT, "0-7\n");
    const HYBRID: &[(&str, &str)] = &[
        EIGHT,
        ("devices/cpu_core/cpus", "0-3\n"),
        ("devices/cpu_atom/cpus", "4-7\n"),
    ];
    const HYBRID_THREADS: &[(&[&str], Option<u32>)] = &[(&["0-1", "2-3", "4", "5", "6", "7"], None)];
    const PAIRS: &[(&[&str], Option<u32>)] = &[(&["0-1", "2-3", "4-5", "6-7"], None)];
    const APART: &[(&[&str], Option<u32>)] = &[(&["0,4", "1,5", "2,6", "3,7"], None)];
    const LITTLE: &[(&[&str], Option<u32>)] = &[
        (&["0", "1", "2", "3"], Some(530)),
        (&["4", "5", "6", "7"], Some(1024)),
    ];

    #[test]
    fn machines_of_all_kinds() {
        let machine = |name, files, threads, allowed, expected| Machine {
            name,
            files,
            threads,
            allowed,
            expected,
        };
        for machine in [
            machine("Intel, hybrid", HYBRID, HYBRID_THREADS, "0-7", Some(2)),
            machine("the fast cores only", HYBRID, HYBRID_THREADS, "0-3", Some(2)),
            machine(
                "a thread of each fast core",
                HYBRID,
                HYBRID_THREADS,
                "0,2",
                Some(2),
            ),
            machine("the slow cores only", HYBRID, HYBRID_THREADS, "4-7", Some(4)),
            machine(
                "one fast core and the slow ones",
                HYBRID,
                HYBRID_THREADS,
                "0-1,4-7",
                Some(5),
            ),
            machine(
                "with slow cores of two kinds, of which one has a name of its own",
                &[
                    EIGHT,
                    ("devices/cpu_core/cpus", "0-3\n"),
                    ("devices/cpu_atom/cpus", "4-5\n"),
                    ("devices/cpu_lowpower/cpus", "6-7\n"),
                ],
                HYBRID_THREADS,
                "0-7",
                Some(2),
            ),
            machine(
                "slow cores switched off",
                HYBRID,
                &[(&["0-1", "2-3"], None)],
                "0-7",
                Some(2),
            ),
            machine(
                "a fast core switched off",
                HYBRID,
                &[(&["0-1", "4", "5", "6", "7"], None)],
                "0-7",
                Some(5),
            ),
            machine("two threads for each core", &[EIGHT], PAIRS, "0-7", Some(4)),
            machine("both threads of two cores", &[EIGHT], PAIRS, "0-3", Some(2)),
            machine("one thread of each core", &[EIGHT], PAIRS, "0,2,4,6", Some(4)),
            machine("threads of a core far apart", &[EIGHT], APART, "0-3", Some(4)),
            machine(
                "threads of a core far apart, both",
                &[EIGHT],
                APART,
                "0,1,4,5",
                Some(2),
            ),
            machine(
                "the second threads switched off",
                &[EIGHT],
                &[(&["0", "1", "2", "3"], None)],
                "0-7",
                Some(4),
            ),
            machine("ARM, big and little", &[EIGHT], LITTLE, "0-7", Some(4)),
            machine("one big one is too few", &[EIGHT], LITTLE, "0-4", Some(5)),
            machine("little ones only", &[EIGHT], LITTLE, "0-3", Some(4)),
            machine(
                "ARM, one biggest, big and little",
                &[EIGHT],
                &[
                    (&["0", "1", "2", "3"], Some(326)),
                    (&["4", "5", "6"], Some(801)),
                    (&["7"], Some(1024)),
                ],
                "0-7",
                Some(4),
            ),
            machine(
                "AMD, two usual and two compact cores",
                &[
                    EIGHT,
                    ("devices/system/cpu/cpu0/acpi_cppc/highest_perf", "196\n"),
                    ("devices/system/cpu/cpu2/acpi_cppc/highest_perf", "186\n"),
                    ("devices/system/cpu/cpu4/acpi_cppc/highest_perf", "126\n"),
                    ("devices/system/cpu/cpu6/acpi_cppc/highest_perf", "126\n"),
                ],
                PAIRS,
                "0-7",
                Some(4),
            ),
            machine("nothing is told", &[], &[], "0-7", None),
            machine(
                "no thread of those present is allowed",
                &[EIGHT],
                PAIRS,
                "64-71",
                None,
            ),
        ] {
            let mut tree = Tree::new(machine.files);
            for (siblings, capacity) in machine.threads {
                tree = tree.with(siblings, *capacity);
            }
            tree.write(
                "status",
                &format!("Cpus_allowed:\tff\nCpus_allowed_list:\t{}\n", machine.allowed),
            );
            assert_eq!(cores_to_use(&tree.read()), machine.expected, "{}", machine.name);
        }
    }

    #[test]
    fn siblings_are_threads_of_one_core() {
        let tree = Tree::new(HYBRID).with(HYBRID_THREADS[0].0, None);
        let threads = tree.read();
        assert_eq!(threads.len(), 8, "without a status all are allowed");
        assert_eq!((threads[0].core, threads[1].core, threads[2].core), (0, 0, 1));
    }

    #[test]
    fn where_nothing_is_told_all_are_alike() {
        assert_eq!(Tree::new(&[]).read(), []);
        let tree = Tree::new(&[(PRESENT, "0-3\n")]).with(&["0-1", "2-3"], None);
        assert_eq!(tree.read().len(), 4);
        tree.write("devices/cpu_core/cpus", "\n");
        tree.write("devices/system/cpu/cpu0/cpu_capacity", "many");
        assert_eq!(cores_to_use(&tree.read()), Some(2), "an empty list and no number");
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
