//! Menus compared whole, as a person would draw them: `<can be chosen>`, `(cannot)`, `label >`.

use std::time::{Duration, SystemTime};

use airunner_core::activity::{Activity, ActivityId, ActivityKind};
use airunner_core::download::{Download, DownloadId, DownloadState};
use airunner_core::event::{Event, Snapshot};
use airunner_core::hardware::Device;
use airunner_core::lifecycle::{Cause, StateName, UnloadReason};
use airunner_core::memory::{MemoryBreakdown, Quantization};
use airunner_core::model::{Instance, LoadProgress, LoadStage, Model, ModelKind, Source};
use airunner_core::pause::Pause;
use airunner_core::settings::{Applies, Pending, Setting, SettingSource};
use airunner_core::status::{DaemonStatus, HttpStatus};
use airunner_core::{ErrorKind, Fault, ModelName};
use airunner_ipc_client::Update;
use jiff::tz::TimeZone;

use super::{Entry, View, view};
use crate::state::{Daemon, Refreshed, State, Upgrade};

fn name(name: &str) -> ModelName {
    ModelName::new(name).unwrap()
}

fn model(text: &str, state: StateName) -> Model {
    let instance = Instance {
        pid: 7,
        device: "cpu".into(),
        memory_bytes: 1_395_864_371,
        context_length: 4096,
        level: Some(Quantization::Int4),
        ..Instance::default()
    };
    Model {
        name: name(text),
        kind: ModelKind::Llm,
        state,
        size_bytes: 980 << 20,
        source: Source::Builtin,
        instance: (state != StateName::Unloaded).then_some(instance),
        last_unload_reason: None,
        waiting_requests: 0,
    }
}

fn loading(text: &str, fraction: f32) -> Model {
    let mut model = model(text, StateName::Loading);
    let stage = LoadStage::Weights;
    model.instance.as_mut().unwrap().progress = Some(LoadProgress { stage, fraction });
    model
}

fn busy(text: &str, requests: u32) -> Model {
    let mut model = model(text, StateName::Busy);
    model.instance.as_mut().unwrap().active_requests = requests;
    model
}

fn download(id: u64, state: DownloadState) -> Download {
    Download {
        id: DownloadId(id),
        name: name("qwen"),
        repository: "owner/qwen".into(),
        revision: "main".into(),
        level: None,
        state,
        done_bytes: 400 << 20,
        total_bytes: 1 << 30,
        bytes_per_second: 1 << 20,
        file: "model.onnx".into(),
        fault: None,
        started_at: SystemTime::UNIX_EPOCH,
    }
}

fn memory() -> MemoryBreakdown {
    MemoryBreakdown {
        device: Device::Cpu,
        total_bytes: 16 << 30,
        budget_bytes: 12 << 30,
        models_bytes: 2 << 30,
        canvas_history_bytes: 0,
        system_reserve_bytes: 1 << 30,
        external_apps_bytes: 1 << 30,
        free_bytes: 10 << 30,
    }
}

fn with(models: Vec<Model>, downloads: Vec<Download>) -> State {
    let mut state = State::default();
    state.apply(Update::Snapshot(Box::new(Snapshot {
        models,
        memory: vec![memory()],
        downloads,
        ..Snapshot::default()
    })));
    state
}

fn drawn(state: &State) -> String {
    view(state, &TimeZone::UTC).to_string()
}

fn seen(state: &State) -> String {
    let View { icon, status, .. } = view(state, &TimeZone::UTC);
    format!("({}) {status}", icon.as_str())
}

#[test]
fn without_a_daemon_the_menu_offers_to_start_it() {
    let mut state = State::default();
    assert_eq!(seen(&state), "(stopped) Looking for the daemon");
    state.apply(Update::Disconnected(Fault::new(
        ErrorKind::DaemonNotRunning,
        "not there",
    )));
    assert_eq!(
        drawn(&state),
        "\
(stopped) Daemon is not running
Daemon is not running
<Start the daemon>
---
Settings >
    <Open the settings file>
<Logs>
---
[ ] (Start at login)
<Quit tray>
"
    );
    state.starting();
    assert_eq!(seen(&state), "(loading) Starting the daemon");
}

