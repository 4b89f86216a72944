use super::*;
use crate::error::{ErrorKind, Fault};
use crate::model::{Instance, ModelKind, Source};
use crate::notification::NotificationKind as Kind;

const LONG: Duration = Duration::from_secs(20);

fn at(seconds: u64) -> Moment {
    Moment::since_start(Duration::from_secs(seconds))
}

fn clock(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000 + seconds)
}

fn model(state: StateName) -> Model {
    Model {
        name: ModelName::new("tiny").unwrap(),
        kind: ModelKind::Llm,
        state,
        size_bytes: 0,
        source: Source::Builtin,
        instance: (state != StateName::Unloaded).then(Instance::default),
        last_unload_reason: None,
        waiting_requests: 0,
    }
}

fn changed(model: Model, cause: Cause, message: &str) -> WatchPayload {
    WatchPayload::Event(Event::ModelChanged {
        model: Box::new(model),
        from: StateName::Unloaded,
        cause,
        message: message.to_owned(),
    })
}

fn download(state: DownloadState) -> Download {
    Download {
        id: DownloadId(7),
        name: ModelName::new("tiny").unwrap(),
        repository: "owner/tiny".to_owned(),
        revision: "main".to_owned(),
        level: None,
        state,
        done_bytes: 5 << 20,
        total_bytes: 10 << 20,
        bytes_per_second: 0,
        file: String::new(),
        fault: (state == DownloadState::Failed)
            .then(|| Fault::new(ErrorKind::Unavailable, "the hub is gone: try again later")),
        started_at: clock(0),
    }
}

fn downloading(state: DownloadState) -> WatchPayload {
    WatchPayload::Event(Event::DownloadChanged(Box::new(download(state))))
}

/// An observer that has seen an empty picture, and what it makes of messages at their seconds.
fn told(messages: &[(u64, WatchPayload)]) -> Vec<Observed> {
    let mut observer = Observer::new(LONG);
    let empty = WatchPayload::Snapshot(Snapshot::default());
    assert_eq!(observer.observe(&empty, at(0), clock(0)), []);
    let observed = messages
        .iter()
        .map(|(second, message)| observer.observe(message, at(*second), clock(*second)));
    observed.flatten().collect()
}

fn notified(observed: &[Observed]) -> Vec<(Kind, String)> {
    let story = |one: &Observed| match one {
        Observed::Notify(story) => Some((story.kind, story.title.clone())),
        Observed::Withdraw(_) => None,
    };
    observed.iter().filter_map(story).collect()
}

fn takes_back(observed: &[Observed], key: &str) -> bool {
    observed.contains(&Observed::Withdraw(key.to_owned()))
}

#[test]
fn a_model_is_told_of_when_somebody_waited_long_for_it() {
    let loading = || changed(model(StateName::Loading), Cause::Request, "");
    let loaded = || changed(model(StateName::Loaded), Cause::Loaded, "");
    let title = || (Kind::ModelLoaded, "tiny is ready".to_owned());
    assert_eq!(notified(&told(&[(1, loading()), (5, loaded())])), []);
    assert_eq!(notified(&told(&[(1, loading()), (21, loaded())])), [title()]);
    // Waiting for memory counts as well.
    let queued = Model {
        waiting_requests: 1,
        ..model(StateName::Unloaded)
    };
    let queued = changed(queued, Cause::Waiting, "");
    assert_eq!(
        notified(&told(&[(1, queued), (15, loading()), (22, loaded())])),
        [title()]
    );
}

#[test]
fn nobody_is_told_of_what_nobody_waited_for() {
    let preloading = Model {
        instance: Some(Instance {
            loaded_for: PRELOAD.to_owned(),
            ..Instance::default()
        }),
        ..model(StateName::Loading)
    };
    let renewing = Model {
        last_unload_reason: Some(UnloadReason::Reloaded),
        ..model(StateName::Loading)
    };
    for loading in [preloading, renewing] {
        let loading = changed(loading, Cause::Request, "");
        let loaded = changed(model(StateName::Loaded), Cause::Loaded, "");
        assert_eq!(notified(&told(&[(1, loading), (500, loaded)])), []);
    }
}

