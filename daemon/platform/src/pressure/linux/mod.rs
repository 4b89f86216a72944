//! Pressure stall information: how long programs wait because memory has to be freed first.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::time::{Interval, MissedTickBehavior, interval};

mod figures;
mod trigger;

use crate::memory::{Groups, Version};
use figures::Counts;
use trigger::Trigger;

const MACHINE: &str = "/proc/pressure/memory";
const POLL: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(super) struct Listener {
    source: Source,
}

/// The kernel tells; or else it is asked.
#[derive(Debug)]
enum Source {
    Told {
        machine: Option<Trigger>,
        /// A limit of our control group makes us wait while the machine has plenty.
        group: Option<Trigger>,
    },
    Asking(Asking),
}

#[derive(Debug)]
struct Asking {
    machine: PathBuf,
    group: Option<PathBuf>,
    timer: Interval,
    last: Option<Counts>,
}

impl Listener {
    pub(super) fn new() -> Self {
        let mut groups = Groups::default();
        groups.refresh(Path::new("/proc"));
        Self::of(Path::new(MACHINE), groups.own(Version::Two))
    }

    fn of(machine: &Path, group: Option<&Path>) -> Self {
        let told = [
            Trigger::set(machine),
            group.and_then(|group| Trigger::set(&group.join("memory.pressure"))),
        ];
        let source = match told {
            [None, None] => Source::Asking(Asking::new(machine, group)),
            [machine, group] => Source::Told { machine, group },
        };
        Self { source }
    }

    pub(super) const fn means(&self) -> &'static str {
        match &self.source {
            Source::Told { .. } => "the kernel tells",
            Source::Asking(_) => "the kernel is asked",
        }
    }

    pub(super) async fn next(&mut self) {
        match &mut self.source {
            Source::Told { machine, group } => tokio::select! {
                () = fired(machine) => {}
                () = fired(group) => {}
            },
            Source::Asking(asking) => asking.next().await,
        }
    }
}

/// Never, without a trigger; one that broke, as when its group is gone, is given up.
async fn fired(trigger: &mut Option<Trigger>) {
    if let Some(set) = trigger {
        match set.fired().await {
            Ok(()) => return,
            Err(error) => {
                tracing::debug!(%error, "the kernel no longer tells of memory pressure");
                *trigger = None;
            }
        }
    }
    std::future::pending().await
}

impl Asking {
    fn new(machine: &Path, group: Option<&Path>) -> Self {
        let mut timer = interval(POLL);
        timer.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self {
            machine: machine.to_path_buf(),
            group: group.map(Path::to_path_buf),
            timer,
            last: None,
        }
    }

    async fn next(&mut self) {
        loop {
            self.timer.tick().await;
            if self.is_short() {
                return;
            }
        }
    }

    /// Kernels without these files say nothing, and nothing is short as far as they go.
    fn is_short(&mut self) -> bool {
        let stalls = fs::read_to_string(&self.machine).unwrap_or_default();
        let events = self.group.as_ref().and_then(|group| {
            let events = fs::read_to_string(group.join("memory.events")).ok()?;
            Some(Counts::parse(&events))
        });
        let before = std::mem::replace(&mut self.last, events);
        let limited = before
            .zip(events)
            .is_some_and(|(before, now)| now.exceeds(before));
        limited || figures::are_stalls_long(&stalls)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_kernel_is_asked_where_it_does_not_tell() {
        let files = tempfile::tempdir().unwrap();
        let machine = files.path().join("memory");
        let mut listener = Listener::of(&machine, Some(files.path()));
        assert_eq!(listener.means(), "the kernel is asked");
        tokio::time::pause();
        let calm = tokio::time::timeout(Duration::from_secs(60), listener.next());
        assert!(calm.await.is_err());
        fs::write(files.path().join("memory.events"), "high 0\nmax 1\n").unwrap();
        let calm = tokio::time::timeout(Duration::from_secs(60), listener.next());
        assert!(calm.await.is_err());
        fs::write(files.path().join("memory.events"), "high 0\nmax 2\n").unwrap();
        listener.next().await;
        fs::write(&machine, "some avg10=40.00 avg60=1 avg300=0 total=5\n").unwrap();
        listener.next().await;
    }

    #[tokio::test]
    async fn listening_works_on_this_machine_whatever_its_kernel_allows() {
        let listener = Listener::new();
        assert!(listener.means().starts_with("the kernel"));
    }
}
