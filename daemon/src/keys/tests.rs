use std::path::Path;
use std::time::{Duration, SystemTime};

use airunner_core::ErrorKind;
use airunner_core::access::{AuditEvent, Caller, KeyId, KeyState, NewKey, Scope};
use futures_util::FutureExt as _;

use super::Keys;
use crate::storage::Storage;

struct Fixture {
    keys: Keys,
    storage: Storage,
    actor: tokio::task::JoinHandle<()>,
}

async fn open(directory: &Path) -> Fixture {
    let storage = Storage::open(&directory.join("airunner.db")).unwrap();
    let (keys, actor) = Keys::open(directory, storage.clone()).await.unwrap();
    Fixture {
        keys,
        storage,
        actor: tokio::spawn(actor.run()),
    }
}

impl Fixture {
    async fn close(self) {
        self.keys.end().await;
        self.actor.await.unwrap();
        self.storage.close().await;
    }
}

fn wanted(name: &str, life: Option<u64>) -> NewKey {
    NewKey {
        name: name.to_owned(),
        scopes: vec![Scope::Models, Scope::Inference, Scope::Models],
        expires_after: life.map(Duration::from_secs),
    }
}

#[tokio::test]
async fn a_key_is_known_until_it_is_revoked_and_over_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let fixture = open(directory.path()).await;
    let made = fixture.keys.create(wanted("phone", None)).await.unwrap();
    let secret = made.secret.reveal().to_owned();
    let caller = fixture.keys.identify(&secret).unwrap();
    assert_eq!((caller.key, &*caller.name), (Some(made.key.id), "phone"));
    assert_eq!(caller.scopes, [Scope::Inference, Scope::Models]);
    let used = fixture.keys.list()[0].last_used_at;
    assert!(used.is_some());
    let token = fixture.keys.local_token().clone();
    fixture.close().await;

    let fixture = open(directory.path()).await;
    assert_eq!(*fixture.keys.local_token(), token);
    assert_eq!(fixture.keys.identify(token.reveal()).unwrap(), Caller::local());
    assert_eq!(fixture.keys.identify(&secret).unwrap(), caller);
    let same = fixture.keys.create(wanted("phone", None)).await.unwrap_err();
    assert_eq!(same.kind, ErrorKind::AlreadyExists);
    let revoked = fixture.keys.revoke(made.key.prefix.clone()).await.unwrap();
    assert!(revoked.revoked_at.is_some() && revoked.id == made.key.id);
    let refused = fixture.keys.identify(&secret).unwrap_err();
    assert_eq!(refused.kind, ErrorKind::Unauthenticated);
    let again = fixture.keys.revoke("phone".to_owned()).await.unwrap_err();
    assert_eq!(again.kind, ErrorKind::NotFound);
    // A name can be used again, and the other key stays revoked.
    let other = fixture.keys.create(wanted("phone", None)).await.unwrap();
    assert!(other.key.id > made.key.id);
    assert_eq!(fixture.keys.identify(&secret).unwrap_err(), refused);
    let states: Vec<KeyState> = fixture
        .keys
        .list()
        .iter()
        .map(|key| key.state(SystemTime::now()))
        .collect();
    assert_eq!(states, [KeyState::Revoked, KeyState::Active]);
    fixture.close().await;
}

#[tokio::test]
async fn who_uses_a_key_learns_at_once_that_it_is_gone() {
    let directory = tempfile::tempdir().unwrap();
    let fixture = open(directory.path()).await;
    let keys = &fixture.keys;
    let phone = keys.create(wanted("phone", None)).await.unwrap().key.id;
    let short = keys.create(wanted("short", Some(1))).await.unwrap().key.id;
    let (mut lost, mut others) = (
        std::pin::pin!(keys.lost(Some(phone))),
        std::pin::pin!(keys.lost(None)),
    );
    keys.create(wanted("other", None)).await.unwrap();
    assert!(
        (&mut lost).now_or_never().is_none(),
        "another key changes nothing"
    );
    keys.revoke("phone".to_owned()).await.unwrap();
    assert_eq!((&mut lost).await.kind, ErrorKind::Unauthenticated);
    assert_eq!(keys.lost(Some(phone)).await.kind, ErrorKind::Unauthenticated);
    assert_eq!(keys.lost(Some(short)).await.kind, ErrorKind::Unauthenticated);
    assert_eq!(keys.lost(Some(KeyId(77))).await.kind, ErrorKind::Unauthenticated);
    assert!(
        (&mut others).now_or_never().is_none(),
        "the local user has no key"
    );
    fixture.close().await;
}

#[tokio::test]
async fn nobody_learns_why_a_key_is_not_good() {
    let directory = tempfile::tempdir().unwrap();
    let fixture = open(directory.path()).await;
    let keys = &fixture.keys;
    let expiring = keys.create(wanted("expiring", Some(10))).await.unwrap();
    let ends = expiring.key.expires_at.unwrap();
    let secret = expiring.secret.reveal();
    let moment = Duration::from_millis(1);
    keys.identify_at(secret, ends.checked_sub(moment).unwrap())
        .unwrap();
    let expired = keys.identify_at(secret, ends).unwrap_err();
    let revoked = keys.create(wanted("revoked", None)).await.unwrap();
    keys.revoke("revoked".to_owned()).await.unwrap();
    let long = "x".repeat(1 << 20);
    let mut almost = keys.local_token().reveal().to_owned();
    almost.pop();
    for bad in [
        "",
        "air_",
        "nonsense",
        revoked.secret.reveal(),
        &expiring.key.prefix,
        &long,
        &almost,
    ] {
        assert_eq!(keys.identify(bad).unwrap_err(), expired);
    }
    fixture.close().await;
}

#[tokio::test]
async fn the_audit_log_tells_what_was_done_and_a_flood_does_not_push_it_out() {
    let directory = tempfile::tempdir().unwrap();
    let fixture = open(directory.path()).await;
    let keys = &fixture.keys;
    let made = keys.create(wanted("phone", None)).await.unwrap();
    keys.revoke("phone".to_owned()).await.unwrap();
    for _ in 0..10_000 {
        keys.note(
            AuditEvent::Refused,
            None,
            Some("192.0.2.1".to_owned()),
            "unauthenticated",
        );
    }
    let entries = keys.audit(100_000).await.unwrap();
    let of = |event| entries.iter().filter(|entry| entry.event == event).count();
    let events = [
        AuditEvent::TokenMade,
        AuditEvent::KeyCreated,
        AuditEvent::KeyRevoked,
    ];
    assert_eq!(events.map(of), [1, 1, 1]);
    assert!((1..1000).contains(&of(AuditEvent::Refused)));
    assert!(entries.iter().any(|entry| entry.detail.ends_with(" more")));
    let text = format!("{entries:?}");
    assert!(!text.contains(made.secret.reveal()) && !text.contains(keys.local_token().reveal()));
    fixture.close().await;
}

#[tokio::test]
async fn only_the_hash_of_a_key_is_kept() {
    let directory = tempfile::tempdir().unwrap();
    let fixture = open(directory.path()).await;
    let made = fixture.keys.create(wanted("phone", None)).await.unwrap();
    fixture.close().await;
    let secret = &made.secret.reveal().as_bytes()[4..];
    for entry in std::fs::read_dir(directory.path()).unwrap() {
        let bytes = std::fs::read(entry.unwrap().path()).unwrap();
        assert!(!bytes.windows(secret.len()).any(|window| window == secret));
    }
}
