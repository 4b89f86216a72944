//! What the user is told: every change is written down before anything else follows from it.

use std::time::SystemTime;

use airunner_core::Fault;
use airunner_core::notification::{
    Action, Button, Command, Deferral, NewNotification, Notification, NotificationId, NotificationKind,
    NotificationState as State, Outcome,
};
use rusqlite::{Connection, OptionalExtension as _, Row, params};
use serde_json::{Value, json};

use super::numbers::{moment, signed, time, unsigned};
use super::thread::Storage;

/// Those that want no answer any more and are remembered.
const KEPT: i64 = 200;
/// Those that want an answer; the oldest beyond that have had their time.
const OPEN: i64 = 100;

const NOTIFICATION: &str =
    "SELECT id, kind, title, body, actions, state, revision, dedupe_key, created_at_ms,
    deadline_ms, deferred_since_ms, deferred_until_ms, handle, acted, outcome, problem FROM notifications";

/// A notification with what only the daemon needs to know of it.
#[derive(Clone, Debug, PartialEq)]
pub struct NotificationRecord {
    pub notification: Notification,
    /// In the order of the buttons.
    pub commands: Vec<Command>,
    pub dedupe_key: Option<String>,
    /// Empty unless it is on a screen.
    pub handle: String,
}

impl Storage {
    /// Writes it down, in the place of the open one with the same key if there is one.
    pub async fn put_notification(
        &self,
        new: NewNotification,
        now: SystemTime,
    ) -> Result<NotificationRecord, Fault> {
        self.call(move |connection| {
            let transaction = connection.transaction()?;
            let id = match replaced(&transaction, new.dedupe_key.as_deref())? {
                Some(id) => update(&transaction, id, &new, now)?,
                None => insert(&transaction, &new, now)?,
            };
            let record = find(&transaction, id)?;
            transaction.commit()?;
            record.ok_or(rusqlite::Error::QueryReturnedNoRows)
        })
        .await
    }

    /// Those that want an answer, the oldest first.
    pub async fn open_notifications(&self) -> Result<Vec<NotificationRecord>, Fault> {
        self.call(|connection| {
            select(
                connection,
                &format!("{NOTIFICATION} WHERE state IN ('waiting', 'shown') ORDER BY id"),
            )
        })
        .await
    }

    /// All that are remembered, the newest first.
    pub async fn notifications(&self) -> Result<Vec<NotificationRecord>, Fault> {
        self.call(|connection| select(connection, &format!("{NOTIFICATION} ORDER BY id DESC")))
            .await
    }

    /// Those whose button was pressed and of which nothing has come yet, since that time.
    pub async fn unfinished_actions(&self, since: SystemTime) -> Result<Vec<NotificationRecord>, Fault> {
        self.call(move |connection| {
            connection.execute(
                "UPDATE notifications SET outcome = 'failed', problem = 'the daemon was ended meanwhile'
                 WHERE state = 'acted' AND outcome IS NULL AND changed_at_ms < ?1",
                [moment(since)],
            )?;
            select(
                connection,
                &format!("{NOTIFICATION} WHERE state = 'acted' AND outcome IS NULL ORDER BY id"),
            )
        })
        .await
    }

    pub async fn notification(&self, id: NotificationId) -> Result<Option<NotificationRecord>, Fault> {
        self.call(move |connection| find(connection, id)).await
    }

    /// It is on a screen.
    pub async fn notification_shown(
        &self,
        id: NotificationId,
        handle: String,
        now: SystemTime,
    ) -> Result<(), Fault> {
        self.call(move |connection| {
            connection.execute(
                "UPDATE notifications SET state = 'shown', handle = ?2, changed_at_ms = ?3,
                     deferred_since_ms = NULL, deferred_until_ms = NULL
                 WHERE id = ?1 AND state IN ('waiting', 'shown')",
                params![signed(id.0), handle, moment(now)],
            )?;
            Ok(())
        })
        .await
    }

    /// It is to be shown, or shown anew: at once, or later.
    pub async fn notification_waits(
        &self,
        id: NotificationId,
        deferral: Option<Deferral>,
        now: SystemTime,
    ) -> Result<(), Fault> {
        self.call(move |connection| {
            connection.execute(
                "UPDATE notifications SET state = 'waiting', handle = '', revision = revision + 1,
                     deferred_since_ms = ?2, deferred_until_ms = ?3, changed_at_ms = ?4,
                     deadline_ms = max(deadline_ms, coalesce(?3 + deadline_ms - created_at_ms, 0))
                 WHERE id = ?1 AND state IN ('waiting', 'shown')",
                params![
                    signed(id.0),
                    deferral.map(|deferral| moment(deferral.since)),
                    deferral.map(|deferral| moment(deferral.until)),
                    moment(now),
                ],
            )?;
            Ok(())
        })
        .await
    }

