//! Work that takes longer than a request.

use airunner_tests::Http;
use airunner_tests::{Daemon, FakeModel, Home, Hub, RemoteFile, eventually_ok, noise};
use serde_json::{Value, json};

const REPOSITORY: &str = "team/tiny";

fn publish(hub: &Hub) {
    let files = vec![
        RemoteFile::new("fake-model.json", b"{}".to_vec()),
        RemoteFile::new("weights.bin", noise(7, 1 << 20)),
    ];
    hub.publish(REPOSITORY, files);
}

fn home(hub: &Hub) -> Home {
    let mut home = Home::new();
    home.set("AIRUNNER_DOWNLOADS_HUB", hub.endpoint());
    home.set("AIRUNNER_DOWNLOADS_ALLOW_PRIVATE_ADDRESSES", "true");
    home
}

async fn in_state(http: &Http, path: &str, state: &str) -> Value {
    eventually_ok(&format!("{path} is {state}"), async || {
        let job = http.get(path).await.ok();
        if job["state"] == state { Ok(job) } else { Err(job) }
    })
    .await
}

async fn pull(http: &Http) -> String {
    let reply = http
        .post("/api/v1/models/pull", &json!({"source": REPOSITORY}))
        .await;
    assert_eq!(reply.status, 202, "{}", reply.text);
    format!("/api/v1/jobs/{}", reply.json()["id"].as_str().unwrap())
}

#[tokio::test]
async fn a_pull_is_followed_to_its_end_across_a_restart() {
    let hub = Hub::start().await;
    publish(&hub);
    hub.slow(Some(20_000));
    let mut daemon = Daemon::start_in(home(&hub)).await;
    let http = daemon.http().await;
    let job = pull(&http).await;
    let running = eventually_ok("the job has its download", async || {
        let running = http.get(&job).await.ok();
        if running["result"]["download"].is_number() {
            Ok(running)
        } else {
            Err(running)
        }
    })
    .await;
    assert_eq!(
        (&running["state"], &running["kind"]),
        (&json!("running"), &json!("pull"))
    );
    assert_eq!(daemon.end_by(15).await.code(), Some(0));
    hub.slow(None);
    daemon.start_again().await;
    let http = daemon.http().await;
    let events = http.get(&format!("{job}/events")).await;
    assert!(events.text.contains("event: done"), "{}", events.text);
    let done = in_state(&http, &job, "completed").await;
    assert_eq!(
        (&done["result"]["model"], &done["progress"]),
        (&json!(REPOSITORY), &json!(1.0))
    );
    assert!(done["expires_at"].is_string());
    assert_eq!(
        http.get("/api/v1/models/team/tiny").await.ok()["name"],
        REPOSITORY
    );
    assert_eq!(http.get("/api/v1/jobs").await.ok()["total"], 1);

    let verify = http
        .post("/api/v1/models/verify", &json!({"model": REPOSITORY}))
        .await;
    assert_eq!(verify.status, 202);
    let verify = format!("/api/v1/jobs/{}", verify.json()["id"].as_str().unwrap());
    let verified = in_state(&http, &verify, "completed").await;
    assert_eq!(verified["result"]["problems"], json!([]));
    assert_eq!(http.delete(&job).await.status, 200);
    assert_eq!(http.get(&job).await.status, 404, "forgotten");
    daemon.stop().await;
}

#[tokio::test]
async fn a_cancelled_pull_stops_its_download_and_a_paused_one_waits() {
    let hub = Hub::start().await;
    publish(&hub);
    hub.slow(Some(10_000));
    let daemon = Daemon::start_in(home(&hub)).await;
    let http = daemon.http().await;
    let job = pull(&http).await;
    let id = eventually_ok("the job has its download", async || {
        http.get(&job).await.ok()["result"]["download"].as_u64().ok_or(())
    })
    .await;
    let download = |act: &str| format!("/api/v1/downloads/{id}/{act}");
    assert_eq!(
        http.post(&download("pause"), &json!({})).await.ok()["state"],
        "paused"
    );
    assert_eq!(http.get(&job).await.ok()["state"], "running");
    http.post(&download("resume"), &json!({})).await.ok();
    assert_eq!(http.delete(&job).await.ok()["state"], "cancelled");
    let downloads = http.get("/api/v1/downloads").await.ok();
    assert_eq!(downloads["downloads"][0]["state"], "cancelled");
    assert_eq!(
        http.post("/api/v1/downloads/999/pause", &json!({})).await.status,
        404
    );
    assert_eq!(
        http.post("/api/v1/downloads/x/pause", &json!({})).await.status,
        400
    );
    daemon.stop().await;
}

#[tokio::test]
async fn an_import_is_a_job_and_bad_requests_are_none() {
    let daemon = Daemon::start().await;
    let http = daemon.http().await;
    let package = FakeModel::new("brought").write_below(daemon.home.path());
    let body = json!({"directory": package.to_str().unwrap(), "name": "brought"});
    let reply = http.post("/api/v1/models/import", &body).await;
    assert_eq!(reply.status, 202, "{}", reply.text);
    let job = format!("/api/v1/jobs/{}", reply.json()["id"].as_str().unwrap());
    let done = in_state(&http, &job, "completed").await;
    assert_eq!(done["result"]["model"], "brought");
    let again = http.post("/api/v1/models/import", &body).await.json();
    let again = format!("/api/v1/jobs/{}", again["id"].as_str().unwrap());
    assert_eq!(
        in_state(&http, &again, "failed").await["error"]["reason"],
        "already_exists"
    );
    for (path, body, status) in [
        ("/api/v1/models/pull", json!({}), 400),
        ("/api/v1/models/pull", json!({"source": ""}), 400),
        (
            "/api/v1/models/pull",
            json!({"source": "a/b", "level": "3bit"}),
            400,
        ),
        (
            "/api/v1/models/pull",
            json!({"source": "a/b", "name": "../x"}),
            400,
        ),
        ("/api/v1/models/verify", json!({"model": "none"}), 404),
        ("/api/v1/models/estimate", json!({"model": "none"}), 404),
        (
            "/api/v1/memory/budget",
            json!({"device": "tpu", "budget": "1GiB"}),
            400,
        ),
        ("/api/v1/llm/load", json!({"model": "none"}), 404),
    ] {
        let method = if path.ends_with("budget") { "PUT" } else { "POST" };
        let reply = airunner_tests::Reply::of(http.request(method, path).body(body.to_string())).await;
        assert_eq!(reply.status, status, "{path} {body}: {}", reply.text);
    }
    for path in ["/api/v1/jobs/job_none", "/api/v1/jobs/job_none/events"] {
        assert_eq!(http.get(path).await.status, 404, "{path}");
    }
    assert_eq!(http.delete("/api/v1/jobs/job_none").await.status, 404);
    daemon.stop().await;
}
