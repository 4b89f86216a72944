//! Downloads and checks of what was downloaded.

use airunner_core::download::{Download, DownloadState, FileProblem};
use serde::Serialize;
use serde_json::Value;

use crate::output::fault_json;
use crate::table::{Align, Table};
use crate::units;

/// A row of `airunner downloads`.
#[derive(Debug, Serialize)]
pub(crate) struct DownloadRow {
    id: u64,
    name: String,
    repository: String,
    revision: String,
    level: Option<&'static str>,
    state: &'static str,
    done_bytes: u64,
    total_bytes: u64,
    bytes_per_second: u64,
    remaining_seconds: Option<u64>,
    file: String,
    error: Option<Value>,
    started_at: Option<String>,
}

impl From<&Download> for DownloadRow {
    fn from(download: &Download) -> Self {
        Self {
            id: download.id.0,
            name: download.name.to_string(),
            repository: download.repository.clone(),
            revision: download.revision.clone(),
            level: download.level.map(|level| level.as_str()),
            state: download.state.as_str(),
            done_bytes: download.done_bytes,
            total_bytes: download.total_bytes,
            bytes_per_second: download.bytes_per_second,
            remaining_seconds: download.remaining().map(|time| time.as_secs()),
            file: download.file.clone(),
            error: download.fault.as_ref().map(fault_json),
            started_at: units::timestamp(download.started_at),
        }
    }
}

pub(crate) fn download_rows(downloads: &[Download]) -> Vec<DownloadRow> {
    downloads.iter().map(Into::into).collect()
}

pub(crate) fn downloads_table(downloads: &[Download]) -> Table {
    let mut table = Table::new(&[
        ("ID", Align::Right),
        ("MODEL", Align::Left),
        ("STATE", Align::Left),
        ("DONE", Align::Right),
        ("SIZE", Align::Right),
        ("SPEED", Align::Right),
        ("TO GO", Align::Left),
        ("NOTE", Align::Left),
    ]);
    for download in downloads {
        table.row([
            download.id.0.to_string(),
            download.name.to_string(),
            download.state.as_str().to_owned(),
            done(download),
            known_size(download.total_bytes),
            or_dash(units::download_speed(download)),
            or_dash(units::download_remaining(download)),
            note(download),
        ]);
    }
    table
}

fn or_dash(text: Option<String>) -> String {
    text.unwrap_or_else(|| "-".to_owned())
}

fn known_size(bytes: u64) -> String {
    match bytes {
        0 => "-".to_owned(),
        bytes => units::size(bytes),
    }
}

fn done(download: &Download) -> String {
    match download.total_bytes {
        0 => "-".to_owned(),
        total => {
            let percent = u128::from(download.done_bytes.min(total)) * 100 / u128::from(total);
            format!("{percent}%")
        }
    }
}

/// The fault, or else the file under way.
fn note(download: &Download) -> String {
    match (&download.fault, download.state) {
        (Some(fault), _) => fault.message.lines().next().unwrap_or_default().to_owned(),
        (None, DownloadState::Running | DownloadState::Verifying) => download.file.clone(),
        (None, _) => String::new(),
    }
}

/// `airunner models verify` and `airunner models repair`.
#[derive(Debug, Serialize)]
pub(crate) struct ProblemsView<'a> {
    model: &'a str,
    /// True if nothing is wrong any more.
    ok: bool,
    problems: Vec<ProblemRow<'a>>,
}

#[derive(Debug, Serialize)]
struct ProblemRow<'a> {
    path: &'a str,
    problem: &'a str,
    repaired: bool,
}

impl<'a> ProblemsView<'a> {
    pub(crate) fn new(model: &'a str, problems: &'a [FileProblem]) -> Self {
        let row = |problem: &'a FileProblem| ProblemRow {
            path: &problem.path,
            problem: &problem.problem,
            repaired: problem.repaired,
        };
        Self {
            model,
            ok: problems.iter().all(|problem| problem.repaired),
            problems: problems.iter().map(row).collect(),
        }
    }

    pub(crate) const fn is_ok(&self) -> bool {
        self.ok
    }
}

