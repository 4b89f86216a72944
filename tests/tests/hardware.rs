//! The machine as it is, and memory set aside for clients.

#![expect(clippy::unwrap_used, reason = "a scenario fails where it stands")]

use std::os::unix::process::CommandExt as _;
use std::process::Stdio;
use std::time::{Duration, Instant};

use airunner_proto::v1;
use airunner_proto::v1::hardware_client::HardwareClient;
use airunner_tests::{Daemon, FakeModel, Home, channel, eventually_ok};
use serde_json::Value;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;

const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;
const PATIENCE: Duration = Duration::from_secs(10);

/// Main memory in `airunner memory`.
async fn main_memory(daemon: &Daemon) -> Value {
    let memory = daemon.home.cli().json(&["memory"]).await;
    let devices = memory["devices"].as_array().unwrap();
    devices.iter().find(|row| row["device"] == "cpu").unwrap().clone()
}

fn bytes(row: &Value, field: &str) -> u64 {
    row[field]
        .as_u64()
        .unwrap_or_else(|| panic!("no {field} in {row}"))
}

/// A field of `/proc/meminfo`, bytes.
fn kernel_says(field: &str) -> u64 {
    let text = std::fs::read_to_string("/proc/meminfo").unwrap();
    let line = text.lines().find(|line| line.starts_with(field)).unwrap();
    let number = line.split_ascii_whitespace().nth(1).unwrap();
    number.parse::<u64>().unwrap() << 10
}

#[tokio::test]
async fn the_machine_is_described_as_the_kernel_does() {
    let daemon = Daemon::start().await;
    let hardware = daemon.home.cli().json(&["hardware"]).await;
    assert_eq!(hardware["platform"], "linux");
    let cpu = &hardware["cpu"];
    assert_eq!(cpu["architecture"], std::env::consts::ARCH);
    let threads = std::thread::available_parallelism().unwrap().get() as u64;
    assert_eq!(bytes(cpu, "usable_threads"), threads);
    if cfg!(target_arch = "x86_64") {
        let kernel = std::fs::read_to_string("/proc/cpuinfo").unwrap();
        let flags: Vec<_> = kernel
            .lines()
            .find(|line| line.starts_with("flags"))
            .unwrap()
            .split_ascii_whitespace()
            .collect();
        for feature in [
            "avx2",
            "fma",
            "f16c",
            "avx_vnni",
            "avx512f",
            "avx512_vnni",
            "amx_int8",
        ] {
            let listed = cpu["features"].as_array().unwrap();
            let found = listed.iter().any(|it| it == feature);
            assert_eq!(found, flags.contains(&feature), "{feature}: {listed:?}");
        }
    }
    let memory = &hardware["memory"];
    assert_eq!(bytes(memory, "installed_bytes"), kernel_says("MemTotal"));
    let total = bytes(memory, "total_bytes");
    match memory["cgroup_limit_bytes"].as_u64() {
        Some(limit) => assert_eq!(total, limit),
        None => {
            assert_eq!(total, kernel_says("MemTotal"));
            let available = bytes(memory, "available_bytes");
            let off = available.abs_diff(kernel_says("MemAvailable"));
            assert!(off < total / 4, "{memory}: off by {off}");
        }
    }
    daemon.stop().await;
}

#[tokio::test]
async fn memory_is_divided_without_rest() {
    let daemon = Daemon::start().await;
    let memory = main_memory(&daemon).await;
    let parts = [
        "models_bytes",
        "canvas_history_bytes",
        "system_reserve_bytes",
        "external_apps_bytes",
        "free_bytes",
    ];
    let sum: u64 = parts.iter().map(|part| bytes(&memory, part)).sum();
    assert_eq!(sum, bytes(&memory, "total_bytes"), "{memory}");
    assert_eq!(
        bytes(&memory, "budget_bytes"),
        bytes(&memory, "total_bytes") / 100 * 80 + bytes(&memory, "total_bytes") % 100 * 80 / 100
    );
    daemon.stop().await;
}

/// A call that sets memory aside, on a connection of its own.
struct Reserving {
    requests: mpsc::Sender<v1::ReserveRequest>,
    answers: Streaming<v1::ReserveResponse>,
}

impl Reserving {
    async fn start(home: &Home, first: v1::ReserveRequest) -> (Self, v1::ReserveResponse) {
        let mut client = HardwareClient::new(channel(home).await);
        let (requests, outgoing) = mpsc::channel(8);
        requests.send(first).await.unwrap();
        let answers = client.reserve(ReceiverStream::new(outgoing)).await.unwrap();
        let mut call = Self {
            requests,
            answers: answers.into_inner(),
        };
        let answer = call.answer().await;
        (call, answer)
    }

    async fn ask(&mut self, request: v1::ReserveRequest) -> v1::ReserveResponse {
        self.requests.send(request).await.unwrap();
        self.answer().await
    }

    async fn answer(&mut self) -> v1::ReserveResponse {
        self.answers.message().await.unwrap().unwrap()
    }
}

