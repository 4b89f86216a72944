//! Sleep and battery, on a bus of the system that belongs to the test.
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a scenario fails where it stands")]

use std::io::{BufRead as _, BufReader, Read as _};
use std::os::fd::OwnedFd;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use airunner_tests::desktop::have_programs;
use airunner_tests::{Daemon, FakeModel, Gate, Home, eventually};
use zbus::object_server::SignalEmitter;

/// A bus of our own in place of the system's.
struct Bus {
    child: Child,
    address: String,
}

impl Bus {
    fn start() -> Self {
        let mut child = Command::new("dbus-daemon")
            .args(["--session", "--nofork", "--print-address"])
            .stdout(Stdio::piped())
            .spawn()
            .expect("dbus-daemon is installed");
        let mut address = String::new();
        let said = child.stdout.take().unwrap();
        BufReader::new(said).read_line(&mut address).unwrap();
        Self {
            child,
            address: address.trim().to_owned(),
        }
    }
}

impl Drop for Bus {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// One who keeps the machine awake, as logind knows it.
#[derive(Debug)]
struct Held {
    what: String,
    who: String,
    why: String,
    mode: String,
    /// Whoever held it has let go.
    over: Arc<AtomicBool>,
}

#[derive(Clone, Default)]
struct Logind {
    held: Arc<Mutex<Vec<Held>>>,
    /// It lets nobody forbid sleep.
    strict: bool,
}

#[zbus::interface(name = "org.freedesktop.login1.Manager")]
impl Logind {
    fn inhibit(
        &self,
        what: String,
        who: String,
        why: String,
        mode: String,
    ) -> zbus::fdo::Result<zbus::OwnedFd> {
        if self.strict && mode == "block" {
            return Err(zbus::fdo::Error::AccessDenied("not you".to_owned()));
        }
        let (mut pipe, other) =
            std::io::pipe().map_err(|error| zbus::fdo::Error::IOError(error.to_string()))?;
        let over = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&over);
        std::thread::spawn(move || {
            // Nothing is ever written: what comes is the end.
            drop(pipe.read(&mut [0]));
            seen.store(true, Ordering::SeqCst);
        });
        let mut all = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        all.push(Held {
            what,
            who,
            why,
            mode,
            over,
        });
        Ok(OwnedFd::from(other).into())
    }

    #[zbus(signal)]
    async fn prepare_for_sleep(emitter: &SignalEmitter<'_>, begins: bool) -> zbus::Result<()>;
}

struct Battery {
    on: bool,
    /// Somebody has asked for it.
    asked: Arc<AtomicBool>,
}

#[zbus::interface(name = "org.freedesktop.UPower")]
impl Battery {
    #[zbus(property)]
    fn on_battery(&self) -> bool {
        self.asked.store(true, Ordering::SeqCst);
        self.on
    }
}

/// The system as the daemon finds it.
struct System {
    bus: Bus,
    logind: Logind,
    asked: Arc<AtomicBool>,
    connection: zbus::Connection,
}

impl System {
    /// `None`, loudly, where there is no D-Bus.
    async fn start(strict: bool) -> Option<Self> {
        if !have_programs(&["dbus-daemon"]) {
            return None;
        }
        let bus = Bus::start();
        let logind = Logind {
            strict,
            ..Logind::default()
        };
        let asked = Arc::new(AtomicBool::new(false));
        let battery = Battery {
            on: false,
            asked: Arc::clone(&asked),
        };
        let connection = zbus::connection::Builder::address(&*bus.address)
            .name("org.freedesktop.login1")
            .name("org.freedesktop.UPower")
            .serve_at("/org/freedesktop/login1", logind.clone())
            .serve_at("/org/freedesktop/UPower", battery)
            .build()
            .await
            .unwrap();
        Some(Self {
            bus,
            logind,
            asked,
            connection,
        })
    }

    /// Starts the daemon and waits until it listens: it asks for the battery when it does.
    async fn daemon(&self) -> Daemon {
        let daemon = Daemon::start_in(self.home()).await;
        eventually("the daemon listens", async || self.asked.load(Ordering::SeqCst)).await;
        daemon
    }

    fn home(&self) -> Home {
        let mut home = Home::new();
        home.set("DBUS_SYSTEM_BUS_ADDRESS", self.bus.address.clone());
        home.set("AIRUNNER_LOG_LEVEL", "debug");
        home
    }

    async fn runs_on_battery(&self, on: bool) {
        let served = self
            .connection
            .object_server()
            .interface::<_, Battery>("/org/freedesktop/UPower")
            .await
            .unwrap();
        let mut battery = served.get_mut().await;
        battery.on = on;
        battery.on_battery_changed(served.signal_emitter()).await.unwrap();
    }

    async fn sleeps_and_wakes(&self) {
        let served = self
            .connection
            .object_server()
            .interface::<_, Logind>("/org/freedesktop/login1")
            .await
            .unwrap();
        for begins in [true, false] {
            Logind::prepare_for_sleep(served.signal_emitter(), begins)
                .await
                .unwrap();
        }
    }

