//! The true shell: the screen, other programs, and the daemon.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use airunner_platform::{Places, open};
use tokio::sync::{mpsc, oneshot};

use crate::commands::Commands;
use crate::controller::{Input, Shell};
use crate::display::Display;
use crate::question;
use crate::view::{Command, Target, View};

pub(crate) struct Desktop {
    display: Display,
    commands: Commands,
    places: Places,
    inputs: mpsc::Sender<Input>,
    /// Dropped when the question on the screen needs no answer any more.
    question: Option<oneshot::Sender<()>>,
}

impl Desktop {
    pub(crate) const fn new(
        display: Display,
        commands: Commands,
        places: Places,
        inputs: mpsc::Sender<Input>,
    ) -> Self {
        Self {
            display,
            commands,
            places,
            inputs,
            question: None,
        }
    }
}

impl Shell for Desktop {
    fn show(&mut self, view: &View) {
        self.display.show(view);
    }

    fn open(&mut self, target: &Target) {
        let what = match target {
            Target::Page(url) => url.into(),
            Target::Settings => existing(self.places.config_file(), &self.places.config),
            Target::Logs => existing(self.places.log_file(), &self.places.state),
        };
        let inputs = self.inputs.clone();
        tokio::spawn(async move {
            if let Err(fault) = open::open(&what).await {
                tracing::warn!(
                    kind = fault.kind.reason(),
                    "another program could not show something"
                );
                drop(inputs.send(Input::NotOpened(fault.message)).await);
            }
        });
    }

    fn perform(&mut self, command: Command) {
        self.commands.perform(command);
    }

    fn ask_about_login(&mut self) {
        let (question, settled) = oneshot::channel();
        self.question = Some(question);
        let (places, inputs) = (self.places.clone(), self.inputs.clone());
        tokio::spawn(question::ask(question::notifier(), places, inputs, settled));
    }

    fn settle_question(&mut self) {
        self.question = None;
    }

    #[expect(
        clippy::print_stderr,
        reason = "whoever started the program may read it there"
    )]
    fn tell(&mut self, text: &str) {
        tracing::warn!("{text}");
        eprintln!("airunner-tray: {text}");
    }
}

/// The file, or as long as nobody has written it the directory it will be in.
fn existing(file: PathBuf, directory: &Path) -> OsString {
    if file.is_file() {
        file.into_os_string()
    } else {
        directory.as_os_str().to_owned()
    }
}