fn history(device: &str, bytes: u64) -> v1::ReserveRequest {
    v1::ReserveRequest {
        category: "canvas_history".to_owned(),
        device: device.to_owned(),
        bytes,
    }
}

fn refused(answer: &v1::ReserveResponse) -> &v1::Fault {
    answer
        .refused
        .as_ref()
        .unwrap_or_else(|| panic!("granted: {answer:?}"))
}

async fn with_a_budget_of_a_gibibyte() -> Daemon {
    let home = Home::new();
    home.configure("[memory]\ncpu_budget = \"1GiB\"\n");
    Daemon::start_in(home).await
}

#[tokio::test]
async fn a_reservation_is_replaced_by_the_next_and_ends_with_its_call() {
    let daemon = with_a_budget_of_a_gibibyte().await;
    let (mut call, answer) = Reserving::start(&daemon.home, history("cpu", 300 * MIB)).await;
    assert_eq!(
        (answer.device.as_str(), answer.reserved_bytes),
        ("cpu", 300 * MIB)
    );
    let memory = main_memory(&daemon).await;
    assert_eq!(bytes(&memory, "canvas_history_bytes"), 300 * MIB);
    assert!(bytes(&memory, "free_bytes") <= GIB - 300 * MIB, "{memory}");
    let answer = call.ask(history("cpu", 200 * MIB)).await;
    assert_eq!(
        (answer.refused.is_some(), answer.reserved_bytes),
        (false, 200 * MIB)
    );
    let (mut second, _) = Reserving::start(&daemon.home, history("cpu", 50 * MIB)).await;
    let memory = main_memory(&daemon).await;
    assert_eq!(bytes(&memory, "canvas_history_bytes"), 250 * MIB);
    drop(call.requests);
    assert_eq!(call.answers.message().await.unwrap(), None);
    let memory = main_memory(&daemon).await;
    assert_eq!(bytes(&memory, "canvas_history_bytes"), 50 * MIB);
    assert_eq!(second.ask(history("cpu", 0)).await.reserved_bytes, 0);
    let memory = main_memory(&daemon).await;
    assert_eq!(bytes(&memory, "canvas_history_bytes"), 0);
    drop(second);
    daemon.stop().await;
}

#[tokio::test]
async fn reservations_die_with_the_connection() {
    let daemon = with_a_budget_of_a_gibibyte().await;
    for _ in 0..3 {
        let (call, answer) = Reserving::start(&daemon.home, history("cpu", 900 * MIB)).await;
        assert_eq!(answer.reserved_bytes, 900 * MIB, "{answer:?}");
        drop(call);
        eventually_ok("the memory is back", async || {
            let memory = main_memory(&daemon).await;
            match bytes(&memory, "canvas_history_bytes") {
                0 => Ok(()),
                _ => Err(memory),
            }
        })
        .await;
    }
    daemon.stop().await;
}

#[tokio::test]
async fn what_cannot_be_had_is_refused_with_figures_and_leaves_what_was_there() {
    let daemon = with_a_budget_of_a_gibibyte().await;
    let (mut call, _) = Reserving::start(&daemon.home, history("cpu", 100 * MIB)).await;
    let answer = call.ask(history("cpu", 2 * GIB)).await;
    assert_eq!(answer.reserved_bytes, 100 * MIB);
    let fault = refused(&answer);
    assert_eq!(fault.reason, "out_of_memory");
    assert!(fault.message.contains("2.0 GiB"), "{fault:?}");
    assert!(!fault.figures.is_empty(), "{fault:?}");
    for (request, reason) in [
        (history("cpu", u64::MAX), "out_of_memory"),
        (history("cuda:0", MIB), "invalid_argument"),
        (history("toaster", MIB), "invalid_argument"),
        (history(&"x".repeat(10_000), MIB), "invalid_argument"),
        (
            v1::ReserveRequest {
                category: "everything".to_owned(),
                ..history("cpu", MIB)
            },
            "invalid_argument",
        ),
    ] {
        let answer = call.ask(request).await;
        let fault = refused(&answer);
        assert_eq!(fault.reason, reason, "{fault:?}");
        assert!(!fault.message.is_empty() && answer.device.len() < 100);
        let held = if answer.device == "cpu" { 100 * MIB } else { 0 };
        assert_eq!(answer.reserved_bytes, held, "{answer:?}");
    }
    let memory = main_memory(&daemon).await;
    assert_eq!(bytes(&memory, "canvas_history_bytes"), 100 * MIB);
    daemon.stop().await;
}

#[tokio::test]
async fn an_idle_model_makes_room_for_undo_history() {
    let daemon = with_a_budget_of_a_gibibyte().await;
    let model = FakeModel::new("idle").with("memory_bytes", 300 * MIB);
    daemon.install(&model).await;
    daemon.home.cli().run(&["load", "idle"]).await.succeeded();
    let memory = main_memory(&daemon).await;
    assert!(bytes(&memory, "models_bytes") >= 300 * MIB, "{memory}");
    let (call, answer) = Reserving::start(&daemon.home, history("cpu", 900 * MIB)).await;
    assert_eq!((answer.refused, answer.reserved_bytes), (None, 900 * MIB));
    daemon.until_state("idle", None).await;
    drop(call);
    daemon.stop().await;
}

