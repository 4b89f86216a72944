//! What the shell is told, in order, with a shell that only writes it down.

use std::cell::RefCell;
use std::rc::Rc;

use airunner_core::ModelName;
use airunner_core::event::Event;
use airunner_core::settings::{Applies, Pending, Setting, SettingSource};
use airunner_core::status::{DaemonStatus, HttpStatus};

use super::*;

/// Lines of what was to be done.
#[derive(Clone, Default)]
struct Recorder(Rc<RefCell<Vec<String>>>);

impl Recorder {
    fn note(&self, line: String) {
        self.0.borrow_mut().push(line);
    }
}

impl Shell for Recorder {
    fn show(&mut self, view: &View) {
        self.note(format!("show ({}) {}", view.icon.as_str(), view.status));
    }

    fn open(&mut self, target: &Target) {
        self.note(format!("open {target:?}"));
    }

    fn perform(&mut self, command: Command) {
        self.note(format!("perform {command:?}"));
    }

    fn ask_about_login(&mut self) {
        self.note("ask".to_owned());
    }

    fn settle_question(&mut self) {
        self.note("settle".to_owned());
    }

    fn tell(&mut self, text: &str) {
        self.note(format!("tell {}", text.split(',').next().unwrap_or_default()));
    }
}

struct Scene {
    controller: Controller<Recorder>,
    recorder: Recorder,
    now: Instant,
}

impl Scene {
    fn new(in_background: bool) -> Self {
        let (recorder, now) = (Recorder::default(), Instant::now());
        let controller = Controller::new(recorder.clone(), TimeZone::UTC, in_background, now);
        Self {
            controller,
            recorder,
            now,
        }
    }

    fn connected() -> Self {
        let mut scene = Self::new(false);
        let _ = scene.input(snapshot());
        let _ = scene.input(refreshed(&[]));
        scene.taken();
        scene
    }

    fn input(&mut self, input: Input) -> Flow {
        let flow = self.controller.handle(input);
        self.now += FIRST_PATIENCE.max(PACE);
        assert_eq!(self.controller.draw(self.now), None);
        flow
    }

    /// What was noted since the last call.
    fn taken(&self) -> Vec<String> {
        self.recorder.0.take()
    }
}

fn snapshot() -> Input {
    Input::Daemon(Update::Snapshot(Box::default()))
}

fn gone() -> Input {
    Input::Daemon(Update::Disconnected(not_running()))
}

fn not_running() -> Fault {
    Fault::new(ErrorKind::DaemonNotRunning, "the daemon is not running")
}

fn refreshed(urls: &[&str]) -> Input {
    refreshed_with(urls, Vec::new())
}

fn notifications(enabled: &str) -> Setting {
    Setting {
        section: "notifications".to_owned(),
        key: "enabled".to_owned(),
        value: enabled.to_owned(),
        default: "true".to_owned(),
        source: SettingSource::File,
        allowed: String::new(),
        help: String::new(),
        applies: Applies::AtOnce,
        pending: Pending::Nothing,
    }
}

fn refreshed_with(urls: &[&str], settings: Vec<Setting>) -> Input {
    let status = DaemonStatus {
        http: HttpStatus {
            urls: urls.iter().map(|&url| url.to_owned()).collect(),
            ..HttpStatus::default()
        },
        ..DaemonStatus::default()
    };
    let answer = Answer::Refreshed(Box::new(Refreshed {
        status,
        memory: Vec::new(),
        settings,
        upgrade: None,
    }));
    Input::Outcome(Command::Refresh, Ok(answer))
}

fn ask(command: Command) -> Input {
    Input::Clicked(Action::Ask(command))
}

fn tiny() -> ModelName {
    ModelName::new("tiny").unwrap()
}

#[test]
fn a_daemon_that_comes_goes_and_comes_back_is_shown_and_asked_once_each_time() {
    let mut scene = Scene::new(false);
    let _ = scene.input(gone());
    let _ = scene.input(snapshot());
    let _ = scene.input(refreshed(&[]));
    let _ = scene.input(snapshot());
    let _ = scene.input(gone());
    let _ = scene.input(snapshot());
    assert_eq!(
        scene.taken(),
        [
            "show (stopped) Daemon is not running",
            "perform Refresh",
            "show (idle) Idle",
            // The documentation has an address or not.
            "show (stopped) Daemon is not running",
            "perform Refresh",
            "show (idle) Idle",
        ]
    );
}

#[test]
fn starting_is_shown_until_the_daemon_answers_or_cannot_be_started() {
    let mut scene = Scene::new(false);
    let _ = scene.input(gone());
    let _ = scene.input(ask(Command::Start));
    let _ = scene.input(gone());
    let failure = Fault::new(ErrorKind::NotFound, "cannot start airunnerd");
    let _ = scene.input(Input::Outcome(Command::Start, Err(failure)));
    let _ = scene.input(Input::Clicked(Action::Dismiss));
    assert_eq!(
        scene.taken(),
        [
            "show (stopped) Daemon is not running",
            "perform Start",
            "show (loading) Starting the daemon",
            "show (stopped) Daemon is not running",
            "show (stopped) Daemon is not running",
        ]
    );
}