#[test]
fn the_whole_menu_of_a_daemon_at_work() {
    let mut loaded = model("my_model", StateName::Loaded);
    let instance = loaded.instance.as_mut().unwrap();
    instance.pinned = true;
    instance.expires_at = Some(SystemTime::UNIX_EPOCH + Duration::from_secs(14 * 3600 + 32 * 60));
    let mut state = with(
        vec![
            busy("builtin/helper", 2),
            loaded,
            model("tiny", StateName::Unloaded),
        ],
        vec![download(1, DownloadState::Running)],
    );
    let status = DaemonStatus {
        http: HttpStatus {
            urls: vec!["http://127.0.0.1:8484".into()],
            open: false,
            problem: None,
        },
        ..status(&state)
    };
    state.refresh(Refreshed {
        status,
        memory: vec![memory()],
        settings: vec![switch("desktop", "run_in_background", "true")],
        upgrade: None,
    });
    assert_eq!(
        drawn(&state),
        "\
(loading) Answering with builtin/helper
Answering with builtin/helper
---
builtin/helper: answering 2 requests, 1.2 GiB >
    cpu, 4bit, 4096 tokens
    (Load)
    <Unload>
    [ ] <Pin (others never push it out)>
    Keep loaded >
        <For 10 minutes after its last answer>
        <For an hour after its last answer>
        <Until it is unloaded>
my_model: loaded, 1.2 GiB, pinned >
    cpu, 4bit, 4096 tokens, until 14:32
    (Load)
    <Unload>
    [x] <Pin (others never push it out)>
    Keep loaded >
        <For 10 minutes after its last answer>
        <For an hour after its last answer>
        <Until it is unloaded>
tiny: not loaded >
    980 MiB on the disk
    <Load>
    (Unload)
    [ ] (Pin (others never push it out))
    Keep loaded >
        (For 10 minutes after its last answer)
        (For an hour after its last answer)
        (Until it is unloaded)
---
qwen: downloading, 39 % >
    400 MiB of 1.0 GiB
    <Pause>
    (Go on)
    <Cancel and delete>
---
Memory (cpu): models have 2.0 GiB of 12.0 GiB
<Free memory now>
<Pause>
---
Settings >
    [x] <The daemon goes on when the tray is quit>
    <Open the settings file>
<Logs>
<Documentation>
---
[ ] (Start at login)
<Quit tray>
<Stop the daemon and quit>
"
    );
}

fn status(state: &State) -> DaemonStatus {
    let Daemon::Running(running) = &state.daemon else {
        panic!("it runs")
    };
    DaemonStatus {
        models: running.models.values().cloned().collect(),
        ..DaemonStatus::default()
    }
}

fn switch(section: &str, key: &str, value: &str) -> Setting {
    Setting {
        section: section.into(),
        key: key.into(),
        value: value.into(),
        default: "true".into(),
        source: SettingSource::File,
        allowed: String::new(),
        help: String::new(),
        applies: Applies::AtOnce,
        pending: Pending::Nothing,
    }
}

#[test]
fn a_pause_is_shown_with_its_end_and_offers_to_resume() {
    let mut state = with(vec![busy("a", 1)], vec![]);
    let at = |hour: u64| SystemTime::UNIX_EPOCH + Duration::from_secs(hour * 3600);
    let pause = |until| Event::PauseChanged(Some(Pause { since: at(9), until }));
    state.apply(Update::Event(pause(None)));
    assert_eq!(seen(&state), "(paused) Paused");
    state.apply(Update::Event(pause(Some(at(15)))));
    assert_eq!(seen(&state), "(paused) Paused until 15:00");
    assert!(drawn(&state).contains("<Resume>"));
    state.apply(Update::Event(Event::PauseChanged(None)));
    assert_eq!(seen(&state), "(working) Answering with a");
    assert!(drawn(&state).contains("<Pause>"));
}

#[test]
fn a_daemon_that_does_not_stay_in_the_background_ends_with_the_tray() {
    let mut state = with(vec![], vec![]);
    let refreshed = |state: &State, value: &str| Refreshed {
        status: status(state),
        memory: vec![],
        settings: vec![
            switch("desktop", "run_in_background", value),
            switch("models", "keep_alive", "\"5m\""),
        ],
        upgrade: None,
    };
    let told = refreshed(&state, "false");
    state.refresh(told);
    let text = drawn(&state);
    assert!(
        text.ends_with("[ ] (Start at login)\n<Stop the daemon and quit>\n"),
        "{text}"
    );
    assert!(!text.contains("keep_alive"), "{text}");
    let told = refreshed(&state, "true");
    state.refresh(told);
    assert!(drawn(&state).contains("<Quit tray>"));
}

