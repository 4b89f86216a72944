use std::path::Path;

/// Named pipes have no directory, and other systems no cheap way to watch one.
#[derive(Debug)]
pub(super) enum Arrivals {}

impl Arrivals {
    pub(super) const fn at(_path: &Path) -> Option<Self> {
        None
    }

    #[expect(clippy::unused_async, reason = "other systems wait here")]
    pub(super) async fn next(&mut self) -> bool {
        match *self {}
    }
}