    fn held(&self) -> usize {
        self.logind.held.lock().unwrap().len()
    }

    fn all_let_go(&self) -> bool {
        let held = self.logind.held.lock().unwrap();
        held.iter().all(|held| held.over.load(Ordering::SeqCst))
    }
}

fn slow(gate: &Gate) -> FakeModel {
    FakeModel::new("slow")
        .speaks(&["one", " two", " three"])
        .waits_after(1, gate)
}

#[tokio::test]
async fn the_machine_stays_awake_for_an_answer_and_no_longer() {
    let Some(system) = System::start(false).await else {
        return;
    };
    let daemon = system.daemon().await;
    let gate = Gate::new();
    daemon.install(&slow(&gate)).await;
    assert_eq!(system.held(), 0, "nothing is to be done");
    let cli = daemon.home.cli();
    let answer = cli.spawn(&["chat", "slow", "Well?"]);
    eventually("it is kept awake", async || system.held() == 1).await;
    assert!(!system.all_let_go());
    {
        let held = system.logind.held.lock().unwrap();
        let one = &held[0];
        assert_eq!(
            (&*one.what, &*one.who, &*one.why, &*one.mode),
            ("sleep", "AI Runner", "answering a request", "block")
        );
    }
    gate.open();
    assert!(answer.wait_with_output().await.unwrap().status.success());
    eventually("it is let go", async || system.all_let_go()).await;
    assert_eq!(system.held(), 1, "once for the whole answer");

    cli.run(&["settings", "set", "power.inhibit_sleep", "false"])
        .await
        .succeeded();
    cli.run(&["chat", "slow", "Well?"]).await.succeeded();
    assert_eq!(system.held(), 1, "nobody wants it");
    daemon.stop().await;
}

#[tokio::test]
async fn where_sleep_cannot_be_forbidden_it_is_put_off() {
    let Some(system) = System::start(true).await else {
        return;
    };
    let daemon = system.daemon().await;
    daemon.install(&slow(&Gate::new())).await;
    let answer = daemon.home.cli().spawn(&["chat", "slow", "Well?"]);
    eventually("it is put off", async || system.held() == 1).await;
    assert_eq!(system.logind.held.lock().unwrap()[0].mode, "delay");
    drop(answer);
    eventually("it is let go", async || system.all_let_go()).await;
    daemon.stop().await;
}

#[tokio::test]
async fn on_battery_what_is_idle_goes_if_that_is_wanted() {
    let Some(system) = System::start(false).await else {
        return;
    };
    let daemon = system.daemon().await;
    let cli = daemon.home.cli();
    daemon.install(&FakeModel::new("tiny").speaks(&["yes"])).await;
    daemon.install(&FakeModel::new("kept").speaks(&["yes"])).await;
    cli.run(&["load", "tiny"]).await.succeeded();
    cli.run(&["load", "kept", "--pin"]).await.succeeded();
    system.runs_on_battery(true).await;
    let changes = || {
        daemon
            .home
            .log()
            .matches("the power supply is another one")
            .count()
    };
    eventually("the daemon knows it", async || changes() == 1).await;
    assert_eq!(
        daemon.ps("tiny").await.unwrap()["state"],
        "LOADED",
        "nobody wanted anything else"
    );
    cli.run(&["settings", "set", "power.unload_on_battery", "true"])
        .await
        .succeeded();
    daemon.until_state("tiny", None).await;
    assert_eq!(
        daemon.ps("kept").await.unwrap()["state"],
        "LOADED",
        "it is pinned"
    );

    system.runs_on_battery(false).await;
    // It asks what is so when it is told of a change: two that it hears of at once are none.
    eventually("the daemon knows that too", async || changes() == 2).await;
    cli.run(&["load", "tiny"]).await.succeeded();
    system.runs_on_battery(true).await;
    daemon.until_state("tiny", None).await;
    daemon.stop().await;
}

#[tokio::test]
async fn after_sleep_the_machine_is_looked_at_anew() {
    let Some(system) = System::start(false).await else {
        return;
    };
    let daemon = system.daemon().await;
    let looks = || daemon.home.log().matches("the machine was looked at").count();
    eventually("it was looked at", async || looks() == 1).await;
    system.sleeps_and_wakes().await;
    eventually("it is looked at anew", async || looks() == 2).await;
    daemon.stop().await;
}

#[tokio::test]
async fn without_a_bus_everything_else_goes_on() {
    let mut home = Home::new();
    home.set("DBUS_SYSTEM_BUS_ADDRESS", "unix:path=/nonexistent/bus");
    let daemon = Daemon::start_in(home).await;
    daemon.install(&FakeModel::new("tiny").speaks(&["yes"])).await;
    daemon
        .home
        .cli()
        .run(&["chat", "tiny", "Well?"])
        .await
        .succeeded();
    assert!(!daemon.home.log().contains("WARN"), "{}", daemon.home.log());
    daemon.stop().await;
}
