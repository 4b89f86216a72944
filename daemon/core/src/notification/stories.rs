//! How each notification reads: what happened, and what can be done about it.

use std::time::Duration;

use super::item::{Action, Command, NewNotification, Notification, NotificationId};
use super::kind::NotificationKind as Kind;
use super::text::clean;
use crate::download::Download;
use crate::job::{Job, JobState};
use crate::memory::display_bytes;
use crate::name::ModelName;

/// The domain that loads and unloads models.
pub const MODELS: &str = "models";
/// The domain that fetches models.
pub const DOWNLOADS: &str = "downloads";
/// The domain of long work.
pub const JOBS: &str = "jobs";

/// Most characters of a name within a sentence.
const NAME: usize = 60;
/// Most characters of what went wrong.
const REASON: usize = 240;
/// Lines of a summary.
const LINES: usize = 4;

pub(super) fn loaded_key(name: &ModelName) -> String {
    format!("loaded:{name}")
}

pub(super) fn memory_key(name: &ModelName) -> String {
    format!("memory:{name}")
}

pub(super) fn crash_key(name: &ModelName) -> String {
    format!("crash:{name}")
}

pub(super) fn download_key(download: &Download) -> String {
    format!("download:{}", download.id.0)
}

fn load(name: &ModelName, label: &str) -> Action {
    Action::new("load", label, Command::ask(MODELS, "load", name))
}

/// Somebody waited long, and it is there.
#[must_use]
pub fn model_loaded(name: &ModelName, took: Duration) -> NewNotification {
    NewNotification::new(
        Kind::ModelLoaded,
        &format!("{} is ready", shown(name)),
        &format!("It took {}. It is in memory and can be used.", time(took)),
    )
    .with(Action::new(
        "unload",
        "Unload",
        Command::ask(MODELS, "unload", name),
    ))
    .replacing(loaded_key(name))
}

/// It made room for the rest of the machine.
#[must_use]
pub fn memory_pressure_unloaded(name: &ModelName) -> NewNotification {
    NewNotification::new(
        Kind::MemoryPressureUnloaded,
        &format!("{} was unloaded", shown(name)),
        "This machine ran short of memory. The next request loads it again.",
    )
    .with(load(name, "Load again"))
    .replacing(memory_key(name))
}

/// Its process died.
#[must_use]
pub fn worker_crashed(name: &ModelName, why: &str) -> NewNotification {
    let why = clean(why, REASON);
    NewNotification::new(
        Kind::WorkerCrashed,
        &format!("{} crashed", shown(name)),
        &format!("{why}\nOther models are not affected. The next request starts it again."),
    )
    .with(load(name, "Load again"))
    .replacing(crash_key(name))
}

/// A download is complete.
#[must_use]
pub fn download_finished(download: &Download) -> NewNotification {
    let (name, from) = (&download.name, clean(&download.repository, NAME));
    NewNotification::new(
        Kind::DownloadFinished,
        &format!("{} is downloaded", shown(name)),
        &format!(
            "{} from {from} are here and checked.",
            display_bytes(download.total_bytes)
        ),
    )
    .with(load(name, "Load"))
    .replacing(download_key(download))
}

/// A download will not go on by itself.
#[must_use]
pub fn download_failed(download: &Download) -> NewNotification {
    let why = download.fault.as_ref().map_or_else(String::new, |fault| {
        format!("{}\n", clean(&fault.message, REASON))
    });
    let here = match download.done_bytes {
        0 => String::new(),
        bytes => format!("{} are here and kept.", display_bytes(bytes)),
    };
    NewNotification::new(
        Kind::DownloadFailed,
        &format!("{} could not be downloaded", shown(&download.name)),
        &format!("{why}{here}"),
    )
    .with(Action::new(
        "resume",
        "Try again",
        Command::ask(DOWNLOADS, "resume", download.id.0),
    ))
    .replacing(download_key(download))
}

