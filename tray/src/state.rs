//! What the tray knows: what the daemon says, and what became of what the user asked for.
//!
//! Owns no connection and asks nobody; everything comes in as an update or an outcome.

use std::collections::{BTreeMap, BTreeSet};

use airunner_core::activity::{Activity, ActivityId};
use airunner_core::download::{Download, DownloadId, DownloadState};
use airunner_core::event::{Event, Snapshot};
use airunner_core::lifecycle::{Cause, StateName, UnloadReason};
use airunner_core::memory::MemoryBreakdown;
use airunner_core::model::Model;
use airunner_core::notification::{Notification, NotificationId};
use airunner_core::pause::Pause;
use airunner_core::settings::Setting;
use airunner_core::status::{DaemonStatus, HttpStatus};
use airunner_core::{ErrorKind, Fault, ModelName};
use airunner_ipc_client::Update;
use airunner_platform::service::login::LoginState;

/// Troubles that are kept until somebody has seen them; the oldest go first.
const MOST_TROUBLES: usize = 8;

/// Everything that is shown.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct State {
    pub(crate) daemon: Daemon,
    /// Whether AI Runner starts at login, as the system says; `None` until it was asked.
    pub(crate) login: Option<LoginState>,
    /// Nobody has decided yet whether it should.
    pub(crate) ask_about_login: bool,
    /// What went wrong and nobody has dismissed, oldest first.
    pub(crate) troubles: Vec<Trouble>,
    /// What was dismissed; it comes back only if it happens again.
    dismissed: BTreeSet<Subject>,
}

/// How things stand with the daemon.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) enum Daemon {
    /// The first answer is still waited for.
    #[default]
    Unknown,
    NotRunning,
    /// The user wants it to run and it does not answer yet.
    Starting,
    /// It is there and cannot be used, such as one of another version.
    Unusable(Fault),
    Running(Box<Running>),
}

/// What a daemon that answers has said.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Running {
    pub(crate) models: BTreeMap<ModelName, Model>,
    pub(crate) memory: Vec<MemoryBreakdown>,
    pub(crate) downloads: BTreeMap<DownloadId, Download>,
    pub(crate) activities: BTreeMap<ActivityId, Activity>,
    /// Those that want an answer.
    pub(crate) notifications: BTreeMap<NotificationId, Notification>,
    /// Nothing is loaded or answered meanwhile.
    pub(crate) paused: Option<Pause>,
    /// Empty until it was asked.
    pub(crate) settings: Vec<Setting>,
    /// It ends, once what runs has finished.
    pub(crate) stopping: bool,
    /// Where its HTTP API answers.
    pub(crate) http: HttpStatus,
    /// What runs is not what is installed.
    pub(crate) upgrade: Option<Upgrade>,
}

/// What is left to do after an upgrade.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Upgrade {
    /// The daemon is the one from before.
    Daemon,
    /// The daemon is the installed one, and this tray is the one from before.
    Tray,
}

impl Upgrade {
    /// `replaced`: other files have taken the place of the ones that run.
    pub(crate) const fn of(same_version: bool, daemon_replaced: bool, tray_replaced: bool) -> Option<Self> {
        match (same_version, daemon_replaced, tray_replaced) {
            (true, false, false) => None,
            (_, true, _) | (false, false, false) => Some(Self::Daemon),
            (_, false, true) => Some(Self::Tray),
        }
    }
}

/// What the daemon answers when it is asked for everything that it does not tell by itself.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Refreshed {
    pub(crate) status: DaemonStatus,
    pub(crate) memory: Vec<MemoryBreakdown>,
    pub(crate) settings: Vec<Setting>,
    pub(crate) upgrade: Option<Upgrade>,
}

/// What a trouble is about. At most one is kept of each.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Subject {
    Model(ModelName),
    Download(DownloadId),
    /// Something else that the user asked for.
    Request,
}

/// Something the user should know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Trouble {
    pub(crate) subject: Subject,
    /// For a person; what strangers wrote in it is not cleaned yet.
    pub(crate) text: String,
}

impl State {
    /// Takes in what the watch says.
    pub(crate) fn apply(&mut self, update: Update) {
        match update {
            Update::Snapshot(snapshot) => self.begin(*snapshot),
            Update::Event(event) => self.change(event),
            Update::Disconnected(fault) => self.lose(fault),
        }
    }

