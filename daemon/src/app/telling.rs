//! What the user is told of, and who does what they ask for in return.

use std::sync::Arc;
use std::time::Duration;

use airunner_core::notification::stories;
use tokio::task::JoinHandle;

use crate::config::NotificationsSettings;
use crate::downloads::Downloads;
use crate::events::{Hub, Publisher};
use crate::jobs::Jobs;
use crate::models::Models;
use crate::notifications::{Notifications, Parts, Rules, SystemClock, present_by_itself};
use crate::storage::Storage;

/// How long whoever tests whether they can be told waits for the screen.
const TEST_TIME: Duration = Duration::from_secs(10);

/// What happens, and where it is told.
pub(super) struct Telling {
    pub(super) storage: Storage,
    pub(super) publisher: Publisher,
    pub(super) hub: Hub,
}

impl Telling {
    /// The notifications, running, with the daemon as its own presenter.
    pub(super) fn begin(
        self,
        settings: &NotificationsSettings,
        models: &Models,
        downloads: &Downloads,
        jobs: &Jobs,
    ) -> (Notifications, JoinHandle<()>) {
        let parts = Parts {
            storage: self.storage,
            hub: self.hub,
            publisher: self.publisher,
            jobs: jobs.endings(),
            rules: Rules::from(settings),
            carriers: vec![
                (stories::MODELS, Arc::new(models.clone())),
                (stories::DOWNLOADS, Arc::new(downloads.clone())),
                (stories::JOBS, Arc::new(jobs.clone())),
            ],
            clock: Arc::new(SystemClock),
            test_time: TEST_TIME,
        };
        let (notifications, actor) = Notifications::new(parts);
        let task = tokio::spawn(actor.run());
        tokio::spawn(present_by_itself(notifications.clone()));
        (notifications, task)
    }
}
