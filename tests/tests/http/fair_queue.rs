//! Keys that share a queue.

use airunner_tests::{Daemon, FakeModel, Home, Http, eventually};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

const PATH: &str = "/v1/chat/completions";

async fn as_key(daemon: &Daemon, http: &Http, name: &str) -> Http {
    let create = ["keys", "create", name, "--scope", "inference"];
    let created = daemon.home.cli().json(&create).await;
    http.with_key(created["key"].as_str().unwrap())
}

/// A request that is under way; aborting it hangs up.
fn asks(http: &Http, body: &Value) -> JoinHandle<airunner_tests::Reply> {
    let (http, body) = (http.clone(), body.clone());
    tokio::spawn(async move { http.post(PATH, &body).await })
}

#[tokio::test]
async fn a_key_that_fills_the_queue_keeps_no_other_out() {
    let endless = FakeModel::new("endless").speaks(&["word "; 9]).hangs_after(5);
    let home = Home::new();
    home.configure("[models]\nmax_waiting = 3\n[runtime]\nqueue_length = 1\nparallel_requests = 1\n");
    let daemon = Daemon::start_in(home).await;
    daemon.install(&endless).await;
    let all = daemon.http().await;
    let (many, few) = (
        as_key(&daemon, &all, "many").await,
        as_key(&daemon, &all, "few").await,
    );
    let stand = async |active: u64, waiting: u64| {
        let what = format!("{active} are answered and {waiting} wait");
        eventually(&what, async || {
            let row = daemon.ps("endless").await;
            row.is_some_and(|row| row["active_requests"] == active && row["waiting_requests"] == waiting)
        })
        .await;
    };
    let says = json!([{"role": "user", "content": "go on"}]);
    let long = json!({"model": "endless", "messages": says});
    let mut under_way = Vec::new();
    for (active, waiting) in [(1, 0), (2, 0), (2, 1), (2, 2), (2, 3)] {
        under_way.push(asks(&many, &long));
        stand(active, waiting).await;
    }
    let refused = many.post(PATH, &long).await;
    assert_eq!(refused.status, 429, "{}", refused.text);

    let short = json!({"model": "endless", "messages": says, "max_tokens": 2});
    let answer = asks(&few, &short);
    let displaced = under_way.pop().unwrap().await.unwrap();
    assert_eq!(displaced.status, 429, "{}", displaced.text);
    assert_eq!(displaced.json()["error"]["code"], "queue_full");
    assert!(displaced.headers.contains_key("retry-after"));
    stand(2, 3).await;

    // Its turn is before those of the other key that came long before.
    under_way.remove(0).abort();
    stand(2, 2).await;
    under_way.remove(0).abort();
    let answer = answer.await.unwrap().ok();
    assert_eq!(answer["choices"][0]["finish_reason"], "length");
    under_way.iter().for_each(JoinHandle::abort);
    daemon.stop().await;
}
