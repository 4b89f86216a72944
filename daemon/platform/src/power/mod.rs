//! Sleep and battery: keeping the machine awake for a while, and being told what becomes of it.
//!
//! Where the system has no word for it, everything here goes on silently: nothing is kept awake,
//! and nothing is told.

#[cfg(target_os = "linux")]
mod linux;
#[cfg(target_os = "linux")]
use linux as os;
#[cfg(target_os = "macos")]
mod macos;
#[cfg(target_os = "macos")]
use macos as os;
#[cfg(windows)]
mod windows;
#[cfg(windows)]
use windows as os;
#[cfg(not(any(target_os = "linux", target_os = "macos", windows)))]
mod other;
#[cfg(not(any(target_os = "linux", target_os = "macos", windows)))]
use other as os;

/// What became of the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PowerEvent {
    /// It slept, and is awake again.
    Resumed,
    /// It runs on battery, or does not any more.
    Battery(bool),
}

/// Keeps the machine awake until dropped.
#[derive(Debug)]
pub struct Awake(#[expect(dead_code, reason = "held for its drop")] os::Awake);

/// The way to what the system knows of power.
#[derive(Debug)]
pub struct Power(os::Power);

impl Power {
    /// Connects, where there is something to connect to.
    pub async fn connect() -> Self {
        Self(os::Power::connect().await)
    }

    /// Asks that the machine does not go to sleep by itself, and says why; `None` if nobody can
    /// be asked.
    pub async fn stay_awake(&self, why: &str) -> Option<Awake> {
        self.0.stay_awake(why).await.map(Awake)
    }

    /// Whether the machine runs on battery; `None` if it has none, or nobody knows.
    pub async fn on_battery(&self) -> Option<bool> {
        self.0.on_battery().await
    }

    /// The next thing that happens. May be dropped and asked again.
    pub async fn next(&mut self) -> PowerEvent {
        self.0.next().await
    }
}