pub(crate) fn problems_table(problems: &[FileProblem]) -> Table {
    let mut table = Table::new(&[
        ("FILE", Align::Left),
        ("PROBLEM", Align::Left),
        ("REPAIRED", Align::Left),
    ]);
    for problem in problems {
        let repaired = if problem.repaired { "yes" } else { "no" };
        table.row([problem.path.clone(), problem.problem.clone(), repaired.to_owned()]);
    }
    table
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use airunner_core::download::DownloadId;
    use airunner_core::memory::Quantization;
    use airunner_core::{ErrorKind, Fault};
    use serde_json::json;

    use super::super::samples::{name, value};
    use super::*;

    fn download() -> Download {
        Download {
            id: DownloadId(3),
            name: name("qwen"),
            repository: "owner/qwen".into(),
            revision: "0123".into(),
            level: Some(Quantization::Int4),
            state: DownloadState::Running,
            done_bytes: 25 << 20,
            total_bytes: 100 << 20,
            bytes_per_second: 5 << 20,
            file: "model.onnx".into(),
            fault: None,
            started_at: SystemTime::UNIX_EPOCH + Duration::from_secs(1),
        }
    }

    #[test]
    fn a_download_has_the_fields_of_the_contract() {
        let running = json!({
            "id": 3, "name": "qwen", "repository": "owner/qwen", "revision": "0123", "level": "4bit",
            "state": "running", "done_bytes": 25 << 20, "total_bytes": 100 << 20,
            "bytes_per_second": 5 << 20, "remaining_seconds": 15, "file": "model.onnx", "error": null,
            "started_at": "1970-01-01T00:00:01Z"
        });
        assert_eq!(value(&download_rows(&[download()])), json!([running]));
        let fault = Fault::new(ErrorKind::Unavailable, "no answer").figure("status", 503);
        let failed = Download {
            state: DownloadState::Failed,
            fault: Some(fault),
            ..download()
        };
        assert_eq!(
            value(&DownloadRow::from(&failed))["error"],
            json!({ "reason": "unavailable", "message": "no answer", "figures": { "status": 503 } })
        );
    }

    #[test]
    fn people_see_how_far_it_is_and_what_is_wrong() {
        let failed = Download {
            state: DownloadState::Failed,
            total_bytes: 0,
            bytes_per_second: 0,
            fault: Some(Fault::new(ErrorKind::Unavailable, "no answer")),
            ..download()
        };
        let (head, rows) = downloads_table(&[download(), failed]).lines();
        assert_eq!(head, "ID  MODEL  STATE    DONE     SIZE      SPEED  TO GO  NOTE");
        assert_eq!(
            rows,
            [
                " 3  qwen   running   25%  100 MiB  5.0 MiB/s  15 s   model.onnx",
                " 3  qwen   failed      -        -          -  -      no answer",
            ]
        );
    }

    #[test]
    fn speed_and_time_are_told_while_it_runs_and_when_they_make_sense() {
        let told = |download: &Download| {
            (
                units::download_speed(download),
                units::download_remaining(download),
            )
        };
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(told(&download()), (some("5.0 MiB/s"), some("15 s")));
        let first_bytes = Download {
            bytes_per_second: 3,
            ..download()
        };
        assert_eq!(told(&first_bytes), (some("3 B/s"), None));
        let checking = Download {
            state: DownloadState::Verifying,
            ..download()
        };
        assert_eq!(told(&checking), (None, None));
    }

    #[test]
    fn what_was_repaired_is_well_again() {
        let problem = |repaired| FileProblem {
            path: "a".into(),
            problem: "missing".into(),
            repaired,
        };
        let bad = [problem(false), problem(true)];
        assert_eq!(
            value(&ProblemsView::new("tiny", &bad)),
            json!({ "model": "tiny", "ok": false, "problems": [
                { "path": "a", "problem": "missing", "repaired": false },
                { "path": "a", "problem": "missing", "repaired": true },
            ] })
        );
        assert!(ProblemsView::new("tiny", &[problem(true)]).is_ok());
        assert!(ProblemsView::new("tiny", &[]).is_ok());
        assert_eq!(
            problems_table(&bad).lines().1,
            ["a     missing  no", "a     missing  yes"]
        );
    }
}
