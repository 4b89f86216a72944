//! Conversations that were asked to be kept.

use std::time::SystemTime;

use airunner_core::Fault;
use airunner_core::access::KeyId;
use airunner_core::chat::{Message, ToolCall};
use airunner_core::conversation::{
    ConversationId, ConversationSummary, HistoryEntry, Listing, MAX_MESSAGES, NewConversation, Page,
    StoredMessage, title_of,
};
use rusqlite::types::Type;
use rusqlite::{Connection, OptionalExtension as _, Row, Transaction, params};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::numbers::{moment, signed, time, unsigned};
use super::thread::Storage;

/// Whose rows are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Viewer {
    pub key: Option<KeyId>,
    /// Also those of all others.
    pub everything: bool,
}

impl Viewer {
    fn key(self) -> Option<i64> {
        self.key.map(|key| signed(key.0))
    }
}

/// What became of messages that were to be added.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Added {
    Yes,
    /// The conversation has been deleted.
    Gone,
    /// It has as many messages as it may have.
    Full,
    /// All those of its owner have as many bytes as they may have.
    Crowded,
}

/// What is kept for one owner at most: what a search has to read through, too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConversationBounds {
    pub count: u64,
    /// Of all messages together.
    pub bytes: u64,
}

const SUMMARY: &str = "SELECT id, owner, title, model, created_at_ms, updated_at_ms,
    (SELECT count(*) FROM conversation_messages WHERE conversation = id) FROM conversations";

impl Storage {
    /// `None` if the owner has as much as one may have.
    pub async fn add_conversation(
        &self,
        owner: Option<KeyId>,
        new: NewConversation,
        at: SystemTime,
        bounds: ConversationBounds,
    ) -> Result<Option<ConversationSummary>, Fault> {
        self.call(move |connection| {
            let transaction = connection.transaction()?;
            let count: i64 = transaction.query_row(
                "SELECT count(*) FROM conversations WHERE owner IS ?1",
                [owner.map(|key| signed(key.0))],
                |row| row.get(0),
            )?;
            if unsigned(count) >= bounds.count {
                return Ok(None);
            }
            let id: String = transaction.query_row(
                "INSERT INTO conversations (id, owner, title, model, created_at_ms, updated_at_ms)
                 VALUES ('conv_' || lower(hex(randomblob(12))), ?1, ?2, ?3, ?4, ?4) RETURNING id",
                params![owner.map(|key| signed(key.0)), new.title, new.model, moment(at)],
                |row| row.get(0),
            )?;
            let messages = new.messages.into_iter().map(|message| (message, None)).collect();
            if append(&transaction, &id, messages, at, bounds)? != Added::Yes {
                return Ok(None);
            }
            let summary = transaction.query_row(&format!("{SUMMARY} WHERE id = ?1"), [&id], summary)?;
            transaction.commit()?;
            Ok(Some(summary))
        })
        .await
    }

    pub async fn conversation(&self, id: ConversationId) -> Result<Option<ConversationSummary>, Fault> {
        self.call(move |connection| {
            connection
                .query_row(&format!("{SUMMARY} WHERE id = ?1"), [id.0], summary)
                .optional()
        })
        .await
    }

