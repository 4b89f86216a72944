//! Settings, seen and changed as users and programs do.
#![expect(clippy::unwrap_used, reason = "a scenario fails where it stands")]

use std::path::PathBuf;

use airunner_proto::v1;
use airunner_proto::v1::settings_client::SettingsClient;
use airunner_tests::{Daemon, FakeModel, Home, Reply, channel, eventually, send_signal};
use serde_json::{Value, json};

fn file(home: &Home) -> PathBuf {
    home.path().join("config/config.toml")
}

fn text(home: &Home) -> String {
    std::fs::read_to_string(file(home)).unwrap()
}

fn row<'a>(list: &'a Value, name: &str) -> &'a Value {
    let rows = list.as_array().unwrap();
    rows.iter()
        .find(|row| row["name"] == name)
        .unwrap_or_else(|| panic!("{name} is not in {list}"))
}

#[tokio::test]
async fn a_running_daemon_goes_by_what_is_set() {
    let home = Home::new();
    home.configure("# mine\n[models]\nkeep_alive = \"5m\" # short\n");
    let mut daemon = Daemon::start_in(home).await;
    daemon.install(&FakeModel::new("tiny").speaks(&["yes"])).await;
    let cli = daemon.home.cli();
    let listed = cli.json(&["settings"]).await;
    let expected = ("file", "at_once", "nothing");
    let keep_alive = row(&listed, "models.keep_alive");
    assert_eq!(
        (
            keep_alive["source"].as_str().unwrap(),
            keep_alive["applies"].as_str().unwrap(),
            keep_alive["pending"].as_str().unwrap()
        ),
        expected
    );
    assert_eq!(row(&listed, "http.listen")["source"], "environment");
    assert_eq!(row(&listed, "desktop.start_at_login")["source"], "system");

    cli.run(&["load", "tiny"]).await.succeeded();
    let set = cli
        .run(&["settings", "set", "models.keep_alive", "1s"])
        .await
        .succeeded();
    assert_eq!(set.stdout, "models.keep_alive is \"1s\".\n");
    assert_eq!(
        text(&daemon.home),
        "# mine\n[models]\nkeep_alive = \"1s\" # short\n"
    );
    daemon.until_state("tiny", None).await;
    // The new time counts for it too.
    daemon.until_logged("idle_timeout").await;

    cli.run(&["settings", "set", "memory.cpu_budget", "123MiB"])
        .await
        .succeeded();
    assert_eq!(
        cli.json(&["memory"]).await["devices"][0]["budget_bytes"],
        123 << 20
    );
    cli.run(&["memory", "budget", "cpu", "50%"]).await.succeeded();
    let budget = cli.json(&["settings", "get", "memory.cpu_budget"]).await;
    assert_eq!(
        (&budget["value"], &budget["pending"]),
        (&json!("50%"), &json!("nothing"))
    );

    cli.run(&["settings", "set", "models.preload", "tiny"])
        .await
        .succeeded();
    daemon.until_state("tiny", Some("LOADED")).await;

    let set = cli.json(&["settings", "set", "runtime.threads", "1"]).await;
    assert_eq!(row(&set, "runtime.threads")["pending"], "restart");
    daemon.end_by(15).await;
    daemon.start_again().await;
    let cli = daemon.home.cli();
    let threads = cli.json(&["settings", "get", "runtime.threads"]).await;
    assert_eq!(
        (&threads["value"], &threads["pending"]),
        (&json!(1), &json!("nothing"))
    );
    let reset = cli
        .run(&["settings", "reset", "runtime.threads", "models.keep_alive"])
        .await;
    assert!(reset.stdout.contains("airunner restart"), "{reset:?}");
    assert_eq!(
        cli.run(&["settings", "get", "models.keep_alive"]).await.stdout,
        "5m\n"
    );
    daemon.stop().await;
}

#[tokio::test]
async fn what_is_written_by_hand_counts_when_it_is_read_again() {
    let mut daemon = Daemon::start().await;
    let keep_alive = async |daemon: &Daemon| {
        let setting = daemon
            .home
            .cli()
            .json(&["settings", "get", "models.keep_alive"])
            .await;
        (setting["value"].clone(), setting["pending"].clone())
    };
    daemon.home.configure("[models]\nkeep_alive = \"7m\"\n");
    assert_eq!(keep_alive(&daemon).await, (json!("7m"), json!("reload")));
    send_signal(daemon.pid(), 1);
    eventually("the daemon reads it again", async || {
        keep_alive(&daemon).await.1 == "nothing"
    })
    .await;
    daemon
        .home
        .configure("[models]\nkeep_alive = \"8m\"\n[log]\nlevel = \"debug\"\n");
    let changed = daemon.home.cli().json(&["settings", "reload"]).await;
    assert_eq!(changed.as_array().unwrap().len(), 2, "{changed}");
    assert_eq!(row(&changed, "log.level")["pending"], "restart");

    // A damaged file is told and left alone, and the daemon goes on as it was.
    daemon.home.configure("[models]\nkeep_alive = \"soon\"\n");
    for line in [
        &["settings", "reload"][..],
        &["settings", "set", "log.level", "info"][..],
    ] {
        let (code, reason, message) = daemon.home.cli().refusal(line).await;
        assert_eq!((code, &*reason), (1, "invalid_config"));
        assert!(
            message.contains("config.toml line 2: models.keep_alive is \"soon\""),
            "{message}"
        );
    }
    assert_eq!(text(&daemon.home), "[models]\nkeep_alive = \"soon\"\n");
    send_signal(daemon.pid(), 1);
    daemon.until_logged("the settings stay as they were").await;
    daemon
        .home
        .cli()
        .run(&["settings", "set", "models.keep_alive", "9m"])
        .await
        .succeeded();
    assert_eq!(
        text(&daemon.home),
        "[models]\nkeep_alive = \"9m\"\n",
        "what is wrong can be mended"
    );
    daemon.end_by(15).await;
}

