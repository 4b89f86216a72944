//! The system and processor a package is for, and what each family of packages calls it.

use anyhow::bail;

/// One platform that is packaged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Platform {
    /// As Rust names it.
    pub(super) system: &'static str,
    pub(super) processor: &'static str,
    pub(super) triple: &'static str,
    /// Debian's name of the processor, which snaps use too.
    pub(super) debian: &'static str,
    /// Suffix of a program's file.
    pub(super) suffix: &'static str,
}

/// What the MSI is cross-built for.
pub(super) const WINDOWS: Platform = Platform {
    system: "windows",
    processor: "x86_64",
    triple: "x86_64-pc-windows-gnu",
    debian: "amd64",
    suffix: ".exe",
};

const PLATFORMS: [Platform; 4] = [
    Platform {
        system: "linux",
        processor: "x86_64",
        triple: "x86_64-unknown-linux-gnu",
        debian: "amd64",
        suffix: "",
    },
    Platform {
        system: "linux",
        processor: "aarch64",
        triple: "aarch64-unknown-linux-gnu",
        debian: "arm64",
        suffix: "",
    },
    Platform {
        system: "macos",
        processor: "aarch64",
        triple: "aarch64-apple-darwin",
        debian: "arm64",
        suffix: "",
    },
    WINDOWS,
];

impl Platform {
    /// Of the machine that packages.
    pub(super) fn here() -> anyhow::Result<Self> {
        Self::named(std::env::consts::OS, std::env::consts::ARCH)
    }

    /// What tests package.
    #[cfg(test)]
    pub(super) const fn linux() -> Self {
        PLATFORMS[0]
    }

    fn named(system: &str, processor: &str) -> anyhow::Result<Self> {
        let found = PLATFORMS
            .into_iter()
            .find(|platform| platform.system == system && platform.processor == processor);
        match found {
            Some(platform) => Ok(platform),
            None => bail!("there are no packages for {system} on {processor}"),
        }
    }

    /// Refuses to make a kind of package that belongs to another system.
    pub(super) fn require(&self, system: &str, kind: &str) -> anyhow::Result<()> {
        if self.system != system {
            bail!("a {kind} is made on {system}, and this is {}", self.system);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_platform_is_found_by_its_name_and_names_itself_alike_everywhere() {
        for platform in PLATFORMS {
            assert_eq!(
                Platform::named(platform.system, platform.processor).unwrap(),
                platform
            );
            assert!(platform.triple.starts_with(platform.processor), "{platform:?}");
            assert_eq!(platform.suffix == ".exe", platform.system == "windows");
        }
        assert!(Platform::named("plan9", "mips").is_err());
    }
}
