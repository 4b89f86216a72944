//! Decides what a click, an update or an outcome leads to. What it leads to is done by a
//! [`Shell`], so that every decision can be tested without a screen and without a daemon.

#[cfg(test)]
mod tests;

use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use airunner_core::{ErrorKind, Fault};
use airunner_ipc_client::Update;
use airunner_platform::service::login::LoginState;
use jiff::tz::TimeZone;

use crate::state::{Daemon, Refreshed, State, Subject};
use crate::view::{Action, Command, Target, View, documentation, view};

/// What a tray needs done.
pub(crate) trait Shell {
    /// Shows this instead of what was shown before.
    fn show(&mut self, view: &View);
    /// Has another program show something.
    fn open(&mut self, target: &Target);
    /// Begins to do this. What became of it comes back as [`Input::Outcome`].
    fn perform(&mut self, command: Command);
    /// Asks on the screen whether to start at login. An answer comes back as a click.
    fn ask_about_login(&mut self);
    /// It was answered elsewhere.
    fn settle_question(&mut self);
    /// Tells the user something where there is no icon to show it.
    fn tell(&mut self, text: &str);
}

/// Everything that can happen to a tray.
#[derive(Debug)]
pub(crate) enum Input {
    Daemon(Update),
    Clicked(Action),
    /// The question whether to start at login is on the screen, and so it was asked.
    Asked,
    /// The user is about to look at the menu.
    MenuOpened,
    Host(Host),
    Outcome(Command, Result<Answer, Fault>),
    /// Another program could not show what it was asked to.
    NotOpened(String),
    /// There can be no icon any more.
    Lost(Fault),
}

/// Whether the desktop has a place for icons.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Host {
    Present,
    #[cfg_attr(
        any(target_os = "macos", windows),
        expect(dead_code, reason = "these systems always have one")
    )]
    Absent,
}

/// What a command that succeeded has brought.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Answer {
    Done,
    Refreshed(Box<Refreshed>),
    Login {
        state: LoginState,
        /// Somebody has said once whether it should start at login.
        decided: bool,
    },
}

/// How the tray ends.
pub(crate) type Flow = ControlFlow<Result<(), Fault>>;

const NO_PLACE: &str = "This desktop has no place for tray icons, so AI Runner shows none. (GNOME has one with the \
                        extension AppIndicator.) Everything can be done with the command airunner.";

/// Changes that come faster than this are shown together, unless the icon changes.
const PACE: Duration = Duration::from_millis(80);
/// How long the first picture waits for the daemon's first answer.
const FIRST_PATIENCE: Duration = Duration::from_millis(100);

pub(crate) struct Controller<S> {
    shell: S,
    state: State,
    zone: TimeZone,
    shown: Option<View>,
    /// Before this moment nothing is shown that can wait.
    quiet_until: Instant,
    refreshing: bool,
    /// The system is being asked whether it starts at login, and how often that had been set then.
    asking_login: Option<u64>,
    /// How often setting it has begun or ended: an answer from before says nothing any more.
    login_sets: u64,
    /// The screen was asked to show the question about it.
    asked_on_screen: bool,
    leaving: bool,
    /// The user has been told that there is no place for the icon.
    told: bool,
    /// The page to open instead of an icon is still to come.
    owes_page: bool,
    /// Nobody asked for this tray by hand, so nothing may jump up.
    in_background: bool,
}

impl<S: Shell> Controller<S> {
    pub(crate) fn new(shell: S, zone: TimeZone, in_background: bool, now: Instant) -> Self {
        Self {
            shell,
            state: State::default(),
            zone,
            shown: None,
            quiet_until: now + FIRST_PATIENCE,
            refreshing: false,
            asking_login: None,
            login_sets: 0,
            asked_on_screen: false,
            leaving: false,
            told: false,
            owes_page: false,
            in_background,
        }
    }

    /// Takes one thing in; breaks when the tray is to end.
    pub(crate) fn handle(&mut self, input: Input) -> Flow {
        match input {
            Input::Daemon(update) => self.update(update),
            Input::Clicked(action) => return self.click(action),
            Input::MenuOpened => {
                self.refresh();
                self.ask_login();
            }
            Input::Asked => self.ask_login(),
            Input::Host(host) => self.host(host),
            Input::Outcome(command, result) => return self.outcome(command, result),
            Input::NotOpened(text) => self.state.complain(Subject::Request, text),
            Input::Lost(fault) => return ControlFlow::Break(Err(fault)),
        }
        ControlFlow::Continue(())
    }

    /// Shows what has changed. Returns when to call again, if something has to wait.
    pub(crate) fn draw(&mut self, now: Instant) -> Option<Instant> {
        let view = view(&self.state, &self.zone);
        if self.shown.as_ref() == Some(&view) {
            return None;
        }
        let urgent = match &self.shown {
            Some(shown) => shown.icon != view.icon,
            None => self.state.daemon != Daemon::Unknown,
        };
        if !urgent && now < self.quiet_until {
            return Some(self.quiet_until);
        }
        self.shell.show(&view);
        self.shown = Some(view);
        self.quiet_until = now + PACE;
        None
    }

