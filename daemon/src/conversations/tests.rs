use airunner_core::ErrorKind;
use airunner_core::access::{Caller, KeyId, Scope};
use airunner_core::chat::Message;
use airunner_core::conversation::{NewConversation, Page};

use super::Conversations;
use crate::storage::Storage;

fn open() -> (tempfile::TempDir, Conversations) {
    let home = tempfile::tempdir().unwrap();
    let storage = Storage::open(&home.path().join("x.db")).unwrap();
    (home, Conversations::new(storage))
}

fn phone() -> Caller {
    Caller {
        key: Some(KeyId(7)),
        name: "phone".to_owned(),
        scopes: vec![Scope::Inference],
    }
}

fn page() -> Page {
    Page::new(None, None).unwrap()
}

#[tokio::test]
async fn a_turn_is_stored_when_it_ended_and_never_happened_otherwise() {
    let (_home, conversations) = open();
    let me = Caller::local();
    let id = conversations
        .create(&me, NewConversation::default())
        .await
        .unwrap()
        .id;
    let said = || vec![Message::new("user", "Hello")];
    let turn = conversations.begin(&me, id.clone(), said()).await.unwrap();
    let fault = conversations.begin(&me, id.clone(), said()).await.unwrap_err();
    assert_eq!(fault.kind, ErrorKind::Busy);
    drop(turn);
    let turn = conversations.begin(&me, id.clone(), said()).await.unwrap();
    assert_eq!(turn.messages(), said(), "nothing is left of what was given up");
    turn.end(Message::new("assistant", "Hi"), "tiny".to_owned())
        .await
        .unwrap();
    let again = conversations.begin(&me, id.clone(), said()).await.unwrap();
    assert_eq!(again.messages().len(), 3);
    let (summary, messages) = conversations.get(&me, id.clone()).await.unwrap();
    assert_eq!((summary.title.as_str(), messages.len()), ("Hello", 2));

    conversations.delete(&me, id.clone()).await.unwrap();
    let fault = again
        .end(Message::new("assistant", "Hi"), "tiny".to_owned())
        .await
        .unwrap_err();
    assert_eq!(fault.kind, ErrorKind::NotFound);
    assert_eq!(conversations.history(&me, page()).await.unwrap().total, 0);
}

#[tokio::test]
async fn what_belongs_to_others_is_not_there() {
    let (_home, conversations) = open();
    let (me, phone) = (Caller::local(), phone());
    let mine = conversations
        .create(&me, NewConversation::default())
        .await
        .unwrap()
        .id;
    let its = conversations
        .create(&phone, NewConversation::default())
        .await
        .unwrap()
        .id;
    let not_found = |fault: airunner_core::Fault| assert_eq!(fault.kind, ErrorKind::NotFound);
    not_found(conversations.get(&phone, mine.clone()).await.unwrap_err());
    not_found(conversations.delete(&phone, mine.clone()).await.unwrap_err());
    not_found(
        conversations
            .rename(&phone, mine.clone(), "mine".to_owned())
            .await
            .unwrap_err(),
    );
    not_found(conversations.begin(&phone, mine, Vec::new()).await.unwrap_err());
    let list = |caller| conversations.list(caller, String::new(), page());
    assert_eq!(list(&phone).await.unwrap().total, 1);
    assert_eq!(list(&me).await.unwrap().total, 2, "who has all rights sees all");
    let renamed = conversations
        .rename(&me, its.clone(), "Cakes".to_owned())
        .await
        .unwrap();
    assert_eq!(renamed.title, "Cakes");
    conversations.delete(&phone, its).await.unwrap();
}
