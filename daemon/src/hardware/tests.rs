use std::pin::Pin;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use airunner_core::ErrorKind;
use airunner_core::hardware::{Device, Hardware as Profile};
use airunner_core::memory::MemoryReading;
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};

use super::machine::{Listener, Machine, Profiler, Reader};
use super::{Hardware, MemorySink, Readings};

const GIB: u64 = 1 << 30;

/// What the machine of a test says, and what it was asked.
#[derive(Default)]
struct Script {
    available_bytes: Mutex<Option<u64>>,
    resumed: Mutex<bool>,
    panics: Mutex<bool>,
    profiles: AtomicU32,
    reads: AtomicU32,
    listeners: AtomicU32,
    stall: Notify,
}

struct Scripted(Arc<Script>);

impl Machine for Scripted {
    fn profiler(&self) -> Profiler {
        let script = Arc::clone(&self.0);
        Box::new(move || {
            script.profiles.fetch_add(1, Ordering::SeqCst);
            Profile {
                platform: "test".to_owned(),
                ..Profile::default()
            }
        })
    }

    fn reader(&self) -> Box<dyn Reader> {
        Box::new(Scripted(Arc::clone(&self.0)))
    }

    fn listener(&self) -> Box<dyn Listener> {
        self.0.listeners.fetch_add(1, Ordering::SeqCst);
        Box::new(Scripted(Arc::clone(&self.0)))
    }
}

impl Reader for Scripted {
    fn read(&mut self, own_pids: &[u32]) -> Readings {
        self.0.reads.fetch_add(1, Ordering::SeqCst);
        assert!(
            !std::mem::take(&mut *self.0.panics.lock().unwrap()),
            "as the test wants"
        );
        let available = self.0.available_bytes.lock().unwrap().unwrap_or(50 * GIB);
        let reading = MemoryReading {
            total_bytes: 100 * GIB,
            available_bytes: available,
            own_bytes: own_pids.len() as u64,
        };
        vec![(Device::Cpu, reading)]
    }

    fn has_resumed(&mut self, _interval: Option<Duration>) -> bool {
        std::mem::take(&mut *self.0.resumed.lock().unwrap())
    }
}

impl Listener for Scripted {
    fn next(&mut self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(self.0.stall.notified())
    }
}

#[derive(Debug, PartialEq)]
enum Told {
    /// Our bytes, which here is the number of workers.
    Readings(u64),
    Pressure(u64),
}

struct Sink {
    told: mpsc::Sender<Told>,
    workers: watch::Receiver<Vec<u32>>,
}

impl MemorySink for Sink {
    fn readings(&self, readings: Readings) {
        self.told
            .try_send(Told::Readings(readings[0].1.own_bytes))
            .unwrap();
    }

    fn pressure(&self, device: Device, shortage_bytes: u64) {
        assert_eq!(device, Device::Cpu);
        self.told.try_send(Told::Pressure(shortage_bytes)).unwrap();
    }

    fn worker_pids(&self) -> watch::Receiver<Vec<u32>> {
        self.workers.clone()
    }
}

struct Scene {
    script: Arc<Script>,
    hardware: Hardware,
    workers: watch::Sender<Vec<u32>>,
    told: mpsc::Receiver<Told>,
    actor: JoinHandle<()>,
}

impl Scene {
    fn new() -> Self {
        let script = Arc::new(Script::default());
        let (hardware, actor) = Hardware::of(Box::new(Scripted(Arc::clone(&script))));
        let (workers, receiver) = watch::channel(Vec::new());
        let (sender, told) = mpsc::channel(1000);
        let sink = Sink {
            told: sender,
            workers: receiver,
        };
        Self {
            script,
            hardware,
            workers,
            told,
            actor: tokio::spawn(actor.run(Arc::new(sink))),
        }
    }

    async fn next(&mut self) -> Told {
        timeout(Duration::from_secs(60), self.told.recv())
            .await
            .unwrap()
            .unwrap()
    }

    async fn is_silent(&mut self) -> bool {
        timeout(Duration::from_secs(3600), self.told.recv())
            .await
            .is_err()
    }
}

#[tokio::test(start_paused = true)]
async fn memory_is_read_at_the_start_and_then_only_while_workers_live() {
    let mut scene = Scene::new();
    assert_eq!(scene.next().await, Told::Readings(0));
    assert!(scene.is_silent().await);
    assert_eq!(scene.script.listeners.load(Ordering::SeqCst), 0);
    scene.workers.send_replace(vec![7]);
    assert_eq!(scene.next().await, Told::Readings(1));
    let before = Instant::now();
    for _ in 0..10 {
        assert_eq!(scene.next().await, Told::Readings(1));
    }
    assert_eq!(before.elapsed().as_secs(), 20);
    scene.workers.send_replace(vec![]);
    assert_eq!(scene.next().await, Told::Readings(0));
    assert!(scene.is_silent().await);
    assert_eq!(scene.script.listeners.load(Ordering::SeqCst), 1);
}

