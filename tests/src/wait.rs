//! Waiting on a condition.

use std::fmt::Debug;
use std::time::{Duration, Instant};

/// Longer than anything takes on a busy machine; reached only by a defect.
pub const PATIENCE: Duration = Duration::from_secs(300);
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// Waits until `look` returns true.
pub async fn eventually(what: &str, mut look: impl AsyncFnMut() -> bool) {
    eventually_ok(what, async || if look().await { Ok(()) } else { Err("not yet") }).await;
}

/// Waits until `look` succeeds, and returns what it found.
pub async fn eventually_ok<T, E: Debug>(what: &str, mut look: impl AsyncFnMut() -> Result<T, E>) -> T {
    let begin = Instant::now();
    loop {
        match look().await {
            Ok(found) => return found,
            Err(error) => {
                assert!(
                    begin.elapsed() < PATIENCE,
                    "waited {PATIENCE:?} in vain: {what}: {error:?}"
                );
                tokio::time::sleep(LOOK_AGAIN).await;
            }
        }
    }
}