#[test]
fn clicks_become_commands_and_failures_become_troubles() {
    let mut scene = Scene::connected();
    let _ = scene.input(ask(Command::Load(tiny())));
    let fault = Fault::new(ErrorKind::OutOfMemory, "it does not fit");
    let _ = scene.input(Input::Outcome(Command::Load(tiny()), Err(fault)));
    let _ = scene.input(Input::Clicked(Action::Dismiss));
    let cancelled = Fault::new(ErrorKind::Cancelled, "given up");
    let _ = scene.input(Input::Outcome(Command::Load(tiny()), Err(cancelled)));
    let _ = scene.input(Input::Clicked(Action::Open(Target::Logs)));
    let _ = scene.input(Input::NotOpened("no editor".into()));
    assert_eq!(
        scene.taken(),
        [
            "perform Load(ModelName(\"tiny\"))",
            "show (warning) Idle",
            "show (idle) Idle",
            "open Logs",
            "show (warning) Idle",
        ]
    );
}

#[test]
fn the_tray_ends_with_the_daemon_only_if_that_was_asked_for_and_came_about() {
    let mut scene = Scene::connected();
    assert!(scene.input(Input::Clicked(Action::Quit)).is_break());

    let mut scene = Scene::connected();
    assert!(scene.input(Input::Clicked(Action::StopAndQuit)).is_continue());
    let busy = Fault::new(ErrorKind::Internal, "it hangs");
    assert!(
        scene
            .input(Input::Outcome(Command::Stop, Err(busy)))
            .is_continue()
    );
    let done = || Input::Outcome(Command::Stop, Ok(Answer::Done));
    assert!(scene.input(done()).is_continue(), "that was another stop");
    assert!(scene.input(Input::Clicked(Action::StopAndQuit)).is_continue());
    assert!(matches!(scene.input(done()), ControlFlow::Break(Ok(()))));
}

#[test]
fn whether_to_start_at_login_is_shown_as_the_system_says_and_asked_until_answered() {
    let mut scene = Scene::connected();
    let says = |command: Command, enabled: bool, decided: bool| {
        let state = LoginState {
            enabled,
            ..LoginState::default()
        };
        Input::Outcome(command, Ok(Answer::Login { state, decided }))
    };
    let menu = |scene: &Scene| view(&scene.controller.state, &TimeZone::UTC).to_string();
    assert!(menu(&scene).contains("[ ] (Start at login)"), "not known yet");
    let _ = scene.input(says(Command::AskLogin, false, false));
    let text = menu(&scene);
    assert!(text.contains("Start AI Runner when you log in? >"), "{text}");
    assert!(text.contains("[ ] <Start at login>"), "{text}");
    let _ = scene.input(says(Command::SetLogin(true), true, true));
    let text = menu(&scene);
    assert!(!text.contains("when you log in?"), "{text}");
    assert!(text.contains("[x] <Start at login>"), "{text}");
    let fault = Fault::new(ErrorKind::Unavailable, "no systemd");
    let _ = scene.input(Input::Outcome(Command::SetLogin(false), Err(fault)));
    let text = menu(&scene);
    assert!(text.contains("    no systemd\n"), "{text}");
    assert!(text.contains("[x] <Start at login>"), "{text}");
}

#[test]
fn an_answer_from_before_a_click_on_start_at_login_does_not_undo_it() {
    let mut scene = Scene::connected();
    let says = |command: Command, enabled: bool| {
        let state = LoginState {
            enabled,
            ..LoginState::default()
        };
        Input::Outcome(command, Ok(Answer::Login { state, decided: true }))
    };
    let menu = |scene: &Scene| view(&scene.controller.state, &TimeZone::UTC).to_string();
    scene.controller.ask_login();
    let _ = scene.input(Input::Clicked(Action::Ask(Command::SetLogin(true))));
    let _ = scene.input(says(Command::SetLogin(true), true));
    scene.taken();
    let _ = scene.input(says(Command::AskLogin, false));
    assert_eq!(scene.taken(), ["perform AskLogin"], "it is asked again");
    assert!(menu(&scene).contains("[x] <Start at login>"), "{}", menu(&scene));
    let _ = scene.input(says(Command::AskLogin, false));
    assert!(menu(&scene).contains("[ ] <Start at login>"), "{}", menu(&scene));
}

