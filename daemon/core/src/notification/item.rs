//! A notification, its buttons, and what they do.

use std::fmt;
use std::time::{Duration, SystemTime};

use super::deferral::Deferral;
use super::kind::NotificationKind;
use super::text::{clean, clean_lines};

/// Numbers a notification for its whole life, also across restarts of the daemon.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NotificationId(pub u64);

impl fmt::Display for NotificationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Where a notification is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NotificationState {
    /// Nobody has seen it: there is no screen, it is quiet, or its time has not come.
    Waiting,
    /// It was on a screen, and nobody has answered.
    Shown,
    /// Somebody pressed a button.
    Acted,
    /// Somebody does not want to see it any more.
    Dismissed,
    /// Its time is over.
    Expired,
    /// It is no longer true.
    Withdrawn,
}

impl NotificationState {
    pub const ALL: [Self; 6] = [
        Self::Waiting,
        Self::Shown,
        Self::Acted,
        Self::Dismissed,
        Self::Expired,
        Self::Withdrawn,
    ];

    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Shown => "shown",
            Self::Acted => "acted",
            Self::Dismissed => "dismissed",
            Self::Expired => "expired",
            Self::Withdrawn => "withdrawn",
        }
    }

    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == text)
    }

    /// It still wants an answer.
    #[must_use]
    pub const fn is_open(self) -> bool {
        match self {
            Self::Waiting | Self::Shown => true,
            Self::Acted | Self::Dismissed | Self::Expired | Self::Withdrawn => false,
        }
    }
}

/// What can be pressed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Button {
    /// For programs, such as `load`; unique within its notification.
    pub key: String,
    /// For people.
    pub label: String,
}

/// A notification as everybody sees it.
#[derive(Clone, Debug, PartialEq)]
pub struct Notification {
    pub id: NotificationId,
    pub kind: NotificationKind,
    /// One line.
    pub title: String,
    /// What happened and what can be done; a few lines, no markup.
    pub body: String,
    pub buttons: Vec<Button>,
    pub state: NotificationState,
    /// Counts up whenever it is to be shown anew.
    pub revision: u32,
    pub created_at: SystemTime,
    /// When it is no longer worth showing.
    pub deadline: SystemTime,
    /// While it waits because somebody wants to see it later.
    pub deferral: Option<Deferral>,
    /// The key of the button that was pressed.
    pub acted: Option<String>,
    /// What came of that; `None` while it is under way.
    pub outcome: Option<Outcome>,
}

/// What came of an action.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    Done,
    /// For a person.
    Failed(String),
}

/// The answer to a button that was pressed.
#[derive(Clone, Debug, PartialEq)]
pub struct ActionResult {
    pub notification: Notification,
    /// False if it had been answered before: nothing happened this time.
    pub accepted: bool,
}

/// What a button does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Nothing more: it was seen.
    Acknowledge,
    /// Shows it again after so many minutes.
    Snooze(u32),
    /// Shows those one by one that were told together.
    ShowEach(Vec<NotificationId>),
    /// Asks a domain of the daemon to do something.
    Ask {
        /// Such as `models`.
        domain: String,
        /// Such as `load`.
        verb: String,
        /// Such as the name of a model.
        argument: String,
    },
}

/// Longest time after which something is shown again, minutes.
const MAX_SNOOZE: u32 = 7 * 24 * 60;

impl Command {
    #[must_use]
    pub fn ask(domain: &str, verb: &str, argument: impl fmt::Display) -> Self {
        Self::Ask {
            domain: domain.to_owned(),
            verb: verb.to_owned(),
            argument: argument.to_string(),
        }
    }

    /// The command whose text form this is.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if text == "acknowledge" {
            return Some(Self::Acknowledge);
        }
        let (what, argument) = text.split_once(':')?;
        match what {
            "snooze" => {
                let minutes = argument.parse().ok()?;
                (1..=MAX_SNOOZE)
                    .contains(&minutes)
                    .then_some(Self::Snooze(minutes))
            }
            "show_each" => {
                let ids = argument.split(',').map(|id| id.parse().map(NotificationId));
                ids.collect::<Result<_, _>>().ok().map(Self::ShowEach)
            }
            _ => {
                let (domain, verb) = what.split_once('.')?;
                Some(Self::ask(domain, verb, argument))
            }
        }
    }
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Acknowledge => f.write_str("acknowledge"),
            Self::Snooze(minutes) => write!(f, "snooze:{minutes}"),
            Self::ShowEach(ids) => {
                let ids: Vec<String> = ids.iter().map(ToString::to_string).collect();
                write!(f, "show_each:{}", ids.join(","))
            }
            Self::Ask {
                domain,
                verb,
                argument,
            } => write!(f, "{domain}.{verb}:{argument}"),
        }
    }
}

/// A button with what it does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Action {
    pub button: Button,
    pub command: Command,
}

impl Action {
    #[must_use]
    pub fn new(key: &str, label: &str, command: Command) -> Self {
        Self {
            button: Button {
                key: key.to_owned(),
                label: clean(label, MAX_LABEL),
            },
            command,
        }
    }

    /// Such as "In 10 min".
    #[must_use]
    pub fn snooze(minutes: u32) -> Self {
        let minutes = minutes.clamp(1, MAX_SNOOZE);
        let label = match minutes {
            hours if hours % 60 == 0 => format!("In {} h", hours / 60),
            minutes => format!("In {minutes} min"),
        };
        Self::new(&format!("snooze:{minutes}"), &label, Command::Snooze(minutes))
    }
}