    /// Its time, its truth or the interest in it is over. False if it wanted no answer before.
    pub async fn close_notification(
        &self,
        id: NotificationId,
        state: State,
        now: SystemTime,
    ) -> Result<bool, Fault> {
        self.call(move |connection| {
            let changed = connection.execute(
                "UPDATE notifications SET state = ?2, handle = '', changed_at_ms = ?3
                 WHERE id = ?1 AND state IN ('waiting', 'shown')",
                params![signed(id.0), state.as_str(), moment(now)],
            )?;
            Ok(changed > 0)
        })
        .await
    }

    /// Somebody pressed a button: true for one of all who do.
    pub async fn claim_notification(
        &self,
        id: NotificationId,
        action: String,
        now: SystemTime,
    ) -> Result<bool, Fault> {
        self.call(move |connection| {
            let changed = connection.execute(
                "UPDATE notifications SET state = 'acted', acted = ?2, handle = '', changed_at_ms = ?3
                 WHERE id = ?1 AND state IN ('waiting', 'shown', 'dismissed')",
                params![signed(id.0), action, moment(now)],
            )?;
            Ok(changed > 0)
        })
        .await
    }

    /// What came of it.
    pub async fn notification_outcome(&self, id: NotificationId, outcome: Outcome) -> Result<(), Fault> {
        self.call(move |connection| {
            let (outcome, problem) = match outcome {
                Outcome::Done => ("done", None),
                Outcome::Failed(problem) => ("failed", Some(problem)),
            };
            connection.execute(
                "UPDATE notifications SET outcome = ?2, problem = ?3 WHERE id = ?1",
                params![signed(id.0), outcome, problem],
            )?;
            Ok(())
        })
        .await
    }

    /// Forgets the oldest beyond what is kept; those that wanted an answer have had their time.
    pub async fn prune_notifications(&self, now: SystemTime) -> Result<(), Fault> {
        self.call(move |connection| {
            connection.execute(
                "UPDATE notifications SET state = 'expired', handle = '', changed_at_ms = ?1
                 WHERE state IN ('waiting', 'shown') AND id NOT IN
                     (SELECT id FROM notifications WHERE state IN ('waiting', 'shown')
                      ORDER BY id DESC LIMIT ?2)",
                params![moment(now), OPEN],
            )?;
            connection.execute(
                "DELETE FROM notifications WHERE state NOT IN ('waiting', 'shown') AND id NOT IN
                     (SELECT id FROM notifications WHERE state NOT IN ('waiting', 'shown')
                      ORDER BY changed_at_ms DESC, id DESC LIMIT ?1)",
                [KEPT],
            )?;
            Ok(())
        })
        .await
    }
}

fn replaced(connection: &Connection, key: Option<&str>) -> rusqlite::Result<Option<NotificationId>> {
    let Some(key) = key else { return Ok(None) };
    let id = connection
        .query_row(
            "SELECT id FROM notifications WHERE dedupe_key = ?1 AND state IN ('waiting', 'shown')",
            [key],
            |row| row.get(0),
        )
        .optional()?;
    Ok(id.map(|id| NotificationId(unsigned(id))))
}

fn insert(
    connection: &Connection,
    new: &NewNotification,
    now: SystemTime,
) -> rusqlite::Result<NotificationId> {
    connection.execute(
        "INSERT INTO notifications (kind, title, body, actions, state, dedupe_key, created_at_ms,
             changed_at_ms, deadline_ms) VALUES (?1, ?2, ?3, ?4, 'waiting', ?5, ?6, ?6, ?7)",
        params![
            new.kind.as_str(),
            new.title,
            new.body,
            written(&new.actions),
            new.dedupe_key,
            moment(now),
            moment(new.deadline(now)),
        ],
    )?;
    Ok(NotificationId(unsigned(connection.last_insert_rowid())))
}