    /// The one changed last first; `search` is looked for in titles and messages.
    pub async fn conversations(
        &self,
        viewer: Viewer,
        search: String,
        page: Page,
    ) -> Result<Listing<ConversationSummary>, Fault> {
        self.call(move |connection| {
            let shown = "WHERE (?1 OR owner IS ?2) AND (?3 = '' OR title LIKE ?3 ESCAPE '\\' OR EXISTS
                (SELECT 1 FROM conversation_messages WHERE conversation = id
                 AND json_extract(message, '$.content') LIKE ?3 ESCAPE '\\'))";
            let pattern = pattern(&search);
            let total = connection.query_row(
                &format!("SELECT count(*) FROM conversations {shown}"),
                params![viewer.everything, viewer.key(), pattern],
                |row| row.get(0),
            )?;
            let items = connection
                .prepare(&format!(
                    "{SUMMARY} {shown} ORDER BY updated_at_ms DESC, id LIMIT ?4 OFFSET ?5"
                ))?
                .query_map(
                    params![
                        viewer.everything,
                        viewer.key(),
                        pattern,
                        page.limit(),
                        page.offset()
                    ],
                    summary,
                )?
                .collect::<rusqlite::Result<_>>()?;
            Ok(Listing {
                items,
                total: unsigned(total),
            })
        })
        .await
    }

    /// In order.
    pub async fn conversation_messages(&self, id: ConversationId) -> Result<Vec<StoredMessage>, Fault> {
        self.call(move |connection| {
            connection
                .prepare(
                    "SELECT position, message, created_at_ms FROM conversation_messages
                     WHERE conversation = ?1 ORDER BY position",
                )?
                .query_map([id.0], |row| stored(row, 0))?
                .collect()
        })
        .await
    }

    /// Messages of all conversations, the newest first.
    pub async fn history(&self, viewer: Viewer, page: Page) -> Result<Listing<HistoryEntry>, Fault> {
        self.call(move |connection| {
            let joined = "FROM conversation_messages JOIN conversations ON id = conversation
                          WHERE (?1 OR owner IS ?2)";
            let total = connection.query_row(
                &format!("SELECT count(*) {joined}"),
                params![viewer.everything, viewer.key()],
                |row| row.get(0),
            )?;
            let items = connection
                .prepare(&format!(
                    "SELECT position, message, conversation_messages.created_at_ms, id, title {joined}
                     ORDER BY conversation_messages.created_at_ms DESC, id, position DESC LIMIT ?3 OFFSET ?4"
                ))?
                .query_map(
                    params![viewer.everything, viewer.key(), page.limit(), page.offset()],
                    |row| {
                        Ok(HistoryEntry {
                            conversation: ConversationId(row.get(3)?),
                            title: row.get(4)?,
                            message: stored(row, 0)?,
                        })
                    },
                )?
                .collect::<rusqlite::Result<_>>()?;
            Ok(Listing {
                items,
                total: unsigned(total),
            })
        })
        .await
    }

    /// False if there is none of that name.
    pub async fn rename_conversation(
        &self,
        id: ConversationId,
        title: String,
        at: SystemTime,
    ) -> Result<bool, Fault> {
        self.call(move |connection| {
            let changed = connection.execute(
                "UPDATE conversations SET title = ?2, updated_at_ms = ?3 WHERE id = ?1",
                params![id.0, title, moment(at)],
            )?;
            Ok(changed > 0)
        })
        .await
    }

    /// All of it, also what the journal of the database still has; false if there is none.
    pub async fn delete_conversation(&self, id: ConversationId) -> Result<bool, Fault> {
        self.call(move |connection| {
            let changed = connection.execute("DELETE FROM conversations WHERE id = ?1", [id.0])?;
            if changed > 0 {
                clear_journal(connection)?;
            }
            Ok(changed > 0)
        })
        .await
    }

    /// Adds a turn, with who answered beside the answers. A conversation without a title gets one.
    pub async fn add_messages(
        &self,
        id: ConversationId,
        messages: Vec<(Message, Option<String>)>,
        at: SystemTime,
        bounds: ConversationBounds,
    ) -> Result<Added, Fault> {
        self.call(move |connection| {
            let transaction = connection.transaction()?;
            let added = append(&transaction, &id.0, messages, at, bounds)?;
            if added == Added::Yes {
                transaction.commit()?;
            }
            Ok(added)
        })
        .await
    }
}

/// What was deleted is overwritten in the file only when the journal is folded into it. A reader
/// elsewhere may prevent that for a moment; the next deletion or the end does it then.
fn clear_journal(connection: &Connection) -> rusqlite::Result<()> {
    connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
}

fn append(
    transaction: &Transaction<'_>,
    id: &str,
    messages: Vec<(Message, Option<String>)>,
    at: SystemTime,
    bounds: ConversationBounds,
) -> rusqlite::Result<Added> {
    let next: i64 = transaction.query_row(
        "SELECT coalesce(max(position) + 1, 0) FROM conversation_messages WHERE conversation = ?1",
        [id],
        |row| row.get(0),
    )?;
    if unsigned(next) + messages.len() as u64 > MAX_MESSAGES {
        return Ok(Added::Full);
    }
    let first = messages.iter().find(|(message, _)| message.role == "user");
    let title = first.map(|(message, _)| title_of(&message.content));
    let texts = messages
        .into_iter()
        .map(|(message, model)| serde_json::to_string(&Written::of(message, model)))
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| rusqlite::Error::ToSqlConversionFailure(Box::new(error)))?;
    let bytes = texts.iter().map(|text| text.len() as u64).sum();
    let changed = transaction.execute(
        "UPDATE conversations SET updated_at_ms = ?2, title = iif(title = '', coalesce(?3, ''), title),
         bytes = bytes + ?4 WHERE id = ?1",
        params![id, moment(at), title, signed(bytes)],
    )?;
    if changed == 0 {
        return Ok(Added::Gone);
    }
    if bytes_beside(transaction, id)? > bounds.bytes {
        return Ok(Added::Crowded);
    }
    for (position, text) in (next..).zip(texts) {
        transaction.execute(
            "INSERT INTO conversation_messages (conversation, position, message, created_at_ms)
             VALUES (?1, ?2, ?3, ?4)",
            params![id, position, text, moment(at)],
        )?;
    }
    Ok(Added::Yes)
}

