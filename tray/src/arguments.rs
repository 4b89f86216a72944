//! The command line.

use std::ffi::OsString;

pub(crate) const HELP: &str = "\
The tray icon of AI Runner: shows what the daemon is doing, loads and unloads models.

Usage: airunner-tray [--start] [--background]

One per user; it ends with the desktop session. What it does can be done with `airunner` as well.
Its log is airunner-tray.log in the state directory.

      --start       start the daemon if it is not running
      --background  started at login and not by hand: wait longer for the panel, open no page
  -V, --version     print the version
  -h, --help        print this help

Exit codes: 0 it was quit, 1 there is no desktop session, or a tray runs already, 2 wrong usage.
";

/// What the program is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Arguments {
    Help,
    Version,
    Run(Options),
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Options {
    pub(crate) start: bool,
    pub(crate) in_background: bool,
}

impl Arguments {
    /// The argument that is not understood, if there is one.
    pub(crate) fn parse(arguments: &[OsString]) -> Result<Self, String> {
        let mut options = Options::default();
        for argument in arguments {
            match argument.to_string_lossy().as_ref() {
                "--start" => options.start = true,
                "--background" => options.in_background = true,
                "--version" | "-V" => return Ok(Self::Version),
                "--help" | "-h" => return Ok(Self::Help),
                other => return Err(other.to_owned()),
            }
        }
        Ok(Self::Run(options))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_option_is_understood_and_nothing_else() {
        let parse = |text: &str| {
            let arguments: Vec<OsString> = text.split_whitespace().map(OsString::from).collect();
            Arguments::parse(&arguments)
        };
        let run = |start, in_background| Ok(Arguments::Run(Options { start, in_background }));
        assert_eq!(parse(""), run(false, false));
        assert_eq!(parse("--background --start"), run(true, true));
        assert_eq!(parse("--start -h"), Ok(Arguments::Help));
        assert_eq!(parse("-V"), Ok(Arguments::Version));
        assert_eq!(parse("--start tray"), Err("tray".to_owned()));
    }
}