const MAX_TITLE: usize = 120;
const MAX_BODY: usize = 400;
const MAX_LABEL: usize = 40;
/// More do not fit beside each other.
const MAX_ACTIONS: usize = 4;

/// What somebody wants to be told to the user. Its texts are made harmless here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewNotification {
    pub kind: NotificationKind,
    pub title: String,
    pub body: String,
    pub actions: Vec<Action>,
    /// What is open under the same key is replaced; `None`: it stands for itself.
    pub dedupe_key: Option<String>,
    /// How long it is worth showing; `None`: as long as its kind.
    pub lifetime: Option<Duration>,
}

impl NewNotification {
    #[must_use]
    pub fn new(kind: NotificationKind, title: &str, body: &str) -> Self {
        Self {
            kind,
            title: clean(title, MAX_TITLE),
            body: clean_lines(body, MAX_BODY),
            actions: Vec::new(),
            dedupe_key: None,
            lifetime: None,
        }
    }

    /// Adds a button; more than four are left out, and so is a second one with the same key.
    #[must_use]
    pub fn with(mut self, action: Action) -> Self {
        let is_new = self
            .actions
            .iter()
            .all(|other| other.button.key != action.button.key);
        if is_new && self.actions.len() < MAX_ACTIONS {
            self.actions.push(action);
        }
        self
    }

    /// Replaces what is open under the same key.
    #[must_use]
    pub fn replacing(mut self, key: impl Into<String>) -> Self {
        self.dedupe_key = Some(key.into());
        self
    }

    /// It is no longer worth showing after that time.
    #[must_use]
    pub const fn lasting(mut self, lifetime: Duration) -> Self {
        self.lifetime = Some(lifetime);
        self
    }

    /// When it is no longer worth showing, if it happened then.
    #[must_use]
    pub fn deadline(&self, created_at: SystemTime) -> SystemTime {
        let lifetime = self.lifetime.unwrap_or(self.kind.lifetime());
        created_at.checked_add(lifetime).unwrap_or(created_at)
    }
}

impl Notification {
    /// One that nobody has seen yet; its buttons are keys and labels.
    #[must_use]
    pub fn waiting(
        id: NotificationId,
        made: &NewNotification,
        buttons: &[(&str, &str)],
        created_at: SystemTime,
    ) -> Self {
        let button = |&(key, label): &(&str, &str)| Button {
            key: key.to_owned(),
            label: label.to_owned(),
        };
        Self {
            id,
            kind: made.kind,
            title: made.title.clone(),
            body: made.body.clone(),
            buttons: buttons.iter().map(button).collect(),
            state: NotificationState::Waiting,
            revision: 1,
            created_at,
            deadline: made.deadline(created_at),
            deferral: None,
            acted: None,
            outcome: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_reads_back_from_its_text() {
        for state in NotificationState::ALL {
            assert_eq!(NotificationState::parse(state.as_str()), Some(state));
        }
        assert_eq!(NotificationState::parse("lost"), None);
    }

    #[test]
    fn a_command_reads_back_from_its_text() {
        for (command, text) in [
            (Command::Acknowledge, "acknowledge"),
            (Command::Snooze(10), "snooze:10"),
            (
                Command::ShowEach(vec![NotificationId(1), NotificationId(22)]),
                "show_each:1,22",
            ),
            (Command::ask("models", "load", "a:b/c.d"), "models.load:a:b/c.d"),
            (Command::ask("jobs", "retry", ""), "jobs.retry:"),
        ] {
            assert_eq!(command.to_string(), text);
            assert_eq!(Command::parse(text), Some(command));
        }
        for text in [
            "",
            "dance",
            "snooze:0",
            "snooze:x",
            "snooze:99999999",
            "show_each:",
            "load:tiny",
        ] {
            assert_eq!(Command::parse(text), None, "{text}");
        }
    }

    #[test]
    fn texts_of_others_are_made_harmless_and_buttons_are_few_and_distinct() {
        let long = "x".repeat(1000);
        let made = (0..9).fold(
            NewNotification::new(NotificationKind::Test, &format!("a\n\u{1b}b{long}"), &long),
            |made, number| {
                made.with(Action::new(
                    &format!("key{}", number / 2),
                    &long,
                    Command::Acknowledge,
                ))
            },
        );
        assert!(made.title.starts_with("a bx") && made.title.chars().count() == MAX_TITLE);
        assert_eq!(made.body.chars().count(), MAX_BODY);
        assert_eq!(made.actions.len(), MAX_ACTIONS);
        assert!(
            made.actions
                .iter()
                .all(|action| action.button.label.chars().count() == MAX_LABEL)
        );
        let now = SystemTime::UNIX_EPOCH;
        assert_eq!(made.deadline(now), now + NotificationKind::Test.lifetime());
        let short = made.lasting(Duration::from_secs(5));
        assert_eq!(short.deadline(now), now + Duration::from_secs(5));
    }

    #[test]
    fn a_snooze_says_how_long() {
        for (minutes, key, label) in [
            (10, "snooze:10", "In 10 min"),
            (120, "snooze:120", "In 2 h"),
            (0, "snooze:1", "In 1 min"),
        ] {
            let action = Action::snooze(minutes);
            assert_eq!((&*action.button.key, &*action.button.label), (key, label));
        }
    }
}
