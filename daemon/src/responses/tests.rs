use std::future::pending;
use std::time::SystemTime;

use airunner_core::ErrorKind;
use airunner_core::access::{Caller, KeyId, Scope};
use futures_util::FutureExt as _;
use serde_json::{Value, json};
use tokio::sync::oneshot;

use super::{Response, Responses};
use crate::storage::Storage;

struct World {
    _home: tempfile::TempDir,
    responses: Responses,
    storage: Storage,
}

fn world() -> World {
    let home = tempfile::tempdir().unwrap();
    let storage = Storage::open(&home.path().join("airunner.db")).unwrap();
    let (responses, actor) = Responses::new(storage.clone());
    tokio::spawn(actor.run());
    World {
        _home: home,
        responses,
        storage,
    }
}

fn response(id: &str, previous: Option<&str>, body: Value) -> Response {
    Response {
        id: id.to_owned(),
        owner: Some(KeyId(1)),
        previous: previous.map(str::to_owned),
        created: SystemTime::UNIX_EPOCH,
        body,
        input: vec![json!({"type": "message"})],
    }
}

fn caller(key: u64) -> Caller {
    Caller {
        key: Some(KeyId(key)),
        name: "phone".to_owned(),
        scopes: vec![Scope::Inference],
    }
}

#[tokio::test]
async fn only_its_owner_and_who_has_all_rights_see_an_answer() {
    let World { responses, .. } = world();
    let kept = response("a", None, json!({"status": "completed"}));
    responses.keep(&kept).await.unwrap();
    assert_eq!(responses.find("a", &caller(1)).await.unwrap(), kept);
    assert!(responses.find("a", &Caller::local()).await.is_ok());
    for id in ["a", "b"] {
        let fault = responses.remove(id, &caller(2)).await.unwrap_err();
        assert_eq!(fault.kind, ErrorKind::NotFound);
    }
    responses.remove("a", &caller(1)).await.unwrap();
    assert!(responses.find("a", &caller(1)).await.is_err());
}

#[tokio::test]
async fn a_chain_begins_with_the_first_and_cannot_turn_in_circles() {
    let World { responses, .. } = world();
    let done = || json!({"status": "completed"});
    for (id, previous) in [
        ("a", None),
        ("b", Some("a")),
        ("x", Some("y")),
        ("y", Some("x")),
        ("z", Some("gone")),
    ] {
        responses.keep(&response(id, previous, done())).await.unwrap();
    }
    let chain = responses.chain("b", &caller(1)).await.unwrap();
    let names: Vec<_> = chain.iter().map(|response| response.id.as_str()).collect();
    assert_eq!(names, ["a", "b"]);
    let kind = async |id| responses.chain(id, &caller(1)).await.unwrap_err().kind;
    assert_eq!(kind("x").await, ErrorKind::InvalidArgument);
    assert_eq!(kind("z").await, ErrorKind::NotFound);
}

fn open(id: &str) -> Response {
    response(id, None, json!({"status": "in_progress", "background": true}))
}

#[tokio::test]
async fn work_in_the_background_ends_up_in_the_answer() {
    let World { responses, .. } = world();
    let (tell, told) = oneshot::channel::<()>();
    let work = async move {
        told.await.unwrap();
        json!({"status": "completed", "background": true})
    };
    responses.start(&open("a"), work.boxed()).await.unwrap();
    let status = async || responses.find("a", &caller(1)).await.unwrap().body["status"].clone();
    assert_eq!(status().await, "in_progress");
    assert_eq!(
        responses.chain("a", &caller(1)).await.unwrap_err().kind,
        ErrorKind::Busy
    );
    tell.send(()).unwrap();
    while status().await == "in_progress" {
        tokio::task::yield_now().await;
    }
    assert_eq!(status().await, "completed");
    let cancelled = responses.cancel("a", &caller(1)).await.unwrap();
    assert_eq!(cancelled.body["status"], "completed");
}

