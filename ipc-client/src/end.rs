//! Waiting for a daemon's end.

use std::time::Duration;

use airunner_platform::process;

const PAUSE: Duration = Duration::from_millis(15);

/// Waits until the process of a daemon is gone; its files go before it. Waits for ever if it
/// does not end: drop the future or add a timeout to give up.
pub async fn wait_for_end(pid: u32) {
    // A process that has ended but whose parent has not noticed has no memory.
    while process::resident_memory(pid).is_some_and(|bytes| bytes > 0) {
        tokio::time::sleep(PAUSE).await;
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[tokio::test]
    async fn it_returns_when_the_process_has_ended() {
        let mut child = std::process::Command::new("sh")
            .args(["-c", "read line"])
            .stdin(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let pid = child.id();
        let still_there = tokio::time::timeout(Duration::from_millis(50), wait_for_end(pid)).await;
        assert!(still_there.is_err());
        drop(child.stdin.take());
        wait_for_end(pid).await;
        assert!(child.wait().unwrap().code().is_some());
    }
}
