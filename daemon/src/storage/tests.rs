use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime};

use airunner_core::conversation::NewConversation;
use airunner_core::hardware::Device;
use airunner_core::memory::{PackageEstimate, Quantization, VariantEstimate};
use airunner_core::pause::Pause;
use airunner_core::usage::{Measurement, MeasurementKey, UsageEvent};
use airunner_core::{ErrorKind, ModelName};
use rusqlite::Connection;

use super::migrations::{APPLICATION, MIGRATIONS, newest};
use super::*;

/// As a program that knew only the first version left it.
const VERSION_1: &[u8] = include_bytes!("testdata/version-1.db");
/// As a program that knew the second version left it.
const VERSION_2: &[u8] = include_bytes!("testdata/version-2.db");
/// As a program that knew the third version left it.
const VERSION_3: &[u8] = include_bytes!("testdata/version-3.db");
/// Does something bad to the bytes of a file.
type Damage = fn(&mut Vec<u8>);

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

fn name(text: &str) -> ModelName {
    ModelName::new(text).unwrap()
}

fn day(number: u32) -> SystemTime {
    SystemTime::UNIX_EPOCH + DAY * number
}

fn measurement(digest: &str, peak: u64, factor: f64) -> Measurement {
    Measurement {
        key: MeasurementKey {
            digest: digest.to_owned(),
            variant: "onnx/model_q4.onnx".to_owned(),
            context_length: 4096,
            device: Device::Cuda(1),
            runtime: "1.31.0".to_owned(),
        },
        base_bytes: peak / 2,
        peak_bytes: peak,
        load_time: Duration::from_millis(peak),
        factor,
        updated_at: day(20_000),
    }
}

fn answered(model: &str, failed: bool) -> UsageEvent {
    UsageEvent::Answered {
        model: name(model),
        prompt_tokens: 10,
        completion_tokens: 20,
        busy: Duration::from_millis(300),
        failed,
    }
}

fn unloaded(model: &str, reason: &str, peak_bytes: u64) -> UsageEvent {
    UsageEvent::Unloaded {
        model: name(model),
        reason: reason.to_owned(),
        peak_bytes,
    }
}

fn batch(events: &[(UsageEvent, SystemTime)]) -> UsageBatch {
    let mut batch = UsageBatch::default();
    for (event, at) in events {
        batch.add(event, *at);
    }
    batch
}

fn refused(path: &Path) -> String {
    let before = std::fs::read(path).unwrap();
    let fault = Storage::open(path).unwrap_err();
    assert_eq!(fault.kind, ErrorKind::StorageUnusable, "{fault}");
    assert_eq!(std::fs::read(path).unwrap(), before, "left as it was");
    assert!(fault.message.contains(path.to_str().unwrap()), "{fault}");
    fault.message
}

fn version(path: &Path) -> u32 {
    let connection = Connection::open(path).unwrap();
    connection
        .pragma_query_value(None, "user_version", |row| row.get(0))
        .unwrap()
}

#[tokio::test]
async fn a_new_database_is_private_and_keeps_what_it_is_told() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join(FILE_NAME);
    let storage = Storage::open(&path).unwrap();
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        for entry in std::fs::read_dir(directory.path()).unwrap() {
            let mode = entry.unwrap().metadata().unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
    }
    storage
        .record_measurement(measurement("one", 1000, 1.0))
        .await
        .unwrap();
    storage.close().await;
    let fault = storage.measurements("one".to_owned()).await.unwrap_err();
    assert_eq!(fault.kind, ErrorKind::ShuttingDown);
    assert_eq!(
        std::fs::read_dir(directory.path()).unwrap().count(),
        1,
        "one file"
    );

    let storage = Storage::open(&path).unwrap();
    assert_eq!(
        storage.measurements("one".to_owned()).await.unwrap(),
        [measurement("one", 1000, 1.0)]
    );
    let journal: String = storage
        .call(|connection| connection.pragma_query_value(None, "journal_mode", |row| row.get(0)))
        .await
        .unwrap();
    assert_eq!(journal, "wal");
}