fn update(
    connection: &Connection,
    id: NotificationId,
    new: &NewNotification,
    now: SystemTime,
) -> rusqlite::Result<NotificationId> {
    // The handle stays: the newer one takes its place on the screen.
    connection.execute(
        "UPDATE notifications SET kind = ?2, title = ?3, body = ?4, actions = ?5, state = 'waiting',
             revision = revision + 1, created_at_ms = ?6, changed_at_ms = ?6, deadline_ms = ?7,
             deferred_since_ms = NULL, deferred_until_ms = NULL WHERE id = ?1",
        params![
            signed(id.0),
            new.kind.as_str(),
            new.title,
            new.body,
            written(&new.actions),
            moment(now),
            moment(new.deadline(now)),
        ],
    )?;
    Ok(id)
}

fn written(actions: &[Action]) -> String {
    let action = |action: &Action| {
        json!({
            "key": action.button.key,
            "label": action.button.label,
            "command": action.command.to_string(),
        })
    };
    Value::from_iter(actions.iter().map(action)).to_string()
}

/// Buttons and commands; what this program does not know can do nothing.
fn understood(text: &str) -> Option<(Vec<Button>, Vec<Command>)> {
    let actions: Vec<Value> = serde_json::from_str(text).ok()?;
    let action = |action: &Value| {
        let field = |name| action.get(name).and_then(Value::as_str);
        let button = Button {
            key: field("key")?.to_owned(),
            label: field("label")?.to_owned(),
        };
        Some((button, Command::parse(field("command")?)?))
    };
    Some(actions.iter().filter_map(action).unzip())
}

fn find(connection: &Connection, id: NotificationId) -> rusqlite::Result<Option<NotificationRecord>> {
    let found = connection
        .query_row(&format!("{NOTIFICATION} WHERE id = ?1"), [signed(id.0)], read)
        .optional()?;
    Ok(found.flatten())
}

fn select(connection: &Connection, statement: &str) -> rusqlite::Result<Vec<NotificationRecord>> {
    connection
        .prepare(statement)?
        .query_map([], read)?
        .filter_map(Result::transpose)
        .collect()
}