/// Long work is over; `None` if nobody needs to be told: it was cancelled, was short, or is told
/// as something else.
#[must_use]
pub fn job_over(job: &Job, long: Duration) -> Option<NewNotification> {
    // A pull is a download, which speaks for itself.
    if job.kind == "pull" {
        return None;
    }
    let took = job.updated_at.duration_since(job.created_at).unwrap_or_default();
    let story = match job.state {
        JobState::Completed if took >= long => job_finished(job, took),
        JobState::Failed => job_failed(job),
        JobState::Completed | JobState::Pending | JobState::Running | JobState::Cancelled => return None,
    };
    Some(story.replacing(format!("job:{}", job.id)))
}

/// What a job did, as it reads after "done" and before "failed".
fn work(job: &Job) -> String {
    let subject = ["model", "name"]
        .into_iter()
        .find_map(|field| job.request.get(field)?.as_str());
    let what = match &*job.kind {
        "quantize" => "Making a smaller model",
        "import" => "An import",
        "verify" => "A check",
        other => other,
    };
    let subject = subject.map_or_else(String::new, |subject| format!(": {}", clean(subject, NAME)));
    format!("{}{subject}", clean(what, NAME))
}

fn job_finished(job: &Job, took: Duration) -> NewNotification {
    let result = job.result.as_ref();
    let model = result.and_then(|result| ModelName::new(result.get("model")?.as_str()?).ok());
    let problems = result
        .and_then(|result| result.get("problems")?.as_array().map(Vec::len))
        .unwrap_or(0);
    let body = match (problems, &model) {
        (0, Some(model)) => format!("{} is installed. It took {}.", shown(model), time(took)),
        (0, None) => format!("It took {}.", time(took)),
        (problems, _) => {
            format!("{problems} files are not as they were published: see airunner models repair")
        }
    };
    let story = NewNotification::new(Kind::JobFinished, &format!("{}: done", work(job)), &body);
    match &model {
        Some(model) => story.with(load(model, "Load")),
        None => story,
    }
}

fn job_failed(job: &Job) -> NewNotification {
    let why = job.fault.as_ref().map_or("", |fault| &fault.message);
    NewNotification::new(
        Kind::JobFailed,
        &format!("{}: failed", work(job)),
        &clean(why, REASON),
    )
    .with(Action::new(
        "retry",
        "Try again",
        Command::ask(JOBS, "retry", &job.id),
    ))
}

/// What a click asked for could not be done.
#[must_use]
pub fn action_failed(notification: &Notification, label: &str, why: &str) -> NewNotification {
    NewNotification::new(
        Kind::ActionFailed,
        &format!("{}: that did not work", clean(label, NAME)),
        &format!("{}\n{}", clean(&notification.title, NAME), clean(why, REASON)),
    )
    .replacing(format!("action:{}", notification.id))
}

/// Many at once: those, the oldest first.
#[must_use]
pub fn summary(of: &[(NotificationId, String)], away: bool) -> NewNotification {
    let count = of.len();
    let title = if away {
        format!("{count} things happened while you were away")
    } else {
        format!("{count} things happened")
    };
    let mut lines: Vec<String> = of
        .iter()
        .rev()
        .take(LINES)
        .map(|(_, title)| clean(title, NAME))
        .collect();
    if count > LINES {
        lines.push(format!("and {} more: see airunner notify list", count - LINES));
    }
    let ids = of.iter().map(|(id, _)| *id).collect();
    NewNotification::new(Kind::Summary, &title, &lines.join("\n"))
        .with(Action::new("show", "Show them", Command::ShowEach(ids)))
        .replacing("summary")
}

/// What somebody sees who wants to know whether notifications arrive.
#[must_use]
pub fn test() -> NewNotification {
    NewNotification::new(
        Kind::Test,
        "AI Runner can reach you",
        "This is what its notifications look like. Somebody ran: airunner notify test",
    )
    .with(Action::new("ok", "I see it", Command::Acknowledge))
    .with(Action::snooze(1))
    .replacing("test")
}

fn shown(name: &ModelName) -> String {
    clean(name.as_str(), NAME)
}

/// Such as `42 s` or `3 min`.
fn time(time: Duration) -> String {
    match time.as_secs() {
        seconds @ 0..120 => format!("{seconds} s"),
        seconds @ 120..7200 => format!("{} min", seconds / 60),
        seconds => format!("{} h", seconds / 3600),
    }
}
