//! How soon a change that the daemon tells everybody is told to the desktop by the tray.

use std::time::{Duration, Instant};

use airunner_core::event::Event;
use airunner_core::lifecycle::StateName;
use airunner_ipc_client::{Endpoint, Places, Update, Watch};
use airunner_tests::Daemon;
use airunner_tests::bench::{Figure, median, quantile};
use airunner_tests::desktop::{SessionBus, Watcher};
use anyhow::Context;
use futures_util::StreamExt;
use zbus::{MatchRule, MessageStream};

const MODEL: &str = "builtin/helper";
const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) async fn measure(rounds: usize) -> anyhow::Result<Vec<Figure>> {
    let bus = SessionBus::start(&[]).await;
    let daemon = Daemon::start().await;
    let mut watcher = Watcher::start(&bus).await;
    let mut tray = crate::tray(&daemon.home, &bus)?;
    let menu = watcher.first().await;
    menu.until("<Documentation>").await;

    let connection = bus.connect().await;
    let rule = MatchRule::builder()
        .msg_type(zbus::message::Type::Signal)
        .interface("org.kde.StatusNotifierItem")
        .member("NewIcon")
        .build()?;
    let mut icons = MessageStream::for_match_rule(rule, &connection, std::num::NonZeroUsize::new(64)).await?;
    let places = Places::under(daemon.home.path());
    let mut watch = Watch::new(Endpoint::of_daemon(&places));
    watch.next().await;

    let mut delays = Vec::new();
    for _ in 0..rounds.max(5) {
        for (command, states) in [
            ("load", [StateName::Loading, StateName::Loaded].as_slice()),
            ("unload", &[]),
        ] {
            let told = async {
                let mut times = Vec::new();
                for state in states {
                    times.push(entered(&mut watch, *state).await);
                }
                times
            };
            let shown = async {
                let mut times = Vec::new();
                for _ in states {
                    icons.next().await;
                    times.push(Instant::now());
                }
                times
            };
            let cli = daemon.home.cli();
            let arguments = [command, MODEL];
            let both = async { tokio::join!(cli.run(&arguments), told, shown) };
            let (_, told, shown) = tokio::time::timeout(PATIENCE, both)
                .await
                .context("the tray does not follow")?;
            let pairs = told.into_iter().zip(shown);
            delays
                .extend(pairs.map(|(told, shown)| shown.saturating_duration_since(told).as_secs_f64() * 1e3));
        }
    }
    tray.kill().await?;
    watcher.end().await;
    daemon.stop().await;
    let longest = quantile(delays.clone(), 1.0);
    Ok(vec![Figure::new(
        format!(
            "a change of state to the new icon on the bus, {} changes: median",
            delays.len()
        ),
        "at most 100 ms",
        format!("{:.1} ms (longest {longest:.1} ms)", median(delays)),
    )])
}

/// When the model came into that state, as every watcher is told.
async fn entered(watch: &mut Watch, wanted: StateName) -> Instant {
    loop {
        if let Update::Event(Event::ModelChanged { model, from, .. }) = watch.next().await
            && model.name.as_str() == MODEL
            && model.state == wanted
            && from != wanted
        {
            return Instant::now();
        }
    }
}