#[test]
fn a_crash_and_a_shortage_of_memory_are_told_and_other_ends_are_not() {
    for reason in UnloadReason::PLAIN {
        let loaded = changed(model(StateName::Busy), Cause::Loaded, "");
        let gone = changed(
            model(StateName::Unloaded),
            Cause::Unload(reason.clone()),
            "signal 9",
        );
        let observed = told(&[(1, loaded), (2, gone)]);
        let expected = if reason == UnloadReason::WorkerCrashed {
            vec![(Kind::WorkerCrashed, "tiny crashed".to_owned())]
        } else if reason == UnloadReason::MemoryPressure {
            vec![(Kind::MemoryPressureUnloaded, "tiny was unloaded".to_owned())]
        } else {
            vec![]
        };
        assert_eq!(notified(&observed), expected, "{reason}");
        assert!(takes_back(&observed, "loaded:tiny"));
    }
}

#[test]
fn a_crash_says_why_and_that_a_model_is_back_takes_back_that_it_was_unloaded() {
    let loaded = || changed(model(StateName::Loaded), Cause::Loaded, "");
    let gone = changed(
        model(StateName::Unloaded),
        Cause::Unload(UnloadReason::WorkerCrashed),
        "ended by\nsignal 9",
    );
    let observed = told(&[(1, loaded()), (2, gone), (3, loaded())]);
    let Some(Observed::Notify(story)) = observed.iter().find(|one| matches!(one, Observed::Notify(_))) else {
        panic!("{observed:?}");
    };
    assert!(story.body.starts_with("ended by signal 9\n"), "{}", story.body);
    assert_eq!(story.actions[0].command.to_string(), "models.load:tiny");
    assert!(takes_back(&observed, "memory:tiny"));
    assert!(!takes_back(&observed, "crash:tiny"), "that it crashed stays true");
}

#[test]
fn long_downloads_are_told_when_done_and_failures_always() {
    let run = || downloading(DownloadState::Running);
    let done = || downloading(DownloadState::Done);
    assert_eq!(notified(&told(&[(1, run()), (19, done())])), []);
    let long = told(&[(1, run()), (20, done()), (21, done())]);
    assert_eq!(
        notified(&long),
        [(Kind::DownloadFinished, "tiny is downloaded".to_owned())]
    );
    let failed = told(&[(1, run()), (2, downloading(DownloadState::Failed))]);
    assert_eq!(
        notified(&failed),
        [(Kind::DownloadFailed, "tiny could not be downloaded".to_owned())]
    );
    let on = told(&[(1, downloading(DownloadState::Failed)), (2, run())]);
    assert!(takes_back(&on, "download:7"));
}

#[test]
fn what_was_so_before_is_nothing_new_and_what_was_missed_is() {
    let snapshot = |state, reason, download_state| {
        WatchPayload::Snapshot(Snapshot {
            models: vec![Model {
                last_unload_reason: reason,
                ..model(state)
            }],
            downloads: vec![download(download_state)],
            ..Snapshot::default()
        })
    };
    let mut observer = Observer::new(LONG);
    let first = snapshot(StateName::Loaded, None, DownloadState::Failed);
    assert_eq!(observer.observe(&first, at(0), clock(0)), []);
    let same = observer.observe(&first, at(1), clock(1));
    assert_eq!(notified(&same), []);
    let later = snapshot(
        StateName::Unloaded,
        Some(UnloadReason::WorkerCrashed),
        DownloadState::Done,
    );
    let kinds: Vec<Kind> = notified(&observer.observe(&later, at(90), clock(90)))
        .into_iter()
        .map(|(kind, _)| kind)
        .collect();
    assert_eq!(kinds, [Kind::WorkerCrashed, Kind::DownloadFinished]);
}
