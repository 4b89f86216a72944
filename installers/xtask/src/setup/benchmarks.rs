//! What benchmarks need beyond the product: llama.cpp to compare with, and models of real shape.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::Context;

use super::environment;
use crate::workspace::Workspace;
use crate::{process, say};

/// Where the scripts are.
const SCRIPTS: &str = "tests/benches";

/// A Python with llama.cpp, compiled for this machine the first time.
pub(crate) fn llama_cpp(workspace: &Workspace) -> anyhow::Result<PathBuf> {
    let scripts = workspace.root.join(SCRIPTS).join("llm");
    let directory = kept(workspace).join("llama");
    environment::stage(
        &directory,
        &scripts,
        &["requirements.txt"],
        |directory, scripts| {
            say::note("compiling llama.cpp for this machine takes some minutes");
            // Everything the processor has, and nothing for images.
            let variables = [("CMAKE_ARGS", "-DGGML_NATIVE=ON -DLLAVA_BUILD=OFF")];
            environment::python_with(directory, scripts, &variables)
        },
    )?;
    Ok(environment::interpreter(&directory))
}

/// A package of that shape with random weights, made the first time.
pub(crate) fn package(workspace: &Workspace, shape: &str) -> anyhow::Result<PathBuf> {
    let scripts = workspace.root.join(SCRIPTS);
    let python = kept(workspace).join("python");
    environment::stage(&python, &scripts, &["requirements.txt"], environment::python)?;
    let packages = kept(workspace).join("packages");
    let package = packages.join(shape);
    let script = scripts.join("make_package.py");
    let wanted = fs::read_to_string(&script).with_context(|| format!("cannot read {}", script.display()))?;
    let stamp = packages.join(format!("{shape}.complete"));
    if fs::read_to_string(&stamp).is_ok_and(|made| made == wanted) {
        return Ok(package);
    }
    say::note(&format!(
        "making a model of the shape {shape} with random weights"
    ));
    let mut command = Command::new(environment::interpreter(&python));
    process::visible(command.arg(&script).arg(&package).args(["--shape", shape]))?;
    fs::write(&stamp, wanted).with_context(|| format!("cannot write {}", stamp.display()))?;
    Ok(package)
}

/// The folder of all this.
pub(crate) fn kept(workspace: &Workspace) -> PathBuf {
    workspace.target.join("benchmarks")
}
