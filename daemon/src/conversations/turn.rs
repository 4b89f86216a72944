//! One turn of a stored conversation.

use std::collections::HashSet;
use std::time::SystemTime;

use airunner_core::Fault;
use airunner_core::chat::Message;
use airunner_core::conversation::{ConversationId, MAX_MESSAGES};
use tokio::sync::watch;

use super::handle::{BOUNDS, not_found, too_many};
use crate::storage::{Added, Storage};

/// The conversations that are being answered.
#[derive(Clone, Debug, Default)]
pub(super) struct Busy(watch::Sender<HashSet<ConversationId>>);

/// The right to answer one; given up when dropped.
#[derive(Debug)]
pub(super) struct Claim {
    busy: Busy,
    id: ConversationId,
}

impl Busy {
    /// `None` if it is being answered.
    pub(super) fn claim(&self, id: &ConversationId) -> Option<Claim> {
        let is_new = self.0.send_if_modified(|busy| busy.insert(id.clone()));
        is_new.then(|| Claim {
            busy: self.clone(),
            id: id.clone(),
        })
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.busy.0.send_modify(|busy| {
            busy.remove(&self.id);
        });
    }
}

/// A turn under way; dropped, it never happened.
#[derive(Debug)]
pub struct Turn {
    storage: Storage,
    claim: Claim,
    model: String,
    before: Vec<Message>,
    said: Vec<Message>,
}

impl Turn {
    pub(super) const fn new(
        storage: Storage,
        claim: Claim,
        model: String,
        before: Vec<Message>,
        said: Vec<Message>,
    ) -> Self {
        Self {
            storage,
            claim,
            model,
            before,
            said,
        }
    }

    #[must_use]
    pub const fn id(&self) -> &ConversationId {
        &self.claim.id
    }

    /// Who answers in this conversation; empty if that was not said.
    #[must_use]
    pub fn model(&self) -> &str {
        &self.model
    }

    /// What the model is to read: everything so far.
    #[must_use]
    pub fn messages(&self) -> Vec<Message> {
        self.before.iter().chain(&self.said).cloned().collect()
    }

    /// Stores what was said and what was answered.
    pub async fn end(self, answer: Message, model: String) -> Result<(), Fault> {
        let said = self.said.into_iter().map(|message| (message, None));
        let messages = said.chain([(answer, Some(model))]).collect();
        let id = self.claim.id.clone();
        match self
            .storage
            .add_messages(id.clone(), messages, SystemTime::now(), BOUNDS)
            .await?
        {
            Added::Yes => Ok(()),
            Added::Gone => Err(not_found(&id)),
            Added::Crowded => Err(too_many()),
            Added::Full => Err(Fault::invalid(format!(
                "the conversation has {MAX_MESSAGES} messages, the most one may have: begin another"
            ))),
        }
    }
}
