use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::Duration;

use airunner_core::{ErrorKind, Fault};
use airunner_ipc_client::log_line::{self, LogLine};
use clap::Args;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::Value;

use crate::connection::places;
use crate::failure::Failure;
use crate::output::{Output, Style};
use crate::run::Context;

const POLL: Duration = Duration::from_millis(200);
/// Enough of a file's beginning to know it again: the first line begins with its time.
const HEAD_BYTES: usize = 128;

#[derive(Debug, Args)]
pub(crate) struct Logs {
    /// Go on with what is logged from now on, until Ctrl-C.
    #[arg(short, long)]
    follow: bool,
    /// How many of the last lines to show.
    #[arg(short = 'n', long, value_name = "N", default_value_t = 50)]
    lines: usize,
}

impl Logs {
    pub(crate) async fn run(self, context: &Context) -> Result<(), Failure> {
        let path = places()?.log_file();
        if !self.follow && !path.exists() {
            let message = format!(
                "there is no log at {}: it begins with airunner start",
                path.display()
            );
            return Err(Fault::new(ErrorKind::NotFound, message).into());
        }
        let mut log = Log::new(path);
        let recent = log.last_lines(self.lines).map_err(Failure::internal)?;
        recent.iter().try_for_each(|line| show(&context.output, line))?;
        if self.follow {
            follow(&mut log, context).await
        } else {
            Ok(())
        }
    }
}

/// Until Ctrl-C, which is how following ends and no failure.
async fn follow(log: &mut Log, context: &Context) -> Result<(), Failure> {
    let mut interrupt = context.interrupt.clone();
    loop {
        let lines = log.new_lines().map_err(Failure::internal)?;
        lines.iter().try_for_each(|line| show(&context.output, line))?;
        tokio::select! {
            biased;
            () = interrupt.pressed() => return Ok(()),
            () = tokio::time::sleep(POLL) => {}
        }
    }
}

fn show(output: &Output, line: &str) -> Result<(), Failure> {
    if output.is_json() {
        return output.raw_line(line);
    }
    let Some(line) = log_line::parse(line) else {
        return output.line(line);
    };
    let (time, target, fields) = (local_time(&line), format!(" {}", line.target), fields(&line));
    output.pieces(&[
        (Style::Dim, &time),
        (level_style(&line.level), &format!(" {:<5}", line.level)),
        (Style::Plain, &format!(" {}", line.message)),
        (Style::Dim, &fields),
        (Style::Dim, &target),
    ])
}

fn level_style(level: &str) -> Style {
    match level {
        "ERROR" => Style::Red,
        "WARN" => Style::Yellow,
        "INFO" => Style::Green,
        _ => Style::Dim,
    }
}

fn local_time(line: &LogLine) -> String {
    line.time.parse::<Timestamp>().map_or_else(
        |_| line.time.clone(),
        |time| {
            time.to_zoned(TimeZone::system())
                .strftime("%Y-%m-%d %H:%M:%S%.3f")
                .to_string()
        },
    )
}

fn fields(line: &LogLine) -> String {
    let field = |(key, value): (&String, &Value)| match value.as_str() {
        Some(text) => format!(" {key}={text}"),
        None => format!(" {key}={value}"),
    };
    line.fields.iter().map(field).collect()
}

/// A log that is rotated: `airunner.log` becomes `airunner.log.1`, that becomes `.2`, and so on.
struct Log {
    path: PathBuf,
    open: Option<OpenLog>,
    /// The beginning of a line whose end is not written yet.
    partial: Vec<u8>,
}

struct OpenLog {
    file: File,
    head: Vec<u8>,
}

impl Log {
    const fn new(path: PathBuf) -> Self {
        Self {
            path,
            open: None,
            partial: Vec::new(),
        }
    }

    /// The last lines, from rotated files too; following goes on after them.
    fn last_lines(&mut self, count: usize) -> io::Result<Vec<String>> {
        let mut lines = self.new_lines()?;
        for number in 1.. {
            let Some(missing) = count.checked_sub(lines.len()).filter(|&missing| missing > 0) else {
                break;
            };
            let older = self.path.with_added_extension(number.to_string());
            let Some(text) = read(&older)? else { break };
            let older: Vec<String> = text.lines().map(ToOwned::to_owned).collect();
            lines.splice(0..0, older.into_iter().rev().take(missing).rev());
        }
        Ok(lines.split_off(lines.len().saturating_sub(count)))
    }

