//! Between the daemon, which decides, and whoever puts notifications on a screen.

use super::item::{Notification, NotificationId};

/// What a presenter is told.
#[derive(Clone, Debug, PartialEq)]
pub enum PresenterOrder {
    /// Puts it on the screen, in the place of an earlier revision if that is there.
    Show(Box<Notification>),
    /// An earlier presenter put it on the screen, under this handle: answers to it are wanted if
    /// it is still there.
    Adopt {
        notification: Box<Notification>,
        handle: String,
    },
    /// Takes it off the screen. Also the receipt for an answer.
    Withdraw(NotificationId),
}

/// What a presenter says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PresenterReport {
    /// What is shown now can be seen.
    Able,
    /// Nobody can see anything, and why.
    Unable(String),
    /// It is on the screen.
    Shown {
        id: NotificationId,
        revision: u32,
        /// How the desktop knows it; empty if it cannot be found again.
        handle: String,
    },
    /// It could not be put on the screen, and why.
    Refused { id: NotificationId, reason: String },
    /// A button was pressed. Said again until the notification is withdrawn.
    Acted { id: NotificationId, action: String },
    /// It left the screen.
    Closed { id: NotificationId, closing: Closing },
    /// The screen is gone with everything on it, and nobody answered.
    Lost(NotificationId),
}

/// Why a notification left the screen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Closing {
    /// Somebody closed it.
    Dismissed,
    /// Nobody touched it for a while.
    Expired,
}

impl Closing {
    pub const ALL: [Self; 2] = [Self::Dismissed, Self::Expired];

    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Dismissed => "dismissed",
            Self::Expired => "expired",
        }
    }

    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|closing| closing.as_str() == text)
    }
}

/// Whether somebody can see notifications.
#[derive(Clone, Debug, PartialEq)]
pub struct TestReport {
    pub notification: Notification,
    /// It is on a screen.
    pub shown: bool,
    /// Who puts notifications on the screen; `None` if nobody does.
    pub presenter: Option<String>,
    /// Why it is not on a screen; empty if it is.
    pub reason: String,
}
