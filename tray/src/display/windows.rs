//! Windows: the notification area.

use airunner_core::Fault;
use winit::event_loop::EventLoop;

pub(crate) use super::window_system::{Display, Stage};

/// What the notification area shows on screens of double density; it scales down well.
pub(super) const ICON_SIZE: u32 = 32;

pub(crate) fn run<T: Send + 'static>(work: impl FnOnce(Stage) -> T + Send + 'static) -> Result<T, Fault> {
    super::window_system::run(EventLoop::with_user_event(), work)
}
