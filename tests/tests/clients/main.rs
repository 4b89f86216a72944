//! Client libraries of others against true daemons: one test for each script in `tests/clients`, and
//! one for each example in `docs/api`.
//!
//! Both are found when this runs, so the tests are listed by a program of their own.

mod examples;
mod scripts;

use std::process::ExitCode;

use airunner_tests::Clients;
use libtest_mimic::{Arguments, Trial};

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let clients = Clients::find();
    let mut trials: Vec<Trial> = scripts::trials(clients.as_ref());
    trials.extend(examples::trials(clients.as_ref()));
    assert!(!trials.is_empty(), "there are no scripts");
    libtest_mimic::run(&arguments, trials).exit_code()
}

/// A test that needs the set-up; without it, shown as ignored.
fn trial(
    name: &str,
    clients: Option<&Clients>,
    run: impl Fn(&Clients) -> Result<(), String> + Send + 'static,
) -> Trial {
    match clients.cloned() {
        Some(clients) => Trial::test(name, move || Ok(run(&clients)?)),
        None => Trial::test(name, || Ok(()))
            .with_kind("set-up missing")
            .with_ignored_flag(true),
    }
}

/// Waits for the end of what a test does.
fn block<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime can be built")
        .block_on(work)
}