#[tokio::test]
async fn databases_of_every_earlier_version_are_brought_to_this_one() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("old.db");
    std::fs::write(&path, VERSION_1).unwrap();
    let storage = Storage::open(&path).unwrap();
    assert_eq!(
        storage.measurements("old".to_owned()).await.unwrap(),
        [measurement("old", 4000, 1.5)]
    );
    let usage = storage.usage(SystemTime::UNIX_EPOCH).await.unwrap();
    assert_eq!(usage.len(), 1);
    assert_eq!((usage[0].model.as_str(), usage[0].requests), ("old/model", 1));
    storage.close().await;
    assert_eq!(version(&path), newest());

    let path = directory.path().join("newer.db");
    std::fs::write(&path, VERSION_2).unwrap();
    let storage = Storage::open(&path).unwrap();
    assert_eq!(
        storage.measurements("old".to_owned()).await.unwrap(),
        [measurement("old", 4000, 1.5)]
    );
    let downloads = storage.downloads().await.unwrap();
    assert_eq!(downloads.len(), 1);
    assert_eq!(downloads[0].name, name("old/model"));
    assert_eq!(storage.download_files(downloads[0].id).await.unwrap().len(), 1);
    let conversation = storage
        .add_conversation(
            None,
            NewConversation::default(),
            day(1),
            super::ConversationBounds { count: 9, bytes: 99 },
        )
        .await
        .unwrap();
    assert_eq!(conversation.unwrap().messages, 0);
    storage.close().await;
    assert_eq!(version(&path), newest());

    let path = directory.path().join("newest.db");
    std::fs::write(&path, VERSION_3).unwrap();
    let storage = Storage::open(&path).unwrap();
    let keys = storage.keys().await.unwrap();
    assert_eq!(
        keys.iter().map(|key| &*key.key.name).collect::<Vec<_>>(),
        ["phone"]
    );
    assert_eq!(storage.pause().await.unwrap(), None);
    storage.close().await;
    assert_eq!(version(&path), newest());

    let empty = directory.path().join("empty.db");
    std::fs::write(&empty, "").unwrap();
    Storage::open(&empty).unwrap().close().await;
    assert_eq!(version(&empty), newest());
}

#[tokio::test]
async fn a_pause_is_kept_until_it_is_replaced_or_over() {
    let directory = tempfile::tempdir().unwrap();
    let storage = Storage::open(&directory.path().join(FILE_NAME)).unwrap();
    for pause in [
        Some(Pause {
            since: day(1),
            until: None,
        }),
        Some(Pause {
            since: day(2),
            until: Some(day(3)),
        }),
        None,
    ] {
        storage.keep_pause(pause).await.unwrap();
        assert_eq!(storage.pause().await.unwrap(), pause);
    }
}

#[test]
fn a_newer_database_is_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("newer.db");
    std::fs::write(&path, VERSION_1).unwrap();
    let connection = Connection::open(&path).unwrap();
    connection.pragma_update(None, "user_version", 4711).unwrap();
    drop(connection);
    let message = refused(&path);
    let known = format!(
        "it has version 4711, this program knows versions up to {}",
        newest()
    );
    assert!(message.contains(&known), "{message}");
}

#[test]
fn a_damaged_database_is_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("bad.db");
    let damages: [(&str, Damage); 5] = [
        ("it is not a database", |bytes| bytes[..16].fill(b'x')),
        ("it is not a database", |bytes| *bytes = b"{}".to_vec()),
        ("damaged", |bytes| bytes[100..4096].fill(0xa5)),
        ("damaged", |bytes| bytes.truncate(3 * 4096 - 100)),
        ("damaged", |bytes| bytes[4096..3 * 4096].fill(0xff)),
    ];
    for (expected, damage) in damages {
        let mut bytes = VERSION_1.to_vec();
        damage(&mut bytes);
        std::fs::write(&path, bytes).unwrap();
        let message = refused(&path);
        assert!(
            message.contains(expected) && message.contains("Move it aside"),
            "{message}"
        );
    }
}

#[test]
fn another_program_s_database_is_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("theirs.db");
    let connection = Connection::open(&path).unwrap();
    connection.execute_batch("CREATE TABLE theirs (x)").unwrap();
    drop(connection);
    assert!(refused(&path).contains("of another program"));
    assert_eq!(MIGRATIONS.len() as u32, newest());
    assert_eq!(&APPLICATION.to_be_bytes(), b"AIRN");
}