/// A control group with a memory limit; removed when dropped.
struct Group {
    directory: std::path::PathBuf,
}

impl Group {
    /// `None` if this machine or this user may not make one.
    fn limited_to(bytes: u64) -> Option<Self> {
        let name = format!("airunner-test-{}-{}", std::process::id(), bytes / MIB);
        let versions = [
            ("/sys/fs/cgroup", "memory.max"),
            ("/sys/fs/cgroup/memory", "memory.limit_in_bytes"),
        ];
        versions.iter().find_map(|(root, limit)| {
            let directory = std::path::Path::new(root).join(&name);
            std::fs::create_dir(&directory).ok()?;
            let group = Self { directory };
            std::fs::metadata(group.directory.join(limit)).ok()?;
            std::fs::write(group.directory.join(limit), bytes.to_string()).ok()?;
            Some(group)
        })
    }

    fn take_in(&self, pid: u32) {
        std::fs::write(self.directory.join("cgroup.procs"), pid.to_string()).unwrap();
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // What was killed in it may not be gone yet.
        let begin = Instant::now();
        while std::fs::remove_dir(&self.directory).is_err() && begin.elapsed() < PATIENCE {
            std::thread::yield_now();
        }
    }
}

/// Says so where everybody sees it.
#[expect(clippy::print_stderr, reason = "a test that is skipped says so")]
fn skipped() {
    eprintln!("SKIPPED: no control group with a memory limit can be made here");
}

#[tokio::test]
async fn the_limit_of_a_control_group_is_the_memory_there_is() {
    let Some(group) = Group::limited_to(512 * MIB) else {
        return skipped();
    };
    let daemon = Daemon::start().await;
    let before = main_memory(&daemon).await;
    assert!(bytes(&before, "total_bytes") > 512 * MIB, "{before}");
    group.take_in(daemon.pid());
    let hardware = daemon.home.cli().json(&["hardware"]).await;
    let memory = &hardware["memory"];
    assert_eq!(bytes(memory, "cgroup_limit_bytes"), 512 * MIB);
    assert_eq!(bytes(memory, "total_bytes"), 512 * MIB);
    assert!(bytes(memory, "available_bytes") <= 512 * MIB, "{memory}");
    assert_eq!(bytes(memory, "installed_bytes"), kernel_says("MemTotal"));
    let memory = main_memory(&daemon).await;
    assert_eq!(bytes(&memory, "total_bytes"), 512 * MIB, "{memory}");
    assert!(bytes(&memory, "budget_bytes") <= 512 * MIB * 4 / 5, "{memory}");
    let (call, answer) = Reserving::start(&daemon.home, history("cpu", GIB)).await;
    assert_eq!(refused(&answer).reason, "out_of_memory");
    drop(call);
    daemon.stop().await;
}

/// Programs that hold memory; killed when dropped.
struct Hog {
    shell: std::process::Child,
}

impl Hog {
    fn in_group(group: &Group, bytes: u64) -> Self {
        // `tail` keeps what it reads until the end of a line that never comes.
        let script = format!("read go; (head -c {bytes}; sleep 600) < /dev/zero | tail");
        let mut shell = std::process::Command::new("sh");
        shell.args(["-c", &script]).process_group(0);
        shell
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let mut shell = shell.spawn().unwrap();
        group.take_in(shell.id());
        drop(shell.stdin.take());
        Self { shell }
    }
}

impl Drop for Hog {
    fn drop(&mut self) {
        let everybody = format!("-{}", self.shell.id());
        let mut kill = std::process::Command::new("kill");
        kill.args(["-9", "--", &everybody]).status().ok();
        self.shell.wait().ok();
    }
}

#[tokio::test]
async fn an_idle_model_goes_when_other_programs_need_the_memory() {
    let Some(group) = Group::limited_to(GIB) else {
        return skipped();
    };
    let daemon = Daemon::start().await;
    group.take_in(daemon.pid());
    let model = FakeModel::new("idle").with("memory_bytes", 200 * MIB);
    daemon.install(&model).await;
    let cli = daemon.home.cli();
    cli.run(&["load", "idle", "--keep-alive", "-1"]).await.succeeded();
    let hog = Hog::in_group(&group, 740 * MIB);
    daemon.until_state("idle", None).await;
    let models = cli.json(&["models"]).await;
    let row = models
        .as_array()
        .unwrap()
        .iter()
        .find(|row| row["name"] == "idle")
        .unwrap();
    assert_eq!(row["last_unload_reason"], "memory_pressure", "{row}");
    drop(hog);
    daemon.stop().await;
}
