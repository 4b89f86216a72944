//! From starting the program to its icon on the bus.

use std::time::Instant;

use airunner_tests::bench::{Figure, median};
use airunner_tests::desktop::{SessionBus, Watcher};
use airunner_tests::{Daemon, Home};

pub(crate) async fn measure(rounds: usize) -> anyhow::Result<Vec<Figure>> {
    let bus = SessionBus::start(&[]).await;
    let daemon = Daemon::start().await;
    let nobody = Home::new();
    let mut figures = Vec::new();
    for (what, home) in [("with a daemon", &daemon.home), ("without one", &nobody)] {
        let mut times = Vec::new();
        for _ in 0..rounds.max(5) {
            let mut watcher = Watcher::start(&bus).await;
            let begin = Instant::now();
            let mut tray = crate::tray(home, &bus)?;
            watcher.first().await;
            times.push(begin.elapsed().as_secs_f64() * 1e3);
            tray.kill().await?;
            watcher.end().await;
        }
        let longest = times.iter().copied().fold(0.0, f64::max);
        figures.push(Figure::new(
            format!("start to icon, {what}: median"),
            "at most 300 ms",
            format!("{:.0} ms (longest {longest:.0} ms)", median(times)),
        ));
    }
    daemon.stop().await;
    Ok(figures)
}