#[test]
fn the_screen_asks_once_and_only_where_notifications_are_wanted() {
    for (wanted, decided, enabled, asked) in [
        ("true", false, false, 1),
        ("false", false, false, 0),
        ("true", true, false, 0),
        ("true", false, true, 0),
    ] {
        let mut scene = Scene::new(false);
        let login = |command: Command, decided: bool| {
            let state = LoginState {
                enabled,
                ..LoginState::default()
            };
            Input::Outcome(command, Ok(Answer::Login { state, decided }))
        };
        let _ = scene.input(login(Command::AskLogin, decided));
        assert!(!scene.taken().contains(&"ask".to_owned()), "no daemon runs");
        let _ = scene.input(snapshot());
        for _ in 0..2 {
            let _ = scene.input(refreshed_with(&[], vec![notifications(wanted)]));
            let _ = scene.input(login(Command::AskLogin, decided));
        }
        let taken = scene.taken();
        assert_eq!(
            taken.iter().filter(|line| *line == "ask").count(),
            asked,
            "{taken:?}"
        );
        let _ = scene.input(Input::Asked);
        let _ = scene.input(login(Command::AskLogin, true));
        assert_eq!(
            scene.taken().first().map(String::as_str),
            Some("perform AskLogin")
        );
        let _ = scene.input(login(Command::DeclineLogin, true));
        assert!(scene.taken().contains(&"settle".to_owned()));
    }
}

#[test]
fn at_login_the_tray_brings_the_daemon_if_nobody_else_does() {
    for (in_background, enabled, daemon, starts) in [
        (true, true, false, true),
        (true, true, true, false),
        (true, false, false, false),
        (false, true, false, false),
    ] {
        let mut scene = Scene::new(in_background);
        let _ = scene.input(gone());
        for _ in 0..2 {
            let state = LoginState {
                enabled,
                daemon,
                tray: true,
                problem: None,
            };
            let answer = Answer::Login { state, decided: true };
            let _ = scene.input(Input::Outcome(Command::AskLogin, Ok(answer)));
        }
        let taken = scene.taken();
        let started = taken.iter().filter(|line| *line == "perform Start").count();
        assert_eq!(started, usize::from(starts), "{taken:?}");
    }
}

#[test]
fn without_a_desktop_there_is_nothing_to_stay_for() {
    let mut scene = Scene::connected();
    let lost = Input::Lost(Fault::new(ErrorKind::Unavailable, "no bus"));
    assert!(matches!(scene.input(lost), ControlFlow::Break(Err(_))));
}

#[test]
fn a_desktop_without_a_place_is_told_once_and_gets_the_page_instead() {
    let mut scene = Scene::new(false);
    let _ = scene.input(Input::Host(Host::Absent));
    let _ = scene.input(snapshot());
    let _ = scene.input(refreshed(&["http://127.0.0.1:1/"]));
    let _ = scene.input(Input::Host(Host::Present));
    let _ = scene.input(Input::Host(Host::Absent));
    let _ = scene.input(refreshed(&["http://127.0.0.1:1/"]));
    let taken = scene.taken();
    let said: Vec<&String> = taken.iter().filter(|line| !line.starts_with("show")).collect();
    assert_eq!(
        said,
        [
            "tell This desktop has no place for tray icons",
            "perform Refresh",
            "open Page(\"http://127.0.0.1:1/docs\")",
        ]
    );
}

#[test]
fn nothing_jumps_up_in_the_background_or_once_there_is_a_place() {
    for (in_background, comes_back) in [(true, false), (false, true)] {
        let mut scene = Scene::new(in_background);
        let _ = scene.input(Input::Host(Host::Absent));
        if comes_back {
            let _ = scene.input(Input::Host(Host::Present));
        }
        let _ = scene.input(snapshot());
        let _ = scene.input(refreshed(&["http://127.0.0.1:1"]));
        assert!(!scene.taken().iter().any(|line| line.starts_with("open")));
    }
}

#[test]
fn opening_the_menu_asks_for_fresh_figures_once_at_a_time() {
    let mut scene = Scene::connected();
    let _ = scene.input(Input::MenuOpened);
    let _ = scene.input(Input::MenuOpened);
    let _ = scene.input(Input::Outcome(Command::Refresh, Err(not_running())));
    let _ = scene.input(Input::MenuOpened);
    assert_eq!(
        scene.taken(),
        ["perform Refresh", "perform AskLogin", "perform Refresh"]
    );
}

#[test]
fn the_first_picture_waits_a_moment_for_the_daemon_and_small_changes_are_gathered() {
    let start = Instant::now();
    let recorder = Recorder::default();
    let mut controller = Controller::new(recorder.clone(), TimeZone::UTC, false, start);
    assert_eq!(controller.draw(start), Some(start + FIRST_PATIENCE));
    let _ = controller.handle(gone());
    assert_eq!(controller.draw(start), None, "an answer is shown at once");

    let _ = controller.handle(snapshot());
    assert_eq!(controller.draw(start), None, "so is another icon");
    let stopping = Event::ShuttingDown {
        grace: Duration::ZERO,
    };
    let _ = controller.handle(Input::Daemon(Update::Event(stopping)));
    assert_eq!(controller.draw(start), Some(start + PACE), "the rest can wait");
    assert_eq!(controller.draw(start + PACE), None);
    let shown: Vec<String> = recorder.0.take();
    let shown: Vec<&str> = shown
        .iter()
        .filter_map(|line| line.strip_prefix("show "))
        .collect();
    assert_eq!(
        shown,
        [
            "(stopped) Daemon is not running",
            "(idle) Idle",
            "(idle) The daemon is stopping"
        ]
    );
}