#[tokio::test]
async fn work_that_fails_or_panics_does_no_harm_to_what_follows() {
    let directory = tempfile::tempdir().unwrap();
    let storage = Storage::open(&directory.path().join(FILE_NAME)).unwrap();
    let fault = storage
        .call(|connection| connection.execute_batch("SELECT nothing"))
        .await
        .unwrap_err();
    assert_eq!(fault.kind, ErrorKind::Internal);
    let fault = storage
        .call(|connection| -> rusqlite::Result<()> {
            let transaction = connection.transaction()?;
            transaction.execute("DELETE FROM usage_days", [])?;
            panic!("a defect")
        })
        .await
        .unwrap_err();
    assert_eq!(fault.kind, ErrorKind::Internal);
    storage
        .record_usage(batch(&[(answered("tiny", false), day(1))]))
        .await
        .unwrap();
    assert_eq!(storage.usage(day(0)).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_measurement_is_taken_up_into_what_is_known() {
    let directory = tempfile::tempdir().unwrap();
    let storage = Storage::open(&directory.path().join(FILE_NAME)).unwrap();
    storage
        .record_measurement(measurement("one", 1000, 1.0))
        .await
        .unwrap();
    let known = storage
        .record_measurement(measurement("one", 500, 2.0))
        .await
        .unwrap();
    assert_eq!(
        (known.peak_bytes, known.base_bytes, known.factor),
        (950, 250, 2.0)
    );
    let first = storage
        .record_measurement(measurement("two", 1, 1e300))
        .await
        .unwrap();
    assert_eq!(first.factor, Measurement::FACTOR_MAX);
    assert_eq!(storage.measurements("one".to_owned()).await.unwrap(), [known]);
    let years_later = Measurement {
        updated_at: day(40_000),
        ..measurement("three", 1, 1.0)
    };
    storage.record_measurement(years_later).await.unwrap();
    assert!(storage.measurements("one".to_owned()).await.unwrap().is_empty());
    assert_eq!(storage.measurements("three".to_owned()).await.unwrap().len(), 1);
}

#[tokio::test]
async fn an_estimate_counts_for_what_it_was_made_by() {
    let directory = tempfile::tempdir().unwrap();
    let storage = Storage::open(&directory.path().join(FILE_NAME)).unwrap();
    let estimate = PackageEstimate {
        variants: vec![VariantEstimate {
            file: "onnx/model.onnx".to_owned(),
            level: Quantization::Int4,
            weights_bytes: u64::MAX,
            cache_bytes_per_token: 2,
            cache_window: Some(3),
            activation_bytes: 4,
            activation_bytes_per_token: 5,
            loading_bytes: 6,
            step_bytes: 11,
            overhead_bytes: 7,
            compute_capability_min: Some((8, 0)),
        }],
        context_length: Some(9),
    };
    let put = |made_by: &str| storage.put_package_estimate("one".to_owned(), made_by.to_owned(), &estimate);
    let get = |made_by: &str| storage.package_estimate("one".to_owned(), made_by.to_owned());
    put("version 1").await.unwrap();
    assert_eq!(get("version 1").await.unwrap().as_ref(), Some(&estimate));
    assert_eq!(get("version 2").await.unwrap(), None);
    put("version 2").await.unwrap();
    assert_eq!(get("version 2").await.unwrap().as_ref(), Some(&estimate));
    assert_eq!(get("version 1").await.unwrap(), None, "one for each package");

    storage
        .call(|connection| connection.execute("UPDATE package_estimates SET estimate = '{}'", []))
        .await
        .unwrap();
    assert_eq!(get("version 2").await.unwrap(), None, "computed again");
}

#[tokio::test]
async fn use_is_added_up_by_day_and_told_for_a_period() {
    let directory = tempfile::tempdir().unwrap();
    let storage = Storage::open(&directory.path().join(FILE_NAME)).unwrap();
    let loaded = |model: &str, seconds| UsageEvent::Loaded {
        model: name(model),
        took: Duration::from_secs(seconds),
    };
    let monday = batch(&[
        (loaded("tiny", 4), day(1)),
        (answered("tiny", false), day(1)),
        (unloaded("tiny", "evicted_for:big", 900), day(1)),
        (UsageEvent::LoadFailed { model: name("big") }, day(1)),
    ]);
    let tuesday = batch(&[
        (loaded("tiny", 2), day(2)),
        (answered("tiny", true), day(2) + DAY / 2),
        (answered("big", false), day(2)),
        (answered("big", false), day(2)),
        (unloaded("tiny", "idle_timeout", u64::MAX), day(2)),
        (unloaded("tiny", "evicted_for:huge", 800), day(2)),
    ]);
    storage.record_usage(monday).await.unwrap();
    storage.record_usage(tuesday.clone()).await.unwrap();
    storage.record_usage(UsageBatch::default()).await.unwrap();

    let all = storage.usage(day(0)).await.unwrap();
    assert_eq!(
        all.iter().map(|usage| usage.model.as_str()).collect::<Vec<_>>(),
        ["tiny", "big"]
    );
    let tiny = &all[0];
    assert_eq!((tiny.loads, tiny.load_time), (2, Duration::from_secs(6)));
    assert_eq!(tiny.last_load_time, Some(Duration::from_secs(2)));
    assert_eq!((tiny.requests, tiny.failed_requests), (2, 1));
    assert_eq!((tiny.prompt_tokens, tiny.completion_tokens), (20, 40));
    assert_eq!(tiny.busy_time, Duration::from_millis(600));
    assert_eq!(tiny.last_used, Some(day(2) + DAY / 2));
    assert_eq!(
        tiny.unloads,
        [("evicted_for".to_owned(), 2), ("idle_timeout".to_owned(), 1)]
    );
    assert!(tiny.peak_memory_bytes > 1 << 49);
    assert_eq!(all[1].failed_loads, 1);

    let later = storage.usage(day(2) + DAY / 3).await.unwrap();
    assert_eq!((later[0].loads, later[1].failed_loads), (1, 0));
    assert_eq!(storage.most_used(1, day(2)).await.unwrap(), [name("big")]);
    assert_eq!(
        storage.most_used(9, day(0)).await.unwrap(),
        [name("tiny"), name("big")]
    );
    assert!(storage.most_used(9, day(3)).await.unwrap().is_empty());

    storage.forget_usage(name("tiny")).await.unwrap();
    let left = storage.usage(day(0)).await.unwrap();
    assert_eq!(
        left.iter().map(|usage| usage.model.as_str()).collect::<Vec<_>>(),
        ["big"]
    );
}

#[test]
fn batches_are_the_same_whether_added_one_by_one_or_together() {
    let events = [
        (answered("tiny", false), day(1)),
        (
            UsageEvent::Loaded {
                model: name("tiny"),
                took: Duration::MAX,
            },
            day(1),
        ),
        (unloaded("tiny", "requested", 7), day(2)),
        (answered("tiny", true), day(2)),
        (
            UsageEvent::Loaded {
                model: name("tiny"),
                took: DAY,
            },
            day(2),
        ),
    ];
    for cut in 0..=events.len() {
        let mut later = batch(&events[cut..]);
        later.add_earlier(batch(&events[..cut]));
        assert_eq!(later, batch(&events), "{cut}");
    }
    let mut forgotten = batch(&events);
    forgotten.forget(&name("tiny"));
    assert!(forgotten.is_empty());
}

/// Where [`a_killed_process_loses_nothing_it_was_told_is_written`] finds the database that it is to
/// write, when it is the process that is killed.
const WRITER_DATABASE: &str = "WRITER_DATABASE";

async fn write_until_killed(path: &Path) -> ! {
    let storage = Storage::open(path).unwrap();
    loop {
        storage
            .record_usage(batch(&[(answered("tiny", false), day(1))]))
            .await
            .unwrap();
        println!("written");
    }
}

#[tokio::test]
async fn a_killed_process_loses_nothing_it_was_told_is_written() {
    #[expect(
        clippy::disallowed_methods,
        reason = "how one process of a test tells another its file"
    )]
    if let Some(path) = std::env::var_os(WRITER_DATABASE) {
        write_until_killed(Path::new(&path)).await;
    }
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join(FILE_NAME);
    let mut told = 0;
    for round in 1..=5_u64 {
        let mut writer = Command::new(std::env::current_exe().unwrap())
            .args([
                "storage::tests::a_killed_process_loses_nothing_it_was_told_is_written",
                "--exact",
                "--nocapture",
            ])
            .env(WRITER_DATABASE, &path)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(writer.stdout.take().unwrap()).lines();
        let mut next = || lines.next().and_then(Result::ok);
        let mut written = 0;
        while written < 7 * round {
            written += u64::from(next().expect("the writer writes").contains("written"));
        }
        writer.kill().unwrap();
        writer.wait().unwrap();
        while let Some(line) = next() {
            written += u64::from(line.contains("written"));
        }
        told += written;
        let storage = Storage::open(&path).unwrap();
        let usage = storage.usage(day(0)).await.unwrap();
        // The last write of each round may have been finished without being told.
        assert!(
            (told..=told + round).contains(&usage[0].requests),
            "{told} {usage:?}"
        );
        assert_eq!(usage[0].completion_tokens, usage[0].requests * 20);
        storage.close().await;
    }
}
