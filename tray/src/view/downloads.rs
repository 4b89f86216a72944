//! Downloads: those under way, and those that wait for somebody.

use airunner_core::download::{Download, DownloadState};

use super::{Action, Command, Entry, text};
use crate::state::Running;

/// More than these are counted only.
const MOST: usize = 5;

pub(super) fn entries(running: &Running) -> Vec<Entry> {
    let shown =
        |download: &&Download| !matches!(download.state, DownloadState::Done | DownloadState::Cancelled);
    let downloads: Vec<&Download> = running.downloads.values().filter(shown).collect();
    let mut entries: Vec<Entry> = downloads
        .iter()
        .take(MOST)
        .map(|download| entry(download))
        .collect();
    let others = downloads.len().saturating_sub(MOST) as u64;
    if others > 0 {
        entries.push(Entry::Text(text::count(others, "more download")));
    }
    entries
}

fn entry(download: &Download) -> Entry {
    let runs = !download.state.is_at_rest();
    let (id, ask) = (download.id, Action::Ask);
    Entry::submenu(
        label(download),
        vec![
            Entry::Text(amount(download)),
            Entry::maybe("Pause", runs.then(|| ask(Command::PauseDownload(id)))),
            Entry::maybe("Go on", (!runs).then(|| ask(Command::ResumeDownload(id)))),
            Entry::item("Cancel and delete", ask(Command::CancelDownload(id))),
        ],
    )
}

fn label(download: &Download) -> String {
    let name = text::name(download.name.as_str());
    let state = match download.state {
        DownloadState::Queued => "waits for another download",
        DownloadState::Resolving => "asking the hub",
        DownloadState::Running => "downloading",
        DownloadState::Verifying => "checking",
        DownloadState::Publishing => "installing",
        DownloadState::Paused => "paused",
        DownloadState::Waiting => "waits to try again",
        DownloadState::Failed => "failed",
        DownloadState::Cancelled => "cancelled",
        DownloadState::Done => "done",
    };
    match text::percent(download.done_bytes, download.total_bytes) {
        Some(percent) => format!("{name}: {state}, {percent} %"),
        None => format!("{name}: {state}"),
    }
}

fn amount(download: &Download) -> String {
    if download.total_bytes == 0 {
        return "Its size is not known yet".to_owned();
    }
    let (done, total) = (text::size(download.done_bytes), text::size(download.total_bytes));
    format!("{done} of {total}")
}
