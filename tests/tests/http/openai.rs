//! The language of OpenAI, where its clients cannot look: order, statuses, limits, ends.

use airunner_tests::http::Reply;
use airunner_tests::{Daemon, FakeModel, eventually_ok};
use serde_json::{Value, json};

fn hello(model: &str, fields: Value) -> Value {
    let mut body = json!({"model": model, "messages": [{"role": "user", "content": "Hello there"}]});
    body.as_object_mut()
        .unwrap()
        .extend(fields.as_object().unwrap().clone());
    body
}

fn json_events(reply: &Reply) -> Vec<Value> {
    let events = reply.events();
    let parsed = events.iter().filter(|event| *event != "[DONE]");
    parsed.map(|event| serde_json::from_str(event).unwrap()).collect()
}

#[tokio::test]
async fn models_are_found_by_names_with_slashes() {
    let daemon = Daemon::with_models(&[FakeModel::new("owner/fake")]).await;
    let http = daemon.http().await;
    let list = http.get("/v1/models").await.ok();
    let entry = list["data"]
        .as_array()
        .unwrap()
        .iter()
        .find(|model| model["id"] == "owner/fake");
    assert_eq!(entry.unwrap()["object"], "model");
    for path in ["/v1/models/owner/fake", "/v1/models/owner%2Ffake"] {
        let model = http.get(path).await.ok();
        assert_eq!(
            (&model["id"], &model["owned_by"]),
            (&json!("owner/fake"), &json!("local"))
        );
        assert!(model["created"].as_u64().unwrap() > 1_600_000_000);
    }
    for path in [
        "/v1/models/nobody",
        "/v1/models/a/b/c",
        "/v1/models/..%2F..%2Fetc",
    ] {
        let reply = http.get(path).await;
        assert_eq!(
            (reply.status, &reply.json()["error"]["code"]),
            (404, &json!("model_not_found")),
            "{path}"
        );
    }
    daemon.stop().await;
}

#[tokio::test]
async fn several_answers_are_streamed_side_by_side() {
    let model = FakeModel::new("fake")
        .speaks(&["a", "b"])
        .with("reasoning", vec!["hm"]);
    let daemon = Daemon::with_models(&[model]).await;
    let http = daemon.http().await;
    let asked = json!({"stream": true, "n": 3, "stream_options": {"include_usage": true}, "logprobs": true});
    let reply = http.post("/v1/chat/completions", &hello("fake", asked)).await;
    assert_eq!(reply.status, 200);
    assert!(
        reply.headers["content-type"]
            .to_str()
            .unwrap()
            .starts_with("text/event-stream")
    );
    assert_eq!(reply.events().last().unwrap(), "[DONE]");
    let chunks = json_events(&reply);
    for index in 0..3 {
        let own: Vec<&Value> = chunks
            .iter()
            .filter_map(|chunk| chunk["choices"].get(0))
            .filter(|choice| choice["index"] == index)
            .collect();
        assert_eq!(own[0]["delta"]["role"], "assistant");
        assert_eq!(own[1]["delta"]["reasoning_content"], "hm");
        let text: String = own
            .iter()
            .filter_map(|choice| choice["delta"]["content"].as_str())
            .collect();
        assert_eq!(text, "ab");
        assert_eq!(own[2]["logprobs"]["content"][0]["token"], "a");
        assert_eq!(own.last().unwrap()["finish_reason"], "stop");
    }
    let last = chunks.last().unwrap();
    assert_eq!(
        (&last["choices"], &last["usage"]["completion_tokens"]),
        (&json!([]), &json!(6))
    );
    daemon.stop().await;
}

#[tokio::test]
async fn who_leaves_frees_the_model() {
    let model = FakeModel::new("endless")
        .speaks(&["word "])
        .token_every_ms(20)
        .with("repeat", true);
    let daemon = Daemon::with_models(&[model]).await;
    let http = daemon.http().await;
    for (path, body) in [
        ("/v1/chat/completions", hello("endless", json!({"stream": true}))),
        (
            "/v1/responses",
            json!({"model": "endless", "input": "Hi", "stream": true}),
        ),
    ] {
        let mut response = http
            .request("POST", path)
            .body(body.to_string())
            .send()
            .await
            .unwrap();
        assert!(response.chunk().await.unwrap().is_some());
        daemon.until_state("endless", Some("BUSY")).await;
        drop(response);
        daemon.until_state("endless", Some("LOADED")).await;
    }
    let body = hello("endless", json!({})).to_string();
    let whole = http.request("POST", "/v1/chat/completions").body(body).send();
    tokio::select! {
        _ = whole => panic!("it has no end"),
        () = daemon.until_state("endless", Some("BUSY")) => {}
    }
    daemon.until_state("endless", Some("LOADED")).await;
    daemon.stop().await;
}

#[tokio::test]
async fn a_worker_that_dies_ends_the_stream_with_an_error() {
    let model = FakeModel::new("fragile")
        .speaks(&["a", "b", "c"])
        .token_every_ms(20)
        .crashes_after(2);
    let daemon = Daemon::with_models(&[model]).await;
    let http = daemon.http().await;
    let reply = http
        .post("/v1/chat/completions", &hello("fragile", json!({"stream": true})))
        .await;
    assert_eq!(reply.status, 200);
    let chunks = json_events(&reply);
    let error = &chunks.last().unwrap()["error"];
    assert_eq!(
        (&error["type"], &error["code"]),
        (&json!("server_error"), &json!("worker_crashed"))
    );
    assert!(!reply.events().contains(&"[DONE]".to_owned()));
    daemon.stop().await;
}