#[test]
fn what_is_worked_on_is_there_with_its_progress_and_can_be_given_up() {
    let mut state = with(vec![], vec![]);
    let activity = |id: u64, kind: ActivityKind, fraction: f64| Activity {
        id: ActivityId(id),
        kind,
        model: name("tiny"),
        fraction,
        is_waiting: false,
    };
    let told = |activity: Activity| Update::Event(Event::ActivityChanged(Box::new(activity)));
    state.apply(told(activity(1, ActivityKind::Quantize, 0.0)));
    state.apply(told(activity(1, ActivityKind::Quantize, 0.434)));
    state.apply(told(activity(2, ActivityKind::Verify, 0.1)));
    let text = drawn(&state);
    let expected = "\
(working) Quantizing tiny 43 % and 1 more
Quantizing tiny 43 % and 1 more
---
No model is installed
---
Quantizing tiny: 43 % >
    <Cancel>
Checking tiny: 10 % >
    <Cancel>
---
";
    assert!(text.starts_with(expected), "{text}");
    let waiting = |id| Activity {
        is_waiting: true,
        ..activity(id, ActivityKind::Quantize, 0.0)
    };
    state.apply(told(waiting(1)));
    let text = drawn(&state);
    assert_eq!(seen(&state), "(working) Checking tiny 10 % and 1 more");
    assert!(
        text.contains("Quantizing tiny: waiting for its turn >\n    <Cancel>\n"),
        "{text}"
    );
    state.apply(told(waiting(2)));
    let line = "(working) Quantizing tiny, waiting for its turn and 1 more";
    assert_eq!(seen(&state), line);
    for id in 3..=9 {
        state.apply(told(activity(id, ActivityKind::Import, 0.0)));
    }
    assert!(drawn(&state).contains("    <Cancel>\n4 more of these\n---\n"));
    for id in 1..=9 {
        state.apply(Update::Event(Event::ActivityEnded(ActivityId(id))));
    }
    assert_eq!(seen(&state), "(idle) Idle");
}

#[test]
fn what_is_left_to_do_after_an_upgrade_is_the_first_entry() {
    for (same_version, daemon_replaced, tray_replaced, expected) in [
        (true, false, false, "Idle\n---\n"),
        (
            true,
            true,
            true,
            "Idle\n<Restart the daemon to finish the upgrade>\n---\n",
        ),
        (
            false,
            true,
            false,
            "Idle\n<Restart the daemon to finish the upgrade>\n---\n",
        ),
        (
            false,
            false,
            false,
            "Idle\n<Restart the daemon to finish the upgrade>\n---\n",
        ),
        (
            false,
            false,
            true,
            "Idle\nQuit the tray and start it again to finish the upgrade\n---\n",
        ),
    ] {
        let mut state = with(vec![], vec![]);
        let told = Refreshed {
            status: status(&state),
            memory: vec![],
            settings: vec![],
            upgrade: Upgrade::of(same_version, daemon_replaced, tray_replaced),
        };
        state.refresh(told);
        let text = drawn(&state);
        assert!(text.starts_with(&format!("(idle) Idle\n{expected}")), "{text}");
    }
}

#[test]
fn the_line_and_the_icon_tell_what_matters_most() {
    let unloading = model("old", StateName::Unloading);
    let mut waiting = model("late", StateName::Unloaded);
    waiting.waiting_requests = 1;
    for (models, downloads, expected) in [
        (vec![], vec![], "(idle) Idle"),
        (vec![model("a", StateName::Loaded)], vec![], "(idle) Idle"),
        (vec![busy("a", 1)], vec![], "(working) Answering with a"),
        (
            vec![busy("a", 1), busy("b", 3)],
            vec![],
            "(working) Answering with a and 1 more",
        ),
        (
            vec![busy("a", 1), loading("b", 0.434)],
            vec![],
            "(loading) Loading b 43 %",
        ),
        (
            vec![loading("a", 0.0), loading("b", 1.0), loading("c", 0.5)],
            vec![],
            "(loading) Loading a 0 % and 2 more",
        ),
        (vec![unloading], vec![], "(idle) Unloading old"),
        (vec![waiting], vec![], "(idle) late waits for memory"),
        (
            vec![],
            vec![download(1, DownloadState::Running)],
            "(loading) Downloading qwen 39 %",
        ),
        (vec![], vec![download(1, DownloadState::Paused)], "(idle) Idle"),
        (vec![], vec![download(1, DownloadState::Failed)], "(warning) Idle"),
    ] {
        assert_eq!(seen(&with(models, downloads)), expected);
    }
}

#[test]
fn a_daemon_that_ends_or_is_of_another_version_is_named() {
    let mut state = with(vec![busy("a", 1)], vec![]);
    state.apply(Update::Event(Event::ShuttingDown {
        grace: Duration::from_secs(10),
    }));
    assert_eq!(seen(&state), "(working) The daemon is stopping");
    state.apply(Update::Disconnected(Fault::new(
        ErrorKind::ProtocolMismatch,
        "2 is not 1",
    )));
    assert_eq!(seen(&state), "(warning) The running daemon is of another version");
    assert!(drawn(&state).contains("<Restart the daemon>\n"));
    state.apply(Update::Disconnected(Fault::new(
        ErrorKind::PermissionDenied,
        "another\nuser's",
    )));
    let text = drawn(&state);
    let expected = "\
(warning) The daemon cannot be used
The daemon cannot be used
another user's
<Start the daemon>
";
    assert!(text.starts_with(expected), "{text}");
}