#[tokio::test(start_paused = true)]
async fn memory_is_read_at_once_on_request() {
    let mut scene = Scene::new();
    scene.next().await;
    let before = Instant::now();
    scene.hardware.refresh();
    assert_eq!(scene.next().await, Told::Readings(0));
    assert_eq!(before.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_a_reading_gets_one_made_after_it_asked() {
    let mut scene = Scene::new();
    scene.next().await;
    for available in 1..=5 {
        *scene.script.available_bytes.lock().unwrap() = Some(available * 10 * GIB);
        let made = scene.script.reads.load(Ordering::SeqCst);
        let (one, two) = tokio::join!(scene.hardware.read(), scene.hardware.read());
        assert!(one.is_ok() && two.is_ok());
        assert!(scene.script.reads.load(Ordering::SeqCst) > made);
        assert_eq!(scene.told.try_recv(), Ok(Told::Readings(0)));
    }
    scene.actor.abort();
    assert!(scene.actor.await.is_err());
    assert!(scene.hardware.read().await.is_err());
}

#[tokio::test(start_paused = true)]
async fn shortage_is_told_with_the_figures_and_not_too_often() {
    let mut scene = Scene::new();
    scene.next().await;
    *scene.script.available_bytes.lock().unwrap() = Some(GIB);
    scene.workers.send_replace(vec![7]);
    assert_eq!(scene.next().await, Told::Readings(1));
    let Told::Pressure(first) = scene.next().await else {
        panic!("no pressure")
    };
    assert!((5 * GIB - 100..=5 * GIB).contains(&first), "{first}");
    scene.hardware.refresh();
    assert_eq!(scene.next().await, Told::Readings(1));
    assert_eq!(scene.next().await, Told::Readings(1));
    assert!(matches!(scene.next().await, Told::Pressure(_)));
}

#[tokio::test(start_paused = true)]
async fn stalls_are_looked_at_in_the_light_of_the_figures() {
    let mut scene = Scene::new();
    scene.next().await;
    scene.workers.send_replace(vec![7]);
    scene.next().await;
    scene.script.stall.notify_one();
    assert_eq!(scene.next().await, Told::Readings(1));
    *scene.script.available_bytes.lock().unwrap() = Some(10 * GIB);
    assert_eq!(scene.next().await, Told::Readings(1));
    scene.script.stall.notify_one();
    assert_eq!(scene.next().await, Told::Readings(1));
    assert!(matches!(scene.next().await, Told::Pressure(_)));
    assert_eq!(scene.next().await, Told::Readings(1));
    assert_eq!(scene.next().await, Told::Readings(1));
}

#[tokio::test(start_paused = true)]
async fn nobody_hears_of_shortage_while_no_worker_lives() {
    let mut scene = Scene::new();
    scene.next().await;
    *scene.script.available_bytes.lock().unwrap() = Some(0);
    scene.hardware.refresh();
    assert_eq!(scene.next().await, Told::Readings(0));
    assert!(scene.is_silent().await);
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_panics_is_replaced() {
    let mut scene = Scene::new();
    scene.next().await;
    *scene.script.panics.lock().unwrap() = true;
    scene.workers.send_replace(vec![7, 8]);
    assert_eq!(scene.next().await, Told::Readings(2));
}

#[tokio::test(start_paused = true)]
async fn the_machine_is_looked_at_when_asked_after_sleep_and_after_a_failure() {
    let mut scene = Scene::new();
    let script = Arc::clone(&scene.script);
    let count = || script.profiles.load(Ordering::SeqCst);
    scene.next().await;
    assert!(scene.is_silent().await);
    assert_eq!(scene.hardware.latest().unwrap().platform, "test");
    assert_eq!(count(), 1);
    assert_eq!(scene.hardware.profile().await.unwrap().platform, "test");
    assert_eq!(count(), 2);
    *script.resumed.lock().unwrap() = true;
    scene.hardware.refresh();
    scene.next().await;
    assert!(scene.is_silent().await);
    assert_eq!(count(), 3);
    scene.hardware.device_failed();
    assert_eq!(scene.next().await, Told::Readings(0));
    assert!(scene.is_silent().await);
    assert_eq!(count(), 4);
}

#[tokio::test(start_paused = true)]
async fn many_who_ask_together_share_an_answer() {
    let scene = Scene::new();
    let asks = (0..20).map(|_| {
        let hardware = scene.hardware.clone();
        tokio::spawn(async move { hardware.profile().await })
    });
    for ask in asks.collect::<Vec<_>>() {
        assert_eq!(ask.await.unwrap().unwrap().platform, "test");
    }
    assert!(scene.script.profiles.load(Ordering::SeqCst) < 20);
}

#[tokio::test(start_paused = true)]
async fn it_ends_with_the_owner_of_the_workers() {
    let scene = Scene::new();
    drop(scene.workers);
    scene.actor.await.unwrap();
    let fault = scene.hardware.profile().await.unwrap_err();
    assert_eq!(fault.kind, ErrorKind::ShuttingDown);
}

#[tokio::test]
async fn this_machine_is_read() {
    let (hardware, actor) = Hardware::new();
    let (workers, receiver) = watch::channel(vec![std::process::id()]);
    let (sender, mut told) = mpsc::channel(1000);
    let sink = Sink {
        told: sender,
        workers: receiver,
    };
    let running = tokio::spawn(actor.run(Arc::new(sink)));
    assert!(matches!(told.recv().await, Some(Told::Readings(1..))));
    let profile = hardware.profile().await.unwrap();
    assert_eq!(profile.platform, std::env::consts::OS);
    assert_eq!(super::read_now(&[])[0].1.total_bytes, profile.memory.total_bytes);
    drop(workers);
    running.await.unwrap();
}
