//! Plain gRPC: what any client of any language finds at the socket.

use airunner_proto::v1;
use airunner_proto::v1::control_client::ControlClient;
use airunner_proto::v1::generate_response::Event;
use airunner_proto::v1::llm_client::LlmClient;
use airunner_proto::v1::models_client::ModelsClient;
use airunner_proto::v1::watch_response::Payload;
use airunner_tests::{Daemon, FakeModel, Home, channel};
use tokio_stream::StreamExt;
use tonic::Code;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_reflection::pb::v1::ServerReflectionRequest;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;

const SERVICES: [&str; 6] = [
    "airunner.v1.Control",
    "airunner.v1.Models",
    "airunner.v1.Llm",
    "airunner.v1.Downloads",
    "airunner.v1.Catalog",
    "airunner.v1.Hardware",
];

#[tokio::test]
async fn health_and_reflection_are_on() {
    let daemon = Daemon::start().await;
    let channel = channel(&daemon.home).await;
    for service in SERVICES.into_iter().chain([""]) {
        let request = HealthCheckRequest {
            service: service.to_owned(),
        };
        let health = HealthClient::new(channel.clone())
            .check(request)
            .await
            .unwrap()
            .into_inner();
        assert_eq!(health.status(), ServingStatus::Serving, "{service}");
    }
    let request = ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::ListServices(String::new())),
    };
    let answers = ServerReflectionClient::new(channel)
        .server_reflection_info(tokio_stream::once(request))
        .await
        .unwrap()
        .into_inner();
    let answer = answers.collect::<Vec<_>>().await.remove(0).unwrap();
    let Some(MessageResponse::ListServicesResponse(list)) = answer.message_response else {
        panic!("{answer:?}")
    };
    let names: Vec<&str> = list.service.iter().map(|service| service.name.as_str()).collect();
    for name in SERVICES.into_iter().chain(["grpc.health.v1.Health"]) {
        assert!(names.contains(&name), "{names:?}");
    }
    assert!(
        !names.iter().any(|name| name.contains("worker")),
        "the workers' language is private: {names:?}"
    );
    daemon.stop().await;
}

#[tokio::test]
async fn watching_begins_with_everything_and_goes_on_without_a_gap() {
    let daemon = Daemon::with_models(&[FakeModel::new("tiny").speaks(&["yes"])]).await;
    let mut watch = ControlClient::new(channel(&daemon.home).await)
        .watch(v1::WatchRequest {})
        .await
        .unwrap()
        .into_inner();
    let first = watch.message().await.unwrap().unwrap();
    let Some(Payload::Snapshot(snapshot)) = first.payload else {
        panic!("{first:?}")
    };
    assert!(snapshot.models.iter().any(|model| model.name == "tiny"));

    let cli = daemon.home.cli();
    cli.run(&["chat", "tiny", "Well?"]).await.succeeded();
    cli.run(&["unload", "tiny"]).await.succeeded();
    let mut sequence = first.sequence;
    let mut steps = Vec::new();
    while steps.last().map(String::as_str) != Some("Unloading -> Unloaded: requested") {
        let event = watch.message().await.unwrap().unwrap();
        sequence += 1;
        assert_eq!(event.sequence, sequence, "no gap");
        let Some(Payload::ModelChanged(change)) = event.payload else {
            continue;
        };
        let to = change.model.as_ref().unwrap().state();
        if change.from() != to {
            steps.push(format!("{:?} -> {to:?}: {}", change.from(), change.reason));
        }
    }
    assert_eq!(
        steps,
        [
            "Unloaded -> Loading: request",
            "Loading -> Busy: loaded",
            "Busy -> Loaded: request_ended",
            "Loaded -> Unloading: requested",
            "Unloading -> Unloaded: requested",
        ]
    );
    daemon.stop().await;
}

#[tokio::test]
async fn a_reader_that_stops_reading_holds_up_nobody() {
    let chatty = FakeModel::new("chatty").speaks(&["x".repeat(8 << 10).as_str()]);
    let chatty = chatty.with("repeat", true).with("context_length", 10_000);
    let mut home = Home::new();
    home.set("AIRUNNER_DAEMON_READER_TIMEOUT_SECONDS", "3");
    let daemon = Daemon::start_in(home).await;
    daemon.install(&chatty).await;
    let channel = channel(&daemon.home).await;
    let request = v1::GenerateRequest {
        model: "chatty".to_owned(),
        input: Some(v1::generate_request::Input::RawPrompt("go".to_owned())),
        ..Default::default()
    };
    let mut unread = LlmClient::new(channel.clone())
        .generate(request)
        .await
        .unwrap()
        .into_inner();
    // Its answer has begun, and nobody reads on.
    while !matches!(
        unread.message().await.unwrap().unwrap().event,
        Some(Event::Text(_))
    ) {}
    let answer = daemon
        .home
        .cli()
        .json(&["chat", "chatty", "Well?", "--max-tokens", "2"])
        .await;
    assert_eq!(
        answer["usage"]["completion_tokens"], 2,
        "others are served meanwhile"
    );
    daemon.until_state("chatty", Some("LOADED")).await;
    let end = loop {
        match unread.message().await {
            Ok(Some(_)) => {}
            Ok(None) => panic!("the stream ended as if it were complete"),
            Err(status) => break status,
        }
    };
    assert_eq!(end.code(), Code::Aborted, "{end:?}");
    daemon.stop().await;
}

#[tokio::test]
async fn nonsense_on_the_wire_is_an_answer_and_not_an_end() {
    let daemon = Daemon::with_models(&[FakeModel::new("tiny").speaks(&["yes"])]).await;
    let channel = channel(&daemon.home).await;
    let empty = LlmClient::new(channel.clone())
        .generate(v1::GenerateRequest::default())
        .await;
    assert_eq!(empty.unwrap_err().code(), Code::InvalidArgument);
    let nowhere = v1::ImportModelRequest {
        directory: "relative/path".to_owned(),
        name: "x".to_owned(),
        link: false,
    };
    let import = ModelsClient::new(channel.clone()).import(nowhere).await;
    assert_eq!(import.unwrap_err().code(), Code::InvalidArgument);
    let nan = v1::Sampling {
        temperature: Some(f32::NAN),
        ..Default::default()
    };
    let request = v1::GenerateRequest {
        model: "tiny".to_owned(),
        input: Some(v1::generate_request::Input::RawPrompt("go".to_owned())),
        sampling: Some(nan),
        ..Default::default()
    };
    let refused = LlmClient::new(channel).generate(request).await;
    assert_eq!(refused.unwrap_err().code(), Code::InvalidArgument);
    assert_eq!(
        daemon.home.cli().json(&["chat", "tiny", "Well?"]).await["text"],
        "yes"
    );
    daemon.stop().await;
}