#[tokio::test]
async fn without_a_daemon_the_same_rules_hold() {
    let home = Home::new();
    home.configure("# mine\n[log]\nmax_files = 3\n");
    let cli = home.cli();
    cli.run(&["settings", "set", "models.preload", "tiny, owner/name"])
        .await
        .succeeded();
    cli.run(&["settings", "set", "models.keep_alive", "-1"])
        .await
        .succeeded();
    assert_eq!(
        text(&home),
        "# mine\n[log]\nmax_files = 3\n\n[models]\npreload = [\"tiny\", \"owner/name\"]\nkeep_alive = \"-1\"\n"
    );
    let listed = cli.json(&["settings", "list", "models", "--changed"]).await;
    let from_file = |row: &&Value| row["source"] == "file";
    let names: Vec<&Value> = listed
        .as_array()
        .unwrap()
        .iter()
        .filter(from_file)
        .map(|row| &row["name"])
        .collect();
    assert_eq!(names, ["models.keep_alive", "models.preload"]);
    let (code, reason, message) = cli.refusal(&["settings", "set", "log.max_files", "0"]).await;
    assert_eq!((code, &*reason), (1, "invalid_argument"));
    assert!(
        message.contains("log.max_files cannot be 0: it must be a whole number from 1"),
        "{message}"
    );
    let (_, _, message) = cli
        .refusal(&["settings", "set", "http.listen", "127.0.0.1:1"])
        .await;
    assert!(message.contains("AIRUNNER_HTTP_LISTEN"), "{message}");
    assert_eq!(cli.refusal(&["settings", "set", "log.levle", "info"]).await.0, 2);
    assert_eq!(cli.refusal(&["settings", "reload"]).await.0, 3);
    let reset = cli.run(&["settings", "reset", "log.max_files"]).await.succeeded();
    assert_eq!(reset.stdout, "log.max_files is 5.\n");
    assert!(text(&home).starts_with("# mine\n[log]\n"), "{}", text(&home));
}

#[tokio::test]
async fn http_and_grpc_say_and_do_the_same() {
    let mut home = Home::new();
    home.set("AIRUNNER_HTTP_RATE_LIMIT", "");
    let daemon = Daemon::start_in(home).await;
    let http = daemon.http().await;
    let patch = async |body: Value| {
        let request = http.request("PATCH", "/api/v1/settings").body(body.to_string());
        Reply::of(request).await
    };
    let changed = patch(json!({"http.allowed_origins": ["https://app.example"], "models.keep_alive": "6m"}))
        .await
        .ok();
    assert_eq!(
        row(&changed["settings"], "models.keep_alive")["pending"],
        "nothing"
    );
    let from_page = async || {
        let request = http
            .request("GET", "/api/v1/version")
            .header("origin", "https://app.example");
        Reply::of(request).await.status
    };
    assert_eq!(from_page().await, 200, "it counts from the next request");
    patch(json!({"http.allowed_origins": null})).await.ok();
    assert_eq!(from_page().await, 403);
    patch(json!({"http.body_limit": "1KiB"})).await.ok();
    let long = json!({"model": "x".repeat(2000)});
    assert_eq!(http.post("/api/v1/llm/load", &long).await.status, 413);

    for (body, expected) in [
        (json!({"models.keep_alive": "soon"}), 400),
        (json!({"models.keep_alive": "8m", "log.level": "loud"}), 400),
        (json!({"models.nothing": 1}), 400),
        (json!({"http.listen": "127.0.0.1:1"}), 400),
        (json!({}), 400),
    ] {
        assert_eq!(patch(body.clone()).await.status, expected, "{body}");
    }
    let listed = http.get("/api/v1/settings").await.ok();
    assert_eq!(
        row(&listed["settings"], "models.keep_alive")["value"],
        "6m",
        "all of them or none"
    );

    let mut client = SettingsClient::new(channel(&daemon.home).await);
    let all = client
        .list(v1::ListSettingsRequest {})
        .await
        .unwrap()
        .into_inner()
        .settings;
    assert_eq!(all.len(), listed["settings"].as_array().unwrap().len());
    let names = vec!["models.keep_alive".to_owned()];
    let reset = client
        .reset(v1::ResetSettingsRequest { names })
        .await
        .unwrap()
        .into_inner();
    assert_eq!(reset.settings[0].value, "\"5m\"");
    let request = v1::GetSettingRequest {
        name: "models.nothing".into(),
    };
    assert_eq!(
        client.get(request).await.unwrap_err().code(),
        tonic::Code::InvalidArgument
    );

    let key = daemon
        .home
        .cli()
        .json(&["keys", "create", "phone", "--scope", "inference,models"])
        .await;
    let weaker = http.with_key(key["key"].as_str().unwrap());
    assert_eq!(weaker.get("/api/v1/settings").await.status, 403);
    let token = &http.token;
    assert!(
        !listed.to_string().contains(token.as_str()),
        "no secret is a setting"
    );
    daemon.stop().await;
}
