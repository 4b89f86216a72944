//! The icons, as pixels. Their sources are the SVG files beside the pictures in `tray/icons`.

mod png;
#[cfg(test)]
mod tests;

pub(crate) use self::png::Pixels;

/// What the icon says from afar.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum IconKind {
    /// The daemon runs and nothing is going on.
    Idle,
    /// A model answers.
    Working,
    /// A model is loaded or downloaded, or the daemon starts.
    Loading,
    /// Somebody should look.
    Warning,
    /// Nothing is loaded and nobody is answered until somebody resumes it.
    Paused,
    /// The daemon does not run.
    Stopped,
}

impl IconKind {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Working => "working",
            Self::Loading => "loading",
            Self::Warning => "warning",
            Self::Paused => "paused",
            Self::Stopped => "stopped",
        }
    }

    /// The same picture drawn for several sizes, the smallest first.
    pub(crate) fn pictures(self) -> Vec<Pixels> {
        files(self).iter().filter_map(|file| png::decode(file)).collect()
    }
}

/// The committed pictures of one kind.
macro_rules! pictures {
    ($name:literal) => {
        [
            include_bytes!(concat!("../../icons/", $name, "-16.png")),
            include_bytes!(concat!("../../icons/", $name, "-22.png")),
            include_bytes!(concat!("../../icons/", $name, "-24.png")),
            include_bytes!(concat!("../../icons/", $name, "-32.png")),
            include_bytes!(concat!("../../icons/", $name, "-48.png")),
        ]
    };
}

fn files(kind: IconKind) -> [&'static [u8]; 5] {
    match kind {
        IconKind::Idle => pictures!("idle"),
        IconKind::Working => pictures!("working"),
        IconKind::Loading => pictures!("loading"),
        IconKind::Warning => pictures!("warning"),
        IconKind::Paused => pictures!("paused"),
        IconKind::Stopped => pictures!("stopped"),
    }
}