#[tokio::test]
async fn cancelling_and_removing_stop_the_work() {
    let World { responses, .. } = world();
    for id in ["a", "b"] {
        let (alive, gone) = oneshot::channel::<()>();
        let work = async move {
            pending::<()>().await;
            drop(alive);
            Value::Null
        };
        responses.start(&open(id), work.boxed()).await.unwrap();
        if id == "a" {
            let cancelled = responses.cancel(id, &caller(1)).await.unwrap();
            assert_eq!(cancelled.body["status"], "cancelled");
            assert_eq!(responses.find(id, &caller(1)).await.unwrap(), cancelled);
        } else {
            responses.remove(id, &caller(1)).await.unwrap();
        }
        assert!(gone.await.is_err());
    }
    let kept = response("c", None, json!({"status": "completed"}));
    responses.keep(&kept).await.unwrap();
    let fault = responses.cancel("c", &caller(1)).await.unwrap_err();
    assert_eq!(fault.kind, ErrorKind::InvalidArgument);
}

#[tokio::test]
async fn what_a_daemon_did_not_finish_has_failed() {
    let World {
        responses,
        storage,
        _home,
    } = world();
    responses.start(&open("a"), pending().boxed()).await.unwrap();
    let (after, actor) = Responses::new(storage);
    tokio::spawn(actor.run());
    let found = after.find("a", &caller(1)).await.unwrap();
    assert_eq!(found.body["status"], "failed");
    assert_eq!(found.body["error"]["code"], "server_error");
}

#[tokio::test]
async fn there_is_an_end_to_what_is_made_at_once() {
    let World { responses, .. } = world();
    for id in 0..64 {
        let owner = Some(KeyId(id % 8));
        let open = Response {
            owner,
            ..open(&id.to_string())
        };
        responses.start(&open, pending().boxed()).await.unwrap();
    }
    let fault = responses
        .start(&open("more"), pending().boxed())
        .await
        .unwrap_err();
    assert_eq!(fault.kind, ErrorKind::QueueFull);
    assert!(fault.retry_after.is_some());
    assert!(responses.find("more", &caller(1)).await.is_err());
}

#[tokio::test]
async fn a_conversation_of_too_many_bytes_is_not_read() {
    let World { responses, .. } = world();
    let half = "x".repeat(airunner_core::generate::MAX_PROMPT_BYTES / 2);
    for (id, previous) in [("a", None), ("b", Some("a"))] {
        let body = json!({"status": "completed", "text": half});
        responses.keep(&response(id, previous, body)).await.unwrap();
    }
    assert_eq!(responses.chain("a", &caller(1)).await.unwrap().len(), 1);
    let fault = responses.chain("b", &caller(1)).await.unwrap_err();
    assert_eq!(fault.kind, ErrorKind::InvalidArgument);
    assert!(fault.message.contains("bytes"), "{fault}");
}

#[tokio::test]
async fn one_key_does_not_take_all_places() {
    let World { responses, .. } = world();
    let open = |id: usize, key| Response {
        owner: Some(KeyId(key)),
        ..response(&format!("{key}-{id}"), None, json!({"status": "queued"}))
    };
    for id in 0..16 {
        responses.start(&open(id, 1), pending().boxed()).await.unwrap();
    }
    let fault = responses
        .start(&open(16, 1), pending().boxed())
        .await
        .unwrap_err();
    assert_eq!(fault.kind, ErrorKind::QueueFull);
    responses.start(&open(0, 2), pending().boxed()).await.unwrap();
}

#[tokio::test]
async fn what_is_being_made_is_kept_before_the_end() {
    let World {
        responses, storage, ..
    } = world();
    let (go, gone) = oneshot::channel::<()>();
    let work = async move {
        let _ = gone.await;
        json!({"status": "completed"})
    };
    let open = response("a", None, json!({"status": "queued"}));
    responses.start(&open, work.boxed()).await.unwrap();
    let mut end = std::pin::pin!(responses.end());
    assert!(end.as_mut().now_or_never().is_none());
    go.send(()).unwrap();
    end.await;
    let body = storage.response("a".to_owned()).await.unwrap().unwrap().body;
    assert_eq!(body, r#"{"status":"completed"}"#);
    assert_eq!(
        responses.find("a", &caller(1)).await.unwrap_err().kind,
        ErrorKind::ShuttingDown
    );
}
