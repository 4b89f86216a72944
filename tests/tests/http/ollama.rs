//! Ollama's API, as its clients call it.

use airunner_tests::http::{Http, Reply};
use airunner_tests::{Daemon, FakeModel, Home};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

fn hello(name: &str) -> FakeModel {
    FakeModel::new(name).speaks(&["Hello", ", ", "client", "."])
}

fn ask(model: &str) -> Value {
    json!({"model": model, "messages": [{"role": "user", "content": "Hi"}]})
}

/// The text of all lines.
fn text(lines: &[Value], of: &str) -> String {
    lines
        .iter()
        .filter_map(|line| line.pointer(of)?.as_str())
        .collect()
}

async fn loaded(http: &Http) -> Vec<String> {
    let models = http.get("/api/ps").await.ok()["models"].clone();
    let names = models.as_array().unwrap().iter();
    names
        .map(|model| model["name"].as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test]
async fn answers_come_as_lines_or_as_a_whole() {
    let daemon = Daemon::with_models(&[hello("tiny")]).await;
    let http = daemon.http().await;
    let reply = http.post("/api/chat", &ask("tiny")).await;
    assert_eq!(reply.headers["content-type"], "application/x-ndjson");
    let lines = reply.lines();
    assert_eq!(text(&lines, "/message/content"), "Hello, client.");
    let last = lines.last().unwrap();
    assert_eq!(
        (&last["done"], &last["done_reason"]),
        (&json!(true), &json!("stop"))
    );
    assert_eq!(
        (&last["prompt_eval_count"], &last["eval_count"]),
        (&json!(1), &json!(4))
    );
    assert!(last["total_duration"].as_u64().unwrap() > 0);
    assert!(lines[..lines.len() - 1].iter().all(|line| line["done"] == false));

    let body =
        json!({"model": "tiny:latest", "prompt": "Hi", "stream": false, "options": {"num_predict": 2}});
    let whole = http.post("/api/generate", &body).await.ok();
    assert_eq!(
        (&whole["response"], &whole["done_reason"]),
        (&json!("Hello, "), &json!("length"))
    );
    assert_eq!(whole["context"].as_array().unwrap().len(), "Hi Hello,".len());
    let next = json!({"model": "tiny", "prompt": "and", "context": whole["context"], "stream": false});
    assert_eq!(
        http.post("/api/generate", &next).await.ok()["prompt_eval_count"],
        "Hi Hello,".len() + 1
    );
    daemon.stop().await;
}

#[tokio::test]
async fn tools_thoughts_formats_and_likelihoods_arrive() {
    let tools = FakeModel::new("tools")
        .speaks(&["I look. "])
        .with("argument_pieces", 3)
        .with(
            "tool_calls",
            json!([{"name": "f", "arguments": {"x": 1}}, {"name": "g", "arguments": {}}]),
        );
    let thinking = FakeModel::new("thinking")
        .speaks(&["42"])
        .with("reasoning", vec!["Hm."]);
    let daemon = Daemon::with_models(&[tools, thinking, FakeModel::new("echo")]).await;
    let http = daemon.http().await;
    let mut body = ask("tools");
    body["tools"] =
        json!([{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}]);
    let lines = http.post("/api/chat", &body).await.lines();
    let calls: Vec<&Value> = lines
        .iter()
        .filter_map(|line| line.pointer("/message/tool_calls/0/function"))
        .collect();
    assert_eq!(calls.len(), 2);
    assert_eq!(
        (&calls[0]["name"], &calls[0]["arguments"]),
        (&json!("f"), &json!({"x": 1}))
    );
    assert_eq!(calls[1]["index"], 1);

    let lines = http.post("/api/chat", &ask("thinking")).await.lines();
    assert_eq!(text(&lines, "/message/thinking"), "Hm.");
    assert_eq!(text(&lines, "/message/content"), "42");
    let mut body = ask("thinking");
    body["think"] = json!(false);
    assert_eq!(
        text(&http.post("/api/chat", &body).await.lines(), "/message/thinking"),
        ""
    );

    let mut body = ask("echo");
    body["stream"] = json!(false);
    body["format"] = json!({"type": "object", "required": ["x"], "properties": {"x": {"type": "integer"}}});
    body["logprobs"] = json!(true);
    body["top_logprobs"] = json!(2);
    let whole = http.post("/api/chat", &body).await.ok();
    assert_eq!(whole["message"]["content"], "{\"x\":0}");
    assert_eq!(whole["logprobs"][0]["top_logprobs"].as_array().unwrap().len(), 2);
    daemon.stop().await;
}

#[tokio::test]
async fn an_empty_question_loads_and_unloads() {
    let daemon = Daemon::with_models(&[hello("tiny")]).await;
    let http = daemon.http().await;
    let load = http
        .post("/api/generate", &json!({"model": "tiny", "keep_alive": -1}))
        .await
        .ok();
    assert_eq!(
        (&load["done_reason"], &load["response"]),
        (&json!("load"), &json!(""))
    );
    let running = http.get("/api/ps").await.ok();
    assert_eq!(running["models"][0]["name"], "tiny:latest");
    assert_eq!(running["models"][0]["context_length"], 4096);
    assert!(
        running["models"][0]["expires_at"]
            .as_str()
            .unwrap()
            .starts_with("2300")
    );
    let body = json!({"model": "tiny", "messages": [], "keep_alive": "0s"});
    assert_eq!(http.post("/api/chat", &body).await.ok()["done_reason"], "unload");
    assert!(loaded(&http).await.is_empty());
    let mut body = ask("tiny");
    body["options"] = json!({"num_ctx": 512});
    assert_eq!(http.post("/api/chat", &body).await.status, 200);
    assert_eq!(http.get("/api/ps").await.ok()["models"][0]["context_length"], 512);
    daemon.stop().await;
}

#[tokio::test]
async fn models_are_listed_shown_copied_changed_and_deleted() {
    let echo = FakeModel::new("echo").with("chat_template", "{{ messages }}");
    let daemon = Daemon::with_models(&[echo]).await;
    let http = daemon.http().await;
    let copy = json!({"source": "echo", "destination": "team/copy:latest"});
    assert_eq!(http.post("/api/copy", &copy).await.status, 200);
    assert_eq!(
        http.post("/api/copy", &copy).await.status,
        200,
        "as Ollama does, it replaces"
    );
    let create =
        json!({"model": "pirate", "from": "team/copy", "system": "Arr", "parameters": {"num_predict": 3}});
    let lines = http.post("/api/create", &create).await.lines();
    assert_eq!(lines.last().unwrap()["status"], "success");
    assert_eq!(http.post("/api/create", &create).await.status, 200);

    let tags = http.get("/api/tags").await.ok();
    let names: Vec<&str> = tags["models"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|model| model["name"].as_str())
        .collect();
    for name in ["echo:latest", "team/copy:latest", "pirate:latest"] {
        assert!(names.contains(&name), "{names:?}");
    }
    let shown = http.post("/api/show", &json!({"model": "pirate"})).await.ok();
    assert_eq!(
        (&shown["system"], &shown["details"]["format"]),
        (&json!("Arr"), &json!("onnx"))
    );
    assert!(shown["parameters"].as_str().unwrap().contains("num_predict"));
    assert_eq!(shown["capabilities"], json!(["completion"]));

    for name in ["echo", "team/copy"] {
        let request = http
            .request("DELETE", "/api/delete")
            .body(json!({"model": name}).to_string());
        assert_eq!(Reply::of(request).await.status, 200);
    }
    // The system prompt comes first, for every way of asking.
    let lines = http.post("/api/chat", &ask("pirate")).await.lines();
    assert_eq!(text(&lines, "/message/content"), "Arr Hi");
    let body = json!({"model": "pirate", "max_tokens": 9, "messages": [{"role": "user", "content": "Hi"}]});
    assert_eq!(
        http.post("/v1/messages", &body).await.ok()["content"][0]["text"],
        "Arr Hi"
    );
    daemon.stop().await;
}

/// A file of a package, as it is sent.
fn file(content: &str) -> (String, Vec<u8>) {
    let hash = Sha256::digest(content.as_bytes());
    let digits: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
    (format!("sha256:{digits}"), content.as_bytes().to_vec())
}

async fn is_here(http: &Http, digest: &str) -> u16 {
    let path = format!("/api/blobs/{digest}");
    Reply::of(http.request("HEAD", &path)).await.status
}

#[tokio::test]
async fn a_model_is_made_of_files_that_were_sent() {
    let daemon = Daemon::with_models(&[hello("tiny")]).await;
    let http = daemon.http().await;
    let (digest, bytes) = file(&json!({"tokens": ["Sent."]}).to_string());
    assert_eq!(is_here(&http, &digest).await, 404);
    let path = format!("/api/blobs/{digest}");
    let send = |bytes: Vec<u8>| Reply::of(http.request("POST", &path).body(bytes));
    let wrong = send(b"something else".to_vec()).await;
    assert_eq!(wrong.status, 400, "{}", wrong.text);
    assert_eq!(is_here(&http, &digest).await, 404);
    assert_eq!(send(bytes.clone()).await.status, 201);
    assert_eq!(send(bytes).await.status, 200);
    assert_eq!(is_here(&http, &digest).await, 200);

    let create = json!({
        "model": "sent:v1",
        "files": {"fake-model.json": digest},
        "system": "Be brief.",
        "messages": [{"role": "user", "content": "Who?"}, {"role": "assistant", "content": "Me."}],
        "license": ["Free.", "As in air."],
        "parameters": {"num_predict": 7},
    });
    let lines = http.post("/api/create", &create).await.lines();
    assert_eq!(lines.last().unwrap()["status"], "success", "{lines:?}");
    let lines = http.post("/api/chat", &ask("sent:v1")).await.lines();
    assert_eq!(text(&lines, "/message/content"), "Sent.");
    // The system prompt and the opening turns come before the question.
    assert_eq!(lines.last().unwrap()["prompt_eval_count"], 5);
    let shown = http.post("/api/show", &json!({"model": "sent:v1"})).await.ok();
    assert_eq!(shown["license"], "Free.\nAs in air.");
    assert_eq!(shown["messages"], create["messages"]);

    // It makes way for its successor, as every model does.
    let create = json!({"model": "sent:v1", "from": "sent:v1", "system": "Be loud.", "stream": false});
    assert_eq!(http.post("/api/create", &create).await.ok()["status"], "success");
    let shown = http.post("/api/show", &json!({"model": "sent:v1"})).await.ok();
    assert_eq!(
        (&shown["system"], &shown["license"]),
        (&json!("Be loud."), &json!("Free.\nAs in air."))
    );
    let incomplete = json!({"model": "broken", "files": {"config.json": digest}});
    let reply = http.post("/api/create", &incomplete).await;
    assert_eq!(reply.status, 422, "{}", reply.text);
    assert!(reply.json()["error"].is_string());
    daemon.stop().await;
}

#[tokio::test]
async fn a_file_has_a_limit_and_its_senders_a_key() {
    let home = Home::new();
    home.configure("[http]\nupload_limit = 1024\n");
    let daemon = Daemon::start_in(home).await;
    let http = daemon.http().await;
    let (digest, bytes) = file(&"x".repeat(2000));
    let path = format!("/api/blobs/{digest}");
    let told = Reply::of(http.request("POST", &path).body(bytes.clone())).await;
    assert_eq!(told.status, 413, "{}", told.text);
    let create = ["keys", "create", "asks", "--scope", "inference"];
    let created = daemon.home.cli().json(&create).await;
    let asks = http.with_key(created["key"].as_str().unwrap());
    assert_eq!(Reply::of(asks.request("POST", &path).body("x")).await.status, 403);
    daemon.stop().await;
}

/// What a model of Ollama is told once is not told again when a client goes on from its context.
#[tokio::test]
async fn a_context_goes_on_from_the_answer() {
    let thinking = FakeModel::new("thinking")
        .speaks(&["42"])
        .with("reasoning", vec!["Hm."]);
    let daemon = Daemon::with_models(&[thinking]).await;
    let http = daemon.http().await;
    let create = json!({"model": "deep", "from": "thinking", "system": "Think.", "parameters": {"num_predict": 1},
        "messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]});
    assert_eq!(http.post("/api/create", &create).await.status, 200);
    let ask = json!({"model": "deep", "prompt": "Why?", "stream": false});
    let first = http.post("/api/generate", &ask).await.ok();
    assert_eq!(first["response"], "42");
    let told = first["context"].as_array().unwrap().len();
    assert_eq!(told, "Think. a b Why? 42".len(), "without what it thought");
    let mut next = ask;
    next["context"] = first["context"].clone();
    let second = http.post("/api/generate", &next).await.ok();
    assert_eq!(
        second["prompt_eval_count"],
        told + 1,
        "neither system nor opening again"
    );
    assert_eq!(
        (&second["response"], &second["thinking"]),
        (&json!("42"), &json!("Hm.")),
        "thoughts stay apart"
    );
    daemon.stop().await;
}

#[tokio::test]
async fn no_limit_goes_before_the_limit_of_a_made_model() {
    let daemon = Daemon::with_models(&[hello("tiny")]).await;
    let http = daemon.http().await;
    let create = json!({"model": "short", "from": "tiny", "parameters": {"num_predict": 2}});
    assert_eq!(http.post("/api/create", &create).await.status, 200);
    for (limit, count) in [(json!(null), 2), (json!(-1), 4), (json!(-2), 4), (json!(3), 3)] {
        let mut body = ask("short");
        body["options"] = json!({"num_predict": limit});
        let lines = http.post("/api/chat", &body).await.lines();
        assert_eq!(lines.last().unwrap()["eval_count"], count, "{limit}");
    }
    daemon.stop().await;
}

#[tokio::test]
async fn what_is_wrong_is_said_in_ollamas_form() {
    let daemon = Daemon::with_models(&[hello("tiny"), hello("broken").with("nan", true)]).await;
    let http = daemon.http().await;
    let user = json!([{"role": "user", "content": "Hi"}]);
    let digest = format!("sha256:{}", "0".repeat(64));
    let blob = format!("/api/blobs/{digest}");
    for (path, body, status) in [
        ("/api/chat", json!({"model": "nobody", "messages": user}), 404),
        ("/api/chat", json!({"messages": user}), 400),
        ("/api/chat", json!({"model": "", "messages": user}), 400),
        ("/api/chat", json!({"model": "tiny", "messages": "Hi"}), 400),
        (
            "/api/chat",
            json!({"model": "tiny", "messages": user, "options": {"temperature": -1}}),
            400,
        ),
        (
            "/api/chat",
            json!({"model": "tiny", "messages": user, "options": {"num_ctx": -1}}),
            400,
        ),
        (
            "/api/chat",
            json!({"model": "tiny", "messages": user, "keep_alive": "soon"}),
            400,
        ),
        (
            "/api/chat",
            json!({"model": "tiny", "messages": user, "think": true}),
            400,
        ),
        (
            "/api/chat",
            json!({"model": "tiny", "messages": user, "top_logprobs": 99}),
            400,
        ),
        (
            "/api/generate",
            json!({"model": "tiny", "prompt": "a", "suffix": "b"}),
            400,
        ),
        (
            "/api/generate",
            json!({"model": "tiny", "prompt": "a", "images": ["aGk="]}),
            400,
        ),
        (
            "/api/generate",
            json!({"model": "tiny", "prompt": "a", "context": [-1]}),
            400,
        ),
        ("/api/generate", json!([]), 400),
        ("/api/show", json!({}), 400),
        ("/api/show", json!({"model": "nobody"}), 404),
        ("/api/copy", json!({"source": "nobody", "destination": "x"}), 404),
        ("/api/copy", json!({"source": "tiny", "destination": "../x"}), 400),
        (
            "/api/create",
            json!({"model": "x", "from": "tiny", "files": {"a": digest}}),
            400,
        ),
        (
            "/api/create",
            json!({"model": "x", "files": {"a": "sha256:0"}}),
            400,
        ),
        (
            "/api/create",
            json!({"model": "x", "files": {"../a": digest}}),
            400,
        ),
        (
            "/api/create",
            json!({"model": "x", "files": {"config.json": digest}}),
            400,
        ),
        (
            "/api/create",
            json!({"model": "x", "files": {"a.gguf": digest}}),
            400,
        ),
        (
            "/api/create",
            json!({"model": "x", "from": "tiny", "adapters": {"a": digest}}),
            400,
        ),
        (
            "/api/create",
            json!({"model": "x", "from": "tiny", "quantize": "q4_K_M"}),
            400,
        ),
        (
            "/api/create",
            json!({"model": "x", "from": "tiny", "messages": [{"role": "system", "content": "x"}]}),
            400,
        ),
        ("/api/blobs/sha256:0", json!({}), 400),
        (&blob, json!({}), 400),
        ("/api/create", json!({"model": "x"}), 400),
        (
            "/api/create",
            json!({"model": "x", "from": "tiny", "parameters": {"top_p": 7}}),
            400,
        ),
        ("/api/embed", json!({"model": "tiny", "input": "a"}), 422),
        ("/api/embeddings", json!({"model": "tiny", "prompt": "a"}), 422),
        ("/api/push", json!({"model": "tiny"}), 501),
    ] {
        let reply = http.post(path, &body).await;
        assert_eq!(reply.status, status, "{path} {body}: {}", reply.text);
        assert!(reply.json()["error"].is_string(), "{path} {body}: {}", reply.text);
    }
    // Begun answers end with a line of their own.
    let reply = http.post("/api/chat", &ask("broken")).await;
    let last = reply.lines().pop().unwrap();
    assert!(last["error"].is_string(), "{}", reply.text);
    daemon.stop().await;
}

#[tokio::test]
async fn clients_find_what_they_look_for() {
    let daemon = Daemon::start().await;
    let http = daemon.http().await;
    assert_eq!(http.get("/").await.text, "Ollama is running");
    let version = http.get("/api/version").await.ok();
    let parts: Vec<u32> = version["version"]
        .as_str()
        .unwrap()
        .split('.')
        .map(|part| part.parse().unwrap())
        .collect();
    assert!(parts >= vec![0, 6, 4], "older ones are refused by editors");
    for path in ["/", "/api/version", "/api/tags"] {
        let reply = Reply::of(http.request("HEAD", path)).await;
        assert_eq!((reply.status, reply.text.as_str()), (200, ""), "{path}");
    }
    daemon.stop().await;
}
