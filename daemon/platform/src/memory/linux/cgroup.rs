//! Control groups, both versions: where this process is, and what limits it there.

use std::fs;
use std::path::{Path, PathBuf};

use super::Limit;

/// Above this a limit is none; version 1 writes a huge number for "unlimited".
const NO_LIMIT: u64 = 1 << 60;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Version {
    One,
    Two,
}

/// A directory of a control group that counts for this process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Group {
    pub(crate) version: Version,
    pub(crate) directory: PathBuf,
}

/// The groups of this process and all groups above them.
#[derive(Debug, Default)]
pub(crate) struct Groups {
    /// What the system said of this process when `groups` was made.
    membership: String,
    groups: Vec<Group>,
}

impl Groups {
    /// Where this process is now; it may be moved while it runs.
    pub(crate) fn refresh(&mut self, process_files: &Path) {
        let membership = fs::read_to_string(process_files.join("self/cgroup")).unwrap_or_default();
        if membership == self.membership {
            return;
        }
        let mounts = fs::read_to_string(process_files.join("self/mountinfo")).unwrap_or_default();
        self.groups = groups(&membership, &mounts);
        self.membership = membership;
    }

    /// The innermost group of a version.
    pub(crate) fn own(&self, version: Version) -> Option<&Path> {
        let own = self.groups.iter().find(|group| group.version == version)?;
        Some(&own.directory)
    }

    pub(super) fn limits(&self) -> Vec<Limit> {
        self.groups.iter().filter_map(Group::limit).collect()
    }
}

impl Group {
    /// Reads how much is held only where there is a limit: the kernel has to sum that up.
    fn limit(&self) -> Option<Limit> {
        let read = |file: &str| fs::read_to_string(self.directory.join(file)).unwrap_or_default();
        let (bytes, used) = match self.version {
            Version::One => (limit(&read("memory.limit_in_bytes"))?, "memory.usage_in_bytes"),
            Version::Two => {
                let limits = [limit(&read("memory.max")), limit(&read("memory.high"))];
                (limits.into_iter().flatten().min()?, "memory.current")
            }
        };
        let used = read(used).trim().parse().unwrap_or(0);
        let held_bytes = held(used, &read("memory.stat"), self.version);
        Some(Limit { bytes, held_bytes })
    }
}

/// `None` if there is none: `max`, a huge number, nothing sensible.
fn limit(text: &str) -> Option<u64> {
    let bytes: u64 = text.trim().parse().ok()?;
    (1..NO_LIMIT).contains(&bytes).then_some(bytes)
}

/// What is used less the files the kernel can drop, as `MemAvailable` counts for the machine.
fn held(used: u64, stat: &str, version: Version) -> u64 {
    let droppable: &[&str] = match version {
        Version::One => &["total_inactive_file", "total_active_file"],
        Version::Two => &["inactive_file", "active_file", "slab_reclaimable"],
    };
    stat.lines()
        .filter_map(|line| line.split_once(' '))
        .filter(|(name, _)| droppable.contains(name))
        .filter_map(|(_, value)| value.trim().parse::<u64>().ok())
        .fold(used, u64::saturating_sub)
}

/// From `/proc/self/cgroup` and `/proc/self/mountinfo`: innermost first, per version.
fn groups(membership: &str, mounts: &str) -> Vec<Group> {
    let mut found = Vec::new();
    for line in membership.lines() {
        let mut fields = line.splitn(3, ':');
        let (Some(number), Some(controllers), Some(path)) = (fields.next(), fields.next(), fields.next())
        else {
            continue;
        };
        let version = if number == "0" && controllers.is_empty() {
            Version::Two
        } else if controllers.split(',').any(|controller| controller == "memory") {
            Version::One
        } else {
            continue;
        };
        if let Some((root, mount)) = mount(mounts, version) {
            found.extend(upwards(version, &root, &mount, path));
        }
    }
    found
}

/// Which part of the hierarchy is mounted, and where.
fn mount(mounts: &str, version: Version) -> Option<(String, PathBuf)> {
    mounts.lines().find_map(|line| {
        let (place, kind) = line.split_once(" - ")?;
        let mut kind = kind.split(' ');
        let file_system = kind.next()?;
        let fits = match version {
            Version::Two => file_system == "cgroup2",
            Version::One => {
                file_system == "cgroup" && kind.nth(1)?.split(',').any(|option| option == "memory")
            }
        };
        let mut place = place.split(' ').skip(3);
        fits.then_some((unescape(place.next()?), unescape(place.next()?).into()))
    })
}