    /// Takes in what the daemon answered when it was asked.
    pub(crate) fn refresh(&mut self, refreshed: Refreshed) {
        let Refreshed {
            status,
            memory,
            settings,
            upgrade,
        } = refreshed;
        if let Daemon::Running(running) = &mut self.daemon {
            running.settings = settings;
            running.upgrade = upgrade;
            running.paused = status.paused;
            running.models = by_name(status.models);
            running.memory = memory;
            running.stopping = status.shutting_down;
            running.http = status.http;
        }
    }

    /// Remembers that the user wants the daemon.
    pub(crate) fn starting(&mut self) {
        if !matches!(self.daemon, Daemon::Running(_)) {
            self.daemon = Daemon::Starting;
            self.resolve(&Subject::Request);
        }
    }

    /// The daemon could not be started.
    pub(crate) fn start_failed(&mut self, fault: &Fault) {
        if self.daemon == Daemon::Starting {
            self.daemon = Daemon::NotRunning;
        }
        self.complain(Subject::Request, fault.message.clone());
    }

    /// Something has gone wrong.
    pub(crate) fn complain(&mut self, subject: Subject, text: String) {
        self.dismissed.remove(&subject);
        self.troubles.retain(|trouble| trouble.subject != subject);
        self.troubles.push(Trouble { subject, text });
        let surplus = self.troubles.len().saturating_sub(MOST_TROUBLES);
        self.troubles.drain(..surplus);
    }

    /// The user has seen everything.
    pub(crate) fn dismiss(&mut self) {
        let seen = self.troubles.drain(..).map(|trouble| trouble.subject);
        self.dismissed.extend(seen);
    }

    /// It is well again; if it goes wrong once more that is news.
    pub(crate) fn resolve(&mut self, subject: &Subject) {
        self.troubles.retain(|trouble| trouble.subject != *subject);
        self.dismissed.remove(subject);
    }

    fn begin(&mut self, snapshot: Snapshot) {
        let before = match std::mem::take(&mut self.daemon) {
            Daemon::Running(running) => *running,
            Daemon::Unknown | Daemon::NotRunning | Daemon::Starting | Daemon::Unusable(_) => {
                Running::default()
            }
        };
        let downloads = snapshot.downloads.into_iter();
        let activities = snapshot.activities.into_iter();
        let notifications = snapshot.notifications.into_iter();
        let running = Running {
            models: by_name(snapshot.models),
            memory: snapshot.memory,
            downloads: downloads.map(|download| (download.id, download)).collect(),
            activities: activities.map(|activity| (activity.id, activity)).collect(),
            notifications: notifications.map(|told| (told.id, told)).collect(),
            paused: snapshot.paused,
            http: snapshot.http,
            stopping: false,
            // What a snapshot does not say is as it was.
            settings: before.settings,
            upgrade: before.upgrade,
        };
        self.resolve(&Subject::Request);
        self.troubles
            .retain(|trouble| running.still_has(&trouble.subject));
        let known: Vec<Trouble> = running.troubles();
        for trouble in known {
            let listed = self.troubles.iter().any(|other| other.subject == trouble.subject);
            if !listed && !self.dismissed.contains(&trouble.subject) {
                self.complain(trouble.subject, trouble.text);
            }
        }
        self.daemon = Daemon::Running(Box::new(running));
    }

    fn change(&mut self, event: Event) {
        let Daemon::Running(running) = &mut self.daemon else {
            return;
        };
        match event {
            Event::ModelChanged {
                model,
                cause,
                message,
                ..
            } => {
                let name = model.name.clone();
                let trouble = trouble_of(&model, &cause, &message);
                let well = matches!(model.state, StateName::Loaded | StateName::Busy);
                running.models.insert(name.clone(), *model);
                match trouble {
                    Some(text) => self.complain(Subject::Model(name), text),
                    None if well => self.resolve(&Subject::Model(name)),
                    None => {}
                }
            }
            Event::ModelRemoved(name) => {
                running.models.remove(&name);
                self.resolve(&Subject::Model(name));
            }
            Event::MemoryChanged(memory) => running.memory = memory,
            Event::DownloadChanged(download) => {
                let id = download.id;
                let failure = failure_of(&download);
                running.downloads.insert(id, *download);
                match failure {
                    Some(text) => self.complain(Subject::Download(id), text),
                    None => self.resolve(&Subject::Download(id)),
                }
            }
            Event::ActivityChanged(activity) => {
                running.activities.insert(activity.id, *activity);
            }
            Event::ActivityEnded(id) => {
                running.activities.remove(&id);
            }
            Event::NotificationChanged(told) if told.state.is_open() => {
                running.notifications.insert(told.id, *told);
            }
            Event::NotificationChanged(told) => {
                running.notifications.remove(&told.id);
            }
            Event::PauseChanged(paused) => running.paused = paused,
            Event::HttpChanged(http) => running.http = http,
            Event::ShuttingDown { .. } => running.stopping = true,
        }
    }

