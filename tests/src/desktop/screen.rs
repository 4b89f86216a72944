//! A screen that nobody sees, with a window manager and the panel of Xfce, which takes tray icons.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::Child;

use super::SessionBus;
use crate::wait::{eventually, eventually_ok};

/// What the screen needs beside the session bus.
const PROGRAMS: [&str; 6] = [
    "Xvfb",
    "openbox",
    "xfce4-panel",
    "xdotool",
    "import",
    "dbus-daemon",
];
pub(crate) const WIDTH: u32 = 640;
pub(crate) const HEIGHT: u32 = 420;
/// Height of the panel at the top of the screen.
const PANEL: u32 = 30;
/// Width of what a menu fills at the left of the screen.
const MENU: u32 = 240;
/// Icons of other programs must not be in the way: the panel has a tray and nothing else.
const PANEL_SETTINGS: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<channel name="xfce4-panel" version="1.0">
  <property name="configver" type="int" value="2"/>
  <property name="panels" type="array">
    <value type="int" value="1"/>
    <property name="dark-mode" type="bool" value="DARK"/>
    <property name="panel-1" type="empty">
      <property name="position" type="string" value="p=6;x=0;y=0"/>
      <property name="position-locked" type="bool" value="true"/>
      <property name="length" type="uint" value="100"/>
      <property name="size" type="uint" value="30"/>
      <property name="icon-size" type="uint" value="22"/>
      <property name="plugin-ids" type="array">
        <value type="int" value="1"/>
      </property>
    </property>
  </property>
  <property name="plugins" type="empty">
    <property name="plugin-1" type="string" value="systray">
      <property name="square-icons" type="bool" value="true"/>
      <property name="known-items" type="array">
        <value type="string" value="airunner"/>
      </property>
    </property>
  </property>
</channel>
"#;

/// The colours of the panel and its menus.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Theme {
    Light,
    Dark,
}

/// A screen with a panel; everything ends when it is dropped.
pub struct Screen {
    pub bus: SessionBus,
    theme: Theme,
    panel: Option<Child>,
    _window_manager: Child,
    _server: Child,
}

/// What was to be seen.
pub struct Picture {
    pub file: PathBuf,
    width: u32,
    pixels: Vec<u8>,
}

impl Screen {
    /// `None`, loudly, where the programs are not installed.
    pub async fn start(theme: Theme) -> Option<Self> {
        if !super::have_programs(&PROGRAMS) {
            return None;
        }
        let (server, display) = server().await;
        let gtk = match theme {
            Theme::Light => "Adwaita",
            Theme::Dark => "Adwaita:dark",
        };
        let bus = SessionBus::start(&[
            ("DISPLAY", &display),
            ("GTK_THEME", gtk),
            ("XDG_CURRENT_DESKTOP", "XFCE"),
            ("NO_AT_BRIDGE", "1"),
        ])
        .await;
        let settings = bus.home().join(".config/xfce4/xfconf/xfce-perchannel-xml");
        std::fs::create_dir_all(&settings).expect("the home is writable");
        let dark = (theme == Theme::Dark).to_string();
        let text = PANEL_SETTINGS.replace("DARK", &dark);
        std::fs::write(settings.join("xfce4-panel.xml"), text).expect("the home is writable");
        let window_manager = quiet(&bus, "openbox", &[]);
        let mut screen = Self {
            bus,
            theme,
            panel: None,
            _window_manager: window_manager,
            _server: server,
        };
        screen.start_panel().await;
        Some(screen)
    }

    #[must_use]
    pub const fn theme(&self) -> Theme {
        self.theme
    }

    /// Starts the panel and waits until it takes icons.
    pub async fn start_panel(&mut self) {
        self.panel = Some(quiet(&self.bus, "xfce4-panel", &["--disable-wm-check"]));
        self.until_host(true).await;
    }

    /// Ends the panel as a crash does.
    pub async fn end_panel(&mut self) {
        if let Some(mut panel) = self.panel.take() {
            panel.kill().await.expect("the panel can be ended");
        }
        self.until_host(false).await;
    }

    async fn until_host(&self, wanted: bool) {
        let connection = self.bus.connect().await;
        let proxy = zbus::fdo::DBusProxy::new(&connection).await.expect("a bus");
        let name = "org.kde.StatusNotifierWatcher";
        eventually(&format!("the panel takes icons: {wanted}"), async || {
            let name = name.try_into().expect("a name");
            proxy.name_has_owner(name).await.is_ok_and(|has| has == wanted)
        })
        .await;
    }

    /// Presses a mouse button at a place.
    pub async fn press(&self, x: u32, y: u32, button: u32) {
        let (x, y, button) = (x.to_string(), y.to_string(), button.to_string());
        self.xdotool(&["mousemove", &x, &y, "click", &button]).await;
    }

