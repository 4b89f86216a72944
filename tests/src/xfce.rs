//! The notifications of a real desktop, on a screen that nobody sees.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::desktop::{SessionBus, have_programs};

/// Where Debian puts the program that shows notifications.
const NOTIFYD: &str = "/usr/lib/x86_64-linux-gnu/xfce4/notifyd/xfce4-notifyd";

/// Xfce's notifications on a screen of their own; ended when dropped.
pub struct XfceDesktop {
    pub bus: SessionBus,
    programs: Vec<Child>,
}

impl XfceDesktop {
    /// `None`, and said so, where one of its programs is not installed.
    pub async fn start() -> Option<Self> {
        if !have_programs(&["Xvfb", "xdotool", "dbus-daemon"]) || !is_there(NOTIFYD) {
            return None;
        }
        let (screen, display) = screen();
        let bus = SessionBus::start(&[("DISPLAY", &display), ("NO_AT_BRIDGE", "1")]).await;
        let mut desktop = Self {
            bus,
            programs: vec![screen],
        };
        let notifyd = desktop.command(NOTIFYD).spawn().expect("it is installed");
        desktop.programs.push(notifyd);
        Some(desktop)
    }

    fn command(&self, program: &str) -> Command {
        let mut command = self.bus.command(program);
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        command
    }

    fn xdotool(&self, arguments: &[&str]) -> Option<String> {
        let mut command = self.command("xdotool");
        let output = command.stdout(Stdio::piped()).args(arguments).output().ok()?;
        let text = String::from_utf8(output.stdout).ok()?;
        output.status.success().then_some(text)
    }

    /// Position and size of the notification on the screen.
    fn place(&self) -> Option<(i32, i32, i32, i32)> {
        let windows = self.xdotool(&["search", "--onlyvisible", "--class", "xfce4-notifyd"])?;
        let window = windows.lines().next()?;
        let geometry = self.xdotool(&["getwindowgeometry", "--shell", window])?;
        let figure = |name: &str| {
            let mut lines = geometry.lines();
            lines.find_map(|line| line.strip_prefix(name)?.strip_prefix('=')?.parse().ok())
        };
        Some((figure("X")?, figure("Y")?, figure("WIDTH")?, figure("HEIGHT")?))
    }

    /// Moves the pointer to the last button of the notification, if there is one, and presses it.
    pub fn press_last_button(&self) {
        let Some((x, y, width, height)) = self.place() else {
            return;
        };
        let (x, y) = ((x + width - 59).to_string(), (y + height - 31).to_string());
        let pressed = self.xdotool(&["mousemove", &x, &y, "click", "1"]);
        assert!(pressed.is_some(), "the pointer moves");
    }

    /// Whether a notification is on the screen.
    #[must_use]
    pub fn shows_something(&self) -> bool {
        self.place().is_some()
    }
}

impl Drop for XfceDesktop {
    fn drop(&mut self) {
        for program in self.programs.iter_mut().rev() {
            // It may have ended by itself.
            let _ = program.kill();
            let _ = program.wait();
        }
    }
}

/// It is not on the search path.
#[expect(clippy::print_stderr, reason = "a test that does not run has to say so")]
fn is_there(program: &str) -> bool {
    let there = Path::new(program).is_file();
    if !there {
        eprintln!("SKIPPED: {program} is not installed: run `cargo xtask setup`");
    }
    there
}

/// A screen with a number that nobody has, and its name.
fn screen() -> (Child, String) {
    let mut child = Command::new("Xvfb")
        .args([
            "-displayfd",
            "1",
            "-screen",
            "0",
            "1000x700x24",
            "-nolisten",
            "tcp",
        ])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("Xvfb starts");
    let mut number = String::new();
    let output = child.stdout.take().expect("it is piped");
    let read = BufReader::new(output).read_line(&mut number);
    read.expect("it says its number");
    (child, format!(":{}", number.trim()))
}
