//! Settings of a daemon that does not run: its program reads and changes the file by the same rules.

use std::io::{Read as _, Write as _};
use std::sync::Arc;

use airunner_core::Fault;
use airunner_platform::Places;

use super::live::SystemLogin;
use crate::config::Environment;
use crate::ipc::answer_offline;
use crate::settings::Book;

/// What the program is called with for this.
pub const SETTINGS: &str = "settings";

/// Reads one command from standard input, and answers it on standard output.
pub fn answer_about_settings() -> Result<(), Fault> {
    let mut command = Vec::new();
    std::io::stdin()
        .read_to_end(&mut command)
        .map_err(|error| Fault::internal(format!("cannot read the command: {error}")))?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Fault::internal(format!("cannot start the event loop: {error}")))?;
    let answer = runtime.block_on(answer(command))?;
    std::io::stdout()
        .write_all(&answer)
        .map_err(|error| Fault::internal(format!("cannot answer: {error}")))
}

async fn answer(command: Vec<u8>) -> Result<Vec<u8>, Fault> {
    let places = Places::from_environment()?;
    let login = Arc::new(SystemLogin::new());
    let book = Book::new(places.config_file(), Environment::of_process(), login);
    let answering = tokio::task::spawn_blocking(move || answer_offline(&book, &command));
    answering
        .await
        .map_err(|error| Fault::internal(format!("asking for the settings failed: {error}")))
}
