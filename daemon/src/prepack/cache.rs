//! Which copies go.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

use airunner_runtimes::llm::prepack::{self, Copied, copies};

/// Deletes all copies, for when none are wanted any more.
pub fn clear(cache: &Path) {
    if cache.exists() {
        delete(cache);
    }
}

/// Deletes the copies of models that are not installed, those beyond the limit, the longest
/// unused first, and with `leftovers` what was never finished or not deleted to the end, which
/// must only be asked for while nobody makes a copy.
pub fn tidy(cache: &Path, installed: &HashSet<String>, limit: u64, leftovers: bool) {
    if leftovers {
        for path in prepack::leftovers(cache) {
            delete(&path);
        }
    }
    for path in superfluous(copies(cache), installed, limit) {
        tracing::debug!(copy = %path.display(), "a packed copy is deleted");
        delete(&path);
    }
}

fn superfluous(mut copies: Vec<Copied>, installed: &HashSet<String>, limit: u64) -> Vec<PathBuf> {
    copies.sort_by_key(|copy| std::cmp::Reverse(copy.used));
    let mut kept = 0_u64;
    let goes = |copy: Copied| {
        let with = kept.saturating_add(copy.bytes);
        if installed.contains(&copy.entry.model) && with <= limit {
            kept = with;
            return None;
        }
        Some(copy.path)
    };
    copies.into_iter().filter_map(goes).collect()
}

fn delete(path: &Path) {
    if let Err(error) = fs::remove_dir_all(path) {
        tracing::warn!(path = %path.display(), %error, "cannot be deleted");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use airunner_runtimes::llm::prepack::Entry;
    use std::time::{Duration, SystemTime};

    fn copy(name: &str, bytes: u64, used: u64) -> Copied {
        Copied {
            path: name.into(),
            entry: Entry {
                model: name.to_owned(),
                directory: PathBuf::new(),
                variant: String::new(),
            },
            bytes,
            used: SystemTime::UNIX_EPOCH + Duration::from_secs(used),
        }
    }

    #[test]
    fn the_longest_unused_and_those_of_removed_models_go() {
        let installed: HashSet<String> = ["a", "b", "c"].map(str::to_owned).into();
        let all = || {
            vec![
                copy("a", 10, 1),
                copy("b", 10, 3),
                copy("c", 10, 2),
                copy("gone", 1, 9),
            ]
        };
        let names = |limit| {
            let paths = superfluous(all(), &installed, limit);
            paths
                .iter()
                .map(|path| path.display().to_string())
                .collect::<Vec<_>>()
        };
        assert_eq!(names(30), ["gone"]);
        assert_eq!(names(20), ["gone", "a"]);
        assert_eq!(names(0), ["gone", "b", "c", "a"]);
    }

    #[test]
    fn what_is_no_whole_copy_goes_at_the_start() {
        let home = tempfile::tempdir().unwrap();
        let left = [".incoming-1".to_owned(), "f0".repeat(32)].map(|name| home.path().join(name));
        left.iter().for_each(|path| fs::create_dir(path).unwrap());
        tidy(home.path(), &HashSet::new(), 0, false);
        assert!(left.iter().all(|path| path.exists()));
        tidy(home.path(), &HashSet::new(), 0, true);
        assert!(!left.iter().any(|path| path.exists()));
    }
}
