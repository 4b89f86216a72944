//! The process that quantizes, seen from the daemon.

use std::path::Path;
use std::process::Stdio;

use airunner_core::quantize::{QuantizeProgress, QuantizeReport};
use airunner_core::{ErrorKind, Fault, ModelName};
use airunner_platform::{child, exit};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};
use tokio::process::{Child, Command};

use super::line::{Line, Said};
use super::options::QuantizeArguments;
use crate::workers::{forward_log, keep_secrets};

/// What a process may say altogether, bytes.
const MOST_SAID: u64 = 4 << 20;

/// Runs to its end. Dropping the future kills the process.
pub(super) async fn make(
    executable: &Path,
    arguments: &QuantizeArguments,
    told: &mut (dyn FnMut(QuantizeProgress) + Send),
) -> Result<QuantizeReport, Fault> {
    let mut process = start(executable, arguments)?;
    // Open as long as the process is wanted: it ends when this closes.
    let _stdin = process.stdin.take();
    if let (Some(stderr), Ok(model), Some(pid)) = (
        process.stderr.take(),
        ModelName::new(&arguments.model),
        process.id(),
    ) {
        tokio::spawn(forward_log(stderr, model, pid));
    }
    let mut ending = None;
    if let Some(stdout) = process.stdout.take() {
        let mut lines = BufReader::new(stdout.take(MOST_SAID)).lines();
        let unheard = |error| Fault::internal(format!("cannot hear the process: {error}"));
        while let Some(line) = lines.next_line().await.map_err(unheard)? {
            match Line::understood(&line) {
                Some(Said::Progress(progress)) => told(progress),
                Some(Said::Report(report)) => ending = Some(Ok(report)),
                Some(Said::Fault(fault)) => ending = Some(Err(fault)),
                None => tracing::debug!("the process that quantizes said something else"),
            }
        }
    }
    let status = process.wait().await;
    let status = status.map_err(|error| Fault::internal(format!("cannot watch the process: {error}")))?;
    match ending {
        Some(Ok(report)) if status.success() => Ok(report),
        Some(Err(fault)) => Err(fault),
        Some(Ok(_)) | None => {
            let how = exit::describe(status);
            Err(Fault::new(
                ErrorKind::WorkerCrashed,
                format!("the process that quantizes {how}"),
            ))
        }
    }
}

fn start(executable: &Path, arguments: &QuantizeArguments) -> Result<Child, Fault> {
    let mut command = Command::new(executable);
    command
        .args(arguments.to_line()?)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    keep_secrets(&mut command);
    child::shield_from_terminal(&mut command);
    command
        .spawn()
        .map_err(|error| Fault::internal(format!("cannot start {}: {error}", executable.display())))
}

#[cfg(all(test, unix))]
mod tests {
    use std::path::PathBuf;
    use std::time::Duration;

    use super::*;

    fn arguments(home: &Path) -> QuantizeArguments {
        QuantizeArguments {
            model: "tiny".to_owned(),
            directory: home.to_path_buf(),
            level: "q4_m".to_owned(),
            out: home.join("out"),
            compares: false,
            text: None,
            onnxruntime_library: None,
            threads: 1,
            address_space: None,
            open_files: None,
            log_level: "info".to_owned(),
        }
    }

    #[expect(clippy::unwrap_used, reason = "a test fails where it stands")]
    fn program(home: &Path, body: &str) -> PathBuf {
        let path = home.join("program");
        // Written by a process of its own: while this one had it open, a process that another test
        // is just starting could inherit that, and the system runs no file that somebody writes.
        let write = "printf '#!/bin/sh\n%s\n' \"$2\" > \"$1\" && chmod 700 \"$1\"";
        let mut shell = std::process::Command::new("/bin/sh");
        shell.args(["-c", write, "sh"]).arg(&path).arg(body);
        assert!(shell.status().unwrap().success());
        path
    }

    #[expect(clippy::unwrap_used, reason = "a test fails where it stands")]
    async fn made(body: &str) -> (Result<QuantizeReport, Fault>, Vec<f64>) {
        let home = tempfile::tempdir().unwrap();
        let program = program(home.path(), body);
        let mut heard = Vec::new();
        let outcome = make(&program, &arguments(home.path()), &mut |progress| {
            heard.push(progress.fraction);
        })
        .await;
        (outcome, heard)
    }

    #[tokio::test]
    async fn progress_and_the_last_words_are_heard() {
        let (outcome, heard) = made(
            r#"echo '{"kind":"progress","stage":"quantizing","fraction":0.25}'
            echo something else
            echo '{"kind":"fault","reason":"model_invalid","message":"tensor w"}'
            exit 1"#,
        )
        .await;
        assert_eq!(heard, [0.25]);
        let fault = outcome.unwrap_err();
        assert_eq!(
            (fault.kind, fault.message.as_str()),
            (ErrorKind::ModelInvalid, "tensor w")
        );
        let (outcome, _) = made("exit 3").await;
        assert_eq!(outcome.unwrap_err().kind, ErrorKind::WorkerCrashed);
    }

    #[tokio::test]
    async fn a_report_of_a_process_that_fails_afterwards_does_not_count() {
        let report = r#"{"kind":"report","level":"q8","bytes_before":2,"bytes_after":1,"matrices":1,
            "relative_error":0.1,"errors":[],"comparison":null,"warnings":[]}"#
            .replace('\n', "");
        let (outcome, _) = made(&format!("echo '{report}'")).await;
        assert_eq!(outcome.unwrap().bytes_after, 1);
        let (outcome, _) = made(&format!("echo '{report}'; exit 1")).await;
        assert_eq!(outcome.unwrap_err().kind, ErrorKind::WorkerCrashed);
    }

    #[tokio::test]
    async fn a_process_that_nobody_wants_any_more_is_ended() {
        let home = tempfile::tempdir().unwrap();
        let alive = home.path().join("alive");
        // Its standard input ends with it: the file goes when the process has lost its parent.
        let body = format!(
            r#"touch '{0}'; (cat >/dev/null; rm '{0}') <&0 >/dev/null 2>&1 &
            echo '{{"kind":"progress","stage":"quantizing","fraction":0.5}}'; exec sleep 600"#,
            alive.display()
        );
        let program = program(home.path(), &body);
        let arguments = arguments(home.path());
        let (sender, mut heard) = tokio::sync::mpsc::channel(1);
        let mut told = move |_: QuantizeProgress| {
            let _ = sender.try_send(());
        };
        tokio::select! {
            _ = make(&program, &arguments, &mut told) => panic!("it does not end by itself"),
            _ = heard.recv() => {}
        }
        assert!(
            tokio::time::timeout(Duration::from_secs(60), async {
                while alive.exists() {
                    tokio::task::yield_now().await;
                }
            })
            .await
            .is_ok()
        );
    }
}