/// Of all conversations of the one who has this one.
fn bytes_beside(transaction: &Transaction<'_>, id: &str) -> rusqlite::Result<u64> {
    let bytes = transaction.query_row(
        "SELECT coalesce(sum(bytes), 0) FROM conversations
         WHERE owner IS (SELECT owner FROM conversations WHERE id = ?1)",
        [id],
        |row| row.get(0),
    )?;
    Ok(unsigned(bytes))
}

/// For `LIKE`: anywhere, and taken literally.
fn pattern(search: &str) -> String {
    if search.is_empty() {
        return String::new();
    }
    let mut pattern = String::from("%");
    for letter in search.chars() {
        if matches!(letter, '%' | '_' | '\\') {
            pattern.push('\\');
        }
        pattern.push(letter);
    }
    pattern.push('%');
    pattern
}

fn summary(row: &Row<'_>) -> rusqlite::Result<ConversationSummary> {
    let owner: Option<i64> = row.get(1)?;
    Ok(ConversationSummary {
        id: ConversationId(row.get(0)?),
        owner: owner.map(|key| KeyId(unsigned(key))),
        title: row.get(2)?,
        model: row.get(3)?,
        created_at: time(row.get(4)?),
        updated_at: time(row.get(5)?),
        messages: unsigned(row.get(6)?),
    })
}

/// Position, message and time, from this column on.
fn stored(row: &Row<'_>, column: usize) -> rusqlite::Result<StoredMessage> {
    let text: String = row.get(column + 1)?;
    let written: Written = serde_json::from_str(&text).map_err(|error| {
        rusqlite::Error::FromSqlConversionFailure(column + 1, Type::Text, Box::new(error))
    })?;
    Ok(StoredMessage {
        position: unsigned(row.get(column)?),
        model: written.model.clone(),
        message: written.into(),
        created_at: time(row.get(column + 2)?),
    })
}

/// A message as it is written down.
#[derive(Serialize, Deserialize)]
struct Written {
    role: String,
    content: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    tool_calls: Vec<WrittenCall>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tool_call_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reasoning: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    model: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct WrittenCall {
    id: String,
    name: String,
    arguments: Map<String, Value>,
}

impl Written {
    fn of(message: Message, model: Option<String>) -> Self {
        let call = |call: ToolCall| WrittenCall {
            id: call.id,
            name: call.name,
            arguments: call.arguments,
        };
        Self {
            role: message.role,
            content: message.content,
            tool_calls: message.tool_calls.into_iter().map(call).collect(),
            tool_call_id: message.tool_call_id,
            name: message.name,
            reasoning: message.reasoning,
            model,
        }
    }
}

impl From<Written> for Message {
    fn from(written: Written) -> Self {
        let call = |call: WrittenCall| ToolCall {
            id: call.id,
            name: call.name,
            arguments: call.arguments,
        };
        Self {
            role: written.role,
            content: written.content,
            tool_calls: written.tool_calls.into_iter().map(call).collect(),
            tool_call_id: written.tool_call_id,
            name: written.name,
            reasoning: written.reasoning,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const ALL: Viewer = Viewer {
        key: None,
        everything: true,
    };

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000 + seconds)
    }

    fn open() -> (tempfile::TempDir, Storage) {
        let home = tempfile::tempdir().unwrap();
        let storage = Storage::open(&home.path().join("x.db")).unwrap();
        (home, storage)
    }

    const BOUNDS: ConversationBounds = ConversationBounds {
        count: 100,
        bytes: 1 << 20,
    };

    #[tokio::test]
    async fn one_owner_keeps_so_much_and_others_as_much_again() {
        let (_home, storage) = open();
        let bounds = ConversationBounds { count: 2, bytes: 300 };
        let add = async |owner| {
            let new = NewConversation::default();
            storage.add_conversation(owner, new, at(0), bounds).await.unwrap()
        };
        let (first, second) = (add(None).await.unwrap().id, add(None).await.unwrap().id);
        assert_eq!(add(None).await, None);
        let other = add(Some(KeyId(1))).await.unwrap().id;
        let long = "x".repeat(200);
        let tell = async |id: &ConversationId| {
            let said = vec![said("user", &long)];
            storage
                .add_messages(id.clone(), said, at(1), bounds)
                .await
                .unwrap()
        };
        assert_eq!(tell(&first).await, Added::Yes);
        assert_eq!(tell(&second).await, Added::Crowded);
        assert_eq!(
            storage
                .conversation(second.clone())
                .await
                .unwrap()
                .unwrap()
                .messages,
            0
        );
        assert_eq!(tell(&other).await, Added::Yes);
        storage.delete_conversation(first).await.unwrap();
        assert_eq!(tell(&second).await, Added::Yes);
    }

    fn said(role: &str, content: &str) -> (Message, Option<String>) {
        (Message::new(role, content), None)
    }

