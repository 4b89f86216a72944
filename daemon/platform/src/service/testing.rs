//! Tools that only remember what they were asked.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex};

use super::commands::{Call, Commands, Outcome};
use super::surroundings::Surroundings;
use crate::places::Places;

/// Remembers calls, and answers those whose arguments hold a given text: with success, or if the
/// answer begins with `!`, with failure.
#[derive(Clone, Debug, Default)]
pub(super) struct Recorder {
    calls: Arc<Mutex<Vec<String>>>,
    answers: BTreeMap<String, String>,
}

impl Recorder {
    pub(super) fn answering(answers: &[(&str, &str)]) -> Self {
        let owned = |(call, answer): &(&str, &str)| ((*call).to_owned(), (*answer).to_owned());
        Self {
            answers: answers.iter().map(owned).collect(),
            ..Self::default()
        }
    }

    pub(super) fn calls(&self) -> Vec<String> {
        self.calls.lock().unwrap().clone()
    }
}

impl Commands for Recorder {
    async fn run(&self, call: &Call) -> io::Result<Outcome> {
        let line = call.to_string();
        let answer = self.answers.iter().find(|(part, _)| line.contains(*part));
        self.calls.lock().unwrap().push(line.clone());
        let answer = answer.map_or("", |(_, answer)| answer);
        Ok(match answer.strip_prefix('!') {
            None => Outcome {
                success: true,
                stdout: answer.to_owned(),
                stderr: String::new(),
            },
            Some(said) => Outcome {
                success: false,
                stdout: String::new(),
                stderr: said.to_owned(),
            },
        })
    }
}

pub(super) fn places_in(home: &tempfile::TempDir) -> Places {
    Places::under(&home.path().join("places"))
}

/// Those of a user whose files are below a directory.
pub(super) fn surroundings(places: Places, home: &tempfile::TempDir, user: &str) -> Surroundings {
    Surroundings {
        places,
        units: home.path().join("units"),
        autostart: home.path().join("autostart"),
        runtime: None,
        user: Some(user.to_owned()),
        carried: Vec::new(),
        left_behind: Vec::new(),
    }
}

/// What `systemctl show` says of both units.
pub(super) fn shown(unit: &Path, listens: &Path, file_state: &str, active: &str) -> String {
    format!(
        "Id=airunner.service\nLoadState=loaded\nUnitFileState={file_state}\nActiveState={active}\n\
         SubState=running\nFragmentPath={}\nMainPID=42\nNRestarts=0\nResult=success\n\n\
         Id=airunner.socket\nLoadState=loaded\nActiveState={active}\nListen={} (Stream)\n",
        unit.display(),
        listens.display()
    )
}
