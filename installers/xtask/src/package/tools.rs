//! Small jobs that other programs do.

use std::io::Write;
use std::process::{Command, Stdio};
use std::thread;

use anyhow::{Context, bail};

/// Compressed without name and time.
pub(super) fn gzip(bytes: &[u8]) -> anyhow::Result<Vec<u8>> {
    through(Command::new("gzip").args(["-9", "-n", "-c"]), bytes)
}

/// What a command makes of its input.
fn through(command: &mut Command, input: &[u8]) -> anyhow::Result<Vec<u8>> {
    let name = command.get_program().to_string_lossy().into_owned();
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot start {name}"))?;
    let mut stdin = child.stdin.take().context("the input is a pipe")?;
    // Written beside reading: either pipe may fill up.
    let output = thread::scope(|scope| {
        let writing = scope.spawn(move || stdin.write_all(input));
        let output = child.wait_with_output();
        let written = writing
            .join()
            .unwrap_or_else(|_| Err(std::io::Error::other("writing panicked")));
        written.and(output)
    })
    .with_context(|| format!("cannot speak with {name}"))?;
    if !output.status.success() {
        bail!("{name} ended with {}", output.status);
    }
    Ok(output.stdout)
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn what_is_compressed_twice_is_the_same_and_comes_back() {
        let text = b"one line that repeats itself\n".repeat(10_000);
        let compressed = gzip(&text).unwrap();
        assert_eq!(compressed, gzip(&text).unwrap());
        assert!(compressed.len() < text.len() / 50);
        assert_eq!(
            through(Command::new("gzip").arg("-dc"), &compressed).unwrap(),
            text
        );
        assert!(through(&mut Command::new("false"), b"").is_err());
    }
}