    fn update(&mut self, update: Update) {
        let is_new =
            matches!(update, Update::Snapshot(_)) && !matches!(self.state.daemon, Daemon::Running(_));
        self.state.apply(update);
        if is_new {
            self.refresh();
        }
    }

    fn click(&mut self, action: Action) -> Flow {
        match action {
            Action::Ask(command) => {
                if matches!(command, Command::Start | Command::Restart) {
                    self.state.starting();
                }
                self.login_sets += u64::from(sets_login(&command));
                self.shell.perform(command);
            }
            Action::Open(target) => self.shell.open(&target),
            Action::Dismiss => self.state.dismiss(),
            Action::Quit => return ControlFlow::Break(Ok(())),
            Action::StopAndQuit => {
                self.leaving = true;
                self.shell.perform(Command::Stop);
            }
        }
        ControlFlow::Continue(())
    }

    fn outcome(&mut self, command: Command, result: Result<Answer, Fault>) -> Flow {
        if command == Command::Refresh {
            self.refreshing = false;
        } else if command == Command::AskLogin
            && self
                .asking_login
                .take()
                .is_some_and(|began| began != self.login_sets)
        {
            self.ask_login();
            return ControlFlow::Continue(());
        }
        self.login_sets += u64::from(sets_login(&command));
        match result {
            Ok(Answer::Refreshed(refreshed)) => {
                self.state.refresh(*refreshed);
                self.open_page();
                self.ask_on_screen();
            }
            Ok(Answer::Login { state, decided }) => {
                self.begin_at_login(&state);
                self.state.ask_about_login = !decided && !state.enabled;
                self.state.login = Some(state);
                if command != Command::AskLogin {
                    self.shell.settle_question();
                }
                self.ask_on_screen();
            }
            Ok(Answer::Done) if command == Command::Stop && self.leaving => {
                return ControlFlow::Break(Ok(()));
            }
            Ok(Answer::Done) => {}
            Err(fault) => self.failed(&command, &fault),
        }
        ControlFlow::Continue(())
    }

    /// Without a service manager the tray that starts at login brings the daemon.
    fn begin_at_login(&mut self, login: &LoginState) {
        let first = self.state.login.is_none();
        let down = !matches!(self.state.daemon, Daemon::Running(_));
        if first && self.in_background && login.enabled && !login.daemon && down {
            self.state.starting();
            self.shell.perform(Command::Start);
        }
    }

    fn failed(&mut self, command: &Command, fault: &Fault) {
        match command {
            Command::Start | Command::Restart => self.state.start_failed(fault),
            // The watch says it if the daemon is gone, and anything else is asked again.
            Command::Refresh | Command::AskLogin => {}
            Command::Stop => {
                self.leaving = false;
                self.state.complain(Subject::Request, fault.message.clone());
            }
            Command::Load(name) | Command::Unload(name) | Command::Pin(name, _) | Command::Keep(name, _) => {
                // It was cancelled by the user, here or elsewhere.
                if fault.kind != ErrorKind::Cancelled {
                    let text = format!("{name}: {}", fault.message);
                    self.state.complain(Subject::Model(name.clone()), text);
                }
            }
            Command::Free
            | Command::Pause
            | Command::Resume
            | Command::Switch(..)
            | Command::PauseDownload(_)
            | Command::ResumeDownload(_)
            | Command::CancelDownload(_)
            | Command::CancelActivity(_)
            | Command::Answer(..)
            | Command::DismissNotification(_)
            | Command::SetLogin(_)
            | Command::DeclineLogin => {
                self.state.complain(Subject::Request, fault.message.clone());
            }
        }
    }

    /// Asks for what the watch does not tell; once at a time.
    fn refresh(&mut self) {
        if matches!(self.state.daemon, Daemon::Running(_)) && !self.refreshing {
            self.refreshing = true;
            self.shell.perform(Command::Refresh);
        }
    }

    /// Asks the system; once at a time.
    pub(crate) fn ask_login(&mut self) {
        if self.asking_login.is_none() {
            self.asking_login = Some(self.login_sets);
            self.shell.perform(Command::AskLogin);
        }
    }

    /// Once, where a daemon says that notifications are wanted.
    fn ask_on_screen(&mut self) {
        let Daemon::Running(running) = &self.state.daemon else {
            return;
        };
        let wanted = running.switch("notifications.enabled") == Some(true);
        if wanted && self.state.ask_about_login && !self.asked_on_screen {
            self.asked_on_screen = true;
            self.shell.ask_about_login();
        }
    }

    fn host(&mut self, host: Host) {
        match host {
            Host::Present => self.owes_page = false,
            Host::Absent if self.told => {}
            Host::Absent => {
                self.told = true;
                self.owes_page = !self.in_background;
                self.shell.tell(NO_PLACE);
                self.open_page();
            }
        }
    }

    fn open_page(&mut self) {
        let Daemon::Running(running) = &self.state.daemon else {
            return;
        };
        if let Some(page) = documentation(running).filter(|_| self.owes_page) {
            self.owes_page = false;
            self.shell.open(&Target::Page(page));
        }
    }
}

const fn sets_login(command: &Command) -> bool {
    matches!(command, Command::SetLogin(_) | Command::DeclineLogin)
}