/// `None` if it is not what this program writes.
fn read(row: &Row<'_>) -> rusqlite::Result<Option<NotificationRecord>> {
    let (kind, actions, state): (String, String, String) = (row.get(1)?, row.get(4)?, row.get(5)?);
    let (Some(kind), Some(state), Some((buttons, commands))) = (
        NotificationKind::parse(&kind),
        State::parse(&state),
        understood(&actions),
    ) else {
        return Ok(None);
    };
    let (since, until): (Option<i64>, Option<i64>) = (row.get(10)?, row.get(11)?);
    let deferral = since.zip(until).map(|(since, until)| Deferral {
        since: time(since),
        until: time(until),
    });
    let (outcome, problem): (Option<String>, Option<String>) = (row.get(14)?, row.get(15)?);
    let outcome = outcome.map(|outcome| match &*outcome {
        "done" => Outcome::Done,
        _ => Outcome::Failed(problem.unwrap_or_default()),
    });
    Ok(Some(NotificationRecord {
        notification: Notification {
            id: NotificationId(unsigned(row.get(0)?)),
            kind,
            title: row.get(2)?,
            body: row.get(3)?,
            buttons,
            state,
            revision: row.get(6)?,
            created_at: time(row.get(8)?),
            deadline: time(row.get(9)?),
            deferral,
            acted: row.get(13)?,
            outcome,
        },
        commands,
        dedupe_key: row.get(7)?,
        handle: row.get(12)?,
    }))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000 + seconds)
    }

    fn open() -> (tempfile::TempDir, Storage) {
        let home = tempfile::tempdir().unwrap();
        let storage = Storage::open(&home.path().join("airunner.db")).unwrap();
        (home, storage)
    }

    fn new(title: &str, key: Option<&str>) -> NewNotification {
        let new = NewNotification::new(NotificationKind::WorkerCrashed, title, "body\nof it")
            .with(Action::new(
                "load",
                "Load again",
                Command::ask("models", "load", "tiny"),
            ))
            .with(Action::snooze(10));
        match key {
            Some(key) => new.replacing(key),
            None => new,
        }
    }

    #[tokio::test]
    async fn what_is_open_under_the_same_key_is_replaced_and_what_is_answered_is_not() {
        let (_home, storage) = open();
        let first = storage
            .put_notification(new("one", Some("k")), at(0))
            .await
            .unwrap();
        storage
            .notification_shown(first.notification.id, "bus/1/5".into(), at(1))
            .await
            .unwrap();
        let second = storage
            .put_notification(new("two", Some("k")), at(2))
            .await
            .unwrap();
        assert_eq!(second.notification.id, first.notification.id);
        assert_eq!(
            (
                second.notification.revision,
                second.notification.state,
                &*second.handle
            ),
            (2, State::Waiting, "bus/1/5")
        );
        assert_eq!(second.notification.title, "two");
        assert_eq!(
            second.commands,
            [Command::ask("models", "load", "tiny"), Command::Snooze(10)]
        );
        assert!(
            storage
                .close_notification(second.notification.id, State::Dismissed, at(3))
                .await
                .unwrap()
        );
        let third = storage
            .put_notification(new("three", Some("k")), at(4))
            .await
            .unwrap();
        assert_ne!(third.notification.id, first.notification.id);
        let other = storage.put_notification(new("four", None), at(4)).await.unwrap();
        assert_eq!(storage.open_notifications().await.unwrap(), [third, other]);
        assert_eq!(storage.notifications().await.unwrap().len(), 3);
    }

    #[tokio::test]
    async fn one_of_all_who_press_is_the_one() {
        let (_home, storage) = open();
        let record = storage.put_notification(new("one", None), at(0)).await.unwrap();
        let id = record.notification.id;
        let claims = (0..20).map(|_| storage.claim_notification(id, "load".into(), at(1)));
        let claims = futures_util::future::join_all(claims).await;
        let accepted = claims.into_iter().filter(|claim| *claim.as_ref().unwrap());
        assert_eq!(accepted.count(), 1);
        let unfinished = storage.unfinished_actions(at(0)).await.unwrap();
        assert_eq!(unfinished[0].notification.acted.as_deref(), Some("load"));
        storage.notification_outcome(id, Outcome::Done).await.unwrap();
        assert_eq!(storage.unfinished_actions(at(0)).await.unwrap(), []);
        assert!(
            !storage
                .close_notification(id, State::Dismissed, at(2))
                .await
                .unwrap()
        );
    }

    #[tokio::test]
    async fn an_action_that_was_begun_too_long_ago_is_not_begun_again() {
        let (_home, storage) = open();
        let record = storage.put_notification(new("one", None), at(0)).await.unwrap();
        let id = record.notification.id;
        storage
            .claim_notification(id, "load".into(), at(1))
            .await
            .unwrap();
        assert_eq!(storage.unfinished_actions(at(2)).await.unwrap(), []);
        let outcome = storage
            .notification(id)
            .await
            .unwrap()
            .unwrap()
            .notification
            .outcome;
        assert!(matches!(outcome, Some(Outcome::Failed(_))), "{outcome:?}");
    }

    #[tokio::test]
    async fn one_that_is_deferred_lasts_as_long_as_before_from_then_on() {
        let (_home, storage) = open();
        let record = storage
            .put_notification(new("one", None).lasting(Duration::from_secs(60)), at(0))
            .await
            .unwrap();
        let deferral = Deferral::new(at(10), Duration::from_secs(600));
        storage
            .notification_waits(record.notification.id, Some(deferral), at(10))
            .await
            .unwrap();
        let later = &storage.open_notifications().await.unwrap()[0].notification;
        assert_eq!(later.deferral, Some(deferral));
        assert_eq!((later.deadline, later.revision), (at(670), 2));
        storage.notification_waits(later.id, None, at(700)).await.unwrap();
        let again = &storage.open_notifications().await.unwrap()[0].notification;
        assert_eq!((again.deferral, again.deadline), (None, at(670)));
    }

    #[tokio::test]
    async fn what_is_kept_is_bounded() {
        let (_home, storage) = open();
        for number in 0..150 {
            storage
                .put_notification(new("open", None), at(number))
                .await
                .unwrap();
        }
        storage.prune_notifications(at(200)).await.unwrap();
        assert_eq!(
            storage.open_notifications().await.unwrap().len(),
            usize::try_from(OPEN).unwrap()
        );
        for number in 0..250 {
            let record = storage
                .put_notification(new("over", None), at(number))
                .await
                .unwrap();
            storage
                .close_notification(record.notification.id, State::Expired, at(300 + number))
                .await
                .unwrap();
        }
        storage.prune_notifications(at(600)).await.unwrap();
        let all = storage.notifications().await.unwrap();
        assert_eq!(all.len(), usize::try_from(OPEN + KEPT).unwrap());
    }
}
