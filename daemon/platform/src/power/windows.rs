//! The system keeps awake for as long as a thread says so, and knows the battery.

#![expect(unsafe_code, reason = "the system's functions have no other form")]

use std::sync::mpsc::{SyncSender, sync_channel};
use std::time::Duration;

use windows_sys::Win32::System::Power::{
    ES_CONTINUOUS, ES_SYSTEM_REQUIRED, GetSystemPowerStatus, SYSTEM_POWER_STATUS, SetThreadExecutionState,
};

use super::PowerEvent;

/// How often the battery is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(60);
/// Of `BatteryFlag`: there is none.
const NO_BATTERY: u8 = 128;
/// Of `ACLineStatus` and `BatteryFlag`: nobody knows.
const UNKNOWN: u8 = 255;

/// A thread says it, and takes it back when this is dropped.
#[derive(Debug)]
pub(super) struct Awake(#[expect(dead_code, reason = "held for its drop")] SyncSender<()>);

#[derive(Debug)]
pub(super) struct Power {
    battery: Option<bool>,
}

impl Power {
    pub(super) async fn connect() -> Self {
        std::future::ready(Self {
            battery: on_battery(),
        })
        .await
    }

    pub(super) async fn stay_awake(&self, _why: &str) -> Option<Awake> {
        let (held, dropped) = sync_channel::<()>(0);
        let thread = std::thread::Builder::new().name("stay-awake".to_owned());
        let started = thread.spawn(move || {
            // SAFETY: it takes numbers only, and concerns this thread alone.
            unsafe { SetThreadExecutionState(ES_CONTINUOUS | ES_SYSTEM_REQUIRED) };
            // The end of the channel is what is waited for.
            let _ = dropped.recv();
            // SAFETY: as above.
            unsafe { SetThreadExecutionState(ES_CONTINUOUS) };
        });
        std::future::ready(started.ok().map(|_| Awake(held))).await
    }

    pub(super) async fn on_battery(&self) -> Option<bool> {
        std::future::ready(on_battery()).await
    }

    pub(super) async fn next(&mut self) -> PowerEvent {
        loop {
            if self.battery.is_none() {
                return std::future::pending().await;
            }
            tokio::time::sleep(LOOK_EVERY).await;
            if let Some(now) = on_battery()
                && self.battery.replace(now) != Some(now)
            {
                return PowerEvent::Battery(now);
            }
        }
    }
}

/// `None` without a battery.
fn on_battery() -> Option<bool> {
    let mut status = SYSTEM_POWER_STATUS::default();
    // SAFETY: it writes the structure that is lent to it, and keeps nothing of it.
    if unsafe { GetSystemPowerStatus(&raw mut status) } == 0 {
        return None;
    }
    let has_battery = status.BatteryFlag != UNKNOWN && status.BatteryFlag & NO_BATTERY == 0;
    (has_battery && status.ACLineStatus != UNKNOWN).then_some(status.ACLineStatus == 0)
}