#[test]
fn what_went_wrong_stays_until_it_is_well_or_dismissed() {
    let mut state = with(vec![busy("a", 1)], vec![]);
    let mut crashed = model("a", StateName::Unloaded);
    crashed.last_unload_reason = Some(UnloadReason::WorkerCrashed);
    let crash = |model: &Model| {
        Update::Event(Event::ModelChanged {
            model: Box::new(model.clone()),
            from: StateName::Busy,
            cause: Cause::Unload(UnloadReason::WorkerCrashed),
            message: "it was killed by SIGKILL\u{1b}[2J".into(),
        })
    };
    state.apply(crash(&crashed));
    let text = drawn(&state);
    let expected = "\
(warning) Idle
Idle
Needs attention (1) >
    a crashed: it was killed by SIGKILL [2J
    ---
    <Logs>
    <Dismiss>
---
a: not loaded >
";
    assert!(text.starts_with(expected), "{text}");

    state.dismiss();
    assert_eq!(seen(&state), "(idle) Idle");
    // Also over a new connection, whose snapshot tells of the crash again.
    state.apply(Update::Snapshot(Box::new(Snapshot {
        models: vec![crashed.clone()],
        ..Snapshot::default()
    })));
    assert_eq!(seen(&state), "(idle) Idle");

    state.apply(crash(&crashed));
    assert_eq!(seen(&state), "(warning) Idle", "a second crash is news");
    state.apply(Update::Event(Event::ModelChanged {
        model: Box::new(model("a", StateName::Loaded)),
        from: StateName::Loading,
        cause: Cause::Loaded,
        message: String::new(),
    }));
    assert_eq!(seen(&state), "(idle) Idle", "it is well again");
}

#[test]
fn troubles_are_found_in_a_snapshot_and_bounded() {
    let mut failed = model("bad", StateName::Unloaded);
    failed.last_unload_reason = Some(UnloadReason::LoadFailed);
    let downloads = (1..=20).map(|id| download(id, DownloadState::Failed)).collect();
    let state = with(vec![failed], downloads);
    assert_eq!(state.troubles.len(), 8);
    let text = drawn(&state);
    assert!(text.contains("15 more downloads"), "{text}");
    let removed = with(vec![], vec![]);
    assert!(removed.troubles.is_empty());
}

#[test]
fn many_models_become_levels_with_what_is_in_memory_first() {
    let mut models: Vec<Model> = (0..60)
        .map(|number| model(&format!("model-{number:02}"), StateName::Unloaded))
        .collect();
    models[59] = model("model-59", StateName::Loaded);
    let menu = view(&with(models, vec![]), &TimeZone::UTC).menu;
    let mut entries = &menu[2..];
    let mut levels = Vec::new();
    loop {
        let labels: Vec<&str> = entries
            .iter()
            .map_while(|entry| match entry {
                Entry::Submenu { label, .. } => Some(label.as_str()),
                Entry::Separator | Entry::Text(_) | Entry::Item { .. } | Entry::Check { .. } => None,
            })
            .collect();
        levels.push(labels.len());
        if levels.len() == 1 {
            assert!(labels[0].starts_with("model-59: loaded"), "{labels:?}");
        }
        let deeper = entries.iter().find_map(|entry| match entry {
            Entry::Submenu { label, entries } if label == "More models" => Some(entries),
            Entry::Submenu { .. }
            | Entry::Separator
            | Entry::Text(_)
            | Entry::Item { .. }
            | Entry::Check { .. } => None,
        });
        let Some(deeper) = deeper else { break };
        entries = deeper;
    }
    assert_eq!(levels, [9, 21, 21, 12]);
}

#[test]
fn the_shape_of_the_menu_does_not_depend_on_what_models_do() {
    fn shape(entries: &[Entry]) -> String {
        entries
            .iter()
            .map(|entry| match entry {
                Entry::Separator => "-".to_owned(),
                Entry::Text(_) => "t".to_owned(),
                Entry::Item { .. } => "i".to_owned(),
                Entry::Check { .. } => "c".to_owned(),
                Entry::Submenu { entries, .. } => format!("({})", shape(entries)),
            })
            .collect()
    }
    let shapes: Vec<String> = StateName::ALL
        .into_iter()
        .map(|state| {
            let state = with(vec![model("a", state), model("b", StateName::Loaded)], vec![]);
            shape(&view(&state, &TimeZone::UTC).menu)
        })
        .collect();
    assert!(shapes.iter().all(|shape| *shape == shapes[0]), "{shapes:?}");
}
