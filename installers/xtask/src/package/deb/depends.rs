//! The libraries of the system that programs and ONNX Runtime need, found by `dpkg-shlibdeps`.

use std::fs;
use std::process::Command;

use anyhow::Context;

use super::super::materials::Materials;
use crate::process;

/// The value of `Depends`.
pub(super) fn of(materials: &Materials) -> anyhow::Result<String> {
    let directory = materials.work.join("shlibdeps");
    let debian = directory.join("debian");
    fs::create_dir_all(&debian).with_context(|| format!("cannot create {}", debian.display()))?;
    // It works only where the source of a package is.
    fs::write(
        debian.join("control"),
        "Source: airunner\n\nPackage: airunner\nArchitecture: any\n",
    )
    .context("cannot write a control file")?;
    let mut command = Command::new("dpkg-shlibdeps");
    command.arg("-O").current_dir(&directory);
    for program in &materials.programs {
        command.arg(&program.path);
    }
    command.arg(&materials.library.path);
    let said = process::output(&mut command)?;
    value(&said).with_context(|| format!("dpkg-shlibdeps said no dependencies: {}", said.trim()))
}

fn value(said: &str) -> Option<String> {
    let value = said
        .lines()
        .find_map(|line| line.strip_prefix("shlibs:Depends="))?;
    Some(value.trim().to_owned()).filter(|value| !value.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_dependencies_are_taken_out_of_what_the_tool_says() {
        let said = "shlibs:Depends=libc6 (>= 2.34), libstdc++6 (>= 11)\n";
        assert_eq!(value(said).unwrap(), "libc6 (>= 2.34), libstdc++6 (>= 11)");
        assert_eq!(value("shlibs:Depends=\n"), None);
        assert_eq!(value(""), None);
    }
}