#[tokio::test]
async fn a_response_is_kept_across_a_restart_and_one_under_way_has_failed_then() {
    let quick = FakeModel::new("quick").speaks(&["Hello."]);
    let endless = FakeModel::new("endless")
        .speaks(&["word "])
        .token_every_ms(20)
        .with("repeat", true);
    let mut daemon = Daemon::with_models(&[quick, endless]).await;
    let http = daemon.http().await;
    let kept = http
        .post("/v1/responses", &json!({"model": "quick", "input": "Hi"}))
        .await
        .ok();
    let begun = json!({"model": "endless", "input": "Hi", "background": true});
    let begun = http.post("/v1/responses", &begun).await.ok();
    assert_eq!(begun["status"], "in_progress");
    let path = |response: &Value| format!("/v1/responses/{}", response["id"].as_str().unwrap());
    assert_eq!(http.get(&path(&begun)).await.ok()["status"], "in_progress");
    let going_on = json!({"model": "quick", "input": "And?", "previous_response_id": begun["id"]});
    assert_eq!(http.post("/v1/responses", &going_on).await.status, 409);
    daemon.end_by(9).await;
    daemon.start_again().await;
    let http = daemon.http().await;
    assert_eq!(http.get(&path(&kept)).await.ok(), kept);
    let failed = http.get(&path(&begun)).await.ok();
    assert_eq!(
        (&failed["status"], &failed["error"]["code"]),
        (&json!("failed"), &json!("server_error"))
    );
    let not_stored = json!({"model": "quick", "input": "Hi", "store": false});
    let not_stored = http.post("/v1/responses", &not_stored).await.ok();
    assert_eq!(http.get(&path(&not_stored)).await.status, 404);
    daemon.stop().await;
}

#[tokio::test]
async fn bad_input_is_refused_in_the_form_of_openai() {
    let daemon = Daemon::with_models(&[FakeModel::new("fake")]).await;
    let http = daemon.http().await;
    let nested = format!("{{\"model\": {}", "[".repeat(50_000));
    let paths = [
        "/v1/chat/completions",
        "/v1/completions",
        "/v1/responses",
        "/v1/embeddings",
        "/v1/tokenize",
        "/v1/detokenize",
    ];
    let all = json!({"messages": [{"role": "user", "content": "Hi"}], "prompt": "a", "input": "a"});
    for path in paths {
        for body in [
            "",
            "{",
            "[]",
            "null",
            "7",
            "\"\u{0}\"",
            &nested,
            "{}",
            "{\"model\": 7}",
        ] {
            let reply = Reply::of(http.request("POST", path).body(body.to_owned())).await;
            let shown: String = body.chars().take(20).collect();
            assert_eq!(reply.status, 400, "{path} {shown}: {}", reply.text);
            assert_eq!(
                reply.json()["error"]["type"],
                "invalid_request_error",
                "{path} {shown}"
            );
        }
        let invalid = Reply::of(http.request("POST", path).body(b"{\"model\": \"\xff\"}".to_vec())).await;
        assert_eq!(invalid.status, 400, "{path}");
        assert_eq!(http.get(path).await.status, 405, "{path}");
        let mut unknown = all.clone();
        unknown["model"] = "nobody".into();
        if path == "/v1/detokenize" {
            unknown["tokens"] = json!([1]);
        }
        let superfluous = match path {
            "/v1/tokenize" => "messages",
            "/v1/responses" => "prompt",
            _ => "nothing",
        };
        unknown.as_object_mut().unwrap().remove(superfluous);
        let reply = http.post(path, &unknown).await;
        let error = &reply.json()["error"];
        assert_eq!(
            (reply.status, &error["code"]),
            (404, &json!("model_not_found")),
            "{path}"
        );
    }
    for fields in [
        json!({"temperature": -1}),
        json!({"top_p": 7}),
        json!({"max_tokens": 1e300}),
        json!({"stop": vec!["x"; 17]}),
        json!({"logit_bias": {"1": 1000}}),
        json!({"seed": "x"}),
    ] {
        let reply = http
            .post("/v1/chat/completions", &hello("fake", fields.clone()))
            .await;
        assert_eq!(reply.status, 400, "{fields}: {}", reply.text);
        let param = fields.as_object().unwrap().keys().next().unwrap();
        assert_eq!(reply.json()["error"]["param"], param.as_str(), "{fields}");
    }
    let unknown_field = hello("fake", json!({"nobody_knows": {"this": [1]}, "user": null}));
    assert_eq!(
        http.post("/v1/chat/completions", &unknown_field).await.status,
        200
    );
    daemon.stop().await;
}

#[tokio::test]
async fn too_many_at_once_are_refused_with_a_time_to_come_back() {
    let model = FakeModel::new("endless")
        .speaks(&["word "])
        .token_every_ms(20)
        .with("repeat", true);
    let home = airunner_tests::Home::new();
    home.configure("[models]\nmax_waiting = 1\n[runtime]\nqueue_length = 1\nparallel_requests = 1\n");
    let daemon = Daemon::start_in(home).await;
    daemon.install(&model).await;
    let http = daemon.http().await;
    let reply = http
        .post("/v1/chat/completions", &hello("endless", json!({"n": 8})))
        .await;
    assert_eq!(reply.status, 429, "{}", reply.text);
    assert!(reply.headers.contains_key("retry-after"));
    assert_eq!(reply.json()["error"]["type"], "rate_limit_error");
    // Those that were let in leave with the one that was not: by themselves they have no end.
    let short = hello("endless", json!({"max_tokens": 2}));
    let one = eventually_ok("there is room", async || {
        let reply = http.post("/v1/chat/completions", &short).await;
        if reply.status == 429 {
            Err(reply)
        } else {
            Ok(reply)
        }
    })
    .await
    .ok();
    assert_eq!(one["choices"][0]["finish_reason"], "length");
    daemon.stop().await;
}
