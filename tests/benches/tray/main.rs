//! What the tray costs: how fast its icon is there, what it takes while nothing happens, and how
//! soon a change of the daemon is to be seen. `cargo xtask bench tray` builds everything and calls
//! this.
//!
//!     cargo bench -p airunner-tests --bench tray -- [--rounds N]
//!
//! Prints a table in Markdown; nothing here passes or fails.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a benchmark prints")]

mod change;
mod idle;
mod start;

use airunner_tests::bench::{Figure, describe};
use airunner_tests::desktop::{SessionBus, have_programs};
use airunner_tests::{Home, binary};
use anyhow::Context;
use tokio::process::Child;

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1).filter(|argument| argument != "--bench");
    let mut rounds = 5;
    while let Some(option) = arguments.next() {
        let value = arguments
            .next()
            .with_context(|| format!("{option} needs a value"))?;
        match option.as_str() {
            "--rounds" => rounds = value.parse()?,
            _ => anyhow::bail!("unknown option {option}"),
        }
    }
    if !have_programs(&["dbus-daemon"]) {
        return Ok(());
    }
    println!("{}\n", describe());
    println!("| what | bar | measured |\n|---|---|---|");
    show("starting", start::measure(rounds).await?);
    show("idling", idle::measure().await?);
    show("following", change::measure(rounds).await?);
    Ok(())
}

fn show(what: &str, figures: Vec<Figure>) {
    eprintln!("measured: {what}");
    for figure in figures {
        println!("{figure}");
    }
}

/// A tray, killed when dropped.
pub(crate) fn tray(home: &Home, bus: &SessionBus) -> anyhow::Result<Child> {
    let mut command = home.command(binary("airunner-tray"));
    command.envs(bus.environment().iter().map(|(name, value)| (name, value)));
    Ok(tokio::process::Command::from(command)
        .kill_on_drop(true)
        .spawn()?)
}
