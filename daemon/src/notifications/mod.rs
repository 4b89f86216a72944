//! Telling the user of this machine what happened, and doing what they ask for in return.
//!
//! One actor owns the notifications: it follows what happens in the daemon, writes down what is
//! worth telling, and has a presenter put it on a screen when there is one and the user wants to be
//! told. The presenter is the tray if it is there, and otherwise the daemon itself. A button that
//! is pressed is written down before anything is done, so that it counts once, and it is carried
//! out by the domain it belongs to: each is known by a [`Carrier`]. What to tell and when is decided
//! by `core::notification`.

mod actor;
mod carrier;
mod clock;
mod handle;
mod message;
mod own;
mod presenters;
mod report;
mod rules;
mod settle;

#[cfg(test)]
mod tests;

pub use actor::{Actor, Parts};
pub use carrier::{Carrier, Carrying};
pub use clock::{Clock, SystemClock};
pub use handle::{Notifications, Presentation, Presenter, Reporter};
pub use own::present_by_itself;
pub use rules::Rules;
