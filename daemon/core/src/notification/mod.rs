//! Telling the user of this machine what happened, and what can be done about it.
//!
//! Values and decisions: what is worth a notification and how it reads ([`Observer`], [`stories`]),
//! when those that wait are shown ([`plan()`]), what may stand in a text. What a click does is a
//! [`Command`]; who carries it out is none of this module's business.

mod deferral;
mod item;
mod kind;
mod observe;
mod plan;
mod presenter;
mod quiet;
mod rate;
pub mod stories;
mod text;

#[cfg(test)]
mod properties;

pub use deferral::Deferral;
pub use item::{
    Action, ActionResult, Button, Command, NewNotification, Notification, NotificationId, NotificationState,
    Outcome,
};
pub use kind::NotificationKind;
pub use observe::{Observed, Observer};
pub use plan::{FEW, Plan, Waiting, plan};
pub use presenter::{Closing, PresenterOrder, PresenterReport, TestReport};
pub use quiet::QuietHours;
pub use rate::Allowance;
pub use text::{clean, escape_markup};
