//! What the rest of the daemon asks of the conversations.

use std::time::SystemTime;

use airunner_core::access::{Caller, Scope};
use airunner_core::chat::Message;
use airunner_core::conversation::{
    ConversationId, ConversationSummary, HistoryEntry, Listing, NewConversation, Page, StoredMessage,
    check_title,
};
use airunner_core::{ErrorKind, Fault};

use super::turn::{Busy, Turn};
use crate::storage::{ConversationBounds, Storage, Viewer};

/// Longest text that is searched for, bytes.
const MAX_SEARCH_BYTES: usize = 200;
/// For the conversations of one owner.
pub(super) const BOUNDS: ConversationBounds = ConversationBounds {
    count: 5000,
    bytes: 64 << 20,
};
/// Longest beginning of a new conversation.
const MAX_BEGINNING: usize = 1000;

/// The way to the conversations.
#[derive(Clone, Debug)]
pub struct Conversations {
    storage: Storage,
    busy: Busy,
}

impl Conversations {
    #[must_use]
    pub fn new(storage: Storage) -> Self {
        Self {
            storage,
            busy: Busy::default(),
        }
    }

    pub async fn create(&self, caller: &Caller, new: NewConversation) -> Result<ConversationSummary, Fault> {
        check_title(&new.title)?;
        if new.messages.len() > MAX_BEGINNING {
            return Err(Fault::invalid(format!(
                "a conversation begins with at most {MAX_BEGINNING} messages"
            )));
        }
        self.storage
            .add_conversation(caller.key, new, SystemTime::now(), BOUNDS)
            .await?
            .ok_or_else(too_many)
    }

    /// The one changed last first; `search` is looked for in titles and messages.
    pub async fn list(
        &self,
        caller: &Caller,
        search: String,
        page: Page,
    ) -> Result<Listing<ConversationSummary>, Fault> {
        if search.len() > MAX_SEARCH_BYTES {
            return Err(Fault::invalid(format!(
                "search has more than {MAX_SEARCH_BYTES} bytes"
            )));
        }
        self.storage.conversations(viewer(caller), search, page).await
    }

    pub async fn get(
        &self,
        caller: &Caller,
        id: ConversationId,
    ) -> Result<(ConversationSummary, Vec<StoredMessage>), Fault> {
        let summary = self.summary(caller, id.clone()).await?;
        let messages = self.storage.conversation_messages(id).await?;
        Ok((summary, messages))
    }

    pub async fn rename(
        &self,
        caller: &Caller,
        id: ConversationId,
        title: String,
    ) -> Result<ConversationSummary, Fault> {
        check_title(&title)?;
        self.summary(caller, id.clone()).await?;
        self.storage
            .rename_conversation(id.clone(), title, SystemTime::now())
            .await?;
        self.summary(caller, id).await
    }

    /// A turn that is under way is answered and not stored.
    pub async fn delete(&self, caller: &Caller, id: ConversationId) -> Result<(), Fault> {
        self.summary(caller, id.clone()).await?;
        if self.storage.delete_conversation(id.clone()).await? {
            return Ok(());
        }
        Err(not_found(&id))
    }

    /// Messages of all conversations, the newest first.
    pub async fn history(&self, caller: &Caller, page: Page) -> Result<Listing<HistoryEntry>, Fault> {
        self.storage.history(viewer(caller), page).await
    }

    /// Begins a turn: what was said before, and the right to add to it. One at a time.
    pub async fn begin(
        &self,
        caller: &Caller,
        id: ConversationId,
        said: Vec<Message>,
    ) -> Result<Turn, Fault> {
        let summary = self.summary(caller, id.clone()).await?;
        let claim = self.busy.claim(&id).ok_or_else(|| {
            Fault::new(
                ErrorKind::Busy,
                format!("conversation {id} is being answered: wait for the end, or cancel that"),
            )
        })?;
        let before = self.storage.conversation_messages(id.clone()).await?;
        let before = before.into_iter().map(|stored| stored.message).collect();
        Ok(Turn::new(
            self.storage.clone(),
            claim,
            summary.model,
            before,
            said,
        ))
    }

    /// What belongs to others is not there.
    async fn summary(&self, caller: &Caller, id: ConversationId) -> Result<ConversationSummary, Fault> {
        self.storage
            .conversation(id.clone())
            .await?
            .filter(|summary| caller.sees(summary.owner))
            .ok_or_else(|| not_found(&id))
    }
}

fn viewer(caller: &Caller) -> Viewer {
    Viewer {
        key: caller.key,
        everything: caller.may(Scope::Admin),
    }
}

pub(super) fn too_many() -> Fault {
    Fault::invalid(format!(
        "one caller may keep {} conversations and {} MiB altogether: delete some that are not needed any more",
        BOUNDS.count,
        BOUNDS.bytes >> 20
    ))
}

pub(super) fn not_found(id: &ConversationId) -> Fault {
    let shown: String = id.0.chars().take(64).collect();
    Fault::new(
        ErrorKind::NotFound,
        format!("there is no conversation {shown:?}: see the list of conversations"),
    )
}
