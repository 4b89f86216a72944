//! macOS: the menu bar.

use airunner_core::Fault;
use winit::event_loop::EventLoop;
use winit::platform::macos::{ActivationPolicy, EventLoopBuilderExtMacOS as _};

pub(crate) use super::window_system::{Display, Stage};

/// The menu bar is 22 points high, twice as many pixels on most screens.
pub(super) const ICON_SIZE: u32 = 48;

/// No icon in the Dock and no menu of its own: only the item in the menu bar.
pub(crate) fn run<T: Send + 'static>(work: impl FnOnce(Stage) -> T + Send + 'static) -> Result<T, Fault> {
    let mut builder = EventLoop::with_user_event();
    builder.with_activation_policy(ActivationPolicy::Accessory);
    super::window_system::run(builder, work)
}