    fn lose(&mut self, fault: Fault) {
        if fault.kind == ErrorKind::DaemonNotRunning {
            // While it is being started, that it does not answer is no news.
            if self.daemon != Daemon::Starting {
                self.daemon = Daemon::NotRunning;
            }
        } else {
            self.daemon = Daemon::Unusable(fault);
        }
    }
}

impl Running {
    /// Whether a setting that is on or off is on; `None` if there is none of that name.
    pub(crate) fn switch(&self, name: &str) -> Option<bool> {
        let setting = self.settings.iter().find(|setting| setting.name() == name)?;
        setting.value.parse().ok()
    }

    /// Whether the daemon goes on when the tray is quit.
    pub(crate) fn stays(&self) -> bool {
        self.switch("desktop.run_in_background").unwrap_or(true)
    }

    /// Models that are in memory or on their way, and downloads under way: something is going on.
    pub(crate) fn with_state(&self, state: StateName) -> impl Iterator<Item = &Model> {
        self.models.values().filter(move |model| model.state == state)
    }

    /// Downloads that are being worked on.
    pub(crate) fn active_downloads(&self) -> impl Iterator<Item = &Download> {
        self.downloads
            .values()
            .filter(|download| !download.state.is_at_rest())
    }

    fn still_has(&self, subject: &Subject) -> bool {
        match subject {
            Subject::Model(name) => self.models.contains_key(name),
            Subject::Download(id) => self.downloads.contains_key(id),
            Subject::Request => true,
        }
    }

    /// What is wrong as far as the picture itself tells, without having seen it happen.
    fn troubles(&self) -> Vec<Trouble> {
        let models = self.models.values().filter_map(|model| {
            let cause = Cause::Unload(model.last_unload_reason.clone()?);
            let unloaded = model.state == StateName::Unloaded;
            let text = trouble_of(model, &cause, "").filter(|_| unloaded)?;
            Some(Trouble {
                subject: Subject::Model(model.name.clone()),
                text,
            })
        });
        let downloads = self.downloads.values().filter_map(|download| {
            Some(Trouble {
                subject: Subject::Download(download.id),
                text: failure_of(download)?,
            })
        });
        models.chain(downloads).collect()
    }
}

/// What a person should know of why a model left memory, if anything.
fn trouble_of(model: &Model, cause: &Cause, message: &str) -> Option<String> {
    let Cause::Unload(reason) = cause else { return None };
    let what = match reason {
        UnloadReason::WorkerCrashed => "crashed",
        UnloadReason::LoadFailed => "could not be loaded",
        UnloadReason::MemoryPressure => "was unloaded because the system ran short of memory",
        UnloadReason::IdleTimeout
        | UnloadReason::Requested
        | UnloadReason::LoadCancelled
        | UnloadReason::Shutdown
        | UnloadReason::EvictedFor(_)
        | UnloadReason::EvictedForReservation
        | UnloadReason::Freed
        | UnloadReason::Reloaded
        | UnloadReason::Paused => return None,
    };
    let name = &model.name;
    Some(if message.is_empty() {
        format!("{name} {what}")
    } else {
        format!("{name} {what}: {message}")
    })
}

fn failure_of(download: &Download) -> Option<String> {
    if download.state != DownloadState::Failed {
        return None;
    }
    let name = &download.name;
    Some(match &download.fault {
        Some(fault) => format!("{name} could not be downloaded: {}", fault.message),
        None => format!("{name} could not be downloaded"),
    })
}

fn by_name(models: Vec<Model>) -> BTreeMap<ModelName, Model> {
    models
        .into_iter()
        .map(|model| (model.name.clone(), model))
        .collect()
}