/// Spaces and the like are written as three octal digits.
fn unescape(text: &str) -> String {
    let mut plain = text.to_owned();
    for (escaped, character) in [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")] {
        plain = plain.replace(escaped, character);
    }
    plain
}

/// The group and those above it, up to the mount point. In a container the path may lie outside
/// of what is mounted; the mount point is then the group itself.
fn upwards(version: Version, root: &str, mount: &Path, path: &str) -> Vec<Group> {
    let below = Path::new(path).strip_prefix(root).unwrap_or(Path::new(""));
    let inside = below
        .components()
        .all(|part| matches!(part, std::path::Component::Normal(_)));
    let below = if inside { below } else { Path::new("") };
    let own: PathBuf = mount.components().chain(below.components()).collect();
    own.ancestors()
        .take_while(|directory| directory.starts_with(mount))
        .map(|directory| Group {
            version,
            directory: directory.to_path_buf(),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HYBRID: &str = "\
        31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755\n\
        32 31 0:29 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu\n\
        35 31 0:32 / /sys/fs/cgroup/memory rw,relatime shared:7 - cgroup cgroup rw,memory\n\
        41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw\n";

    fn directories(membership: &str, mounts: &str) -> Vec<String> {
        groups(membership, mounts)
            .into_iter()
            .map(|group| group.directory.display().to_string())
            .collect()
    }

    #[test]
    fn groups_are_found_from_the_innermost_up() {
        let container = "50 40 0:30 /docker/abc /sys/fs/cgroup ro - cgroup2 cgroup rw,nsdelegate\n";
        let odd = "50 40 0:30 / /mnt/my\\040groups rw - cgroup2 cgroup rw\n";
        for (membership, mounts, expected) in [
            (
                "9:name=systemd:/\n4:memory:/a/b\n0::/\n",
                HYBRID,
                vec![
                    "/sys/fs/cgroup/memory/a/b",
                    "/sys/fs/cgroup/memory/a",
                    "/sys/fs/cgroup/memory",
                    "/sys/fs/cgroup/unified",
                ],
            ),
            (
                "3:cpu,memory:/x\n",
                HYBRID,
                vec!["/sys/fs/cgroup/memory/x", "/sys/fs/cgroup/memory"],
            ),
            (
                "0::/docker/abc/inner\n",
                container,
                vec!["/sys/fs/cgroup/inner", "/sys/fs/cgroup"],
            ),
            ("0::/\n", container, vec!["/sys/fs/cgroup"]),
            ("0::/../../other\n", container, vec!["/sys/fs/cgroup"]),
            ("0::/docker/abc/../../other\n", container, vec!["/sys/fs/cgroup"]),
            ("0::/s\n", odd, vec!["/mnt/my groups/s", "/mnt/my groups"]),
            ("0::/a\n", "", vec![]),
            ("nonsense\n1:cpu\n", HYBRID, vec![]),
            ("", "", vec![]),
        ] {
            assert_eq!(directories(membership, mounts), expected, "{membership:?}");
        }
    }

    #[test]
    fn limits_that_are_none_are_told_from_limits() {
        for (text, expected) in [
            ("1048576\n", Some(1 << 20)),
            ("max\n", None),
            ("9223372036854771712\n", None),
            ("18446744073709551616", None),
            ("0", None),
            ("-1", None),
            ("", None),
        ] {
            assert_eq!(limit(text), expected, "{text:?}");
        }
    }

    #[test]
    fn files_that_can_be_dropped_are_not_held() {
        let two = "anon 10\nfile 90\ninactive_file 30\nactive_file 20\nslab_reclaimable 5\n";
        let one = "inactive_file 1\nactive_file 1\ntotal_inactive_file 30\ntotal_active_file 20\n";
        for (used, stat, version, expected) in [
            (100, two, Version::Two, 45),
            (100, one, Version::One, 50),
            (40, two, Version::Two, 0),
            (100, "inactive_file lots\nactive_file\n\n", Version::Two, 100),
            (100, "", Version::One, 100),
            (0, two, Version::Two, 0),
        ] {
            assert_eq!(held(used, stat, version), expected, "{stat:?}");
        }
    }
}