    pub async fn move_pointer(&self, x: u32, y: u32) {
        self.xdotool(&["mousemove", &x.to_string(), &y.to_string()]).await;
    }

    pub async fn key(&self, key: &str) {
        self.xdotool(&["key", key]).await;
    }

    async fn xdotool(&self, arguments: &[&str]) {
        let mut command = self.bus.command("xdotool");
        command.args(arguments);
        let status = tokio::process::Command::from(command).status().await;
        assert!(status.expect("xdotool runs").success(), "{arguments:?}");
    }

    /// Takes a picture of everything.
    pub async fn picture(&self, file: &Path) -> Picture {
        let mut command = self.bus.command("import");
        command.args(["-window", "root", "-depth", "8"]);
        command.arg(format!("png24:{}", file.display()));
        let status = tokio::process::Command::from(command).status().await;
        assert!(status.expect("import runs").success());
        Picture::read(file)
    }

    /// Waits until a picture shows this.
    pub async fn until(&self, what: &str, file: &Path, mut wanted: impl FnMut(&Picture) -> bool) -> Picture {
        eventually_ok(what, async || {
            let picture = self.picture(file).await;
            if wanted(&picture) {
                Ok(picture)
            } else {
                Err(file.to_owned())
            }
        })
        .await
    }
}

fn quiet(bus: &SessionBus, program: &str, arguments: &[&str]) -> Child {
    let mut command = bus.command(program);
    command
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    tokio::process::Command::from(command)
        .kill_on_drop(true)
        .spawn()
        .unwrap_or_else(|error| panic!("{program}: {error}"))
}

/// A server on a display with a number that nobody has, and the display's name.
pub(crate) async fn server() -> (Child, String) {
    let screen = format!("{WIDTH}x{HEIGHT}x24");
    let mut server = tokio::process::Command::new("Xvfb")
        .args(["-displayfd", "1", "-screen", "0", &screen, "-nolisten", "tcp"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .expect("Xvfb starts");
    let output = server.stdout.take().expect("it is piped");
    let mut number = String::new();
    let read = BufReader::new(output).read_line(&mut number).await;
    read.expect("it says its number");
    (server, format!(":{}", number.trim()))
}

impl Picture {
    pub(crate) fn read(file: &Path) -> Self {
        let data = std::fs::read(file).expect("the picture was written");
        let mut reader = png::Decoder::new(std::io::Cursor::new(data))
            .read_info()
            .expect("a picture");
        let mut pixels = vec![0; reader.output_buffer_size().expect("of a size")];
        let frame = reader.next_frame(&mut pixels).expect("a whole picture");
        assert_eq!(frame.color_type, png::ColorType::Rgb);
        pixels.truncate(frame.buffer_size());
        Self {
            file: file.to_owned(),
            width: frame.width,
            pixels,
        }
    }

    /// Pixels of the panel that have this colour, nearly: how many, and the middle of them.
    #[must_use]
    pub fn in_panel(&self, colour: [u8; 3]) -> Option<(usize, (u32, u32))> {
        let (mut count, mut x_sum, mut y_sum) = (0_usize, 0_usize, 0_usize);
        let row = self.width as usize * 3;
        for (y, line) in self.pixels.chunks(row).take(PANEL as usize).enumerate() {
            for (x, pixel) in line.chunks(3).enumerate() {
                if pixel.iter().zip(colour).all(|(&a, b)| a.abs_diff(b) <= 6) {
                    count += 1;
                    x_sum += x;
                    y_sum += y;
                }
            }
        }
        let middle = |sum: usize| u32::try_from(sum.checked_div(count)?).ok();
        Some((count, (middle(x_sum)?, middle(y_sum)?)))
    }

    /// The pixels in the corner at the bottom right.
    #[must_use]
    pub fn corner(&self, width: usize, height: usize) -> Vec<[u8; 3]> {
        let row = self.width as usize * 3;
        let lines = self.pixels.chunks(row).rev().take(height);
        lines
            .flat_map(|line| line.chunks(3).rev().take(width))
            .map(|pixel| [pixel[0], pixel[1], pixel[2]])
            .collect()
    }

    /// Share of the pixels below the icon that are not of the screen's own black: a menu.
    /// Notifications are shown further to the right.
    #[must_use]
    pub fn below_panel(&self) -> f64 {
        let row = self.width as usize * 3;
        let lines = self.pixels.chunks(row).skip(PANEL as usize + 2);
        let below: Vec<&[u8]> = lines
            .flat_map(|line| line[..MENU as usize * 3].chunks(3))
            .collect();
        let filled = below.iter().filter(|pixel| pixel.iter().any(|&value| value > 8));
        filled.count() as f64 / below.len() as f64
    }
}
