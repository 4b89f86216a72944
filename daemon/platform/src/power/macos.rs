//! The system's own tools: `caffeinate` keeps the machine awake, `pmset` knows the battery.

use std::process::Stdio;
use std::time::Duration;

use tokio::process::{Child, Command};

use super::PowerEvent;

/// How often the battery is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(60);

/// It ends when this is dropped, and with this process at the latest.
#[derive(Debug)]
pub(super) struct Awake(#[expect(dead_code, reason = "held for its drop")] Child);

#[derive(Debug)]
pub(super) struct Power {
    battery: Option<bool>,
}

impl Power {
    pub(super) async fn connect() -> Self {
        Self {
            battery: on_battery().await,
        }
    }

    pub(super) async fn stay_awake(&self, _why: &str) -> Option<Awake> {
        let child = Command::new("/usr/bin/caffeinate")
            .arg("-i")
            .arg("-w")
            .arg(std::process::id().to_string())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn();
        std::future::ready(child.ok().map(Awake)).await
    }

    pub(super) async fn on_battery(&self) -> Option<bool> {
        on_battery().await
    }

    pub(super) async fn next(&mut self) -> PowerEvent {
        loop {
            if self.battery.is_none() {
                return std::future::pending().await;
            }
            tokio::time::sleep(LOOK_EVERY).await;
            if let Some(now) = on_battery().await
                && self.battery.replace(now) != Some(now)
            {
                return PowerEvent::Battery(now);
            }
        }
    }
}

/// `None` without a battery.
async fn on_battery() -> Option<bool> {
    let output = Command::new("/usr/bin/pmset")
        .args(["-g", "batt"])
        .output()
        .await
        .ok()?;
    let said = String::from_utf8_lossy(&output.stdout);
    said.contains("InternalBattery")
        .then(|| said.contains("'Battery Power'"))
}
