//! Disks that are full.

use std::path::{Path, PathBuf};
use std::process::Command;

use airunner_tests::{Daemon, Hub, eventually};

use crate::support::*;

/// A small disk; gone when dropped.
struct SmallDisk(PathBuf);

impl SmallDisk {
    /// `None` if this user may not make one.
    fn mount(at: &Path, mebibytes: usize) -> Option<Self> {
        std::fs::create_dir_all(at).unwrap();
        let made = Command::new("mount")
            .args([
                "-t",
                "tmpfs",
                "-o",
                &format!("size={mebibytes}m,mode=700"),
                "tmpfs",
            ])
            .arg(at)
            .status();
        made.is_ok_and(|status| status.success())
            .then(|| Self(at.to_path_buf()))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[tokio::test]
async fn a_full_disk_is_said_early_or_late_and_nothing_is_lost() {
    let hub = Hub::start().await;
    let home = home(&hub);
    let Some(disk) = SmallDisk::mount(&home.path().join("data"), 120) else {
        eprintln!("SKIPPED: only root can make a small disk to fill");
        return;
    };
    let daemon = Daemon::start_in(home).await;
    hub.publish("team/large", package(1, 100 * MIB));
    let (reason, message) = refused(&daemon, &["team/large"]).await;
    assert_eq!(reason, "disk_full", "{message}");
    assert!(message.contains("make room"), "{message}");
    assert!(
        hub.served() < MIB as u64,
        "{} bytes were fetched in vain",
        hub.served()
    );
    let id = download(&daemon, "team/large").await.unwrap()["id"].to_string();
    daemon.home.cli().json(&["downloads", "cancel", &id]).await;

    let size = 40 * MIB;
    hub.publish("team/tiny", package(2, size));
    hub.slow(Some(CRAWL));
    let begun = pulled(&daemon, &["team/tiny", "--detach"]).await;
    hub.slow(Some(16 << 20));
    eventually("a part is here", async || hub.served() > 8 << 20).await;
    hub.slow(Some(CRAWL));
    until_here(&daemon, "team/tiny", 4 << 20).await;
    let filler = disk.0.join("filler");
    std::fs::write(&filler, vec![1; 85 * MIB]).unwrap();
    hub.slow(None);
    let failed = until(&daemon, "team/tiny", "failed").await;
    assert_eq!(failed["error"]["reason"], "disk_full", "{failed}");
    let kept = failed["done_bytes"].as_u64().unwrap();
    assert!(kept > 0);
    std::fs::remove_file(&filler).unwrap();
    let before = hub.served();
    let id = begun["id"].to_string();
    daemon.home.cli().json(&["downloads", "resume", &id]).await;
    until(&daemon, "team/tiny", "done").await;
    let (served, missing) = (
        hub.served() - before,
        failed["total_bytes"].as_u64().unwrap() - kept,
    );
    assert!(
        served <= missing + SLACK,
        "{served} bytes were fetched, {missing} were missing"
    );
    assert_sound(&daemon, "team/tiny").await;
    assert_tidy(&daemon);
    daemon.stop().await;
    drop(disk);
}