    /// Whole lines that were written since the last call.
    fn new_lines(&mut self) -> io::Result<Vec<String>> {
        let mut bytes = std::mem::take(&mut self.partial);
        // What was written to the old file after the last look comes before the new file.
        if let Some(open) = &mut self.open {
            open.file.read_to_end(&mut bytes)?;
            open.learn_head()?;
        }
        if self.was_rotated()? {
            self.open = OpenLog::open(&self.path)?;
            if let Some(open) = &mut self.open {
                open.file.read_to_end(&mut bytes)?;
            }
        }
        let complete = bytes
            .iter()
            .rposition(|&byte| byte == b'\n')
            .map_or(0, |end| end + 1);
        self.partial = bytes.split_off(complete);
        Ok(String::from_utf8_lossy(&bytes)
            .lines()
            .map(ToOwned::to_owned)
            .collect())
    }

    /// True if the file at the path is not the one that is open.
    fn was_rotated(&self) -> io::Result<bool> {
        let Some(open) = &self.open else { return Ok(true) };
        let Some(there) = OpenLog::open(&self.path)? else {
            return Ok(false);
        };
        let length = there.file.metadata()?.len();
        Ok(length < open.file.metadata()?.len() || !there.head.starts_with(&open.head))
    }
}

impl OpenLog {
    /// `None` if there is no such file: it may come yet.
    fn open(path: &Path) -> io::Result<Option<Self>> {
        let file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let mut open = Self {
            file,
            head: Vec::new(),
        };
        open.learn_head()?;
        Ok(Some(open))
    }

    /// A file that was empty or short when it was opened has more to be known by later.
    fn learn_head(&mut self) -> io::Result<()> {
        if self.head.len() < HEAD_BYTES {
            let position = self.file.stream_position()?;
            self.file.seek(SeekFrom::Start(0))?;
            self.head.resize(HEAD_BYTES, 0);
            let length = read_up_to(&mut self.file, &mut self.head)?;
            self.head.truncate(length);
            self.file.seek(SeekFrom::Start(position))?;
        }
        Ok(())
    }
}

fn read_up_to(file: &mut File, buffer: &mut [u8]) -> io::Result<usize> {
    let mut length = 0;
    while let Some(rest) = buffer.get_mut(length..).filter(|rest| !rest.is_empty()) {
        match file.read(rest)? {
            0 => break,
            read => length += read,
        }
    }
    Ok(length)
}

fn read(path: &Path) -> io::Result<Option<String>> {
    match std::fs::read(path) {
        Ok(bytes) => Ok(Some(String::from_utf8_lossy(&bytes).into_owned())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    struct Fixture {
        directory: tempfile::TempDir,
    }

    impl Fixture {
        fn new() -> Self {
            Self {
                directory: tempfile::tempdir().unwrap(),
            }
        }

        fn path(&self) -> PathBuf {
            self.directory.path().join("airunner.log")
        }

        fn append(&self, text: &str) {
            let mut file = File::options()
                .create(true)
                .append(true)
                .open(self.path())
                .unwrap();
            file.write_all(text.as_bytes()).unwrap();
        }

        fn rotate(&self) {
            std::fs::rename(self.path(), self.path().with_added_extension("1")).unwrap();
        }
    }

    #[test]
    fn the_last_lines_reach_back_into_rotated_files() {
        let fixture = Fixture::new();
        fixture.append("one\ntwo\nthree\n");
        fixture.rotate();
        fixture.append("four\nfive\n");
        for (count, expected) in [
            (1, "five"),
            (2, "four five"),
            (4, "two three four five"),
            (9, "one two three four five"),
        ] {
            assert_eq!(
                Log::new(fixture.path()).last_lines(count).unwrap().join(" "),
                expected
            );
        }
    }

    #[test]
    fn following_survives_rotation_and_loses_nothing() {
        let fixture = Fixture::new();
        let mut log = Log::new(fixture.path());
        assert!(log.new_lines().unwrap().is_empty(), "no file yet");
        fixture.append("1 one\n1 tw");
        assert_eq!(log.new_lines().unwrap(), ["1 one"]);
        fixture.append("o\n");
        fixture.append("1 three\n");
        fixture.rotate();
        fixture.append("2 four which is longer than everything before\n");
        let lines = log.new_lines().unwrap();
        assert_eq!(
            lines,
            [
                "1 two",
                "1 three",
                "2 four which is longer than everything before"
            ]
        );
        assert!(log.new_lines().unwrap().is_empty());
        fixture.append("2 five\n");
        assert_eq!(log.new_lines().unwrap(), ["2 five"]);
    }

    #[test]
    fn fields_are_shown_after_the_message() {
        let line =
            log_line::parse(r#"{"level":"INFO","fields":{"message":"m","pid":7,"to":"LOADED"}}"#).unwrap();
        assert_eq!(fields(&line), " pid=7 to=LOADED");
    }
}
