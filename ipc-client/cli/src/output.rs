//! Everything that is written to standard output and standard error.

use std::io::{self, IsTerminal as _, Write as _};

use airunner_core::{ErrorKind, Fault, Priority};
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::control_characters::{escape_json, strip};
use crate::environment::Environment;
use crate::failure::{Failure, hint};
use crate::table::Table;

/// How a piece of text looks, where colours are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Style {
    Plain,
    Bold,
    Dim,
    Red,
    Green,
    Yellow,
}

impl Style {
    const fn code(self) -> &'static str {
        match self {
            Self::Plain => "0",
            Self::Bold => "1",
            Self::Dim => "2",
            Self::Red => "31",
            Self::Green => "32",
            Self::Yellow => "33",
        }
    }
}

/// Where a command writes. Text for people goes through a filter of control characters.
#[derive(Clone, Debug)]
pub(crate) struct Output {
    json: bool,
    stdout: Stream,
    stderr: Stream,
}

#[derive(Clone, Copy, Debug)]
struct Stream {
    is_terminal: bool,
    colours: bool,
}

impl Output {
    pub(crate) fn new(json: bool, environment: &Environment) -> Self {
        let stream = |is_terminal| Stream {
            is_terminal,
            colours: is_terminal && !environment.plain,
        };
        Self {
            json,
            stdout: stream(io::stdout().is_terminal()),
            stderr: stream(io::stderr().is_terminal()),
        }
    }

    pub(crate) const fn is_json(&self) -> bool {
        self.json
    }

    /// Both ends of a conversation are a person at a terminal.
    pub(crate) const fn is_for_a_person(&self) -> bool {
        self.stdout.is_terminal && self.stderr.is_terminal && !self.json
    }

    /// A person who waits goes before a program.
    pub(crate) const fn priority(&self) -> Priority {
        if self.is_for_a_person() {
            Priority::Interactive
        } else {
            Priority::Api
        }
    }

    /// Progress can be drawn.
    pub(crate) const fn shows_progress(&self) -> bool {
        self.stderr.is_terminal
    }

    /// A line for people.
    pub(crate) fn line(&self, text: &str) -> Result<(), Failure> {
        self.pieces(&[(Style::Plain, text)])
    }

    /// A line for people, in pieces of different looks.
    pub(crate) fn pieces(&self, pieces: &[(Style, &str)]) -> Result<(), Failure> {
        let line = self.stdout.dress(pieces);
        Ok(writeln!(io::stdout().lock(), "{line}")?)
    }

    pub(crate) fn table(&self, table: &Table) -> Result<(), Failure> {
        let (head, rows) = table.lines();
        self.pieces(&[(Style::Bold, &head)])?;
        rows.iter().try_for_each(|row| self.line(row))
    }

    /// The one value that the command answers with under `--json`.
    pub(crate) fn value(&self, value: &impl Serialize) -> Result<(), Failure> {
        let text = serde_json::to_string_pretty(value).map_err(Failure::internal)?;
        Ok(writeln!(io::stdout().lock(), "{}", escape_json(text))?)
    }

    /// One line that is JSON already.
    pub(crate) fn raw_line(&self, line: &str) -> Result<(), Failure> {
        Ok(writeln!(io::stdout().lock(), "{line}")?)
    }

    /// A piece of a model's answer, at once. What a file or a program reads is not changed.
    pub(crate) fn answer(&self, text: &str) -> Result<(), Failure> {
        let mut stdout = io::stdout().lock();
        if self.stdout.is_terminal {
            stdout.write_all(strip(text).as_bytes())?;
        } else {
            stdout.write_all(text.as_bytes())?;
        }
        Ok(stdout.flush()?)
    }

    /// A piece of text beside the answer, dimly, at once.
    pub(crate) fn aside(&self, text: &str) {
        let mut stderr = io::stderr().lock();
        // Nobody is left to be told that standard error is gone.
        let _ = write!(stderr, "{}", self.stderr.dress(&[(Style::Dim, text)]));
        let _ = stderr.flush();
    }

    /// A line beside the answer.
    pub(crate) fn note(&self, text: &str) {
        self.aside(&format!("{text}\n"));
    }

    pub(crate) fn failure(&self, failure: &Failure) {
        let usage;
        let fault = match failure {
            Failure::Fault(fault) => fault,
            Failure::Usage(message) => {
                usage = Fault::invalid(message);
                &usage
            }
            Failure::Reported(_) | Failure::ReaderGone => return,
        };
        if self.json {
            // A reader that is gone cannot be told.
            let _ = self.value(&json!({ "error": fault_json(fault) }));
            return;
        }
        let (message, hint) = (&fault.message, hint(fault));
        let mut stderr = io::stderr().lock();
        if fault.kind == ErrorKind::Cancelled && message == "cancelled" {
            let _ = writeln!(stderr, "{message}");
            return;
        }
        let line = self
            .stderr
            .dress(&[(Style::Red, "error: "), (Style::Plain, message)]);
        let _ = writeln!(stderr, "{line}");
        if let Some(hint) = hint {
            let _ = writeln!(
                stderr,
                "{}",
                self.stderr.dress(&[(Style::Dim, "hint: "), (Style::Plain, hint)])
            );
        }
    }
}

/// A fault for scripts: figures are numbers where they can be.
pub(crate) fn fault_json(fault: &Fault) -> Value {
    let mut error = Map::new();
    error.insert("reason".to_owned(), fault.kind.reason().into());
    error.insert("message".to_owned(), (&*fault.message).into());
    if let Some(wait) = fault.retry_after {
        error.insert("retry_after_seconds".to_owned(), wait.as_secs_f64().into());
    }
    if !fault.figures.is_empty() {
        let figure = |text: &String| {
            text.parse::<u64>()
                .map_or_else(|_| text.as_str().into(), Value::from)
        };
        let figures = fault.figures.iter();
        let figures = figures.map(|(name, text)| (name.clone(), figure(text)));
        error.insert("figures".to_owned(), figures.collect());
    }
    Value::Object(error)
}

impl Stream {
    fn dress(self, pieces: &[(Style, &str)]) -> String {
        let dressed = pieces.iter().map(|(style, text)| {
            let text = strip(text);
            if self.colours && *style != Style::Plain {
                format!("\u{1b}[{}m{text}\u{1b}[0m", style.code())
            } else {
                text.into_owned()
            }
        });
        dressed.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_carries_its_reason_and_figures() {
        let fault = Fault::new(ErrorKind::OutOfMemory, "too large");
        assert_eq!(
            fault_json(&fault),
            json!({ "reason": "out_of_memory", "message": "too large" })
        );
        let fault = fault
            .retry_after(std::time::Duration::from_millis(1500))
            .figure("required_bytes", 3_u64 << 30)
            .figure("device", "cpu");
        assert_eq!(
            fault_json(&fault),
            json!({
                "reason": "out_of_memory", "message": "too large", "retry_after_seconds": 1.5,
                "figures": { "device": "cpu", "required_bytes": 3_u64 << 30 }
            })
        );
    }

    #[test]
    fn colours_only_where_they_are_shown_and_never_from_the_text() {
        let pieces = [(Style::Red, "no\u{1b}[2J"), (Style::Plain, " luck")];
        let dull = Stream {
            is_terminal: true,
            colours: false,
        };
        let bright = Stream {
            is_terminal: true,
            colours: true,
        };
        assert_eq!(dull.dress(&pieces), "no[2J luck");
        assert_eq!(bright.dress(&pieces), "\u{1b}[31mno[2J\u{1b}[0m luck");
    }
}
