//! What only a whole system can show: one test for each script in `tests/boot/scenarios`, in a bare
//! Debian that is booted for it. `tests/boot/README.md` says how to add one.
//!
//! Where no machine can be booted (it takes Linux, root, debootstrap and systemd-nspawn), the tests
//! are listed as ignored, and why is said.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a test program with a main of its own prints what was checked, and what was left out"
)]

mod packages;

use std::path::PathBuf;
use std::process::ExitCode;

use airunner_tests::{Machines, repository};
use libtest_mimic::{Arguments, Trial};
use packages::Packages;

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let machines = Machines::find();
    if let Err(why) = &machines {
        eprintln!("scenarios in a booted machine are left out: {why}");
    }
    let trials: Vec<Trial> = scripts()
        .into_iter()
        .map(|script| trial(&machines, script))
        .collect();
    assert!(!trials.is_empty(), "there are no scenarios");
    libtest_mimic::run(&arguments, trials).exit_code()
}

fn scripts() -> Vec<PathBuf> {
    let folder = repository().join("tests/boot/scenarios");
    let entries = std::fs::read_dir(folder).expect("the scenarios are there");
    let mut scripts: Vec<PathBuf> = entries
        .map(|entry| entry.expect("the folder can be read").path())
        .collect();
    scripts.sort();
    scripts
}

fn trial(machines: &Result<Machines, String>, script: PathBuf) -> Trial {
    let name = script
        .file_stem()
        .expect("a script has a name")
        .to_string_lossy()
        .into_owned();
    match *machines {
        Ok(machines) => Trial::test(name, move || {
            let packages = Packages::made()?;
            let said = machines.run(&script, &packages.files())?;
            println!("{said}");
            Ok(())
        }),
        Err(_) => Trial::test(name, || Ok(()))
            .with_kind("no machine")
            .with_ignored_flag(true),
    }
}
