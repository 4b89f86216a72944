//! The line a person types into: editing, history, several lines, completion of commands.

use std::path::{Path, PathBuf};

use airunner_platform::private;
use rustyline::completion::Completer;
use rustyline::error::ReadlineError;
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::history::FileHistory;
use rustyline::validate::{ValidationContext, ValidationResult, Validator};
use rustyline::{Config, Editor, Helper};

use super::slash::{COMMANDS, is_incomplete};
use crate::failure::Failure;

const PROMPT: &str = ">>> ";
const HISTORY_ENTRIES: usize = 1000;

/// What came of waiting for a line.
pub(super) enum Typed {
    Entry(String),
    /// Ctrl-C
    Interrupted,
    /// Ctrl-D
    End,
}

pub(super) struct LineEditor {
    editor: Editor<Syntax, FileHistory>,
    history: Option<PathBuf>,
}

impl LineEditor {
    /// With the history of earlier conversations, if the directory can be used.
    pub(super) fn new(state: &Path) -> Result<Self, Failure> {
        let config = Config::builder().max_history_size(HISTORY_ENTRIES);
        let config = config
            .and_then(|config| config.history_ignore_dups(true))
            .map_err(Failure::internal)?;
        let config = config.history_ignore_space(true).auto_add_history(true).build();
        let mut editor = Editor::with_config(config).map_err(Failure::internal)?;
        editor.set_helper(Some(Syntax));
        let history = private::create(state).ok().map(|()| state.join("chat_history"));
        if let Some(history) = &history {
            // The first conversation has none.
            let _ = editor.load_history(history);
        }
        Ok(Self { editor, history })
    }

    /// Waits for an entry; blocks this thread.
    pub(super) fn read(&mut self) -> Result<Typed, Failure> {
        match self.editor.readline(PROMPT) {
            Ok(entry) => Ok(Typed::Entry(entry)),
            Err(ReadlineError::Interrupted) => Ok(Typed::Interrupted),
            Err(ReadlineError::Eof) => Ok(Typed::End),
            Err(error) => Err(Failure::internal(error)),
        }
    }

    /// Keeps what was typed for the next conversation. The file is for its owner only.
    pub(super) fn save(&mut self) {
        if let Some(history) = &self.history {
            // A full disk is no reason to fail a conversation that is over.
            let _ = self.editor.append_history(history);
        }
    }
}

struct Syntax;

impl Helper for Syntax {}
impl Highlighter for Syntax {}

impl Hinter for Syntax {
    type Hint = String;
}

impl Validator for Syntax {
    fn validate(&self, context: &mut ValidationContext<'_>) -> rustyline::Result<ValidationResult> {
        if is_incomplete(context.input()) {
            Ok(ValidationResult::Incomplete)
        } else {
            Ok(ValidationResult::Valid(None))
        }
    }
}

impl Completer for Syntax {
    type Candidate = String;

    fn complete(
        &self,
        line: &str,
        position: usize,
        _: &rustyline::Context<'_>,
    ) -> rustyline::Result<(usize, Vec<String>)> {
        let typed = line.get(..position).unwrap_or(line);
        let fits = |command: &&&str| typed.starts_with('/') && command.starts_with(typed);
        Ok((
            0,
            COMMANDS
                .iter()
                .filter(fits)
                .map(|command| (*command).to_owned())
                .collect(),
        ))
    }
}