    fn page(limit: u32, offset: u32) -> Page {
        Page::new(Some(limit), Some(offset)).unwrap()
    }

    #[tokio::test]
    async fn what_was_said_reads_back_in_order() {
        let (_home, storage) = open();
        let new = NewConversation {
            messages: vec![Message::new("system", "Be brief.")],
            ..NewConversation::default()
        };
        let id = storage
            .add_conversation(None, new, at(0), BOUNDS)
            .await
            .unwrap()
            .unwrap()
            .id;
        let call = ToolCall {
            id: "call_1".to_owned(),
            name: "weather".to_owned(),
            arguments: serde_json::from_str(r#"{"city": "Nürnberg"}"#).unwrap(),
        };
        let answer = Message {
            tool_calls: vec![call],
            reasoning: Some("hm".to_owned()),
            ..Message::new("assistant", "")
        };
        let turn = vec![
            said("user", "What is it like?"),
            (answer.clone(), Some("tiny".to_owned())),
        ];
        assert_eq!(
            storage
                .add_messages(id.clone(), turn, at(5), BOUNDS)
                .await
                .unwrap(),
            Added::Yes
        );
        let messages = storage.conversation_messages(id.clone()).await.unwrap();
        assert_eq!(
            messages
                .iter()
                .map(|message| message.position)
                .collect::<Vec<_>>(),
            [0, 1, 2]
        );
        assert_eq!(messages[2].message, answer);
        assert_eq!(messages[2].model.as_deref(), Some("tiny"));
        let summary = storage.conversation(id.clone()).await.unwrap().unwrap();
        assert_eq!(
            (summary.title.as_str(), summary.messages),
            ("What is it like?", 3)
        );
        assert_eq!((summary.created_at, summary.updated_at), (at(0), at(5)));
        let history = storage.history(ALL, page(2, 0)).await.unwrap();
        assert_eq!((history.items.len(), history.total), (2, 3));
        assert_eq!(history.items[0].message.position, 2);
    }

    #[tokio::test]
    async fn others_are_not_shown_and_searching_takes_signs_literally() {
        let (_home, storage) = open();
        for (key, title) in [
            (None, "Cakes 100%"),
            (Some(KeyId(1)), "Cakes"),
            (Some(KeyId(2)), "Trains"),
        ] {
            let new = NewConversation {
                title: title.to_owned(),
                messages: vec![Message::new("user", format!("about {title}"))],
                ..NewConversation::default()
            };
            storage.add_conversation(key, new, at(1), BOUNDS).await.unwrap();
        }
        let titles = async |viewer, search: &str| {
            let listing = storage
                .conversations(viewer, search.to_owned(), page(9, 0))
                .await
                .unwrap();
            assert_eq!(listing.total, listing.items.len() as u64);
            let mut titles: Vec<String> = listing.items.into_iter().map(|summary| summary.title).collect();
            titles.sort();
            titles
        };
        let one = Viewer {
            key: Some(KeyId(1)),
            everything: false,
        };
        assert_eq!(titles(one, "").await, ["Cakes"]);
        assert_eq!(titles(one, "train").await, [""; 0]);
        assert_eq!(titles(ALL, "").await.len(), 3);
        assert_eq!(titles(ALL, "ABOUT cakes").await, ["Cakes", "Cakes 100%"]);
        assert_eq!(titles(ALL, "0%").await, ["Cakes 100%"]);
        assert_eq!(titles(ALL, "_").await, [""; 0]);
        assert_eq!(storage.history(one, page(9, 0)).await.unwrap().total, 1);
        let second = storage
            .conversations(ALL, String::new(), page(2, 2))
            .await
            .unwrap();
        assert_eq!((second.items.len(), second.total), (1, 3));
    }

    #[tokio::test]
    async fn a_deleted_conversation_leaves_no_trace_in_the_file() {
        let (home, storage) = open();
        let new = NewConversation {
            messages: vec![Message::new("user", "xyzzy-private ".repeat(2000))],
            ..NewConversation::default()
        };
        let id = storage
            .add_conversation(None, new, at(0), BOUNDS)
            .await
            .unwrap()
            .unwrap()
            .id;
        let holds = || {
            std::fs::read_dir(home.path()).unwrap().any(|entry| {
                let bytes = std::fs::read(entry.unwrap().path()).unwrap();
                bytes.windows(13).any(|window| window == b"xyzzy-private")
            })
        };
        assert!(holds());
        assert!(storage.delete_conversation(id.clone()).await.unwrap());
        assert!(!holds(), "also not before the database is closed");
        assert!(!storage.delete_conversation(id.clone()).await.unwrap());
        let late = storage
            .add_messages(id, vec![said("user", "late")], at(1), BOUNDS)
            .await
            .unwrap();
        assert_eq!(late, Added::Gone);
    }
}
