//! Microsoft's runtime for C++, which ONNX Runtime for Windows wants and which only Microsoft may hand out.

#[cfg(not(windows))]
mod other;
#[cfg(not(windows))]
use other as os;
#[cfg(windows)]
mod windows;
#[cfg(windows)]
use windows as os;

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use crate::portable_executable;

/// All are in the same package; the last came with its version of 2019.
const FILES: [&str; 4] = [
    "msvcp140.dll",
    "msvcp140_1.dll",
    "vcruntime140.dll",
    "vcruntime140_1.dll",
];
/// The one that programs of newer tools crash with, if it is older than those.
const VERSIONED: &str = FILES[0];
/// The header of a file is in its first pages.
const HEADER_BYTES: u64 = 64 << 10;

/// What is there of it, and what is wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VisualCpp {
    /// Files that Windows would not find.
    pub missing: Vec<&'static str>,
    /// Major and minor; unknown if its file does not say.
    pub version: Option<(u16, u16)>,
    /// That of the tools which the library was made with; a runtime must not be older.
    pub wanted: Option<(u16, u16)>,
}

impl VisualCpp {
    /// As a library would find it; `None` on systems whose libraries do not want it.
    #[must_use]
    pub fn wanted_by(library: &Path) -> Option<Self> {
        os::IS_WANTED.then(|| Self::looked_for(library, os::find))
    }

    fn looked_for(library: &Path, find: impl Fn(&str) -> Option<PathBuf>) -> Self {
        let version = find(VERSIONED).and_then(|path| std::fs::read(path).ok());
        let version = version.and_then(|bytes| portable_executable::version(&bytes));
        Self {
            missing: FILES.into_iter().filter(|file| find(file).is_none()).collect(),
            version: version.map(|[major, minor, ..]| (major, minor)),
            wanted: header(library).and_then(|bytes| portable_executable::linker(&bytes)),
        }
    }

    /// Whether the library was made for a newer one.
    #[must_use]
    pub fn is_too_old(&self) -> bool {
        self.version.is_some() && self.version < self.wanted
    }
}

fn header(library: &Path) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let file = File::open(library).ok()?;
    file.take(HEADER_BYTES).read_to_end(&mut bytes).ok()?;
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_found_is_missing_and_versions_are_compared_if_both_are_known() {
        let nothing = VisualCpp::looked_for(Path::new("/nowhere"), |_| None);
        assert_eq!(nothing.missing, FILES);
        let some = VisualCpp::looked_for(Path::new("/nowhere"), |file| {
            file.starts_with('m').then(|| file.into())
        });
        assert_eq!(some.missing, FILES[2..]);
        for (version, wanted, too_old) in [
            (None, None, false),
            (None, Some((14, 44)), false),
            (Some((14, 29)), None, false),
            (Some((14, 29)), Some((14, 44)), true),
            (Some((14, 44)), Some((14, 44)), false),
            (Some((15, 0)), Some((14, 44)), false),
        ] {
            let found = VisualCpp {
                version,
                wanted,
                ..VisualCpp::default()
            };
            assert_eq!(found.is_too_old(), too_old, "{found:?}");
        }
    }
}
